//! Every field of every request, spoilt in turn; and what only the whole of a request shows to be wrong.

use oneshelf_proto::{FILE_DESCRIPTOR_SET, orders::v1 as pb};
use oneshelf_testkit::bad_input::{Good, assert_bad_input_is_refused};
use prost::Message as _;
use prost_types::Timestamp;
use tonic::Code;

use crate::support::{Desk, at, fields, price, reason};

#[expect(clippy::unnecessary_wraps, reason = "fields of messages are optional")]
fn yesterday(desk: &Desk) -> Option<Timestamp> {
    Some(at(desk.clock.now().timestamp() - 86_400))
}

fn fee() -> pb::FeeItem {
    pb::FeeItem {
        code: "POST".to_owned(),
        description: "postage".to_owned(),
        quantity: -1,
        unit_price: Some(price(4_950_000)),
    }
}

async fn orders(desk: &mut Desk) -> Vec<Good> {
    let place = pb::PlaceOrderRequest { effective_time: yesterday(desk), ..desk.order(&[("A", 1, 100)]) };
    let (to_ship, to_cancel) = (desk.order(&[("A", 1, 100)]), desk.order(&[("A", 1, 100)]));
    let (to_ship, to_cancel) = (desk.placed(to_ship).await.order_id, desk.placed(to_cancel).await.order_id);
    let ship = pb::ShipOrderRequest {
        tracking_number: "T 7".to_owned(),
        effective_time: yesterday(desk),
        ..desk.ship(&to_ship, &[(1, 1)])
    };
    let page = pb::ListOrdersRequest { page_size: 1, ..Default::default() };
    let page_token = desk.client.list_orders(page.clone()).await.unwrap().into_inner().next_page_token;
    let list = pb::ListOrdersRequest {
        channel_id: "WEB".to_owned(),
        partner_id: "D-1".to_owned(),
        member_id: "M-1".to_owned(),
        state: pb::OrderState::Confirmed.into(),
        page_token,
        ..page
    };
    vec![
        Good::new("PlaceOrder", &place)
            .optional(&["member_id", "reference", "effective_time"])
            // Whether the quote, the key or the signature is another one cannot be told.
            .told_as(&[("signed_quote.key_id", "signed_quote"), ("signed_quote.signature", "signed_quote")]),
        Good::new("GetOrder", &pb::GetOrderRequest { order_id: to_ship }),
        Good::new("ListOrders", &list).optional(&["channel_id", "partner_id", "member_id", "state"]),
        Good::new(
            "CancelOrder",
            &pb::CancelOrderRequest {
                request_id: desk.id(),
                order_id: to_cancel,
                reason: "changed my mind".to_owned(),
            },
        ),
        Good::new("ShipOrder", &ship)
            // Nothing at all is told of the lines.
            .optional(&["lines", "lines.quantity", "tracking_number", "effective_time"])
            .unbounded(&["lines.line_no"])
            .at_most(&[("lines", 2_000)]),
    ]
}

async fn returns(desk: &mut Desk) -> Vec<Good> {
    let sold = desk.dealer_order(&[("A", 2, 100)]);
    let order_id = desk.shipped(sold).await.order_id;
    let loose = pb::ReturnItemsRequest {
        request_id: desk.id(),
        channel_id: "WEB".to_owned(),
        location_id: "SHOP".to_owned(),
        partner_id: "D-1".to_owned(),
        member_id: "M-1".to_owned(),
        items: vec![pb::ReturnItem {
            sku: "A".to_owned(),
            quantity: 1,
            unit_price: Some(price(500_000)),
            ..Default::default()
        }],
        fees: vec![fee()],
        currency_code: "GBP".to_owned(),
        reference: "back".to_owned(),
        effective_time: yesterday(desk),
    };
    let sold = pb::ReturnItemsRequest {
        request_id: desk.id(),
        items: vec![pb::ReturnItem { order_id, order_line_no: 1, sku: "A".to_owned(), quantity: 1, unit_price: None }],
        fees: Vec::new(),
        ..loose.clone()
    };
    let known = pb::ReturnItemsRequest { request_id: desk.id(), ..loose.clone() };
    let known = desk.client.return_items(known).await.unwrap().into_inner().r#return.unwrap();
    vec![
        Good::new("ReturnItems", &loose)
            .optional(&[
                "partner_id",
                "member_id",
                "reference",
                "effective_time",
                "items",
                "items.unit_price.micros",
                "fees",
                "fees.description",
                "fees.unit_price.micros",
            ])
            .absent(&["items.order_id", "items.order_line_no"])
            .signed(&["fees.quantity", "fees.unit_price.micros"])
            .unbounded(&["items.unit_price.micros", "fees.unit_price.micros"])
            .any_currency(&["currency_code"])
            .at_most(&[("items", 2_000), ("fees", 2_000)])
            .told_as(&[("fees", "items")]),
        Good::new("ReturnItems", &sold)
            // Without its order an item is another kind of item.
            .optional(&["partner_id", "member_id", "reference", "effective_time", "items.order_id", "items.sku"])
            .absent(&["items.unit_price", "fees"])
            .unbounded(&["items.order_line_no"])
            .at_most(&[("items", 2_000)]),
        Good::new("GetReturn", &pb::GetReturnRequest { return_id: known.return_id }),
    ]
}

