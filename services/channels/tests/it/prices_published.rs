//! Prices as catalog publishes them, and time passing over their windows.

use std::time::Duration;

use chrono::TimeDelta;
use oneshelf_proto::channels::v1 as pb;

use crate::support::{Price, SOON, Shop, pounds, web};

fn micros(listing: &pb::Listing) -> Option<i64> {
    listing.unit_price.as_ref().map(|price| price.micros)
}

#[tokio::test]
async fn a_published_price_is_shown_in_its_channel_and_currency_only() {
    let shop = Shop::open().await;
    shop.channel("WEB", &["WH"]).await;
    shop.channel("OTHER", &["WH"]).await;
    let now = shop.clock.now();
    let euros = Price { currency: "EUR", ..pounds("A", 9, now) };
    shop.publish_prices("WEB", 1, now, &[pounds("A", 1_000_000, now), pounds("B", 5, now)]).await;
    shop.publish_prices("WEB", 2, now, &[Price { from: now + TimeDelta::microseconds(1), ..euros }]).await;
    shop.publish_prices("", 3, now, &[pounds("A", 7, now)]).await;
    // The price of one unit is shown, however cheap ten are.
    let from_ten = Price { min_quantity: 10, from: now + TimeDelta::microseconds(2), ..pounds("A", 8, now) };
    shop.publish_prices("WEB", 4, now, &[from_ten]).await;
    shop.wait_for_applied(4).await;
    let listing = shop.listing("WEB", "A").await.unwrap();
    assert_eq!((micros(&listing), listing.available, listing.version), (Some(1_000_000), 0, 1));
    assert_eq!(micros(&shop.listing("WEB", "B").await.unwrap()), Some(5));
    assert_eq!(shop.listing("OTHER", "A").await, None);
    shop.stop().await;
}

#[tokio::test]
async fn of_windows_that_count_the_latest_start_decides_and_then_the_newest_book_whatever_the_order() {
    let shop = Shop::open().await;
    shop.channel("WEB", &["WH"]).await;
    let now = shop.clock.now();
    let hour = TimeDelta::hours(1);
    shop.publish_prices("WEB", 9, now, &[pounds("A", 9, now - hour), pounds("B", 9, now - hour * 3)]).await;
    shop.publish_prices("WEB", 8, now, &[pounds("A", 8, now - hour), pounds("B", 8, now - hour * 2)]).await;
    shop.wait_for_applied(2).await;
    assert_eq!(micros(&shop.listing("WEB", "A").await.unwrap()), Some(9));
    assert_eq!(micros(&shop.listing("WEB", "B").await.unwrap()), Some(8));
    shop.stop().await;
}

#[tokio::test]
async fn a_scheduled_price_comes_and_goes_at_its_instants() {
    let shop = Shop::open().await;
    shop.channel("WEB", &["WH"]).await;
    let now = shop.clock.now();
    let minute = TimeDelta::minutes(1);
    let sale = Price { to: Some(now + minute * 2), ..pounds("A", 70, now + minute) };
    shop.publish_prices("WEB", 1, now, &[pounds("A", 100, now)]).await;
    shop.publish_prices("WEB", 2, now, &[sale]).await;
    shop.wait_for_applied(2).await;
    assert_eq!(micros(&shop.listing("WEB", "A").await.unwrap()), Some(100));

    shop.clock.advance(Duration::from_secs(61));
    let on_sale = shop.wait_for_listing("WEB", "A", |listing| micros(listing) == Some(70)).await;
    assert_eq!(on_sale.version, 2);
    assert_eq!(on_sale.source_time, Some(crate::support::timestamp(now + minute)));
    shop.clock.advance(Duration::from_secs(60));
    let back = shop.wait_for_listing("WEB", "A", |listing| micros(listing) == Some(100)).await;
    assert_eq!(back.version, 3);
    shop.stop().await;
}

#[tokio::test]
async fn a_book_counts_from_its_activation_and_leaves_the_older_price_until_then() {
    let shop = Shop::open().await;
    shop.channel("WEB", &["WH"]).await;
    let now = shop.clock.now();
    let later = now + TimeDelta::minutes(1);
    shop.publish_prices("WEB", 1, now, &[pounds("A", 100, now)]).await;
    shop.publish_prices("WEB", 2, later, &[pounds("A", 50, now)]).await;
    shop.wait_for_applied(2).await;
    assert_eq!(micros(&shop.listing("WEB", "A").await.unwrap()), Some(100));
    shop.clock.advance(Duration::from_secs(60));
    shop.wait_for_listing("WEB", "A", |listing| micros(listing) == Some(50)).await;
    shop.stop().await;
}

#[tokio::test]
async fn a_window_that_changes_nothing_makes_no_version() {
    let shop = Shop::open().await;
    shop.channel("WEB", &["WH"]).await;
    let now = shop.clock.now();
    let minute = TimeDelta::minutes(1);
    shop.publish_prices("WEB", 1, now, &[pounds("A", 100, now), pounds("A", 100, now + minute)]).await;
    shop.wait_for_applied(1).await;
    shop.clock.advance(Duration::from_secs(61));
    oneshelf_testkit::wait_for("the window's activation", SOON, async || {
        let scheduled: i64 = sqlx::query_scalar("SELECT COUNT(next_price_at) FROM channels.listings")
            .fetch_one(&shop.pool)
            .await
            .unwrap();
        (scheduled == 0).then_some(())
    })
    .await;
    assert_eq!(shop.listing("WEB", "A").await.unwrap().version, 1);
    shop.stop().await;
}

#[tokio::test]
async fn prices_of_a_channel_that_comes_later_are_kept_for_it() {
    let shop = Shop::open().await;
    let now = shop.clock.now();
    shop.publish_prices("WEB", 1, now, &[pounds("A", 100, now)]).await;
    shop.wait_for_applied(1).await;
    let request = pb::CreateChannelRequest { request_id: shop.id(), channel: Some(web("WEB", &["WH"])) };
    shop.client.clone().create_channel(request).await.unwrap();
    assert_eq!(micros(&shop.listing("WEB", "A").await.unwrap()), Some(100));
    shop.stop().await;
}
