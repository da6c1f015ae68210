//! Promises for a day, and the future that they are made on.

use std::collections::HashMap;

use chrono::{DateTime, NaiveDate, Utc};
use oneshelf_values::{ChannelId, HoldId, LocationId, PromiseId, Sku};
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{Inconsistency, parse};
use crate::domain::{
    future::{Claim, Future},
    promise::{Promise, PromiseLine, PromiseState},
    stock_level::LevelKey,
};

#[derive(Serialize, Deserialize)]
struct PromiseRow {
    promise_id: Uuid,
    state: String,
    due_on: NaiveDate,
    channel_id: Option<String>,
    reference: String,
    hold_id: Option<Uuid>,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

#[derive(Serialize, Deserialize)]
struct LineRow {
    promise_id: Uuid,
    sku: String,
    location_id: String,
    quantity: i64,
    waiting: i64,
    uncovered: i64,
}

/// A promise as its rows: how it is kept as an answer.
#[derive(Serialize, Deserialize)]
pub struct PromiseRows(PromiseRow, Vec<LineRow>, Vec<Uuid>);

impl From<&Promise> for PromiseRows {
    fn from(promise: &Promise) -> Self {
        let promise_id = promise.promise_id.into();
        Self(
            PromiseRow {
                promise_id,
                state: promise.state.as_str().to_owned(),
                due_on: promise.due,
                channel_id: promise.channel.as_ref().map(ChannelId::to_string),
                reference: promise.reference.clone(),
                hold_id: promise.hold_id.map(Uuid::from),
                version: promise.version,
                created_at: promise.created_at,
                updated_at: promise.updated_at,
            },
            promise
                .lines
                .iter()
                .map(|line| LineRow {
                    promise_id,
                    sku: line.key.sku.to_string(),
                    location_id: line.key.location.to_string(),
                    quantity: line.quantity,
                    waiting: line.waiting,
                    uncovered: line.uncovered,
                })
                .collect(),
            promise.held_by.iter().copied().map(Uuid::from).collect(),
        )
    }
}

impl TryFrom<PromiseRows> for Promise {
    type Error = sqlx::Error;

