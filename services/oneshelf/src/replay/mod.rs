//! `oneshelf replay`: a real retailer's year through the public API, and every figure beside the expected one.
//!
//! | module | what it does |
//! |---|---|
//! | [`source`], [`dataset`] | read the lines, put them together as documents |
//! | [`classify`], [`prices`], [`receipts`], [`matching`] | the replay rules: pure, each proved on the real year |
//! | [`requests`], [`ids`] | documents as requests with ids that never change |
//! | [`plan`] | what may be done when |
//! | [`host`] | whom to speak to; serves what nobody serves |
//! | [`calls`], [`tills`], [`setup`], [`drive`] | do it |
//! | [`checkpoint`], [`progress`] | for those who wait, and those who were interrupted |
//! | [`tally`], [`outcome`], [`expected`], [`report`], [`figures`] | what was reached, from the services' answers only |
//! | [`stock`] | another source: the daily balances of a factory's stock |

mod calls;
mod checkpoint;
mod classify;
mod dataset;
mod drive;
mod expected;
mod figures;
mod host;
mod ids;
mod matching;
mod outcome;
mod plan;
mod prices;
mod progress;
mod receipts;
mod report;
mod requests;
#[cfg(test)]
mod rules_tests;
mod setup;
mod source;
mod stock;
mod tally;
mod tills;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Instant,
};

use anyhow::Context;
use chrono::NaiveDate;
use clap::Args;
use oneshelf_proto::orders::v1::GetOrderRequest;
use secrecy::SecretString;
use tokio::signal::unix::{SignalKind, signal};

use self::{
    calls::Caller, checkpoint::Checkpoint, dataset::Dataset, drive::Run, expected::Expected, host::Host,
    progress::Progress, report::Report, requests::Year,
};
use crate::{BadConfig, api::Api, config::Config};

const EXAMPLES: &str = "\
From a clean clone, with nothing served and no key:
  make infra-up
  make replay DIR=../online-retail ARGS='--clients 16 --json a.json'
  make verify

The same by hand, once `make build` has run; the second run is answered as the first was and changes nothing:
  . .local/env
  target/release/oneshelf replay ../online-retail --clients 16 --json a.json
  target/release/oneshelf replay ../online-retail --twice --clients 16
  target/release/oneshelf verify

Stock alone, every day's balance:
  make replay DIR=../adventureworks ARGS='--stock'

Where nobody answers at --target on this machine, the replay serves all services there while it runs, on the databases
of the configuration; without a key it makes one there and revokes it at the end. An interrupted run goes on after its
last finished month. Exit code 1: a figure differs.";

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct ReplayArgs {
    /// A folder of lines-YYYY-MM.csv.gz files, with expected totals or without; or one CSV file with the columns
    /// InvoiceNo, StockCode, Description, Quantity, InvoiceDate, UnitPrice, CustomerID, Country.
    path: PathBuf,
    /// Where OneShelf serves, or shall serve while this runs.
    #[arg(long, default_value = "http://127.0.0.1:7400", value_name = "URL")]
    target: String,
    /// An API key that may do everything; without it one is made for the run.
    #[arg(long, env = "ONESHELF_KEY", hide_env_values = true)]
    key: Option<SecretString>,
    /// Documents in flight at once.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=1024))]
    clients: u16,
    /// Send every request twice and hold the answers against each other.
    #[arg(long)]
    twice: bool,
    /// Write the report as JSON too.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Where finished months are remembered, for a run that is interrupted.
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// The folder is that of a factory's stock (AdventureWorks): opening balances, goods in, orders, and the balance of
    /// every day, below zero where it was.
    #[arg(long, conflicts_with = "state")]
    stock: bool,
    /// With --stock: the days up to this one.
    #[arg(long, value_name = "YYYY-MM-DD", requires = "stock")]
    through: Option<NaiveDate>,
}

/// `config`, and the `file` that it comes from, are needed only where the run has to serve or to make a key.
pub async fn run(
    args: ReplayArgs,
    config: impl FnOnce() -> Result<Config, BadConfig>,
    file: Option<&Path>,
) -> anyhow::Result<ExitCode> {
    if args.stock {
        return stock::run(args, config, file).await;
    }
    let began = Instant::now();
    let (year, expected) = read(&args.path)?;
    let progress = Progress::new(year.data.line_count - year.data.skipped);
    progress.say(&format!(
        "{} lines, {} documents, {} SKUs, {} customers",
        year.data.line_count,
        year.data.documents.len(),
        year.data.skus.iter().filter(|sku| sku.goods).count(),
        year.data.customers.len(),
    ));
    if year.data.skipped > 0 {
        progress.say(&format!("{} lines of quantity 0 are left out", year.data.skipped));
    }

    let host = Host::find(&args.target, args.key.clone(), config, file, &progress).await?;
    let outcome = tokio::select! {
        outcome = play(args, &host, year, expected, &progress, began) => outcome,
        interrupted = interruption() => interrupted.and(Err(anyhow::anyhow!("interrupted; the next run goes on from here"))),
    };
    let left = host.leave().await;
    let code = outcome?;
    left.map(|()| code)
}

