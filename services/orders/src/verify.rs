//! What must hold on the tables, checked set by set over all rows.
//!
//! L2 spans two services: [`allocated_by_order`] streams this side of it, in order, for whoever compares it with
//! inventory's hard holds; orders that a process is working on are in neither side of a fair comparison, see
//! [`orders_in_progress`].

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use oneshelf_kit::verify::Check;
use oneshelf_values::OrderId;
use sqlx::PgPool;
use uuid::Uuid;

pub use crate::store::orders::{Allocated, stream_allocated as allocated_by_order};

/// Runs every check of this service.
pub async fn verify(pool: &PgPool, now: DateTime<Utc>) -> Result<Vec<Check>, sqlx::Error> {
    Ok(vec![
        lines_add_up(pool).await?,
        lines_fit_state(pool).await?,
        moved_units_are_allocated(pool).await?,
        order_totals_readd(pool).await?,
        return_totals_readd(pool).await?,
        refunds_are_what_was_paid(pool).await?,
        work_has_a_process(pool).await?,
        no_process_is_stuck(pool, now).await?,
    ])
}

/// Orders whose holds may be a step ahead of their lines, or behind.
pub async fn orders_in_progress(pool: &PgPool) -> Result<HashSet<OrderId>, sqlx::Error> {
    let ids = sqlx::query_scalar!(
        r#"
        SELECT process_id
        FROM orders.processes
        "#,
    )
    .fetch_all(pool)
    .await?;
    Ok(ids.into_iter().map(OrderId::from).collect())
}

async fn lines_add_up(pool: &PgPool) -> Result<Check, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        WITH judged AS (
            SELECT order_id || ' line ' || line_no AS name
                 , ordered = unallocated + allocated + shipped + cancelled
               AND LEAST(unallocated, allocated, shipping, shipped, cancelled, returned) >= 0
               AND shipping <= allocated
               AND returned <= shipped AS holds
            FROM orders.order_lines
        )
        SELECT COUNT(*) AS "checked!"
             , COUNT(*) FILTER (WHERE NOT holds) AS "violations!"
             , (ARRAY_AGG(name ORDER BY name) FILTER (WHERE NOT holds))[1:10] AS offenders
        FROM judged
        "#,
    )
    .fetch_one(pool)
    .await?;
    Ok(Check {
        id: "L1",
        what: "ordered = unallocated + allocated + shipped + cancelled and returned ≤ shipped, per line",
        checked: row.checked,
        violations: row.violations,
        offenders: row.offenders.unwrap_or_default(),
    })
}

async fn lines_fit_state(pool: &PgPool) -> Result<Check, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        WITH judged AS (
            SELECT order_id || ' line ' || line_no AS name
                 , CASE state
                       WHEN 'placing' THEN unallocated = ordered
                       WHEN 'confirmed' THEN allocated = ordered
                       WHEN 'shipping' THEN allocated = ordered
                       WHEN 'cancelling' THEN allocated = ordered
                       WHEN 'shipped' THEN shipped + cancelled = ordered
                       WHEN 'cancelled' THEN cancelled = ordered
                       WHEN 'refused' THEN cancelled = ordered
                       ELSE shipped = ordered
                   END AS holds
            FROM orders.order_lines
            JOIN orders.orders USING (order_id)
        )
        SELECT COUNT(*) AS "checked!"
             , COUNT(*) FILTER (WHERE NOT holds) AS "violations!"
             , (ARRAY_AGG(name ORDER BY name) FILTER (WHERE NOT holds))[1:10] AS offenders
        FROM judged
        "#,
    )
    .fetch_one(pool)
    .await?;
    Ok(Check {
        id: "L1",
        what: "a line's units stand where its order's state says",
        checked: row.checked,
        violations: row.violations,
        offenders: row.offenders.unwrap_or_default(),
    })
}

