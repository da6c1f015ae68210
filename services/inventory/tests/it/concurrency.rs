//! Many buyers at once, on a real server: what is sold is exactly what there is.

use std::time::Duration;

use futures::future::join_all;
use oneshelf_proto::inventory::v1 as pb;
use tonic::Code;

use crate::support::{Shelf, reason};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_buyers_of_the_last_unit_and_one_gets_it() {
    let mut shelf = Shelf::open().await;
    shelf.receive("WH", &[("LAST", 1)]).await;
    let buyers = (0..64).map(|_| {
        let (mut client, request) = (shelf.client.clone(), shelf.hold(&[("LAST", 1)]));
        async move { client.hold_stock(request).await }
    });
    let outcomes = join_all(buyers).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    for refused in outcomes.into_iter().filter_map(Result::err) {
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "INSUFFICIENT_STOCK"));
    }
    shelf.verify().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn opposite_orders_of_the_same_skus_do_not_deadlock_and_sell_exactly_what_there_is() {
    let mut shelf = Shelf::open().await;
    shelf.receive("WH", &[("X", 50), ("Y", 50)]).await;
    let buyers = (0..128).map(|number| {
        let lines = if number % 2 == 0 { [("X", 1), ("Y", 1)] } else { [("Y", 1), ("X", 1)] };
        let (mut client, request) = (shelf.client.clone(), shelf.hold(&lines));
        async move { client.hold_stock(request).await.is_ok() }
    });
    let granted = join_all(buyers).await.into_iter().filter(|granted| *granted).count();
    assert_eq!(granted, 50);
    assert_eq!((shelf.level("X").await, shelf.level("Y").await), ((50, 50, 0), (50, 50, 0)));
    shelf.verify().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_request_fifty_times_at_once_is_one_hold() {
    let mut shelf = Shelf::stocked().await;
    let request = shelf.hold(&[("A", 10)]);
    let twins = (0..50).map(|_| {
        let (mut client, request) = (shelf.client.clone(), request.clone());
        async move { client.hold_stock(request).await.unwrap().into_inner() }
    });
    let answers = join_all(twins).await;
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    assert_eq!(shelf.level("A").await, (10, 10, 0));
    shelf.verify().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn expiry_racing_with_commit_ends_one_way_only() {
    let mut shelf = Shelf::open().await;
    shelf.receive("WH", &[("R", 200)]).await;
    for _ in 0..20 {
        let mut ids = Vec::new();
        for _ in 0..10 {
            ids.push(shelf.held(shelf.soft_hold(&[("R", 1)], 1)).await.hold_id);
        }
        let commits = ids.iter().map(|id| {
            let request = pb::CommitHoldRequest { request_id: shelf.id(), hold_id: id.clone(), ..Default::default() };
            let mut client = shelf.client.clone();
            async move { client.commit_hold(request).await }
        });
        let clock = shelf.clock.clone();
        let (outcomes, ()) = tokio::join!(join_all(commits), async {
            clock.advance(Duration::from_secs(1));
        });
        for outcome in outcomes {
            match outcome {
                Ok(_) => {}
                Err(status) => assert!(["HOLD_EXPIRED", "HOLD_RESOLVED"].contains(&reason(&status).as_str())),
            }
        }
    }
    shelf.verify().await;
}
