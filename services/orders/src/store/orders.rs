//! Orders with their lines and fees.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use futures::{Stream, TryStreamExt as _};
use oneshelf_values::{ChannelId, LocationId, MemberId, OrderId, PartnerId, QuoteId, Sku};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{known, processes::Process};
use crate::domain::{
    RemoteRefusal,
    order::{Fee, Filter, Line, Order, Origin, State},
};

/// An order to write down, with the process that begins with it.
#[derive(Debug, Clone)]
pub struct NewOrder {
    pub order: Order,
    pub fingerprint: [u8; 32],
    pub process: Process,
    /// The timer leaves the process alone until then.
    pub due_at: DateTime<Utc>,
}

/// Writes orders, lines, fees and processes with one statement, and answers which orders are new. One whose id or ticket
/// is taken is left out with all that belongs to it. Sort by id: twins of a group then wait for each other in one order.
pub async fn insert_all(conn: &mut PgConnection, new: &[NewOrder]) -> Result<Vec<OrderId>, sqlx::Error> {
    let heads = |of: fn(&Order) -> &str| new.iter().map(|new| of(&new.order)).collect::<Vec<_>>();
    let maybe = |of: fn(&Order) -> Option<&str>| new.iter().map(|new| of(&new.order)).collect::<Vec<_>>();
    let ids: Vec<Uuid> = new.iter().map(|new| new.order.order_id.as_uuid()).collect();
    let lines: Vec<(Uuid, &Line)> =
        new.iter().flat_map(|new| new.order.lines.iter().map(|line| (new.order.order_id.as_uuid(), line))).collect();
    let counts = |of: fn(&Line) -> i64| lines.iter().map(|(_, line)| of(line)).collect::<Vec<_>>();
    let fees: Vec<(Uuid, i32, &Fee)> = new
        .iter()
        .flat_map(|new| (1..).zip(&new.order.fees).map(|(no, fee)| (new.order.order_id.as_uuid(), no, fee)))
        .collect();
    let rows = sqlx::query_scalar!(
        r#"
        WITH inserted AS (
            INSERT INTO orders.orders (
                order_id, kind, state, channel_id, location_id, partner_id, member_id, reference, currency
              , goods_total_minor, fee_total_minor, quote_id, book_version, device_id, ticket_no, fingerprint
              , line_count, effective_at, created_at, version
            )
            SELECT *
            FROM UNNEST(
                $1::UUID[], $2::TEXT[], $3::TEXT[], $4::TEXT[], $5::TEXT[], $6::TEXT[], $7::TEXT[], $8::TEXT[]
              , $9::TEXT[], $10::BIGINT[], $11::BIGINT[], $12::UUID[], $13::BIGINT[], $14::TEXT[], $15::TEXT[]
              , $16::BYTEA[], $17::INTEGER[], $18::TIMESTAMPTZ[], $19::TIMESTAMPTZ[], $20::BIGINT[]
            )
            ON CONFLICT DO NOTHING
            RETURNING order_id
        )
        , lines AS (
            INSERT INTO orders.order_lines (
                order_id, line_no, sku, ordered, unallocated, allocated, shipping, shipped, cancelled, returned
              , list_unit_price_micros, unit_price_micros, override_reason, total_minor
            )
            SELECT line.*
            FROM UNNEST(
                $21::UUID[], $22::INTEGER[], $23::TEXT[], $24::BIGINT[], $25::BIGINT[], $26::BIGINT[], $27::BIGINT[]
              , $28::BIGINT[], $29::BIGINT[], $30::BIGINT[], $31::BIGINT[], $32::BIGINT[], $33::TEXT[], $34::BIGINT[]
            ) AS line (
                order_id, line_no, sku, ordered, unallocated, allocated, shipping, shipped, cancelled, returned
              , list_unit_price_micros, unit_price_micros, override_reason, total_minor
            )
            JOIN inserted USING (order_id)
        )
        , fees AS (
            INSERT INTO orders.order_fees (
                order_id, fee_no, code, description, quantity, unit_price_micros, total_minor
            )
            SELECT fee.*
            FROM UNNEST(
                $35::UUID[], $36::INTEGER[], $37::TEXT[], $38::TEXT[], $39::BIGINT[], $40::BIGINT[], $41::BIGINT[]
            ) AS fee (order_id, fee_no, code, description, quantity, unit_price_micros, total_minor)
            JOIN inserted USING (order_id)
        )
        , processes AS (
            INSERT INTO orders.processes (process_id, verb, step, effective_at, due_at, attempts, created_at)
            SELECT process.order_id
                 , process.verb
                 , process.step
                 , process.effective_at
                 , process.due_at
                 , 0
                 , process.created_at
            FROM UNNEST(
                $1::UUID[], $42::TEXT[], $43::TEXT[], $44::TIMESTAMPTZ[], $45::TIMESTAMPTZ[], $19::TIMESTAMPTZ[]
            ) AS process (order_id, verb, step, effective_at, due_at, created_at)
            JOIN inserted USING (order_id)
        )
        SELECT order_id
        FROM inserted
        "#,
        &ids as &[Uuid],
        &heads(kind) as &[&str],
        &heads(|order| order.state.as_str()) as &[&str],
        &heads(|order| order.channel.as_str()) as &[&str],
        &heads(|order| order.location.as_str()) as &[&str],
        &maybe(|order| order.partner.as_ref().map(PartnerId::as_str)) as &[Option<&str>],
        &maybe(|order| order.member.as_ref().map(MemberId::as_str)) as &[Option<&str>],
        &heads(|order| &order.reference) as &[&str],
        &heads(|order| order.currency.code()) as &[&str],
        &new.iter().map(|new| new.order.goods_total_minor).collect::<Vec<_>>() as &[i64],
        &new.iter().map(|new| new.order.fee_total_minor).collect::<Vec<_>>() as &[i64],
        &new.iter().map(|new| quote(&new.order).0).collect::<Vec<_>>() as &[Option<Uuid>],
        &new.iter().map(|new| quote(&new.order).1).collect::<Vec<_>>() as &[i64],
        &maybe(|order| ticket(order).map(|(device, _)| device)) as &[Option<&str>],
        &maybe(|order| ticket(order).map(|(_, ticket_no)| ticket_no)) as &[Option<&str>],
        &new.iter().map(|new| &new.fingerprint[..]).collect::<Vec<_>>() as &[&[u8]],
        &new.iter().map(|new| new.order.lines.len() as i32).collect::<Vec<_>>() as &[i32],
        &new.iter().map(|new| new.order.effective_at).collect::<Vec<_>>() as &[DateTime<Utc>],
        &new.iter().map(|new| new.order.created_at).collect::<Vec<_>>() as &[DateTime<Utc>],
        &new.iter().map(|new| new.order.version).collect::<Vec<_>>() as &[i64],
        &lines.iter().map(|(order_id, _)| *order_id).collect::<Vec<_>>() as &[Uuid],
        &lines.iter().map(|(_, line)| line.line_no).collect::<Vec<_>>() as &[i32],
        &lines.iter().map(|(_, line)| line.sku.as_str()).collect::<Vec<_>>() as &[&str],
        &counts(|line| line.ordered) as &[i64],
        &counts(|line| line.unallocated) as &[i64],
        &counts(|line| line.allocated) as &[i64],
        &counts(|line| line.shipping) as &[i64],
        &counts(|line| line.shipped) as &[i64],
        &counts(|line| line.cancelled) as &[i64],
        &counts(|line| line.returned) as &[i64],
        &lines.iter().map(|(_, line)| line.list_unit_price_micros).collect::<Vec<_>>() as &[Option<i64>],
        &counts(|line| line.unit_price_micros) as &[i64],
        &lines.iter().map(|(_, line)| line.override_reason.as_str()).collect::<Vec<_>>() as &[&str],
        &counts(|line| line.total_minor) as &[i64],
        &fees.iter().map(|(order_id, ..)| *order_id).collect::<Vec<_>>() as &[Uuid],
        &fees.iter().map(|(_, no, _)| *no).collect::<Vec<_>>() as &[i32],
        &fees.iter().map(|(.., fee)| fee.code.as_str()).collect::<Vec<_>>() as &[&str],
        &fees.iter().map(|(.., fee)| fee.description.as_str()).collect::<Vec<_>>() as &[&str],
        &fees.iter().map(|(.., fee)| fee.quantity).collect::<Vec<_>>() as &[i64],
        &fees.iter().map(|(.., fee)| fee.unit_price_micros).collect::<Vec<_>>() as &[i64],
        &fees.iter().map(|(.., fee)| fee.total_minor).collect::<Vec<_>>() as &[i64],
        &new.iter().map(|new| new.process.verb.as_str()).collect::<Vec<_>>() as &[&str],
        &new.iter().map(|new| new.process.step.as_str()).collect::<Vec<_>>() as &[&str],
        &new.iter().map(|new| new.process.effective_at).collect::<Vec<_>>() as &[Option<DateTime<Utc>>],
        &new.iter().map(|new| new.due_at).collect::<Vec<_>>() as &[DateTime<Utc>],
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(OrderId::from).collect())
}

