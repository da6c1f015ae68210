//! Who holds how much softly, of SKUs with a cap. The counters of a SKU are exact from the moment its cap is set: whoever
//! sets it has locked all its levels, and counts.

use std::collections::HashMap;

use oneshelf_values::Sku;
use sqlx::{PgConnection, PgPool};

use super::{Inconsistency, parse};
use crate::domain::caps::{Counter, Holder};

fn columns<'a>(counters: impl IntoIterator<Item = &'a Counter>) -> (Vec<&'a str>, Vec<&'static str>, Vec<&'a str>) {
    let mut columns = (Vec::new(), Vec::new(), Vec::new());
    for (sku, holder) in counters {
        let (kind, id) = match holder {
            Holder::Shopper(shopper) => ("shopper", shopper.as_str()),
            Holder::Channel(channel) => ("channel", channel.as_str()),
        };
        columns.0.push(sku.as_str());
        columns.1.push(kind);
        columns.2.push(id);
    }
    columns
}

fn counter(sku: &str, kind: &str, id: &str) -> Result<Counter, sqlx::Error> {
    let holder = match kind {
        "shopper" => Holder::Shopper(parse("cap_counters", "holder_id", id)?),
        "channel" => Holder::Channel(parse("cap_counters", "holder_id", id)?),
        _ => {
            return Err(Inconsistency {
                table: "cap_counters",
                column: "holder_kind",
                key: id.to_owned(),
                value: kind.to_owned(),
            }
            .into());
        }
    };
    Ok((parse("cap_counters", "sku", sku)?, holder))
}

/// Locks counters, which must be sorted, after all levels; makes those that are missing. The one statement does both, so
/// that the sweeper cannot take a counter away in between.
pub async fn lock_counters(
    conn: &mut PgConnection,
    counters: &[Counter],
) -> Result<HashMap<Counter, i64>, sqlx::Error> {
    debug_assert!(counters.is_sorted(), "locks are taken in order");
    let (skus, kinds, ids) = columns(counters);
    sqlx::query!(
        r#"
        INSERT INTO inventory.cap_counters (sku, holder_kind, holder_id, soft_held)
        SELECT sku
             , holder_kind
             , holder_id
             , 0
          FROM UNNEST($1::TEXT[], $2::TEXT[], $3::TEXT[]) WITH ORDINALITY
               AS wanted (sku, holder_kind, holder_id, ordinality)
         ORDER BY ordinality
            ON CONFLICT (sku, holder_kind, holder_id) DO UPDATE
           SET soft_held = cap_counters.soft_held
        RETURNING sku
                , holder_kind
                , holder_id
                , soft_held
        "#,
        &skus as &[&str],
        &kinds as &[&str],
        &ids as &[&str],
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(|row| Ok((counter(&row.sku, &row.holder_kind, &row.holder_id)?, row.soft_held)))
    .collect()
}

/// Counts the soft holds of SKUs, all of whose levels are locked.
pub async fn count_soft_holds(conn: &mut PgConnection, skus: &[&str]) -> Result<HashMap<Counter, i64>, sqlx::Error> {
    sqlx::query!(
        r#"
        WITH held AS (
            SELECT hold_lines.sku
                 , holds.shopper_id
                 , holds.channel_id
                 , hold_lines.held
              FROM inventory.holds
              JOIN inventory.hold_lines USING (hold_id)
             WHERE holds.state = 'held'
               AND holds.kind = 'soft'
               AND hold_lines.sku = ANY ($1)
        )
        SELECT sku AS "sku!"
             , 'shopper' AS "holder_kind!"
             , shopper_id AS "holder_id!"
             , SUM(held)::BIGINT AS "held!"
          FROM held
         WHERE shopper_id IS NOT NULL
         GROUP BY sku
                , shopper_id
         UNION ALL
        SELECT sku
             , 'channel'
             , channel_id
             , SUM(held)::BIGINT
          FROM held
         WHERE channel_id IS NOT NULL
         GROUP BY sku
                , channel_id
        "#,
        skus as &[&str],
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(|row| Ok((counter(&row.sku, &row.holder_kind, &row.holder_id)?, row.held)))
    .collect()
}

/// Writes counters that this transaction locked.
pub async fn update_counters(conn: &mut PgConnection, counters: &[(Counter, i64)]) -> Result<(), sqlx::Error> {
    let (skus, kinds, ids) = columns(counters.iter().map(|(counter, _)| counter));
    let held: Vec<i64> = counters.iter().map(|(_, held)| *held).collect();
    sqlx::query!(
        r#"
        UPDATE inventory.cap_counters
           SET soft_held = changed.soft_held
          FROM UNNEST($1::TEXT[], $2::TEXT[], $3::TEXT[], $4::BIGINT[])
               AS changed (sku, holder_kind, holder_id, soft_held)
         WHERE cap_counters.sku = changed.sku
           AND cap_counters.holder_kind = changed.holder_kind
           AND cap_counters.holder_id = changed.holder_id
        "#,
        &skus as &[&str],
        &kinds as &[&str],
        &ids as &[&str],
        &held,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Replaces all counters of SKUs, all of whose levels are locked.
pub async fn replace_counters(
    conn: &mut PgConnection,
    of: &[Sku],
    counters: &[(Counter, i64)],
) -> Result<(), sqlx::Error> {
    let replaced: Vec<&str> = of.iter().map(Sku::as_str).collect();
    sqlx::query!(
        r#"
        DELETE FROM inventory.cap_counters
         WHERE sku = ANY ($1)
        "#,
        &replaced as &[&str],
    )
    .execute(&mut *conn)
    .await?;
    let (skus, kinds, ids) = columns(counters.iter().map(|(counter, _)| counter));
    let held: Vec<i64> = counters.iter().map(|(_, held)| *held).collect();
    sqlx::query!(
        r#"
        INSERT INTO inventory.cap_counters (sku, holder_kind, holder_id, soft_held)
        SELECT *
          FROM UNNEST($1::TEXT[], $2::TEXT[], $3::TEXT[], $4::BIGINT[])
        "#,
        &skus as &[&str],
        &kinds as &[&str],
        &ids as &[&str],
        &held,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Takes a bounded number of counters away that count nothing and that nobody is using; answers how many.
pub async fn prune_counters(pool: &PgPool, limit: i64) -> Result<u64, sqlx::Error> {
    let deleted = sqlx::query!(
        r#"
        DELETE FROM inventory.cap_counters
         WHERE ctid = ANY (ARRAY(
                   SELECT ctid
                     FROM inventory.cap_counters
                    WHERE soft_held = 0
                    LIMIT $1
                      FOR UPDATE SKIP LOCKED
               ))
        "#,
        limit,
    )
    .execute(pool)
    .await?;
    Ok(deleted.rows_affected())
}