    fn try_from(PromiseRows(row, lines, held_by): PromiseRows) -> Result<Self, sqlx::Error> {
        Ok(Self {
            promise_id: row.promise_id.into(),
            state: PromiseState::parse(&row.state).ok_or_else(|| Inconsistency {
                table: "promises",
                column: "state",
                key: row.promise_id.to_string(),
                value: row.state.clone(),
            })?,
            due: row.due_on,
            channel: row.channel_id.map(|channel| parse("promises", "channel_id", &channel)).transpose()?,
            reference: row.reference,
            lines: lines
                .into_iter()
                .map(|line| {
                    Ok(PromiseLine {
                        key: LevelKey {
                            sku: parse("promise_lines", "sku", &line.sku)?,
                            location: parse("promise_lines", "location_id", &line.location_id)?,
                        },
                        quantity: line.quantity,
                        waiting: line.waiting,
                        uncovered: line.uncovered,
                    })
                })
                .collect::<Result<_, sqlx::Error>>()?,
            held_by: held_by.into_iter().map(HoldId::from).collect(),
            hold_id: row.hold_id.map(HoldId::from),
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

/// Locks promises in id order, with their lines and holds, which only stand still once their levels are locked, too.
/// Unknown ids are missing from the answer. The lock lets receipts refer to the promise: they hold levels, for which we
/// may be waiting.
pub async fn lock_promises(conn: &mut PgConnection, ids: &[Uuid]) -> Result<HashMap<PromiseId, Promise>, sqlx::Error> {
    let rows = sqlx::query_as!(
        PromiseRow,
        r#"
        SELECT promise_id
             , state
             , due_on
             , channel_id
             , reference
             , hold_id
             , version
             , created_at
             , updated_at
          FROM inventory.promises
         WHERE promise_id = ANY ($1)
         ORDER BY promise_id
           FOR NO KEY UPDATE
        "#,
        ids,
    )
    .fetch_all(&mut *conn)
    .await?;
    let promises = attach_lines(conn, rows).await?;
    Ok(promises.into_iter().map(|promise| (promise.promise_id, promise)).collect())
}

/// Reads one promise as it stands.
pub async fn find_promise(conn: &mut PgConnection, id: PromiseId) -> Result<Option<Promise>, sqlx::Error> {
    let rows = sqlx::query_as!(
        PromiseRow,
        r#"
        SELECT promise_id
             , state
             , due_on
             , channel_id
             , reference
             , hold_id
             , version
             , created_at
             , updated_at
          FROM inventory.promises
         WHERE promise_id = $1
        "#,
        Uuid::from(id),
    )
    .fetch_all(&mut *conn)
    .await?;
    Ok(attach_lines(conn, rows).await?.pop())
}

/// Reads a page of promises, newest first, before the given position.
pub async fn list_promises(
    pool: &PgPool,
    state: Option<PromiseState>,
    channel: Option<&ChannelId>,
    before: Option<(DateTime<Utc>, Uuid)>,
    limit: i64,
) -> Result<Vec<Promise>, sqlx::Error> {
    let mut conn = pool.acquire().await?;
    let rows = sqlx::query_as!(
        PromiseRow,
        r#"
        SELECT promise_id
             , state
             , due_on
             , channel_id
             , reference
             , hold_id
             , version
             , created_at
             , updated_at
          FROM inventory.promises
         WHERE ($1::TEXT IS NULL OR state = $1)
           AND ($2::TEXT IS NULL OR channel_id = $2)
           AND ($3::TIMESTAMPTZ IS NULL OR (created_at, promise_id) < ($3, $4))
         ORDER BY created_at DESC
                , promise_id DESC
         LIMIT $5
        "#,
        state.map(PromiseState::as_str),
        channel.map(ChannelId::as_str),
        before.map(|(at, _)| at),
        before.map_or(Uuid::nil(), |(_, id)| id),
        limit,
    )
    .fetch_all(&mut *conn)
    .await?;
    attach_lines(&mut conn, rows).await
}

async fn attach_lines(conn: &mut PgConnection, rows: Vec<PromiseRow>) -> Result<Vec<Promise>, sqlx::Error> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<Uuid> = rows.iter().map(|row| row.promise_id).collect();
    let mut lines: HashMap<Uuid, Vec<LineRow>> = HashMap::with_capacity(ids.len());
    let line_rows = sqlx::query_as!(
        LineRow,
        r#"
        SELECT promise_id
             , sku
             , location_id
             , quantity
             , waiting
             , uncovered
          FROM inventory.promise_lines
         WHERE promise_id = ANY ($1)
         ORDER BY promise_id
                , line_no
        "#,
        &ids,
    )
    .fetch_all(&mut *conn)
    .await?;
    for row in line_rows {
        lines.entry(row.promise_id).or_default().push(row);
    }
    let mut holds: HashMap<Uuid, Vec<Uuid>> = HashMap::with_capacity(ids.len());
    let hold_rows = sqlx::query!(
        r#"
        SELECT promise_id
             , hold_id
          FROM inventory.promise_holds
         WHERE promise_id = ANY ($1)
         ORDER BY promise_id
                , hold_id
        "#,
        &ids,
    )
    .fetch_all(conn)
    .await?;
    for row in hold_rows {
        holds.entry(row.promise_id).or_default().push(row.hold_id);
    }
    rows.into_iter()
        .map(|row| {
            let lines = lines.remove(&row.promise_id).unwrap_or_default();
            let holds = holds.remove(&row.promise_id).unwrap_or_default();
            Promise::try_from(PromiseRows(row, lines, holds))
        })
        .collect()
}

/// What these levels are to get and owe. Where the levels are locked, so is their future: whoever changes it locks them.
pub async fn list_futures(
    conn: &mut PgConnection,
    keys: &[LevelKey],
) -> Result<HashMap<LevelKey, Future>, sqlx::Error> {
    let (skus, locations): (Vec<&str>, Vec<&str>) =
        keys.iter().map(|key| (key.sku.as_str(), key.location.as_str())).unzip();
    let supply = sqlx::query!(
        r#"
        SELECT ordinality AS "ordinality!"
             , supply.day AS "day!"
             , supply.quantity AS "quantity!"
          FROM UNNEST($1::TEXT[], $2::TEXT[]) WITH ORDINALITY AS wanted (sku, location_id, ordinality)
         CROSS JOIN LATERAL (
                   SELECT expected_on AS day
                        , due AS quantity
                     FROM inventory.inbound_lines
                    WHERE due > 0
                      AND inbound_lines.sku = wanted.sku
                      AND inbound_lines.location_id = wanted.location_id
                    UNION ALL
                   SELECT transfers.expected_on
                        , transfer_lines.in_transit
                     FROM inventory.transfer_lines
                     JOIN inventory.transfers USING (transfer_id)
                    WHERE transfer_lines.in_transit > 0
                      AND transfer_lines.sku = wanted.sku
                      AND transfers.destination_location_id = wanted.location_id
                      AND transfers.expected_on IS NOT NULL
               ) AS supply
        "#,
        &skus as &[&str],
        &locations as &[&str],
    )
    .fetch_all(&mut *conn)
    .await?;
    let claims = sqlx::query!(
        r#"
        SELECT ordinality AS "ordinality!"
             , promise_id
             , line_no
             , due_on
             , sequence
             , waiting
             , uncovered
             , fills
          FROM UNNEST($1::TEXT[], $2::TEXT[]) WITH ORDINALITY AS wanted (sku, location_id, ordinality)
          JOIN inventory.promise_lines USING (sku, location_id)
         WHERE waiting > 0
        "#,
        &skus as &[&str],
        &locations as &[&str],
    )
    .fetch_all(conn)
    .await?;
    let mut due: Vec<Vec<(NaiveDate, i64)>> = vec![Vec::new(); keys.len()];
    for row in supply {
        due[row.ordinality as usize - 1].push((row.day, row.quantity));
    }
    let mut claimed: Vec<Vec<Claim>> = vec![Vec::new(); keys.len()];
    for row in claims {
        claimed[row.ordinality as usize - 1].push(Claim {
            promise_id: row.promise_id.into(),
            line: row.line_no as usize,
            due: row.due_on,
            sequence: row.sequence,
            waiting: row.waiting,
            uncovered: row.uncovered,
            fills: row.fills,
        });
    }
    let futures = due.into_iter().zip(claimed).map(|(supply, claims)| Future::new(supply, claims));
    Ok(keys.iter().cloned().zip(futures).collect())
}

/// Sellable less held of these SKUs at these locations now; expired holds that wait for the sweeper count as free.
pub async fn list_free(
    conn: &mut PgConnection,
    skus: &[Sku],
    locations: &[LocationId],
    now: DateTime<Utc>,
) -> Result<HashMap<LevelKey, i64>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"
        WITH expired AS (
            SELECT hold_lines.sku
                 , hold_lines.location_id
                 , SUM(hold_lines.held)::BIGINT AS held
              FROM inventory.holds
              JOIN inventory.hold_lines USING (hold_id)
             WHERE holds.state = 'held'
               AND holds.kind = 'soft'
               AND holds.expires_at <= $3
             GROUP BY hold_lines.sku
                    , hold_lines.location_id
        )
        SELECT stock_levels.sku
             , stock_levels.location_id
             , sellable - hard_held - soft_held - safety_stock + COALESCE(expired.held, 0) AS "free!"
          FROM inventory.stock_levels
          LEFT JOIN expired USING (sku, location_id)
         WHERE stock_levels.sku = ANY ($1)
           AND stock_levels.location_id = ANY ($2)
        "#,
        &skus.iter().map(Sku::as_str).collect::<Vec<_>>() as &[&str],
        &locations.iter().map(LocationId::as_str).collect::<Vec<_>>() as &[&str],
        now,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            let key = LevelKey {
                sku: parse("stock_levels", "sku", &row.sku)?,
                location: parse("stock_levels", "location_id", &row.location_id)?,
            };
            Ok((key, row.free))
        })
        .collect()
}

/// Writes new and changed promises with the figures of their lines, and in the order given, which becomes that of claims.
pub async fn save_promises(conn: &mut PgConnection, promises: &[Promise]) -> Result<(), sqlx::Error> {
    let saved = sqlx::query!(
        r#"
        INSERT INTO inventory.promises (
            promise_id
          , state
          , due_on
          , channel_id
          , reference
          , hold_id
          , version
          , created_at
          , updated_at
        )
        SELECT *
          FROM UNNEST(
                   $1::UUID[]
                 , $2::TEXT[]
                 , $3::DATE[]
                 , $4::TEXT[]
                 , $5::TEXT[]
                 , $6::UUID[]
                 , $7::BIGINT[]
                 , $8::TIMESTAMPTZ[]
                 , $9::TIMESTAMPTZ[]
               )
            ON CONFLICT (promise_id) DO UPDATE
           SET state = EXCLUDED.state
             , hold_id = EXCLUDED.hold_id
             , version = EXCLUDED.version
             , updated_at = EXCLUDED.updated_at
         WHERE promises.version < EXCLUDED.version
        "#,
        &promises.iter().map(|one| Uuid::from(one.promise_id)).collect::<Vec<_>>(),
        &promises.iter().map(|one| one.state.as_str()).collect::<Vec<_>>() as &[&str],
        &promises.iter().map(|one| one.due).collect::<Vec<_>>(),
        &promises.iter().map(|one| one.channel.as_ref().map(ChannelId::as_str)).collect::<Vec<_>>()
            as &[Option<&str>],
        &promises.iter().map(|one| one.reference.as_str()).collect::<Vec<_>>() as &[&str],
        &promises.iter().map(|one| one.hold_id.map(Uuid::from)).collect::<Vec<_>>() as &[Option<Uuid>],
        &promises.iter().map(|one| one.version).collect::<Vec<_>>(),
        &promises.iter().map(|one| one.created_at).collect::<Vec<_>>(),
        &promises.iter().map(|one| one.updated_at).collect::<Vec<_>>(),
    )
    .execute(&mut *conn)
    .await?;
    super::documents::expect_all(&saved, promises.len())?;

    let lines: Vec<(&Promise, i32, &PromiseLine)> = promises
        .iter()
        .flat_map(|one| one.lines.iter().enumerate().map(move |(place, line)| (one, place as i32, line)))
        .collect();
    sqlx::query!(
        r#"
        INSERT INTO inventory.promise_lines (
            promise_id
          , line_no
          , sku
          , location_id
          , due_on
          , quantity
          , waiting
          , uncovered
          , fills
        )
        SELECT promise_id
             , line_no
             , sku
             , location_id
             , due_on
             , quantity
             , waiting
             , uncovered
             , 0
          FROM UNNEST(
                   $1::UUID[]
                 , $2::INT[]
                 , $3::TEXT[]
                 , $4::TEXT[]
                 , $5::DATE[]
                 , $6::BIGINT[]
                 , $7::BIGINT[]
                 , $8::BIGINT[]
               ) WITH ORDINALITY AS line (
                   promise_id
                 , line_no
                 , sku
                 , location_id
                 , due_on
                 , quantity
                 , waiting
                 , uncovered
                 , ordinality
               )
         ORDER BY ordinality
            ON CONFLICT (promise_id, line_no) DO UPDATE
           SET waiting = EXCLUDED.waiting
             , uncovered = EXCLUDED.uncovered
        "#,
        &lines.iter().map(|line| Uuid::from(line.0.promise_id)).collect::<Vec<_>>(),
        &lines.iter().map(|line| line.1).collect::<Vec<_>>(),
        &lines.iter().map(|line| line.2.key.sku.as_str()).collect::<Vec<_>>() as &[&str],
        &lines.iter().map(|line| line.2.key.location.as_str()).collect::<Vec<_>>() as &[&str],
        &lines.iter().map(|line| line.0.due).collect::<Vec<_>>(),
        &lines.iter().map(|line| line.2.quantity).collect::<Vec<_>>(),
        &lines.iter().map(|line| line.2.waiting).collect::<Vec<_>>(),
        &lines.iter().map(|line| line.2.uncovered).collect::<Vec<_>>(),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Writes what claims wait for. Their levels are locked by this transaction.
pub async fn update_claims(conn: &mut PgConnection, claims: &[Claim]) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        UPDATE inventory.promise_lines
           SET waiting = changed.waiting
             , uncovered = changed.uncovered
             , fills = changed.fills
          FROM UNNEST($1::UUID[], $2::INT[], $3::BIGINT[], $4::BIGINT[], $5::BIGINT[])
               AS changed (promise_id, line_no, waiting, uncovered, fills)
         WHERE promise_lines.promise_id = changed.promise_id
           AND promise_lines.line_no = changed.line_no
        "#,
        &claims.iter().map(|claim| Uuid::from(claim.promise_id)).collect::<Vec<_>>(),
        &claims.iter().map(|claim| claim.line as i32).collect::<Vec<_>>(),
        &claims.iter().map(|claim| claim.waiting).collect::<Vec<_>>(),
        &claims.iter().map(|claim| claim.uncovered).collect::<Vec<_>>(),
        &claims.iter().map(|claim| claim.fills).collect::<Vec<_>>(),
    )
    .execute(conn)
    .await?;
    Ok(())
}

pub async fn insert_promise_holds(conn: &mut PgConnection, holds: &[(PromiseId, HoldId)]) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        INSERT INTO inventory.promise_holds (hold_id, promise_id)
        SELECT *
          FROM UNNEST($1::UUID[], $2::UUID[])
        "#,
        &holds.iter().map(|(_, hold_id)| Uuid::from(*hold_id)).collect::<Vec<_>>(),
        &holds.iter().map(|(promise_id, _)| Uuid::from(*promise_id)).collect::<Vec<_>>(),
    )
    .execute(conn)
    .await?;
    Ok(())
}
