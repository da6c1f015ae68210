//! Rule 8: the price list that the sales themselves show.
//!
//! Per (SKU, channel, month) the most frequent unit price of sale lines is the list price, the lowest on a tie. A
//! version starts on the first of a month in which it differs from the one before.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};

use super::{
    classify::{Kind, SalesChannel},
    dataset::{Dataset, Month, SkuNo},
};

/// The versions of all (SKU, channel) pairs, each in order of their month.
#[derive(Debug, Default)]
pub struct PriceVersions(BTreeMap<(SalesChannel, SkuNo), Vec<(Month, i64)>>);

impl PriceVersions {
    pub fn of(data: &Dataset) -> Self {
        let mut counts: BTreeMap<(SalesChannel, SkuNo, Month), HashMap<i64, u32>> = BTreeMap::new();
        for document in &data.documents {
            let Some(channel) = document.channel else { continue };
            for line in document.lines.iter().filter(|line| line.kind == Kind::Sale) {
                *counts.entry((channel, line.sku, document.month())).or_default().entry(line.micros).or_default() += 1;
            }
        }
        let mut versions = Self::default();
        for ((channel, sku, month), prices) in counts {
            let (price, _) = prices
                .into_iter()
                .max_by_key(|(price, count)| (*count, std::cmp::Reverse(*price)))
                .expect("a counted month has a price");
            let of_pair = versions.0.entry((channel, sku)).or_default();
            if of_pair.last().is_none_or(|(_, last)| *last != price) {
                of_pair.push((month, price));
            }
        }
        versions
    }

    /// All versions of a channel, by SKU number and month.
    pub fn of_channel(&self, channel: SalesChannel) -> impl Iterator<Item = (SkuNo, Month, i64)> {
        self.0
            .iter()
            .filter(move |((of, _), _)| *of == channel)
            .flat_map(|((_, sku), versions)| versions.iter().map(move |(month, price)| (*sku, *month, *price)))
    }

    /// The list price at an instant, in micros.
    pub fn at(&self, channel: SalesChannel, sku: SkuNo, time: DateTime<Utc>) -> Option<i64> {
        let month = Month::of(time);
        self.0.get(&(channel, sku))?.iter().rev().find(|(from, _)| *from <= month).map(|(_, price)| *price)
    }
}
