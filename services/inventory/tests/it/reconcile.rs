//! What is written around the service is refused by the tables, or found, repaired and accounted for.

use std::{collections::HashMap, time::Duration};

use oneshelf_inventory::{
    domain::stock_level::{Level, LevelKey},
    store::stock_levels,
    verify,
};
use oneshelf_proto::inventory::v1 as pb;
use oneshelf_testkit::wait_for;
use tonic::Code;

use crate::{
    guards::waiting,
    support::{Client, Shelf, fields, reason},
};

const SOON: Duration = Duration::from_secs(20);

async fn tamper(shelf: &Shelf, statement: &'static str) {
    assert!(sqlx::query(statement).execute(shelf.db.pool()).await.unwrap().rows_affected() > 0);
}

async fn drift(client: &mut Client, include_resolved: bool) -> Vec<pb::Drift> {
    let request = pb::ListDriftRequest { include_resolved, ..Default::default() };
    client.list_drift(request).await.unwrap().into_inner().findings
}

async fn found(shelf: &Shelf, sku: &str) -> pb::Drift {
    let mut client = shelf.client.clone();
    wait_for("the drift is found", SOON, async || {
        drift(&mut client, false).await.into_iter().find(|drift| drift.sku == sku)
    })
    .await
}

fn repair(shelf: &Shelf, sku: &str) -> pb::RepairLevelRequest {
    pb::RepairLevelRequest {
        request_id: shelf.id(),
        sku: sku.to_owned(),
        location_id: "WH".to_owned(),
        reason: "a script wrote around us".to_owned(),
    }
}

async fn broken(shelf: &Shelf) -> Vec<&'static str> {
    let checks = verify::verify(shelf.db.pool()).await.unwrap();
    checks.into_iter().filter(|check| check.violations > 0).map(|check| check.id).collect()
}

#[tokio::test]
async fn list_drift_has_what_was_tampered_with_and_repair_level_sets_it_right() {
    let mut shelf = Shelf::lively().await;
    shelf.receive("WH", &[("A", 10), ("B", 5)]).await;
    shelf.held(shelf.hold(&[("A", 4)])).await;
    shelf.held(shelf.soft_hold(&[("B", 1)], 600)).await;
    assert!(drift(&mut shelf.client, true).await.is_empty());
    tamper(&shelf, "UPDATE inventory.stock_levels SET sellable = 13, hard_held = 1 WHERE sku = 'A'").await;
    tamper(&shelf, "UPDATE inventory.stock_levels SET soft_held = 0 WHERE sku = 'B'").await;
    assert_eq!(broken(&shelf).await, ["Q1", "Q3"]);

    let finding = found(&shelf, "A").await;
    let (counted, expected) = (finding.counted.unwrap(), finding.expected.unwrap());
    assert_eq!((counted.sellable, counted.hard_held), (13, 1));
    assert_eq!((expected.sellable, expected.hard_held), (10, 4));
    found(&shelf, "B").await;

    let request = repair(&shelf, "A");
    let repaired = shelf.client.repair_level(request.clone()).await.unwrap().into_inner();
    assert_eq!((repaired.before, repaired.after, repaired.version), (Some(counted), Some(expected), 3));
    assert_eq!(shelf.client.repair_level(request.clone()).await.unwrap().into_inner(), repaired);
    let other = pb::RepairLevelRequest { reason: "other".to_owned(), ..request };
    let reused = shelf.client.repair_level(other).await.unwrap_err();
    assert_eq!((reused.code(), reason(&reused).as_str()), (Code::InvalidArgument, "REQUEST_ID_REUSED"));
    let request = repair(&shelf, "B");
    shelf.client.repair_level(request).await.unwrap();
    assert_eq!((shelf.level("A").await, shelf.level("B").await), ((10, 4, 6), (5, 1, 4)));
    assert!(drift(&mut shelf.client, false).await.is_empty());
    let past = drift(&mut shelf.client, true).await;
    assert!(past.len() == 2 && past.iter().all(|drift| drift.resolve_time.is_some()));
    let audit: Vec<(String, String, i64, i64)> = sqlx::query_as(
        "SELECT sku, reason, sellable_before, sellable_after FROM inventory.level_repairs
          WHERE repaired_by <> '' ORDER BY sku",
    )
    .fetch_all(shelf.db.pool())
    .await
    .unwrap();
    let why = "a script wrote around us".to_owned();
    assert_eq!(audit, [("A".to_owned(), why.clone(), 13, 10), ("B".to_owned(), why, 5, 5)]);
    shelf.verify().await;

    // Nothing is wrong any more, so nothing is written.
    let rows = shelf.rows().await;
    let request = repair(&shelf, "A");
    let again = shelf.client.repair_level(request).await.unwrap().into_inner();
    assert_eq!((again.before, again.after, again.version), (Some(expected), Some(expected), 3));
    assert_eq!(shelf.rows().await, rows + 1, "but for the memory of the request");
}

