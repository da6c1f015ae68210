//! The ledger: accounts and reasons, entries of an earlier time, months and their balances, exports.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures::future::join_all;
use oneshelf_proto::inventory::v1::{self as pb, Account};
use oneshelf_testkit::wait_for;
use prost_types::Timestamp;
use tonic::Code;

use crate::{
    consignments::agreement,
    support::{Shelf, fields, location, reason},
};

const SOON: Duration = Duration::from_secs(20);

fn instant(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

#[expect(clippy::unnecessary_wraps, reason = "fields of messages are optional")]
fn at(time: DateTime<Utc>) -> Option<Timestamp> {
    Some(Timestamp { seconds: time.timestamp(), nanos: time.timestamp_subsec_nanos() as i32 })
}

pub fn line(sku: &str, source: Account, target: Account, quantity: i64) -> pb::MovementLine {
    pb::MovementLine { sku: sku.to_owned(), quantity, source: source.into(), target: target.into(), lots: Vec::new() }
}

pub fn movement(shelf: &Shelf, reason_code: &str, lines: Vec<pb::MovementLine>) -> pb::PostMovementRequest {
    pb::PostMovementRequest {
        request_id: shelf.id(),
        location_id: "WH".to_owned(),
        lines,
        reason_code: reason_code.to_owned(),
        ..Default::default()
    }
}

async fn movements(shelf: &mut Shelf, sku: &str) -> Vec<pb::Movement> {
    let request = pb::ListMovementsRequest { sku: sku.to_owned(), ..Default::default() };
    shelf.client.list_movements(request).await.unwrap().into_inner().movements
}

async fn on_hand(shelf: &mut Shelf, sku: &str, time: DateTime<Utc>) -> i64 {
    let request =
        pb::GetStockAsOfRequest { skus: vec![sku.to_owned()], location_id: "WH".to_owned(), as_of_time: at(time) };
    shelf.client.get_stock_as_of(request).await.unwrap().into_inner().stocks[0].on_hand
}

#[tokio::test]
async fn post_movement_books_between_accounts_once_and_for_good() {
    let mut shelf = Shelf::stocked().await;
    shelf.agree(agreement(&shelf, "D-7", "WH", pb::ConsignmentSide::Theirs)).await;
    let request = pb::PostMovementRequest {
        owner_id: "d-7".to_owned(),
        ..movement(
            &shelf,
            "opening_balance",
            vec![
                line("A", Account::Sellable, Account::Damaged, 2),
                line("A", Account::Production, Account::Sellable, 5),
                line("B", Account::Consignment, Account::Quarantine, 3),
                line("B", Account::Sellable, Account::Supplier, 1),
            ],
        )
    };
    let answer = shelf.client.post_movement(request.clone()).await.unwrap().into_inner();
    let levels: Vec<(&str, i64, i64, i64)> = answer
        .levels
        .iter()
        .map(|level| (level.sku.as_str(), level.sellable, level.damaged, level.quarantine))
        .collect();
    assert_eq!(levels, [("A", 13, 2, 0), ("B", 4, 0, 3)]);
    let entries = movements(&mut shelf, "B").await;
    assert_eq!((entries[1].source.as_str(), entries[1].target.as_str()), ("D-7/consignment", "WH/quarantine"));

    assert_eq!(shelf.client.post_movement(request.clone()).await.unwrap().into_inner(), answer);
    let other = pb::PostMovementRequest { reference: "other".to_owned(), ..request.clone() };
    let reused = shelf.client.post_movement(other).await.unwrap_err();
    assert_eq!((reused.code(), reason(&reused).as_str()), (Code::InvalidArgument, "REQUEST_ID_REUSED"));
    // Answers by request id are forgotten after a week, this one is not.
    sqlx::query("DELETE FROM inventory.idempotency_keys").execute(shelf.db.pool()).await.unwrap();
    assert_eq!(shelf.client.post_movement(request).await.unwrap().into_inner(), answer);
    assert_eq!(movements(&mut shelf, "A").await.len(), 3);
    shelf.verify().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn post_movement_by_twins_at_once_counts_once() {
    let mut shelf = Shelf::stocked().await;
    let request = movement(&shelf, "production_output", vec![line("A", Account::Production, Account::Sellable, 5)]);
    let twins = (0..16).map(|_| {
        let (mut client, request) = (shelf.client.clone(), request.clone());
        async move { client.post_movement(request).await.unwrap().into_inner() }
    });
    let answers = join_all(twins).await;
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    assert_eq!(shelf.level("A").await.0, 15);
    shelf.verify().await;
}

#[tokio::test]
async fn post_movement_names_every_bad_field_and_takes_all_lines_or_none() {
    let mut shelf = Shelf::stocked().await;
    let before = shelf.rows().await;
    let good = movement(&shelf, "adjust_lost", vec![line("A", Account::Sellable, Account::Loss, 1)]);
    let with = |lines: Vec<pb::MovementLine>| pb::PostMovementRequest { lines, ..good.clone() };
    let cases = vec![
        (pb::PostMovementRequest::default(), vec!["request_id", "location_id", "lines", "reason_code"]),
        (
            with(vec![
                line("", Account::Sellable, Account::Loss, 0),
                line("A", Account::Unspecified, Account::Loss, 1),
                line("A", Account::Supplier, Account::Customer, 1),
                line("A", Account::Sellable, Account::Sellable, 1),
            ]),
            vec!["lines[0].sku", "lines[0].quantity", "lines[1].source", "lines[2].target", "lines[3].target"],
        ),
        (with(vec![line("A", Account::Consignment, Account::Sellable, 1)]), vec!["owner_id"]),
        (pb::PostMovementRequest { owner_id: "D-7".to_owned(), ..good.clone() }, vec!["owner_id"]),
        (with(vec![good.lines[0].clone(); 2_001]), vec!["lines"]),
    ];
    for (request, expected) in cases {
        assert_eq!(fields(&shelf.client.post_movement(request).await.unwrap_err()), expected);
    }
    let short =
        with(vec![line("A", Account::Sellable, Account::Loss, 1), line("B", Account::Sellable, Account::Loss, 6)]);
    let refused = shelf.client.post_movement(short).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "INSUFFICIENT_STOCK"));
    let nowhere = pb::PostMovementRequest { location_id: "NOWHERE".to_owned(), ..good.clone() };
    let refused = shelf.client.post_movement(nowhere).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::NotFound, "LOCATION_NOT_FOUND"));
    let unknown = pb::PostMovementRequest { reason_code: "because".to_owned(), ..good.clone() };
    let refused = shelf.client.post_movement(unknown).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::NotFound, "REASON_CODE_NOT_FOUND"));
    assert_eq!(shelf.rows().await, before);
    // A refused id was not used up.
    shelf.client.post_movement(good).await.unwrap();
}

