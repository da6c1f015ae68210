//! When and how much is reordered, and the figures that it is judged by.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use oneshelf_values::{LocationId, Sku};
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgPool, types::Json};

use super::{Inconsistency, parse};
use crate::domain::{
    policy::Audit,
    reorder::{Demand, Position, ReorderPolicy, ReorderTerms, Supply},
    stock_level::LevelKey,
};

/// A policy as its row, and as it is kept as an answer.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ReorderPolicyRow {
    sku: String,
    location_id: String,
    reorder_point: i64,
    order_up_to: i64,
    pack_multiple: i64,
    lead_time_hours: i32,
    lead_time_deviation_hours: i32,
    review_days: i32,
    service_level_basis_points: i32,
    paused: bool,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    updated_by: String,
}

impl From<&ReorderPolicy> for ReorderPolicyRow {
    fn from(policy: &ReorderPolicy) -> Self {
        let (terms, supply, audit) = (&policy.terms, &policy.terms.supply, &policy.audit);
        Self {
            sku: policy.key.sku.to_string(),
            location_id: policy.key.location.to_string(),
            reorder_point: terms.reorder_point,
            order_up_to: terms.order_up_to,
            pack_multiple: terms.pack_multiple,
            lead_time_hours: supply.lead_time_hours,
            lead_time_deviation_hours: supply.lead_time_deviation_hours,
            review_days: supply.review_days,
            service_level_basis_points: supply.service_level_basis_points,
            paused: terms.paused,
            version: audit.version,
            created_at: audit.created_at,
            updated_at: audit.updated_at,
            updated_by: audit.updated_by.clone(),
        }
    }
}

impl TryFrom<ReorderPolicyRow> for ReorderPolicy {
    type Error = sqlx::Error;

    fn try_from(row: ReorderPolicyRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            key: key(&row.sku, &row.location_id)?,
            terms: ReorderTerms {
                reorder_point: row.reorder_point,
                order_up_to: row.order_up_to,
                pack_multiple: row.pack_multiple,
                supply: Supply {
                    lead_time_hours: row.lead_time_hours,
                    lead_time_deviation_hours: row.lead_time_deviation_hours,
                    review_days: row.review_days,
                    service_level_basis_points: row.service_level_basis_points,
                },
                paused: row.paused,
            },
            audit: Audit {
                version: row.version,
                created_at: row.created_at,
                updated_at: row.updated_at,
                updated_by: row.updated_by,
            },
        })
    }
}

fn key(sku: &str, location_id: &str) -> Result<LevelKey, sqlx::Error> {
    Ok(LevelKey {
        sku: parse("reorder_policies", "sku", sku)?,
        location: parse("reorder_policies", "location_id", location_id)?,
    })
}

/// A policy and what its SKU has at its location.
#[derive(Debug, Clone)]
pub struct Positioned {
    pub policy: ReorderPolicy,
    pub position: Position,
}

