//! From where an order would come now, and why; and how two sets of rules compare. Nothing is locked and nothing taken.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use oneshelf_kit::auth::Caller;
use oneshelf_values::{ChannelId, Sku};

use super::{
    Error, Inventory,
    figures::{SEE_QUANTITIES, Who, read_live},
    source::load_boards,
};
use crate::{
    domain::{
        Refusal,
        sourcing::{
            self, Board, Explained, Ladder, MAX_PAIRS, Node, NodeDay, Order, Plan, Rules, Supply,
            simulate::{Outcome, Past, Totals, simulate},
        },
    },
    store,
};

/// Past orders that are sourced again at most.
pub const MAX_ORDERS: usize = 500;

/// A plan with everything that it was made of.
#[derive(Debug, Clone)]
pub struct Planned {
    pub order: Order,
    pub rules: Rules,
    pub nodes: Vec<Node>,
    pub plan: Plan,
    pub explained: Vec<Explained>,
}

/// One side of a comparison.
#[derive(Debug, Clone)]
pub enum Side {
    /// The channel's rules as they are.
    Current,
    /// The channel's rules of this version; 0: the default ladder.
    Version(i64),
    Draft(Ladder),
}

/// What is sourced again.
#[derive(Debug, Clone)]
pub enum Orders {
    Given(Vec<(String, Past)>),
    /// The channel's network holds from one instant on and before another.
    Held(DateTime<Utc>, DateTime<Utc>),
}

/// Two sets of rules against the same orders.
#[derive(Debug, Clone)]
pub struct Comparison {
    pub orders: Vec<(String, Past)>,
    pub truncated: bool,
    pub nodes: Vec<Node>,
    pub first: (Totals, Vec<Outcome>),
    pub second: (Totals, Vec<Outcome>),
}

impl Inventory {
    /// Plans an order on what is available now, by the channel's rules or by a draft of others.
    pub async fn plan_fulfilment(
        &self,
        caller: &Caller,
        who: Who,
        order: Order,
        draft: Option<Ladder>,
    ) -> Result<Planned, Error> {
        caller.require(SEE_QUANTITIES)?;
        let (who, now) = (who.within(caller)?, self.clock.now());
        let Board { mut rules, nodes } = self.board(&who.channel).await?;
        if let Some(ladder) = draft {
            rules = Rules { ladder, version: 0 };
        }
        check_size(nodes.len(), order.lines.len())?;
        let skus: Vec<&str> = order.lines.iter().map(|line| line.sku.as_str()).collect();
        let shelf = self.shelf(&who, &skus, &nodes, now).await?;
        let units = (0..nodes.len()).flat_map(|node| order.lines.iter().map(move |line| (node, &line.sku)));
        let units = units.map(|(node, sku)| shelf.get(sku).map_or(0, |there| there[node])).collect();
        let room = self.room(&nodes, now).await?;
        let (plan, explained) = sourcing::explain(&rules.ladder, &order, &nodes, &Supply { units, room }, now);
        Ok(Planned { order, rules, nodes, plan, explained })
    }