/// A repair may come between a round's look and what it writes down.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_set_right_while_a_round_looks_is_not_found() {
    let mut shelf = Shelf::lively().await;
    shelf.receive("WH", &[("A", 10)]).await;
    shelf.held(shelf.hold(&[("A", 4)])).await;
    let mut repair = shelf.db.pool().begin().await.unwrap();
    sqlx::query("SELECT FROM inventory.stock_levels WHERE sku = 'A' FOR UPDATE").execute(&mut *repair).await.unwrap();
    tamper(&shelf, "DELETE FROM inventory.hold_lines").await;
    wait_for("a round that waits for the level", SOON, async || {
        waiting(shelf.db.pool()).await.into_iter().find(|statement| statement.contains("FOR UPDATE OF stock_levels"))
    })
    .await;
    let right = "UPDATE inventory.stock_levels SET hard_held = 0 WHERE sku = 'A'";
    sqlx::query(right).execute(&mut *repair).await.unwrap();
    repair.commit().await.unwrap();
    wait_for("the end of the round", SOON, async || waiting(shelf.db.pool()).await.is_empty().then_some(())).await;
    assert!(drift(&mut shelf.client, true).await.is_empty());
}

#[tokio::test]
async fn list_drift_closes_what_is_right_again_and_pages() {
    let mut shelf = Shelf::lively().await;
    shelf.receive("WH", &[("A", 10), ("B", 5)]).await;
    tamper(&shelf, "UPDATE inventory.stock_levels SET damaged = 1").await;
    found(&shelf, "A").await;
    found(&shelf, "B").await;
    let page = |page_size, page_token: String| pb::ListDriftRequest { page_size, page_token, include_resolved: true };
    let first = shelf.client.list_drift(page(1, String::new())).await.unwrap().into_inner();
    let second = shelf.client.list_drift(page(1, first.next_page_token)).await.unwrap().into_inner();
    assert_ne!(first.findings[0].sku, second.findings[0].sku);
    for (request, field) in [(page(1_001, String::new()), "page_size"), (page(1, "x".to_owned()), "page_token")] {
        assert_eq!(fields(&shelf.client.list_drift(request).await.unwrap_err()), [field]);
    }
    tamper(&shelf, "UPDATE inventory.stock_levels SET damaged = 0").await;
    let mut client = shelf.client.clone();
    wait_for("it is right again", SOON, async || drift(&mut client, false).await.is_empty().then_some(())).await;
    shelf.verify().await;
}

