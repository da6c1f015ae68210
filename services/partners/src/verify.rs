//! The books of this service, checked over whole tables with one statement each.

use oneshelf_kit::verify::Check;
use sqlx::PgPool;

/// Runs every check of this service's schema.
pub async fn verify(pool: &PgPool) -> Result<Vec<Check>, sqlx::Error> {
    Ok(vec![
        holds_were_within_the_limit(pool).await?,
        used_is_sum_of_entries(pool).await?,
        held_is_sum_of_open_holds(pool).await?,
        captures_are_entries(pool).await?,
    ])
}

async fn holds_were_within_the_limit(pool: &PgPool) -> Result<Check, sqlx::Error> {
    let found = sqlx::query!(
        r#"
        SELECT COUNT(*) AS "checked!"
             , COUNT(*) FILTER (WHERE exposure_minor > limit_minor) AS "violations!"
             , COALESCE(
                   (ARRAY_AGG(hold_id::TEXT ORDER BY hold_id) FILTER (WHERE exposure_minor > limit_minor))[:10]
                 , '{}'
               ) AS "offenders!"
        FROM partners.credit_holds
        "#,
    )
    .fetch_one(pool)
    .await?;
    Ok(Check {
        id: "M4",
        what: "credit used + held <= limit when each hold was granted",
        checked: found.checked,
        violations: found.violations,
        offenders: found.offenders,
    })
}

async fn used_is_sum_of_entries(pool: &PgPool) -> Result<Check, sqlx::Error> {
    let found = sqlx::query!(
        r#"
        WITH broken AS (
            SELECT a.partner_id
                 , a.used_minor <> COALESCE(e.total, 0) AS broken
            FROM partners.credit_accounts a
            LEFT JOIN (
                SELECT partner_id
                     , SUM(amount_minor) AS total
                FROM partners.credit_entries
                GROUP BY partner_id
            ) e USING (partner_id)
        )
        SELECT COUNT(*) AS "checked!"
             , COUNT(*) FILTER (WHERE broken) AS "violations!"
             , COALESCE((ARRAY_AGG(partner_id ORDER BY partner_id) FILTER (WHERE broken))[:10], '{}') AS "offenders!"
        FROM broken
        "#,
    )
    .fetch_one(pool)
    .await?;
    Ok(Check {
        id: "M4",
        what: "credit used = sum of the account's entries",
        checked: found.checked,
        violations: found.violations,
        offenders: found.offenders,
    })
}

async fn held_is_sum_of_open_holds(pool: &PgPool) -> Result<Check, sqlx::Error> {
    let found = sqlx::query!(
        r#"
        WITH broken AS (
            SELECT a.partner_id
                 , a.held_minor <> COALESCE(h.total, 0) AS broken
            FROM partners.credit_accounts a
            LEFT JOIN (
                SELECT partner_id
                     , SUM(amount_minor) AS total
                FROM partners.credit_holds
                WHERE state = 'held'
                GROUP BY partner_id
            ) h USING (partner_id)
        )
        SELECT COUNT(*) AS "checked!"
             , COUNT(*) FILTER (WHERE broken) AS "violations!"
             , COALESCE((ARRAY_AGG(partner_id ORDER BY partner_id) FILTER (WHERE broken))[:10], '{}') AS "offenders!"
        FROM broken
        "#,
    )
    .fetch_one(pool)
    .await?;
    Ok(Check {
        id: "M4",
        what: "credit held = sum of the account's open holds",
        checked: found.checked,
        violations: found.violations,
        offenders: found.offenders,
    })
}

async fn captures_are_entries(pool: &PgPool) -> Result<Check, sqlx::Error> {
    let found = sqlx::query!(
        r#"
        WITH compared AS (
            SELECT COALESCE(h.hold_id, e.cause_id) AS hold_id
                 , (h.partner_id, h.captured_minor) IS DISTINCT FROM (e.partner_id, e.amount_minor) AS broken
            FROM (SELECT * FROM partners.credit_holds WHERE state = 'captured') h
            FULL JOIN (SELECT * FROM partners.credit_entries WHERE reason = 'capture') e ON e.cause_id = h.hold_id
        )
        SELECT COUNT(*) AS "checked!"
             , COUNT(*) FILTER (WHERE broken) AS "violations!"
             , COALESCE((ARRAY_AGG(hold_id::TEXT ORDER BY hold_id) FILTER (WHERE broken))[:10], '{}') AS "offenders!"
        FROM compared
        "#,
    )
    .fetch_one(pool)
    .await?;
    Ok(Check {
        id: "Q6",
        what: "each captured credit hold has one entry of its amount, and each capture entry its hold",
        checked: found.checked,
        violations: found.violations,
        offenders: found.offenders,
    })
}
