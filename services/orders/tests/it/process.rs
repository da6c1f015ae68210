//! An order's steps survive what happens between them.

use std::time::Duration;

use oneshelf_proto::orders::v1 as pb;
use sqlx::AssertSqlSafe;
use tonic::Code;

use crate::support::{Desk, reason};

async fn run(desk: &Desk, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(desk.db.pool()).await.unwrap();
}

/// Puts a process back to `step`, as if its driver had died right after the remote said yes.
async fn forget(desk: &Desk, order_id: &str, verb: &str, step: &str) {
    run(
        desk,
        &format!(
            "DELETE FROM orders.processes;
             INSERT INTO orders.processes (process_id, verb, step, due_at, attempts, created_at)
             VALUES ('{order_id}', '{verb}', '{step}', '-infinity', 0, '2026-11-23T10:00:00Z')"
        ),
    )
    .await;
}

#[tokio::test]
async fn an_order_that_meets_an_absent_remote_is_told_so_and_goes_on_when_asked_again() {
    let mut desk = Desk::open().await;
    desk.road.cut();
    let request = desk.dealer_order(&[("A", 2, 100)]);
    let status = desk.client.place_order(request.clone()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(desk.get(&request.request_id).await.state(), pb::OrderState::Placing);
    desk.road.heal();
    let order = desk.placed(request).await;
    assert_eq!(order.state(), pb::OrderState::Confirmed);
    assert_eq!((desk.level("WH", "A").await, desk.credit().await), ((10, 2), (0, 100)));
    desk.verify().await;
}

#[tokio::test]
async fn an_order_that_meets_an_absent_remote_is_finished_by_the_timer() {
    let mut desk = Desk::open().await;
    let request = desk.dealer_order(&[("A", 2, 100)]);
    let order_id = desk.placed(request).await.order_id;
    desk.road.cut();
    let ship = desk.ship(&order_id, &[(1, 1)]);
    let status = desk.client.ship_order(ship.clone()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(desk.get(&order_id).await.state(), pb::OrderState::Shipping);
    desk.road.heal();
    desk.clock.advance(Duration::from_secs(60));
    let order = desk.reaches(&order_id, pb::OrderState::Shipped).await;
    assert_eq!((order.lines[0].shipped, order.lines[0].cancelled), (1, 1));
    assert_eq!(desk.client.ship_order(ship).await.unwrap().into_inner().order.unwrap(), order);
    assert_eq!((desk.level("WH", "A").await, desk.credit().await), ((9, 0), (50, 0)));
    desk.verify().await;
}

#[tokio::test]
async fn a_step_that_was_taken_and_forgotten_is_taken_again_without_effect() {
    let mut desk = Desk::open().await;
    let request = desk.dealer_order(&[("A", 2, 100)]);
    let placed = desk.placed(request).await;
    let id = placed.order_id.clone();
    for step in ["hold_credit", "hold_stock", "confirm"] {
        run(&desk, "UPDATE orders.orders SET state = 'placing', version = 1").await;
        run(&desk, "UPDATE orders.order_lines SET unallocated = ordered, allocated = 0").await;
        forget(&desk, &id, "place", step).await;
        assert_eq!(desk.reaches(&id, pb::OrderState::Confirmed).await, placed, "{step}");
        assert_eq!((desk.level("WH", "A").await, desk.credit().await), ((10, 2), (0, 100)), "{step}");
        desk.verify().await;
    }
    let shipped = desk.ship_all(&id).await;
    for step in ["commit_hold", "capture_credit", "mark_shipped"] {
        run(&desk, "UPDATE orders.orders SET state = 'shipping', version = 3").await;
        run(&desk, "UPDATE orders.order_lines SET allocated = ordered, shipping = ordered, shipped = 0").await;
        forget(&desk, &id, "ship", step).await;
        assert_eq!(desk.reaches(&id, pb::OrderState::Shipped).await, shipped, "{step}");
        assert_eq!((desk.level("WH", "A").await, desk.credit().await), ((8, 0), (100, 0)), "{step}");
        desk.verify().await;
    }
}

#[tokio::test]
async fn a_refusal_that_was_being_undone_is_undone_to_its_end() {
    let mut desk = Desk::open().await;
    let request = desk.dealer_order(&[("B", 6, 600)]);
    let first = desk.client.place_order(request.clone()).await.unwrap_err();
    for step in ["hold_stock", "release_credit", "refuse"] {
        run(&desk, "UPDATE orders.orders SET state = 'placing', version = 1").await;
        run(&desk, "UPDATE orders.order_lines SET unallocated = ordered, cancelled = 0").await;
        forget(&desk, &request.request_id, "place", step).await;
        desk.reaches(&request.request_id, pb::OrderState::Refused).await;
        let again = desk.client.place_order(request.clone()).await.unwrap_err();
        assert_eq!((again.message(), reason(&again)), (first.message(), reason(&first)), "{step}");
        assert_eq!((desk.level("WH", "B").await, desk.credit().await), ((5, 0), (0, 0)), "{step}");
        desk.verify().await;
    }
}

#[tokio::test]
async fn twins_of_one_request_get_one_order_and_one_answer() {
    let mut desk = Desk::open().await;
    let request = desk.dealer_order(&[("A", 2, 100)]);
    let twins = (0..8).map(|_| (desk.client.clone(), request.clone()));
    let placing = twins.map(|(mut client, request)| async move { client.place_order(request).await });
    let mut answers = Vec::new();
    for answer in futures::future::join_all(placing).await {
        answers.push(answer.unwrap().into_inner().order.unwrap());
    }
    answers.dedup();
    assert_eq!(answers.len(), 1);
    assert_eq!(desk.events::<pb::OrderPlaced>(&request.request_id, "orders.order.placed.v1").await.len(), 1);
    assert_eq!((desk.level("WH", "A").await, desk.credit().await), ((10, 2), (0, 100)));
    desk.verify().await;
}
