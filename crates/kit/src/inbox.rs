//! Events already applied: the other half of "at least once, applied effectively once".
//!
//! The row is written in the transaction of the effect, so both are there or neither. A second delivery that arrives
//! while the first one's transaction is open waits for it on the primary key.
//!
//! A row knows 256 ids that differ in their last byte: the ids that [`crate::outbox::EventIds`] gives to the events of
//! one transaction. They normally arrive together, so a whole pack costs one insert. When only a part of it arrives
//! again (a retried event, a message composed otherwise), the bits say which events of it are new. Ids of any other
//! origin are as right, only not as cheap.

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool, SqlStr};
use uuid::Uuid;

use crate::schema::{Schema, statement};

const PRUNE_STEP: i64 = 5_000;
/// 256 bits.
const MASK_BYTES: usize = 32;

/// Enters events for a consumer and answers those that were not there before.
///
/// Rows are inserted, and then locked, in id order, so that two consumers with overlapping groups never wait for each
/// other in a circle.
pub async fn admit(
    conn: &mut PgConnection,
    schema: Schema,
    consumer: &str,
    event_ids: impl IntoIterator<Item = Uuid>,
    now: DateTime<Utc>,
) -> Result<HashSet<Uuid>, sqlx::Error> {
    let mut asked: BTreeMap<Uuid, Mask> = BTreeMap::new();
    for id in event_ids {
        asked.entry(pack_of(id)).or_default().set(place_of(id));
    }
    let (packs, masks): (Vec<Uuid>, Vec<&[u8]>) = asked.iter().map(|(pack, mask)| (*pack, &mask.0[..])).unzip();
    let inserted: Vec<Uuid> = sqlx::query_scalar(schema.inbox().insert.clone())
        .bind(consumer)
        .bind(&packs)
        .bind(masks)
        .bind(now)
        .fetch_all(&mut *conn)
        .await?;
    let mut new: HashSet<Uuid> = inserted.iter().flat_map(|pack| asked[pack].ids(*pack)).collect();
    if inserted.len() == packs.len() {
        return Ok(new);
    }

    // Of these packs something was applied before.
    let inserted: HashSet<Uuid> = inserted.into_iter().collect();
    let known: Vec<Uuid> = packs.into_iter().filter(|pack| !inserted.contains(pack)).collect();
    let rows: Vec<(Uuid, Vec<u8>)> =
        sqlx::query_as(schema.inbox().lock.clone()).bind(consumer).bind(known).fetch_all(&mut *conn).await?;
    let (mut packs, mut applied) = (Vec::new(), Vec::new());
    for (pack, before) in rows {
        let fresh = asked[&pack].without(&before);
        if fresh != Mask::default() {
            new.extend(fresh.ids(pack));
            packs.push(pack);
            applied.push(fresh.with(&before).0.to_vec());
        }
    }
    if !packs.is_empty() {
        let statement = schema.inbox().update.clone();
        sqlx::query(statement).bind(consumer).bind(packs).bind(applied).bind(now).execute(conn).await?;
    }
    Ok(new)
}

/// How many of these events a consumer, or any where none is named, has applied.
pub async fn count_applied(
    pool: &PgPool,
    schema: Schema,
    consumer: Option<&str>,
    event_ids: &[Uuid],
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(schema.inbox().count.clone())
        .bind(consumer)
        .bind(event_ids.iter().map(|id| pack_of(*id)).collect::<Vec<_>>())
        .bind(event_ids.iter().map(|id| i32::from(place_of(*id))).collect::<Vec<_>>())
        .fetch_one(pool)
        .await
}

/// Deletes one bounded step of rows from before `before`; answers how many rows went.
///
/// An event that is delivered again after its row is gone is applied again, so the retention must be longer than
/// anything can wait in a queue.
pub async fn prune(pool: &PgPool, schema: Schema, before: DateTime<Utc>) -> Result<u64, sqlx::Error> {
    let deleted = sqlx::query(schema.inbox().prune.clone()).bind(before).bind(PRUNE_STEP).execute(pool).await?;
    Ok(deleted.rows_affected())
}

fn pack_of(id: Uuid) -> Uuid {
    Uuid::from_u128(id.as_u128() & !0xff)
}

fn place_of(id: Uuid) -> u8 {
    id.as_bytes()[15]
}

/// 256 bits, numbered as PostgreSQL's `set_bit` on a `bytea` numbers them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Mask([u8; MASK_BYTES]);

impl Mask {
    fn set(&mut self, place: u8) {
        self.0[usize::from(place / 8)] |= 1 << (place % 8);
    }

    fn without(self, other: &[u8]) -> Self {
        self.zip(other, |own, other| own & !other)
    }

    fn with(self, other: &[u8]) -> Self {
        self.zip(other, |own, other| own | other)
    }

    fn zip(mut self, other: &[u8], combine: impl Fn(u8, u8) -> u8) -> Self {
        for (own, other) in self.0.iter_mut().zip(other) {
            *own = combine(*own, *other);
        }
        self
    }

    fn ids(self, pack: Uuid) -> impl Iterator<Item = Uuid> {
        (0..=u8::MAX)
            .filter(move |place| self.0[usize::from(place / 8)] & (1 << (place % 8)) != 0)
            .map(move |place| Uuid::from_u128(pack.as_u128() | u128::from(place)))
    }
}

pub(crate) struct Statements {
    insert: SqlStr,
    lock: SqlStr,
    update: SqlStr,
    count: SqlStr,
    prune: SqlStr,
}

impl Statements {
    pub(crate) fn new(schema: &str) -> Self {
        Self {
            insert: statement(
                schema,
                r"
                INSERT INTO {schema}.inbox_packs (consumer, pack_id, applied, received_at)
                SELECT $1
                     , pack_id
                     , applied
                     , $4
                FROM UNNEST($2::UUID[], $3::BYTEA[]) WITH ORDINALITY AS pack (pack_id, applied, nth)
                ORDER BY nth
                ON CONFLICT (consumer, pack_id) DO NOTHING
                RETURNING pack_id
                ",
            ),
            lock: statement(
                schema,
                r"
                SELECT pack_id
                     , applied
                FROM {schema}.inbox_packs
                WHERE consumer = $1
                  AND pack_id = ANY ($2::UUID[])
                ORDER BY pack_id
                FOR UPDATE
                ",
            ),
            update: statement(
                schema,
                r"
                UPDATE {schema}.inbox_packs
                SET applied = pack.applied
                  , received_at = $4
                FROM UNNEST($2::UUID[], $3::BYTEA[]) AS pack (pack_id, applied)
                WHERE inbox_packs.consumer = $1
                  AND inbox_packs.pack_id = pack.pack_id
                ",
            ),
            count: statement(
                schema,
                r"
                SELECT COUNT(*)
                FROM UNNEST($2::UUID[], $3::INT[]) AS event (pack_id, place)
                JOIN {schema}.inbox_packs USING (pack_id)
                WHERE ($1::TEXT IS NULL OR consumer = $1)
                  AND GET_BIT(applied, place) = 1
                ",
            ),
            prune: statement(
                schema,
                r"
                DELETE FROM {schema}.inbox_packs
                WHERE ctid = ANY (ARRAY(
                    SELECT ctid
                    FROM {schema}.inbox_packs
                    WHERE received_at < $1
                    ORDER BY received_at
                    LIMIT $2
                ))
                ",
            ),
        }
    }
}
