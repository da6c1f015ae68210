//! What other services said, as far as listings follow from it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use oneshelf_values::{ChannelId, LocationId, Sku, UnitPrice};

/// One stock level as inventory announced it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StockFact {
    pub sku: Sku,
    pub location_id: LocationId,
    pub available: i64,
    /// For channels that a rule names, where it is not `available`.
    pub channel_availables: BTreeMap<ChannelId, i64>,
    /// Of the SKU: off the sum over locations.
    pub network_threshold: i64,
    pub version: i64,
    pub changed_at: DateTime<Utc>,
}

/// The newest fact of each (SKU, location), in that order: a statement can take a row once only, and taking rows in one
/// order keeps two groups from waiting for each other in a circle.
pub fn newest(facts: Vec<StockFact>) -> Vec<StockFact> {
    let mut newest: BTreeMap<(Sku, LocationId), StockFact> = BTreeMap::new();
    for fact in facts {
        let key = (fact.sku.clone(), fact.location_id.clone());
        match newest.get(&key) {
            Some(known) if known.version >= fact.version => {}
            _ => {
                newest.insert(key, fact);
            }
        }
    }
    newest.into_values().collect()
}

/// One price window as catalog published it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PriceFact {
    pub channel_id: ChannelId,
    pub sku: Sku,
    pub unit_price: UnitPrice,
    pub valid_from: DateTime<Utc>,
    /// Exclusive; none: open.
    pub valid_to: Option<DateTime<Utc>>,
    pub book_version: i64,
    /// From when quotes use the book that brought it in.
    pub activate_at: DateTime<Utc>,
    /// As its event says; catalog counts a publication from its activation.
    pub published_at: DateTime<Utc>,
}

impl PriceFact {
    /// From when the window counts. Which of several counting windows decides is still a matter of `valid_from`.
    pub fn active_from(&self) -> DateTime<Utc> {
        self.valid_from.max(self.activate_at)
    }

    /// When the change of price that this window makes by `now` was committed: at its publication, or, for one that
    /// had to wait, when it began to count.
    pub fn source_at(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        let active_from = self.active_from();
        let at = if active_from <= now { self.published_at.max(active_from) } else { self.published_at };
        at.min(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fact(sku: &str, location: &str, version: i64) -> StockFact {
        StockFact {
            sku: sku.parse().unwrap(),
            location_id: location.parse().unwrap(),
            available: version * 10,
            channel_availables: BTreeMap::new(),
            network_threshold: 0,
            version,
            changed_at: DateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn of_several_facts_of_one_level_the_newest_stays_whatever_their_order() {
        let kept = newest(vec![fact("B", "X", 1), fact("A", "X", 3), fact("A", "X", 2), fact("B", "X", 4)]);
        assert_eq!(kept, [fact("A", "X", 3), fact("B", "X", 4)]);
    }

    #[test]
    fn a_window_that_waits_for_its_book_is_late_only_from_its_activation() {
        let at = |seconds| DateTime::from_timestamp(seconds, 0).unwrap();
        let fact = PriceFact {
            channel_id: "WEB".parse().unwrap(),
            sku: "A".parse().unwrap(),
            unit_price: UnitPrice::new(1, oneshelf_values::Currency::GBP),
            valid_from: at(10),
            valid_to: None,
            book_version: 1,
            activate_at: at(30),
            published_at: at(20),
        };
        assert_eq!(fact.active_from(), at(30));
        assert_eq!(fact.source_at(at(25)), at(20));
        assert_eq!(fact.source_at(at(31)), at(30));
        assert_eq!(fact.source_at(at(15)), at(15));
    }
}
