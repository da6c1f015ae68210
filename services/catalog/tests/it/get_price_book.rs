use oneshelf_proto::catalog::v1::GetPriceBookRequest;

use crate::support::{Shop, entry};

#[tokio::test]
async fn get_price_book_says_the_newest_active_version() {
    let mut shop = Shop::stocked().await;
    let none = shop.client.get_price_book(GetPriceBookRequest {}).await.unwrap().into_inner();
    assert_eq!(none.price_book, None);

    let first = shop.publish_entries("WEB-GBP", vec![entry("A", 100)], None).await.unwrap();
    let scheduled = shop.publish_entries("WEB-GBP", vec![entry("A", 90)], shop.in_hours(2)).await.unwrap();
    assert_eq!((first.book_version, scheduled.book_version), (1, 2));
    let now = shop.client.get_price_book(GetPriceBookRequest {}).await.unwrap().into_inner();
    assert_eq!(now.price_book, Some(first));
    shop.advance_hours(2);
    let then = shop.client.get_price_book(GetPriceBookRequest {}).await.unwrap().into_inner();
    assert_eq!(then.price_book, Some(scheduled));
}
