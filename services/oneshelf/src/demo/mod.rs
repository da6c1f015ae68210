//! `oneshelf demo`: serves everything, fills a demo shop, keeps selling, and says what happens.

mod seed;
mod shop;
mod traffic;
mod watch;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use anyhow::Context;
use clap::Args;
use http::HeaderValue;
use oneshelf_kit::{
    Chassis, admin,
    auth::{self, NewKey, Scope},
    pg, telemetry,
};
use oneshelf_proto::channels::v1::GetChannelLagRequest;
use secrecy::{ExposeSecret, SecretString};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{api::Api, chassis, config::Config, serve, verify};
use traffic::Tally;
use watch::Shown;

/// Time between two status lines.
const STATUS_EVERY: Duration = Duration::from_secs(5);
/// Invariants are checked with every so many status lines.
const VERIFY_EVERY: u64 = 6;

#[derive(Args)]
pub struct DemoArgs {
    /// Visits per second.
    #[arg(long, default_value_t = 10.0)]
    rate: f64,
    /// Which shop is made up: the same seed makes the same shop.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where the development key is kept between runs.
    #[arg(long, default_value = ".local/demo-key", value_name = "FILE")]
    key_file: PathBuf,
    /// Stop after this many seconds; without it, run until Ctrl-C.
    #[arg(long)]
    seconds: Option<u64>,
}

pub async fn run(args: DemoArgs, mut config: Config) -> anyhow::Result<ExitCode> {
    // The terminal belongs to the status lines; a log filter of one's own still counts.
    if config.telemetry.log == "info" {
        "warn,sqlx=error".clone_into(&mut config.telemetry.log);
    }
    let telemetry = telemetry::init(&config.telemetry, "oneshelf")?;
    let chassis = chassis::build(&config).await?;
    let admin_listener = TcpListener::bind(config.server.admin_listen).await.context("server.admin_listen")?;
    let serving = serve::start(&config, &chassis, &serve::SERVICES).await?;
    admin::serve(&chassis.lifecycle, admin_listener, serving.readiness.clone(), telemetry.metrics.clone());
    let key = development_key(&config, &chassis, &args.key_file).await?;

    let target = format!("http://{}", serving.address);
    let mut api = Api::connect(&target, &key)?;
    let mut readiness = serving.readiness.clone();
    readiness.wait_for(oneshelf_kit::grpc::Readiness::is_ready).await.context("the services did not become ready")?;
    println!("filling the demo shop: 2,000 SKUs, a warehouse, 3 shops, 2 web channels, 4 dealers, 500 members …");
    seed::seed(&mut api, args.seed).await.context("filling the demo shop")?;
    greet(&config, &serving.address.to_string(), &args.key_file, &key);

    let soft = chassis.lifecycle.soft().clone();
    let clients = CancellationToken::new();
    let tally = Arc::new(Tally::default());
    let articles: Arc<[shop::Article]> = shop::articles(args.seed).into();
    let mut tasks = tokio::task::JoinSet::new();
    let mut shown = Vec::new();
    for (channel, ..) in shop::channels() {
        let counts = Arc::new(Shown::default());
        shown.push((channel, counts.clone()));
        tasks.spawn(watch::follow(api.clone(), chassis.clock.clone(), channel, counts, clients.clone()));
    }
    tasks.spawn(traffic::sell(api.clone(), chassis.clock.clone(), articles, args.rate, tally.clone(), clients.clone()));
    tasks.spawn(report(api, config, tally, shown, clients.clone()));

    let lifecycle = chassis.lifecycle.clone();
    if let Some(seconds) = args.seconds {
        let lifecycle = chassis.lifecycle.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            lifecycle.stop();
        });
    }
    tokio::spawn(async move {
        soft.cancelled().await;
        println!("stopping …");
        clients.cancel();
    });
    let outcome = lifecycle.run().await;
    tasks.shutdown().await;
    telemetry.flush().await;
    outcome?;
    println!("stopped");
    Ok(ExitCode::SUCCESS)
}

