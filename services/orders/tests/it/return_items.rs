//! ReturnItems and GetReturn: a unit is refunded at what was paid for it, and comes back once.

use oneshelf_proto::orders::v1 as pb;
use tonic::Code;

use crate::support::{Desk, at, fields, gbp, price, reason};

fn sold(order_id: &str, order_line_no: i32, quantity: i64) -> pb::ReturnItem {
    pb::ReturnItem { order_id: order_id.to_owned(), order_line_no, quantity, ..Default::default() }
}

fn loose(sku: &str, quantity: i64, pence: i64) -> pb::ReturnItem {
    let unit_price = Some(price(pence * 10_000));
    pb::ReturnItem { sku: sku.to_owned(), quantity, unit_price, ..Default::default() }
}

fn back(desk: &Desk, items: Vec<pb::ReturnItem>) -> pb::ReturnItemsRequest {
    pb::ReturnItemsRequest {
        request_id: desk.id(),
        channel_id: "WEB".to_owned(),
        location_id: "SHOP".to_owned(),
        items,
        currency_code: "GBP".to_owned(),
        ..Default::default()
    }
}

async fn returned(desk: &mut Desk, request: pb::ReturnItemsRequest) -> pb::Return {
    desk.client.return_items(request).await.unwrap().into_inner().r#return.unwrap()
}

#[tokio::test]
async fn return_items_in_portions_refunds_exactly_what_was_paid() {
    let mut desk = Desk::open().await;
    let request = desk.order(&[("A", 3, 100)]);
    let order_id = desk.shipped(request).await.order_id;
    let mut refunds = Vec::new();
    for _ in 0..3 {
        let request = back(&desk, vec![sold(&order_id, 1, 1)]);
        let done = returned(&mut desk, request.clone()).await;
        assert_eq!(returned(&mut desk, request).await, done);
        assert_eq!(done.member_id, "M-1", "the order's member follows");
        refunds.push(done.goods_total.unwrap().minor_units);
    }
    assert_eq!(refunds, [34, 33, 33]);
    assert_eq!(desk.level("SHOP", "A").await, (3, 0));
    assert_eq!(desk.get(&order_id).await.lines[0].returned, 3);

    let request = back(&desk, vec![sold(&order_id, 1, 1)]);
    let status = desk.client.return_items(request).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::FailedPrecondition, "RETURN_EXCEEDS_SHIPPED"));
    desk.verify().await;
}

#[tokio::test]
async fn return_items_tells_loyalty_and_partners_what_came_back() {
    let mut desk = Desk::open().await;
    let request = desk.dealer_order(&[("A", 2, 101), ("B", 1, 50)]);
    let order_id = desk.shipped(request).await.order_id;
    let mut request = back(&desk, vec![sold(&order_id, 1, 1), sold(&order_id, 1, 1), loose("B", 2, 25)]);
    request.fees = vec![pb::FeeItem {
        code: "POST".to_owned(),
        quantity: -1,
        unit_price: Some(price(4_950_000)),
        ..Default::default()
    }];
    let done = returned(&mut desk, request).await;
    assert_eq!(done.lines.iter().map(|line| line.refund_minor).collect::<Vec<_>>(), [51, 50, 50]);
    assert_eq!((done.goods_total, done.fee_total), (Some(gbp(151)), Some(gbp(-495))));
    let events: Vec<pb::ItemsReturned> = desk.events(&done.return_id, "orders.items.returned.v1").await;
    assert_eq!(events.len(), 1);
    let event = &events[0];
    assert_eq!((event.partner_id.as_str(), event.member_id.as_str(), event.fee_total_minor), ("D-1", "M-1", -495));
    assert_eq!(
        event.lines.iter().map(|line| (line.quantity, line.amount_minor)).collect::<Vec<_>>(),
        [(1, 51), (1, 50), (2, 50)]
    );
    desk.verify().await;
}

#[tokio::test]
async fn return_items_of_many_at_once_never_takes_a_unit_twice() {
    let mut desk = Desk::open().await;
    let request = desk.order(&[("A", 3, 100)]);
    let order_id = desk.shipped(request).await.order_id;
    let requests = (0..8).map(|_| (desk.client.clone(), back(&desk, vec![sold(&order_id, 1, 1)])));
    let returning = requests.map(|(mut client, request)| async move { client.return_items(request).await });
    let answers = futures::future::join_all(returning).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 3);
    let refunds = answers.into_iter().flatten().map(|answer| answer.into_inner().r#return.unwrap());
    assert_eq!(refunds.map(|done| done.goods_total.unwrap().minor_units).sum::<i64>(), 100);
    desk.verify().await;
}

