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
        for (ours, (_, theirs)) in self.figures_mut().into_iter().zip(other.figures()) {
            *ours += theirs;
        }
    }

    /// Every figure, in the order of [`Self::figures`].
    fn figures_mut(&mut self) -> [&mut i64; 8] {
        [
            &mut self.documents,
            &mut self.lines,
            &mut self.units_out,
            &mut self.gross_mills,
            &mut self.units_returned,
            &mut self.returned_mills,
            &mut self.net_mills,
            &mut self.units_free,
        ]
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
        let totals =
            serde_json::from_slice(&source::content(&folder.join("expected.json"))?).context("expected.json")?;

        let mut expected = Self {
            totals,
            revenue: BTreeMap::new(),
            on_hand: BTreeMap::new(),
            points: BTreeMap::new(),
            prices: BTreeMap::new(),
        };
        let columns = ["month", "channel"].into_iter().chain(ChannelMonth::default().figures().map(|(name, _)| name));
        let columns: [&str; 10] = columns.collect::<Vec<_>>().try_into().expect("two keys and eight figures");
        rows(&folder.join("revenue_by_channel_month.csv"), columns, |[of_month, of_channel, figures @ ..]| {
            let mut row = ChannelMonth::default();
            for (text, figure) in figures.into_iter().zip(row.figures_mut()) {
                *figure = text.parse()?;
            }
            expected.revenue.insert((month(of_month)?, channel(of_channel)?), row);
            Ok(())
        })?;
        rows(&folder.join("on_hand.csv.gz"), ["sku", "location", "end"], |[sku, location, end]| {
            expected.on_hand.insert((sku.to_owned(), location.to_owned()), end.parse()?);
            Ok(())
        })?;
        let columns = ["customer", "points_earned", "points_balance"];
        rows(&folder.join("points_by_customer.csv.gz"), columns, |[customer, earned, balance]| {
            expected.points.insert(customer.to_owned(), (earned.parse()?, balance.parse()?));
            Ok(())
        })?;
        let columns = ["sku", "channel", "valid_from", "price_mills"];
        rows(&folder.join("price_versions.csv.gz"), columns, |[sku, of_channel, from, mills]| {
            expected.prices.insert((channel(of_channel)?, sku.to_owned(), month(from)?), mills.parse()?);
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
    let numbers: BTreeMap<&str, u32> = data.skus.iter().zip(0..).map(|(info, no)| (info.code.as_str(), no)).collect();
    let mut receipts = Receipts::new();
    rows(&file, ["month", "sku", "location", "quantity"], |[of_month, sku, location, quantity]| {
        let sku = numbers.get(sku).ok_or_else(|| anyhow!("SKU {sku} is on no line"))?;
        let place = Place::parse(location).ok_or_else(|| anyhow!("location {location}"))?;
        receipts.insert((month(of_month)?, place, *sku), quantity.parse()?);
        Ok(())
    })?;
    Ok(Some(receipts))
}

/// Hands the named columns of every row to `sink`; an error names the line.
pub fn rows<const N: usize>(
    file: &Path,
    columns: [&str; N],
    mut sink: impl FnMut([&str; N]) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let content = source::content(file)?;
    let mut reader = csv::Reader::from_reader(content.as_slice());
    let header = reader.headers()?.clone();
    let places = columns.map(|column| header.iter().position(|name| name == column));
    let mut record = csv::StringRecord::new();
    while reader.read_record(&mut record).with_context(|| file.display().to_string())? {
        let fields = places.map(|place| place.and_then(|place| record.get(place)).unwrap_or_default());
        let line_no = || record.position().map_or(0, csv::Position::line);
        sink(fields).with_context(|| format!("{} line {}", file.display(), line_no()))?;
    }
    Ok(())
}

fn month(text: &str) -> anyhow::Result<Month> {
    Month::parse(text).ok_or_else(|| anyhow!("month {text:?}"))
}

fn channel(text: &str) -> anyhow::Result<SalesChannel> {
    SalesChannel::parse(text).ok_or_else(|| anyhow!("channel {text:?}"))
}
