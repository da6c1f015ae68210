//! Facts on one side, the registry on the other.
//!
//! A consumer writes a stock fact and recomputes the channels that sell from its location; a registration adds a
//! location and recomputes the channel from the facts. If both ran at once, neither would see the other's uncommitted
//! row, and the listing would miss the fact until its next change. So consumers hold this lock together and a
//! registration holds it alone. It is an advisory lock because a lock on the table would also stand against vacuum.

use sqlx::PgConnection;

/// "channels" in ASCII: advisory locks are shared by all services of a database.
const KEY: i64 = 0x6368_616e_6e65_6c73;

/// Holds the set of channels and their locations as it is until the end of the transaction.
///
/// Until then plans are reused, too: every statement of a consumer takes arrays and looks its rows up by key, so one
/// plan fits all, and planning the largest of them anew at each call took longer than running it.
pub async fn lock_shared(conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        SELECT set_config('plan_cache_mode', 'force_generic_plan', TRUE) AS "plan_cache_mode!"
        FROM pg_advisory_xact_lock_shared($1)
        "#,
        KEY,
    )
    .fetch_one(conn)
    .await
    .map(drop)
}

/// Waits until no fact is being written, and keeps others from being written until the end of the transaction.
pub async fn lock_alone(conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query!(r"SELECT FROM pg_advisory_xact_lock($1)", KEY).execute(conn).await.map(drop)
}
