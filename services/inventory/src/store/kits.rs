//! Kits, and what was announced of them.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use oneshelf_values::{ChannelId, Sku};
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgPool, types::Json};

use super::parse;
use crate::domain::{
    kit::{Kit, KitLevel},
    policy::Audit,
    stock_level::LevelKey,
};

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct KitRow {
    kit_sku: String,
    components: Json<BTreeMap<String, i64>>,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    updated_by: String,
}

impl From<&Kit> for KitRow {
    fn from(kit: &Kit) -> Self {
        Self {
            kit_sku: kit.sku.to_string(),
            components: Json(kit.components.iter().map(|(sku, units)| (sku.to_string(), *units)).collect()),
            version: kit.audit.version,
            created_at: kit.audit.created_at,
            updated_at: kit.audit.updated_at,
            updated_by: kit.audit.updated_by.clone(),
        }
    }
}

impl TryFrom<KitRow> for Kit {
    type Error = sqlx::Error;

    fn try_from(row: KitRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            sku: parse("kits", "kit_sku", &row.kit_sku)?,
            components: row
                .components
                .iter()
                .map(|(sku, units)| Ok((parse("kit_components", "component_sku", sku)?, *units)))
                .collect::<Result<_, sqlx::Error>>()?,
            audit: Audit {
                version: row.version,
                created_at: row.created_at,
                updated_at: row.updated_at,
                updated_by: row.updated_by,
            },
        })
    }
}

/// Reads the kits that these SKUs are, and those that they are in. Where a level of a component is locked, so are the
/// kits that it is in: they change under the locks of all levels of their components only.
pub async fn find_kits(conn: &mut PgConnection, skus: &[&str]) -> Result<Vec<Kit>, sqlx::Error> {
    sqlx::query_as!(
        KitRow,
        r#"
        SELECT kits.kit_sku
             , jsonb_object_agg(component_sku, units) AS "components!: Json<BTreeMap<String, i64>>"
             , version
             , created_at
             , updated_at
             , updated_by
          FROM inventory.kits
          JOIN inventory.kit_components USING (kit_sku)
         WHERE kits.kit_sku IN (
                   SELECT UNNEST($1::TEXT[])
                    UNION
                   SELECT part.kit_sku
                     FROM inventory.kit_components AS part
                    WHERE part.component_sku = ANY ($1)
               )
         GROUP BY kits.kit_sku
        "#,
        skus as &[&str],
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(Kit::try_from)
    .collect()
}

/// The components that these SKUs have now, as far as they are kits, sorted.
pub async fn list_components(conn: &mut PgConnection, skus: &[&str]) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"
        SELECT DISTINCT component_sku
          FROM inventory.kit_components
         WHERE kit_sku = ANY ($1)
         ORDER BY component_sku
        "#,
        skus as &[&str],
    )
    .fetch_all(conn)
    .await
}

/// Which of these SKUs, all of whose levels are locked, are in an open document: due, on the way, counted or promised.
pub async fn list_skus_in_documents(conn: &mut PgConnection, skus: &[&str]) -> Result<Vec<Sku>, sqlx::Error> {
    let skus = sqlx::query_scalar!(
        r#"
        SELECT sku AS "sku!"
          FROM inventory.transfer_lines
          JOIN inventory.transfers USING (transfer_id)
         WHERE sku = ANY ($1)
           AND state NOT IN ('received', 'cancelled')
         UNION
        SELECT sku
          FROM inventory.inbound_lines
          JOIN inventory.inbounds USING (inbound_id)
         WHERE sku = ANY ($1)
           AND state NOT IN ('complete', 'closed', 'cancelled')
         UNION
        SELECT sku
          FROM inventory.count_lines
          JOIN inventory.counts USING (count_id)
         WHERE sku = ANY ($1)
           AND state NOT IN ('posted', 'cancelled')
         UNION
        SELECT sku
          FROM inventory.promise_lines
          JOIN inventory.promises USING (promise_id)
         WHERE sku = ANY ($1)
           AND state = 'open'
        "#,
        skus as &[&str],
    )
    .fetch_all(conn)
    .await?;
    skus.iter().map(|sku| parse("kits", "kit_sku", sku)).collect()
}

