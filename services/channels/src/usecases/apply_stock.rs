//! Takes over stock levels as inventory announced them. Newer wins; older and repeated changes nothing.
//!
//! A whole group of events costs four round trips, whatever its size:
//!
//! | round trip | what |
//! |---|---|
//! | 1 | hold the registry as it is |
//! | 2 | write newer facts, find the touched listings |
//! | 3 | lock their channels |
//! | 4 | write what is available now into the listings in which it changed |
//! | 5 | compute listings that are new; rarely there are any |

use sqlx::PgConnection;

use super::{Channels, lock};
use crate::{
    domain::fact::{StockFact, newest},
    store::{
        facts,
        listings::{self, Scope},
        registry,
    },
};

impl Channels {
    /// Part of the consumer's transaction.
    pub async fn apply_stock(&self, conn: &mut PgConnection, announced: Vec<StockFact>) -> Result<(), sqlx::Error> {
        registry::lock_shared(conn).await?;
        let touched = facts::upsert_stock_facts(conn, &newest(announced)).await?;
        if touched.is_empty() {
            return Ok(());
        }
        lock(conn, &touched).await?;
        let now = self.clock.now();
        let (mut advanced, missing) = listings::update_available(conn, &touched, now).await?;
        if !missing.is_empty() {
            // After the others, so that a channel's newest number comes last.
            advanced.extend(listings::recompute_listings(conn, Scope::Touched(&missing), now).await?);
        }
        self.wake.announce(&advanced);
        Ok(())
    }
}