/// Of orders whose units were moved, by (order, SKU).
async fn moved_units_are_allocated(pool: &PgPool) -> Result<Check, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        WITH moved AS (
            SELECT order_id
            FROM orders.orders
            WHERE hold_version > 0
              AND state = 'confirmed'
        )
        , lines AS (
            SELECT order_id, sku, SUM(allocated) AS units
            FROM orders.order_lines
            JOIN moved USING (order_id)
            GROUP BY order_id, sku
        )
        , placed AS (
            SELECT order_id, sku, SUM(quantity) AS units
            FROM orders.order_allocations
            JOIN moved USING (order_id)
            GROUP BY order_id, sku
        )
        , judged AS (
            SELECT order_id || ' ' || sku AS name
                 , lines.units IS NOT DISTINCT FROM placed.units AS holds
            FROM lines
            FULL JOIN placed USING (order_id, sku)
        )
        SELECT COUNT(*) AS "checked!"
             , COUNT(*) FILTER (WHERE NOT holds) AS "violations!"
             , (ARRAY_AGG(name ORDER BY name) FILTER (WHERE NOT holds))[1:10] AS offenders
        FROM judged
        "#,
    )
    .fetch_one(pool)
    .await?;
    Ok(Check {
        id: "L2",
        what: "where an order's moved units are adds up to what its lines have allocated",
        checked: row.checked,
        violations: row.violations,
        offenders: row.offenders.unwrap_or_default(),
    })
}

async fn order_totals_readd(pool: &PgPool) -> Result<Check, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        WITH judged AS (
            SELECT order_id::TEXT AS name
                 , goods_total_minor = COALESCE(goods, 0) AND fee_total_minor = COALESCE(fees, 0)
               AND line_count = COALESCE(lines, 0) AS holds
            FROM orders.orders
            LEFT JOIN (
                SELECT order_id, SUM(total_minor) AS goods, COUNT(*) AS lines FROM orders.order_lines GROUP BY order_id
            ) AS line_sums USING (order_id)
            LEFT JOIN (
                SELECT order_id, SUM(total_minor) AS fees FROM orders.order_fees GROUP BY order_id
            ) AS fee_sums USING (order_id)
        )
        SELECT COUNT(*) AS "checked!"
             , COUNT(*) FILTER (WHERE NOT holds) AS "violations!"
             , (ARRAY_AGG(name ORDER BY name) FILTER (WHERE NOT holds))[1:10] AS offenders
        FROM judged
        "#,
    )
    .fetch_one(pool)
    .await?;
    Ok(Check {
        id: "M2",
        what: "totals of lines and fees add up to the order's",
        checked: row.checked,
        violations: row.violations,
        offenders: row.offenders.unwrap_or_default(),
    })
}

async fn return_totals_readd(pool: &PgPool) -> Result<Check, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        WITH judged AS (
            SELECT return_id::TEXT AS name
                 , goods_total_minor = COALESCE(goods, 0) AND fee_total_minor = COALESCE(fees, 0) AS holds
            FROM orders.returns
            LEFT JOIN (
                SELECT return_id, SUM(refund_minor) AS goods FROM orders.return_lines GROUP BY return_id
            ) AS line_sums USING (return_id)
            LEFT JOIN (
                SELECT return_id, SUM(total_minor) AS fees FROM orders.return_fees GROUP BY return_id
            ) AS fee_sums USING (return_id)
        )
        SELECT COUNT(*) AS "checked!"
             , COUNT(*) FILTER (WHERE NOT holds) AS "violations!"
             , (ARRAY_AGG(name ORDER BY name) FILTER (WHERE NOT holds))[1:10] AS offenders
        FROM judged
        "#,
    )
    .fetch_one(pool)
    .await?;
    Ok(Check {
        id: "M2",
        what: "totals of lines and fees add up to the return's",
        checked: row.checked,
        violations: row.violations,
        offenders: row.offenders.unwrap_or_default(),
    })
}

