//! What units cost us.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use oneshelf_values::{Currency, Sku, UnitPrice};
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgPool, types::Json};

use super::parse;
use crate::domain::{cost::UnitCost, policy::Audit};

/// A cost as its row, and as it is kept as an answer.
#[derive(Debug, Serialize, Deserialize)]
struct CostRow {
    sku: String,
    cost_micros: i64,
    currency: String,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    updated_by: String,
}

impl From<&UnitCost> for CostRow {
    fn from(cost: &UnitCost) -> Self {
        Self {
            sku: cost.sku.to_string(),
            cost_micros: cost.cost.micros(),
            currency: cost.cost.currency().code().to_owned(),
            version: cost.audit.version,
            created_at: cost.audit.created_at,
            updated_at: cost.audit.updated_at,
            updated_by: cost.audit.updated_by.clone(),
        }
    }
}

impl TryFrom<CostRow> for UnitCost {
    type Error = sqlx::Error;

    fn try_from(row: CostRow) -> Result<Self, sqlx::Error> {
        let currency: Currency = parse("unit_costs", "currency", &row.currency)?;
        Ok(Self {
            sku: parse("unit_costs", "sku", &row.sku)?,
            cost: UnitPrice::new(row.cost_micros, currency),
            audit: Audit {
                version: row.version,
                created_at: row.created_at,
                updated_at: row.updated_at,
                updated_by: row.updated_by,
            },
        })
    }
}

/// Locks the costs that there are of these SKUs.
pub async fn lock_unit_costs(conn: &mut PgConnection, skus: &[&str]) -> Result<HashMap<Sku, UnitCost>, sqlx::Error> {
    sqlx::query_as!(
        CostRow,
        r#"
        SELECT sku
             , cost_micros
             , currency
             , version
             , created_at
             , updated_at
             , updated_by
          FROM inventory.unit_costs
         WHERE sku = ANY ($1)
         ORDER BY sku
           FOR UPDATE
        "#,
        skus as &[&str],
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(|row| UnitCost::try_from(row).map(|cost| (cost.sku.clone(), cost)))
    .collect()
}

/// Writes costs that were set, and remembers them. Answers whether each was as it had been read: a new one has no row to
/// lock, so two may make it at once.
pub async fn upsert_unit_costs(conn: &mut PgConnection, costs: &[UnitCost]) -> Result<bool, sqlx::Error> {
    let rows: Vec<CostRow> = costs.iter().map(CostRow::from).collect();
    let written = sqlx::query_scalar!(
        r#"
        WITH written AS (
            INSERT INTO inventory.unit_costs AS known
            SELECT *
              FROM jsonb_populate_recordset(NULL::inventory.unit_costs, $1)
             ORDER BY sku
                ON CONFLICT (sku) DO UPDATE
               SET cost_micros = EXCLUDED.cost_micros
                 , currency = EXCLUDED.currency
                 , version = EXCLUDED.version
                 , updated_at = EXCLUDED.updated_at
                 , updated_by = EXCLUDED.updated_by
             WHERE known.version = EXCLUDED.version - 1
            RETURNING *
        )
           , remembered AS (
            INSERT INTO inventory.unit_cost_changes
            SELECT sku
                 , version
                 , cost_micros
                 , currency
                 , updated_at
                 , updated_by
              FROM written
        )
        SELECT COUNT(*) AS "written!"
          FROM written
        "#,
        Json(rows) as _,
    )
    .fetch_one(conn)
    .await?;
    Ok(written as usize == costs.len())
}

/// Reads a page of costs by SKU, after `after`.
pub async fn list_unit_costs(pool: &PgPool, after: &str, limit: i64) -> Result<Vec<UnitCost>, sqlx::Error> {
    sqlx::query_as!(
        CostRow,
        r#"
        SELECT sku
             , cost_micros
             , currency
             , version
             , created_at
             , updated_at
             , updated_by
          FROM inventory.unit_costs
         WHERE sku > $1
         ORDER BY sku
         LIMIT $2
        "#,
        after,
        limit,
    )
    .fetch_all(pool)
    .await?
    .into_iter()
    .map(UnitCost::try_from)
    .collect()
}

/// The costs in a currency of all SKUs that have a level at a location, in millionths.
pub async fn find_costs_at(
    conn: &mut PgConnection,
    location_id: &str,
    currency: Currency,
) -> Result<HashMap<Sku, i64>, sqlx::Error> {
    sqlx::query!(
        r#"
        SELECT sku
             , cost_micros
          FROM inventory.unit_costs
          JOIN inventory.stock_levels USING (sku)
         WHERE location_id = $1
           AND currency = $2
        "#,
        location_id,
        currency.code(),
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(|row| Ok((parse("unit_costs", "sku", &row.sku)?, row.cost_micros)))
    .collect()
}

/// Costs as they were answered.
pub fn encode_unit_costs(costs: &[UnitCost]) -> Vec<u8> {
    let rows: Vec<CostRow> = costs.iter().map(CostRow::from).collect();
    // Plain structs of text and numbers always have a JSON form.
    serde_json::to_vec(&rows).unwrap_or_default()
}

pub fn decode_unit_costs(bytes: &[u8]) -> Result<Vec<UnitCost>, sqlx::Error> {
    let rows: Vec<CostRow> = serde_json::from_slice(bytes).map_err(|error| sqlx::Error::Decode(error.into()))?;
    rows.into_iter().map(UnitCost::try_from).collect()
}
