//! Goods of which it matters which: lots, with the day until which they are good, and serial numbers.
//!
//! A SKU is tracked by lot, by serial number, or not at all, which is nearly all. A serial number is a lot of one unit that
//! is in one place. What a level has of a tracked SKU, it has in lots: per bucket they sum up to the level, and what is
//! held is held in them. So whoever brings or takes goods says which, and a hold is given lots: those that go off first,
//! first (FEFO), and none past its last day.
//!
//! ```text
//!   promisable on day d  ⟺  d + shelf life ≤ the lot's last day, or it has none
//! ```
//!
//! What is not promisable and not held is taken off what is available ([`super::availability`]): a function of the day,
//! wherever it is asked. A timer only announces it.

use std::{fmt, str::FromStr, sync::Arc};

use chrono::{Days, NaiveDate};
use oneshelf_values::{LocationId, Sku};

use super::{error::Refusal, policy::Audit, stock_level::Bucket};

/// A lot or serial number, as it is printed on the goods: 1 to 40 visible ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LotNumber(Arc<str>);

impl LotNumber {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for LotNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to {MAX_LOT_NUMBER} visible ASCII characters")]
pub struct BadLotNumber;

const MAX_LOT_NUMBER: usize = 40;

impl FromStr for LotNumber {
    type Err = BadLotNumber;

    fn from_str(text: &str) -> Result<Self, BadLotNumber> {
        let trimmed = text.trim();
        let fits = (1..=MAX_LOT_NUMBER).contains(&trimmed.len()) && trimmed.bytes().all(|byte| byte.is_ascii_graphic());
        if fits { Ok(Self(trimmed.into())) } else { Err(BadLotNumber) }
    }
}

/// How goods are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TrackingKind {
    #[default]
    None,
    Lot,
    Serial,
}

impl TrackingKind {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Lot => "lot",
            Self::Serial => "serial",
        }
    }

    pub fn parse(stored: &str) -> Option<Self> {
        [Self::None, Self::Lot, Self::Serial].into_iter().find(|kind| kind.as_str() == stored)
    }
}

/// How a SKU is tracked. The kind changes only while there is nothing of it anywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TrackingTerms {
    pub kind: TrackingKind,
    /// Days that a unit must still be good for when it is promised; at most [`MAX_SHELF_LIFE`].
    pub shelf_life_days: i64,
}

/// Ten years.
pub const MAX_SHELF_LIFE: i64 = 3_660;

impl TrackingTerms {
    pub fn is_tracked(&self) -> bool {
        self.kind != TrackingKind::None
    }

    /// Whether a unit that is good until then may be promised on a day.
    pub fn promisable(&self, expires_on: Option<NaiveDate>, today: NaiveDate) -> bool {
        let needed = today.checked_add_days(Days::new(self.shelf_life_days.unsigned_abs()));
        expires_on.is_none_or(|last| needed.is_some_and(|needed| needed <= last))
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tracking {
    pub sku: Sku,
    pub terms: TrackingTerms,
    pub audit: Audit,
}

/// Units of one lot that somebody brings or takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LotUnits {
    pub lot: LotNumber,
    /// As the bringer says; `None`: as it is known, or it does not go off.
    pub expires_on: Option<NaiveDate>,
    pub units: i64,
}

/// Units of one SKU that a line brings or takes, and which they are where the SKU is tracked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Units {
    pub quantity: i64,
    /// They add up to the quantity, or there are none.
    pub lots: Vec<LotUnits>,
}

impl From<i64> for Units {
    fn from(quantity: i64) -> Self {
        Self { quantity, lots: Vec::new() }
    }
}

impl Units {
    /// Of lots whose last days are known.
    pub fn of_lots(lots: &[(LotNumber, i64)]) -> Self {
        let quantity = lots.iter().map(|(_, units)| units).sum();
        let lots = lots.iter().map(|(lot, units)| LotUnits { lot: lot.clone(), expires_on: None, units: *units });
        Self { quantity, lots: lots.collect() }
    }