/// Locks the policies that there are of these keys, which must be sorted.
pub async fn lock_reorder_policies(
    conn: &mut PgConnection,
    keys: &[LevelKey],
) -> Result<HashMap<LevelKey, ReorderPolicy>, sqlx::Error> {
    let (skus, locations): (Vec<&str>, Vec<&str>) =
        keys.iter().map(|key| (key.sku.as_str(), key.location.as_str())).unzip();
    sqlx::query_as!(
        ReorderPolicyRow,
        r#"
        SELECT policy.sku
             , policy.location_id
             , reorder_point
             , order_up_to
             , pack_multiple
             , lead_time_hours
             , lead_time_deviation_hours
             , review_days
             , service_level_basis_points
             , paused
             , version
             , created_at
             , updated_at
             , updated_by
          FROM UNNEST($1::TEXT[], $2::TEXT[]) WITH ORDINALITY AS wanted (sku, location_id, ordinality)
          JOIN inventory.reorder_policies AS policy
            ON policy.sku = wanted.sku
           AND policy.location_id = wanted.location_id
         ORDER BY ordinality
           FOR UPDATE OF policy
        "#,
        &skus as &[&str],
        &locations as &[&str],
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(|row| ReorderPolicy::try_from(row).map(|policy| (policy.key.clone(), policy)))
    .collect()
}

/// Writes policies that were set, and remembers them. Answers whether each was as it had been read: a policy that is new
/// has no row to lock, so two may make it at once.
pub async fn upsert_reorder_policies(conn: &mut PgConnection, policies: &[ReorderPolicy]) -> Result<bool, sqlx::Error> {
    let rows: Vec<ReorderPolicyRow> = policies.iter().map(ReorderPolicyRow::from).collect();
    let written = sqlx::query_scalar!(
        r#"
        WITH given AS (
            SELECT *
              FROM jsonb_populate_recordset(NULL::inventory.reorder_policies, $1)
        )
           , written AS (
            INSERT INTO inventory.reorder_policies AS known
            SELECT *
              FROM given
             ORDER BY sku
                    , location_id
                ON CONFLICT (sku, location_id) DO UPDATE
               SET reorder_point = EXCLUDED.reorder_point
                 , order_up_to = EXCLUDED.order_up_to
                 , pack_multiple = EXCLUDED.pack_multiple
                 , lead_time_hours = EXCLUDED.lead_time_hours
                 , lead_time_deviation_hours = EXCLUDED.lead_time_deviation_hours
                 , review_days = EXCLUDED.review_days
                 , service_level_basis_points = EXCLUDED.service_level_basis_points
                 , paused = EXCLUDED.paused
                 , version = EXCLUDED.version
                 , updated_at = EXCLUDED.updated_at
                 , updated_by = EXCLUDED.updated_by
             WHERE known.version = EXCLUDED.version - 1
            RETURNING *
        )
           , remembered AS (
            INSERT INTO inventory.reorder_policy_changes
            SELECT sku
                 , location_id
                 , version
                 , reorder_point
                 , order_up_to
                 , pack_multiple
                 , lead_time_hours
                 , lead_time_deviation_hours
                 , review_days
                 , service_level_basis_points
                 , paused
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
    Ok(written as usize == policies.len())
}

/// Reads a page of policies in (SKU, location) order, after `after`.
pub async fn list_reorder_policies(
    pool: &PgPool,
    sku: Option<&Sku>,
    location: Option<&LocationId>,
    after: (&str, &str),
    limit: i64,
) -> Result<Vec<ReorderPolicy>, sqlx::Error> {
    sqlx::query_as!(
        ReorderPolicyRow,
        r#"
        SELECT sku
             , location_id
             , reorder_point
             , order_up_to
             , pack_multiple
             , lead_time_hours
             , lead_time_deviation_hours
             , review_days
             , service_level_basis_points
             , paused
             , version
             , created_at
             , updated_at
             , updated_by
          FROM inventory.reorder_policies
         WHERE ($1::TEXT IS NULL OR sku = $1)
           AND ($2::TEXT IS NULL OR location_id = $2)
           AND (sku, location_id) > ($3, $4)
         ORDER BY sku
                , location_id
         LIMIT $5
        "#,
        sku.map(Sku::as_str),
        location.map(LocationId::as_str),
        after.0,
        after.1,
        limit,
    )
    .fetch_all(pool)
    .await?
    .into_iter()
    .map(ReorderPolicy::try_from)
    .collect()
}

/// What each of these SKUs has at its location now, is to get and owes; in the order of the policies. Expired holds that
/// wait for the sweeper do not count as held.
pub async fn list_positions(
    pool: &PgPool,
    policies: Vec<ReorderPolicy>,
    now: DateTime<Utc>,
) -> Result<Vec<Positioned>, sqlx::Error> {
    let (skus, locations): (Vec<&str>, Vec<&str>) =
        policies.iter().map(|policy| (policy.key.sku.as_str(), policy.key.location.as_str())).unzip();
    let rows = sqlx::query!(
        r#"
        WITH wanted AS (
            SELECT *
              FROM UNNEST($1::TEXT[], $2::TEXT[]) WITH ORDINALITY AS wanted (sku, location_id, ordinality)
        )
           , expired AS (
            SELECT hold_lines.sku
                 , hold_lines.location_id
                 , SUM(hold_lines.held)::BIGINT AS held
              FROM inventory.holds
              JOIN inventory.hold_lines USING (hold_id)
             WHERE holds.state = 'held'
               AND holds.kind = 'soft'
               AND holds.expires_at <= $3
             GROUP BY hold_lines.sku
                    , hold_lines.location_id
        )
           , supply AS (
            SELECT sku
                 , location_id
                 , SUM(quantity)::BIGINT AS units
              FROM (
                       SELECT sku
                            , location_id
                            , due AS quantity
                         FROM inventory.inbound_lines
                        WHERE due > 0
                          AND (sku, location_id) IN (SELECT sku, location_id FROM wanted)
                        UNION ALL
                       SELECT transfer_lines.sku
                            , transfers.destination_location_id
                            , transfer_lines.in_transit
                         FROM inventory.transfer_lines
                         JOIN inventory.transfers USING (transfer_id)
                        WHERE transfer_lines.in_transit > 0
                          AND (transfer_lines.sku, transfers.destination_location_id)
                           IN (SELECT sku, location_id FROM wanted)
                   ) AS due
             GROUP BY sku
                    , location_id
        )
           , claims AS (
            SELECT sku
                 , location_id
                 , SUM(waiting)::BIGINT AS units
              FROM inventory.promise_lines
             WHERE waiting > 0
               AND (sku, location_id) IN (SELECT sku, location_id FROM wanted)
             GROUP BY sku
                    , location_id
        )
        SELECT COALESCE(levels.sellable, 0) AS "sellable!"
             , COALESCE(levels.hard_held + levels.soft_held - COALESCE(expired.held, 0), 0) AS "held!"
             , COALESCE(supply.units, 0) AS "inbound!"
             , COALESCE(claims.units, 0) AS "claimed!"
          FROM wanted
          LEFT JOIN inventory.stock_levels AS levels USING (sku, location_id)
          LEFT JOIN expired USING (sku, location_id)
          LEFT JOIN supply USING (sku, location_id)
          LEFT JOIN claims USING (sku, location_id)
         ORDER BY ordinality
        "#,
        &skus as &[&str],
        &locations as &[&str],
        now,
    )
    .fetch_all(pool)
    .await?;
    let positions = rows.into_iter().map(|row| Position {
        sellable: row.sellable,
        held: row.held,
        inbound: row.inbound,
        claimed: row.claimed,
    });
    Ok(policies.into_iter().zip(positions).map(|(policy, position)| Positioned { policy, position }).collect())
}

/// What of these SKUs left a location's shelf for customers in whole days of UTC, from `from` until before `to`, in the
/// order given. Reads the months of the ledger that the days lie in, and of them these SKUs at this location.
pub async fn sum_demand(
    pool: &PgPool,
    location: &LocationId,
    skus: &[Sku],
    (from, to): (DateTime<Utc>, DateTime<Utc>),
) -> Result<Vec<Demand>, sqlx::Error> {
    let days = (to - from).num_days();
    let rows = sqlx::query!(
        r#"
        SELECT ordinality AS "ordinality!"
             , COUNT(*) AS "demand_days!"
             , SUM(units)::TEXT AS "units!"
             , SUM(units * units)::TEXT AS "squares!"
          FROM (
                   SELECT ordinality
                        , SUM(entries.quantity) AS units
                     FROM UNNEST($1::TEXT[]) WITH ORDINALITY AS wanted (sku, ordinality)
                     JOIN inventory.ledger_entries AS entries USING (sku)
                    WHERE COALESCE(entries.source_location_id, entries.target_location_id) = $2
                      AND entries.source = 'sellable'
                      AND entries.target = 'customer'
                      AND entries.effective_at >= $3
                      AND entries.effective_at < $4
                    GROUP BY ordinality
                           , (entries.effective_at AT TIME ZONE 'UTC')::DATE
               ) AS sold
         GROUP BY ordinality
        "#,
        &skus.iter().map(Sku::as_str).collect::<Vec<_>>() as &[&str],
        location.as_str(),
        from,
        to,
    )
    .fetch_all(pool)
    .await?;
    let mut demands = vec![Demand { days, ..Demand::default() }; skus.len()];
    for row in rows {
        // Sums of squares pass what a column of 64 bits holds.
        let number = |text: &str| {
            text.parse::<i128>().map_err(|_| Inconsistency {
                table: "ledger_entries",
                column: "quantity",
                key: skus[row.ordinality as usize - 1].to_string(),
                value: text.to_owned(),
            })
        };
        let demand = &mut demands[row.ordinality as usize - 1];
        demand.demand_days = row.demand_days;
        demand.units = number(&row.units)?;
        demand.squares = number(&row.squares)?;
    }
    Ok(demands)
}

/// Policies as they were answered.
pub fn encode_reorder_policies(policies: &[ReorderPolicy]) -> Vec<u8> {
    let rows: Vec<ReorderPolicyRow> = policies.iter().map(ReorderPolicyRow::from).collect();
    // Plain structs of text and numbers always have a JSON form.
    serde_json::to_vec(&rows).unwrap_or_default()
}

pub fn decode_reorder_policies(bytes: &[u8]) -> Result<Vec<ReorderPolicy>, sqlx::Error> {
    let rows: Vec<ReorderPolicyRow> =
        serde_json::from_slice(bytes).map_err(|error| sqlx::Error::Decode(error.into()))?;
    rows.into_iter().map(ReorderPolicy::try_from).collect()
}

/// The supply terms of these SKUs' policies at a location.
pub async fn find_supply_terms(
    pool: &PgPool,
    location: &LocationId,
    skus: &[Sku],
) -> Result<HashMap<Sku, Supply>, sqlx::Error> {
    sqlx::query!(
        r#"
        SELECT sku
             , lead_time_hours
             , lead_time_deviation_hours
             , review_days
             , service_level_basis_points
          FROM inventory.reorder_policies
         WHERE location_id = $1
           AND sku = ANY ($2)
        "#,
        location.as_str(),
        &skus.iter().map(Sku::as_str).collect::<Vec<_>>() as &[&str],
    )
    .fetch_all(pool)
    .await?
    .into_iter()
    .map(|row| {
        let supply = Supply {
            lead_time_hours: row.lead_time_hours,
            lead_time_deviation_hours: row.lead_time_deviation_hours,
            review_days: row.review_days,
            service_level_basis_points: row.service_level_basis_points,
        };
        Ok((parse("reorder_policies", "sku", &row.sku)?, supply))
    })
    .collect()
}
