//! LOT: goods that are tracked by lot or serial number.

use oneshelf_kit::verify::Check;
use sqlx::PgPool;

/// Of tracked SKUs only, and no other SKU has lots.
pub async fn add_up_to_levels(pool: &PgPool) -> Result<Check, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        WITH lots AS (
            SELECT sku
                 , location_id
                 , COALESCE(SUM(quantity) FILTER (WHERE bucket = 'sellable'), 0) AS sellable
                 , COALESCE(SUM(quantity) FILTER (WHERE bucket = 'damaged'), 0) AS damaged
                 , COALESCE(SUM(quantity) FILTER (WHERE bucket = 'quarantine'), 0) AS quarantine
                 , SUM(held) AS held
                 , BOOL_AND(serial = (tracking.kind = 'serial')) AS as_tracked
                 , BOOL_AND(lot_levels.expires_on IS NOT DISTINCT FROM lots.expires_on) AS same_day
              FROM inventory.lot_levels
              JOIN inventory.lots USING (sku, lot)
              LEFT JOIN inventory.sku_tracking AS tracking USING (sku)
             GROUP BY sku
                    , location_id
        )
           , levels AS (
            SELECT levels.*
              FROM inventory.stock_levels AS levels
              JOIN inventory.sku_tracking AS tracking USING (sku)
             WHERE tracking.kind <> 'none'
        )
           , judged AS (
            SELECT COALESCE(levels.sku, lots.sku) || ' at ' || COALESCE(levels.location_id, lots.location_id) AS name
                 , levels.sku IS NOT NULL
               AND levels.has_rules
               AND levels.sellable = COALESCE(lots.sellable, 0)
               AND levels.damaged = COALESCE(lots.damaged, 0)
               AND levels.quarantine = COALESCE(lots.quarantine, 0)
               AND levels.soft_held + levels.hard_held = COALESCE(lots.held, 0)
               AND COALESCE(lots.as_tracked AND lots.same_day, TRUE) AS holds
              FROM levels
              FULL JOIN lots USING (sku, location_id)
        )
        SELECT COUNT(*) AS "checked!"
             , COUNT(*) FILTER (WHERE NOT holds) AS "violations!"
             , (ARRAY_AGG(name ORDER BY name) FILTER (WHERE NOT holds))[1:10] AS offenders
          FROM judged
        "#,
    )
    .fetch_one(pool)
    .await?;
    Ok(Check {
        id: "LOT",
        what: "the lots of a tracked SKU add up to its level, bucket by bucket and in what is held, and no other SKU has any",
        checked: row.checked,
        violations: row.violations,
        offenders: row.offenders.unwrap_or_default(),
    })
}

pub async fn equal_ledger(pool: &PgPool) -> Result<Check, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        WITH flows AS (
            SELECT sku
                 , location_id
                 , bucket
                 , lot
                 , SUM(delta) AS quantity
              FROM (
                       SELECT sku
                            , target_location_id AS location_id
                            , target AS bucket
                            , lot
                            , quantity AS delta
                         FROM inventory.ledger_entries
                        WHERE lot IS NOT NULL
                          AND target_location_id IS NOT NULL
                        UNION ALL
                       SELECT sku
                            , source_location_id
                            , source
                            , lot
                            , - quantity
                         FROM inventory.ledger_entries
                        WHERE lot IS NOT NULL
                          AND source_location_id IS NOT NULL
                   ) AS postings
             GROUP BY sku
                    , location_id
                    , bucket
                    , lot
        )
           , judged AS (
            SELECT sku || ' lot ' || lot || ' at ' || location_id || '/' || bucket AS name
                 , COALESCE(levels.quantity, 0) = COALESCE(flows.quantity, 0) AS holds
              FROM inventory.lot_levels AS levels
              FULL JOIN flows USING (sku, location_id, bucket, lot)
        )
        SELECT COUNT(*) AS "checked!"
             , COUNT(*) FILTER (WHERE NOT holds) AS "violations!"
             , (ARRAY_AGG(name ORDER BY name) FILTER (WHERE NOT holds))[1:10] AS offenders
          FROM judged
        "#,
    )
    .fetch_one(pool)
    .await?;
    Ok(Check {
        id: "LOT",
        what: "what there is of a lot, per location and bucket, is the sum of the ledger's entries that name it",
        checked: row.checked,
        violations: row.violations,
        offenders: row.offenders.unwrap_or_default(),
    })
}

