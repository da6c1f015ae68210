use std::time::Duration;

use oneshelf_kit::{outbox, schema::Schema};
use oneshelf_proto::inventory::v1 as pb;
use oneshelf_testkit::wait_for;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::support::{Client, Shelf, fields, reason};

fn commit(shelf: &Shelf, hold_id: &str, lines: &[(&str, i64)]) -> pb::CommitHoldRequest {
    pb::CommitHoldRequest {
        request_id: shelf.id(),
        hold_id: hold_id.to_owned(),
        lines: lines
            .iter()
            .map(|(sku, quantity)| pb::CommitLine {
                sku: (*sku).to_owned(),
                location_id: "WH".to_owned(),
                quantity: *quantity,
            })
            .collect(),
        effective_time: None,
    }
}

fn release(shelf: &Shelf, hold_id: &str) -> pb::ReleaseHoldRequest {
    pb::ReleaseHoldRequest { request_id: shelf.id(), hold_id: hold_id.to_owned() }
}

fn extend(shelf: &Shelf, hold_id: &str, seconds: i64) -> pb::ExtendHoldRequest {
    pb::ExtendHoldRequest {
        request_id: shelf.id(),
        hold_id: hold_id.to_owned(),
        ttl: Some(prost_types::Duration { seconds, nanos: 0 }),
    }
}

async fn state(client: &mut Client, hold_id: &str) -> pb::HoldState {
    let request = pb::GetHoldRequest { hold_id: hold_id.to_owned() };
    client.get_hold(request).await.unwrap().into_inner().hold.unwrap().state()
}

fn refused(status: &Status) -> (Code, String) {
    (status.code(), reason(status))
}

#[tokio::test]
async fn hold_stock_promises_all_lines_or_none_and_says_what_is_left() {
    let mut shelf = Shelf::stocked().await;
    let granted = shelf.held(shelf.hold(&[("a", 4), ("B", 5)])).await;
    assert_eq!(granted.state(), pb::HoldState::Held);
    assert_eq!((granted.lines[0].held, granted.lines[0].available), (4, 6));

    let status = shelf.client.hold_stock(shelf.hold(&[("A", 6), ("B", 1), ("NEVER-SEEN", 2)])).await.unwrap_err();
    assert_eq!(refused(&status), (Code::FailedPrecondition, "INSUFFICIENT_STOCK".to_owned()));
    let info = status.get_details_error_info().unwrap();
    assert_eq!((info.metadata["sku"].as_str(), info.metadata["available"].as_str()), ("NEVER-SEEN", "0"));
    let short = status.get_details_precondition_failure().unwrap().violations;
    let subjects: Vec<&str> = short.iter().map(|violation| violation.subject.as_str()).collect();
    assert_eq!(subjects, ["lines[1]", "lines[2]"]);
    assert_eq!(shelf.level("A").await, (10, 4, 6), "the refused hold took nothing");

    let mut partial = shelf.hold(&[("A", 9), ("B", 1)]);
    partial.allow_partial = true;
    let partial = shelf.held(partial).await;
    let held: Vec<i64> = partial.lines.iter().map(|line| line.held).collect();
    assert_eq!(held, [6, 0]);
    shelf.verify().await;
}

#[tokio::test]
async fn hold_stock_answers_again_what_it_answered() {
    let mut shelf = Shelf::stocked().await;
    let request = shelf.soft_hold(&[("A", 10)], 60);
    let first = shelf.held(request.clone()).await;
    shelf.clock.advance(Duration::from_secs(1));
    assert_eq!(shelf.held(request.clone()).await, first);
    shelf.client.extend_hold(extend(&shelf, &first.hold_id, 600)).await.unwrap();
    assert_eq!(shelf.held(request.clone()).await, first, "also after an extension");
    shelf.client.commit_hold(commit(&shelf, &first.hold_id, &[])).await.unwrap();
    assert_eq!(shelf.held(request.clone()).await, first, "also after the commit");
    assert_eq!(shelf.level("A").await, (0, 0, 0));

    let other = pb::HoldStockRequest { reference: "other".to_owned(), ..request };
    let reused = shelf.client.hold_stock(other).await.unwrap_err();
    assert_eq!(refused(&reused), (Code::InvalidArgument, "REQUEST_ID_REUSED".to_owned()));
    shelf.verify().await;
}