/// Locks what was announced of kits, which must be sorted, after all levels. Rows that are missing are made, at the version
/// that the SKU's own level has, if there is one.
pub async fn lock_kit_levels(
    conn: &mut PgConnection,
    keys: &[LevelKey],
    now: DateTime<Utc>,
) -> Result<HashMap<LevelKey, KitLevel>, sqlx::Error> {
    debug_assert!(keys.is_sorted(), "locks are taken in order");
    let (skus, locations) = columns(keys);
    let mut locked = lock_existing(conn, keys, &skus, &locations).await?;
    if locked.len() < keys.len() {
        sqlx::query!(
            r#"
            INSERT INTO inventory.kit_levels (kit_sku, location_id, version, available, channels, updated_at)
            SELECT wanted.sku
                 , wanted.location_id
                 , COALESCE(levels.version, 0)
                 , 0
                 , '{}'
                 , $3
              FROM UNNEST($1::TEXT[], $2::TEXT[]) WITH ORDINALITY AS wanted (sku, location_id, ordinality)
              LEFT JOIN inventory.stock_levels AS levels USING (sku, location_id)
             ORDER BY ordinality
                ON CONFLICT DO NOTHING
            "#,
            &skus as &[&str],
            &locations as &[&str],
            now,
        )
        .execute(&mut *conn)
        .await?;
        locked = lock_existing(conn, keys, &skus, &locations).await?;
    }
    Ok(locked)
}

