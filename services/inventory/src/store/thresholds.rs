//! What channels are told of SKUs, and what is counted for it.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use oneshelf_values::{ChannelId, Sku};
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgPool, types::Json};

use super::{Inconsistency, parse};
use crate::domain::{
    availability::Band,
    policy::Audit,
    stock_level::LevelKey,
    threshold::{Part, Settled, Threshold, ThresholdTerms, Thresholds},
};

/// A threshold as its row, and as it is kept as an answer.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ThresholdRow {
    sku: String,
    channel_id: String,
    low_threshold: i64,
    ended: bool,
    location_ids: Vec<String>,
    total: i64,
    available: i64,
    band: String,
    crossings: i64,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    updated_by: String,
}

#[derive(Serialize)]
struct PartRow<'a> {
    sku: &'a str,
    location_id: &'a str,
    channel_id: &'a str,
    available: i64,
}

const BANDS: [(Band, &str); 3] = [(Band::InStock, "in_stock"), (Band::Low, "low"), (Band::Out, "out")];

impl From<&Threshold> for ThresholdRow {
    fn from(threshold: &Threshold) -> Self {
        let band = BANDS.iter().find(|(band, _)| *band == threshold.band);
        Self {
            sku: threshold.sku.to_string(),
            channel_id: threshold.channel.to_string(),
            low_threshold: threshold.terms.low_threshold,
            ended: threshold.terms.ended,
            location_ids: threshold.locations.clone(),
            total: threshold.total,
            available: threshold.available,
            band: band.map_or("", |(_, name)| name).to_owned(),
            crossings: threshold.crossings,
            version: threshold.audit.version,
            created_at: threshold.audit.created_at,
            updated_at: threshold.audit.updated_at,
            updated_by: threshold.audit.updated_by.clone(),
        }
    }
}

impl TryFrom<ThresholdRow> for Threshold {
    type Error = sqlx::Error;

    fn try_from(row: ThresholdRow) -> Result<Self, sqlx::Error> {
        let (band, _) = BANDS.iter().find(|(_, name)| *name == row.band).ok_or_else(|| Inconsistency {
            table: "stock_thresholds",
            column: "band",
            key: row.sku.clone(),
            value: row.band.clone(),
        })?;
        Ok(Self {
            sku: parse("stock_thresholds", "sku", &row.sku)?,
            channel: parse("stock_thresholds", "channel_id", &row.channel_id)?,
            terms: ThresholdTerms { low_threshold: row.low_threshold, ended: row.ended },
            locations: row.location_ids,
            total: row.total,
            available: row.available,
            band: *band,
            crossings: row.crossings,
            audit: Audit {
                version: row.version,
                created_at: row.created_at,
                updated_at: row.updated_at,
                updated_by: row.updated_by,
            },
        })
    }
}

/// Locks the thresholds of SKUs, sorted, after all levels and counters; with what of these levels is counted
/// in them, and where these channels sell from.
pub async fn lock_thresholds(
    conn: &mut PgConnection,
    skus: &[&str],
    keys: &[&LevelKey],
    channels: &[&str],
) -> Result<Thresholds, sqlx::Error> {
    let rows = sqlx::query_as!(
        ThresholdRow,
        r#"
        SELECT sku
             , channel_id
             , low_threshold
             , ended
             , location_ids
             , total
             , available
             , band
             , crossings
             , version
             , created_at
             , updated_at
             , updated_by
          FROM inventory.stock_thresholds
         WHERE sku = ANY ($1)
         ORDER BY sku
                , channel_id
           FOR UPDATE
        "#,
        skus as &[&str],
    )
    .fetch_all(&mut *conn)
    .await?;
    let thresholds = rows.into_iter().map(Threshold::try_from).collect::<Result<Vec<_>, _>>()?;
    let parts = if thresholds.is_empty() { HashMap::new() } else { find_parts(conn, keys).await? };
    let channels = if channels.is_empty() { HashMap::new() } else { find_channels(conn, channels).await? };
    Ok(Thresholds::new(thresholds, parts, channels))
}

