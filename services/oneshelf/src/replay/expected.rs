//! The reference totals beside the data, where there are any.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context, anyhow};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    classify::{Place, SalesChannel},
    dataset::{Dataset, Month},
    receipts::Receipts,
    source,
};

/// One row of the revenue table: what a channel did in a month. Money in mills.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelMonth {
    pub documents: i64,
    pub lines: i64,
    pub units_out: i64,
    pub gross_mills: i64,
    pub units_returned: i64,
    pub returned_mills: i64,
    pub net_mills: i64,
    pub units_free: i64,
}

impl ChannelMonth {
    pub fn add(&mut self, other: &Self) {
        self.documents += other.documents;
        self.lines += other.lines;
        self.units_out += other.units_out;
        self.gross_mills += other.gross_mills;
        self.units_returned += other.units_returned;
        self.returned_mills += other.returned_mills;
        self.net_mills += other.net_mills;
        self.units_free += other.units_free;
    }

    /// Every figure with its name.
    pub fn figures(&self) -> [(&'static str, i64); 8] {
        [
            ("documents", self.documents),
            ("lines", self.lines),
            ("units_out", self.units_out),
            ("gross_mills", self.gross_mills),
            ("units_returned", self.units_returned),
            ("returned_mills", self.returned_mills),
            ("net_mills", self.net_mills),
            ("units_free", self.units_free),
        ]
    }
}

#[derive(Debug)]
pub struct Expected {
    /// `expected.json`, read by pointer.
    pub totals: Value,
    pub revenue: BTreeMap<(Month, SalesChannel), ChannelMonth>,
    /// (SKU, location) → on hand at the end.
    pub on_hand: BTreeMap<(String, String), i64>,
    /// Customer → (earned, balance).
    pub points: BTreeMap<String, (i64, i64)>,
    /// (channel, SKU, first day) → price in mills.
    pub prices: BTreeMap<(SalesChannel, String, Month), i64>,
}

impl Expected {
    /// None where the source comes without reference totals.
    pub fn read(path: &Path) -> anyhow::Result<Option<Self>> {
        let folder = path.join("expected");
        if !folder.join("expected.json").is_file() {
            return Ok(None);
        }
        let totals = serde_json::from_slice(&source::content(&folder.join("expected.json"))?).context("expected.json")?;

        let mut expected =
            Self { totals, revenue: BTreeMap::new(), on_hand: BTreeMap::new(), points: BTreeMap::new(), prices: BTreeMap::new() };
        #[derive(Deserialize)]
        struct Revenue {
            month: String,
            channel: String,
            documents: i64,
            lines: i64,
            units_out: i64,
            gross_mills: i64,
            units_returned: i64,
            returned_mills: i64,
            net_mills: i64,
            units_free: i64,
        }
        rows(&folder.join("revenue_by_channel_month.csv"), |row: Revenue| {
            let figures = ChannelMonth {
                documents: row.documents,
                lines: row.lines,
                units_out: row.units_out,
                gross_mills: row.gross_mills,
                units_returned: row.units_returned,
                returned_mills: row.returned_mills,
                net_mills: row.net_mills,
                units_free: row.units_free,
            };
            expected.revenue.insert((month(&row.month)?, channel(&row.channel)?), figures);
            Ok(())
        })?;
        #[derive(Deserialize)]
        struct OnHand {
            sku: String,
            location: String,
            end: i64,
        }
        rows(&folder.join("on_hand.csv.gz"), |row: OnHand| {
            expected.on_hand.insert((row.sku, row.location), row.end);
            Ok(())
        })?;
        #[derive(Deserialize)]
        struct Points {
            customer: String,
            points_earned: i64,
            points_balance: i64,
        }
        rows(&folder.join("points_by_customer.csv.gz"), |row: Points| {
            expected.points.insert(row.customer, (row.points_earned, row.points_balance));
            Ok(())
        })?;
        #[derive(Deserialize)]
        struct Price {
            sku: String,
            channel: String,
            valid_from: String,
            price_mills: i64,
        }
        rows(&folder.join("price_versions.csv.gz"), |row: Price| {
            expected.prices.insert((channel(&row.channel)?, row.sku, month(&row.valid_from)?), row.price_mills);
            Ok(())
        })?;
        Ok(Some(expected))
    }

    /// A number of `expected.json`, such as `/by_kind/sale/lines`.
    pub fn total(&self, pointer: &str) -> Option<i64> {
        self.totals.pointer(pointer).and_then(Value::as_i64)
    }
}

/// The goods-in plan that came with the data, if any.
pub fn receipts(path: &Path, data: &Dataset) -> anyhow::Result<Option<Receipts>> {
    let file = path.join("expected").join("receipts.csv.gz");
    if !file.is_file() {
        return Ok(None);
    }
    #[derive(Deserialize)]
    struct Receipt {
        month: String,
        sku: String,
        location: String,
        quantity: i64,
    }
    let numbers: BTreeMap<&str, u32> = data.skus.iter().zip(0..).map(|(info, no)| (info.code.as_str(), no)).collect();
    let mut receipts = Receipts::new();
    rows(&file, |row: Receipt| {
        let sku = numbers.get(row.sku.as_str()).ok_or_else(|| anyhow!("SKU {} is on no line", row.sku))?;
        let place = Place::parse(&row.location).ok_or_else(|| anyhow!("location {}", row.location))?;
        receipts.insert((month(&row.month)?, place, *sku), row.quantity);
        Ok(())
    })?;
    Ok(Some(receipts))
}

fn rows<T: for<'de> Deserialize<'de>>(file: &Path, mut sink: impl FnMut(T) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let content = source::content(file)?;
    for (row, at) in csv::Reader::from_reader(content.as_slice()).into_deserialize().zip(2..) {
        row.map_err(anyhow::Error::from).and_then(&mut sink).with_context(|| format!("{} line {at}", file.display()))?;
    }
    Ok(())
}

fn month(text: &str) -> anyhow::Result<Month> {
    Month::parse(text).ok_or_else(|| anyhow!("month {text:?}"))
}

fn channel(text: &str) -> anyhow::Result<SalesChannel> {
    SalesChannel::parse(text).ok_or_else(|| anyhow!("channel {text:?}"))
}
