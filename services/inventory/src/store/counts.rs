//! Counts and their lines.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use oneshelf_values::{CountId, LocationId, Sku};
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{Inconsistency, parse};
use crate::domain::{
    count::{Count, CountKind, CountLine, CountState},
    stock_level::{Bucket, LevelKey},
};

#[derive(Serialize, Deserialize)]
struct CountRow {
    count_id: Uuid,
    location_id: String,
    bucket: String,
    kind: String,
    state: String,
    reference: String,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

#[derive(Serialize, Deserialize)]
struct LineRow {
    count_id: Uuid,
    sku: String,
    expected: i64,
    frozen_version: i64,
    counted: Option<i64>,
    round: i32,
}

/// A count as its rows: how it is kept as an answer.
#[derive(Serialize, Deserialize)]
pub struct CountRows(CountRow, Vec<LineRow>);

impl From<&Count> for CountRows {
    fn from(count: &Count) -> Self {
        let count_id = count.count_id.into();
        Self(
            CountRow {
                count_id,
                location_id: count.location.to_string(),
                bucket: count.bucket.as_str().to_owned(),
                kind: count.kind.as_str().to_owned(),
                state: count.state.as_str().to_owned(),
                reference: count.reference.clone(),
                version: count.version,
                created_at: count.created_at,
                updated_at: count.updated_at,
            },
            count
                .lines
                .iter()
                .map(|(sku, line)| LineRow {
                    count_id,
                    sku: sku.to_string(),
                    expected: line.expected,
                    frozen_version: line.frozen_version,
                    counted: line.counted,
                    round: line.round,
                })
                .collect(),
        )
    }
}

impl TryFrom<CountRows> for Count {
    type Error = sqlx::Error;