#[tokio::test]
async fn return_items_refuses_what_was_not_sold_so_and_changes_nothing() {
    let mut desk = Desk::open().await;
    let request = desk.order(&[("A", 3, 100)]);
    let order_id = desk.shipped(request).await.order_id;
    let request = desk.order(&[("A", 1, 100)]);
    let unshipped = desk.placed(request).await.order_id;
    let rows = desk.rows().await;
    let cases = [
        (back(&desk, vec![sold(&desk.id(), 1, 1)]), Code::NotFound, "ORDER_NOT_FOUND"),
        (back(&desk, vec![sold(&order_id, 2, 1)]), Code::NotFound, "LINE_NOT_FOUND"),
        (
            back(&desk, vec![sold(&order_id, 1, 2), sold(&order_id, 1, 2)]),
            Code::FailedPrecondition,
            "RETURN_EXCEEDS_SHIPPED",
        ),
        (back(&desk, vec![sold(&unshipped, 1, 1)]), Code::FailedPrecondition, "RETURN_EXCEEDS_SHIPPED"),
        (
            pb::ReturnItemsRequest { currency_code: "EUR".to_owned(), ..back(&desk, vec![sold(&order_id, 1, 1)]) },
            Code::InvalidArgument,
            "CURRENCY_MISMATCH",
        ),
    ];
    for (request, code, why) in cases {
        let status = desk.client.return_items(request).await.unwrap_err();
        assert_eq!((status.code(), reason(&status).as_str()), (code, why));
    }
    let other_sku = pb::ReturnItem { sku: "B".to_owned(), ..sold(&order_id, 1, 1) };
    let request = back(&desk, vec![other_sku]);
    assert_eq!(fields(&desk.client.return_items(request).await.unwrap_err()), ["items[0].sku"]);
    let request = pb::ReturnItemsRequest { member_id: "M-2".to_owned(), ..back(&desk, vec![sold(&order_id, 1, 1)]) };
    assert_eq!(fields(&desk.client.return_items(request).await.unwrap_err()), ["member_id"]);
    assert_eq!(desk.rows().await, rows);
}

#[tokio::test]
async fn return_items_refuses_bad_input_naming_every_field() {
    let mut desk = Desk::open().await;
    let fee = pb::FeeItem { code: "POST".to_owned(), quantity: 1, unit_price: Some(price(1)), ..Default::default() };
    let good =
        pb::ReturnItemsRequest { fees: vec![fee], ..back(&desk, vec![loose("A", 1, 1), sold(&desk.id(), 1, 1)]) };
    type Change = fn(&mut pb::ReturnItemsRequest);
    let cases: &[(Change, &[&str])] = &[
        (|r| r.request_id = "x".to_owned(), &["request_id"]),
        (|r| r.channel_id = String::new(), &["channel_id"]),
        (|r| r.location_id = "é".to_owned(), &["location_id"]),
        (|r| r.partner_id = "a b".to_owned(), &["partner_id"]),
        (|r| r.member_id = "x".repeat(33), &["member_id"]),
        (|r| r.currency_code = "gbp".to_owned(), &["currency_code"]),
        (|r| r.reference = "x".repeat(101), &["reference"]),
        (|r| (r.items, r.fees) = (vec![], vec![]), &["items"]),
        (|r| r.items = vec![r.items[0].clone(); 2_000], &["items"]),
        (|r| r.items[0].sku = String::new(), &["items[0].sku"]),
        (|r| r.items[0].quantity = 0, &["items[0].quantity"]),
        (|r| r.items[0].quantity = i64::MAX, &["items[0].quantity"]),
        (|r| r.items[0].unit_price = None, &["items[0].unit_price"]),
        (|r| r.items[0].unit_price.as_mut().unwrap().micros = -1, &["items[0].unit_price.micros"]),
        (
            |r| r.items[0].unit_price.as_mut().unwrap().currency_code = "EUR".to_owned(),
            &["items[0].unit_price.currency_code"],
        ),
        (
            |r| (r.items[0].unit_price.as_mut().unwrap().micros, r.items[0].quantity) = (i64::MAX, 1_000_000_000),
            &["items[0].unit_price"],
        ),
        (|r| r.items[0].order_line_no = 1, &["items[0].order_line_no"]),
        (|r| r.items[1].order_line_no = 0, &["items[1].order_line_no"]),
        (|r| r.items[1].order_id = "x".to_owned(), &["items[1].order_id"]),
        (|r| r.items[1].unit_price = Some(price(1)), &["items[1].unit_price"]),
        (|r| r.fees[0].code = String::new(), &["fees[0].code"]),
        (|r| r.fees[0].description = "x".repeat(201), &["fees[0].description"]),
        (|r| r.fees[0].quantity = 0, &["fees[0].quantity"]),
        (|r| r.fees[0].unit_price = None, &["fees[0].unit_price"]),
        (|r| r.effective_time = Some(at(i64::MAX)), &["effective_time"]),
        (
            |r| (r.channel_id, r.location_id, r.items[0].quantity) = (String::new(), String::new(), -1),
            &["channel_id", "location_id", "items[0].quantity"],
        ),
    ];
    for (n, (change, expected)) in cases.iter().enumerate() {
        let mut request = good.clone();
        change(&mut request);
        let status = desk.client.return_items(request).await.unwrap_err();
        assert_eq!(fields(&status), *expected, "case {n}");
    }
    assert_eq!(desk.rows().await, 0);
}

