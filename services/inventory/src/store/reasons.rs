//! The operator's own reason codes.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};

/// Inserts a code; `false` when it is taken.
pub async fn insert_reason_code(
    conn: &mut PgConnection,
    code: &str,
    title: &str,
    now: DateTime<Utc>,
) -> Result<bool, sqlx::Error> {
    let inserted = sqlx::query!(
        r#"
        INSERT INTO inventory.reason_codes (reason_code, title, created_at)
        VALUES ($1, $2, $3)
            ON CONFLICT DO NOTHING
        "#,
        code,
        title,
        now,
    )
    .execute(conn)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

pub async fn reason_code_exists(pool: &PgPool, code: &str) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"
        SELECT EXISTS (
            SELECT
              FROM inventory.reason_codes
             WHERE reason_code = $1
        ) AS "exists!"
        "#,
        code,
    )
    .fetch_one(pool)
    .await
}

/// Codes with their titles, by code, after `after`. By bytes, as the built-in ones are.
pub async fn list_reason_codes(pool: &PgPool, after: &str, limit: i64) -> Result<Vec<(String, String)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"
        SELECT reason_code
             , title
          FROM inventory.reason_codes
         WHERE reason_code > $1 COLLATE "C"
         ORDER BY reason_code COLLATE "C"
         LIMIT $2
        "#,
        after,
        limit,
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|row| (row.reason_code, row.title)).collect())
}
