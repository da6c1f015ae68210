//! What was reached: sums over the answers of the services, not over what was asked of them.

use std::collections::BTreeMap;

use oneshelf_proto::{
    orders::v1::{Order, OrderFee, OrderLine, Return},
    r#type::v1::UnitPrice,
};
use serde::{Deserialize, Serialize};

use super::{
    classify::{Kind, SalesChannel},
    dataset::{Document, Month},
    expected::ChannelMonth,
    matching::Match,
    requests::OFFICE,
};

/// Lines, units and money of one kind; units and money with the sign that the documents have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sum {
    pub lines: i64,
    pub quantity: i64,
    pub mills: i64,
}

impl Sum {
    fn add(&mut self, other: Self) {
        self.lines += other.lines;
        self.quantity += other.quantity;
        self.mills += other.mills;
    }
}

/// How many sale lines were charged below, at and above their list price.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgainstList {
    pub below: i64,
    pub at: i64,
    pub above: i64,
}

/// What one document did, or many.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// By month and channel, such as `2010-12/dealer`.
    pub revenue: BTreeMap<String, ChannelMonth>,
    /// By channel: documents that sold goods, and that took some back.
    pub sale_documents: BTreeMap<String, i64>,
    pub return_documents: BTreeMap<String, i64>,
    pub kinds: BTreeMap<Kind, Sum>,
    pub services: BTreeMap<String, Sum>,
    pub found: Sum,
    pub written_off: Sum,
    pub received: Sum,
    pub matches: BTreeMap<Match, i64>,
    pub units_matched: i64,
    pub against_list: AgainstList,
}

pub fn revenue_key(month: Month, channel: SalesChannel) -> String {
    format!("{month}/{}", channel.as_str())
}

fn micros(price: Option<&UnitPrice>) -> i64 {
    price.map_or(0, |price| price.micros)
}

fn month(time: Option<prost_types::Timestamp>) -> Option<Month> {
    time.and_then(|time| chrono::DateTime::from_timestamp(time.seconds, 0)).map(Month::of)
}

impl Tally {
    /// A shipped order, or a ticket whose stock is booked.
    pub fn add_order(&mut self, order: &Order) {
        let fee_kind = if order.channel_id == OFFICE { Kind::BadDebt } else { Kind::Service };
        order.fees.iter().for_each(|fee| self.add_fee(fee_kind, fee));
        if order.lines.is_empty() {
            return;
        }
        let (Some(month), Some(channel)) = (month(order.effective_time), SalesChannel::parse(&order.channel_id)) else {
            return;
        };
        *self.sale_documents.entry(channel.as_str().to_owned()).or_default() += 1;
        self.revenue.entry(revenue_key(month, channel)).or_default().documents += 1;
        for line in &order.lines {
            self.add_line(month, channel, line);
        }
    }

    fn add_line(&mut self, month: Month, channel: SalesChannel, line: &OrderLine) {
        let charged = micros(line.unit_price.as_ref());
        let kind = if charged == 0 { Kind::Free } else { Kind::Sale };
        let mills = line.total_minor * 10;
        self.kinds.entry(kind).or_default().add(Sum { lines: 1, quantity: line.shipped, mills });
        let row = self.revenue.entry(revenue_key(month, channel)).or_default();
        row.lines += 1;
        row.units_out += line.shipped;
        row.gross_mills += mills;
        row.net_mills += mills;
        if kind == Kind::Free {
            row.units_free += line.shipped;
            return;
        }
        match charged.cmp(&micros(line.list_unit_price.as_ref())) {
            std::cmp::Ordering::Less => self.against_list.below += 1,
            std::cmp::Ordering::Equal => self.against_list.at += 1,
            std::cmp::Ordering::Greater => self.against_list.above += 1,
        }
    }

    fn add_fee(&mut self, kind: Kind, fee: &OrderFee) {
        // From the price per unit: a fee may be finer than minor units.
        let mills = fee.quantity * micros(fee.unit_price.as_ref()) / 1_000;
        let sum = Sum { lines: 1, quantity: fee.quantity, mills };
        self.kinds.entry(kind).or_default().add(sum);
        if kind == Kind::Service {
            self.services.entry(fee.code.clone()).or_default().add(sum);
        }
    }

    /// A return; `sources` says which line of the document each of its lines comes from.
    pub fn add_return(&mut self, document: &Document, back: &Return, sources: &[usize]) {
        back.fees.iter().for_each(|fee| self.add_fee(Kind::Service, fee));
        let mut of_line: BTreeMap<usize, (Sum, i64)> = BTreeMap::new();
        for (line, source) in back.lines.iter().zip(sources) {
            let (sum, tied) = of_line.entry(*source).or_default();
            sum.quantity -= line.quantity;
            sum.mills -= line.refund_minor * 10;
            *tied += if line.order_id.is_empty() { 0 } else { line.quantity };
        }
        let (Some(month), Some(channel)) = (month(back.effective_time), SalesChannel::parse(&back.channel_id)) else {
            return;
        };
        if of_line.is_empty() {
            return;
        }
        *self.return_documents.entry(channel.as_str().to_owned()).or_default() += 1;
        let row = self.revenue.entry(revenue_key(month, channel)).or_default();
        row.documents += 1;
        for (sum, tied) in of_line.into_values() {
            row.lines += 1;
            row.units_returned -= sum.quantity;
            row.returned_mills -= sum.mills;
            row.net_mills += sum.mills;
            self.kinds.entry(Kind::Return).or_default().add(Sum { lines: 1, ..sum });
            self.units_matched += tied;
            *self.matches.entry(Match::of(document.customer.is_some(), -sum.quantity, tied)).or_default() += 1;
        }
    }

    pub fn add_adjustment(&mut self, quantity: i64) {
        let sum = Sum { lines: 1, quantity, mills: 0 };
        self.kinds.entry(Kind::Adjust).or_default().add(sum);
        if quantity > 0 { &mut self.found } else { &mut self.written_off }.add(sum);
    }

    pub fn add_receipt(&mut self, quantity: i64) {
        self.received.add(Sum { lines: 1, quantity, mills: 0 });
    }

    pub fn merge(&mut self, other: &Self) {
        for (key, row) in &other.revenue {
            self.revenue.entry(key.clone()).or_default().add(row);
        }
        let counts = |ours: &mut BTreeMap<String, i64>, theirs: &BTreeMap<String, i64>| {
            for (key, count) in theirs {
                *ours.entry(key.clone()).or_default() += count;
            }
        };
        counts(&mut self.sale_documents, &other.sale_documents);
        counts(&mut self.return_documents, &other.return_documents);
        for (kind, sum) in &other.kinds {
            self.kinds.entry(*kind).or_default().add(*sum);
        }
        for (code, sum) in &other.services {
            self.services.entry(code.clone()).or_default().add(*sum);
        }
        self.found.add(other.found);
        self.written_off.add(other.written_off);
        self.received.add(other.received);
        for (matched, count) in &other.matches {
            *self.matches.entry(*matched).or_default() += count;
        }
        self.units_matched += other.units_matched;
        self.against_list.below += other.against_list.below;
        self.against_list.at += other.against_list.at;
        self.against_list.above += other.against_list.above;
    }
}
