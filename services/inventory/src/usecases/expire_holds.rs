//! Records holds whose time is over, so that their units count as free for everybody.

use super::{Error, Inventory, execute::Job};
use crate::{domain::group::Command, store};

/// How many holds one round records at most.
const ROUND: i64 = 512;

impl Inventory {
    /// Records up to one round of expired holds; answers how many were due. Running it twice changes nothing more.
    pub async fn expire_holds(&self) -> Result<usize, Error> {
        let mut conn = self.pool.acquire().await?;
        let due = store::holds::list_expired_holds(&mut conn, self.clock.now(), ROUND).await?;
        drop(conn);
        let jobs = due.iter().map(|hold_id| self.submit(Job::unkeyed(Command::Expire { hold_id: (*hold_id).into() })));
        for outcome in futures::future::join_all(jobs).await {
            outcome?;
        }
        Ok(due.len())
    }
}
