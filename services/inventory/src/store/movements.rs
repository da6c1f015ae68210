//! Movements whose id the client made. The row is the memory of the id, for good: answers by request id are kept for a
//! week only.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

/// What is known of an id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MovementClaim {
    New,
    Answered(Vec<u8>),
    /// It belongs to other content.
    Reused,
}

/// Claims the id for this transaction; waits while a twin's transaction is open.
pub async fn claim_movement(
    conn: &mut PgConnection,
    movement_id: Uuid,
    fingerprint: &[u8; 32],
    now: DateTime<Utc>,
) -> Result<MovementClaim, sqlx::Error> {
    let inserted = sqlx::query!(
        r#"
        INSERT INTO inventory.movements (movement_id, fingerprint, recorded_at)
        VALUES ($1, $2, $3)
            ON CONFLICT DO NOTHING
        "#,
        movement_id,
        &fingerprint[..],
        now,
    )
    .execute(&mut *conn)
    .await?;
    if inserted.rows_affected() == 1 {
        return Ok(MovementClaim::New);
    }
    let row = sqlx::query!(
        r#"
        SELECT fingerprint
             , answer
          FROM inventory.movements
         WHERE movement_id = $1
        "#,
        movement_id,
    )
    .fetch_one(conn)
    .await?;
    Ok(match row.answer {
        Some(answer) if row.fingerprint == fingerprint => MovementClaim::Answered(answer),
        _ => MovementClaim::Reused,
    })
}

pub async fn store_movement_answer(
    conn: &mut PgConnection,
    movement_id: Uuid,
    answer: &[u8],
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        UPDATE inventory.movements
           SET answer = $2
         WHERE movement_id = $1
        "#,
        movement_id,
        answer,
    )
    .execute(conn)
    .await?;
    Ok(())
}
