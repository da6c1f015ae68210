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
        self.windows
            .iter()
            .flat_map(|(sku, windows)| windows.iter().map(move |window| (sku, window)))
    }

    /// The price of a SKU at an instant.
    pub fn price_at(&self, sku: &Sku, at: DateTime<Utc>) -> Option<&Window> {
        let windows = self.windows(sku);
        let started = windows.partition_point(|window| window.valid_from <= at);
        windows[..started]
            .iter()
            .rev()
            .find(|window| window.contains(at))
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
    CurrencyMismatch {
        list: PriceListId,
        expected: Currency,
        found: Currency,
    },
}

impl PriceBook {
    /// Version 0, without any price.
    pub fn empty() -> Self {
        Self {
            version: 0,
            lists: HashMap::new(),
        }
    }

    /// The book as read back from where its windows are kept. Windows may come in any order.
    pub fn load(
        version: i64,
        lists: impl IntoIterator<Item = (PriceListId, Currency)>,
        windows: impl IntoIterator<Item = (PriceListId, Sku, Window)>,
    ) -> Result<Self, BookError> {
        let mut gathered: HashMap<PriceListId, (Currency, HashMap<Sku, Vec<Window>>)> = lists
            .into_iter()
            .map(|(list, currency)| (list, (currency, HashMap::new())))
            .collect();
        for (list, sku, window) in windows {
            let found = window.unit_price.currency();
            if window.book_version > version {
                return Err(BookError::NotNewer {
                    current: window.book_version,
                    new: version,
                });
            }
            let (expected, skus) = gathered
                .entry(list.clone())
                .or_insert_with(|| (found, HashMap::new()));
            if *expected != found {
                return Err(BookError::CurrencyMismatch {
                    list,
                    expected: *expected,
                    found,
                });
            }
            skus.entry(sku).or_default().push(window);
        }
        let lists = gathered.into_iter().map(|(list, (currency, skus))| {
            let windows = skus
                .into_iter()
                .map(|(sku, windows)| (sku, sorted(windows)))
                .collect();
            (list, Arc::new(ListPrices { currency, windows }))
        });
        Ok(Self {
            version,
            lists: lists.collect(),
        })
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
            return Err(BookError::NotNewer {
                current: self.version,
                new: version,
            });
        }
        let mismatch = |expected, found| BookError::CurrencyMismatch {
            list: list.clone(),
            expected,
            found,
        };
        let mut prices = match self.list(list) {
            Some(prices) if prices.currency != currency => {
                return Err(mismatch(prices.currency, currency));
            }
            Some(prices) => prices.clone(),
            None => ListPrices {
                currency,
                windows: HashMap::new(),
            },
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
            violations.push(EntryViolation {
                entry: index,
                fault,
            })
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
            let same =
                |other: &PriceEntry| other.sku == entry.sku && other.valid_from == entry.valid_from;
            let first = entries.iter().position(same).unwrap_or(index);
            found(EntryFault::Duplicate { first });
        }
    }
    violations
}
