//! The price book: every published price, as one immutable whole with a version.
//!
//! ```text
//! PriceBook v7 ── WEB-GBP ──▶ { SKU ─▶ [window, window, …] }      list and windows are shared with v6
//!              └─ DEALER-A ─▶ { … }                               unless v7 changed them
//! ```
//!
//! Publishing makes a new book from the old one: the table of the changed list is copied (pointers only), the windows of
//! the changed SKUs are rebuilt, all else is shared. Readers keep the book they began with.
//!
//! A window is `[valid_from, valid_to)` and belongs to a tier: it counts from `min_quantity` units on. Of the tiers that a
//! quantity reaches the highest that has a price at the instant decides; in it, of the windows that contain the instant, the
//! one that starts last; of two that start together the one of the highest book version.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use oneshelf_values::{Currency, PriceListId, Quantity, Sku, UnitPrice};

/// A price to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PriceEntry {
    pub sku: Sku,
    pub unit_price: UnitPrice,
    /// The price counts from so many units on; at least 1.
    pub min_quantity: i64,
    /// Inclusive.
    pub valid_from: DateTime<Utc>,
    /// Exclusive; `None` is open.
    pub valid_to: Option<DateTime<Utc>>,
}

/// A published price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    pub valid_from: DateTime<Utc>,
    pub valid_to: Option<DateTime<Utc>>,
    pub min_quantity: i64,
    pub unit_price: UnitPrice,
    /// The version that brought it in.
    pub book_version: i64,
}

impl Window {
    pub fn contains(&self, at: DateTime<Utc>) -> bool {
        self.valid_from <= at && self.valid_to.is_none_or(|to| at < to)
    }
}

/// The prices of one list.
#[derive(Debug, Clone)]
pub struct ListPrices {
    currency: Currency,
    /// Per SKU, sorted by (min_quantity, valid_from, book_version).
    windows: HashMap<Sku, Arc<[Window]>>,
}

impl ListPrices {
    pub fn currency(&self) -> Currency {
        self.currency
    }

    /// How many SKUs have a price at some time.
    pub fn sku_count(&self) -> usize {
        self.windows.len()
    }

    /// All windows of a SKU, by (min_quantity, valid_from, book_version).
    pub fn windows(&self, sku: &Sku) -> &[Window] {
        self.windows.get(sku).map_or(&[], |windows| windows)
    }

    /// Every window of every SKU; the SKUs in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (&Sku, &Window)> {
        self.windows.iter().flat_map(|(sku, windows)| windows.iter().map(move |window| (sku, window)))
    }

    /// The price of so many units of a SKU at an instant.
    pub fn price_at(&self, sku: &Sku, quantity: Quantity, at: DateTime<Utc>) -> Option<&Window> {
        let windows = self.windows(sku);
        let mut reached = &windows[..windows.partition_point(|window| window.min_quantity <= quantity.get())];
        while let Some(highest) = reached.last() {
            let (lower, tier) = split_tier(reached, highest.min_quantity);
            if let Some(found) = standing(tier, at) {
                return Some(found);
            }
            reached = lower;
        }
        None
    }

    /// The price of one tier of a SKU at an instant, whatever other tiers have.
    pub fn tier_at(&self, sku: &Sku, min_quantity: i64, at: DateTime<Utc>) -> Option<&Window> {
        let windows = self.windows(sku);
        let upto = &windows[..windows.partition_point(|window| window.min_quantity <= min_quantity)];
        standing(split_tier(upto, min_quantity).1, at)
    }
}

/// Windows below a tier, and those of it and above.
fn split_tier(windows: &[Window], min_quantity: i64) -> (&[Window], &[Window]) {
    windows.split_at(windows.partition_point(|window| window.min_quantity < min_quantity))
}

/// Of the windows of one tier, the one that decides at an instant.
fn standing(tier: &[Window], at: DateTime<Utc>) -> Option<&Window> {
    let started = tier.partition_point(|window| window.valid_from <= at);
    tier[..started].iter().rev().find(|window| window.contains(at))
}

/// Two prices that stand at the same instant, of which the larger quantity pays the higher one per unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rise {
    pub at: DateTime<Utc>,
    pub lower_tier: Window,
    pub higher_tier: Window,
}

