use oneshelf_proto::catalog::v1::{CreatePriceListRequest, PriceList};
use tonic::Code;

use crate::support::{Shop, bad_fields, price_list, refusal};

fn request(shop: &Shop, list: PriceList) -> CreatePriceListRequest {
    CreatePriceListRequest { request_id: shop.request_id(), price_list: Some(list) }
}

#[tokio::test]
async fn create_price_list_upper_cases_codes_and_repeats_its_answer() {
    let mut shop = Shop::open().await;
    let first = request(&shop, price_list(" web-gbp", "GBP", "web"));
    let answer = shop.client.create_price_list(first.clone()).await.unwrap().into_inner();
    let list = answer.price_list.clone().unwrap();
    assert_eq!((list.price_list_id.as_str(), list.channel_id.as_str(), list.version), ("WEB-GBP", "WEB", 0));

    shop.add_product("P1", &["A"]).await;
    shop.publish("WEB-GBP", &[("A", 100)]).await;
    shop.advance_hours(1);
    let again = shop.client.create_price_list(first.clone()).await.unwrap().into_inner();
    assert_eq!(again, answer);

    let other = CreatePriceListRequest { price_list: Some(price_list("OTHER", "GBP", "")), ..first };
    let status = shop.client.create_price_list(other).await.unwrap_err();
    assert_eq!(refusal(&status), (Code::InvalidArgument, "REQUEST_ID_REUSED".to_owned()));
}

#[tokio::test]
async fn create_price_list_refuses_a_taken_id_and_a_second_list_of_a_channel_and_currency() {
    let mut shop = Shop::open().await;
    shop.add_list("WEB-GBP", "GBP", "WEB").await;
    for list in [price_list("WEB-GBP", "EUR", ""), price_list("WEB-2", "GBP", "WEB")] {
        let request = request(&shop, list);
        let status = shop.client.create_price_list(request).await.unwrap_err();
        assert_eq!(refusal(&status), (Code::AlreadyExists, "PRICE_LIST_EXISTS".to_owned()));
    }
    shop.add_list("WEB-EUR", "EUR", "WEB").await;
    shop.add_list("DEALER-A", "GBP", "").await;
    shop.add_list("DEALER-B", "GBP", "").await;
}

#[tokio::test]
async fn create_price_list_names_every_bad_field_and_changes_nothing() {
    let mut shop = Shop::open().await;
    let long = "X".repeat(33);
    let cases: [(PriceList, &[&str]); 6] = [
        (price_list("", "GBP", ""), &["price_list.price_list_id"]),
        (price_list(&long, "GBP", "a b"), &["price_list.price_list_id", "price_list.channel_id"]),
        (price_list("L", "gbp", ""), &["price_list.currency_code"]),
        (price_list("L", "XAU", ""), &["price_list.currency_code"]),
        (PriceList { title: "x".repeat(201), ..price_list("L", "GBP", "") }, &["price_list.title"]),
        (
            PriceList { title: " ".to_owned(), ..price_list("L", "", "") },
            &["price_list.title", "price_list.currency_code"],
        ),
    ];
    for (list, fields) in cases {
        let request = request(&shop, list);
        let status = shop.client.create_price_list(request).await.unwrap_err();
        assert_eq!(bad_fields(&status), fields);
    }
    let empty = CreatePriceListRequest { request_id: "7".to_owned(), price_list: None };
    let status = shop.client.create_price_list(empty).await.unwrap_err();
    assert_eq!(bad_fields(&status), ["request_id", "price_list"]);
    let lists =
        shop.client.list_price_lists(oneshelf_proto::catalog::v1::ListPriceListsRequest::default()).await.unwrap();
    assert_eq!(lists.into_inner().price_lists, []);
}

#[tokio::test]
async fn create_price_list_is_for_the_channel_that_a_key_is_bound_to() {
    let shop = Shop::open().await;
    let mut bound = shop.client_for(&["catalog:*"], Some("WEB"), None).await;
    bound.create_price_list(request(&shop, price_list("WEB-GBP", "GBP", "WEB"))).await.unwrap();
    for list in [price_list("EBAY-GBP", "GBP", "EBAY"), price_list("DEALER", "GBP", "")] {
        let status = bound.create_price_list(request(&shop, list)).await.unwrap_err();
        assert_eq!(refusal(&status), (Code::PermissionDenied, "OUT_OF_SCOPE".to_owned()));
    }
}
