//! Facts on their way out: written in the transaction that makes them true, published by [`crate::relay`].
//!
//! So an event exists exactly when its fact does: no message without a commit, no commit without a message. Delivery is
//! at least once and may be out of order; `aggregate_version` is what consumers go by.
//!
//! A row is a *pack*: the events that one transaction appends for one routing key, encoded as they will be published.
//! Rows cost the database far more than bytes do (a row is inserted, indexed, read, marked and deleted), so a group of
//! commands with 200 changed levels pays for one.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use oneshelf_values::{Clock, new_id};
use prost::{Message, bytes::Bytes};
use sqlx::{PgConnection, PgPool, SqlStr};
use uuid::Uuid;

use crate::{
    cloudevents::{self, CloudEvent},
    consumer::Event,
    schema::{Schema, statement},
    telemetry,
};

/// An event larger than this cannot be packed and is refused at the door, where the request can still fail. A row that
/// the broker refuses would stop all rows behind it.
pub const MAX_PAYLOAD_BYTES: usize = 512 * 1024;
/// Events of one pack, and of one message: as many as one inbox row can know.
pub(crate) const PACK_EVENTS: usize = 256;
/// Bytes of one pack and of one message, unless a single event is larger.
pub(crate) const PACK_BYTES: usize = MAX_PAYLOAD_BYTES;
/// What the relay takes at once: rows, and bytes after which it takes no further row.
const CLAIM_ROWS: i64 = 1_000;
const CLAIM_BYTES: i64 = 8 * 1024 * 1024;
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

/// Ids for the events of one transaction: 256 in a row differ in their last byte only, so that one inbox row of each
/// consumer knows them all ([`crate::inbox`]). For a single event any new id is as good.
#[derive(Debug)]
pub struct EventIds<'c> {
    clock: &'c Clock,
    given: u128,
    base: u128,
}

impl<'c> EventIds<'c> {
    pub fn new(clock: &'c Clock) -> Self {
        Self { clock, given: 0, base: 0 }
    }

    /// The next id.
    pub fn give(&mut self) -> Uuid {
        let place = self.given % PACK_EVENTS as u128;
        if place == 0 {
            self.base = new_id(self.clock).as_u128() & !0xff;
        }
        self.given += 1;
        Uuid::from_u128(self.base | place)
    }
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
    let Packs { routing_keys, counts, batches } = Packs::of(schema, events, now)?;
    sqlx::query(schema.outbox().append.clone())
        .bind(routing_keys)
        .bind(counts)
        .bind(batches)
        .bind(now)
        .execute(conn)
        .await?;
    wake_relay(schema);
    Ok(())
}

/// Wakes this process's relay, after a statement of the service's own has appended [`Packs`].
pub fn wake_relay(schema: Schema) {
    schema.appended().notify_one();
}

/// Events as rows of `outbox_packs`, for a statement that inserts them along with the facts: with `routing_keys` as
/// `routing_key`, `counts` as `events`, `batches` as `batch`, and the time as `created_at`, in order.
#[derive(Debug, Default)]
pub struct Packs {
    pub routing_keys: Vec<&'static str>,
    pub counts: Vec<i32>,
    pub batches: Vec<Vec<u8>>,
}

impl Packs {
    /// Packs events, in order. One that is larger than [`MAX_PAYLOAD_BYTES`] is refused.
    pub fn of(schema: Schema, events: &[OutboxEvent], now: DateTime<Utc>) -> Result<Self, sqlx::Error> {
        if let Some(event) = events.iter().find(|event| event.payload.len() > MAX_PAYLOAD_BYTES) {
            return Err(sqlx::Error::InvalidArgument(format!(
                "event {} of {} has {} bytes, more than {MAX_PAYLOAD_BYTES}",
                event.event_type,
                event.aggregate_id,
                event.payload.len(),
            )));
        }
        let mut packs = Self::default();
        for pack in pack(schema, events, now) {
            packs.routing_keys.push(pack.routing_key);
            packs.counts.push(pack.events.len() as i32);
            packs.batches.push(cloudevents::join_batch(pack.events));
        }
        Ok(packs)
    }
}

struct NewPack {
    routing_key: &'static str,
    events: Vec<Bytes>,
    bytes: usize,
}

