//! Many callers at once on one account.

use std::sync::Arc;

use futures::future::join_all;
use oneshelf_proto::partners::v1 as pb;
use tonic::Code;

use crate::support::{Fixture, hold_request};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_holders_of_the_last_credit_exactly_those_that_fit_get_it() {
    let fixture = Arc::new(Fixture::with_partner(1_000).await);
    let holders = (0..64).map(|_| {
        let fixture = Arc::clone(&fixture);
        tokio::spawn(async move { fixture.hold("D-1", 100).await })
    });
    let outcomes = join_all(holders).await;
    let granted = outcomes.iter().filter(|outcome| outcome.as_ref().unwrap().is_ok()).count();
    assert_eq!(granted, 10);
    assert_eq!(fixture.credit("D-1").await, (0, 1_000, 0));
    fixture.assert_books_are_right().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twins_of_one_request_have_one_effect_and_one_answer() {
    let fixture = Arc::new(Fixture::with_partner(10_000).await);
    let (hold_id, capture_id) = (fixture.new_id(), fixture.new_id());
    let twins = (0..16).map(|_| {
        let (mut client, request) = (fixture.client.clone(), hold_request(&hold_id, "D-1", 100));
        tokio::spawn(async move { client.hold_credit(request).await.unwrap().into_inner() })
    });
    let mut answers: Vec<_> = join_all(twins).await.into_iter().map(Result::unwrap).collect();
    answers.dedup();
    assert_eq!(answers.len(), 1);
    let twins = (0..16).map(|_| {
        let mut client = fixture.client.clone();
        let request =
            pb::CaptureCreditRequest { request_id: capture_id.clone(), hold_id: hold_id.clone(), amount: None };
        tokio::spawn(async move { client.capture_credit(request).await.unwrap().into_inner() })
    });
    let mut answers: Vec<_> = join_all(twins).await.into_iter().map(Result::unwrap).collect();
    answers.dedup();
    assert_eq!(answers.len(), 1);
    assert_eq!(fixture.credit("D-1").await, (100, 0, 9_900));
    fixture.assert_books_are_right().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hold_resolves_once_however_many_try() {
    let fixture = Arc::new(Fixture::with_partner(10_000).await);
    let hold = fixture.hold("D-1", 500).await.unwrap();
    let racers = (0..32).map(|n| {
        let (fixture, id) = (Arc::clone(&fixture), hold.hold_id.clone());
        tokio::spawn(async move {
            if n % 2 == 0 { fixture.capture(&id, Some(500)).await } else { fixture.release(&id).await }
        })
    });
    let outcomes: Vec<_> = join_all(racers).await.into_iter().map(Result::unwrap).collect();
    let captured = outcomes.iter().flatten().filter(|hold| hold.state() == pb::CreditHoldState::Captured).count();
    for refused in outcomes.iter().filter_map(|outcome| outcome.as_ref().err()) {
        assert_eq!(refused.code(), Code::FailedPrecondition);
    }
    assert!(captured <= 1);
    let (used, held, _) = fixture.credit("D-1").await;
    assert_eq!((used, held), (500 * captured as i64, 0));
    fixture.assert_books_are_right().await;
}
