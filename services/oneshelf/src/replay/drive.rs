//! Drives the tasks through the API, many at once.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::{Context, anyhow, bail, ensure};
use oneshelf_proto::{
    catalog::v1::{Quote, QuotePricesRequest, SignedQuote},
    inventory::v1::AdjustmentReason,
    orders::v1::{GetOrderRequest, Order, OrderState},
};
use tokio::task::JoinSet;

use super::{
    calls::{CallError, Caller},
    checkpoint::Checkpoint,
    classify::SalesChannel,
    dataset::{DocNo, Document, Month},
    plan::{Schedule, Task, TaskNo, Work},
    progress::Progress,
    requests::{Parts, Year, reference},
    tally::Tally,
    tills::Tills,
};
use crate::api::Api;

/// How long a process of the services may take to come to its end.
const PATIENCE: Duration = Duration::from_secs(120);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What the tasks share.
pub struct Run {
    pub year: Year,
    pub caller: Caller,
    pub tills: Tills,
    /// Under which order each ticket is kept.
    tickets: Mutex<HashMap<DocNo, String>>,
}

/// Does all tasks; after each finished month the checkpoint is saved.
pub async fn run(
    run: &Arc<Run>,
    tasks: Vec<Task>,
    clients: usize,
    progress: &Progress,
    checkpoint: &mut Checkpoint,
    file: &Path,
) -> anyhow::Result<()> {
    let tasks = Arc::new(tasks);
    let mut months: BTreeMap<Month, (usize, Tally)> = BTreeMap::new();
    for task in tasks.iter() {
        months.entry(task.month).or_default().0 += 1;
    }
    let mut schedule = Schedule::new(&run.year, &tasks);
    let mut in_flight: JoinSet<(TaskNo, anyhow::Result<Tally>)> = JoinSet::new();
    loop {
        while in_flight.len() < clients
            && let Some(no) = schedule.next()
        {
            let (run, tasks) = (Arc::clone(run), Arc::clone(&tasks));
            in_flight.spawn(async move { (no, run.perform(&tasks[no]).await) });
        }
        let Some(joined) = in_flight.join_next().await else { break };
        let (no, tally) = joined.context("a task ended without a result")?;
        let task = &tasks[no];
        let tally = tally.with_context(|| run.describe(task))?;
        schedule.finish(no);
        progress.done(run.line_count(task), &task.month.to_string());
        if let Some((left, sum)) = months.get_mut(&task.month) {
            *left -= 1;
            sum.merge(&tally);
        }
        let mut advanced = false;
        while let Some(first) = months.first_entry().filter(|first| first.get().0 == 0) {
            let (month, (_, sum)) = first.remove_entry();
            checkpoint.tally.merge(&sum);
            checkpoint.done = Some(month);
            advanced = true;
        }
        if advanced {
            checkpoint.tickets = run.tickets().into_iter().collect();
            checkpoint.witness = checkpoint.witness.take().or_else(|| run.witness());
            checkpoint.save(file)?;
        }
    }
    Ok(())
}

impl Run {
    pub fn new(year: Year, caller: Caller, tickets: BTreeMap<DocNo, String>) -> Self {
        let tills = Tills::new(caller.api.clone(), caller.twice);
        Self { year, caller, tills, tickets: Mutex::new(tickets.into_iter().collect()) }
    }

    pub fn tickets(&self) -> HashMap<DocNo, String> {
        self.tickets.lock().expect("no holder of this lock panics").clone()
    }

    /// The first order that the run placed, or a ticket's.
    fn witness(&self) -> Option<String> {
        let placed = self.year.data.documents.iter().find(|document| {
            document.channel.is_some_and(|channel| channel != SalesChannel::Shop) && Parts::of(document).sells()
        });
        placed.map(|document| self.year.order_id(document)).or_else(|| self.tickets().into_values().next())
    }

    fn line_count(&self, task: &Task) -> usize {
        match task.work {
            Work::Receive { .. } => 0,
            Work::Document(doc) => self.year.document(doc).lines.len(),
        }
    }

