//! What the ledger says of a level at the end of each month, so that a question about the past adds up one month and not
//! the whole history.
//!
//! The invariant: a balance is the sum of its level's entries with an effective time before `period_end`. It holds under
//! concurrency because both who change it hold the level's row lock:
//!
//! | who | does |
//! |---|---|
//! | the closing of a month | locks levels, then sums what is recorded by then, and inserts the balance |
//! | whoever records an entry of an earlier time | holds the lock anyway, and adds the entry to every balance it belongs in |
//!
//! An entry recorded before the lock is in the sum; one recorded after it finds the balance. A level without a balance for
//! a month is right as well: the question then begins at the balance before, or at the beginning.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};

use crate::domain::{
    ledger::Movement,
    period::LATE_AFTER,
    stock_level::{Bucket, LevelKey},
};

/// A month that is being closed, and how far it has come.
#[derive(Debug, Clone)]
pub struct OpenPeriod {
    pub period_end: DateTime<Utc>,
    pub after_sku: String,
    pub after_location_id: String,
}

/// Adds entries of an earlier time to the balances they belong in. The caller holds the locks of their levels. Costs
/// nothing where nothing is late, which is nearly always.
pub async fn add_late_entries(
    conn: &mut PgConnection,
    movements: &[Movement],
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    let late: Vec<(&Movement, LevelKey)> = movements
        .iter()
        .filter(|movement| movement.effective_at < now - LATE_AFTER)
        .filter_map(|movement| Some((movement, movement.level_key()?)))
        .collect();
    if late.is_empty() {
        return Ok(());
    }
    let delta = |bucket| late.iter().map(|(movement, _)| movement.delta(bucket)).collect::<Vec<_>>();
    sqlx::query!(
        r#"
        UPDATE inventory.ledger_balances
           SET sellable = ledger_balances.sellable + due.sellable
             , damaged = ledger_balances.damaged + due.damaged
             , quarantine = ledger_balances.quarantine + due.quarantine
          FROM (
                   SELECT balance.sku
                        , balance.location_id
                        , balance.period_end
                        , SUM(late.sellable)::BIGINT AS sellable
                        , SUM(late.damaged)::BIGINT AS damaged
                        , SUM(late.quarantine)::BIGINT AS quarantine
                     FROM UNNEST(
                              $1::TEXT[]
                            , $2::TEXT[]
                            , $3::TIMESTAMPTZ[]
                            , $4::BIGINT[]
                            , $5::BIGINT[]
                            , $6::BIGINT[]
                          ) AS late (sku, location_id, effective_at, sellable, damaged, quarantine)
                     JOIN inventory.ledger_balances AS balance
                       ON balance.sku = late.sku
                      AND balance.location_id = late.location_id
                      AND balance.period_end > late.effective_at
                    GROUP BY balance.sku
                           , balance.location_id
                           , balance.period_end
               ) AS due
         WHERE ledger_balances.sku = due.sku
           AND ledger_balances.location_id = due.location_id
           AND ledger_balances.period_end = due.period_end
        "#,
        &late.iter().map(|(_, key)| key.sku.as_str()).collect::<Vec<_>>() as &[&str],
        &late.iter().map(|(_, key)| key.location.as_str()).collect::<Vec<_>>() as &[&str],
        &late.iter().map(|(movement, _)| movement.effective_at).collect::<Vec<_>>(),
        &delta(Bucket::Sellable),
        &delta(Bucket::Damaged),
        &delta(Bucket::Quarantine),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Takes the month that is being closed, if there is one and nobody else is at it.
pub async fn take_open_period(conn: &mut PgConnection) -> Result<Option<OpenPeriod>, sqlx::Error> {
    sqlx::query_as!(
        OpenPeriod,
        r#"
        SELECT period_end
             , after_sku
             , after_location_id
          FROM inventory.ledger_periods
         WHERE closed_at IS NULL
         ORDER BY period_end
         LIMIT 1
           FOR UPDATE SKIP LOCKED
        "#,
    )
    .fetch_optional(conn)
    .await
}

/// The end of the last month that was closed, or is being closed.
pub async fn last_period_end(pool: &PgPool) -> Result<Option<DateTime<Utc>>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"
        SELECT MAX(period_end)
          FROM inventory.ledger_periods
        "#,
    )
    .fetch_one(pool)
    .await
}

