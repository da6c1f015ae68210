//! PostgreSQL: the pool, the unit of work, and what an error means.
//!
//! Three dangers are fenced here, once for everyone:
//!
//! | danger | fence |
//! |---|---|
//! | sqlx 0.9.0 puts a connection whose `BEGIN` was cancelled back into the pool, inside a transaction that nobody owns; the next borrower's statements then vanish with a stranger's rollback | each unit of work runs in its own task, which a caller's deadline cannot drop ([`in_tx`]); and a connection whose unit did not come to an end is closed, not returned ([`Lent`]) |
//! | a demoted or read-only server answers reads and loses nothing, but no decision can be written | a new connection to one is refused, an old one is dropped at the first refused write |
//! | a prepared statement outlives a migration ("cached plan must not change result type") | the connection is dropped and the unit runs again |
//!
//! So transactions begin here and nowhere else; a test holds the other sources to it.

use std::{
    borrow::Cow,
    error::Error as StdError,
    future::Future,
    ops::{Deref, DerefMut},
    time::Duration,
};

use futures::future::BoxFuture;
use metrics::{counter, gauge};
use secrecy::ExposeSecret;
use sqlx::{
    Connection, Executor, PgConnection, PgPool, Postgres,
    pool::PoolConnection,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tracing::Instrument;

use crate::config::DatabaseConfig;

/// How often a unit of work runs before its serialisation failure is given to the caller.
const MAX_ATTEMPTS: u32 = 5;
/// A connection idle for longer is pinged before it is lent: the server may have gone and come back meanwhile.
const PING_AFTER_IDLE: Duration = Duration::from_secs(1);
const METRICS_EVERY: Duration = Duration::from_secs(5);

/// Opens a pool. It connects when first used, so a service starts, alive and not ready, while its database is away.
///
/// `app_name` is what `pg_stat_activity` and the pool's metrics show.
#[expect(clippy::unused_async, reason = "it starts a task, so it needs a runtime, and awaiting it proves one")]
pub async fn connect(cfg: &DatabaseConfig, app_name: &str) -> Result<PgPool, sqlx::Error> {
    let options: PgConnectOptions = cfg.url.expose_secret().parse()?;
    let pool = pool_options(cfg).connect_lazy_with(options.application_name(app_name));
    tokio::spawn(record_pool(pool.clone(), app_name.to_owned()));
    Ok(pool)
}

fn pool_options(cfg: &DatabaseConfig) -> PgPoolOptions {
    let statement_timeout_ms = cfg.statement_timeout_ms;
    PgPoolOptions::new()
        .max_connections(cfg.max_connections)
        .acquire_timeout(Duration::from_millis(cfg.acquire_timeout_ms))
        .test_before_acquire(false)
        .before_acquire(|conn, meta| {
            Box::pin(async move { Ok(meta.idle_for < PING_AFTER_IDLE || conn.ping().await.is_ok()) })
        })
        .after_connect(move |conn, _| Box::pin(prepare_session(conn, statement_timeout_ms)))
}

/// Sets the session's limits and refuses a server that cannot write.
async fn prepare_session(conn: &mut PgConnection, statement_timeout_ms: u64) -> Result<(), sqlx::Error> {
    let (_, _, _, read_only): (String, String, String, bool) = sqlx::query_as(
        r"
        SELECT set_config('statement_timeout', $1, false)
             , set_config('idle_in_transaction_session_timeout', $2, false)
             , set_config('client_min_messages', 'error', false)
             , current_setting('transaction_read_only')::BOOL
        ",
    )
    .bind(statement_timeout_ms.to_string())
    .bind((statement_timeout_ms * 2).to_string())
    .fetch_one(conn)
    .await?;
    if read_only {
        return Err(sqlx::Error::Configuration("the database server is read-only".into()));
    }
    Ok(())
}

/// Whether the database answers a writable session now; for readiness.
pub async fn ping(pool: &PgPool) -> Result<(), sqlx::Error> {
    let mut conn = pool.acquire().await?;
    conn.execute("SELECT 1").await.map(drop)
}

/// Runs one unit of work in one transaction, in its own task: a caller who gives up does not tear it.
///
/// `work` runs again, on a new transaction, when the database reports a serialisation failure, a deadlock or a stale
/// plan. So it must hold no effect outside the transaction. An error of `work` rolls back. A lost connection at commit
/// is *not* repeated: whether it committed is unknown, and only a repeated request id can tell.
pub async fn in_tx<T, E, F>(pool: &PgPool, work: F) -> Result<T, E>
where
    T: Send + 'static,
    E: StdError + From<sqlx::Error> + Send + 'static,
    F: for<'c> Fn(&'c mut PgConnection) -> BoxFuture<'c, Result<T, E>> + Send + Sync + 'static,
{
    let pool = pool.clone();
    in_its_own_task(async move { retrying(|| attempt(&pool, &work)).await }).await
}

