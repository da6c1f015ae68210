//! What must hold in the tables, whatever happened: for `oneshelf verify`.

use chrono::{DateTime, Utc};
use oneshelf_kit::verify::Check;
use sqlx::PgPool;

/// Runs every check, each over whole tables with one statement.
pub async fn verify(pool: &PgPool, now: DateTime<Utc>) -> Result<Vec<Check>, sqlx::Error> {
    Ok(vec![
        listings_follow_from_facts(pool, now).await?,
        sequence_numbers(pool).await?,
        versions(pool).await?,
        changes(pool).await?,
    ])
}

/// The rule of `store::listings`, written a second time, over everything. A price whose change is due and waits for
/// the job is looked at as of just before that change.
async fn listings_follow_from_facts(pool: &PgPool, now: DateTime<Utc>) -> Result<Check, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        WITH stock AS (
            SELECT l.channel_id
                 , s.sku
                 , GREATEST(
                       SUM(COALESCE((s.channel_availables ->> l.channel_id)::BIGINT, s.available))
                       - MAX(s.network_threshold)
                     , 0
                   )::BIGINT AS available
            FROM channels.channel_locations l
            JOIN channels.stock_facts s USING (location_id)
            GROUP BY l.channel_id, s.sku
        )
        , expected AS (
            SELECT channel_id, sku FROM stock
            UNION
            SELECT p.channel_id, p.sku FROM channels.price_facts p JOIN channels.channels c USING (channel_id)
            UNION
            SELECT channel_id, sku FROM channels.listings
        )
        , compared AS (
            SELECT e.channel_id || '/' || e.sku AS listing
                 , shown.sku IS NULL
                   OR shown.available <> COALESCE(stock.available, 0)
                   OR shown.unit_price_micros IS DISTINCT FROM price.unit_price_micros AS wrong
            FROM expected e
            JOIN channels.channels c USING (channel_id)
            LEFT JOIN stock USING (channel_id, sku)
            LEFT JOIN channels.listings shown USING (channel_id, sku)
            LEFT JOIN LATERAL (
                SELECT p.unit_price_micros
                FROM channels.price_facts p
                CROSS JOIN (
                    SELECT LEAST(GREATEST($1, shown.changed_at), shown.next_price_at - INTERVAL '1 microsecond') AS at
                ) AS asked
                WHERE p.channel_id = e.channel_id
                  AND p.sku = e.sku
                  AND p.currency = c.currency
                  AND p.active_from <= asked.at
                  AND (p.valid_to > asked.at) IS NOT FALSE
                ORDER BY p.valid_from DESC, p.book_version DESC
                LIMIT 1
            ) AS price ON TRUE
        )
        SELECT COUNT(*) AS "checked!"
             , COUNT(*) FILTER (WHERE wrong) AS "violations!"
             , COALESCE((ARRAY_AGG(listing ORDER BY listing) FILTER (WHERE wrong))[1:10], '{}') AS "offenders!"
        FROM compared
        "#,
        now,
    )
    .fetch_one(pool)
    .await?;
    Ok(Check {
        id: "CH1",
        what: "each listing says what follows from the newest stock and price of its channel",
        checked: row.checked,
        violations: row.violations,
        offenders: row.offenders,
    })
}

async fn sequence_numbers(pool: &PgPool) -> Result<Check, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        WITH numbered AS (
            SELECT c.channel_id
                 , COUNT(l.seq) <> COUNT(DISTINCT l.seq)
                   OR MIN(l.seq) < 1
                   OR MAX(l.seq) > c.last_seq
                   OR c.last_seq <> COALESCE(SUM(l.version), 0) AS wrong
                 , COUNT(l.seq) AS listings
            FROM channels.channels c
            LEFT JOIN channels.listings l USING (channel_id)
            GROUP BY c.channel_id
        )
        SELECT COALESCE(SUM(listings), 0)::BIGINT AS "checked!"
             , COUNT(*) FILTER (WHERE wrong) AS "violations!"
             , COALESCE((ARRAY_AGG(channel_id ORDER BY channel_id) FILTER (WHERE wrong))[1:10], '{}') AS "offenders!"
        FROM numbered
        "#,
    )
    .fetch_one(pool)
    .await?;
    Ok(Check {
        id: "CH2",
        what: "within a channel, sequence numbers differ, and as many were given as its listings have versions",
        checked: row.checked,
        violations: row.violations,
        offenders: row.offenders,
    })
}

async fn versions(pool: &PgPool) -> Result<Check, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        WITH compared AS (
            SELECT channel_id || '/' || sku AS listing
                 , version < 1
                   OR acked_version NOT BETWEEN 0 AND version AS wrong
            FROM channels.listings
        )
        SELECT COUNT(*) AS "checked!"
             , COUNT(*) FILTER (WHERE wrong) AS "violations!"
             , COALESCE((ARRAY_AGG(listing ORDER BY listing) FILTER (WHERE wrong))[1:10], '{}') AS "offenders!"
        FROM compared
        "#,
    )
    .fetch_one(pool)
    .await?;
    Ok(Check {
        id: "CH3",
        what: "no listing is acknowledged further than it was changed",
        checked: row.checked,
        violations: row.violations,
        offenders: row.offenders,
    })
}

async fn changes(pool: &PgPool) -> Result<Check, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        WITH kept AS (
            SELECT channel_id
                 , change.sku
                 , p.last_seq - CARDINALITY(p.skus) + change.nth AS seq
            FROM channels.changes p
            CROSS JOIN UNNEST(p.skus) WITH ORDINALITY AS change (sku, nth)
        )
        , horizon AS (
            SELECT channel_id
                 , MIN(seq) AS oldest
            FROM kept
            GROUP BY channel_id
        )
        , compared AS (
            SELECT l.channel_id || '/' || l.sku AS listing
                 , kept.sku IS NULL AS wrong
            FROM channels.listings l
            JOIN horizon h ON h.channel_id = l.channel_id AND l.seq >= h.oldest
            LEFT JOIN kept ON kept.channel_id = l.channel_id AND kept.seq = l.seq AND kept.sku = l.sku
        )
        SELECT COUNT(*) AS "checked!"
             , COUNT(*) FILTER (WHERE wrong) AS "violations!"
             , COALESCE((ARRAY_AGG(listing ORDER BY listing) FILTER (WHERE wrong))[1:10], '{}') AS "offenders!"
        FROM compared
        "#,
    )
    .fetch_one(pool)
    .await?;
    Ok(Check {
        id: "CH4",
        what: "the newest change of each listing stands at its number in the changes, as far as they are kept",
        checked: row.checked,
        violations: row.violations,
        offenders: row.offenders,
    })
}
