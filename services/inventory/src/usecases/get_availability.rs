//! What a channel may sell now, for many SKUs at once.
//!
//! Answered from a cache in this process in front of PostgreSQL. An entry is at most `max_age` old, and the answer says
//! the age of its oldest part; a promise is never made from here, only HoldStock gives permission to sell.
//!
//! What is missing or too old is read in groups ([`oneshelf_kit::batch`]): who waits for the same entry waits for the
//! same read, and the age counts from when that read began. If each request read for itself, requests for a popular SKU
//! would wait for each other's connections until what they had read was old again.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use oneshelf_kit::{
    auth::Caller,
    batch::{self, Batcher},
    lifecycle::Lifecycle,
};
use oneshelf_values::{ChannelId, Clock, LocationId, Sku};
use sqlx::PgPool;

use super::{
    Error, Inventory,
    figures::{Who, locations_of, read_live},
};
use crate::domain::{
    Refusal,
    availability::{self, Band},
};

/// Requests whose misses are read together.
const MAX_GROUP: usize = 256;

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

#[derive(Debug, Clone)]
struct Entry {
    read_at: DateTime<Utc>,
    available: i64,
    band: Band,
    parts: Arc<[Part]>,
}

/// Availability by who asks and SKU: read recently, or else now.
#[derive(Clone)]
pub struct Availabilities {
    cache: Cache,
    reads: Batcher<Read, Result<Vec<Entry>, Refusal>, Error>,
}

/// What one request misses.
#[derive(Debug, Clone)]
struct Read {
    who: Who,
    skus: Vec<Sku>,
}

impl Read {
    fn route(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.who.hash(&mut hasher);
        hasher.finish()
    }
}

#[derive(Clone)]
struct Cache {
    entries: moka::sync::Cache<(Who, Sku), Entry>,
    channels: moka::sync::Cache<ChannelId, Arc<[String]>>,
    max_age: TimeDelta,
}

impl Cache {
    fn fresh(&self, who: &Who, sku: &Sku, now: DateTime<Utc>) -> Option<Entry> {
        self.entries.get(&(who.clone(), sku.clone())).filter(|entry| now - entry.read_at <= self.max_age)
    }
}

impl Availabilities {
    /// `max_age` is the bound on staleness that answers state; `capacity` bounds the number of entries.
    pub fn spawn(lifecycle: &Lifecycle, pool: PgPool, clock: Clock, max_age: Duration, capacity: u64) -> Self {
        let cache = Cache {
            entries: moka::sync::Cache::builder().max_capacity(capacity).time_to_live(max_age * 2).build(),
            channels: moka::sync::Cache::builder().max_capacity(10_000).time_to_live(max_age).build(),
            max_age: TimeDelta::from_std(max_age).unwrap_or(TimeDelta::seconds(1)),
        };
        let filled = cache.clone();
        let options = batch::Options { max_group: MAX_GROUP, ..batch::Options::default() };
        let reads = Batcher::spawn(lifecycle, "inventory.availability", options, Read::route, move |group| {
            let (pool, clock, cache) = (pool.clone(), clock.clone(), filled.clone());
            Box::pin(async move { cache.read_group(&pool, &clock, &group).await })
        });
        Self { cache, reads }
    }

    /// An entry for each SKU, in their order.
    async fn entries(&self, who: &Who, skus: &[Sku], now: DateTime<Utc>) -> Result<Vec<Entry>, Error> {
        let found: Vec<Option<Entry>> = skus.iter().map(|sku| self.cache.fresh(who, sku, now)).collect();
        let missing: Vec<Sku> =
            skus.iter().zip(&found).filter(|(_, entry)| entry.is_none()).map(|(sku, _)| sku.clone()).collect();
        if missing.is_empty() {
            return Ok(found.into_iter().flatten().collect());
        }
        let read = Read { who: who.clone(), skus: missing };
        let mut read = super::answer_of(self.reads.submit(read).await)??.into_iter();
        Ok(found.into_iter().filter_map(|entry| entry.or_else(|| read.next())).collect())
    }
}

