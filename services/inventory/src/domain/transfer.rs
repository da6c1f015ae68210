//! Goods on their way between two locations.
//!
//! ```text
//! Requested ─approve─▶ Approved ─allocate─▶ Allocated ─ship─▶ InTransit ─receive, resolve─▶ Received
//!     └────────────────────┴───── cancel ───────┴───────────────┴▶ Cancelled
//! ```
//!
//! - Allocating takes a hard hold at the source. What was not allocated is not sent; the transfer does not wait for it.
//! - Shipping may be partial; the rest stays allocated until it is shipped too, or given back.
//! - Receiving may be partial. More than was sent is `surplus`: it is on the shelf, and the ledger calls it found until
//!   somebody settles it with the source. What never comes stays in transit until it is resolved as lost.
//! - Cancelling undoes what is left to undo: allocated units are free again, units in transit turn back to the source.
//!   What has arrived stays, and the transfer then ends as Received.
//!
//! Invariant Q9, per line: shipped = received + in transit + lost.

use chrono::{DateTime, NaiveDate, Utc};
use oneshelf_values::{HoldId, LocationId, Sku, TransferId};

use super::{
    document::{self, DocumentKind},
    error::Refusal,
    lot::{LotNumber, LotUnits, Units},
    stock_level::LevelKey,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransferState {
    Requested,
    Approved,
    Allocated,
    InTransit,
    Received,
    Cancelled,
}

impl TransferState {
    pub const ALL: [Self; 6] =
        [Self::Requested, Self::Approved, Self::Allocated, Self::InTransit, Self::Received, Self::Cancelled];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Approved => "approved",
            Self::Allocated => "allocated",
            Self::InTransit => "in_transit",
            Self::Received => "received",
            Self::Cancelled => "cancelled",
        }
    }

    pub fn parse(stored: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == stored)
    }
}

/// One SKU of a transfer; a transfer names each SKU once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransferLine {
    pub sku: Sku,
    pub requested: i64,
    /// Held at the source and not yet shipped.
    pub allocated: i64,
    pub shipped: i64,
    /// Arrived of what was shipped.
    pub received: i64,
    /// Of the received: damaged on arrival.
    pub damaged: i64,
    pub in_transit: i64,
    pub lost: i64,
    /// Arrived beyond what was shipped.
    pub surplus: i64,
    /// Of the surplus: taken from the source's books.
    pub surplus_settled: i64,
    /// Of a tracked SKU: which units are in transit.
    pub lots: Vec<(LotNumber, i64)>,
}

impl TransferLine {
    pub fn requested(sku: Sku, requested: i64) -> Self {
        Self {
            sku,
            requested,
            allocated: 0,
            shipped: 0,
            received: 0,
            damaged: 0,
            in_transit: 0,
            lost: 0,
            surplus: 0,
            surplus_settled: 0,
            lots: Vec::new(),
        }
    }

