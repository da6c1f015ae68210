//! CancelOrder: everything is given back, once.

use oneshelf_proto::orders::v1 as pb;
use tonic::Code;

use crate::support::{Desk, fields, reason};

fn cancel(desk: &Desk, order_id: &str) -> pb::CancelOrderRequest {
    pb::CancelOrderRequest {
        request_id: desk.id(),
        order_id: order_id.to_owned(),
        reason: "changed my mind".to_owned(),
    }
}

#[tokio::test]
async fn cancel_order_gives_stock_and_credit_back_and_may_be_repeated() {
    let mut desk = Desk::open().await;
    let request = desk.dealer_order(&[("A", 3, 100)]);
    let order_id = desk.placed(request).await.order_id;
    let request = cancel(&desk, &order_id);
    let cancelled = desk.client.cancel_order(request.clone()).await.unwrap().into_inner().order.unwrap();
    assert_eq!((cancelled.state(), cancelled.lines[0].cancelled), (pb::OrderState::Cancelled, 3));
    assert_eq!((desk.level("WH", "A").await, desk.credit().await), ((10, 0), (0, 0)));

    for again in [request.clone(), cancel(&desk, &order_id)] {
        assert_eq!(desk.client.cancel_order(again).await.unwrap().into_inner().order.unwrap(), cancelled);
    }
    let events: Vec<pb::OrderCancelled> = desk.events(&order_id, "orders.order.cancelled.v1").await;
    assert_eq!(events.iter().map(|event| event.reason.as_str()).collect::<Vec<_>>(), ["changed my mind"]);
    let reused = pb::CancelOrderRequest { reason: "other".to_owned(), ..request };
    let status = desk.client.cancel_order(reused).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "REQUEST_ID_REUSED"));
    desk.verify().await;
}

#[tokio::test]
async fn cancel_order_refuses_what_has_shipped_and_what_is_unknown() {
    let mut desk = Desk::open().await;
    let request = desk.order(&[("A", 1, 100)]);
    let order_id = desk.shipped(request).await.order_id;
    let request = cancel(&desk, &order_id);
    let status = desk.client.cancel_order(request).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::FailedPrecondition, "ORDER_STATE"));
    let request = cancel(&desk, &desk.id());
    let status = desk.client.cancel_order(request).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::NotFound, "ORDER_NOT_FOUND"));
}

#[tokio::test]
async fn cancel_order_refuses_bad_input_and_strangers() {
    let mut desk = Desk::open().await;
    let request = desk.order(&[("A", 1, 100)]);
    let order_id = desk.placed(request).await.order_id;
    let good = cancel(&desk, &order_id);
    type Change = fn(&mut pb::CancelOrderRequest);
    let cases: &[(Change, &[&str])] = &[
        (|r| r.request_id = String::new(), &["request_id"]),
        (|r| r.order_id = "1".to_owned(), &["order_id"]),
        (|r| r.reason = "  ".to_owned(), &["reason"]),
        (|r| r.reason = "x".repeat(201), &["reason"]),
        (|r| *r = pb::CancelOrderRequest::default(), &["request_id", "order_id", "reason"]),
    ];
    for (change, expected) in cases {
        let mut request = good.clone();
        change(&mut request);
        assert_eq!(fields(&desk.client.cancel_order(request).await.unwrap_err()), *expected);
    }
    let status = desk.stranger().await.cancel_order(good.clone()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    let status = desk.client_for(&["orders:ShipOrder"], None, None).await.cancel_order(good.clone()).await.unwrap_err();
    assert_eq!(reason(&status), "SCOPE_MISSING");
    let status = desk.client_for(&["*"], Some("STORE"), None).await.cancel_order(good).await.unwrap_err();
    assert_eq!(reason(&status), "ORDER_NOT_FOUND");
    assert_eq!(desk.get(&order_id).await.state(), pb::OrderState::Confirmed);
}
