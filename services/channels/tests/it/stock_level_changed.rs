//! Stock as inventory announces it, under every delivery that a broker can make of it.

use futures::future::join_all;
use oneshelf_proto::channels::v1 as pb;
use oneshelf_testkit::wait_for;

use crate::support::{SOON, Shop, web};

#[tokio::test]
async fn a_stock_event_changes_every_channel_that_sells_from_its_location() {
    let shop = Shop::open().await;
    shop.channel("WEB", &["WH", "SHOP"]).await;
    shop.channel("SHOP-1", &["SHOP"]).await;
    shop.announce_stock("A", "WH", 5, 1).await;
    shop.announce_stock("A", "SHOP", 2, 1).await;
    shop.announce_stock("A", "ELSEWHERE", 9, 1).await;
    shop.wait_for_applied(3).await;
    assert_eq!(shop.listing("WEB", "A").await.unwrap().available, 7);
    let listing = shop.listing("SHOP-1", "A").await.unwrap();
    assert_eq!((listing.version, listing.available, listing.unit_price), (1, 2, None));
    shop.stop().await;
}

#[tokio::test]
async fn a_channel_that_a_rule_names_shows_its_own_figure_and_the_threshold_is_taken_off_once() {
    let shop = Shop::open().await;
    for channel in ["WEB", "TILL"] {
        shop.channel(channel, &["WH", "SHOP"]).await;
    }
    shop.announce_figures("A", "WH", 1, 5, &[("WEB", 9), ("TILL", 0)], 3).await;
    shop.announce_figures("A", "SHOP", 1, 2, &[], 3).await;
    shop.wait_for_applied(2).await;
    assert_eq!(shop.listing("WEB", "A").await.unwrap().available, 9 + 2 - 3);
    assert_eq!(shop.listing("TILL", "A").await.unwrap().available, 0, "not below nothing");
    // The rules are gone: everybody sees the same again.
    shop.announce_figures("A", "WH", 2, 5, &[], 0).await;
    shop.announce_figures("A", "SHOP", 2, 2, &[], 0).await;
    shop.wait_for_applied(4).await;
    assert_eq!(shop.listing("WEB", "A").await.unwrap().available, 7);
    assert_eq!(shop.listing("TILL", "A").await.unwrap().available, 7);
    shop.stop().await;
}

#[tokio::test]
async fn stock_events_delivered_twice_and_out_of_order_leave_the_newest() {
    let shop = Shop::open().await;
    shop.channel("WEB", &["WH"]).await;
    let newer = shop.announce_stock("A", "WH", 3, 7).await;
    shop.wait_for_listing("WEB", "A", |listing| listing.available == 3).await;
    let older = shop.stock_event("A", "WH", 9, 6);
    let same_again = shop.stock_event("A", "WH", 3, 7);
    shop.publish_stock(&[older, newer.clone(), newer, same_again]).await;
    shop.announce_stock("B", "WH", 1, 1).await;
    shop.wait_for_applied(4).await;
    let listing = shop.listing("WEB", "A").await.unwrap();
    assert_eq!((listing.version, listing.available), (1, 3));
    shop.stop().await;
}

#[tokio::test]
async fn a_channel_that_comes_later_lists_what_is_there_and_one_that_moves_lists_the_new_place() {
    let shop = Shop::open().await;
    shop.announce_stock("A", "WH", 5, 1).await;
    shop.announce_stock("B", "SHOP", 2, 1).await;
    shop.wait_for_applied(2).await;
    shop.channel("WEB", &["WH"]).await;
    assert_eq!(shop.listing("WEB", "A").await.unwrap().available, 5);
    assert_eq!(shop.listing("WEB", "B").await, None);

    let request =
        pb::UpdateChannelRequest { request_id: shop.id(), channel: Some(web("WEB", &["SHOP"])), expected_version: 1 };
    shop.client.clone().update_channel(request).await.unwrap();
    let gone = shop.listing("WEB", "A").await.unwrap();
    assert_eq!((gone.version, gone.available), (2, 0));
    assert_eq!(shop.listing("WEB", "B").await.unwrap().available, 2);
    shop.stop().await;
}

