//! `oneshelf bench`: speed over gRPC, beside what the same machine does at best.
//!
//! A run brings its own stage ([`stage`]): a scratch database, the server as a child process, a bare gRPC echo as
//! another. Machines drift within minutes, so a figure alone says little: the limit and ours are measured in turns, and
//! the median of the ratios of neighbouring rounds is what counts.
//!
//! | figure | limits beside it |
//! |---|---|
//! | holds, 10,000 SKUs and one hot SKU | pgbench with the least reservation there is; the same statement behind gRPC; the echo |
//! | holds of 5 lines | holds of one, by lines |
//! | holds by two processes | by one |
//! | holds over ten million levels | over ten thousand of them |
//! | network holds over 50 locations | holds that name their location |
//! | quotes, availability | the echo with messages of the same size |
//! | bulk | one array UPDATE of as many rows of a bare table |
//! | overload | the peak of holds in the same run |
//! | orders | none: a quote, an order and its shipping are eight transactions in three services |
//!
//! All processes share the machine's cores, the load generator too: the CPU per request says who used them.

mod availability;
mod bulk;
mod cpu;
mod echo;
mod holds;
mod lines;
mod load;
mod machine;
mod network;
mod orders;
mod overload;
mod oversell;
mod pgbench;
mod queues;
mod quotes;
mod report;
mod rows;
mod seed;
mod stage;
mod twins;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::Context;
use clap::{Args, ValueEnum};
use secrecy::SecretString;
use serde::Serialize;

use self::{
    echo::Sizes,
    load::{Load, Round},
    report::Figure,
    stage::Stage,
};
use crate::config::Config;

pub use self::echo::{EchoArgs, serve as serve_echo};

#[derive(Args)]
pub struct BenchArgs {
    /// What to measure.
    what: What,
    /// Requests in flight; may be a list such as 1,8,256.
    #[arg(long, value_delimiter = ',', default_value = "256", value_parser = clap::value_parser!(u16).range(1..))]
    streams: Vec<u16>,
    /// HTTP/2 connections that the streams are spread over, ours and the echo's. Two carry the most on two cores.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=64))]
    connections: u16,
    /// Open loop: requests that fall due per second, whether or not earlier ones are answered. Latency then counts from
    /// when a request was due. Without it: closed loop.
    #[arg(long)]
    rate: Option<f64>,
    /// Length of one round.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Rounds of each, in turns.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=100))]
    rounds: u16,
    /// How much longer each commit takes, as if the disk were slower: in microseconds, for all that is measured.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=100_000))]
    commit_delay_us: u32,
    /// Also write the figures as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// PostgreSQL as a role that may create databases: the bench makes one for itself and drops it.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    admin_url: Option<SecretString>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    Holds,
    /// Holds of five lines.
    Lines,
    /// Holds by two processes on one database.
    Twins,
    Network,
    Quotes,
    Availability,
    Bulk,
    Orders,
    /// Ten times what the server can do.
    Overload,
    /// Holds over ten million levels: filling them takes minutes and 20 GB.
    Rows,
    /// All but rows.
    All,
}

/// What a run found.
#[derive(Serialize)]
struct Findings {
    machine: machine::Machine,
    seconds_per_round: u64,
    rounds: u16,
    connections: u16,
    figures: Vec<Figure>,
    oversell: Option<oversell::Oversell>,
    /// Resident memory that a process of inventory alone came to under its load, in MiB.
    inventory_memory_mib: Option<f64>,
    overload: Option<overload::Overload>,
    /// Until the last fact of the run was published.
    settled_after_s: f64,
    invariants: usize,
    violations: Vec<String>,
}

