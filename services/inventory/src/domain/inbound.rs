//! What suppliers are to deliver: purchase orders, and the notices of single deliveries (ASN).
//!
//! ```text
//! Open ─receive─▶ Receiving ─receive─▶ Complete ─close─▶ Closed
//!   │                 └────────── close ────────────────────▲     what has not come is not expected any more
//!   ├ close ────────────────────────────────────────────────┘
//!   └ cancel (an order of which nothing came) ─▶ Cancelled
//! ```
//!
//! - Of a line, `received` is all that was delivered: stocked, or put in quarantine, or sent back at the door. Rejected
//!   goods are delivered goods; who wants replacements amends the order.
//! - `due` is what is still to come, on the line's day: expected − received − advised, never less than nothing. `advised`
//!   is what open notices of the order say, which is due on *their* day and not counted twice.
//! - A receipt on a notice counts on its order, too. More than the order's tolerance allows is refused.
//! - A SKU that the document does not list is refused, unless the document takes unlisted goods: then it gets a line with
//!   nothing expected, and all of it goes to quarantine until somebody has looked.

use chrono::{DateTime, NaiveDate, Utc};
use oneshelf_values::{InboundId, LocationId, Sku};

use super::{
    document::{self, DocumentKind},
    error::Refusal,
    lot::Units,
    stock_level::LevelKey,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InboundKind {
    PurchaseOrder,
    Asn,
}

impl InboundKind {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PurchaseOrder => "purchase_order",
            Self::Asn => "asn",
        }
    }

    pub fn parse(stored: &str) -> Option<Self> {
        [Self::PurchaseOrder, Self::Asn].into_iter().find(|kind| kind.as_str() == stored)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InboundState {
    Open,
    Receiving,
    Complete,
    Closed,
    Cancelled,
}

impl InboundState {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Receiving => "receiving",
            Self::Complete => "complete",
            Self::Closed => "closed",
            Self::Cancelled => "cancelled",
        }
    }

    pub fn parse(stored: &str) -> Option<Self> {
        [Self::Open, Self::Receiving, Self::Complete, Self::Closed, Self::Cancelled]
            .into_iter()
            .find(|state| state.as_str() == stored)
    }

    /// Goods may still come.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Open | Self::Receiving | Self::Complete)
    }
}

const LIVE: &[InboundState] = &[InboundState::Open, InboundState::Receiving, InboundState::Complete];

/// One SKU of an order or notice; a document names each SKU once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboundLine {
    pub sku: Sku,
    pub expected: i64,
    pub expected_on: NaiveDate,
    /// Of an order: what its open notices say is on the way.
    pub advised: i64,
    /// Delivered: stocked + quarantined + returned.
    pub received: i64,
    pub stocked: i64,
    pub quarantined: i64,
    /// Sent back at the door.
    pub returned: i64,
    /// Still to come on the line's day.
    pub due: i64,
}

impl InboundLine {
    pub fn expected(sku: Sku, expected: i64, expected_on: NaiveDate) -> Self {
        Self {
            sku,
            expected,
            expected_on,
            advised: 0,
            received: 0,
            stocked: 0,
            quarantined: 0,
            returned: 0,
            due: expected,
        }
    }

