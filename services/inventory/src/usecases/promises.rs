//! What may be promised for a day, and promises of it.

use std::collections::BTreeSet;

use chrono::{DateTime, NaiveDate, Utc};
use oneshelf_kit::{auth::Caller, idempotency::Key};
use oneshelf_values::{ChannelId, LocationId, PromiseId, Sku, new_id};
use uuid::Uuid;

use super::{Error, Inventory, execute::Job};
use crate::{
    domain::{
        Refusal,
        document::{DocumentKind, HoldIds},
        group::{Answer, Command, PromiseAct, PromiseCommand},
        promise::{Promise, PromiseState},
        stock_level::LevelKey,
    },
    store,
};

/// Where something is to be promised from.
#[derive(Debug, Clone)]
pub enum PromiseFrom {
    Location(LocationId),
    Channel(ChannelId),
}

/// A command on a promise, as the caller says it.
#[derive(Debug, Clone)]
pub struct PromiseChange {
    pub key: Key,
    pub promise_id: PromiseId,
    pub expected_version: Option<i64>,
    pub act: PromiseAct,
}

impl Inventory {
    /// Per SKU and day what may be promised, both in the order asked; a channel's is the sum over its locations.
    pub async fn get_available_to_promise(
        &self,
        caller: &Caller,
        skus: &[Sku],
        from: &PromiseFrom,
        days: &[NaiveDate],
    ) -> Result<Vec<Vec<i64>>, Error> {
        let locations: Vec<LocationId> = match from {
            PromiseFrom::Location(location) => vec![self.get_location(location.clone()).await?.location_id],
            PromiseFrom::Channel(channel) => {
                super::check_channel(caller, Some(channel))?;
                let codes = store::channels::find_channel_locations(&self.pool, channel)
                    .await?
                    .ok_or_else(|| Refusal::ChannelNotFound { channel: channel.clone() })?;
                codes.iter().map(|code| store::parse("channels", "location_ids", code)).collect::<Result<_, _>>()?
            }
        };
        let keys: Vec<LevelKey> = skus
            .iter()
            .flat_map(|sku| locations.iter().map(|location| LevelKey { sku: sku.clone(), location: location.clone() }))
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect();
        let now = self.clock.now();
        let mut conn = self.pool.acquire().await?;
        let free = store::promises::list_free(&mut conn, skus, &locations, now).await?;
        let futures = store::promises::list_futures(&mut conn, &keys).await?;
        drop(conn);
        let today = now.date_naive();
        let promisable = |sku: &Sku, day: NaiveDate| -> i64 {
            locations
                .iter()
                .map(|location| LevelKey { sku: sku.clone(), location: location.clone() })
                .filter_map(|key| {
                    let shelf = free.get(&key).copied().unwrap_or(0);
                    Some(futures.get(&key)?.available_to_promise(shelf, day, today))
                })
                .sum()
        };
        Ok(skus.iter().map(|sku| days.iter().map(|day| promisable(sku, *day)).collect()).collect())
    }

    /// Answers the promise as the command left it.
    pub async fn change_promise(&self, caller: &Caller, change: PromiseChange) -> Result<Promise, Error> {
        match &change.act {
            PromiseAct::Promise(new) => super::check_channel(caller, new.channel.as_ref())?,
            _ if caller.channel().is_some() => drop(self.get_promise(caller, change.promise_id).await?),
            _ => {}
        }
        let command = Command::Promise(Box::new(PromiseCommand {
            promise_id: change.promise_id,
            expected_version: change.expected_version,
            hold_ids: HoldIds::new(new_id(&self.clock)),
            act: change.act,
        }));
        match self.execute(Job::keyed(change.key, command)).await? {
            Answer::Promise(promise) => Ok(*promise),
            _ => Err(Error::Unexpected("something else answered to a promise's command")),
        }
    }

    /// Reads a promise. A key bound to a channel sees only that channel's.
    pub async fn get_promise(&self, caller: &Caller, promise_id: PromiseId) -> Result<Promise, Error> {
        let mut conn = self.pool.acquire().await?;
        store::promises::find_promise(&mut conn, promise_id)
            .await?
            .filter(|promise| super::check_channel(caller, promise.channel.as_ref()).is_ok())
            .ok_or_else(|| Refusal::DocumentNotFound { kind: DocumentKind::Promise, id: promise_id.into() }.into())
    }

    pub async fn list_promises(
        &self,
        caller: &Caller,
        state: Option<PromiseState>,
        channel: Option<&ChannelId>,
        before: Option<(DateTime<Utc>, Uuid)>,
        limit: i64,
    ) -> Result<Vec<Promise>, Error> {
        super::check_channel(caller, channel)?;
        Ok(store::promises::list_promises(&self.pool, state, channel, before, limit).await?)
    }
}
