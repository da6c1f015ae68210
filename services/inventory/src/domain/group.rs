//! A group of commands, applied in turn to the levels and holds that the executor has locked.
//!
//! Each command is all or nothing: a refused one leaves no trace and does not disturb its neighbours. A level's version
//! rises by one per *group*, so everything that a group does to a level carries the same `version + 1`, and consumers see
//! one event per changed level.

pub mod bulk;
pub mod posting;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use oneshelf_values::{
    ChannelId, CountId, HoldId, HoldTerms, InboundId, LocationId, PartnerId, PromiseId, ShopperId, Sku, TransferId,
};
use uuid::Uuid;

use self::kits::Taken;
pub use self::lots::KnownLots;
pub use self::policies::{Line, Policies, PolicyChange, SetPolicies};
use super::{
    availability,
    caps::{Counter, Counters},
    consignment,
    count::Count,
    document::{Documents, HoldIds},
    error::{Refusal, ShortLine},
    event::{Event, Figures},
    future::{Claim, Future},
    hold::{StockHold, WantedUnits},
    inbound::Inbound,
    kit::{self, Kit, KitLevel},
    ledger::{Account, Movement},
    location::LocationState,
    lot::{LotLevel, LotNumber, LotUnits, Tracking, TrackingKind, Units},
    policy::{Asker, FenceOwner, RingFence, Rulebook, Rules, SkuPolicy, SkuTerms, StockPolicy},
    promise::Promise,
    sourcing::{Boards, NodeDay, SourceRequest},
    stock_level::{Bucket, Level, LevelKey, Strength},
    threshold::{Settled, Thresholds},
    transfer::Transfer,
};

mod counts;
mod holds;
mod inbounds;
mod kits;
mod lots;
mod moves;
mod network;
mod policies;
mod promises;
mod replace;
mod thresholds;
mod transfers;

pub use self::kits::MAX_PARTS;
pub use counts::{CountAct, CountCommand, NewCount};
pub use inbounds::{InboundAct, InboundCommand, NewInbound};
pub use moves::{MoveHold, Moved};
pub use promises::{NewPromise, PromiseAct, PromiseCommand};
pub use thresholds::ThresholdLine;
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
        /// As [`HoldStock::longest`].
        longest: TimeDelta,
    },
    /// Records that a soft hold's time is over; nothing happens if it is not, or if the hold is resolved.
    Expire {
        hold_id: HoldId,
    },
    Move(MoveStock),
    MoveHold(Box<MoveHold>),
    Transfer(Box<TransferCommand>),
    Count(Box<CountCommand>),
    Inbound(Box<InboundCommand>),
    Promise(Box<PromiseCommand>),
    /// Takes the state of their locations over into levels that have another copy.
    Follow {
        keys: Vec<LevelKey>,
    },
    /// Looks at the rules of levels again, of which somebody changed what no level is locked for.
    Reconsider {
        keys: Vec<LevelKey>,
    },
    SetPolicies(SetPolicies),
    /// Announces levels of which lots have gone past promising.
    TellShortDated {
        keys: Vec<LevelKey>,
    },
    /// Announces levels at which the time of ring-fences is over.
    ReleaseFences {
        keys: Vec<LevelKey>,
    },
}

impl Command {
    /// The SKUs and locations of its lines where kits stand for their components.
    pub fn may_name_kits(&self) -> impl Iterator<Item = (&Sku, &LocationId)> {
        let (held, moved): (&[(LevelKey, i64)], &[MoveLine]) = match self {
            Self::Hold(hold) => (&hold.lines, &[]),
            Self::Move(moved) if matches!(moved.kind, MoveKind::Return | MoveKind::Sale) => (&[], &moved.lines),
            _ => (&[], &[]),
        };
        held.iter().map(|(key, _)| key).chain(moved.iter().map(|line| &line.key)).map(|key| (&key.sku, &key.location))
    }
}

