//! Network holds: one unit of one SKU, sourced over fifty locations, beside holds that name their location. Both are measured
//! in turns on the same levels, so the ratio is what choosing the location costs.

use anyhow::{Context, ensure};
use oneshelf_proto::{
    channels::v1 as channels,
    inventory::v1::{self as pb, HoldKind, HoldRequestLine, HoldStockRequest, RowOutcome},
};
use oneshelf_values::{Clock, HoldId};
use rand::Rng;
use tonic::Code;

use super::{
    BenchArgs,
    load::{self, Load, Round},
    report::Figure,
    seed,
    stage::Stage,
};

const LOCATIONS: usize = 50;
const SKUS: usize = 2_000;
const CHANNEL: &str = "NET";
const PLENTY: i64 = 1_000_000_000;
const CHUNK: usize = 2_000;
const TTL_S: i64 = 3_600;

pub async fn measure(args: &BenchArgs, stage: &Stage, figures: &mut Vec<Figure>) -> anyhow::Result<()> {
    prepare(stage).await?;
    for load in args.loads() {
        let (mut plain, mut sourced) = (Vec::new(), Vec::new());
        for _ in 0..args.rounds {
            plain.push(hold(stage, load, false).await?.per_second());
            sourced.push(hold(stage, load, true).await?);
        }
        let name = format!("network holds, {SKUS} SKUs at {LOCATIONS} locations");
        let limits = vec![("holds that name their location".to_owned(), plain)];
        let figure = Figure::of(name, "holds", load, &sourced, limits)?;
        figure.print();
        figures.push(figure);
    }
    Ok(())
}

/// Fifty locations on a channel of their own, each with every SKU.
async fn prepare(stage: &Stage) -> anyhow::Result<()> {
    let mut api = stage.apis[0].clone();
    for place in 0..LOCATIONS {
        let (latitude, longitude) = position(place);
        let location = pb::Location {
            location_id: location(place),
            kind: pb::LocationKind::Store.into(),
            title: format!("Network {place}"),
            coordinates: Some(pb::Coordinates { latitude_micro_degrees: latitude, longitude_micro_degrees: longitude }),
            ..Default::default()
        };
        let request_id = seed::request_id(stage);
        api.inventory.create_location(pb::CreateLocationRequest { request_id, location: Some(location) }).await?;
    }
    let channel = channels::Channel {
        channel_id: CHANNEL.to_owned(),
        kind: channels::ChannelKind::Web.into(),
        title: "Network".to_owned(),
        currency_code: seed::CURRENCY.to_owned(),
        location_ids: (0..LOCATIONS).map(location).collect(),
        ..Default::default()
    };
    let request_id = seed::request_id(stage);
    api.channels.create_channel(channels::CreateChannelRequest { request_id, channel: Some(channel) }).await?;
    for chunk in 0..SKUS * LOCATIONS / CHUNK {
        let rows = (chunk * CHUNK..(chunk + 1) * CHUNK).map(|number| pb::SetStockRow {
            sku: seed::sku(number / LOCATIONS),
            location_id: location(number % LOCATIONS),
            quantity: PLENTY,
            ..Default::default()
        });
        let request =
            pb::SetStockRequest { request_id: seed::request_id(stage), rows: rows.collect(), ..Default::default() };
        let answer = api.inventory.set_stock(request).await.context("filling the network")?;
        ensure!(answer.get_ref().results.iter().all(|row| row.outcome() == RowOutcome::Applied), "a row was not taken");
    }
    // The channel is known here once its event has come.
    for attempt in 0.. {
        match api.inventory.hold_stock(request(&stage.clock, true)).await {
            Ok(_) => break,
            Err(status) if status.code() == Code::NotFound && attempt < 100 => {
                tokio::time::sleep(std::time::Duration::from_millis(200)).await;
            }
            Err(status) => return Err(status).context("one network hold"),
        }
    }
    stage.settle().await?;
    sqlx::query("VACUUM (ANALYZE)").execute(&stage.pool).await?;
    Ok(())
}

fn location(place: usize) -> String {
    format!("NET-{place:02}")
}

/// On a grid over England, in micro-degrees.
fn position(place: usize) -> (i32, i32) {
    (51_000_000 + (place / 10) as i32 * 700_000, -2_500_000 + (place % 10) as i32 * 400_000)
}

/// One unit of a random SKU: to a random destination, or from a random location.
fn request(clock: &Clock, network: bool) -> HoldStockRequest {
    let mut random = rand::rng();
    let sku = seed::sku(random.random_range(0..SKUS));
    let place = random.random_range(0..LOCATIONS);
    let (latitude, longitude) = position(place);
    let destination = pb::Destination {
        coordinates: Some(pb::Coordinates {
            latitude_micro_degrees: latitude + 1_000,
            longitude_micro_degrees: longitude,
        }),
        zone_id: String::new(),
    };
    HoldStockRequest {
        request_id: HoldId::generate(clock).to_string(),
        kind: HoldKind::Soft.into(),
        channel_id: CHANNEL.to_owned(),
        lines: vec![HoldRequestLine {
            sku,
            location_id: if network { String::new() } else { location(place) },
            quantity: 1,
        }],
        ttl: Some(prost_types::Duration { seconds: TTL_S, nanos: 0 }),
        network: network.then(|| pb::NetworkTerms { destination: Some(destination), ..Default::default() }),
        ..Default::default()
    }
}

async fn hold(stage: &Stage, load: Load, network: bool) -> anyhow::Result<Round> {
    let (apis, clock) = (stage.apis.clone(), stage.clock.clone());
    load::drive(load, &stage.meter, move |stream| {
        let (mut inventory, request) = (apis[stream % apis.len()].inventory.clone(), request(&clock, network));
        async move { inventory.hold_stock(request).await.map(drop) }
    })
    .await
}
