//! Transfers and their lines.

use std::collections::HashMap;

use chrono::{DateTime, NaiveDate, Utc};
use oneshelf_values::{HoldId, LocationId, TransferId};
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgPool, types::Json};
use uuid::Uuid;

use super::{Inconsistency, parse};
use crate::domain::transfer::{Transfer, TransferLine, TransferState};

#[derive(Serialize, Deserialize)]
struct TransferRow {
    transfer_id: Uuid,
    source_location_id: String,
    destination_location_id: String,
    state: String,
    reference: String,
    expected_on: Option<NaiveDate>,
    hold_id: Option<Uuid>,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

#[derive(Serialize, Deserialize)]
struct LineRow {
    transfer_id: Uuid,
    sku: String,
    requested: i64,
    allocated: i64,
    shipped: i64,
    received: i64,
    damaged: i64,
    in_transit: i64,
    lost: i64,
    surplus: i64,
    surplus_settled: i64,
    /// Not in answers from before tracked goods could be sent.
    #[serde(default)]
    lots: Option<Json<Vec<(String, i64)>>>,
}

fn lots_row(line: &TransferLine) -> Option<Json<Vec<(String, i64)>>> {
    let lots = line.lots.iter().map(|(lot, units)| (lot.to_string(), *units)).collect();
    (!line.lots.is_empty()).then_some(Json(lots))
}

/// A transfer as its rows: how it is kept as an answer.
#[derive(Serialize, Deserialize)]
pub struct TransferRows(TransferRow, Vec<LineRow>);

impl From<&Transfer> for TransferRows {
    fn from(transfer: &Transfer) -> Self {
        Self(
            TransferRow {
                transfer_id: transfer.transfer_id.into(),
                source_location_id: transfer.source.to_string(),
                destination_location_id: transfer.destination.to_string(),
                state: transfer.state.as_str().to_owned(),
                reference: transfer.reference.clone(),
                expected_on: transfer.expected_on,
                hold_id: transfer.hold_id.map(Uuid::from),
                version: transfer.version,
                created_at: transfer.created_at,
                updated_at: transfer.updated_at,
            },
            transfer
                .lines
                .iter()
                .map(|line| LineRow {
                    transfer_id: transfer.transfer_id.into(),
                    sku: line.sku.to_string(),
                    requested: line.requested,
                    allocated: line.allocated,
                    shipped: line.shipped,
                    received: line.received,
                    damaged: line.damaged,
                    in_transit: line.in_transit,
                    lost: line.lost,
                    surplus: line.surplus,
                    surplus_settled: line.surplus_settled,
                    lots: lots_row(line),
                })
                .collect(),
        )
    }
}

impl TryFrom<TransferRows> for Transfer {
    type Error = sqlx::Error;

