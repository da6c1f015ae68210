use oneshelf_pricing::is_expired;
use oneshelf_proto::{
    catalog::v1::{PriceEntry, Quote, QuoteFee, QuoteLine, QuotePricesRequest, SignedQuote},
    r#type::v1::{Money, UnitPrice},
};
use prost::Message as _;
use tonic::{Code, Status};

use crate::support::{Client, Shop, bad_fields, basket, entry, keys, pounds, refusal, told};

const OVERRIDES: &[&str] = &["catalog:QuotePrices", "catalog:OverridePrice"];

async fn quote(client: &mut Client, request: QuotePricesRequest) -> Result<Quote, Status> {
    Ok(client.quote_prices(request).await?.into_inner().quote.unwrap())
}

fn with_override(sku: &str, micros: i64, reason: &str) -> QuoteLine {
    QuoteLine {
        sku: sku.to_owned(),
        quantity: 1,
        override_unit_price: pounds(micros),
        override_reason: reason.to_owned(),
    }
}

fn fee(code: &str, quantity: i64, micros: i64) -> QuoteFee {
    QuoteFee { code: code.to_owned(), description: "Postage".to_owned(), quantity, unit_price: pounds(micros) }
}

#[tokio::test]
async fn quote_prices_signs_exactly_what_it_answers() {
    let mut shop = Shop::stocked().await;
    shop.publish("WEB-GBP", &[("A", 255), ("B", 100)]).await;
    let answer = shop.client.quote_prices(basket(&[(" a", 3), ("B", 2)])).await.unwrap().into_inner();
    let (quote, signed) = (answer.quote.unwrap(), answer.signed_quote.unwrap());
    assert_eq!(Quote::decode(&signed.quote[..]).unwrap(), quote);
    keys().verify(&signed.key_id, &signed.quote, &signed.signature).unwrap();
    let SignedQuote { quote: mut changed, key_id, signature } = signed;
    changed[0] ^= 1;
    assert!(keys().verify(&key_id, &changed, &signature).is_err());

    let line = &quote.lines[0];
    assert_eq!((line.line_no, line.sku.as_str(), line.price_list_id.as_str()), (1, "A", "WEB-GBP"));
    assert_eq!((line.gross_minor, line.discount_minor, line.total_minor), (765, 0, 765));
    assert_eq!(quote.total, Some(Money { minor_units: 965, currency_code: "GBP".to_owned() }));
    assert_eq!((quote.book_version, quote.channel_id.as_str()), (1, "WEB"));
    let seconds = quote.expire_time.unwrap().seconds - quote.create_time.unwrap().seconds;
    assert_eq!(seconds, 900);
    let expires = shop.clock.now() + chrono::TimeDelta::seconds(900);
    assert!(is_expired(expires, expires));
}

#[tokio::test]
async fn quote_prices_sees_a_publish_at_once_and_a_scheduled_one_at_its_instant() {
    let mut shop = Shop::stocked().await;
    shop.publish("WEB-GBP", &[("A", 100)]).await;
    shop.publish_entries("WEB-GBP", vec![entry("A", 80)], shop.in_hours(5)).await.unwrap();
    // A version in between holds the scheduled price, too, and does not show it.
    shop.publish("WEB-GBP", &[("B", 1)]).await;
    let price = async |shop: &mut Shop| {
        let quote = quote(&mut shop.client, basket(&[("A", 1)])).await.unwrap();
        (quote.book_version, quote.lines[0].gross_minor)
    };
    assert_eq!(price(&mut shop).await, (3, 100));
    shop.advance_hours(4);
    assert_eq!(price(&mut shop).await, (3, 100));
    shop.advance_hours(1);
    assert_eq!(price(&mut shop).await, (3, 80));
    shop.publish_entries("WEB-GBP", vec![entry("A", 60)], shop.in_hours(1)).await.unwrap();
    assert_eq!(price(&mut shop).await, (3, 80));
    shop.advance_hours(1);
    assert_eq!(price(&mut shop).await, (4, 60));
}

#[tokio::test]
async fn quote_prices_asks_no_database() {
    let mut shop = Shop::stocked().await;
    shop.publish("WEB-GBP", &[("A", 100)]).await;
    sqlx::raw_sql("DROP SCHEMA catalog CASCADE").execute(shop.db.pool()).await.unwrap();
    assert_eq!(quote(&mut shop.client, basket(&[("A", 1)])).await.unwrap().lines[0].gross_minor, 100);
}