impl Cache {
    /// One statement per (channel, partner) that is asked for, whatever the number of requests and SKUs; and at most three
    /// more, where levels have rules or the channel's locations are not known.
    async fn read_group(
        &self,
        pool: &PgPool,
        clock: &Clock,
        group: &[Read],
    ) -> Result<Vec<Result<Vec<Entry>, Refusal>>, Error> {
        let now = clock.now();
        let mut wanted: BTreeMap<&Who, BTreeSet<&Sku>> = BTreeMap::new();
        for read in group {
            wanted.entry(&read.who).or_default().extend(&read.skus);
        }
        let mut known: HashMap<&Who, Result<HashMap<&Sku, Entry>, Refusal>> = HashMap::new();
        for (who, skus) in wanted {
            // The group before this one may have read some of it.
            let (mut entries, mut missing) = (HashMap::new(), Vec::new());
            for sku in skus {
                match self.fresh(who, sku, now) {
                    Some(entry) => drop(entries.insert(sku, entry)),
                    None => missing.push(sku),
                }
            }
            let read = match self.read(pool, who, &missing, clock.now()).await {
                Ok(read) => {
                    for (sku, entry) in read {
                        self.entries.insert((who.clone(), sku.clone()), entry.clone());
                        entries.insert(sku, entry);
                    }
                    Ok(entries)
                }
                Err(Error::Refused(refusal)) => Err(refusal),
                Err(error) => return Err(error),
            };
            known.insert(who, read);
        }
        let answers = group.iter().map(|read| {
            known[&read.who]
                .as_ref()
                .map(|entries| read.skus.iter().map(|sku| entries[sku].clone()).collect())
                .map_err(Clone::clone)
        });
        Ok(answers.collect())
    }

    /// An entry for each of these SKUs.
    async fn read<'a>(
        &self,
        pool: &PgPool,
        who: &Who,
        skus: &[&'a Sku],
        read_at: DateTime<Utc>,
    ) -> Result<Vec<(&'a Sku, Entry)>, Error> {
        if skus.is_empty() {
            return Ok(Vec::new());
        }
        let locations = if let Some(locations) = self.channels.get(&who.channel) {
            locations
        } else {
            let locations: Arc<[String]> = locations_of(pool, &who.channel).await?.into();
            self.channels.insert(who.channel.clone(), locations.clone());
            locations
        };
        let codes: Vec<&str> = skus.iter().map(|sku| sku.as_str()).collect();
        let shelf = read_live(pool, &codes, &locations, read_at).await?;
        // Parts, network threshold and low threshold of each SKU.
        let mut parts: HashMap<&Sku, (Vec<Part>, i64, i64)> = HashMap::new();
        for live in &shelf.levels {
            let (parts, network_threshold, low_threshold) = parts.entry(&live.key.sku).or_default();
            *network_threshold = shelf.rules(&live.key).sku.map_or(0, |sku| sku.network_threshold);
            *low_threshold = live.low_threshold;
            parts.push(Part {
                location: live.key.location.clone(),
                available: shelf.breakdown(live, who.asker()).available,
                version: live.level.version,
            });
        }
        let entries = skus.iter().map(|&sku| {
            let (parts, network_threshold, low_threshold) = parts.remove(sku).unwrap_or_default();
            let available = availability::network(parts.iter().map(|part| part.available), network_threshold);
            let band = Band::of(available, low_threshold);
            (sku, Entry { read_at, available, band, parts: parts.into() })
        });
        Ok(entries.collect())
    }
}

impl Inventory {
    /// Answers in the order asked, with the age of the oldest part.
    pub async fn get_availability(
        &self,
        caller: &Caller,
        who: Who,
        skus: Vec<Sku>,
    ) -> Result<(Vec<Availability>, TimeDelta), Error> {
        let who = who.within(caller)?;
        let entries = self.availability.entries(&who, &skus, self.clock.now()).await?;
        let now = self.clock.now();
        let age = entries.iter().map(|entry| now - entry.read_at).max().unwrap_or_default();
        let answers = skus
            .into_iter()
            .zip(entries)
            .map(|(sku, Entry { available, band, parts, .. })| Availability { sku, available, band, parts })
            .collect();
        Ok((answers, age))
    }
}
