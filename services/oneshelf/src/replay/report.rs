//! Expected beside reached, and whether they are equal.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde_json::{Value, json};

use super::{
    classify::{Kind, SalesChannel},
    expected::{ChannelMonth, Expected},
    figures::{self, Figure, Section, grouped},
    ids,
    matching::Match,
    outcome::Outcome,
    tally::{Sum, Tally, revenue_key},
};

#[derive(Debug)]
pub struct Report {
    pub sections: Vec<Section>,
    pub revenue: BTreeMap<String, ChannelMonth>,
    /// Whether there is anything to compare with.
    pub compared: bool,
}

impl Report {
    pub fn new(tally: &Tally, outcome: &Outcome, expected: Option<&Expected>) -> Self {
        let total = |pointer: &str| expected.and_then(|expected| expected.total(pointer));
        let revenue = Section::new("Channels and months", false, revenue(tally, expected));
        let totals = Section::new("Totals", true, totals(tally, outcome, &total));
        let services = Section::new("Service lines", false, services(tally, expected));
        let on_hand = pairs(expected.map(|expected| expected.on_hand.clone()), &outcome.on_hand, |(sku, location)| {
            format!("on hand {sku} at {location}")
        });
        let prices = pairs(
            expected.map(|expected| {
                let day = |((channel, sku, month), mills): (&(SalesChannel, String, _), &i64)| {
                    ((*channel, sku.clone(), format!("{month}-01")), *mills)
                };
                expected.prices.iter().map(day).collect()
            }),
            &outcome.prices,
            |(channel, sku, from)| format!("price of {sku} in {} from {from}", channel.as_str()),
        );
        Self {
            sections: vec![
                revenue,
                totals,
                services,
                Section::new("On hand per (SKU, location)", false, on_hand),
                Section::new("Price versions", false, prices),
                Section::new("Points per customer: earned and balance", false, points(outcome, expected)),
            ],
            revenue: tally.revenue.clone(),
            compared: expected.is_some(),
        }
    }

    pub fn differences(&self) -> Vec<&Figure> {
        if self.compared { figures::differing(&self.sections) } else { Vec::new() }
    }

    pub fn to_json(&self) -> Value {
        let mut whole = figures::to_json(&self.sections, self.compared);
        whole["channel_months"] = json!(self.revenue);
        whole
    }
}

fn revenue(tally: &Tally, expected: Option<&Expected>) -> Vec<Figure> {
    let wanted: BTreeMap<String, ChannelMonth> = expected
        .map(|expected| {
            expected.revenue.iter().map(|((month, channel), row)| (revenue_key(*month, *channel), *row)).collect()
        })
        .unwrap_or_default();
    let keys: BTreeSet<&String> = wanted.keys().chain(tally.revenue.keys()).collect();
    let mut figures = Vec::new();
    for key in keys {
        let (wanted, reached) = (wanted.get(key), tally.revenue.get(key));
        for (at, (name, _)) in ChannelMonth::default().figures().into_iter().enumerate() {
            figures.push(Figure {
                name: format!("{key} {name}"),
                expected: wanted.map(|row| row.figures()[at].1),
                reached: reached.map(|row| row.figures()[at].1),
            });
        }
    }
    figures
}

fn totals(tally: &Tally, outcome: &Outcome, total: &impl Fn(&str) -> Option<i64>) -> Vec<Figure> {
    let mut figures = Vec::new();
    let mut add = |name: String, pointer: &str, reached: i64| {
        figures.push(Figure { name, expected: total(pointer), reached: Some(reached) });
    };
    for kind in Kind::ALL {
        let Sum { lines, quantity, mills } = tally.kinds.get(&kind).copied().unwrap_or_default();
        let name = kind.as_str();
        add(format!("{name} lines"), &format!("/by_kind/{name}/lines"), lines);
        add(format!("{name} quantity"), &format!("/by_kind/{name}/quantity"), quantity);
        add(format!("{name} mills"), &format!("/by_kind/{name}/amount_mills"), mills);
    }
    for (sum, name) in [(tally.found, "adjust_positive"), (tally.written_off, "adjust_negative")] {
        add(format!("{name} lines"), &format!("/{name}/lines"), sum.lines);
        add(format!("{name} quantity"), &format!("/{name}/quantity"), sum.quantity);
    }
    for channel in SalesChannel::ALL.map(SalesChannel::as_str) {
        let of = |documents: &BTreeMap<String, i64>| documents.get(channel).copied().unwrap_or_default();
        add(
            format!("{channel} sale documents"),
            &format!("/by_channel/{channel}/sale_documents"),
            of(&tally.sale_documents),
        );
        add(
            format!("{channel} return documents"),
            &format!("/by_channel/{channel}/return_documents"),
            of(&tally.return_documents),
        );
    }
    for matched in Match::ALL {
        let name = matched.as_str();
        let lines = tally.matches.get(&matched).copied().unwrap_or_default();
        add(format!("return lines matched: {name}"), &format!("/returns_matched/lines/{name}"), lines);
    }
    add("returned units matched".to_owned(), "/returns_matched/units_matched", tally.units_matched);
    for (name, lines) in
        [("below", tally.against_list.below), ("at", tally.against_list.at), ("above", tally.against_list.above)]
    {
        add(format!("sale lines {name} list price"), &format!("/price_versions/sale_lines_{name}_list"), lines);
    }
    add("price versions".to_owned(), "/price_versions/versions", outcome.prices.len() as i64);
    add("receipt rows".to_owned(), "/stock/receipt_rows", tally.received.lines);
    add("received units".to_owned(), "/stock/received_units", tally.received.quantity);
    add("(SKU, location) pairs".to_owned(), "/stock/sku_locations", outcome.on_hand.len() as i64);
    add("units on hand at the end".to_owned(), "/stock/end_units", outcome.on_hand.values().sum());
    let empty = outcome.on_hand.values().filter(|units| **units == 0).count();
    add("pairs with none on hand".to_owned(), "/stock/sku_locations_with_end_zero", empty as i64);
    add("points earned".to_owned(), "/loyalty/points_earned", outcome.points.values().map(|(earned, _)| earned).sum());
    add(
        "points balance".to_owned(),
        "/loyalty/points_balance",
        outcome.points.values().map(|(_, balance)| balance).sum(),
    );
    let negative = outcome.points.values().filter(|(_, balance)| *balance < 0).count();
    add("customers below zero points".to_owned(), "/loyalty/customers_with_negative_balance", negative as i64);
    figures
}