    fn try_from(CountRows(row, lines): CountRows) -> Result<Self, sqlx::Error> {
        let unfit = |column, value: &str| Inconsistency {
            table: "counts",
            column,
            key: row.count_id.to_string(),
            value: value.to_owned(),
        };
        Ok(Self {
            count_id: row.count_id.into(),
            location: parse("counts", "location_id", &row.location_id)?,
            bucket: Bucket::parse(&row.bucket).ok_or_else(|| unfit("bucket", &row.bucket))?,
            kind: CountKind::parse(&row.kind).ok_or_else(|| unfit("kind", &row.kind))?,
            state: CountState::parse(&row.state).ok_or_else(|| unfit("state", &row.state))?,
            reference: row.reference,
            lines: lines
                .into_iter()
                .map(|line| {
                    Ok((
                        parse("count_lines", "sku", &line.sku)?,
                        CountLine {
                            expected: line.expected,
                            frozen_version: line.frozen_version,
                            counted: line.counted,
                            round: line.round,
                        },
                    ))
                })
                .collect::<Result<_, sqlx::Error>>()?,
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

/// Locks counts in id order, with their lines. Unknown ids are missing from the answer.
pub async fn lock_counts(conn: &mut PgConnection, ids: &[Uuid]) -> Result<HashMap<CountId, Count>, sqlx::Error> {
    let rows = sqlx::query_as!(
        CountRow,
        r#"
        SELECT count_id
             , location_id
             , bucket
             , kind
             , state
             , reference
             , version
             , created_at
             , updated_at
          FROM inventory.counts
         WHERE count_id = ANY ($1)
         ORDER BY count_id
           FOR UPDATE
        "#,
        ids,
    )
    .fetch_all(&mut *conn)
    .await?;
    if rows.is_empty() {
        return Ok(HashMap::new());
    }
    let mut lines: HashMap<Uuid, Vec<LineRow>> = HashMap::with_capacity(rows.len());
    let line_rows = sqlx::query_as!(
        LineRow,
        r#"
        SELECT count_id
             , sku
             , expected
             , frozen_version
             , counted
             , round
          FROM inventory.count_lines
         WHERE count_id = ANY ($1)
        "#,
        ids,
    )
    .fetch_all(conn)
    .await?;
    for row in line_rows {
        lines.entry(row.count_id).or_default().push(row);
    }
    rows.into_iter()
        .map(|row| {
            let lines = lines.remove(&row.count_id).unwrap_or_default();
            Count::try_from(CountRows(row, lines)).map(|count| (count.count_id, count))
        })
        .collect()
}

/// Reads one count with a page of its lines, by SKU, after `after`.
pub async fn find_count(pool: &PgPool, id: CountId, after: &str, limit: i64) -> Result<Option<Count>, sqlx::Error> {
    let row = sqlx::query_as!(
        CountRow,
        r#"
        SELECT count_id
             , location_id
             , bucket
             , kind
             , state
             , reference
             , version
             , created_at
             , updated_at
          FROM inventory.counts
         WHERE count_id = $1
        "#,
        Uuid::from(id),
    )
    .fetch_optional(pool)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let lines = sqlx::query_as!(
        LineRow,
        r#"
        SELECT count_id
             , sku
             , expected
             , frozen_version
             , counted
             , round
          FROM inventory.count_lines
         WHERE count_id = $1
           AND sku > $2
         ORDER BY sku
         LIMIT $3
        "#,
        Uuid::from(id),
        after,
        limit,
    )
    .fetch_all(pool)
    .await?;
    Count::try_from(CountRows(row, lines)).map(Some)
}

/// Reads a page of counts without their lines, newest first, before the given position.
pub async fn list_counts(
    pool: &PgPool,
    state: Option<CountState>,
    location: Option<&LocationId>,
    before: Option<(DateTime<Utc>, Uuid)>,
    limit: i64,
) -> Result<Vec<Count>, sqlx::Error> {
    sqlx::query_as!(
        CountRow,
        r#"
        SELECT count_id
             , location_id
             , bucket
             , kind
             , state
             , reference
             , version
             , created_at
             , updated_at
          FROM inventory.counts
         WHERE ($1::TEXT IS NULL OR state = $1)
           AND ($2::TEXT IS NULL OR location_id = $2)
           AND ($3::TIMESTAMPTZ IS NULL OR (created_at, count_id) < ($3, $4))
         ORDER BY created_at DESC
                , count_id DESC
         LIMIT $5
        "#,
        state.map(CountState::as_str),
        location.map(LocationId::as_str),
        before.map(|(at, _)| at),
        before.map_or(Uuid::nil(), |(_, id)| id),
        limit,
    )
    .fetch_all(pool)
    .await?
    .into_iter()
    .map(|row| Count::try_from(CountRows(row, Vec::new())))
    .collect()
}

/// What of these levels is in an open count. The levels are locked, so nobody else can begin to count them meanwhile.
pub async fn list_open_counts(
    conn: &mut PgConnection,
    keys: &[LevelKey],
) -> Result<HashMap<(LevelKey, Bucket), CountId>, sqlx::Error> {
    let (skus, locations): (Vec<&str>, Vec<&str>) =
        keys.iter().map(|key| (key.sku.as_str(), key.location.as_str())).unzip();
    let rows = sqlx::query!(
        r#"
        SELECT sku
             , location_id
             , bucket
             , count_id
          FROM inventory.count_lines
         WHERE open
           AND (sku, location_id) IN (SELECT * FROM UNNEST($1::TEXT[], $2::TEXT[]))
        "#,
        &skus as &[&str],
        &locations as &[&str],
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            let key = LevelKey {
                sku: parse("count_lines", "sku", &row.sku)?,
                location: parse("count_lines", "location_id", &row.location_id)?,
            };
            let bucket = Bucket::parse(&row.bucket).ok_or_else(|| Inconsistency {
                table: "count_lines",
                column: "bucket",
                key: row.count_id.to_string(),
                value: row.bucket.clone(),
            })?;
            Ok(((key, bucket), row.count_id.into()))
        })
        .collect()
}

/// Writes new and changed counts, of each the lines that are named; changed ones were locked by this transaction.
pub async fn save_counts(
    conn: &mut PgConnection,
    counts: &[(Count, BTreeSet<Sku>)],
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    let heads: Vec<&Count> = counts.iter().map(|(count, _)| count).collect();
    let saved = sqlx::query!(
        r#"
        INSERT INTO inventory.counts (
            count_id
          , location_id
          , bucket
          , kind
          , state
          , reference
          , version
          , created_at
          , updated_at
        )
        SELECT *
          FROM UNNEST(
                   $1::UUID[]
                 , $2::TEXT[]
                 , $3::TEXT[]
                 , $4::TEXT[]
                 , $5::TEXT[]
                 , $6::TEXT[]
                 , $7::BIGINT[]
                 , $8::TIMESTAMPTZ[]
                 , $9::TIMESTAMPTZ[]
               )
            ON CONFLICT (count_id) DO UPDATE
           SET state = EXCLUDED.state
             , version = EXCLUDED.version
             , updated_at = EXCLUDED.updated_at
         WHERE counts.version < EXCLUDED.version
        "#,
        &heads.iter().map(|count| Uuid::from(count.count_id)).collect::<Vec<_>>(),
        &heads.iter().map(|count| count.location.as_str()).collect::<Vec<_>>() as &[&str],
        &heads.iter().map(|count| count.bucket.as_str()).collect::<Vec<_>>() as &[&str],
        &heads.iter().map(|count| count.kind.as_str()).collect::<Vec<_>>() as &[&str],
        &heads.iter().map(|count| count.state.as_str()).collect::<Vec<_>>() as &[&str],
        &heads.iter().map(|count| count.reference.as_str()).collect::<Vec<_>>() as &[&str],
        &heads.iter().map(|count| count.version).collect::<Vec<_>>(),
        &heads.iter().map(|count| count.created_at).collect::<Vec<_>>(),
        &heads.iter().map(|count| count.updated_at).collect::<Vec<_>>(),
    )
    .execute(&mut *conn)
    .await?;
    super::documents::expect_all(&saved, heads.len())?;

    let lines: Vec<(&Count, &Sku, &CountLine)> =
        counts.iter().flat_map(|(count, dirty)| dirty.iter().map(move |sku| (count, sku, &count.lines[sku]))).collect();
    if !lines.is_empty() {
        insert_lines(conn, &lines).await?;
    }
    let over: Vec<Uuid> =
        heads.iter().filter(|count| !count.state.is_open()).map(|count| count.count_id.into()).collect();
    if !over.is_empty() {
        let posted: Vec<Uuid> =
            heads.iter().filter(|count| count.state == CountState::Posted).map(|count| count.count_id.into()).collect();
        close_lines(conn, &over, &posted, now).await?;
    }
    Ok(())
}

async fn insert_lines(conn: &mut PgConnection, lines: &[(&Count, &Sku, &CountLine)]) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        INSERT INTO inventory.count_lines (
            count_id
          , sku
          , location_id
          , bucket
          , expected
          , frozen_version
          , counted
          , round
          , open
        )
        SELECT count_id
             , sku
             , location_id
             , bucket
             , expected
             , frozen_version
             , counted
             , round
             , TRUE
          FROM UNNEST(
                   $1::UUID[]
                 , $2::TEXT[]
                 , $3::TEXT[]
                 , $4::TEXT[]
                 , $5::BIGINT[]
                 , $6::BIGINT[]
                 , $7::BIGINT[]
                 , $8::INT[]
               ) AS line (count_id, sku, location_id, bucket, expected, frozen_version, counted, round)
            ON CONFLICT (count_id, sku) DO UPDATE
           SET expected = EXCLUDED.expected
             , frozen_version = EXCLUDED.frozen_version
             , counted = EXCLUDED.counted
             , round = EXCLUDED.round
        "#,
        &lines.iter().map(|(count, ..)| Uuid::from(count.count_id)).collect::<Vec<_>>(),
        &lines.iter().map(|(_, sku, _)| sku.as_str()).collect::<Vec<_>>() as &[&str],
        &lines.iter().map(|(count, ..)| count.location.as_str()).collect::<Vec<_>>() as &[&str],
        &lines.iter().map(|(count, ..)| count.bucket.as_str()).collect::<Vec<_>>() as &[&str],
        &lines.iter().map(|(.., line)| line.expected).collect::<Vec<_>>(),
        &lines.iter().map(|(.., line)| line.frozen_version).collect::<Vec<_>>(),
        &lines.iter().map(|(.., line)| line.counted).collect::<Vec<_>>() as &[Option<i64>],
        &lines.iter().map(|(.., line)| line.round).collect::<Vec<_>>(),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Ends the lines of counts that are over; those of posted ones are counted now, says the plan.
async fn close_lines(
    conn: &mut PgConnection,
    over: &[Uuid],
    posted: &[Uuid],
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        WITH closed AS (
            UPDATE inventory.count_lines
               SET open = FALSE
             WHERE count_id = ANY ($1)
         RETURNING count_id
                 , sku
                 , location_id
        )
        UPDATE inventory.count_plan
           SET last_counted_at = $3
          FROM closed
         WHERE closed.count_id = ANY ($2)
           AND count_plan.sku = closed.sku
           AND count_plan.location_id = closed.location_id
        "#,
        over,
        posted,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}
