//! The queue `loyalty.sales`.

use oneshelf_kit::outbox::OutboxEvent;
use oneshelf_testkit::wait_for;
use tonic::Code;

use crate::support::{Fixture, WITHIN};

#[tokio::test]
async fn shipped_and_recorded_goods_earn_and_returned_ones_take_back() {
    let fixture = Fixture::start().await;
    fixture.enrol(&["M-1"]).await;
    fixture
        .deliver(vec![
            fixture.shipped(fixture.new_id(), 3, "M-1", "GBP", &[1_050, 1_050]),
            fixture.recorded(fixture.new_id(), "M-1", &[999]),
            fixture.returned(fixture.new_id(), "M-1", &[599]),
        ])
        .await;
    let member = fixture.member("M-1").await.unwrap();
    assert_eq!((member.balance, member.earned), (21 + 9 - 5, 21 + 9));
    fixture.assert_books_are_right().await;
}

#[tokio::test]
async fn each_line_earns_once_whatever_is_delivered_again_and_in_any_order() {
    let fixture = Fixture::start().await;
    fixture.enrol(&["M-1", "M-2"]).await;
    let order = fixture.new_id();
    let mut events: Vec<OutboxEvent> = vec![
        fixture.shipped(order, 2, "M-1", "GBP", &[1_260]),
        fixture.shipped(order, 3, "M-1", "GBP", &[750]),
        fixture.recorded(fixture.new_id(), "M-2", &[2_050]),
        fixture.returned(fixture.new_id(), "M-1", &[1_260]),
    ];
    fixture.deliver(events.clone()).await;
    events.reverse();
    fixture.deliver(events.clone()).await;
    // Not even under new event ids, as after an inbox was pruned.
    for event in &mut events {
        event.event_id = fixture.new_id();
    }
    fixture.deliver(events).await;

    assert_eq!(fixture.balance("M-1").await, 20 - 12);
    assert_eq!(fixture.member("M-1").await.unwrap().earned, 20);
    assert_eq!(fixture.balance("M-2").await, 20);
    let mut points: Vec<i64> = fixture.entries("M-1").await.iter().map(|entry| entry.points).collect();
    points.sort_unstable();
    assert_eq!(points, [-12, 8, 12]);
    fixture.assert_books_are_right().await;
}

#[tokio::test]
async fn a_return_that_overtakes_its_sale_leaves_the_balance_right() {
    let fixture = Fixture::start().await;
    fixture.enrol(&["M-1"]).await;
    fixture.deliver(vec![fixture.returned(fixture.new_id(), "M-1", &[500])]).await;
    let member = fixture.member("M-1").await.unwrap();
    assert_eq!((member.balance, member.earned), (-5, 0));
    fixture.deliver(vec![fixture.recorded(fixture.new_id(), "M-1", &[500])]).await;
    assert_eq!(fixture.balance("M-1").await, 0);
}

#[tokio::test]
async fn a_member_named_by_a_sale_before_enrolment_is_adopted_with_its_points() {
    let fixture = Fixture::start().await;
    fixture.deliver(vec![fixture.recorded(fixture.new_id(), "LATE", &[1_500])]).await;
    assert_eq!(fixture.member("LATE").await.unwrap_err().code(), Code::NotFound);
    let adopted = fixture.enrol(&["NEW", "LATE"]).await;
    assert_eq!((adopted[1].balance, adopted[1].earned), (15, 15));
    assert_eq!(fixture.balance("LATE").await, 15);
    assert_eq!(fixture.entries("LATE").await.len(), 1);
}

#[tokio::test]
async fn the_currency_decides_how_much_a_point_is() {
    let fixture = Fixture::start().await;
    fixture.enrol(&["YEN", "DINAR"]).await;
    fixture
        .deliver(vec![
            fixture.shipped(fixture.new_id(), 1, "YEN", "JPY", &[12]),
            fixture.shipped(fixture.new_id(), 1, "DINAR", "KWD", &[12_999]),
        ])
        .await;
    assert_eq!((fixture.balance("YEN").await, fixture.balance("DINAR").await), (12, 12));
    fixture.assert_books_are_right().await;
}

#[tokio::test]
async fn goods_without_a_member_and_free_goods_earn_nothing() {
    let fixture = Fixture::start().await;
    fixture.enrol(&["M-1"]).await;
    fixture
        .deliver(vec![
            fixture.recorded(fixture.new_id(), "", &[500]),
            fixture.recorded(fixture.new_id(), "M-1", &[0]),
            fixture.recorded(fixture.new_id(), "M-1", &[]),
        ])
        .await;
    assert_eq!(fixture.balance("M-1").await, 0);
    assert!(fixture.entries("M-1").await.is_empty());
    fixture.assert_books_are_right().await;
}

#[tokio::test]
async fn an_event_that_contradicts_its_document_is_set_aside_and_its_neighbours_are_counted() {
    let fixture = Fixture::start().await;
    fixture.enrol(&["M-1", "M-2"]).await;
    let order = fixture.new_id();
    fixture.deliver(vec![fixture.shipped(order, 1, "M-1", "GBP", &[500])]).await;
    fixture
        .deliver(vec![
            fixture.recorded(fixture.new_id(), "M-1", &[300]),
            fixture.shipped(order, 2, "M-2", "GBP", &[500]),
            fixture.shipped(order, 3, "M-1", "EUR", &[500]),
            fixture.recorded(fixture.new_id(), "no code", &[500]),
            fixture.recorded(fixture.new_id(), "M-2", &[400]),
        ])
        .await;
    assert_eq!((fixture.balance("M-1").await, fixture.balance("M-2").await), (8, 4));
    wait_for("the others to be parked", WITHIN, async || (fixture.parked().await == 3).then_some(())).await;
    fixture.assert_books_are_right().await;
}