/// Runs one unit of work that is a single statement, which PostgreSQL commits by itself: as [`in_tx`], less two round trips.
pub async fn in_one_statement<T, E, F>(pool: &PgPool, work: F) -> Result<T, E>
where
    T: Send + 'static,
    E: StdError + From<sqlx::Error> + Send + 'static,
    F: for<'c> Fn(&'c mut PgConnection) -> BoxFuture<'c, Result<T, E>> + Send + Sync + 'static,
{
    let pool = pool.clone();
    in_its_own_task(async move { retrying(|| attempt_statement(&pool, &work)).await }).await
}

async fn in_its_own_task<T, E>(unit: impl Future<Output = Result<T, E>> + Send + 'static) -> Result<T, E>
where
    T: Send + 'static,
    E: From<sqlx::Error> + Send + 'static,
{
    match tokio::spawn(unit.in_current_span()).await {
        Ok(result) => result,
        Err(join) if join.is_panic() => std::panic::resume_unwind(join.into_panic()),
        Err(_) => Err(sqlx::Error::WorkerCrashed.into()),
    }
}

async fn attempt_statement<T, E, F>(pool: &PgPool, work: &F) -> Result<T, E>
where
    E: StdError + From<sqlx::Error> + 'static,
    F: for<'c> Fn(&'c mut PgConnection) -> BoxFuture<'c, Result<T, E>>,
{
    let mut conn = lend(pool).await?;
    let result = work(&mut conn).await;
    conn.give_back(&result);
    result
}

/// Runs a whole transaction again while the database asks for that; for tasks that no caller can cancel.
pub(crate) async fn retrying<T, E, Fut>(mut attempt: impl FnMut() -> Fut) -> Result<T, E>
where
    E: StdError + 'static,
    Fut: Future<Output = Result<T, E>>,
{
    let mut attempts = 0;
    loop {
        let error = match attempt().await {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        attempts += 1;
        if attempts == MAX_ATTEMPTS || !matches!(find(&error).map(kind), Some(DbErrorKind::Retryable)) {
            return Err(error);
        }
        counter!("oneshelf_db_transaction_retries_total").increment(1);
        tokio::time::sleep(Duration::from_millis(rand::random_range(0..=10 * u64::from(attempts)))).await;
    }
}

async fn attempt<T, E, F>(pool: &PgPool, work: &F) -> Result<T, E>
where
    E: StdError + From<sqlx::Error> + 'static,
    F: for<'c> Fn(&'c mut PgConnection) -> BoxFuture<'c, Result<T, E>>,
{
    let mut conn = lend(pool).await?;
    let result = async {
        let mut tx = conn.begin().await?;
        match work(&mut tx).await {
            Ok(value) => {
                tx.commit().await?;
                Ok(value)
            }
            Err(error) => {
                // A rollback that fails changes nothing: the error is the answer, and the lost connection is seen below.
                let _ = tx.rollback().await;
                Err(error)
            }
        }
    }
    .await;
    conn.give_back(&result);
    result
}

/// Lends a connection for one unit of work.
pub async fn lend(pool: &PgPool) -> Result<Lent, sqlx::Error> {
    Ok(Lent { conn: pool.acquire().await?, settled: false })
}

/// A connection that is closed instead of returned, unless it is given back with what became of its unit of work. So
/// whoever drops the unit halfway, in its `BEGIN` for one, leaves no transaction to the next borrower.
#[derive(Debug)]
pub struct Lent {
    conn: PoolConnection<Postgres>,
    settled: bool,
}