fn kind(order: &Order) -> &'static str {
    match order.origin {
        Origin::Quote { .. } => "placed",
        Origin::Ticket { .. } => "ticket",
    }
}

fn quote(order: &Order) -> (Option<Uuid>, i64) {
    match order.origin {
        Origin::Quote { quote_id, book_version } => (Some(quote_id.as_uuid()), book_version),
        Origin::Ticket { .. } => (None, 0),
    }
}

fn ticket(order: &Order) -> Option<(&str, &str)> {
    match &order.origin {
        Origin::Quote { .. } => None,
        Origin::Ticket { device, ticket_no } => Some((device.as_str(), ticket_no)),
    }
}

/// Saves what a transition changed, counts of the lines included, if the order is still at the version before it.
/// `false`: somebody else changed it in between.
pub async fn save(conn: &mut PgConnection, order: &Order) -> Result<bool, sqlx::Error> {
    let counts = |of: fn(&Line) -> i64| order.lines.iter().map(of).collect::<Vec<_>>();
    let saved = sqlx::query_scalar!(
        r#"
        WITH saved AS (
            UPDATE orders.orders
            SET state = $3
              , cancel_reason = $4
              , tracking_number = $5
              , version = $2
            WHERE order_id = $1
              AND version = $2::BIGINT - 1
            RETURNING order_id
        )
        , lines AS (
            UPDATE orders.order_lines
            SET unallocated = line.unallocated
              , allocated = line.allocated
              , shipping = line.shipping
              , shipped = line.shipped
              , cancelled = line.cancelled
            FROM saved
            CROSS JOIN UNNEST($6::INTEGER[], $7::BIGINT[], $8::BIGINT[], $9::BIGINT[], $10::BIGINT[], $11::BIGINT[])
                AS line (line_no, unallocated, allocated, shipping, shipped, cancelled)
            WHERE order_lines.order_id = saved.order_id
              AND order_lines.order_id = $1
              AND order_lines.line_no = line.line_no
        )
        SELECT COUNT(*) AS "count!"
        FROM saved
        "#,
        order.order_id.as_uuid(),
        order.version,
        order.state.as_str(),
        order.cancel_reason,
        order.tracking_number,
        &order.lines.iter().map(|line| line.line_no).collect::<Vec<_>>() as &[i32],
        &counts(|line| line.unallocated) as &[i64],
        &counts(|line| line.allocated) as &[i64],
        &counts(|line| line.shipping) as &[i64],
        &counts(|line| line.shipped) as &[i64],
        &counts(|line| line.cancelled) as &[i64],
    )
    .fetch_one(conn)
    .await?;
    Ok(saved == 1)
}