#[tokio::test]
async fn repair_level_needs_its_permission_a_level_and_a_sound_ledger() {
    let mut shelf = Shelf::stocked().await;
    let mut clerk = shelf.client_for(&["inventory:RepairLevel"], None).await;
    assert_eq!(clerk.repair_level(repair(&shelf, "A")).await.unwrap_err().code(), Code::PermissionDenied);
    let mut auditor = shelf.client_for(&["inventory:RepairLevel", "inventory:Repair"], None).await;
    auditor.repair_level(repair(&shelf, "A")).await.unwrap();

    let bad = pb::RepairLevelRequest::default();
    let bad = fields(&shelf.client.repair_level(bad).await.unwrap_err());
    assert_eq!(bad, ["request_id", "sku", "location_id", "reason"]);
    let nowhere = pb::RepairLevelRequest { location_id: "NOWHERE".to_owned(), ..repair(&shelf, "A") };
    let refused = shelf.client.repair_level(nowhere).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::NotFound, "LOCATION_NOT_FOUND"));

    // Somebody sold three and then lost the receipt, in a partition by its own name.
    wait_for("this month's partition", SOON, async || {
        sqlx::query_scalar::<_, bool>("SELECT to_regclass('inventory.ledger_entries_2026_11') IS NOT NULL")
            .fetch_one(shelf.db.pool())
            .await
            .unwrap()
            .then_some(())
    })
    .await;
    let sold = pb::RecordSoldStockRequest {
        request_id: shelf.id(),
        location_id: "WH".to_owned(),
        lines: crate::support::stock_lines(&[("A", 3)]),
        ..Default::default()
    };
    shelf.client.record_sold_stock(sold).await.unwrap();
    let receipt_gone =
        "WITH gone AS (DELETE FROM inventory.ledger_entries_2026_11 WHERE reason = 'receipt' RETURNING 1)
                      , strays AS (DELETE FROM inventory.ledger_entries_default WHERE reason = 'receipt' RETURNING 1)
                        UPDATE inventory.stock_levels SET updated_at = updated_at";
    tamper(&shelf, receipt_gone).await;
    let request = repair(&shelf, "A");
    let refused = shelf.client.repair_level(request).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "LEDGER_UNSOUND"));
    assert_eq!(shelf.level("A").await.0, 7);
}

