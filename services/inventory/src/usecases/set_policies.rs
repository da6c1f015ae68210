//! Sets what is kept back, and lets time end ring-fences.

use std::collections::BTreeSet;

use oneshelf_kit::{auth::Caller, idempotency::Key};

use super::{Error, Inventory, execute::Job};
use crate::{
    domain::{
        group::{Answer, Command, Policies, PolicyChange, SetPolicies},
        stock_level::LevelKey,
    },
    store,
};

/// How many fences one round announces at most.
const ROUND: i64 = 500;

impl Inventory {
    /// All lines or none; answers the policies as they are then.
    pub async fn set_policies(&self, caller: &Caller, key: Key, change: PolicyChange) -> Result<Policies, Error> {
        let set = SetPolicies { change, by: caller.key_id().to_owned() };
        match self.submit(Job::keyed(key, Command::SetPolicies(set))).await? {
            Answer::Policies(policies) => Ok(policies),
            _ => Err(Error::Unexpected("no policies answered to a change of them")),
        }
    }

    /// Takes counters of caps away that count nothing.
    pub async fn prune_counters(&self) -> Result<u64, Error> {
        Ok(store::caps::prune_counters(&self.pool, ROUND).await?)
    }

    /// Announces levels of which lots have gone past promising with the day; answers how many were due. They have not been
    /// promised since then, announced or not.
    pub async fn tell_short_dated(&self) -> Result<usize, Error> {
        let today = self.clock.now().date_naive();
        let keys: BTreeSet<LevelKey> =
            store::lots::list_untold_lots(&self.pool, today, ROUND).await?.into_iter().collect();
        let due = keys.len();
        if due > 0 {
            let keys = keys.into_iter().collect();
            self.submit(Job::unkeyed(Command::TellShortDated { keys })).await?;
        }
        Ok(due)
    }

    /// Announces levels whose ring-fences ended by the clock; answers how many were due. The fences have not counted
    /// since then, announced or not.
    pub async fn release_fences(&self) -> Result<usize, Error> {
        let keys = store::policies::list_due_fences(&self.pool, self.clock.now(), ROUND).await?;
        let due = keys.len();
        if due > 0 {
            self.submit(Job::unkeyed(Command::ReleaseFences { keys })).await?;
        }
        Ok(due)
    }
}