#[tokio::test]
async fn hold_stock_names_every_bad_field_and_changes_nothing() {
    let mut shelf = Shelf::stocked().await;
    let before = shelf.rows().await;
    let good = shelf.hold(&[("A", 1)]);
    let line = |sku: &str, location: &str, quantity| pb::HoldRequestLine {
        sku: sku.to_owned(),
        location_id: location.to_owned(),
        quantity,
    };
    let hour = |seconds, nanos| Some(prost_types::Duration { seconds, nanos });
    let soft = pb::HoldStockRequest { kind: pb::HoldKind::Soft.into(), ..good.clone() };
    let cases: Vec<(pb::HoldStockRequest, Vec<&str>)> = vec![
        (pb::HoldStockRequest::default(), vec!["request_id", "lines"]),
        (pb::HoldStockRequest { lines: vec![], ..good.clone() }, vec!["lines"]),
        (pb::HoldStockRequest { lines: vec![line("A", "WH", 1); 2_001], ..good.clone() }, vec!["lines"]),
        (
            pb::HoldStockRequest {
                lines: vec![
                    line("", "WH", 1),
                    line("A", "", 1),
                    line("A", "WH", 0),
                    line("A", "WH", -1),
                    line("A", "WH", i64::MAX),
                    line(&"x".repeat(65), "a b", 1),
                    line("A\0", "WH", 1),
                ],
                ..good.clone()
            },
            vec![
                "lines[0].sku",
                "lines[1].location_id",
                "lines[2].quantity",
                "lines[3].quantity",
                "lines[4].quantity",
                "lines[5].sku",
                "lines[5].location_id",
                "lines[6].sku",
            ],
        ),
        (pb::HoldStockRequest { kind: 7, ..good.clone() }, vec!["kind"]),
        (pb::HoldStockRequest { ttl: hour(60, 0), ..good.clone() }, vec!["ttl"]),
        (pb::HoldStockRequest { ttl: hour(0, 0), ..soft.clone() }, vec!["ttl"]),
        (pb::HoldStockRequest { ttl: hour(-5, 0), ..soft.clone() }, vec!["ttl"]),
        (pb::HoldStockRequest { ttl: hour(86_401, 0), ..soft.clone() }, vec!["ttl"]),
        (pb::HoldStockRequest { ttl: hour(i64::MAX, -1), ..soft.clone() }, vec!["ttl"]),
        (pb::HoldStockRequest { channel_id: "a b".to_owned(), ..good.clone() }, vec!["channel_id"]),
        (pb::HoldStockRequest { reference: "x".repeat(101), ..good.clone() }, vec!["reference"]),
    ];
    for (request, expected) in cases {
        let status = shelf.client.hold_stock(request).await.unwrap_err();
        assert_eq!(fields(&status), expected);
    }
    assert_eq!(shelf.rows().await, before);
}

