//! A group of commands, applied in turn to the levels and holds that the executor has locked.
//!
//! Each command is all or nothing: a refused one leaves no trace and does not disturb its neighbours. A level's version
//! rises by one per *group*, so everything that a group does to a level carries the same `version + 1`, and consumers see
//! one event per changed level.

pub mod bulk;
pub mod posting;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use chrono::{DateTime, Utc};
use oneshelf_values::{
    ChannelId, CountId, Hold, HoldId, HoldTerms, InboundId, LocationId, PromiseId, Sku, TransferId, hold::Resolution,
};
use uuid::Uuid;

use super::{
    count::Count,
    document::{Documents, HoldIds},
    error::{Refusal, ShortLine},
    event::Event,
    future::{Claim, Future},
    hold::{HoldKind, HoldLine, OWNED, StockHold},
    inbound::Inbound,
    ledger::{Account, Movement},
    promise::Promise,
    stock_level::{Bucket, Level, LevelKey, Strength},
    transfer::Transfer,
};

mod counts;
mod inbounds;
mod promises;
mod transfers;

pub use counts::{CountAct, CountCommand, NewCount};
pub use inbounds::{InboundAct, InboundCommand, NewInbound};
pub use promises::{NewPromise, PromiseAct, PromiseCommand};
pub use transfers::{NewTransfer, TransferAct, TransferCommand};

/// What a caller wants done to the shelf.
#[derive(Debug, Clone)]
pub enum Command {
    Hold(HoldStock),
    Commit(CommitHold),
    Release {
        hold_id: HoldId,
    },
    Extend {
        hold_id: HoldId,
        until: DateTime<Utc>,
    },
    /// Records that a soft hold's time is over; nothing happens if it is not, or if the hold is resolved.
    Expire {
        hold_id: HoldId,
    },
    Move(MoveStock),
    Transfer(Box<TransferCommand>),
    Count(Box<CountCommand>),
    Inbound(Box<InboundCommand>),
    Promise(Box<PromiseCommand>),
}

#[derive(Debug, Clone)]
pub struct HoldStock {
    pub hold_id: HoldId,
    pub terms: HoldTerms,
    pub channel: Option<ChannelId>,
    pub reference: String,
    pub fingerprint: [u8; 32],
    pub allow_partial: bool,
    pub lines: Vec<(LevelKey, i64)>,
}

#[derive(Debug, Clone)]
pub struct CommitHold {
    pub hold_id: HoldId,
    /// `None`: everything. Else these; what is not named is released.
    pub lines: Option<Vec<(LevelKey, i64)>>,
    pub effective_at: DateTime<Utc>,
}

#[derive(Debug, Clone)]
pub struct MoveStock {
    pub movement_id: Uuid,
    /// For the promises that wait for what is received.
    pub hold_ids: HoldIds,
    pub kind: MoveKind,
    pub location: LocationId,
    pub lines: Vec<MoveLine>,
    pub reference: String,
    pub effective_at: DateTime<Utc>,
}

#[derive(Debug, Clone)]
pub struct MoveLine {
    pub key: LevelKey,
    pub bucket: Bucket,
    /// Not zero; negative leaves the shelf.
    pub delta: i64,
}

/// Why units move, beyond holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MoveKind {
    Receipt,
    Return,
    /// A till's sale: a fact.
    Sale,
    Adjustment(AdjustmentReason),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdjustmentReason {
    Found,
    Lost,
    Damaged,
    WriteOff,
    Count,
}

impl MoveKind {
    fn reason(self) -> &'static str {
        match self {
            Self::Receipt => "receipt",
            Self::Return => "return",
            Self::Sale => "till_sale",
            Self::Adjustment(AdjustmentReason::Found) => "adjust_found",
            Self::Adjustment(AdjustmentReason::Lost) => "adjust_lost",
            Self::Adjustment(AdjustmentReason::Damaged) => "adjust_damaged",
            Self::Adjustment(AdjustmentReason::WriteOff) => "adjust_write_off",
            Self::Adjustment(AdjustmentReason::Count) => "adjust_count",
        }
    }

    /// The account on the other side of the shelf.
    fn counterparty(self, delta: i64) -> Account {
        match self {
            Self::Receipt => Account::Supplier,
            Self::Return | Self::Sale => Account::Customer,
            Self::Adjustment(_) if delta < 0 => Account::Loss,
            Self::Adjustment(_) => Account::Found,
        }
    }

    fn strength(self) -> Strength {
        match self {
            Self::Sale => Strength::Fact,
            _ => Strength::Correction,
        }
    }
}

