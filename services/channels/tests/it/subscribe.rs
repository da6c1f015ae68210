//! The stream: snapshot, changes, resumption, coalescing, heartbeat, the end.

use oneshelf_proto::channels::v1 as pb;
use sqlx::Executor;
use tonic::Code;

use crate::support::{Shop, catch_up, next, pounds, refusal, refused};

#[tokio::test]
async fn subscribe_sends_a_snapshot_and_then_each_change() {
    let shop = Shop::open().await;
    shop.channel("WEB", &["WH"]).await;
    shop.announce_stock("A", "WH", 5, 1).await;
    shop.publish_prices("WEB", 1, shop.clock.now(), &[pounds("A", 1_250_000, shop.clock.now())]).await;
    shop.wait_for_listing("WEB", "A", |listing| listing.available == 5 && listing.unit_price.is_some()).await;

    let mut stream = shop.subscribe("WEB", "").await;
    let first = next(&mut stream).await;
    assert!(first.snapshot);
    assert_eq!(first.listings.len(), 1);
    assert_eq!(first.listings[0].version, 2);
    let price = first.listings[0].unit_price.clone().unwrap();
    assert_eq!((price.micros, price.currency_code.as_str()), (1_250_000, "GBP"));
    let caught_up = next(&mut stream).await;
    assert!(caught_up.listings.is_empty() && !caught_up.snapshot);

    shop.announce_stock("A", "WH", 4, 2).await;
    let change = next(&mut stream).await;
    assert!(!change.snapshot);
    assert_eq!((change.listings[0].version, change.listings[0].available), (3, 4));

    let (missed, cursor) = catch_up(&mut shop.subscribe("WEB", &first.cursor).await).await;
    assert_eq!(missed, change.listings);
    assert_eq!(cursor, change.cursor);
    shop.stop().await;
}

#[tokio::test]
async fn subscribe_coalesces_changes_that_wait() {
    let shop = Shop::open().await;
    shop.channel("WEB", &["WH"]).await;
    let (_, cursor) = catch_up(&mut shop.subscribe("WEB", "").await).await;
    for version in 1..=3 {
        shop.announce_stock("A", "WH", version * 10, version).await;
        shop.wait_for_listing("WEB", "A", |listing| listing.available == version * 10).await;
    }
    let (listings, _) = catch_up(&mut shop.subscribe("WEB", &cursor).await).await;
    assert_eq!(listings.len(), 1);
    assert_eq!((listings[0].version, listings[0].available), (3, 30));
    shop.stop().await;
}

#[tokio::test]
async fn subscribe_pages_a_large_channel_without_losing_a_sku() {
    let shop = Shop::open().await;
    shop.channel("WEB", &["WH"]).await;
    let events: Vec<_> = (0..1_201).map(|n| shop.stock_event(&format!("SKU-{n}"), "WH", n, 1)).collect();
    shop.publish_stock(&events).await;
    shop.wait_for_applied(1_201).await;
    let (mut listings, _) = catch_up(&mut shop.subscribe("WEB", "").await).await;
    listings.sort_by_key(|listing| listing.available);
    assert!(listings.iter().map(|listing| listing.available).eq(0..1_201));
    shop.stop().await;
}

/// A subscriber that stops halfway through the snapshot goes on there, and of what changed meanwhile gets the newest.
#[tokio::test]
async fn subscribe_goes_on_in_the_middle_of_a_snapshot() {
    let shop = Shop::open().await;
    shop.channel("WEB", &["WH"]).await;
    let events: Vec<_> = (0..1_201).map(|n| shop.stock_event(&format!("SKU-{n:04}"), "WH", n, 1)).collect();
    shop.publish_stock(&events).await;
    shop.wait_for_applied(1_201).await;
    let first = next(&mut shop.subscribe("WEB", "").await).await;
    assert_eq!((first.listings.len(), first.snapshot), (500, true));
    let changed = [shop.stock_event("SKU-0001", "WH", 7_000, 2), shop.stock_event("SKU-1200", "WH", 8_000, 2)];
    shop.publish_stock(&changed).await;
    shop.wait_for_applied(1_203).await;

    let (rest, cursor) = catch_up(&mut shop.subscribe("WEB", &first.cursor).await).await;
    let mut rest: Vec<_> = rest.into_iter().map(|listing| (listing.sku, listing.available)).collect();
    let changes = rest.split_off(700);
    assert!(rest.into_iter().eq((500..1_200).map(|n| (format!("SKU-{n:04}"), n))));
    assert_eq!(changes, [("SKU-0001".to_owned(), 7_000), ("SKU-1200".to_owned(), 8_000)]);
    assert_eq!(catch_up(&mut shop.subscribe("WEB", &cursor).await).await, (Vec::new(), cursor));
    shop.stop().await;
}

