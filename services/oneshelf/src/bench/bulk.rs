//! Levels set in bulk: chunks of rows over gRPC, several streams side by side, every row another quantity than before.
//!
//! The limit beside it is the least that PostgreSQL does for it: one UPDATE per chunk, from arrays, of as many rows of a
//! bare table. No ledger, no version, no event, no answer per row, no repeated request that counts once.

use std::sync::Arc;

use anyhow::{Context, ensure};
use oneshelf_proto::inventory::v1::{self as pb, RowOutcome};
use rand::{Rng, SeedableRng, rngs::SmallRng};
use sqlx::PgPool;
use tokio::{task::JoinSet, time::Instant};
use tonic::Status;

use super::{
    BenchArgs,
    load::{self, Load, Round},
    report::Figure,
    seed,
    stage::Stage,
};

/// Rows per request.
pub const CHUNK: usize = 2_000;
const LOCATIONS: usize = 5;
/// Streams side by side: as many as the server runs at a time, so that none waits behind another, and one alone.
const STREAMS: [usize; 2] = [1, 2];

pub async fn measure(args: &BenchArgs, stage: &Stage, figures: &mut Vec<Figure>) -> anyhow::Result<()> {
    prepare(stage).await?;
    for streams in STREAMS {
        let load = Load { streams, rate: None, time: args.time() };
        let (mut limit, mut ours) = (Vec::new(), Vec::new());
        for _ in 0..args.rounds {
            limit.push(bare_update(&stage.pool, load).await?);
            ours.push(set(stage, load).await?);
            // What the rows made is published before the next round, so that none pays for the one before.
            stage.settle().await?;
        }
        let name = format!("bulk set, {CHUNK} rows per request, {LOCATIONS} locations");
        let limits = vec![("bare array UPDATE of as many rows".to_owned(), limit)];
        let figure = Figure::of(name, "rows", load, &ours, limits)?;
        figure.print();
        figures.push(figure);
    }
    Ok(())
}

/// Locations that no channel sells from, each with every SKU, and the bare table.
async fn prepare(stage: &Stage) -> anyhow::Result<()> {
    let mut api = stage.apis[0].clone();
    for place in 0..LOCATIONS {
        let location = pb::Location {
            location_id: location(place),
            kind: pb::LocationKind::Warehouse.into(),
            title: format!("Bulk {place}"),
            ..Default::default()
        };
        let request_id = seed::request_id(stage);
        api.inventory.create_location(pb::CreateLocationRequest { request_id, location: Some(location) }).await?;
    }
    for chunk in 0..seed::SKUS * LOCATIONS / CHUNK {
        let answer = api.inventory.set_stock(request(stage, chunk, 1)).await.context("filling the levels")?;
        check(answer.get_ref()).map_err(anyhow::Error::msg)?;
    }
    stage.settle().await?;
    sqlx::query("CREATE SCHEMA IF NOT EXISTS limits").execute(&stage.pool).await?;
    sqlx::query(
        r"
        CREATE TABLE limits.levels (
            sku TEXT
          , location_id TEXT
          , quantity BIGINT NOT NULL
          , PRIMARY KEY (sku, location_id)
        ) WITH (fillfactor = 70)
        ",
    )
    .execute(&stage.pool)
    .await?;
    let (skus, locations): (Vec<String>, Vec<String>) = (0..seed::SKUS * LOCATIONS).map(row).unzip();
    sqlx::query("INSERT INTO limits.levels SELECT sku, location_id, 1 FROM UNNEST($1, $2) AS level (sku, location_id)")
        .bind(skus)
        .bind(locations)
        .execute(&stage.pool)
        .await?;
    sqlx::query("VACUUM (ANALYZE)").execute(&stage.pool).await?;
    Ok(())
}

fn location(place: usize) -> String {
    format!("BULK-{place}")
}

/// SKU and location of a row; neighbours in the order of the locks.
fn row(number: usize) -> (String, String) {
    (seed::sku(number / LOCATIONS), location(number % LOCATIONS))
}

