//! RecordSales: a till's ticket is a fact, written once, whatever the shelf or inventory says.

use std::time::Duration;

use oneshelf_proto::orders::v1 as pb;
use oneshelf_testkit::wait_for;
use tonic::Code;

use crate::support::{Desk, at, price, reason};

fn ticket(desk: &Desk, ticket_no: &str, lines: &[(&str, i64, i64)]) -> pb::Ticket {
    pb::Ticket {
        device_id: "TILL-1".to_owned(),
        ticket_no: ticket_no.to_owned(),
        channel_id: "STORE".to_owned(),
        location_id: "SHOP".to_owned(),
        member_id: "M-1".to_owned(),
        currency_code: "GBP".to_owned(),
        lines: lines
            .iter()
            .map(|(sku, quantity, pence)| pb::TicketLine {
                sku: (*sku).to_owned(),
                quantity: *quantity,
                unit_price: Some(price(pence * 10_000)),
                ..Default::default()
            })
            .collect(),
        fees: vec![],
        sale_time: Some(at(desk.clock.now().timestamp() - 60)),
    }
}

async fn record(client: &mut crate::support::Client, tickets: Vec<pb::Ticket>) -> Vec<pb::RecordSalesResponse> {
    let requests = tickets.into_iter().map(|ticket| pb::RecordSalesRequest { ticket: Some(ticket) });
    let mut answers =
        client.record_sales(futures::stream::iter(requests.collect::<Vec<_>>())).await.unwrap().into_inner();
    let mut read = Vec::new();
    while let Some(answer) = answers.message().await.unwrap() {
        read.push(answer);
    }
    read
}

fn outcomes(answers: &[pb::RecordSalesResponse]) -> Vec<pb::TicketOutcome> {
    answers.iter().map(pb::RecordSalesResponse::outcome).collect()
}

#[tokio::test]
async fn record_sales_books_tickets_as_facts_even_from_an_empty_shelf() {
    use pb::TicketOutcome::{AlreadyRecorded, Recorded, Refused};

    let mut desk = Desk::open().await;
    desk.receive("SHOP", &[("A", 1)]).await;
    let first = ticket(&desk, "1", &[("A", 3, 250), ("a", 1, 0)]);
    let mut other = first.clone();
    other.lines[0].quantity = 2;
    let second = ticket(&desk, "2", &[("NEVER-SEEN", 1, 99)]);
    let group = vec![first.clone(), first.clone(), other.clone(), second];
    let answers = record(&mut desk.client.clone(), group.clone()).await;
    assert_eq!(outcomes(&answers), [Recorded, AlreadyRecorded, Refused, Recorded]);
    assert_eq!(answers[2].reason, "TICKET_CONFLICT");
    assert_eq!(answers[0].order_id, answers[1].order_id);

    let order = desk.reaches(&answers[0].order_id, pb::OrderState::Completed).await;
    assert_eq!((order.kind(), order.total.unwrap().minor_units), (pb::OrderKind::Ticket, 750));
    desk.reaches(&answers[3].order_id, pb::OrderState::Completed).await;
    assert_eq!(desk.level("SHOP", "A").await, (-3, 0));

    let again = record(&mut desk.client.clone(), group).await;
    assert_eq!(outcomes(&again), [AlreadyRecorded, AlreadyRecorded, Refused, AlreadyRecorded]);
    assert_eq!(desk.level("SHOP", "A").await, (-3, 0));
    let events: Vec<pb::SaleRecorded> = desk.events(&order.order_id, "orders.sale.recorded.v1").await;
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].lines.iter().map(|line| line.amount_minor).collect::<Vec<_>>(), [750, 0]);
    assert_eq!(events[0].effective_time, first.sale_time);
    desk.verify().await;
}

#[tokio::test]
async fn record_sales_refuses_a_malformed_ticket_and_goes_on() {
    let desk = Desk::open().await;
    type Change = fn(&mut pb::Ticket);
    let cases: &[(Change, &str)] = &[
        (|t| t.device_id = String::new(), "device_id"),
        (|t| t.ticket_no = " ".to_owned(), "ticket_no"),
        (|t| t.ticket_no = "x".repeat(51), "ticket_no"),
        (|t| t.channel_id = "a b".to_owned(), "channel_id"),
        (|t| t.location_id = String::new(), "location_id"),
        (|t| t.member_id = "x".repeat(33), "member_id"),
        (|t| t.currency_code = "ZZZ".to_owned(), "currency_code"),
        (|t| t.lines.clear(), "lines"),
        (|t| t.lines = vec![t.lines[0].clone(); 2_001], "lines"),
        (|t| t.lines[0].sku = String::new(), "lines[0].sku"),
        (|t| t.lines[0].quantity = 0, "lines[0].quantity"),
        (|t| t.lines[0].quantity = -1, "lines[0].quantity"),
        (|t| t.lines[0].unit_price = None, "lines[0].unit_price"),
        (|t| t.lines[0].unit_price.as_mut().unwrap().micros = -1, "lines[0].unit_price.micros"),
        (
            |t| t.lines[0].unit_price.as_mut().unwrap().currency_code = "EUR".to_owned(),
            "lines[0].unit_price.currency_code",
        ),
        (|t| t.lines[0].list_unit_price = Some(price(-1)), "lines[0].list_unit_price.micros"),
        (|t| t.lines[0].override_reason = "x".repeat(101), "lines[0].override_reason"),
        (|t| t.fees.push(pb::FeeItem::default()), "fees[0].code"),
        (|t| t.sale_time = None, "sale_time"),
        (|t| t.sale_time.as_mut().unwrap().seconds += 200_000, "sale_time"),
    ];
    let mut tickets = Vec::new();
    for (n, (change, _)) in cases.iter().enumerate() {
        let mut bad = ticket(&desk, &format!("bad {n}"), &[("A", 1, 100)]);
        change(&mut bad);
        tickets.push(bad);
    }
    tickets.push(ticket(&desk, "good", &[("A", 1, 100)]));
    let answers = record(&mut desk.client.clone(), tickets).await;
    for (n, ((_, field), answer)) in cases.iter().zip(&answers).enumerate() {
        assert_eq!((answer.reason.as_str(), answer.field.as_str()), ("INVALID_FIELD", *field), "case {n}");
        assert_eq!(answer.outcome(), pb::TicketOutcome::Refused);
    }
    assert_eq!(answers[cases.len()].outcome(), pb::TicketOutcome::Recorded);
    let orders: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM orders.orders").fetch_one(desk.db.pool()).await.unwrap();
    assert_eq!(orders, 1);
}

