//! A shopper changes the cart: the new hold takes the place of the old one.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use oneshelf_values::{HoldId, hold::Standing};

use super::{
    super::{
        error::Refusal,
        hold::{HoldKind, StockHold},
        stock_level::LevelKey,
    },
    Answer, HoldStock, Shelf,
};

impl Shelf {
    /// Gives the units of a soft hold back and takes the new ones in one step, so that none counts twice.
    pub(super) fn replace(
        &mut self,
        command: &HoldStock,
        replaced: HoldId,
        now: DateTime<Utc>,
    ) -> Result<Answer, Refusal> {
        let old = self.existing(replaced)?;
        if old.kind() != HoldKind::Soft || old.shopper.is_none() || old.shopper != command.shopper {
            return Err(Refusal::HoldNotReplaceable { hold_id: replaced });
        }
        if old.promise.standing(now) == Standing::Committed {
            return Err(Refusal::HoldResolved { hold_id: replaced, state: Standing::Committed.as_str() });
        }
        // Time that was over before anybody asked is not held against the shopper.
        let since = if old.promise.standing(now) == Standing::Held { old.since } else { now };
        // On an excerpt first: a refusal must leave the old hold as it was.
        let mut trial = self.excerpt(old, command);
        trial.give_back(replaced, now)?;
        trial.hold(command, since, now)?;
        self.give_back(replaced, now)?;
        self.hold(command, since, now)
    }

    /// Gives the units of a hold back, whatever its time says.
    fn give_back(&mut self, hold_id: HoldId, now: DateTime<Utc>) -> Result<(), Refusal> {
        match self.existing(hold_id)?.promise.standing(now) {
            Standing::Held => self.release(hold_id, now).map(drop),
            Standing::Expired => self.expire(hold_id, now).map(drop),
            Standing::Released | Standing::Committed => Ok(()),
        }
    }

    /// What a replacement looks at, to be tried out.
    fn excerpt(&self, old: &StockHold, command: &HoldStock) -> Self {
        let kits = command.lines.iter().filter_map(|(key, _)| Some((key, self.rulebook.kits.get(&key.sku)?)));
        let parts = kits.flat_map(|(key, kit)| kit.keys(key));
        let looked_at: Vec<LevelKey> = parts.chain(self.looked_at(command)).collect();
        let keys: HashSet<&LevelKey> = old.lines.iter().map(|line| &line.key).chain(&looked_at).collect();
        Self {
            levels: keys.iter().filter_map(|key| Some(((*key).clone(), *self.levels.get(*key)?))).collect(),
            holds: HashMap::from([(old.hold_id, old.clone())]),
            rulebook: self.rulebook.excerpt(keys),
            counters: self.counters.clone(),
            boards: self.boards.clone(),
            days: self.days.clone(),
            ..Self::default()
        }
    }
}
