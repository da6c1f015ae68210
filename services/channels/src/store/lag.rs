//! How far a channel is behind.

use std::time::Duration;

use chrono::{DateTime, Utc};
use oneshelf_values::ChannelId;
use sqlx::PgConnection;

use crate::domain::listing::{LAG_WINDOW, Lag};

/// Reads all listings of the channel: no index is kept for it, as each change of a listing would have to write into it.
pub async fn measure_lag(
    conn: &mut PgConnection,
    channel_id: &ChannelId,
    now: DateTime<Utc>,
) -> Result<Lag, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        SELECT pending.listings AS "pending!"
             , pending.oldest
             , acknowledged.listings AS "acknowledged!"
             , acknowledged.p50
             , acknowledged.p99
             , acknowledged.max
        FROM (
            SELECT COUNT(*) AS listings
                 , MIN(pending_since) AS oldest
            FROM channels.listings
            WHERE channel_id = $1 AND acked_version < version
        ) AS pending
        CROSS JOIN (
            SELECT COUNT(*) AS listings
                 , PERCENTILE_DISC(0.5) WITHIN GROUP (ORDER BY acked_delay_us) AS p50
                 , PERCENTILE_DISC(0.99) WITHIN GROUP (ORDER BY acked_delay_us) AS p99
                 , MAX(acked_delay_us) AS max
            FROM channels.listings
            WHERE channel_id = $1 AND acked_at > $2
        ) AS acknowledged
        "#,
        channel_id.as_str(),
        now - LAG_WINDOW,
    )
    .fetch_one(conn)
    .await?;
    let delay = |micros: Option<i64>| Duration::from_micros(micros.unwrap_or_default().max(0).cast_unsigned());
    Ok(Lag {
        pending: row.pending,
        // A source's clock may be ahead of ours.
        oldest_pending_age: row.oldest.map_or(Duration::ZERO, |at| (now - at).to_std().unwrap_or_default()),
        acknowledged: row.acknowledged,
        delay_p50: delay(row.p50),
        delay_p99: delay(row.p99),
        delay_max: delay(row.max),
    })
}
