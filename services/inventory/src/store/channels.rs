//! What each channel sells from: a copy of the registry, kept by its events.

use oneshelf_values::ChannelId;
use sqlx::{PgConnection, PgPool};

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
