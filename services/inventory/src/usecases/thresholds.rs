//! What channels are told of SKUs that run low. Crossings are counted by whoever changes a level; here is what else
//! makes some: thresholds that are set, and channels that sell from elsewhere.

use std::sync::Arc;

use oneshelf_kit::{auth::Caller, idempotency::Key, outbox, pg};
use oneshelf_values::{ChannelId, Sku};

use super::{Error, Inventory, check_channel};
use crate::{
    domain::{
        event::Event,
        group::{Policies, PolicyChange, ThresholdLine},
        threshold::{Settled, Threshold},
    },
    events, store,
};

/// SKUs whose thresholds one round brings to where their channels sell from.
const ROUND: i64 = 100;

impl Inventory {
    /// All lines or none; answers the thresholds as they are then.
    pub async fn set_thresholds(
        &self,
        caller: &Caller,
        key: Key,
        lines: Vec<ThresholdLine>,
    ) -> Result<Vec<Threshold>, Error> {
        for line in &lines {
            check_channel(caller, Some(&line.key.1))?;
        }
        match self.set_policies(caller, key, PolicyChange::Thresholds(lines)).await? {
            Policies::Thresholds(thresholds) => Ok(thresholds),
            _ => Err(Error::Unexpected("other policies answered to a change of thresholds")),
        }
    }

    pub async fn list_thresholds(
        &self,
        caller: &Caller,
        sku: Option<&Sku>,
        channel: Option<&ChannelId>,
        after: (&str, &str),
        limit: i64,
    ) -> Result<Vec<Threshold>, Error> {
        check_channel(caller, channel)?;
        Ok(store::thresholds::list_thresholds(&self.pool, sku, channel, after, limit).await?)
    }

    /// Lets thresholds follow channels that sell from elsewhere by now; answers of how many SKUs. What levels give a channel
    /// is counted at all locations, so nothing but the sum changes, and no level is locked.
    pub async fn follow_channels(&self) -> Result<usize, Error> {
        let skus = store::thresholds::list_skus_behind(&self.pool, ROUND).await?;
        let behind = skus.len();
        if behind == 0 {
            return Ok(0);
        }
        let (schema, clock, skus) = (self.schema, self.clock.clone(), Arc::new(skus));
        pg::in_tx(&self.pool, move |conn| {
            let (clock, skus) = (clock.clone(), skus.clone());
            Box::pin(async move {
                let now = clock.now();
                let skus: Vec<&str> = skus.iter().map(String::as_str).collect();
                let mut thresholds = store::thresholds::lock_thresholds(conn, &skus, &[], &[]).await?.into_thresholds();
                // After the lock, so what it reads is what it will be compared with.
                let relocations = store::thresholds::find_relocations(conn, &thresholds).await?;
                let mut settled = Settled::default();
                for (threshold, relocation) in thresholds.iter_mut().zip(relocations) {
                    let Some(relocation) = relocation else { continue };
                    threshold.locations = relocation.locations;
                    settled.crossings.extend(threshold.settle(relocation.total, relocation.network_threshold));
                    settled.thresholds.push(threshold.clone());
                }
                store::thresholds::save_thresholds(conn, &settled).await?;
                let crossed: Vec<Event> = settled.crossings.into_iter().map(Event::StockCrossed).collect();
                outbox::append(conn, schema, &events::publish(&crossed, &clock, now), now).await?;
                Ok::<_, Error>(())
            })
        })
        .await?;
        Ok(behind)
    }
}
