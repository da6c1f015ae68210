//! Holds: granted, committed, released, extended, expired; a caller's, and those that a document takes.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
};

use chrono::{DateTime, TimeDelta, Utc};
use oneshelf_values::{Hold, HoldId, HoldTerms, hold::Resolution};

use super::{
    super::{
        availability, caps,
        error::{Refusal, ShortLine},
        event::Event,
        hold::{HoldKind, HoldLine, KitPart, OWNED, StockHold},
        ledger::{Account, Movement},
        lot::{self, Units},
        policy::Asker,
        stock_level::{Bucket, LevelKey},
    },
    Answer, Cause, CommitHold, HoldStock, Shelf, Taking,
    kits::Taken,
    rules_of,
};

impl Shelf {
    /// `since` is when the units began to be held softly.
    pub(super) fn hold(
        &mut self,
        command: &HoldStock,
        since: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<Answer, Refusal> {
        let kind = HoldKind::of(&command.terms);
        let latest = since + command.longest;
        if matches!(command.terms, HoldTerms::Soft { expires_at } if expires_at > latest) {
            return Err(Refusal::HoldLifeExceeded { hold_id: command.hold_id, latest });
        }
        let network = command.sourcing.as_deref().map(|request| self.source(command, request, now)).transpose()?;
        let (asked, sourced) = match network {
            None => (Cow::Borrowed(command.lines.as_slice()), None),
            Some(network) => (Cow::Owned(network.lines), Some(Box::new(network.sourced))),
        };
        let mut taken = Taken::with_capacity(asked.len());
        for (place, (key, requested)) in asked.iter().enumerate() {
            let Some(kit) = self.rulebook.kits.get(&key.sku).cloned() else {
                let available = self.available_to(command, key, now);
                taken.judge(place, key, *requested, available);
                let amounts = (*requested, available.min(*requested));
                self.take_line(&mut taken, key.clone(), kind, amounts, available, None);
                self.give_lots(&mut taken, now);
                continue;
            };
            if let Err(refusal) = self.take_kit(&mut taken, place, &kit, command, kind, now) {
                self.give_lines_back(&taken);
                return Err(refusal);
            }
        }
        let counted = match kind {
            HoldKind::Soft => {
                let units = taken.lines.iter().map(|line| &line.key.sku).zip(taken.amounts.iter().copied());
                caps::capped(units, |sku| self.rulebook.sku_terms(sku))
            }
            HoldKind::Hard => BTreeMap::new(),
        };
        let holders = if counted.is_empty() {
            Vec::new()
        } else {
            caps::holders(command.shopper.as_ref(), command.channel.as_ref())
        };
        let within = counted.iter().try_for_each(|(sku, units)| match self.rulebook.sku_terms(sku) {
            Some(terms) => caps::check(&self.counters, &holders, sku, *units, terms),
            None => Ok(()),
        });
        if let Err(refusal) = within {
            self.give_lines_back(&taken);
            return Err(refusal);
        }
        let all_or_nothing = !taken.short.is_empty() && !command.allow_partial;
        let promise = match Hold::grant(command.terms, std::mem::take(&mut taken.amounts), now) {
            Ok(promise) if !all_or_nothing => promise,
            _ => {
                self.give_lines_back(&taken);
                return Err(Refusal::InsufficientStock { short: taken.short });
            }
        };
        let hold = StockHold {
            hold_id: command.hold_id,
            granted_until: match command.terms {
                HoldTerms::Soft { expires_at } => Some(expires_at),
                HoldTerms::Hard => None,
            },
            promise,
            lines: taken.lines,
            kits: taken.kits,
            channel: command.channel.clone(),
            partner: command.partner.clone(),
            shopper: command.shopper.clone(),
            since,
            reference: command.reference.clone(),
            fingerprint: command.fingerprint,
            created_at: now,
            sourced,
            first_lines: None,
            moves: 0,
        };
        if let Some(sourced) = &hold.sourced {
            self.take_days(command, &sourced.days);
        }
        for (line, held) in hold.lines.iter().zip(hold.promise.granted()) {
            if *held > 0 {
                self.touched.insert(line.key.clone());
                self.count_fences(hold.asker(), line, *held);
            }
        }
        self.changed_counters.extend(self.counters.count(&holders, &counted, 1));
        self.granted.push(hold.hold_id);
        self.holds.insert(hold.hold_id, hold.clone());
        Ok(Answer::Hold(hold))
    }

    /// What a hold may take of a level.
    pub(super) fn available_to(&self, command: &HoldStock, key: &LevelKey, now: DateTime<Utc>) -> i64 {
        let asker = Asker { channel: command.channel.as_ref(), partner: command.partner.as_ref() };
        self.levels.get(key).map_or(0, |level| {
            if command.owed {
                (level.free() + level.backorder_limit).max(0)
            } else {
                availability::available(level, rules_of(&self.rulebook, key, level), asker, now)
            }
        })
    }

    /// Takes one line of a hold: `amounts` are what was asked and what is granted of what is `available`.
    pub(super) fn take_line(
        &mut self,
        taken: &mut Taken,
        key: LevelKey,
        kind: HoldKind,
        amounts: (i64, i64),
        available: i64,
        part_of: Option<KitPart>,
    ) {
        let (requested, held) = amounts;
        let granted_version = self.version_after(&key);
        let level = self.levels.get_mut(&key);
        taken.before.push(level.as_deref().copied());
        if let Some(level) = level {
            level.promise(kind, held);
        }
        taken.amounts.push(held);
        taken.lines.push(HoldLine {
            key,
            requested,
            available: available - held,
            granted_version,
            part_of,
            lots: Vec::new(),
        });
    }

    /// Puts levels back as they were before a refused hold, last change first.
    pub(super) fn give_lines_back(&mut self, taken: &Taken) {
        for (line, before) in taken.lines.iter().zip(&taken.before).rev() {
            if let Some(before) = before {
                self.levels.insert(line.key.clone(), *before);
            }
        }
        for (key, lots) in taken.lots_before.iter().rev() {
            self.rulebook.lots.insert(key.clone(), lots.clone());
        }
    }

    pub(super) fn commit(&mut self, command: &CommitHold, now: DateTime<Utc>) -> Result<Answer, Refusal> {
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
    pub(super) fn take(
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
                    let movement = Movement {
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
                        lot: None,
                    };
                    self.book_by_lot(movement, &Units::of_lots(&lot::first_units(&line.lots, *quantity)).lots);
                }
            }
        }
        Ok(self.settle(hold, resolution))
    }

    /// A promise does not conjure goods: when a count found fewer than were promised, what is not there cannot leave.
    pub(super) fn check_there(&self, hold: &StockHold, committed: &[i64]) -> Result<(), Refusal> {
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

    pub(super) fn release(&mut self, hold_id: HoldId, now: DateTime<Utc>) -> Result<Answer, Refusal> {
        let mut hold = self.free(hold_id)?.clone();
        let resolution = hold.release(now)?;
        Ok(self.settle(hold, &resolution))
    }

    /// Takes a hard hold for a document.
    pub(super) fn hold_for_document(
        &mut self,
        hold_id: HoldId,
        reference: String,
        lines: Vec<(LevelKey, i64)>,
        how: Taking,
        now: DateTime<Utc>,
    ) -> Result<StockHold, Refusal> {
        let command = HoldStock {
            hold_id,
            terms: HoldTerms::Hard,
            channel: None,
            partner: None,
            shopper: None,
            replaces: None,
            longest: TimeDelta::zero(),
            reference,
            fingerprint: OWNED,
            allow_partial: how == Taking::Partly,
            owed: how == Taking::Owed,
            lines,
            sourcing: None,
        };
        match self.hold(&command, now, now)? {
            Answer::Hold(hold) => Ok(hold),
            _ => Err(Refusal::HoldNotFound { hold_id }),
        }
    }

    /// Gives back what a document holds; answers what is free by that.
    pub(super) fn release_for_document(
        &mut self,
        hold_id: HoldId,
        now: DateTime<Utc>,
    ) -> Result<Vec<(LevelKey, i64)>, Refusal> {
        let mut hold = self.existing(hold_id)?.clone();
        let resolution = hold.release(now)?;
        let freed = match &resolution {
            Resolution::Resolved { freed, .. } => {
                hold.lines.iter().zip(freed).map(|(line, units)| (line.key.clone(), *units)).collect()
            }
            Resolution::AlreadySo => Vec::new(),
        };
        self.settle(hold, &resolution);
        Ok(freed)
    }

    pub(super) fn extend(
        &mut self,
        hold_id: HoldId,
        until: DateTime<Utc>,
        longest: TimeDelta,
        now: DateTime<Utc>,
    ) -> Result<Answer, Refusal> {
        let mut hold = self.free(hold_id)?.clone();
        hold.extend(until, now)?;
        let latest = hold.since + longest;
        if until > latest {
            return Err(Refusal::HoldLifeExceeded { hold_id, latest });
        }
        self.changed_holds.insert(hold_id);
        self.holds.insert(hold_id, hold.clone());
        Ok(Answer::Hold(hold))
    }

    pub(super) fn expire(&mut self, hold_id: HoldId, now: DateTime<Utc>) -> Result<Answer, Refusal> {
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

    pub(super) fn existing(&self, hold_id: HoldId) -> Result<&StockHold, Refusal> {
        self.holds.get(&hold_id).ok_or(Refusal::HoldNotFound { hold_id })
    }

    /// A hold that anybody may resolve who knows its id: no document's.
    pub(super) fn free(&self, hold_id: HoldId) -> Result<&StockHold, Refusal> {
        let hold = self.existing(hold_id)?;
        if hold.is_owned() { Err(Refusal::HoldOwned { hold_id }) } else { Ok(hold) }
    }

    pub(super) fn count_fences(&mut self, asker: Asker<'_>, line: &HoldLine, units: i64) {
        let counted = self.rulebook.count_fences(asker, &line.key, line.granted_version, units);
        self.changed_fences.extend(counted.into_iter().map(|owner| (line.key.clone(), owner)));
    }

    /// Books a hold that was just resolved: its units leave the promise, the committed ones leave the shelf.
    pub(super) fn settle(&mut self, hold: StockHold, resolution: &Resolution) -> Answer {
        if let Resolution::Resolved { committed, freed } = resolution {
            for ((line, taken), freed) in hold.lines.iter().zip(committed).zip(freed) {
                if let Some(level) = self.levels.get_mut(&line.key).filter(|_| taken + freed > 0) {
                    level.resolve(hold.kind(), taken + freed, *taken);
                    self.touched.insert(line.key.clone());
                    self.count_fences(hold.asker(), line, -*freed);
                    self.resolve_lots(line, *taken);
                }
            }
            self.settle_days(&hold, committed);
            let counted = caps::counted(&hold, |sku| self.rulebook.sku_terms(sku));
            if !counted.is_empty() {
                let holders = caps::holders(hold.shopper.as_ref(), hold.channel.as_ref());
                self.changed_counters.extend(self.counters.count(&holders, &counted, -1));
            }
            self.changed_holds.insert(hold.hold_id);
            self.holds.insert(hold.hold_id, hold.clone());
        }
        Answer::Hold(hold)
    }
}
