//! Work in progress: due, leased, failed, parked, gone.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::known;
use crate::domain::process::{Step, Verb};

/// A process as it waits or works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// The order, or the return.
    pub process_id: Uuid,
    pub verb: Verb,
    /// To be taken next.
    pub step: Step,
    /// When it happened, where the caller said so.
    pub effective_at: Option<DateTime<Utc>>,
    pub attempts: i32,
}

struct Row {
    process_id: Uuid,
    verb: String,
    step: String,
    effective_at: Option<DateTime<Utc>>,
    attempts: i32,
}

impl Row {
    fn parse(self) -> Result<Process, sqlx::Error> {
        Ok(Process {
            process_id: self.process_id,
            verb: known(Verb::parse(&self.verb), "processes", "verb", self.process_id, &self.verb)?,
            step: known(Step::parse(&self.step), "processes", "step", self.process_id, &self.step)?,
            effective_at: self.effective_at,
            attempts: self.attempts,
        })
    }
}

/// Begins a process; the timer leaves it alone until `due_at`.
pub async fn insert(
    conn: &mut PgConnection,
    process: &Process,
    due_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        INSERT INTO orders.processes (process_id, verb, step, effective_at, due_at, attempts, created_at)
        VALUES ($1, $2, $3, $4, $5, 0, $6)
        "#,
        process.process_id,
        process.verb.as_str(),
        process.step.as_str(),
        process.effective_at,
        due_at,
        now,
    )
    .execute(conn)
    .await
    .map(drop)
}

/// The unfinished process of this kind, if there is one. Whoever goes on with it takes the lease from the timer.
pub async fn lease(
    pool: &PgPool,
    process_id: Uuid,
    verb: Verb,
    due_at: DateTime<Utc>,
) -> Result<Option<Process>, sqlx::Error> {
    sqlx::query_as!(
        Row,
        r#"
        UPDATE orders.processes
        SET due_at = $3
        WHERE process_id = $1
          AND verb = $2
        RETURNING process_id
                , verb
                , step
                , effective_at
                , attempts
        "#,
        process_id,
        verb.as_str(),
        due_at,
    )
    .fetch_optional(pool)
    .await?
    .map(Row::parse)
    .transpose()
}

/// Leases what is due, oldest first, past what others are leasing at this moment.
pub async fn lease_due(
    pool: &PgPool,
    now: DateTime<Utc>,
    due_at: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<Process>, sqlx::Error> {
    sqlx::query_as!(
        Row,
        r#"
        UPDATE orders.processes
        SET due_at = $2
        FROM (
            SELECT process_id
                 , verb
            FROM orders.processes
            WHERE due_at <= $1
            ORDER BY due_at
            LIMIT $3
            FOR UPDATE SKIP LOCKED
        ) AS due
        WHERE processes.process_id = due.process_id
          AND processes.verb = due.verb
        RETURNING processes.process_id
                , processes.verb
                , processes.step
                , processes.effective_at
                , processes.attempts
        "#,
        now,
        due_at,
        limit,
    )
    .fetch_all(pool)
    .await?
    .into_iter()
    .map(Row::parse)
    .collect()
}

/// Moves a process to its next step; `false` when somebody else moved it.
pub async fn advance(
    conn: &mut PgConnection,
    process: &Process,
    to: Step,
    due_at: DateTime<Utc>,
) -> Result<bool, sqlx::Error> {
    let moved = sqlx::query!(
        r#"
        UPDATE orders.processes
        SET step = $4
          , due_at = $5
          , attempts = 0
          , last_error = NULL
          , parked_at = NULL
        WHERE process_id = $1
          AND verb = $2
          AND step = $3
        "#,
        process.process_id,
        process.verb.as_str(),
        process.step.as_str(),
        to.as_str(),
        due_at,
    )
    .execute(conn)
    .await?;
    Ok(moved.rows_affected() == 1)
}

/// Ends a process with its last step; `false` when somebody else did.
pub async fn delete(conn: &mut PgConnection, process: &Process) -> Result<bool, sqlx::Error> {
    let deleted = sqlx::query!(
        r#"
        DELETE FROM orders.processes
        WHERE process_id = $1
          AND verb = $2
          AND step = $3
        "#,
        process.process_id,
        process.verb.as_str(),
        process.step.as_str(),
    )
    .execute(conn)
    .await?;
    Ok(deleted.rows_affected() == 1)
}

/// Notes that a step could not be taken, when the timer tries again, and whether a person should look.
pub async fn note_failure(
    pool: &PgPool,
    process: &Process,
    error: &str,
    due_at: DateTime<Utc>,
    parked_at: Option<DateTime<Utc>>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        UPDATE orders.processes
        SET attempts = attempts + 1
          , last_error = $4
          , due_at = $5
          , parked_at = $6
        WHERE process_id = $1
          AND verb = $2
          AND step = $3
        "#,
        process.process_id,
        process.verb.as_str(),
        process.step.as_str(),
        error,
        due_at,
        parked_at,
    )
    .execute(pool)
    .await
    .map(drop)
}

/// How many processes wait for a person, and since when the oldest live one is overdue; for metrics.
pub async fn backlog(pool: &PgPool) -> Result<(i64, Option<DateTime<Utc>>), sqlx::Error> {
    let row = sqlx::query!(
        r#"
    SELECT COUNT(*) FILTER (WHERE parked_at IS NOT NULL) AS "parked!"
             , MIN(due_at) FILTER (WHERE parked_at IS NULL) AS oldest_due_at
        FROM orders.processes
        "#,
    )
    .fetch_one(pool)
    .await?;
    Ok((row.parked, row.oldest_due_at))
}
