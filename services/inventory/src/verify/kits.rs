//! Q8: kits.

use oneshelf_kit::verify::Check;
use sqlx::PgPool;

/// Whatever became of the definition since: it is remembered with the version that the hold names.
pub async fn held_whole(pool: &PgPool) -> Result<Check, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        WITH held AS (
            SELECT hold_id
                 , kit_sku
                 , kit_version AS version
                 , jsonb_object_agg(sku, kit_units) AS components
                 , COUNT(DISTINCT requested / kit_units) = 1
               AND COUNT(DISTINCT held / kit_units) = 1
               AND COUNT(DISTINCT committed / kit_units) = 1 AS whole
              FROM inventory.hold_lines
             WHERE kit_no IS NOT NULL
             GROUP BY hold_id
                    , kit_no
                    , kit_sku
                    , kit_version
                    , location_id
        )
           , judged AS (
            SELECT held.kit_sku || ' of hold ' || hold_id AS name
                 , whole AND COALESCE(held.components = change.components, FALSE) AS holds
              FROM held
              LEFT JOIN inventory.kit_changes AS change USING (kit_sku, version)
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
        id: "Q8",
        what: "of a held kit all components are held and committed, or none, in the units of its definition",
        checked: row.checked,
        violations: row.violations,
        offenders: row.offenders.unwrap_or_default(),
    })
}

/// For a channel that no rule names. Where a component has a fence that ends by the clock and has not been announced as
/// ended, or lots with a last day, what was right depends on when it was said, and is not judged.
pub async fn announced_as_they_are(pool: &PgPool) -> Result<Check, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        WITH parts AS (
            SELECT told.kit_sku
                 , told.location_id
                 , told.available
                 , CASE
                       WHEN levels.sku IS NULL
                         OR NOT levels.location_active
                         OR levels.location_closed
                         OR COALESCE(policy.excluded, FALSE) THEN 0
                       ELSE GREATEST(
                                0
                              , levels.sellable - levels.hard_held - levels.soft_held - levels.safety_stock
                              + levels.backorder_limit - COALESCE(fences.fenced, 0)
                            )::BIGINT / part.units
                   END AS kits
                 , COALESCE(fences.timed, FALSE)
                OR EXISTS (
                       SELECT 1
                         FROM inventory.lot_levels AS lots
                        WHERE lots.sku = part.component_sku
                          AND lots.location_id = told.location_id
                          AND lots.expires_on IS NOT NULL
                   ) AS timed
              FROM inventory.kit_levels AS told
              JOIN inventory.kit_components AS part USING (kit_sku)
              LEFT JOIN inventory.stock_levels AS levels
                     ON levels.sku = part.component_sku
                    AND levels.location_id = told.location_id
              LEFT JOIN inventory.stock_policies AS policy
                     ON policy.sku = part.component_sku
                    AND policy.location_id = told.location_id
              LEFT JOIN LATERAL (
                       SELECT SUM(GREATEST(quota - used, 0)) AS fenced
                            , BOOL_OR(release_at IS NOT NULL) AS timed
                         FROM inventory.ring_fences AS fence
                        WHERE fence.sku = part.component_sku
                          AND fence.location_id = told.location_id
                          AND fence.quota > 0
                          AND NOT fence.released
                   ) AS fences ON TRUE
        )
           , judged AS (
            SELECT kit_sku || ' at ' || location_id AS name
                 , available = MIN(kits) AS holds
              FROM parts
             GROUP BY kit_sku
                    , location_id
                    , available
            HAVING NOT BOOL_OR(timed)
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
        id: "Q8",
        what: "what was announced last of a kit is what its scarcest component makes",
        checked: row.checked,
        violations: row.violations,
        offenders: row.offenders.unwrap_or_default(),
    })
}

/// A kit has no stock, no holds and no kits in it, and its history ends with what it is; its components' levels know of it.
pub async fn have_nothing_of_their_own(pool: &PgPool) -> Result<Check, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        WITH judged AS (
            SELECT kits.kit_sku AS name
                 , NOT EXISTS (
                       SELECT 1
                         FROM inventory.stock_levels AS levels
                        WHERE levels.sku = kits.kit_sku
                          AND NOT levels.kit
                   )
               AND NOT EXISTS (
                       SELECT 1
                         FROM inventory.kit_components AS part
                        WHERE part.component_sku = kits.kit_sku
                   )
               AND NOT EXISTS (
                       SELECT 1
                         FROM inventory.kit_components AS part
                         JOIN inventory.stock_levels AS levels ON levels.sku = part.component_sku
                        WHERE part.kit_sku = kits.kit_sku
                          AND NOT levels.has_rules
                   )
               AND COALESCE(
                       change.components = (
                           SELECT jsonb_object_agg(part.component_sku, part.units)
                             FROM inventory.kit_components AS part
                            WHERE part.kit_sku = kits.kit_sku
                       )
                     , FALSE
                   ) AS holds
              FROM inventory.kits
              LEFT JOIN inventory.kit_changes AS change USING (kit_sku, version)
             UNION ALL
            SELECT levels.sku || ' at ' || levels.location_id
                 , FALSE
              FROM inventory.stock_levels AS levels
             WHERE levels.kit
               AND NOT EXISTS (
                       SELECT 1
                         FROM inventory.kits
                        WHERE kits.kit_sku = levels.sku
                   )
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
        id: "Q8",
        what: "a kit has nothing of its own and no kit in it, and its components' levels know that they are in kits",
        checked: row.checked,
        violations: row.violations,
        offenders: row.offenders.unwrap_or_default(),
    })
}
