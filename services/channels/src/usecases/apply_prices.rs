//! Takes over price windows as catalog published them, for the channels whose lists they are.

use std::collections::BTreeMap;

use sqlx::PgConnection;

use super::{Channels, recompute};
use crate::{
    domain::fact::PriceFact,
    store::{
        facts::{self, Touched},
        registry,
    },
};

impl Channels {
    /// Part of the consumer's transaction. Prices of a channel that is not registered (yet) are kept for when it is.
    pub async fn apply_prices(&self, conn: &mut PgConnection, published: &[PriceFact]) -> Result<(), sqlx::Error> {
        let now = self.clock.now();
        registry::lock_shared(conn).await?;
        facts::insert_price_facts(conn, published).await?;
        let mut latest = BTreeMap::new();
        for fact in published {
            let source_at = fact.source_at(now);
            latest.entry((&fact.channel_id, &fact.sku)).and_modify(|at| *at = source_at.max(*at)).or_insert(source_at);
        }
        let touched: Vec<Touched> = latest
            .into_iter()
            .map(|((channel_id, sku), source_at)| Touched {
                channel_id: channel_id.to_string(),
                sku: sku.to_string(),
                source_at,
            })
            .collect();
        let advanced = recompute(conn, &touched, now).await?;
        self.wake.announce(&advanced);
        Ok(())
    }
}
