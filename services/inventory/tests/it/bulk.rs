use futures::{StreamExt, future::join_all};
use oneshelf_proto::inventory::v1::{self as pb, RowOutcome, RowRefusal, import_stock_request::Chunk};
use tonic::Code;

use crate::support::{Shelf, fields, reason};

fn row(sku: &str, location: &str, quantity: i64) -> pb::SetStockRow {
    pb::SetStockRow { sku: sku.to_owned(), location_id: location.to_owned(), quantity, ..Default::default() }
}

fn set(shelf: &Shelf, rows: Vec<pb::SetStockRow>) -> pb::SetStockRequest {
    pb::SetStockRequest { request_id: shelf.id(), rows, ..Default::default() }
}

fn adjust(shelf: &Shelf, rows: &[(&str, &str, i64)]) -> pb::BatchAdjustStockRequest {
    let rows = rows.iter().map(|(sku, location, delta)| pb::AdjustStockRow {
        sku: (*sku).to_owned(),
        location_id: (*location).to_owned(),
        delta: *delta,
        bucket: 0,
    });
    pb::BatchAdjustStockRequest {
        request_id: shelf.id(),
        rows: rows.collect(),
        reason_code: "adjust_lost".to_owned(),
        ..Default::default()
    }
}

fn outcomes(results: &[pb::RowResult]) -> Vec<(RowOutcome, i64)> {
    results.iter().map(|result| (result.outcome(), result.quantity)).collect()
}

#[tokio::test]
async fn set_stock_takes_each_row_by_itself_and_says_what_is_there() {
    let mut shelf = Shelf::stocked().await;
    let version = 1;
    let request = set(
        &shelf,
        vec![
            row("A", "WH", 7),
            row("B", "WH", 5),
            pb::SetStockRow { expected_quantity: Some(4), ..row("B", "WH", 9) },
            pb::SetStockRow { expected_version: Some(version), ..row("B", "WH", 9) },
            pb::SetStockRow { expected_version: Some(version), ..row("B", "WH", 3) },
            pb::SetStockRow { bucket: pb::StockBucket::Damaged.into(), ..row("a", "shop", 2) },
            row("A", "NOWHERE", 1),
            row("", "WH", 1),
            row("A", "", 1),
            row("A", "WH", -1),
            row("A", "WH", i64::MAX),
            pb::SetStockRow { bucket: 9, ..row("A", "WH", 1) },
            pb::SetStockRow { expected_quantity: Some(0), expected_version: Some(0), ..row("NEW", "WH", 4) },
        ],
    );
    let answer = shelf.client.set_stock(request.clone()).await.unwrap().into_inner();
    assert_eq!(
        outcomes(&answer.results),
        [
            (RowOutcome::Applied, 7),
            (RowOutcome::Unchanged, 5),
            (RowOutcome::Conflict, 5),
            (RowOutcome::Applied, 9),
            (RowOutcome::Conflict, 9),
            (RowOutcome::Applied, 2),
            (RowOutcome::Refused, 0),
            (RowOutcome::Refused, 0),
            (RowOutcome::Refused, 0),
            (RowOutcome::Refused, 0),
            (RowOutcome::Refused, 0),
            (RowOutcome::Refused, 0),
            (RowOutcome::Applied, 4),
        ]
    );
    let refusals: Vec<RowRefusal> = answer.results[6..12].iter().map(pb::RowResult::refusal).collect();
    assert_eq!(
        refusals,
        [
            RowRefusal::LocationNotFound,
            RowRefusal::BadSku,
            RowRefusal::BadLocationId,
            RowRefusal::BadQuantity,
            RowRefusal::BadQuantity,
            RowRefusal::BadBucket,
        ]
    );
    assert_eq!((answer.results[0].version, answer.results[1].version), (2, 2), "one version for all rows of a level");
    assert_eq!((shelf.level("A").await, shelf.level("B").await), ((7, 0, 7), (9, 0, 9)));
    assert_eq!(shelf.client.set_stock(request.clone()).await.unwrap().into_inner(), answer, "again the same answer");
    let other = pb::SetStockRequest { reference: "other".to_owned(), ..request };
    let reused = shelf.client.set_stock(other).await.unwrap_err();
    assert_eq!((reused.code(), reason(&reused).as_str()), (Code::InvalidArgument, "REQUEST_ID_REUSED"));

    let movements = pb::ListMovementsRequest { sku: "A".to_owned(), ..Default::default() };
    let movements = shelf.client.list_movements(movements).await.unwrap().into_inner().movements;
    let told: Vec<(&str, &str, i64, &str)> = movements
        .iter()
        .map(|moved| (moved.source.as_str(), moved.target.as_str(), moved.quantity, moved.reason.as_str()))
        .collect();
    assert!(told.contains(&("WH/sellable", "loss", 3, "adjust_count")), "{told:?}");
    assert!(told.contains(&("found", "SHOP/damaged", 2, "adjust_count")), "{told:?}");
    shelf.verify().await;
}