/// What a command came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Hold(StockHold),
    /// The resulting levels, one per distinct SKU, by key, and when they became so.
    Levels(Vec<(LevelKey, Level)>, DateTime<Utc>),
    Transfer(Box<Transfer>),
    /// With the lines that the command was about.
    Count(Box<Count>),
    Inbound(Box<Inbound>),
    Promise(Box<Promise>),
}

/// Locked levels and holds, and what the group has done to them so far.
#[derive(Debug, Default)]
pub struct Shelf {
    levels: HashMap<LevelKey, Level>,
    holds: HashMap<HoldId, StockHold>,
    touched: HashSet<LevelKey>,
    granted: Vec<HoldId>,
    changed_holds: HashSet<HoldId>,
    movements: Vec<Movement>,
    events: Vec<Event>,
    documents: Documents,
    changed_documents: ChangedDocuments,
    /// Levels that a count may freeze, as they were before the group.
    frozen: HashMap<LevelKey, Level>,
    /// What is in an open count.
    counting: HashMap<(LevelKey, Bucket), CountId>,
    /// What levels are to get and owe, of those where the group may change it.
    futures: HashMap<LevelKey, Future>,
    changed_futures: BTreeSet<LevelKey>,
    /// Claims as they were read: what is written is what differs.
    read_claims: HashMap<(PromiseId, usize), Claim>,
    promise_holds: Vec<(PromiseId, HoldId)>,
    new_claims: i64,
}

/// Units that move for a document.
struct Posting<'a> {
    sku: &'a Sku,
    source: Account,
    target: Account,
    quantity: i64,
    reason: &'static str,
}

/// What ledger entries of one cause have in common.
struct Cause {
    movement_id: Uuid,
    reference: String,
    effective_at: DateTime<Utc>,
}

impl Shelf {
    pub fn new(levels: HashMap<LevelKey, Level>, holds: HashMap<HoldId, StockHold>) -> Self {
        Self { levels, holds, ..Self::default() }
    }

    /// With the documents that the group's commands name.
    #[must_use]
    pub fn with_documents(self, documents: Documents) -> Self {
        Self { documents, ..self }
    }

    /// With what counts may freeze: these levels, and what of them is already in an open count.
    #[must_use]
    pub fn with_counts(self, keys: &[LevelKey], counting: HashMap<(LevelKey, Bucket), CountId>) -> Self {
        let frozen = keys.iter().filter_map(|key| Some((key.clone(), *self.levels.get(key)?))).collect();
        Self { frozen, counting, ..self }
    }

    /// With the future of the levels where the group may change it.
    #[must_use]
    pub fn with_futures(self, futures: HashMap<LevelKey, Future>) -> Self {
        let claims = futures.values().flat_map(|future| future.claims().iter().cloned());
        let read_claims = claims.map(|claim| ((claim.promise_id, claim.line), claim)).collect();
        Self { futures, read_claims, ..self }
    }

    /// Applies one command, or refuses it and leaves everything as it was.
    pub fn apply(&mut self, command: &Command, now: DateTime<Utc>) -> Result<Answer, Refusal> {
        match command {
            Command::Hold(hold) => self.hold(hold, now),
            Command::Commit(commit) => self.commit(commit, now),
            Command::Release { hold_id } => self.release(*hold_id, now),
            Command::Extend { hold_id, until } => self.extend(*hold_id, *until, now),
            Command::Expire { hold_id } => self.expire(*hold_id, now),
            Command::Move(moved) => self.shift(moved, now),
            Command::Transfer(command) => self.transfer(command, now),
            Command::Count(command) => self.count(command, now),
            Command::Inbound(command) => self.inbound(command, now),
            Command::Promise(command) => self.promise(command, now),
        }
    }