/// Keeps why a remote refused, before what was held is given back.
pub async fn save_refusal(
    conn: &mut PgConnection,
    order_id: OrderId,
    refusal: &RemoteRefusal,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        UPDATE orders.orders
        SET refusal_code = $2
          , refusal_reason = $3
          , refusal_message = $4
          , refusal_details = $5
        WHERE order_id = $1
        "#,
        order_id.as_uuid(),
        refusal.code,
        refusal.reason,
        refusal.message,
        refusal.details,
    )
    .execute(conn)
    .await
    .map(drop)
}

/// The fingerprint that an order was made with.
pub async fn find_fingerprint(conn: &mut PgConnection, order_id: OrderId) -> Result<Option<Vec<u8>>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"
        SELECT fingerprint
        FROM orders.orders
        WHERE order_id = $1
        "#,
        order_id.as_uuid(),
    )
    .fetch_optional(conn)
    .await
}

/// The fingerprints of those of `order_ids` that are tickets.
pub async fn find_ticket_fingerprints(
    conn: &mut PgConnection,
    order_ids: &[Uuid],
) -> Result<HashMap<OrderId, Vec<u8>>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"
        SELECT order_id
             , fingerprint
        FROM orders.orders
        WHERE order_id = ANY ($1)
          AND kind = 'ticket'
        "#,
        order_ids,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.order_id.into(), row.fingerprint)).collect())
}

/// Locks an order's row until the end of the transaction; its lines change only under this lock.
pub async fn lock(conn: &mut PgConnection, order_id: OrderId) -> Result<Option<Order>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"
        SELECT order_id
        FROM orders.orders
        WHERE order_id = $1
        FOR UPDATE
        "#,
        order_id.as_uuid(),
    )
    .fetch_optional(&mut *conn)
    .await?;
    Ok(find_all(conn, &[order_id.as_uuid()]).await?.pop())
}

