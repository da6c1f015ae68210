//! Ends a hold, or moves its end: commit, release, extend.

use chrono::{DateTime, Utc};
use oneshelf_kit::{auth::Caller, idempotency::Key};
use oneshelf_values::HoldId;

use super::{Error, Inventory, execute::Job, hold_stock::hold_of};
use crate::domain::{
    group::{Command, CommitHold},
    hold::{StockHold, WantedUnits},
};

/// What is to be taken of a hold.
#[derive(Debug, Clone)]
pub struct Commit {
    pub hold_id: HoldId,
    /// `None`: everything.
    pub lines: Option<Vec<WantedUnits>>,
    /// `None`: now. Anything else needs the permission to backdate.
    pub effective_at: Option<DateTime<Utc>>,
}

impl Inventory {
    /// Takes held units to the customer; what is not named is released.
    pub async fn commit_hold(&self, caller: &Caller, key: Key, commit: Commit) -> Result<StockHold, Error> {
        let Commit { hold_id, lines, effective_at } = commit;
        let effective_at = self.effective_at(caller, effective_at)?;
        let commit = CommitHold { hold_id, lines, effective_at };
        self.resolve(caller, key, hold_id, Command::Commit(commit)).await
    }

    /// Gives all held units back.
    pub async fn release_hold(&self, caller: &Caller, key: Key, hold_id: HoldId) -> Result<StockHold, Error> {
        self.resolve(caller, key, hold_id, Command::Release { hold_id }).await
    }

    /// Moves the expiry of a live soft hold to `ttl` from now.
    pub async fn extend_hold(
        &self,
        caller: &Caller,
        key: Key,
        hold_id: HoldId,
        ttl: chrono::TimeDelta,
    ) -> Result<StockHold, Error> {
        let until = self.clock.now() + ttl;
        let longest = self.longest_soft_hold;
        self.resolve(caller, key, hold_id, Command::Extend { hold_id, until, longest }).await
    }

    async fn resolve(&self, caller: &Caller, key: Key, hold_id: HoldId, command: Command) -> Result<StockHold, Error> {
        if caller.channel().is_some() {
            self.get_hold(caller, hold_id).await?;
        }
        self.execute(Job::keyed(key, command)).await.and_then(hold_of)
    }
}
