//! Kits on the shelf: defined under the locks of all levels of their components, held and booked as these.

use std::{borrow::Cow, sync::Arc};

use chrono::{DateTime, Utc};
use oneshelf_values::Sku;

use super::{
    super::{
        error::{Refusal, ShortLine},
        hold::{HoldKind, HoldLine, KitLine, KitPart},
        kit::{self, Components, Kit, MAX_KITS_OF},
        lot::Lots,
        policy::{Asker, Audit, StockTerms},
        stock_level::{Level, LevelKey},
    },
    HoldStock, Line, MoveKind, MoveLine, MoveStock, Shelf,
};

/// Lines of a hold or of a movement, kits counted by their components.
pub const MAX_PARTS: usize = 2_000;

/// What a hold has taken so far, line by line.
#[derive(Default)]
pub(super) struct Taken {
    pub lines: Vec<HoldLine>,
    pub kits: Vec<KitLine>,
    pub amounts: Vec<i64>,
    pub short: Vec<ShortLine>,
    /// The line's level as it was before, if there is one.
    pub before: Vec<Option<Level>>,
    /// Of lines of tracked SKUs: what their levels were made of before.
    pub lots_before: Vec<(LevelKey, Lots)>,
}

impl Taken {
    pub fn with_capacity(lines: usize) -> Self {
        Self {
            lines: Vec::with_capacity(lines),
            amounts: Vec::with_capacity(lines),
            before: Vec::with_capacity(lines),
            ..Self::default()
        }
    }

    pub fn judge(&mut self, line: usize, key: &LevelKey, requested: i64, available: i64) {
        if available < requested {
            let (sku, location) = (key.sku.clone(), key.location.clone());
            self.short.push(ShortLine { line, sku, location, requested, available });
        }
    }
}

impl Shelf {
    /// Takes as many whole kits as there are, as lines of their components.
    pub(super) fn take_kit(
        &mut self,
        taken: &mut Taken,
        place: usize,
        kit: &Kit,
        command: &HoldStock,
        kind: HoldKind,
        now: DateTime<Utc>,
    ) -> Result<(), Refusal> {
        let (key, requested) = &command.lines[place];
        if taken.lines.len() + kit.components.len() > MAX_PARTS {
            return Err(Refusal::TooLarge { limit: MAX_PARTS as i64 });
        }
        let part = |component: &Sku| LevelKey { sku: component.clone(), location: key.location.clone() };
        let asker = Asker { channel: command.channel.as_ref(), partner: command.partner.as_ref() };
        let available = if kit::excluded(self.rulebook.sku_terms(&kit.sku), asker) {
            0
        } else {
            kit.least(|component| self.available_to(command, &part(component), now))
        };
        taken.judge(place, key, *requested, available);
        let held = available.min(*requested);
        let line = KitLine {
            key: key.clone(),
            version: kit.audit.version,
            requested: *requested,
            available: available - held,
        };
        taken.kits.push(line);
        for (component, units) in &kit.components {
            let key = part(component);
            let there = self.available_to(command, &key, now);
            let part_of = Some(KitPart { kit: taken.kits.len() - 1, units: *units });
            self.take_line(taken, key, kind, (requested * units, held * units), there, part_of);
            self.give_lots(taken, now);
        }
        Ok(())
    }

