//! What inventory and catalog said, kept so that any listing can be computed at any time.

use sqlx::PgConnection;

use crate::domain::fact::{PriceFact, StockFact};

/// A (channel, SKU) whose listing may have changed, and when that was committed at its source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Touched {
    pub channel_id: String,
    pub sku: String,
    pub source_at: chrono::DateTime<chrono::Utc>,
}

/// Writes the facts that are newer than what is known, and answers which listings they touch.
///
/// `facts` has each (SKU, location) at most once.
pub async fn upsert_stock_facts(conn: &mut PgConnection, facts: &[StockFact]) -> Result<Vec<Touched>, sqlx::Error> {
    let skus: Vec<&str> = facts.iter().map(|fact| fact.sku.as_str()).collect();
    let locations: Vec<&str> = facts.iter().map(|fact| fact.location_id.as_str()).collect();
    let available: Vec<i64> = facts.iter().map(|fact| fact.available).collect();
    let versions: Vec<i64> = facts.iter().map(|fact| fact.version).collect();
    let changed_at: Vec<_> = facts.iter().map(|fact| fact.changed_at).collect();
    let thresholds: Vec<i64> = facts.iter().map(|fact| fact.network_threshold).collect();
    let for_channels: Vec<Option<serde_json::Value>> = facts.iter().map(for_channels).collect();
    sqlx::query_as!(
        Touched,
        r#"
        WITH newer AS (
            INSERT INTO channels.stock_facts AS known (
                sku
              , location_id
              , available
              , version
              , changed_at
              , network_threshold
              , channel_availables
            )
            SELECT sku
                 , location_id
                 , available
                 , version
                 , changed_at
                 , network_threshold
                 , channel_availables
            FROM UNNEST(
                $1::TEXT[]
              , $2::TEXT[]
              , $3::BIGINT[]
              , $4::BIGINT[]
              , $5::TIMESTAMPTZ[]
              , $6::BIGINT[]
              , $7::JSONB[]
            ) AS fact (sku, location_id, available, version, changed_at, network_threshold, channel_availables)
            ON CONFLICT (sku, location_id) DO UPDATE
            SET available = EXCLUDED.available
              , network_threshold = EXCLUDED.network_threshold
              , channel_availables = EXCLUDED.channel_availables
              , version = EXCLUDED.version
              , changed_at = EXCLUDED.changed_at
            WHERE known.version < EXCLUDED.version
            RETURNING sku, location_id, changed_at
        )
        SELECT l.channel_id
             , n.sku
             , MAX(n.changed_at) AS "source_at!"
        FROM newer n
        JOIN channels.channel_locations l USING (location_id)
        GROUP BY l.channel_id, n.sku
        "#,
        &skus as &[&str],
        &locations as &[&str],
        &available,
        &versions,
        &changed_at,
        &thresholds,
        &for_channels as &[Option<serde_json::Value>],
    )
    .fetch_all(conn)
    .await
}

/// What is stored of a fact's figures for single channels; usually there are none.
fn for_channels(fact: &StockFact) -> Option<serde_json::Value> {
    if fact.channel_availables.is_empty() {
        return None;
    }
    let named = fact.channel_availables.iter();
    Some(named.map(|(channel, available)| (channel.to_string(), serde_json::Value::from(*available))).collect())
}

/// Adds price windows. They are immutable, so one that is known already stays as it is.
pub async fn insert_price_facts(conn: &mut PgConnection, facts: &[PriceFact]) -> Result<(), sqlx::Error> {
    let channels: Vec<&str> = facts.iter().map(|fact| fact.channel_id.as_str()).collect();
    let skus: Vec<&str> = facts.iter().map(|fact| fact.sku.as_str()).collect();
    let valid_from: Vec<_> = facts.iter().map(|fact| fact.valid_from).collect();
    let books: Vec<i64> = facts.iter().map(|fact| fact.book_version).collect();
    let valid_to: Vec<_> = facts.iter().map(|fact| fact.valid_to).collect();
    let active_from: Vec<_> = facts.iter().map(PriceFact::active_from).collect();
    let micros: Vec<i64> = facts.iter().map(|fact| fact.unit_price.micros()).collect();
    let currencies: Vec<&str> = facts.iter().map(|fact| fact.unit_price.currency().code()).collect();
    sqlx::query!(
        r"
        INSERT INTO channels.price_facts (
            channel_id
          , sku
          , valid_from
          , book_version
          , valid_to
          , active_from
          , unit_price_micros
          , currency
        )
        SELECT channel_id
             , sku
             , valid_from
             , book_version
             , valid_to
             , active_from
             , unit_price_micros
             , currency
        FROM UNNEST(
            $1::TEXT[]
          , $2::TEXT[]
          , $3::TIMESTAMPTZ[]
          , $4::BIGINT[]
          , $5::TIMESTAMPTZ[]
          , $6::TIMESTAMPTZ[]
          , $7::BIGINT[]
          , $8::TEXT[]
        ) AS fact (
            channel_id
          , sku
          , valid_from
          , book_version
          , valid_to
          , active_from
          , unit_price_micros
          , currency
        )
        ORDER BY channel_id, sku, valid_from, book_version
        ON CONFLICT (channel_id, sku, valid_from, book_version) DO NOTHING
        ",
        &channels as &[&str],
        &skus as &[&str],
        &valid_from,
        &books,
        &valid_to as &[Option<chrono::DateTime<chrono::Utc>>],
        &active_from,
        &micros,
        &currencies as &[&str],
    )
    .execute(conn)
    .await
    .map(drop)
}

/// Listings whose price window starts or ends by `now`, the longest due first.
pub async fn list_due_prices(
    conn: &mut PgConnection,
    now: chrono::DateTime<chrono::Utc>,
    limit: i64,
) -> Result<Vec<Touched>, sqlx::Error> {
    sqlx::query_as!(
        Touched,
        r#"
        SELECT channel_id
             , sku
             , next_price_at AS "source_at!"
        FROM channels.listings
        WHERE next_price_at <= $1
        ORDER BY next_price_at
        LIMIT $2
        "#,
        now,
        limit,
    )
    .fetch_all(conn)
    .await
}
