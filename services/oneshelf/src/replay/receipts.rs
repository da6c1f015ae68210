//! Rule 5: the goods-in plan.
//!
//! With a plan that came with the data, that one is booked. Without, it is computed: per (SKU, place) and month the
//! fewest units with which no line of the month, taken in order, finds the shelf below zero.

use std::collections::{BTreeMap, HashMap};

use super::{
    classify::Place,
    dataset::{Dataset, Document, Month, SkuNo},
};

/// Units to book at the start of each month.
pub type Receipts = BTreeMap<(Month, Place, SkuNo), i64>;

pub fn smallest_plan(data: &Dataset) -> Receipts {
    /// A shelf since the start of the month that it last moved in.
    struct Shelf {
        month: Month,
        level: i64,
        lowest: i64,
    }

    let mut receipts = Receipts::new();
    let mut shelves: HashMap<(Place, SkuNo), Shelf> = HashMap::new();
    let close = |receipts: &mut Receipts, (place, sku): (Place, SkuNo), shelf: &mut Shelf| {
        if shelf.lowest < 0 {
            receipts.insert((shelf.month, place, sku), -shelf.lowest);
            shelf.level -= shelf.lowest;
        }
        shelf.lowest = 0;
    };
    for at in data.lines_in_order() {
        let (document, line) = data.line(at);
        let change = Document::stock_change(line);
        if change == 0 {
            continue;
        }
        let month = document.month();
        let key = (document.place_of(line), line.sku);
        let shelf = shelves.entry(key).or_insert(Shelf { month, level: 0, lowest: 0 });
        if shelf.month != month {
            close(&mut receipts, key, shelf);
            shelf.month = month;
        }
        shelf.level += change;
        shelf.lowest = shelf.lowest.min(shelf.level);
    }
    for (key, shelf) in &mut shelves {
        close(&mut receipts, *key, shelf);
    }
    receipts
}
