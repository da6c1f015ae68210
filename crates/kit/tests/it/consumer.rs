use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use lapin::{BasicProperties, options::BasicPublishOptions};
use oneshelf_kit::consumer::{HandlerError, Subscription};
use oneshelf_testkit::{Rabbit, wait_for};

use crate::support::{KEY, SOON, Shop, channel, messages, names};

const QUEUE: &str = "shop.things";
const THINGS: Subscription = Subscription {
    retry_after: &[Duration::from_millis(200), Duration::from_millis(400)],
    ..Subscription::new(QUEUE, &[KEY])
};

async fn applied(shop: &Shop, count: usize) -> Vec<String> {
    let mut effects = wait_for("effects", SOON, async || {
        let effects = shop.effects(QUEUE).await;
        (effects.len() >= count).then_some(effects)
    })
    .await;
    effects.sort();
    effects
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_poison_event_is_retried_then_parked_and_its_neighbours_are_applied() {
    let (shop, rabbit) = (Shop::open().await, Rabbit::new());
    let tries = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&tries);
    shop.consume(&rabbit, THINGS, move |event| {
        (event.aggregate_id == "thing-00007").then(|| {
            counted.fetch_add(1, Ordering::SeqCst);
            HandlerError::retry("cannot be done")
        })
    })
    .await;
    shop.relay(&rabbit);
    let mut things = names("thing", 100);
    shop.append(&things).await;
    wait_for("a parked event", SOON, async || (parked(&rabbit).await == 1).then_some(())).await;
    things.remove(7);
    assert_eq!(applied(&shop, 99).await, things);
    assert!(tries.load(Ordering::SeqCst) >= 3, "the first try and two retries");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_whose_trouble_passes_is_applied_after_a_retry() {
    let (shop, rabbit) = (Shop::open().await, Rabbit::new());
    let troubled = AtomicBool::new(true);
    shop.consume(&rabbit, THINGS, move |_| {
        troubled.swap(false, Ordering::SeqCst).then(|| HandlerError::retry("not yet"))
    })
    .await;
    shop.relay(&rabbit);
    shop.append(&names("thing", 1)).await;
    assert_eq!(applied(&shop, 1).await, ["thing-00000"]);
    assert_eq!(parked(&rabbit).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_of_a_dependency_parks_nothing_however_long_it_lasts() {
    let (shop, rabbit) = (Shop::open().await, Rabbit::new());
    let tries = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&tries);
    shop.consume(&rabbit, THINGS, move |_| {
        (counted.fetch_add(1, Ordering::SeqCst) < 6).then(|| HandlerError::unavailable("away"))
    })
    .await;
    shop.relay(&rabbit);
    shop.append(&names("thing", 20)).await;
    assert_eq!(applied(&shop, 20).await, names("thing", 20));
    assert_eq!(parked(&rabbit).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_event_is_parked_at_once_and_blocks_nobody() {
    let (shop, rabbit) = (Shop::open().await, Rabbit::new());
    shop.consume(&rabbit, THINGS, |_| None).await;
    shop.relay(&rabbit);
    shop.append(&names("before", 1)).await;
    applied(&shop, 1).await;
    publish_raw(&rabbit, b"not an event").await;
    shop.append(&names("behind", 1)).await;
    assert_eq!(applied(&shop, 2).await, ["before-00000", "behind-00000"]);
    wait_for("a parked message", SOON, async || (parked(&rabbit).await == 1).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_delivered_again_is_applied_once() {
    let (shop, rabbit) = (Shop::open().await, Rabbit::new());
    shop.consume(&rabbit, THINGS, |_| None).await;
    let relay = shop.relay(&rabbit);
    shop.append(&names("thing", 50)).await;
    applied(&shop, 50).await;
    // The relay died after the confirm, before the mark.
    sqlx::query("UPDATE shop.outbox_packs SET published_at = NULL").execute(shop.pool()).await.unwrap();
    shop.append(&names("next", 1)).await;
    applied(&shop, 51).await;
    assert_eq!(shop.effects(QUEUE).await.len(), 51);
    assert!(!relay.is_finished());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_subscription_applies_an_event_for_itself() {
    let (shop, rabbit) = (Shop::open().await, Rabbit::new());
    shop.consume(&rabbit, THINGS, |_| None).await;
    shop.consume(&rabbit, Subscription::new("shop.other", &["shop.#"]), |_| None).await;
    shop.relay(&rabbit);
    shop.append(&names("thing", 5)).await;
    for queue in [QUEUE, "shop.other"] {
        wait_for("effects", SOON, async || (shop.effects(queue).await.len() == 5).then_some(())).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_queue_is_declared_again() {
    let (shop, rabbit) = (Shop::open().await, Rabbit::new());
    shop.consume(&rabbit, THINGS, |_| None).await;
    shop.relay(&rabbit);
    shop.append(&names("before", 1)).await;
    applied(&shop, 1).await;
    let channel = channel(&rabbit).await;
    let queue = rabbit.broker().name(QUEUE);
    channel.queue_delete(queue.clone().into(), lapin::options::QueueDeleteOptions::default()).await.unwrap();
    // Whatever is published before the queue is back goes to the unrouted ones, so publish until one arrives.
    let mut nth = 0;
    wait_for("an effect after the deletion", SOON, async || {
        nth += 1;
        shop.append(&[format!("after-{nth}")]).await;
        (shop.effects(QUEUE).await.len() > 1).then_some(())
    })
    .await;
}

async fn parked(rabbit: &Rabbit) -> u32 {
    messages(rabbit, "shop.things.parked").await
}

async fn publish_raw(rabbit: &Rabbit, body: &[u8]) {
    let queue = rabbit.broker().name(QUEUE).into();
    let channel = channel(rabbit).await;
    let options = BasicPublishOptions::default();
    channel.basic_publish("".into(), queue, options, body, BasicProperties::default()).await.unwrap().await.unwrap();
}
