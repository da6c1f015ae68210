//! Purchase orders and notices, and their lines.

use std::collections::HashMap;

use chrono::{DateTime, NaiveDate, Utc};
use oneshelf_values::{InboundId, LocationId, Sku};
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{Inconsistency, parse};
use crate::domain::inbound::{Inbound, InboundKind, InboundLine, InboundState};

#[derive(Serialize, Deserialize)]
struct InboundRow {
    inbound_id: Uuid,
    kind: String,
    order_id: Option<Uuid>,
    supplier: String,
    location_id: String,
    state: String,
    reference: String,
    over_percent: i32,
    accept_unlisted: bool,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

#[derive(Serialize, Deserialize)]
struct LineRow {
    inbound_id: Uuid,
    sku: String,
    expected: i64,
    expected_on: NaiveDate,
    advised: i64,
    received: i64,
    stocked: i64,
    quarantined: i64,
    returned: i64,
    due: i64,
}

/// An order or notice as its rows: how it is kept as an answer.
#[derive(Serialize, Deserialize)]
pub struct InboundRows(InboundRow, Vec<LineRow>);

/// Units that are still to come of a SKU to a location on a day.
#[derive(Debug, Clone)]
pub struct InboundDue {
    pub sku: String,
    pub location_id: String,
    pub day: NaiveDate,
    pub quantity: i64,
}

impl From<&Inbound> for InboundRows {
    fn from(inbound: &Inbound) -> Self {
        let inbound_id = inbound.inbound_id.into();
        Self(
            InboundRow {
                inbound_id,
                kind: inbound.kind.as_str().to_owned(),
                order_id: inbound.order_id.map(Uuid::from),
                supplier: inbound.supplier.clone(),
                location_id: inbound.location.to_string(),
                state: inbound.state.as_str().to_owned(),
                reference: inbound.reference.clone(),
                over_percent: inbound.over_percent,
                accept_unlisted: inbound.accept_unlisted,
                version: inbound.version,
                created_at: inbound.created_at,
                updated_at: inbound.updated_at,
            },
            inbound
                .lines
                .iter()
                .map(|line| LineRow {
                    inbound_id,
                    sku: line.sku.to_string(),
                    expected: line.expected,
                    expected_on: line.expected_on,
                    advised: line.advised,
                    received: line.received,
                    stocked: line.stocked,
                    quarantined: line.quarantined,
                    returned: line.returned,
                    due: line.due,
                })
                .collect(),
        )
    }
}

impl TryFrom<InboundRows> for Inbound {
    type Error = sqlx::Error;