struct Row {
    order_id: Uuid,
    state: String,
    channel_id: String,
    location_id: String,
    partner_id: Option<String>,
    member_id: Option<String>,
    reference: String,
    currency: String,
    goods_total_minor: i64,
    fee_total_minor: i64,
    quote_id: Option<Uuid>,
    book_version: i64,
    device_id: Option<String>,
    ticket_no: Option<String>,
    refusal_code: Option<i32>,
    refusal_reason: Option<String>,
    refusal_message: Option<String>,
    refusal_details: Option<Vec<u8>>,
    cancel_reason: Option<String>,
    tracking_number: Option<String>,
    effective_at: DateTime<Utc>,
    created_at: DateTime<Utc>,
    version: i64,
    hold_version: i64,
}

impl Row {
    fn parse(self) -> Result<Order, sqlx::Error> {
        let id = self.order_id;
        let origin = match (self.quote_id, self.device_id, self.ticket_no) {
            (Some(quote_id), None, None) => {
                Origin::Quote { quote_id: QuoteId::from(quote_id), book_version: self.book_version }
            }
            (None, Some(device), Some(ticket_no)) => {
                Origin::Ticket { device: stored("device_id", id, &device)?, ticket_no }
            }
            other => return known(None, "orders", "quote_id", id, &other),
        };
        let refusal = match (self.refusal_code, self.refusal_reason, self.refusal_message, self.refusal_details) {
            (Some(code), Some(reason), Some(message), Some(details)) => {
                Some(RemoteRefusal { code, reason, message, details })
            }
            _ => None,
        };
        Ok(Order {
            order_id: id.into(),
            origin,
            state: known(State::parse(&self.state), "orders", "state", id, &self.state)?,
            channel: stored("channel_id", id, &self.channel_id)?,
            location: stored("location_id", id, &self.location_id)?,
            partner: self.partner_id.map(|partner| stored("partner_id", id, &partner)).transpose()?,
            member: self.member_id.map(|member| stored("member_id", id, &member)).transpose()?,
            reference: self.reference,
            currency: stored("currency", id, &self.currency)?,
            lines: Vec::new(),
            fees: Vec::new(),
            goods_total_minor: self.goods_total_minor,
            fee_total_minor: self.fee_total_minor,
            refusal,
            cancel_reason: self.cancel_reason,
            tracking_number: self.tracking_number,
            effective_at: self.effective_at,
            created_at: self.created_at,
            version: self.version,
            allocations: Vec::new(),
        })
    }
}

fn stored<T: std::str::FromStr>(column: &'static str, order_id: Uuid, text: &str) -> Result<T, sqlx::Error> {
    known(text.parse().ok(), "orders", column, order_id, &text)
}

/// Orders with their lines and fees, in the order of `ids`; unknown ones are left out. Three statements, whatever the
/// number, and a fourth where units of some were moved.
pub async fn find_all(conn: &mut PgConnection, ids: &[Uuid]) -> Result<Vec<Order>, sqlx::Error> {
    let rows = sqlx::query_as!(
        Row,
        r#"
        SELECT order_id, state, channel_id, location_id, partner_id, member_id, reference, currency
             , goods_total_minor, fee_total_minor, quote_id, book_version, device_id, ticket_no
             , refusal_code, refusal_reason, refusal_message, refusal_details, cancel_reason, tracking_number
             , effective_at, created_at, version, hold_version
        FROM orders.orders
        JOIN UNNEST($1::UUID[]) WITH ORDINALITY AS wanted (order_id, nth) USING (order_id)
        ORDER BY nth
        "#,
        ids,
    )
    .fetch_all(&mut *conn)
    .await?;
    let moved: Vec<Uuid> = rows.iter().filter(|row| row.hold_version > 0).map(|row| row.order_id).collect();
    let mut orders = rows.into_iter().map(Row::parse).collect::<Result<Vec<_>, _>>()?;
    let places: HashMap<OrderId, usize> =
        orders.iter().enumerate().map(|(place, order)| (order.order_id, place)).collect();
    let lines = sqlx::query!(
        r#"
        SELECT order_id, line_no, sku, ordered, unallocated, allocated, shipping, shipped, cancelled, returned
             , list_unit_price_micros, unit_price_micros, override_reason, total_minor
        FROM orders.order_lines
        WHERE order_id = ANY ($1)
        ORDER BY order_id, line_no
        "#,
        ids,
    )
    .fetch_all(&mut *conn)
    .await?;
    for row in lines {
        let Some(place) = places.get(&row.order_id.into()) else { continue };
        orders[*place].lines.push(Line {
            line_no: row.line_no,
            sku: known(row.sku.parse().ok(), "order_lines", "sku", row.order_id, &row.sku)?,
            ordered: row.ordered,
            unallocated: row.unallocated,
            allocated: row.allocated,
            shipping: row.shipping,
            shipped: row.shipped,
            cancelled: row.cancelled,
            returned: row.returned,
            list_unit_price_micros: row.list_unit_price_micros,
            unit_price_micros: row.unit_price_micros,
            override_reason: row.override_reason,
            total_minor: row.total_minor,
        });
    }
    let fees = sqlx::query!(
        r#"
        SELECT order_id, code, description, quantity, unit_price_micros, total_minor
        FROM orders.order_fees
        WHERE order_id = ANY ($1)
        ORDER BY order_id, fee_no
        "#,
        ids,
    )
    .fetch_all(&mut *conn)
    .await?;
    for row in fees {
        let Some(place) = places.get(&row.order_id.into()) else { continue };
        orders[*place].fees.push(Fee {
            code: row.code,
            description: row.description,
            quantity: row.quantity,
            unit_price_micros: row.unit_price_micros,
            total_minor: row.total_minor,
        });
    }
    if !moved.is_empty() {
        for (order_id, allocations) in super::allocations::find_all(conn, &moved).await? {
            orders[places[&order_id]].allocations = allocations;
        }
    }
    Ok(orders)
}