#[tokio::test]
async fn create_reason_code_adds_one_that_movements_may_name_and_list_reason_codes_has_all() {
    let mut shelf = Shelf::stocked().await;
    let create = |shelf: &Shelf, code: &str, title: &str| pb::CreateReasonCodeRequest {
        request_id: shelf.id(),
        reason_code: Some(pb::ReasonCode {
            reason_code: code.to_owned(),
            title: title.to_owned(),
            ..Default::default()
        }),
    };
    let request = create(&shelf, "shrinkage", "Shrinkage");
    let first = shelf.client.create_reason_code(request.clone()).await.unwrap().into_inner();
    assert_eq!(shelf.client.create_reason_code(request).await.unwrap().into_inner(), first);
    for taken in ["shrinkage", "adjust_count"] {
        let request = create(&shelf, taken, "Again");
        let refused = shelf.client.create_reason_code(request).await.unwrap_err();
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::AlreadyExists, "REASON_CODE_EXISTS"));
    }
    let bad = create(&shelf, "No", " ");
    let bad = fields(&shelf.client.create_reason_code(bad).await.unwrap_err());
    assert_eq!(bad, ["reason_code.reason_code", "reason_code.title"]);
    let posted = movement(&shelf, "shrinkage", vec![line("A", Account::Sellable, Account::Loss, 1)]);
    shelf.client.post_movement(posted).await.unwrap();
    assert_eq!(movements(&mut shelf, "A").await[0].reason, "shrinkage");

    let mut all = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = pb::ListReasonCodesRequest { page_size: 5, page_token };
        let page = shelf.client.list_reason_codes(request).await.unwrap().into_inner();
        all.extend(page.reason_codes);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert!(all.is_sorted_by(|a, b| a.reason_code < b.reason_code));
    let find = |code: &str| all.iter().find(|reason| reason.reason_code == code).unwrap();
    assert_eq!((find("shrinkage").built_in, find("shrinkage").assignable), (false, true));
    assert_eq!((find("sale").built_in, find("sale").assignable), (true, false));
    let request = pb::ListReasonCodesRequest { page_size: 1_001, ..Default::default() };
    assert_eq!(fields(&shelf.client.list_reason_codes(request).await.unwrap_err()), ["page_size"]);
    shelf.verify().await;
}

