//! Transfers on the shelf: each command changes the paper, the levels, the hold and the ledger together, or nothing.

use chrono::{DateTime, NaiveDate, Utc};
use oneshelf_values::{LocationId, Sku, TransferId, hold::Resolution as HoldResolution};
use uuid::Uuid;

use super::{Account, Answer, Bucket, Cause, Posting, Refusal, Shelf, Taking};
use crate::domain::{
    document::{DocumentKind, HoldIds},
    hold::WantedUnits,
    lot::{self, LotNumber, LotUnits, Units},
    stock_level::LevelKey,
    transfer::{Arrival, Resolution, Transfer, TransferLine, TransferState},
};

/// A command on one transfer.
#[derive(Debug, Clone)]
pub struct TransferCommand {
    pub transfer_id: TransferId,
    /// `None`: whatever version there is.
    pub expected_version: Option<i64>,
    /// The request that asks.
    pub movement_id: Uuid,
    pub hold_ids: HoldIds,
    pub effective_at: DateTime<Utc>,
    pub act: TransferAct,
}

#[derive(Debug, Clone)]
pub enum TransferAct {
    Create(NewTransfer),
    Approve,
    Allocate {
        allow_partial: bool,
    },
    Ship {
        lines: Vec<(Sku, i64)>,
        expected_on: Option<NaiveDate>,
        /// Gives back what stays behind, so that it will not be shipped later.
        release_rest: bool,
    },
    Receive {
        /// Where good units go.
        bucket: Bucket,
        arrivals: Vec<Arrival>,
    },
    Resolve(Vec<Resolution>),
    Cancel,
}

#[derive(Debug, Clone)]
pub struct NewTransfer {
    pub source: LocationId,
    pub destination: LocationId,
    pub reference: String,
    pub expected_on: Option<NaiveDate>,
    pub lines: Vec<(Sku, i64)>,
}

impl TransferCommand {
    /// Units that arrived, or that a resolution names, line by line.
    fn units(&self) -> Vec<(&Sku, [&Units; 2])> {
        match &self.act {
            TransferAct::Receive { arrivals, .. } => {
                arrivals.iter().map(|one| (&one.sku, [&one.good, &one.damaged])).collect()
            }
            TransferAct::Resolve(resolutions) => {
                resolutions.iter().map(|one| (&one.sku, [&one.lost, &one.from_source])).collect()
            }
            _ => Vec::new(),
        }
    }

    /// The lots among them.
    pub fn lots(&self) -> impl Iterator<Item = (&Sku, &LotUnits)> {
        let units = self.units().into_iter();
        units.flat_map(|(sku, both)| both.into_iter().flat_map(move |of| of.lots.iter().map(move |lot| (sku, lot))))
    }

    /// The levels that a new transfer is about; of one that exists its lines say it.
    pub fn new_keys(&self) -> impl Iterator<Item = LevelKey> {
        let new = if let TransferAct::Create(new) = &self.act { Some(new) } else { None };
        new.into_iter().flat_map(|new| {
            new.lines.iter().flat_map(|(sku, _)| {
                [&new.source, &new.destination]
                    .map(|location| LevelKey { sku: sku.clone(), location: location.clone() })
            })
        })
    }
}