fn services(tally: &Tally, expected: Option<&Expected>) -> Vec<Figure> {
    let wanted: BTreeMap<String, [Option<i64>; 3]> = expected
        .and_then(|expected| expected.totals.get("service_by_code")?.as_object())
        .map(|codes| {
            let of =
                |sums: &Value| ["lines", "quantity", "amount_mills"].map(|name| sums.get(name).and_then(Value::as_i64));
            codes.iter().map(|(code, sums)| (code.clone(), of(sums))).collect()
        })
        .unwrap_or_default();
    let codes: BTreeSet<&String> = wanted.keys().chain(tally.services.keys()).collect();
    let mut figures = Vec::new();
    for code in codes {
        let reached = tally.services.get(code).map(|sum| [sum.lines, sum.quantity, sum.mills]);
        for (at, name) in ["lines", "quantity", "mills"].into_iter().enumerate() {
            figures.push(Figure {
                name: format!("service {code} {name}"),
                expected: wanted.get(code).and_then(|sums| sums[at]),
                reached: reached.map(|sums| sums[at]),
            });
        }
    }
    figures
}

fn pairs<K: Ord + Clone>(
    wanted: Option<BTreeMap<K, i64>>,
    reached: &BTreeMap<K, i64>,
    name: impl Fn(&K) -> String,
) -> Vec<Figure> {
    let wanted = wanted.unwrap_or_default();
    let keys: BTreeSet<&K> = wanted.keys().chain(reached.keys()).collect();
    let figure =
        |key: &&K| Figure { name: name(key), expected: wanted.get(key).copied(), reached: reached.get(key).copied() };
    keys.iter().map(figure).collect()
}

/// Members that no expected row names have nothing.
fn points(outcome: &Outcome, expected: Option<&Expected>) -> Vec<Figure> {
    let wanted: BTreeMap<String, (i64, i64)> = expected
        .map(|expected| expected.points.iter().map(|(customer, points)| (ids::member(customer), *points)).collect())
        .unwrap_or_default();
    let members: BTreeSet<&String> = wanted.keys().chain(outcome.points.keys()).collect();
    let mut figures = Vec::new();
    for member in members {
        let wanted = expected.map(|_| wanted.get(member).copied().unwrap_or_default());
        let reached = outcome.points.get(member);
        figures.push(Figure {
            name: format!("points earned by {member}"),
            expected: wanted.map(|(earned, _)| earned),
            reached: reached.map(|(earned, _)| *earned),
        });
        figures.push(Figure {
            name: format!("points balance of {member}"),
            expected: wanted.map(|(_, balance)| balance),
            reached: reached.map(|(_, balance)| *balance),
        });
    }
    figures
}

/// Mills as pounds.
fn pounds(mills: i64) -> String {
    let sign = if mills < 0 { "-" } else { "" };
    format!("{sign}{}.{:02}", grouped((mills / 1_000).abs()), (mills % 1_000).abs() / 10)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:16} {:>6} {:>7} {:>10} {:>14} {:>9} {:>12} {:>14} {:>6}",
            "month/channel", "docs", "lines", "units out", "gross", "back", "returned", "net", "free"
        )?;
        for (key, row) in &self.revenue {
            let differs = self.differences().iter().any(|figure| figure.name.starts_with(&format!("{key} ")));
            let verdict = match (self.compared, differs) {
                (false, _) => "",
                (true, false) => "equal",
                (true, true) => "DIFFERENT",
            };
            writeln!(
                f,
                "{key:16} {:>6} {:>7} {:>10} {:>14} {:>9} {:>12} {:>14} {:>6}  {verdict}",
                grouped(row.documents),
                grouped(row.lines),
                grouped(row.units_out),
                pounds(row.gross_mills),
                grouped(row.units_returned),
                pounds(row.returned_mills),
                pounds(row.net_mills),
                grouped(row.units_free),
            )?;
        }
        figures::write(f, &self.sections, self.compared)
    }
}