    /// The version that a touched level gets with this group.
    pub fn version_after(&self, key: &LevelKey) -> i64 {
        self.levels.get(key).map_or(1, |level| level.version + 1)
    }

    /// Everything to be written, once all commands are applied.
    pub fn finish(mut self) -> Changes {
        let mut levels: Vec<(LevelKey, Level)> = self
            .touched
            .drain()
            .map(|key| {
                let mut level = self.levels[&key];
                level.version += 1;
                (key, level)
            })
            .collect();
        levels.sort_by(|a, b| a.0.cmp(&b.0));
        let claims = self.changed_claims();
        let mut events = self.events;
        events.extend(levels.iter().map(|(key, level)| Event::LevelChanged { key: key.clone(), level: *level }));
        let granted: HashSet<HoldId> = self.granted.iter().copied().collect();
        let changed = self.changed_holds.iter().map(|id| self.holds[id].clone()).collect();
        Changes {
            levels,
            granted: granted.iter().map(|id| self.holds[id].clone()).collect(),
            changed,
            movements: self.movements,
            events,
            transfers: self.changed_documents.transfers.iter().map(|id| self.documents.transfers[id].clone()).collect(),
            counts: self
                .changed_documents
                .counts
                .into_iter()
                .map(|(id, lines)| (self.documents.counts[&id].clone(), lines))
                .collect(),
            inbounds: self.changed_documents.inbounds.iter().map(|id| self.documents.inbounds[id].clone()).collect(),
            promises: self.changed_documents.promises.iter().map(|id| self.documents.promises[id].clone()).collect(),
            claims,
            promise_holds: self.promise_holds,
        }
    }

    /// Says anew what supply covers, where the future has changed; answers the claims to write.
    fn changed_claims(&mut self) -> Vec<Claim> {
        let mut claims = Vec::new();
        for key in &self.changed_futures {
            let Some(future) = self.futures.get_mut(key) else { continue };
            future.cover();
            let read = &self.read_claims;
            let changed =
                future.claims().iter().filter(|claim| read.get(&(claim.promise_id, claim.line)) != Some(claim));
            claims.extend(changed.cloned());
        }
        claims
    }

    fn hold(&mut self, command: &HoldStock, now: DateTime<Utc>) -> Result<Answer, Refusal> {
        let kind = match command.terms {
            HoldTerms::Soft { .. } => HoldKind::Soft,
            HoldTerms::Hard => HoldKind::Hard,
        };
        let mut undo = Vec::with_capacity(command.lines.len());
        let mut short = Vec::new();
        let mut lines = Vec::with_capacity(command.lines.len());
        let mut amounts = Vec::with_capacity(command.lines.len());
        for (place, (key, requested)) in command.lines.iter().enumerate() {
            let level = self.levels.get_mut(key);
            let available = level.as_ref().map_or(0, |level| level.available());
            if available < *requested {
                short.push(ShortLine {
                    line: place,
                    sku: key.sku.clone(),
                    location: key.location.clone(),
                    requested: *requested,
                    available,
                });
            }
            let held = available.min(*requested);
            if let Some(level) = level {
                undo.push((key, *level));
                level.promise(kind, held);
            }
            amounts.push(held);
            lines.push(HoldLine { key: key.clone(), requested: *requested, available: available - held });
        }
        let all_or_nothing = !short.is_empty() && !command.allow_partial;
        let promise = match Hold::grant(command.terms, amounts, now) {
            Ok(promise) if !all_or_nothing => promise,
            _ => {
                self.restore(undo);
                return Err(Refusal::InsufficientStock { short });
            }
        };
        let hold = StockHold {
            hold_id: command.hold_id,
            granted_until: match command.terms {
                HoldTerms::Soft { expires_at } => Some(expires_at),
                HoldTerms::Hard => None,
            },
            promise,
            lines,
            channel: command.channel.clone(),
            reference: command.reference.clone(),
            fingerprint: command.fingerprint,
            created_at: now,
        };
        for (line, held) in hold.lines.iter().zip(hold.promise.granted()) {
            if *held > 0 {
                self.touched.insert(line.key.clone());
            }
        }
        self.granted.push(hold.hold_id);
        self.holds.insert(hold.hold_id, hold.clone());
        Ok(Answer::Hold(hold))
    }