    /// Sources past orders by two sets of rules.
    pub async fn simulate_sourcing(
        &self,
        caller: &Caller,
        channel: ChannelId,
        first: Side,
        second: Side,
        orders: Orders,
    ) -> Result<Comparison, Error> {
        caller.require(SEE_QUANTITIES)?;
        let (who, now) = (Who { channel, partner: None }.within(caller)?, self.clock.now());
        let Board { rules, nodes } = self.board(&who.channel).await?;
        let first = self.side(&who.channel, first, &rules).await?;
        let second = self.side(&who.channel, second, &rules).await?;
        let mut truncated = false;
        let orders = match orders {
            Orders::Given(orders) => orders,
            Orders::Held(start, end) => {
                let limit = MAX_ORDERS as i64 + 1;
                let mut held = store::sourcing::list_sourced_holds(&self.pool, &who.channel, start, end, limit).await?;
                truncated = held.len() > MAX_ORDERS;
                held.truncate(MAX_ORDERS);
                let past = |hold: store::sourcing::PastHold| {
                    (hold.hold_id.to_string(), Past { order: hold.order, at: hold.created_at })
                };
                held.into_iter().map(past).collect()
            }
        };
        let skus: std::collections::BTreeSet<&str> =
            orders.iter().flat_map(|(_, past)| past.order.lines.iter().map(|line| line.sku.as_str())).collect();
        let lines: usize = orders.iter().map(|(_, past)| past.order.lines.len()).sum();
        // Each line of each order is looked at for each location, under two sets of rules.
        check_size(nodes.len(), lines.div_ceil(20))?;
        check_size(nodes.len(), skus.len())?;
        let shelf = self.shelf(&who, &skus.into_iter().collect::<Vec<_>>(), &nodes, now).await?;
        let past: Vec<Past> = orders.iter().map(|(_, past)| past.clone()).collect();
        let (places, both) = (nodes.clone(), (first, second));
        // Up to a second of plain computing: not on the threads that answer everybody else.
        let (first, second) = tokio::task::spawn_blocking(move || {
            let run = |ladder: &Ladder| {
                let outcomes = simulate(ladder, &places, &shelf, &past);
                (Totals::of(&outcomes), outcomes)
            };
            (run(&both.0), run(&both.1))
        })
        .await
        .map_err(|_| Error::Unexpected("the simulation broke off"))?;
        Ok(Comparison { orders, truncated, nodes, first, second })
    }

    async fn side(&self, channel: &ChannelId, side: Side, current: &Rules) -> Result<Ladder, Error> {
        match side {
            Side::Current => Ok(current.ladder.clone()),
            Side::Draft(ladder) => Ok(ladder),
            Side::Version(0) => Ok(Ladder::default()),
            Side::Version(version) => {
                let mut conn = self.pool.acquire().await?;
                let found = store::sourcing::find_rules(&mut conn, channel, Some(version)).await?;
                let missing = || Refusal::SourcingRulesNotFound { channel: channel.clone(), version };
                Ok(found.ok_or_else(missing)?.rules.ladder)
            }
        }
    }

    async fn board(&self, channel: &ChannelId) -> Result<Board, Error> {
        let mut conn = self.pool.acquire().await?;
        let mut boards = load_boards(&mut conn, std::iter::once(channel)).await?;
        boards.remove(channel).ok_or_else(|| Refusal::ChannelNotFound { channel: channel.clone() }.into())
    }

    /// What a hold would be granted of each SKU at each node.
    async fn shelf(
        &self,
        who: &Who,
        skus: &[&str],
        nodes: &[Node],
        now: DateTime<Utc>,
    ) -> Result<HashMap<Sku, Vec<i64>>, Error> {
        let locations: Vec<String> = nodes.iter().map(|node| node.location.to_string()).collect();
        let places: HashMap<&str, usize> = locations.iter().map(String::as_str).zip(0..).collect();
        let live = read_live(&self.pool, skus, &locations, now).await?;
        let mut shelf: HashMap<Sku, Vec<i64>> = HashMap::new();
        for level in &live.levels {
            let Some(place) = places.get(level.key.location.as_str()) else { continue };
            let there = shelf.entry(level.key.sku.clone()).or_insert_with(|| vec![0; nodes.len()]);
            there[*place] = live.breakdown(level, who.asker()).available;
        }
        Ok(shelf)
    }

    /// Orders that each node's day still has room for.
    async fn room(&self, nodes: &[Node], now: DateTime<Utc>) -> Result<Vec<Option<i32>>, Error> {
        let day = |node: &Node| -> NodeDay { (node.location.clone(), node.day(now)) };
        let days: Vec<NodeDay> = nodes.iter().filter(|node| node.capacity.is_some()).map(day).collect();
        let mut taken = HashMap::new();
        if !days.is_empty() {
            let mut conn = self.pool.acquire().await?;
            taken = store::sourcing::find_node_days(&mut conn, &days).await?;
        }
        let left = |node: &Node| Some(node.capacity? - taken.get(&day(node)).copied().unwrap_or(0));
        Ok(nodes.iter().map(left).collect())
    }
}

fn check_size(nodes: usize, lines: usize) -> Result<(), Refusal> {
    let most = MAX_PAIRS / nodes.max(1);
    if lines > most { Err(Refusal::TooLarge { limit: most as i64 }) } else { Ok(()) }
}
