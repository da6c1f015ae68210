//! More than can be done, and callers who do not wait: what is refused is refused at once and leaves no trace, and what
//! was taken on is done, whether or not anybody hears of it.

use std::time::Duration;

use futures::future::join_all;
use oneshelf_inventory::config::Config;
use oneshelf_proto::inventory::v1 as pb;
use oneshelf_testkit::wait_for;
use tonic::{Code, Request};
use tonic_types::StatusExt as _;

use crate::support::Shelf;

const SOON: Duration = Duration::from_secs(20);

/// Holds the row of A so that nobody gets any further.
async fn stopped(shelf: &Shelf) -> sqlx::Transaction<'static, sqlx::Postgres> {
    let mut tx = shelf.db.pool().begin().await.unwrap();
    sqlx::query("SELECT FROM inventory.stock_levels WHERE sku = 'A' FOR UPDATE").execute(&mut *tx).await.unwrap();
    tx
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn above_the_queue_callers_are_refused_at_once_and_may_come_again() {
    let mut shelf = Shelf::open_with(|config| Config { queue: 8, max_group: 4, writers: 1, ..config }).await;
    shelf.receive("WH", &[("A", 1_000)]).await;
    let stop = stopped(&shelf).await;
    let requests: Vec<_> = (0..200).map(|_| shelf.hold(&[("A", 1)])).collect();
    let began = std::time::Instant::now();
    let asked: Vec<_> = requests
        .iter()
        .map(|request| {
            let (mut client, request) = (shelf.client.clone(), request.clone());
            tokio::spawn(async move {
                let outcome = client.hold_stock(request).await;
                (outcome, std::time::Instant::now())
            })
        })
        .collect();
    // At most one group at work and a full queue can be left; all others have their answer although nothing moves.
    wait_for("refusals", SOON, async || {
        (asked.iter().filter(|one| one.is_finished()).count() >= 200 - 4 - 8).then_some(())
    })
    .await;
    stop.rollback().await.unwrap();
    let mut granted = 0;
    let mut again = Vec::new();
    for (outcome, request) in join_all(asked).await.into_iter().zip(requests) {
        let (outcome, at) = outcome.unwrap();
        match outcome {
            Ok(_) => granted += 1,
            Err(status) => {
                assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
                assert!(status.get_details_retry_info().is_some(), "it says when to come again: {status:?}");
                assert!(at - began < SOON);
                again.push(request);
            }
        }
    }
    assert!((1..=12).contains(&granted), "{granted} were granted");
    assert_eq!(shelf.level("A").await, (1_000, granted, 1_000 - granted), "the refused took nothing");
    for request in again {
        shelf.client.hold_stock(request).await.unwrap();
    }
    assert_eq!(shelf.level("A").await, (1_000, 200, 800));
    shelf.verify().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_deadline_the_request_is_done_and_its_answer_is_kept() {
    let mut shelf = Shelf::stocked().await;
    let stop = stopped(&shelf).await;
    let asked = shelf.hold(&[("A", 3)]);
    let mut request = Request::new(asked.clone());
    request.set_timeout(Duration::from_millis(200));
    let status = shelf.client.hold_stock(request).await.unwrap_err();
    assert!([Code::DeadlineExceeded, Code::Cancelled].contains(&status.code()), "{status:?}");
    stop.rollback().await.unwrap();
    let get = pb::GetHoldRequest { hold_id: asked.request_id.clone() };
    let done = wait_for("the hold that nobody waited for", SOON, async || {
        shelf.client.clone().get_hold(get.clone()).await.ok().map(|answer| answer.into_inner().hold)
    })
    .await;
    assert_eq!(shelf.level("A").await, (10, 3, 7));
    assert_eq!(Some(shelf.held(asked).await), done, "the answer, late");
    assert_eq!(shelf.level("A").await, (10, 3, 7), "and once");

    // The same of a commit: what is taken is taken once.
    let hold_id = done.unwrap().hold_id;
    let commit = pb::CommitHoldRequest { request_id: shelf.id(), hold_id, ..Default::default() };
    let stop = stopped(&shelf).await;
    let mut request = Request::new(commit.clone());
    request.set_timeout(Duration::from_millis(200));
    shelf.client.commit_hold(request).await.unwrap_err();
    stop.rollback().await.unwrap();
    let answer = shelf.client.commit_hold(commit.clone()).await.unwrap().into_inner();
    assert_eq!(answer, shelf.client.commit_hold(commit).await.unwrap().into_inner());
    assert_eq!(shelf.level("A").await, (7, 0, 7));
    shelf.verify().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_are_cancelled_anywhere_end_whole_or_not_at_all() {
    let mut shelf = Shelf::open().await;
    shelf.receive("WH", &[("A", 500), ("B", 500)]).await;
    let requests: Vec<_> = (0..120).map(|_| shelf.hold(&[("A", 1), ("B", 2)])).collect();
    let gone: Vec<_> = requests
        .iter()
        .enumerate()
        .map(|(number, request)| {
            let (mut client, request) = (shelf.client.clone(), request.clone());
            // Dropped by the client, at instants from before it is sent until after it is answered.
            let patience = Duration::from_micros(250 * number as u64);
            async move { tokio::time::timeout(patience, client.hold_stock(request)).await.is_err() }
        })
        .collect();
    let cancelled = join_all(gone).await.into_iter().filter(|gone| *gone).count();
    assert!(cancelled > 0, "nobody went away");
    let answers = join_all(requests.iter().map(|request| {
        let (mut client, request) = (shelf.client.clone(), request.clone());
        async move { client.hold_stock(request).await.unwrap().into_inner() }
    }))
    .await;
    assert_eq!(answers.len(), 120);
    assert_eq!((shelf.level("A").await, shelf.level("B").await), ((500, 120, 380), (500, 240, 260)));
    shelf.verify().await;
}