    /// With so many more of a lot.
    fn add(&mut self, named: &LotUnits, units: i64) {
        if units > 0 {
            self.quantity += units;
            self.lots.push(LotUnits { units, ..named.clone() });
        }
    }

    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        let lots = self.lots.iter().chain(&other.lots).cloned().collect();
        Self { quantity: self.quantity + other.quantity, lots }
    }

    /// Parts units into those that `there` has, which are taken from it, and the others.
    pub fn part(&self, there: &mut Vec<(LotNumber, i64)>) -> (Self, Self) {
        let (mut found, mut others) = (Self::default(), Self::default());
        for named in &self.lots {
            let taken = there.iter_mut().find(|(lot, _)| *lot == named.lot).map_or(0, |(_, units)| {
                let taken = named.units.min(*units);
                *units -= taken;
                taken
            });
            found.add(named, taken);
            others.add(named, named.units - taken);
        }
        there.retain(|(_, units)| *units > 0);
        (found, others)
    }
}

/// What is known of a lot wherever it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownLot {
    pub expires_on: Option<NaiveDate>,
    /// Of a serial number: where it lies.
    pub place: Option<(LocationId, Bucket)>,
    /// To where some of it is on its way.
    pub in_transit: Option<LocationId>,
}

/// What one bucket of a level has of one lot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LotLevel {
    pub bucket: Bucket,
    pub lot: LotNumber,
    pub expires_on: Option<NaiveDate>,
    pub quantity: i64,
    /// Of these, in holds.
    pub held: i64,
    /// That it is past promising has been announced.
    pub told: bool,
    /// Other than it was read.
    pub changed: bool,
}

/// What a level of a tracked SKU is made of, in the order in which it is promised.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lots(Vec<LotLevel>);

impl Lots {
    pub const fn none() -> Self {
        Self(Vec::new())
    }

    pub fn new(mut lots: Vec<LotLevel>) -> Self {
        lots.sort_by(|a, b| Self::order(a).cmp(&Self::order(b)));
        Self(lots)
    }

    /// First what goes off first; what does not go off, last.
    fn order(lot: &LotLevel) -> (bool, Option<NaiveDate>, &LotNumber, &'static str) {
        (lot.expires_on.is_none(), lot.expires_on, &lot.lot, lot.bucket.as_str())
    }

    pub fn iter(&self) -> impl Iterator<Item = &LotLevel> {
        self.0.iter()
    }

    /// Units that are there and free, and may not be promised any more.
    pub fn short_dated(&self, terms: TrackingTerms, today: NaiveDate) -> i64 {
        let past = |lot: &&LotLevel| lot.bucket == Bucket::Sellable && !terms.promisable(lot.expires_on, today);
        self.0.iter().filter(past).map(|lot| lot.quantity - lot.held).sum()
    }

    /// Holds units, those first that go off first. There are enough: what is available is bounded by what is promisable.
    pub fn allocate(&mut self, units: i64, terms: TrackingTerms, today: NaiveDate) -> Vec<(LotNumber, i64)> {
        let (mut left, mut parts) = (units, Vec::new());
        for lot in self.0.iter_mut().filter(|lot| lot.bucket == Bucket::Sellable) {
            let free = if terms.promisable(lot.expires_on, today) { lot.quantity - lot.held } else { 0 };
            let taken = free.min(left);
            if taken > 0 {
                lot.held += taken;
                lot.changed = true;
                left -= taken;
                parts.push((lot.lot.clone(), taken));
            }
        }
        debug_assert_eq!(left, 0, "held more than lots have");
        parts
    }

    /// Ends the hold of units of a lot, of which `taken` leave.
    pub fn resolve(&mut self, lot: &LotNumber, held: i64, taken: i64) {
        if let Some(level) = self.find(Bucket::Sellable, lot) {
            level.held -= held;
            level.quantity -= taken;
            level.changed = true;
        }
    }

    /// Takes free units of a lot out of a bucket; answers how many there are where they are too few.
    pub fn take(&mut self, bucket: Bucket, lot: &LotNumber, units: i64) -> Result<(), i64> {
        let level = self.find(bucket, lot).ok_or(0)?;
        let free = level.quantity - level.held;
        if free < units {
            return Err(free);
        }
        level.quantity -= units;
        level.changed = true;
        Ok(())
    }

    pub fn put(&mut self, bucket: Bucket, lot: &LotNumber, expires_on: Option<NaiveDate>, units: i64) {
        if let Some(level) = self.find(bucket, lot) {
            level.quantity += units;
            level.changed = true;
            return;
        }
        let lot = lot.clone();
        self.0.push(LotLevel { bucket, lot, expires_on, quantity: units, held: 0, told: false, changed: true });
        self.0.sort_by(|a, b| Self::order(a).cmp(&Self::order(b)));
    }