pub async fn run(args: &BenchArgs, config: Config) -> anyhow::Result<ExitCode> {
    let admin = args.admin_url.as_ref().context(
        "the bench makes a database of its own and needs a PostgreSQL role that may create one: set DATABASE_URL or \
         --admin-url (`deploy/local/up` brings up a private server; `. .local/env` sets it)",
    )?;
    println!("preparing: a database of its own, a server, 10,000 SKUs …");
    let stage = Stage::raise(config, admin, usize::from(args.connections), args.commit_delay_us).await?;
    let outcome = tokio::select! {
        outcome = measure(args, &stage) => outcome,
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
    };
    stage.strike().await.context("clearing the stage")?;
    let findings = outcome?;
    if let Some(path) = &args.json {
        std::fs::write(path, serde_json::to_vec_pretty(&findings)?).with_context(|| path.display().to_string())?;
    }
    Ok(if findings.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn measure(args: &BenchArgs, stage: &Stage) -> anyhow::Result<Findings> {
    let machine = machine::Machine::look(stage).await?;
    println!("{machine}\n");
    seed::fill(stage).await.context("filling the bench's shop")?;
    let mut figures = Vec::new();
    let (mut oversell, mut inventory_memory_mib) = (None, None);
    let wanted = |what| args.what == what || args.what == What::All;
    if wanted(What::Holds) {
        holds::measure(args, stage, &mut figures).await?;
        oversell = Some(oversell::run(stage).await?);
    }
    if wanted(What::Lines) {
        lines::measure(args, stage, &mut figures).await?;
    }
    if wanted(What::Twins) {
        inventory_memory_mib = Some(twins::measure(args, stage, &mut figures).await?);
    }
    if wanted(What::Network) {
        network::measure(args, stage, &mut figures).await?;
    }
    if wanted(What::Availability) {
        availability::measure(args, stage, &mut figures).await?;
    }
    if wanted(What::Bulk) {
        bulk::measure(args, stage, &mut figures).await?;
    }
    if wanted(What::Quotes) {
        quotes::measure(args, stage, &mut figures).await?;
    }
    if wanted(What::Orders) {
        orders::measure(args, stage, &mut figures).await?;
    }
    if args.what == What::Rows {
        rows::measure(args, stage, &mut figures).await?;
    }
    let mut overload = None;
    if wanted(What::Overload) {
        overload = Some(overload::run(args, stage).await?);
    }
    let settled = stage.settle().await?;
    let (invariants, violations) = stage.verify().await?;
    println!("\nlast fact published {:.1} s after the load", settled.as_secs_f64());
    println!("{invariants} invariants checked, {} violated", violations.len());
    for violation in &violations {
        println!("    {violation}");
    }
    Ok(Findings {
        machine,
        seconds_per_round: args.seconds,
        rounds: args.rounds,
        connections: args.connections,
        figures,
        oversell,
        inventory_memory_mib,
        overload,
        settled_after_s: settled.as_secs_f64(),
        invariants,
        violations,
    })
}

impl BenchArgs {
    fn time(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }

    /// One load per asked number of streams.
    fn loads(&self) -> impl Iterator<Item = Load> {
        self.streams.iter().map(|streams| Load { streams: usize::from(*streams), rate: self.rate, time: self.time() })
    }
}

impl Stage {
    /// One round of the echo, always in a closed loop: it is the limit.
    async fn echo(&self, load: Load, sizes: Sizes) -> anyhow::Result<Round> {
        self.reserve(load, sizes, 0).await
    }

    /// The same with a reservation of one of the limit's rows before each answer.
    async fn reserve(&self, load: Load, sizes: Sizes, rows: i64) -> anyhow::Result<Round> {
        let channels = self.echoes.clone();
        let load = Load { rate: None, ..load };
        let ask = move |stream: usize| echo::ask(channels[stream % channels.len()].clone(), sizes, rows);
        load::drive(load, &self.meter, ask).await
    }
}

/// The name of the echo in the figures.
fn echo_named(sizes: Sizes) -> String {
    format!("bare echo of {} + {} bytes", sizes.question, sizes.answer)
}