/// The first instant at which a larger quantity of a SKU would pay more per unit. `windows` are all of the SKU in a list, in
/// any order. Prices change where a window begins or ends only, so only these instants are looked at.
pub fn find_rise(mut windows: Vec<Window>) -> Option<Rise> {
    sort(&mut windows);
    if windows.first()?.min_quantity == windows.last()?.min_quantity {
        return None;
    }
    let mut instants: Vec<DateTime<Utc>> =
        windows.iter().flat_map(|window| [Some(window.valid_from), window.valid_to]).flatten().collect();
    instants.sort_unstable();
    instants.dedup();
    instants.into_iter().find_map(|at| {
        let mut prices = windows
            .chunk_by(|one, next| one.min_quantity == next.min_quantity)
            .filter_map(|tier| standing(tier, at).copied());
        let mut lower_tier = prices.next()?;
        for higher_tier in prices {
            if higher_tier.unit_price.micros() > lower_tier.unit_price.micros() {
                return Some(Rise { at, lower_tier, higher_tier });
            }
            lower_tier = higher_tier;
        }
        None
    })
}

/// All lists at one version. Clones share everything.
#[derive(Debug, Clone)]
pub struct PriceBook {
    version: i64,
    lists: HashMap<PriceListId, Arc<ListPrices>>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BookError {
    #[error("version {new} does not follow version {current}")]
    NotNewer { current: i64, new: i64 },
    #[error("price list {list} is in {expected}, not {found}")]
    CurrencyMismatch { list: PriceListId, expected: Currency, found: Currency },
}

impl PriceBook {
    /// Version 0, without any price.
    pub fn empty() -> Self {
        Self { version: 0, lists: HashMap::new() }
    }

    /// The book as read back from where its windows are kept. Windows may come in any order.
    pub fn load(
        version: i64,
        lists: impl IntoIterator<Item = (PriceListId, Currency)>,
        windows: impl IntoIterator<Item = (PriceListId, Sku, Window)>,
    ) -> Result<Self, BookError> {
        let mut gathered: HashMap<PriceListId, (Currency, HashMap<Sku, Vec<Window>>)> =
            lists.into_iter().map(|(list, currency)| (list, (currency, HashMap::new()))).collect();
        for (list, sku, window) in windows {
            let found = window.unit_price.currency();
            if window.book_version > version {
                return Err(BookError::NotNewer { current: window.book_version, new: version });
            }
            let (expected, skus) = gathered.entry(list.clone()).or_insert_with(|| (found, HashMap::new()));
            if *expected != found {
                return Err(BookError::CurrencyMismatch { list, expected: *expected, found });
            }
            skus.entry(sku).or_default().push(window);
        }
        let lists = gathered.into_iter().map(|(list, (currency, skus))| {
            let windows = skus.into_iter().map(|(sku, windows)| (sku, sorted(windows))).collect();
            (list, Arc::new(ListPrices { currency, windows }))
        });
        Ok(Self { version, lists: lists.collect() })
    }

    pub fn version(&self) -> i64 {
        self.version
    }

    pub fn list(&self, list: &PriceListId) -> Option<&ListPrices> {
        self.lists.get(list).map(Arc::as_ref)
    }

    pub fn lists(&self) -> impl Iterator<Item = (&PriceListId, &ListPrices)> {
        self.lists.iter().map(|(id, list)| (id, list.as_ref()))
    }

    /// The next book: this one with `entries` added to `list`, which is made if it is new. What makes entries good is
    /// [`validate_entries`]'s to say; here only what would corrupt the book is refused.
    pub fn apply(
        &self,
        version: i64,
        list: &PriceListId,
        currency: Currency,
        entries: &[PriceEntry],
    ) -> Result<Self, BookError> {
        if version <= self.version {
            return Err(BookError::NotNewer { current: self.version, new: version });
        }
        let mismatch = |expected, found| BookError::CurrencyMismatch { list: list.clone(), expected, found };
        let mut prices = match self.list(list) {
            Some(prices) if prices.currency != currency => {
                return Err(mismatch(prices.currency, currency));
            }
            Some(prices) => prices.clone(),
            None => ListPrices { currency, windows: HashMap::new() },
        };
        let mut added: HashMap<&Sku, Vec<Window>> = HashMap::new();
        for entry in entries {
            if entry.unit_price.currency() != currency {
                return Err(mismatch(currency, entry.unit_price.currency()));
            }
            added.entry(&entry.sku).or_default().push(Window {
                valid_from: entry.valid_from,
                valid_to: entry.valid_to,
                min_quantity: entry.min_quantity,
                unit_price: entry.unit_price,
                book_version: version,
            });
        }
        for (sku, mut windows) in added {
            windows.extend_from_slice(prices.windows(sku));
            prices.windows.insert(sku.clone(), sorted(windows));
        }
        let mut lists = self.lists.clone();
        lists.insert(list.clone(), Arc::new(prices));
        Ok(Self { version, lists })
    }
}

fn sorted(mut windows: Vec<Window>) -> Arc<[Window]> {
    sort(&mut windows);
    windows.into()
}

fn sort(windows: &mut [Window]) {
    windows.sort_unstable_by_key(|window| (window.min_quantity, window.valid_from, window.book_version));
}

/// What is wrong with one entry of a publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EntryFault {
    #[error("the price must be above zero")]
    NotPositive,
    #[error("the price must be in {expected}, the currency of the list")]
    WrongCurrency { expected: Currency },
    #[error("valid_to must be after valid_from")]
    EmptyWindow,
    #[error("a tier begins with 1 unit or more")]
    NoQuantity,
    #[error("entry {first} has the same SKU, min_quantity and valid_from")]
    Duplicate { first: usize },
}