    fn describe(&self, task: &Task) -> String {
        match &task.work {
            Work::Receive { place, .. } => format!("goods-in of {} at {}", task.month, place.code()),
            Work::Document(doc) => {
                let document = self.year.document(*doc);
                format!("document {} of {}", document.number, document.time.format("%F %R"))
            }
        }
    }

    async fn perform(&self, task: &Task) -> anyhow::Result<Tally> {
        let mut tally = Tally::default();
        let doc = match &task.work {
            Work::Receive { place, lines } => {
                let request = self.year.receive(task.month, *place, lines);
                let receive = |mut api: Api, r| async move { api.inventory.receive_stock(r).await };
                self.caller.send("ReceiveStock", request, receive).await?;
                for (_, units) in lines {
                    tally.add_receipt(*units);
                }
                return Ok(tally);
            }
            Work::Document(doc) => *doc,
        };
        let document = self.year.document(doc);
        let parts = Parts::of(document);
        if parts.sells() {
            match document.channel.context("a sale without a channel")? {
                SalesChannel::Shop => self.record(doc, document, &parts).await?,
                channel => tally.add_order(&self.order(document, channel, &parts).await?),
            }
        }
        if !parts.debts.is_empty() {
            let order_id = self.tills.record(self.year.debt_ticket(document, &parts)).await?;
            self.keep_ticket(doc, order_id);
        }
        if parts.takes_back() {
            self.take_back(doc, &parts, &mut tally).await?;
        }
        for (lines, reason) in
            [(&parts.found, AdjustmentReason::Found), (&parts.written_off, AdjustmentReason::WriteOff)]
        {
            if !lines.is_empty() {
                let request = self.year.adjust(document, lines, reason);
                let adjust = |mut api: Api, r| async move { api.inventory.adjust_stock(r).await };
                self.caller.send("AdjustStock", request, adjust).await?;
                for at in lines {
                    tally.add_adjustment(document.lines[*at].quantity);
                }
            }
        }
        Ok(tally)
    }

    fn keep_ticket(&self, doc: DocNo, order_id: String) {
        self.tickets.lock().expect("no holder of this lock panics").insert(doc, order_id);
    }

    async fn record(&self, doc: DocNo, document: &Document, parts: &Parts) -> anyhow::Result<()> {
        let order_id = self.tills.record(self.year.ticket(document, SalesChannel::Shop, parts)).await?;
        self.keep_ticket(doc, order_id);
        Ok(())
    }
}

/// An order placed and shipped.
impl Run {
    async fn order(&self, document: &Document, channel: SalesChannel, parts: &Parts) -> anyhow::Result<Order> {
        let (quote, signed) = self.quote(self.year.quote(document, channel, parts)).await?;
        let place = |mut api: Api, r| async move { api.orders.place_order(r).await };
        match self.caller.send("PlaceOrder", self.year.place(document, signed), place).await {
            Ok(_) => {}
            // Placed by an earlier run, with that run's quote. It is the same order if it says the same.
            Err(error) if is_refused(&error, "REQUEST_ID_REUSED") => self.placed_before(document, &quote).await?,
            Err(error) => return Err(error),
        }
        let ship = |mut api: Api, r| async move { api.orders.ship_order(r).await };
        let shipped = self.caller.send("ShipOrder", self.year.ship(document), ship).await?;
        let order = shipped.order.context("ShipOrder answered without an order")?;
        ensure!(order.state() == OrderState::Shipped, "ShipOrder left the order {:?}", order.state());
        ensure!(order.lines.iter().all(|line| line.shipped == line.ordered), "ShipOrder shipped less than was ordered");
        Ok(order)
    }

    /// A quote has a new id each time; all else must not depend on how often it is asked for.
    async fn quote(&self, request: QuotePricesRequest) -> anyhow::Result<(Quote, SignedQuote)> {
        let ask = |mut api: Api, r| async move { api.catalog.quote_prices(r).await };
        let first = self.caller.read("QuotePrices", request.clone(), ask).await?;
        let quote = first.quote.context("QuotePrices answered without a quote")?;
        if self.caller.twice {
            let second = self.caller.read("QuotePrices", request, ask).await?.quote.unwrap_or_default();
            ensure!(said(&second) == said(&quote), "QuotePrices answered the same request differently");
        }
        Ok((quote, first.signed_quote.context("QuotePrices answered without a signed quote")?))
    }