#[tokio::test]
async fn set_stock_below_what_is_promised_is_taken_and_reported_as_oversold() {
    let mut shelf = Shelf::stocked().await;
    shelf.held(shelf.hold(&[("A", 8)])).await;
    let request = set(&shelf, vec![row("A", "WH", 3)]);
    let answer = shelf.client.set_stock(request).await.unwrap().into_inner();
    assert_eq!(outcomes(&answer.results), [(RowOutcome::Applied, 3)]);
    let list = pb::ListStockLevelsRequest { sku: "A".to_owned(), ..Default::default() };
    let level = shelf.client.list_stock_levels(list).await.unwrap().into_inner().levels.remove(0);
    assert_eq!((level.available, level.oversold, level.hard_held), (0, 5, 8));
    shelf.verify().await;
}

#[tokio::test]
async fn set_stock_in_a_dry_run_says_the_same_and_changes_nothing() {
    let mut shelf = Shelf::stocked().await;
    let before = shelf.rows().await;
    let rows = vec![row("A", "WH", 7), row("NEW", "WH", 2), row("A", "NOWHERE", 1), row("A", "WH", 7)];
    let dry = pb::SetStockRequest { dry_run: true, ..set(&shelf, rows.clone()) };
    let foreseen = shelf.client.set_stock(dry.clone()).await.unwrap().into_inner();
    assert_eq!(shelf.rows().await, before);
    // The id was not used up.
    let wet = pb::SetStockRequest { dry_run: false, ..dry };
    assert_eq!(shelf.client.set_stock(wet).await.unwrap().into_inner(), foreseen);
    shelf.verify().await;
}

#[tokio::test]
async fn set_stock_refuses_what_is_wrong_with_the_whole_request() {
    let mut shelf = Shelf::stocked().await;
    let before = shelf.rows().await;
    let good = set(&shelf, vec![row("A", "WH", 7)]);
    for (request, expected) in [
        (pb::SetStockRequest::default(), vec!["request_id", "rows"]),
        (pb::SetStockRequest { rows: vec![row("A", "WH", 1); 5_001], ..good.clone() }, vec!["rows"]),
        (pb::SetStockRequest { reason_code: "Because".to_owned(), ..good.clone() }, vec!["reason_code"]),
        (pb::SetStockRequest { reference: "x".repeat(101), ..good.clone() }, vec!["reference"]),
    ] {
        assert_eq!(fields(&shelf.client.set_stock(request).await.unwrap_err()), expected);
    }
    // A verb's own reason is not for callers, an unknown one for nobody.
    for code in ["sale", "because"] {
        let request = pb::SetStockRequest { reason_code: code.to_owned(), ..good.clone() };
        let refused = shelf.client.set_stock(request).await.unwrap_err();
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::NotFound, "REASON_CODE_NOT_FOUND"));
    }
    let late = Some(prost_types::Timestamp { seconds: 1_700_000_000, nanos: 0 });
    let mut clerk = shelf.client_for(&["inventory:SetStock"], None).await;
    let backdated = pb::SetStockRequest { effective_time: late, ..good };
    assert_eq!(clerk.set_stock(backdated).await.unwrap_err().code(), Code::PermissionDenied);
    assert_eq!(shelf.rows().await, before);
}

#[tokio::test]
async fn batch_adjust_stock_spans_locations_and_refuses_row_by_row() {
    let mut shelf = Shelf::stocked().await;
    let request = adjust(
        &shelf,
        &[("A", "WH", -4), ("A", "WH", -7), ("A", "SHOP", 3), ("A", "SHOP", -4), ("B", "WH", 0), ("B", "WH", i64::MIN)],
    );
    let answer = shelf.client.batch_adjust_stock(request.clone()).await.unwrap().into_inner();
    let told: Vec<(RowOutcome, RowRefusal, i64)> =
        answer.results.iter().map(|result| (result.outcome(), result.refusal(), result.quantity)).collect();
    assert_eq!(
        told,
        [
            (RowOutcome::Applied, RowRefusal::Unspecified, 6),
            (RowOutcome::Refused, RowRefusal::InsufficientStock, 6),
            (RowOutcome::Applied, RowRefusal::Unspecified, 3),
            (RowOutcome::Refused, RowRefusal::InsufficientStock, 3),
            (RowOutcome::Refused, RowRefusal::BadQuantity, 0),
            (RowOutcome::Refused, RowRefusal::BadQuantity, 0),
        ]
    );
    assert_eq!(shelf.client.batch_adjust_stock(request.clone()).await.unwrap().into_inner(), answer);
    assert_eq!(shelf.level("A").await, (6, 0, 6));
    let bad = pb::BatchAdjustStockRequest { reason_code: String::new(), rows: vec![], ..request };
    assert_eq!(fields(&shelf.client.batch_adjust_stock(bad).await.unwrap_err()), ["rows", "reason_code"]);
    shelf.verify().await;
}