#[tokio::test]
async fn return_items_is_for_known_callers_within_their_bounds() {
    let mut desk = Desk::open().await;
    let request = desk.order(&[("A", 3, 100)]);
    let order_id = desk.shipped(request).await.order_id;
    let request = back(&desk, vec![sold(&order_id, 1, 1)]);
    let status = desk.stranger().await.return_items(request.clone()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    let refused = [
        (desk.client_for(&["orders:GetOrder"], None, None).await, request.clone(), "SCOPE_MISSING"),
        (desk.client_for(&["*"], Some("STORE"), None).await, request.clone(), "OUT_OF_SCOPE"),
        (desk.client_for(&["*"], None, Some("D-1")).await, request.clone(), "ORDER_NOT_FOUND"),
        (
            desk.client_for(&["orders:ReturnItems"], None, None).await,
            back(&desk, vec![loose("A", 1, 1)]),
            "SCOPE_MISSING",
        ),
    ];
    for (mut client, request, why) in refused {
        assert_eq!(reason(&client.return_items(request).await.unwrap_err()), why);
    }
    desk.client_for(&["orders:ReturnItems"], Some("WEB"), None).await.return_items(request.clone()).await.unwrap();
    let reused = pb::ReturnItemsRequest { reference: "other".to_owned(), ..request };
    assert_eq!(reason(&desk.client.return_items(reused).await.unwrap_err()), "REQUEST_ID_REUSED");
}

#[tokio::test]
async fn get_return_reads_what_return_items_answered() {
    let mut desk = Desk::open().await;
    let request = back(&desk, vec![loose("A", 2, 150)]);
    let done = returned(&mut desk, request).await;
    let request = pb::GetReturnRequest { return_id: done.return_id.clone() };
    let found = desk.client.get_return(request.clone()).await.unwrap().into_inner().r#return.unwrap();
    assert_eq!(found, done);

    let unknown = pb::GetReturnRequest { return_id: desk.id() };
    assert_eq!(reason(&desk.client.get_return(unknown).await.unwrap_err()), "RETURN_NOT_FOUND");
    let malformed = pb::GetReturnRequest { return_id: "1".to_owned() };
    assert_eq!(fields(&desk.client.get_return(malformed).await.unwrap_err()), ["return_id"]);
    let mut store = desk.client_for(&["*"], Some("STORE"), None).await;
    assert_eq!(reason(&store.get_return(request.clone()).await.unwrap_err()), "RETURN_NOT_FOUND");
    let mut narrow = desk.client_for(&["orders:GetOrder"], None, None).await;
    assert_eq!(reason(&narrow.get_return(request.clone()).await.unwrap_err()), "SCOPE_MISSING");
    assert_eq!(desk.stranger().await.get_return(request).await.unwrap_err().code(), Code::Unauthenticated);
}
