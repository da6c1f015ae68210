//! Held units go to another location: given back where they are and taken where they go, in one step.
//!
//! The hold keeps its id, kind and expiry; its lines say where the units are now. A line that moves whole gets its new
//! place, one that moves in part leaves the rest where it is and has a new line for what went. The time that units were held
//! at the old place stays in the books as a hold of its own, released at this moment, under the move's id. So whoever adds
//! up what was promised at a level, at any version of it, needs to know nothing of moves.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use oneshelf_values::{Hold, HoldId, HoldState, LocationId, hold::Standing};
use uuid::Uuid;

use super::{
    super::{
        availability,
        error::{Refusal, ShortLine},
        event::Event,
        hold::{GrantedLine, HoldKind, HoldLine, OWNED, StockHold},
        sourcing::NodeDay,
        stock_level::{Level, LevelKey},
    },
    Answer, Shelf, rules_of,
};

/// Lines of a hold at most, after all moves.
const MAX_LINES: usize = 2_000;

#[derive(Debug, Clone)]
pub struct MoveHold {
    /// The id under which the old places stay in the books.
    pub move_id: Uuid,
    pub hold_id: HoldId,
    /// From, to, units.
    pub moves: Vec<(LevelKey, LocationId, i64)>,
    pub by: String,
}

/// Units that were moved: a row of the history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    pub move_id: Uuid,
    pub line: usize,
    pub hold_id: HoldId,
    pub from: LevelKey,
    pub to: LocationId,
    pub units: i64,
    pub by: String,
}

/// What of a line goes where.
struct Leg {
    line: usize,
    move_line: usize,
    to: LevelKey,
    units: i64,
}

/// Places of days, by what becomes of them.
#[derive(Default)]
struct MovedDays {
    /// All that the hold has after the move.
    days: Vec<NodeDay>,
    freed: Vec<NodeDay>,
    /// With the location's capacity.
    taken: Vec<(NodeDay, i32)>,
}

impl Shelf {
    pub(super) fn move_hold(&mut self, command: &MoveHold, now: DateTime<Utc>) -> Result<Answer, Refusal> {
        let old = self.free(command.hold_id)?.clone();
        match old.promise.standing(now) {
            Standing::Held => {}
            Standing::Expired => {
                let expired_at = old.expires_at().unwrap_or(now);
                return Err(Refusal::HoldExpired { hold_id: old.hold_id, expired_at });
            }
            state => return Err(Refusal::HoldResolved { hold_id: old.hold_id, state: state.as_str() }),
        }
        let legs = legs(&old, command)?;
        self.refuse_bound(&old)?;
        let kind = old.kind();
        let mut undo: Vec<(LevelKey, Level)> = Vec::new();
        for leg in &legs {
            self.alter(&old.lines[leg.line].key, &mut undo, |level| level.resolve(kind, leg.units, 0));
        }
        let taken = self.take_legs(&old, kind, &legs, &mut undo, now);
        let taken = taken.and_then(|left| Ok((left, self.moved_days(&old, &legs, now)?)));
        let (left, MovedDays { days, freed, taken }) = match taken {
            Ok(taken) => taken,
            Err(refusal) => {
                for (key, before) in undo.into_iter().rev() {
                    self.levels.insert(key, before);
                }
                return Err(refusal);
            }
        };
        let mut hold = self.moved(&old, &legs, &left);
        if hold.lines.len() > MAX_LINES {
            for (key, before) in undo.into_iter().rev() {
                self.levels.insert(key, before);
            }
            return Err(Refusal::TooLarge { limit: MAX_LINES as i64 });
        }
        for day in &freed {
            self.give_day_back(day);
        }
        for (day, capacity) in taken {
            self.take_day(day, capacity);
        }
        if let Some(sourced) = &mut hold.sourced {
            sourced.days = days;
        }
        self.keep_history(&old, &legs, command, now);
        for leg in &legs {
            let from = &old.lines[leg.line];
            self.count_fences(old.asker(), from, -leg.units);
            self.touched.extend([from.key.clone(), leg.to.clone()]);
            let to = HoldLine {
                key: leg.to.clone(),
                granted_version: self.version_after(&leg.to),
                requested: leg.units,
                available: 0,
                part_of: None,
                lots: Vec::new(),
            };
            self.count_fences(old.asker(), &to, leg.units);
        }
        // A cart asks where its units are when it is paid; an order has to hear of it.
        if kind == HoldKind::Hard {
            self.events.push(Event::HoldMoved { hold: Box::new(hold.clone()) });
        }
        self.changed_holds.insert(hold.hold_id);
        self.moved_holds.insert(hold.hold_id);
        self.holds.insert(hold.hold_id, hold.clone());
        Ok(Answer::Hold(hold))
    }

