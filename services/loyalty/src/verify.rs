//! The books of this service, checked over whole tables with one statement each.

use oneshelf_kit::verify::Check;
use sqlx::PgPool;

/// Runs every check of this service's schema.
pub async fn verify(pool: &PgPool) -> Result<Vec<Check>, sqlx::Error> {
    Ok(vec![
        balance_is_sum_of_entries(pool).await?,
        earned_is_sum_of_documents(pool).await?,
        documents_are_sums_of_lines(pool).await?,
    ])
}

async fn balance_is_sum_of_entries(pool: &PgPool) -> Result<Check, sqlx::Error> {
    let found = sqlx::query!(
        r#"
        WITH compared AS (
            SELECT m.member_id
                 , m.balance <> COALESCE(e.total, 0) AS broken
            FROM loyalty.members m
            LEFT JOIN (
                SELECT member_id
                     , SUM(points) AS total
                FROM loyalty.points_entries
                GROUP BY member_id
            ) e USING (member_id)
        )
        SELECT COUNT(*) AS "checked!"
             , COUNT(*) FILTER (WHERE broken) AS "violations!"
             , COALESCE((ARRAY_AGG(member_id ORDER BY member_id) FILTER (WHERE broken))[:10], '{}') AS "offenders!"
        FROM compared
        "#,
    )
    .fetch_one(pool)
    .await?;
    Ok(Check {
        id: "loyalty.balance",
        what: "points balance = sum of the member's entries",
        checked: found.checked,
        violations: found.violations,
        offenders: found.offenders,
    })
}

async fn earned_is_sum_of_documents(pool: &PgPool) -> Result<Check, sqlx::Error> {
    let found = sqlx::query!(
        r#"
        WITH compared AS (
            SELECT m.member_id
                 , m.earned <> COALESCE(d.earned, 0) OR m.balance <> COALESCE(d.total, 0) AS broken
            FROM loyalty.members m
            LEFT JOIN (
                SELECT member_id
                     , SUM(GREATEST(points, 0)) AS earned
                     , SUM(points) AS total
                FROM loyalty.documents
                GROUP BY member_id
            ) d USING (member_id)
        )
        SELECT COUNT(*) AS "checked!"
             , COUNT(*) FILTER (WHERE broken) AS "violations!"
             , COALESCE((ARRAY_AGG(member_id ORDER BY member_id) FILTER (WHERE broken))[:10], '{}') AS "offenders!"
        FROM compared
        "#,
    )
    .fetch_one(pool)
    .await?;
    Ok(Check {
        id: "loyalty.earned",
        what: "points earned and balance = sums of the points of the member's documents",
        checked: found.checked,
        violations: found.violations,
        offenders: found.offenders,
    })
}

/// One earn per line: a line counted twice, or counted and not kept, breaks its document's sum.
async fn documents_are_sums_of_lines(pool: &PgPool) -> Result<Check, sqlx::Error> {
    let found = sqlx::query!(
        r#"
        WITH compared AS (
            SELECT d.document_id
                 , d.amount_minor <> COALESCE(l.total, 0) OR d.points <> COALESCE(e.total, 0) AS broken
            FROM loyalty.documents d
            LEFT JOIN (
                SELECT document_id
                     , SUM(amount_minor) AS total
                FROM loyalty.document_lines
                GROUP BY document_id
            ) l USING (document_id)
            LEFT JOIN (
                SELECT document_id
                     , SUM(points) AS total
                FROM loyalty.points_entries
                GROUP BY document_id
            ) e USING (document_id)
        )
        SELECT COUNT(*) AS "checked!"
             , COUNT(*) FILTER (WHERE broken) AS "violations!"
             , COALESCE((ARRAY_AGG(document_id::TEXT ORDER BY document_id) FILTER (WHERE broken))[:10], '{}')
                   AS "offenders!"
        FROM compared
        "#,
    )
    .fetch_one(pool)
    .await?;
    Ok(Check {
        id: "loyalty.lines",
        what: "a document's amount = sum of its lines, its points = sum of its entries",
        checked: found.checked,
        violations: found.violations,
        offenders: found.offenders,
    })
}