#[tokio::test]
async fn hold_stock_of_a_bound_key_stays_in_its_channel() {
    let mut shelf = Shelf::stocked().await;
    let mut web = shelf.client_for(&["inventory:*"], Some("WEB")).await;
    let other = pb::HoldStockRequest { channel_id: "APP".to_owned(), ..shelf.hold(&[("A", 1)]) };
    let status = web.hold_stock(other.clone()).await.unwrap_err();
    assert_eq!(refused(&status), (Code::PermissionDenied, "OUT_OF_SCOPE".to_owned()));
    let own = pb::HoldStockRequest { channel_id: "WEB".to_owned(), ..shelf.hold(&[("A", 1)]) };
    let own = web.hold_stock(own).await.unwrap().into_inner().hold.unwrap();
    assert_eq!(state(&mut web, &own.hold_id).await, pb::HoldState::Held);

    let theirs = shelf.held(other).await;
    let unseen = web.get_hold(pb::GetHoldRequest { hold_id: theirs.hold_id.clone() }).await.unwrap_err();
    assert_eq!(refused(&unseen), (Code::NotFound, "HOLD_NOT_FOUND".to_owned()));
    let unseen = web.release_hold(release(&shelf, &theirs.hold_id)).await.unwrap_err();
    assert_eq!(refused(&unseen), (Code::NotFound, "HOLD_NOT_FOUND".to_owned()));
    assert_eq!(state(&mut shelf.client, &theirs.hold_id).await, pb::HoldState::Held);
}

#[tokio::test]
async fn commit_hold_takes_what_is_named_and_releases_the_rest() {
    let mut shelf = Shelf::stocked().await;
    let hold = shelf.held(shelf.hold(&[("A", 6), ("B", 2)])).await;
    let too_much = shelf.client.commit_hold(commit(&shelf, &hold.hold_id, &[("A", 7)])).await.unwrap_err();
    assert_eq!(refused(&too_much), (Code::FailedPrecondition, "COMMIT_EXCEEDS_HOLD".to_owned()));

    let request = commit(&shelf, &hold.hold_id, &[("A", 4)]);
    let first = shelf.client.commit_hold(request.clone()).await.unwrap().into_inner();
    let lines: Vec<(i64, i64)> =
        first.hold.as_ref().unwrap().lines.iter().map(|line| (line.held, line.committed)).collect();
    assert_eq!(lines, [(6, 4), (2, 0)]);
    assert_eq!(shelf.client.commit_hold(request.clone()).await.unwrap().into_inner(), first, "repeated");
    let reused = pb::CommitHoldRequest { lines: vec![], ..request };
    assert_eq!(refused(&shelf.client.commit_hold(reused).await.unwrap_err()).1, "REQUEST_ID_REUSED");
    assert_eq!((shelf.level("A").await, shelf.level("B").await), ((6, 0, 6), (5, 0, 5)));

    for again in [commit(&shelf, &hold.hold_id, &[]), commit(&shelf, &hold.hold_id, &[("A", 0)])] {
        let status = shelf.client.commit_hold(again).await.unwrap_err();
        assert_eq!(refused(&status), (Code::FailedPrecondition, "HOLD_RESOLVED".to_owned()));
    }
    let unknown = commit(&shelf, &shelf.id(), &[]);
    assert_eq!(refused(&shelf.client.commit_hold(unknown).await.unwrap_err()).1, "HOLD_NOT_FOUND");
    shelf.verify().await;
}

#[tokio::test]
async fn commit_hold_names_every_bad_field() {
    let mut shelf = Shelf::stocked().await;
    let bad =
        pb::CommitHoldRequest { request_id: String::new(), hold_id: "x".to_owned(), ..commit(&shelf, "", &[("A", 1)]) };
    assert_eq!(fields(&shelf.client.commit_hold(bad).await.unwrap_err()), ["request_id", "hold_id"]);
    let bad_lines = commit(&shelf, &shelf.id(), &[("", 1), ("A", -1)]);
    assert_eq!(fields(&shelf.client.commit_hold(bad_lines).await.unwrap_err()), ["lines[0].sku", "lines[1].quantity"]);
}

