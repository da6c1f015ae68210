use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::Poll,
    time::Duration,
};

use futures::FutureExt;
use oneshelf_kit::{
    config::DatabaseConfig,
    pg::{self, DbErrorKind},
};
use oneshelf_testkit::{Database, wait_for};
use secrecy::ExposeSecret;
use sqlx::{Connection, Executor, PgConnection, PgPool};

use crate::support::SOON;

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
    #[error("refused")]
    Refused,
}

async fn pool_of_one(database: &Database) -> PgPool {
    let config = DatabaseConfig { max_connections: 1, ..database.config() };
    pg::connect(&config, "test").await.unwrap()
}

/// sqlx 0.9.0 gives back a connection whose `BEGIN` was cancelled, with the transaction open. Were it not closed then,
/// about half of the cancelled begins would poison the next borrower.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_begin_never_leaves_the_next_borrower_in_a_transaction() {
    let database = Database::new(&[]).await;
    let pool = pool_of_one(&database).await;
    let (mut cancelled, mut poisoned) = (0, 0);
    for round in 0..60 {
        // Connected, so that it is the BEGIN that is cut off.
        let mut conn = pg::lend(&pool).await.unwrap();
        cancelled += u32::from(begin_is_cut_off(&mut conn, 1 + round % 3).await);
        drop(conn);
        // Two statements of one transaction have one start time; two statements of none have two.
        let mut conn = pool.acquire().await.unwrap();
        let (before, after) = (start_of_transaction(&mut conn).await, start_of_transaction(&mut conn).await);
        poisoned += u32::from(before == after);
    }
    assert!(cancelled > 20, "only {cancelled} begins were cancelled: the test proves nothing");
    assert_eq!(poisoned, 0, "of {cancelled} cancelled begins");
}

/// Whether a `BEGIN` had no answer after so many looks, and was dropped. The first look sends it.
async fn begin_is_cut_off(conn: &mut PgConnection, looks: u32) -> bool {
    let mut begin = Box::pin(conn.begin());
    for _ in 0..looks {
        if let Poll::Ready(begun) = futures::poll!(&mut begin) {
            begun.unwrap().rollback().await.unwrap();
            return false;
        }
        tokio::task::yield_now().await;
    }
    true
}