/// A line of a tracked SKU has lots for all its units, and open holds' lots are what lots say of holds. So a serial number,
/// of which there is one unit, is in one open hold at most.
pub async fn held_as_holds_say(pool: &PgPool) -> Result<Check, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        WITH open AS (
            SELECT hold_lines.hold_id
                 , hold_lines.line_no
                 , hold_lines.sku
                 , hold_lines.location_id
                 , hold_lines.held
                 , hold_lines.lots
              FROM inventory.hold_lines
              JOIN inventory.holds USING (hold_id)
              JOIN inventory.sku_tracking AS tracking ON tracking.sku = hold_lines.sku
             WHERE holds.state = 'held'
               AND hold_lines.held > 0
               AND tracking.kind <> 'none'
        )
           , given AS (
            SELECT sku
                 , location_id
                 , part ->> 0 AS lot
                 , SUM((part ->> 1)::BIGINT) AS held
              FROM open
             CROSS JOIN LATERAL jsonb_array_elements(lots) AS part
             GROUP BY 1
                    , 2
                    , 3
        )
           , judged AS (
            SELECT sku || ' lot ' || lot || ' at ' || location_id AS name
                 , COALESCE(levels.held, 0) = COALESCE(given.held, 0) AS holds
              FROM (
                       SELECT *
                         FROM inventory.lot_levels
                        WHERE bucket = 'sellable'
                   ) AS levels
              FULL JOIN given USING (sku, location_id, lot)
             UNION ALL
            SELECT sku || ' of hold ' || hold_id
                 , held = COALESCE(
                       (
                           SELECT SUM((part ->> 1)::BIGINT)
                             FROM jsonb_array_elements(lots) AS part
                       )
                     , 0
                   )
              FROM open
        )
        SELECT COUNT(*) AS "checked!"
             , COUNT(*) FILTER (WHERE NOT holds) AS "violations!"
             , (ARRAY_AGG(name ORDER BY name) FILTER (WHERE NOT holds))[1:10] AS offenders
          FROM judged
        "#,
    )
    .fetch_one(pool)
    .await?;
    Ok(Check {
        id: "LOT",
        what: "an open hold of a tracked SKU has lots for all its units, and of each lot is held what open holds have",
        checked: row.checked,
        violations: row.violations,
        offenders: row.offenders.unwrap_or_default(),
    })
}

/// Of each lot is on its way what the ledger says, and a line of a tracked SKU has lots for all that is in transit.
pub async fn sent_as_ledger_says(pool: &PgPool) -> Result<Check, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        WITH flows AS (
            SELECT sku
                 , lot
                 , SUM(CASE WHEN target = 'in_transit' THEN quantity ELSE - quantity END) AS units
              FROM inventory.ledger_entries
             WHERE lot IS NOT NULL
               AND 'in_transit' IN (source, target)
             GROUP BY sku
                    , lot
        )
           , lines AS (
            SELECT transfer_id
                 , sku
                 , in_transit
                 , lots
              FROM inventory.transfer_lines
              JOIN inventory.sku_tracking AS tracking USING (sku)
             WHERE tracking.kind <> 'none'
                OR lots IS NOT NULL
        )
           , sent AS (
            SELECT sku
                 , part ->> 0 AS lot
                 , SUM((part ->> 1)::BIGINT) AS units
              FROM lines
             CROSS JOIN LATERAL jsonb_array_elements(lots) AS part
             GROUP BY sku
                    , part ->> 0
        )
           , judged AS (
            SELECT sku || ' lot ' || lot || ' in transit' AS name
                 , COALESCE(sent.units, 0) = COALESCE(flows.units, 0) AS holds
              FROM sent
              FULL JOIN flows USING (sku, lot)
             UNION ALL
            SELECT sku || ' of transfer ' || transfer_id
                 , in_transit = COALESCE(
                       (
                           SELECT SUM((part ->> 1)::BIGINT)
                             FROM jsonb_array_elements(lots) AS part
                       )
                     , 0
                   )
              FROM lines
        )
        SELECT COUNT(*) AS "checked!"
             , COUNT(*) FILTER (WHERE NOT holds) AS "violations!"
             , (ARRAY_AGG(name ORDER BY name) FILTER (WHERE NOT holds))[1:10] AS offenders
          FROM judged
        "#,
    )
    .fetch_one(pool)
    .await?;
    Ok(Check {
        id: "LOT",
        what: "what is on its way of a lot is what the ledger says, and all of a tracked SKU in transit has lots",
        checked: row.checked,
        violations: row.violations,
        offenders: row.offenders.unwrap_or_default(),
    })
}
