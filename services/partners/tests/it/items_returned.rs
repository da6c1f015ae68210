//! The queue `partners.items_returned`.

use oneshelf_testkit::wait_for;

use crate::support::{Fixture, WITHIN};

async fn with_used(used: i64) -> Fixture {
    let fixture = Fixture::with_partner(5_000).await;
    let open = fixture.hold("D-1", used).await.unwrap();
    fixture.capture(&open.hold_id, None).await.unwrap();
    fixture
}

#[tokio::test]
async fn a_return_gives_back_its_refund_less_its_fees_once() {
    let fixture = with_used(1_000).await;
    let return_id = fixture.new_id();
    let event = fixture.returned(&return_id, "D-1", &[300, 250], 50);
    fixture.deliver(vec![event.clone(), event.clone()]).await;
    fixture.deliver(vec![event.clone()]).await;
    // Not even under a new event id, as after the inbox was pruned.
    fixture.deliver(vec![fixture.returned(&return_id, "D-1", &[300, 250], 50)]).await;

    assert_eq!(fixture.credit("D-1").await, (500, 0, 4_500));
    let entries = fixture.entries("D-1").await;
    assert_eq!(entries.len(), 2);
    assert_eq!((entries[0].reason.as_str(), entries[0].reference.as_str()), ("return", return_id.as_str()));
    fixture.assert_books_are_right().await;
}

#[tokio::test]
async fn a_return_that_overtakes_the_capture_leaves_the_account_right() {
    let fixture = Fixture::with_partner(5_000).await;
    let open = fixture.hold("D-1", 1_000).await.unwrap();
    fixture.deliver(vec![fixture.returned(&fixture.new_id(), "D-1", &[400], 0)]).await;
    assert_eq!(fixture.credit("D-1").await, (-400, 1_000, 4_400));
    fixture.capture(&open.hold_id, None).await.unwrap();
    assert_eq!(fixture.credit("D-1").await, (600, 0, 4_400));
    fixture.assert_books_are_right().await;
}

#[tokio::test]
async fn a_return_whose_fees_pass_its_refund_is_a_charge_beyond_the_limit_if_need_be() {
    let fixture = with_used(5_000).await;
    fixture.deliver(vec![fixture.returned(&fixture.new_id(), "D-1", &[100], 150)]).await;
    assert_eq!(fixture.credit("D-1").await, (5_050, 0, 0));
    fixture.assert_books_are_right().await;
}

#[tokio::test]
async fn returns_without_a_partner_and_of_nothing_are_passed_over() {
    let fixture = with_used(1_000).await;
    fixture
        .deliver(vec![
            fixture.returned(&fixture.new_id(), "", &[300], 0),
            fixture.returned(&fixture.new_id(), "D-1", &[50], 50),
        ])
        .await;
    assert_eq!(fixture.credit("D-1").await, (1_000, 0, 4_000));
    assert_eq!(fixture.entries("D-1").await.len(), 1);
}

#[tokio::test]
async fn a_return_that_can_never_be_booked_is_parked_and_its_neighbours_are_booked() {
    let fixture = with_used(1_000).await;
    fixture
        .deliver(vec![
            fixture.returned(&fixture.new_id(), "D-1", &[100], 0),
            fixture.returned(&fixture.new_id(), "D-9", &[100], 0),
            fixture.returned_in("EUR", &fixture.new_id(), "D-1", &[100], 0),
            fixture.returned_in("?", &fixture.new_id(), "D-1", &[100], 0),
            fixture.returned(&fixture.new_id(), "D-1", &[i64::MAX, 1], 0),
            fixture.returned("no uuid", "D-1", &[100], 0),
            fixture.returned(&fixture.new_id(), "D-1", &[200], 0),
        ])
        .await;
    assert_eq!(fixture.credit("D-1").await, (700, 0, 4_300));
    wait_for("the others to be parked", WITHIN, async || (fixture.parked().await == 5).then_some(())).await;
    fixture.assert_books_are_right().await;
}