#[tokio::test]
async fn import_stock_answers_chunk_by_chunk_and_goes_on_where_it_broke_off() {
    let mut shelf = Shelf::stocked().await;
    let chunks: Vec<pb::ImportStockRequest> = vec![
        pb::ImportStockRequest { chunk: Some(Chunk::Set(set(&shelf, vec![row("A", "WH", 1), row("B", "WH", 2)]))) },
        pb::ImportStockRequest { chunk: Some(Chunk::Adjust(adjust(&shelf, &[("A", "WH", 5)]))) },
        pb::ImportStockRequest { chunk: None },
    ];
    let mut answers = shelf.client.import_stock(futures::stream::iter(chunks.clone())).await.unwrap().into_inner();
    let first = answers.message().await.unwrap().unwrap();
    let second = answers.message().await.unwrap().unwrap();
    assert_eq!(outcomes(&first.results), [(RowOutcome::Applied, 1), (RowOutcome::Applied, 2)]);
    assert_eq!(outcomes(&second.results), [(RowOutcome::Applied, 6)]);
    assert_eq!(fields(&answers.message().await.unwrap_err()), ["chunk"], "a bad chunk ends the stream");
    assert_eq!(shelf.level("A").await.0, 6);

    let again = [chunks[0].clone(), chunks[1].clone()];
    let again = shelf.client.import_stock(futures::stream::iter(again)).await.unwrap().into_inner();
    let again: Vec<pb::ImportStockResponse> = again.map(Result::unwrap).collect().await;
    assert_eq!(again, [first.clone(), second], "nothing is applied twice");
    // A chunk sent alone is the same request.
    let Some(Chunk::Set(alone)) = chunks[0].chunk.clone() else { panic!("a set") };
    assert_eq!(shelf.client.set_stock(alone).await.unwrap().into_inner().results, first.results);
    assert_eq!(shelf.level("A").await.0, 6);
    shelf.verify().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bulk_changes_beside_holds_and_receipts_lose_nothing_and_do_not_deadlock() {
    let mut shelf = Shelf::open().await;
    let skus: Vec<String> = (0..40).map(|number| format!("S{number:02}")).collect();
    let lines: Vec<(&str, i64)> = skus.iter().map(|sku| (sku.as_str(), 20)).collect();
    shelf.receive("WH", &lines).await;
    let work = (0..48).map(|number: usize| {
        let mut client = shelf.client.clone();
        // Each in another order, with levels that are only now made.
        let mut names: Vec<&str> = skus.iter().map(String::as_str).collect();
        names.rotate_left(number * 7 % 40);
        let fresh = format!("FRESH-{}", number % 6);
        names.push(&fresh);
        let adjust_rows: Vec<(&str, &str, i64)> = names.iter().map(|sku| (*sku, "WH", 1)).collect();
        let adjustment = adjust(&shelf, &adjust_rows);
        let hold = shelf.hold(&[(names[0], 1), (names[5], 1)]);
        let fresh_receipt = shelf.receipt("WH", &[(names[40], 1), (names[3], 1), (names[1], 1)]);
        async move {
            match number % 3 {
                0 => {
                    let answer = client.batch_adjust_stock(adjustment).await.unwrap().into_inner();
                    assert!(answer.results.iter().all(|result| result.outcome() == RowOutcome::Applied));
                }
                1 => drop(client.hold_stock(hold).await.unwrap()),
                _ => drop(client.receive_stock(fresh_receipt).await.unwrap()),
            }
        }
    });
    join_all(work).await;
    let total: i64 = sqlx::query_scalar("SELECT SUM(sellable)::BIGINT FROM inventory.stock_levels")
        .fetch_one(shelf.db.pool())
        .await
        .unwrap();
    assert_eq!(total, 40 * 20 + 16 * 41 + 16 * 3, "every adjustment and every receipt counts once");
    shelf.verify().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_chunk_many_times_at_once_counts_once() {
    let mut shelf = Shelf::stocked().await;
    let request = adjust(&shelf, &[("A", "WH", 5), ("B", "WH", 5)]);
    let twins = (0..20).map(|_| {
        let (mut client, request) = (shelf.client.clone(), request.clone());
        async move { client.batch_adjust_stock(request).await.unwrap().into_inner() }
    });
    let answers = join_all(twins).await;
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    assert_eq!((shelf.level("A").await.0, shelf.level("B").await.0), (15, 10));
    shelf.verify().await;
}
