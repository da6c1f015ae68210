//! Goods that belong to somebody else than the holder of the place where they lie.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use oneshelf_kit::outbox::EventIds;
use oneshelf_values::{Clock, LocationId, PartnerId, Sku};
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgPool, types::Json};
use uuid::Uuid;

use super::{Inconsistency, parse};
use crate::domain::{
    consignment::{Agreement, AgreementTerms, Consigned, Settled, Side},
    policy::Audit,
};

/// An agreement as its row, and as it is kept as an answer.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct AgreementRow {
    party_id: String,
    location_id: String,
    side: String,
    skus: Option<Vec<String>>,
    valid_from: DateTime<Utc>,
    valid_until: Option<DateTime<Utc>>,
    levels_behind: bool,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    updated_by: String,
}

impl AgreementRow {
    fn of(agreement: &Agreement, levels_behind: bool) -> Self {
        let skus = agreement.terms.skus.as_ref();
        Self {
            party_id: agreement.party.to_string(),
            location_id: agreement.location.to_string(),
            side: agreement.side.as_str().to_owned(),
            skus: skus.map(|skus| skus.iter().map(Sku::to_string).collect()),
            valid_from: agreement.terms.valid_from,
            valid_until: agreement.terms.valid_until,
            levels_behind,
            version: agreement.audit.version,
            created_at: agreement.audit.created_at,
            updated_at: agreement.audit.updated_at,
            updated_by: agreement.audit.updated_by.clone(),
        }
    }
}

impl TryFrom<AgreementRow> for Agreement {
    type Error = sqlx::Error;

    fn try_from(row: AgreementRow) -> Result<Self, sqlx::Error> {
        let skus = row.skus.map(|skus| {
            skus.iter()
                .map(|sku| parse("consignment_agreements", "skus", sku))
                .collect::<Result<BTreeSet<Sku>, sqlx::Error>>()
        });
        Ok(Self {
            party: parse("consignment_agreements", "party_id", &row.party_id)?,
            location: parse("consignment_agreements", "location_id", &row.location_id)?,
            side: side("consignment_agreements", &row.side, &row.party_id)?,
            terms: AgreementTerms { skus: skus.transpose()?, valid_from: row.valid_from, valid_until: row.valid_until },
            audit: Audit {
                version: row.version,
                created_at: row.created_at,
                updated_at: row.updated_at,
                updated_by: row.updated_by,
            },
        })
    }
}

/// What of a level is a partner's.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ConsignedRow {
    sku: String,
    location_id: String,
    party_id: String,
    side: String,
    units: i64,
    settled: i64,
    settlements: i64,
}

impl TryFrom<ConsignedRow> for Consigned {
    type Error = sqlx::Error;

    fn try_from(row: ConsignedRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            party: parse("consignment_stock", "party_id", &row.party_id)?,
            side: side("consignment_stock", &row.side, &row.party_id)?,
            units: row.units,
            settled: row.settled,
            settlements: row.settlements,
        })
    }
}

#[derive(Serialize)]
struct EntryRow<'a> {
    entry_id: Uuid,
    party_id: &'a str,
    side: &'a str,
    sku: &'a str,
    location_id: &'a str,
    cause: &'a str,
    units: i64,
    movement_id: Uuid,
    line_no: i32,
    reference: &'a str,
    effective_at: DateTime<Utc>,
    recorded_at: DateTime<Utc>,
}

fn side(table: &'static str, stored: &str, of: &str) -> Result<Side, sqlx::Error> {
    Side::parse(stored)
        .ok_or_else(|| Inconsistency { table, column: "side", key: of.to_owned(), value: stored.to_owned() }.into())
}

