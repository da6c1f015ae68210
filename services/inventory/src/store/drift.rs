//! Levels beside ledger and open holds. Each comparison is one statement, so it sees one snapshot; what is written in one
//! transaction is never seen in part, and a difference is one.

use chrono::{DateTime, Utc};
use oneshelf_values::Clock;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::domain::{
    drift::{Assessment, Counters, Finding},
    stock_level::LevelKey,
};

/// Levels that differ in a range of SKUs, and where the range ends; `None`: there is no SKU after it.
#[derive(Debug)]
pub struct Slice {
    pub suspects: Vec<LevelKey>,
    pub checked: i64,
    pub end: Option<String>,
}

/// A slice names at most so many suspects: where more differ, the next rounds find them.
const MAX_SUSPECTS: i64 = 500;

/// The last SKU of the next `levels` levels after a SKU; `None` when fewer are left.
async fn range_end(pool: &PgPool, after: &str, levels: i64) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"
        SELECT sku
          FROM inventory.stock_levels
         WHERE sku > $1
         ORDER BY sku
        OFFSET $2
         LIMIT 1
        "#,
        after,
        levels - 1,
    )
    .fetch_optional(pool)
    .await
}

/// Counters beside the ledger: the newest balance of each level and what moved since.
pub async fn compare_with_ledger(pool: &PgPool, after: &str, levels: i64) -> Result<Slice, sqlx::Error> {
    let end = range_end(pool, after, levels).await?;
    let rows = sqlx::query!(
        r#"
        WITH compared AS (
            SELECT level.sku
                 , level.location_id
                 , level.sellable = COALESCE(balance.sellable, 0) + moved.sellable
               AND level.damaged = COALESCE(balance.damaged, 0) + moved.damaged
               AND level.quarantine = COALESCE(balance.quarantine, 0) + moved.quarantine AS agrees
              FROM inventory.stock_levels AS level
              LEFT JOIN LATERAL (
                       SELECT period_end
                            , sellable
                            , damaged
                            , quarantine
                         FROM inventory.ledger_balances
                        WHERE ledger_balances.sku = level.sku
                          AND ledger_balances.location_id = level.location_id
                        ORDER BY period_end DESC
                        LIMIT 1
                   ) AS balance ON TRUE
             CROSS JOIN LATERAL (
                       SELECT COALESCE(SUM(CASE 'sellable' WHEN target THEN quantity WHEN source THEN - quantity END), 0)::BIGINT AS sellable
                            , COALESCE(SUM(CASE 'damaged' WHEN target THEN quantity WHEN source THEN - quantity END), 0)::BIGINT AS damaged
                            , COALESCE(SUM(CASE 'quarantine' WHEN target THEN quantity WHEN source THEN - quantity END), 0)::BIGINT AS quarantine
                         FROM inventory.ledger_entries
                        WHERE ledger_entries.sku = level.sku
                          AND COALESCE(source_location_id, target_location_id) = level.location_id
                          AND effective_at >= COALESCE(balance.period_end, '-infinity')
                   ) AS moved
             WHERE level.sku > $1
               AND ($2::TEXT IS NULL OR level.sku <= $2)
        )
        SELECT sku AS "sku?"
             , location_id AS "location_id?"
             , 0::BIGINT AS "checked!"
          FROM (
                   SELECT sku
                        , location_id
                     FROM compared
                    WHERE NOT agrees
                    LIMIT $3
               ) AS suspects
         UNION ALL
        SELECT NULL
             , NULL
             , COUNT(*)
          FROM compared
        "#,
        after,
        end,
        MAX_SUSPECTS,
    )
    .fetch_all(pool)
    .await?;
    let checked = rows.iter().map(|row| row.checked).sum();
    let suspects =
        rows.into_iter().filter_map(|row| row.sku.zip(row.location_id)).map(key).collect::<Result<Vec<_>, _>>()?;
    Ok(Slice { suspects, checked, end })
}