/// The time of the earliest entry before `end`. Reads the partitions of earlier times whole: for the first closing.
pub async fn earliest_entry(pool: &PgPool, end: DateTime<Utc>) -> Result<Option<DateTime<Utc>>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"
        SELECT MIN(effective_at)
          FROM inventory.ledger_entries
         WHERE effective_at < $1
        "#,
        end,
    )
    .fetch_one(pool)
    .await
}

/// Begins to close a month; one without entries is closed with that.
pub async fn begin_period(
    pool: &PgPool,
    begin: DateTime<Utc>,
    end: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        INSERT INTO inventory.ledger_periods (period_end, closed_at)
        SELECT $2::TIMESTAMPTZ
             , CASE WHEN NOT EXISTS (
                   SELECT
                     FROM inventory.ledger_entries
                    WHERE effective_at >= $1
                      AND effective_at < $2
               ) THEN $3::TIMESTAMPTZ END
            ON CONFLICT DO NOTHING
        "#,
        begin,
        end,
        now,
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Locks the next levels after the given one, in the order of all locks.
pub async fn lock_next_levels(
    conn: &mut PgConnection,
    after: (&str, &str),
    limit: i64,
) -> Result<Vec<(String, String)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"
        SELECT sku
             , location_id
          FROM inventory.stock_levels
         WHERE (sku, location_id) > ($1, $2)
         ORDER BY sku
                , location_id
         LIMIT $3
           FOR UPDATE
        "#,
        after.0,
        after.1,
        limit,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.sku, row.location_id)).collect())
}

/// Writes the balances of locked levels at `period_end`, for those that moved since their balance before.
pub async fn insert_balances(
    conn: &mut PgConnection,
    levels: &[(String, String)],
    period_end: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    let (skus, locations): (Vec<&str>, Vec<&str>) =
        levels.iter().map(|(sku, location)| (sku.as_str(), location.as_str())).unzip();
    sqlx::query!(
        r#"
        INSERT INTO inventory.ledger_balances (
            sku
          , location_id
          , period_end
          , sellable
          , damaged
          , quarantine
        )
        SELECT level.sku
             , level.location_id
             , $3::TIMESTAMPTZ
             , COALESCE(before.sellable, 0) + moved.sellable
             , COALESCE(before.damaged, 0) + moved.damaged
             , COALESCE(before.quarantine, 0) + moved.quarantine
          FROM UNNEST($1::TEXT[], $2::TEXT[]) AS level (sku, location_id)
          LEFT JOIN LATERAL (
                   SELECT period_end
                        , sellable
                        , damaged
                        , quarantine
                     FROM inventory.ledger_balances
                    WHERE ledger_balances.sku = level.sku
                      AND ledger_balances.location_id = level.location_id
                      AND ledger_balances.period_end < $3
                    ORDER BY period_end DESC
                    LIMIT 1
               ) AS before ON TRUE
         CROSS JOIN LATERAL (
                   SELECT COUNT(*) AS entries
                        , COALESCE(SUM(CASE 'sellable' WHEN target THEN quantity WHEN source THEN - quantity END), 0)::BIGINT AS sellable
                        , COALESCE(SUM(CASE 'damaged' WHEN target THEN quantity WHEN source THEN - quantity END), 0)::BIGINT AS damaged
                        , COALESCE(SUM(CASE 'quarantine' WHEN target THEN quantity WHEN source THEN - quantity END), 0)::BIGINT AS quarantine
                     FROM inventory.ledger_entries
                    WHERE ledger_entries.sku = level.sku
                      AND COALESCE(source_location_id, target_location_id) = level.location_id
                      AND effective_at >= COALESCE(before.period_end, '-infinity')
                      AND effective_at < $3
               ) AS moved
         WHERE moved.entries > 0
            ON CONFLICT DO NOTHING
        "#,
        &skus as &[&str],
        &locations as &[&str],
        period_end,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Notes how far the closing has come; `closed_at` ends it.
pub async fn advance_period(
    conn: &mut PgConnection,
    period_end: DateTime<Utc>,
    after: (&str, &str),
    closed_at: Option<DateTime<Utc>>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        UPDATE inventory.ledger_periods
           SET after_sku = $2
             , after_location_id = $3
             , closed_at = $4
         WHERE period_end = $1
        "#,
        period_end,
        after.0,
        after.1,
        closed_at,
    )
    .execute(conn)
    .await?;
    Ok(())
}
