//! `oneshelf import stock FILE`: levels from a CSV file, through the public API.
//!
//! Columns, by name and in any order: `sku`, `location_id`, and either `quantity` (the bucket shall hold so many) or
//! `delta` (so many more or fewer); optional `bucket`, and with `quantity` also `expected_quantity` and
//! `expected_version`. Rows go in chunks, each with a request id that derives from the import's id and the chunk's number,
//! so an import that broke off is given its id again and applies nothing twice. Memory does not grow with the file.

use std::{
    fs::File,
    io::{self, Read},
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use clap::{Args, Subcommand};
use csv::StringRecord;
use oneshelf_kit::grpc::client::outcome_unknown;
use oneshelf_proto::inventory::v1::{self as pb, import_stock_request::Chunk};
use oneshelf_values::{Clock, derived_id, new_id};
use secrecy::SecretString;
use uuid::Uuid;

use crate::api::Api;

#[derive(Subcommand)]
pub enum ImportCommand {
    /// Set or adjust stock levels from a CSV file; exit 1 when a row was not taken.
    Stock(StockArgs),
}

#[derive(Args)]
pub struct StockArgs {
    /// A CSV file with a header line, or `-` for standard input.
    file: PathBuf,
    /// Where OneShelf serves.
    #[arg(long, default_value = "http://127.0.0.1:7400", value_name = "URL")]
    target: String,
    /// The API key to call with, with the scope `inventory:ImportStock`.
    #[arg(long, env = "ONESHELF_KEY", hide_env_values = true)]
    key: SecretString,
    /// Say what would become of the rows, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Write what became of each row to this CSV file.
    #[arg(long, value_name = "FILE")]
    results: Option<PathBuf>,
    /// Why levels change. Needed with `delta`; with `quantity` it is `adjust_count` unless said here.
    #[arg(long, default_value = "")]
    reason_code: String,
    /// Your own reference, kept in the ledger.
    #[arg(long, default_value = "")]
    reference: String,
    /// Rows per request.
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u16).range(1..=5_000))]
    chunk: u16,
    /// The id of an import that broke off, as it printed it: go on with the same file.
    #[arg(long, value_name = "ID")]
    resume: Option<Uuid>,
}

/// Chunks that go through one stream. They are kept until they are answered, for a stream that breaks.
const SEGMENT: usize = 32;
/// How often a broken stream is opened again before the import gives up, and after how long.
const RETRIES: u32 = 8;
const RETRY_AFTER: Duration = Duration::from_secs(1);

pub async fn run(command: ImportCommand) -> anyhow::Result<ExitCode> {
    match command {
        ImportCommand::Stock(args) => stock(args).await,
    }
}

async fn stock(args: StockArgs) -> anyhow::Result<ExitCode> {
    let began = Instant::now();
    let clock = Clock::system();
    let import_id = args.resume.unwrap_or_else(|| new_id(&clock));
    if !args.dry_run {
        eprintln!("import {import_id}; if it breaks off: --resume {import_id}");
    }
    let mut api = Api::connect(&args.target, &args.key)?;
    let mut rows = Rows::open(&args, import_id)?;
    let mut report = Report::create(args.results.as_ref())?;
    loop {
        let segment: Vec<ChunkOfRows> = rows.by_ref().take(SEGMENT).collect::<anyhow::Result<_>>()?;
        if segment.is_empty() {
            break;
        }
        send(&mut api, &segment, &mut report).await?;
    }
    report.finish(began.elapsed(), args.dry_run)
}

/// Sends the chunks and reports their rows. A stream that breaks is opened again at the first chunk without an answer.
async fn send(api: &mut Api, segment: &[ChunkOfRows], report: &mut Report) -> anyhow::Result<()> {
    let mut done = 0;
    let mut tries = 0;
    while done < segment.len() {
        let left: Vec<pb::ImportStockRequest> = segment[done..].iter().map(ChunkOfRows::request).collect();
        let Some(status) = import(api, left, segment, &mut done, report).await? else {
            return Ok(());
        };
        if !outcome_unknown(&status) && status.code() != tonic::Code::ResourceExhausted || tries == RETRIES {
            return Err(status)
                .with_context(|| format!("the rows from line {} on were not taken", segment[done].lines[0].number));
        }
        tries += 1;
        tokio::time::sleep(RETRY_AFTER).await;
    }
    Ok(())
}