    fn commit(&mut self, command: &CommitHold, now: DateTime<Utc>) -> Result<Answer, Refusal> {
        let mut hold = self.free(command.hold_id)?.clone();
        let resolution = hold.commit(command.lines.as_deref(), now)?;
        let cause = Cause {
            movement_id: command.hold_id.into(),
            reference: hold.reference.clone(),
            effective_at: command.effective_at,
        };
        self.take(hold, &resolution, &Account::Customer, "sale", &cause)
    }

    /// Moves what a resolved hold committed from the shelf to an account.
    fn take(
        &mut self,
        hold: StockHold,
        resolution: &Resolution,
        target: &Account,
        reason: &'static str,
        cause: &Cause,
    ) -> Result<Answer, Refusal> {
        if let Resolution::Resolved { committed, .. } = resolution {
            self.check_there(&hold, committed)?;
            for (place, (line, quantity)) in hold.lines.iter().zip(committed).enumerate() {
                if *quantity > 0 {
                    self.movements.push(Movement {
                        movement_id: cause.movement_id,
                        line: place,
                        sku: line.key.sku.clone(),
                        source: Account::Shelf(line.key.location.clone(), Bucket::Sellable),
                        target: target.clone(),
                        quantity: *quantity,
                        reason: reason.into(),
                        reference: cause.reference.clone(),
                        level_version: self.version_after(&line.key),
                        effective_at: cause.effective_at,
                    });
                }
            }
        }
        Ok(self.settle(hold, resolution))
    }

    /// A promise does not conjure goods: when a count found fewer than were promised, what is not there cannot leave.
    fn check_there(&self, hold: &StockHold, committed: &[i64]) -> Result<(), Refusal> {
        let mut left: HashMap<&LevelKey, i64> = HashMap::new();
        let mut short = Vec::new();
        for (place, (line, quantity)) in hold.lines.iter().zip(committed).enumerate() {
            let level = self.levels.get(&line.key).copied().unwrap_or_default();
            let left = left.entry(&line.key).or_insert(level.sellable);
            if *quantity > (*left).max(0) && !level.oversell_facts {
                short.push(ShortLine {
                    line: place,
                    sku: line.key.sku.clone(),
                    location: line.key.location.clone(),
                    requested: *quantity,
                    available: (*left).max(0),
                });
            }
            *left -= quantity;
        }
        if short.is_empty() { Ok(()) } else { Err(Refusal::InsufficientStock { short }) }
    }

    fn release(&mut self, hold_id: HoldId, now: DateTime<Utc>) -> Result<Answer, Refusal> {
        let mut hold = self.free(hold_id)?.clone();
        let resolution = hold.release(now)?;
        Ok(self.settle(hold, &resolution))
    }

    /// Takes a hard hold for a document.
    fn hold_for_document(
        &mut self,
        hold_id: HoldId,
        reference: String,
        lines: Vec<(LevelKey, i64)>,
        allow_partial: bool,
        now: DateTime<Utc>,
    ) -> Result<StockHold, Refusal> {
        let command = HoldStock {
            hold_id,
            terms: HoldTerms::Hard,
            channel: None,
            reference,
            fingerprint: OWNED,
            allow_partial,
            lines,
        };
        match self.hold(&command, now)? {
            Answer::Hold(hold) => Ok(hold),
            _ => Err(Refusal::HoldNotFound { hold_id }),
        }
    }

    /// Gives back what a document holds.
    fn release_for_document(&mut self, hold_id: HoldId, now: DateTime<Utc>) -> Result<(), Refusal> {
        let mut hold = self.existing(hold_id)?.clone();
        let resolution = hold.release(now)?;
        self.settle(hold, &resolution);
        Ok(())
    }