/// Waits for Ctrl-C or SIGTERM.
async fn interruption() -> anyhow::Result<()> {
    let mut terminated = signal(SignalKind::terminate())?;
    tokio::select! {
        pressed = tokio::signal::ctrl_c() => pressed?,
        _ = terminated.recv() => {}
    }
    Ok(())
}

async fn play(
    args: ReplayArgs,
    host: &Host,
    year: Year,
    expected: Option<Expected>,
    progress: &Progress,
    began: Instant,
) -> anyhow::Result<ExitCode> {
    let clients = usize::from(args.clients);
    let caller = Caller { api: Api::connect(&args.target, &host.key)?, twice: args.twice };
    caller.greet(&args.target).await?;
    let file = args.state.unwrap_or_else(|| Checkpoint::default_file(year.data.fingerprint));
    let blank = Checkpoint::new(year.data.fingerprint, &args.target, args.twice);
    let mut checkpoint = resume(&caller, blank, &file, progress).await?;
    setup::run(&caller, &year, clients, progress).await?;

    let tasks = plan::tasks(&year, checkpoint.done);
    let skipped =
        year.data.documents.iter().filter(|document| checkpoint.done.is_some_and(|done| document.month() <= done));
    progress.begin(skipped.map(|document| document.lines.len()).sum());
    let driving = Instant::now();
    let run = Arc::new(Run::new(year, caller, checkpoint.tickets.clone()));
    drive::run(&run, tasks, clients, progress, &mut checkpoint, &file).await?;
    let drove = driving.elapsed();
    progress.finish();

    progress.say("all documents are in; waiting until their events have arrived");
    outcome::tickets_are_booked(&run.caller).await?;
    let points = outcome::points_at_rest(&run.caller, expected.as_ref().map(|expected| &expected.points)).await?;
    let tickets = run.tickets().into_values().collect();
    let mut outcome = outcome::read(&run.caller, &tickets).await?;
    outcome.points = points;
    let mut tally = checkpoint.tally.clone();
    outcome.tickets.iter().for_each(|ticket| tally.add_order(ticket));
    let report = Report::new(&tally, &outcome, expected.as_ref());

    println!("{report}");
    let took = began.elapsed();
    println!(
        "{} lines in {:.1} s ({:.1} s of them driving), {clients} clients{}",
        run.year.data.line_count,
        took.as_secs_f64(),
        drove.as_secs_f64(),
        if args.twice { ", every request twice" } else { "" },
    );
    if let Some(json) = args.json {
        let mut whole = report.to_json();
        whole["seconds"] = took.as_secs_f64().into();
        whole["driving_seconds"] = drove.as_secs_f64().into();
        whole["lines"] = run.year.data.line_count.into();
        whole["clients"] = clients.into();
        whole["twice"] = args.twice.into();
        let text = serde_json::to_string_pretty(&whole)?;
        std::fs::write(&json, text).with_context(|| format!("cannot write {}", json.display()))?;
    }
    // A finished run leaves nothing to resume: the next one asks everything again, and is answered the same.
    Checkpoint::remove(&file);
    Ok(if report.differences().is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn read(path: &Path) -> anyhow::Result<(Year, Option<Expected>)> {
    let data = Dataset::read(path)?;
    anyhow::ensure!(!data.documents.is_empty(), "{}: holds no lines", path.display());
    let receipts = match expected::receipts(path, &data)? {
        Some(receipts) => receipts,
        None => receipts::smallest_plan(&data),
    };
    Ok((Year::new(data, receipts), Expected::read(path)?))
}

/// The checkpoint of an interrupted run, if its first order is there; else a blank one.
async fn resume(caller: &Caller, blank: Checkpoint, file: &Path, progress: &Progress) -> anyhow::Result<Checkpoint> {
    let Some(stored) = blank.load(file) else { return Ok(blank) };
    let request = GetOrderRequest { order_id: stored.witness.clone().unwrap_or_default() };
    let get = |mut api: Api, r| async move { api.orders.get_order(r).await };
    match caller.read("GetOrder", request, get).await {
        Ok(_) => {
            if let Some(done) = stored.done {
                progress.say(&format!("going on after {done}, which {} remembers", file.display()));
            }
            Ok(stored)
        }
        Err(error) if error.status.code() == tonic::Code::NotFound => {
            progress.say("the database is another one than that of the interrupted run: beginning again");
            Ok(blank)
        }
        Err(error) => Err(error.into()),
    }
}