impl Shelf {
    pub(super) fn transfer(&mut self, command: &TransferCommand, now: DateTime<Utc>) -> Result<Answer, Refusal> {
        let mut transfer = match &command.act {
            TransferAct::Create(new) => self.new_transfer(command, new, now)?,
            _ => self.open_transfer(command)?,
        };
        for (line, (sku, units)) in command.units().into_iter().enumerate() {
            let mut some = units.into_iter().filter(|units| units.quantity > 0);
            some.try_for_each(|units| self.check_named(line, sku, &units.lots))?;
        }
        let before = transfer.supply();
        let mut goods_in = Vec::new();
        let cause = Cause {
            movement_id: command.movement_id,
            reference: transfer.transfer_id.to_string(),
            effective_at: command.effective_at,
        };
        match &command.act {
            TransferAct::Create(_) => {}
            TransferAct::Approve => transfer.approve()?,
            TransferAct::Allocate { allow_partial } => {
                let lines = transfer.to_allocate()?;
                let hold_id = command.hold_ids.nth(0);
                let how = if *allow_partial { Taking::Partly } else { Taking::Whole };
                let hold = self.hold_for_document(hold_id, cause.reference, lines, how, now)?;
                transfer.allocate(hold_id, hold.promise.granted());
            }
            TransferAct::Ship { lines, expected_on, release_rest } => {
                transfer.ship(lines, *expected_on)?;
                self.send(&mut transfer, command, lines, *release_rest, now)?;
            }
            TransferAct::Receive { bucket, arrivals } => {
                let arrived = transfer.receive(arrivals)?;
                let shelf = |bucket| Account::Shelf(transfer.destination.clone(), bucket);
                let postings: Vec<Posting<'_>> = arrived
                    .iter()
                    .enumerate()
                    .flat_map(|(line, arrived)| {
                        [
                            (Account::InTransit, shelf(*bucket), &arrived.good, "transfer_received"),
                            (Account::InTransit, shelf(Bucket::Damaged), &arrived.damaged, "transfer_received"),
                            (Account::Found, shelf(*bucket), &arrived.surplus_good, "transfer_surplus"),
                            (Account::Found, shelf(Bucket::Damaged), &arrived.surplus_damaged, "transfer_surplus"),
                        ]
                        .map(|(source, target, units, reason)| Posting {
                            line,
                            sku: &arrived.sku,
                            source,
                            target,
                            units: units.clone(),
                            reason,
                        })
                    })
                    .filter(|posting| posting.units.quantity > 0)
                    .collect();
                self.book(&cause, &postings)?;
                if *bucket == Bucket::Sellable {
                    goods_in = arrived
                        .iter()
                        .map(|one| (transfer.destination_key(&one.sku), one.good.quantity + one.surplus_good.quantity))
                        .collect();
                }
            }
            TransferAct::Resolve(resolutions) => {
                transfer.resolve(resolutions)?;
                let source = Account::Shelf(transfer.source.clone(), Bucket::Sellable);
                let postings: Vec<Posting<'_>> = resolutions
                    .iter()
                    .enumerate()
                    .flat_map(|(line, resolution)| {
                        [
                            (Account::InTransit, Account::Loss, &resolution.lost, "transfer_lost"),
                            (source.clone(), Account::Found, &resolution.from_source, "transfer_surplus_settled"),
                        ]
                        .map(|(source, target, units, reason)| Posting {
                            line,
                            sku: &resolution.sku,
                            source,
                            target,
                            units: units.clone(),
                            reason,
                        })
                    })
                    .filter(|posting| posting.units.quantity > 0)
                    .collect();
                self.book(&cause, &postings)?;
            }
            TransferAct::Cancel => {
                let hold_id = transfer.hold_id;
                let back = transfer.cancel()?;
                let postings: Vec<Posting<'_>> = back
                    .iter()
                    .enumerate()
                    .map(|(line, (sku, units))| Posting {
                        line,
                        sku,
                        source: Account::InTransit,
                        target: Account::Shelf(transfer.source.clone(), Bucket::Sellable),
                        units: units.clone(),
                        reason: "transfer_turned_back",
                    })
                    .collect();
                self.book(&cause, &postings)?;
                goods_in = back.iter().map(|(sku, units)| (transfer.source_key(sku), units.quantity)).collect();
                if let Some(hold_id) = hold_id {
                    goods_in.extend(self.release_for_document(hold_id, now)?);
                }
            }
        }
        self.shift_supply(before, transfer.supply());
        let mut hold_ids = command.hold_ids.iter();
        for (key, units) in goods_in {
            self.serve_claims(&key, units, &mut hold_ids, now)?;
        }
        transfer.changed(now);
        self.changed_documents.transfers.insert(transfer.transfer_id);
        self.documents.transfers.insert(transfer.transfer_id, transfer.clone());
        Ok(Answer::Transfer(Box::new(transfer)))
    }

