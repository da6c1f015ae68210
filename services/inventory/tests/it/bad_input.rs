//! Every field of every request, spoilt in turn; and what only the whole of a request shows.

use oneshelf_proto::{FILE_DESCRIPTOR_SET, inventory::v1 as pb};
use oneshelf_testkit::bad_input::{Good, assert_bad_input_is_refused};
use prost_types::{Duration, Timestamp};
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::{
    channel_changed::register,
    good_documents as good,
    support::{Shelf, fields, reason, stock_lines},
};

#[expect(clippy::unnecessary_wraps, reason = "fields of messages are optional")]
fn yesterday(shelf: &Shelf) -> Option<Timestamp> {
    Some(Timestamp { seconds: shelf.clock.now().timestamp() - 86_400, nanos: 1 })
}

fn wh() -> String {
    "WH".to_owned()
}

fn movements(shelf: &Shelf) -> Vec<Good> {
    let (lines, reference) = (stock_lines(&[("A", 1)]), "note 7".to_owned());
    let (request_id, location_id, effective_time) = (|| shelf.id(), wh, yesterday(shelf));
    vec![
        Good::new(
            "ReceiveStock",
            &pb::ReceiveStockRequest {
                request_id: request_id(),
                location_id: location_id(),
                lines: lines.clone(),
                reference: reference.clone(),
                effective_time,
            },
        )
        .optional(&["reference", "effective_time"])
        .at_most(&[("lines", 2_000)]),
        Good::new(
            "AdjustStock",
            &pb::AdjustStockRequest {
                request_id: request_id(),
                location_id: location_id(),
                lines: vec![pb::AdjustmentLine {
                    sku: "A".to_owned(),
                    delta: 1,
                    bucket: pb::StockBucket::Damaged.into(),
                }],
                reason: pb::AdjustmentReason::Count.into(),
                reference: reference.clone(),
                effective_time,
            },
        )
        .optional(&["lines.bucket", "reference", "effective_time"])
        .signed(&["lines.delta"])
        .at_most(&[("lines", 2_000)]),
        Good::new(
            "ReturnStock",
            &pb::ReturnStockRequest {
                request_id: request_id(),
                location_id: location_id(),
                lines: lines.clone(),
                bucket: pb::StockBucket::Quarantine.into(),
                reference: reference.clone(),
                effective_time,
            },
        )
        .optional(&["bucket", "reference", "effective_time"])
        .at_most(&[("lines", 2_000)]),
        Good::new(
            "RecordSoldStock",
            &pb::RecordSoldStockRequest {
                request_id: request_id(),
                location_id: location_id(),
                lines,
                reference,
                effective_time,
            },
        )
        .optional(&["reference", "effective_time"])
        .at_most(&[("lines", 2_000)]),
    ]
}

async fn holds(shelf: &mut Shelf) -> Vec<Good> {
    let to_commit = shelf.held(shelf.hold(&[("A", 1)])).await.hold_id;
    let to_release = shelf.held(shelf.hold(&[("A", 1)])).await.hold_id;
    let to_extend = shelf.held(shelf.soft_hold(&[("A", 1)], 600)).await.hold_id;
    let cart =
        |shelf: &Shelf| pb::HoldStockRequest { shopper_id: "ann".to_owned(), ..shelf.soft_hold(&[("A", 1)], 600) };
    let to_replace = shelf.held(cart(shelf)).await.hold_id;
    let hold = pb::HoldStockRequest {
        allow_partial: true,
        partner_id: "D-7".to_owned(),
        replaces_hold_id: to_replace,
        channel_id: "WEB".to_owned(),
        reference: "cart 7".to_owned(),
        ..cart(shelf)
    };
    let line = pb::CommitLine { sku: "A".to_owned(), location_id: wh(), quantity: 1 };
    vec![
        Good::new("HoldStock", &hold)
            // Without its shopper it replaces nothing, which is told of that.
            .optional(&["kind", "ttl", "channel_id", "reference", "partner_id", "shopper_id", "replaces_hold_id"])
            .at_most(&[("lines", 2_000)]),
        Good::new(
            "CommitHold",
            &pb::CommitHoldRequest {
                request_id: shelf.id(),
                hold_id: to_commit.clone(),
                lines: vec![line],
                effective_time: yesterday(shelf),
            },
        )
        .optional(&["lines", "lines.quantity", "effective_time"])
        .at_most(&[("lines", 2_000)]),
        Good::new("ReleaseHold", &pb::ReleaseHoldRequest { request_id: shelf.id(), hold_id: to_release }),
        Good::new(
            "ExtendHold",
            &pb::ExtendHoldRequest {
                request_id: shelf.id(),
                hold_id: to_extend,
                ttl: Some(Duration { seconds: 600, nanos: 1 }),
            },
        ),
        Good::new("GetHold", &pb::GetHoldRequest { hold_id: to_commit }),
    ]
}

