//! When a channel is told that a SKU runs low, is out, or is back: on crossings only, and once for each.
//!
//! ```text
//!              in stock ──ran low──▶ low ──ran out──▶ out
//!                  ▲ ◀──recovered────┘                 │
//!                  └────────────came back──────────────┘      (and from in stock straight to out, from out to low)
//! ```
//!
//! What is compared is what the channel may sell: Σ over its locations of what it may sell of each level, less the SKU's
//! network threshold, at least 0 ([`super::availability`]). One group of commands knows only the levels that it has
//! locked, so the sum is kept: each level's part of it, and the total, in rows that a group locks after its levels. A
//! part is what was last *counted*, not what the clock has made of it since: so a ring-fence that time ends is counted
//! when its level is announced, and a crossing is told exactly once by whoever counts it. What goes down and up again
//! within one group is no crossing.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use oneshelf_values::{ChannelId, Sku};

use super::{
    availability::{self, Band},
    policy::{Asker, Audit, Rulebook},
    stock_level::{Level, LevelKey},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThresholdTerms {
    /// At most so many left: low.
    pub low_threshold: i64,
    /// Nobody is told any more.
    pub ended: bool,
}

/// What a channel is told of a SKU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Threshold {
    pub sku: Sku,
    pub channel: ChannelId,
    pub terms: ThresholdTerms,
    /// What the channel sells from, as it was taken over last.
    pub locations: Vec<String>,
    /// Σ of the parts at these.
    pub total: i64,
    /// What of it may be sold, and what that is called.
    pub available: i64,
    pub band: Band,
    /// How often the band changed.
    pub crossings: i64,
    pub audit: Audit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CrossingKind {
    RanLow,
    RanOut,
    CameBack,
    Recovered,
}

/// A band that became another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crossing {
    pub sku: Sku,
    pub channel: ChannelId,
    pub kind: CrossingKind,
    pub before: i64,
    pub after: i64,
    pub low_threshold: i64,
    /// Of this SKU and channel, counted from 1.
    pub number: i64,
}

impl Threshold {
    /// Takes a first total over: nothing was crossed.
    pub fn begin(&mut self, total: i64, network_threshold: i64) {
        self.total = total;
        self.available = availability::network([total], network_threshold);
        self.band = Band::of(self.available, self.terms.low_threshold);
    }

    /// Takes a new total over; answers the crossing if it is one.
    pub fn settle(&mut self, total: i64, network_threshold: i64) -> Option<Crossing> {
        let (before, from) = (self.available, self.band);
        self.begin(total, network_threshold);
        let kind = match (from, self.band) {
            (Band::InStock, Band::InStock) | (Band::Low, Band::Low) | (Band::Out, Band::Out) => return None,
            (_, Band::Out) => CrossingKind::RanOut,
            (Band::Out, _) => CrossingKind::CameBack,
            (Band::InStock, Band::Low) => CrossingKind::RanLow,
            (Band::Low, Band::InStock) => CrossingKind::Recovered,
        };
        self.crossings += 1;
        Some(Crossing {
            sku: self.sku.clone(),
            channel: self.channel.clone(),
            kind,
            before,
            after: self.available,
            low_threshold: self.terms.low_threshold,
            number: self.crossings,
        })
    }

    fn sells_from(&self, key: &LevelKey) -> bool {
        self.locations.iter().any(|location| location == key.location.as_str())
    }
}

/// What one level gives one channel.
pub type Part = (LevelKey, ChannelId);

/// The locked thresholds of a group's SKUs, and what of each locked level is counted in them.
#[derive(Debug, Default)]
pub struct Thresholds {
    /// By channel.
    known: HashMap<Sku, Vec<Threshold>>,
    parts: HashMap<Part, i64>,
    /// Where channels sell from that a command sets a threshold for.
    channels: HashMap<ChannelId, Vec<String>>,
    /// Set in this group, and begun in it: all parts of these are written.
    set: Vec<(Sku, ChannelId)>,
    begun: Vec<(Sku, ChannelId)>,
}

/// What thresholds came to: to be written and told.
#[derive(Debug, Default)]
pub struct Settled {
    pub thresholds: Vec<Threshold>,
    pub parts: Vec<(Part, i64)>,
    pub crossings: Vec<Crossing>,
}