/// The key of the last run if it still works, else a new one.
async fn development_key(config: &Config, chassis: &Chassis, file: &Path) -> anyhow::Result<SecretString> {
    if let Ok(kept) = std::fs::read_to_string(file)
        && let Ok(header) = HeaderValue::from_str(&format!("Bearer {}", kept.trim()))
        && chassis.auth.authenticate(Some(&header)).await.is_ok()
    {
        return Ok(SecretString::from(kept.trim().to_owned()));
    }
    let pool = pg::connect(&config.access.database, "keys").await.context("access.database")?;
    let new = NewKey {
        title: "development".to_owned(),
        scopes: vec![Scope::parse("*")?],
        channel: None,
        partner: None,
        expires_at: None,
    };
    let key = auth::create_key(&pool, &chassis.pepper, &chassis.clock, &new).await?;
    std::fs::write(file, key.expose_secret()).with_context(|| format!("writing {}", file.display()))?;
    Ok(key)
}

fn greet(config: &Config, address: &str, key_file: &Path, key: &SecretString) {
    let key = key.expose_secret();
    println!(
        r#"
OneShelf serves on {address} (gRPC, gRPC-Web, reflection); metrics on http://{admin}/metrics
development key (kept in {file}): {key}

try, in another terminal:
  grpcurl -plaintext {address} list
  grpcurl -plaintext -H 'authorization: Bearer {key}' \
    -d '{{"channel_id": "WEB", "skus": ["MUG-0001", "BAG-0002"]}}' {address} oneshelf.inventory.v1.InventoryService/GetAvailability
  buf curl --protocol grpc --http2-prior-knowledge -H 'authorization: Bearer {key}' \
    -d '{{"channel_id": "WEB", "currency_code": "GBP", "lines": [{{"sku": "MUG-0001", "quantity": 2}}]}}' \
    http://{address}/oneshelf.catalog.v1.CatalogService/QuotePrices

Ctrl-C stops it. What happens, every {seconds} s:"#,
        admin = config.server.admin_listen,
        file = key_file.display(),
        seconds = STATUS_EVERY.as_secs(),
    );
}

/// Prints a status line every few seconds, and the invariants every half minute.
async fn report(
    api: Api,
    config: Config,
    tally: Arc<Tally>,
    shown: Vec<(&'static str, Arc<Shown>)>,
    stop: CancellationToken,
) {
    let mut tick = tokio::time::interval(STATUS_EVERY);
    tick.tick().await;
    let (mut orders_before, mut holds_before, mut invariants) = (0, 0, "not checked yet".to_owned());
    for round in 1_u64.. {
        if stop.run_until_cancelled(tick.tick()).await.is_none() {
            return;
        }
        if round % VERIFY_EVERY == 1 {
            invariants = match verify::all(&config).await {
                Ok(checks) => {
                    let broken: i64 = checks.iter().map(|check| check.violations).sum();
                    format!("{} checked, {broken} broken", checks.len())
                }
                Err(error) => format!("not checked: {error:#}"),
            };
        }
        let orders = tally.orders.load(Ordering::Relaxed) + tally.tickets.load(Ordering::Relaxed);
        let holds = tally.holds.load(Ordering::Relaxed);
        let mut channels = Vec::with_capacity(shown.len());
        for (channel, counts) in &shown {
            channels.push(format!(
                "{channel} {}+{} {}",
                counts.stock.swap(0, Ordering::Relaxed),
                counts.price.swap(0, Ordering::Relaxed),
                delay(&api, channel).await,
            ));
        }
        println!(
            "{:.1} orders/s, {:.1} holds/s, {} returns, {} refused, {} failed | stock+price changes shown: {} | invariants: {invariants}",
            (orders - orders_before) as f64 / STATUS_EVERY.as_secs_f64(),
            (holds - holds_before) as f64 / STATUS_EVERY.as_secs_f64(),
            tally.returns.load(Ordering::Relaxed),
            tally.refused.load(Ordering::Relaxed),
            tally.failed.load(Ordering::Relaxed),
            channels.join(", "),
        );
        (orders_before, holds_before) = (orders, holds);
    }
}

/// The median delay from commit to acknowledgement of the last minute.
async fn delay(api: &Api, channel: &str) -> String {
    let request = GetChannelLagRequest { channel_id: channel.to_owned() };
    match api.channels.clone().get_channel_lag(request).await {
        Ok(answer) => {
            let delay = answer.into_inner().delay_p50.unwrap_or_default();
            format!("{} ms", delay.seconds * 1_000 + i64::from(delay.nanos) / 1_000_000)
        }
        Err(_) => "? ms".to_owned(),
    }
}