/// One order's place in a list.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    pub order_id: OrderId,
    pub created_at: DateTime<Utc>,
    pub line_count: i32,
}

/// Newest first. Planned anew each time, so that the planner sees which filters are set and takes the index of one that
/// is.
pub async fn list(conn: &mut PgConnection, filter: &Filter, limit: i64) -> Result<Vec<Place>, sqlx::Error> {
    sqlx::query!("SET LOCAL plan_cache_mode = force_custom_plan").execute(&mut *conn).await?;
    let (after_at, after_id) = filter.after.unzip();
    let rows = sqlx::query!(
        r#"
        SELECT order_id
             , created_at
             , line_count
        FROM orders.orders
        WHERE ($1::TEXT IS NULL OR channel_id = $1)
          AND ($2::TEXT IS NULL OR partner_id = $2)
          AND ($3::TEXT IS NULL OR member_id = $3)
          AND ($4::TEXT IS NULL OR state = $4)
          AND ($5::TIMESTAMPTZ IS NULL OR (created_at, order_id) < ($5, $6::UUID))
        ORDER BY created_at DESC, order_id DESC
        LIMIT $7
        "#,
        filter.channel.as_ref().map(ChannelId::as_str),
        filter.partner.as_ref().map(PartnerId::as_str),
        filter.member.as_ref().map(MemberId::as_str),
        filter.state.map(State::as_str),
        after_at,
        after_id.map(|id| id.as_uuid()),
        limit,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Place { order_id: row.order_id.into(), created_at: row.created_at, line_count: row.line_count })
        .collect())
}

/// Makes the transaction's statements see one and the same moment. The first statement of a read of several.
pub async fn read_one_moment(conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query!("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY").execute(conn).await.map(drop)
}

/// Units of a SKU that an order has allocated at a location.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allocated {
    pub order_id: OrderId,
    pub sku: Sku,
    pub location: LocationId,
    pub quantity: i64,
}

/// What all orders have allocated, by (order, SKU, location); orders that a process is working on are left out, because
/// their holds may be a step ahead. Of orders whose units were moved: where they are, as far as heard.
pub fn stream_allocated(pool: &PgPool) -> impl Stream<Item = Result<Allocated, sqlx::Error>> + '_ {
    sqlx::query!(
        r#"
        SELECT order_id AS "order_id!"
             , sku AS "sku!"
             , location_id AS "location_id!"
             , quantity AS "quantity!"
        FROM (
            SELECT orders.order_id
                 , sku
                 , location_id
                 , SUM(allocated)::BIGINT AS quantity
            FROM orders.order_lines
            JOIN orders.orders USING (order_id)
            WHERE allocated > 0
              AND state = 'confirmed'
              AND hold_version = 0
            GROUP BY orders.order_id, sku
            UNION ALL
            SELECT order_id
                 , sku
                 , order_allocations.location_id
                 , quantity
            FROM orders.order_allocations
            JOIN orders.orders USING (order_id)
            WHERE state = 'confirmed'
        ) AS allocated
        ORDER BY order_id, sku COLLATE "C", location_id COLLATE "C"
        "#,
    )
    .fetch(pool)
    .and_then(async |row| {
        Ok(Allocated {
            order_id: row.order_id.into(),
            sku: known(row.sku.parse().ok(), "order_lines", "sku", row.order_id, &row.sku)?,
            location: stored("location_id", row.order_id, &row.location_id)?,
            quantity: row.quantity,
        })
    })
}
