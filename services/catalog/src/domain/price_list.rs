//! Price lists, their entries, and what one publish makes of them: the next version of the price book.
//!
//! The book is one sequence of versions over all lists. Version n is every entry that came in by version n, so it never
//! changes; an entry of the same list, SKU and start in a later version stands in for the earlier one. A version is
//! used from its activation instant on, and what is scheduled cannot be seen before: entries of a publish that
//! activates later start, at the earliest, with its activation. So a version published in the meantime, which holds
//! them too, gives the same prices until then.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use oneshelf_pricing::{EntryFault, PriceEntry, Rise, Window, find_rise, validate_entries};
use oneshelf_values::{ChannelId, Currency, PriceListId, Sku, UnitPrice};

use super::Refusal;

/// A named set of prices in one currency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PriceList {
    pub price_list_id: PriceListId,
    pub title: String,
    pub currency: Currency,
    /// `None`: a list for the partners that name it.
    pub channel: Option<ChannelId>,
    /// A larger quantity may cost more per unit.
    pub rising_tiers: bool,
    pub version: i64,
    pub created_at: DateTime<Utc>,
}

/// An entry as it is asked to be published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPrice {
    pub sku: Sku,
    pub unit_price: UnitPrice,
    /// The price counts from so many units on.
    pub min_quantity: i64,
    /// `None`: from the activation on.
    pub valid_from: Option<DateTime<Utc>>,
    pub valid_to: Option<DateTime<Utc>>,
}

/// A price as it was published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedPrice {
    pub entry: PriceEntry,
    /// The version that brought it in.
    pub book_version: i64,
}

/// A place in a list's prices, which go by SKU, tier and start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PricePlace {
    pub sku: Sku,
    pub min_quantity: i64,
    pub valid_from: DateTime<Utc>,
}

impl PricePlace {
    pub fn of(entry: &PriceEntry) -> Self {
        Self { sku: entry.sku.clone(), min_quantity: entry.min_quantity, valid_from: entry.valid_from }
    }
}

/// A place in a list's changes, which go by version, SKU, tier and start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangePlace {
    pub book_version: i64,
    /// `None`: the version is complete.
    pub entry: Option<PricePlace>,
}

/// One version of the price book.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BookVersion {
    pub book_version: i64,
    pub activate_at: DateTime<Utc>,
    pub published_at: DateTime<Utc>,
    pub price_list_id: PriceListId,
    pub entry_count: i32,
}

/// One publish, before it has its version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publication {
    pub activate_at: DateTime<Utc>,
    pub published_at: DateTime<Utc>,
    /// Each with its window settled.
    pub entries: Vec<PriceEntry>,
}

/// What is wrong with the entry at `line`, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntryRefusal {
    pub line: usize,
    pub fault: Fault,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("must not be before the activation, which lies ahead")]
    StartsBeforeActivation,
    #[error("from {from} on, {higher} units would cost more each than {lower}")]
    TierRises { lower: i64, higher: i64, from: DateTime<Utc> },
    #[error(transparent)]
    Entry(EntryFault),
}

