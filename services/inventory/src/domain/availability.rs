//! What may be sold: the one figure (Q4), for whoever asks. A hold is granted by it, availability answers it, an
//! explanation lists it; there is no second computation.
//!
//! ```text
//!   sellable − hard held − soft held − safety stock − ring-fences of others − buffer of the channel − short-dated
//!   + backorder limit
//! = unfloored                        at one location, for one channel (and partner)
//!   available = 0 where the location is not active or the SKU is excluded, else max(0, unfloored)
//!
//!   Σ available over the channel's locations − network threshold, at least 0 = what the channel may sell
//! ```
//!
//! The floor hides nothing: promised units that are not there, beyond what may be back-ordered, are told as `oversold`.
//! The network threshold is taken off what a whole network shows; a hold that names its location is bound by the figure
//! of that location.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use oneshelf_values::ChannelId;

use super::{
    location::LocationState,
    policy::{Asker, RingFence, Rules},
    stock_level::Level,
};

/// Why nothing counts, whatever lies there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blocked {
    LocationInactive,
    LocationClosed,
    /// The SKU is not for sale at this location.
    Excluded,
    /// The SKU is not for sale on this channel.
    ExcludedFromChannel,
}

/// One location's figure with everything that it is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Breakdown {
    pub sellable: i64,
    pub hard_held: i64,
    pub soft_held: i64,
    pub safety_stock: i64,
    /// Left of the fences of others.
    pub fenced: i64,
    pub buffer: i64,
    /// Free units of lots that are too near to their last day ([`super::lot`]).
    pub short_dated: i64,
    pub backorder_limit: i64,
    pub blocked: Option<Blocked>,
    /// The sum of the above with their signs.
    pub unfloored: i64,
    pub available: i64,
}

impl Breakdown {
    /// Of a level whose `soft_held` are live ones.
    pub fn of(level: &Level, rules: Rules<'_>, asker: Asker<'_>, now: DateTime<Utc>) -> Self {
        let fenced = fences_of_others(rules, asker, now).map(|(_, left)| left).sum();
        let buffer = rules
            .policy
            .zip(asker.channel)
            .and_then(|(policy, channel)| policy.buffers.get(channel).copied())
            .unwrap_or(0);
        let short_dated = rules.tracked.map_or(0, |(terms, lots)| lots.short_dated(terms, now.date_naive()));
        let unfloored =
            level.sellable - level.hard_held - level.soft_held - level.safety_stock - fenced - buffer - short_dated
                + level.backorder_limit;
        let blocked = blocked(level, rules, asker);
        Self {
            sellable: level.sellable,
            hard_held: level.hard_held,
            soft_held: level.soft_held,
            safety_stock: level.safety_stock,
            fenced,
            buffer,
            short_dated,
            backorder_limit: level.backorder_limit,
            blocked,
            unfloored,
            available: if blocked.is_some() { 0 } else { unfloored.max(0) },
        }
    }
}

/// What may be sold at one location: all that a hold needs to know.
pub fn available(level: &Level, rules: Rules<'_>, asker: Asker<'_>, now: DateTime<Utc>) -> i64 {
    Breakdown::of(level, rules, asker, now).available
}

/// What others have fenced and not yet used.
pub fn fences_of_others<'a>(
    rules: Rules<'a>,
    asker: Asker<'a>,
    now: DateTime<Utc>,
) -> impl Iterator<Item = (&'a RingFence, i64)> {
    rules
        .fences
        .iter()
        .filter(move |fence| !fence.owner.is(asker))
        .map(move |fence| (fence, fence.left(now)))
        .filter(|(_, left)| *left > 0)
}

fn blocked(level: &Level, rules: Rules<'_>, asker: Asker<'_>) -> Option<Blocked> {
    let names = |channels: &BTreeSet<ChannelId>| {
        !channels.is_empty() && asker.channel.is_some_and(|channel| channels.contains(channel))
    };
    match level.location {
        LocationState::Inactive => Some(Blocked::LocationInactive),
        LocationState::Closed => Some(Blocked::LocationClosed),
        LocationState::Active if rules.policy.is_some_and(|policy| policy.excluded) => Some(Blocked::Excluded),
        LocationState::Active
            if rules.policy.is_some_and(|policy| names(&policy.excluded_channels))
                || rules.sku.is_some_and(|sku| names(&sku.excluded_channels)) =>
        {
            Some(Blocked::ExcludedFromChannel)
        }
        LocationState::Active => None,
    }
}

/// What the parts come to for the whole network.
pub fn network(parts: impl IntoIterator<Item = i64>, network_threshold: i64) -> i64 {
    (parts.into_iter().sum::<i64>() - network_threshold).max(0)
}