    /// Parts of a kit stay together, and lots and serial numbers where they are: holds that have some do not move.
    fn refuse_bound(&self, old: &StockHold) -> Result<(), Refusal> {
        if let Some(kit) = old.kits.first() {
            return Err(Refusal::SkuIsKit { sku: kit.key.sku.clone() });
        }
        old.lines.iter().try_for_each(|line| self.refuse_tracked(&line.key.sku))
    }

    fn alter(&mut self, key: &LevelKey, undo: &mut Vec<(LevelKey, Level)>, change: impl FnOnce(&mut Level)) {
        if let Some(level) = self.levels.get_mut(key) {
            undo.push((key.clone(), *level));
            change(level);
        }
    }

    /// Takes units where they go; answers what is left there after each.
    fn take_legs(
        &mut self,
        old: &StockHold,
        kind: HoldKind,
        legs: &[Leg],
        undo: &mut Vec<(LevelKey, Level)>,
        now: DateTime<Utc>,
    ) -> Result<Vec<i64>, Refusal> {
        let (mut short, mut left) = (Vec::new(), Vec::with_capacity(legs.len()));
        for leg in legs {
            let available = self.levels.get(&leg.to).map_or(0, |level| {
                availability::available(level, rules_of(&self.rulebook, &leg.to, level), old.asker(), now)
            });
            if available < leg.units {
                short.push(ShortLine {
                    line: leg.move_line,
                    sku: leg.to.sku.clone(),
                    location: leg.to.location.clone(),
                    requested: leg.units,
                    available,
                });
            }
            self.alter(&leg.to, undo, |level| level.promise(kind, leg.units));
            left.push((available - leg.units).max(0));
        }
        if short.is_empty() { Ok(left) } else { Err(Refusal::InsufficientStock { short }) }
    }

    /// What a move means for the days of a sourced hold.
    fn moved_days(&self, old: &StockHold, legs: &[Leg], now: DateTime<Utc>) -> Result<MovedDays, Refusal> {
        let Some(sourced) = &old.sourced else { return Ok(MovedDays::default()) };
        let mut held: BTreeMap<&LocationId, i64> = BTreeMap::new();
        for (line, units) in old.lines.iter().zip(old.promise.granted()) {
            *held.entry(&line.key.location).or_default() += units;
        }
        for leg in legs {
            *held.entry(&old.lines[leg.line].key.location).or_default() -= leg.units;
            *held.entry(&leg.to.location).or_default() += leg.units;
        }
        let stays = |day: &&NodeDay| held.get(&day.0).is_some_and(|units| *units > 0);
        let (mut days, freed): (Vec<NodeDay>, Vec<NodeDay>) = sourced.days.iter().cloned().partition(|day| stays(&day));
        let mut taken = Vec::new();
        let new = held.iter().filter(|(location, units)| **units > 0 && !days.iter().any(|day| day.0 == ***location));
        for (location, _) in new.collect::<Vec<_>>() {
            let was_there = old.lines.iter().any(|line| line.key.location == **location);
            let node = self.boards.as_deref().and_then(|boards| boards.targets.get(*location));
            // Where it had units without a place, the location had no bound when they were taken.
            let Some((node, capacity)) = node.filter(|_| !was_there).and_then(|node| Some((node, node.capacity?)))
            else {
                continue;
            };
            let day = (node.location.clone(), node.day(now));
            if self.days.get(&day).is_none_or(|taken| *taken >= capacity) {
                return Err(Refusal::NodeFull { location: day.0, day: day.1, capacity });
            }
            taken.push((day, capacity));
        }
        days.extend(taken.iter().map(|(day, _)| day.clone()));
        days.sort();
        Ok(MovedDays { days, freed, taken })
    }