/// After the lock, as a statement of its own: so it sees all that was ever counted under that lock.
async fn find_parts(conn: &mut PgConnection, keys: &[&LevelKey]) -> Result<HashMap<Part, i64>, sqlx::Error> {
    let (skus, locations): (Vec<&str>, Vec<&str>) =
        keys.iter().map(|key| (key.sku.as_str(), key.location.as_str())).unzip();
    sqlx::query!(
        r#"
        SELECT parts.sku
             , parts.location_id
             , parts.channel_id
             , parts.available
          FROM UNNEST($1::TEXT[], $2::TEXT[]) AS wanted (sku, location_id)
          JOIN inventory.stock_threshold_parts AS parts
            ON parts.sku = wanted.sku
           AND parts.location_id = wanted.location_id
        "#,
        &skus as &[&str],
        &locations as &[&str],
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(|row| {
        let key = LevelKey {
            sku: parse("stock_threshold_parts", "sku", &row.sku)?,
            location: parse("stock_threshold_parts", "location_id", &row.location_id)?,
        };
        Ok(((key, parse("stock_threshold_parts", "channel_id", &row.channel_id)?), row.available))
    })
    .collect()
}

async fn find_channels(
    conn: &mut PgConnection,
    channels: &[&str],
) -> Result<HashMap<ChannelId, Vec<String>>, sqlx::Error> {
    sqlx::query!(
        r#"
        SELECT channel_id
             , location_ids
          FROM inventory.channels
         WHERE channel_id = ANY ($1)
        "#,
        channels as &[&str],
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(|row| Ok((parse("channels", "channel_id", &row.channel_id)?, row.location_ids)))
    .collect()
}

/// Writes what was counted; thresholds before their parts, which refer to them.
pub async fn save_thresholds(conn: &mut PgConnection, settled: &Settled) -> Result<(), sqlx::Error> {
    if !settled.thresholds.is_empty() {
        upsert_thresholds(conn, &settled.thresholds).await?;
    }
    if !settled.parts.is_empty() {
        upsert_parts(conn, &settled.parts).await?;
    }
    Ok(())
}

async fn upsert_thresholds(conn: &mut PgConnection, thresholds: &[Threshold]) -> Result<(), sqlx::Error> {
    let rows: Vec<ThresholdRow> = thresholds.iter().map(ThresholdRow::from).collect();
    sqlx::query!(
        r#"
        INSERT INTO inventory.stock_thresholds
        SELECT *
          FROM jsonb_populate_recordset(NULL::inventory.stock_thresholds, $1)
            ON CONFLICT (sku, channel_id) DO UPDATE
           SET low_threshold = EXCLUDED.low_threshold
             , ended = EXCLUDED.ended
             , location_ids = EXCLUDED.location_ids
             , total = EXCLUDED.total
             , available = EXCLUDED.available
             , band = EXCLUDED.band
             , crossings = EXCLUDED.crossings
             , version = EXCLUDED.version
             , updated_at = EXCLUDED.updated_at
             , updated_by = EXCLUDED.updated_by
        "#,
        Json(rows) as _,
    )
    .execute(conn)
    .await?;
    Ok(())
}

async fn upsert_parts(conn: &mut PgConnection, parts: &[(Part, i64)]) -> Result<(), sqlx::Error> {
    let rows: Vec<PartRow<'_>> = parts
        .iter()
        .map(|((key, channel), available)| PartRow {
            sku: key.sku.as_str(),
            location_id: key.location.as_str(),
            channel_id: channel.as_str(),
            available: *available,
        })
        .collect();
    sqlx::query!(
        r#"
        INSERT INTO inventory.stock_threshold_parts
        SELECT *
          FROM jsonb_populate_recordset(NULL::inventory.stock_threshold_parts, $1)
            ON CONFLICT (sku, location_id, channel_id) DO UPDATE
           SET available = EXCLUDED.available
        "#,
        Json(rows) as _,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Reads a page of thresholds in (SKU, channel) order, after `after`.
pub async fn list_thresholds(
    pool: &PgPool,
    sku: Option<&Sku>,
    channel: Option<&ChannelId>,
    after: (&str, &str),
    limit: i64,
) -> Result<Vec<Threshold>, sqlx::Error> {
    sqlx::query_as!(
        ThresholdRow,
        r#"
        SELECT sku
             , channel_id
             , low_threshold
             , ended
             , location_ids
             , total
             , available
             , band
             , crossings
             , version
             , created_at
             , updated_at
             , updated_by
          FROM inventory.stock_thresholds
         WHERE ($1::TEXT IS NULL OR sku = $1)
           AND ($2::TEXT IS NULL OR channel_id = $2)
           AND (sku, channel_id) > ($3, $4)
         ORDER BY sku
                , channel_id
         LIMIT $5
        "#,
        sku.map(Sku::as_str),
        channel.map(ChannelId::as_str),
        after.0,
        after.1,
        limit,
    )
    .fetch_all(pool)
    .await?
    .into_iter()
    .map(Threshold::try_from)
    .collect()
}

/// SKUs with a threshold of a channel that sells from elsewhere by now, at most so many.
pub async fn list_skus_behind(pool: &PgPool, limit: i64) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"
        SELECT DISTINCT stock_thresholds.sku
          FROM inventory.stock_thresholds
          JOIN inventory.channels USING (channel_id)
         WHERE NOT stock_thresholds.ended
           AND stock_thresholds.location_ids <> channels.location_ids
         ORDER BY stock_thresholds.sku
         LIMIT $1
        "#,
        limit,
    )
    .fetch_all(pool)
    .await
}

/// What a channel sells from now, what that adds up to, and the SKU's network threshold.
#[derive(Debug, Clone)]
pub struct Relocation {
    pub locations: Vec<String>,
    pub total: i64,
    pub network_threshold: i64,
}

/// Of locked thresholds: those whose channel sells from elsewhere by now.
pub async fn find_relocations(
    conn: &mut PgConnection,
    thresholds: &[Threshold],
) -> Result<Vec<Option<Relocation>>, sqlx::Error> {
    let (skus, channels): (Vec<&str>, Vec<&str>) =
        thresholds.iter().map(|one| (one.sku.as_str(), one.channel.as_str())).unzip();
    let rows = sqlx::query!(
        r#"
        SELECT wanted.ordinality AS "ordinality!"
             , channels.location_ids
             , COALESCE(
                   (
                       SELECT SUM(parts.available)::BIGINT
                         FROM inventory.stock_threshold_parts AS parts
                        WHERE parts.sku = wanted.sku
                          AND parts.channel_id = wanted.channel_id
                          AND parts.location_id = ANY (channels.location_ids)
                   )
                 , 0
               ) AS "total!"
             , COALESCE(sku_policies.network_threshold, 0) AS "network_threshold!"
          FROM UNNEST($1::TEXT[], $2::TEXT[]) WITH ORDINALITY AS wanted (sku, channel_id, ordinality)
          JOIN inventory.stock_thresholds AS known
            ON known.sku = wanted.sku
           AND known.channel_id = wanted.channel_id
          JOIN inventory.channels ON channels.channel_id = wanted.channel_id
          LEFT JOIN inventory.sku_policies ON sku_policies.sku = wanted.sku
         WHERE NOT known.ended
           AND known.location_ids <> channels.location_ids
        "#,
        &skus as &[&str],
        &channels as &[&str],
    )
    .fetch_all(conn)
    .await?;
    let mut relocations = vec![None; thresholds.len()];
    for row in rows {
        relocations[row.ordinality as usize - 1] = Some(Relocation {
            locations: row.location_ids,
            total: row.total,
            network_threshold: row.network_threshold,
        });
    }
    Ok(relocations)
}