/// One stream; counts in `done` what it answered, and says what ended it early.
async fn import(
    api: &mut Api,
    left: Vec<pb::ImportStockRequest>,
    segment: &[ChunkOfRows],
    done: &mut usize,
    report: &mut Report,
) -> anyhow::Result<Option<tonic::Status>> {
    let mut answers = match api.inventory.import_stock(tokio_stream::iter(left)).await {
        Ok(answers) => answers.into_inner(),
        Err(status) => return Ok(Some(status)),
    };
    loop {
        match answers.message().await {
            Ok(Some(answer)) => {
                let chunk = segment.get(*done).context("an answer to a chunk that was not sent")?;
                report.add(chunk, &answer.results)?;
                *done += 1;
            }
            Ok(None) if *done == segment.len() => return Ok(None),
            Ok(None) => return Ok(Some(tonic::Status::unavailable("the stream ended early"))),
            Err(status) => return Ok(Some(status)),
        }
    }
}

/// A row as the file has it, for the report, and why it was not sent, if so.
struct Line {
    number: u64,
    sku: String,
    location_id: String,
    unreadable: Option<&'static str>,
}

struct ChunkOfRows {
    lines: Vec<Line>,
    chunk: Chunk,
}

impl ChunkOfRows {
    fn request(&self) -> pb::ImportStockRequest {
        pb::ImportStockRequest { chunk: Some(self.chunk.clone()) }
    }
}

/// The file, chunk by chunk.
struct Rows {
    records: csv::StringRecordsIntoIter<Box<dyn Read + Send>>,
    columns: Columns,
    import_id: Uuid,
    chunks: u64,
    size: usize,
    dry_run: bool,
    reason_code: String,
    reference: String,
}

impl Rows {
    fn open(args: &StockArgs, import_id: Uuid) -> anyhow::Result<Self> {
        let input: Box<dyn Read + Send> = if args.file.as_os_str() == "-" {
            Box::new(io::stdin())
        } else {
            Box::new(File::open(&args.file).with_context(|| args.file.display().to_string())?)
        };
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(input);
        let columns = Columns::find(reader.headers()?)?;
        ensure!(columns.quantity.is_some() || !args.reason_code.is_empty(), "--reason-code is needed with `delta`");
        Ok(Self {
            records: reader.into_records(),
            columns,
            import_id,
            chunks: 0,
            size: usize::from(args.chunk),
            dry_run: args.dry_run,
            reason_code: args.reason_code.clone(),
            reference: args.reference.clone(),
        })
    }
}

impl Iterator for Rows {
    type Item = anyhow::Result<ChunkOfRows>;

    fn next(&mut self) -> Option<Self::Item> {
        let records: Result<Vec<StringRecord>, csv::Error> = self.records.by_ref().take(self.size).collect();
        let records = match records {
            Ok(records) if records.is_empty() => return None,
            Ok(records) => records,
            Err(error) => return Some(Err(error.into())),
        };
        self.chunks += 1;
        let request_id = derived_id(self.import_id, &format!("import/stock/{}", self.chunks)).to_string();
        let (reason_code, reference) = (self.reason_code.clone(), self.reference.clone());
        let mut lines: Vec<Line> = records.iter().map(|record| self.columns.line(record)).collect();
        let chunk = if self.columns.quantity.is_some() {
            let rows = records.iter().zip(&mut lines).map(|(record, line)| {
                self.columns.set_row(record).unwrap_or_else(|field| {
                    line.unreadable = Some(field);
                    pb::SetStockRow { quantity: -1, ..Default::default() }
                })
            });
            Chunk::Set(pb::SetStockRequest {
                request_id,
                rows: rows.collect(),
                reason_code,
                reference,
                effective_time: None,
                dry_run: self.dry_run,
            })
        } else {
            let rows = records.iter().zip(&mut lines).map(|(record, line)| {
                self.columns.adjust_row(record).unwrap_or_else(|field| {
                    line.unreadable = Some(field);
                    pb::AdjustStockRow::default()
                })
            });
            Chunk::Adjust(pb::BatchAdjustStockRequest {
                request_id,
                rows: rows.collect(),
                reason_code,
                reference,
                effective_time: None,
                dry_run: self.dry_run,
            })
        };
        Some(Ok(ChunkOfRows { lines, chunk }))
    }
}