    async fn placed_before(&self, document: &Document, quote: &Quote) -> anyhow::Result<()> {
        let order_id = self.year.order_id(document);
        let order = self.wait_for(&order_id, |state| state != OrderState::Placing).await?;
        ensure!(order.state() != OrderState::Refused, "order {order_id} was refused before: {}", order.refusal);
        let ordered = order.lines.iter().map(|line| (&line.sku, line.ordered, &line.unit_price, line.total_minor));
        let quoted = quote.lines.iter().map(|line| (&line.sku, line.quantity, &line.unit_price, line.total_minor));
        let same = ordered.eq(quoted)
            && order
                .fees
                .iter()
                .map(|fee| (&fee.code, fee.total_minor))
                .eq(quote.fees.iter().map(|fee| (&fee.code, fee.total_minor)))
            && order.total == quote.total
            && order.reference == reference(document);
        ensure!(same, "order {order_id} was placed before and is another one: {order:?}");
        Ok(())
    }

    /// Reads an order until its state is as wished.
    async fn wait_for(&self, order_id: &str, wished: impl Fn(OrderState) -> bool) -> anyhow::Result<Order> {
        let reached = async {
            loop {
                let request = GetOrderRequest { order_id: order_id.to_owned() };
                let get = |mut api: Api, r| async move { api.orders.get_order(r).await };
                let order = self.caller.read("GetOrder", request, get).await?.order;
                let order = order.context("GetOrder answered without an order")?;
                if wished(order.state()) {
                    break anyhow::Ok(order);
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        let patience = || format!("order {order_id} did not come to its end within {} s", PATIENCE.as_secs());
        tokio::time::timeout(PATIENCE, reached).await.with_context(patience)?
    }
}

/// What a quote says, without what makes it this quote.
fn said(quote: &Quote) -> Quote {
    Quote { quote_id: String::new(), create_time: None, expire_time: None, ..quote.clone() }
}

pub fn is_refused(error: &anyhow::Error, reason: &str) -> bool {
    error.downcast_ref::<CallError>().is_some_and(|error| error.reason() == reason)
}

/// Goods that come back.
impl Run {
    async fn take_back(&self, doc: DocNo, parts: &Parts, tally: &mut Tally) -> anyhow::Result<()> {
        let mut tied_tickets = Vec::new();
        let back = self.year.take_back(doc, parts, |tied| {
            let document = self.year.document(tied);
            if document.channel != Some(SalesChannel::Shop) {
                return Ok(self.year.order_id(document));
            }
            let tickets = self.tickets.lock().expect("no holder of this lock panics");
            let order_id = tickets.get(&tied).ok_or_else(|| anyhow!("ticket {} is not recorded", document.number))?;
            tied_tickets.push(order_id.clone());
            Ok(order_id.clone())
        })?;
        let send = || {
            let take_back = |mut api: Api, r| async move { api.orders.return_items(r).await };
            self.caller.send("ReturnItems", back.request.clone(), take_back)
        };
        let answer = match send().await {
            // A ticket is a fact at once, but its goods have left only when its stock is booked.
            Err(error) if is_refused(&error, "RETURN_EXCEEDS_SHIPPED") && !tied_tickets.is_empty() => {
                for order_id in &tied_tickets {
                    self.wait_for(order_id, |state| state == OrderState::Completed).await?;
                }
                send().await?
            }
            answer => answer?,
        };
        let answer = answer.r#return.context("ReturnItems answered without a return")?;
        if answer.lines.len() != back.sources.len() {
            bail!("ReturnItems took {} lines back of {}", answer.lines.len(), back.sources.len());
        }
        tally.add_return(self.year.document(doc), &answer, &back.sources);
        Ok(())
    }
}
