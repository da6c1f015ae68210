//! What of the design's invariants these tables can show, checked set-based over whole tables.

use oneshelf_kit::verify::Check;
use sqlx::PgPool;

/// Runs every check of this service.
pub async fn verify(pool: &PgPool) -> Result<Vec<Check>, sqlx::Error> {
    Ok(vec![
        versions_are_gap_free(pool).await?,
        versions_are_whole(pool).await?,
        prices_are_sound(pool).await?,
        publishes_are_counted(pool).await?,
        tiers_do_not_rise(pool).await?,
    ])
}

async fn versions_are_gap_free(pool: &PgPool) -> Result<Check, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        WITH compared AS (
            SELECT
                place.version
              , price_books.book_version IS NOT NULL AND place.version <= heads.version AS holds
            FROM catalog.heads
            CROSS JOIN LATERAL generate_series(
                1
              , greatest(heads.version, (SELECT max(book_version) FROM catalog.price_books))
            ) AS place (version)
            LEFT JOIN catalog.price_books ON price_books.book_version = place.version
            WHERE heads.kind = 'price_books'
        )
        SELECT
            count(*) AS "checked!"
          , count(*) FILTER (WHERE NOT holds) AS "violations!"
          , (array_agg(version::TEXT ORDER BY version) FILTER (WHERE NOT holds))[1:10] AS offenders
        FROM compared
        "#,
    )
    .fetch_one(pool)
    .await?;
    Ok(Check {
        id: "P1",
        what: "price-book versions run from 1 to the head without a gap",
        checked: row.checked,
        violations: row.violations,
        offenders: row.offenders.unwrap_or_default(),
    })
}

async fn versions_are_whole(pool: &PgPool) -> Result<Check, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        WITH counted AS (
            SELECT
                book_version
              , count(*) AS entries
            FROM catalog.prices
            GROUP BY book_version
        ), compared AS (
            SELECT
                book_version
              , price_books.entry_count IS NOT DISTINCT FROM counted.entries AS holds
            FROM catalog.price_books
            FULL JOIN counted USING (book_version)
        )
        SELECT
            count(*) AS "checked!"
          , count(*) FILTER (WHERE NOT holds) AS "violations!"
          , (array_agg(book_version::TEXT ORDER BY book_version) FILTER (WHERE NOT holds))[1:10] AS offenders
        FROM compared
        "#,
    )
    .fetch_one(pool)
    .await?;
    Ok(Check {
        id: "P1",
        what: "a price-book version has the entries it was published with",
        checked: row.checked,
        violations: row.violations,
        offenders: row.offenders.unwrap_or_default(),
    })
}

async fn prices_are_sound(pool: &PgPool) -> Result<Check, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        WITH compared AS (
            SELECT
                prices.book_version || ': ' || prices.sku || ' in ' || prices.price_list_id AS name
              , variants.sku IS NOT NULL
                AND price_lists.price_list_id IS NOT NULL
                AND price_books.price_list_id IS NOT DISTINCT FROM prices.price_list_id
                AND prices.unit_price_micros > 0
                AND (prices.valid_to IS NULL OR prices.valid_to > prices.valid_from)
                -- What is scheduled must not be seen in a version that is published meanwhile.
                AND (price_books.activate_at = price_books.published_at OR prices.valid_from >= price_books.activate_at)
                AS holds
            FROM catalog.prices
            LEFT JOIN catalog.variants USING (sku)
            LEFT JOIN catalog.price_lists USING (price_list_id)
            LEFT JOIN catalog.price_books ON price_books.book_version = prices.book_version
        )
        SELECT
            count(*) AS "checked!"
          , count(*) FILTER (WHERE holds IS NOT TRUE) AS "violations!"
          , (array_agg(name ORDER BY name) FILTER (WHERE holds IS NOT TRUE))[1:10] AS offenders
        FROM compared
        "#,
    )
    .fetch_one(pool)
    .await?;
    Ok(Check {
        id: "P1",
        what: "a price is above zero, of a known SKU, in the list of its version, and not valid before that activates",
        checked: row.checked,
        violations: row.violations,
        offenders: row.offenders.unwrap_or_default(),
    })
}

async fn publishes_are_counted(pool: &PgPool) -> Result<Check, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        WITH published AS (
            SELECT
                price_list_id
              , count(*) AS publishes
              , sum((entry_count + $1 - 1) / $1) AS events
            FROM catalog.price_books
            GROUP BY price_list_id
        ), compared AS (
            SELECT
                price_list_id AS name
              , price_lists.version = coalesce(published.publishes, 0)
                AND price_lists.event_version = coalesce(published.events, 0) AS holds
            FROM catalog.price_lists
            LEFT JOIN published USING (price_list_id)
        )
        SELECT
            count(*) AS "checked!"
          , count(*) FILTER (WHERE NOT holds) AS "violations!"
          , (array_agg(name ORDER BY name) FILTER (WHERE NOT holds))[1:10] AS offenders
        FROM compared
        "#,
        crate::events::PRICES_PER_EVENT as i32,
    )
    .fetch_one(pool)
    .await?;
    Ok(Check {
        id: "P1",
        what: "a price list's version counts its publishes, its event version their events",
        checked: row.checked,
        violations: row.violations,
        offenders: row.offenders.unwrap_or_default(),
    })
}

async fn tiers_do_not_rise(pool: &PgPool) -> Result<Check, sqlx::Error> {
    // Prices change where a window begins or ends, so only these instants are looked at.
    let row = sqlx::query!(
        r#"
        WITH tiered AS (
            SELECT price_list_id, prices.sku
            FROM catalog.prices
            JOIN catalog.price_lists USING (price_list_id)
            WHERE NOT price_lists.rising_tiers
            GROUP BY price_list_id, prices.sku
            HAVING min(prices.min_quantity) < max(prices.min_quantity)
        ), instants AS (
            SELECT DISTINCT price_list_id, sku, bound.at
            FROM tiered
            JOIN catalog.prices USING (price_list_id, sku)
            CROSS JOIN LATERAL (VALUES (prices.valid_from), (prices.valid_to)) AS bound (at)
            WHERE bound.at IS NOT NULL
        ), standing AS (
            SELECT DISTINCT ON (price_list_id, sku, instants.at, prices.min_quantity)
                price_list_id
              , sku
              , instants.at
              , prices.min_quantity
              , prices.unit_price_micros
            FROM instants
            JOIN catalog.prices USING (price_list_id, sku)
            WHERE prices.valid_from <= instants.at
              AND (prices.valid_to IS NULL OR prices.valid_to > instants.at)
            ORDER BY
                price_list_id
              , sku
              , instants.at
              , prices.min_quantity
              , prices.valid_from DESC
              , prices.book_version DESC
        ), compared AS (
            SELECT
                sku || ' in ' || price_list_id || ' from ' || min_quantity || ' units on, at ' || at AS name
              , unit_price_micros > lag(unit_price_micros) OVER (
                    PARTITION BY price_list_id, sku, at
                    ORDER BY min_quantity
                ) AS rises
            FROM standing
        )
        SELECT
            count(*) AS "checked!"
          , count(*) FILTER (WHERE rises) AS "violations!"
          , (array_agg(name ORDER BY name) FILTER (WHERE rises))[1:10] AS offenders
        FROM compared
        "#,
    )
    .fetch_one(pool)
    .await?;
    Ok(Check {
        id: "P1",
        what: "no larger quantity costs more per unit, at any instant, in a list that does not say so",
        checked: row.checked,
        violations: row.violations,
        offenders: row.offenders.unwrap_or_default(),
    })
}
