//! Events already applied: the other half of "at least once, applied effectively once".
//!
//! The row is inserted in the transaction of the effect, so both are there or neither. A second delivery that arrives
//! while the first one's transaction is open waits for it on the primary key.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool, SqlStr};
use uuid::Uuid;

use crate::schema::{Schema, statement};

const PRUNE_STEP: i64 = 5_000;

/// Enters events for a consumer and answers those that were not there before.
///
/// Rows are inserted in id order, so that two consumers with overlapping groups never wait for each other in a circle.
pub async fn admit(
    conn: &mut PgConnection,
    schema: Schema,
    consumer: &str,
    event_ids: impl IntoIterator<Item = Uuid>,
    now: DateTime<Utc>,
) -> Result<HashSet<Uuid>, sqlx::Error> {
    let mut ids: Vec<Uuid> = event_ids.into_iter().collect();
    ids.sort_unstable();
    ids.dedup();
    let new: Vec<Uuid> =
        sqlx::query_scalar(schema.inbox().admit.clone()).bind(consumer).bind(ids).bind(now).fetch_all(conn).await?;
    Ok(new.into_iter().collect())
}

/// Deletes one bounded step of rows from before `before`; answers how many rows went.
///
/// An event that is delivered again after its row is gone is applied again, so the retention must be longer than
/// anything can wait in a queue.
pub async fn prune(pool: &PgPool, schema: Schema, before: DateTime<Utc>) -> Result<u64, sqlx::Error> {
    let deleted = sqlx::query(schema.inbox().prune.clone()).bind(before).bind(PRUNE_STEP).execute(pool).await?;
    Ok(deleted.rows_affected())
}

pub(crate) struct Statements {
    admit: SqlStr,
    prune: SqlStr,
}

impl Statements {
    pub(crate) fn new(schema: &str) -> Self {
        Self {
            admit: statement(
                schema,
                r"
                INSERT INTO {schema}.inbox (consumer, event_id, received_at)
                SELECT $1
                     , event_id
                     , $3
                FROM UNNEST($2::UUID[]) AS event (event_id)
                ON CONFLICT (consumer, event_id) DO NOTHING
                RETURNING event_id
                ",
            ),
            prune: statement(
                schema,
                r"
                DELETE FROM {schema}.inbox
                WHERE ctid = ANY (ARRAY(
                    SELECT ctid
                    FROM {schema}.inbox
                    WHERE received_at < $1
                    ORDER BY received_at
                    LIMIT $2
                ))
                ",
            ),
        }
    }
}
