//! How often to count what, and what is due.

use chrono::{DateTime, Utc};
use oneshelf_values::{LocationId, Sku};
use sqlx::{PgConnection, PgPool};

use super::{Inconsistency, parse};
use crate::domain::abc::AbcClass;

/// Days between counts, per class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CountDays {
    pub a: i32,
    pub b: i32,
    pub c: i32,
}

/// What should be counted.
#[derive(Debug, Clone)]
pub struct DueCount {
    pub sku: String,
    pub class: AbcClass,
    pub last_counted_at: Option<DateTime<Utc>>,
    pub due_at: DateTime<Utc>,
}

/// Sets classes; a pinned one is left alone by those that are computed (`pinned` false).
pub async fn upsert_classes(
    conn: &mut PgConnection,
    location: &LocationId,
    classes: &[(Sku, AbcClass)],
    pinned: bool,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        INSERT INTO inventory.count_plan (sku, location_id, class, pinned)
        SELECT DISTINCT ON (sku)
               sku
             , $1
             , class
             , $4
          FROM UNNEST($2::TEXT[], $3::TEXT[]) WITH ORDINALITY AS given (sku, class, ordinality)
         ORDER BY sku
                , ordinality DESC
            ON CONFLICT (location_id, sku) DO UPDATE
           SET class = EXCLUDED.class
             , pinned = EXCLUDED.pinned
         WHERE EXCLUDED.pinned
            OR NOT count_plan.pinned
        "#,
        location.as_str(),
        &classes.iter().map(|(sku, _)| sku.as_str()).collect::<Vec<_>>() as &[&str],
        &classes.iter().map(|(_, class)| class.as_str()).collect::<Vec<_>>() as &[&str],
        pinned,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Lets computing decide again.
pub async fn unpin_classes(conn: &mut PgConnection, location: &LocationId, skus: &[Sku]) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        UPDATE inventory.count_plan
           SET pinned = FALSE
         WHERE location_id = $1
           AND sku = ANY ($2)
        "#,
        location.as_str(),
        &skus.iter().map(Sku::as_str).collect::<Vec<_>>() as &[&str],
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// How many sellable units of each SKU left a location since then, at most `limit` SKUs; those that did not move count 0.
pub async fn sum_moved(
    conn: &mut PgConnection,
    location: &LocationId,
    since: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<(Sku, i64)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"
        SELECT stock_levels.sku
             , COALESCE(moved.units, 0) AS "units!"
          FROM inventory.stock_levels
          LEFT JOIN (
                   SELECT sku
                        , SUM(quantity)::BIGINT AS units
                     FROM inventory.ledger_entries
                    WHERE source_location_id = $1
                      AND source = 'sellable'
                      AND effective_at >= $2
                    GROUP BY sku
               ) AS moved USING (sku)
         WHERE location_id = $1
         LIMIT $3
        "#,
        location.as_str(),
        since,
        limit,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(|row| Ok((parse("stock_levels", "sku", &row.sku)?, row.units))).collect()
}

pub async fn upsert_schedule(
    conn: &mut PgConnection,
    location: &LocationId,
    days: CountDays,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        INSERT INTO inventory.count_schedules (location_id, a_days, b_days, c_days)
        VALUES ($1, $2, $3, $4)
            ON CONFLICT (location_id) DO UPDATE
           SET a_days = EXCLUDED.a_days
             , b_days = EXCLUDED.b_days
             , c_days = EXCLUDED.c_days
        "#,
        location.as_str(),
        days.a,
        days.b,
        days.c,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Reads a page of what is due at an instant and in no open count, longest overdue first, after the given position.
/// What was never counted is due since the first of January 1970.
pub async fn list_due_counts(
    pool: &PgPool,
    location: &LocationId,
    as_of: DateTime<Utc>,
    days: CountDays,
    after: Option<(DateTime<Utc>, &str)>,
    limit: i64,
) -> Result<Vec<DueCount>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"
        WITH planned AS (
            SELECT sku
                 , class
                 , last_counted_at
                 , CASE
                       WHEN last_counted_at IS NULL THEN 'epoch'::TIMESTAMPTZ
                       ELSE last_counted_at + MAKE_INTERVAL(days => CASE class
                           WHEN 'A' THEN COALESCE(count_schedules.a_days, $3)
                           WHEN 'B' THEN COALESCE(count_schedules.b_days, $4)
                           ELSE COALESCE(count_schedules.c_days, $5)
                       END)
                   END AS due_at
              FROM inventory.count_plan
              LEFT JOIN inventory.count_schedules USING (location_id)
             WHERE location_id = $1
               AND NOT EXISTS (
                   SELECT 1
                     FROM inventory.count_lines
                    WHERE count_lines.open
                      AND count_lines.sku = count_plan.sku
                      AND count_lines.location_id = count_plan.location_id
               )
        )
        SELECT sku
             , class
             , last_counted_at
             , due_at AS "due_at!"
          FROM planned
         WHERE due_at <= $2
           AND (due_at, sku) > ($6, $7)
         ORDER BY due_at
                , sku
         LIMIT $8
        "#,
        location.as_str(),
        as_of,
        days.a,
        days.b,
        days.c,
        after.map_or(DateTime::UNIX_EPOCH, |(at, _)| at),
        after.map_or("", |(_, sku)| sku),
        limit,
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(DueCount {
                class: AbcClass::parse(&row.class).ok_or_else(|| Inconsistency {
                    table: "count_plan",
                    column: "class",
                    key: row.sku.clone(),
                    value: row.class.clone(),
                })?,
                sku: row.sku,
                last_counted_at: row.last_counted_at,
                due_at: row.due_at,
            })
        })
        .collect()
}
