//! Takes over stock levels as inventory announced them. Newer wins; older and repeated changes nothing.
//!
//! A whole group of events costs four round trips, whatever its size:
//!
//! | round trip | what |
//! |---|---|
//! | 1 | hold the registry as it is |
//! | 2 | write newer facts, find the touched listings |
//! | 3 | lock their channels |
//! | 4 | compute and write what changed |

use sqlx::PgConnection;

use super::{Channels, recompute};
use crate::{
    domain::fact::{StockFact, newest},
    store::{facts, registry},
};

impl Channels {
    /// Part of the consumer's transaction.
    pub async fn apply_stock(&self, conn: &mut PgConnection, announced: Vec<StockFact>) -> Result<(), sqlx::Error> {
        registry::lock_shared(conn).await?;
        let touched = facts::upsert_stock_facts(conn, &newest(announced)).await?;
        let advanced = recompute(conn, &touched, self.clock.now()).await?;
        self.wake.announce(&advanced);
        Ok(())
    }
}