#[derive(Debug, Clone)]
pub struct HoldStock {
    pub hold_id: HoldId,
    pub terms: HoldTerms,
    pub channel: Option<ChannelId>,
    pub partner: Option<PartnerId>,
    pub shopper: Option<ShopperId>,
    /// A soft hold of the same shopper, which this one takes the place of.
    pub replaces: Option<HoldId>,
    /// How long units may stay held softly, extensions and replacements included.
    pub longest: TimeDelta,
    pub reference: String,
    pub fingerprint: [u8; 32],
    pub allow_partial: bool,
    /// These units were promised before: what is kept back for others does not count against them.
    pub owed: bool,
    pub lines: Vec<(LevelKey, i64)>,
    /// What is to be sourced besides: it needs a channel.
    pub sourcing: Option<Box<SourceRequest>>,
}

#[derive(Debug, Clone)]
pub struct CommitHold {
    pub hold_id: HoldId,
    /// `None`: everything. Else these; what is not named is released.
    pub lines: Option<Vec<WantedUnits>>,
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
    /// Of a tracked SKU: which units; they add up to `delta`.
    pub lots: Vec<LotUnits>,
}

impl MoveLine {
    /// Whether it brings what may be promised.
    pub fn brings_goods(&self) -> bool {
        self.bucket == Bucket::Sellable && self.delta > 0
    }
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
#[expect(clippy::large_enum_variant, reason = "nearly every answer is a hold")]
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
    Policies(Policies),
    Done,
}

/// Locked levels and holds, and what the group has done to them so far.
#[derive(Debug, Default)]
pub struct Shelf {
    levels: HashMap<LevelKey, Level>,
    holds: HashMap<HoldId, StockHold>,
    /// The states of locations that a command wants to follow.
    locations: HashMap<LocationId, LocationState>,
    /// Who holds how much softly, of SKUs with a cap.
    counters: Counters,
    whole: HashSet<Sku>,
    changed_counters: HashSet<Counter>,
    /// The rules of levels that have some, and of those that a command sets.
    rulebook: Rulebook,
    /// What channels are told of the group's SKUs.
    thresholds: Thresholds,
    touched: HashSet<LevelKey>,
    followed: HashSet<LevelKey>,
    /// Levels whose copies of their policy changed.
    ruled: HashSet<LevelKey>,
    stock_set: HashSet<LevelKey>,
    skus_set: HashSet<Sku>,
    /// Kits that were defined, and of these the SKUs that were none before.
    kits_set: HashSet<Sku>,
    new_kits: HashSet<Sku>,
    /// Kits to announce whatever became of their components.
    kits_again: HashSet<Sku>,
    /// SKUs to become kits, or to be tracked otherwise, that are in an open document.
    in_documents: HashSet<Sku>,
    tracking_set: HashSet<Sku>,
    known_lots: KnownLots,
    /// Lots that nobody knew, with their last days.
    new_lots: HashMap<(Sku, LotNumber), Option<NaiveDate>>,
    /// Fences that were set or used.
    changed_fences: HashSet<(LevelKey, FenceOwner)>,
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
    /// For network holds and moves of them: candidates, and the locked places of their days.
    boards: Option<Arc<Boards>>,
    days: HashMap<NodeDay, i32>,
    /// With the location's capacity where a place was taken.
    changed_days: BTreeMap<NodeDay, Option<i32>>,
    moved_holds: BTreeSet<HoldId>,
    moves: Vec<Moved>,
}

/// Units that move for a document.
struct Posting<'a> {
    /// Which line of the request says so, from 0.
    line: usize,
    sku: &'a Sku,
    source: Account,
    target: Account,
    units: Units,
    reason: &'static str,
}