/// All agreements of a location; its row is locked, so they stay as they are.
pub async fn list_agreements_at(conn: &mut PgConnection, location: &LocationId) -> Result<Vec<Agreement>, sqlx::Error> {
    sqlx::query_as!(
        AgreementRow,
        r#"
        SELECT party_id
             , location_id
             , side
             , skus
             , valid_from
             , valid_until
             , levels_behind
             , version
             , created_at
             , updated_at
             , updated_by
          FROM inventory.consignment_agreements
         WHERE location_id = $1
        "#,
        location.as_str(),
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(Agreement::try_from)
    .collect()
}

/// Writes an agreement, and remembers it.
pub async fn upsert_agreement(
    conn: &mut PgConnection,
    agreement: &Agreement,
    levels_behind: bool,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        WITH written AS (
            INSERT INTO inventory.consignment_agreements
            SELECT *
              FROM jsonb_populate_record(NULL::inventory.consignment_agreements, $1)
                ON CONFLICT (location_id, party_id, side) DO UPDATE
               SET skus = EXCLUDED.skus
                 , valid_from = EXCLUDED.valid_from
                 , valid_until = EXCLUDED.valid_until
                 , levels_behind = EXCLUDED.levels_behind
                 , version = EXCLUDED.version
                 , updated_at = EXCLUDED.updated_at
                 , updated_by = EXCLUDED.updated_by
            RETURNING *
        )
        INSERT INTO inventory.consignment_agreement_changes
        SELECT party_id
             , location_id
             , side
             , version
             , skus
             , valid_from
             , valid_until
             , updated_at
             , updated_by
          FROM written
        "#,
        Json(AgreementRow::of(agreement, levels_behind)) as _,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Locations with an agreement that not all of their levels know of, and its latest change.
pub async fn list_locations_behind(pool: &PgPool, limit: i64) -> Result<Vec<(String, DateTime<Utc>)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"
        SELECT location_id
             , MAX(updated_at) AS "updated_at!"
          FROM inventory.consignment_agreements
         WHERE levels_behind
         GROUP BY location_id
         ORDER BY location_id
         LIMIT $1
        "#,
        limit,
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|row| (row.location_id, row.updated_at)).collect())
}

/// The next SKUs that have a level at a location.
pub async fn list_next_skus(
    pool: &PgPool,
    location_id: &str,
    after: &str,
    limit: i64,
) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"
        SELECT sku
          FROM inventory.stock_levels
         WHERE location_id = $1
           AND sku > $2
         ORDER BY sku
         LIMIT $3
        "#,
        location_id,
        after,
        limit,
    )
    .fetch_all(pool)
    .await
}