/// Where each column stands.
struct Columns {
    sku: usize,
    location_id: usize,
    bucket: Option<usize>,
    quantity: Option<usize>,
    delta: Option<usize>,
    expected_quantity: Option<usize>,
    expected_version: Option<usize>,
}

impl Columns {
    fn find(header: &StringRecord) -> anyhow::Result<Self> {
        let known = ["sku", "location_id", "bucket", "quantity", "delta", "expected_quantity", "expected_version"];
        let mut places = [None; 7];
        for (place, name) in header.iter().enumerate() {
            let name = name.trim_start_matches('\u{feff}');
            let Some(column) = known.iter().position(|known| *known == name) else {
                bail!("the column {name} is not one of {}", known.join(", "));
            };
            ensure!(places[column].replace(place).is_none(), "the column {name} stands there twice");
        }
        let [sku, location_id, bucket, quantity, delta, expected_quantity, expected_version] = places;
        ensure!(quantity.is_some() != delta.is_some(), "the file needs a column `quantity` or a column `delta`");
        ensure!(
            quantity.is_some() || (expected_quantity.is_none() && expected_version.is_none()),
            "what is expected goes with `quantity`"
        );
        Ok(Self {
            sku: sku.context("the file needs a column `sku`")?,
            location_id: location_id.context("the file needs a column `location_id`")?,
            bucket,
            quantity,
            delta,
            expected_quantity,
            expected_version,
        })
    }

    fn line(&self, record: &StringRecord) -> Line {
        Line {
            number: record.position().map_or(0, csv::Position::line),
            sku: record[self.sku].to_owned(),
            location_id: record[self.location_id].to_owned(),
            unreadable: None,
        }
    }

    /// The row, or the column that cannot be read.
    fn set_row(&self, record: &StringRecord) -> Result<pb::SetStockRow, &'static str> {
        Ok(pb::SetStockRow {
            sku: record[self.sku].to_owned(),
            location_id: record[self.location_id].to_owned(),
            bucket: self.bucket(record)?,
            quantity: number(record, self.quantity, "quantity")?.ok_or("quantity")?,
            expected_quantity: number(record, self.expected_quantity, "expected_quantity")?,
            expected_version: number(record, self.expected_version, "expected_version")?,
        })
    }

    fn adjust_row(&self, record: &StringRecord) -> Result<pb::AdjustStockRow, &'static str> {
        Ok(pb::AdjustStockRow {
            sku: record[self.sku].to_owned(),
            location_id: record[self.location_id].to_owned(),
            bucket: self.bucket(record)?,
            delta: number(record, self.delta, "delta")?.ok_or("delta")?,
        })
    }

    fn bucket(&self, record: &StringRecord) -> Result<i32, &'static str> {
        let text = self.bucket.map_or("", |place| &record[place]);
        if text.is_empty() {
            return Ok(0);
        }
        let name = format!("STOCK_BUCKET_{}", text.to_ascii_uppercase());
        pb::StockBucket::from_str_name(&name).map(i32::from).ok_or("bucket")
    }
}

/// A number; none where the column or its field is empty.
fn number(record: &StringRecord, place: Option<usize>, column: &'static str) -> Result<Option<i64>, &'static str> {
    match place.map_or("", |place| &record[place]) {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|_| column),
    }
}