    /// Takes what arrived out of transit, lot by lot where lots are named; the rest is surplus.
    fn arrive(&mut self, arrived: &Units) -> (Units, Units) {
        let (sent, surplus) = if arrived.lots.is_empty() {
            let sent = arrived.quantity.min(self.in_transit);
            (sent.into(), (arrived.quantity - sent).into())
        } else {
            arrived.part(&mut self.lots)
        };
        self.in_transit -= sent.quantity;
        (sent, surplus)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transfer {
    pub transfer_id: TransferId,
    pub source: LocationId,
    pub destination: LocationId,
    pub state: TransferState,
    pub reference: String,
    /// The day on which it should arrive.
    pub expected_on: Option<NaiveDate>,
    /// The hard hold on what is allocated, owned by this transfer.
    pub hold_id: Option<HoldId>,
    pub lines: Vec<TransferLine>,
    pub version: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// Units of one line that arrived.
#[derive(Debug, Clone)]
pub struct Arrival {
    pub sku: Sku,
    pub good: Units,
    pub damaged: Units,
}

/// Where the units of one arrival came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrived {
    pub sku: Sku,
    pub good: Units,
    pub damaged: Units,
    pub surplus_good: Units,
    pub surplus_damaged: Units,
}

/// How a discrepancy of one line ends.
#[derive(Debug, Clone)]
pub struct Resolution {
    pub sku: Sku,
    /// Units in transit that will not come.
    pub lost: Units,
    /// Surplus units that the source's books still have.
    pub from_source: Units,
}

impl Transfer {
    pub fn source_key(&self, sku: &Sku) -> LevelKey {
        LevelKey { sku: sku.clone(), location: self.source.clone() }
    }

    pub fn destination_key(&self, sku: &Sku) -> LevelKey {
        LevelKey { sku: sku.clone(), location: self.destination.clone() }
    }

    pub fn level_keys(&self) -> impl Iterator<Item = LevelKey> {
        self.lines.iter().flat_map(|line| [self.source_key(&line.sku), self.destination_key(&line.sku)])
    }

    /// What is on its way, and when it should be there. Nobody can count on what has no day.
    pub fn supply(&self) -> Vec<(LevelKey, NaiveDate, i64)> {
        let Some(day) = self.expected_on else { return Vec::new() };
        let moving = self.lines.iter().filter(|line| line.in_transit > 0);
        moving.map(|line| (self.destination_key(&line.sku), day, line.in_transit)).collect()
    }

    /// What is allocated, as the hold's lines.
    pub fn allocated(&self) -> Vec<(LevelKey, i64)> {
        let held = self.lines.iter().filter(|line| line.allocated > 0);
        held.map(|line| (self.source_key(&line.sku), line.allocated)).collect()
    }

    /// Notes that a command was accepted.
    pub(super) fn changed(&mut self, now: DateTime<Utc>) {
        self.version += 1;
        self.updated_at = now;
    }

    pub(super) fn check_version(&self, expected: Option<i64>) -> Result<(), Refusal> {
        document::check_version(DocumentKind::Transfer, self.transfer_id.into(), expected, self.version)
    }

    pub(super) fn approve(&mut self) -> Result<(), Refusal> {
        self.expect(&[TransferState::Requested])?;
        self.state = TransferState::Approved;
        Ok(())
    }

    /// What may be allocated now; the hold's answer goes to [`Self::allocate`].
    pub(super) fn to_allocate(&self) -> Result<Vec<(LevelKey, i64)>, Refusal> {
        self.expect(&[TransferState::Approved])?;
        Ok(self.lines.iter().map(|line| (self.source_key(&line.sku), line.requested)).collect())
    }

    /// Notes what the hold granted, line by line.
    pub(super) fn allocate(&mut self, hold_id: HoldId, granted: &[i64]) {
        for (line, granted) in self.lines.iter_mut().zip(granted) {
            line.allocated = *granted;
        }
        self.hold_id = Some(hold_id);
        self.state = TransferState::Allocated;
    }

    /// Ships allocated units; what is not named stays allocated.
    pub(super) fn ship(&mut self, shipped: &[(Sku, i64)], expected_on: Option<NaiveDate>) -> Result<(), Refusal> {
        self.expect(&[TransferState::Allocated, TransferState::InTransit])?;
        for (place, (sku, quantity)) in shipped.iter().enumerate() {
            let line = self.line_mut(place, sku)?;
            at_most(place, sku, line.allocated, *quantity)?;
            line.allocated -= quantity;
            line.shipped += quantity;
            line.in_transit += quantity;
        }
        self.expected_on = expected_on.or(self.expected_on);
        self.state = TransferState::InTransit;
        Ok(())
    }

    /// Notes which units of a tracked SKU went into transit.
    pub(super) fn sent(&mut self, sku: &Sku, lots: Vec<(LotNumber, i64)>) {
        let Some(line) = self.lines.iter_mut().find(|line| line.sku == *sku) else { return };
        for (lot, units) in lots.into_iter().filter(|(_, units)| *units > 0) {
            match line.lots.iter_mut().find(|(known, _)| *known == lot) {
                Some((_, sent)) => *sent += units,
                None => line.lots.push((lot, units)),
            }
        }
    }

    /// Notes what remains held after a part was shipped: less than before where a count found fewer.
    pub(super) fn keep_allocated(&mut self, hold: Option<(HoldId, &[(Sku, i64)])>) {
        self.hold_id = hold.map(|(hold_id, _)| hold_id);
        let granted = hold.map_or(&[][..], |(_, granted)| granted);
        for line in &mut self.lines {
            line.allocated = granted.iter().find(|(sku, _)| *sku == line.sku).map_or(0, |(_, granted)| *granted);
        }
        self.finish();
    }

    /// Books arrivals: first what is in transit, then surplus; in both the good units before the damaged ones.
    pub(super) fn receive(&mut self, arrivals: &[Arrival]) -> Result<Vec<Arrived>, Refusal> {
        self.expect(&[TransferState::InTransit])?;
        let mut arrived = Vec::with_capacity(arrivals.len());
        for (place, arrival) in arrivals.iter().enumerate() {
            let line = self.line_mut(place, &arrival.sku)?;
            let (good, surplus_good) = line.arrive(&arrival.good);
            let (damaged, surplus_damaged) = line.arrive(&arrival.damaged);
            line.received += good.quantity + damaged.quantity;
            line.damaged += damaged.quantity;
            line.surplus += surplus_good.quantity + surplus_damaged.quantity;
            arrived.push(Arrived { sku: arrival.sku.clone(), good, damaged, surplus_good, surplus_damaged });
        }
        self.finish();
        Ok(arrived)
    }

    /// Ends discrepancies: what is in transit and will not come is lost, what came too many leaves the source's books.
    /// A surplus may be settled after the end, when the source has looked.
    pub(super) fn resolve(&mut self, resolutions: &[Resolution]) -> Result<(), Refusal> {
        self.expect(&[TransferState::InTransit, TransferState::Received])?;
        for (place, resolution) in resolutions.iter().enumerate() {
            let line = self.line_mut(place, &resolution.sku)?;
            let (lost, from_source) = (resolution.lost.quantity, resolution.from_source.quantity);
            at_most(place, &resolution.sku, line.in_transit, lost)?;
            at_most(place, &resolution.sku, line.surplus - line.surplus_settled, from_source)?;
            let (_, not_sent) = resolution.lost.part(&mut line.lots);
            if let Some(LotUnits { lot, units, .. }) = not_sent.lots.into_iter().next() {
                let requested = resolution.lost.lots.iter().filter(|named| named.lot == lot).map(|named| named.units);
                let requested = requested.sum();
                return Err(Refusal::LotNotFree {
                    sku: resolution.sku.clone(),
                    lot,
                    free: requested - units,
                    requested,
                });
            }
            line.in_transit -= lost;
            line.lost += lost;
            line.surplus_settled += from_source;
        }
        self.finish();
        Ok(())
    }

    /// Ends the transfer; answers the units that turn back to the source. The hold is the caller's to release.
    pub(super) fn cancel(&mut self) -> Result<Vec<(Sku, Units)>, Refusal> {
        self.expect(&[
            TransferState::Requested,
            TransferState::Approved,
            TransferState::Allocated,
            TransferState::InTransit,
        ])?;
        let mut back = Vec::new();
        for line in &mut self.lines {
            line.allocated = 0;
            if line.in_transit > 0 {
                let units = std::mem::take(&mut line.in_transit);
                let lots = std::mem::take(&mut line.lots);
                line.shipped -= units;
                back.push((line.sku.clone(), if lots.is_empty() { units.into() } else { Units::of_lots(&lots) }));
            }
        }
        self.hold_id = None;
        let arrived = self.lines.iter().any(|line| line.received + line.lost + line.surplus > 0);
        self.state = if arrived { TransferState::Received } else { TransferState::Cancelled };
        Ok(back)
    }

    /// A shipped transfer is over once nothing is allocated or in transit any more.
    fn finish(&mut self) {
        let open = self.lines.iter().any(|line| line.allocated + line.in_transit > 0);
        if self.state == TransferState::InTransit && !open {
            self.state = TransferState::Received;
        }
    }

    fn expect(&self, states: &[TransferState]) -> Result<(), Refusal> {
        if states.contains(&self.state) {
            return Ok(());
        }
        Err(Refusal::DocumentState {
            kind: DocumentKind::Transfer,
            id: self.transfer_id.into(),
            state: self.state.as_str(),
        })
    }

    fn line_mut(&mut self, place: usize, sku: &Sku) -> Result<&mut TransferLine, Refusal> {
        self.lines
            .iter_mut()
            .find(|line| line.sku == *sku)
            .ok_or_else(|| Refusal::LineNotFound { line: place, sku: sku.clone() })
    }
}

fn at_most(line: usize, sku: &Sku, limit: i64, requested: i64) -> Result<(), Refusal> {
    if requested <= limit {
        return Ok(());
    }
    Err(Refusal::LineExceeded { line, sku: sku.clone(), limit, requested })
}