/// Encodes events and packs them, in order, by routing key.
fn pack(schema: Schema, events: &[OutboxEvent], now: DateTime<Utc>) -> Vec<NewPack> {
    let source = format!("/oneshelf/{}", schema.name());
    let traceparent = telemetry::current_traceparent();
    let mut packs: Vec<NewPack> = Vec::new();
    let mut open: HashMap<&'static str, usize> = HashMap::new();
    for event in events {
        let envelope = CloudEvent::of(
            source.clone(),
            Event {
                id: event.event_id,
                event_type: event.event_type.to_owned(),
                aggregate_id: event.aggregate_id.clone(),
                aggregate_version: event.aggregate_version,
                effective_at: event.effective_at,
                payload: Bytes::copy_from_slice(&event.payload),
                traceparent: traceparent.clone(),
            },
            now,
        );
        let encoded = Bytes::from(envelope.encode_to_vec());
        let fits = |pack: &NewPack| pack.events.len() < PACK_EVENTS && pack.bytes + encoded.len() <= PACK_BYTES;
        let index = match open.get(event.routing_key) {
            Some(&index) if fits(&packs[index]) => index,
            _ => {
                open.insert(event.routing_key, packs.len());
                packs.push(NewPack { routing_key: event.routing_key, events: Vec::new(), bytes: 0 });
                packs.len() - 1
            }
        };
        packs[index].bytes += encoded.len();
        packs[index].events.push(encoded);
    }
    packs
}

/// Deletes one bounded step of rows that were published before `before`; answers how many rows went.
///
/// A step looks at the oldest rows only, so it stays cheap however many younger ones there are. Rows that were never
/// published are never deleted.
pub async fn prune(pool: &PgPool, schema: Schema, before: DateTime<Utc>) -> Result<u64, sqlx::Error> {
    let deleted = sqlx::query(schema.outbox().prune.clone()).bind(before).bind(PRUNE_STEP).execute(pool).await?;
    Ok(deleted.rows_affected())
}

/// An event in the outbox, and whether it was published.
#[derive(Debug, Clone)]
pub struct Recorded {
    pub routing_key: String,
    pub event: Event,
    pub published: bool,
}

/// Reads everything in a schema's outbox, in order: for tests and for looking into a small one, not for production.
pub async fn read_all(pool: &PgPool, schema: Schema) -> Result<Vec<Recorded>, sqlx::Error> {
    let rows: Vec<(String, Vec<u8>, bool)> = sqlx::query_as(schema.outbox().read_all.clone()).fetch_all(pool).await?;
    let unfit = |what: &str| sqlx::Error::Decode(format!("an outbox row is {what}").into());
    let mut recorded = Vec::new();
    for (routing_key, batch, published) in rows {
        for encoded in cloudevents::split_batch(batch.into()).ok_or_else(|| unfit("no batch"))? {
            let event = cloudevents::decode_event(encoded).map_err(|malformed| unfit(&malformed.to_string()))?;
            recorded.push(Recorded { routing_key: routing_key.clone(), event, published });
        }
    }
    Ok(recorded)
}

/// A row as the relay reads it.
#[derive(sqlx::FromRow)]
pub(crate) struct Row {
    pub(crate) position: i64,
    pub(crate) routing_key: String,
    pub(crate) events: i32,
    pub(crate) batch: Vec<u8>,
}

/// Reads the oldest unpublished rows within the bounds of one claim, and says whether the bounds may have left some.
pub(crate) async fn list_unpublished(conn: &mut PgConnection, schema: Schema) -> Result<(Vec<Row>, bool), sqlx::Error> {
    let statement = schema.outbox().list_unpublished.clone();
    let rows: Vec<Row> = sqlx::query_as(statement).bind(CLAIM_ROWS).bind(CLAIM_BYTES).fetch_all(conn).await?;
    let bytes: usize = rows.iter().map(|row| row.batch.len()).sum();
    let more = rows.len() as i64 == CLAIM_ROWS || bytes as i64 >= CLAIM_BYTES;
    Ok((rows, more))
}

pub(crate) async fn mark_published(
    conn: &mut PgConnection,
    schema: Schema,
    positions: &[i64],
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query(schema.outbox().mark_published.clone()).bind(positions).bind(now).execute(conn).await.map(drop)
}

