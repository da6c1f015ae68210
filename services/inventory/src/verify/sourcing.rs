//! What network holds and moves of holds must leave in the tables.

use oneshelf_kit::verify::Check;
use sqlx::PgPool;

pub async fn checks(pool: &PgPool) -> Result<[Check; 3], sqlx::Error> {
    Ok([found_is_held(pool).await?, days_count_their_holds(pool).await?, moves_leave_their_past(pool).await?])
}

/// Units that were found for a network hold are held by it, wherever they moved since.
async fn found_is_held(pool: &PgPool) -> Result<Check, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        WITH asked AS (
            SELECT holds.hold_id
                 , line ->> 'sku' AS sku
                 , (line ->> 'requested')::BIGINT - (line ->> 'unsourced')::BIGINT AS found
              FROM inventory.holds
             CROSS JOIN JSONB_ARRAY_ELEMENTS(holds.sourcing -> 'lines') AS line
             WHERE holds.sourcing IS NOT NULL
        )
           , judged AS (
            SELECT asked.sku || ' of hold ' || asked.hold_id AS name
                   -- Lines that named their location may hold more of it.
                 , COALESCE(SUM(hold_lines.held), 0) >= asked.found AS holds
              FROM asked
              LEFT JOIN inventory.hold_lines ON hold_lines.hold_id = asked.hold_id AND hold_lines.sku = asked.sku
             GROUP BY asked.hold_id
                    , asked.sku
                    , asked.found
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
        id: "SRC",
        what: "what was found for a network hold is held by it",
        checked: row.checked,
        violations: row.violations,
        offenders: row.offenders.unwrap_or_default(),
    })
}

/// A day's places are those of the open network holds there, and of the committed ones that took something there.
async fn days_count_their_holds(pool: &PgPool) -> Result<Check, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        WITH placed AS (
            SELECT place ->> 0 AS location_id
                 , (place ->> 1)::DATE AS day
                 , COUNT(*) AS taken
              FROM inventory.holds
             CROSS JOIN JSONB_ARRAY_ELEMENTS(holds.sourcing -> 'days') AS place
             WHERE holds.sourcing IS NOT NULL
               AND (
                       holds.state = 'held'
                    OR EXISTS (
                           SELECT
                             FROM inventory.hold_lines
                            WHERE hold_lines.hold_id = holds.hold_id
                              AND hold_lines.location_id = place ->> 0
                              AND hold_lines.committed > 0
                       )
                   )
             GROUP BY place ->> 0
                    , (place ->> 1)::DATE
        )
           , judged AS (
            SELECT COALESCE(node_days.location_id, placed.location_id) || ' on '
                || COALESCE(node_days.day, placed.day) AS name
                 , COALESCE(node_days.taken, 0) = COALESCE(placed.taken, 0) AS holds
              FROM inventory.node_days
              FULL JOIN placed USING (location_id, day)
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
        id: "SRC",
        what: "the places taken of a location's day are those of its network holds, and within its capacity",
        checked: row.checked,
        violations: row.violations,
        offenders: row.offenders.unwrap_or_default(),
    })
}

/// Each move has its time at the old place in the books: a released hold of the same units.
async fn moves_leave_their_past(pool: &PgPool) -> Result<Check, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        WITH judged AS (
            SELECT 'line ' || moves.line_no || ' of move ' || moves.move_id AS name
                 , COALESCE(
                       past.state = 'released'
                   AND lines.sku = moves.sku
                   AND lines.location_id = moves.source_location_id
                   AND lines.held = moves.quantity
                   AND lines.resolved_version IS NOT NULL
                   AND lines.resolved_version >= lines.granted_version
                   AND moved.granted_lines IS NOT NULL
                     , FALSE
                   ) AS holds
              FROM inventory.hold_moves AS moves
              LEFT JOIN inventory.holds AS past ON past.hold_id = moves.move_id
              LEFT JOIN inventory.hold_lines AS lines ON lines.hold_id = moves.move_id AND lines.line_no = moves.line_no
              LEFT JOIN inventory.holds AS moved ON moved.hold_id = moves.hold_id
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
        id: "SRC",
        what: "units that moved between locations were held at the old one until then, and no longer",
        checked: row.checked,
        violations: row.violations,
        offenders: row.offenders.unwrap_or_default(),
    })
}