/// How much there is, for those who may not see numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Band {
    InStock,
    Low,
    Out,
}

impl Band {
    pub fn of(available: i64, low_threshold: i64) -> Self {
        match available {
            ..=0 => Self::Out,
            some if some <= low_threshold => Self::Low,
            _ => Self::InStock,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use chrono::TimeDelta;
    use oneshelf_values::PartnerId;

    use super::*;
    use crate::domain::{
        policy::{Audit, FenceOwner, SkuTerms, StockTerms},
        stock_level::LevelKey,
    };

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).unwrap()
    }

    fn channel(id: &str) -> ChannelId {
        id.parse().unwrap()
    }

    fn fence(owner: FenceOwner, quota: i64, used: i64) -> RingFence {
        RingFence {
            key: LevelKey { sku: "A".parse().unwrap(), location: "WH".parse().unwrap() },
            owner,
            quota,
            release_at: Some(now() + TimeDelta::seconds(60)),
            used,
            begun: 1,
            released: false,
            audit: Audit::next(None, "test", now()),
        }
    }

    #[test]
    fn every_subtraction_is_taken_and_the_parts_add_up() {
        let level = Level {
            sellable: 100,
            hard_held: 10,
            soft_held: 5,
            safety_stock: 7,
            backorder_limit: 3,
            has_rules: true,
            ..Level::default()
        };
        let (web, till, dealer) = (channel("WEB"), channel("TILL"), "D-1".parse::<PartnerId>().unwrap());
        let terms = StockTerms { buffers: BTreeMap::from([(web.clone(), 4)]), ..StockTerms::default() };
        let fences =
            [fence(FenceOwner::Channel(till.clone()), 20, 8), fence(FenceOwner::Partner(dealer.clone()), 6, 9)];
        let rules = Rules { policy: Some(&terms), fences: &fences, ..Rules::default() };
        let ask = |channel, partner, at| Breakdown::of(&level, rules, Asker { channel, partner }, at);

        let seen = ask(Some(&web), None, now());
        assert_eq!((seen.fenced, seen.buffer, seen.available), (12, 4, 100 - 10 - 5 - 7 - 12 - 4 + 3));
        assert_eq!(ask(Some(&till), None, now()).available, 81, "its own fence is no fence");
        assert_eq!(ask(None, Some(&dealer), now()).available, 69, "used up: nothing is kept, and nothing is owed");
        assert_eq!(ask(Some(&web), None, now() + TimeDelta::seconds(60)).available, 77, "released by the clock");
        assert_eq!(
            seen.unfloored,
            seen.sellable - seen.hard_held - seen.soft_held - seen.safety_stock - seen.fenced - seen.buffer
                + seen.backorder_limit
        );
    }

    #[test]
    fn what_is_excluded_counts_nothing_and_says_why() {
        let level = Level { sellable: 10, ..Level::default() };
        let (web, till) = (channel("WEB"), channel("TILL"));
        let (everywhere, here, for_web, sku) = (
            Level { location: LocationState::Inactive, ..level },
            StockTerms { excluded: true, ..StockTerms::default() },
            StockTerms { excluded_channels: BTreeSet::from([web.clone()]), ..StockTerms::default() },
            SkuTerms { excluded_channels: BTreeSet::from([web.clone()]), ..SkuTerms::default() },
        );
        let ask = |level, rules, channel| {
            let seen = Breakdown::of(level, rules, Asker { channel, partner: None }, now());
            (seen.blocked, seen.available)
        };
        let with = |policy| Rules { policy: Some(policy), ..Rules::default() };
        assert_eq!(ask(&everywhere, Rules::default(), None), (Some(Blocked::LocationInactive), 0));
        assert_eq!(ask(&level, with(&here), None), (Some(Blocked::Excluded), 0));
        assert_eq!(ask(&level, with(&for_web), Some(&web)), (Some(Blocked::ExcludedFromChannel), 0));
        assert_eq!(ask(&level, with(&for_web), Some(&till)), (None, 10));
        let by_sku = Rules { sku: Some(&sku), ..Rules::default() };
        assert_eq!(ask(&level, by_sku, Some(&web)), (Some(Blocked::ExcludedFromChannel), 0));
    }

    #[test]
    fn the_network_adds_floored_parts_and_takes_its_threshold_off_once() {
        assert_eq!(network([3, 0, 4], 2), 5);
        assert_eq!(network([1], 2), 0);
        assert_eq!(network([], 0), 0);
        let bands: Vec<Band> = [0, 1, 3, 4].map(|left| Band::of(left, 3)).into();
        assert_eq!(bands, [Band::Out, Band::Low, Band::Low, Band::InStock]);
        assert_eq!(Band::of(1, 0), Band::InStock);
    }
}
