//! Faults of real processes, under load. After each: nothing is lost, nothing happened twice, and `oneshelf verify` is
//! clean. One stack of servers for all of them, one fault at a time.

use std::{sync::LazyLock, time::Duration};

use oneshelf_testkit::wait_for;
use oneshelf_tests::{
    books,
    load::{Load, Tally},
    shop::{STORE, Shop, WAREHOUSE, WEB},
    stack::{Serving, Stack},
};
use tokio::sync::{Mutex, MutexGuard, OnceCell};

/// A broken server comes back, and what waited for it is done, within this.
const SOON: Duration = Duration::from_secs(60);

const FAULTS: [&str; 6] = ["KILL", "BROKER", "REDIS", "SESSIONS", "LAST", "EXPIRY"];

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
    scene.stack.ctl("rabbitmq", "stop").await;
    load.goes_on(20).await;
    let database = scene.stack.database().await;
    let unpublished: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM inventory.outbox_events WHERE published_at IS NULL")
            .fetch_one(&database)
            .await
            .unwrap();
    assert!(unpublished > 0);
    scene.kill();
    scene.stack.ctl("rabbitmq", "start").await;
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
    scene.stack.ctl("rabbitmq", "kill").await;
    load.goes_on(30).await;
    scene.stack.ctl("rabbitmq", "start").await;
    load.goes_on(30).await;
    let tally = load.stop().await;
    scene.settle(&tally).await;
}
