//! The append-only ledger.

use chrono::{DateTime, Utc};
use oneshelf_values::{LocationId, Sku};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::domain::ledger::{Account, Movement};

/// A movement as it was written down.
#[derive(Debug, Clone)]
pub struct StoredMovement {
    pub entry_id: i64,
    pub movement_id: Uuid,
    pub line_no: i32,
    pub sku: String,
    pub source: String,
    pub source_location_id: Option<String>,
    pub target: String,
    pub target_location_id: Option<String>,
    pub quantity: i64,
    pub reason: String,
    pub reference: String,
    pub effective_at: DateTime<Utc>,
    pub recorded_at: DateTime<Utc>,
}

/// What was on hand of a SKU at an instant.
#[derive(Debug, Clone)]
pub struct StockAsOf {
    pub sku: String,
    pub sellable: i64,
    pub damaged: i64,
    pub quarantine: i64,
}

/// Appends movements, in the order given.
pub async fn append_movements(
    conn: &mut PgConnection,
    movements: &[Movement],
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    let locations = |account: fn(&Movement) -> &Account| {
        movements.iter().map(|movement| account(movement).location().map(LocationId::as_str)).collect::<Vec<_>>()
    };
    sqlx::query!(
        r#"
        INSERT INTO inventory.ledger_entries (
            movement_id
          , line_no
          , sku
          , source
          , source_location_id
          , target
          , target_location_id
          , quantity
          , reason
          , reference
          , level_version
          , effective_at
          , recorded_at
        )
        SELECT movement_id
             , line_no
             , sku
             , source
             , source_location_id
             , target
             , target_location_id
             , quantity
             , reason
             , reference
             , level_version
             , effective_at
             , $13
          FROM UNNEST(
                   $1::UUID[]
                 , $2::INT[]
                 , $3::TEXT[]
                 , $4::TEXT[]
                 , $5::TEXT[]
                 , $6::TEXT[]
                 , $7::TEXT[]
                 , $8::BIGINT[]
                 , $9::TEXT[]
                 , $10::TEXT[]
                 , $11::BIGINT[]
                 , $12::TIMESTAMPTZ[]
               ) WITH ORDINALITY AS entry (
                   movement_id
                 , line_no
                 , sku
                 , source
                 , source_location_id
                 , target
                 , target_location_id
                 , quantity
                 , reason
                 , reference
                 , level_version
                 , effective_at
                 , ordinality
               )
         ORDER BY ordinality
        "#,
        &movements.iter().map(|m| m.movement_id).collect::<Vec<_>>(),
        &movements.iter().map(|m| m.line as i32).collect::<Vec<_>>(),
        &movements.iter().map(|m| m.sku.as_str()).collect::<Vec<_>>() as &[&str],
        &movements.iter().map(|m| m.source.kind()).collect::<Vec<_>>() as &[&str],
        &locations(|m| &m.source) as &[Option<&str>],
        &movements.iter().map(|m| m.target.kind()).collect::<Vec<_>>() as &[&str],
        &locations(|m| &m.target) as &[Option<&str>],
        &movements.iter().map(|m| m.quantity).collect::<Vec<_>>(),
        &movements.iter().map(|m| m.reason).collect::<Vec<_>>() as &[&str],
        &movements.iter().map(|m| m.reference.as_str()).collect::<Vec<_>>() as &[&str],
        &movements.iter().map(|m| m.level_version).collect::<Vec<_>>(),
        &movements.iter().map(|m| m.effective_at).collect::<Vec<_>>(),
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Reads a SKU's movements, newest first by effective time, before the given position.
pub async fn list_movements(
    pool: &PgPool,
    sku: &Sku,
    location: Option<&LocationId>,
    before: Option<(DateTime<Utc>, i64)>,
    limit: i64,
) -> Result<Vec<StoredMovement>, sqlx::Error> {
    sqlx::query_as!(
        StoredMovement,
        r#"
        SELECT entry_id
             , movement_id
             , line_no
             , sku
             , source
             , source_location_id
             , target
             , target_location_id
             , quantity
             , reason
             , reference
             , effective_at
             , recorded_at
          FROM inventory.ledger_entries
         WHERE sku = $1
           AND ($2::TEXT IS NULL OR source_location_id = $2 OR target_location_id = $2)
           AND ($3::TIMESTAMPTZ IS NULL OR (effective_at, entry_id) < ($3, $4))
         ORDER BY effective_at DESC
                , entry_id DESC
         LIMIT $5
        "#,
        sku.as_str(),
        location.map(LocationId::as_str),
        before.map(|(at, _)| at),
        before.map_or(0, |(_, id)| id),
        limit,
    )
    .fetch_all(pool)
    .await
}

/// Sums the ledger up to an instant, by effective time.
pub async fn sum_as_of(
    pool: &PgPool,
    skus: &[Sku],
    location: &LocationId,
    as_of: DateTime<Utc>,
) -> Result<Vec<StockAsOf>, sqlx::Error> {
    sqlx::query_as!(
        StockAsOf,
        r#"
        SELECT sku AS "sku!"
             , SUM(delta) FILTER (WHERE bucket = 'sellable')::BIGINT AS "sellable!"
             , SUM(delta) FILTER (WHERE bucket = 'damaged') ::BIGINT AS "damaged!"
             , SUM(delta) FILTER (WHERE bucket = 'quarantine') ::BIGINT AS "quarantine!"
          FROM (
                   SELECT sku
                        , target AS bucket
                        , quantity AS delta
                     FROM inventory.ledger_entries
                    WHERE sku = ANY ($1)
                      AND target_location_id = $2
                      AND effective_at <= $3
                    UNION ALL
                   SELECT sku
                        , source
                        , - quantity
                     FROM inventory.ledger_entries
                    WHERE sku = ANY ($1)
                      AND source_location_id = $2
                      AND effective_at <= $3
                    UNION ALL
                   SELECT sku
                        , bucket
                        , 0
                     FROM UNNEST($1) AS asked (sku)
                    CROSS JOIN UNNEST(ARRAY['sellable', 'damaged', 'quarantine']) AS buckets (bucket)
               ) AS flows
         GROUP BY sku
        "#,
        &skus.iter().map(Sku::as_str).collect::<Vec<_>>() as &[&str],
        location.as_str(),
        as_of,
    )
    .fetch_all(pool)
    .await
    .map(|mut rows| {
        rows.sort_by(|a, b| a.sku.cmp(&b.sku));
        rows
    })
}
