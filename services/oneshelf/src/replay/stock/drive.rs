//! Day by day through the API: goods in, orders, and what the ledger says of the day when it is over.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, ensure};
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use oneshelf_proto::inventory::v1::{
    Account, CreateLocationRequest, GetStockAsOfRequest, ListStockLevelsRequest, Location, LocationKind, MovementLine,
    PostMovementRequest, ReceiveStockRequest, RecordSoldStockRequest, StockLevel, StockLine,
};
use oneshelf_values::Clock;

use super::books::{Books, Channel, Day, Order};
use crate::{
    api::Api,
    replay::{calls::Caller, drive::is_refused, ids::Ids, progress::Progress, requests::timestamp, setup::all_pages},
};

/// The one location: the source does not say where its goods lie.
const LOCATION: &str = "ADVENTURE-WORKS";
/// Levels of a page, and SKUs and lines of a request, at most.
const PAGE: i32 = 5_000;
const MOST: usize = 2_000;
/// Request ids of sales and receipts are remembered for seven days; after that they would count anew.
const REMEMBERED: TimeDelta = TimeDelta::days(6);

/// What the services answered.
#[derive(Debug, Default)]
pub struct Reached {
    pub opening_units: i64,
    pub units_in: i64,
    pub sold: BTreeMap<&'static str, Sold>,
    /// (day, item) → on hand at the end of the day, asked when the day was over.
    pub by_day: BTreeMap<(NaiveDate, usize), i64>,
    /// The same, asked when all days were over.
    pub by_day_at_the_end: BTreeMap<(NaiveDate, usize), i64>,
    /// (day, item) of which a sale was answered with "oversold".
    pub told_oversold: BTreeSet<(NaiveDate, usize)>,
    /// Item → its level when all was over.
    pub levels: BTreeMap<usize, StockLevel>,
}

/// What a channel's orders took.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Sold {
    pub orders: i64,
    pub lines: i64,
    pub units: i64,
}

struct Drive<'a> {
    caller: &'a Caller,
    books: &'a Books,
    ids: Ids,
    /// Item by SKU.
    items: BTreeMap<&'a str, usize>,
}

pub async fn run(caller: &Caller, books: &Books, clients: usize, progress: &Progress) -> anyhow::Result<Reached> {
    let items = books.items.iter().zip(0..).map(|(item, no)| (item.sku.as_str(), no)).collect();
    let drive = Drive { caller, books, ids: Ids::new(books.fingerprint), items };
    let mut reached = Reached::default();
    drive.open(&mut reached, progress).await?;
    for (date, day) in &books.days {
        drive.day(*date, day, clients, &mut reached, progress).await?;
    }
    progress.say("all days are over; asking for each of them again");
    let days: Vec<_> = books.days.iter().collect();
    let again = stream::iter(days)
        .map(|(date, day)| async { anyhow::Ok((*date, drive.balances(*date, day).await?)) })
        .buffer_unordered(clients);
    let again: Vec<_> = again.try_collect().await?;
    for (date, balances) in again {
        reached.by_day_at_the_end.extend(balances.into_iter().map(|(item, on_hand)| ((date, item), on_hand)));
    }
    reached.levels = drive.levels().await?;
    Ok(reached)
}

/// Goods come in at six, orders are taken at noon, in UTC: the source knows days only.
fn hour(date: NaiveDate, hour: u32) -> DateTime<Utc> {
    date.and_hms_opt(hour, 0, 0).expect("a day has this hour").and_utc()
}

