use oneshelf_proto::catalog::v1::{ListPriceListsRequest, ListPricesRequest, PriceEntry};
use tonic::Code;

use crate::support::{Client, Shop, bad_fields, entry, refusal, tier};

async fn list_ids(client: &mut Client, page_size: i32) -> Vec<String> {
    let mut ids = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListPriceListsRequest { page_size, page_token };
        let page = client.list_price_lists(request).await.unwrap().into_inner();
        ids.extend(page.price_lists.into_iter().map(|list| list.price_list_id));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return ids;
        }
    }
}

fn prices_of(price_list_id: &str, sku: &str, page_size: i32, page_token: &str) -> ListPricesRequest {
    ListPricesRequest {
        price_list_id: price_list_id.to_owned(),
        sku: sku.to_owned(),
        page_size,
        page_token: page_token.to_owned(),
    }
}

#[tokio::test]
async fn list_price_lists_goes_through_all_by_id_and_shows_a_bound_key_its_own() {
    let mut shop = Shop::open().await;
    shop.add_list("WEB-GBP", "GBP", "WEB").await;
    shop.add_list("DEALER", "GBP", "").await;
    shop.add_list("EBAY-GBP", "GBP", "EBAY").await;
    assert_eq!(list_ids(&mut shop.client, 2).await, ["DEALER", "EBAY-GBP", "WEB-GBP"]);
    let mut bound = shop.client_for(&["catalog:*"], Some("WEB"), None).await;
    assert_eq!(list_ids(&mut bound, 1).await, ["WEB-GBP"]);

    let bad = ListPriceListsRequest { page_size: -1, page_token: "a b".to_owned() };
    let status = shop.client.list_price_lists(bad).await.unwrap_err();
    assert_eq!(bad_fields(&status), ["page_size", "page_token"]);
}

#[tokio::test]
async fn list_prices_shows_what_stands_by_sku_tier_and_start() {
    let mut shop = Shop::stocked().await;
    let later = |sku: &str, pence| PriceEntry { valid_from: shop.in_hours(5), ..entry(sku, pence) };
    let entries = vec![entry("B", 200), later("A", 150), tier("A", 10, 90), entry("A", 100)];
    shop.publish_entries("WEB-GBP", entries, None).await.unwrap();
    // The same start again: the first B no longer stands.
    shop.publish("WEB-GBP", &[("B", 210)]).await;

    let mut seen = Vec::new();
    let mut token = String::new();
    loop {
        let page = shop.client.list_prices(prices_of("WEB-GBP", "", 1, &token)).await.unwrap().into_inner();
        seen.extend(page.entries.into_iter().map(|e| (e.sku, e.unit_price.unwrap().micros / 10_000, e.book_version)));
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(
        seen,
        [("A".to_owned(), 100, 1), ("A".to_owned(), 150, 1), ("A".to_owned(), 90, 1), ("B".to_owned(), 210, 2)]
    );
    let only_b = shop.client.list_prices(prices_of("WEB-GBP", "b", 0, "")).await.unwrap().into_inner();
    assert_eq!(only_b.entries.len(), 1);
}

#[tokio::test]
async fn list_prices_refuses_bad_input_unknown_lists_and_those_of_others() {
    let mut shop = Shop::stocked().await;
    let status = shop.client.list_prices(prices_of("", "a\0", 5_001, "x")).await.unwrap_err();
    assert_eq!(bad_fields(&status), ["price_list_id", "sku", "page_size", "page_token"]);
    // An instant that a number can say and PostgreSQL does not know.
    let status = shop.client.list_prices(prices_of("WEB-GBP", "", 0, "-8000000000000000000:1:A")).await.unwrap_err();
    assert_eq!(bad_fields(&status), ["page_token"]);

    let status = shop.client.list_prices(prices_of("NONE", "", 0, "")).await.unwrap_err();
    assert_eq!(refusal(&status), (Code::NotFound, "PRICE_LIST_NOT_FOUND".to_owned()));
    let mut bound = shop.client_for(&["catalog:*"], Some("EBAY"), None).await;
    let status = bound.list_prices(prices_of("WEB-GBP", "", 0, "")).await.unwrap_err();
    assert_eq!(refusal(&status), (Code::NotFound, "PRICE_LIST_NOT_FOUND".to_owned()));
}
