use oneshelf_proto::catalog::v1::{ExplainPriceRequest, ExplainPriceResponse, PriceEntry, PriceVerdict};
use tonic::Code;

use crate::support::{Shop, bad_fields, basket, entry, pounds, refusal, tier, told};

fn question(sku: &str, quantity: i64) -> ExplainPriceRequest {
    ExplainPriceRequest {
        channel_id: "WEB".to_owned(),
        currency_code: "GBP".to_owned(),
        sku: sku.to_owned(),
        quantity,
        ..Default::default()
    }
}

/// Pence and verdict of each candidate.
fn verdicts(answer: &ExplainPriceResponse) -> Vec<(i64, PriceVerdict)> {
    let pence = |entry: &Option<PriceEntry>| entry.as_ref().unwrap().unit_price.as_ref().unwrap().micros / 10_000;
    answer.candidates.iter().map(|candidate| (pence(&candidate.entry), candidate.verdict())).collect()
}

#[tokio::test]
async fn explain_price_says_of_every_price_why_and_comes_to_what_a_quote_charges() {
    use PriceVerdict::{Ended, HigherTier, NotYetValid, QuantityTooSmall, Superseded, Taken};
    let mut shop = Shop::stocked().await;
    let sale = PriceEntry { valid_from: shop.in_hours(-9), valid_to: shop.in_hours(-1), ..entry("A", 90) };
    let old = PriceEntry { valid_from: shop.in_hours(-99), ..entry("A", 120) };
    let entries = vec![sale, old, entry("A", 100), tier("A", 10, 80), tier("A", 100, 70)];
    shop.publish_entries("WEB-GBP", entries, None).await.unwrap();
    let later = PriceEntry { valid_from: shop.in_hours(5), ..tier("A", 10, 75) };
    shop.publish_entries("WEB-GBP", vec![later], None).await.unwrap();

    let answer = shop.client.explain_price(question("a", 12)).await.unwrap().into_inner();
    let expected =
        [(75, NotYetValid), (70, QuantityTooSmall), (80, Taken), (100, HigherTier), (90, Ended), (120, Superseded)];
    assert_eq!(verdicts(&answer), expected);
    assert_eq!((answer.unit_price.clone(), answer.total.clone().unwrap().minor_units), (pounds(800_000), 960));
    assert_eq!((answer.book_version, answer.left_out), (2, 0));
    let taken = answer.candidates[2].clone();
    assert_eq!((taken.price_list_id.as_str(), taken.entry.unwrap().min_quantity), ("WEB-GBP", 10));

    let quote = shop.client.quote_prices(basket(&[("A", 12), ("A", 9)])).await.unwrap().into_inner().quote.unwrap();
    let charged: Vec<_> = quote.lines.iter().map(|line| (line.list_min_quantity, line.total_minor)).collect();
    assert_eq!(charged, [(10, 960), (1, 900)], "lines of the same SKU are not added up");
}

#[tokio::test]
async fn explain_price_says_why_there_is_no_price() {
    let mut shop = Shop::stocked().await;
    shop.publish_entries("WEB-GBP", vec![tier("A", 10, 80)], None).await.unwrap();
    let answer = shop.client.explain_price(question("A", 9)).await.unwrap().into_inner();
    assert_eq!(verdicts(&answer), [(80, PriceVerdict::QuantityTooSmall)]);
    assert_eq!((answer.unit_price, answer.total), (None, None));
    let answer = shop.client.explain_price(question("B", 9)).await.unwrap().into_inner();
    assert_eq!(verdicts(&answer), []);
}

#[tokio::test]
async fn explain_price_refuses_as_a_quote_does() {
    let mut shop = Shop::stocked().await;
    shop.publish("WEB-GBP", &[("A", i64::MAX / 10_000 / 1_000)]).await;
    let on = |channel: &str, currency: &str| ExplainPriceRequest {
        channel_id: channel.to_owned(),
        currency_code: currency.to_owned(),
        ..question("A", 1)
    };
    for (asked, code, reason) in [
        (question("NONE", 1), Code::NotFound, "VARIANT_NOT_FOUND"),
        (on("NONE", "GBP"), Code::FailedPrecondition, "PRICE_LIST_NOT_FOUND"),
        (on("WEB", "EUR"), Code::InvalidArgument, "CURRENCY_MISMATCH"),
        (question("A", 1_000_000_000), Code::FailedPrecondition, "AMOUNT_OVERFLOW"),
    ] {
        let status = shop.client.explain_price(asked).await.unwrap_err();
        assert_eq!(refusal(&status), (code, reason.to_owned()));
    }
    let ahead = ExplainPriceRequest { price_time: shop.in_hours(1), ..question("A", 1) };
    assert_eq!(bad_fields(&shop.client.explain_price(ahead).await.unwrap_err()), ["price_time"]);
    let mut narrow = shop.client_for(&["catalog:ExplainPrice"], Some("WEB"), None).await;
    let before = ExplainPriceRequest { price_time: shop.in_hours(-1), ..question("A", 1) };
    assert_eq!(told(&narrow.explain_price(before).await.unwrap_err(), "scope"), "catalog:BackdateQuote");
    narrow.explain_price(question("A", 1)).await.unwrap();
    let status = narrow.explain_price(on("EBAY", "GBP")).await.unwrap_err();
    assert_eq!(refusal(&status), (Code::PermissionDenied, "OUT_OF_SCOPE".to_owned()));
}