    /// Books all postings or none.
    fn book(&mut self, cause: &Cause, postings: &[Posting<'_>]) -> Result<(), Refusal> {
        let mut undo = Vec::with_capacity(postings.len());
        let mut outcome = Ok(());
        for (place, posting) in postings.iter().enumerate() {
            for (account, delta) in [(&posting.source, -posting.quantity), (&posting.target, posting.quantity)] {
                let Account::Shelf(location, bucket) = account else { continue };
                let key = LevelKey { sku: posting.sku.clone(), location: location.clone() };
                outcome = outcome.and_then(|()| {
                    let level = self
                        .levels
                        .get_mut(&key)
                        .ok_or_else(|| Refusal::LocationNotFound { location: location.clone() })?;
                    let before = *level;
                    level.shift(&key, place, *bucket, delta, Strength::Correction)?;
                    undo.push((key, before));
                    Ok(())
                });
            }
        }
        if let Err(refusal) = outcome {
            for (key, before) in undo.into_iter().rev() {
                self.levels.insert(key, before);
            }
            return Err(refusal);
        }
        for (place, posting) in postings.iter().enumerate() {
            let mut movement = Movement {
                movement_id: cause.movement_id,
                line: place,
                sku: posting.sku.clone(),
                source: posting.source.clone(),
                target: posting.target.clone(),
                quantity: posting.quantity,
                reason: posting.reason.into(),
                reference: cause.reference.clone(),
                level_version: 0,
                effective_at: cause.effective_at,
            };
            if let Some(key) = movement.level_key() {
                movement.level_version = self.version_after(&key);
                self.touched.insert(key);
            }
            self.movements.push(movement);
        }
        Ok(())
    }

    fn extend(&mut self, hold_id: HoldId, until: DateTime<Utc>, now: DateTime<Utc>) -> Result<Answer, Refusal> {
        let mut hold = self.free(hold_id)?.clone();
        hold.extend(until, now)?;
        self.changed_holds.insert(hold_id);
        self.holds.insert(hold_id, hold.clone());
        Ok(Answer::Hold(hold))
    }

    fn expire(&mut self, hold_id: HoldId, now: DateTime<Utc>) -> Result<Answer, Refusal> {
        let mut hold = self.existing(hold_id)?.clone();
        let resolution = hold.promise.expire(now);
        if resolution != Resolution::AlreadySo {
            self.events.push(Event::HoldExpired {
                hold_id,
                channel: hold.channel.clone(),
                reference: hold.reference.clone(),
                expired_at: hold.expires_at().unwrap_or(now),
            });
        }
        Ok(self.settle(hold, &resolution))
    }

    fn shift(&mut self, command: &MoveStock, now: DateTime<Utc>) -> Result<Answer, Refusal> {
        let mut undo = Vec::with_capacity(command.lines.len());
        let outcome = command.lines.iter().enumerate().try_for_each(|(place, line)| {
            let level = self
                .levels
                .get_mut(&line.key)
                .ok_or_else(|| Refusal::LocationNotFound { location: command.location.clone() })?;
            undo.push((&line.key, *level));
            level.shift(&line.key, place, line.bucket, line.delta, command.kind.strength())
        });
        if let Err(refusal) = outcome {
            self.restore(undo);
            return Err(refusal);
        }
        for (place, line) in command.lines.iter().enumerate() {
            let shelf = Account::Shelf(line.key.location.clone(), line.bucket);
            let other = command.kind.counterparty(line.delta);
            let (source, target) = if line.delta < 0 { (shelf, other) } else { (other, shelf) };
            self.movements.push(Movement {
                movement_id: command.movement_id,
                line: place,
                sku: line.key.sku.clone(),
                source,
                target,
                quantity: line.delta.abs(),
                reason: command.kind.reason().into(),
                reference: command.reference.clone(),
                level_version: self.version_after(&line.key),
                effective_at: command.effective_at,
            });
            self.touched.insert(line.key.clone());
        }
        if command.kind == MoveKind::Receipt {
            let mut hold_ids = command.hold_ids.iter();
            for line in command.lines.iter().filter(|line| line.bucket == Bucket::Sellable) {
                self.serve_claims(&line.key, line.delta, &mut hold_ids, now)?;
            }
        }
        Ok(Answer::Levels(self.levels_after(command.lines.iter().map(|line| &line.key)), now))
    }

    /// Touched levels as they will be once this group is written: each once, by key.
    fn levels_after<'a>(&self, keys: impl Iterator<Item = &'a LevelKey>) -> Vec<(LevelKey, Level)> {
        let keys: BTreeSet<&LevelKey> = keys.collect();
        keys.into_iter()
            .map(|key| {
                let mut level = self.levels[key];
                level.version += 1;
                (key.clone(), level)
            })
            .collect()
    }