fn tickets(desk: &Desk) -> Good {
    let ticket = pb::Ticket {
        device_id: "TILL-1".to_owned(),
        ticket_no: "7".to_owned(),
        channel_id: "STORE".to_owned(),
        location_id: "SHOP".to_owned(),
        member_id: "M-1".to_owned(),
        currency_code: "GBP".to_owned(),
        lines: vec![pb::TicketLine {
            sku: "A".to_owned(),
            quantity: 1,
            unit_price: Some(price(500_000)),
            list_unit_price: Some(price(600_000)),
            override_reason: "damaged box".to_owned(),
        }],
        fees: vec![fee()],
        sale_time: yesterday(desk),
    };
    Good::new("RecordSales", &pb::RecordSalesRequest { ticket: Some(ticket) })
        .optional(&[
            "ticket.member_id",
            "ticket.lines",
            "ticket.lines.unit_price.micros",
            "ticket.lines.list_unit_price",
            "ticket.lines.list_unit_price.micros",
            "ticket.lines.override_reason",
            "ticket.fees",
            "ticket.fees.description",
            "ticket.fees.unit_price.micros",
        ])
        .signed(&["ticket.fees.quantity", "ticket.fees.unit_price.micros"])
        .unbounded(&[
            "ticket.lines.unit_price.micros",
            "ticket.lines.list_unit_price.micros",
            "ticket.fees.unit_price.micros",
        ])
        // The currency of the whole: what is in another one is told where it stands.
        .any_currency(&["ticket.currency_code"])
        .at_most(&[("ticket.lines", 2_000), ("ticket.fees", 2_000)])
        // No ticket is an empty one, and the first thing that it lacks is told.
        .told_as(&[("ticket", "ticket.device_id"), ("ticket.fees", "ticket.lines")])
        .told_in_answer(|answer| {
            let answer = pb::RecordSalesResponse::decode(answer).unwrap();
            let refused = answer.reason == "INVALID_FIELD" && answer.outcome() == pb::TicketOutcome::Refused;
            refused.then(|| format!("ticket.{}", answer.field)).into_iter().collect()
        })
}

#[tokio::test]
async fn every_bad_field_is_refused_by_its_name_and_changes_nothing() {
    let mut desk = Desk::open().await;
    let mut goods = orders(&mut desk).await;
    goods.extend(returns(&mut desk).await);
    goods.push(tickets(&desk));
    let (server, pool) = (&desk.server, desk.db.pool());
    assert_bad_input_is_refused(server, pool, FILE_DESCRIPTOR_SET, "oneshelf.orders.v1.OrdersService", goods).await;
    desk.verify().await;
}

/// Units at a price whose product is the largest amount there is.
const UNITS: i64 = 10_000;

#[tokio::test]
async fn amounts_that_leave_the_range_are_refused_by_their_line_and_totals_as_a_whole() {
    let mut desk = Desk::open().await;
    let before = desk.rows().await;
    let item = |quantity| pb::ReturnItem {
        sku: "A".to_owned(),
        quantity,
        unit_price: Some(price(i64::MAX)),
        ..Default::default()
    };
    let back = |items| pb::ReturnItemsRequest {
        request_id: desk.id(),
        channel_id: "WEB".to_owned(),
        location_id: "SHOP".to_owned(),
        items,
        currency_code: "GBP".to_owned(),
        ..Default::default()
    };
    let (line, total) = (back(vec![item(1), item(2 * UNITS)]), back(vec![item(UNITS), item(UNITS)]));
    assert_eq!(fields(&desk.client.return_items(line).await.unwrap_err()), ["items[1].unit_price"]);
    let status = desk.client.return_items(total).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::FailedPrecondition, "AMOUNT_OVERFLOW"));

    let line = |quantity| pb::TicketLine {
        sku: "A".to_owned(),
        quantity,
        unit_price: Some(price(i64::MAX)),
        ..Default::default()
    };
    let ticket = |ticket_no: &str, lines| pb::Ticket {
        device_id: "TILL-1".to_owned(),
        ticket_no: ticket_no.to_owned(),
        channel_id: "STORE".to_owned(),
        location_id: "SHOP".to_owned(),
        currency_code: "GBP".to_owned(),
        lines,
        sale_time: yesterday(&desk),
        ..Default::default()
    };
    let tickets = [ticket("1", vec![line(2 * UNITS)]), ticket("2", vec![line(UNITS), line(UNITS)])];
    let requests = tickets.map(|ticket| pb::RecordSalesRequest { ticket: Some(ticket) });
    let mut answers = desk.client.record_sales(futures::stream::iter(requests)).await.unwrap().into_inner();
    let first = answers.message().await.unwrap().unwrap();
    assert_eq!((first.reason.as_str(), first.field.as_str()), ("INVALID_FIELD", "lines[0].unit_price"));
    let second = answers.message().await.unwrap().unwrap();
    assert_eq!((second.outcome(), second.reason.as_str()), (pb::TicketOutcome::Refused, "AMOUNT_OVERFLOW"));
    assert_eq!(desk.rows().await, before);
}
