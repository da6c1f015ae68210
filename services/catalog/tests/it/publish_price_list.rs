use oneshelf_kit::{
    outbox::{self, Recorded},
    schema::Schema,
};
use oneshelf_proto::{
    catalog::v1::{
        CreatePriceListRequest, ListPriceListsRequest, ListPricesRequest, PriceEntry, PriceList, PricesPublished,
        PublishPriceListRequest,
    },
    r#type::v1::UnitPrice,
};
use prost_types::Timestamp;
use tonic::Code;

use crate::support::{Shop, bad_fields, entry, pounds, price_list, refusal, tier, told};

fn request(shop: &Shop, entries: Vec<PriceEntry>) -> PublishPriceListRequest {
    PublishPriceListRequest {
        request_id: shop.request_id(),
        price_list_id: "WEB-GBP".to_owned(),
        entries,
        activate_time: None,
    }
}

async fn list_version(shop: &mut Shop) -> i64 {
    let lists = shop.client.list_price_lists(ListPriceListsRequest::default()).await.unwrap().into_inner();
    lists.price_lists[0].version
}

#[tokio::test]
async fn publish_price_list_makes_the_next_version_once_per_request_id() {
    let mut shop = Shop::stocked().await;
    let first = request(&shop, vec![entry("a", 100), entry("B", 200)]);
    let answer = shop.client.publish_price_list(first.clone()).await.unwrap().into_inner();
    let book = answer.price_book.clone().unwrap();
    assert_eq!((book.book_version, book.entry_count, book.price_list_id.as_str()), (1, 2, "WEB-GBP"));
    assert_eq!(book.activate_time, book.publish_time);

    shop.advance_hours(1);
    assert_eq!(shop.publish("WEB-GBP", &[("A", 110)]).await, 2);
    let again = shop.client.publish_price_list(first.clone()).await.unwrap().into_inner();
    assert_eq!(again, answer);
    assert_eq!(list_version(&mut shop).await, 2);

    let other = PublishPriceListRequest { entries: vec![entry("A", 1)], ..first };
    let status = shop.client.publish_price_list(other).await.unwrap_err();
    assert_eq!(refusal(&status), (Code::InvalidArgument, "REQUEST_ID_REUSED".to_owned()));
}

#[tokio::test]
async fn publish_price_list_numbers_versions_without_a_gap_under_concurrency() {
    let mut shop = Shop::stocked().await;
    let publishes = (0..24).map(|n| {
        let (mut client, request) = (shop.client.clone(), request(&shop, vec![entry("A", 100 + n)]));
        async move { client.publish_price_list(request).await.unwrap().into_inner().price_book.unwrap().book_version }
    });
    let mut versions = futures::future::join_all(publishes).await;
    versions.sort_unstable();
    assert_eq!(versions, (1..=24).collect::<Vec<i64>>());
    // A refusal leaves no gap.
    let status = shop.publish_entries("WEB-GBP", vec![entry("NONE", 1)], None).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert_eq!(shop.publish("WEB-GBP", &[("A", 1)]).await, 25);
}

#[tokio::test]
async fn publish_price_list_tells_the_outside_in_chunks_of_gap_free_versions() {
    let mut shop = Shop::open().await;
    shop.add_list("WEB-GBP", "GBP", "WEB").await;
    let skus: Vec<String> = (0..1_201).map(|n| format!("S{n}")).collect();
    for (n, chunk) in skus.chunks(100).enumerate() {
        shop.add_product(&format!("P{n}"), &chunk.iter().map(String::as_str).collect::<Vec<_>>()).await;
    }
    let prices: Vec<(&str, i64)> = skus.iter().map(|sku| (sku.as_str(), 100)).collect();
    shop.publish("WEB-GBP", &prices).await;
    shop.publish("WEB-GBP", &prices[..1]).await;

    let recorded = outbox::read_all(shop.db.pool(), Schema::new("catalog")).await.unwrap();
    let told: Vec<(i64, i64, usize)> = recorded
        .into_iter()
        .map(|Recorded { routing_key, event, .. }| {
            assert_eq!((&*routing_key, &*event.aggregate_id), ("catalog.prices.published.v1", "WEB-GBP"));
            let told: PricesPublished = event.decode().unwrap();
            assert_eq!(told.channel_id, "WEB");
            (event.aggregate_version, told.book_version, told.entries.len())
        })
        .collect();
    assert_eq!(told, [(1, 1, 500), (2, 1, 500), (3, 1, 201), (4, 2, 1)]);
}

#[tokio::test]
async fn publish_price_list_takes_20000_entries_in_one_go() {
    let mut shop = Shop::stocked().await;
    let base = shop.clock.now().timestamp();
    let entries = (0..20_000).map(|n| PriceEntry {
        valid_from: Some(Timestamp { seconds: base + n, nanos: 0 }),
        ..entry(["A", "B", "C"][n as usize % 3], 100 + n)
    });
    let book = shop.publish_entries("WEB-GBP", entries.collect(), None).await.unwrap();
    assert_eq!(book.entry_count, 20_000);
}