/// A fault and the 0-based entry it is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("entry {entry}: {fault}")]
pub struct EntryViolation {
    pub entry: usize,
    pub fault: EntryFault,
}

/// Everything that is wrong with the entries of one publish, in entry order; nothing if they are good.
pub fn validate_entries(currency: Currency, entries: &[PriceEntry]) -> Vec<EntryViolation> {
    let mut violations = Vec::new();
    let mut seen = HashSet::with_capacity(entries.len());
    for (index, entry) in entries.iter().enumerate() {
        let mut found = |fault| {
            violations.push(EntryViolation { entry: index, fault });
        };
        if entry.unit_price.currency() != currency {
            found(EntryFault::WrongCurrency { expected: currency });
        }
        if entry.unit_price.micros() <= 0 {
            found(EntryFault::NotPositive);
        }
        if entry.valid_to.is_some_and(|to| to <= entry.valid_from) {
            found(EntryFault::EmptyWindow);
        }
        if entry.min_quantity < 1 {
            found(EntryFault::NoQuantity);
        }
        if !seen.insert((&entry.sku, entry.min_quantity, entry.valid_from)) {
            let same = |other: &PriceEntry| {
                (&other.sku, other.min_quantity, other.valid_from) == (&entry.sku, entry.min_quantity, entry.valid_from)
            };
            let first = entries.iter().position(same).unwrap_or(index);
            found(EntryFault::Duplicate { first });
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GBP: Currency = Currency::GBP;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(second, 0).unwrap()
    }

    fn list(id: &str) -> PriceListId {
        id.parse().unwrap()
    }

    fn entry(sku: &str, micros: i64, from: i64, to: Option<i64>) -> PriceEntry {
        PriceEntry {
            sku: sku.parse().unwrap(),
            unit_price: UnitPrice::new(micros, GBP),
            min_quantity: 1,
            valid_from: at(from),
            valid_to: to.map(at),
        }
    }

    fn price(book: &PriceBook, sku: &str, second: i64) -> Option<i64> {
        price_of(book, sku, 1, second)
    }

    fn price_of(book: &PriceBook, sku: &str, quantity: i64, second: i64) -> Option<i64> {
        let quantity = Quantity::try_new(quantity).unwrap();
        let window = book.list(&list("WEB"))?.price_at(&sku.parse().unwrap(), quantity, at(second))?;
        Some(window.unit_price.micros())
    }

    fn from_units(min_quantity: i64, entry: PriceEntry) -> PriceEntry {
        PriceEntry { min_quantity, ..entry }
    }

    #[test]
    fn a_window_includes_its_start_and_excludes_its_end() {
        let book = PriceBook::empty().apply(1, &list("WEB"), GBP, &[entry("A", 5, 10, Some(20))]).unwrap();
        assert_eq!([9, 10, 19, 20].map(|t| price(&book, "A", t)), [None, Some(5), Some(5), None]);
        assert_eq!(price(&book, "B", 15), None);
    }

    #[test]
    fn the_window_that_starts_last_decides_and_then_the_one_published_last() {
        let web = list("WEB");
        let first = [entry("A", 100, 0, None), entry("A", 80, 10, Some(20))];
        let book = PriceBook::empty().apply(1, &web, GBP, &first).unwrap();
        assert_eq!([5, 15, 25].map(|t| price(&book, "A", t)), [Some(100), Some(80), Some(100)]);
        let next = book.apply(2, &web, GBP, &[entry("A", 70, 10, Some(15))]).unwrap();
        assert_eq!([12, 17].map(|t| price(&next, "A", t)), [Some(70), Some(80)]);
        assert_eq!(price(&book, "A", 12), Some(80), "the old book stays as it was");
        assert_eq!((book.version(), next.version()), (1, 2));
    }

    #[test]
    fn the_highest_tier_that_a_quantity_reaches_and_that_has_a_price_decides() {
        let entries = [
            entry("A", 100, 0, None),
            from_units(10, entry("A", 90, 5, None)),
            from_units(100, entry("A", 80, 0, Some(20))),
            from_units(10, entry("B", 7, 0, None)),
        ];
        let book = PriceBook::empty().apply(1, &list("WEB"), GBP, &entries).unwrap();
        let at_ten = [1, 9, 10, 99, 100, 1_000].map(|quantity| price_of(&book, "A", quantity, 10));
        assert_eq!(at_ten, [100, 100, 90, 90, 80, 80].map(Some));
        assert_eq!([4, 5].map(|t| price_of(&book, "A", 50, t)), [Some(100), Some(90)], "the tier begins at 5");
        assert_eq!([19, 20].map(|t| price_of(&book, "A", 500, t)), [Some(80), Some(90)], "and the highest ends at 20");
        assert_eq!([9, 10].map(|quantity| price_of(&book, "B", quantity, 10)), [None, Some(7)]);
        // A tier is renewed by itself.
        let next = book.apply(2, &list("WEB"), GBP, &[from_units(10, entry("A", 85, 5, None))]).unwrap();
        assert_eq!([1, 10].map(|quantity| price_of(&next, "A", quantity, 10)), [Some(100), Some(85)]);
    }

    #[test]
    fn a_tier_that_rises_is_found_whenever_it_would() {
        let rise = |entries: &[PriceEntry]| {
            let book = PriceBook::empty().apply(1, &list("WEB"), GBP, entries).unwrap();
            let windows = book.list(&list("WEB")).unwrap().windows(&"A".parse().unwrap()).to_vec();
            let seconds =
                |rise: Rise| (rise.at.timestamp(), rise.lower_tier.min_quantity, rise.higher_tier.min_quantity);
            find_rise(windows.into_iter().rev().collect()).map(seconds)
        };
        let (one, ten) = (entry("A", 100, 0, None), from_units(10, entry("A", 90, 0, None)));
        assert_eq!(rise(&[one.clone(), ten.clone()]), None);
        assert_eq!(rise(&[one.clone(), from_units(10, entry("A", 100, 0, None))]), None, "as much is no rise");
        assert_eq!(rise(&[one.clone(), from_units(10, entry("A", 101, 0, None))]), Some((0, 1, 10)));
        // A base price that falls below its tier, for a time.
        let sale = entry("A", 80, 50, Some(60));
        assert_eq!(rise(&[one.clone(), ten.clone(), sale.clone()]), Some((50, 1, 10)));
        assert_eq!(rise(&[one.clone(), from_units(10, entry("A", 90, 0, Some(50))), sale]), None);
        // What stands in between shows when it ends.
        let between = from_units(5, entry("A", 85, 0, Some(30)));
        assert_eq!(rise(&[one.clone(), between, ten.clone()]), Some((0, 5, 10)));
        let later = from_units(20, entry("A", 95, 40, None));
        assert_eq!(rise(&[one, ten, later]), Some((40, 10, 20)));
    }

    #[test]
    fn what_a_publish_does_not_touch_is_shared() {
        let book = PriceBook::empty()
            .apply(1, &list("WEB"), GBP, &[entry("A", 1, 0, None), entry("B", 1, 0, None)])
            .and_then(|book| book.apply(2, &list("DEALER"), GBP, &[entry("A", 1, 0, None)]))
            .unwrap();
        let next = book.apply(3, &list("WEB"), GBP, &[entry("A", 2, 5, None)]).unwrap();
        assert!(Arc::ptr_eq(&book.lists[&list("DEALER")], &next.lists[&list("DEALER")]));
        let windows = |book: &PriceBook, sku: &str| book.lists[&list("WEB")].windows[sku].clone();
        assert!(Arc::ptr_eq(&windows(&book, "B"), &windows(&next, "B")));
        assert!(!Arc::ptr_eq(&windows(&book, "A"), &windows(&next, "A")));
    }

    #[test]
    fn a_book_refuses_old_versions_and_other_currencies() {
        let web = list("WEB");
        let book = PriceBook::empty().apply(2, &web, GBP, &[]).unwrap();
        let stale = BookError::NotNewer { current: 2, new: 2 };
        assert_eq!(book.apply(2, &web, GBP, &[]).unwrap_err(), stale);
        let mismatch = |expected, found| BookError::CurrencyMismatch { list: list("WEB"), expected, found };
        assert_eq!(book.apply(3, &web, Currency::EUR, &[]).unwrap_err(), mismatch(GBP, Currency::EUR));
        let mut euros = entry("A", 1, 0, None);
        euros.unit_price = UnitPrice::new(1, Currency::EUR);
        assert_eq!(book.apply(3, &web, GBP, &[euros]).unwrap_err(), mismatch(GBP, Currency::EUR));
    }

    #[test]
    fn every_fault_of_a_publish_is_named() {
        let mut euros = entry("E", 1, 0, None);
        euros.unit_price = UnitPrice::new(1, Currency::EUR);
        let entries = [
            entry("A", 1, 0, None),
            entry("A", 0, 1, None),
            entry("B", -1, 5, Some(5)),
            entry("A", 2, 0, Some(9)),
            euros,
            from_units(0, entry("F", 1, 0, None)),
            from_units(2, entry("A", 1, 0, None)),
        ];
        let found: Vec<_> = validate_entries(GBP, &entries).iter().map(|v| (v.entry, v.fault)).collect();
        assert_eq!(
            found,
            [
                (1, EntryFault::NotPositive),
                (2, EntryFault::NotPositive),
                (2, EntryFault::EmptyWindow),
                (3, EntryFault::Duplicate { first: 0 }),
                (4, EntryFault::WrongCurrency { expected: GBP }),
                (5, EntryFault::NoQuantity),
            ]
        );
        assert_eq!(validate_entries(GBP, &entries[..1]), []);
    }

    /// SKU number, price, tier, start and length.
    type Published = (u8, i64, i64, i64, Option<i64>);

    fn publishes() -> impl Strategy<Value = Vec<Vec<Published>>> {
        let one = (0..3_u8, 1..1_000_i64, 1..5_i64, 0..30_i64, prop::option::of(1..20_i64));
        prop::collection::vec(prop::collection::vec(one, 0..6), 0..6)
    }

    proptest! {
        #[test]
        fn the_lookup_agrees_with_a_scan_of_everything_published(
            publishes in publishes(),
            instant in 0..60_i64,
            quantity in 1..7_i64,
        ) {
            let mut book = PriceBook::empty();
            let mut published: Vec<(PriceListId, Sku, Window)> = Vec::new();
            for (version, entries) in (1..).zip(&publishes) {
                let entries: Vec<PriceEntry> = entries
                    .iter()
                    .map(|(sku, micros, tier, from, length)| {
                        from_units(*tier, entry(&format!("S{sku}"), *micros, *from, length.map(|length| from + length)))
                    })
                    .collect();
                // A (SKU, tier, valid_from) comes once per publish.
                let faults: HashSet<usize> = validate_entries(GBP, &entries).iter().map(|v| v.entry).collect();
                let entries: Vec<PriceEntry> =
                    entries.into_iter().enumerate().filter(|(i, _)| !faults.contains(i)).map(|(_, e)| e).collect();
                published.extend(entries.iter().map(|e| (list("WEB"), e.sku.clone(), Window {
                    valid_from: e.valid_from,
                    valid_to: e.valid_to,
                    min_quantity: e.min_quantity,
                    unit_price: e.unit_price,
                    book_version: version,
                })));
                book = book.apply(version, &list("WEB"), GBP, &entries).unwrap();
            }
            let loaded = PriceBook::load(
                book.version(),
                [(list("WEB"), GBP)],
                published.iter().rev().cloned(),
            ).unwrap();
            for sku in ["S0", "S1", "S2"] {
                let scan = |quantity: i64, instant: i64| {
                    published
                        .iter()
                        .filter(|(_, code, window)| code.as_str() == sku && window.contains(at(instant)))
                        .filter(|(_, _, window)| window.min_quantity <= quantity)
                        .max_by_key(|(_, _, window)| (window.min_quantity, window.valid_from, window.book_version))
                        .map(|(_, _, window)| window.unit_price.micros())
                };
                let expected = scan(quantity, instant);
                prop_assert_eq!(price_of(&book, sku, quantity, instant), expected);
                prop_assert_eq!(price_of(&loaded, sku, quantity, instant), expected);
                // P1: where no rise is found, no quantity pays more per unit than a smaller one, at any instant.
                let windows = book.list(&list("WEB")).map(|list| list.windows(&sku.parse().unwrap()).to_vec());
                let rises = windows.and_then(find_rise).is_some();
                let seen = (0..60).any(|at| {
                    let prices: Vec<i64> = (1..7).filter_map(|quantity| scan(quantity, at)).collect();
                    !prices.is_sorted_by(|one, next| one >= next)
                });
                prop_assert_eq!(rises, seen);
            }
        }
    }
}
