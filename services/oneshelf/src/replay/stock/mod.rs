//! `oneshelf replay --stock`: a factory's stock through the public API, and its balance of every day beside the books'.
//!
//! The data say what was there at the beginning, what came in per day, what was ordered, and what the balance was at the
//! end of each day on which anything moved. Orders are facts, also where the shelf was empty: the balance then goes below
//! zero, and each such sale must be reported as oversold.
//!
//! | module | what it does |
//! |---|---|
//! | [`books`] | reads the data |
//! | [`drive`] | day by day: goods in, then the day's orders, then what the ledger says of that day |
//! | [`compare`] | expected beside reached |

mod books;
mod compare;
mod drive;

use std::{path::Path, process::ExitCode, time::Instant};

use anyhow::Context;
use chrono::NaiveDate;

use self::books::Books;
use super::{ReplayArgs, calls::Caller, figures, host::Host, interruption, progress::Progress};
use crate::{BadConfig, api::Api, config::Config};

/// As [`super::run`].
pub async fn run(
    args: ReplayArgs,
    config: impl FnOnce() -> Result<Config, BadConfig>,
    file: Option<&Path>,
) -> anyhow::Result<ExitCode> {
    let books = Books::read(&args.path, args.through.unwrap_or(NaiveDate::MAX))?;
    let progress = Progress::new(books.line_count());
    progress.say(&format!(
        "{} SKUs, {} days, {} orders of {} lines",
        books.items.len(),
        books.days.len(),
        books.order_count(),
        books.line_count(),
    ));
    let host = Host::find(&args.target, args.key.clone(), config, file, &progress).await?;
    let outcome = tokio::select! {
        outcome = play(&args, &host, books, &progress) => outcome,
        interrupted = interruption() => interrupted.and(Err(anyhow::anyhow!("interrupted; the next run begins anew, and what was done is not done twice"))),
    };
    let left = host.leave().await;
    let code = outcome?;
    left.map(|()| code)
}

async fn play(args: &ReplayArgs, host: &Host, books: Books, progress: &Progress) -> anyhow::Result<ExitCode> {
    let began = Instant::now();
    let clients = usize::from(args.clients);
    let caller = Caller { api: Api::connect(&args.target, &host.key)?, twice: args.twice };
    caller.greet(&args.target).await?;
    progress.begin(0);
    let reached = drive::run(&caller, &books, clients, progress).await?;
    progress.finish();

    let sections = compare::sections(&books, &reached);
    println!("{}", compare::Table(&sections));
    let took = began.elapsed().as_secs_f64();
    println!(
        "{} lines of {} orders in {took:.1} s, {clients} clients{}",
        books.line_count(),
        books.order_count(),
        if args.twice { ", every request twice" } else { "" },
    );
    if let Some(json) = &args.json {
        let mut whole = figures::to_json(&sections, true);
        whole["seconds"] = took.into();
        whole["lines"] = books.line_count().into();
        whole["clients"] = clients.into();
        whole["twice"] = args.twice.into();
        let text = serde_json::to_string_pretty(&whole)?;
        std::fs::write(json, text).with_context(|| format!("cannot write {}", json.display()))?;
    }
    let equal = figures::differing(&sections).is_empty();
    Ok(if equal { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