/// Whoever stands before the changes that are kept is sent each SKU that changed since, once.
#[tokio::test]
async fn subscribe_shows_by_sku_what_changed_before_the_changes_that_are_kept() {
    let shop = Shop::open().await;
    shop.channel("WEB", &["WH"]).await;
    for (sku, version) in [("A", 1), ("B", 1), ("C", 1), ("B", 2), ("C", 2)] {
        shop.announce_stock(sku, "WH", version * 10, version).await;
        shop.wait_for_listing("WEB", sku, |listing| listing.available == version * 10).await;
    }
    let skus = async |cursor: &str| {
        let (listings, end) = catch_up(&mut shop.subscribe("WEB", cursor).await).await;
        assert_eq!(end, "c1.WEB.5");
        listings.into_iter().map(|listing| listing.sku).collect::<Vec<_>>()
    };
    assert_eq!(skus("c1.WEB.1").await, ["B", "C"]);
    shop.pool.execute("DELETE FROM channels.changes WHERE last_seq <= 4").await.unwrap();
    assert_eq!(skus("c1.WEB.1").await, ["B", "C"]);
    assert_eq!(skus("c1.WEB.4").await, ["C"]);
    assert_eq!(skus("").await, ["A", "B", "C"]);
    shop.stop().await;
}

#[tokio::test]
async fn changes_that_nobody_needs_are_given_up() {
    let shop = Shop::open().await;
    shop.channel("WEB", &["WH"]).await;
    for sku in ["A", "B"] {
        shop.announce_stock(sku, "WH", 10, 1).await;
        shop.wait_for_listing("WEB", sku, |_| true).await;
    }
    // As if A had changed very often.
    shop.pool.execute("UPDATE channels.listings SET version = version + 100000 WHERE sku = 'A'").await.unwrap();
    shop.pool.execute("UPDATE channels.channels SET last_seq = last_seq + 100000").await.unwrap();
    shop.announce_stock("B", "WH", 20, 2).await;
    shop.wait_for_listing("WEB", "B", |listing| listing.available == 20).await;
    let kept: Vec<i64> = sqlx::query_scalar("SELECT last_seq FROM channels.changes ORDER BY last_seq")
        .fetch_all(&shop.pool)
        .await
        .unwrap();
    assert_eq!(kept, [100_003]);
    shop.stop().await;
}

#[tokio::test]
async fn subscribe_says_something_now_and_then() {
    let shop = Shop::open_with(|config| config.subscribe_heartbeat_ms = 100).await;
    shop.channel("WEB", &["WH"]).await;
    let mut stream = shop.subscribe("WEB", "").await;
    let (_, cursor) = catch_up(&mut stream).await;
    let heartbeat = next(&mut stream).await;
    assert_eq!(heartbeat, pb::SubscribeResponse { cursor, ..Default::default() });
    shop.stop().await;
}

#[tokio::test]
async fn subscribe_ends_with_unavailable_when_the_server_drains() {
    let shop = Shop::open().await;
    shop.channel("WEB", &["WH"]).await;
    let mut stream = shop.subscribe("WEB", "").await;
    catch_up(&mut stream).await;
    let ended = tokio::spawn(async move { stream.message().await.unwrap_err() });
    shop.stop().await;
    assert_eq!(ended.await.unwrap().code(), Code::Unavailable);
}

#[tokio::test]
async fn subscribe_refuses_unknown_channels_and_cursors_of_others() {
    let shop = Shop::open().await;
    shop.channel("WEB", &["WH"]).await;
    let open = async |channel_id: &str, cursor: &str| {
        let request = pb::SubscribeRequest { channel_id: channel_id.to_owned(), cursor: cursor.to_owned() };
        refusal(&shop.client.clone().subscribe(request).await.unwrap_err())
    };
    assert_eq!(open("SHOP", "").await, refused(Code::NotFound, "CHANNEL_NOT_FOUND"));
    for cursor in ["c1.SHOP.0", "c1.WEB.9", "nonsense"] {
        assert_eq!(open("WEB", cursor).await, refused(Code::InvalidArgument, "CURSOR_INVALID"), "{cursor}");
    }
    shop.stop().await;
}