fn request(stage: &Stage, chunk: usize, quantity: i64) -> pb::SetStockRequest {
    let rows = (chunk * CHUNK..(chunk + 1) * CHUNK).map(|number| {
        let (sku, location_id) = row(number);
        pb::SetStockRow { sku, location_id, quantity, ..Default::default() }
    });
    pb::SetStockRequest { request_id: seed::request_id(stage), rows: rows.collect(), ..Default::default() }
}

/// Every row must be taken, whether or not it held that before.
pub fn check(answer: &pb::SetStockResponse) -> Result<(), String> {
    let taken = |result: &pb::RowResult| matches!(result.outcome(), RowOutcome::Applied | RowOutcome::Unchanged);
    if answer.results.len() == CHUNK && answer.results.iter().all(taken) {
        return Ok(());
    }
    Err("a row was not taken".to_owned())
}

/// One round. Streams have chunks of their own, so that none waits for another's locks.
async fn set(stage: &Stage, load: Load) -> anyhow::Result<Round> {
    let apis = stage.apis.clone();
    let clock = stage.clock.clone();
    let chunks = seed::SKUS * LOCATIONS / CHUNK;
    let streams = load.streams;
    let mut round = load::drive(load, &stage.meter, move |stream| {
        let mut inventory = apis[stream % apis.len()].inventory.clone();
        let chunk = rand::rng().random_range(0..chunks / streams) * streams + stream;
        let rows = (chunk * CHUNK..(chunk + 1) * CHUNK).map(|number| {
            let (sku, location_id) = row(number);
            pb::SetStockRow { sku, location_id, quantity: rand::rng().random_range(1..1_000_000), ..Default::default() }
        });
        let request = pb::SetStockRequest {
            request_id: oneshelf_values::new_id(&clock).to_string(),
            rows: rows.collect(),
            ..Default::default()
        };
        async move {
            let answer = inventory.set_stock(request).await?;
            check(answer.get_ref()).map_err(Status::internal)
        }
    })
    .await?;
    // What is counted is rows; the latency stays that of a request.
    round.answered *= CHUNK as u64;
    Ok(round)
}

/// Rows per second of the bare statement, each stream with a connection.
async fn bare_update(pool: &PgPool, load: Load) -> anyhow::Result<f64> {
    sqlx::query("VACUUM (ANALYZE) limits.levels").execute(pool).await?;
    let chunks: Arc<Vec<(Vec<String>, Vec<String>)>> = Arc::new(
        (0..seed::SKUS * LOCATIONS / CHUNK)
            .map(|chunk| (chunk * CHUNK..(chunk + 1) * CHUNK).map(row).unzip())
            .collect(),
    );
    let began = Instant::now();
    let end = began + load.time;
    let mut streams = JoinSet::new();
    for stream in 0..load.streams {
        let (pool, chunks) = (pool.clone(), chunks.clone());
        streams.spawn(async move {
            let mut random = SmallRng::seed_from_u64(stream as u64);
            let mut rows = 0_u64;
            while Instant::now() < end {
                let chunk = random.random_range(0..chunks.len() / load.streams) * load.streams + stream;
                let (skus, locations) = &chunks[chunk];
                let quantities: Vec<i64> = skus.iter().map(|_| random.random_range(1..1_000_000)).collect();
                let updated = sqlx::query(
                    r"
                    UPDATE limits.levels
                       SET quantity = changed.quantity
                      FROM UNNEST($1::TEXT[], $2::TEXT[], $3::BIGINT[]) AS changed (sku, location_id, quantity)
                     WHERE levels.sku = changed.sku
                       AND levels.location_id = changed.location_id
                    ",
                )
                .bind(skus)
                .bind(locations)
                .bind(quantities)
                .execute(&pool)
                .await?;
                rows += updated.rows_affected();
            }
            Ok::<_, sqlx::Error>(rows)
        });
    }
    let mut rows = 0;
    while let Some(stream) = streams.join_next().await {
        rows += stream??;
    }
    ensure!(rows > 0, "the bare statement updated nothing");
    Ok(rows as f64 / began.elapsed().as_secs_f64())
}
