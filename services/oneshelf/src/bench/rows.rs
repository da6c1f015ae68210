//! Ten million levels: holds over all of them, beside holds over ten thousand of them. Both are measured in turns on the same
//! tables, so the ratio is what the size of the working set costs.
//!
//! Filling them takes minutes and gigabytes, so `all` leaves this out. No channel sells from these locations.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};
use oneshelf_proto::inventory::v1::{self as pb, HoldKind, HoldRequestLine, HoldStockRequest};
use oneshelf_values::{Clock, HoldId};
use rand::Rng;
use sqlx::Connection as _;
use tokio::{task::JoinSet, time::Instant};

use super::{
    BenchArgs, bulk,
    load::{self, Load, Round},
    report::Figure,
    seed,
    stage::Stage,
};

const SKUS: usize = 50_000;
const LOCATIONS: usize = 200;
const ROWS: usize = SKUS * LOCATIONS;
/// As many as the other benches have.
const FEW: usize = 10_000;
const FILLERS: usize = 3;
/// Facts are published at least so often, so that the outbox does not outgrow its relay.
const SETTLE_EVERY: usize = 1_000_000;
const PLENTY: i64 = 1_000_000;
const TTL_S: i64 = 3_600;

pub async fn measure(args: &BenchArgs, stage: &Stage, figures: &mut Vec<Figure>) -> anyhow::Result<()> {
    let began = Instant::now();
    fill(stage).await?;
    println!("{ROWS} levels filled in {:.0} s\n", began.elapsed().as_secs_f64());
    for load in args.loads() {
        let (mut few, mut all) = (Vec::new(), Vec::new());
        for _ in 0..args.rounds {
            few.push(hold(stage, load, FEW).await?.per_second());
            all.push(hold(stage, load, ROWS).await?);
        }
        let limits = vec![(format!("holds over {FEW} of them"), few)];
        let figure = Figure::of(format!("holds, {ROWS} levels"), "holds", load, &all, limits)?;
        figure.print();
        figures.push(figure);
    }
    Ok(())
}

async fn fill(stage: &Stage) -> anyhow::Result<()> {
    let mut api = stage.apis[0].clone();
    for place in 0..LOCATIONS {
        let location = pb::Location {
            location_id: location(place),
            kind: pb::LocationKind::Store.into(),
            title: format!("Store {place}"),
            ..Default::default()
        };
        let request_id = seed::request_id(stage);
        api.inventory.create_location(pb::CreateLocationRequest { request_id, location: Some(location) }).await?;
    }
    let bar = ProgressBar::new(ROWS as u64)
        .with_style(ProgressStyle::with_template("filling {bar:40} {human_pos} of {human_len} levels, {eta} left")?);
    for part in 0..ROWS / SETTLE_EVERY {
        let next = Arc::new(AtomicUsize::new(part * SETTLE_EVERY / bulk::CHUNK));
        let end = (part + 1) * SETTLE_EVERY / bulk::CHUNK;
        let mut fillers = JoinSet::new();
        for filler in 0..FILLERS {
            let (next, bar, clock) = (next.clone(), bar.clone(), stage.clock.clone());
            let mut inventory = stage.apis[filler % stage.apis.len()].inventory.clone();
            fillers.spawn(async move {
                loop {
                    let chunk = next.fetch_add(1, Ordering::Relaxed);
                    if chunk >= end {
                        return Ok::<_, anyhow::Error>(());
                    }
                    let answer = inventory.set_stock(request(&clock, chunk)).await.context("filling the levels")?;
                    bulk::check(answer.get_ref()).map_err(anyhow::Error::msg)?;
                    bar.inc(bulk::CHUNK as u64);
                }
            });
        }
        while let Some(filler) = fillers.join_next().await {
            filler??;
        }
        stage.settle().await?;
    }
    bar.finish_and_clear();
    // It takes longer than a statement of a service may.
    let mut conn = stage.pool.acquire().await?.detach();
    sqlx::query("SET statement_timeout = 0").execute(&mut conn).await?;
    sqlx::query("VACUUM (ANALYZE)").execute(&mut conn).await?;
    conn.close().await?;
    // Consumers may still be taking the last facts over.
    tokio::time::sleep(Duration::from_secs(5)).await;
    Ok(())
}

fn location(place: usize) -> String {
    format!("ROW-{place:03}")
}

/// SKU and location of a level; neighbours in the order of the locks.
fn row(number: usize) -> (String, String) {
    (format!("ROW-{:05}", number / LOCATIONS), location(number % LOCATIONS))
}

fn request(clock: &Clock, chunk: usize) -> pb::SetStockRequest {
    let rows = (chunk * bulk::CHUNK..(chunk + 1) * bulk::CHUNK).map(|number| {
        let (sku, location_id) = row(number);
        pb::SetStockRow { sku, location_id, quantity: PLENTY, ..Default::default() }
    });
    pb::SetStockRequest {
        request_id: oneshelf_values::new_id(clock).to_string(),
        rows: rows.collect(),
        ..Default::default()
    }
}

/// One round of holds of one unit of any of the first `rows` levels.
async fn hold(stage: &Stage, load: Load, rows: usize) -> anyhow::Result<Round> {
    let (apis, clock) = (stage.apis.clone(), stage.clock.clone());
    load::drive(load, &stage.meter, move |stream| {
        let mut inventory = apis[stream % apis.len()].inventory.clone();
        let (sku, location_id) = row(rand::rng().random_range(0..rows));
        let request = HoldStockRequest {
            request_id: HoldId::generate(&clock).to_string(),
            kind: HoldKind::Soft.into(),
            lines: vec![HoldRequestLine { sku, location_id, quantity: 1 }],
            ttl: Some(prost_types::Duration { seconds: TTL_S, nanos: 0 }),
            ..Default::default()
        };
        async move { inventory.hold_stock(request).await.map(drop) }
    })
    .await
}
