//! What units cost us.

use oneshelf_kit::verify::Check;
use sqlx::PgPool;

/// Each cost is what its last change says, and none of its versions is missing.
pub async fn costs_are_remembered(pool: &PgPool) -> Result<Check, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        WITH remembered AS (
            SELECT sku
                 , COUNT(*) AS changes
                 , MAX(version) AS newest
              FROM inventory.unit_cost_changes
             GROUP BY sku
        )
           , judged AS (
            SELECT COALESCE(cost.sku, remembered.sku) AS name
                 , COALESCE(
                       cost.version = remembered.newest
                   AND cost.version = remembered.changes
                   AND (cost.cost_micros, cost.currency) = (change.cost_micros, change.currency)
                     , FALSE
                   ) AS holds
              FROM inventory.unit_costs AS cost
              FULL JOIN remembered USING (sku)
              LEFT JOIN inventory.unit_cost_changes AS change
                     ON change.sku = cost.sku
                    AND change.version = cost.version
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
        id: "cost",
        what: "a unit cost is what its last change says, and every version is there",
        checked: row.checked,
        violations: row.violations,
        offenders: row.offenders.unwrap_or_default(),
    })
}