async fn lock_existing(
    conn: &mut PgConnection,
    keys: &[LevelKey],
    skus: &[&str],
    locations: &[&str],
) -> Result<HashMap<LevelKey, KitLevel>, sqlx::Error> {
    sqlx::query!(
        r#"
        SELECT ordinality AS "ordinality!"
             , version
             , available
             , channels AS "channels: Json<BTreeMap<String, i64>>"
          FROM UNNEST($1::TEXT[], $2::TEXT[]) WITH ORDINALITY AS wanted (kit_sku, location_id, ordinality)
          JOIN inventory.kit_levels USING (kit_sku, location_id)
         ORDER BY ordinality
           FOR UPDATE OF kit_levels
        "#,
        skus as &[&str],
        locations as &[&str],
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(|row| {
        let level = KitLevel { version: row.version, available: row.available, channels: channels(&row.channels.0)? };
        Ok((keys[row.ordinality as usize - 1].clone(), level))
    })
    .collect()
}

/// Writes what is announced of kits now.
pub async fn upsert_kit_levels(
    conn: &mut PgConnection,
    levels: &[(LevelKey, KitLevel)],
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    let named: Vec<serde_json::Value> = levels
        .iter()
        .map(|(_, level)| {
            level.channels.iter().map(|(channel, units)| (channel.to_string(), (*units).into())).collect()
        })
        .map(serde_json::Value::Object)
        .collect();
    sqlx::query!(
        r#"
        INSERT INTO inventory.kit_levels (kit_sku, location_id, version, available, channels, updated_at)
        SELECT kit_sku
             , location_id
             , version
             , available
             , channels
             , $6
          FROM UNNEST($1::TEXT[], $2::TEXT[], $3::BIGINT[], $4::BIGINT[], $5::JSONB[])
               AS changed (kit_sku, location_id, version, available, channels)
            ON CONFLICT (kit_sku, location_id) DO UPDATE
           SET version = EXCLUDED.version
             , available = EXCLUDED.available
             , channels = EXCLUDED.channels
             , updated_at = EXCLUDED.updated_at
        "#,
        &levels.iter().map(|(key, _)| key.sku.as_str()).collect::<Vec<_>>() as &[&str],
        &levels.iter().map(|(key, _)| key.location.as_str()).collect::<Vec<_>>() as &[&str],
        &levels.iter().map(|(_, level)| level.version).collect::<Vec<_>>(),
        &levels.iter().map(|(_, level)| level.available).collect::<Vec<_>>(),
        &named,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Writes definitions, and remembers them.
pub async fn upsert_kits(conn: &mut PgConnection, kits: &[Kit]) -> Result<(), sqlx::Error> {
    let rows: Vec<KitRow> = kits.iter().map(KitRow::from).collect();
    sqlx::query!(
        r#"
        WITH given AS (
            SELECT *
              FROM jsonb_to_recordset($1) AS given (
                       kit_sku TEXT
                     , components JSONB
                     , version BIGINT
                     , created_at TIMESTAMPTZ
                     , updated_at TIMESTAMPTZ
                     , updated_by TEXT
                   )
        )
           , remembered AS (
            INSERT INTO inventory.kit_changes
            SELECT kit_sku
                 , version
                 , components
                 , updated_at
                 , updated_by
              FROM given
        )
           , gone AS (
            DELETE FROM inventory.kit_components
             USING given
             WHERE kit_components.kit_sku = given.kit_sku
               AND NOT given.components ? kit_components.component_sku
        )
           , defined AS (
            INSERT INTO inventory.kits
            SELECT kit_sku
                 , version
                 , created_at
                 , updated_at
                 , updated_by
              FROM given
                ON CONFLICT (kit_sku) DO UPDATE
               SET version = EXCLUDED.version
                 , updated_at = EXCLUDED.updated_at
                 , updated_by = EXCLUDED.updated_by
        )
        INSERT INTO inventory.kit_components (kit_sku, component_sku, units)
        SELECT given.kit_sku
             , part.key
             , part.value::BIGINT
          FROM given
         CROSS JOIN LATERAL jsonb_each_text(given.components) AS part
            ON CONFLICT (kit_sku, component_sku) DO UPDATE
           SET units = EXCLUDED.units
        "#,
        Json(rows) as _,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Says of the levels that SKUs had that they are a kit's now; all of them are locked, and empty.
pub async fn mark_kit_levels(conn: &mut PgConnection, skus: &[Sku]) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        UPDATE inventory.stock_levels
           SET kit = TRUE
             , has_rules = TRUE
         WHERE sku = ANY ($1)
        "#,
        &skus.iter().map(Sku::as_str).collect::<Vec<_>>() as &[&str],
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The versions that were announced last of kits, without locks.
pub async fn list_kit_versions(pool: &PgPool, kits: &[&str]) -> Result<HashMap<LevelKey, i64>, sqlx::Error> {
    sqlx::query!(
        r#"
        SELECT kit_sku
             , location_id
             , version
          FROM inventory.kit_levels
         WHERE kit_sku = ANY ($1)
        "#,
        kits as &[&str],
    )
    .fetch_all(pool)
    .await?
    .into_iter()
    .map(|row| {
        let key = LevelKey {
            sku: parse("kit_levels", "kit_sku", &row.kit_sku)?,
            location: parse("kit_levels", "location_id", &row.location_id)?,
        };
        Ok((key, row.version))
    })
    .collect()
}

/// Reads a page of kits by SKU, after `after`.
pub async fn list_kits(
    pool: &PgPool,
    kit: Option<&Sku>,
    component: Option<&Sku>,
    after: &str,
    limit: i64,
) -> Result<Vec<Kit>, sqlx::Error> {
    sqlx::query_as!(
        KitRow,
        r#"
        SELECT kits.kit_sku
             , jsonb_object_agg(component_sku, units) AS "components!: Json<BTreeMap<String, i64>>"
             , version
             , created_at
             , updated_at
             , updated_by
          FROM inventory.kits
          JOIN inventory.kit_components USING (kit_sku)
         WHERE kits.kit_sku > $1
           AND ($2::TEXT IS NULL OR kits.kit_sku = $2)
           AND (
                   $3::TEXT IS NULL
                OR kits.kit_sku IN (
                       SELECT part.kit_sku
                         FROM inventory.kit_components AS part
                        WHERE part.component_sku = $3
                   )
               )
         GROUP BY kits.kit_sku
         ORDER BY kits.kit_sku
         LIMIT $4
        "#,
        after,
        kit.map(Sku::as_str),
        component.map(Sku::as_str),
        limit,
    )
    .fetch_all(pool)
    .await?
    .into_iter()
    .map(Kit::try_from)
    .collect()
}

fn channels(stored: &BTreeMap<String, i64>) -> Result<Vec<(ChannelId, i64)>, sqlx::Error> {
    stored.iter().map(|(channel, units)| Ok((parse("kit_levels", "channels", channel)?, *units))).collect()
}

fn columns(keys: &[LevelKey]) -> (Vec<&str>, Vec<&str>) {
    keys.iter().map(|key| (key.sku.as_str(), key.location.as_str())).unzip()
}
