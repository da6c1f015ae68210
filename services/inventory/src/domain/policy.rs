//! What is kept back, from whom, and how much at most: the rules that stand between the shelf and a sale.
//!
//! | policy | of | says |
//! |---|---|---|
//! | [`StockPolicy`] | a SKU at a location | safety stock; backorder limit; from which channels it is excluded; buffers per channel |
//! | [`RingFence`] | a SKU at a location, for one channel or partner | units that only the owner may use, until an instant |
//! | [`SkuPolicy`] | a SKU | network threshold; when it counts as low; from which channels it is excluded; caps on soft holds |
//!
//! That a channel is told when a SKU runs low ([`super::threshold`]) is a rule of the same kind.
//!
//! Each is set whole, by batches, and counts its changes. What they come to is computed in one place,
//! [`super::availability`].
//!
//! # Ring-fences
//!
//! A fence has a quota of units and an owner. What is left of it is max(0, quota − used), and `used` counts, at that SKU
//! and location, the units of all holds that name the owner and were granted since the fence began, while they are held
//! and for good once they are committed. Released and expired units count no more. So:
//!
//! - for everybody but the owner, what is left is as good as not there;
//! - the owner takes units like anybody else, from what nobody fenced as well; beyond its quota nothing is left and
//!   nothing more is kept for it;
//! - a hold that names both the channel and the partner of two fences counts against both: each owner has had its unit;
//! - what tills sell without a hold names nobody and counts against no fence;
//! - from `release_at` on there is no fence. That is a function of time, checked wherever the fence is looked at; a timer
//!   only announces it.
//!
//! Setting the quota of a live fence goes on counting; setting it after its release, or after a quota of zero, begins
//! anew. "Since it began" is by the version of the level and not by a clock: `begun` is the version that the level got
//! with the group that set the fence.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use chrono::{DateTime, Utc};
use oneshelf_values::{ChannelId, PartnerId, Sku};

use super::{
    consignment::{Consignment, Consignments},
    kit::Kits,
    lot::{Lots, Tracking, TrackingTerms},
    stock_level::LevelKey,
};

/// Who asks, and whom a hold is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Asker<'a> {
    pub channel: Option<&'a ChannelId>,
    pub partner: Option<&'a PartnerId>,
}

/// How often a policy was set, and by whom last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audit {
    pub version: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    /// The key that set it.
    pub updated_by: String,
}

impl Audit {
    /// Of a policy that is set now, after `before`.
    pub fn next(before: Option<&Self>, by: &str, now: DateTime<Utc>) -> Self {
        Self {
            version: before.map_or(1, |before| before.version + 1),
            created_at: before.map_or(now, |before| before.created_at),
            updated_at: now,
            updated_by: by.to_owned(),
        }
    }
}

/// What is kept back of a SKU at a location.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StockTerms {
    pub safety_stock: i64,
    /// Units that may be promised beyond what is there.
    pub backorder_limit: i64,
    /// Not for sale here.
    pub excluded: bool,
    pub excluded_channels: BTreeSet<ChannelId>,
    pub buffers: BTreeMap<ChannelId, i64>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StockPolicy {
    pub key: LevelKey,
    pub terms: StockTerms,
    pub audit: Audit,
}

/// What holds for a SKU wherever it lies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SkuTerms {
    /// Taken off the sum over locations.
    pub network_threshold: i64,
    /// At most so many left: low.
    pub low_threshold: i64,
    pub excluded_channels: BTreeSet<ChannelId>,
    /// Units that one shopper may hold softly at a time ([`super::caps`]).
    pub shopper_cap: Option<i64>,
    /// Units that one channel may hold softly at a time.
    pub channel_cap: Option<i64>,
}

impl SkuTerms {
    pub fn is_capped(&self) -> bool {
        self.shopper_cap.is_some() || self.channel_cap.is_some()
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkuPolicy {
    pub sku: Sku,
    pub terms: SkuTerms,
    pub audit: Audit,
}

/// Whom a fence is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FenceOwner {
    Channel(ChannelId),
    Partner(PartnerId),
}

impl FenceOwner {
    pub fn is(&self, asker: Asker<'_>) -> bool {
        match self {
            Self::Channel(channel) => asker.channel == Some(channel),
            Self::Partner(partner) => asker.partner == Some(partner),
        }
    }
}

/// How much a fence keeps, and until when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FenceTerms {
    pub quota: i64,
    /// `None`: until it is set otherwise.
    pub release_at: Option<DateTime<Utc>>,
}

/// Units at a level that only one channel or partner may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RingFence {
    pub key: LevelKey,
    pub owner: FenceOwner,
    pub quota: i64,
    pub release_at: Option<DateTime<Utc>>,
    /// Units that the owner holds or has bought since `begun`.
    pub used: i64,
    /// The level's version from which on holds count.
    pub begun: i64,
    /// That its time is over has been announced.
    pub released: bool,
    pub audit: Audit,
}

impl RingFence {
    pub fn is_live(&self, now: DateTime<Utc>) -> bool {
        self.quota > 0 && !self.released && self.release_at.is_none_or(|release_at| now < release_at)
    }

    /// What is still kept for the owner.
    pub fn left(&self, now: DateTime<Utc>) -> i64 {
        if self.is_live(now) { (self.quota - self.used).max(0) } else { 0 }
    }

