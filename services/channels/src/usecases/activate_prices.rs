//! Shows the price of a window that starts, and takes back that of one that ends, when its time comes.
//!
//! Each listing keeps the next instant at which a window of its SKU starts or ends, so what is due is found by an index
//! and nothing is lost over a restart. Running twice changes nothing; several replicas may run at once.

use oneshelf_kit::pg;

use super::{Channels, Error, recompute};
use crate::store::{facts, registry};

/// Listings per transaction: it holds its channels' locks, and stock changes wait for those.
pub const STEP: i64 = 2_000;

impl Channels {
    /// Handles one bounded step of due windows; answers whether more may be due.
    pub async fn activate_prices(&self) -> Result<bool, Error> {
        let now = self.clock.now();
        let (due, advanced) = pg::in_tx(&self.pool, move |conn| {
            Box::pin(async move {
                registry::lock_shared(conn).await?;
                let due = facts::list_due_prices(conn, now, STEP).await?;
                let advanced = recompute(conn, &due, now).await?;
                Ok::<_, Error>((due.len(), advanced))
            })
        })
        .await?;
        self.wake.announce(&advanced);
        Ok(due as i64 == STEP)
    }
}
