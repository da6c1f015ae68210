use oneshelf_kit::{config::DatabaseConfig, pg};
use secrecy::ExposeSecret;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, PgPool, migrate::Migrator, postgres::PgConnectOptions};
use uuid::Uuid;

use crate::{block_on, environment::variable};

/// A database of its own, dropped with the fixture.
pub struct Database {
    name: String,
    url: String,
    pool: PgPool,
}

impl Database {
    /// An empty database with these migrations applied, in this order.
    pub async fn new(migrators: &[&Migrator]) -> Self {
        let server = variable("DATABASE_URL");
        #[expect(clippy::disallowed_methods, reason = "a name, not an id of the domain")]
        let name = format!("test_{}", Uuid::new_v4().simple());
        let mut admin = PgConnection::connect(&server).await.expect("the test server accepts connections");
        admin.execute(AssertSqlSafe(format!("CREATE DATABASE {name}"))).await.expect("a database is created");

        let (base, _) = server.rsplit_once('/').expect("a database URL has a path");
        let url = format!("{base}/{name}");
        let pool = pg::connect(&config(&url), "test").await.expect("the URL is well formed");
        for migrator in migrators {
            migrator.run(&pool).await.expect("migrations apply to an empty database");
        }
        Self { name, url, pool }
    }

    /// A pool made as in production.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    pub fn config(&self) -> DatabaseConfig {
        config(&self.url)
    }
}

fn config(url: &str) -> DatabaseConfig {
    let mut config = DatabaseConfig::new(url);
    // Many tests share the server's connections.
    config.max_connections = 8;
    config
}

impl Drop for Database {
    fn drop(&mut self) {
        let name = std::mem::take(&mut self.name);
        block_on(async move {
            if let Ok(mut admin) = PgConnection::connect(&variable("DATABASE_URL")).await {
                // Forced: pools of the code under test may still be open.
                let _ = admin.execute(AssertSqlSafe(format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"))).await;
            }
        });
    }
}

/// Creates `schema` with the kit's tables in it, as a service's first migration does.
pub async fn create_kit_tables(pool: &PgPool, schema: &str) {
    let tables = [
        include_str!("../../kit/sql/outbox_packs.sql"),
        include_str!("../../kit/sql/inbox_packs.sql"),
        include_str!("../../kit/sql/idempotency_keys.sql"),
    ];
    let ddl = format!("CREATE SCHEMA {schema};{}", tables.concat().replace("{schema}", schema));
    sqlx::raw_sql(AssertSqlSafe(ddl)).execute(pool).await.expect("the kit's tables are created");
}

/// The configuration of the database that `#[sqlx::test]` made for a test.
pub(crate) fn config_of(options: &PgConnectOptions) -> DatabaseConfig {
    let server = oneshelf_kit::config::DatabaseConfig::new(variable("DATABASE_URL"));
    let (base, _) = server.url.expose_secret().rsplit_once('/').expect("a database URL has a path");
    config(&format!("{base}/{}", options.get_database().expect("a test's pool has a database")))
}
