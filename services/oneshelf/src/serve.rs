//! Serves some services, or all, in one process.

use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;
use oneshelf_kit::{
    Chassis, admin,
    grpc::{self, Mounted, Serving},
    telemetry,
};
use tokio::net::TcpListener;

use crate::{chassis, config::Config, migrate};

/// Every service of this binary.
pub const SERVICES: [&str; 6] = ["catalog", "inventory", "orders", "partners", "loyalty", "channels"];

#[derive(Args)]
pub struct ServeArgs {
    /// `all`, or names: catalog, inventory, orders, partners, loyalty, channels.
    #[arg(required = true, value_parser = parse_service)]
    services: Vec<String>,
}

fn parse_service(name: &str) -> Result<String, String> {
    if name == "all" || SERVICES.contains(&name) {
        Ok(name.to_owned())
    } else {
        Err(format!("not a service; known are all, {}", SERVICES.join(", ")))
    }
}

impl ServeArgs {
    /// The services asked for, in their usual order.
    pub fn names(&self) -> Vec<&'static str> {
        SERVICES.into_iter().filter(|name| self.services.iter().any(|asked| asked == name || asked == "all")).collect()
    }
}

pub async fn run(args: &ServeArgs, config: Config) -> anyhow::Result<ExitCode> {
    let names = args.names();
    let telemetry = telemetry::init(&config.telemetry, "oneshelf")?;
    let chassis = chassis::build(&config).await?;
    let admin_listener = bind("server.admin_listen", config.server.admin_listen).await?;
    let serving = start(&config, &chassis, &names).await?;
    admin::serve(&chassis.lifecycle, admin_listener, serving.readiness.clone(), telemetry.metrics.clone());
    tracing::info!(address = %serving.address, services = names.join(","), "serving");
    let outcome = chassis.lifecycle.clone().run().await;
    telemetry.flush().await;
    outcome?;
    Ok(ExitCode::SUCCESS)
}

/// Starts the named services on the configured address, as tasks of the chassis' lifecycle. Refuses to start on schemas
/// that are behind or ahead.
pub async fn start(config: &Config, chassis: &Chassis, names: &[&str]) -> anyhow::Result<Serving> {
    for (name, migrator, database) in migrate::schemas(config) {
        if name == "access" || names.contains(&name) {
            migrate::check(name, migrator, database).await?;
        }
    }
    let listener = bind("server.listen", config.server.listen).await?;
    let mut mounted = Vec::with_capacity(names.len());
    for name in names {
        mounted.push(start_one(name, config, chassis).await.with_context(|| format!("starting {name}"))?);
    }
    let descriptors = oneshelf_proto::FILE_DESCRIPTOR_SET;
    Ok(grpc::serve(chassis, &config.server, listener, descriptors, mounted)?)
}

async fn start_one(name: &str, config: &Config, chassis: &Chassis) -> anyhow::Result<Mounted> {
    match name {
        "catalog" => oneshelf_catalog::server::start(&config.catalog, &config.quotes.key_ring()?, chassis).await,
        "inventory" => oneshelf_inventory::server::start(&config.inventory, chassis).await,
        "orders" => {
            let remotes = oneshelf_orders::server::Remotes {
                inventory: config.clients.inventory.clone(),
                partners: config.clients.partners.clone(),
            };
            oneshelf_orders::server::start(&config.orders, &remotes, config.quotes.key_ring()?, chassis).await
        }
        "partners" => oneshelf_partners::server::start(&config.partners, chassis).await,
        "loyalty" => oneshelf_loyalty::server::start(&config.loyalty, chassis).await,
        "channels" => oneshelf_channels::server::start(&config.channels, chassis).await,
        other => bail!("{other} is not a service"),
    }
}

async fn bind(key: &str, address: std::net::SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("{key}: cannot listen on {address}; is something else running there?"))
}
