//! Orders to suppliers and their deliveries, on the shelf: what comes in changes the paper, the order behind it, the
//! levels and the ledger together, or nothing.

use chrono::{DateTime, NaiveDate, Utc};
use oneshelf_values::{InboundId, LocationId, Sku};
use uuid::Uuid;

use super::{Account, Answer, Bucket, Cause, Posting, Refusal, Shelf};
use crate::domain::{
    document::{DocumentKind, Documents, HoldIds},
    inbound::{Delivery, Inbound, InboundKind, InboundLine, InboundState},
    lot::LotUnits,
    stock_level::LevelKey,
};

/// A command on one order or notice.
#[derive(Debug, Clone)]
pub struct InboundCommand {
    pub inbound_id: InboundId,
    /// `None`: whatever version there is.
    pub expected_version: Option<i64>,
    /// The request that asks.
    pub movement_id: Uuid,
    pub hold_ids: HoldIds,
    pub effective_at: DateTime<Utc>,
    pub act: InboundAct,
}

#[derive(Debug, Clone)]
pub enum InboundAct {
    Create(NewInbound),
    Amend(Vec<(Sku, i64, NaiveDate)>),
    Receive(Vec<Delivery>),
    Close,
    Cancel,
}

#[derive(Debug, Clone)]
pub struct NewInbound {
    pub kind: InboundKind,
    pub order_id: Option<InboundId>,
    pub supplier: String,
    pub location: LocationId,
    pub reference: String,
    pub over_percent: i32,
    pub accept_unlisted: bool,
    pub lines: Vec<(Sku, i64, NaiveDate)>,
}

impl InboundCommand {
    /// The lots that were delivered.
    pub fn lots(&self) -> impl Iterator<Item = (&Sku, &LotUnits)> {
        let deliveries = if let InboundAct::Receive(deliveries) = &self.act { &deliveries[..] } else { &[] };
        deliveries.iter().flat_map(|delivery| {
            let lots = delivery.accepted.lots.iter().chain(&delivery.quarantined.lots);
            lots.map(|named| (&delivery.sku, named))
        })
    }

    /// The order that a new notice names.
    pub fn order_id(&self) -> Option<InboundId> {
        if let InboundAct::Create(new) = &self.act { new.order_id } else { None }
    }

    /// Levels that the command may need beyond those of the document's lines.
    pub fn new_keys(&self, documents: &Documents) -> Vec<LevelKey> {
        let location = documents.inbounds.get(&self.inbound_id).map(|inbound| &inbound.location);
        let (location, skus): (_, Vec<&Sku>) = match (&self.act, location) {
            (InboundAct::Create(new), _) => (&new.location, new.lines.iter().map(|(sku, ..)| sku).collect()),
            (InboundAct::Amend(lines), Some(location)) => (location, lines.iter().map(|(sku, ..)| sku).collect()),
            (InboundAct::Receive(lines), Some(location)) => (location, lines.iter().map(|line| &line.sku).collect()),
            _ => return Vec::new(),
        };
        skus.into_iter().map(|sku| LevelKey { sku: sku.clone(), location: location.clone() }).collect()
    }
}

impl Shelf {
    pub(super) fn inbound(&mut self, command: &InboundCommand, now: DateTime<Utc>) -> Result<Answer, Refusal> {
        let mut inbound = match &command.act {
            InboundAct::Create(new) => self.new_inbound(command, new, now)?,
            _ => self.open_inbound(command)?,
        };
        let mut order = inbound.order_id.and_then(|id| self.documents.inbounds.get(&id)).cloned();
        let known = self.documents.inbounds.get(&command.inbound_id);
        let mut before: Vec<_> = known.iter().flat_map(|inbound| inbound.supply()).collect();
        before.extend(order.iter().flat_map(Inbound::supply));
        let mut goods_in = Vec::new();
        match &command.act {
            InboundAct::Create(new) => {
                if let Some(order) = &mut order {
                    order.advise(&new.lines)?;
                }
            }
            InboundAct::Amend(lines) => inbound.amend(lines)?,
            InboundAct::Receive(deliveries) => {
                let booked = inbound.receive(deliveries, order.is_none())?;
                if let Some(order) = &mut order {
                    // What the notice took unlisted is not on the order either.
                    let listed: Vec<Delivery> = booked
                        .iter()
                        .map(|(delivery, _)| delivery)
                        .filter(|delivery| order.lines.iter().any(|line| line.sku == delivery.sku))
                        .cloned()
                        .collect();
                    if !listed.is_empty() {
                        order.receive(&listed, true)?;
                    }
                    for (delivery, fell) in &booked {
                        order.unadvise(&delivery.sku, *fell);
                    }
                }
                self.stock(&inbound, command, &booked)?;
                goods_in = booked
                    .iter()
                    .map(|(delivery, _)| (inbound.key(&delivery.sku), delivery.accepted.quantity))
                    .collect();
            }
            InboundAct::Close => {
                let announced = inbound.close()?;
                for (sku, quantity) in announced {
                    if let Some(order) = &mut order {
                        order.unadvise(&sku, quantity);
                    }
                }
            }
            InboundAct::Cancel => inbound.cancel()?,
        }
        let mut after = inbound.supply();
        after.extend(order.iter().flat_map(Inbound::supply));
        self.shift_supply(before, after);
        let mut hold_ids = command.hold_ids.iter();
        for (key, units) in goods_in {
            self.serve_claims(&key, units, &mut hold_ids, now)?;
        }
        inbound.changed(now);
        if let Some(mut order) = order.filter(|order| self.documents.inbounds.get(&order.inbound_id) != Some(order)) {
            order.changed(now);
            self.replace_inbound(order);
        }
        self.replace_inbound(inbound.clone());
        Ok(Answer::Inbound(Box::new(inbound)))
    }

