//! The same request id gives the same answer, once the first one committed.
//!
//! The key's row is written in the transaction of the mutation, so a row means "this happened" and a refusal, which
//! rolls back, leaves none: the caller may mend the cause and repeat the id. Only the primary is read.
//!
//! One request: [`claim`] inserts the row first. A twin that arrives meanwhile waits on that row until the first one
//! commits, and then gets its answer; or until it rolls back, and then does the work itself.
//!
//! ```text
//! claim → New      → do the work → store(answer) → commit
//!       → Answered → give the stored answer
//!       → Reused   → refuse: other content under a known id
//! ```
//!
//! A group of requests (`kit::batch`): refused members must leave no row, although the group commits. So [`claim_all`]
//! only looks, and [`store_all`] inserts rows and answers of the accepted ones at the end, in key order. If a twin in
//! another process committed in between, that insert breaks the primary key, which [`crate::pg::kind`] calls
//! retryable: the group runs again and this time finds the twin's answer.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use prost::Message;
use sha2::{Digest, Sha256};
use sqlx::{PgConnection, PgPool, SqlStr};
use uuid::Uuid;

use crate::schema::{Schema, statement};

pub(crate) const PRIMARY_KEY: &str = "idempotency_keys_pkey";
const PRUNE_STEP: i64 = 5_000;

/// What identifies a request: the method, the caller's id for it, and a digest of its content.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key {
    pub rpc: &'static str,
    pub request_id: Uuid,
    pub fingerprint: [u8; 32],
}

impl Key {
    /// `request` must be encoded alike in each attempt: pass the message as received, with `request_id` cleared only
    /// if callers may write it in several spellings.
    pub fn of(rpc: &'static str, request_id: Uuid, request: &impl Message) -> Self {
        Self { rpc, request_id, fingerprint: Sha256::digest(request.encode_to_vec()).into() }
    }
}

/// What is known about one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// Nobody did this yet: do it, then [`store`] the answer.
    New,
    /// Done before: this was the answer.
    Answered(Vec<u8>),
    /// The id belongs to a request with other content.
    Reused,
}

/// What is known about one request of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupClaim {
    New,
    Answered(Vec<u8>),
    Reused,
    /// The same request stands earlier in this group, at this index: give it the same answer, do nothing.
    Twin(usize),
}

/// Claims a request for this transaction; waits while a twin's transaction is open.
pub async fn claim(
    conn: &mut PgConnection,
    schema: Schema,
    key: &Key,
    now: DateTime<Utc>,
) -> Result<Claim, sqlx::Error> {
    let sql = schema.idempotency();
    let inserted = sqlx::query(sql.claim.clone())
        .bind(key.rpc)
        .bind(key.request_id)
        .bind(&key.fingerprint[..])
        .bind(now)
        .execute(&mut *conn)
        .await?;
    if inserted.rows_affected() == 1 {
        return Ok(Claim::New);
    }
    let (fingerprint, response): (Vec<u8>, Option<Vec<u8>>) =
        sqlx::query_as(sql.find.clone()).bind(key.rpc).bind(key.request_id).fetch_one(conn).await?;
    if fingerprint != key.fingerprint {
        return Ok(Claim::Reused);
    }
    response.map(Claim::Answered).ok_or_else(|| unanswered(key))
}

/// Stores the answer of a claimed request.
pub async fn store(conn: &mut PgConnection, schema: Schema, key: &Key, response: &[u8]) -> Result<(), sqlx::Error> {
    let updated = sqlx::query(schema.idempotency().store.clone())
        .bind(key.rpc)
        .bind(key.request_id)
        .bind(response)
        .execute(conn)
        .await?;
    if updated.rows_affected() == 1 { Ok(()) } else { Err(unanswered(key)) }
}

/// Looks up all requests of a group, in its order, with one statement.
pub async fn claim_all(conn: &mut PgConnection, schema: Schema, keys: &[Key]) -> Result<Vec<GroupClaim>, sqlx::Error> {
    let (rpcs, ids): (Vec<&str>, Vec<Uuid>) = keys.iter().map(|key| (key.rpc, key.request_id)).unzip();
    let rows: Vec<Row> =
        sqlx::query_as(schema.idempotency().find_all.clone()).bind(rpcs).bind(ids).fetch_all(conn).await?;
    let known: HashMap<(&str, Uuid), &Row> = rows.iter().map(|row| ((row.rpc.as_str(), row.request_id), row)).collect();
    let mut first: HashMap<(&str, Uuid), usize> = HashMap::with_capacity(keys.len());
    keys.iter()
        .enumerate()
        .map(|(index, key)| {
            if let Some(row) = known.get(&(key.rpc, key.request_id)) {
                return match &row.response {
                    _ if row.fingerprint != key.fingerprint => Ok(GroupClaim::Reused),
                    Some(response) => Ok(GroupClaim::Answered(response.clone())),
                    None => Err(unanswered(key)),
                };
            }
            let twin = *first.entry((key.rpc, key.request_id)).or_insert(index);
            Ok(match twin {
                _ if twin == index => GroupClaim::New,
                _ if keys[twin].fingerprint == key.fingerprint => GroupClaim::Twin(twin),
                _ => GroupClaim::Reused,
            })
        })
        .collect()
}

