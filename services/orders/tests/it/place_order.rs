//! PlaceOrder: what is quoted is charged, what is promised is held, and an id has one answer.

use oneshelf_proto::{orders::v1 as pb, partners::v1 as dealers};
use tonic::Code;

use crate::support::{Desk, at, fields, quote, reason, sign};

#[tokio::test]
async fn place_order_holds_stock_and_credit_and_says_so() {
    let mut desk = Desk::open().await;
    let request = desk.order_of(&quote(&desk.clock, "D-1", &[("A", 2, 500), ("B", 1, 250), ("A", 1, 240)], 495));
    let order = desk.placed(request.clone()).await;

    assert_eq!(order.order_id, request.request_id);
    assert_eq!(order.state(), pb::OrderState::Confirmed);
    assert_eq!(order.total.unwrap().minor_units, 1_485);
    assert!(order.lines.iter().all(|line| line.allocated == line.ordered && line.unallocated == 0));
    assert_eq!(desk.level("WH", "A").await, (10, 3));
    assert_eq!(desk.level("WH", "B").await, (5, 1));
    assert_eq!(desk.credit().await, (0, 1_485));
    let events: Vec<pb::OrderPlaced> = desk.events(&order.order_id, "orders.order.placed.v1").await;
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].total_minor, 1_485);
    assert_eq!(events[0].lines.iter().map(|line| line.amount_minor).sum::<i64>(), 990);
    desk.verify().await;
}

#[tokio::test]
async fn place_order_repeated_gives_the_same_answer_after_shipping_returning_and_the_quotes_end() {
    let mut desk = Desk::open().await;
    let request = desk.order(&[("A", 3, 100)]);
    let first = desk.placed(request.clone()).await;
    assert_eq!(desk.placed(request.clone()).await, first);

    let ship = desk.ship(&first.order_id, &[(1, 2)]);
    desk.client.ship_order(ship).await.unwrap();
    desk.clock.advance(std::time::Duration::from_secs(3_600));
    assert_eq!(desk.placed(request).await, first);
    assert_eq!(desk.level("WH", "A").await, (8, 0));
    desk.verify().await;
}

#[tokio::test]
async fn place_order_with_a_known_id_and_other_content_is_refused() {
    let mut desk = Desk::open().await;
    let request = desk.order(&[("A", 1, 100)]);
    desk.placed(request.clone()).await;
    let rows = desk.rows().await;
    let other = pb::PlaceOrderRequest { reference: "another".to_owned(), ..request };
    let status = desk.client.place_order(other).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "REQUEST_ID_REUSED"));
    assert_eq!(fields(&status), ["request_id"]);
    assert_eq!(desk.rows().await, rows);
}

#[tokio::test]
async fn place_order_refuses_a_quote_that_was_changed_or_has_expired() {
    let mut desk = Desk::open().await;
    let mut cheaper = quote(&desk.clock, "", &[("A", 1, 100)], 0);
    let mut signed = sign(&cheaper);
    cheaper.lines[0].total_minor = 1;
    cheaper.goods_total.as_mut().unwrap().minor_units = 1;
    signed.quote = sign(&cheaper).quote;
    let forged = pb::PlaceOrderRequest { signed_quote: Some(signed), ..desk.order(&[("A", 1, 100)]) };
    let status = desk.client.place_order(forged).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "QUOTE_SIGNATURE_INVALID"));

    let late = desk.order(&[("A", 1, 100)]);
    desk.clock.advance(std::time::Duration::from_secs(600));
    let status = desk.client.place_order(late).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::FailedPrecondition, "QUOTE_EXPIRED"));
    assert_eq!(desk.rows().await, 0);
}

#[tokio::test]
async fn place_order_passes_inventorys_refusal_on_gives_credit_back_and_repeats_itself() {
    let mut desk = Desk::open().await;
    let request = desk.dealer_order(&[("A", 1, 100), ("B", 6, 600)]);
    let first = desk.client.place_order(request.clone()).await.unwrap_err();
    assert_eq!((first.code(), reason(&first).as_str()), (Code::FailedPrecondition, "INSUFFICIENT_STOCK"));
    desk.receive("WH", &[("B", 10)]).await;
    let second = desk.client.place_order(request.clone()).await.unwrap_err();
    assert_eq!((first.message(), first.details()), (second.message(), second.details()));

    let order = desk.get(&request.request_id).await;
    assert_eq!((order.state(), order.refusal.as_str()), (pb::OrderState::Refused, "INSUFFICIENT_STOCK"));
    assert_eq!(desk.credit().await, (0, 0));
    assert_eq!(desk.level("WH", "A").await, (10, 0));
    assert_eq!(desk.events::<pb::OrderPlaced>(&request.request_id, "orders.order.placed.v1").await.len(), 0);
    desk.verify().await;
}

#[tokio::test]
async fn place_order_of_a_dealer_without_credit_or_suspended_touches_no_stock() {
    let mut desk = Desk::open().await;
    let dear = desk.dealer_order(&[("A", 1, 10_001)]);
    let status = desk.client.place_order(dear).await.unwrap_err();
    assert_eq!(reason(&status), "CREDIT_EXCEEDED");

    let request = dealers::SuspendPartnerRequest {
        request_id: desk.id(),
        partner_id: "D-1".to_owned(),
        reason: "does not pay".to_owned(),
    };
    desk.partners.suspend_partner(request).await.unwrap();
    let cheap = desk.dealer_order(&[("A", 1, 1)]);
    let status = desk.client.place_order(cheap).await.unwrap_err();
    assert_eq!(reason(&status), "PARTNER_SUSPENDED");
    assert_eq!(desk.level("WH", "A").await, (10, 0));
    desk.verify().await;
}

