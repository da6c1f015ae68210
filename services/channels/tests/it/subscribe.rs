//! The stream: snapshot, changes, resumption, coalescing, heartbeat, the end.

use oneshelf_proto::channels::v1 as pb;
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
