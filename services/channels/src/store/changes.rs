//! Which SKUs changed, in the channel's order of changes. Written where listings are ([`super::listings`]).

use oneshelf_values::ChannelId;
use sqlx::PgConnection;

use super::parse;
use crate::domain::changes::{Kept, Pack};

/// Changes in one pack: about as many as keep the row in its page.
pub const MAX_PACK: i64 = 100;
/// Of each channel at least so many of the newest changes are kept, whole packs only. Whoever is further behind is shown
/// what changed by SKU instead.
pub const KEPT_CHANGES: i64 = 100_000;
/// Packs read at a time.
const MAX_PACKS: i64 = 64;

/// The first of the kept packs that end after `seq`; `None` when there is no such channel.
pub async fn list_packs_after(
    conn: &mut PgConnection,
    channel_id: &ChannelId,
    seq: i64,
) -> Result<Option<Kept>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"
        SELECT c.last_seq AS newest
             , pack.last_seq AS "last_seq?"
             , pack.skus AS "skus?"
        FROM channels.channels c
        LEFT JOIN LATERAL (
            SELECT last_seq
                 , skus
            FROM channels.changes
            WHERE channel_id = c.channel_id
              AND last_seq > $2
            ORDER BY last_seq
            LIMIT $3
        ) AS pack ON TRUE
        WHERE c.channel_id = $1
        ORDER BY pack.last_seq
        "#,
        channel_id.as_str(),
        seq,
        MAX_PACKS,
    )
    .fetch_all(conn)
    .await?;
    let Some(newest) = rows.first().map(|row| row.newest) else { return Ok(None) };
    let packs = rows
        .into_iter()
        .filter_map(|row| row.last_seq.zip(row.skus))
        .map(|(last_seq, skus)| {
            let skus = skus.iter().map(|sku| parse("changes", "skus", channel_id, sku)).collect::<Result<_, _>>()?;
            Ok(Pack { last_seq, skus })
        })
        .collect::<Result<_, sqlx::Error>>()?;
    Ok(Some(Kept { newest, packs }))
}