async fn reads(shelf: &mut Shelf) -> Vec<Good> {
    let movements = pb::ListMovementsRequest { sku: "A".to_owned(), page_size: 1, ..Default::default() };
    let page_of_movements = shelf.client.list_movements(movements.clone()).await.unwrap().into_inner().next_page_token;
    let levels = pb::ListStockLevelsRequest { page_size: 1, ..Default::default() };
    let page_of_levels = shelf.client.list_stock_levels(levels).await.unwrap().into_inner().next_page_token;
    vec![
        Good::new("GetLocation", &pb::GetLocationRequest { location_id: wh() }),
        Good::new(
            "GetAvailability",
            &pb::GetAvailabilityRequest {
                channel_id: "WEB".to_owned(),
                skus: vec!["A".to_owned()],
                partner_id: "D-7".to_owned(),
            },
        )
        .optional(&["partner_id"])
        .at_most(&[("skus", 2_000)]),
        Good::new(
            "ListStockLevels",
            &pb::ListStockLevelsRequest {
                location_id: wh(),
                sku: "A".to_owned(),
                page_size: 1,
                page_token: page_of_levels,
            },
        )
        .optional(&["location_id", "sku"]),
        Good::new(
            "ListMovements",
            &pb::ListMovementsRequest { location_id: wh(), page_token: page_of_movements, ..movements },
        )
        .optional(&["location_id"]),
        Good::new(
            "GetStockAsOf",
            &pb::GetStockAsOfRequest { skus: vec!["A".to_owned()], location_id: wh(), as_of_time: yesterday(shelf) },
        )
        .may_lie_ahead(&["as_of_time"])
        .at_most(&[("skus", 2_000)]),
    ]
}

#[tokio::test]
async fn every_bad_field_is_refused_by_its_name_and_changes_nothing() {
    let mut shelf = Shelf::stocked().await;
    register(&shelf, "WEB", &["WH"], 1).await;
    let mut goods = good::locations(&mut shelf).await;
    goods.extend(movements(&shelf));
    goods.extend(holds(&mut shelf).await);
    goods.extend(reads(&mut shelf).await);
    goods.extend(good::transfers(&mut shelf).await);
    goods.extend(good::counts(&mut shelf).await);
    goods.extend(good::inbounds(&mut shelf).await);
    goods.extend(good::promises(&mut shelf).await);
    goods.extend(good::policies(&mut shelf).await);
    goods.extend(good::bulk(&shelf));
    goods.extend(good::ledger(&mut shelf).await);
    goods.extend(good::figures());
    let (server, pool) = (&shelf.server, shelf.db.pool());
    let service = "oneshelf.inventory.v1.InventoryService";
    assert_bad_input_is_refused(server, pool, FILE_DESCRIPTOR_SET, service, goods).await;
    shelf.verify().await;
}

/// Clients bound what an error may carry: it must arrive also where every line of the largest request is short.
#[tokio::test]
async fn two_thousand_short_lines_are_counted_and_the_first_are_named() {
    let mut shelf = Shelf::stocked().await;
    let before = shelf.rows().await;
    let codes: Vec<String> = (0..2_000).map(|n| format!("{n:064}")).collect();
    let lines: Vec<(&str, i64)> = codes.iter().map(|code| (code.as_str(), 1)).collect();
    let status = shelf.client.hold_stock(shelf.hold(&lines)).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::FailedPrecondition, "INSUFFICIENT_STOCK"));
    assert_eq!(status.get_details_error_info().unwrap().metadata["short_lines"], "2000");
    let named = status.get_details_precondition_failure().unwrap().violations;
    assert_eq!((named.len(), named[31].subject.as_str()), (32, "lines[31]"));
    assert_eq!(shelf.rows().await, before);
}

#[tokio::test]
async fn lines_of_the_same_sku_are_judged_by_their_sum() {
    let mut shelf = Shelf::stocked().await;
    let status = shelf.client.hold_stock(shelf.hold(&[("A", 6), ("a", 5)])).await.unwrap_err();
    assert_eq!(status.get_details_precondition_failure().unwrap().violations[0].subject, "lines[1]");
    let hold = shelf.held(shelf.hold(&[("A", 6), ("a", 4)])).await;
    let take = |quantity| pb::CommitLine { sku: "A".to_owned(), location_id: wh(), quantity };
    let commit = |lines| pb::CommitHoldRequest {
        request_id: shelf.id(),
        hold_id: hold.hold_id.clone(),
        lines,
        effective_time: None,
    };
    let (too_many, all) = (commit(vec![take(7), take(4)]), commit(vec![take(7), take(3)]));
    let status = shelf.client.commit_hold(too_many).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::FailedPrecondition, "COMMIT_EXCEEDS_HOLD"));
    assert_eq!(shelf.level("A").await, (10, 10, 0), "the refused commit took nothing");
    shelf.client.commit_hold(all).await.unwrap();
    assert_eq!(shelf.level("A").await, (0, 0, 0));
    shelf.verify().await;
}

/// A till's clock may be a day ahead, and orders hands its time on.
#[tokio::test]
async fn an_effective_time_lies_at_most_two_days_ahead() {
    let mut shelf = Shelf::open().await;
    let in_days = |days: i64| Some(Timestamp { seconds: shelf.clock.now().timestamp() + days * 86_400, nanos: 0 });
    let receipt = |effective_time| pb::ReceiveStockRequest { effective_time, ..shelf.receipt("WH", &[("A", 1)]) };
    let (soon, late) = (receipt(in_days(2)), receipt(in_days(3)));
    shelf.client.receive_stock(soon).await.unwrap();
    assert_eq!(fields(&shelf.client.receive_stock(late).await.unwrap_err()), ["effective_time"]);
    assert_eq!(shelf.level("A").await.0, 1);
}
