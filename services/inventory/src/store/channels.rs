//! What each channel sells from: a copy of the registry, kept by its events.

use chrono::{DateTime, Utc};
use oneshelf_values::ChannelId;
use sqlx::{PgConnection, PgPool};

/// One location's part of what a channel may sell of one SKU.
#[derive(Debug, Clone)]
pub struct AvailabilityRow {
    pub sku: String,
    pub location_id: String,
    pub available: i64,
    pub version: i64,
}

/// Takes over registry records where they are newer than what is known.
pub async fn upsert_channels(
    conn: &mut PgConnection,
    channels: &[(String, Vec<String>, i64)],
) -> Result<(), sqlx::Error> {
    // A handful of channels change in a year: one statement each is no round trip that grows with traffic.
    for (channel_id, location_ids, version) in channels {
        sqlx::query!(
            r#"
            INSERT INTO inventory.channels (channel_id, location_ids, version)
            VALUES ($1, $2, $3)
                ON CONFLICT (channel_id) DO UPDATE
               SET location_ids = EXCLUDED.location_ids
                 , version = EXCLUDED.version
             WHERE channels.version < EXCLUDED.version
            "#,
            channel_id,
            location_ids,
            version,
        )
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}

pub async fn find_channel_locations(pool: &PgPool, channel: &ChannelId) -> Result<Option<Vec<String>>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"
        SELECT location_ids
          FROM inventory.channels
         WHERE channel_id = $1
        "#,
        channel.as_str(),
    )
    .fetch_optional(pool)
    .await
}

/// What is available of these SKUs at these locations now; expired holds that wait for the sweeper count as free.
pub async fn sum_availability(
    pool: &PgPool,
    skus: &[&str],
    location_ids: &[String],
    now: DateTime<Utc>,
) -> Result<Vec<AvailabilityRow>, sqlx::Error> {
    sqlx::query_as!(
        AvailabilityRow,
        r#"
        WITH expired AS (
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
        SELECT stock_levels.sku
             , stock_levels.location_id
             , CASE WHEN location_active THEN GREATEST(
                   0
                 , sellable - hard_held - soft_held + COALESCE(expired.held, 0)
               ) ELSE 0 END AS "available!"
             , version
          FROM inventory.stock_levels
          LEFT JOIN expired USING (sku, location_id)
         WHERE stock_levels.sku = ANY ($1)
           AND stock_levels.location_id = ANY ($2)
        "#,
        skus as &[&str],
        location_ids,
        now,
    )
    .fetch_all(pool)
    .await
}
