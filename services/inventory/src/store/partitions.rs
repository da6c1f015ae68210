//! The ledger's months as partitions. Statements that make tables cannot be prepared against the schema, so these are
//! plain text; what goes into it are names and instants that the program makes.

use chrono::SecondsFormat;
use sqlx::{AssertSqlSafe, Executor, PgConnection};

use crate::domain::period::Month;

/// Makes the month's partition unless it is there; `false` when another process is at it.
///
/// Entries of the month that went to the default partition move over. The new table is made aside and then attached,
/// which writers to other months do not notice; the default partition is locked meanwhile, but not for longer than a
/// few rows take. Whoever must wait for a lock gives up soon: nothing depends on the month being there.
pub async fn make_partition(conn: &mut PgConnection, month: Month) -> Result<bool, sqlx::Error> {
    let name = format!("ledger_entries_{}", month.suffix());
    let mine: bool = sqlx::query_scalar("SELECT pg_try_advisory_xact_lock(hashtext('inventory.ledger_entries'))")
        .fetch_one(&mut *conn)
        .await?;
    if !mine {
        return Ok(false);
    }
    let exists: bool = sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL")
        .bind(format!("inventory.{name}"))
        .fetch_one(&mut *conn)
        .await?;
    if exists {
        return Ok(true);
    }
    let instant = |at: chrono::DateTime<chrono::Utc>| at.to_rfc3339_opts(SecondsFormat::Secs, true);
    let (begin, end) = (instant(month.begin()), instant(month.end()));
    let statements = [
        "SET LOCAL lock_timeout = '2s'".to_owned(),
        format!("CREATE TABLE inventory.{name} (LIKE inventory.ledger_entries INCLUDING ALL)"),
        "LOCK TABLE inventory.ledger_entries_default IN ACCESS EXCLUSIVE MODE".to_owned(),
        format!(
            "INSERT INTO inventory.{name} SELECT * FROM inventory.ledger_entries_default \
             WHERE effective_at >= '{begin}' AND effective_at < '{end}'"
        ),
        format!(
            "DELETE FROM inventory.ledger_entries_default WHERE effective_at >= '{begin}' AND effective_at < '{end}'"
        ),
        format!(
            "ALTER TABLE inventory.ledger_entries ATTACH PARTITION inventory.{name} FOR VALUES FROM ('{begin}') TO ('{end}')"
        ),
    ];
    for statement in statements {
        conn.execute(AssertSqlSafe(statement)).await?;
    }
    Ok(true)
}
