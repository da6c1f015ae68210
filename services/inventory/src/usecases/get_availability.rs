//! What a channel may sell now, for many SKUs at once.
//!
//! Answered from a cache in this process in front of PostgreSQL. An entry is at most `max_age` old, and the answer says
//! the age of its oldest part; a promise is never made from here, only HoldStock gives permission to sell. SKUs that
//! are missing or too old are read together with one statement.

use std::{collections::HashMap, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use oneshelf_kit::auth::Caller;
use oneshelf_values::{ChannelId, Clock, LocationId, Sku};

use super::{Error, Inventory};
use crate::{domain::Refusal, store};

/// One location's part.
#[derive(Debug, Clone)]
pub struct Part {
    pub location: LocationId,
    pub available: i64,
    pub version: i64,
}

/// What a channel may sell of one SKU.
#[derive(Debug, Clone)]
pub struct Availability {
    pub sku: Sku,
    pub parts: Arc<[Part]>,
}

#[derive(Clone)]
struct Entry {
    read_at: DateTime<Utc>,
    parts: Arc<[Part]>,
}

/// Recently read availability by (channel, SKU); bounded.
pub struct AvailabilityCache {
    entries: moka::sync::Cache<(ChannelId, Sku), Entry>,
    channels: moka::sync::Cache<ChannelId, Arc<[String]>>,
    max_age: chrono::TimeDelta,
}

impl AvailabilityCache {
    /// `max_age` is the bound on staleness that answers state; `capacity` bounds the number of (channel, SKU) entries.
    pub fn new(max_age: Duration, capacity: u64) -> Self {
        Self {
            entries: moka::sync::Cache::builder().max_capacity(capacity).time_to_live(max_age * 2).build(),
            channels: moka::sync::Cache::builder().max_capacity(10_000).time_to_live(max_age).build(),
            max_age: chrono::TimeDelta::from_std(max_age).unwrap_or(chrono::TimeDelta::seconds(1)),
        }
    }

    fn fresh(&self, key: &(ChannelId, Sku), clock: &Clock) -> Option<Entry> {
        self.entries.get(key).filter(|entry| clock.now() - entry.read_at <= self.max_age)
    }
}

impl Inventory {
    /// Answers in the order asked, with the age of the oldest part.
    pub async fn get_availability(
        &self,
        caller: &Caller,
        channel: &ChannelId,
        skus: Vec<Sku>,
    ) -> Result<(Vec<Availability>, chrono::TimeDelta), Error> {
        super::check_channel(caller, Some(channel))?;
        let cache = &*self.availability;
        let mut found: Vec<Option<Entry>> =
            skus.iter().map(|sku| cache.fresh(&(channel.clone(), sku.clone()), &self.clock)).collect();
        if found.iter().any(Option::is_none) {
            let missing: Vec<&Sku> =
                skus.iter().zip(&found).filter(|(_, entry)| entry.is_none()).map(|(sku, _)| sku).collect();
            let mut read = self.read_availability(channel, &missing).await?;
            for (sku, entry) in skus.iter().zip(&mut found).filter(|(_, entry)| entry.is_none()) {
                let fresh = read.remove(sku).or_else(|| cache.entries.get(&(channel.clone(), sku.clone())));
                if let Some(fresh) = fresh {
                    cache.entries.insert((channel.clone(), sku.clone()), fresh.clone());
                    *entry = Some(fresh);
                }
            }
        }
        let now = self.clock.now();
        let age = found.iter().flatten().map(|entry| now - entry.read_at).max().unwrap_or_default();
        let answers = skus
            .into_iter()
            .zip(found)
            .map(|(sku, entry)| Availability { sku, parts: entry.map_or_else(|| Arc::from([]), |entry| entry.parts) })
            .collect();
        Ok((answers, age))
    }

    async fn read_availability(&self, channel: &ChannelId, skus: &[&Sku]) -> Result<HashMap<Sku, Entry>, Error> {
        let read_at = self.clock.now();
        let locations = if let Some(locations) = self.availability.channels.get(channel) {
            locations
        } else {
            let locations: Arc<[String]> = store::channels::find_channel_locations(&self.pool, channel)
                .await?
                .ok_or_else(|| Refusal::ChannelNotFound { channel: channel.clone() })?
                .into();
            self.availability.channels.insert(channel.clone(), locations.clone());
            locations
        };
        let codes: Vec<&str> = skus.iter().map(|sku| sku.as_str()).collect();
        let rows = store::channels::sum_availability(&self.pool, &codes, &locations, read_at).await?;
        let mut parts: HashMap<Sku, Vec<Part>> = skus.iter().map(|sku| ((*sku).clone(), Vec::new())).collect();
        for row in rows {
            let sku: Sku = store::parse("stock_levels", "sku", &row.sku)?;
            parts.entry(sku).or_default().push(Part {
                location: store::parse("stock_levels", "location_id", &row.location_id)?,
                available: row.available,
                version: row.version,
            });
        }
        Ok(parts.into_iter().map(|(sku, parts)| (sku, Entry { read_at, parts: parts.into() })).collect())
    }
}
