//! Checks every invariant over all schemas, set-based, and says what is broken.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use anyhow::Context;
use clap::Args;
use futures::TryStreamExt;
use oneshelf_kit::{config::DatabaseConfig, pg, verify::Check};
use oneshelf_values::{Clock, OrderId};
use sqlx::PgPool;
use uuid::Uuid;

use crate::{config::Config, migrate};

#[derive(Args)]
pub struct VerifyArgs {
    /// Also write the findings as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

pub async fn run(args: &VerifyArgs, config: &Config) -> anyhow::Result<ExitCode> {
    for (name, migrator, database) in migrate::schemas(config) {
        migrate::check(name, migrator, database).await?;
    }
    let checks = all(config).await?;
    for check in &checks {
        let verdict = if check.violations == 0 { "ok" } else { "BROKEN" };
        println!(
            "{:3} {:6} {:>10} checked, {:>5} broken  {}",
            check.id, verdict, check.checked, check.violations, check.what
        );
        for offender in &check.offenders {
            println!("      {offender}");
        }
    }
    let broken: i64 = checks.iter().map(|check| check.violations).sum();
    println!("{} checks, {broken} violations", checks.len());
    if let Some(path) = &args.json {
        std::fs::write(path, serde_json::to_vec_pretty(&checks)?).with_context(|| path.display().to_string())?;
    }
    Ok(if broken == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs every service's checks and those that span services.
pub async fn all(config: &Config) -> anyhow::Result<Vec<Check>> {
    let now = Clock::system().now();
    let catalog = open(&config.catalog.database).await.context("catalog.database")?;
    let inventory = open(&config.inventory.database).await.context("inventory.database")?;
    let orders = open(&config.orders.database).await.context("orders.database")?;
    let partners = open(&config.partners.database).await.context("partners.database")?;
    let loyalty = open(&config.loyalty.database).await.context("loyalty.database")?;
    let channels = open(&config.channels.database).await.context("channels.database")?;
    let mut checks = oneshelf_catalog::verify::verify(&catalog).await?;
    checks.extend(oneshelf_inventory::verify::verify(&inventory).await?);
    checks.extend(oneshelf_orders::verify::verify(&orders, now).await?);
    checks.extend(oneshelf_partners::verify::verify(&partners).await?);
    checks.extend(oneshelf_loyalty::verify::verify(&loyalty).await?);
    checks.extend(oneshelf_channels::verify::verify(&channels, now).await?);

    checks.push(allocations_are_held(&orders, &inventory).await?);
    Ok(checks)
}

/// A statement over a whole table takes as long as the table is large: ten million levels take longer than a statement of a
/// service may.
const STATEMENT_TIMEOUT_MS: u64 = 3_600_000;

async fn open(database: &DatabaseConfig) -> Result<PgPool, sqlx::Error> {
    let patient = DatabaseConfig { statement_timeout_ms: STATEMENT_TIMEOUT_MS, ..database.clone() };
    pg::connect(&patient, "verify").await
}

/// An order's step between two services takes milliseconds; this is many of them.
const REREAD_AFTER: Duration = Duration::from_millis(500);

/// One order's units of a SKU at a location.
type Units = BTreeMap<(Uuid, String, String), i64>;

/// L2: an order's allocated lines are its hard holds. The two services are read one after the other, so an order that
/// moves in between looks wrong once; only what looks wrong twice, in the same way, is.
async fn allocations_are_held(orders: &PgPool, inventory: &PgPool) -> anyhow::Result<Check> {
    let (checked, mut offenders) = compare_allocations(orders, inventory).await?;
    if !offenders.is_empty() {
        tokio::time::sleep(REREAD_AFTER).await;
        let (_, again) = compare_allocations(orders, inventory).await?;
        offenders.retain(|offender| again.contains(offender));
    }
    Ok(Check {
        id: "L2",
        what: "an order's hard holds in inventory equal its allocated lines in orders",
        checked,
        violations: offenders.len() as i64,
        offenders: offenders.into_iter().take(10).collect(),
    })
}

/// How many (order, SKU, location) were compared, and those that differ. Orders that a process works on are left out,
/// since their holds may be a step ahead, and so are holds that are nobody's order.
async fn compare_allocations(orders: &PgPool, inventory: &PgPool) -> anyhow::Result<(i64, Vec<String>)> {
    let allocated: Units = oneshelf_orders::verify::allocated_by_order(orders)
        .map_ok(|units| {
            let key = (units.order_id.into(), units.sku.to_string(), units.location.to_string());
            (key, units.quantity)
        })
        .try_collect()
        .await?;
    let mut held: Units = oneshelf_inventory::verify::hard_held_by_hold(inventory).await?;
    let ids: Vec<Uuid> = held.keys().map(|(id, ..)| *id).collect();
    let known = oneshelf_orders::verify::existing_orders(orders, &ids).await?;
    let busy = oneshelf_orders::verify::orders_in_progress(orders).await?;
    held.retain(|(id, ..), _| known.contains(id) && !busy.contains(&OrderId::from(*id)));

    let keys: BTreeSet<_> = allocated.keys().chain(held.keys()).collect();
    let offenders = keys
        .iter()
        .filter(|key| allocated.get(**key) != held.get(**key))
        .map(|key| {
            let (allocated, held) = (allocated.get(*key).unwrap_or(&0), held.get(*key).unwrap_or(&0));
            format!("order {} {} at {}: {allocated} allocated, {held} held", key.0, key.1, key.2)
        })
        .collect();
    Ok((keys.len() as i64, offenders))
}
