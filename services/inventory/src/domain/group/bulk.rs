//! Many levels at once: each row is taken or refused by itself.
//!
//! Rows are applied in turn, so a bucket that is named twice ends as its last row says, and what a row expects is held
//! against what the rows before it left.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::Shelf;
use crate::domain::{
    error::Refusal,
    ledger::{Account, Movement},
    reason::Reason,
    stock_level::{Bucket, LevelKey, Strength},
};

/// Rows of one request, with what they have in common.
#[derive(Debug, Clone)]
pub struct BulkChange {
    pub movement_id: Uuid,
    /// A row that could not be read stands in its place with the reason.
    pub rows: Vec<Result<BulkRow, RowRefusal>>,
    pub reason: Reason,
    pub reference: String,
    pub effective_at: DateTime<Utc>,
}

#[derive(Debug, Clone)]
pub struct BulkRow {
    pub key: LevelKey,
    pub bucket: Bucket,
    pub change: RowChange,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowChange {
    /// The bucket shall hold so many, if what is expected is there.
    Set { quantity: i64, expected_quantity: Option<i64>, expected_version: Option<i64> },
    /// Not zero; negative leaves the shelf.
    Adjust { delta: i64 },
}

/// Why a row is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowRefusal {
    BadSku,
    BadLocation,
    BadBucket,
    BadQuantity,
    LocationNotFound,
    InsufficientStock,
    QuantityOverflow,
    LocationClosed,
    SkuIsKit,
    SkuTracked,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowOutcome {
    Applied,
    Unchanged,
    /// What was expected is not what is there.
    Conflict,
    Refused(RowRefusal),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowResult {
    pub outcome: RowOutcome,
    /// In the bucket after the row.
    pub quantity: i64,
    /// Of the level after the request.
    pub version: i64,
}

impl Shelf {
    /// Applies the rows in turn; one result each.
    pub fn change(&mut self, change: &BulkChange) -> Vec<RowResult> {
        let mut results: Vec<RowResult> = change
            .rows
            .iter()
            .enumerate()
            .map(|(place, row)| match row {
                Ok(row) => self.change_row(change, place, row),
                Err(refusal) => RowResult { outcome: RowOutcome::Refused(*refusal), quantity: 0, version: 0 },
            })
            .collect();
        // A level that any row changed has one new version for all of them.
        for (result, row) in results.iter_mut().zip(&change.rows) {
            if let Ok(row) = row {
                result.version = self.version_now(&row.key);
            }
        }
        results
    }

    fn change_row(&mut self, change: &BulkChange, place: usize, row: &BulkRow) -> RowResult {
        let version = self.version_now(&row.key);
        let result = |outcome, quantity| RowResult { outcome, quantity, version };
        let Some(level) = self.levels.get_mut(&row.key) else {
            return result(RowOutcome::Refused(RowRefusal::LocationNotFound), 0);
        };
        let before = level.bucket(row.bucket);
        let delta = match row.change {
            RowChange::Adjust { delta } => delta,
            RowChange::Set { quantity, expected_quantity, expected_version } => {
                let as_expected = expected_quantity.is_none_or(|expected| expected == before)
                    && expected_version.is_none_or(|expected| expected == version);
                if !as_expected {
                    return result(RowOutcome::Conflict, before);
                }
                quantity - before
            }
        };
        if delta == 0 {
            return result(RowOutcome::Unchanged, before);
        }
        if self.rulebook.tracked(&row.key.sku).is_some() {
            return result(RowOutcome::Refused(RowRefusal::SkuTracked), before);
        }
        if let Err(refusal) = level.shift(&row.key, place, row.bucket, delta, Strength::Correction) {
            let refusal = match refusal {
                Refusal::InsufficientStock { .. } => RowRefusal::InsufficientStock,
                Refusal::LocationClosed { .. } => RowRefusal::LocationClosed,
                Refusal::SkuIsKit { .. } => RowRefusal::SkuIsKit,
                _ => RowRefusal::QuantityOverflow,
            };
            return result(RowOutcome::Refused(refusal), before);
        }
        let shelf = Account::Shelf(row.key.location.clone(), row.bucket);
        let (source, target) = if delta < 0 { (shelf, Account::Loss) } else { (Account::Found, shelf) };
        self.movements.push(Movement {
            movement_id: change.movement_id,
            line: place,
            sku: row.key.sku.clone(),
            source,
            target,
            quantity: delta.abs(),
            reason: change.reason.clone(),
            reference: change.reference.clone(),
            level_version: self.version_after(&row.key),
            effective_at: change.effective_at,
            lot: None,
        });
        self.touched.insert(row.key.clone());
        result(RowOutcome::Applied, before + delta)
    }

    /// The version a level has, or will have once this group is written.
    fn version_now(&self, key: &LevelKey) -> i64 {
        let version = self.levels.get(key).map_or(0, |level| level.version);
        version + i64::from(self.touched.contains(key))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashMap};

    use proptest::prelude::*;

    use super::*;
    use crate::domain::stock_level::Level;

    fn key(sku: u8) -> LevelKey {
        LevelKey { sku: format!("SKU-{sku}").parse().unwrap(), location: "WH".parse().unwrap() }
    }

    fn change(rows: Vec<Result<BulkRow, RowRefusal>>) -> BulkChange {
        BulkChange {
            movement_id: Uuid::nil(),
            rows,
            reason: "adjust_count".into(),
            reference: String::new(),
            effective_at: DateTime::from_timestamp(1_800_000_000, 0).unwrap(),
        }
    }

    fn set(sku: u8, quantity: i64, expected_quantity: Option<i64>, expected_version: Option<i64>) -> BulkRow {
        let change = RowChange::Set { quantity, expected_quantity, expected_version };
        BulkRow { key: key(sku), bucket: Bucket::Sellable, change }
    }

    fn shelf() -> Shelf {
        let level = Level { sellable: 5, hard_held: 4, version: 7, ..Level::default() };
        Shelf::new(HashMap::from([(key(0), level)]), HashMap::new())
    }

    fn outcomes(results: &[RowResult]) -> Vec<RowOutcome> {
        results.iter().map(|result| result.outcome).collect()
    }

    #[test]
    fn a_set_takes_place_where_what_is_expected_is_there() {
        let mut shelf = shelf();
        let results = shelf.change(&change(vec![
            Ok(set(0, 9, Some(4), None)),
            Ok(set(0, 9, None, Some(6))),
            Ok(set(0, 5, None, None)),
            Ok(set(0, 9, Some(5), Some(7))),
            Ok(set(1, 1, None, None)),
            Err(RowRefusal::BadSku),
        ]));
        assert_eq!(
            outcomes(&results),
            [
                RowOutcome::Conflict,
                RowOutcome::Conflict,
                RowOutcome::Unchanged,
                RowOutcome::Applied,
                RowOutcome::Refused(RowRefusal::LocationNotFound),
                RowOutcome::Refused(RowRefusal::BadSku),
            ]
        );
        assert_eq!((results[0].quantity, results[3].quantity, results[3].version), (5, 9, 8));
        let changes = shelf.finish(DateTime::UNIX_EPOCH);
        assert_eq!((changes.levels.len(), changes.movements.len(), changes.events.len()), (1, 1, 1));
    }

    #[test]
    fn the_same_row_twice_expects_what_the_first_left() {
        let mut shelf = shelf();
        let row = set(0, 2, Some(5), Some(7));
        let results = shelf.change(&change(vec![Ok(row.clone()), Ok(row)]));
        assert_eq!(outcomes(&results), [RowOutcome::Applied, RowOutcome::Conflict]);
        let level = shelf.finish(DateTime::UNIX_EPOCH).levels[0].1;
        assert_eq!((level.sellable, level.free(), level.oversold()), (2, -2, 2), "promised stays promised");
    }

    #[test]
    fn an_adjustment_takes_at_most_what_is_there_and_its_neighbours_go_on() {
        let mut shelf = shelf();
        let adjust = |delta| Ok(BulkRow { change: RowChange::Adjust { delta }, ..set(0, 0, None, None) });
        let results = shelf.change(&change(vec![adjust(-6), adjust(-5), adjust(i64::MAX), adjust(3)]));
        assert_eq!(
            outcomes(&results),
            [
                RowOutcome::Refused(RowRefusal::InsufficientStock),
                RowOutcome::Applied,
                RowOutcome::Refused(RowRefusal::QuantityOverflow),
                RowOutcome::Applied,
            ]
        );
        assert_eq!(shelf.finish(DateTime::UNIX_EPOCH).levels[0].1.sellable, 3);
    }

    proptest! {
        /// What is in the levels is what was there and what the ledger says flowed, and the last applied set counts.
        #[test]
        fn levels_are_what_flowed(rows in prop::collection::vec((0u8..3, 0i64..9, prop::option::of(0i64..9), any::<bool>()), 0..40)) {
            let start: HashMap<LevelKey, Level> =
                (0..3).map(|sku| (key(sku), Level { sellable: i64::from(sku), ..Level::default() })).collect();
            let mut shelf = Shelf::new(start.clone(), HashMap::new());
            let rows: Vec<BulkRow> = rows
                .into_iter()
                .map(|(sku, quantity, expected, adjusts)| {
                    if adjusts {
                        BulkRow { change: RowChange::Adjust { delta: quantity - 4 }, ..set(sku, 0, None, None) }
                    } else {
                        set(sku, quantity, expected, None)
                    }
                })
                .collect();
            let results = shelf.change(&change(rows.iter().cloned().map(Ok).collect()));
            let mut model: BTreeMap<LevelKey, i64> = start.iter().map(|(key, level)| (key.clone(), level.sellable)).collect();
            for (row, result) in rows.iter().zip(&results) {
                if result.outcome == RowOutcome::Applied {
                    model.insert(row.key.clone(), result.quantity);
                }
                prop_assert_eq!(model[&row.key], result.quantity);
            }
            let changes = shelf.finish(DateTime::UNIX_EPOCH);
            for (key, level) in &changes.levels {
                let flowed: i64 = changes
                    .movements
                    .iter()
                    .filter(|movement| movement.sku == key.sku)
                    .map(|movement| if movement.target == Account::Loss { -movement.quantity } else { movement.quantity })
                    .sum();
                prop_assert_eq!(level.sellable, start[key].sellable + flowed);
                prop_assert_eq!(level.sellable, model[key]);
            }
        }
    }
}
