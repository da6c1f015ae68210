use std::hash::{DefaultHasher, Hash, Hasher};

use oneshelf_kit::{auth, config::DatabaseConfig, pg};
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
    /// An empty database with these migrations applied, in this order, and before them those of the API keys.
    ///
    /// It is a copy of a template that the first test with these migrations makes and that stays on the server:
    /// copying one takes a tenth of the time of applying them.
    pub async fn new(migrators: &[&Migrator]) -> Self {
        let server = variable("DATABASE_URL");
        #[expect(clippy::disallowed_methods, reason = "a name, not an id of the domain")]
        let name = format!("test_{}", Uuid::new_v4().simple());
        let mut admin = PgConnection::connect(&server).await.expect("the test server accepts connections");
        let template = template(&mut admin, migrators).await;
        create(&mut admin, &name, &template).await;
        let url = url_of(&name);
        let pool = pg::connect(&config(&url), "test").await.expect("the URL is well formed");
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

/// The name of the template with these migrations, which is made if no test has made it yet.
async fn template(admin: &mut PgConnection, migrators: &[&Migrator]) -> String {
    let mut hasher = DefaultHasher::new();
    let migrators = [&[&auth::MIGRATOR], migrators].concat();
    for migration in migrators.iter().flat_map(|migrator| migrator.iter()) {
        (migration.version, &migration.checksum).hash(&mut hasher);
    }
    let name = format!("template_{:016x}", hasher.finish());

    // One test makes it, the others wait. Until it is whole it has another name, as its maker may die half-way.
    let lock = "SELECT pg_advisory_lock(hashtextextended($1, 0))";
    sqlx::query(lock).bind(&name).execute(&mut *admin).await.expect("the template's lock is taken");
    let exists =
        sqlx::query_scalar::<_, bool>("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)").bind(&name);
    let exists = exists.fetch_one(&mut *admin).await.expect("the databases are listed");
    if !exists {
        let draft = format!("draft_{name}");
        admin.execute(AssertSqlSafe(drop_statement(&draft))).await.expect("an unfinished template is dropped");
        create(admin, &draft, "template1").await;
        let mut db = PgConnection::connect(&url_of(&draft)).await.expect("the template accepts connections");
        for migrator in migrators {
            migrator.run(&mut db).await.expect("migrations apply to an empty database");
        }
        db.close().await.expect("the template is left");
        let rename = format!("ALTER DATABASE {draft} RENAME TO {name}");
        admin.execute(AssertSqlSafe(rename)).await.expect("the template takes its name");
    }
    let unlock = "SELECT pg_advisory_unlock(hashtextextended($1, 0))";
    sqlx::query(unlock).bind(&name).execute(admin).await.expect("the template's lock is given back");
    name
}

async fn create(admin: &mut PgConnection, name: &str, template: &str) {
    let statement = format!("CREATE DATABASE {name} TEMPLATE {template}");
    admin.execute(AssertSqlSafe(statement)).await.expect("a database is created");
}

/// Forced: pools of the code under test may still be open.
fn drop_statement(name: &str) -> String {
    format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")
}

fn url_of(name: &str) -> String {
    let server = variable("DATABASE_URL");
    let (base, _) = server.rsplit_once('/').expect("a database URL has a path");
    format!("{base}/{name}")
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
                let _ = admin.execute(AssertSqlSafe(drop_statement(&name))).await;
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

/// The configuration of the test's database that this pool is connected to.
pub(crate) fn config_of(options: &PgConnectOptions) -> DatabaseConfig {
    config(&url_of(options.get_database().expect("a test's pool has a database")))
}
