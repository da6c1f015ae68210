//! Brings every schema and the broker's queues up to date. Each service's role owns its schema and migrates it itself, so no role needs more.

use std::process::ExitCode;

use anyhow::Context;
use oneshelf_kit::{auth, broker::Broker, config::DatabaseConfig, consumer::Subscription, pg};
use sqlx::migrate::Migrator;

use crate::config::Config;

/// Every schema: its name, its migrations, and where it lives.
pub fn schemas(config: &Config) -> [(&'static str, &'static Migrator, &DatabaseConfig); 7] {
    [
        ("access", &auth::MIGRATOR, &config.access.database),
        ("catalog", &oneshelf_catalog::MIGRATOR, &config.catalog.database),
        ("inventory", &oneshelf_inventory::MIGRATOR, &config.inventory.database),
        ("orders", &oneshelf_orders::MIGRATOR, &config.orders.database),
        ("partners", &oneshelf_partners::MIGRATOR, &config.partners.database),
        ("loyalty", &oneshelf_loyalty::MIGRATOR, &config.loyalty.database),
        ("channels", &oneshelf_channels::MIGRATOR, &config.channels.database),
    ]
}

pub async fn run(config: &Config) -> anyhow::Result<ExitCode> {
    for (name, migrator, database) in schemas(config) {
        let pool = pg::connect(database, "migrate").await.with_context(|| format!("{name}.database"))?;
        let exists: bool =
            sqlx::query_scalar("SELECT to_regnamespace($1) IS NOT NULL").bind(name).fetch_one(&pool).await?;
        let migration = if exists { in_place(name, migrator).run(&pool).await } else { migrator.run(&pool).await };
        migration.with_context(|| format!("migrating {name}"))?;
        println!("{name}: up to date ({} migrations)", migrator.iter().count());
        pool.close().await;
    }
    let queues = subscriptions();
    let broker = Broker::new(&config.rabbitmq).context("rabbitmq")?;
    broker.declare(&queues).await.context("declaring the queues in RabbitMQ")?;
    println!("queues: {} declared", queues.len());
    Ok(ExitCode::SUCCESS)
}

/// Every queue of every service. Declared when installing, since a fact that is published before a queue is bound counts
/// as unheard, also if its consumer is only a moment late.
pub fn subscriptions() -> Vec<Subscription> {
    [
        oneshelf_catalog::consumers::SUBSCRIPTIONS,
        oneshelf_inventory::consumers::SUBSCRIPTIONS,
        oneshelf_orders::consumers::SUBSCRIPTIONS,
        oneshelf_partners::consumers::SUBSCRIPTIONS,
        oneshelf_loyalty::consumers::SUBSCRIPTIONS,
        oneshelf_channels::consumers::SUBSCRIPTIONS,
    ]
    .concat()
}

/// The same migrations without making the schema: a role that owns its schema need not be allowed to make others, and
/// PostgreSQL asks for that permission even where the schema exists.
fn in_place(name: &str, migrator: &Migrator) -> Migrator {
    let mut in_place = Migrator::with_migrations(migrator.iter().cloned().collect());
    in_place.dangerous_set_table_name(format!("{name}._sqlx_migrations"));
    in_place
}

/// Fails when a schema is behind (run `oneshelf migrate`) or ahead of this binary (run a newer one).
pub async fn check(name: &str, migrator: &Migrator, database: &DatabaseConfig) -> anyhow::Result<()> {
    let pool = pg::connect(database, "migrate").await.with_context(|| format!("{name}.database"))?;
    let mut conn = pool.acquire().await?;
    let table = format!("{name}._sqlx_migrations");
    let applied = sqlx::migrate::Migrate::list_applied_migrations(&mut *conn, &table).await.unwrap_or_default();
    drop(conn);
    pool.close().await;
    let missing =
        migrator.iter().filter(|wanted| !applied.iter().any(|applied| applied.version == wanted.version)).count();
    let unknown = applied.iter().filter(|applied| !migrator.version_exists(applied.version)).count();
    anyhow::ensure!(missing == 0, "schema {name} lacks {missing} migrations: run `oneshelf migrate`");
    anyhow::ensure!(unknown == 0, "schema {name} is newer than this binary by {unknown} migrations");
    Ok(())
}
