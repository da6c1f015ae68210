use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use oneshelf_kit::{
    consumer::Subscription,
    outbox::{self, MAX_PAYLOAD_BYTES, OutboxEvent},
};
use oneshelf_testkit::{Proxy, Rabbit, wait_for};

use crate::support::{KEY, SOON, Shop, channel, event, messages, names};

const QUEUE: &str = "shop.things";
const THINGS: Subscription = Subscription::new(QUEUE, &[KEY]);

async fn drained(shop: &Shop) {
    wait_for("empty outbox", SOON, async || (shop.unpublished().await == 0).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn committed_events_reach_the_consumer_once_and_in_order() {
    let (shop, rabbit) = (Shop::open().await, Rabbit::new());
    shop.consume(&rabbit, THINGS, |_| None).await;
    shop.relay(&rabbit);
    let things = names("thing", 3_000);
    for chunk in things.chunks(700) {
        shop.append(chunk).await;
    }
    drained(&shop).await;
    wait_for("all effects", SOON, async || (shop.effects(QUEUE).await.len() >= things.len()).then_some(())).await;
    assert_eq!(shop.effects(QUEUE).await, things);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolled_back_event_is_never_published() {
    let (shop, rabbit) = (Shop::open().await, Rabbit::new());
    shop.consume(&rabbit, THINGS, |_| None).await;
    shop.relay(&rabbit);
    let mut tx = shop.pool().begin().await.unwrap();
    outbox::append(&mut tx, shop.schema, &[event(&shop.clock, KEY, "ghost")], shop.now()).await.unwrap();
    tx.rollback().await.unwrap();
    shop.append(&names("real", 1)).await;
    wait_for("the real one", SOON, async || (!shop.effects(QUEUE).await.is_empty()).then_some(())).await;
    assert_eq!(shop.effects(QUEUE).await, ["real-00000"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_commits_long_after_its_append_is_published_without_another_wake() {
    let (shop, rabbit) = (Shop::open().await, Rabbit::new());
    shop.relay(&rabbit);
    let mut tx = shop.pool().begin().await.unwrap();
    outbox::append(&mut tx, shop.schema, &[event(&shop.clock, KEY, "slow")], shop.now()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    tx.commit().await.unwrap();
    drained(&shop).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_nobody_listens_to_is_kept_in_sight_and_blocks_nobody() {
    let (shop, rabbit) = (Shop::open().await, Rabbit::new());
    shop.relay(&rabbit);
    shop.append(&names("unheard", 2)).await;
    drained(&shop).await;
    assert_eq!(messages(&rabbit, "oneshelf.unrouted").await, 1, "one pack of two events");
}

/// However fast commits follow each other, a wave that is not full waits for the one before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_that_follow_each_other_closely_travel_together() {
    let (shop, rabbit) = (Shop::open().await, Rabbit::new());
    let begun = Instant::now();
    shop.relay(&rabbit);
    for name in names("close", 100) {
        shop.append(&[name]).await;
    }
    drained(&shop).await;
    let waves = begun.elapsed().as_millis() / 50 + 1;
    let sent = messages(&rabbit, "oneshelf.unrouted").await;
    assert!(u128::from(sent) <= waves, "{sent} messages in the time of {waves} waves");
}

/// The topology is broken by hand: the exchange has neither a binding nor its alternate.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_returned_message_is_not_marked_and_its_neighbours_are() {
    let (shop, rabbit) = (Shop::open().await, Rabbit::new());
    shop.consume(&rabbit, THINGS, |_| None).await;
    shop.relay(&rabbit);
    shop.append(&names("before", 1)).await;
    drained(&shop).await;

    let channel = channel(&rabbit).await;
    let unrouted = rabbit.broker().name("oneshelf.unrouted");
    channel.exchange_delete(unrouted.into(), lapin::options::ExchangeDeleteOptions::default()).await.unwrap();
    let heard: Vec<OutboxEvent> = names("heard", 50).iter().map(|thing| event(&shop.clock, KEY, thing)).collect();
    let mut events = vec![event(&shop.clock, "shop.unheard.happened.v1", "unheard")];
    events.extend(heard);
    let mut tx = shop.pool().begin().await.unwrap();
    outbox::append(&mut tx, shop.schema, &events, shop.now()).await.unwrap();
    tx.commit().await.unwrap();

    // The next session declares the alternate exchange again, and then the returned one gets through as well.
    drained(&shop).await;
    wait_for("the heard", SOON, async || (shop.effects(QUEUE).await.len() == 51).then_some(())).await;
    assert_eq!(messages(&rabbit, "oneshelf.unrouted").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_relays_one_is_active_and_the_other_takes_over() {
    let (shop, rabbit) = (Shop::open().await, Rabbit::new());
    let first = shop.relay(&rabbit);
    let second = shop.relay(&rabbit);
    let holder = async || -> Option<i32> {
        sqlx::query_scalar("SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())")
            .fetch_optional(shop.pool())
            .await
            .unwrap()
    };
    let active = wait_for("an active relay", SOON, holder).await;
    shop.append(&names("one", 10)).await;
    drained(&shop).await;

    // The server ends the active one's session, as after a minute of silence.
    sqlx::query("SELECT pg_terminate_backend($1)").bind(active).execute(shop.pool()).await.unwrap();
    shop.append(&names("two", 10)).await;
    drained(&shop).await;
    let successor = wait_for("a successor", SOON, holder).await;
    assert_ne!(active, successor);
    assert!(!first.is_finished() && !second.is_finished());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_connections_lose_nothing_and_apply_nothing_twice() {
    let proxy = Proxy::new(Rabbit::address()).await;
    let (shop, rabbit) = (Shop::open().await, Rabbit::at(Rabbit::url_at(&proxy.address())));
    shop.consume(&rabbit, THINGS, |_| None).await;
    shop.relay(&rabbit);
    let things = names("thing", 4_000);
    for (round, chunk) in things.chunks(200).enumerate() {
        shop.append(chunk).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
        if round % 5 == 2 {
            proxy.cut();
            tokio::time::sleep(Duration::from_millis(50)).await;
            proxy.heal();
        }
    }
    drained(&shop).await;
    let applied = wait_for("all effects", SOON, async || {
        let applied = shop.effects(QUEUE).await;
        (applied.len() >= things.len()).then_some(applied)
    })
    .await;
    assert_eq!(applied.len(), things.len(), "an event was applied twice");
    assert_eq!(applied.into_iter().collect::<HashSet<_>>(), things.into_iter().collect());
}

/// Three power cuts of the broker while events flow. Needs a stack that nobody else uses:
/// `export ONESHELF_LOCAL_DIR=$(mktemp -d); deploy/local/up; . $ONESHELF_LOCAL_DIR/env`, then this with `--ignored`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "kills the broker of the stack, so it must run alone"]
async fn a_killed_broker_loses_nothing_and_hangs_nothing() {
    let (shop, rabbit) = (Shop::open().await, Rabbit::new());
    shop.consume(&rabbit, THINGS, |_| None).await;
    shop.relay(&rabbit);
    let things = names("thing", 30_000);
    for (round, chunk) in things.chunks(100).enumerate() {
        shop.append(chunk).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        if round % 100 == 50 {
            tokio::spawn(async {
                control("kill").await;
                control("start").await;
            });
        }
    }
    let patience = Duration::from_secs(120);
    wait_for("empty outbox", patience, async || (shop.unpublished().await == 0).then_some(())).await;
    wait_for("all effects", patience, async || {
        (shop.count("SELECT COUNT(*) FROM shop.effects").await >= 30_000).then_some(())
    })
    .await;
    let applied = shop.effects(QUEUE).await;
    assert_eq!(applied.len(), things.len(), "an event was applied twice");
    assert_eq!(applied.into_iter().collect::<HashSet<_>>(), things.into_iter().collect());
}

async fn control(verb: &str) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/local/ctl");
    let status = tokio::process::Command::new(script).args(["rabbitmq", verb]).status().await.unwrap();
    assert!(status.success(), "{verb} the broker");
}

#[tokio::test]
async fn an_event_too_large_to_publish_is_refused_where_the_request_can_still_fail() {
    let shop = Shop::open().await;
    let large = OutboxEvent { payload: vec![0; MAX_PAYLOAD_BYTES + 1], ..event(&shop.clock, KEY, "large") };
    let mut tx = shop.pool().begin().await.unwrap();
    assert!(outbox::append(&mut tx, shop.schema, &[large], shop.now()).await.is_err());
}