#[tokio::test]
async fn record_sales_does_not_need_inventory_and_catches_up() {
    let mut desk = Desk::open().await;
    desk.receive("SHOP", &[("A", 500)]).await;
    desk.road.cut();
    let tickets = (0..200).map(|n| ticket(&desk, &n.to_string(), &[("A", 1, 100)])).collect();
    let answers = record(&mut desk.client.clone(), tickets).await;
    assert!(answers.iter().all(|answer| answer.outcome() == pb::TicketOutcome::Recorded));
    assert_eq!(desk.get(&answers[0].order_id).await.state(), pb::OrderState::Recorded);

    desk.road.heal();
    let (clock, pool) = (desk.clock.clone(), desk.db.pool().clone());
    wait_for("all tickets to be booked", Duration::from_secs(60), async || {
        clock.advance(Duration::from_secs(2));
        let open: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM orders.processes").fetch_one(&pool).await.unwrap();
        (open == 0).then_some(())
    })
    .await;
    assert_eq!(desk.level("SHOP", "A").await, (300, 0));
    desk.verify().await;
}

#[tokio::test]
async fn record_sales_at_a_location_without_oversell_waits_in_sight_until_there_is_stock() {
    let mut desk = Desk::open().await;
    let sold = pb::Ticket { location_id: "STRICT".to_owned(), ..ticket(&desk, "1", &[("A", 1, 100)]) };
    let order_id = record(&mut desk.client.clone(), vec![sold]).await.remove(0).order_id;
    let (clock, pool) = (desk.clock.clone(), desk.db.pool().clone());
    let last_error: String = wait_for("parking", Duration::from_secs(60), async || {
        clock.advance(Duration::from_secs(2));
        let parked = "SELECT last_error FROM orders.processes WHERE parked_at IS NOT NULL";
        sqlx::query_scalar(parked).fetch_optional(&pool).await.unwrap()
    })
    .await;
    assert!(last_error.contains("INSUFFICIENT_STOCK"), "{last_error}");

    desk.receive("STRICT", &[("A", 1)]).await;
    desk.clock.advance(Duration::from_secs(3_600));
    desk.reaches(&order_id, pb::OrderState::Completed).await;
    desk.verify().await;
}

#[tokio::test]
async fn record_sales_answers_each_ticket_while_the_stream_is_open() {
    let desk = Desk::open().await;
    let (send, requests) = tokio::sync::mpsc::channel(1);
    let requests = tokio_stream::wrappers::ReceiverStream::new(requests);
    let mut answers = desk.client.clone().record_sales(requests).await.unwrap().into_inner();
    for n in 0..3 {
        let next = ticket(&desk, &n.to_string(), &[("A", 1, 100)]);
        send.send(pb::RecordSalesRequest { ticket: Some(next) }).await.unwrap();
        assert_eq!(answers.message().await.unwrap().unwrap().ticket_no, n.to_string());
    }
    drop(send);
    assert_eq!(answers.message().await.unwrap(), None);
}

#[tokio::test]
async fn record_sales_is_for_known_callers_within_their_bounds() {
    let desk = Desk::open().await;
    let sold = ticket(&desk, "1", &[("A", 1, 100)]);
    let requests = || futures::stream::iter([pb::RecordSalesRequest { ticket: Some(sold.clone()) }]);
    let status = desk.stranger().await.record_sales(requests()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    let status = desk.client_for(&["orders:GetOrder"], None, None).await.record_sales(requests()).await.unwrap_err();
    assert_eq!(reason(&status), "SCOPE_MISSING");
    for (channel, partner) in [(Some("WEB"), None), (None, Some("D-1"))] {
        let mut client = desk.client_for(&["*"], channel, partner).await;
        assert_eq!(record(&mut client, vec![sold.clone()]).await[0].reason, "OUT_OF_SCOPE");
    }
    assert_eq!(desk.rows().await, 0);
    let mut till = desk.client_for(&["orders:RecordSales"], Some("STORE"), None).await;
    assert_eq!(record(&mut till, vec![sold]).await[0].outcome(), pb::TicketOutcome::Recorded);
}