impl Lent {
    /// To the next borrower, if that one can use it.
    pub fn give_back<T, E: StdError + 'static>(mut self, result: &Result<T, E>) {
        self.settled = !matches!(result, Err(error) if spoils(error));
    }
}

impl Deref for Lent {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.conn
    }
}

impl DerefMut for Lent {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.conn
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if !self.settled {
            self.conn.close_on_drop();
        }
    }
}

/// Whether a connection that met this error is of no use to anybody.
fn spoils(error: &(dyn StdError + 'static)) -> bool {
    match find(error) {
        Some(sqlx::Error::Database(database)) => {
            database.code().as_deref() == Some("25006") || is_stale_plan(database.as_ref())
        }
        Some(sqlx::Error::Io(_) | sqlx::Error::Protocol(_)) => true,
        _ => false,
    }
}

/// What a database error means to the code that met it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DbErrorKind<'e> {
    /// The whole unit of work can run again at once; [`in_tx`] does so.
    Retryable,
    /// The database is away, overloaded or cannot write; later it may work.
    Unavailable,
    /// A rule of the schema, by its name.
    Constraint(&'e str),
    /// A bug or bad data.
    Other,
}

/// Classifies an error by its SQLSTATE.
pub fn kind(error: &sqlx::Error) -> DbErrorKind<'_> {
    let database = match error {
        sqlx::Error::Database(database) => database,
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => return DbErrorKind::Unavailable,
        _ => return DbErrorKind::Other,
    };
    // Two twins of one request raced in two groups: the loser runs again and finds the winner's answer.
    if database.constraint() == Some(crate::idempotency::PRIMARY_KEY) {
        return DbErrorKind::Retryable;
    }
    if let Some(constraint) = database.constraint() {
        return DbErrorKind::Constraint(constraint);
    }
    let code = database.code().unwrap_or(Cow::Borrowed(""));
    match &*code {
        // Serialisation failure; deadlock; a check without a name, which is that of a partition: the right one was made
        // while the row was on its way to another.
        "40001" | "40P01" | "23514" => DbErrorKind::Retryable,
        _ if is_stale_plan(database.as_ref()) => DbErrorKind::Retryable,
        // Read-only server; query cancelled by a timeout; idle in transaction too long; lock not available.
        "25006" | "57014" | "25P03" | "55P03" => DbErrorKind::Unavailable,
        // Connection exceptions, insufficient resources, operator intervention.
        _ if ["08", "53", "57P"].iter().any(|class| code.starts_with(class)) => DbErrorKind::Unavailable,
        _ => DbErrorKind::Other,
    }
}

/// The name of the constraint that refused, if one did.
pub fn constraint(error: &sqlx::Error) -> Option<&str> {
    match error {
        sqlx::Error::Database(database) => database.constraint(),
        _ => None,
    }
}

/// The database error in a chain of sources, if there is one.
pub fn find<'e>(error: &'e (dyn StdError + 'static)) -> Option<&'e sqlx::Error> {
    std::iter::successors(Some(error), |&error| error.source()).find_map(|error| error.downcast_ref())
}

fn is_stale_plan(database: &dyn sqlx::error::DatabaseError) -> bool {
    database.code().as_deref() == Some("0A000")
        && database
            .try_downcast_ref::<sqlx::postgres::PgDatabaseError>()
            .is_some_and(|error| error.routine() == Some("RevalidateCachedQuery"))
}

async fn record_pool(pool: PgPool, app_name: String) {
    let idle = gauge!("oneshelf_db_pool_connections", "pool" => app_name.clone(), "state" => "idle");
    let used = gauge!("oneshelf_db_pool_connections", "pool" => app_name, "state" => "in_use");
    while !pool.is_closed() {
        let idle_now = pool.num_idle() as f64;
        idle.set(idle_now);
        used.set((f64::from(pool.size()) - idle_now).max(0.0));
        tokio::select! {
            () = pool.close_event() => {}
            () = tokio::time::sleep(METRICS_EVERY) => {}
        }
    }
}
