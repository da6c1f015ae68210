//! Expected beside reached: totals, every day's balance, what was short, and the end.

use std::{collections::BTreeMap, fmt};

use chrono::NaiveDate;
use serde_json::Value;

use super::{
    books::{Books, Channel, Movement},
    drive::Reached,
};
use crate::replay::figures::{self, Figure, Section};

/// Sections as a table for people.
pub struct Table<'a>(pub &'a [Section]);

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        figures::write(f, self.0, true)
    }
}

pub fn sections(books: &Books, reached: &Reached) -> Vec<Section> {
    let of_day = |what: &str, found: &BTreeMap<_, i64>| {
        let figure = |(date, movement): (NaiveDate, &Movement)| Figure {
            name: format!("{what} of {} on {date}", books.items[movement.item].sku),
            expected: Some(movement.balance),
            reached: found.get(&(date, movement.item)).copied(),
        };
        books.movements().map(figure).collect()
    };
    vec![
        Section::new("Totals", true, totals(books, reached)),
        Section::new("Balance per day and SKU, that evening", false, of_day("balance", &reached.by_day)),
        Section::new(
            "The same, asked when all was over",
            false,
            of_day("balance, asked later,", &reached.by_day_at_the_end),
        ),
        Section::new("Sales below zero, told as oversold", false, oversold(books, reached)),
        Section::new("On hand, available, oversold at the end", false, end(books, reached)),
    ]
}

/// The source's totals where the whole is replayed, else those of its rows.
fn totals(books: &Books, reached: &Reached) -> Vec<Figure> {
    let mut figures = Vec::new();
    let mut add = |name: String, pointer: &str, of_rows: i64, reached: i64| {
        let stated = books.expected.as_ref().map(|expected| expected.pointer(pointer).and_then(Value::as_i64));
        figures.push(Figure { name, expected: stated.unwrap_or(Some(of_rows)), reached: Some(reached) });
    };
    let of_books = |name: &str| format!("/inventory/{name}");
    for channel in Channel::ALL {
        let name = channel.as_str();
        let orders = || books.orders().filter(|order| order.channel == channel);
        let lines = || orders().flat_map(|order| &order.lines);
        let sold = reached.sold.get(name).copied().unwrap_or_default();
        add(format!("{name} orders"), &format!("/{name}/orders"), orders().count() as i64, sold.orders);
        add(format!("{name} lines"), &format!("/{name}/lines"), lines().count() as i64, sold.lines);
        add(format!("{name} units"), &format!("/{name}/units"), lines().map(|(_, units)| units).sum(), sold.units);
    }
    let sold: i64 = reached.sold.values().map(|sold| sold.units).sum();
    let movements = || books.movements().map(|(_, movement)| movement);
    let balances = books.last_balances();
    let on_hand = || reached.levels.values().map(|level| level.on_hand);
    add("SKUs".to_owned(), &of_books("products"), books.items.len() as i64, reached.levels.len() as i64);
    let opening = books.items.iter().map(|item| item.opening).sum();
    add("units before the first day".to_owned(), &of_books("opening_units"), opening, reached.opening_units);
    let units_in = movements().map(|movement| movement.units_in).sum();
    add("units in".to_owned(), &of_books("units_in"), units_in, reached.units_in);
    add("units out".to_owned(), &of_books("units_out"), movements().map(|movement| movement.units_out).sum(), sold);
    add("units at the end".to_owned(), &of_books("end_units"), balances.iter().sum(), on_hand().sum());
    let rows = movements().count() as i64;
    add("SKU-days with a movement".to_owned(), &of_books("movement_rows"), rows, reached.by_day.len() as i64);
    let below = movements().filter(|movement| movement.balance < 0).count() as i64;
    let reached_below = reached.by_day.values().filter(|balance| **balance < 0).count() as i64;
    let name = "movement_rows_with_balance_below_zero";
    add("SKU-days below zero".to_owned(), &of_books(name), below, reached_below);
    let lowest = movements().map(|movement| movement.balance).min().unwrap_or_default();
    let reached_lowest = reached.by_day.values().copied().min().unwrap_or_default();
    add("lowest balance".to_owned(), &of_books("lowest_balance"), lowest, reached_lowest);
    let short = balances.iter().filter(|balance| **balance < 0).count() as i64;
    let reached_short = reached.levels.values().filter(|level| level.oversold > 0).count() as i64;
    add("SKUs oversold at the end".to_owned(), &of_books("products_below_zero_at_end"), short, reached_short);
    let units: i64 = balances.iter().map(|balance| (-balance).max(0)).sum();
    let reached_units = reached.levels.values().map(|level| level.oversold).sum();
    add("units oversold at the end".to_owned(), &of_books("units_short_at_end"), units, reached_units);
    figures
}