/// How many events wait, counted up to a bound of rows, and since when the oldest does.
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
    read_all: SqlStr,
}

impl Statements {
    pub(crate) fn new(schema: &str) -> Self {
        Self {
            append: statement(
                schema,
                r"
                INSERT INTO {schema}.outbox_packs (
                    routing_key
                  , events
                  , batch
                  , created_at
                )
                SELECT routing_key
                     , events
                     , batch
                     , $4
                FROM UNNEST($1::TEXT[], $2::INT[], $3::BYTEA[])
                    WITH ORDINALITY AS pack (routing_key, events, batch, nth)
                ORDER BY nth
                ",
            ),
            // The length of a value that lies out of line is known without reading it.
            list_unpublished: statement(
                schema,
                r"
                SELECT position
                     , routing_key
                     , events
                     , batch
                FROM (
                    SELECT position
                         , routing_key
                         , events
                         , batch
                         , SUM(OCTET_LENGTH(batch)) OVER (ORDER BY position) - OCTET_LENGTH(batch) AS bytes_before
                    FROM (
                        SELECT position
                             , routing_key
                             , events
                             , batch
                        FROM {schema}.outbox_packs
                        WHERE published_at IS NULL
                        ORDER BY position
                        LIMIT $1
                    ) AS oldest
                ) AS measured
                WHERE bytes_before < $2
                ORDER BY position
                ",
            ),
            mark_published: statement(
                schema,
                r"
                UPDATE {schema}.outbox_packs
                SET published_at = $2
                WHERE position = ANY ($1::BIGINT[])
                ",
            ),
            backlog: statement(
                schema,
                r"
                SELECT (
                           SELECT COALESCE(SUM(events), 0)::BIGINT
                           FROM (
                               SELECT events
                               FROM {schema}.outbox_packs
                               WHERE published_at IS NULL
                               LIMIT 100000
                           ) AS waiting
                       )
                     , (
                           SELECT created_at
                           FROM {schema}.outbox_packs
                           WHERE published_at IS NULL
                           ORDER BY position
                           LIMIT 1
                       )
                ",
            ),
            prune: statement(
                schema,
                r"
                DELETE FROM {schema}.outbox_packs
                WHERE position = ANY (ARRAY(
                    SELECT position
                    FROM (
                        SELECT position
                             , published_at
                        FROM {schema}.outbox_packs
                        ORDER BY position
                        LIMIT $2
                    ) AS oldest
                    WHERE published_at < $1
                ))
                ",
            ),
            read_all: statement(
                schema,
                r"
                SELECT routing_key
                     , batch
                     , published_at IS NOT NULL
                FROM {schema}.outbox_packs
                ORDER BY position
                ",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_of_one_transaction_differ_and_share_all_but_their_last_byte_in_runs_of_256() {
        let clock = Clock::system();
        let mut ids = EventIds::new(&clock);
        let given: Vec<u128> = (0..600).map(|_| ids.give().as_u128()).collect();
        assert_eq!(given.iter().collect::<HashSet<_>>().len(), 600);
        assert_eq!(given.iter().map(|id| id >> 8).collect::<HashSet<_>>().len(), 3);
    }

    #[test]
    fn events_are_packed_by_routing_key_within_the_bounds() {
        let event = |routing_key, bytes| OutboxEvent {
            event_id: Uuid::from_u128(1),
            routing_key,
            event_type: "t",
            aggregate_id: "a".to_owned(),
            aggregate_version: 1,
            payload: vec![0; bytes],
            effective_at: DateTime::UNIX_EPOCH,
        };
        let mut events: Vec<_> = (0..=PACK_EVENTS).map(|_| event("small", 1)).collect();
        events.extend([event("large", PACK_BYTES), event("large", PACK_BYTES), event("small", 1)]);
        let packs = pack(Schema::new("shop"), &events, DateTime::UNIX_EPOCH);
        let sizes: Vec<_> = packs.iter().map(|pack| (pack.routing_key, pack.events.len())).collect();
        assert_eq!(sizes, [("small", 256), ("small", 2), ("large", 1), ("large", 1)]);
    }
}