#[tokio::test]
async fn publish_price_list_names_every_bad_field_and_changes_nothing() {
    let mut shop = Shop::stocked().await;
    let priced = |micros| PriceEntry { unit_price: pounds(micros), ..entry("A", 0) };
    let in_currency = |code: &str| PriceEntry {
        unit_price: Some(UnitPrice { micros: 1, currency_code: code.to_owned() }),
        ..entry("A", 0)
    };
    let window = |from, to| PriceEntry { valid_from: from, valid_to: to, ..entry("A", 1) };
    let broken = Some(Timestamp { seconds: i64::MAX, nanos: -1 });
    let cases: Vec<(Vec<PriceEntry>, &[&str])> = vec![
        (vec![], &["entries"]),
        (vec![entry("A", 1); 20_001], &["entries"]),
        (vec![entry("", 1), entry(&"x".repeat(65), 1)], &["entries[0].sku", "entries[1].sku"]),
        (vec![priced(0), priced(-1)], &["entries[0].unit_price.micros", "entries[1].unit_price.micros"]),
        (vec![PriceEntry { unit_price: None, ..entry("A", 1) }], &["entries[0].unit_price"]),
        (vec![in_currency("gbp")], &["entries[0].unit_price.currency_code"]),
        (vec![window(broken, None), window(None, broken)], &["entries[0].valid_from", "entries[1].valid_to"]),
        (vec![window(shop.in_hours(1), shop.in_hours(1))], &["entries[0].valid_to"]),
        (vec![entry("A", 1), entry("a", 2)], &["entries[1].sku"]),
        (vec![tier("A", 10, 1), tier("A", 10, 2)], &["entries[1].sku"]),
        (vec![tier("A", -1, 1), tier("A", 1_000_000_001, 1)], &["entries[0].min_quantity", "entries[1].min_quantity"]),
    ];
    for (entries, fields) in cases {
        let request = request(&shop, entries);
        let status = shop.client.publish_price_list(request).await.unwrap_err();
        assert_eq!(bad_fields(&status), fields);
    }
    let soon = shop.in_hours(1);
    let early = shop.publish_entries("WEB-GBP", vec![window(shop.in_hours(0), None)], soon).await.unwrap_err();
    assert_eq!(bad_fields(&early), ["entries[0].valid_from"]);
    let mut bare = PublishPriceListRequest { entries: vec![entry("A", 1)], ..Default::default() };
    bare.activate_time = broken;
    let status = shop.client.publish_price_list(bare).await.unwrap_err();
    assert_eq!(bad_fields(&status), ["request_id", "price_list_id", "activate_time"]);
    assert_eq!(list_version(&mut shop).await, 0);
}

#[tokio::test]
async fn publish_price_list_refuses_that_more_units_cost_more_each_unless_the_list_says_so() {
    let mut shop = Shop::stocked().await;
    let first = vec![entry("A", 100), tier("A", 10, 90), entry("B", 50)];
    shop.publish_entries("WEB-GBP", first, None).await.unwrap();
    let sale = PriceEntry { valid_from: shop.in_hours(5), valid_to: shop.in_hours(6), ..entry("A", 80) };
    for (entries, field) in [
        (vec![entry("B", 40), tier("A", 20, 91)], "entries[1].unit_price.micros"),
        (vec![tier("B", 2, 51)], "entries[0].unit_price.micros"),
        // The base price would fall below its tier, for an hour.
        (vec![sale.clone()], "entries[0].unit_price.micros"),
    ] {
        let status = shop.publish_entries("WEB-GBP", entries, None).await.unwrap_err();
        assert_eq!(bad_fields(&status), [field]);
    }
    assert_eq!(list_version(&mut shop).await, 1);
    // With its tier the same sale is good.
    let tier_of_sale = PriceEntry { min_quantity: 10, ..sale.clone() };
    shop.publish_entries("WEB-GBP", vec![sale, tier_of_sale], None).await.unwrap();

    let rising = PriceList { rising_tiers: true, ..price_list("RATION", "GBP", "") };
    let create = CreatePriceListRequest { request_id: shop.request_id(), price_list: Some(rising) };
    assert!(shop.client.create_price_list(create).await.unwrap().into_inner().price_list.unwrap().rising_tiers);
    shop.publish_entries("RATION", vec![entry("A", 100), tier("A", 10, 150)], None).await.unwrap();
    for check in oneshelf_catalog::verify::verify(shop.db.pool()).await.unwrap() {
        assert_eq!(check.violations, 0, "{check:?}");
    }
}

#[tokio::test]
async fn publish_price_list_refuses_unknown_lists_and_skus_another_currency_and_a_foreign_key() {
    let mut shop = Shop::stocked().await;
    let status = shop.publish_entries("NONE", vec![entry("A", 1)], None).await.unwrap_err();
    assert_eq!(refusal(&status), (Code::NotFound, "PRICE_LIST_NOT_FOUND".to_owned()));

    let entries = vec![entry("A", 1), entry("NONE", 1)];
    let status = shop.publish_entries("WEB-GBP", entries, None).await.unwrap_err();
    assert_eq!(refusal(&status), (Code::FailedPrecondition, "VARIANT_NOT_FOUND".to_owned()));
    assert_eq!((told(&status, "sku"), told(&status, "line")), ("NONE".to_owned(), "1".to_owned()));

    let euros = Some(UnitPrice { micros: 1, currency_code: "EUR".to_owned() });
    let entries = vec![PriceEntry { unit_price: euros, ..entry("A", 1) }];
    let status = shop.publish_entries("WEB-GBP", entries, None).await.unwrap_err();
    assert_eq!(refusal(&status), (Code::InvalidArgument, "CURRENCY_MISMATCH".to_owned()));

    for (channel, partner) in [(Some("EBAY"), None), (None, Some("D-1"))] {
        let mut bound = shop.client_for(&["catalog:*"], channel, partner).await;
        let status = bound.publish_price_list(request(&shop, vec![entry("A", 1)])).await.unwrap_err();
        assert_eq!(refusal(&status), (Code::PermissionDenied, "OUT_OF_SCOPE".to_owned()));
    }
    let all = ListPricesRequest { price_list_id: "WEB-GBP".to_owned(), ..Default::default() };
    assert_eq!(shop.client.list_prices(all).await.unwrap().into_inner().entries, []);
}
