//! Faults of real processes, under load. After each: nothing is lost, nothing happened twice, and `oneshelf verify` is
//! clean. One stack of servers for all of them, one fault at a time.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

use std::{
    sync::LazyLock,
    time::{Duration, Instant},
};

use futures::future::join_all;
use oneshelf_proto::{channels::v1 as channels, inventory::v1 as inventory, orders::v1 as orders};
use oneshelf_testkit::wait_for;
use oneshelf_tests::{
    books,
    load::{Load, Tally, until_known},
    nemesis,
    shop::{DEALER, DEALERS, STORE, Shop, WAREHOUSE, WEB},
    stack::{Serving, Stack},
    tap::Tap,
};
use tokio::sync::{Mutex, MutexGuard, OnceCell};
use tonic_types::StatusExt as _;

/// A broken server comes back, and what waited for it is done, within this.
const SOON: Duration = Duration::from_secs(60);

const FAULTS: [&str; 9] = ["KILL", "BROKER", "REDIS", "SESSIONS", "POWER", "TWICE", "LAST", "EXPIRY", "NEMESIS"];

static STACK: LazyLock<Stack> = LazyLock::new(Stack::up);
static OPENED: OnceCell<()> = OnceCell::const_new();
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

/// The goods of one fault; no other touches them.
fn skus(fault: &str) -> Vec<String> {
    (1..=4).map(|number| format!("{fault}-{number}")).collect()
}

struct Scene {
    stack: &'static Stack,
    serving: Option<Serving>,
    shop: Shop,
    skus: Vec<String>,
    member: String,
    _turn: MutexGuard<'static, ()>,
}

impl Scene {
    async fn of(fault: &str) -> Self {
        let turn = ONE_AT_A_TIME.lock().await;
        let stack = tokio::task::spawn_blocking(|| &*STACK).await.expect("the stack comes up");
        let serving = Some(stack.serve().await);
        let mut shop = stack.shop();
        OPENED
            .get_or_init(async || {
                let all: Vec<String> = FAULTS.iter().flat_map(|fault| skus(fault)).collect();
                stack.shop().open(&all).await.expect("the shop opens");
            })
            .await;
        let member = format!("M-{fault}");
        shop.enrol(&member).await.expect("the member is enrolled");
        Self { stack, serving, shop, skus: skus(fault), member, _turn: turn }
    }

    async fn load(&self) -> Load {
        Load::start(&self.shop, &self.member, &self.skus).await
    }

    /// kill -9, and a new process.
    async fn restart(&mut self) {
        self.kill();
        self.serving = Some(self.stack.serve().await);
    }

    fn kill(&mut self) {
        self.serving.take().expect("it runs").kill();
    }