#[tokio::test]
async fn release_hold_gives_everything_back_once() {
    let mut shelf = Shelf::stocked().await;
    let hold = shelf.held(shelf.hold(&[("A", 6)])).await;
    let request = release(&shelf, &hold.hold_id);
    let first = shelf.client.release_hold(request.clone()).await.unwrap().into_inner();
    assert_eq!(shelf.client.release_hold(request).await.unwrap().into_inner(), first);
    let again = shelf.client.release_hold(release(&shelf, &hold.hold_id)).await.unwrap().into_inner();
    assert_eq!(again.hold.unwrap().state(), pb::HoldState::Released, "it is already so");
    assert_eq!(shelf.level("A").await, (10, 0, 10));
    let late = shelf.client.commit_hold(commit(&shelf, &hold.hold_id, &[])).await.unwrap_err();
    assert_eq!(refused(&late), (Code::FailedPrecondition, "HOLD_RESOLVED".to_owned()));
    let bad = pb::ReleaseHoldRequest::default();
    assert_eq!(fields(&shelf.client.release_hold(bad).await.unwrap_err()), ["request_id", "hold_id"]);
    shelf.verify().await;
}

#[tokio::test]
async fn extend_hold_moves_the_expiry_of_a_live_soft_hold() {
    let mut shelf = Shelf::stocked().await;
    let hold = shelf.held(shelf.soft_hold(&[("A", 6)], 10)).await;
    shelf.clock.advance(Duration::from_secs(9));
    let request = extend(&shelf, &hold.hold_id, 10);
    let first = shelf.client.extend_hold(request.clone()).await.unwrap().into_inner();
    shelf.clock.advance(Duration::from_secs(5));
    assert_eq!(shelf.client.extend_hold(request).await.unwrap().into_inner(), first);
    assert_eq!(state(&mut shelf.client, &hold.hold_id).await, pb::HoldState::Held);
    shelf.clock.advance(Duration::from_secs(5));
    let late = shelf.client.extend_hold(extend(&shelf, &hold.hold_id, 10)).await.unwrap_err();
    assert_eq!(refused(&late), (Code::FailedPrecondition, "HOLD_EXPIRED".to_owned()));

    let hard = shelf.held(shelf.hold(&[("B", 1)])).await;
    let status = shelf.client.extend_hold(extend(&shelf, &hard.hold_id, 10)).await.unwrap_err();
    assert_eq!(refused(&status).1, "HOLD_NOT_EXTENDABLE");
    let bad = pb::ExtendHoldRequest { ttl: None, ..extend(&shelf, &hard.hold_id, 1) };
    assert_eq!(fields(&shelf.client.extend_hold(bad).await.unwrap_err()), ["ttl"]);
}

#[tokio::test]
async fn get_hold_says_expired_before_the_sweeper_and_its_units_are_free() {
    let mut shelf = Shelf::stocked().await;
    let hold = shelf.held(shelf.soft_hold(&[("A", 10)], 10)).await;
    assert!(shelf.client.hold_stock(shelf.hold(&[("A", 1)])).await.is_err());
    shelf.clock.advance(Duration::from_secs(10));
    assert_eq!(state(&mut shelf.client, &hold.hold_id).await, pb::HoldState::Expired);
    // Taken in full at once, whether or not the sweeper has come by.
    shelf.held(shelf.hold(&[("A", 10)])).await;
    let late = shelf.client.commit_hold(commit(&shelf, &hold.hold_id, &[])).await.unwrap_err();
    assert_eq!(refused(&late), (Code::FailedPrecondition, "HOLD_EXPIRED".to_owned()));
    let bad = pb::GetHoldRequest { hold_id: "7".to_owned() };
    assert_eq!(fields(&shelf.client.get_hold(bad).await.unwrap_err()), ["hold_id"]);
    shelf.verify().await;
}

