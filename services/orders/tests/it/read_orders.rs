//! GetOrder and ListOrders.

use std::time::Duration;

use oneshelf_proto::orders::v1 as pb;
use tonic::Code;

use crate::support::{Desk, fields, reason};

#[tokio::test]
async fn get_order_is_for_known_callers_of_the_orders_channel_and_partner() {
    let mut desk = Desk::open().await;
    let request = desk.dealer_order(&[("A", 1, 100)]);
    let order = desk.placed(request).await;
    assert_eq!(desk.get(&order.order_id).await, order);
    let request = pb::GetOrderRequest { order_id: order.order_id.clone() };
    desk.client_for(&["orders:*"], Some("WEB"), Some("D-1")).await.get_order(request.clone()).await.unwrap();
    for (channel, partner) in [(Some("STORE"), None), (None, Some("D-2"))] {
        let status = desk.client_for(&["*"], channel, partner).await.get_order(request.clone()).await.unwrap_err();
        assert_eq!((status.code(), reason(&status).as_str()), (Code::NotFound, "ORDER_NOT_FOUND"));
    }
    let status =
        desk.client_for(&["orders:PlaceOrder"], None, None).await.get_order(request.clone()).await.unwrap_err();
    assert_eq!(reason(&status), "SCOPE_MISSING");
    assert_eq!(desk.stranger().await.get_order(request).await.unwrap_err().code(), Code::Unauthenticated);
    let unknown = pb::GetOrderRequest { order_id: desk.id() };
    assert_eq!(reason(&desk.client.get_order(unknown).await.unwrap_err()), "ORDER_NOT_FOUND");
    let malformed = pb::GetOrderRequest { order_id: "one".to_owned() };
    assert_eq!(fields(&desk.client.get_order(malformed).await.unwrap_err()), ["order_id"]);
}

#[tokio::test]
async fn list_orders_reads_newest_first_page_by_page_and_narrowed() {
    let mut desk = Desk::open().await;
    let mut placed = Vec::new();
    for n in 0..5 {
        let lines = [("A", 1, 100)];
        let request = if n % 2 == 0 { desk.order(&lines) } else { desk.dealer_order(&lines) };
        placed.insert(0, desk.placed(request).await);
        // Two at each instant: the id then tells which comes first.
        desk.clock.advance(Duration::from_micros(n % 2));
    }
    let mut pages = Vec::new();
    let mut request = pb::ListOrdersRequest { page_size: 2, ..Default::default() };
    loop {
        let page = desk.client.list_orders(request.clone()).await.unwrap().into_inner();
        pages.push(page.orders);
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 1]);
    let mut read = pages.concat();
    assert!(read.is_sorted_by_key(|order| std::cmp::Reverse(order.create_time.map(|at| (at.seconds, at.nanos)))));
    read.sort_by(|one, other| one.order_id.cmp(&other.order_id));
    placed.sort_by(|one, other| one.order_id.cmp(&other.order_id));
    assert_eq!(read, placed);

    let cases = [
        (pb::ListOrdersRequest { partner_id: "d-1".to_owned(), ..Default::default() }, 2),
        (pb::ListOrdersRequest { channel_id: "WEB".to_owned(), ..Default::default() }, 5),
        (pb::ListOrdersRequest { channel_id: "STORE".to_owned(), ..Default::default() }, 0),
        (pb::ListOrdersRequest { member_id: "M-1".to_owned(), ..Default::default() }, 5),
        (pb::ListOrdersRequest { state: pb::OrderState::Confirmed.into(), ..Default::default() }, 5),
        (pb::ListOrdersRequest { state: pb::OrderState::Shipped.into(), ..Default::default() }, 0),
    ];
    for (request, count) in cases {
        assert_eq!(desk.client.list_orders(request).await.unwrap().into_inner().orders.len(), count);
    }
    let mut dealer = desk.client_for(&["orders:ListOrders"], None, Some("D-1")).await;
    assert_eq!(dealer.list_orders(pb::ListOrdersRequest::default()).await.unwrap().into_inner().orders.len(), 2);
    let others = pb::ListOrdersRequest { partner_id: "D-2".to_owned(), ..Default::default() };
    assert_eq!(dealer.list_orders(others).await.unwrap().into_inner().orders.len(), 0);
}

#[tokio::test]
async fn list_orders_refuses_bad_input_and_strangers() {
    let mut desk = Desk::open().await;
    type Change = fn(&mut pb::ListOrdersRequest);
    let cases: &[(Change, &[&str])] = &[
        (|r| r.channel_id = "a b".to_owned(), &["channel_id"]),
        (|r| r.partner_id = "x".repeat(33), &["partner_id"]),
        (|r| r.member_id = "é".to_owned(), &["member_id"]),
        (|r| r.state = 99, &["state"]),
        (|r| r.page_size = -1, &["page_size"]),
        (|r| r.page_size = 501, &["page_size"]),
        (|r| r.page_token = "x".to_owned(), &["page_token"]),
        (|r| r.page_token = format!("{:x}.{}", i64::MAX, "0".repeat(32)), &["page_token"]),
        (|r| (r.state, r.page_size) = (-1, 501), &["state", "page_size"]),
    ];
    for (n, (change, expected)) in cases.iter().enumerate() {
        let mut request = pb::ListOrdersRequest::default();
        change(&mut request);
        assert_eq!(fields(&desk.client.list_orders(request).await.unwrap_err()), *expected, "case {n}");
    }
    let request = pb::ListOrdersRequest::default();
    assert_eq!(desk.stranger().await.list_orders(request.clone()).await.unwrap_err().code(), Code::Unauthenticated);
    let mut narrow = desk.client_for(&["orders:GetOrder"], None, None).await;
    assert_eq!(reason(&narrow.list_orders(request).await.unwrap_err()), "SCOPE_MISSING");
}
