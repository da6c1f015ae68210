//! Caps against hoarding: how many units of a SKU one shopper, or one channel, may hold softly at a time, at all locations
//! together.
//!
//! A cap is part of the SKU's policy ([`super::policy::SkuTerms`]). Only SKUs that have one are counted. What counts is
//! every soft hold that is recorded as held; one whose time is over counts until it is recorded, which a request that is
//! refused for it does first. A refusal is for the whole hold: a cap does not shrink what was asked.

use std::collections::{BTreeMap, HashMap};

use oneshelf_values::{ChannelId, ShopperId, Sku};

use super::{
    error::Refusal,
    hold::{HoldKind, StockHold},
    policy::SkuTerms,
};

/// Whose soft holds are counted together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Holder {
    Shopper(ShopperId),
    Channel(ChannelId),
}

/// A counter: units of a SKU that somebody holds softly.
pub type Counter = (Sku, Holder);

/// The counters that a group of commands has to look at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters(HashMap<Counter, i64>);

impl Counters {
    pub fn new(counts: HashMap<Counter, i64>) -> Self {
        Self(counts)
    }

    /// Counts units; answers which counters changed.
    pub fn count(&mut self, holders: &[Holder], units: &BTreeMap<Sku, i64>, by: i64) -> Vec<Counter> {
        let mut changed = Vec::new();
        for (sku, units) in units {
            for holder in holders {
                let counter = (sku.clone(), holder.clone());
                *self.0.entry(counter.clone()).or_default() += by * units;
                changed.push(counter);
            }
        }
        changed
    }

    pub fn get(&self, counter: &Counter) -> i64 {
        self.0.get(counter).copied().unwrap_or(0)
    }

    /// All counters of a SKU.
    pub fn of<'a>(&'a self, sku: &'a Sku) -> impl Iterator<Item = (&'a Counter, i64)> {
        self.0.iter().filter(move |((counted, _), _)| counted == sku).map(|(counter, held)| (counter, *held))
    }
}

/// Who is counted for a hold.
pub fn holders(shopper: Option<&ShopperId>, channel: Option<&ChannelId>) -> Vec<Holder> {
    let shopper = shopper.cloned().map(Holder::Shopper);
    shopper.into_iter().chain(channel.cloned().map(Holder::Channel)).collect()
}

/// Units of a soft hold by SKU, of SKUs with a cap only.
pub fn capped<'a>(
    units: impl IntoIterator<Item = (&'a Sku, i64)>,
    terms: impl Fn(&Sku) -> Option<&'a SkuTerms>,
) -> BTreeMap<Sku, i64> {
    let mut capped = BTreeMap::new();
    for (sku, units) in units {
        if units != 0 && terms(sku).is_some_and(SkuTerms::is_capped) {
            *capped.entry(sku.clone()).or_default() += units;
        }
    }
    capped
}

/// The units that a hold still has, by SKU with a cap: what it counts for.
pub fn counted<'a>(hold: &'a StockHold, terms: impl Fn(&Sku) -> Option<&'a SkuTerms>) -> BTreeMap<Sku, i64> {
    if hold.kind() != HoldKind::Soft {
        return BTreeMap::new();
    }
    capped(hold.lines.iter().map(|line| &line.key.sku).zip(hold.promise.granted().iter().copied()), terms)
}

/// Refuses units that would pass a cap.
pub fn check(counters: &Counters, holders: &[Holder], sku: &Sku, units: i64, terms: &SkuTerms) -> Result<(), Refusal> {
    for holder in holders {
        let cap = match holder {
            Holder::Shopper(_) => terms.shopper_cap,
            Holder::Channel(_) => terms.channel_cap,
        };
        let held = counters.get(&(sku.clone(), holder.clone()));
        if cap.is_some_and(|cap| held + units > cap) {
            return Err(Refusal::HoldCapExceeded {
                sku: sku.clone(),
                whose: match holder {
                    Holder::Shopper(_) => "shopper",
                    Holder::Channel(_) => "channel",
                },
                cap: cap.unwrap_or_default(),
                held,
                requested: units,
            });
        }
    }
    Ok(())
}