#[tokio::test]
async fn the_tables_refuse_what_no_caller_may_do() {
    let mut shelf = Shelf::lively().await;
    shelf.receive("WH", &[("A", 10), ("B", 5)]).await;
    let hold = shelf.held(shelf.hold(&[("A", 1)])).await;
    tamper(&shelf, "UPDATE inventory.stock_levels SET damaged = 1 WHERE sku = 'B'").await;
    found(&shelf, "B").await;
    let request = repair(&shelf, "B");
    shelf.client.repair_level(request).await.unwrap();

    let level = |change: &str| format!("UPDATE inventory.stock_levels SET {change} WHERE sku = 'A'");
    let entry = |columns: &str| {
        format!(
            "INSERT INTO inventory.ledger_entries (movement_id, line_no, sku, source, source_location_id, target,
                 target_location_id, owner_id, quantity, reason, reference, level_version, effective_at, recorded_at)
             SELECT gen_random_uuid(), 0, 'A', {columns}, '', 1, now(), now()"
        )
    };
    let line = |columns: &str| {
        format!(
            "INSERT INTO inventory.hold_lines (hold_id, line_no, sku, location_id, requested, held, committed, available,
                 granted_version) VALUES ('{}', 9, 'A', 'WH', {columns}, 1)",
            hold.hold_id
        )
    };
    let cases = [
        (level("sellable = -1"), "stock_levels_sellable_check"),
        (level("damaged = -1"), "stock_levels_damaged_check"),
        (level("quarantine = -1"), "stock_levels_quarantine_check"),
        (level("soft_held = -1"), "stock_levels_held_check"),
        (level("hard_held = -1"), "stock_levels_held_check"),
        (level("sellable = 1000000000000001"), "stock_levels_range_check"),
        (level("hard_held = 1000000000000001"), "stock_levels_range_check"),
        (level("version = -1"), "stock_levels_version_check"),
        (line("2, 3, 0, 0"), "hold_lines_quantities_check"),
        (line("2, 2, 3, 0"), "hold_lines_quantities_check"),
        (line("2, 2, 0, -1"), "hold_lines_available_check"),
        (entry("'supplier', NULL, 'sellable', 'WH', NULL, 0, 'receipt'"), "ledger_entries_quantity_check"),
        (entry("'supplier', NULL, 'sellable', 'WH', NULL, 1, ''"), "ledger_entries_reason_check"),
        (entry("'nobody', NULL, 'sellable', 'WH', NULL, 1, 'x'"), "ledger_entries_accounts_check"),
        (entry("'supplier', NULL, 'sellable', NULL, NULL, 1, 'x'"), "ledger_entries_accounts_check"),
        (entry("'sellable', 'WH', 'sellable', 'WH', NULL, 1, 'x'"), "ledger_entries_accounts_check"),
        (entry("'sellable', 'WH', 'damaged', 'SHOP', NULL, 1, 'x'"), "ledger_entries_one_location_check"),
        (entry("'consignment', NULL, 'sellable', 'WH', NULL, 1, 'x'"), "ledger_entries_owner_check"),
        (entry("'supplier', NULL, 'sellable', 'WH', 'D-7', 1, 'x'"), "ledger_entries_owner_check"),
        ("UPDATE inventory.ledger_entries SET quantity = 1".to_owned(), "ledger_entries_append_only"),
        ("DELETE FROM inventory.ledger_entries".to_owned(), "ledger_entries_append_only"),
        ("TRUNCATE inventory.ledger_entries".to_owned(), "ledger_entries_append_only"),
        ("DELETE FROM inventory.stock_levels".to_owned(), "stock_levels_append_only"),
        ("DELETE FROM inventory.level_repairs".to_owned(), "level_repairs_append_only"),
        ("UPDATE inventory.level_repairs SET reason = 'x'".to_owned(), "level_repairs_append_only"),
    ];
    for (statement, constraint) in cases {
        let error = sqlx::query(sqlx::AssertSqlSafe(statement.clone())).execute(shelf.db.pool()).await.unwrap_err();
        let named = error.as_database_error().and_then(|error| error.constraint().map(str::to_owned));
        assert_eq!(named.as_deref(), Some(constraint), "{statement}: {error}");
    }
    // Where the location says so, a fact may take what is not there.
    shelf.receive("SHOP", &[("A", 1)]).await;
    tamper(&shelf, "UPDATE inventory.stock_levels SET sellable = -1 WHERE sku = 'A' AND location_id = 'SHOP'").await;
}

#[tokio::test]
async fn a_level_that_changed_since_it_was_read_is_not_written() {
    let mut shelf = Shelf::stocked().await;
    let key = |sku: &str| LevelKey { sku: sku.parse().unwrap(), location: "WH".parse().unwrap() };
    let mut conn = shelf.db.pool().acquire().await.unwrap();
    // As a caller's bug would do: read without a lock, and written after another has written.
    let stale: HashMap<LevelKey, Level> =
        stock_levels::peek_stock_levels(&mut conn, &[key("A"), key("B")]).await.unwrap();
    shelf.receive("WH", &[("A", 5)]).await;
    let changed: Vec<(LevelKey, Level)> = stale
        .into_iter()
        .map(|(key, level)| (key, Level { sellable: level.sellable - 1, version: level.version + 1, ..level }))
        .collect();
    let mut tx = sqlx::Connection::begin(&mut *conn).await.unwrap();
    let refused = stock_levels::update_stock_levels(&mut tx, &changed, shelf.clock.now()).await.unwrap_err();
    assert!(refused.to_string().contains("version"), "{refused}");
    tx.rollback().await.unwrap();
    assert_eq!((shelf.level("A").await.0, shelf.level("B").await.0), (15, 5));
    shelf.verify().await;
}