    /// Whether units granted to `asker` at this version of the level count.
    pub fn counts(&self, asker: Asker<'_>, granted_version: i64) -> bool {
        self.owner.is(asker) && granted_version >= self.begun
    }
}

/// The rules of one level, as far as there are any.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rules<'a> {
    pub policy: Option<&'a StockTerms>,
    pub sku: Option<&'a SkuTerms>,
    pub fences: &'a [RingFence],
    /// A channel is told when the SKU runs low.
    pub watched: bool,
    /// What of it is a partner's, or goes to one when it is sold.
    pub consigned: bool,
    /// The SKU is a kit or in one.
    pub kit: bool,
    /// Of a tracked SKU: how, and what the level is made of.
    pub tracked: Option<(TrackingTerms, &'a Lots)>,
}

impl<'a> Rules<'a> {
    /// Whether they say anything that the level's own row does not.
    pub fn matter(&self) -> bool {
        self.watched
            || self.consigned
            || self.policy.is_some_and(|policy| {
                policy.excluded
                    || !policy.excluded_channels.is_empty()
                    || policy.buffers.values().any(|units| *units > 0)
            })
            || self
                .sku
                .is_some_and(|sku| sku.network_threshold > 0 || !sku.excluded_channels.is_empty() || sku.is_capped())
            || self.fences.iter().any(|fence| fence.quota > 0 && !fence.released)
            || self.kit
            || self.tracked.is_some()
    }

    /// Channels whose figure may differ from everybody else's.
    pub fn channels(&self) -> BTreeSet<&'a ChannelId> {
        let policy = self.policy.into_iter();
        policy
            .flat_map(|policy| policy.excluded_channels.iter().chain(policy.buffers.keys()))
            .chain(self.sku.into_iter().flat_map(|sku| &sku.excluded_channels))
            .chain(self.fences.iter().filter_map(|fence| match &fence.owner {
                FenceOwner::Channel(channel) => Some(channel),
                FenceOwner::Partner(_) => None,
            }))
            .collect()
    }
}

/// All rules that a group of commands has to look at.
#[derive(Debug, Clone, Default)]
pub struct Rulebook {
    pub policies: HashMap<LevelKey, StockPolicy>,
    pub skus: HashMap<Sku, SkuPolicy>,
    /// By owner.
    pub fences: HashMap<LevelKey, Vec<RingFence>>,
    /// SKUs of which some channel is told when they run low ([`super::threshold`]).
    pub watched: HashSet<Sku>,
    /// Of levels that an agreement or its goods are about.
    pub consignments: Consignments,
    pub kits: Kits,
    pub tracking: HashMap<Sku, Tracking>,
    /// Of levels of tracked SKUs.
    pub lots: HashMap<LevelKey, Lots>,
}

static NO_LOTS: Lots = Lots::none();

impl Rulebook {
    pub fn of(&self, key: &LevelKey) -> Rules<'_> {
        Rules {
            policy: self.policies.get(key).map(|policy| &policy.terms),
            sku: self.skus.get(&key.sku).map(|policy| &policy.terms),
            fences: self.fences.get(key).map_or(&[], Vec::as_slice),
            watched: self.watched.contains(&key.sku),
            consigned: self.consignments.get(key).is_some_and(Consignment::matters),
            kit: self.kits.concern(&key.sku),
            tracked: self.tracked(&key.sku).map(|terms| (terms, self.lots.get(key).unwrap_or(&NO_LOTS))),
        }
    }

    /// How a SKU is tracked, if it is.
    pub fn tracked(&self, sku: &Sku) -> Option<TrackingTerms> {
        self.tracking.get(sku).map(|tracking| tracking.terms).filter(TrackingTerms::is_tracked)
    }

    pub fn sku_terms(&self, sku: &Sku) -> Option<&SkuTerms> {
        self.skus.get(sku).map(|policy| &policy.terms)
    }

    /// Counts units that a hold took, or gave back, against the fences of whom it is for; answers whose these are.
    pub fn count_fences(
        &mut self,
        asker: Asker<'_>,
        key: &LevelKey,
        granted_version: i64,
        units: i64,
    ) -> Vec<FenceOwner> {
        let mut counted = Vec::new();
        let fences = self.fences.get_mut(key).into_iter().flatten();
        for fence in fences.filter(|fence| fence.counts(asker, granted_version)) {
            fence.used += units;
            counted.push(fence.owner.clone());
        }
        counted
    }

    /// What it says of these levels.
    #[must_use]
    pub fn excerpt<'a>(&self, keys: impl IntoIterator<Item = &'a LevelKey>) -> Self {
        let mut excerpt = Self::default();
        let keys: Vec<&LevelKey> = keys.into_iter().collect();
        excerpt.kits = self.kits.excerpt(keys.iter().map(|key| &key.sku));
        for key in keys {
            excerpt.policies.extend(self.policies.get(key).map(|policy| (key.clone(), policy.clone())));
            excerpt.tracking.extend(self.tracking.get(&key.sku).map(|tracking| (key.sku.clone(), tracking.clone())));
            excerpt.lots.extend(self.lots.get(key).map(|lots| (key.clone(), lots.clone())));
            excerpt.skus.extend(self.skus.get(&key.sku).map(|policy| (key.sku.clone(), policy.clone())));
            if self.watched.contains(&key.sku) {
                excerpt.watched.insert(key.sku.clone());
            }
            excerpt.fences.extend(self.fences.get(key).map(|fences| (key.clone(), fences.clone())));
        }
        excerpt
    }
}