/// Promised units beside the open holds.
pub async fn compare_with_holds(pool: &PgPool, after: &str, levels: i64) -> Result<Slice, sqlx::Error> {
    let end = range_end(pool, after, levels).await?;
    let rows = sqlx::query!(
        r#"
        WITH open AS (
            SELECT hold_lines.sku
                 , hold_lines.location_id
                 , COALESCE(SUM(held) FILTER (WHERE holds.kind = 'soft'), 0)::BIGINT AS soft_held
                 , COALESCE(SUM(held) FILTER (WHERE holds.kind = 'hard'), 0)::BIGINT AS hard_held
              FROM inventory.holds
              JOIN inventory.hold_lines USING (hold_id)
             WHERE holds.state = 'held'
               AND hold_lines.held > 0
               AND hold_lines.sku > $1
               AND ($2::TEXT IS NULL OR hold_lines.sku <= $2)
             GROUP BY hold_lines.sku
                    , hold_lines.location_id
        )
           , counted AS (
            SELECT sku
                 , location_id
                 , soft_held
                 , hard_held
              FROM inventory.stock_levels
             WHERE sku > $1
               AND ($2::TEXT IS NULL OR sku <= $2)
        )
           , compared AS (
            SELECT sku
                 , location_id
                 , COALESCE(counted.soft_held, 0) = COALESCE(open.soft_held, 0)
               AND COALESCE(counted.hard_held, 0) = COALESCE(open.hard_held, 0) AS agrees
              FROM counted
              FULL JOIN open USING (sku, location_id)
        )
        SELECT sku AS "sku?"
             , location_id AS "location_id?"
             , 0::BIGINT AS "checked!"
          FROM (
                   SELECT sku
                        , location_id
                     FROM compared
                    WHERE NOT agrees
                    LIMIT $3
               ) AS suspects
         UNION ALL
        SELECT NULL
             , NULL
             , COUNT(*)
          FROM compared
        "#,
        after,
        end,
        MAX_SUSPECTS,
    )
    .fetch_all(pool)
    .await?;
    let checked = rows.iter().map(|row| row.checked).sum();
    let suspects =
        rows.into_iter().filter_map(|row| row.sku.zip(row.location_id)).map(key).collect::<Result<Vec<_>, _>>()?;
    Ok(Slice { suspects, checked, end })
}

fn key((sku, location): (String, String)) -> Result<LevelKey, sqlx::Error> {
    Ok(LevelKey {
        sku: super::parse("stock_levels", "sku", &sku)?,
        location: super::parse("stock_levels", "location_id", &location)?,
    })
}

/// Some levels as they are and as they should be, in one snapshot. Levels that do not exist are missing.
pub async fn assess(conn: &mut PgConnection, keys: &[LevelKey]) -> Result<Vec<Assessment>, sqlx::Error> {
    let (skus, locations): (Vec<&str>, Vec<&str>) =
        keys.iter().map(|key| (key.sku.as_str(), key.location.as_str())).unzip();
    let rows = sqlx::query!(
        r#"
        WITH wanted AS (
            SELECT DISTINCT sku
                 , location_id
              FROM UNNEST($1::TEXT[], $2::TEXT[]) AS wanted (sku, location_id)
        )
           , open AS (
            SELECT hold_lines.sku
                 , hold_lines.location_id
                 , COALESCE(SUM(held) FILTER (WHERE holds.kind = 'soft'), 0)::BIGINT AS soft_held
                 , COALESCE(SUM(held) FILTER (WHERE holds.kind = 'hard'), 0)::BIGINT AS hard_held
              FROM inventory.holds
              JOIN inventory.hold_lines USING (hold_id)
              JOIN wanted USING (sku, location_id)
             WHERE holds.state = 'held'
             GROUP BY hold_lines.sku
                    , hold_lines.location_id
        )
        SELECT level.sku
             , level.location_id
             , level.sellable
             , level.damaged
             , level.quarantine
             , level.soft_held
             , level.hard_held
             , level.version
             , COALESCE(balance.sellable, 0) + moved.sellable AS "expected_sellable!"
             , COALESCE(balance.damaged, 0) + moved.damaged AS "expected_damaged!"
             , COALESCE(balance.quarantine, 0) + moved.quarantine AS "expected_quarantine!"
             , COALESCE(open.soft_held, 0) AS "expected_soft_held!"
             , COALESCE(open.hard_held, 0) AS "expected_hard_held!"
          FROM wanted
          JOIN inventory.stock_levels AS level USING (sku, location_id)
          LEFT JOIN open USING (sku, location_id)
          LEFT JOIN LATERAL (
                   SELECT period_end
                        , sellable
                        , damaged
                        , quarantine
                     FROM inventory.ledger_balances
                    WHERE ledger_balances.sku = level.sku
                      AND ledger_balances.location_id = level.location_id
                    ORDER BY period_end DESC
                    LIMIT 1
               ) AS balance ON TRUE
         CROSS JOIN LATERAL (
                   SELECT COALESCE(SUM(CASE 'sellable' WHEN target THEN quantity WHEN source THEN - quantity END), 0)::BIGINT AS sellable
                        , COALESCE(SUM(CASE 'damaged' WHEN target THEN quantity WHEN source THEN - quantity END), 0)::BIGINT AS damaged
                        , COALESCE(SUM(CASE 'quarantine' WHEN target THEN quantity WHEN source THEN - quantity END), 0)::BIGINT AS quarantine
                     FROM inventory.ledger_entries
                    WHERE ledger_entries.sku = level.sku
                      AND COALESCE(source_location_id, target_location_id) = level.location_id
                      AND effective_at >= COALESCE(balance.period_end, '-infinity')
               ) AS moved
        "#,
        &skus as &[&str],
        &locations as &[&str],
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Assessment {
                key: key((row.sku, row.location_id))?,
                counted: Counters {
                    sellable: row.sellable,
                    damaged: row.damaged,
                    quarantine: row.quarantine,
                    soft_held: row.soft_held,
                    hard_held: row.hard_held,
                },
                expected: Counters {
                    sellable: row.expected_sellable,
                    damaged: row.expected_damaged,
                    quarantine: row.expected_quarantine,
                    soft_held: row.expected_soft_held,
                    hard_held: row.expected_hard_held,
                },
                level_version: row.version,
            })
        })
        .collect()
}