#[tokio::test]
async fn entries_of_an_earlier_time_keep_the_order_in_which_they_were_recorded() {
    let mut shelf = Shelf::open().await;
    let mut recorded = Vec::new();
    for (day, quantity) in [(20, 1), (2, 2), (11, 3)] {
        shelf.clock.advance(Duration::from_secs(60));
        let receipt = pb::ReceiveStockRequest {
            effective_time: at(instant(&format!("2026-11-{day:02}T00:00:00Z"))),
            ..shelf.receipt("WH", &[("A", quantity)])
        };
        shelf.client.receive_stock(receipt).await.unwrap();
        recorded.push(quantity);
    }
    let mut entries = movements(&mut shelf, "A").await;
    let by_effect: Vec<i64> = entries.iter().map(|entry| entry.quantity).collect();
    assert_eq!(by_effect, [1, 3, 2], "listed by when it happened");
    entries.sort_by_key(|entry| entry.sequence);
    assert_eq!(entries.iter().map(|entry| entry.quantity).collect::<Vec<_>>(), recorded);
    assert!(entries.is_sorted_by_key(|entry| entry.record_time.map(|time| (time.seconds, time.nanos))));
}

#[tokio::test]
async fn months_have_partitions_before_they_begin_and_strays_are_caught() {
    let mut shelf = Shelf::lively().await;
    let receive = |shelf: &Shelf, time: &str| pb::ReceiveStockRequest {
        effective_time: at(instant(time)),
        ..shelf.receipt("WH", &[("A", 1)])
    };
    let exists = async |shelf: &Shelf, name: &str| -> bool {
        sqlx::query_scalar("SELECT to_regclass('inventory.' || $1) IS NOT NULL")
            .bind(name)
            .fetch_one(shelf.db.pool())
            .await
            .unwrap()
    };
    wait_for("the months ahead", SOON, async || exists(&shelf, "ledger_entries_2027_02").await.then_some(())).await;
    // Long ago, when no month was made, and now.
    for time in ["2011-03-04T00:00:00Z", "2026-11-23T09:59:59Z"] {
        let request = receive(&shelf, time);
        shelf.client.receive_stock(request).await.unwrap();
    }
    let count = async |shelf: &Shelf, table: &str| -> i64 {
        let statement = sqlx::AssertSqlSafe(format!("SELECT COUNT(*) FROM inventory.{table}"));
        sqlx::query_scalar(statement).fetch_one(shelf.db.pool()).await.unwrap()
    };
    assert_eq!((count(&shelf, "ledger_entries_default").await, count(&shelf, "ledger_entries_2026_11").await), (1, 1));
    // A month later the next one is made.
    shelf.clock.advance(Duration::from_secs(31 * 86_400));
    wait_for("the next month", SOON, async || exists(&shelf, "ledger_entries_2027_03").await.then_some(())).await;
    assert_eq!(on_hand(&mut shelf, "A", instant("2027-03-16T00:00:00Z")).await, 2);
    shelf.verify().await;
}

/// Numbers without a pattern, the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// Until all months that are due are closed.
async fn closed_through(shelf: &Shelf, end: &str) {
    let end = instant(end);
    wait_for("the months are closed", SOON, async || {
        let closed: Option<DateTime<Utc>> = sqlx::query_scalar(
            "SELECT MAX(period_end) FROM inventory.ledger_periods HAVING BOOL_AND(closed_at IS NOT NULL)",
        )
        .fetch_optional(shelf.db.pool())
        .await
        .unwrap()
        .flatten();
        (closed >= Some(end)).then_some(())
    })
    .await;
}