    /// Marks what has gone past promising as announced, or as not yet announced where it is promisable again.
    pub fn tell(&mut self, terms: TrackingTerms, today: NaiveDate) {
        for lot in &mut self.0 {
            let past = !terms.promisable(lot.expires_on, today);
            lot.changed |= lot.told != past;
            lot.told = past;
        }
    }

    fn find(&mut self, bucket: Bucket, lot: &LotNumber) -> Option<&mut LotLevel> {
        self.0.iter_mut().find(|level| level.bucket == bucket && level.lot == *lot)
    }
}

/// The first units of a line's lots: what a commit of so many takes, lot by lot.
pub fn first_units(lots: &[(LotNumber, i64)], mut units: i64) -> Vec<(LotNumber, i64)> {
    lots.iter()
        .map(|(lot, held)| {
            let taken = units.min(*held);
            units -= taken;
            (lot.clone(), taken)
        })
        .collect()
}

/// What a line of a movement names fits how its SKU is tracked.
pub fn check_named(line: usize, sku: &Sku, kind: TrackingKind, named: &[LotUnits]) -> Result<(), Refusal> {
    let fits = match kind {
        TrackingKind::None => named.is_empty(),
        TrackingKind::Lot => !named.is_empty(),
        TrackingKind::Serial => !named.is_empty() && named.iter().all(|lot| lot.units == 1),
    };
    if fits { Ok(()) } else { Err(Refusal::TrackingMismatch { line, sku: sku.clone(), kind }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(number: u32) -> NaiveDate {
        NaiveDate::from_ymd_opt(2026, 12, number).unwrap()
    }

    fn lot(name: &str, last: Option<u32>, quantity: i64) -> LotLevel {
        LotLevel {
            bucket: Bucket::Sellable,
            lot: name.parse().unwrap(),
            expires_on: last.map(day),
            quantity,
            held: 0,
            told: false,
            changed: false,
        }
    }

    #[test]
    fn what_goes_off_first_is_promised_first_and_nothing_past_its_last_day() {
        let terms = TrackingTerms { kind: TrackingKind::Lot, shelf_life_days: 3 };
        let mut lots =
            Lots::new(vec![lot("N", None, 2), lot("B", Some(9), 2), lot("A", Some(9), 2), lot("OLD", Some(7), 5)]);
        // On the 5th, a lot must be good until the 8th at least.
        assert_eq!(lots.short_dated(terms, day(4)), 0);
        assert_eq!(lots.short_dated(terms, day(5)), 5);
        let parts: Vec<(String, i64)> =
            lots.allocate(5, terms, day(5)).into_iter().map(|(lot, units)| (lot.to_string(), units)).collect();
        assert_eq!(parts, [("A".to_owned(), 2), ("B".to_owned(), 2), ("N".to_owned(), 1)]);
        assert_eq!(lots.short_dated(terms, day(7)), 5, "what is held is somebody's already");
    }

    #[test]
    fn only_free_units_of_a_lot_are_taken() {
        let terms = TrackingTerms { kind: TrackingKind::Lot, shelf_life_days: 0 };
        let mut lots = Lots::new(vec![lot("A", None, 3)]);
        lots.allocate(2, terms, day(1));
        let name: LotNumber = "A".parse().unwrap();
        assert_eq!(lots.take(Bucket::Sellable, &name, 2), Err(1));
        assert_eq!(lots.take(Bucket::Damaged, &name, 1), Err(0));
        assert_eq!(lots.take(Bucket::Sellable, &name, 1), Ok(()));
        lots.resolve(&name, 2, 1);
        let left = lots.iter().next().unwrap();
        assert_eq!((left.quantity, left.held), (1, 0));
    }

    #[test]
    fn a_lot_number_is_what_can_be_printed() {
        for (text, fits) in [("L-7/a", true), (" L7 ", true), ("", false), ("L 7", false), ("ä", false)] {
            assert_eq!(text.parse::<LotNumber>().is_ok(), fits, "{text:?}");
        }
        assert!("x".repeat(41).parse::<LotNumber>().is_err());
    }
}