async fn refunds_are_what_was_paid(pool: &PgPool) -> Result<Check, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        WITH judged AS (
            SELECT line.order_id || ' line ' || line.line_no AS name
                 , line.returned = COALESCE(back.quantity, 0)
               AND COALESCE(back.refund, 0)
                   = line.total_minor / line.ordered * line.returned + LEAST(line.returned, line.total_minor % line.ordered)
               AND COALESCE(back.refund, 0) <= line.total_minor AS holds
            FROM orders.order_lines AS line
            LEFT JOIN (
                SELECT order_id, order_line_no AS line_no, SUM(quantity) AS quantity, SUM(refund_minor) AS refund
                FROM orders.return_lines
                WHERE order_id IS NOT NULL
                GROUP BY order_id, order_line_no
            ) AS back USING (order_id, line_no)
            WHERE line.returned > 0 OR back.quantity IS NOT NULL
        )
        SELECT COUNT(*) AS "checked!"
             , COUNT(*) FILTER (WHERE NOT holds) AS "violations!"
             , (ARRAY_AGG(name ORDER BY name) FILTER (WHERE NOT holds))[1:10] AS offenders
        FROM judged
        "#,
    )
    .fetch_one(pool)
    .await?;
    Ok(Check {
        id: "M3",
        what: "refunds of a line are the paid shares of the units that came back, so never above what was paid",
        checked: row.checked,
        violations: row.violations,
        offenders: row.offenders.unwrap_or_default(),
    })
}

async fn work_has_a_process(pool: &PgPool) -> Result<Check, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        WITH judged AS (
            SELECT order_id || ' ' || state AS name
                 , EXISTS (
                       SELECT
                       FROM orders.processes
                       WHERE process_id = order_id
                         AND verb = CASE state
                                        WHEN 'placing' THEN 'place'
                                        WHEN 'shipping' THEN 'ship'
                                        WHEN 'cancelling' THEN 'cancel'
                                        ELSE 'record_ticket'
                                    END
                   ) AS holds
            FROM orders.orders
            WHERE state IN ('placing', 'shipping', 'cancelling', 'recorded')
        )
        SELECT COUNT(*) AS "checked!"
             , COUNT(*) FILTER (WHERE NOT holds) AS "violations!"
             , (ARRAY_AGG(name ORDER BY name) FILTER (WHERE NOT holds))[1:10] AS offenders
        FROM judged
        "#,
    )
    .fetch_one(pool)
    .await?;
    Ok(Check {
        id: "P2",
        what: "an order that is being worked on has its process",
        checked: row.checked,
        violations: row.violations,
        offenders: row.offenders.unwrap_or_default(),
    })
}

async fn no_process_is_stuck(pool: &PgPool, now: DateTime<Utc>) -> Result<Check, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        WITH judged AS (
            SELECT process_id || ' ' || verb || ' at ' || step || COALESCE(': ' || last_error, '') AS name
                 , created_at > $1::TIMESTAMPTZ - INTERVAL '1 hour' AND parked_at IS NULL AS holds
            FROM orders.processes
        )
        SELECT COUNT(*) AS "checked!"
             , COUNT(*) FILTER (WHERE NOT holds) AS "violations!"
             , (ARRAY_AGG(name ORDER BY name) FILTER (WHERE NOT holds))[1:10] AS offenders
        FROM judged
        "#,
        now,
    )
    .fetch_one(pool)
    .await?;
    Ok(Check {
        id: "P2",
        what: "no process is older than an hour or parked",
        checked: row.checked,
        violations: row.violations,
        offenders: row.offenders.unwrap_or_default(),
    })
}

/// Which of these ids are orders: other callers of inventory hold stock too.
pub async fn existing_orders(pool: &PgPool, ids: &[Uuid]) -> Result<HashSet<Uuid>, sqlx::Error> {
    let found = sqlx::query_scalar!(
        r#"
        SELECT order_id
        FROM orders.orders
        WHERE order_id = ANY ($1)
        "#,
        ids,
    )
    .fetch_all(pool)
    .await?;
    Ok(found.into_iter().collect())
}