/// Levels with an open finding, longest not looked at first.
pub async fn list_open_findings(pool: &PgPool, limit: i64) -> Result<Vec<LevelKey>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"
        SELECT sku
             , location_id
          FROM inventory.drift_findings
         WHERE resolved_at IS NULL
         ORDER BY seen_at
         LIMIT $1
        "#,
        limit,
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter().map(|row| key((row.sku, row.location_id))).collect()
}

pub async fn count_open_findings(pool: &PgPool) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"
        SELECT COUNT(*) AS "count!"
          FROM inventory.drift_findings
         WHERE resolved_at IS NULL
        "#,
    )
    .fetch_one(pool)
    .await
}

/// Writes down levels that drift: a new finding, or the newest numbers of the one that is open.
pub async fn upsert_findings(
    conn: &mut PgConnection,
    drifting: &[&Assessment],
    clock: &Clock,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    let column = |of: fn(&Assessment) -> i64| drifting.iter().map(|drift| of(drift)).collect::<Vec<_>>();
    sqlx::query!(
        r#"
        INSERT INTO inventory.drift_findings (
            finding_id
          , sku
          , location_id
          , sellable
          , damaged
          , quarantine
          , soft_held
          , hard_held
          , expected_sellable
          , expected_damaged
          , expected_quarantine
          , expected_soft_held
          , expected_hard_held
          , level_version
          , found_at
          , seen_at
        )
        SELECT *
             , $15::TIMESTAMPTZ
             , $15::TIMESTAMPTZ
          FROM UNNEST(
                   $1::UUID[]
                 , $2::TEXT[]
                 , $3::TEXT[]
                 , $4::BIGINT[]
                 , $5::BIGINT[]
                 , $6::BIGINT[]
                 , $7::BIGINT[]
                 , $8::BIGINT[]
                 , $9::BIGINT[]
                 , $10::BIGINT[]
                 , $11::BIGINT[]
                 , $12::BIGINT[]
                 , $13::BIGINT[]
                 , $14::BIGINT[]
               )
            ON CONFLICT (sku, location_id) WHERE resolved_at IS NULL DO UPDATE
           SET sellable = EXCLUDED.sellable
             , damaged = EXCLUDED.damaged
             , quarantine = EXCLUDED.quarantine
             , soft_held = EXCLUDED.soft_held
             , hard_held = EXCLUDED.hard_held
             , expected_sellable = EXCLUDED.expected_sellable
             , expected_damaged = EXCLUDED.expected_damaged
             , expected_quarantine = EXCLUDED.expected_quarantine
             , expected_soft_held = EXCLUDED.expected_soft_held
             , expected_hard_held = EXCLUDED.expected_hard_held
             , level_version = EXCLUDED.level_version
             , seen_at = EXCLUDED.seen_at
        "#,
        &drifting.iter().map(|_| oneshelf_values::new_id(clock)).collect::<Vec<_>>(),
        &drifting.iter().map(|drift| drift.key.sku.as_str()).collect::<Vec<_>>() as &[&str],
        &drifting.iter().map(|drift| drift.key.location.as_str()).collect::<Vec<_>>() as &[&str],
        &column(|drift| drift.counted.sellable),
        &column(|drift| drift.counted.damaged),
        &column(|drift| drift.counted.quarantine),
        &column(|drift| drift.counted.soft_held),
        &column(|drift| drift.counted.hard_held),
        &column(|drift| drift.expected.sellable),
        &column(|drift| drift.expected.damaged),
        &column(|drift| drift.expected.quarantine),
        &column(|drift| drift.expected.soft_held),
        &column(|drift| drift.expected.hard_held),
        &column(|drift| drift.level_version),
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Ends the open findings of levels that are right again.
pub async fn resolve_findings(
    conn: &mut PgConnection,
    keys: &[&LevelKey],
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        UPDATE inventory.drift_findings
           SET resolved_at = $3
          FROM UNNEST($1::TEXT[], $2::TEXT[]) AS right_again (sku, location_id)
         WHERE drift_findings.sku = right_again.sku
           AND drift_findings.location_id = right_again.location_id
           AND resolved_at IS NULL
        "#,
        &keys.iter().map(|key| key.sku.as_str()).collect::<Vec<_>>() as &[&str],
        &keys.iter().map(|key| key.location.as_str()).collect::<Vec<_>>() as &[&str],
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// A page of findings, oldest first, after the given one. Ids are made by the clock, so they are in that order.
pub async fn list_findings(
    pool: &PgPool,
    include_resolved: bool,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Finding>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"
        SELECT finding_id
             , sku
             , location_id
             , sellable
             , damaged
             , quarantine
             , soft_held
             , hard_held
             , expected_sellable
             , expected_damaged
             , expected_quarantine
             , expected_soft_held
             , expected_hard_held
             , level_version
             , found_at
             , resolved_at
          FROM inventory.drift_findings
         WHERE ($1 OR resolved_at IS NULL)
           AND ($2::UUID IS NULL OR finding_id > $2)
         ORDER BY finding_id
         LIMIT $3
        "#,
        include_resolved,
        after,
        limit,
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Finding {
                finding_id: row.finding_id,
                assessment: Assessment {
                    key: key((row.sku, row.location_id))?,
                    counted: Counters {
                        sellable: row.sellable,
                        damaged: row.damaged,
                        quarantine: row.quarantine,
                        soft_held: row.soft_held,
                        hard_held: row.hard_held,
                    },
                    expected: Counters {
                        sellable: row.expected_sellable,
                        damaged: row.expected_damaged,
                        quarantine: row.expected_quarantine,
                        soft_held: row.expected_soft_held,
                        hard_held: row.expected_hard_held,
                    },
                    level_version: row.level_version,
                },
                found_at: row.found_at,
                resolved_at: row.resolved_at,
            })
        })
        .collect()
}

