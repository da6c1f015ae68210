//! Waits until the services have come to rest, and reads the end from them.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use oneshelf_proto::{
    catalog::v1::{ListPricesRequest, PriceEntry},
    inventory::v1::ListStockLevelsRequest,
    loyalty::v1::ListMembersRequest,
    orders::v1::{ListOrdersRequest, Order, OrderState},
};

use super::{
    calls::Caller,
    classify::{Place, SalesChannel},
    requests::OFFICE,
    setup::all_pages,
};
use crate::api::Api;

/// How long stock of tickets may take to be booked, and points to be counted.
const PATIENCE: Duration = Duration::from_secs(300);
/// Points that have not moved for so long will not move any more.
const AT_REST: Duration = Duration::from_secs(15);
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// The end of the year, as the services tell it.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The tickets of this run.
    pub tickets: Vec<Order>,
    /// (SKU, location) → on hand.
    pub on_hand: BTreeMap<(String, String), i64>,
    /// Member → (earned, balance).
    pub points: BTreeMap<String, (i64, i64)>,
    /// (channel, SKU, first day) → price in mills.
    pub prices: BTreeMap<(SalesChannel, String, String), i64>,
}

/// Tickets are recorded first and booked soon after.
pub async fn tickets_are_booked(caller: &Caller) -> anyhow::Result<()> {
    let began = Instant::now();
    loop {
        let request = ListOrdersRequest { state: OrderState::Recorded.into(), page_size: 1, ..Default::default() };
        let list = |mut api: Api, r| async move { api.orders.list_orders(r).await };
        if caller.read("ListOrders", request, list).await?.orders.is_empty() {
            return Ok(());
        }
        if began.elapsed() > PATIENCE {
            bail!("tickets are still not booked after {} s", PATIENCE.as_secs());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Points follow by events: waits until they are as expected, or move no more.
pub async fn points_at_rest(
    caller: &Caller,
    expected: Option<&BTreeMap<String, (i64, i64)>>,
) -> anyhow::Result<BTreeMap<String, (i64, i64)>> {
    let began = Instant::now();
    let mut last = read_points(caller).await?;
    let mut moved = Instant::now();
    loop {
        let as_expected =
            expected.is_some_and(|expected| expected.iter().all(|(member, points)| last.get(member) == Some(points)));
        if as_expected || moved.elapsed() > AT_REST || began.elapsed() > PATIENCE {
            return Ok(last);
        }
        tokio::time::sleep(LOOK_EVERY).await;
        let now = read_points(caller).await?;
        if now != last {
            (last, moved) = (now, Instant::now());
        }
    }
}

async fn read_points(caller: &Caller) -> anyhow::Result<BTreeMap<String, (i64, i64)>> {
    let request = ListMembersRequest { page_size: 5_000, ..Default::default() };
    let members = all_pages!(caller, loyalty.list_members, request, members);
    Ok(members.into_iter().map(|member| (member.member_id, (member.earned, member.balance))).collect())
}

/// Reads everything but the points; `tickets` are the orders of this run's tickets.
pub async fn read(caller: &Caller, tickets: &BTreeSet<String>) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    for channel in [SalesChannel::Shop.code(), OFFICE] {
        let request = ListOrdersRequest { channel_id: channel.to_owned(), page_size: 200, ..Default::default() };
        let orders = all_pages!(caller, orders.list_orders, request, orders);
        outcome.tickets.extend(orders.into_iter().filter(|order| tickets.contains(&order.order_id)));
    }
    for place in Place::ALL {
        let request =
            ListStockLevelsRequest { location_id: place.code().to_owned(), page_size: 5_000, ..Default::default() };
        for level in all_pages!(caller, inventory.list_stock_levels, request, levels) {
            outcome.on_hand.insert((level.sku, level.location_id), level.on_hand);
        }
    }
    for channel in SalesChannel::ALL {
        let price_list_id = channel.price_list().to_owned();
        let request = ListPricesRequest { price_list_id, page_size: 5_000, ..Default::default() };
        for entry in all_pages!(caller, catalog.list_prices, request, entries) {
            let from = first_day(&entry)?;
            let mills = entry.unit_price.map_or(0, |price| price.micros / 1_000);
            outcome.prices.insert((channel, entry.sku, from), mills);
        }
    }
    Ok(outcome)
}

fn first_day(entry: &PriceEntry) -> anyhow::Result<String> {
    let from = entry.valid_from.context("a price without valid_from")?;
    let time = chrono::DateTime::from_timestamp(from.seconds, 0).context("a price from out of this world")?;
    // A version that begins within a day shows its time, so it equals no expected one.
    let format = if time.timestamp() % 86_400 == 0 { "%F" } else { "%F %T" };
    Ok(time.format(format).to_string())
}