impl Drive<'_> {
    fn line(&self, item: usize, quantity: i64) -> StockLine {
        StockLine { sku: self.books.items[item].sku.to_string(), quantity, ..Default::default() }
    }

    fn item(&self, sku: &str) -> anyhow::Result<usize> {
        self.items.get(sku).copied().with_context(|| format!("{sku} was not asked for"))
    }

    /// The location, and what is there before the first day.
    async fn open(&self, reached: &mut Reached, progress: &Progress) -> anyhow::Result<()> {
        let request = CreateLocationRequest {
            request_id: self.ids.of(&format!("location/{LOCATION}")),
            location: Some(Location {
                location_id: LOCATION.to_owned(),
                kind: LocationKind::Warehouse.into(),
                title: "Adventure Works".to_owned(),
                // The source took orders as facts, whatever was there.
                oversell_facts: true,
                ..Default::default()
            }),
        };
        let create = |mut api: Api, r| async move { api.inventory.create_location(r).await };
        match self.caller.send("CreateLocation", request, create).await {
            Ok(_) => {}
            // Of an earlier run, whose request id is forgotten.
            Err(error) if is_refused(&error, "LOCATION_EXISTS") => {}
            Err(error) => return Err(error),
        }
        let updated =
            self.all_levels().await?.into_iter().filter_map(|level| level.update_time).map(|time| time.seconds);
        if let Some(oldest) = updated.min() {
            ensure!(
                oldest > (Clock::system().now() - REMEMBERED).timestamp(),
                "{LOCATION} holds the stock of a run of days ago, whose request ids may be forgotten: use an empty database"
            );
            progress.say("an earlier run's stock is there: what was done is answered, and not done twice");
        }
        let first = *self.books.days.keys().next().context("no day")?;
        let eve = first.pred_opt().context("the first day has none before it")?;
        let items: Vec<usize> =
            (0..self.books.items.len()).filter(|item| self.books.items[*item].opening != 0).collect();
        for (part, items) in items.chunks(MOST).enumerate() {
            let line = |item: &usize| MovementLine {
                sku: self.books.items[*item].sku.to_string(),
                quantity: self.books.items[*item].opening,
                source: Account::Found.into(),
                target: Account::Sellable.into(),
                lots: Vec::new(),
            };
            let request = PostMovementRequest {
                request_id: self.ids.of(&format!("opening/{part}")),
                location_id: LOCATION.to_owned(),
                lines: items.iter().map(line).collect(),
                reason_code: "opening_balance".to_owned(),
                effective_time: Some(timestamp(hour(eve, 0))),
                ..Default::default()
            };
            let post = |mut api: Api, r| async move { api.inventory.post_movement(r).await };
            let answer = self.caller.send("PostMovement", request, post).await?;
            reached.opening_units += answer.levels.iter().map(|level| level.on_hand).sum::<i64>();
        }
        Ok(())
    }

    async fn day(
        &self,
        date: NaiveDate,
        day: &Day,
        clients: usize,
        reached: &mut Reached,
        progress: &Progress,
    ) -> anyhow::Result<()> {
        let came: Vec<_> = day.movements.iter().filter(|movement| movement.units_in > 0).collect();
        for (part, came) in came.chunks(MOST).enumerate() {
            let request = ReceiveStockRequest {
                request_id: self.ids.at(hour(date, 6), &format!("receipt/{date}/{part}")),
                location_id: LOCATION.to_owned(),
                lines: came.iter().map(|movement| self.line(movement.item, movement.units_in)).collect(),
                reference: format!("goods in of {date}"),
                effective_time: Some(timestamp(hour(date, 6))),
            };
            let receive = |mut api: Api, r| async move { api.inventory.receive_stock(r).await };
            self.caller.send("ReceiveStock", request, receive).await.with_context(|| format!("goods in of {date}"))?;
            reached.units_in += came.iter().map(|movement| movement.units_in).sum::<i64>();
        }
        let sales = stream::iter(&day.orders).map(|order| self.sell(date, order)).buffer_unordered(clients);
        let mut sales = std::pin::pin!(sales);
        while let Some((order, oversold)) = sales.try_next().await? {
            let sold = reached.sold.entry(order.channel.as_str()).or_default();
            sold.orders += 1;
            sold.lines += order.lines.len() as i64;
            sold.units += order.lines.iter().map(|(_, units)| units).sum::<i64>();
            reached.told_oversold.extend(oversold.into_iter().map(|item| (date, item)));
            progress.done(order.lines.len(), &date.format("%Y-%m").to_string());
        }
        let balances = self.balances(date, day).await?;
        reached.by_day.extend(balances.into_iter().map(|(item, on_hand)| ((date, item), on_hand)));
        Ok(())
    }

    /// An order is a fact; answers the items that it left oversold.
    async fn sell<'o>(&self, date: NaiveDate, order: &'o Order) -> anyhow::Result<(&'o Order, Vec<usize>)> {
        ensure!(order.lines.len() <= MOST, "order {} has {} lines", order.number, order.lines.len());
        let Order { number, channel, lines } = order;
        let request = RecordSoldStockRequest {
            request_id: self.ids.at(hour(date, 12), &format!("order/{}/{number}", Channel::as_str(*channel))),
            location_id: LOCATION.to_owned(),
            lines: lines.iter().map(|(item, units)| self.line(*item, *units)).collect(),
            reference: number.clone(),
            effective_time: Some(timestamp(hour(date, 12))),
        };
        let record = |mut api: Api, r| async move { api.inventory.record_sold_stock(r).await };
        let answer = self.caller.send("RecordSoldStock", request, record).await;
        let answer = answer.with_context(|| format!("order {number} of {date}"))?;
        let oversold = answer.oversold_skus.iter().map(|sku| self.item(sku)).collect::<Result<_, _>>()?;
        Ok((order, oversold))
    }

    /// What the ledger says of the day's items at its end.
    async fn balances(&self, date: NaiveDate, day: &Day) -> anyhow::Result<Vec<(usize, i64)>> {
        let mut balances = Vec::with_capacity(day.movements.len());
        for movements in day.movements.chunks(MOST) {
            let request = GetStockAsOfRequest {
                skus: movements.iter().map(|movement| self.books.items[movement.item].sku.to_string()).collect(),
                location_id: LOCATION.to_owned(),
                as_of_time: Some(timestamp(hour(date, 23))),
            };
            let ask = |mut api: Api, r| async move { api.inventory.get_stock_as_of(r).await };
            for stock in self.caller.read("GetStockAsOf", request, ask).await?.stocks {
                balances.push((self.item(&stock.sku)?, stock.on_hand));
            }
        }
        Ok(balances)
    }

    async fn all_levels(&self) -> anyhow::Result<Vec<StockLevel>> {
        let request =
            ListStockLevelsRequest { location_id: LOCATION.to_owned(), page_size: PAGE, ..Default::default() };
        Ok(all_pages!(self.caller, inventory.list_stock_levels, request, levels))
    }

    async fn levels(&self) -> anyhow::Result<BTreeMap<usize, StockLevel>> {
        self.all_levels().await?.into_iter().map(|level| Ok((self.item(&level.sku)?, level))).collect()
    }
}