    fn try_from(InboundRows(row, lines): InboundRows) -> Result<Self, sqlx::Error> {
        let unfit = |column, value: &str| Inconsistency {
            table: "inbounds",
            column,
            key: row.inbound_id.to_string(),
            value: value.to_owned(),
        };
        Ok(Self {
            inbound_id: row.inbound_id.into(),
            kind: InboundKind::parse(&row.kind).ok_or_else(|| unfit("kind", &row.kind))?,
            order_id: row.order_id.map(InboundId::from),
            location: parse("inbounds", "location_id", &row.location_id)?,
            state: InboundState::parse(&row.state).ok_or_else(|| unfit("state", &row.state))?,
            supplier: row.supplier,
            reference: row.reference,
            over_percent: row.over_percent,
            accept_unlisted: row.accept_unlisted,
            lines: lines
                .into_iter()
                .map(|line| {
                    Ok(InboundLine {
                        sku: parse("inbound_lines", "sku", &line.sku)?,
                        expected: line.expected,
                        expected_on: line.expected_on,
                        advised: line.advised,
                        received: line.received,
                        stocked: line.stocked,
                        quarantined: line.quarantined,
                        returned: line.returned,
                        due: line.due,
                    })
                })
                .collect::<Result<_, sqlx::Error>>()?,
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

/// These ids, and those of the orders that the notices among them deliver: a link that never changes, so it can be read
/// before anything is locked.
async fn with_orders(conn: &mut PgConnection, ids: &[Uuid]) -> Result<Vec<Uuid>, sqlx::Error> {
    let mut orders = sqlx::query_scalar!(
        r#"
        SELECT order_id AS "order_id!"
          FROM inventory.inbounds
         WHERE inbound_id = ANY ($1)
           AND order_id IS NOT NULL
        "#,
        ids,
    )
    .fetch_all(conn)
    .await?;
    orders.extend(ids);
    Ok(orders)
}

/// Locks orders and notices in id order, with the notices' orders and all lines. Unknown ids are missing from the answer.
pub async fn lock_inbounds(conn: &mut PgConnection, ids: &[Uuid]) -> Result<HashMap<InboundId, Inbound>, sqlx::Error> {
    let ids = with_orders(conn, ids).await?;
    let rows = sqlx::query_as!(
        InboundRow,
        r#"
        SELECT inbound_id
             , kind
             , order_id
             , supplier
             , location_id
             , state
             , reference
             , over_percent
             , accept_unlisted
             , version
             , created_at
             , updated_at
          FROM inventory.inbounds
         WHERE inbound_id = ANY ($1)
         ORDER BY inbound_id
           FOR UPDATE
        "#,
        &ids,
    )
    .fetch_all(&mut *conn)
    .await?;
    let inbounds = attach_lines(conn, rows).await?;
    Ok(inbounds.into_iter().map(|inbound| (inbound.inbound_id, inbound)).collect())
}

/// Reads one as it stands.
pub async fn find_inbound(conn: &mut PgConnection, id: InboundId) -> Result<Option<Inbound>, sqlx::Error> {
    let rows = sqlx::query_as!(
        InboundRow,
        r#"
        SELECT inbound_id
             , kind
             , order_id
             , supplier
             , location_id
             , state
             , reference
             , over_percent
             , accept_unlisted
             , version
             , created_at
             , updated_at
          FROM inventory.inbounds
         WHERE inbound_id = $1
        "#,
        Uuid::from(id),
    )
    .fetch_all(&mut *conn)
    .await?;
    Ok(attach_lines(conn, rows).await?.pop())
}

/// Which ones a list is about.
#[derive(Debug, Clone, Default)]
pub struct InboundFilter {
    pub kind: Option<InboundKind>,
    pub state: Option<InboundState>,
    pub location: Option<LocationId>,
    pub order_id: Option<InboundId>,
}

/// Reads a page, newest first, before the given position.
pub async fn list_inbounds(
    pool: &PgPool,
    filter: &InboundFilter,
    before: Option<(DateTime<Utc>, Uuid)>,
    limit: i64,
) -> Result<Vec<Inbound>, sqlx::Error> {
    let mut conn = pool.acquire().await?;
    let rows = sqlx::query_as!(
        InboundRow,
        r#"
        SELECT inbound_id
             , kind
             , order_id
             , supplier
             , location_id
             , state
             , reference
             , over_percent
             , accept_unlisted
             , version
             , created_at
             , updated_at
          FROM inventory.inbounds
         WHERE ($1::TEXT IS NULL OR kind = $1)
           AND ($2::TEXT IS NULL OR state = $2)
           AND ($3::TEXT IS NULL OR location_id = $3)
           AND ($4::UUID IS NULL OR order_id = $4)
           AND ($5::TIMESTAMPTZ IS NULL OR (created_at, inbound_id) < ($5, $6))
         ORDER BY created_at DESC
                , inbound_id DESC
         LIMIT $7
        "#,
        filter.kind.map(InboundKind::as_str),
        filter.state.map(InboundState::as_str),
        filter.location.as_ref().map(LocationId::as_str),
        filter.order_id.map(Uuid::from),
        before.map(|(at, _)| at),
        before.map_or(Uuid::nil(), |(_, id)| id),
        limit,
    )
    .fetch_all(&mut *conn)
    .await?;
    attach_lines(&mut conn, rows).await
}

async fn attach_lines(conn: &mut PgConnection, rows: Vec<InboundRow>) -> Result<Vec<Inbound>, sqlx::Error> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<Uuid> = rows.iter().map(|row| row.inbound_id).collect();
    let mut lines: HashMap<Uuid, Vec<LineRow>> = HashMap::with_capacity(ids.len());
    let line_rows = sqlx::query_as!(
        LineRow,
        r#"
        SELECT inbound_id
             , sku
             , expected
             , expected_on
             , advised
             , received
             , stocked
             , quarantined
             , returned
             , due
          FROM inventory.inbound_lines
         WHERE inbound_id = ANY ($1)
         ORDER BY inbound_id
                , line_no
        "#,
        &ids,
    )
    .fetch_all(conn)
    .await?;
    for row in line_rows {
        lines.entry(row.inbound_id).or_default().push(row);
    }
    rows.into_iter()
        .map(|row| {
            let lines = lines.remove(&row.inbound_id).unwrap_or_default();
            Inbound::try_from(InboundRows(row, lines))
        })
        .collect()
}

/// What is still to come, by SKU, location and day, after the given position: orders and notices of suppliers, and
/// transfers on their way.
pub async fn list_inbound_due(
    pool: &PgPool,
    location: Option<&LocationId>,
    sku: Option<&Sku>,
    until: Option<NaiveDate>,
    after: Option<(&str, &str, NaiveDate)>,
    limit: i64,
) -> Result<Vec<InboundDue>, sqlx::Error> {
    sqlx::query_as!(
        InboundDue,
        r#"
        SELECT sku AS "sku!"
             , location_id AS "location_id!"
             , day AS "day!"
             , SUM(quantity)::BIGINT AS "quantity!"
          FROM (
                   SELECT sku
                        , location_id
                        , expected_on AS day
                        , due AS quantity
                     FROM inventory.inbound_lines
                    WHERE due > 0
                    UNION ALL
                   SELECT transfer_lines.sku
                        , transfers.destination_location_id
                        , transfers.expected_on
                        , transfer_lines.in_transit
                     FROM inventory.transfer_lines
                     JOIN inventory.transfers USING (transfer_id)
                    WHERE transfer_lines.in_transit > 0
                      AND transfers.expected_on IS NOT NULL
               ) AS supply
         WHERE ($1::TEXT IS NULL OR location_id = $1)
           AND ($2::TEXT IS NULL OR sku = $2)
           AND ($3::DATE IS NULL OR day <= $3)
           AND ($4::TEXT IS NULL OR (sku, location_id, day) > ($4, $5, $6::DATE))
         GROUP BY sku
                , location_id
                , day
         ORDER BY sku
                , location_id
                , day
         LIMIT $7
        "#,
        location.map(LocationId::as_str),
        sku.map(Sku::as_str),
        until,
        after.map(|(sku, ..)| sku),
        after.map_or("", |(_, location, _)| location),
        after.map(|(.., day)| day),
        limit,
    )
    .fetch_all(pool)
    .await
}

/// Writes new and changed orders and notices; changed ones were locked by this transaction.
pub async fn save_inbounds(conn: &mut PgConnection, inbounds: &[Inbound]) -> Result<(), sqlx::Error> {
    let saved = sqlx::query!(
        r#"
        INSERT INTO inventory.inbounds (
            inbound_id
          , kind
          , order_id
          , supplier
          , location_id
          , state
          , reference
          , over_percent
          , accept_unlisted
          , version
          , created_at
          , updated_at
        )
        SELECT *
          FROM UNNEST(
                   $1::UUID[]
                 , $2::TEXT[]
                 , $3::UUID[]
                 , $4::TEXT[]
                 , $5::TEXT[]
                 , $6::TEXT[]
                 , $7::TEXT[]
                 , $8::INT[]
                 , $9::BOOLEAN[]
                 , $10::BIGINT[]
                 , $11::TIMESTAMPTZ[]
                 , $12::TIMESTAMPTZ[]
               )
            ON CONFLICT (inbound_id) DO UPDATE
           SET state = EXCLUDED.state
             , version = EXCLUDED.version
             , updated_at = EXCLUDED.updated_at
         WHERE inbounds.version < EXCLUDED.version
        "#,
        &inbounds.iter().map(|one| Uuid::from(one.inbound_id)).collect::<Vec<_>>(),
        &inbounds.iter().map(|one| one.kind.as_str()).collect::<Vec<_>>() as &[&str],
        &inbounds.iter().map(|one| one.order_id.map(Uuid::from)).collect::<Vec<_>>() as &[Option<Uuid>],
        &inbounds.iter().map(|one| one.supplier.as_str()).collect::<Vec<_>>() as &[&str],
        &inbounds.iter().map(|one| one.location.as_str()).collect::<Vec<_>>() as &[&str],
        &inbounds.iter().map(|one| one.state.as_str()).collect::<Vec<_>>() as &[&str],
        &inbounds.iter().map(|one| one.reference.as_str()).collect::<Vec<_>>() as &[&str],
        &inbounds.iter().map(|one| one.over_percent).collect::<Vec<_>>(),
        &inbounds.iter().map(|one| one.accept_unlisted).collect::<Vec<_>>(),
        &inbounds.iter().map(|one| one.version).collect::<Vec<_>>(),
        &inbounds.iter().map(|one| one.created_at).collect::<Vec<_>>(),
        &inbounds.iter().map(|one| one.updated_at).collect::<Vec<_>>(),
    )
    .execute(&mut *conn)
    .await?;
    super::documents::expect_all(&saved, inbounds.len())?;

    let lines: Vec<(&Inbound, i32, &InboundLine)> = inbounds
        .iter()
        .flat_map(|one| one.lines.iter().enumerate().map(move |(place, line)| (one, place as i32, line)))
        .collect();
    let column = |of: fn(&InboundLine) -> i64| lines.iter().map(|(.., line)| of(line)).collect::<Vec<_>>();
    sqlx::query!(
        r#"
        INSERT INTO inventory.inbound_lines (
            inbound_id
          , line_no
          , sku
          , location_id
          , expected
          , expected_on
          , advised
          , received
          , stocked
          , quarantined
          , returned
          , due
        )
        SELECT *
          FROM UNNEST(
                   $1::UUID[]
                 , $2::INT[]
                 , $3::TEXT[]
                 , $4::TEXT[]
                 , $5::BIGINT[]
                 , $6::DATE[]
                 , $7::BIGINT[]
                 , $8::BIGINT[]
                 , $9::BIGINT[]
                 , $10::BIGINT[]
                 , $11::BIGINT[]
                 , $12::BIGINT[]
               )
            ON CONFLICT (inbound_id, line_no) DO UPDATE
           SET expected = EXCLUDED.expected
             , expected_on = EXCLUDED.expected_on
             , advised = EXCLUDED.advised
             , received = EXCLUDED.received
             , stocked = EXCLUDED.stocked
             , quarantined = EXCLUDED.quarantined
             , returned = EXCLUDED.returned
             , due = EXCLUDED.due
        "#,
        &lines.iter().map(|line| Uuid::from(line.0.inbound_id)).collect::<Vec<_>>(),
        &lines.iter().map(|line| line.1).collect::<Vec<_>>(),
        &lines.iter().map(|line| line.2.sku.as_str()).collect::<Vec<_>>() as &[&str],
        &lines.iter().map(|line| line.0.location.as_str()).collect::<Vec<_>>() as &[&str],
        &column(|line| line.expected),
        &lines.iter().map(|line| line.2.expected_on).collect::<Vec<_>>(),
        &column(|line| line.advised),
        &column(|line| line.received),
        &column(|line| line.stocked),
        &column(|line| line.quarantined),
        &column(|line| line.returned),
        &column(|line| line.due),
    )
    .execute(conn)
    .await?;
    Ok(())
}
