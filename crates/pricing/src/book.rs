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
//! A window is `[valid_from, valid_to)`. Of the windows that contain an instant the one that starts last decides; of two
//! that start together the one of the highest book version.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use oneshelf_values::{Currency, PriceListId, Sku, UnitPrice};

/// A price to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PriceEntry {
    pub sku: Sku,
    pub unit_price: UnitPrice,
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
    /// Per SKU, sorted by (valid_from, book_version).
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

    /// All windows of a SKU, by (valid_from, book_version).
    pub fn windows(&self, sku: &Sku) -> &[Window] {
        self.windows.get(sku).map_or(&[], |windows| windows)
    }

    /// Every window of every SKU; the SKUs in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (&Sku, &Window)> {
        self.windows.iter().flat_map(|(sku, windows)| windows.iter().map(move |window| (sku, window)))
    }

    /// The price of a SKU at an instant.
    pub fn price_at(&self, sku: &Sku, at: DateTime<Utc>) -> Option<&Window> {
        let windows = self.windows(sku);
        let started = windows.partition_point(|window| window.valid_from <= at);
        windows[..started].iter().rev().find(|window| window.contains(at))
    }
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
    windows.sort_unstable_by_key(|window| (window.valid_from, window.book_version));
    windows.into()
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
    #[error("entry {first} has the same SKU and valid_from")]
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
        if !seen.insert((&entry.sku, entry.valid_from)) {
            let same = |other: &PriceEntry| other.sku == entry.sku && other.valid_from == entry.valid_from;
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
            valid_from: at(from),
            valid_to: to.map(at),
        }
    }

    fn price(book: &PriceBook, sku: &str, second: i64) -> Option<i64> {
        let window = book.list(&list("WEB"))?.price_at(&sku.parse().unwrap(), at(second))?;
        Some(window.unit_price.micros())
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
            ]
        );
        assert_eq!(validate_entries(GBP, &entries[..1]), []);
    }

    /// SKU number, price, start and length.
    type Published = (u8, i64, i64, Option<i64>);

    fn publishes() -> impl Strategy<Value = Vec<Vec<Published>>> {
        let one = (0..3_u8, 1..1_000_i64, 0..30_i64, prop::option::of(1..20_i64));
        prop::collection::vec(prop::collection::vec(one, 0..6), 0..6)
    }

    proptest! {
        #[test]
        fn the_lookup_agrees_with_a_scan_of_everything_published(publishes in publishes(), instant in 0..60_i64) {
            let mut book = PriceBook::empty();
            let mut published: Vec<(PriceListId, Sku, Window)> = Vec::new();
            for (version, entries) in (1..).zip(&publishes) {
                let entries: Vec<PriceEntry> = entries
                    .iter()
                    .map(|(sku, micros, from, length)| {
                        entry(&format!("S{sku}"), *micros, *from, length.map(|length| from + length))
                    })
                    .collect();
                // A (SKU, valid_from) comes once per publish.
                let faults: HashSet<usize> = validate_entries(GBP, &entries).iter().map(|v| v.entry).collect();
                let entries: Vec<PriceEntry> =
                    entries.into_iter().enumerate().filter(|(i, _)| !faults.contains(i)).map(|(_, e)| e).collect();
                published.extend(entries.iter().map(|e| (list("WEB"), e.sku.clone(), Window {
                    valid_from: e.valid_from,
                    valid_to: e.valid_to,
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
                let expected = published
                    .iter()
                    .filter(|(_, code, window)| code.as_str() == sku && window.contains(at(instant)))
                    .max_by_key(|(_, _, window)| (window.valid_from, window.book_version))
                    .map(|(_, _, window)| window.unit_price.micros());
                prop_assert_eq!(price(&book, sku, instant), expected);
                prop_assert_eq!(price(&loaded, sku, instant), expected);
            }
        }
    }
}
