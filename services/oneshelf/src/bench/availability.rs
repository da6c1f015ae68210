//! What a channel may sell now: of one SKU, and of a page of fifty. Shoppers look at the same few things, so most
//! answers come from the cache; one figure asks for anything at random, where most do not.

use anyhow::Context;
use oneshelf_proto::inventory::v1::GetAvailabilityRequest;
use prost::Message;
use rand::Rng;

use super::{
    BenchArgs,
    echo::Sizes,
    echo_named,
    load::{self, Load, Round},
    report::Figure,
    seed,
    stage::Stage,
};

/// What most shoppers look at.
const POPULAR: usize = 100;

pub async fn measure(args: &BenchArgs, stage: &Stage, figures: &mut Vec<Figure>) -> anyhow::Result<()> {
    for load in args.loads() {
        for (skus, among) in [(1, POPULAR), (50, POPULAR), (1, seed::SKUS)] {
            let sizes = sizes(stage, skus).await?;
            let (mut echoes, mut ours) = (Vec::new(), Vec::new());
            for _ in 0..args.rounds {
                echoes.push(stage.echo(load, sizes).await?.per_second());
                ours.push(ask(stage, load, skus, among).await?);
            }
            let name = format!("availability of {skus} of {among} SKUs for a channel");
            let figure = Figure::of(name, "answers", load, &ours, vec![(echo_named(sizes), echoes)])?;
            figure.print();
            figures.push(figure);
        }
    }
    Ok(())
}

/// Neighbouring SKUs from a random one on, all among the first `among`.
fn request(skus: usize, among: usize) -> GetAvailabilityRequest {
    let first = rand::rng().random_range(0..=among - skus);
    GetAvailabilityRequest {
        channel_id: seed::CHANNEL.to_owned(),
        skus: (first..first + skus).map(seed::sku).collect(),
        ..Default::default()
    }
}

async fn ask(stage: &Stage, load: Load, skus: usize, among: usize) -> anyhow::Result<Round> {
    let apis = stage.apis.clone();
    load::drive(load, &stage.meter, move |stream| {
        let mut inventory = apis[stream % apis.len()].inventory.clone();
        async move { inventory.get_availability(request(skus, among)).await.map(drop) }
    })
    .await
}

async fn sizes(stage: &Stage, skus: usize) -> anyhow::Result<Sizes> {
    let request = request(skus, seed::SKUS);
    let question = request.encoded_len();
    let answer = stage.apis[0].inventory.clone().get_availability(request).await.context("one availability")?;
    Ok(Sizes { question, answer: answer.get_ref().encoded_len() })
}