impl Thresholds {
    pub fn new(
        thresholds: Vec<Threshold>,
        parts: HashMap<Part, i64>,
        channels: HashMap<ChannelId, Vec<String>>,
    ) -> Self {
        let mut known: HashMap<Sku, Vec<Threshold>> = HashMap::new();
        for threshold in thresholds {
            known.entry(threshold.sku.clone()).or_default().push(threshold);
        }
        for of_sku in known.values_mut() {
            of_sku.sort_by(|a, b| a.channel.cmp(&b.channel));
        }
        Self { known, parts, channels, ..Self::default() }
    }

    pub fn find(&self, sku: &Sku, channel: &ChannelId) -> Option<&Threshold> {
        self.known.get(sku)?.iter().find(|threshold| threshold.channel == *channel)
    }

    pub fn locations_of(&self, channel: &ChannelId) -> Option<&Vec<String>> {
        self.channels.get(channel)
    }

    pub fn into_thresholds(self) -> Vec<Threshold> {
        self.known.into_values().flatten().collect()
    }

    /// Whether anybody is told about the SKU.
    pub fn is_live(&self, sku: &Sku) -> bool {
        self.known.get(sku).is_some_and(|thresholds| thresholds.iter().any(|threshold| !threshold.terms.ended))
    }

    /// Counts what is there for a threshold that begins; `levels` are all of its SKU.
    pub fn begin(
        &mut self,
        threshold: &mut Threshold,
        levels: &[(&LevelKey, &Level)],
        rulebook: &Rulebook,
        now: DateTime<Utc>,
    ) {
        let mut total = 0;
        for (key, level) in levels {
            let part = part_of(rulebook, key, level, &threshold.channel, now);
            total += if threshold.sells_from(key) { part } else { 0 };
            self.parts.insert(((*key).clone(), threshold.channel.clone()), part);
        }
        threshold.begin(total, network_threshold(rulebook, &threshold.sku));
        self.begun.push((threshold.sku.clone(), threshold.channel.clone()));
    }

    /// A live threshold as it is with these levels, which are all of its SKU, and not as it was counted last.
    pub fn seen(
        &self,
        threshold: &Threshold,
        levels: &[(&LevelKey, &Level)],
        rulebook: &Rulebook,
        now: DateTime<Utc>,
    ) -> Threshold {
        let mut seen = threshold.clone();
        if !seen.terms.ended {
            let parts = levels.iter().filter(|(key, _)| seen.sells_from(key));
            let total = parts.map(|(key, level)| part_of(rulebook, key, level, &seen.channel, now)).sum();
            seen.begin(total, network_threshold(rulebook, &seen.sku));
        }
        seen
    }

    /// Puts a threshold that was set in its place.
    pub fn put(&mut self, threshold: Threshold) {
        self.set.push((threshold.sku.clone(), threshold.channel.clone()));
        let of_sku = self.known.entry(threshold.sku.clone()).or_default();
        match of_sku.binary_search_by(|known| known.channel.cmp(&threshold.channel)) {
            Ok(at) => of_sku[at] = threshold,
            Err(at) => of_sku.insert(at, threshold),
        }
    }

    /// Counts the levels that a group changed.
    pub fn settle(mut self, rulebook: &Rulebook, levels: &[(LevelKey, Level)], now: DateTime<Utc>) -> Settled {
        let mut settled = Settled::default();
        if self.known.is_empty() {
            return settled;
        }
        let mut totals: HashMap<(Sku, ChannelId), i64> = HashMap::new();
        for (key, level) in levels {
            for threshold in self.known.get(&key.sku).into_iter().flatten().filter(|one| !one.terms.ended) {
                let place = (key.sku.clone(), threshold.channel.clone());
                let part = part_of(rulebook, key, level, &threshold.channel, now);
                let counted = (key.clone(), threshold.channel.clone());
                let before = self.parts.insert(counted.clone(), part).unwrap_or(0);
                if part != before || self.begun.contains(&place) {
                    settled.parts.push((counted, part));
                }
                let total = totals.entry(place).or_insert(threshold.total);
                *total += if threshold.sells_from(key) { part - before } else { 0 };
            }
        }
        for threshold in self.known.values_mut().flatten() {
            let place = (threshold.sku.clone(), threshold.channel.clone());
            let before = (threshold.total, threshold.available);
            if let Some(total) = totals.get(&place) {
                settled.crossings.extend(threshold.settle(*total, network_threshold(rulebook, &threshold.sku)));
            }
            if before != (threshold.total, threshold.available) || self.set.contains(&place) {
                settled.thresholds.push(threshold.clone());
            }
        }
        let by_place = |a: &Threshold, b: &Threshold| (&a.sku, &a.channel).cmp(&(&b.sku, &b.channel));
        settled.thresholds.sort_by(by_place);
        settled.crossings.sort_by(|a, b| (&a.sku, &a.channel).cmp(&(&b.sku, &b.channel)));
        settled
    }
}

