//! ShipOrder: what goes out leaves stock and is charged; the rest is cancelled.

use oneshelf_proto::orders::v1 as pb;
use tonic::Code;

use crate::support::{Desk, at, fields, quote, reason};

#[tokio::test]
async fn ship_order_takes_stock_and_captures_credit() {
    let mut desk = Desk::open().await;
    let request = desk.dealer_order(&[("A", 3, 100), ("B", 1, 50)]);
    let order = desk.placed(request).await;
    let request = desk.ship(&order.order_id, &[]);
    let shipped = desk.client.ship_order(request.clone()).await.unwrap().into_inner().order.unwrap();
    assert_eq!(shipped.state(), pb::OrderState::Shipped);
    assert_eq!((shipped.lines[0].shipped, shipped.lines[0].allocated, shipped.lines[0].cancelled), (3, 0, 0));
    assert_eq!(desk.level("WH", "A").await, (7, 0));
    assert_eq!(desk.credit().await, (150, 0));

    let again = desk.client.ship_order(request).await.unwrap().into_inner().order.unwrap();
    assert_eq!(again, shipped);
    let events: Vec<pb::OrderShipped> = desk.events(&order.order_id, "orders.order.shipped.v1").await;
    assert_eq!(events.len(), 1);
    assert_eq!(
        events[0].lines.iter().map(|line| (line.quantity, line.amount_minor)).collect::<Vec<_>>(),
        [(3, 100), (1, 50)]
    );
    desk.verify().await;
}

#[tokio::test]
async fn ship_order_in_part_cancels_the_rest_and_charges_the_units_that_left() {
    let mut desk = Desk::open().await;
    let request = desk.order_of(&quote(&desk.clock, "D-1", &[("A", 3, 100), ("A", 2, 60), ("B", 1, 50)], 10));
    let order = desk.placed(request).await;
    let request = desk.ship(&order.order_id, &[(1, 2), (2, 1)]);
    let shipped = desk.client.ship_order(request).await.unwrap().into_inner().order.unwrap();
    let counts: Vec<_> = shipped.lines.iter().map(|line| (line.shipped, line.cancelled)).collect();
    assert_eq!(counts, [(2, 1), (1, 1), (0, 1)]);
    // Units of line 1 cost 34, 33 and 33.
    assert_eq!(desk.credit().await, (67 + 30 + 10, 0));
    assert_eq!((desk.level("WH", "A").await, desk.level("WH", "B").await), ((7, 0), (5, 0)));
    let events: Vec<pb::OrderShipped> = desk.events(&order.order_id, "orders.order.shipped.v1").await;
    assert_eq!(events[0].lines.iter().map(|line| line.amount_minor).collect::<Vec<_>>(), [67, 30]);
    desk.verify().await;
}

#[tokio::test]
async fn ship_order_refuses_what_the_order_does_not_allow_and_changes_nothing() {
    let mut desk = Desk::open().await;
    let request = desk.order(&[("A", 3, 100)]);
    let order_id = desk.placed(request).await.order_id;
    let rows = desk.rows().await;
    let unknown = desk.id();
    let cases = [
        (desk.ship(&unknown, &[]), Code::NotFound, "ORDER_NOT_FOUND"),
        (desk.ship(&order_id, &[(2, 1)]), Code::NotFound, "LINE_NOT_FOUND"),
        (desk.ship(&order_id, &[(1, 4)]), Code::FailedPrecondition, "SHIP_EXCEEDS_ALLOCATED"),
    ];
    for (request, code, why) in cases {
        let status = desk.client.ship_order(request).await.unwrap_err();
        assert_eq!((status.code(), reason(&status).as_str()), (code, why));
    }
    assert_eq!(desk.rows().await, rows);

    let first = desk.ship(&order_id, &[]);
    desk.client.ship_order(first.clone()).await.unwrap();
    let second = desk.ship(&order_id, &[]);
    let status = desk.client.ship_order(second).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::FailedPrecondition, "ORDER_STATE"));
    let reused = pb::ShipOrderRequest { tracking_number: "T".to_owned(), ..first };
    let status = desk.client.ship_order(reused).await.unwrap_err();
    assert_eq!(reason(&status), "REQUEST_ID_REUSED");
    desk.verify().await;
}

#[tokio::test]
async fn ship_order_refuses_bad_input_naming_every_field() {
    let mut desk = Desk::open().await;
    let order_id = desk.id();
    let good = desk.ship(&order_id, &[(1, 1)]);
    type Change = fn(&mut pb::ShipOrderRequest);
    let cases: &[(Change, &[&str])] = &[
        (|r| r.request_id = "x".to_owned(), &["request_id"]),
        (|r| r.order_id = String::new(), &["order_id"]),
        (|r| r.lines[0].line_no = 0, &["lines[0].line_no"]),
        (|r| r.lines[0].quantity = -1, &["lines[0].quantity"]),
        (|r| r.lines[0].quantity = i64::MAX, &["lines[0].quantity"]),
        (|r| r.lines[0].quantity = 0, &["lines"]),
        (|r| r.lines.push(pb::ShipLine { line_no: 1, quantity: 1 }), &["lines[1].line_no"]),
        (|r| r.lines = (1..=2_001).map(|line_no| pb::ShipLine { line_no, quantity: 1 }).collect(), &["lines"]),
        (|r| r.tracking_number = "x".repeat(101), &["tracking_number"]),
        (|r| r.effective_time = Some(at(i64::MIN)), &["effective_time"]),
        (|r| r.effective_time = Some(at(4_000_000_000)), &["effective_time"]),
    ];
    for (n, (change, expected)) in cases.iter().enumerate() {
        let mut request = good.clone();
        change(&mut request);
        let status = desk.client.ship_order(request).await.unwrap_err();
        assert_eq!(fields(&status), *expected, "case {n}");
    }
    assert_eq!(desk.rows().await, 0);
}

#[tokio::test]
async fn ship_order_is_for_known_callers_within_their_bounds() {
    let mut desk = Desk::open().await;
    let request = desk.order(&[("A", 1, 100)]);
    let order_id = desk.placed(request).await.order_id;
    let request = desk.ship(&order_id, &[]);
    let status = desk.stranger().await.ship_order(request.clone()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    let status = desk.client_for(&["orders:GetOrder"], None, None).await.ship_order(request.clone()).await.unwrap_err();
    assert_eq!(reason(&status), "SCOPE_MISSING");
    for (channel, partner) in [(Some("STORE"), None), (None, Some("D-1"))] {
        let status = desk.client_for(&["*"], channel, partner).await.ship_order(request.clone()).await.unwrap_err();
        assert_eq!(reason(&status), "ORDER_NOT_FOUND");
    }
    let yesterday = at(desk.clock.now().timestamp() - 86_400);
    let backdated = pb::ShipOrderRequest { effective_time: Some(yesterday), ..request.clone() };
    let status = desk.client_for(&["orders:ShipOrder"], None, None).await.ship_order(backdated).await.unwrap_err();
    assert_eq!(reason(&status), "SCOPE_MISSING");
    assert_eq!(desk.get(&order_id).await.state(), pb::OrderState::Confirmed);
}
