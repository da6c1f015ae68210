//! Facts on their way out: written in the transaction that makes them true, published by [`crate::relay`].
//!
//! So an event exists exactly when its fact does: no message without a commit, no commit without a message. Delivery is
//! at least once and may be out of order; `aggregate_version` is what consumers go by.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool, SqlStr};
use uuid::Uuid;

use crate::{
    schema::{Schema, statement},
    telemetry,
};

/// An event larger than this cannot be packed and is refused at the door, where the request can still fail. A row that
/// the broker refuses would stop all rows behind it.
pub const MAX_PAYLOAD_BYTES: usize = 512 * 1024;
const PRUNE_STEP: i64 = 5_000;

/// One fact for the outside, with resulting values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxEvent {
    pub event_id: Uuid,
    pub routing_key: &'static str,
    /// Full name of the message in `payload`, such as `oneshelf.inventory.v1.StockLevelChanged`.
    pub event_type: &'static str,
    pub aggregate_id: String,
    /// Rises without gaps per aggregate.
    pub aggregate_version: i64,
    pub payload: Vec<u8>,
    pub effective_at: DateTime<Utc>,
}

/// Appends events, in order, to the transaction of `conn`, with one statement, and wakes this process's relay.
pub async fn append(
    conn: &mut PgConnection,
    schema: Schema,
    events: &[OutboxEvent],
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    if events.is_empty() {
        return Ok(());
    }
    if let Some(event) = events.iter().find(|event| event.payload.len() > MAX_PAYLOAD_BYTES) {
        return Err(sqlx::Error::InvalidArgument(format!(
            "event {} of {} has {} bytes, more than {MAX_PAYLOAD_BYTES}",
            event.event_type,
            event.aggregate_id,
            event.payload.len(),
        )));
    }
    let column = |of: fn(&OutboxEvent) -> &str| events.iter().map(of).collect::<Vec<_>>();
    sqlx::query(schema.outbox().append.clone())
        .bind(events.iter().map(|event| event.event_id).collect::<Vec<_>>())
        .bind(column(|event| event.routing_key))
        .bind(column(|event| event.event_type))
        .bind(column(|event| &event.aggregate_id))
        .bind(events.iter().map(|event| event.aggregate_version).collect::<Vec<_>>())
        .bind(events.iter().map(|event| &event.payload[..]).collect::<Vec<_>>())
        .bind(events.iter().map(|event| event.effective_at).collect::<Vec<_>>())
        .bind(telemetry::current_traceparent())
        .bind(now)
        .execute(conn)
        .await?;
    schema.appended().notify_one();
    Ok(())
}

/// Deletes one bounded step of rows that were published before `before`; answers how many rows went.
///
/// A step looks at the oldest rows only, so it stays cheap however many younger ones there are. Rows that were never
/// published are never deleted.
pub async fn prune(pool: &PgPool, schema: Schema, before: DateTime<Utc>) -> Result<u64, sqlx::Error> {
    let deleted = sqlx::query(schema.outbox().prune.clone()).bind(before).bind(PRUNE_STEP).execute(pool).await?;
    Ok(deleted.rows_affected())
}

/// A row as the relay reads it.
#[derive(sqlx::FromRow)]
pub(crate) struct Row {
    pub(crate) position: i64,
    pub(crate) event_id: Uuid,
    pub(crate) routing_key: String,
    pub(crate) event_type: String,
    pub(crate) aggregate_id: String,
    pub(crate) aggregate_version: i64,
    pub(crate) payload: Vec<u8>,
    pub(crate) trace_context: Option<String>,
    pub(crate) effective_at: DateTime<Utc>,
    pub(crate) created_at: DateTime<Utc>,
}

pub(crate) async fn list_unpublished(
    conn: &mut PgConnection,
    schema: Schema,
    limit: i64,
) -> Result<Vec<Row>, sqlx::Error> {
    sqlx::query_as(schema.outbox().list_unpublished.clone()).bind(limit).fetch_all(conn).await
}

pub(crate) async fn mark_published(
    conn: &mut PgConnection,
    schema: Schema,
    positions: &[i64],
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query(schema.outbox().mark_published.clone()).bind(positions).bind(now).execute(conn).await.map(drop)
}

/// How many rows wait, counted up to a bound, and since when the oldest does.
pub(crate) async fn backlog(
    conn: &mut PgConnection,
    schema: Schema,
) -> Result<(i64, Option<DateTime<Utc>>), sqlx::Error> {
    sqlx::query_as(schema.outbox().backlog.clone()).fetch_one(conn).await
}

pub(crate) struct Statements {
    append: SqlStr,
    list_unpublished: SqlStr,
    mark_published: SqlStr,
    backlog: SqlStr,
    prune: SqlStr,
}

impl Statements {
    pub(crate) fn new(schema: &str) -> Self {
        Self {
            append: statement(
                schema,
                r"
                INSERT INTO {schema}.outbox_events (
                    event_id
                  , routing_key
                  , event_type
                  , aggregate_id
                  , aggregate_version
                  , payload
                  , effective_at
                  , trace_context
                  , created_at
                )
                SELECT event_id
                     , routing_key
                     , event_type
                     , aggregate_id
                     , aggregate_version
                     , payload
                     , effective_at
                     , $8
                     , $9
                FROM UNNEST($1::UUID[], $2::TEXT[], $3::TEXT[], $4::TEXT[], $5::BIGINT[], $6::BYTEA[], $7::TIMESTAMPTZ[])
                    WITH ORDINALITY AS event (
                        event_id
                      , routing_key
                      , event_type
                      , aggregate_id
                      , aggregate_version
                      , payload
                      , effective_at
                      , nth
                    )
                ORDER BY nth
                ",
            ),
            list_unpublished: statement(
                schema,
                r"
                SELECT position
                     , event_id
                     , routing_key
                     , event_type
                     , aggregate_id
                     , aggregate_version
                     , payload
                     , trace_context
                     , effective_at
                     , created_at
                FROM {schema}.outbox_events
                WHERE published_at IS NULL
                ORDER BY position
                LIMIT $1
                ",
            ),
            mark_published: statement(
                schema,
                r"
                UPDATE {schema}.outbox_events
                SET published_at = $2
                WHERE position = ANY ($1::BIGINT[])
                ",
            ),
            backlog: statement(
                schema,
                r"
                SELECT (
                           SELECT COUNT(*)
                           FROM (
                               SELECT
                               FROM {schema}.outbox_events
                               WHERE published_at IS NULL
                               LIMIT 100000
                           ) AS waiting
                       )
                     , (
                           SELECT created_at
                           FROM {schema}.outbox_events
                           WHERE published_at IS NULL
                           ORDER BY position
                           LIMIT 1
                       )
                ",
            ),
            prune: statement(
                schema,
                r"
                DELETE FROM {schema}.outbox_events
                WHERE position = ANY (ARRAY(
                    SELECT position
                    FROM (
                        SELECT position
                             , published_at
                        FROM {schema}.outbox_events
                        ORDER BY position
                        LIMIT $2
                    ) AS oldest
                    WHERE published_at < $1
                ))
                ",
            ),
        }
    }
}