async fn start_of_transaction(conn: &mut PgConnection) -> String {
    sqlx::query_scalar("SELECT transaction_timestamp()::TEXT").fetch_one(conn).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_who_gives_up_does_not_tear_the_unit_of_work() {
    let database = Database::new(&[]).await;
    let pool = pool_of_one(&database).await;
    pool.execute("CREATE TABLE t (n INT)").await.unwrap();
    let unit = pg::in_tx(&pool, |conn| {
        async move {
            conn.execute("INSERT INTO t VALUES (1)").await?;
            tokio::time::sleep(Duration::from_millis(100)).await;
            conn.execute("INSERT INTO t VALUES (2)").await?;
            Ok::<_, Error>(())
        }
        .boxed()
    });
    assert!(tokio::time::timeout(Duration::from_millis(30), unit).await.is_err());
    wait_for("both rows", SOON, async || {
        let rows: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM t").fetch_one(&pool).await.unwrap();
        assert_ne!(rows, 1, "half a unit of work is visible");
        (rows == 2).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_of_the_work_rolls_back_and_is_given_as_it_is() {
    let database = Database::new(&[]).await;
    let pool = pool_of_one(&database).await;
    pool.execute("CREATE TABLE t (n INT)").await.unwrap();
    let refused: Result<(), Error> = pg::in_tx(&pool, |conn| {
        async move {
            conn.execute("INSERT INTO t VALUES (1)").await?;
            Err(Error::Refused)
        }
        .boxed()
    })
    .await;
    assert!(matches!(refused, Err(Error::Refused)));
    let rows: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM t").fetch_one(&pool).await.unwrap();
    assert_eq!(rows, 0);
}

/// Two units lock two rows in opposite order; the database ends one of them, which then runs again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadlocked_unit_runs_again_and_both_succeed() {
    let database = Database::new(&[]).await;
    let pool = database.pool();
    pool.execute("CREATE TABLE t (id INT PRIMARY KEY, n INT NOT NULL)").await.unwrap();
    pool.execute("INSERT INTO t VALUES (1, 0), (2, 0)").await.unwrap();
    let attempts = Arc::new(AtomicU32::new(0));
    let unit = |first: i32, second: i32| {
        let attempts = Arc::clone(&attempts);
        pg::in_tx(pool, move |conn| {
            let attempts = Arc::clone(&attempts);
            async move {
                attempts.fetch_add(1, Ordering::SeqCst);
                for id in [first, second] {
                    sqlx::query("UPDATE t SET n = n + 1 WHERE id = $1").bind(id).execute(&mut *conn).await?;
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                Ok::<_, Error>(())
            }
            .boxed()
        })
    };
    let (left, right) = tokio::join!(unit(1, 2), unit(2, 1));
    left.unwrap();
    right.unwrap();
    assert!(attempts.load(Ordering::SeqCst) > 2, "no deadlock happened: the test proves nothing");
    let sum: i64 = sqlx::query_scalar("SELECT SUM(n) FROM t").fetch_one(pool).await.unwrap();
    assert_eq!(sum, 4, "each unit has its effect once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_made_stale_by_a_migration_does_not_fail_the_unit() {
    let database = Database::new(&[]).await;
    let pool = pool_of_one(&database).await;
    pool.execute("CREATE TABLE t (n INT); INSERT INTO t VALUES (7)").await.unwrap();
    let read = || {
        pg::in_tx(&pool, |conn| {
            async move { Ok::<_, Error>(sqlx::query("SELECT * FROM t").fetch_one(conn).await?) }.boxed()
        })
    };
    assert_eq!(sqlx::Row::len(&read().await.unwrap()), 1);
    let mut admin = PgConnection::connect(database.config().url.expose_secret()).await.unwrap();
    admin.execute("ALTER TABLE t ADD COLUMN m INT").await.unwrap();
    assert_eq!(sqlx::Row::len(&read().await.unwrap()), 2);
}

#[tokio::test]
async fn a_read_only_server_is_not_used() {
    let database = Database::new(&[]).await;
    let name: String = sqlx::query_scalar("SELECT current_database()").fetch_one(database.pool()).await.unwrap();
    let sql = format!("ALTER DATABASE {name} SET default_transaction_read_only = on");
    database.pool().execute(sqlx::AssertSqlSafe(sql)).await.unwrap();
    let config = DatabaseConfig { acquire_timeout_ms: 300, ..database.config() };
    let pool = pg::connect(&config, "test").await.unwrap();
    let error = pg::ping(&pool).await.unwrap_err();
    assert_eq!(pg::kind(&error), DbErrorKind::Unavailable);
}

#[tokio::test]
async fn errors_are_told_apart_by_what_can_be_done_about_them() {
    let database = Database::new(&[]).await;
    let pool = database.pool();
    pool.execute("CREATE TABLE t (n INT CONSTRAINT t_n_check CHECK (n > 0))").await.unwrap();
    let constraint = pool.execute("INSERT INTO t VALUES (0)").await.unwrap_err();
    assert_eq!(pg::kind(&constraint), DbErrorKind::Constraint("t_n_check"));
    assert_eq!(pg::constraint(&constraint), Some("t_n_check"));
    let bug = pool.execute("SELECT nothing FROM nowhere").await.unwrap_err();
    assert_eq!(pg::kind(&bug), DbErrorKind::Other);
    let slow = pool.execute("SET LOCAL statement_timeout = 1; SELECT pg_sleep(1)").await.unwrap_err();
    assert_eq!(pg::kind(&slow), DbErrorKind::Unavailable);
    let killed = pool.execute("SELECT pg_terminate_backend(pg_backend_pid())").await.unwrap_err();
    assert_eq!(pg::kind(&killed), DbErrorKind::Unavailable);
    let wrapped = Error::from(killed);
    assert_eq!(pg::find(&wrapped).map(pg::kind), Some(DbErrorKind::Unavailable));
}