    fn existing(&self, hold_id: HoldId) -> Result<&StockHold, Refusal> {
        self.holds.get(&hold_id).ok_or(Refusal::HoldNotFound { hold_id })
    }

    /// A hold that anybody may resolve who knows its id: no document's.
    fn free(&self, hold_id: HoldId) -> Result<&StockHold, Refusal> {
        let hold = self.existing(hold_id)?;
        if hold.is_owned() { Err(Refusal::HoldOwned { hold_id }) } else { Ok(hold) }
    }

    /// Puts levels back as they were before a refused command, last change first.
    fn restore(&mut self, undo: Vec<(&LevelKey, Level)>) {
        for (key, level) in undo.into_iter().rev() {
            self.levels.insert(key.clone(), level);
        }
    }

    /// Books a hold that was just resolved: its units leave the promise, the committed ones leave the shelf.
    fn settle(&mut self, hold: StockHold, resolution: &Resolution) -> Answer {
        if let Resolution::Resolved { committed, freed } = resolution {
            for ((line, taken), freed) in hold.lines.iter().zip(committed).zip(freed) {
                if let Some(level) = self.levels.get_mut(&line.key).filter(|_| taken + freed > 0) {
                    level.resolve(hold.kind(), taken + freed, *taken);
                    self.touched.insert(line.key.clone());
                }
            }
            self.changed_holds.insert(hold.hold_id);
            self.holds.insert(hold.hold_id, hold.clone());
        }
        Answer::Hold(hold)
    }
}

/// The documents that a group's commands changed.
#[derive(Debug, Default)]
struct ChangedDocuments {
    transfers: BTreeSet<TransferId>,
    /// With the lines that are new or other than before.
    counts: BTreeMap<CountId, BTreeSet<Sku>>,
    inbounds: BTreeSet<InboundId>,
    /// In the order of their commands.
    promises: Vec<PromiseId>,
}

/// What a group wrote: the input of the store.
#[derive(Debug)]
pub struct Changes {
    /// By key, with their new versions.
    pub levels: Vec<(LevelKey, Level)>,
    /// Holds granted in this group, in their state at its end.
    pub granted: Vec<StockHold>,
    /// Holds resolved or extended in this group, those granted in it included.
    pub changed: Vec<StockHold>,
    pub movements: Vec<Movement>,
    pub events: Vec<Event>,
    pub transfers: Vec<Transfer>,
    /// With the lines to write.
    pub counts: Vec<(Count, BTreeSet<Sku>)>,
    pub inbounds: Vec<Inbound>,
    pub promises: Vec<Promise>,
    /// Claims that are new or other than they were read.
    pub claims: Vec<Claim>,
    /// Holds that promises own from this group on.
    pub promise_holds: Vec<(PromiseId, HoldId)>,
}

impl Changes {
    pub fn is_empty(&self) -> bool {
        self.levels.is_empty()
            && self.granted.is_empty()
            && self.changed.is_empty()
            && self.movements.is_empty()
            && self.transfers.is_empty()
            && self.counts.is_empty()
            && self.inbounds.is_empty()
            && self.promises.is_empty()
            && self.claims.is_empty()
    }
}

#[cfg(test)]
mod document_tests;
#[cfg(test)]
mod tests;
