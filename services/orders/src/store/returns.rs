//! Returns, and what of the orders they touch.

use std::collections::{BTreeMap, HashMap};

use oneshelf_values::{OrderId, ReturnId};
use sqlx::PgConnection;
use uuid::Uuid;

use super::known;
use crate::domain::{
    order::{Fee, Line},
    returns::{Item, Return, ReturnLine, Sale},
};

/// Locks the orders that `items` name, in the order of their ids, and reads the lines that they name.
pub async fn lock_sales(conn: &mut PgConnection, items: &[Item]) -> Result<BTreeMap<OrderId, Sale>, sqlx::Error> {
    let (order_ids, line_nos): (Vec<Uuid>, Vec<i32>) = items
        .iter()
        .filter_map(|item| match item {
            Item::Sold { order_id, line_no, .. } => Some((order_id.as_uuid(), *line_no)),
            Item::Loose { .. } => None,
        })
        .unzip();
    if order_ids.is_empty() {
        return Ok(BTreeMap::new());
    }
    let orders = sqlx::query!(
        r#"
        SELECT order_id, channel_id, partner_id, member_id, currency
        FROM orders.orders
        WHERE order_id = ANY ($1)
        ORDER BY order_id
        FOR UPDATE
        "#,
        &order_ids,
    )
    .fetch_all(&mut *conn)
    .await?;
    let mut sales = BTreeMap::new();
    for row in orders {
        let id = row.order_id;
        let sale = Sale {
            channel: known(row.channel_id.parse().ok(), "orders", "channel_id", id, &row.channel_id)?,
            partner: parse_maybe(row.partner_id, "partner_id", id)?,
            member: parse_maybe(row.member_id, "member_id", id)?,
            currency: known(row.currency.parse().ok(), "orders", "currency", id, &row.currency)?,
            lines: HashMap::new(),
        };
        sales.insert(OrderId::from(id), sale);
    }
    let lines = sqlx::query!(
        r#"
        SELECT order_id, line_no, sku, ordered, unallocated, allocated, shipping, shipped, cancelled, returned
             , list_unit_price_micros, unit_price_micros, override_reason, total_minor
        FROM orders.order_lines
        WHERE (order_id, line_no) IN (SELECT * FROM UNNEST($1::UUID[], $2::INTEGER[]))
        "#,
        &order_ids,
        &line_nos,
    )
    .fetch_all(conn)
    .await?;
    for row in lines {
        let Some(sale) = sales.get_mut(&OrderId::from(row.order_id)) else { continue };
        let line = Line {
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
        };
        sale.lines.insert(row.line_no, line);
    }
    Ok(sales)
}

fn parse_maybe<T: std::str::FromStr>(
    text: Option<String>,
    column: &'static str,
    order_id: Uuid,
) -> Result<Option<T>, sqlx::Error> {
    text.map(|text| known(text.parse().ok(), "orders", column, order_id, &text)).transpose()
}

/// Writes a return down and moves the counts of the order lines that it takes from. `false`: the id is taken.
pub async fn insert(conn: &mut PgConnection, new: &Return, fingerprint: &[u8; 32]) -> Result<bool, sqlx::Error> {
    let inserted = sqlx::query_scalar!(
        r#"
        WITH inserted AS (
            INSERT INTO orders.returns (
                return_id, location_id, channel_id, partner_id, member_id, reference, currency
              , goods_total_minor, fee_total_minor, fingerprint, effective_at, created_at
            )
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
            ON CONFLICT DO NOTHING
            RETURNING return_id
        )
        , lines AS (
            INSERT INTO orders.return_lines (
                return_id, line_no, order_id, order_line_no, sku, quantity, refund_minor
            )
            SELECT return_id, line.*
            FROM inserted
            CROSS JOIN UNNEST(
                $13::INTEGER[], $14::UUID[], $15::INTEGER[], $16::TEXT[], $17::BIGINT[], $18::BIGINT[]
            ) AS line
        )
        , fees AS (
            INSERT INTO orders.return_fees (
                return_id, fee_no, code, description, quantity, unit_price_micros, total_minor
            )
            SELECT return_id, fee.*
            FROM inserted
            CROSS JOIN UNNEST(
                $19::INTEGER[], $20::TEXT[], $21::TEXT[], $22::BIGINT[], $23::BIGINT[], $24::BIGINT[]
            ) AS fee
        )
        SELECT COUNT(*) AS "count!"
        FROM inserted
        "#,
        new.return_id.as_uuid(),
        new.location.as_str(),
        new.channel.as_str(),
        new.partner.as_ref().map(oneshelf_values::PartnerId::as_str),
        new.member.as_ref().map(oneshelf_values::MemberId::as_str),
        new.reference,
        new.currency.code(),
        new.goods_total_minor,
        new.fee_total_minor,
        &fingerprint[..],
        new.effective_at,
        new.created_at,
        &new.lines.iter().map(|line| line.line_no).collect::<Vec<_>>() as &[i32],
        &new.lines.iter().map(|line| line.sold.map(|(id, _)| id.as_uuid())).collect::<Vec<_>>() as &[Option<Uuid>],
        &new.lines.iter().map(|line| line.sold.map(|(_, no)| no)).collect::<Vec<_>>() as &[Option<i32>],
        &new.lines.iter().map(|line| line.sku.as_str()).collect::<Vec<_>>() as &[&str],
        &new.lines.iter().map(|line| line.quantity).collect::<Vec<_>>() as &[i64],
        &new.lines.iter().map(|line| line.refund_minor).collect::<Vec<_>>() as &[i64],
        &(1..).zip(&new.fees).map(|(no, _)| no).collect::<Vec<_>>() as &[i32],
        &new.fees.iter().map(|fee| fee.code.as_str()).collect::<Vec<_>>() as &[&str],
        &new.fees.iter().map(|fee| fee.description.as_str()).collect::<Vec<_>>() as &[&str],
        &new.fees.iter().map(|fee| fee.quantity).collect::<Vec<_>>() as &[i64],
        &new.fees.iter().map(|fee| fee.unit_price_micros).collect::<Vec<_>>() as &[i64],
        &new.fees.iter().map(|fee| fee.total_minor).collect::<Vec<_>>() as &[i64],
    )
    .fetch_one(conn)
    .await?;
    Ok(inserted == 1)
}