/// Who set a level right, and why.
#[derive(Debug, Clone)]
pub struct Repair<'a> {
    pub repair_id: Uuid,
    pub key: &'a LevelKey,
    pub repaired_by: &'a str,
    pub reason: &'a str,
    pub before: Counters,
    pub after: Counters,
    pub level_version: i64,
}

pub async fn insert_repair(
    conn: &mut PgConnection,
    repair: &Repair<'_>,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        INSERT INTO inventory.level_repairs (
            repair_id
          , sku
          , location_id
          , repaired_by
          , reason
          , sellable_before
          , damaged_before
          , quarantine_before
          , soft_held_before
          , hard_held_before
          , sellable_after
          , damaged_after
          , quarantine_after
          , soft_held_after
          , hard_held_after
          , level_version
          , repaired_at
        )
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
        "#,
        repair.repair_id,
        repair.key.sku.as_str(),
        repair.key.location.as_str(),
        repair.repaired_by,
        repair.reason,
        repair.before.sellable,
        repair.before.damaged,
        repair.before.quarantine,
        repair.before.soft_held,
        repair.before.hard_held,
        repair.after.sellable,
        repair.after.damaged,
        repair.after.quarantine,
        repair.after.soft_held,
        repair.after.hard_held,
        repair.level_version,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}