    /// Books what was delivered onto the shelf; what was sent back at the door never was on it.
    fn stock(
        &mut self,
        inbound: &Inbound,
        command: &InboundCommand,
        booked: &[(Delivery, i64)],
    ) -> Result<(), Refusal> {
        let shelf = |bucket| Account::Shelf(inbound.location.clone(), bucket);
        let postings: Vec<Posting<'_>> = booked
            .iter()
            .enumerate()
            .flat_map(|(line, (delivery, _))| {
                [
                    (Bucket::Sellable, &delivery.accepted, "inbound_received"),
                    (Bucket::Quarantine, &delivery.quarantined, "inbound_quarantined"),
                ]
                .map(|(bucket, units, reason)| Posting {
                    line,
                    sku: &delivery.sku,
                    source: Account::Supplier,
                    target: shelf(bucket),
                    units: units.clone(),
                    reason,
                })
            })
            .filter(|posting| posting.units.quantity > 0)
            .collect();
        let cause = Cause {
            movement_id: command.movement_id,
            reference: inbound.inbound_id.to_string(),
            effective_at: command.effective_at,
        };
        self.book(&cause, &postings)
    }

    fn replace_inbound(&mut self, inbound: Inbound) {
        self.changed_documents.inbounds.insert(inbound.inbound_id);
        self.documents.inbounds.insert(inbound.inbound_id, inbound);
    }

    fn open_inbound(&self, command: &InboundCommand) -> Result<Inbound, Refusal> {
        let inbound = self
            .documents
            .inbounds
            .get(&command.inbound_id)
            .ok_or(Refusal::DocumentNotFound { kind: DocumentKind::Inbound, id: command.inbound_id.into() })?;
        inbound.check_version(command.expected_version)?;
        Ok(inbound.clone())
    }

    fn new_inbound(&self, command: &InboundCommand, new: &NewInbound, now: DateTime<Utc>) -> Result<Inbound, Refusal> {
        if self.documents.inbounds.contains_key(&command.inbound_id) {
            return Err(Refusal::RequestIdReused);
        }
        if let Some(id) = new.order_id {
            let order = self.documents.inbounds.get(&id);
            let not_found = Refusal::DocumentNotFound { kind: DocumentKind::Inbound, id: id.into() };
            let order = order.ok_or(not_found)?;
            if order.location != new.location {
                return Err(Refusal::OtherLocation { location: order.location.clone() });
            }
        }
        for key in command.new_keys(&self.documents) {
            if !self.levels.contains_key(&key) {
                return Err(Refusal::LocationNotFound { location: key.location });
            }
        }
        let lines = new.lines.iter();
        Ok(Inbound {
            inbound_id: command.inbound_id,
            kind: new.kind,
            order_id: new.order_id,
            supplier: new.supplier.clone(),
            location: new.location.clone(),
            state: InboundState::Open,
            reference: new.reference.clone(),
            over_percent: new.over_percent,
            accept_unlisted: new.accept_unlisted,
            lines: lines.map(|(sku, expected, day)| InboundLine::expected(sku.clone(), *expected, *day)).collect(),
            version: 0,
            created_at: now,
            updated_at: now,
        })
    }
}