    /// The lines of a movement with kits as their components, where customers bring or take them: what suppliers bring,
    /// and what is found, is never a kit.
    pub(super) fn parts_of<'a>(&self, command: &'a MoveStock) -> Result<Cow<'a, [MoveLine]>, Refusal> {
        let kit_of = |line: &MoveLine| self.rulebook.kits.get(&line.key.sku);
        let by_customers = matches!(command.kind, MoveKind::Return | MoveKind::Sale);
        if self.rulebook.kits.is_empty() || !by_customers || command.lines.iter().all(|line| kit_of(line).is_none()) {
            return Ok(Cow::Borrowed(&command.lines));
        }
        let mut parts = Vec::new();
        for line in &command.lines {
            let Some(kit) = kit_of(line) else {
                parts.push(line.clone());
                continue;
            };
            for ((key, units), bucket) in
                kit.keys(&line.key).zip(kit.components.values()).zip(std::iter::repeat(line.bucket))
            {
                parts.push(MoveLine { key, bucket, delta: line.delta * units, lots: Vec::new() });
            }
        }
        if parts.len() > MAX_PARTS {
            return Err(Refusal::TooLarge { limit: MAX_PARTS as i64 });
        }
        Ok(Cow::Owned(parts))
    }

    /// No document is about a kit: it is about its components.
    pub(super) fn refuse_kits(&self, keys: impl IntoIterator<Item = LevelKey>) -> Result<(), Refusal> {
        keys.into_iter().try_for_each(|LevelKey { sku, .. }| {
            if self.rulebook.kits.get(&sku).is_some() { Err(Refusal::SkuIsKit { sku }) } else { Ok(()) }
        })
    }

    /// As [`Self::refuse_kits`], of documents that cannot name lots.
    pub(super) fn refuse_kits_and_tracked(&self, keys: impl IntoIterator<Item = LevelKey>) -> Result<(), Refusal> {
        keys.into_iter().try_for_each(|key| {
            self.refuse_tracked(&key.sku)?;
            self.refuse_kits([key])
        })
    }

    /// Defines kits, all lines or none. All levels of their components, old and new, are locked.
    pub(super) fn set_kits(
        &mut self,
        lines: &[Line<Sku, Components>],
        by: &str,
        now: DateTime<Utc>,
    ) -> Result<Vec<Kit>, Refusal> {
        let mut next = self.rulebook.kits.clone();
        let mut answered = Vec::with_capacity(lines.len());
        let mut parts: Vec<Sku> = Vec::new();
        for (place, line) in lines.iter().enumerate() {
            let before = next.get(&line.key).cloned();
            line.expect(place, before.as_ref().map(|kit| &kit.audit))?;
            if let Some(same) = before.as_ref().filter(|kit| kit.components == line.terms) {
                answered.push(Kit::clone(same));
                continue;
            }
            if before.is_none() {
                if let Some(kit) = next.of(&line.key).next() {
                    return Err(Refusal::KitInKit { sku: kit.clone(), component: line.key.clone() });
                }
                if let Some(what) = self.use_of(&line.key) {
                    return Err(Refusal::SkuInUse { sku: line.key.clone(), what });
                }
            }
            let itself = |component: &&Sku| **component == line.key || next.get(component).is_some();
            if let Some(component) = line.terms.keys().find(itself) {
                return Err(Refusal::KitInKit { sku: line.key.clone(), component: component.clone() });
            }
            let kit = Arc::new(Kit {
                sku: line.key.clone(),
                components: line.terms.clone(),
                audit: Audit::next(before.as_ref().map(|kit| &kit.audit), by, now),
            });
            parts.extend(before.iter().flat_map(|kit| kit.components.keys()).chain(line.terms.keys()).cloned());
            next.define(kit.clone());
            if line.terms.keys().any(|component| next.of(component).count() > MAX_KITS_OF) {
                return Err(Refusal::TooLarge { limit: MAX_KITS_OF as i64 });
            }
            answered.push(Kit::clone(&kit));
        }
        for kit in &answered {
            let before = self.rulebook.kits.get(&kit.sku);
            if before.is_some_and(|before| **before == *kit) {
                continue;
            }
            if before.is_none() {
                self.new_kits.insert(kit.sku.clone());
            }
            self.kits_set.insert(kit.sku.clone());
            self.kits_again.insert(kit.sku.clone());
        }
        self.rulebook.kits = next;
        for (key, level) in &mut self.levels {
            level.kit |= self.new_kits.contains(&key.sku);
            level.has_rules |= level.kit;
        }
        let concerned: Vec<LevelKey> = self.levels.keys().filter(|key| parts.contains(&key.sku)).cloned().collect();
        for key in concerned {
            self.rule(&key);
        }
        Ok(answered)
    }

    /// What a SKU has that no kit may have.
    fn use_of(&self, sku: &Sku) -> Option<&'static str> {
        let mut levels = self.levels.iter().filter(|(key, _)| key.sku == *sku);
        levels
            .find_map(|(key, level)| {
                let rules = self.rulebook.of(key);
                let ruled = rules.policy.is_some_and(|terms| *terms != StockTerms::default())
                    || rules.fences.iter().any(|fence| fence.quota > 0 && !fence.released);
                if level.on_hand() != 0 || level.sellable != 0 {
                    Some("stock")
                } else if level.soft_held != 0 || level.hard_held != 0 {
                    Some("holds")
                } else {
                    ruled.then_some("policies")
                }
            })
            .or_else(|| self.rulebook.tracked(sku).map(|_| "tracking"))
            .or_else(|| self.rulebook.sku_terms(sku).filter(|terms| terms.is_capped()).map(|_| "caps"))
            .or_else(|| self.in_open_document(sku))
    }

    pub(super) fn in_open_document(&self, sku: &Sku) -> Option<&'static str> {
        let named = self.documents.level_keys().any(|key| key.sku == *sku)
            || self.documents.counts.values().any(|count| count.lines.contains_key(sku));
        (named || self.in_documents.contains(sku)).then_some("open documents")
    }
}