    fn outstanding(&self) -> i64 {
        (self.expected - self.received).max(0)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inbound {
    pub inbound_id: InboundId,
    pub kind: InboundKind,
    /// Of a notice: the order that it delivers.
    pub order_id: Option<InboundId>,
    pub supplier: String,
    pub location: LocationId,
    pub state: InboundState,
    pub reference: String,
    /// By how much of a line's quantity, in percent, deliveries may exceed it.
    pub over_percent: i32,
    pub accept_unlisted: bool,
    pub lines: Vec<InboundLine>,
    pub version: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// What was delivered of one SKU.
#[derive(Debug, Clone)]
pub struct Delivery {
    pub sku: Sku,
    pub accepted: Units,
    pub quarantined: Units,
    pub returned: i64,
}

impl Delivery {
    pub fn units(&self) -> i64 {
        self.accepted.quantity + self.quarantined.quantity + self.returned
    }
}

impl Inbound {
    pub fn key(&self, sku: &Sku) -> LevelKey {
        LevelKey { sku: sku.clone(), location: self.location.clone() }
    }

    pub fn level_keys(&self) -> impl Iterator<Item = LevelKey> {
        self.lines.iter().map(|line| self.key(&line.sku))
    }

    /// What is still to come, and when.
    pub fn supply(&self) -> Vec<(LevelKey, NaiveDate, i64)> {
        let due = self.lines.iter().filter(|line| line.due > 0);
        due.map(|line| (self.key(&line.sku), line.expected_on, line.due)).collect()
    }

    pub(super) fn changed(&mut self, now: DateTime<Utc>) {
        self.version += 1;
        self.updated_at = now;
    }

    pub(super) fn check_version(&self, expected: Option<i64>) -> Result<(), Refusal> {
        document::check_version(DocumentKind::Inbound, self.inbound_id.into(), expected, self.version)
    }

    /// Sets quantities and days of an order's lines, and adds lines. No line falls below what has come or is announced.
    pub(super) fn amend(&mut self, changes: &[(Sku, i64, NaiveDate)]) -> Result<(), Refusal> {
        self.expect_kind(InboundKind::PurchaseOrder)?;
        self.expect(LIVE)?;
        for (place, (sku, expected, expected_on)) in changes.iter().enumerate() {
            match self.lines.iter_mut().find(|line| line.sku == *sku) {
                Some(line) => {
                    let least = line.received + line.advised;
                    if *expected < least {
                        return Err(Refusal::BelowReceived {
                            line: place,
                            sku: sku.clone(),
                            least,
                            requested: *expected,
                        });
                    }
                    line.expected = *expected;
                    line.expected_on = *expected_on;
                }
                None => self.lines.push(InboundLine::expected(sku.clone(), *expected, *expected_on)),
            }
        }
        self.settle();
        self.check_size()
    }

    /// Notes what a new notice says is on the way; it may announce more than is ordered.
    pub(super) fn advise(&mut self, lines: &[(Sku, i64, NaiveDate)]) -> Result<(), Refusal> {
        self.expect_kind(InboundKind::PurchaseOrder)?;
        self.expect(LIVE)?;
        for (place, (sku, quantity, _)) in lines.iter().enumerate() {
            self.line_mut(place, sku)?.advised += quantity;
        }
        self.settle();
        Ok(())
    }

    /// Takes back what a notice said: goods came, or it was closed.
    pub(super) fn unadvise(&mut self, sku: &Sku, quantity: i64) {
        if let Some(line) = self.lines.iter_mut().find(|line| line.sku == *sku && quantity > 0) {
            line.advised -= quantity;
            self.settle();
        }
    }

    /// Books what was delivered. `tolerate` is false where another document has judged the quantity. Answers the
    /// deliveries as they are to be stocked, and by how much the notice's outstanding part fell, line by line.
    pub(super) fn receive(&mut self, deliveries: &[Delivery], tolerate: bool) -> Result<Vec<(Delivery, i64)>, Refusal> {
        self.expect(LIVE)?;
        let mut booked = Vec::with_capacity(deliveries.len());
        for (place, delivery) in deliveries.iter().enumerate() {
            let (over_percent, accept_unlisted, day) = (self.over_percent, self.accept_unlisted, self.created_at);
            let listed = self.lines.iter().position(|line| line.sku == delivery.sku);
            let at = match listed {
                Some(at) => at,
                None if accept_unlisted => {
                    self.lines.push(InboundLine::expected(delivery.sku.clone(), 0, day.date_naive()));
                    self.lines.len() - 1
                }
                None => return Err(Refusal::LineNotFound { line: place, sku: delivery.sku.clone() }),
            };
            let line = &mut self.lines[at];
            let unlisted = line.expected == 0 && accept_unlisted;
            let most = i128::from(line.expected) * i128::from(100 + over_percent) / 100;
            if tolerate && !unlisted && i128::from(line.received) + i128::from(delivery.units()) > most {
                return Err(Refusal::OverReceipt {
                    line: place,
                    sku: delivery.sku.clone(),
                    limit: most as i64 - line.received,
                    requested: delivery.units(),
                });
            }
            let delivery = if unlisted {
                let quarantined = delivery.accepted.and(&delivery.quarantined);
                Delivery { accepted: Units::default(), quarantined, ..delivery.clone() }
            } else {
                delivery.clone()
            };
            let before = line.outstanding();
            line.received += delivery.units();
            line.stocked += delivery.accepted.quantity;
            line.quarantined += delivery.quarantined.quantity;
            line.returned += delivery.returned;
            let fell = before - line.outstanding();
            booked.push((delivery, fell));
        }
        self.settle();
        self.check_size()?;
        Ok(booked)
    }

    /// Ends the document: what has not come is not expected any more. Answers what a notice still announced.
    pub(super) fn close(&mut self) -> Result<Vec<(Sku, i64)>, Refusal> {
        self.expect(LIVE)?;
        self.expect_no_notices()?;
        let announced = self.lines.iter().map(|line| (line.sku.clone(), line.outstanding())).collect();
        self.end(InboundState::Closed);
        Ok(announced)
    }

    /// Takes back an order of which nothing has come.
    pub(super) fn cancel(&mut self) -> Result<(), Refusal> {
        self.expect_kind(InboundKind::PurchaseOrder)?;
        self.expect(&[InboundState::Open])?;
        self.expect_no_notices()?;
        self.end(InboundState::Cancelled);
        Ok(())
    }

    fn end(&mut self, state: InboundState) {
        self.state = state;
        for line in &mut self.lines {
            line.due = 0;
        }
    }

    /// What is due follows from the other figures, and the state from whether anything is outstanding.
    fn settle(&mut self) {
        for line in &mut self.lines {
            line.due = (line.expected - line.received - line.advised).max(0);
        }
        let outstanding = self.lines.iter().any(|line| line.outstanding() > 0);
        let received = self.lines.iter().any(|line| line.received > 0);
        self.state = match (received, outstanding) {
            (true, false) => InboundState::Complete,
            (true, true) => InboundState::Receiving,
            (false, _) => InboundState::Open,
        };
    }

    fn check_size(&self) -> Result<(), Refusal> {
        let limit = document::MAX_LINES;
        if self.lines.len() > limit { Err(Refusal::TooLarge { limit: limit as i64 }) } else { Ok(()) }
    }

    fn expect(&self, states: &[InboundState]) -> Result<(), Refusal> {
        if states.contains(&self.state) { Ok(()) } else { Err(self.wrong(self.state.as_str())) }
    }

    fn expect_kind(&self, kind: InboundKind) -> Result<(), Refusal> {
        if self.kind == kind { Ok(()) } else { Err(self.wrong(self.kind.as_str())) }
    }

    fn expect_no_notices(&self) -> Result<(), Refusal> {
        if self.lines.iter().any(|line| line.advised > 0) { Err(self.wrong("advised")) } else { Ok(()) }
    }

    fn wrong(&self, state: &'static str) -> Refusal {
        Refusal::DocumentState { kind: DocumentKind::Inbound, id: self.inbound_id.into(), state }
    }

    fn line_mut(&mut self, place: usize, sku: &Sku) -> Result<&mut InboundLine, Refusal> {
        self.lines
            .iter_mut()
            .find(|line| line.sku == *sku)
            .ok_or_else(|| Refusal::LineNotFound { line: place, sku: sku.clone() })
    }
}
