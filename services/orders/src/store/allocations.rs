//! Where the allocated units of orders are that inventory moved.

use std::collections::HashMap;

use oneshelf_values::OrderId;
use sqlx::PgConnection;
use uuid::Uuid;

use super::known;
use crate::domain::order::{Allocation, MovedHold};

/// Locks those of the orders that may have allocated units, in id order; answers how often the units of each were moved,
/// as far as heard.
pub async fn lock_open_orders(conn: &mut PgConnection, ids: &[Uuid]) -> Result<HashMap<OrderId, i64>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"
        SELECT order_id
             , hold_version
        FROM orders.orders
        WHERE order_id = ANY ($1)
          AND state IN ('placing', 'confirmed', 'shipping', 'cancelling')
        ORDER BY order_id
        FOR UPDATE
        "#,
        ids,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.order_id.into(), row.hold_version)).collect())
}

/// Writes down where the units of locked orders are, in place of what was known before.
pub async fn replace(conn: &mut PgConnection, moved: &[MovedHold]) -> Result<(), sqlx::Error> {
    let ids: Vec<Uuid> = moved.iter().map(|hold| hold.order_id.as_uuid()).collect();
    sqlx::query!("DELETE FROM orders.order_allocations WHERE order_id = ANY ($1)", &ids).execute(&mut *conn).await?;
    let rows: Vec<(Uuid, &Allocation)> =
        moved.iter().flat_map(|hold| hold.allocations.iter().map(|one| (hold.order_id.as_uuid(), one))).collect();
    sqlx::query!(
        r#"
        WITH versions AS (
            UPDATE orders.orders
            SET hold_version = moved.version
            FROM UNNEST($1::UUID[], $2::BIGINT[]) AS moved (order_id, version)
            WHERE orders.order_id = moved.order_id
        )
        INSERT INTO orders.order_allocations (order_id, sku, location_id, quantity)
        SELECT *
        FROM UNNEST($3::UUID[], $4::TEXT[], $5::TEXT[], $6::BIGINT[])
        "#,
        &ids,
        &moved.iter().map(|hold| hold.version).collect::<Vec<_>>(),
        &rows.iter().map(|(order_id, _)| *order_id).collect::<Vec<_>>(),
        &rows.iter().map(|(_, one)| one.sku.as_str()).collect::<Vec<_>>() as &[&str],
        &rows.iter().map(|(_, one)| one.location.as_str()).collect::<Vec<_>>() as &[&str],
        &rows.iter().map(|(_, one)| one.quantity).collect::<Vec<_>>(),
    )
    .execute(conn)
    .await
    .map(drop)
}

/// By order, in (SKU, location) order.
pub async fn find_all(
    conn: &mut PgConnection,
    order_ids: &[Uuid],
) -> Result<HashMap<OrderId, Vec<Allocation>>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"
        SELECT order_id
             , sku
             , location_id
             , quantity
        FROM orders.order_allocations
        WHERE order_id = ANY ($1)
        ORDER BY order_id, sku COLLATE "C", location_id COLLATE "C"
        "#,
        order_ids,
    )
    .fetch_all(conn)
    .await?;
    let mut found = HashMap::<OrderId, Vec<Allocation>>::new();
    for row in rows {
        let id = row.order_id;
        found.entry(id.into()).or_default().push(Allocation {
            sku: known(row.sku.parse().ok(), "order_allocations", "sku", id, &row.sku)?,
            location: known(row.location_id.parse().ok(), "order_allocations", "location_id", id, &row.location_id)?,
            quantity: row.quantity,
        });
    }
    Ok(found)
}