/// All levels know of the agreements, unless one was changed since.
pub async fn finish_following(pool: &PgPool, location_id: &str, until: DateTime<Utc>) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        UPDATE inventory.consignment_agreements
           SET levels_behind = FALSE
         WHERE location_id = $1
           AND levels_behind
           AND updated_at <= $2
        "#,
        location_id,
        until,
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Writes what a group did to consignments. The ledger has its movements in the same transaction.
pub async fn save_settled(
    conn: &mut PgConnection,
    settled: &Settled,
    clock: &Clock,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    if settled.entries.is_empty() {
        return Ok(());
    }
    let stock: Vec<ConsignedRow> = settled
        .stock
        .iter()
        .map(|(key, stock)| ConsignedRow {
            sku: key.sku.to_string(),
            location_id: key.location.to_string(),
            party_id: stock.party.to_string(),
            side: stock.side.as_str().to_owned(),
            units: stock.units,
            settled: stock.settled,
            settlements: stock.settlements,
        })
        .collect();
    let mut ids = EventIds::new(clock);
    let entries: Vec<EntryRow<'_>> = settled
        .entries
        .iter()
        .map(|entry| EntryRow {
            entry_id: ids.give(),
            party_id: entry.party.as_str(),
            side: entry.side.as_str(),
            sku: entry.key.sku.as_str(),
            location_id: entry.key.location.as_str(),
            cause: entry.cause.as_str(),
            units: entry.units,
            movement_id: entry.movement_id,
            line_no: entry.line as i32,
            reference: &entry.reference,
            effective_at: entry.effective_at,
            recorded_at: now,
        })
        .collect();
    sqlx::query!(
        r#"
        WITH stock AS (
            INSERT INTO inventory.consignment_stock
            SELECT *
              FROM jsonb_populate_recordset(NULL::inventory.consignment_stock, $1)
             -- One that gives its place up first.
             ORDER BY units > 0
                ON CONFLICT (sku, location_id, party_id, side) DO UPDATE
               SET units = EXCLUDED.units
                 , settled = EXCLUDED.settled
                 , settlements = EXCLUDED.settlements
        )
        INSERT INTO inventory.consignment_entries
        SELECT *
          FROM jsonb_populate_recordset(NULL::inventory.consignment_entries, $2)
        "#,
        Json(stock) as _,
        Json(entries) as _,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Reads a page of agreements in (location, party, side) order, after `after`.
pub async fn list_agreements(
    pool: &PgPool,
    party: Option<&PartnerId>,
    location: Option<&LocationId>,
    after: (&str, &str, &str),
    limit: i64,
) -> Result<Vec<Agreement>, sqlx::Error> {
    sqlx::query_as!(
        AgreementRow,
        r#"
        SELECT party_id
             , location_id
             , side
             , skus
             , valid_from
             , valid_until
             , levels_behind
             , version
             , created_at
             , updated_at
             , updated_by
          FROM inventory.consignment_agreements
         WHERE ($1::TEXT IS NULL OR party_id = $1)
           AND ($2::TEXT IS NULL OR location_id = $2)
           AND (location_id, party_id, side) > ($3, $4, $5)
         ORDER BY location_id
                , party_id
                , side
         LIMIT $6
        "#,
        party.map(PartnerId::as_str),
        location.map(LocationId::as_str),
        after.0,
        after.1,
        after.2,
        limit,
    )
    .fetch_all(pool)
    .await?
    .into_iter()
    .map(Agreement::try_from)
    .collect()
}

/// What lies somewhere and belongs to somebody else than its holder.
#[derive(Debug, Clone)]
pub struct ConsignedStock {
    pub sku: String,
    pub location_id: String,
    pub party_id: String,
    pub side: String,
    pub units: i64,
}

/// Reads a page of it in (SKU, location, party) order, after `after`.
pub async fn list_stock(
    pool: &PgPool,
    (party, location, sku): (Option<&PartnerId>, Option<&LocationId>, Option<&Sku>),
    now: DateTime<Utc>,
    after: (&str, &str, &str),
    limit: i64,
) -> Result<Vec<ConsignedStock>, sqlx::Error> {
    sqlx::query_as!(
        ConsignedStock,
        r#"
        SELECT sku AS "sku!"
             , location_id AS "location_id!"
             , party_id AS "party_id!"
             , side AS "side!"
             , units AS "units!"
          FROM (
                   SELECT sku
                        , location_id
                        , party_id
                        , side
                        , units
                     FROM inventory.consignment_stock
                    WHERE units > 0
                    UNION ALL
                   SELECT level.sku
                        , level.location_id
                        , agreement.party_id
                        , agreement.side
                        , level.sellable + level.damaged + level.quarantine
                     FROM inventory.consignment_agreements AS agreement
                     JOIN inventory.stock_levels AS level USING (location_id)
                    WHERE agreement.side = 'ours'
                      AND agreement.valid_from <= $4
                      AND (agreement.valid_until IS NULL OR agreement.valid_until > $4)
                      AND (agreement.skus IS NULL OR level.sku = ANY (agreement.skus))
                      AND level.sellable + level.damaged + level.quarantine > 0
               ) AS stock
         WHERE ($1::TEXT IS NULL OR party_id = $1)
           AND ($2::TEXT IS NULL OR location_id = $2)
           AND ($3::TEXT IS NULL OR sku = $3)
           AND (sku, location_id, party_id) > ($5, $6, $7)
         ORDER BY sku
                , location_id
                , party_id
         LIMIT $8
        "#,
        party.map(PartnerId::as_str),
        location.map(LocationId::as_str),
        sku.map(Sku::as_str),
        now,
        after.0,
        after.1,
        after.2,
        limit,
    )
    .fetch_all(pool)
    .await
}

/// Units that changed their owner.
#[derive(Debug, Clone)]
pub struct Settlement {
    pub entry_id: Uuid,
    pub party_id: String,
    pub side: String,
    pub sku: String,
    pub location_id: String,
    pub cause: String,
    pub units: i64,
    pub movement_id: Uuid,
    pub line_no: i32,
    pub reference: String,
    pub effective_at: DateTime<Utc>,
    pub recorded_at: DateTime<Utc>,
}

/// Reads a page of a partner's settlements by the time of recording, after `after`.
pub async fn list_settlements(
    pool: &PgPool,
    party: &PartnerId,
    (from, until): (DateTime<Utc>, DateTime<Utc>),
    after: Option<(DateTime<Utc>, Uuid)>,
    limit: i64,
) -> Result<Vec<Settlement>, sqlx::Error> {
    sqlx::query_as!(
        Settlement,
        r#"
        SELECT entry_id
             , party_id
             , side
             , sku
             , location_id
             , cause
             , units
             , movement_id
             , line_no
             , reference
             , effective_at
             , recorded_at
          FROM inventory.consignment_entries
         WHERE party_id = $1
           AND cause IN ('sold', 'taken', 'returned')
           AND recorded_at >= $2
           AND recorded_at < $3
           AND (recorded_at, entry_id) > ($4, $5)
         ORDER BY recorded_at
                , entry_id
         LIMIT $6
        "#,
        party.as_str(),
        from,
        until,
        after.map_or(DateTime::UNIX_EPOCH, |(at, _)| at),
        after.map_or(Uuid::nil(), |(_, id)| id),
        limit,
    )
    .fetch_all(pool)
    .await
}

/// An agreement as it was answered.
pub fn encode_agreement(agreement: &Agreement) -> Vec<u8> {
    serde_json::to_vec(&AgreementRow::of(agreement, false)).unwrap_or_default()
}

pub fn decode_agreement(bytes: &[u8]) -> Result<Agreement, sqlx::Error> {
    serde_json::from_slice::<AgreementRow>(bytes).map_err(|error| sqlx::Error::Decode(error.into()))?.try_into()
}
