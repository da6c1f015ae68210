use std::time::Duration;

use oneshelf_proto::catalog::v1::{WatchPricesRequest, WatchPricesResponse};
use tokio::time::timeout;
use tonic::{Code, Streaming};

use crate::support::{Shop, bad_fields, entry, refusal};

fn after(book_version: i64) -> WatchPricesRequest {
    WatchPricesRequest { price_list_id: "WEB-GBP".to_owned(), after_book_version: book_version }
}

async fn next(stream: &mut Streaming<WatchPricesResponse>) -> (i64, Vec<(String, i64)>) {
    let message = timeout(Duration::from_secs(10), stream.message()).await.expect("a message within time");
    let message = message.unwrap().unwrap();
    let entries = message.entries.into_iter().map(|e| (e.sku, e.unit_price.unwrap().micros / 10_000));
    (message.book_version, entries.collect())
}

fn a(pence: i64) -> Vec<(String, i64)> {
    vec![("A".to_owned(), pence)]
}

#[tokio::test]
async fn watch_prices_gives_a_snapshot_then_each_publish_and_resumes() {
    let mut shop = Shop::stocked().await;
    shop.add_list("DEALER", "GBP", "").await;
    let mut fresh = shop.client.watch_prices(after(0)).await.unwrap().into_inner();
    assert_eq!(next(&mut fresh).await, (0, vec![]));
    shop.publish("WEB-GBP", &[("A", 100)]).await;
    assert_eq!(next(&mut fresh).await, (1, a(100)));
    // Another list's publish is not this stream's business.
    shop.publish("DEALER", &[("B", 1)]).await;
    shop.publish("WEB-GBP", &[("A", 90)]).await;
    assert_eq!(next(&mut fresh).await, (3, a(90)));

    let mut resumed = shop.client.watch_prices(after(1)).await.unwrap().into_inner();
    assert_eq!(next(&mut resumed).await, (3, a(90)));
    let mut late = shop.client.watch_prices(after(3)).await.unwrap().into_inner();
    assert_eq!(next(&mut late).await, (3, vec![]));
}

#[tokio::test]
async fn watch_prices_shows_a_scheduled_publish_when_it_activates() {
    let mut shop = Shop::stocked().await;
    shop.publish("WEB-GBP", &[("A", 100)]).await;
    shop.publish_entries("WEB-GBP", vec![entry("A", 80)], shop.in_hours(3)).await.unwrap();
    let mut stream = shop.client.watch_prices(after(0)).await.unwrap().into_inner();
    assert_eq!(next(&mut stream).await, (1, a(100)));
    assert!(timeout(Duration::from_millis(100), stream.message()).await.is_err(), "nothing before its instant");
    shop.advance_hours(3);
    assert_eq!(next(&mut stream).await, (2, a(80)));
}

#[tokio::test]
async fn watch_prices_splits_a_large_version_and_is_complete_up_to_what_it_says() {
    let mut shop = Shop::open().await;
    shop.add_list("WEB-GBP", "GBP", "WEB").await;
    let skus: Vec<String> = (0..2_500).map(|n| format!("S{n:04}")).collect();
    for (n, chunk) in skus.chunks(100).enumerate() {
        shop.add_product(&format!("P{n}"), &chunk.iter().map(String::as_str).collect::<Vec<_>>()).await;
    }
    shop.publish("WEB-GBP", &[("S0000", 1)]).await;
    let prices: Vec<(&str, i64)> = skus.iter().map(|sku| (sku.as_str(), 7)).collect();
    shop.publish("WEB-GBP", &prices).await;

    let mut stream = shop.client.watch_prices(after(0)).await.unwrap().into_inner();
    let mut seen = Vec::new();
    let mut said = Vec::new();
    while seen.len() < 2_501 {
        let (version, entries) = next(&mut stream).await;
        said.push((version, entries.len()));
        seen.extend(entries);
    }
    assert_eq!(said, [(1, 1_000), (1, 1_000), (2, 501)]);
    assert_eq!(seen[1..].iter().map(|(sku, _)| sku.clone()).collect::<Vec<_>>(), skus);
}

#[tokio::test]
async fn watch_prices_refuses_bad_input_and_unknown_lists() {
    let mut shop = Shop::stocked().await;
    let bad = WatchPricesRequest { price_list_id: "a b".to_owned(), after_book_version: -1 };
    let status = shop.client.watch_prices(bad).await.unwrap_err();
    assert_eq!(bad_fields(&status), ["price_list_id", "after_book_version"]);
    let unknown = WatchPricesRequest { price_list_id: "NONE".to_owned(), after_book_version: 0 };
    let status = shop.client.watch_prices(unknown).await.unwrap_err();
    assert_eq!(refusal(&status), (Code::NotFound, "PRICE_LIST_NOT_FOUND".to_owned()));
}

#[tokio::test]
async fn watch_prices_ends_with_unavailable_when_the_server_drains() {
    let mut shop = Shop::stocked().await;
    let mut stream = shop.client.watch_prices(after(0)).await.unwrap().into_inner();
    next(&mut stream).await;
    shop.server.chassis().lifecycle.stop();
    let ended = timeout(Duration::from_secs(10), stream.message()).await.expect("the stream ends");
    assert_eq!(ended.unwrap_err().code(), Code::Unavailable);
}