    /// Takes what is shipped out of the hold into transit, and holds the rest anew: a hold resolves once. Where a count
    /// has found fewer than were promised, less than the rest can be held; what is lacking is not sent.
    fn send(
        &mut self,
        transfer: &mut Transfer,
        command: &TransferCommand,
        shipped: &[(Sku, i64)],
        release_rest: bool,
        now: DateTime<Utc>,
    ) -> Result<(), Refusal> {
        let hold_id = transfer.hold_id.ok_or(Refusal::DocumentState {
            kind: DocumentKind::Transfer,
            id: transfer.transfer_id.into(),
            state: transfer.state.as_str(),
        })?;
        let wanted: Vec<WantedUnits> = shipped
            .iter()
            .map(|(sku, quantity)| WantedUnits { sku: sku.clone(), location: None, quantity: *quantity })
            .collect();
        let mut hold = self.existing(hold_id)?.clone();
        let resolution = hold.commit(Some(&wanted), now)?;
        let cause = Cause {
            movement_id: hold_id.into(),
            reference: transfer.transfer_id.to_string(),
            effective_at: command.effective_at,
        };
        let sent: Vec<(Sku, Vec<(LotNumber, i64)>)> = match &resolution {
            HoldResolution::Resolved { committed, .. } => {
                let lines = hold.lines.iter().zip(committed);
                lines.map(|(line, units)| (line.key.sku.clone(), lot::first_units(&line.lots, *units))).collect()
            }
            HoldResolution::AlreadySo => Vec::new(),
        };
        self.take(hold, &resolution, &Account::InTransit, "transfer_shipped", &cause)?;
        for (sku, lots) in sent {
            self.note_transit(&sku, &Units::of_lots(&lots).lots, Some(&transfer.destination));
            transfer.sent(&sku, lots);
        }
        let rest = if release_rest { Vec::new() } else { transfer.allocated() };
        let next = command.hold_ids.nth(0);
        let held = self.hold_for_document(next, cause.reference, rest, Taking::Partly, now).ok();
        let granted: Vec<(Sku, i64)> = held.iter().flat_map(granted_by_sku).collect();
        transfer.keep_allocated(held.is_some().then_some((next, &granted)));
        Ok(())
    }

    fn open_transfer(&self, command: &TransferCommand) -> Result<Transfer, Refusal> {
        let transfer = self
            .documents
            .transfers
            .get(&command.transfer_id)
            .ok_or(Refusal::DocumentNotFound { kind: DocumentKind::Transfer, id: command.transfer_id.into() })?;
        transfer.check_version(command.expected_version)?;
        Ok(transfer.clone())
    }

    fn new_transfer(
        &self,
        command: &TransferCommand,
        new: &NewTransfer,
        now: DateTime<Utc>,
    ) -> Result<Transfer, Refusal> {
        if self.documents.transfers.contains_key(&command.transfer_id) {
            return Err(Refusal::RequestIdReused);
        }
        for key in command.new_keys() {
            if !self.levels.contains_key(&key) {
                return Err(Refusal::LocationNotFound { location: key.location });
            }
        }
        Ok(Transfer {
            transfer_id: command.transfer_id,
            source: new.source.clone(),
            destination: new.destination.clone(),
            state: TransferState::Requested,
            reference: new.reference.clone(),
            expected_on: new.expected_on,
            hold_id: None,
            lines: new.lines.iter().map(|(sku, requested)| TransferLine::requested(sku.clone(), *requested)).collect(),
            version: 0,
            created_at: now,
            updated_at: now,
        })
    }
}

/// What a hold granted, by SKU.
fn granted_by_sku(hold: &crate::domain::hold::StockHold) -> Vec<(Sku, i64)> {
    hold.lines.iter().zip(hold.promise.granted()).map(|(line, granted)| (line.key.sku.clone(), *granted)).collect()
}
