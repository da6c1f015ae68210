//! Listings: computed from facts in one statement that also packs the changes, read by their changes or by their SKUs.

use chrono::{DateTime, Utc};
use oneshelf_values::{ChannelId, Currency, Sku, UnitPrice};
use sqlx::PgConnection;

use super::{
    changes::{KEPT_CHANGES, MAX_PACK},
    facts::Touched,
    parse,
};
use crate::domain::listing::Listing;

struct Row {
    sku: String,
    version: i64,
    available: i64,
    unit_price_micros: Option<i64>,
    source_at: DateTime<Utc>,
    acked_version: i64,
}

impl Row {
    fn into_listing(self, currency: Currency) -> Result<Listing, sqlx::Error> {
        Ok(Listing {
            sku: parse("listings", "sku", &self.sku, &self.sku)?,
            version: self.version,
            available: self.available,
            unit_price: self.unit_price_micros.map(|micros| UnitPrice::new(micros, currency)),
            source_at: self.source_at,
            acknowledged_version: self.acked_version,
        })
    }
}

/// A channel in which listings changed, and its newest sequence number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advanced {
    pub channel_id: String,
    pub last_seq: i64,
}

/// What to compute anew.
#[derive(Debug, Clone, Copy)]
pub enum Scope<'a> {
    /// These listings, each at most once; a listing is made where there is none.
    Touched(&'a [Touched]),
    /// Everything a channel could show: all SKUs at its locations, all it has prices for, all it ever showed.
    Channel(&'a ChannelId, DateTime<Utc>),
}

/// Computes listings from the facts as they are at `now`, and answers the channels in which one really changed.
///
/// The channels must be locked ([`super::channels::lock_channels`]) in an earlier statement: this one's snapshot must
/// be younger than the lock, or it would overlook what the former holder committed.
///
/// One statement. `wanted` is what each listing should say; rows that differ take the next version and the channel's
/// next sequence numbers, in SKU order; rows of which only the next price change differs are rescheduled, which
/// nobody outside can see. The rule of the stock: what each location has for this channel, summed, less the SKU's network
/// threshold. The rule of the price: of the windows that count now, the one that starts last decides; of
/// two that start together, the one of the newer book.
pub async fn recompute_listings(
    conn: &mut PgConnection,
    scope: Scope<'_>,
    now: DateTime<Utc>,
) -> Result<Vec<Advanced>, sqlx::Error> {
    let (touched, whole, whole_source_at) = match scope {
        Scope::Touched(touched) => (touched, None, now),
        Scope::Channel(channel_id, source_at) => (&[][..], Some(channel_id.as_str()), source_at),
    };
    let channels: Vec<&str> = touched.iter().map(|t| t.channel_id.as_str()).collect();
    let skus: Vec<&str> = touched.iter().map(|t| t.sku.as_str()).collect();
    let source_at: Vec<_> = touched.iter().map(|t| t.source_at).collect();
    sqlx::query_as!(
        Advanced,
        r"
        WITH scope AS (
            SELECT channel_id
                 , sku
                 , source_at
            FROM UNNEST($1::TEXT[], $2::TEXT[], $3::TIMESTAMPTZ[]) AS touched (channel_id, sku, source_at)
            UNION ALL
            SELECT $4::TEXT
                 , sku
                 , $5::TIMESTAMPTZ
            FROM (
                SELECT s.sku
                FROM channels.channel_locations l
                JOIN channels.stock_facts s USING (location_id)
                WHERE l.channel_id = $4
                UNION
                SELECT sku
                FROM channels.price_facts
                WHERE channel_id = $4
                UNION
                SELECT sku
                FROM channels.listings
                WHERE channel_id = $4
            ) AS everything
            -- Without it a plan that is kept for both scopes would read these tables to find nothing.
            WHERE $4::TEXT IS NOT NULL
        )
        , wanted AS MATERIALIZED (
            SELECT scope.channel_id
                 , scope.sku
                 , scope.source_at
                 , stock.available
                 , price.unit_price_micros
                 , next_price.at AS next_price_at
                 , shown.sku IS NULL
                   OR shown.available <> stock.available
                   OR shown.unit_price_micros IS DISTINCT FROM price.unit_price_micros AS changed
                 , shown.next_price_at IS DISTINCT FROM next_price.at AS rescheduled
            FROM scope
            JOIN channels.channels c USING (channel_id)
            CROSS JOIN LATERAL (
                SELECT GREATEST(
                           0
                         , COALESCE(SUM(COALESCE((s.channel_availables ->> l.channel_id)::BIGINT, s.available)), 0)
                           - COALESCE(MAX(s.network_threshold), 0)
                       )::BIGINT AS available
                FROM channels.channel_locations l
                JOIN channels.stock_facts s ON s.sku = scope.sku AND s.location_id = l.location_id
                WHERE l.channel_id = scope.channel_id
            ) AS stock
            LEFT JOIN LATERAL (
                SELECT p.unit_price_micros
                FROM channels.price_facts p
                WHERE p.channel_id = scope.channel_id
                  AND p.sku = scope.sku
                  AND p.currency = c.currency
                  AND p.active_from <= $6
                  AND (p.valid_to IS NULL OR p.valid_to > $6)
                ORDER BY p.valid_from DESC, p.book_version DESC
                LIMIT 1
            ) AS price ON TRUE
            CROSS JOIN LATERAL (
                SELECT LEAST(
                           MIN(p.active_from) FILTER (WHERE p.active_from > $6)
                         , MIN(p.valid_to) FILTER (WHERE p.valid_to > $6)
                       ) AS at
                FROM channels.price_facts p
                WHERE p.channel_id = scope.channel_id
                  AND p.sku = scope.sku
                  AND p.currency = c.currency
            ) AS next_price
            LEFT JOIN channels.listings shown
                ON shown.channel_id = scope.channel_id AND shown.sku = scope.sku
        )
        , changed AS (
            SELECT *
                 , ROW_NUMBER() OVER (PARTITION BY channel_id ORDER BY sku) AS nth
            FROM wanted
            WHERE changed
        )
        , numbered AS (
            UPDATE channels.channels c
            SET last_seq = c.last_seq + counted.listings
            FROM (
                SELECT channel_id
                     , COUNT(*) AS listings
                FROM changed
                GROUP BY channel_id
            ) AS counted
            WHERE c.channel_id = counted.channel_id
            RETURNING c.channel_id, c.last_seq, c.last_seq - counted.listings AS first
        )
        , rescheduled AS (
            UPDATE channels.listings shown
            SET next_price_at = wanted.next_price_at
            FROM wanted
            WHERE shown.channel_id = wanted.channel_id
              AND shown.sku = wanted.sku
              AND wanted.rescheduled
              AND NOT wanted.changed
        )
        , written AS (
            INSERT INTO channels.listings AS shown (
                channel_id
              , sku
              , version
              , seq
              , available
              , unit_price_micros
              , source_at
              , changed_at
              , next_price_at
              , pending_since
            )
            SELECT channel_id
                 , changed.sku
                 , 1
                 , numbered.first + changed.nth
                 , changed.available
                 , changed.unit_price_micros
                 , changed.source_at
                 , $6
                 , changed.next_price_at
                 , changed.source_at
            FROM changed
            JOIN numbered USING (channel_id)
            ORDER BY channel_id, changed.sku
            ON CONFLICT (channel_id, sku) DO UPDATE
            SET version = shown.version + 1
              , seq = EXCLUDED.seq
              , available = EXCLUDED.available
              , unit_price_micros = EXCLUDED.unit_price_micros
              , source_at = EXCLUDED.source_at
              , changed_at = EXCLUDED.changed_at
              , next_price_at = EXCLUDED.next_price_at
              , pending_since = CASE
                    WHEN shown.acked_version = shown.version THEN EXCLUDED.pending_since
                    ELSE shown.pending_since
                END
        )
        , packed AS (
            INSERT INTO channels.changes (channel_id, last_seq, skus)
            SELECT channel_id
                 , MAX(numbered.first + changed.nth)
                 , ARRAY_AGG(changed.sku ORDER BY changed.nth)
            FROM changed
            JOIN numbered USING (channel_id)
            GROUP BY channel_id, (changed.nth - 1) / $7
        )
        , trimmed AS (
            DELETE FROM channels.changes kept
            USING numbered
            WHERE kept.channel_id = numbered.channel_id
              AND kept.last_seq <= numbered.last_seq - $8
        )
        SELECT channel_id
             , last_seq
        FROM numbered
        ",
        &channels as &[&str],
        &skus as &[&str],
        &source_at,
        whole,
        whole_source_at,
        now,
        MAX_PACK,
        KEPT_CHANGES,
    )
    .fetch_all(conn)
    .await
}

/// Writes what is available now into listings of which only the stock can have changed, and answers the channels in
/// which one really did, and the touched listings that do not exist yet and have to be computed whole.
///
/// The channels must be locked, as for [`recompute_listings`], whose short way this is: nine of ten changes are of
/// stock, and a listing's price stays what it is until a price window starts or ends.
pub async fn update_available(
    conn: &mut PgConnection,
    touched: &[Touched],
    now: DateTime<Utc>,
) -> Result<(Vec<Advanced>, Vec<Touched>), sqlx::Error> {
    let channels: Vec<&str> = touched.iter().map(|t| t.channel_id.as_str()).collect();
    let skus: Vec<&str> = touched.iter().map(|t| t.sku.as_str()).collect();
    let source_at: Vec<_> = touched.iter().map(|t| t.source_at).collect();
    let rows = sqlx::query!(
        r#"
        -- One pipeline: whatever joins two intermediate results compares each row with each, as nobody knows their sizes.
        WITH wanted AS MATERIALIZED (
            SELECT touched.channel_id
                 , touched.sku
                 , touched.source_at
                 , touched.place
                 , GREATEST(
                       0
                     , COALESCE(SUM(COALESCE((s.channel_availables ->> touched.channel_id)::BIGINT, s.available)), 0)
                       - COALESCE(MAX(s.network_threshold), 0)
                   )::BIGINT AS available
                 , MIN(shown.available) AS shown
            FROM UNNEST($1::TEXT[], $2::TEXT[], $3::TIMESTAMPTZ[])
                WITH ORDINALITY AS touched (channel_id, sku, source_at, place)
            LEFT JOIN channels.listings shown
                ON shown.channel_id = touched.channel_id AND shown.sku = touched.sku
            LEFT JOIN channels.channel_locations l ON l.channel_id = touched.channel_id
            LEFT JOIN channels.stock_facts s ON s.sku = touched.sku AND s.location_id = l.location_id
            GROUP BY touched.place, touched.channel_id, touched.sku, touched.source_at
        )
        , changed AS (
            SELECT *
                 , ROW_NUMBER() OVER (PARTITION BY channel_id ORDER BY sku) AS nth
            FROM wanted
            WHERE shown <> available
        )
        , numbered AS (
            UPDATE channels.channels c
            SET last_seq = c.last_seq + counted.listings
            FROM (
                SELECT channel_id
                     , COUNT(*) AS listings
                FROM changed
                GROUP BY channel_id
            ) AS counted
            WHERE c.channel_id = counted.channel_id
            RETURNING c.channel_id, c.last_seq, c.last_seq - counted.listings AS first
        )
        , written AS (
            UPDATE channels.listings shown
            SET version = shown.version + 1
              , seq = numbered.first + changed.nth
              , available = changed.available
              , source_at = changed.source_at
              , changed_at = $4
              , pending_since = CASE
                    WHEN shown.acked_version = shown.version THEN changed.source_at
                    ELSE shown.pending_since
                END
            FROM changed
            JOIN numbered USING (channel_id)
            WHERE shown.channel_id = changed.channel_id
              AND shown.sku = changed.sku
        )
        , packed AS (
            INSERT INTO channels.changes (channel_id, last_seq, skus)
            SELECT channel_id
                 , MAX(numbered.first + changed.nth)
                 , ARRAY_AGG(changed.sku ORDER BY changed.nth)
            FROM changed
            JOIN numbered USING (channel_id)
            GROUP BY channel_id, (changed.nth - 1) / $5
        )
        , trimmed AS (
            DELETE FROM channels.changes kept
            USING numbered
            WHERE kept.channel_id = numbered.channel_id
              AND kept.last_seq <= numbered.last_seq - $6
        )
        SELECT channel_id AS "channel_id!"
             , last_seq AS "last_seq!"
             , NULL::BIGINT AS missing
        FROM numbered
        UNION ALL
        SELECT channel_id
             , 0
             , place
        FROM wanted
        WHERE shown IS NULL
        "#,
        &channels as &[&str],
        &skus as &[&str],
        &source_at,
        now,
        MAX_PACK,
        KEPT_CHANGES,
    )
    .fetch_all(conn)
    .await?;
    let (mut advanced, mut missing) = (Vec::new(), Vec::new());
    for row in rows {
        match row.missing {
            None => advanced.push(Advanced { channel_id: row.channel_id, last_seq: row.last_seq }),
            Some(place) => missing.push(touched[place as usize - 1].clone()),
        }
    }
    Ok((advanced, missing))
}

/// Listings whose newest change is one of these (SKU, sequence number), in the order of the changes.
pub async fn list_changed(
    conn: &mut PgConnection,
    channel_id: &ChannelId,
    currency: Currency,
    changes: &[(Sku, i64)],
) -> Result<Vec<Listing>, sqlx::Error> {
    let skus: Vec<&str> = changes.iter().map(|(sku, _)| sku.as_str()).collect();
    let seqs: Vec<i64> = changes.iter().map(|(_, seq)| *seq).collect();
    sqlx::query_as!(
        Row,
        r"
        SELECT l.sku
             , l.version
             , l.available
             , l.unit_price_micros
             , l.source_at
             , l.acked_version
        FROM UNNEST($2::TEXT[], $3::BIGINT[]) AS change (sku, seq)
        JOIN channels.listings l USING (sku, seq)
        WHERE l.channel_id = $1
        ORDER BY l.seq
        ",
        channel_id.as_str(),
        &skus as &[&str],
        &seqs,
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(|row| row.into_listing(currency))
    .collect()
}

/// Listings after a SKU, by SKU, of those whose newest change is after `since` and not after `until`.
pub async fn list_changed_between(
    conn: &mut PgConnection,
    channel_id: &ChannelId,
    currency: Currency,
    (since, until): (i64, i64),
    after: &str,
    limit: i64,
) -> Result<Vec<Listing>, sqlx::Error> {
    sqlx::query_as!(
        Row,
        r"
        SELECT sku
             , version
             , available
             , unit_price_micros
             , source_at
             , acked_version
        FROM channels.listings
        WHERE channel_id = $1
          AND sku > $2
          AND seq > $3
          AND seq <= $4
        ORDER BY sku
        LIMIT $5
        ",
        channel_id.as_str(),
        after,
        since,
        until,
        limit,
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(|row| row.into_listing(currency))
    .collect()
}

/// Listings after a SKU, by SKU.
pub async fn list_listings_after_sku(
    conn: &mut PgConnection,
    channel_id: &ChannelId,
    currency: Currency,
    after: &str,
    limit: i64,
) -> Result<Vec<Listing>, sqlx::Error> {
    sqlx::query_as!(
        Row,
        r"
        SELECT sku
             , version
             , available
             , unit_price_micros
             , source_at
             , acked_version
        FROM channels.listings
        WHERE channel_id = $1 AND sku > $2
        ORDER BY sku
        LIMIT $3
        ",
        channel_id.as_str(),
        after,
        limit,
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(|row| row.into_listing(currency))
    .collect()
}
