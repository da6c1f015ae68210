//! Stock as inventory announces it, under every delivery that a broker can make of it.

use std::sync::Arc;

use futures::future::join_all;
use oneshelf_proto::channels::v1 as pb;

use crate::support::{Shop, web};

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

#[tokio::test]
async fn a_location_added_while_its_stock_changes_misses_nothing() {
    let shop = Arc::new(Shop::open().await);
    shop.channel("WEB", &["WH"]).await;
    let stock = async {
        for version in 1..=60 {
            let events: Vec<_> =
                (0..20).map(|n| shop.stock_event(&format!("S{n}"), "SHOP", version, version)).collect();
            shop.publish_stock(&events).await;
            tokio::task::yield_now().await;
        }
    };
    let moves = async {
        for turn in 0..40 {
            let locations: &[&str] = if turn % 2 == 0 { &["WH", "SHOP"] } else { &["WH"] };
            let request = pb::UpdateChannelRequest {
                request_id: shop.id(),
                channel: Some(web("WEB", locations)),
                expected_version: 0,
            };
            shop.client.clone().update_channel(request).await.unwrap();
        }
    };
    futures::join!(stock, moves);
    shop.wait_for_applied(1_200).await;
    shop.verify().await;
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