/// Writes how much of the locked lines came back by now, and raises their orders' versions.
pub async fn save_returned(conn: &mut PgConnection, sales: &BTreeMap<OrderId, Sale>) -> Result<(), sqlx::Error> {
    let lines: Vec<(Uuid, &Line)> =
        sales.iter().flat_map(|(order_id, sale)| sale.lines.values().map(|line| (order_id.as_uuid(), line))).collect();
    sqlx::query!(
        r#"
        WITH lines AS (
            UPDATE orders.order_lines
            SET returned = line.returned
            FROM UNNEST($1::UUID[], $2::INTEGER[], $3::BIGINT[]) AS line (order_id, line_no, returned)
            WHERE order_lines.order_id = line.order_id
              AND order_lines.line_no = line.line_no
            RETURNING order_lines.order_id
        )
        UPDATE orders.orders
        SET version = version + 1
        WHERE order_id IN (SELECT order_id FROM lines)
        "#,
        &lines.iter().map(|(order_id, _)| *order_id).collect::<Vec<_>>() as &[Uuid],
        &lines.iter().map(|(_, line)| line.line_no).collect::<Vec<_>>() as &[i32],
        &lines.iter().map(|(_, line)| line.returned).collect::<Vec<_>>() as &[i64],
    )
    .execute(conn)
    .await
    .map(drop)
}

/// The fingerprint that a return was made with.
pub async fn find_fingerprint(conn: &mut PgConnection, return_id: ReturnId) -> Result<Option<Vec<u8>>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"
        SELECT fingerprint
        FROM orders.returns
        WHERE return_id = $1
        "#,
        return_id.as_uuid(),
    )
    .fetch_optional(conn)
    .await
}

/// A return with its lines and fees. It never changes, so three statements see the same.
pub async fn find(conn: &mut PgConnection, return_id: ReturnId) -> Result<Option<Return>, sqlx::Error> {
    let id = return_id.as_uuid();
    let Some(row) = sqlx::query!(
        r#"
        SELECT location_id, channel_id, partner_id, member_id, reference, currency
             , goods_total_minor, fee_total_minor, effective_at, created_at
        FROM orders.returns
        WHERE return_id = $1
        "#,
        id,
    )
    .fetch_optional(&mut *conn)
    .await?
    else {
        return Ok(None);
    };
    let lines = sqlx::query!(
        r#"
        SELECT line_no, order_id, order_line_no, sku, quantity, refund_minor
        FROM orders.return_lines
        WHERE return_id = $1
        ORDER BY line_no
        "#,
        id,
    )
    .fetch_all(&mut *conn)
    .await?
    .into_iter()
    .map(|line| {
        Ok(ReturnLine {
            line_no: line.line_no,
            sold: line.order_id.map(OrderId::from).zip(line.order_line_no),
            sku: known(line.sku.parse().ok(), "return_lines", "sku", id, &line.sku)?,
            quantity: line.quantity,
            refund_minor: line.refund_minor,
        })
    })
    .collect::<Result<_, sqlx::Error>>()?;
    let fees = sqlx::query_as!(
        Fee,
        r#"
        SELECT code, description, quantity, unit_price_micros, total_minor
        FROM orders.return_fees
        WHERE return_id = $1
        ORDER BY fee_no
        "#,
        id,
    )
    .fetch_all(conn)
    .await?;
    Ok(Some(Return {
        return_id,
        channel: known(row.channel_id.parse().ok(), "returns", "channel_id", id, &row.channel_id)?,
        location: known(row.location_id.parse().ok(), "returns", "location_id", id, &row.location_id)?,
        partner: parse_maybe(row.partner_id, "partner_id", id)?,
        member: parse_maybe(row.member_id, "member_id", id)?,
        reference: row.reference,
        currency: known(row.currency.parse().ok(), "returns", "currency", id, &row.currency)?,
        lines,
        fees,
        goods_total_minor: row.goods_total_minor,
        fee_total_minor: row.fee_total_minor,
        effective_at: row.effective_at,
        created_at: row.created_at,
    }))
}