/// Goods come in before a day's orders, so within them a balance only falls: a SKU that ends a day below zero was
/// oversold by its last sale, and one that does not was never so.
fn oversold(books: &Books, reached: &Reached) -> Vec<Figure> {
    let rows = books.movements().filter(|(_, movement)| movement.units_out > 0);
    let figure = |(date, movement): (NaiveDate, &Movement)| Figure {
        name: format!("{} oversold on {date}", books.items[movement.item].sku),
        expected: Some(i64::from(movement.balance < 0)),
        reached: Some(i64::from(reached.told_oversold.contains(&(date, movement.item)))),
    };
    rows.map(figure).filter(|figure| (figure.expected, figure.reached) != (Some(0), Some(0))).collect()
}

fn end(books: &Books, reached: &Reached) -> Vec<Figure> {
    let balances = books.last_balances();
    let mut figures = Vec::with_capacity(balances.len() * 3);
    for ((no, item), balance) in books.items.iter().enumerate().zip(balances) {
        let level = reached.levels.get(&no);
        let wanted = item.end.unwrap_or(balance);
        for (name, expected, reached) in [
            ("on hand", wanted, level.map(|level| level.on_hand)),
            ("available", wanted.max(0), level.map(|level| level.available)),
            ("oversold", (-wanted).max(0), level.map(|level| level.oversold)),
        ] {
            figures.push(Figure { name: format!("{} {name} at the end", item.sku), expected: Some(expected), reached });
        }
    }
    figures
}

#[cfg(test)]
mod tests {
    use oneshelf_proto::inventory::v1::StockLevel;

    use super::*;
    use crate::replay::stock::{
        books::{Day, Item, Order},
        drive::Sold,
    };

    fn first() -> NaiveDate {
        "2011-01-01".parse().unwrap()
    }

    /// Four of a thing; six are ordered.
    fn books() -> Books {
        let movement = Movement { item: 0, units_in: 0, units_out: 6, balance: -2 };
        let order = Order { number: "SO1".to_owned(), channel: Channel::Reseller, lines: vec![(0, 6)] };
        Books {
            items: vec![Item { sku: "A/1".parse().unwrap(), opening: 4, end: None }],
            days: [(first(), Day { movements: vec![movement], orders: vec![order] })].into(),
            expected: None,
            fingerprint: 1,
        }
    }

    fn reached() -> Reached {
        Reached {
            opening_units: 4,
            sold: [("reseller", Sold { orders: 1, lines: 1, units: 6 })].into(),
            by_day: [((first(), 0), -2)].into(),
            by_day_at_the_end: [((first(), 0), -2)].into(),
            told_oversold: [(first(), 0)].into(),
            levels: [(0, StockLevel { on_hand: -2, sellable: -2, oversold: 2, ..Default::default() })].into(),
            ..Default::default()
        }
    }

    fn differing(reached: &Reached) -> Vec<String> {
        let sections = sections(&books(), reached);
        figures::differing(&sections).into_iter().map(|figure| figure.name.clone()).collect()
    }

    #[test]
    fn what_is_below_zero_must_be_there_and_be_told() {
        assert_eq!(differing(&reached()), [""; 0]);
        let untold = Reached { told_oversold: [].into(), ..reached() };
        assert_eq!(differing(&untold), ["A/1 oversold on 2011-01-01"]);
        let floored = Reached { by_day_at_the_end: [((first(), 0), 0)].into(), ..reached() };
        assert_eq!(differing(&floored), ["balance, asked later, of A/1 on 2011-01-01"]);
        let missing = Reached { by_day: [].into(), ..reached() };
        assert!(differing(&missing).contains(&"balance of A/1 on 2011-01-01".to_owned()));
        let hidden = Reached { levels: [(0, StockLevel { on_hand: -2, ..Default::default() })].into(), ..reached() };
        assert!(differing(&hidden).contains(&"A/1 oversold at the end".to_owned()));
    }
}
