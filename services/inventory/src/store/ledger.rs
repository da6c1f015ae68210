//! The append-only ledger.

use chrono::{DateTime, Utc};
use oneshelf_values::{LocationId, PartnerId, Sku};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::balances;
use crate::domain::{
    ledger::{Account, Movement},
    lot::LotNumber,
};

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
    pub owner_id: Option<String>,
    pub quantity: i64,
    pub reason: String,
    pub reference: String,
    pub effective_at: DateTime<Utc>,
    pub recorded_at: DateTime<Utc>,
    /// The global number of its location; only exports read it.
    pub gln: Option<String>,
    pub lot: Option<String>,
}

/// What was on hand of a SKU at an instant.
#[derive(Debug, Clone)]
pub struct StockAsOf {
    pub sku: String,
    pub sellable: i64,
    pub damaged: i64,
    pub quarantine: i64,
}

/// Appends movements, in the order given. The caller holds the locks of the levels that they change.
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
          , owner_id
          , lot
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
             , owner_id
             , lot
             , $15
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
                 , $13::TEXT[]
                 , $14::TEXT[]
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
                 , owner_id
                 , lot
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
        &movements.iter().map(|m| &*m.reason).collect::<Vec<_>>() as &[&str],
        &movements.iter().map(|m| m.reference.as_str()).collect::<Vec<_>>() as &[&str],
        &movements.iter().map(|m| m.level_version).collect::<Vec<_>>(),
        &movements.iter().map(|m| m.effective_at).collect::<Vec<_>>(),
        &movements.iter().map(|m| m.owner().map(PartnerId::as_str)).collect::<Vec<_>>() as &[Option<&str>],
        &movements.iter().map(|m| m.lot.as_ref().map(LotNumber::as_str)).collect::<Vec<_>>() as &[Option<&str>],
        now,
    )
    .execute(&mut *conn)
    .await?;
    balances::add_late_entries(conn, movements, now).await
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
             , owner_id
             , quantity
             , reason
             , reference
             , effective_at
             , recorded_at
             , NULL::TEXT AS gln
             , lot
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

/// What the ledger says of some SKUs at a location at an instant, by effective time: the last balance before it and what
/// moved since, in one snapshot. By SKU.
pub async fn sum_as_of(
    pool: &PgPool,
    skus: &[Sku],
    location: &LocationId,
    as_of: DateTime<Utc>,
) -> Result<Vec<StockAsOf>, sqlx::Error> {
    sqlx::query_as!(
        StockAsOf,
        r#"
        SELECT asked.sku AS "sku!"
             , COALESCE(balance.sellable, 0) + moved.sellable AS "sellable!"
             , COALESCE(balance.damaged, 0) + moved.damaged AS "damaged!"
             , COALESCE(balance.quarantine, 0) + moved.quarantine AS "quarantine!"
          FROM (
                   SELECT DISTINCT sku
                     FROM UNNEST($1::TEXT[]) AS asked (sku)
               ) AS asked
          LEFT JOIN LATERAL (
                   SELECT period_end
                        , sellable
                        , damaged
                        , quarantine
                     FROM inventory.ledger_balances
                    WHERE ledger_balances.sku = asked.sku
                      AND ledger_balances.location_id = $2
                      AND ledger_balances.period_end <= $3
                    ORDER BY period_end DESC
                    LIMIT 1
               ) AS balance ON TRUE
         CROSS JOIN LATERAL (
                   SELECT COALESCE(SUM(CASE 'sellable' WHEN target THEN quantity WHEN source THEN - quantity END), 0)::BIGINT AS sellable
                        , COALESCE(SUM(CASE 'damaged' WHEN target THEN quantity WHEN source THEN - quantity END), 0)::BIGINT AS damaged
                        , COALESCE(SUM(CASE 'quarantine' WHEN target THEN quantity WHEN source THEN - quantity END), 0)::BIGINT AS quarantine
                     FROM inventory.ledger_entries
                    WHERE ledger_entries.sku = asked.sku
                      AND COALESCE(source_location_id, target_location_id) = $2
                      AND effective_at >= COALESCE(balance.period_end, '-infinity')
                      AND effective_at <= $3
               ) AS moved
         ORDER BY asked.sku
        "#,
        &skus.iter().map(Sku::as_str).collect::<Vec<_>>() as &[&str],
        location.as_str(),
        as_of,
    )
    .fetch_all(pool)
    .await
}

/// What of the ledger is exported.
#[derive(Debug, Clone)]
pub struct ExportFilter {
    pub sku: Option<Sku>,
    pub location: Option<LocationId>,
    /// Inclusive.
    pub from: DateTime<Utc>,
    /// Exclusive.
    pub to: DateTime<Utc>,
}

/// Where an entry stands in an export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryPlace {
    pub sku: String,
    pub effective_at: DateTime<Utc>,
    pub entry_id: i64,
}

impl EntryPlace {
    pub fn of(entry: &StoredMovement) -> Self {
        Self { sku: entry.sku.clone(), effective_at: entry.effective_at, entry_id: entry.entry_id }
    }
}

/// Reads a page of the ledger by (SKU, effective time, sequence), after the given entry.
pub async fn export_page(
    pool: &PgPool,
    filter: &ExportFilter,
    after: Option<&EntryPlace>,
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
             , owner_id
             , quantity
             , reason
             , reference
             , effective_at
             , recorded_at
             , lot
             , (
                   SELECT locations.gln
                     FROM inventory.locations
                    WHERE locations.location_id = COALESCE(entry.source_location_id, entry.target_location_id)
               ) AS gln
          FROM inventory.ledger_entries AS entry
         WHERE ($1::TEXT IS NULL OR sku = $1)
           AND ($2::TEXT IS NULL OR COALESCE(source_location_id, target_location_id) = $2)
           AND effective_at >= $3
           AND effective_at < $4
           AND (sku, effective_at, entry_id) > ($5, $6, $7)
         ORDER BY sku
                , effective_at
                , entry_id
         LIMIT $8
        "#,
        filter.sku.as_ref().map(Sku::as_str),
        filter.location.as_ref().map(LocationId::as_str),
        filter.from,
        filter.to,
        after.map_or("", |last| &last.sku),
        after.map_or(filter.from, |last| last.effective_at),
        after.map_or(0, |last| last.entry_id),
        limit,
    )
    .fetch_all(pool)
    .await
}