impl Publication {
    /// Settles the windows of a publish made `now` and looks at every entry. An activation in the past means now.
    pub fn settle(
        currency: Currency,
        entries: &[NewPrice],
        activate_at: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> Result<Self, Refusal> {
        let mut currencies = entries.iter().map(|entry| entry.unit_price.currency()).enumerate();
        if let Some((entry, found)) = currencies.find(|(_, found)| *found != currency) {
            return Err(Refusal::CurrencyMismatch { expected: currency, found, entry: Some(entry) });
        }
        let activate_at = activate_at.map_or(now, |at| at.max(now));
        let entries: Vec<PriceEntry> = entries
            .iter()
            .map(|entry| PriceEntry {
                sku: entry.sku.clone(),
                unit_price: entry.unit_price,
                min_quantity: entry.min_quantity,
                valid_from: entry.valid_from.unwrap_or(activate_at),
                valid_to: entry.valid_to,
            })
            .collect();
        let early = entries
            .iter()
            .enumerate()
            .filter(|(_, entry)| activate_at > now && entry.valid_from < activate_at)
            .map(|(line, _)| EntryRefusal { line, fault: Fault::StartsBeforeActivation });
        let malformed = validate_entries(currency, &entries)
            .into_iter()
            .map(|violation| EntryRefusal { line: violation.entry, fault: Fault::Entry(violation.fault) });
        let faults: Vec<EntryRefusal> = early.chain(malformed).collect();
        if faults.is_empty() {
            Ok(Self { activate_at, published_at: now, entries })
        } else {
            Err(Refusal::Entries(faults))
        }
    }

    /// Looks, for each SKU of this publish, at all windows that its list would have as of `book_version`: `known` are those
    /// that it has. No larger quantity may cost more per unit, at any instant.
    pub fn check_tiers(&self, known: Vec<(Sku, Window)>, book_version: i64) -> Result<(), Refusal> {
        let mut windows: HashMap<Sku, Vec<Window>> = HashMap::new();
        let added = self.entries.iter().map(|entry| {
            let PriceEntry { ref sku, unit_price, min_quantity, valid_from, valid_to } = *entry;
            (sku.clone(), Window { valid_from, valid_to, min_quantity, unit_price, book_version })
        });
        for (sku, window) in known.into_iter().chain(added) {
            windows.entry(sku).or_default().push(window);
        }
        let mut rises: HashMap<Sku, Rise> = HashMap::new();
        for (sku, windows) in windows {
            if let Some(rise) = find_rise(windows) {
                rises.insert(sku, rise);
            }
        }
        // Each rise is told of the entry that brings it: of the higher tier if that is new, else of the lower.
        let is = |entry: &PriceEntry, window: &Window| {
            (window.book_version, window.min_quantity, window.valid_from)
                == (book_version, entry.min_quantity, entry.valid_from)
        };
        let brings = |entry: &PriceEntry, rise: &Rise| {
            let of_higher = rise.higher_tier.book_version == book_version;
            is(entry, if of_higher { &rise.higher_tier } else { &rise.lower_tier })
        };
        let faults: Vec<EntryRefusal> = self
            .entries
            .iter()
            .enumerate()
            .filter_map(|(line, entry)| {
                let rise = rises.get(&entry.sku).filter(|rise| brings(entry, rise))?;
                let (lower, higher) = (rise.lower_tier.min_quantity, rise.higher_tier.min_quantity);
                Some(EntryRefusal { line, fault: Fault::TierRises { lower, higher, from: rise.at } })
            })
            .collect();
        if faults.is_empty() { Ok(()) } else { Err(Refusal::Entries(faults)) }
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    fn now() -> DateTime<Utc> {
        "2026-11-23T10:00:00Z".parse().unwrap()
    }

    fn at(hours: i64) -> DateTime<Utc> {
        now() + TimeDelta::hours(hours)
    }

    fn price(sku: &str, from: Option<i64>, to: Option<i64>) -> NewPrice {
        NewPrice {
            sku: sku.parse().unwrap(),
            unit_price: UnitPrice::new(1_250_000, Currency::GBP),
            min_quantity: 1,
            valid_from: from.map(at),
            valid_to: to.map(at),
        }
    }

    fn settle(entries: Vec<NewPrice>, activate: Option<i64>) -> Result<Publication, Refusal> {
        Publication::settle(Currency::GBP, &entries, activate.map(at), now())
    }

    fn faults(entries: Vec<NewPrice>, activate: Option<i64>) -> Vec<(usize, Fault)> {
        match settle(entries, activate) {
            Ok(_) => vec![],
            Err(Refusal::Entries(faults)) => faults.iter().map(|f| (f.line, f.fault)).collect(),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn without_a_start_a_price_begins_with_the_activation() {
        let scheduled = settle(vec![price("A", None, None)], Some(5)).unwrap();
        assert_eq!((scheduled.activate_at, scheduled.entries[0].valid_from), (at(5), at(5)));
        let at_once = settle(vec![price("A", None, None)], None).unwrap();
        assert_eq!((at_once.activate_at, at_once.entries[0].valid_from), (now(), now()));
    }

    #[test]
    fn an_activation_in_the_past_means_now() {
        let late = settle(vec![price("A", Some(-9), None)], Some(-1)).unwrap();
        assert_eq!((late.activate_at, late.entries[0].valid_from), (now(), at(-9)));
    }

    #[test]
    fn what_is_scheduled_starts_at_its_activation_or_later() {
        use Fault::StartsBeforeActivation;
        assert_eq!(faults(vec![price("A", Some(5), None), price("B", Some(6), None)], Some(5)), []);
        assert_eq!(
            faults(vec![price("A", None, None), price("B", Some(4), None)], Some(5)),
            [(1, StartsBeforeActivation)]
        );
        assert_eq!(faults(vec![price("B", Some(-900), None)], None), []);
    }

    #[test]
    fn every_fault_of_every_entry_is_named() {
        let entries = vec![
            price("A", None, Some(-1)),
            price("B", Some(1), Some(1)),
            price("A", Some(0), None),
            price("A", Some(1), Some(2)),
        ];
        let expected = [
            (0, Fault::Entry(EntryFault::EmptyWindow)),
            (1, Fault::Entry(EntryFault::EmptyWindow)),
            (2, Fault::Entry(EntryFault::Duplicate { first: 0 })),
        ];
        assert_eq!(faults(entries, None), expected);
    }

    #[test]
    fn a_rise_is_told_of_the_entry_that_brings_it() {
        let tier = |min_quantity, micros, from| NewPrice {
            min_quantity,
            unit_price: UnitPrice::new(micros, Currency::GBP),
            ..price("A", Some(from), None)
        };
        let window = |min_quantity, micros, from, book_version| Window {
            valid_from: at(from),
            valid_to: None,
            min_quantity,
            unit_price: UnitPrice::new(micros, Currency::GBP),
            book_version,
        };
        let known = || vec![window(1, 100, 0, 1), window(10, 90, 0, 1)].into_iter().map(|w| ("A".parse().unwrap(), w));
        let checked = |entries: Vec<NewPrice>| match settle(entries, None).unwrap().check_tiers(known().collect(), 2) {
            Ok(()) => vec![],
            Err(Refusal::Entries(faults)) => faults.iter().map(|found| (found.line, found.fault)).collect(),
            Err(other) => panic!("{other}"),
        };
        let rises = |lower, higher, from| Fault::TierRises { lower, higher, from: at(from) };
        assert_eq!(checked(vec![price("B", None, None), tier(10, 100, 3)]), []);
        assert_eq!(checked(vec![price("B", None, None), tier(10, 101, 3)]), [(1, rises(1, 10, 3))]);
        assert_eq!(checked(vec![tier(1, 89, 5), price("B", None, None)]), [(0, rises(1, 10, 5))]);
        assert_eq!(checked(vec![tier(1, 80, 5), tier(10, 70, 5)]), [], "both fall");
        assert_eq!(checked(vec![tier(1, 80, 5), tier(10, 70, 6)]), [(0, rises(1, 10, 5))], "but one hour too late");
        assert_eq!(checked(vec![tier(20, 95, 2), tier(10, 95, 3)]), [(0, rises(10, 20, 2))]);
    }

    #[test]
    fn an_entry_in_another_currency_is_refused() {
        let mut entry = price("A", None, None);
        entry.unit_price = UnitPrice::new(1, Currency::EUR);
        let expected = Refusal::CurrencyMismatch { expected: Currency::GBP, found: Currency::EUR, entry: Some(1) };
        assert_eq!(settle(vec![price("B", None, None), entry], None), Err(expected));
    }
}