/// What became of the rows.
struct Report {
    results: Option<csv::Writer<File>>,
    /// By outcome, as the enum numbers them.
    counts: [u64; 5],
}

impl Report {
    fn create(path: Option<&PathBuf>) -> anyhow::Result<Self> {
        let results = path.map(|path| csv::Writer::from_path(path).with_context(|| path.display().to_string()));
        let mut results = results.transpose()?;
        if let Some(results) = &mut results {
            results.write_record(["line", "sku", "location_id", "outcome", "why", "quantity", "version"])?;
        }
        Ok(Self { results, counts: [0; 5] })
    }

    fn add(&mut self, chunk: &ChunkOfRows, results: &[pb::RowResult]) -> anyhow::Result<()> {
        ensure!(chunk.lines.len() == results.len(), "not as many results as rows");
        for (line, result) in chunk.lines.iter().zip(results) {
            let outcome = result.outcome();
            self.counts[outcome as usize] += 1;
            if let Some(file) = &mut self.results {
                let why = match (line.unreadable, result.refusal()) {
                    (Some(column), _) => format!("{column} cannot be read"),
                    (None, pb::RowRefusal::Unspecified) => String::new(),
                    (None, refusal) => refusal.as_str_name().trim_start_matches("ROW_REFUSAL_").to_owned(),
                };
                let record: [&str; 7] = [
                    &line.number.to_string(),
                    &line.sku,
                    &line.location_id,
                    outcome.as_str_name().trim_start_matches("ROW_OUTCOME_"),
                    &why,
                    &result.quantity.to_string(),
                    &result.version.to_string(),
                ];
                file.write_record(record)?;
            }
        }
        Ok(())
    }

    fn finish(mut self, time: Duration, dry_run: bool) -> anyhow::Result<ExitCode> {
        if let Some(file) = &mut self.results {
            file.flush()?;
        }
        let [_, applied, unchanged, conflict, refused] = self.counts;
        let rows: u64 = self.counts.iter().sum();
        println!(
            "{rows} rows{}: {applied} applied, {unchanged} unchanged, {conflict} in conflict, {refused} refused; {:.0} rows/s",
            if dry_run { ", dry run" } else { "" },
            rows as f64 / time.as_secs_f64()
        );
        Ok(if conflict + refused == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(fields: &[&str]) -> StringRecord {
        StringRecord::from(fields.to_vec())
    }

    #[test]
    fn columns_are_found_by_name_and_only_what_fits_together_is_taken() {
        let columns = Columns::find(&record(&["\u{feff}quantity", "sku", "expected_version", "location_id"])).unwrap();
        let row = columns.set_row(&record(&["5", "A", "", "WH"])).unwrap();
        assert_eq!((row.sku.as_str(), row.location_id.as_str(), row.quantity), ("A", "WH", 5));
        assert_eq!((row.expected_quantity, row.expected_version), (None, None));
        for bad in [
            &["sku", "location_id"][..],
            &["sku", "quantity"],
            &["sku", "location_id", "quantity", "delta"],
            &["sku", "location_id", "delta", "expected_quantity"],
            &["sku", "sku", "location_id", "quantity"],
            &["sku", "location_id", "quantity", "colour"],
        ] {
            assert!(Columns::find(&record(bad)).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_named_by_its_column() {
        let columns = Columns::find(&record(&["sku", "location_id", "delta", "bucket"])).unwrap();
        assert_eq!(columns.adjust_row(&record(&["A", "WH", "-3", "damaged"])).unwrap().bucket, 2);
        assert_eq!(columns.adjust_row(&record(&["A", "WH", "", ""])).unwrap_err(), "delta");
        assert_eq!(columns.adjust_row(&record(&["A", "WH", "1.5", ""])).unwrap_err(), "delta");
        assert_eq!(columns.adjust_row(&record(&["A", "WH", "1", "shelf"])).unwrap_err(), "bucket");
    }
}