/// Stores keys and answers of a group's accepted requests with one statement, in key order, so that two groups never
/// wait for each other in a circle.
pub async fn store_all(
    conn: &mut PgConnection,
    schema: Schema,
    answers: &[(&Key, Vec<u8>)],
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    if answers.is_empty() {
        return Ok(());
    }
    let mut sorted: Vec<_> = answers.iter().collect();
    sorted.sort_unstable_by_key(|(key, _)| (key.rpc, key.request_id));
    let rpcs: Vec<&str> = sorted.iter().map(|(key, _)| key.rpc).collect();
    let ids: Vec<Uuid> = sorted.iter().map(|(key, _)| key.request_id).collect();
    let fingerprints: Vec<&[u8]> = sorted.iter().map(|(key, _)| &key.fingerprint[..]).collect();
    let responses: Vec<&[u8]> = sorted.iter().map(|(_, response)| &response[..]).collect();
    sqlx::query(schema.idempotency().store_all.clone())
        .bind(rpcs)
        .bind(ids)
        .bind(fingerprints)
        .bind(responses)
        .bind(now)
        .execute(conn)
        .await
        .map(drop)
}

/// Deletes one bounded step of answers from before `before`; answers how many rows went.
pub async fn prune(pool: &PgPool, schema: Schema, before: DateTime<Utc>) -> Result<u64, sqlx::Error> {
    let deleted = sqlx::query(schema.idempotency().prune.clone()).bind(before).bind(PRUNE_STEP).execute(pool).await?;
    Ok(deleted.rows_affected())
}

#[derive(sqlx::FromRow)]
struct Row {
    rpc: String,
    request_id: Uuid,
    fingerprint: Vec<u8>,
    response: Option<Vec<u8>>,
}

fn unanswered(key: &Key) -> sqlx::Error {
    sqlx::Error::Protocol(format!("request {} of {} is claimed without an answer", key.request_id, key.rpc))
}

pub(crate) struct Statements {
    claim: SqlStr,
    find: SqlStr,
    store: SqlStr,
    find_all: SqlStr,
    store_all: SqlStr,
    prune: SqlStr,
}

impl Statements {
    pub(crate) fn new(schema: &str) -> Self {
        Self {
            claim: statement(
                schema,
                r"
                INSERT INTO {schema}.idempotency_keys (rpc, request_id, fingerprint, created_at)
                VALUES ($1, $2, $3, $4)
                ON CONFLICT (rpc, request_id) DO NOTHING
                ",
            ),
            find: statement(
                schema,
                r"
                SELECT fingerprint
                     , response
                FROM {schema}.idempotency_keys
                WHERE rpc = $1 AND request_id = $2
                ",
            ),
            store: statement(
                schema,
                r"
                UPDATE {schema}.idempotency_keys
                SET response = $3
                WHERE rpc = $1 AND request_id = $2
                ",
            ),
            find_all: statement(
                schema,
                r"
                SELECT k.rpc
                     , k.request_id
                     , k.fingerprint
                     , k.response
                FROM UNNEST($1::TEXT[], $2::UUID[]) AS asked (rpc, request_id)
                JOIN {schema}.idempotency_keys k USING (rpc, request_id)
                ",
            ),
            store_all: statement(
                schema,
                r"
                INSERT INTO {schema}.idempotency_keys (rpc, request_id, fingerprint, response, created_at)
                SELECT rpc
                     , request_id
                     , fingerprint
                     , response
                     , $5
                FROM UNNEST($1::TEXT[], $2::UUID[], $3::BYTEA[], $4::BYTEA[])
                    AS answered (rpc, request_id, fingerprint, response)
                ",
            ),
            prune: statement(
                schema,
                r"
                DELETE FROM {schema}.idempotency_keys
                WHERE ctid = ANY (ARRAY(
                    SELECT ctid
                    FROM {schema}.idempotency_keys
                    WHERE created_at < $1
                    ORDER BY created_at
                    LIMIT $2
                ))
                ",
            ),
        }
    }
}
