//! What a channel said it shows.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use chrono::{DateTime, Utc};
use oneshelf_values::{ChannelId, Sku};
use sqlx::PgConnection;

use super::parse;
use crate::domain::acknowledgement::{Advance, Shown};

/// Reads and locks the named listings, by SKU.
pub async fn lock_shown(
    conn: &mut PgConnection,
    channel_id: &ChannelId,
    skus: &BTreeSet<&Sku>,
) -> Result<BTreeMap<Sku, Shown>, sqlx::Error> {
    let skus: Vec<&str> = skus.iter().map(|sku| sku.as_str()).collect();
    sqlx::query!(
        r"
        SELECT sku
             , version
             , acked_version
             , source_at
        FROM channels.listings
        WHERE channel_id = $1 AND sku = ANY ($2::TEXT[])
        ORDER BY sku
        FOR NO KEY UPDATE
        ",
        channel_id.as_str(),
        &skus as &[&str],
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(|row| {
        Ok((
            parse("listings", "sku", &row.sku, &row.sku)?,
            Shown { version: row.version, acknowledged_version: row.acked_version, source_at: row.source_at },
        ))
    })
    .collect()
}

/// Moves locked listings forward.
///
/// After an acknowledgement that a newer version has overtaken, the wait counts from that newer one: when the versions
/// between were committed is not kept, and counting from the first would let a busy SKU look ever older.
pub async fn update_acknowledged(
    conn: &mut PgConnection,
    channel_id: &ChannelId,
    advances: &[Advance],
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    let skus: Vec<&str> = advances.iter().map(|advance| advance.sku.as_str()).collect();
    let versions: Vec<i64> = advances.iter().map(|advance| advance.version).collect();
    let delays: Vec<Option<i64>> = advances.iter().map(|advance| advance.delay.map(micros)).collect();
    sqlx::query!(
        r"
        UPDATE channels.listings l
        SET acked_version = advance.version
          , pending_since = l.source_at
          , acked_at = CASE WHEN advance.delay_us IS NULL THEN l.acked_at ELSE $5 END
          , acked_delay_us = COALESCE(advance.delay_us, l.acked_delay_us)
        FROM UNNEST($2::TEXT[], $3::BIGINT[], $4::BIGINT[]) AS advance (sku, version, delay_us)
        WHERE l.channel_id = $1 AND l.sku = advance.sku
        ",
        channel_id.as_str(),
        &skus as &[&str],
        &versions,
        &delays as &[Option<i64>],
        now,
    )
    .execute(conn)
    .await
    .map(drop)
}

fn micros(delay: Duration) -> i64 {
    i64::try_from(delay.as_micros()).unwrap_or(i64::MAX)
}