#[tokio::test]
async fn place_order_of_fees_only_asks_nobody() {
    let mut desk = Desk::open().await;
    desk.road.cut();
    let request = desk.order_of(&quote(&desk.clock, "", &[], 495));
    let order = desk.placed(request).await;
    assert_eq!((order.state(), order.fee_total.unwrap().minor_units), (pb::OrderState::Confirmed, 495));
    desk.ship_all(&order.order_id).await;
    desk.verify().await;
}

#[tokio::test]
async fn place_order_gives_the_last_unit_to_exactly_one_of_many() {
    let mut desk = Desk::open().await;
    desk.receive("WH", &[("LAST", 1)]).await;
    let buyers = (0..32).map(|_| (desk.client.clone(), desk.order(&[("LAST", 1, 100)])));
    let buying = buyers.map(|(mut client, request)| async move { client.place_order(request).await });
    let answers = futures::future::join_all(buying).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    let refused = answers.iter().filter_map(|answer| answer.as_ref().err());
    assert!(refused.into_iter().all(|status| reason(status) == "INSUFFICIENT_STOCK"));
    assert_eq!(desk.level("WH", "LAST").await, (1, 1));
    desk.verify().await;
}

#[tokio::test]
async fn place_order_of_two_thousand_lines_is_one_order() {
    let mut desk = Desk::open().await;
    let skus: Vec<String> = (0..500).map(|n| format!("S{n}")).collect();
    desk.receive("WH", &skus.iter().map(|sku| (sku.as_str(), 4)).collect::<Vec<_>>()).await;
    let lines: Vec<(&str, i64, i64)> = (0..2_000).map(|n| (skus[n % 500].as_str(), 1, 7)).collect();
    let request = desk.order(&lines);
    let order = desk.shipped(request).await;
    assert_eq!((order.lines.len(), order.total.unwrap().minor_units), (2_000, 14_000));
    assert!(order.lines.iter().all(|line| line.shipped == 1));
    assert_eq!(desk.level("WH", "S0").await, (0, 0));
    desk.verify().await;
}

#[tokio::test]
async fn place_order_refuses_bad_input_naming_every_field() {
    let mut desk = Desk::open().await;
    let good = desk.order(&[("A", 1, 100)]);
    type Change = fn(&mut pb::PlaceOrderRequest);
    let cases: &[(Change, &[&str])] = &[
        (|r| r.request_id = String::new(), &["request_id"]),
        (|r| r.request_id = "7".to_owned(), &["request_id"]),
        (|r| r.signed_quote = None, &["signed_quote"]),
        (|r| r.signed_quote.as_mut().unwrap().quote = vec![255; 9], &["signed_quote.quote"]),
        (|r| r.signed_quote.as_mut().unwrap().quote.clear(), &["signed_quote.quote"]),
        (|r| r.location_id = String::new(), &["location_id"]),
        (|r| r.location_id = "a b".to_owned(), &["location_id"]),
        (|r| r.member_id = "x".repeat(33), &["member_id"]),
        (|r| r.reference = "x".repeat(101), &["reference"]),
        (|r| r.reference = "a\0b".to_owned(), &["reference"]),
        (|r| r.effective_time = Some(at(i64::MAX)), &["effective_time"]),
        (|r| r.effective_time = Some(prost_types::Timestamp { seconds: 0, nanos: -1 }), &["effective_time"]),
        (|r| r.effective_time = Some(at(4_000_000_000)), &["effective_time"]),
        (|r| *r = pb::PlaceOrderRequest::default(), &["request_id", "location_id", "signed_quote"]),
    ];
    for (n, (change, expected)) in cases.iter().enumerate() {
        let mut request = good.clone();
        change(&mut request);
        let status = desk.client.place_order(request).await.unwrap_err();
        assert_eq!(fields(&status), *expected, "case {n}");
    }
    assert_eq!(desk.rows().await, 0);
}

#[tokio::test]
async fn place_order_is_for_known_callers_within_their_bounds() {
    let desk = Desk::open().await;
    let request = desk.dealer_order(&[("A", 1, 100)]);
    let status = desk.stranger().await.place_order(request.clone()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    let refused = [
        (desk.client_for(&["orders:GetOrder"], None, None).await, "SCOPE_MISSING"),
        (desk.client_for(&["*"], Some("STORE"), None).await, "OUT_OF_SCOPE"),
        (desk.client_for(&["*"], None, Some("D-2")).await, "OUT_OF_SCOPE"),
    ];
    for (mut client, why) in refused {
        let status = client.place_order(request.clone()).await.unwrap_err();
        assert_eq!((status.code(), reason(&status).as_str()), (Code::PermissionDenied, why));
    }
    let yesterday =
        pb::PlaceOrderRequest { effective_time: Some(at(desk.clock.now().timestamp() - 86_400)), ..request.clone() };
    let mut till = desk.client_for(&["orders:PlaceOrder"], Some("WEB"), Some("D-1")).await;
    let status = till.place_order(yesterday).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::PermissionDenied, "SCOPE_MISSING"));
    assert_eq!(desk.rows().await, 0);
    till.place_order(request).await.unwrap();
}