#[tokio::test]
async fn quote_prices_takes_windows_by_price_time_with_permission() {
    let mut shop = Shop::stocked().await;
    let window = |from, to, pence| PriceEntry {
        valid_from: shop.in_hours(from),
        valid_to: shop.in_hours(to),
        ..entry("A", pence)
    };
    let entries = vec![window(-100, 100, 100), window(-50, -40, 90)];
    shop.publish_entries("WEB-GBP", entries, None).await.unwrap();
    for (hours, pence) in [(-100, 100), (-50, 90), (-41, 90), (-40, 100), (0, 100)] {
        let request = QuotePricesRequest { price_time: shop.in_hours(hours), ..basket(&[("A", 1)]) };
        let quote = quote(&mut shop.client, request).await.unwrap();
        assert_eq!((quote.lines[0].gross_minor, quote.price_time), (pence, shop.in_hours(hours)));
    }
    let before = QuotePricesRequest { price_time: shop.in_hours(-101), ..basket(&[("A", 1)]) };
    let status = quote(&mut shop.client, before.clone()).await.unwrap_err();
    assert_eq!(refusal(&status), (Code::FailedPrecondition, "PRICE_NOT_FOUND".to_owned()));
    let ahead = QuotePricesRequest { price_time: shop.in_hours(1), ..before.clone() };
    assert_eq!(bad_fields(&quote(&mut shop.client, ahead).await.unwrap_err()), ["price_time"]);
    let mut narrow = shop.client_for(OVERRIDES, None, None).await;
    let status = quote(&mut narrow, before).await.unwrap_err();
    assert_eq!(told(&status, "scope"), "catalog:BackdateQuote");
}

#[tokio::test]
async fn quote_prices_charges_overrides_fees_and_discounts_with_permission() {
    let mut shop = Shop::stocked().await;
    shop.publish("WEB-GBP", &[("A", 100), ("B", 200)]).await;
    let mut request = basket(&[("A", 1), ("B", 1)]);
    request.lines.push(with_override("C", 0, "free goods"));
    request.lines.push(with_override("A", 50_000_000, "by hand"));
    request.fees = vec![fee("POST", 1, 4_950_000), fee("D", -2, 1_000_000)];
    request.order_discount = Some(Money { minor_units: 53, currency_code: "GBP".to_owned() });
    let mut clerk = shop.client_for(OVERRIDES, None, None).await;
    let quote_made = quote(&mut clerk, request.clone()).await.unwrap();

    let lines: Vec<(i64, i64, i64)> =
        quote_made.lines.iter().map(|l| (l.gross_minor, l.discount_minor, l.total_minor)).collect();
    assert_eq!(lines, [(100, 1, 99), (200, 2, 198), (0, 0, 0), (5_000, 50, 4_950)]);
    let free = &quote_made.lines[2];
    assert_eq!(
        (&free.list_unit_price, free.price_list_id.as_str(), free.override_reason.as_str()),
        (&None, "", "free goods")
    );
    assert_eq!(quote_made.lines[3].list_unit_price, pounds(1_000_000));
    assert_eq!(quote_made.fees.iter().map(|f| f.total_minor).collect::<Vec<_>>(), [495, -200]);
    let minor = |money: Option<Money>| money.unwrap().minor_units;
    assert_eq!(minor(quote_made.goods_total.clone()), 5_247);
    assert_eq!(minor(quote_made.total.clone()), 5_542);

    let mut plain = shop.client_for(&["catalog:QuotePrices"], None, None).await;
    quote(&mut plain, basket(&[("A", 1)])).await.unwrap();
    let part = |change: &dyn Fn(&mut QuotePricesRequest)| {
        let mut part = basket(&[("A", 1)]);
        change(&mut part);
        part
    };
    for asked in [
        part(&|p| p.lines = request.lines[2..3].to_vec()),
        part(&|p| p.fees.clone_from(&request.fees)),
        part(&|p| p.order_discount.clone_from(&request.order_discount)),
    ] {
        let status = quote(&mut plain, asked).await.unwrap_err();
        assert_eq!(
            (status.code(), told(&status, "scope")),
            (Code::PermissionDenied, "catalog:OverridePrice".to_owned())
        );
    }
}

#[tokio::test]
async fn quote_prices_refuses_what_has_no_price_or_is_too_much() {
    let mut shop = Shop::stocked().await;
    shop.add_list("EU", "EUR", "EU").await;
    shop.publish("WEB-GBP", &[("A", i64::MAX / 10_000 / 1_000)]).await;
    let on = |channel: &str, currency: &str| QuotePricesRequest {
        channel_id: channel.to_owned(),
        currency_code: currency.to_owned(),
        ..basket(&[("A", 1)])
    };
    let discounted = QuotePricesRequest {
        order_discount: Some(Money { minor_units: i64::MAX, currency_code: "GBP".to_owned() }),
        ..basket(&[("A", 1)])
    };
    let unknown_free = QuotePricesRequest { lines: vec![with_override("NONE", 0, "free")], ..basket(&[]) };
    let cases = [
        (basket(&[("A", 1), ("B", 1)]), Code::FailedPrecondition, "PRICE_NOT_FOUND"),
        (basket(&[("A", 1), ("NONE", 1)]), Code::FailedPrecondition, "VARIANT_NOT_FOUND"),
        (unknown_free, Code::FailedPrecondition, "VARIANT_NOT_FOUND"),
        (on("NONE", "GBP"), Code::FailedPrecondition, "PRICE_LIST_NOT_FOUND"),
        (on("EU", "GBP"), Code::InvalidArgument, "CURRENCY_MISMATCH"),
        (on("WEB", "EUR"), Code::InvalidArgument, "CURRENCY_MISMATCH"),
        (basket(&[("A", 1_000_000_000)]), Code::FailedPrecondition, "AMOUNT_OVERFLOW"),
        (discounted, Code::FailedPrecondition, "DISCOUNT_EXCEEDS_TOTAL"),
    ];
    for (request, code, reason) in cases {
        let status = quote(&mut shop.client, request).await.unwrap_err();
        assert_eq!(refusal(&status), (code, reason.to_owned()));
    }
}

