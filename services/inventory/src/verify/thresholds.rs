//! What channels are told of SKUs.

use oneshelf_kit::verify::Check;
use sqlx::PgPool;

/// The kept sums are sums, and the band is that of the figure.
pub async fn totals_equal_parts(pool: &PgPool) -> Result<Check, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        WITH judged AS (
            SELECT threshold.sku || ' for ' || threshold.channel_id AS name
                 , threshold.total = COALESCE(
                       (
                           SELECT SUM(part.available)
                             FROM inventory.stock_threshold_parts AS part
                            WHERE part.sku = threshold.sku
                              AND part.channel_id = threshold.channel_id
                              AND part.location_id = ANY (threshold.location_ids)
                       )
                     , 0
                   )
               AND threshold.available = GREATEST(0, threshold.total - COALESCE(policy.network_threshold, 0))
               AND threshold.band = CASE
                       WHEN threshold.available = 0 THEN 'out'
                       WHEN threshold.available <= threshold.low_threshold THEN 'low'
                       ELSE 'in_stock'
                   END AS holds
              FROM inventory.stock_thresholds AS threshold
              LEFT JOIN inventory.sku_policies AS policy USING (sku)
             WHERE NOT threshold.ended
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
        id: "TH1",
        what: "what a channel is told of is the sum over its locations, and its band is that of the figure",
        checked: row.checked,
        violations: row.violations,
        offenders: row.offenders.unwrap_or_default(),
    })
}

/// The figure of a level for a channel, with the rule written a second time. A ring-fence that ends by the clock is left
/// out of the comparison until it is announced: what is counted of it is as of the level's last change.
pub async fn parts_equal_levels(pool: &PgPool) -> Result<Check, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        WITH judged AS (
            SELECT level.sku || ' at ' || level.location_id || ' for ' || threshold.channel_id AS name
                 , level.has_rules
               AND COALESCE(part.available, 0) = CASE
                       WHEN NOT level.location_active
                         OR COALESCE(policy.excluded, FALSE)
                         OR threshold.channel_id = ANY (policy.excluded_channels)
                         OR threshold.channel_id = ANY (sku_policy.excluded_channels)
                       THEN 0
                       ELSE GREATEST(
                           0
                         , level.sellable - level.hard_held - level.soft_held - level.safety_stock + level.backorder_limit
                         - COALESCE((policy.buffers ->> threshold.channel_id)::BIGINT, 0)
                         - COALESCE(fences.kept, 0)
                       )
                   END AS holds
              FROM inventory.stock_thresholds AS threshold
              JOIN inventory.stock_levels AS level USING (sku)
              LEFT JOIN inventory.stock_policies AS policy USING (sku, location_id)
              LEFT JOIN inventory.sku_policies AS sku_policy ON sku_policy.sku = level.sku
              LEFT JOIN inventory.stock_threshold_parts AS part
                     ON part.sku = level.sku
                    AND part.location_id = level.location_id
                    AND part.channel_id = threshold.channel_id
             CROSS JOIN LATERAL (
                       SELECT SUM(GREATEST(0, fence.quota - fence.used)) FILTER (
                                  WHERE fence.owner_kind <> 'channel' OR fence.owner_id <> threshold.channel_id
                              ) AS kept
                            , COUNT(*) FILTER (WHERE fence.release_at IS NOT NULL) AS timed
                         FROM inventory.ring_fences AS fence
                        WHERE fence.sku = level.sku
                          AND fence.location_id = level.location_id
                          AND fence.quota > 0
                          AND NOT fence.released
                   ) AS fences
             WHERE NOT threshold.ended
               AND level.version > 0
               AND fences.timed = 0
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
        id: "TH2",
        what: "what is counted of a level for a channel that is told is what the channel may sell of it",
        checked: row.checked,
        violations: row.violations,
        offenders: row.offenders.unwrap_or_default(),
    })
}