    fn try_from(TransferRows(row, lines): TransferRows) -> Result<Self, sqlx::Error> {
        Ok(Self {
            transfer_id: row.transfer_id.into(),
            source: parse("transfers", "source_location_id", &row.source_location_id)?,
            destination: parse("transfers", "destination_location_id", &row.destination_location_id)?,
            state: TransferState::parse(&row.state).ok_or_else(|| Inconsistency {
                table: "transfers",
                column: "state",
                key: row.transfer_id.to_string(),
                value: row.state.clone(),
            })?,
            reference: row.reference,
            expected_on: row.expected_on,
            hold_id: row.hold_id.map(HoldId::from),
            lines: lines
                .into_iter()
                .map(|line| {
                    Ok(TransferLine {
                        sku: parse("transfer_lines", "sku", &line.sku)?,
                        requested: line.requested,
                        allocated: line.allocated,
                        shipped: line.shipped,
                        received: line.received,
                        damaged: line.damaged,
                        in_transit: line.in_transit,
                        lost: line.lost,
                        surplus: line.surplus,
                        surplus_settled: line.surplus_settled,
                        lots: line
                            .lots
                            .into_iter()
                            .flat_map(|Json(lots)| lots)
                            .map(|(lot, units)| Ok((parse("transfer_lines", "lots", &lot)?, units)))
                            .collect::<Result<_, sqlx::Error>>()?,
                    })
                })
                .collect::<Result<_, sqlx::Error>>()?,
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

/// Locks transfers in id order, with their lines. Unknown ids are missing from the answer.
pub async fn lock_transfers(
    conn: &mut PgConnection,
    ids: &[Uuid],
) -> Result<HashMap<TransferId, Transfer>, sqlx::Error> {
    let rows = sqlx::query_as!(
        TransferRow,
        r#"
        SELECT transfer_id
             , source_location_id
             , destination_location_id
             , state
             , reference
             , expected_on
             , hold_id
             , version
             , created_at
             , updated_at
          FROM inventory.transfers
         WHERE transfer_id = ANY ($1)
         ORDER BY transfer_id
           FOR UPDATE
        "#,
        ids,
    )
    .fetch_all(&mut *conn)
    .await?;
    let transfers = attach_lines(conn, rows).await?;
    Ok(transfers.into_iter().map(|transfer| (transfer.transfer_id, transfer)).collect())
}

/// Reads one transfer as it stands.
pub async fn find_transfer(conn: &mut PgConnection, id: TransferId) -> Result<Option<Transfer>, sqlx::Error> {
    let rows = sqlx::query_as!(
        TransferRow,
        r#"
        SELECT transfer_id
             , source_location_id
             , destination_location_id
             , state
             , reference
             , expected_on
             , hold_id
             , version
             , created_at
             , updated_at
          FROM inventory.transfers
         WHERE transfer_id = $1
        "#,
        Uuid::from(id),
    )
    .fetch_all(&mut *conn)
    .await?;
    Ok(attach_lines(conn, rows).await?.pop())
}

/// Reads a page of transfers, newest first, before the given position.
pub async fn list_transfers(
    pool: &PgPool,
    state: Option<TransferState>,
    location: Option<&LocationId>,
    before: Option<(DateTime<Utc>, Uuid)>,
    limit: i64,
) -> Result<Vec<Transfer>, sqlx::Error> {
    let mut conn = pool.acquire().await?;
    let rows = sqlx::query_as!(
        TransferRow,
        r#"
        SELECT transfer_id
             , source_location_id
             , destination_location_id
             , state
             , reference
             , expected_on
             , hold_id
             , version
             , created_at
             , updated_at
          FROM inventory.transfers
         WHERE ($1::TEXT IS NULL OR state = $1)
           AND ($2::TEXT IS NULL OR source_location_id = $2 OR destination_location_id = $2)
           AND ($3::TIMESTAMPTZ IS NULL OR (created_at, transfer_id) < ($3, $4))
         ORDER BY created_at DESC
                , transfer_id DESC
         LIMIT $5
        "#,
        state.map(TransferState::as_str),
        location.map(LocationId::as_str),
        before.map(|(at, _)| at),
        before.map_or(Uuid::nil(), |(_, id)| id),
        limit,
    )
    .fetch_all(&mut *conn)
    .await?;
    attach_lines(&mut conn, rows).await
}

async fn attach_lines(conn: &mut PgConnection, rows: Vec<TransferRow>) -> Result<Vec<Transfer>, sqlx::Error> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<Uuid> = rows.iter().map(|row| row.transfer_id).collect();
    let mut lines: HashMap<Uuid, Vec<LineRow>> = HashMap::with_capacity(ids.len());
    let line_rows = sqlx::query_as!(
        LineRow,
        r#"
        SELECT transfer_id
             , sku
             , requested
             , allocated
             , shipped
             , received
             , damaged
             , in_transit
             , lost
             , surplus
             , surplus_settled
             , lots AS "lots: Json<Vec<(String, i64)>>"
          FROM inventory.transfer_lines
         WHERE transfer_id = ANY ($1)
         ORDER BY transfer_id
                , line_no
        "#,
        &ids,
    )
    .fetch_all(conn)
    .await?;
    for row in line_rows {
        lines.entry(row.transfer_id).or_default().push(row);
    }
    rows.into_iter()
        .map(|row| {
            let lines = lines.remove(&row.transfer_id).unwrap_or_default();
            Transfer::try_from(TransferRows(row, lines))
        })
        .collect()
}

/// Writes new and changed transfers; changed ones were locked by this transaction.
pub async fn save_transfers(conn: &mut PgConnection, transfers: &[Transfer]) -> Result<(), sqlx::Error> {
    let saved = sqlx::query!(
        r#"
        INSERT INTO inventory.transfers (
            transfer_id
          , source_location_id
          , destination_location_id
          , state
          , reference
          , expected_on
          , hold_id
          , version
          , created_at
          , updated_at
        )
        SELECT *
          FROM UNNEST(
                   $1::UUID[]
                 , $2::TEXT[]
                 , $3::TEXT[]
                 , $4::TEXT[]
                 , $5::TEXT[]
                 , $6::DATE[]
                 , $7::UUID[]
                 , $8::BIGINT[]
                 , $9::TIMESTAMPTZ[]
                 , $10::TIMESTAMPTZ[]
               )
            ON CONFLICT (transfer_id) DO UPDATE
           SET state = EXCLUDED.state
             , expected_on = EXCLUDED.expected_on
             , hold_id = EXCLUDED.hold_id
             , version = EXCLUDED.version
             , updated_at = EXCLUDED.updated_at
         WHERE transfers.version < EXCLUDED.version
        "#,
        &transfers.iter().map(|one| Uuid::from(one.transfer_id)).collect::<Vec<_>>(),
        &transfers.iter().map(|one| one.source.as_str()).collect::<Vec<_>>() as &[&str],
        &transfers.iter().map(|one| one.destination.as_str()).collect::<Vec<_>>() as &[&str],
        &transfers.iter().map(|one| one.state.as_str()).collect::<Vec<_>>() as &[&str],
        &transfers.iter().map(|one| one.reference.as_str()).collect::<Vec<_>>() as &[&str],
        &transfers.iter().map(|one| one.expected_on).collect::<Vec<_>>() as &[Option<NaiveDate>],
        &transfers.iter().map(|one| one.hold_id.map(Uuid::from)).collect::<Vec<_>>() as &[Option<Uuid>],
        &transfers.iter().map(|one| one.version).collect::<Vec<_>>(),
        &transfers.iter().map(|one| one.created_at).collect::<Vec<_>>(),
        &transfers.iter().map(|one| one.updated_at).collect::<Vec<_>>(),
    )
    .execute(&mut *conn)
    .await?;
    super::documents::expect_all(&saved, transfers.len())?;

    let lines: Vec<(Uuid, i32, &TransferLine)> = transfers
        .iter()
        .flat_map(|one| one.lines.iter().enumerate().map(|(place, line)| (one.transfer_id.into(), place as i32, line)))
        .collect();
    let column = |of: fn(&TransferLine) -> i64| lines.iter().map(|(.., line)| of(line)).collect::<Vec<_>>();
    sqlx::query!(
        r#"
        INSERT INTO inventory.transfer_lines (
            transfer_id
          , line_no
          , sku
          , requested
          , allocated
          , shipped
          , received
          , damaged
          , in_transit
          , lost
          , surplus
          , surplus_settled
          , lots
        )
        SELECT *
          FROM UNNEST(
                   $1::UUID[]
                 , $2::INT[]
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
                 , $13::JSONB[]
               )
            ON CONFLICT (transfer_id, line_no) DO UPDATE
           SET allocated = EXCLUDED.allocated
             , shipped = EXCLUDED.shipped
             , received = EXCLUDED.received
             , damaged = EXCLUDED.damaged
             , in_transit = EXCLUDED.in_transit
             , lost = EXCLUDED.lost
             , surplus = EXCLUDED.surplus
             , surplus_settled = EXCLUDED.surplus_settled
             , lots = EXCLUDED.lots
        "#,
        &lines.iter().map(|line| line.0).collect::<Vec<_>>(),
        &lines.iter().map(|line| line.1).collect::<Vec<_>>(),
        &lines.iter().map(|line| line.2.sku.as_str()).collect::<Vec<_>>() as &[&str],
        &column(|line| line.requested),
        &column(|line| line.allocated),
        &column(|line| line.shipped),
        &column(|line| line.received),
        &column(|line| line.damaged),
        &column(|line| line.in_transit),
        &column(|line| line.lost),
        &column(|line| line.surplus),
        &column(|line| line.surplus_settled),
        &lines.iter().map(|line| lots_row(line.2)).collect::<Vec<_>>() as &[Option<Json<Vec<(String, i64)>>>],
    )
    .execute(conn)
    .await?;
    Ok(())
}