#[tokio::test]
async fn quote_prices_is_for_the_channel_and_partner_that_a_key_is_bound_to() {
    let mut shop = Shop::stocked().await;
    shop.publish("WEB-GBP", &[("A", 100)]).await;
    let mut channel = shop.client_for(&["catalog:*"], Some("WEB"), None).await;
    let other = shop.client_for(&["catalog:*"], Some("EBAY"), None).await;
    let mut partner = shop.client_for(&["catalog:*"], None, Some("D-1")).await;
    let of = |partner: &str| QuotePricesRequest { partner_id: partner.to_owned(), ..basket(&[("A", 1)]) };
    quote(&mut channel, of("")).await.unwrap();
    quote(&mut channel, of("D-2")).await.unwrap();
    quote(&mut partner, of("D-1")).await.unwrap();
    for (mut client, asked) in [(other, of("")), (partner.clone(), of("")), (partner, of("D-2"))] {
        let status = quote(&mut client, asked).await.unwrap_err();
        assert_eq!(refusal(&status), (Code::PermissionDenied, "OUT_OF_SCOPE".to_owned()));
    }
}

#[tokio::test]
async fn quote_prices_names_every_bad_field() {
    let mut shop = Shop::stocked().await;
    let euros = Some(UnitPrice { micros: 1, currency_code: "EUR".to_owned() });
    let empty = QuotePricesRequest::default();
    let heads = QuotePricesRequest {
        channel_id: "a b".to_owned(),
        partner_id: "x".repeat(33),
        currency_code: "gbp".to_owned(),
        price_time: Some(prost_types::Timestamp { seconds: i64::MAX, nanos: 0 }),
        ..basket(&[("A", 1)])
    };
    let overrides = vec![
        with_override("A", -1, "why"),
        with_override("A", 1, ""),
        with_override("A", 1, &"x".repeat(101)),
        QuoteLine { override_unit_price: euros.clone(), ..with_override("A", 1, "why") },
        QuoteLine { override_unit_price: None, ..with_override("A", 1, "why") },
    ];
    let fees = vec![
        fee("", 1, 1),
        fee(&"x".repeat(33), 0, 1),
        fee("POST", i64::MIN, 1),
        QuoteFee { description: "x".repeat(201), unit_price: None, ..fee("POST", 1, 1) },
        QuoteFee { unit_price: euros, ..fee("POST", 1, 1) },
    ];
    let discount = Some(Money { minor_units: -1, currency_code: "EUR".to_owned() });
    let many = vec![fee("POST", 1, 1); 2_000];
    let cases: Vec<(QuotePricesRequest, Vec<&str>)> = vec![
        (empty, vec!["channel_id", "currency_code", "lines"]),
        (heads, vec!["channel_id", "partner_id", "currency_code", "price_time"]),
        (
            basket(&[("", 1), ("A", 0), ("A", -1), ("A", 1_000_000_001), ("A", i64::MAX)]),
            vec!["lines[0].sku", "lines[1].quantity", "lines[2].quantity", "lines[3].quantity", "lines[4].quantity"],
        ),
        (
            QuotePricesRequest { lines: overrides, ..basket(&[]) },
            vec![
                "lines[0].override_unit_price.micros",
                "lines[1].override_reason",
                "lines[2].override_reason",
                "lines[3].override_unit_price.currency_code",
                "lines[4].override_reason",
            ],
        ),
        (
            QuotePricesRequest { fees, ..basket(&[]) },
            vec![
                "fees[0].code",
                "fees[1].code",
                "fees[1].quantity",
                "fees[2].quantity",
                "fees[3].description",
                "fees[3].unit_price",
                "fees[4].unit_price.currency_code",
            ],
        ),
        (
            QuotePricesRequest { order_discount: discount, ..basket(&[("A", 1)]) },
            vec!["order_discount.currency_code", "order_discount.minor_units"],
        ),
        (QuotePricesRequest { fees: many, ..basket(&[("A", 1)]) }, vec!["lines"]),
    ];
    for (request, fields) in cases {
        assert_eq!(bad_fields(&quote(&mut shop.client, request).await.unwrap_err()), fields);
    }
}