#[tokio::test]
async fn an_expiry_is_recorded_and_announced_once() {
    let mut shelf = Shelf::stocked().await;
    let hold = shelf.held(shelf.soft_hold(&[("A", 3)], 10)).await;
    shelf.clock.advance(Duration::from_secs(11));
    let pool = shelf.db.pool().clone();
    wait_for("the sweeper", Duration::from_secs(10), async || {
        let open: i64 = sqlx::query_scalar("SELECT SUM(soft_held)::BIGINT FROM inventory.stock_levels")
            .fetch_one(&pool)
            .await
            .unwrap();
        (open == 0).then_some(())
    })
    .await;
    let told = outbox::read_all(&pool, Schema::new("inventory")).await.unwrap();
    assert_eq!(told.iter().filter(|told| told.event.aggregate_id == hold.hold_id).count(), 1);
    shelf.verify().await;
}

#[tokio::test]
async fn hold_stock_replaces_a_shoppers_hold_in_one_step() {
    let mut shelf = Shelf::stocked().await;
    let cart = |shelf: &Shelf, quantity, replaces: &str| pb::HoldStockRequest {
        shopper_id: "session-7".to_owned(),
        replaces_hold_id: replaces.to_owned(),
        ..shelf.soft_hold(&[("A", quantity)], 600)
    };
    let first = shelf.held(cart(&shelf, 8, "")).await;
    let request = cart(&shelf, 10, &first.hold_id);
    let second = shelf.held(request.clone()).await;
    assert_eq!((second.shopper_id.as_str(), second.lines[0].held), ("session-7", 10));
    assert_eq!(state(&mut shelf.client, &first.hold_id).await, pb::HoldState::Released);
    assert_eq!(shelf.level("A").await, (10, 10, 0));
    assert_eq!(shelf.held(request).await, second, "the same request is answered the same");

    let short = shelf.client.hold_stock(cart(&shelf, 11, &second.hold_id)).await.unwrap_err();
    assert_eq!(refused(&short).1, "INSUFFICIENT_STOCK");
    assert_eq!(state(&mut shelf.client, &second.hold_id).await, pb::HoldState::Held, "it is as it was");
    let foreign = pb::HoldStockRequest { shopper_id: "session-8".to_owned(), ..cart(&shelf, 1, &second.hold_id) };
    let foreign = shelf.client.hold_stock(foreign).await.unwrap_err();
    assert_eq!(refused(&foreign), (Code::FailedPrecondition, "HOLD_NOT_REPLACEABLE".to_owned()));
    let missing = shelf.client.hold_stock(cart(&shelf, 1, &shelf.id())).await.unwrap_err();
    assert_eq!(refused(&missing), (Code::NotFound, "HOLD_NOT_FOUND".to_owned()));

    // 24 hours in all, whatever is replaced and extended.
    shelf.clock.advance(Duration::from_secs(500));
    let day = pb::HoldStockRequest {
        ttl: Some(prost_types::Duration { seconds: 86_400, nanos: 0 }),
        ..cart(&shelf, 1, &second.hold_id)
    };
    let too_long = shelf.client.hold_stock(day).await.unwrap_err();
    assert_eq!(refused(&too_long), (Code::FailedPrecondition, "HOLD_LIFE_EXCEEDED".to_owned()));
    let too_long = shelf.client.extend_hold(extend(&shelf, &second.hold_id, 86_400)).await.unwrap_err();
    assert_eq!(refused(&too_long).1, "HOLD_LIFE_EXCEEDED");
    shelf.client.extend_hold(extend(&shelf, &second.hold_id, 85_900)).await.unwrap();

    let mut bad = cart(&shelf, 1, "7");
    bad.shopper_id = "a b".to_owned();
    bad.partner_id = "a b".to_owned();
    assert_eq!(
        fields(&shelf.client.hold_stock(bad).await.unwrap_err()),
        ["partner_id", "shopper_id", "replaces_hold_id"]
    );
    let nobody = pb::HoldStockRequest { shopper_id: String::new(), ..cart(&shelf, 1, &second.hold_id) };
    assert_eq!(fields(&shelf.client.hold_stock(nobody).await.unwrap_err()), ["replaces_hold_id"]);
    shelf.verify().await;
}
