//! Movements between accounts that the caller names: all lines or none.

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, Utc};
use oneshelf_values::{LocationId, Sku};
use uuid::Uuid;

use super::Shelf;
use crate::domain::{
    consignment,
    error::Refusal,
    ledger::{Account, Movement},
    lot::{LotNumber, Units},
    reason::Reason,
    stock_level::{Level, LevelKey, Strength},
};

#[derive(Debug, Clone)]
pub struct PostMovement {
    pub movement_id: Uuid,
    pub location: LocationId,
    pub lines: Vec<PostLine>,
    pub reason: Reason,
    pub reference: String,
    pub effective_at: DateTime<Utc>,
}

/// Units that leave one account for another. At least one of them is a bucket of the level.
#[derive(Debug, Clone)]
pub struct PostLine {
    pub key: LevelKey,
    pub source: Account,
    pub target: Account,
    /// At least one.
    pub units: Units,
}

impl PostMovement {
    /// The lots that its lines name.
    pub fn lots(&self) -> HashSet<(Sku, LotNumber)> {
        let lines = self.lines.iter();
        lines.flat_map(|line| line.units.lots.iter().map(|named| (line.key.sku.clone(), named.lot.clone()))).collect()
    }
}

impl PostLine {
    /// Goods of a partner come or go back.
    pub fn consigns(&self) -> bool {
        [&self.source, &self.target].into_iter().any(|account| matches!(account, Account::Consignment(_)))
    }
}

impl Shelf {
    /// Books all lines or none; answers the resulting levels, one per distinct SKU, by key.
    pub fn post(&mut self, command: &PostMovement) -> Result<Vec<(LevelKey, Level)>, Refusal> {
        let mut moving = BTreeMap::new();
        for (place, line) in command.lines.iter().enumerate() {
            let accounts = (&line.source, &line.target);
            let (consignments, at) = (&self.rulebook.consignments, command.effective_at);
            consignment::check(consignments, &mut moving, place, &line.key, accounts, line.units.quantity, at)?;
        }
        let lots_before = self.lots_of(command.lines.iter().map(|line| &line.key.sku));
        let mut undo = Vec::with_capacity(command.lines.len());
        let outcome = command.lines.iter().enumerate().try_for_each(|(place, line)| {
            let level = self
                .levels
                .get_mut(&line.key)
                .ok_or_else(|| Refusal::LocationNotFound { location: command.location.clone() })?;
            undo.push((&line.key, *level));
            let Units { quantity, lots } = &line.units;
            for (account, delta) in [(&line.source, -quantity), (&line.target, *quantity)] {
                if let Account::Shelf(_, bucket) = account {
                    level.shift(&line.key, place, *bucket, delta, Strength::Correction)?;
                }
            }
            self.check_named(place, &line.key.sku, lots)?;
            for (account, delta) in [(&line.source, -quantity), (&line.target, *quantity)] {
                if let Account::Shelf(_, bucket) = account {
                    self.move_lots(&line.key, *bucket, delta, lots)?;
                }
            }
            Ok::<_, Refusal>(())
        });
        if let Err(refusal) = outcome {
            self.restore(undo);
            self.put_lots_back(lots_before);
            return Err(refusal);
        }
        for (place, line) in command.lines.iter().enumerate() {
            let movement = Movement {
                movement_id: command.movement_id,
                line: place,
                sku: line.key.sku.clone(),
                source: line.source.clone(),
                target: line.target.clone(),
                quantity: line.units.quantity,
                reason: command.reason.clone(),
                reference: command.reference.clone(),
                level_version: self.version_after(&line.key),
                effective_at: command.effective_at,
                lot: None,
            };
            self.book_by_lot(movement, &line.units.lots);
            self.touched.insert(line.key.clone());
        }
        Ok(self.levels_after(command.lines.iter().map(|line| &line.key)))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::domain::stock_level::Bucket;

    fn key() -> LevelKey {
        LevelKey { sku: "A".parse().unwrap(), location: "WH".parse().unwrap() }
    }

    fn bucket(bucket: Bucket) -> Account {
        Account::Shelf(key().location, bucket)
    }

    fn post(shelf: &mut Shelf, lines: &[(Account, Account, i64)]) -> Result<Level, Refusal> {
        let lines = lines
            .iter()
            .map(|(source, target, quantity)| PostLine {
                key: key(),
                source: source.clone(),
                target: target.clone(),
                units: (*quantity).into(),
            })
            .collect();
        let command = PostMovement {
            movement_id: Uuid::nil(),
            location: key().location,
            lines,
            reason: "condition_change".into(),
            reference: String::new(),
            effective_at: DateTime::from_timestamp(1_800_000_000, 0).unwrap(),
        };
        shelf.post(&command).map(|levels| levels[0].1)
    }

    #[test]
    fn units_change_their_bucket_and_all_lines_count_or_none() {
        let level = Level { sellable: 5, version: 1, ..Level::default() };
        let mut shelf = Shelf::new(HashMap::from([(key(), level)]), HashMap::new());
        let broken = (bucket(Bucket::Sellable), bucket(Bucket::Damaged), 2);
        let gone = (bucket(Bucket::Damaged), Account::Loss, 3);
        assert!(matches!(post(&mut shelf, &[broken.clone(), gone]), Err(Refusal::InsufficientStock { .. })));
        let after = post(&mut shelf, &[broken, (Account::Production, bucket(Bucket::Sellable), 4)]).unwrap();
        assert_eq!((after.sellable, after.damaged, after.version), (7, 2, 2));
        assert_eq!(shelf.finish(DateTime::UNIX_EPOCH).movements.len(), 2, "the refused lines left no trace");
    }

    #[test]
    fn an_unknown_location_is_said() {
        let mut shelf = Shelf::new(HashMap::new(), HashMap::new());
        let line = (Account::Found, bucket(Bucket::Sellable), 1);
        assert!(matches!(post(&mut shelf, &[line]), Err(Refusal::LocationNotFound { .. })));
    }
}
