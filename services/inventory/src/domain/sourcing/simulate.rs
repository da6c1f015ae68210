//! Past orders against two sets of rules, each on a copy of the same shelf: what differs is the rules and nothing else.
//!
//! Orders are sourced one after the other, in the order given, and each whole or not at all. What one takes the next does
//! not find, neither the units nor the place in a location's day. Days begin empty.

use std::collections::HashMap;

use chrono::{DateTime, NaiveDate, Utc};
use oneshelf_values::Sku;

use super::{Ladder, Node, Order, Plan, Supply, plan};

/// An order with its instant, whose opening hours and days count.
#[derive(Debug, Clone)]
pub struct Past {
    pub order: Order,
    pub at: DateTime<Utc>,
}

/// What one set of rules made of one order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    pub plan: Plan,
    /// Units that were found nowhere: then nothing was taken.
    pub unsourced: i64,
    pub cost: i128,
    pub distance_m: i64,
}

impl Outcome {
    pub fn parcels(&self) -> usize {
        if self.unsourced == 0 { self.plan.parcels.len() } else { 0 }
    }

    /// Where the goods come from; the step by which that was found does not matter.
    pub fn same_goods(&self, other: &Self) -> bool {
        self.unsourced == other.unsourced && (self.unsourced > 0 || self.plan.parcels == other.plan.parcels)
    }
}

/// What one set of rules came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    pub sourced: usize,
    pub stock_outs: usize,
    pub unsourced: i64,
    pub parcels: usize,
    pub splits: usize,
    pub cost: i128,
    pub distance_m: i64,
}

impl Totals {
    pub fn of<'a>(outcomes: impl IntoIterator<Item = &'a Outcome>) -> Self {
        outcomes.into_iter().fold(Self::default(), |mut totals, outcome| {
            if outcome.unsourced > 0 {
                totals.stock_outs += 1;
                totals.unsourced += outcome.unsourced;
                return totals;
            }
            totals.sourced += 1;
            totals.parcels += outcome.parcels();
            totals.splits += usize::from(outcome.parcels() > 1);
            totals.cost += outcome.cost;
            totals.distance_m += outcome.distance_m;
            totals
        })
    }
}

/// Sources the orders by one set of rules. `shelf` says per SKU what each node can give.
#[expect(clippy::implicit_hasher, reason = "a shelf has the one hasher that its maker gave it")]
pub fn simulate(ladder: &Ladder, nodes: &[Node], shelf: &HashMap<Sku, Vec<i64>>, orders: &[Past]) -> Vec<Outcome> {
    let mut shelf = shelf.clone();
    let mut taken: HashMap<(usize, NaiveDate), i32> = HashMap::new();
    orders
        .iter()
        .map(|past| {
            let order = &past.order;
            let mut units = Vec::with_capacity(nodes.len() * order.lines.len());
            for node in 0..nodes.len() {
                let of = |sku: &Sku| shelf.get(sku).and_then(|there| there.get(node)).copied().unwrap_or(0);
                units.extend(order.lines.iter().map(|line| of(&line.sku)));
            }
            let day = |node: usize| (node, nodes[node].day(past.at));
            let room = (0..nodes.len())
                .map(|node| nodes[node].capacity.map(|most| most - taken.get(&day(node)).copied().unwrap_or(0)))
                .collect();
            let plan = plan(ladder, order, nodes, &Supply { units, room }, past.at);
            let unsourced: i64 = plan.missing.iter().map(|(_, units, _)| units).sum();
            if unsourced > 0 {
                return Outcome { plan, unsourced, cost: 0, distance_m: 0 };
            }
            for parcel in &plan.parcels {
                *taken.entry(day(parcel.node)).or_default() += 1;
                for (line, units) in &parcel.takes {
                    if let Some(there) = shelf.get_mut(&order.lines[*line].sku) {
                        there[parcel.node] -= units;
                    }
                }
            }
            let (cost, distance_m) = plan.figures(order, nodes);
            Outcome { plan, unsourced, cost, distance_m }
        })
        .collect()
}
