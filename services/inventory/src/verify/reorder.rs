//! Terms of reordering.

use oneshelf_kit::verify::Check;
use sqlx::PgPool;

/// Each policy is what its last change says, and none of its versions is missing.
pub async fn policies_are_remembered(pool: &PgPool) -> Result<Check, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        WITH remembered AS (
            SELECT sku
                 , location_id
                 , COUNT(*) AS changes
                 , MAX(version) AS newest
              FROM inventory.reorder_policy_changes
             GROUP BY sku
                    , location_id
        )
           , judged AS (
            SELECT COALESCE(policy.sku, remembered.sku) || ' at '
                || COALESCE(policy.location_id, remembered.location_id) AS name
                 , COALESCE(
                       policy.version = remembered.newest
                   AND policy.version = remembered.changes
                   AND (
                           policy.reorder_point
                         , policy.order_up_to
                         , policy.pack_multiple
                         , policy.lead_time_hours
                         , policy.lead_time_deviation_hours
                         , policy.review_days
                         , policy.service_level_basis_points
                         , policy.paused
                       ) = (
                           change.reorder_point
                         , change.order_up_to
                         , change.pack_multiple
                         , change.lead_time_hours
                         , change.lead_time_deviation_hours
                         , change.review_days
                         , change.service_level_basis_points
                         , change.paused
                       )
                     , FALSE
                   ) AS holds
              FROM inventory.reorder_policies AS policy
              FULL JOIN remembered USING (sku, location_id)
              LEFT JOIN inventory.reorder_policy_changes AS change
                     ON change.sku = policy.sku
                    AND change.location_id = policy.location_id
                    AND change.version = policy.version
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
        id: "reorder",
        what: "terms of reordering are what their last change says, and every version is there",
        checked: row.checked,
        violations: row.violations,
        offenders: row.offenders.unwrap_or_default(),
    })
}
