//! What a replica knows that wrote nothing itself.

use std::{sync::Arc, time::Duration};

use oneshelf_catalog::usecases::{Catalog, Error, QuoteRequest};
use oneshelf_kit::{auth::Caller, schema::Schema};
use oneshelf_pricing::Line;
use oneshelf_values::{Currency, Quantity};

use crate::support::{Shop, entry};

fn replica(shop: &Shop) -> Arc<Catalog> {
    let (pool, clock) = (shop.db.pool().clone(), shop.clock.clone());
    Arc::new(Catalog::new(pool, Schema::new("catalog"), clock, Duration::from_secs(900)))
}

/// The version and the price of one A, in pence.
fn price_of_a(replica: &Catalog) -> Result<(i64, i64), Error> {
    let request = QuoteRequest {
        channel: "WEB".parse().unwrap(),
        partner: None,
        currency: Currency::GBP,
        lines: vec![Line { sku: "A".parse().unwrap(), quantity: Quantity::ONE, price_override: None }],
        fees: vec![],
        order_discount: None,
        price_time: None,
    };
    let quote = replica.quote_prices(&Caller::service("test"), request)?;
    Ok((quote.evaluated.book_version, quote.evaluated.total.minor()))
}

#[tokio::test]
async fn a_replica_that_starts_late_holds_the_active_book_and_those_that_wait() {
    let mut shop = Shop::stocked().await;
    shop.publish("WEB-GBP", &[("A", 100)]).await;
    shop.publish_entries("WEB-GBP", vec![entry("A", 80)], shop.in_hours(5)).await.unwrap();
    shop.publish("WEB-GBP", &[("A", 90)]).await;
    shop.publish_entries("WEB-GBP", vec![entry("A", 70)], shop.in_hours(6)).await.unwrap();

    let late = replica(&shop);
    assert!(matches!(price_of_a(&late), Err(Error::NotLoaded)));
    assert_eq!(late.refresh().await.unwrap(), Some(shop.clock.now() + chrono::TimeDelta::hours(6)));
    assert_eq!(price_of_a(&late).unwrap(), (3, 90));
    shop.advance_hours(5);
    assert_eq!(price_of_a(&late).unwrap(), (3, 80));
    shop.advance_hours(1);
    assert_eq!(price_of_a(&late).unwrap(), (4, 70));
    assert_eq!(late.refresh().await.unwrap(), None);
    assert_eq!(price_of_a(&late).unwrap(), (4, 70));
}

#[tokio::test]
async fn a_replica_sees_what_others_wrote_after_one_refresh() {
    let mut shop = Shop::open().await;
    let other = replica(&shop);
    other.refresh().await.unwrap();
    assert!(matches!(price_of_a(&other), Err(Error::Refused(_))));
    shop.add_product("P1", &["A", "B"]).await;
    shop.add_list("WEB-GBP", "GBP", "WEB").await;
    for pence in [100, 110, 120] {
        shop.publish("WEB-GBP", &[("A", pence), ("B", 1)]).await;
    }
    other.refresh().await.unwrap();
    assert_eq!(price_of_a(&other).unwrap(), (3, 120));
    other.refresh().await.unwrap();
    assert_eq!(price_of_a(&other).unwrap(), (3, 120));
}
