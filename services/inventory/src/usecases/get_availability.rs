//! What a channel may sell now, for many SKUs at once.
//!
//! Answered from a cache in this process in front of PostgreSQL. An entry is at most `max_age` old, and the answer says
//! the age of its oldest part; a promise is never made from here, only HoldStock gives permission to sell. SKUs that
//! are missing or too old are read together with one statement.

use std::{collections::HashMap, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use oneshelf_kit::auth::Caller;
use oneshelf_values::{ChannelId, Clock, LocationId, Sku};

use super::{Error, Inventory, figures::Who};
use crate::domain::availability::{self, Band};

/// One location's part: what a hold there would be granted.
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
    /// The sum of the parts, less the network threshold.
    pub available: i64,
    pub band: Band,
    pub parts: Arc<[Part]>,
}

#[derive(Clone)]
struct Entry {
    read_at: DateTime<Utc>,
    available: i64,
    band: Band,
    parts: Arc<[Part]>,
}

/// Recently read availability by who asks and SKU; bounded.
pub struct AvailabilityCache {
    entries: moka::sync::Cache<(Who, Sku), Entry>,
    channels: moka::sync::Cache<ChannelId, Arc<[String]>>,
    max_age: chrono::TimeDelta,
}

impl AvailabilityCache {
    /// `max_age` is the bound on staleness that answers state; `capacity` bounds the number of entries.
    pub fn new(max_age: Duration, capacity: u64) -> Self {
        Self {
            entries: moka::sync::Cache::builder().max_capacity(capacity).time_to_live(max_age * 2).build(),
            channels: moka::sync::Cache::builder().max_capacity(10_000).time_to_live(max_age).build(),
            max_age: chrono::TimeDelta::from_std(max_age).unwrap_or(chrono::TimeDelta::seconds(1)),
        }
    }

    fn fresh(&self, key: &(Who, Sku), clock: &Clock) -> Option<Entry> {
        self.entries.get(key).filter(|entry| clock.now() - entry.read_at <= self.max_age)
    }
}

impl Inventory {
    /// Answers in the order asked, with the age of the oldest part.
    pub async fn get_availability(
        &self,
        caller: &Caller,
        who: Who,
        skus: Vec<Sku>,
    ) -> Result<(Vec<Availability>, chrono::TimeDelta), Error> {
        let who = who.within(caller)?;
        let cache = &*self.availability;
        let mut found: Vec<Option<Entry>> =
            skus.iter().map(|sku| cache.fresh(&(who.clone(), sku.clone()), &self.clock)).collect();
        if found.iter().any(Option::is_none) {
            let missing: Vec<&Sku> =
                skus.iter().zip(&found).filter(|(_, entry)| entry.is_none()).map(|(sku, _)| sku).collect();
            let mut read = self.read_availability(&who, &missing).await?;
            for (sku, entry) in skus.iter().zip(&mut found).filter(|(_, entry)| entry.is_none()) {
                let fresh = read.remove(sku).or_else(|| cache.entries.get(&(who.clone(), sku.clone())));
                if let Some(fresh) = fresh {
                    cache.entries.insert((who.clone(), sku.clone()), fresh.clone());
                    *entry = Some(fresh);
                }
            }
        }
        let now = self.clock.now();
        let age = found.iter().flatten().map(|entry| now - entry.read_at).max().unwrap_or_default();
        let answers = skus
            .into_iter()
            .zip(found)
            .map(|(sku, entry)| match entry {
                Some(Entry { available, band, parts, .. }) => Availability { sku, available, band, parts },
                None => Availability { sku, available: 0, band: Band::Out, parts: Arc::from([]) },
            })
            .collect();
        Ok((answers, age))
    }

    async fn read_availability(&self, who: &Who, skus: &[&Sku]) -> Result<HashMap<Sku, Entry>, Error> {
        let read_at = self.clock.now();
        let locations = if let Some(locations) = self.availability.channels.get(&who.channel) {
            locations
        } else {
            let locations: Arc<[String]> = self.locations_of(&who.channel).await?.into();
            self.availability.channels.insert(who.channel.clone(), locations.clone());
            locations
        };
        let codes: Vec<&str> = skus.iter().map(|sku| sku.as_str()).collect();
        let shelf = self.read_live(&codes, &locations, read_at).await?;
        // Parts, network threshold and low threshold of each SKU.
        let mut parts: HashMap<Sku, (Vec<Part>, i64, i64)> =
            skus.iter().map(|sku| ((*sku).clone(), (Vec::new(), 0, 0))).collect();
        for live in &shelf.levels {
            let entry = parts.entry(live.key.sku.clone()).or_default();
            let (parts, network_threshold, low_threshold) = entry;
            *network_threshold = shelf.rules(&live.key).sku.map_or(0, |sku| sku.network_threshold);
            *low_threshold = live.low_threshold;
            parts.push(Part {
                location: live.key.location.clone(),
                available: shelf.breakdown(live, who.asker()).available,
                version: live.level.version,
            });
        }
        let entries = parts.into_iter().map(|(sku, (parts, network_threshold, low_threshold))| {
            let available = availability::network(parts.iter().map(|part| part.available), network_threshold);
            let band = Band::of(available, low_threshold);
            (sku, Entry { read_at, available, band, parts: parts.into() })
        });
        Ok(entries.collect())
    }
}