/// How a document takes its units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Taking {
    /// All lines or none.
    Whole,
    /// What is there.
    Partly,
    /// All of what was promised before.
    Owed,
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

    /// With the locked states of the locations that [`Command::Follow`] names.
    #[must_use]
    pub fn following(self, locations: HashMap<LocationId, LocationState>) -> Self {
        Self { locations, ..self }
    }

    /// With the rules of levels that have some.
    #[must_use]
    pub fn ruled_by(self, rulebook: Rulebook) -> Self {
        Self { rulebook, ..self }
    }

    /// With the counters of SKUs that have a cap; all of them for SKUs whose policy may be set, which are written anew.
    #[must_use]
    pub fn counting(self, counters: Counters, whole: HashSet<Sku>) -> Self {
        Self { counters, whole, ..self }
    }

    /// With what cannot become a kit, or be tracked otherwise, as an open document names it.
    #[must_use]
    pub fn with_skus_in_documents(self, in_documents: HashSet<Sku>) -> Self {
        Self { in_documents, ..self }
    }

    /// With what network holds may be sourced from, and the locked days of their locations.
    #[must_use]
    pub fn sourced_from(self, boards: Arc<Boards>, days: HashMap<NodeDay, i32>) -> Self {
        Self { boards: Some(boards), days, ..self }
    }

    /// Applies one command, or refuses it and leaves everything as it was.
    pub fn apply(&mut self, command: &Command, now: DateTime<Utc>) -> Result<Answer, Refusal> {
        match command {
            Command::Hold(hold) => match hold.replaces {
                None => self.hold(hold, now, now),
                Some(replaced) => self.replace(hold, replaced, now),
            },
            Command::Commit(commit) => self.commit(commit, now),
            Command::Release { hold_id } => self.release(*hold_id, now),
            Command::Extend { hold_id, until, longest } => self.extend(*hold_id, *until, *longest, now),
            Command::Expire { hold_id } => self.expire(*hold_id, now),
            Command::Move(moved) => self.shift(moved, now),
            Command::MoveHold(command) => self.move_hold(command, now),
            Command::Transfer(command) => {
                self.refuse_kits(command.new_keys())?;
                self.transfer(command, now)
            }
            Command::Count(command) => {
                self.refuse_kits_and_tracked(command.level_keys(&self.documents))?;
                self.count(command, now)
            }
            Command::Inbound(command) => {
                self.refuse_kits(command.new_keys(&self.documents))?;
                self.inbound(command, now)
            }
            Command::Promise(command) => {
                self.refuse_kits_and_tracked(command.new_keys())?;
                self.promise(command, now)
            }
            Command::Follow { keys } => Ok(self.follow(keys)),
            Command::Reconsider { keys } => Ok(self.reconsider(keys)),
            Command::SetPolicies(set) => self.set_policies(set, now),
            Command::TellShortDated { keys } => Ok(self.tell_short_dated(keys, now)),
            Command::ReleaseFences { keys } => Ok(self.release_fences(keys, now)),
        }
    }

    /// The version that a touched level gets with this group.
    pub fn version_after(&self, key: &LevelKey) -> i64 {
        self.levels.get(key).map_or(1, |level| level.version + 1)
    }

    /// Everything to be written, once all commands are applied.
    pub fn finish(mut self, now: DateTime<Utc>) -> Changes {
        let mut events = std::mem::take(&mut self.events);
        let mut kit_levels = Vec::new();
        if !self.rulebook.kits.levels.is_empty() {
            let (rulebook, again) = (&self.rulebook, &self.kits_again);
            let (changed, told) = kit::announce(rulebook, &self.levels, &self.touched, again, now);
            kit_levels = changed;
            events.extend(told);
        }
        let mut touched: Vec<LevelKey> = self.touched.drain().collect();
        touched.sort_unstable();
        let mut levels = Vec::with_capacity(touched.len());
        let consigned = self.settle_consignments(&touched);
        events.extend(
            consigned.entries.iter().filter(|entry| entry.cause.settles()).cloned().map(Event::ConsignmentSettled),
        );
        for key in touched {
            let Some(mut level) = self.levels.get(&key).copied() else { continue };
            level.version += 1;
            // A level is made with the suspicion of rules; whoever looked and found none clears it.
            // A partner's goods that come in are a rule of their own.
            let consigned = self.rulebook.consignments.contains_key(&key);
            if (level.has_rules || consigned) && level.has_rules != self.rulebook.of(&key).matter() {
                level.has_rules = !level.has_rules;
                self.ruled.insert(key.clone());
            }
            // Of a kit there is more to say than its own empty level knows.
            if !level.kit {
                events.push(level_changed(&self.rulebook, &key, level, now));
            }
            levels.push((key, level));
        }
        let settled = std::mem::take(&mut self.thresholds).settle(&self.rulebook, &levels, now);
        events.extend(settled.crossings.iter().cloned().map(Event::StockCrossed));
        let among = |keys: &HashSet<LevelKey>, key: &LevelKey| !keys.is_empty() && keys.contains(key);
        let followed = levels
            .iter()
            .filter(|(key, _)| among(&self.followed, key))
            .map(|(key, level)| (key.clone(), level.location))
            .collect();
        let ruled = levels.iter().filter(|(key, _)| among(&self.ruled, key)).cloned().collect();
        let policies = levels
            .iter()
            .filter(|(key, _)| among(&self.stock_set, key))
            .filter_map(|(key, level)| Some((self.rulebook.policies.get(key)?.clone(), level.version)))
            .collect();
        let fences = self
            .changed_fences
            .iter()
            .filter_map(|(key, owner)| {
                self.rulebook.fences.get(key)?.iter().find(|fence| fence.owner == *owner).cloned()
            })
            .collect();
        let claims = self.changed_claims();
        let counters = self
            .changed_counters
            .iter()
            .filter(|(sku, _)| !self.whole.contains(sku))
            .map(|counter| (counter.clone(), self.counters.get(counter)))
            .collect();
        let capped = |sku: &&Sku| self.rulebook.sku_terms(sku).is_some_and(SkuTerms::is_capped);
        let recounted: Vec<(Counter, i64)> = self
            .whole
            .iter()
            .filter(capped)
            .flat_map(|sku| self.counters.of(sku))
            .map(|(counter, held)| (counter.clone(), held))
            .collect();
        let days = self.changed_days.iter().map(|(day, full)| (day.clone(), self.days[day], *full)).collect();
        let skus = self.skus_set.iter().filter_map(|sku| self.rulebook.skus.get(sku).cloned()).collect();
        let lots = self
            .rulebook
            .lots
            .iter()
            .flat_map(|(key, lots)| lots.iter().filter(|lot| lot.changed).map(move |lot| (key, lot)))
            .map(|(key, lot)| {
                let serial = self.rulebook.tracked(&key.sku).is_some_and(|terms| terms.kind == TrackingKind::Serial);
                (key.clone(), lot.clone(), serial)
            })
            .collect();
        let tracking = self.tracking_set.iter().filter_map(|sku| self.rulebook.tracking.get(sku).cloned()).collect();
        let new_lots = self.new_lots.into_iter().map(|((sku, lot), expires_on)| (sku, lot, expires_on)).collect();
        let kits =
            self.kits_set.iter().filter_map(|sku| self.rulebook.kits.get(sku)).map(|kit| Kit::clone(kit)).collect();
        let granted: HashSet<HoldId> = self.granted.iter().copied().collect();
        Changes {
            levels,
            followed,
            ruled,
            policies,
            skus,
            kits,
            new_kits: self.new_kits.into_iter().collect(),
            kit_levels,
            tracking,
            new_lots,
            lots,
            fences,
            settled,
            consigned,
            counters,
            recounted: (self.whole.into_iter().collect(), recounted),
            granted: granted.iter().map(|id| self.holds[id].clone()).collect(),
            changed: self.changed_holds.iter().map(|id| self.holds[id].clone()).collect(),
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
            days,
            moved: self.moved_holds.iter().map(|id| self.holds[id].clone()).collect(),
            moves: self.moves,
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

    /// Books all postings or none.
    fn book(&mut self, cause: &Cause, postings: &[Posting<'_>]) -> Result<(), Refusal> {
        let lots_before = self.lots_of(postings.iter().map(|posting| posting.sku));
        let mut undo = Vec::with_capacity(postings.len());
        if let Err(refusal) = postings.iter().try_for_each(|posting| self.book_one(posting, &mut undo)) {
            for (key, before) in undo.into_iter().rev() {
                self.levels.insert(key, before);
            }
            self.put_lots_back(lots_before);
            return Err(refusal);
        }
        for (place, posting) in postings.iter().enumerate() {
            let mut movement = Movement {
                movement_id: cause.movement_id,
                line: place,
                sku: posting.sku.clone(),
                source: posting.source.clone(),
                target: posting.target.clone(),
                quantity: posting.units.quantity,
                reason: posting.reason.into(),
                reference: cause.reference.clone(),
                level_version: 0,
                effective_at: cause.effective_at,
                lot: None,
            };
            if let Some(key) = movement.level_key() {
                movement.level_version = self.version_after(&key);
                self.touched.insert(key);
            }
            self.book_by_lot(movement, &posting.units.lots);
        }
        Ok(())
    }

    fn book_one(&mut self, posting: &Posting<'_>, undo: &mut Vec<(LevelKey, Level)>) -> Result<(), Refusal> {
        let Posting { line, sku, source, target, units, .. } = posting;
        self.check_named(*line, sku, &units.lots)?;
        if *source == Account::InTransit {
            self.note_transit(sku, &units.lots, None);
        }
        for (account, delta) in [(source, -units.quantity), (target, units.quantity)] {
            let Account::Shelf(location, bucket) = account else { continue };
            let key = LevelKey { sku: (*sku).clone(), location: location.clone() };
            let level =
                self.levels.get_mut(&key).ok_or_else(|| Refusal::LocationNotFound { location: location.clone() })?;
            undo.push((key.clone(), *level));
            level.shift(&key, *line, *bucket, delta, Strength::Correction)?;
            self.move_lots(&key, *bucket, delta, &units.lots)?;
        }
        Ok(())
    }

    fn shift(&mut self, command: &MoveStock, now: DateTime<Utc>) -> Result<Answer, Refusal> {
        let lines = self.parts_of(command)?;
        let lots_before = self.lots_of(lines.iter().map(|line| &line.key.sku));
        let mut undo = Vec::with_capacity(lines.len());
        let outcome = lines.iter().enumerate().try_for_each(|(place, line)| {
            let level = self
                .levels
                .get_mut(&line.key)
                .ok_or_else(|| Refusal::LocationNotFound { location: command.location.clone() })?;
            undo.push((&line.key, *level));
            level.shift(&line.key, place, line.bucket, line.delta, command.kind.strength())?;
            if !level.has_rules && line.lots.is_empty() {
                return Ok(());
            }
            self.check_named(place, &line.key.sku, &line.lots)?;
            self.move_lots(&line.key, line.bucket, line.delta, &line.lots)
        });
        if let Err(refusal) = outcome {
            self.restore(undo);
            self.put_lots_back(lots_before);
            return Err(refusal);
        }
        for (place, line) in lines.iter().enumerate() {
            let shelf = Account::Shelf(line.key.location.clone(), line.bucket);
            let other = command.kind.counterparty(line.delta);
            let (source, target) = if line.delta < 0 { (shelf, other) } else { (other, shelf) };
            let movement = Movement {
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
                lot: None,
            };
            self.book_by_lot(movement, &line.lots);
            self.touched.insert(line.key.clone());
        }
        let mut hold_ids = command.hold_ids.iter();
        for line in lines.iter().filter(|line| line.brings_goods()) {
            self.serve_claims(&line.key, line.delta, &mut hold_ids, now)?;
        }
        Ok(Answer::Levels(self.levels_after(lines.iter().map(|line| &line.key)), now))
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

    fn follow(&mut self, keys: &[LevelKey]) -> Answer {
        for key in keys {
            let (Some(level), Some(state)) = (self.levels.get_mut(key), self.locations.get(&key.location)) else {
                continue;
            };
            if level.location != *state {
                level.location = *state;
                self.touched.insert(key.clone());
                self.followed.insert(key.clone());
            }
        }
        Answer::Done
    }

    fn reconsider(&mut self, keys: &[LevelKey]) -> Answer {
        for key in keys {
            let matter = self.rulebook.of(key).matter();
            if self.levels.get(key).is_some_and(|level| level.has_rules != matter) {
                self.rule(key);
            }
        }
        Answer::Done
    }

    /// Books what the group's movements did to goods of partners.
    fn settle_consignments(&mut self, touched: &[LevelKey]) -> consignment::Settled {
        if self.rulebook.consignments.is_empty() {
            return consignment::Settled::default();
        }
        let levels: Vec<(LevelKey, Level)> =
            touched.iter().filter_map(|key| Some((key.clone(), *self.levels.get(key)?))).collect();
        let settled = consignment::settle(&mut self.rulebook.consignments, &self.movements, &levels);
        self.movements.extend(settled.movements.iter().cloned());
        settled
    }

    /// Puts levels back as they were before a refused command, last change first.
    fn restore(&mut self, undo: Vec<(&LevelKey, Level)>) {
        for (key, level) in undo.into_iter().rev() {
            self.levels.insert(key.clone(), level);
        }
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
    /// Those of them that took over their location's state, by key.
    pub followed: Vec<(LevelKey, LocationState)>,
    /// Those of them whose copies of their policy changed, by key.
    pub ruled: Vec<(LevelKey, Level)>,
    /// Policies that were set, and the version that their level gets with it.
    pub policies: Vec<(StockPolicy, i64)>,
    pub skus: Vec<SkuPolicy>,
    /// Definitions that were set.
    pub kits: Vec<Kit>,
    /// SKUs that became kits.
    pub new_kits: Vec<Sku>,
    /// What is announced of kits, by key.
    pub kit_levels: Vec<(LevelKey, KitLevel)>,
    pub tracking: Vec<Tracking>,
    /// Lots that nobody knew before.
    pub new_lots: Vec<(Sku, LotNumber, Option<NaiveDate>)>,
    /// What levels have of lots now, where it changed, and whether these are serial numbers.
    pub lots: Vec<(LevelKey, LotLevel, bool)>,
    /// Fences that were set or used.
    pub fences: Vec<RingFence>,
    /// Thresholds that were set or counted, and what is counted of levels in them.
    pub settled: Settled,
    /// What became of goods of partners; the changes of owner are among the movements.
    pub consigned: consignment::Settled,
    /// Counters that moved.
    pub counters: Vec<(Counter, i64)>,
    /// SKUs whose counters are all written anew, and what these are.
    pub recounted: (Vec<Sku>, Vec<(Counter, i64)>),
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
    /// Places taken of days, and the location's capacity where one was taken in this group.
    pub days: Vec<(NodeDay, i32, Option<i32>)>,
    /// Holds whose lines moved, in their state at the end.
    pub moved: Vec<StockHold>,
    pub moves: Vec<Moved>,
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
            && self.skus.is_empty()
            && self.settled.thresholds.is_empty()
            && self.kits.is_empty()
            && self.kit_levels.is_empty()
            && self.tracking.is_empty()
            && self.lots.is_empty()
    }
}

/// The rules of a level, where it may have some.
fn rules_of<'a>(rulebook: &'a Rulebook, key: &LevelKey, level: &Level) -> Rules<'a> {
    if level.has_rules { rulebook.of(key) } else { Rules::default() }
}

/// Announces a level as it is from now on.
pub fn level_changed(rulebook: &Rulebook, key: &LevelKey, level: Level, now: DateTime<Utc>) -> Event {
    let figures = figures(&level, rules_of(rulebook, key, &level), now);
    Event::LevelChanged { key: key.clone(), level, figures }
}

/// What consumers show of a level.
fn figures(level: &Level, rules: Rules<'_>, now: DateTime<Utc>) -> Figures {
    let available = availability::available(level, rules, Asker::default(), now);
    let channels = rules
        .channels()
        .into_iter()
        .map(|channel| {
            let asker = Asker { channel: Some(channel), partner: None };
            (channel.clone(), availability::available(level, rules, asker, now))
        })
        .filter(|(_, differing)| *differing != available)
        .collect();
    Figures { available, channels, network_threshold: rules.sku.map_or(0, |sku| sku.network_threshold) }
}

#[cfg(test)]
mod document_tests;
#[cfg(test)]
mod kit_tests;
#[cfg(test)]
mod lot_tests;
#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod network_tests;
#[cfg(test)]
mod tests;
