//! A group of commands, applied in turn to the levels and holds that the executor has locked.
//!
//! Each command is all or nothing: a refused one leaves no trace and does not disturb its neighbours. A level's version
//! rises by one per *group*, so everything that a group does to a level carries the same `version + 1`, and consumers see
//! one event per changed level.

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::{DateTime, Utc};
use oneshelf_values::{ChannelId, Hold, HoldId, HoldTerms, LocationId, hold::Resolution};
use uuid::Uuid;

use super::{
    error::{Refusal, ShortLine},
    event::Event,
    hold::{HoldKind, HoldLine, StockHold},
    ledger::{Account, Movement},
    location::LocationState,
    stock_level::{Bucket, Level, LevelKey, Strength},
};

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
    /// Takes the state of their locations over into levels that have another copy.
    Follow {
        keys: Vec<LevelKey>,
    },
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
    Done,
}

/// Locked levels and holds, and what the group has done to them so far.
#[derive(Debug, Default)]
pub struct Shelf {
    levels: HashMap<LevelKey, Level>,
    holds: HashMap<HoldId, StockHold>,
    /// The states of locations that a command wants to follow.
    locations: HashMap<LocationId, LocationState>,
    touched: HashSet<LevelKey>,
    followed: HashSet<LevelKey>,
    granted: Vec<HoldId>,
    changed_holds: HashSet<HoldId>,
    movements: Vec<Movement>,
    events: Vec<Event>,
}

impl Shelf {
    pub fn new(levels: HashMap<LevelKey, Level>, holds: HashMap<HoldId, StockHold>) -> Self {
        Self { levels, holds, ..Self::default() }
    }

    /// With the locked states of the locations that [`Command::Follow`] names.
    #[must_use]
    pub fn following(self, locations: HashMap<LocationId, LocationState>) -> Self {
        Self { locations, ..self }
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
            Command::Follow { keys } => Ok(self.follow(keys)),
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
        let mut events = self.events;
        events.extend(levels.iter().map(|(key, level)| Event::LevelChanged { key: key.clone(), level: *level }));
        let granted: HashSet<HoldId> = self.granted.iter().copied().collect();
        let changed = self.changed_holds.iter().map(|id| self.holds[id].clone()).collect();
        let mut followed: Vec<(LevelKey, LocationState)> =
            self.followed.drain().map(|key| (key.clone(), self.levels[&key].location)).collect();
        followed.sort_by(|a, b| a.0.cmp(&b.0));
        Changes {
            levels,
            followed,
            granted: granted.iter().map(|id| self.holds[id].clone()).collect(),
            changed,
            movements: self.movements,
            events,
        }
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
        let mut hold = self.existing(command.hold_id)?.clone();
        let resolution = hold.commit(command.lines.as_deref(), now)?;
        if let Resolution::Resolved { committed, .. } = &resolution {
            self.check_there(&hold, committed)?;
            for (place, (line, quantity)) in hold.lines.iter().zip(committed).enumerate() {
                if *quantity > 0 {
                    self.movements.push(Movement {
                        movement_id: Uuid::from(command.hold_id),
                        line: place,
                        sku: line.key.sku.clone(),
                        source: Account::Shelf(line.key.location.clone(), Bucket::Sellable),
                        target: Account::Customer,
                        quantity: *quantity,
                        reason: "sale",
                        reference: hold.reference.clone(),
                        level_version: self.version_after(&line.key),
                        effective_at: command.effective_at,
                    });
                }
            }
        }
        Ok(self.settle(hold, &resolution))
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
        let mut hold = self.existing(hold_id)?.clone();
        let resolution = hold.release(now)?;
        Ok(self.settle(hold, &resolution))
    }

    fn extend(&mut self, hold_id: HoldId, until: DateTime<Utc>, now: DateTime<Utc>) -> Result<Answer, Refusal> {
        let mut hold = self.existing(hold_id)?.clone();
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
                reason: command.kind.reason(),
                reference: command.reference.clone(),
                level_version: self.version_after(&line.key),
                effective_at: command.effective_at,
            });
            self.touched.insert(line.key.clone());
        }
        let levels: BTreeMap<LevelKey, Level> = command
            .lines
            .iter()
            .map(|line| {
                let mut level = self.levels[&line.key];
                level.version += 1;
                (line.key.clone(), level)
            })
            .collect();
        Ok(Answer::Levels(levels.into_iter().collect(), now))
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

    fn existing(&self, hold_id: HoldId) -> Result<&StockHold, Refusal> {
        self.holds.get(&hold_id).ok_or(Refusal::HoldNotFound { hold_id })
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

/// What a group wrote: the input of the store.
#[derive(Debug)]
pub struct Changes {
    /// By key, with their new versions.
    pub levels: Vec<(LevelKey, Level)>,
    /// Those of them that took over their location's state, by key.
    pub followed: Vec<(LevelKey, LocationState)>,
    /// Holds granted in this group, in their state at its end.
    pub granted: Vec<StockHold>,
    /// Holds resolved or extended in this group, those granted in it included.
    pub changed: Vec<StockHold>,
    pub movements: Vec<Movement>,
    pub events: Vec<Event>,
}

impl Changes {
    pub fn is_empty(&self) -> bool {
        self.levels.is_empty() && self.granted.is_empty() && self.changed.is_empty()
    }
}

#[cfg(test)]
mod tests;