/// The lock of `store::registry`.
const REGISTRY: i64 = 0x6368_616e_6e65_6c73;

/// Waits until somebody waits for the registry, or went on without.
async fn wait_until_held_up(shop: &Shop, went_on: impl AsyncFn() -> bool) {
    wait_for("waiter or a racer", SOON, async || {
        let waiting: bool = sqlx::query_scalar(
            r"
            SELECT EXISTS (
                SELECT FROM pg_locks
                WHERE locktype = 'advisory' AND NOT granted
                  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
            )
            ",
        )
        .fetch_one(&shop.pool)
        .await
        .expect("the locks are read");
        (waiting || went_on().await).then_some(())
    })
    .await;
}

#[tokio::test]
async fn stock_that_changes_while_its_channel_is_registered_is_listed() {
    let shop = Shop::open().await;
    let mut registration = shop.pool.begin().await.unwrap();
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(REGISTRY).execute(&mut *registration).await.unwrap();
    sqlx::raw_sql(
        r"
        INSERT INTO channels.channels (channel_id, kind, title, currency, version, created_at, updated_at)
        VALUES ('WEB', 'WEB', 'Web shop', 'GBP', 1, now(), now());
        INSERT INTO channels.channel_locations (channel_id, location_id)
        VALUES ('WEB', 'WH');
        ",
    )
    .execute(&mut *registration)
    .await
    .unwrap();

    shop.announce_stock("A", "WH", 5, 1).await;
    wait_until_held_up(&shop, async || shop.applied().await == 1).await;
    registration.commit().await.unwrap();
    shop.wait_for_applied(1).await;
    assert_eq!(shop.listing("WEB", "A").await.unwrap().available, 5);
    shop.stop().await;
}

#[tokio::test]
async fn a_channel_that_is_registered_while_its_stock_changes_lists_it() {
    let shop = Shop::open().await;
    let mut fact = shop.pool.begin().await.unwrap();
    sqlx::query("SELECT pg_advisory_xact_lock_shared($1)").bind(REGISTRY).execute(&mut *fact).await.unwrap();
    sqlx::raw_sql("INSERT INTO channels.stock_facts VALUES ('A', 'WH', 5, 1, now())")
        .execute(&mut *fact)
        .await
        .unwrap();

    let registered = shop.channel("WEB", &["WH"]);
    let committed = async {
        let done = async || {
            let channels: i64 =
                sqlx::query_scalar("SELECT COUNT(*) FROM channels.channels").fetch_one(&shop.pool).await.unwrap();
            channels == 1
        };
        wait_until_held_up(&shop, done).await;
        fact.commit().await.unwrap();
    };
    futures::join!(registered, committed);
    assert_eq!(shop.listing("WEB", "A").await.unwrap().available, 5);
    shop.stop().await;
}

#[tokio::test]
async fn a_subscriber_misses_no_change_while_many_writers_commit() {
    let shop = Shop::open().await;
    shop.channel("WEB", &["WH", "SHOP"]).await;
    let mut stream = shop.subscribe("WEB", "").await;
    let writers = join_all((0..8).map(async |writer| {
        for version in 1..=25 {
            shop.announce_stock(&format!("S{writer}"), "WH", version, version).await;
        }
    }));
    let reader = async {
        let mut last = std::collections::BTreeMap::new();
        while last.len() < 8 || last.values().any(|&available| available < 25) {
            for listing in crate::support::next(&mut stream).await.listings {
                let before = last.insert(listing.sku.clone(), listing.available);
                assert!(before.is_none_or(|before| before < listing.available), "{listing:?} after {before:?}");
            }
        }
    };
    futures::join!(writers, reader);
    shop.stop().await;
}