    /// Everything has arrived where it should, once, and the customers' books are ours.
    async fn settle(&mut self, tally: &Tally) {
        let database = self.stack.database().await;
        books::drained(&database, SOON).await;
        database.close().await;
        let queues: Vec<String> = books::queues();
        wait_for("empty queues", SOON, async || (self.stack.waiting(&queues).await == 0).then_some(())).await;

        for ((location, sku), units) in &tally.units {
            assert_eq!(self.shop.level(location, sku).await.unwrap(), (*units, 0, 0), "{sku} at {location}");
            let channel = if *location == STORE { STORE } else { WEB };
            let shown = (*units).max(0);
            let shop = &mut self.shop;
            wait_for(&format!("{shown} of {sku} in {channel}"), SOON, async || {
                shop.listing(channel, sku).await.unwrap().is_some_and(|(units, _)| units == shown).then_some(())
            })
            .await;
        }
        let (shop, points) = (&mut self.shop, 5 * tally.bought);
        wait_for(&format!("{points} points"), SOON, async || {
            (shop.points(&self.member).await.unwrap() == points).then_some(())
        })
        .await;
        let parked: Vec<String> = queues.iter().map(|queue| format!("{queue}.parked")).collect();
        assert_eq!(self.stack.waiting(&parked).await, 0, "messages were parked");
        self.stack.verify().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_between_commit_and_publish_nothing_is_lost_and_answers_stay() {
    let mut scene = Scene::of("KILL").await;
    let load = scene.load().await;
    load.goes_on(20).await;
    scene.restart().await;
    load.goes_on(20).await;

    // Without a broker facts are committed and cannot be published: the next kill comes between the two.
    scene.stack.ctl("rabbitmq", &["stop"]).await;
    load.goes_on(20).await;
    let database = scene.stack.database().await;
    let unpublished: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM inventory.outbox_packs WHERE published_at IS NULL")
        .fetch_one(&database)
        .await
        .unwrap();
    assert!(unpublished > 0);
    scene.kill();
    scene.stack.ctl("rabbitmq", &["start"]).await;
    scene.serving = Some(scene.stack.serve().await);
    load.goes_on(20).await;
    let tally = load.stop().await;
    scene.settle(&tally).await;
    tally.is_repeated(&mut scene.shop).await;
    scene.settle(&tally).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_dies_while_publishing_delays_events_and_nothing_else() {
    let mut scene = Scene::of("BROKER").await;
    let load = scene.load().await;
    load.goes_on(20).await;
    scene.stack.ctl("rabbitmq", &["kill"]).await;
    load.goes_on(30).await;
    scene.stack.ctl("rabbitmq", &["start"]).await;
    load.goes_on(30).await;
    let tally = load.stop().await;
    scene.settle(&tally).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_everything_is_only_a_little_slower() {
    let mut scene = Scene::of("REDIS").await;
    let request = channels::SubscribeRequest { channel_id: WEB.to_owned(), cursor: String::new() };
    let mut request = tonic::Request::new(request);
    request.set_timeout(2 * SOON);
    let mut changes = scene.shop.channels.subscribe(request).await.unwrap().into_inner();
    let load = scene.load().await;
    load.goes_on(20).await;
    scene.stack.ctl("redis", &["stop"]).await;
    load.goes_on(30).await;
    let tally = load.stop().await;

    // The stream, whose wake-ups go through Redis, still shows the last of it.
    let wanted: Vec<(&String, i64)> =
        tally.units.iter().filter(|((at, _), _)| *at == WAREHOUSE).map(|((_, sku), units)| (sku, *units)).collect();
    let mut shown = std::collections::BTreeMap::new();
    let streamed = async {
        while !wanted.iter().all(|(sku, units)| shown.get(*sku) == Some(units)) {
            let message = changes.message().await.unwrap().expect("the stream goes on");
            shown.extend(message.listings.into_iter().map(|listing| (listing.sku, listing.available)));
        }
    };
    tokio::time::timeout(SOON, streamed).await.expect("the stream shows every change");
    scene.settle(&tally).await;

    scene.stack.ctl("redis", &["start"]).await;
    let load = scene.load().await;
    load.goes_on(20).await;
    load.stop().await;
    scene.stack.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_database_sessions_are_retried_and_no_transaction_is_torn() {
    let mut scene = Scene::of("SESSIONS").await;
    let load = scene.load().await;
    load.goes_on(20).await;
    let database = scene.stack.database().await;
    let mut killed = 0;
    for _ in 0..15 {
        let sessions: Vec<bool> = sqlx::query_scalar(
            r"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename LIKE 'oneshelf\_%'",
        )
        .fetch_all(&database)
        .await
        .unwrap();
        killed += sessions.len();
        load.goes_on(2).await;
    }
    assert!(killed > 15, "only {killed} sessions were there to kill");
    load.goes_on(20).await;
    let tally = load.stop().await;
    scene.settle(&tally).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_power_cut_of_the_database_loses_nothing_that_was_answered() {
    let mut scene = Scene::of("POWER").await;
    let load = scene.load().await;
    load.goes_on(30).await;
    scene.stack.ctl("postgres", &["kill"]).await;
    scene.stack.ctl("postgres", &["start"]).await;
    load.goes_on(30).await;
    let tally = load.stop().await;
    scene.settle(&tally).await;
    tally.is_repeated(&mut scene.shop).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_delivered_again_in_any_order_and_under_any_id_change_nothing() {
    let mut scene = Scene::of("TWICE").await;
    let tap = Tap::open(scene.stack).await;
    let load = scene.load().await;
    load.goes_on(40).await;
    let tally = load.stop().await;
    let back = dealer_buys_and_returns(&mut scene.shop, &scene.skus[0]).await;
    assert_eq!(back.lines.len(), 1);
    let tally =
        Tally { units: tally.units.into_iter().filter(|((_, sku), _)| *sku != scene.skus[0]).collect(), ..tally };
    scene.settle(&tally).await;

    let database = scene.stack.database().await;
    wait_for("the dealer's credit given back", SOON, async || {
        (scene.shop.credit().await.unwrap() == (0, 0)).then_some(())
    })
    .await;
    let before = books::effects(&database).await;
    let messages = tap.messages().await;
    // As the broker may: the same messages, twice more, shuffled. The inbox knows them.
    tap.publish_shuffled(&messages).await;
    tap.publish_shuffled(&messages).await;
    // As no broker does, so that the rules behind the inbox are seen: every event alone, as a new one, the last first.
    let sent = tap.publish_reversed_as_new(&messages).await;
    assert!(sent.len() > 40, "only {} events in {} messages", sent.len(), messages.len());
    wait_for("every delivery", SOON, async || (books::received(&database, &sent).await).then_some(())).await;
    assert_eq!(books::effects(&database).await, before);
    scene.settle(&tally).await;
}

/// A dealer buys two and brings both back to where they came from.
async fn dealer_buys_and_returns(shop: &mut Shop, sku: &str) -> orders::Return {
    let request = shop.basket(DEALERS, DEALER, "", &[(sku, 2)]).await.unwrap();
    let order_id = request.request_id.clone();
    shop.orders.place_order(request).await.unwrap();
    let request = shop.shipment(&order_id);
    shop.orders.ship_order(request).await.unwrap();
    let items = vec![orders::ReturnItem { order_id, order_line_no: 1, quantity: 2, ..Default::default() }];
    let request = orders::ReturnItemsRequest {
        request_id: shop.id(),
        channel_id: DEALERS.to_owned(),
        location_id: WAREHOUSE.to_owned(),
        partner_id: DEALER.to_owned(),
        items,
        currency_code: "GBP".to_owned(),
        ..Default::default()
    };
    shop.orders.return_items(request).await.unwrap().into_inner().r#return.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_sixty_four_buyers_of_the_last_unit_one_gets_it() {
    let mut scene = Scene::of("LAST").await;
    let sku = scene.skus[0].clone();
    scene.shop.receive(WAREHOUSE, &[(&sku, 1)]).await.unwrap();
    let mut baskets = Vec::new();
    for _ in 0..64 {
        baskets.push(scene.shop.basket(WEB, "", &scene.member, &[(&sku, 1)]).await.unwrap());
    }
    let stack = scene.stack;
    let buyers = baskets.into_iter().map(async |basket| {
        let mut shop = stack.shop();
        until_known(async || shop.orders.place_order(basket.clone()).await).await
    });
    let (mut sold, mut refused) = (Vec::new(), 0);
    for outcome in join_all(buyers).await {
        match outcome {
            Ok(order) => sold.push(order.order.unwrap()),
            Err(status) => {
                let reason = status.get_details_error_info().map(|info| info.reason);
                assert_eq!(reason.as_deref(), Some("INSUFFICIENT_STOCK"), "{status:?}");
                refused += 1;
            }
        }
    }
    assert_eq!((sold.len(), refused), (1, 63));
    let request = scene.shop.shipment(&sold[0].order_id);
    scene.shop.orders.ship_order(request).await.unwrap();
    let tally = Tally { units: [((WAREHOUSE, sku), 0)].into(), bought: 1, ..Tally::default() };
    scene.settle(&tally).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_that_expires_while_it_is_committed_ends_one_way_only() {
    const HOLDS: i64 = 60;
    let mut scene = Scene::of("EXPIRY").await;
    let sku = scene.skus[0].clone();
    scene.shop.receive(WAREHOUSE, &[(&sku, HOLDS)]).await.unwrap();
    let races = (0..HOLDS).map(|number| {
        let (mut shop, sku) = (scene.shop.clone(), sku.clone());
        tokio::spawn(async move {
            let hold_id = shop.id();
            let line = inventory::HoldRequestLine { sku, location_id: WAREHOUSE.to_owned(), quantity: 1 };
            let request = inventory::HoldStockRequest {
                request_id: hold_id.clone(),
                kind: inventory::HoldKind::Soft.into(),
                lines: vec![line],
                ttl: Some(prost_types::Duration { seconds: 2, nanos: 0 }),
                ..Default::default()
            };
            let asked = Instant::now();
            shop.inventory.hold_stock(request).await.unwrap();
            // The first well before the end, most close to it, the last after it.
            let commit_at = asked + Duration::from_millis(1_200 + 20 * number as u64);
            tokio::time::sleep_until(commit_at.into()).await;
            let request =
                inventory::CommitHoldRequest { request_id: shop.id(), hold_id: hold_id.clone(), ..Default::default() };
            let committed = match shop.inventory.commit_hold(request).await {
                Ok(_) => true,
                Err(status) => {
                    let reason = status.get_details_error_info().map(|info| info.reason);
                    assert_eq!(reason.as_deref(), Some("HOLD_EXPIRED"), "{status:?}");
                    false
                }
            };
            (hold_id, committed)
        })
    });
    let mut committed = 0;
    for race in join_all(races).await {
        let (hold_id, was_committed) = race.unwrap();
        let hold = scene.shop.inventory.get_hold(inventory::GetHoldRequest { hold_id }).await.unwrap();
        let wanted = if was_committed { inventory::HoldState::Committed } else { inventory::HoldState::Expired };
        assert_eq!(hold.into_inner().hold.unwrap().state(), wanted);
        committed += i64::from(was_committed);
    }
    assert!((1..HOLDS).contains(&committed), "{committed} of {HOLDS} were committed: no race");
    let left = HOLDS - committed;
    let shop = &mut scene.shop;
    wait_for("expired units given back", SOON, async || {
        (shop.level(WAREHOUSE, &sku).await.unwrap() == (left, 0, 0)).then_some(())
    })
    .await;
    let tally = Tally { units: [((WAREHOUSE, sku), left)].into(), ..Tally::default() };
    scene.settle(&tally).await;
}

/// Numbers that somebody sets for a longer run: `deploy/nemesis`.
fn setting(name: &str) -> Option<Vec<u64>> {
    let text = std::env::var_os(name)?.into_string().expect("plain text");
    Some(text.split_whitespace().map(|number| number.parse().expect("a whole number")).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_breaks_when_the_tables_say_what_clients_were_told() {
    let seeds = setting("ONESHELF_NEMESIS_SEEDS").unwrap_or_else(|| vec![1]);
    let seconds = setting("ONESHELF_NEMESIS_SECONDS").map_or(8, |seconds| seconds[0]);
    let mut scene = Scene::of("NEMESIS").await;
    for seed in seeds {
        let length = Duration::from_secs(seconds);
        let record = nemesis::run(scene.stack, &mut scene.serving, &scene.shop, seed, length).await;
        println!("seed {seed}, {seconds} s: {record}");
        assert!(record.answers > 0 && !record.faults.is_empty());
    }
}
