//! `oneshelf export movements`: the ledger as a file, through the public API. What comes is written as it comes; a
//! stream that breaks is taken up after the last part that came whole.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use anyhow::Context;
use chrono::{DateTime, Utc};
use clap::{Args, Subcommand, ValueEnum};
use oneshelf_kit::grpc::client::outcome_unknown;
use oneshelf_proto::inventory::v1 as pb;
use prost_types::Timestamp;
use secrecy::SecretString;

use crate::api::Api;

#[derive(Subcommand)]
pub enum ExportCommand {
    /// Write the ledger's entries as CSV or as GS1 EPCIS 2.0 events.
    Movements(MovementsArgs),
}

#[derive(Args)]
pub struct MovementsArgs {
    #[arg(long, value_enum, default_value_t = Format::Csv)]
    format: Format,
    /// Where to; without it, standard output.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Only of this SKU.
    #[arg(long, default_value = "")]
    sku: String,
    /// Only from or to this location.
    #[arg(long, default_value = "")]
    location: String,
    /// From this effective time on, such as 2026-11-01T00:00:00Z.
    #[arg(long)]
    from: Option<DateTime<Utc>>,
    /// Before this effective time.
    #[arg(long)]
    to: Option<DateTime<Utc>>,
    /// Where OneShelf serves.
    #[arg(long, default_value = "http://127.0.0.1:7400", value_name = "URL")]
    target: String,
    /// The API key to call with, with the scope `inventory:ExportMovements`.
    #[arg(long, env = "ONESHELF_KEY", hide_env_values = true)]
    key: SecretString,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Csv,
    Epcis,
}

/// How often a stream that gave nothing is opened again, and after how long.
const RETRIES: u32 = 8;
const RETRY_AFTER: Duration = Duration::from_secs(1);

pub async fn run(command: ExportCommand) -> anyhow::Result<ExitCode> {
    match command {
        ExportCommand::Movements(args) => movements(args).await,
    }
}

async fn movements(args: MovementsArgs) -> anyhow::Result<ExitCode> {
    let mut api = Api::connect(&args.target, &args.key)?;
    let output: Box<dyn Write + Send> = match &args.output {
        Some(path) => Box::new(File::create(path).with_context(|| path.display().to_string())?),
        None => Box::new(io::stdout()),
    };
    let mut output = BufWriter::new(output);
    let mut request = pb::ExportMovementsRequest {
        format: match args.format {
            Format::Csv => pb::ExportFormat::Csv,
            Format::Epcis => pb::ExportFormat::Epcis,
        }
        .into(),
        sku: args.sku,
        location_id: args.location,
        from_time: args.from.map(timestamp),
        to_time: args.to.map(timestamp),
        resume_token: String::new(),
    };
    let mut entries = 0;
    let mut tries = 0;
    while let Some(status) = write(&mut api, &mut request, &mut output, &mut entries, &mut tries).await? {
        if !outcome_unknown(&status) || tries == RETRIES {
            return Err(status).context("the export broke off");
        }
        tries += 1;
        tokio::time::sleep(RETRY_AFTER).await;
    }
    output.flush()?;
    eprintln!("{entries} entries");
    Ok(ExitCode::SUCCESS)
}

/// Writes what one stream brings, and notes in the request where the next would begin; says what ended it early.
async fn write(
    api: &mut Api,
    request: &mut pb::ExportMovementsRequest,
    output: &mut impl Write,
    entries: &mut i64,
    tries: &mut u32,
) -> anyhow::Result<Option<tonic::Status>> {
    let mut parts = match api.inventory.export_movements(request.clone()).await {
        Ok(parts) => parts.into_inner(),
        Err(status) => return Ok(Some(status)),
    };
    loop {
        match parts.message().await {
            Ok(Some(part)) => {
                output.write_all(&part.content)?;
                *entries += part.entries;
                *tries = 0;
                if part.resume_token.is_empty() {
                    return Ok(None);
                }
                request.resume_token = part.resume_token;
            }
            Ok(None) => return Ok(Some(tonic::Status::unavailable("the stream ended early"))),
            Err(status) => return Ok(Some(status)),
        }
    }
}

fn timestamp(at: DateTime<Utc>) -> Timestamp {
    Timestamp { seconds: at.timestamp(), nanos: at.timestamp_subsec_nanos() as i32 }
}