/// So that months are closed anew. In the order in which the service locks, not to be in its way.
async fn forget_balances(shelf: &Shelf) {
    let mut tx = shelf.db.pool().begin().await.unwrap();
    for statement in [
        "DELETE FROM inventory.ledger_periods",
        "SELECT FROM inventory.stock_levels ORDER BY sku, location_id FOR UPDATE",
        "DELETE FROM inventory.ledger_balances",
    ] {
        sqlx::query(statement).execute(&mut *tx).await.unwrap();
    }
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn as_of_equals_replay_at_random_instants_whatever_is_closed_when() {
    let mut shelf = Shelf::lively().await;
    let mut dice = Dice(11);
    let mut model: Vec<(DateTime<Utc>, String, i64)> = Vec::new();
    let begin = instant("2026-07-15T00:00:00Z");
    for round in 0..4 {
        for _ in 0..40 {
            let sku = format!("S{}", dice.roll(4));
            // Now and then exactly where a month ends.
            let time = match dice.roll(10) {
                0 => instant("2026-10-01T00:00:00Z"),
                1 => shelf.clock.now(),
                _ => begin + TimeDelta::seconds(dice.roll(130 * 86_400) as i64),
            };
            let quantity = 1 + dice.roll(9) as i64;
            let held: i64 = model.iter().filter(|(_, of, _)| *of == sku).map(|(.., delta)| delta).sum();
            let delta = if dice.roll(3) == 0 && held >= quantity { -quantity } else { quantity };
            let request = pb::BatchAdjustStockRequest {
                request_id: shelf.id(),
                rows: vec![pb::AdjustStockRow { sku: sku.clone(), location_id: "WH".to_owned(), delta, bucket: 0 }],
                reason_code: "adjust_count".to_owned(),
                effective_time: at(time),
                ..Default::default()
            };
            let answer = shelf.client.batch_adjust_stock(request).await.unwrap().into_inner();
            assert_eq!(answer.results[0].outcome(), pb::RowOutcome::Applied);
            model.push((time, sku, delta));
        }
        // Before the first closing, between two, and after the last.
        match round {
            0 => {
                // Closing began with the first late entry; anew, it begins with the earliest.
                forget_balances(&shelf).await;
                closed_through(&shelf, "2026-11-01T00:00:00Z").await;
            }
            2 => {
                shelf.clock.advance(Duration::from_secs(20 * 86_400));
                closed_through(&shelf, "2026-12-01T00:00:00Z").await;
            }
            _ => {}
        }
    }
    let balances: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM inventory.ledger_balances").fetch_one(shelf.db.pool()).await.unwrap();
    assert!(balances > 10, "{balances} balances are no test of balances");
    for _ in 0..200 {
        let time = match dice.roll(8) {
            0 => instant("2026-10-01T00:00:00Z"),
            1 => instant("2026-09-30T23:59:59.999999Z"),
            2 => shelf.clock.now(),
            _ => begin + TimeDelta::seconds(dice.roll(150 * 86_400) as i64),
        };
        let sku = format!("S{}", dice.roll(4));
        let replayed: i64 = model.iter().filter(|(at, of, _)| *at <= time && *of == sku).map(|(.., delta)| delta).sum();
        assert_eq!(on_hand(&mut shelf, &sku, time).await, replayed, "{sku} at {time}");
    }
    shelf.verify().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn balances_stay_right_while_late_entries_race_with_the_closing() {
    let shelf = Shelf::lively().await;
    let writers = (0..6_u64).map(|writer| {
        let (mut client, clock) = (shelf.client.clone(), shelf.clock.clone());
        tokio::spawn(async move {
            let mut dice = Dice(writer);
            for _ in 0..60 {
                let day = dice.roll(100) as i64;
                let request = pb::BatchAdjustStockRequest {
                    request_id: oneshelf_values::new_id(&clock).to_string(),
                    rows: (0..3)
                        .map(|_| pb::AdjustStockRow {
                            sku: format!("S{}", dice.roll(5)),
                            location_id: "WH".to_owned(),
                            delta: 1,
                            bucket: 0,
                        })
                        .collect(),
                    reason_code: "adjust_count".to_owned(),
                    effective_time: at(instant("2026-08-01T00:00:00Z") + TimeDelta::days(day)),
                    ..Default::default()
                };
                client.batch_adjust_stock(request).await.unwrap();
            }
        })
    });
    let writers: Vec<_> = writers.collect();
    // Closing begins anew again and again: a balance less is never wrong.
    while writers.iter().any(|writer| !writer.is_finished()) {
        forget_balances(&shelf).await;
        tokio::time::sleep(Duration::from_millis(40)).await;
        shelf.verify().await;
    }
    for writer in writers {
        writer.await.unwrap();
    }
    closed_through(&shelf, "2026-11-01T00:00:00Z").await;
    shelf.verify().await;
}

async fn export(shelf: &mut Shelf, request: pb::ExportMovementsRequest) -> (Vec<u8>, i64) {
    let mut parts = shelf.client.export_movements(request).await.unwrap().into_inner();
    let (mut content, mut entries) = (Vec::new(), 0);
    while let Some(part) = parts.message().await.unwrap() {
        content.extend(part.content);
        entries += part.entries;
    }
    (content, entries)
}

#[tokio::test]
async fn export_movements_writes_csv_and_epcis_in_parts_that_can_be_resumed() {
    let mut shelf = Shelf::open().await;
    let rows = (0..2_300).map(|number| pb::SetStockRow {
        sku: format!("S{number:04}"),
        location_id: "WH".to_owned(),
        quantity: number + 1,
        ..Default::default()
    });
    let request = pb::SetStockRequest { request_id: shelf.id(), rows: rows.collect(), ..Default::default() };
    shelf.client.set_stock(request).await.unwrap();
    let request = pb::ReceiveStockRequest {
        effective_time: at(instant("2026-09-01T00:00:00Z")),
        ..shelf.receipt("SHOP", &[("4006381333931", 3)])
    };
    shelf.client.receive_stock(request).await.unwrap();

    let csv = pb::ExportMovementsRequest { format: pb::ExportFormat::Csv.into(), ..Default::default() };
    let (content, entries) = export(&mut shelf, csv.clone()).await;
    assert_eq!(entries, 2_301);
    let text = String::from_utf8(content.clone()).unwrap();
    assert_eq!(text.lines().count(), 2_302);
    assert!(text.lines().nth(1).unwrap().contains("4006381333931,supplier,,sellable,SHOP,,3,receipt,delivery note 7"));

    // Broken off after the first part, and taken up.
    let mut parts = shelf.client.export_movements(csv.clone()).await.unwrap().into_inner();
    let first = parts.message().await.unwrap().unwrap();
    drop(parts);
    let resumed = pb::ExportMovementsRequest { resume_token: first.resume_token, ..csv.clone() };
    let (rest, _) = export(&mut shelf, resumed).await;
    assert_eq!([first.content, rest].concat(), content);

    let narrowed = pb::ExportMovementsRequest {
        location_id: "shop".to_owned(),
        from_time: at(instant("2026-08-31T00:00:00Z")),
        to_time: at(instant("2026-09-02T00:00:00Z")),
        format: pb::ExportFormat::Epcis.into(),
        ..Default::default()
    };
    let (content, entries) = export(&mut shelf, narrowed.clone()).await;
    let document: serde_json::Value = serde_json::from_slice(&content).unwrap();
    let events = document["epcisBody"]["eventList"].as_array().unwrap();
    assert_eq!((entries, events.len()), (1, 1));
    assert_eq!(
        (&events[0]["type"], &events[0]["action"], &events[0]["bizStep"]),
        (&"ObjectEvent".into(), &"OBSERVE".into(), &"receiving".into())
    );
    assert_eq!(events[0]["quantityList"][0]["epcClass"], "https://id.gs1.org/01/04006381333931");
    let nothing = pb::ExportMovementsRequest { sku: "NEVER".to_owned(), ..narrowed.clone() };
    let (content, _) = export(&mut shelf, nothing).await;
    assert!(serde_json::from_slice::<serde_json::Value>(&content).is_ok(), "an empty document is one");

    let bad = pb::ExportMovementsRequest {
        format: 0,
        sku: "\t".to_owned(),
        location_id: "a b".to_owned(),
        from_time: at(DateTime::<Utc>::MIN_UTC),
        resume_token: "gibberish".to_owned(),
        ..Default::default()
    };
    let status = shelf.client.export_movements(bad).await.unwrap_err();
    assert_eq!(fields(&status), ["resume_token", "format", "sku", "location_id", "from_time"]);
    let backwards = pb::ExportMovementsRequest { from_time: narrowed.to_time, to_time: narrowed.from_time, ..narrowed };
    assert_eq!(fields(&shelf.client.export_movements(backwards).await.unwrap_err()), ["to_time"]);
}

#[tokio::test]
async fn export_movements_names_a_location_by_its_gln() {
    let mut shelf = Shelf::open().await;
    let numbered =
        pb::Location { gln: "0614141000012".to_owned(), ..location("CORNER", pb::LocationKind::Store, false) };
    let request = pb::CreateLocationRequest { request_id: shelf.id(), location: Some(numbered) };
    shelf.client.create_location(request).await.unwrap();
    shelf.receive("CORNER", &[("A", 1)]).await;
    shelf.receive("WH", &[("B", 1)]).await;
    let all = pb::ExportMovementsRequest { format: pb::ExportFormat::Epcis.into(), ..Default::default() };
    let (content, _) = export(&mut shelf, all).await;
    let document: serde_json::Value = serde_json::from_slice(&content).unwrap();
    let events = document["epcisBody"]["eventList"].as_array().unwrap();
    for (event, expected) in events.iter().zip(["https://id.gs1.org/414/0614141000012", "urn:oneshelf:location:WH"]) {
        assert_eq!((&event["readPoint"]["id"], &event["bizLocation"]["id"]), (&expected.into(), &expected.into()));
    }
}
