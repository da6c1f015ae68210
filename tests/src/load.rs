//! Customers who never give up: deliveries, orders and tickets, each repeated with its own id until its outcome is known.
//!
//! So what was taken and given is known exactly afterwards, from the customers' side alone, whatever broke in between.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use oneshelf_kit::grpc::client::outcome_unknown;
use oneshelf_proto::{inventory::v1 as inventory, orders::v1 as orders};
use oneshelf_testkit::wait_for;
use tokio::{runtime::Handle, task::JoinHandle};
use tonic::{Code, Response, Status};

use crate::shop::{STORE, Shop, WAREHOUSE, WEB};

const BUYERS: usize = 6;
const GIVE_UP: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(50);

/// Repeats a call until it has an answer that stands.
pub async fn until_known<T>(mut call: impl AsyncFnMut() -> Result<Response<T>, Status>) -> Result<T, Status> {
    let began = Instant::now();
    loop {
        match call().await {
            Ok(answer) => return Ok(answer.into_inner()),
            Err(status) => {
                let later = matches!(status.code(), Code::ResourceExhausted | Code::Aborted);
                if !later && !outcome_unknown(&status) {
                    return Err(status);
                }
                assert!(began.elapsed() < GIVE_UP, "no outcome within {GIVE_UP:?}: {status:?}");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// What the customers know.
#[derive(Default)]
pub struct Tally {
    /// Units by (location, SKU): received less sold.
    pub units: BTreeMap<(&'static str, String), i64>,
    /// Units that members paid for, 5.00 each.
    pub bought: i64,
    pub receipts: Vec<(inventory::ReceiveStockRequest, inventory::ReceiveStockResponse)>,
    pub placed: Vec<(orders::PlaceOrderRequest, orders::PlaceOrderResponse)>,
    pub shipped: Vec<(orders::ShipOrderRequest, orders::ShipOrderResponse)>,
    pub tickets: Vec<(orders::Ticket, String)>,
}

impl Tally {
    fn move_units(&mut self, location: &'static str, sku: &str, by: i64) {
        *self.units.entry((location, sku.to_owned())).or_default() += by;
    }

    fn add(&mut self, other: Self) {
        for ((location, sku), units) in other.units {
            self.move_units(location, &sku, units);
        }
        self.bought += other.bought;
        self.receipts.extend(other.receipts);
        self.placed.extend(other.placed);
        self.shipped.extend(other.shipped);
        self.tickets.extend(other.tickets);
    }

    /// Whatever was answered is answered so again.
    pub async fn is_repeated(&self, shop: &mut Shop) {
        for (request, answer) in &self.receipts {
            assert_eq!(shop.inventory.receive_stock(request.clone()).await.expect("known").get_ref(), answer);
        }
        for (request, answer) in &self.placed {
            assert_eq!(shop.orders.place_order(request.clone()).await.expect("known").get_ref(), answer);
        }
        for (request, answer) in &self.shipped {
            assert_eq!(shop.orders.ship_order(request.clone()).await.expect("known").get_ref(), answer);
        }
        let (tickets, ids): (Vec<_>, Vec<_>) = self.tickets.iter().cloned().unzip();
        for (answer, id) in shop.record(&tickets).await.expect("known").into_iter().zip(ids) {
            assert_eq!((answer.outcome(), answer.order_id), (orders::TicketOutcome::AlreadyRecorded, id));
        }
    }
}

/// Customers at work until told to stop.
pub struct Load {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
    buyers: Vec<JoinHandle<Tally>>,
    first: Tally,
}

impl Load {
    /// `member` gets the points; every SKU begins with 100 units in the warehouse.
    pub async fn start(shop: &Shop, member: &str, skus: &[String]) -> Self {
        let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let mut first = Tally::default();
        let mut visitor = Visitor { shop: shop.clone(), member: member.to_owned(), skus: skus.to_vec() };
        visitor.receive(&mut first, 0..skus.len(), 100).await;
        let buyers = (0..BUYERS)
            .map(|buyer| {
                let (stop, done, mut visitor) = (stop.clone(), done.clone(), visitor.clone());
                let runtime = Handle::current();
                // A thread each: closures that lend to the futures they return are not `Send` enough for a task.
                tokio::task::spawn_blocking(move || {
                    runtime.block_on(async {
                        let mut tally = Tally::default();
                        let mut visit = buyer;
                        while !stop.load(Ordering::Relaxed) {
                            visitor.visit(&mut tally, visit).await;
                            done.fetch_add(1, Ordering::Relaxed);
                            visit += BUYERS;
                        }
                        tally
                    })
                })
            })
            .collect();
        Self { stop, done, buyers, first }
    }

    /// Waits until so many more visits are over.
    pub async fn goes_on(&self, visits: u64) {
        let enough = self.done.load(Ordering::Relaxed) + visits;
        let what = format!("{visits} more visits");
        wait_for(&what, GIVE_UP, async || (self.done.load(Ordering::Relaxed) >= enough).then_some(())).await;
    }

    /// Lets every customer finish, and says what they know.
    pub async fn stop(self) -> Tally {
        self.stop.store(true, Ordering::Relaxed);
        let mut tally = self.first;
        for buyer in self.buyers {
            tally.add(buyer.await.expect("no customer was surprised"));
        }
        tally
    }
}

#[derive(Clone)]
struct Visitor {
    shop: Shop,
    member: String,
    skus: Vec<String>,
}

impl Visitor {
    async fn visit(&mut self, tally: &mut Tally, visit: usize) {
        let sku = visit % self.skus.len();
        match visit % 8 {
            0 => self.receive(tally, sku..sku + 1, 6).await,
            3 => self.ticket(tally, sku).await,
            _ => self.order(tally, sku, visit.is_multiple_of(5)).await,
        }
    }

    async fn receive(&mut self, tally: &mut Tally, skus: std::ops::Range<usize>, units: i64) {
        let lines: Vec<(&str, i64)> = self.skus[skus].iter().map(|sku| (sku.as_str(), units)).collect();
        let request = self.shop.receipt(WAREHOUSE, &lines);
        let inventory = &mut self.shop.inventory;
        let answer = until_known(async || inventory.receive_stock(request.clone()).await).await.expect("is received");
        for (sku, units) in lines {
            tally.move_units(WAREHOUSE, sku, units);
        }
        tally.receipts.push((request, answer));
    }

    async fn ticket(&mut self, tally: &mut Tally, sku: usize) {
        let sku = self.skus[sku].clone();
        let ticket = self.shop.ticket(&self.shop.id(), &self.member, &[(&sku, 1)]);
        let mut shop = self.shop.clone();
        let tickets = [ticket.clone()];
        let answers = until_known(async || shop.record(&tickets).await.map(Response::new)).await.expect("is recorded");
        let [answer] = &answers[..] else { panic!("one answer per ticket, not {answers:?}") };
        let recorded = [orders::TicketOutcome::Recorded, orders::TicketOutcome::AlreadyRecorded];
        assert!(recorded.contains(&answer.outcome()), "{answer:?}");
        tally.move_units(STORE, &sku, -1);
        tally.bought += 1;
        tally.tickets.push((ticket, answer.order_id.clone()));
    }

    async fn order(&mut self, tally: &mut Tally, sku: usize, cancel: bool) {
        // Crosswise, so that orders meet at two levels.
        let (one, other) = (self.skus[sku].clone(), self.skus[(sku + 1) % self.skus.len()].clone());
        let lines = [(one.as_str(), 1), (other.as_str(), 2)];
        let (member, mut shop) = (self.member.clone(), self.shop.clone());
        let request = until_known(async || shop.basket(WEB, "", &member, &lines).await.map(Response::new))
            .await
            .expect("is quoted");
        let orders = &mut self.shop.orders;
        let placed = match until_known(async || orders.place_order(request.clone()).await).await {
            Ok(placed) => placed,
            Err(sold_out) if sold_out.code() == Code::FailedPrecondition => return,
            Err(other) => panic!("an order is placed or sold out: {other:?}"),
        };
        tally.placed.push((request.clone(), placed));
        if cancel {
            let request = self.shop.cancellation(&request.request_id);
            let orders = &mut self.shop.orders;
            until_known(async || orders.cancel_order(request.clone()).await).await.expect("is cancelled");
            return;
        }
        let request = self.shop.shipment(&request.request_id);
        let orders = &mut self.shop.orders;
        let shipped = until_known(async || orders.ship_order(request.clone()).await).await.expect("is shipped");
        for (sku, units) in lines {
            tally.move_units(WAREHOUSE, sku, -units);
            tally.bought += units;
        }
        tally.shipped.push((request, shipped));
    }
}
