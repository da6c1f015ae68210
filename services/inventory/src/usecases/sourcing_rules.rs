//! How channels are sourced, and what it costs at locations: set, read, listed.

use chrono::{DateTime, Utc};
use oneshelf_kit::{
    auth::Caller,
    idempotency::{self, Claim, Key},
    pg,
};
use oneshelf_values::{ChannelId, LocationId};

use super::{Error, Inventory, figures::locations_of};
pub use crate::store::sourcing::{StoredCosts, StoredRules};
use crate::{
    domain::{
        Refusal,
        sourcing::{Costs, Ladder, Rules},
    },
    store,
};

impl Inventory {
    /// Sets a channel's ladder; answers it with its version. What is so already is no new version.
    pub async fn set_sourcing_rules(
        &self,
        caller: &Caller,
        key: Key,
        channel: ChannelId,
        ladder: Ladder,
        expected: Option<i64>,
    ) -> Result<StoredRules, Error> {
        super::check_channel(caller, Some(&channel))?;
        let (schema, now, by) = (self.schema, self.clock.now(), caller.key_id().to_owned());
        pg::in_tx(&self.pool, move |conn| {
            let (key, channel, ladder, by) = (key.clone(), channel.clone(), ladder.clone(), by.clone());
            Box::pin(async move {
                match idempotency::claim(conn, schema, &key, now).await? {
                    Claim::Reused => return Err(Refusal::RequestIdReused.into()),
                    Claim::Answered(answer) => return Ok(store::sourcing::decode_rules(&answer)?),
                    Claim::New => {}
                }
                if !store::sourcing::lock_channel(conn, &channel).await? {
                    return Err(Refusal::ChannelNotFound { channel }.into());
                }
                let so_far = store::sourcing::find_rules(conn, &channel, None).await?;
                let found = so_far.as_ref().map_or(0, |stored| stored.rules.version);
                check_version(expected, found)?;
                let stored = match so_far {
                    Some(stored) if stored.rules.ladder == ladder => stored,
                    _ => {
                        let rules = Rules { ladder, version: found + 1 };
                        let stored = StoredRules { channel, rules, updated_at: Some(now), updated_by: by };
                        store::sourcing::insert_rules(conn, &stored, now).await?;
                        stored
                    }
                };
                idempotency::store(conn, schema, &key, &store::sourcing::encode_rules(&stored)).await?;
                Ok(stored)
            })
        })
        .await
    }

    /// A channel's rules of a version, or the newest; the default ladder where there are none.
    pub async fn get_sourcing_rules(
        &self,
        caller: &Caller,
        channel: ChannelId,
        version: Option<i64>,
    ) -> Result<StoredRules, Error> {
        super::check_channel(caller, Some(&channel))?;
        let mut conn = self.pool.acquire().await?;
        match (store::sourcing::find_rules(&mut conn, &channel, version).await?, version) {
            (Some(stored), _) => Ok(stored),
            (None, Some(version)) => Err(Refusal::SourcingRulesNotFound { channel, version }.into()),
            (None, None) => {
                drop(conn);
                locations_of(&self.pool, &channel).await?;
                Ok(StoredRules::default_of(channel))
            }
        }
    }

    /// The newest rules of each channel; a key that is bound to a channel sees that one's.
    pub async fn list_newest_rules(&self, caller: &Caller, after: &str, limit: i64) -> Result<Vec<StoredRules>, Error> {
        if let Some(bound) = caller.channel() {
            let mut conn = self.pool.acquire().await?;
            let found = store::sourcing::find_rules(&mut conn, bound, None).await?;
            return Ok(found.into_iter().filter(|stored| stored.channel.as_str() > after).collect());
        }
        Ok(store::sourcing::list_newest_rules(&self.pool, after, limit).await?)
    }

    /// All versions of a channel's rules before `before`, newest first.
    pub async fn list_rules_of(
        &self,
        caller: &Caller,
        channel: &ChannelId,
        before: i64,
        limit: i64,
    ) -> Result<Vec<StoredRules>, Error> {
        super::check_channel(caller, Some(channel))?;
        Ok(store::sourcing::list_rules_of(&self.pool, channel, before, limit).await?)
    }

    /// Sets what fulfilment costs at a location.
    pub async fn set_node_costs(
        &self,
        caller: &Caller,
        key: Key,
        location: LocationId,
        costs: Costs,
        expected: Option<i64>,
    ) -> Result<StoredCosts, Error> {
        let (schema, now, by) = (self.schema, self.clock.now(), caller.key_id().to_owned());
        pg::in_tx(&self.pool, move |conn| {
            let (key, location, by) = (key.clone(), location.clone(), by.clone());
            Box::pin(async move {
                match idempotency::claim(conn, schema, &key, now).await? {
                    Claim::Reused => return Err(Refusal::RequestIdReused.into()),
                    Claim::Answered(answer) => return decode_costs(&answer),
                    Claim::New => {}
                }
                if store::locations::lock_location(conn, &location).await?.is_none() {
                    return Err(Refusal::LocationNotFound { location }.into());
                }
                let so_far = store::sourcing::find_costs(conn, &[location.as_str()]).await?.remove(location.as_str());
                let found = so_far.as_ref().map_or(0, |stored| stored.version);
                check_version(expected, found)?;
                let stored = match so_far {
                    Some(stored) if stored.costs() == costs => stored,
                    _ => {
                        let stored = stored_costs(&location, costs, found + 1, now, by);
                        store::sourcing::upsert_costs(conn, &stored).await?;
                        stored
                    }
                };
                let answer = serde_json::to_vec(&stored).unwrap_or_default();
                idempotency::store(conn, schema, &key, &answer).await?;
                Ok(stored)
            })
        })
        .await
    }

    /// Costs by location, after `after`.
    pub async fn list_node_costs(&self, after: &str, limit: i64) -> Result<Vec<StoredCosts>, Error> {
        Ok(store::sourcing::list_costs(&self.pool, after, limit).await?)
    }
}

fn check_version(expected: Option<i64>, found: i64) -> Result<(), Refusal> {
    match expected {
        Some(expected) if expected != found => Err(Refusal::VersionMismatch { expected, found }),
        _ => Ok(()),
    }
}

fn stored_costs(location: &LocationId, costs: Costs, version: i64, now: DateTime<Utc>, by: String) -> StoredCosts {
    let Costs { parcel, unit, km, markdown } = costs;
    StoredCosts {
        location_id: location.to_string(),
        parcel,
        unit,
        km,
        markdown,
        version,
        updated_at: now,
        updated_by: by,
    }
}

fn decode_costs(answer: &[u8]) -> Result<StoredCosts, Error> {
    serde_json::from_slice(answer).map_err(|error| Error::Internal(sqlx::Error::Decode(error.into())))
}
