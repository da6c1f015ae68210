//! Tracked goods on the shelf: set, brought and taken by lot or serial number, given to holds.

use std::collections::{HashMap, hash_map::Entry};

use chrono::{DateTime, NaiveDate, Utc};
use oneshelf_values::{LocationId, Sku};

use super::{
    super::{
        error::Refusal,
        hold::HoldLine,
        ledger::Movement,
        lot::{self, KnownLot, LotNumber, LotUnits, Lots, Tracking, TrackingKind, TrackingTerms},
        policy::Audit,
        stock_level::{Bucket, LevelKey},
    },
    Answer, Line, Shelf, Taken,
};

/// What is known of lots by number, wherever they are.
pub type KnownLots = HashMap<(Sku, LotNumber), KnownLot>;

/// Lots as they were before a movement that may be refused.
pub(super) struct Before {
    lots: HashMap<LevelKey, Lots>,
    known: KnownLots,
    new: HashMap<(Sku, LotNumber), Option<NaiveDate>>,
}

impl Shelf {
    /// With what is known of the lots that movements name.
    #[must_use]
    pub fn with_known_lots(self, known_lots: KnownLots) -> Self {
        Self { known_lots, ..self }
    }

    pub(super) fn refuse_tracked(&self, sku: &Sku) -> Result<(), Refusal> {
        if self.rulebook.tracked(sku).is_some() { Err(Refusal::SkuTracked { sku: sku.clone() }) } else { Ok(()) }
    }

    /// Gives the line that was taken last its lots.
    pub(super) fn give_lots(&mut self, taken: &mut Taken, now: DateTime<Utc>) {
        let (Some(line), Some(held)) = (taken.lines.last_mut(), taken.amounts.last()) else { return };
        let Some(terms) = self.rulebook.tracked(&line.key.sku).filter(|_| *held > 0) else { return };
        let lots = self.rulebook.lots.entry(line.key.clone()).or_default();
        taken.lots_before.push((line.key.clone(), lots.clone()));
        line.lots = lots.allocate(*held, terms, now.date_naive());
    }

    /// Ends the hold of a line's lots, of whose units `taken` leave.
    pub(super) fn resolve_lots(&mut self, line: &HoldLine, taken: i64) {
        let Some(lots) = self.rulebook.lots.get_mut(&line.key) else { return };
        for ((lot, held), (_, taken)) in line.lots.iter().zip(lot::first_units(&line.lots, taken)) {
            lots.resolve(lot, *held, taken);
            if taken > 0
                && let Some(known) = self.known_lots.get_mut(&(line.key.sku.clone(), lot.clone()))
            {
                known.place = None;
            }
        }
    }

    /// Writes a movement down, lot by lot where there are any.
    pub(super) fn book_by_lot(&mut self, movement: Movement, lots: &[LotUnits]) {
        let before = self.movements.len();
        for named in lots.iter().filter(|named| named.units > 0) {
            self.movements.push(Movement { quantity: named.units, lot: Some(named.lot.clone()), ..movement.clone() });
        }
        if self.movements.len() == before {
            self.movements.push(movement);
        }
    }

