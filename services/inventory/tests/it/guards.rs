//! What the database holds out when the code above it is wrong: every CHECK, the append-only triggers, and the locks.
//!
//! The rules refuse such rows long before, so no other test would miss a constraint that is gone. `docs/GUARDS.md` lists
//! all guards with the test that is there for each.

use std::{collections::BTreeSet, time::Duration};

use oneshelf_proto::inventory::v1 as pb;
use oneshelf_testkit::wait_for;
use sqlx::{AssertSqlSafe, PgPool};

use crate::{channel_changed::register, good_documents as good, short_way::suspect, support::Shelf};

/// A constraint, its table, and what makes a row that it must refuse: the row is one that is there, with these columns
/// changed; where none is there, these columns are all that it has. Rows are judged by constraints in the order of their
/// names, so each patch breaks one and none before it.
const BROKEN: &[(&str, &str, &str)] = &[
    ("locations_coordinates_check", "locations", r#"{"latitude": 90000001, "longitude": 0}"#),
    ("locations_country_code_check", "locations", r#"{"country_code": "gb"}"#),
    ("locations_daily_capacity_check", "locations", r#"{"daily_capacity": -1}"#),
    ("locations_gln_check", "locations", r#"{"gln": "123"}"#),
    ("locations_kind_check", "locations", r#"{"kind": "shed"}"#),
    ("locations_priority_check", "locations", r#"{"priority": -1}"#),
    ("locations_state_check", "locations", r#"{"state": "asleep"}"#),
    (
        "stock_levels_closed_check",
        "stock_levels",
        r#"{"location_active": false, "location_closed": true, "sellable": 1}"#,
    ),
    ("stock_levels_damaged_check", "stock_levels", r#"{"damaged": -1}"#),
    ("stock_levels_held_check", "stock_levels", r#"{"soft_held": -1}"#),
    ("stock_levels_kit_check", "stock_levels", r#"{"kit": true, "sellable": 1}"#),
    (
        "stock_levels_location_check",
        "stock_levels",
        r#"{"location_active": true, "location_closed": true, "sellable": 0, "damaged": 0, "quarantine": 0,
            "soft_held": 0, "hard_held": 0}"#,
    ),
    ("stock_levels_policy_check", "stock_levels", r#"{"safety_stock": -1}"#),
    ("stock_levels_quarantine_check", "stock_levels", r#"{"quarantine": -1}"#),
    ("stock_levels_range_check", "stock_levels", r#"{"damaged": 1000000000000001}"#),
    ("stock_levels_sellable_check", "stock_levels", r#"{"sellable": -1, "oversell_facts": false}"#),
    ("stock_levels_version_check", "stock_levels", r#"{"version": -1}"#),
    ("holds_kind_check", "holds", r#"{"kind": "firm"}"#),
    ("holds_state_check", "holds", r#"{"state": "lost"}"#),
    ("holds_moves_check", "holds", r#"{"moves": -1}"#),
    ("hold_lines_available_check", "hold_lines", r#"{"available": -1}"#),
    (
        "hold_lines_kit_check",
        "hold_lines",
        r#"{"kit_no": 0, "kit_sku": "KIT", "kit_version": 1, "kit_units": 2, "kit_available": 0, "requested": 3,
            "held": 2, "committed": 0}"#,
    ),
    ("hold_lines_quantities_check", "hold_lines", r#"{"requested": 1, "held": 2}"#),
    (
        "hold_moves_locations_check",
        "hold_moves",
        r#"{"move_id": "00000000-0000-0000-0000-000000000001", "line_no": 0,
            "hold_id": "00000000-0000-0000-0000-000000000001", "sku": "A", "source_location_id": "WH",
            "target_location_id": "WH", "quantity": 1, "moved_at": "2031-01-01", "moved_by": "x"}"#,
    ),
    (
        "hold_moves_quantity_check",
        "hold_moves",
        r#"{"move_id": "00000000-0000-0000-0000-000000000001", "line_no": 0,
            "hold_id": "00000000-0000-0000-0000-000000000001", "sku": "A", "source_location_id": "WH",
            "target_location_id": "SHOP", "quantity": 0, "moved_at": "2031-01-01", "moved_by": "x"}"#,
    ),
    (
        "sourcing_rules_version_check",
        "sourcing_rules",
        r#"{"channel_id": "WEB", "version": 0, "rules": {}, "updated_at": "2031-01-01", "updated_by": "x"}"#,
    ),
    (
        "node_costs_range_check",
        "node_costs",
        r#"{"location_id": "WH", "parcel": 0, "unit": 0, "km": 0, "markdown": -1, "version": 1,
            "updated_at": "2031-01-01", "updated_by": "x"}"#,
    ),
    ("node_days_taken_check", "node_days", r#"{"location_id": "WH", "day": "2031-01-01", "taken": 2, "capacity": 1}"#),
    ("kit_components_units_check", "kit_components", r#"{"kit_sku": "KIT", "component_sku": "A", "units": 0}"#),
    (
        "kit_levels_available_check",
        "kit_levels",
        r#"{"kit_sku": "KIT", "location_id": "WH", "version": 1, "available": -1, "channels": {},
            "updated_at": "2031-01-01"}"#,
    ),
    (
        "sku_tracking_kind_check",
        "sku_tracking",
        r#"{"sku": "A", "kind": "batch", "shelf_life_days": 0, "version": 1, "created_at": "2031-01-01",
            "updated_at": "2031-01-01", "updated_by": "x"}"#,
    ),
    (
        "sku_tracking_shelf_life_days_check",
        "sku_tracking",
        r#"{"sku": "A", "kind": "lot", "shelf_life_days": -1, "version": 1, "created_at": "2031-01-01",
            "updated_at": "2031-01-01", "updated_by": "x"}"#,
    ),
    (
        "lot_levels_bucket_check",
        "lot_levels",
        r#"{"sku": "A", "location_id": "WH", "bucket": "shelf", "lot": "L", "serial": false, "quantity": 1, "held": 0,
            "told": false}"#,
    ),
    (
        "lot_levels_held_check",
        "lot_levels",
        r#"{"sku": "A", "location_id": "WH", "bucket": "sellable", "lot": "L", "serial": false, "quantity": 1,
            "held": 2, "told": false}"#,
    ),
    (
        "lot_levels_quantity_check",
        "lot_levels",
        r#"{"sku": "A", "location_id": "WH", "bucket": "sellable", "lot": "L", "serial": false, "quantity": 0,
            "held": 0, "told": false}"#,
    ),
    (
        "lot_levels_serial_check",
        "lot_levels",
        r#"{"sku": "A", "location_id": "WH", "bucket": "sellable", "lot": "L", "serial": true, "quantity": 2, "held": 0,
            "told": false}"#,
    ),
    ("idempotency_keys_fingerprint_check", "idempotency_keys", r#"{"fingerprint": "\\x00"}"#),
    ("outbox_packs_events_check", "outbox_packs", r#"{"events": 0}"#),
    (
        "inbox_packs_applied_check",
        "inbox_packs",
        r#"{"consumer": "x", "pack_id": "00000000-0000-0000-0000-000000000001", "applied": "\\x00",
            "received_at": "2031-01-01T00:00:00Z"}"#,
    ),
    ("stock_policies_units_check", "stock_policies", r#"{"safety_stock": -1}"#),
    ("sku_policies_caps_check", "sku_policies", r#"{"shopper_cap": 0}"#),
    ("sku_policies_units_check", "sku_policies", r#"{"low_threshold": -1}"#),
    ("ring_fences_owner_kind_check", "ring_fences", r#"{"owner_kind": "pet"}"#),
    ("ring_fences_units_check", "ring_fences", r#"{"quota": -1}"#),
    ("cap_counters_holder_kind_check", "cap_counters", r#"{"holder_kind": "pet"}"#),
    ("cap_counters_soft_held_check", "cap_counters", r#"{"soft_held": -1}"#),
    (
        "reorder_policies_service_level_check",
        "reorder_policies",
        r#"{"sku": "A", "location_id": "WH", "reorder_point": 1, "order_up_to": 1, "pack_multiple": 1,
            "lead_time_hours": 0, "lead_time_deviation_hours": 0, "review_days": 0, "service_level_basis_points": 10000,
            "paused": false, "version": 1, "created_at": "2031-01-01", "updated_at": "2031-01-01", "updated_by": "x"}"#,
    ),
    (
        "reorder_policies_times_check",
        "reorder_policies",
        r#"{"sku": "A", "location_id": "WH", "reorder_point": 1, "order_up_to": 1, "pack_multiple": 1,
            "lead_time_hours": 0, "lead_time_deviation_hours": 0, "review_days": -1, "service_level_basis_points": 9500,
            "paused": false, "version": 1, "created_at": "2031-01-01", "updated_at": "2031-01-01", "updated_by": "x"}"#,
    ),
    (
        "reorder_policies_units_check",
        "reorder_policies",
        r#"{"sku": "A", "location_id": "WH", "reorder_point": 1, "order_up_to": 0, "pack_multiple": 1,
            "lead_time_hours": 0, "lead_time_deviation_hours": 0, "review_days": 0, "service_level_basis_points": 9500,
            "paused": false, "version": 1, "created_at": "2031-01-01", "updated_at": "2031-01-01", "updated_by": "x"}"#,
    ),
    (
        "stock_thresholds_band_check",
        "stock_thresholds",
        r#"{"sku": "A", "channel_id": "WEB", "low_threshold": 1, "ended": false, "location_ids": ["WH"], "total": 1,
            "available": 1, "band": "high", "crossings": 0, "version": 1, "created_at": "2031-01-01",
            "updated_at": "2031-01-01", "updated_by": "x"}"#,
    ),
    (
        "stock_thresholds_units_check",
        "stock_thresholds",
        r#"{"sku": "A", "channel_id": "WEB", "low_threshold": 1, "ended": false, "location_ids": ["WH"], "total": 1,
            "available": 2, "band": "low", "crossings": 0, "version": 1, "created_at": "2031-01-01",
            "updated_at": "2031-01-01", "updated_by": "x"}"#,
    ),
    (
        "stock_threshold_parts_units_check",
        "stock_threshold_parts",
        r#"{"sku": "A", "location_id": "WH", "channel_id": "WEB", "available": -1}"#,
    ),
    ("transfers_locations_check", "transfers", r#"{"source_location_id": "WH", "destination_location_id": "WH"}"#),
    ("transfers_state_check", "transfers", r#"{"state": "lost"}"#),
    ("transfer_lines_quantities_check", "transfer_lines", r#"{"requested": 0}"#),
    (
        "transfer_lines_shipped_check",
        "transfer_lines",
        r#"{"requested": 9, "allocated": 0, "shipped": 5, "received": 0, "in_transit": 4, "lost": 0, "damaged": 0,
            "surplus": 0, "surplus_settled": 0}"#,
    ),
    ("counts_bucket_check", "counts", r#"{"bucket": "shelf"}"#),
    ("counts_kind_check", "counts", r#"{"kind": "half"}"#),
    ("counts_state_check", "counts", r#"{"state": "lost"}"#),
    ("count_lines_counted_check", "count_lines", r#"{"counted": -1}"#),
    ("count_lines_round_check", "count_lines", r#"{"round": 0}"#),
    ("count_plan_class_check", "count_plan", r#"{"class": "D"}"#),
    ("count_schedules_days_check", "count_schedules", r#"{"b_days": 0}"#),
    ("inbounds_kind_check", "inbounds", r#"{"kind": "gift"}"#),
    ("inbounds_over_percent_check", "inbounds", r#"{"over_percent": 101}"#),
    ("inbounds_state_check", "inbounds", r#"{"state": "lost"}"#),
    ("inbound_lines_quantities_check", "inbound_lines", r#"{"stocked": -1}"#),
    (
        "inbound_lines_received_check",
        "inbound_lines",
        r#"{"received": 1, "stocked": 0, "quarantined": 0, "returned": 0, "due": 0, "advised": 0}"#,
    ),
    ("promises_state_check", "promises", r#"{"state": "lost"}"#),
    ("promise_lines_quantities_check", "promise_lines", r#"{"waiting": 2, "quantity": 1, "uncovered": 0}"#),
    (
        "consignment_agreements_side_check",
        "consignment_agreements",
        r#"{"party_id": "V-1", "location_id": "WH", "side": "both", "valid_from": "2031-01-01", "valid_until": null,
            "levels_behind": false, "version": 1, "created_at": "2031-01-01", "updated_at": "2031-01-01",
            "updated_by": "x"}"#,
    ),
    (
        "consignment_agreements_times_check",
        "consignment_agreements",
        r#"{"party_id": "V-1", "location_id": "WH", "side": "theirs", "valid_from": "2031-01-01",
            "valid_until": "2031-01-01", "levels_behind": false, "version": 1, "created_at": "2031-01-01",
            "updated_at": "2031-01-01", "updated_by": "x"}"#,
    ),
    (
        "consignment_stock_side_check",
        "consignment_stock",
        r#"{"sku": "A", "location_id": "WH", "party_id": "V-1", "side": "both", "units": 0, "settled": 0,
            "settlements": 0}"#,
    ),
    (
        "consignment_stock_units_check",
        "consignment_stock",
        r#"{"sku": "A", "location_id": "WH", "party_id": "V-1", "side": "ours", "units": 1, "settled": 0,
            "settlements": 0}"#,
    ),
    (
        "consignment_entries_cause_check",
        "consignment_entries",
        r#"{"entry_id": "00000000-0000-0000-0000-000000000001", "party_id": "V-1", "side": "theirs", "sku": "A",
            "location_id": "WH", "cause": "lost", "units": 1, "movement_id": "00000000-0000-0000-0000-000000000001",
            "line_no": 0, "reference": "", "effective_at": "2031-01-01", "recorded_at": "2031-01-01"}"#,
    ),
    (
        "consignment_entries_side_check",
        "consignment_entries",
        r#"{"entry_id": "00000000-0000-0000-0000-000000000001", "party_id": "V-1", "side": "both", "sku": "A",
            "location_id": "WH", "cause": "sold", "units": 1, "movement_id": "00000000-0000-0000-0000-000000000001",
            "line_no": 0, "reference": "", "effective_at": "2031-01-01", "recorded_at": "2031-01-01"}"#,
    ),
    (
        "consignment_entries_units_check",
        "consignment_entries",
        r#"{"entry_id": "00000000-0000-0000-0000-000000000001", "party_id": "V-1", "side": "theirs", "sku": "A",
            "location_id": "WH", "cause": "sold", "units": 0, "movement_id": "00000000-0000-0000-0000-000000000001",
            "line_no": 0, "reference": "", "effective_at": "2031-01-01", "recorded_at": "2031-01-01"}"#,
    ),
    (
        "unit_costs_cost_check",
        "unit_costs",
        r#"{"sku": "A", "cost_micros": -1, "currency": "GBP", "version": 1, "created_at": "2031-01-01",
            "updated_at": "2031-01-01", "updated_by": "x"}"#,
    ),
    (
        "unit_costs_currency_check",
        "unit_costs",
        r#"{"sku": "A", "cost_micros": 0, "currency": "gbp", "version": 1, "created_at": "2031-01-01",
            "updated_at": "2031-01-01", "updated_by": "x"}"#,
    ),
    ("ledger_entries_accounts_check", "ledger_entries", r#"{"source": "nowhere"}"#),
    (
        "ledger_entries_one_location_check",
        "ledger_entries",
        r#"{"source": "sellable", "source_location_id": "WH", "target": "damaged", "target_location_id": "SHOP",
            "owner_id": null}"#,
    ),
    (
        "ledger_entries_owner_check",
        "ledger_entries",
        r#"{"source": "supplier", "source_location_id": null, "target": "sellable", "target_location_id": "WH",
            "owner_id": "D-7"}"#,
    ),
    ("ledger_entries_quantity_check", "ledger_entries", r#"{"quantity": 0}"#),
    ("ledger_entries_reason_check", "ledger_entries", r#"{"reason": ""}"#),
    ("reason_codes_reason_code_check", "reason_codes", r#"{"reason_code": "A B"}"#),
    ("movements_fingerprint_check", "movements", r#"{"fingerprint": "\\x00"}"#),
    (
        "level_repairs_reason_check",
        "level_repairs",
        r#"{"repair_id": "00000000-0000-0000-0000-000000000001", "sku": "A", "location_id": "WH", "repaired_by": "x",
            "reason": "", "sellable_before": 0, "damaged_before": 0, "quarantine_before": 0, "soft_held_before": 0,
            "hard_held_before": 0, "sellable_after": 0, "damaged_after": 0, "quarantine_after": 0,
            "soft_held_after": 0, "hard_held_after": 0, "level_version": 1, "repaired_at": "2031-01-01T00:00:00Z"}"#,
    ),
];

/// Constraints that nobody tries to break yet. Named one by one, so that no new one is forgotten.
const UNTRIED: &[&str] = &[];

/// A row of every table: what others are made from.
async fn furnished() -> Shelf {
    let mut shelf = Shelf::stocked().await;
    register(&shelf, "WEB", &["WH"], 1).await;
    good::transfers(&mut shelf).await;
    good::counts(&mut shelf).await;
    good::inbounds(&mut shelf).await;
    good::promises(&mut shelf).await;
    good::policies(&mut shelf).await;
    let capped = pb::HoldStockRequest { shopper_id: "ann".to_owned(), ..shelf.soft_hold(&[("R2", 1)], 600) };
    shelf.held(capped).await;
    let request_id = shelf.id();
    let schedule =
        pb::SetCountScheduleRequest { request_id, location_id: "WH".to_owned(), a_days: 7, b_days: 30, c_days: 90 };
    shelf.client.set_count_schedule(schedule).await.unwrap();
    let reason = pb::ReasonCode { reason_code: "shrinkage".to_owned(), title: "Gone".to_owned(), ..Default::default() };
    let request = pb::CreateReasonCodeRequest { request_id: shelf.id(), reason_code: Some(reason) };
    shelf.client.create_reason_code(request).await.unwrap();
    let line = pb::MovementLine {
        sku: "A".to_owned(),
        quantity: 1,
        source: pb::Account::Found.into(),
        target: pb::Account::Sellable.into(),
        lots: Vec::new(),
    };
    let request = pb::PostMovementRequest {
        request_id: shelf.id(),
        location_id: "WH".to_owned(),
        lines: vec![line],
        reason_code: "shrinkage".to_owned(),
        ..Default::default()
    };
    shelf.client.post_movement(request).await.unwrap();
    shelf
}

/// The constraint by which a row is refused; what else happened, if it is not.
async fn refused_by(pool: &PgPool, table: &str, patch: &str) -> String {
    let statement = format!(
        "INSERT INTO inventory.{table} OVERRIDING SYSTEM VALUE
         SELECT (jsonb_populate_record(base.one, $1::JSONB)).*
           FROM (SELECT (SELECT t FROM inventory.{table} AS t LIMIT 1) AS one) AS base"
    );
    let mut tx = pool.begin().await.unwrap();
    let outcome = sqlx::query(AssertSqlSafe(statement)).bind(patch).execute(&mut *tx).await;
    tx.rollback().await.unwrap();
    match outcome {
        Ok(_) => "nothing: it was taken".to_owned(),
        Err(sqlx::Error::Database(error)) => error.constraint().map_or_else(|| error.to_string(), str::to_owned),
        Err(error) => error.to_string(),
    }
}

#[tokio::test]
async fn every_check_refuses_the_row_that_it_is_there_for() {
    let shelf = furnished().await;
    let pool = shelf.db.pool();
    let there: Vec<String> = sqlx::query_scalar(
        "SELECT c.conname::TEXT FROM pg_constraint AS c JOIN pg_namespace AS n ON n.oid = c.connamespace
          WHERE n.nspname = 'inventory' AND c.contype = 'c' AND c.conislocal AND c.conparentid = 0 ORDER BY 1",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    let there: BTreeSet<&str> = there.iter().map(String::as_str).collect();
    let tried: BTreeSet<&str> = BROKEN.iter().map(|(name, ..)| *name).chain(UNTRIED.iter().copied()).collect();
    assert_eq!(tried, there, "tried, and there");
    let mut wrong = Vec::new();
    for (name, table, patch) in BROKEN {
        let by = refused_by(pool, table, patch).await;
        if by != *name {
            wrong.push(format!("{name}: refused by {by}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn what_happened_is_not_rewritten() {
    let shelf = Shelf::stocked().await;
    for statement in [
        "UPDATE inventory.ledger_entries SET quantity = quantity + 1",
        "DELETE FROM inventory.ledger_entries",
        "DELETE FROM inventory.stock_levels",
    ] {
        assert!(sqlx::query(statement).execute(shelf.db.pool()).await.is_err(), "{statement}");
    }
    shelf.verify().await;
}

/// Statements of our sessions that wait for a lock.
pub async fn waiting(pool: &PgPool) -> Vec<String> {
    sqlx::query_scalar(
        "SELECT query FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
    )
    .fetch_all(pool)
    .await
    .unwrap()
}

/// With the row lock, a group reads a level only when nobody else is changing it. (Without it the conditional write would
/// still refuse what was read too early, and the group run again: right, but not under load.) The short way locks as it
/// writes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_waits_for_a_level_before_it_reads_it() {
    let mut shelf = Shelf::stocked().await;
    for (long_way, locks) in [(false, "UPDATE inventory.stock_levels"), (true, "FOR UPDATE OF stock_levels")] {
        if long_way {
            suspect(&shelf, "A").await;
        }
        let mut other = shelf.db.pool().begin().await.unwrap();
        let taken = "UPDATE inventory.stock_levels SET hard_held = hard_held + 1 WHERE sku = 'A'";
        sqlx::query(taken).execute(&mut *other).await.unwrap();
        let (mut client, request) = (shelf.client.clone(), shelf.hold(&[("A", 10)]));
        let hold = tokio::spawn(async move { client.hold_stock(request).await });
        let waits = wait_for("a statement that waits", Duration::from_secs(10), async || {
            waiting(shelf.db.pool()).await.into_iter().next()
        })
        .await;
        assert!(waits.contains(locks), "waits in {waits}");
        other.commit().await.unwrap();
        let status = hold.await.unwrap().unwrap_err();
        assert_eq!(status.code(), tonic::Code::FailedPrecondition, "9 are left of 10: {status:?}");
        let back = "UPDATE inventory.stock_levels SET hard_held = hard_held - 1 WHERE sku = 'A'";
        sqlx::query(back).execute(shelf.db.pool()).await.unwrap();
        assert_eq!(shelf.level("A").await, (10, 0, 10));
    }
}

/// Levels are locked by (SKU, location), whatever the order of a request: who waits for one holds none that come later.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_that_waits_for_a_level_holds_no_later_one() {
    let shelf = Shelf::stocked().await;
    for long_way in [false, true] {
        if long_way {
            suspect(&shelf, "A").await;
            suspect(&shelf, "B").await;
        }
        let mut other = shelf.db.pool().begin().await.unwrap();
        sqlx::query("SELECT FROM inventory.stock_levels WHERE sku = 'A' FOR UPDATE")
            .execute(&mut *other)
            .await
            .unwrap();
        let (mut client, request) = (shelf.client.clone(), shelf.hold(&[("B", 1), ("A", 1)]));
        let hold = tokio::spawn(async move { client.hold_stock(request).await });
        wait_for("a statement that waits", Duration::from_secs(10), async || {
            waiting(shelf.db.pool()).await.into_iter().next()
        })
        .await;
        let later = "SELECT FROM inventory.stock_levels WHERE sku = 'B' FOR UPDATE NOWAIT";
        sqlx::query(later).execute(&mut *other).await.expect("B is not locked while A is waited for");
        other.rollback().await.unwrap();
        hold.await.unwrap().unwrap();
    }
    shelf.verify().await;
}

/// The write applies to the version that was read and to no other: a bug between lock and write cannot lose a change.
#[tokio::test]
async fn a_level_is_written_only_as_it_was_read() {
    let shelf = Shelf::stocked().await;
    suspect(&shelf, "A").await;
    // As somebody would who forgot the lock: the version moves between our reading and our writing.
    sqlx::query(
        "CREATE FUNCTION inventory.meddle() RETURNS TRIGGER LANGUAGE plpgsql AS $$
         BEGIN
             UPDATE inventory.stock_levels SET version = version + 1 WHERE sku = 'A' AND location_id = 'WH';
             RETURN NULL;
         END $$",
    )
    .execute(shelf.db.pool())
    .await
    .unwrap();
    sqlx::query(
        "CREATE TRIGGER meddle AFTER INSERT ON inventory.holds FOR EACH STATEMENT EXECUTE FUNCTION inventory.meddle()",
    )
    .execute(shelf.db.pool())
    .await
    .unwrap();
    let status = shelf.client.clone().hold_stock(shelf.hold(&[("A", 1)])).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::Internal, "{status:?}");
    sqlx::query("DROP TRIGGER meddle ON inventory.holds").execute(shelf.db.pool()).await.unwrap();
    shelf.client.clone().hold_stock(shelf.hold(&[("A", 1)])).await.unwrap();
    shelf.verify().await;
}