    /// The hold with its lines as they are after the move.
    fn moved(&self, old: &StockHold, legs: &[Leg], left: &[i64]) -> StockHold {
        let mut lines = old.lines.clone();
        let mut granted = old.promise.granted().to_vec();
        for leg in legs {
            granted[leg.line] -= leg.units;
            lines[leg.line].requested -= leg.units;
        }
        let mut replaced = vec![false; lines.len()];
        for (leg, left) in legs.iter().zip(left) {
            let mut line = HoldLine {
                key: leg.to.clone(),
                requested: leg.units,
                available: *left,
                granted_version: self.version_after(&leg.to),
                part_of: None,
                lots: Vec::new(),
            };
            // The first leg of a line that goes whole takes its place: no line is left with nothing. What was asked for
            // and not granted stays asked for.
            if granted[leg.line] == 0 && !replaced[leg.line] {
                replaced[leg.line] = true;
                line.requested += lines[leg.line].requested;
                lines[leg.line] = line;
                granted[leg.line] = leg.units;
            } else {
                lines.push(line);
                granted.push(leg.units);
            }
        }
        let first = || {
            let amounts = old.promise.granted().iter();
            old.lines.iter().zip(amounts).map(|(line, held)| GrantedLine { line: line.clone(), held: *held }).collect()
        };
        let promise = Hold::restore(old.promise.terms(), granted, old.promise.state().clone());
        StockHold {
            // The units are the same, so it is as sound as it was.
            promise: promise.unwrap_or_else(|_| old.promise.clone()),
            lines,
            first_lines: Some(old.first_lines.clone().unwrap_or_else(first)),
            moves: old.moves + 1,
            ..old.clone()
        }
    }

    /// Writes down what was held at the old places, until now.
    fn keep_history(&mut self, old: &StockHold, legs: &[Leg], command: &MoveHold, now: DateTime<Utc>) {
        let move_id = HoldId::from(command.move_id);
        let units: Vec<i64> = legs.iter().map(|leg| leg.units).collect();
        let Ok(promise) = Hold::restore(old.promise.terms(), units, HoldState::Released { at: now }) else { return };
        let past = StockHold {
            hold_id: move_id,
            promise,
            lines: legs.iter().map(|leg| HoldLine { requested: leg.units, ..old.lines[leg.line].clone() }).collect(),
            granted_until: old.expires_at(),
            fingerprint: OWNED,
            kits: Vec::new(),
            sourced: None,
            first_lines: None,
            moves: 0,
            ..old.clone()
        };
        self.granted.push(move_id);
        self.changed_holds.insert(move_id);
        self.holds.insert(move_id, past);
        self.moves.extend(legs.iter().enumerate().map(|(line, leg)| Moved {
            move_id: command.move_id,
            line,
            hold_id: old.hold_id,
            from: old.lines[leg.line].key.clone(),
            to: leg.to.location.clone(),
            units: leg.units,
            by: command.by.clone(),
        }));
    }
}

/// Spreads what is to move over the lines, first lines first: a hold may name a key twice.
fn legs(hold: &StockHold, command: &MoveHold) -> Result<Vec<Leg>, Refusal> {
    let mut free = hold.promise.granted().to_vec();
    let mut legs = Vec::new();
    for (move_line, (from, to, wanted)) in command.moves.iter().enumerate() {
        let mut left = *wanted;
        for (line, _) in hold.lines.iter().enumerate().filter(|(_, line)| line.key == *from) {
            let units = free[line].min(left);
            if units > 0 {
                free[line] -= units;
                left -= units;
                let to = LevelKey { sku: from.sku.clone(), location: to.clone() };
                legs.push(Leg { line, move_line, to, units });
            }
        }
        if left > 0 {
            return Err(Refusal::MoveExceedsHold { line: move_line, held: wanted - left, requested: *wanted });
        }
    }
    Ok(legs)
}