fn network_threshold(rulebook: &Rulebook, sku: &Sku) -> i64 {
    rulebook.sku_terms(sku).map_or(0, |terms| terms.network_threshold)
}

fn part_of(rulebook: &Rulebook, key: &LevelKey, level: &Level, channel: &ChannelId, now: DateTime<Utc>) -> i64 {
    availability::available(level, rulebook.of(key), Asker { channel: Some(channel), partner: None }, now)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn threshold(low_threshold: i64, total: i64) -> Threshold {
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let mut threshold = Threshold {
            sku: "A".parse().unwrap(),
            channel: "WEB".parse().unwrap(),
            terms: ThresholdTerms { low_threshold, ended: false },
            locations: vec!["WH".to_owned(), "SHOP".to_owned()],
            total: 0,
            available: 0,
            band: Band::Out,
            crossings: 0,
            audit: Audit::next(None, "test", now),
        };
        threshold.begin(total, 0);
        threshold
    }

    #[test]
    fn each_change_of_band_has_its_name() {
        let crossed = |from, to| threshold(3, from).settle(to, 0).map(|crossing| crossing.kind);
        for (from, to, kind) in [
            (4, 3, CrossingKind::RanLow),
            (4, 0, CrossingKind::RanOut),
            (1, 0, CrossingKind::RanOut),
            (0, 1, CrossingKind::CameBack),
            (0, 9, CrossingKind::CameBack),
            (3, 4, CrossingKind::Recovered),
        ] {
            assert_eq!(crossed(from, to), Some(kind), "{from} to {to}");
        }
        for (from, to) in [(9, 4), (3, 1), (1, 3), (0, 0), (4, 9)] {
            assert_eq!(crossed(from, to), None, "{from} to {to}");
        }
        let kept_back = threshold(0, 9).settle(9, 9).unwrap();
        assert_eq!((kept_back.kind, kept_back.before, kept_back.after), (CrossingKind::RanOut, 9, 0));
    }

    proptest! {
        /// However groups cut the changes of two levels: the total is the sum of their parts, each crossing leads from the
        /// band before to the band after, and their numbers are gap-free.
        #[test]
        fn totals_are_sums_and_crossings_follow_one_another(
            steps in prop::collection::vec(prop::collection::vec((any::<bool>(), 0i64..12), 0..4), 0..20),
        ) {
            let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
            let keys = ["SHOP", "WH"].map(|location| LevelKey {
                sku: "A".parse().unwrap(),
                location: location.parse().unwrap(),
            });
            let mut rulebook = Rulebook::default();
            rulebook.watched.insert("A".parse().unwrap());
            let mut levels = [0i64; 2];
            let mut stored = threshold(3, 0);
            let mut parts: HashMap<Part, i64> = HashMap::new();
            for group in steps {
                let mut touched = Vec::new();
                for (second, sellable) in group {
                    levels[usize::from(second)] = sellable;
                    touched.push(usize::from(second));
                }
                touched.sort_unstable();
                touched.dedup();
                let changed: Vec<(LevelKey, Level)> = touched
                    .iter()
                    .map(|at| (keys[*at].clone(), Level { sellable: levels[*at], has_rules: true, ..Level::default() }))
                    .collect();
                let group = Thresholds::new(vec![stored.clone()], parts.clone(), HashMap::new());
                let settled = group.settle(&rulebook, &changed, now);
                parts.extend(settled.parts);
                let before = stored.clone();
                if let Some(after) = settled.thresholds.into_iter().next() {
                    stored = after;
                }
                prop_assert_eq!(stored.total, levels.iter().sum::<i64>());
                prop_assert_eq!(stored.total, parts.values().sum::<i64>());
                prop_assert_eq!(settled.crossings.len() as i64, stored.crossings - before.crossings);
                prop_assert_eq!(settled.crossings.len(), usize::from(stored.band != before.band));
                for crossing in settled.crossings {
                    prop_assert_eq!((crossing.before, crossing.after), (before.available, stored.available));
                }
            }
        }
    }
}