    /// What is to be put back if a movement is refused; nothing where none of its SKUs is tracked.
    pub(super) fn lots_of<'a>(&self, mut skus: impl Iterator<Item = &'a Sku>) -> Option<Before> {
        skus.any(|sku| self.rulebook.tracked(sku).is_some()).then(|| Before {
            lots: self.rulebook.lots.clone(),
            known: self.known_lots.clone(),
            new: self.new_lots.clone(),
        })
    }

    pub(super) fn put_lots_back(&mut self, before: Option<Before>) {
        if let Some(Before { lots, known, new }) = before {
            (self.rulebook.lots, self.known_lots, self.new_lots) = (lots, known, new);
        }
    }

    fn kind_of(&self, sku: &Sku) -> TrackingKind {
        self.rulebook.tracked(sku).map_or(TrackingKind::None, |terms| terms.kind)
    }

    /// What a line names fits how its SKU is tracked.
    pub(super) fn check_named(&self, line: usize, sku: &Sku, named: &[LotUnits]) -> Result<(), Refusal> {
        lot::check_named(line, sku, self.kind_of(sku), named)
    }

    /// Notes of lots that they are on their way to a location, or (`None`) are no longer.
    pub(super) fn note_transit(&mut self, sku: &Sku, lots: &[LotUnits], to: Option<&LocationId>) {
        for named in lots {
            if let Some(known) = self.known_lots.get_mut(&(sku.clone(), named.lot.clone())) {
                known.in_transit = to.cloned();
            }
        }
    }

    /// Puts lots into a bucket, or takes them out where `delta` is negative.
    pub(super) fn move_lots(
        &mut self,
        key: &LevelKey,
        bucket: Bucket,
        delta: i64,
        named: &[LotUnits],
    ) -> Result<(), Refusal> {
        let sku = &key.sku;
        let is_serial = self.kind_of(sku) == TrackingKind::Serial;
        for named in named {
            let id = (sku.clone(), named.lot.clone());
            let lots = self.rulebook.lots.entry(key.clone()).or_default();
            if delta < 0 {
                lots.take(bucket, &named.lot, named.units).map_err(|free| Refusal::LotNotFree {
                    sku: sku.clone(),
                    lot: named.lot.clone(),
                    free,
                    requested: named.units,
                })?;
                if let Some(known) = self.known_lots.get_mut(&id) {
                    known.place = None;
                }
                continue;
            }
            let serial = is_serial.then(|| (key.location.clone(), bucket));
            let expires_on = match self.known_lots.entry(id) {
                Entry::Occupied(mut known) => {
                    let KnownLot { expires_on, place, in_transit } = known.get_mut();
                    let elsewhere = place.as_ref().map(|(location, _)| location).or(in_transit.as_ref());
                    if let Some(location) = elsewhere.filter(|_| is_serial) {
                        let (serial, location) = (named.lot.clone(), location.clone());
                        return Err(Refusal::SerialOnHand { sku: sku.clone(), serial, location });
                    }
                    if named.expires_on.is_some() && named.expires_on != *expires_on {
                        let (lot, expires_on) = (named.lot.clone(), *expires_on);
                        return Err(Refusal::LotExpiryDiffers { sku: sku.clone(), lot, expires_on });
                    }
                    *place = serial;
                    *expires_on
                }
                Entry::Vacant(unknown) => {
                    self.new_lots.insert(unknown.key().clone(), named.expires_on);
                    unknown.insert(KnownLot { expires_on: named.expires_on, place: serial, in_transit: None });
                    named.expires_on
                }
            };
            lots.put(bucket, &named.lot, expires_on, named.units);
        }
        Ok(())
    }

    /// Announces levels with lots that have gone past promising.
    pub(super) fn tell_short_dated(&mut self, keys: &[LevelKey], now: DateTime<Utc>) -> Answer {
        for key in keys {
            let (Some(terms), Some(lots)) = (self.rulebook.tracked(&key.sku), self.rulebook.lots.get_mut(key)) else {
                continue;
            };
            lots.tell(terms, now.date_naive());
            if lots.iter().any(|lot| lot.changed) {
                self.touched.insert(key.clone());
            }
        }
        Answer::Done
    }

    /// Sets how SKUs are tracked, all lines or none. All levels of these are locked.
    pub(super) fn set_tracking(
        &mut self,
        lines: &[Line<Sku, TrackingTerms>],
        by: &str,
        now: DateTime<Utc>,
    ) -> Result<Vec<Tracking>, Refusal> {
        for (place, line) in lines.iter().enumerate() {
            let before = self.rulebook.tracking.get(&line.key);
            line.expect(place, before.map(|tracking| &tracking.audit))?;
            if self.rulebook.kits.get(&line.key).is_some() {
                return Err(Refusal::SkuIsKit { sku: line.key.clone() });
            }
            if before.map_or(TrackingKind::None, |tracking| tracking.terms.kind) != line.terms.kind
                && let Some(what) = self.goods_of(&line.key)
            {
                return Err(Refusal::SkuInUse { sku: line.key.clone(), what });
            }
        }
        Ok(lines.iter().map(|line| self.set_one_tracking(line, by, now)).collect())
    }

    fn set_one_tracking(&mut self, line: &Line<Sku, TrackingTerms>, by: &str, now: DateTime<Utc>) -> Tracking {
        let before = self.rulebook.tracking.get(&line.key);
        if let Some(same) = before.filter(|tracking| tracking.terms == line.terms) {
            return same.clone();
        }
        let audit = Audit::next(before.map(|tracking| &tracking.audit), by, now);
        let tracking = Tracking { sku: line.key.clone(), terms: line.terms, audit };
        self.rulebook.tracking.insert(line.key.clone(), tracking.clone());
        self.tracking_set.insert(line.key.clone());
        let keys: Vec<LevelKey> = self.levels.keys().filter(|key| key.sku == line.key).cloned().collect();
        for key in keys {
            if let Some(lots) = self.rulebook.lots.get_mut(&key) {
                lots.tell(line.terms, now.date_naive());
            }
            self.rule(&key);
        }
        tracking
    }

    /// What there is of a SKU that has no lots, or has them.
    fn goods_of(&self, sku: &Sku) -> Option<&'static str> {
        let mut levels = self.levels.iter().filter(|(key, _)| key.sku == *sku);
        let goods = levels.find_map(|(_, level)| {
            if level.sellable != 0 || level.damaged != 0 || level.quarantine != 0 {
                Some("stock")
            } else if level.soft_held != 0 || level.hard_held != 0 {
                Some("holds")
            } else {
                (level.backorder_limit > 0).then_some("policies")
            }
        });
        goods.or_else(|| self.in_open_document(sku))
    }
}
