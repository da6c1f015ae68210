//! Holds of one unit: over all SKUs, and all on one.

use anyhow::Context;
use oneshelf_proto::inventory::v1::{HoldKind, HoldRequestLine, HoldStockRequest};
use oneshelf_values::{Clock, HoldId};
use prost::Message;
use rand::Rng;

use super::{
    BenchArgs,
    echo::Sizes,
    echo_named,
    load::{self, Load, Round},
    pgbench::{Pgbench, ROWS},
    report::Figure,
    seed,
    stage::Stage,
};
use crate::api::Api;

/// The pgbench limit over all rows has this many clients.
const UNIFORM_CLIENTS: usize = 32;
/// On one row, more clients may be slower: the best of these counts.
const HOT_CLIENTS: [usize; 3] = [1, 8, 32];
/// Nothing expires while it is measured.
const TTL_S: i64 = 3_600;

pub async fn measure(args: &BenchArgs, stage: &Stage, figures: &mut Vec<Figure>) -> anyhow::Result<()> {
    let pgbench = Pgbench::prepare(&stage.pool, &stage.options).await?;
    let sizes = sizes(stage).await?;
    for load in args.loads() {
        for hot in [false, true] {
            let mut reservations = Limit::new(hot);
            let (mut limit, mut bare, mut echoes, mut ours) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
            let (mut commands, mut groups) = (0.0, 0.0);
            for _ in 0..args.rounds {
                limit.push(reservations.measure(&pgbench, load).await?);
                bare.push(stage.reserve(load, sizes, if hot { 1 } else { ROWS }).await?.per_second());
                echoes.push(stage.echo(load, sizes).await?.per_second());
                let before = executed(stage).await?;
                ours.push(hold(stage, load, hot).await?);
                let after = executed(stage).await?;
                commands += after.0 - before.0;
                groups += after.1 - before.1;
            }
            let name = if hot { "holds, one hot SKU" } else { "holds, 10,000 SKUs" };
            let limits = vec![
                (reservations.name(), limit),
                ("the same statement in a bare gRPC server".to_owned(), bare),
                (echo_named(sizes), echoes),
            ];
            let mut figure = Figure::of(name.to_owned(), "holds", load, &ours, limits)?;
            figure.group_size = (groups > 0.0).then(|| commands / groups);
            figure.print();
            figures.push(figure);
        }
    }
    Ok(())
}

/// One hold of one unit of each SKU.
pub fn request(clock: &Clock, skus: impl IntoIterator<Item = String>) -> HoldStockRequest {
    let line = |sku| HoldRequestLine { sku, location_id: seed::LOCATION.to_owned(), quantity: 1 };
    HoldStockRequest {
        request_id: HoldId::generate(clock).to_string(),
        kind: HoldKind::Soft.into(),
        lines: skus.into_iter().map(line).collect(),
        ttl: Some(prost_types::Duration { seconds: TTL_S, nanos: 0 }),
        ..Default::default()
    }
}

pub async fn hold(stage: &Stage, load: Load, hot: bool) -> anyhow::Result<Round> {
    hold_each(stage, &stage.apis, load, one_sku(hot)).await
}

/// The one that everybody wants, or any.
pub fn one_sku(hot: bool) -> impl Fn() -> Vec<String> + Send + Sync + 'static {
    move || vec![if hot { seed::HOT_SKU.to_owned() } else { any_sku() }]
}

pub fn any_sku() -> String {
    seed::sku(rand::rng().random_range(0..seed::SKUS))
}

/// One round of holds of one unit of each of `skus`, over all of `apis`.
pub async fn hold_each(
    stage: &Stage,
    apis: &[Api],
    load: Load,
    skus: impl Fn() -> Vec<String> + Send + Sync + 'static,
) -> anyhow::Result<Round> {
    let (apis, clock) = (apis.to_vec(), stage.clock.clone());
    load::drive(load, &stage.meter, move |stream| {
        let (mut inventory, request) = (apis[stream % apis.len()].inventory.clone(), request(&clock, skus()));
        async move { inventory.hold_stock(request).await.map(drop) }
    })
    .await
}

async fn sizes(stage: &Stage) -> anyhow::Result<Sizes> {
    let request = request(&stage.clock, [seed::sku(0)]);
    let question = request.encoded_len();
    let answer = stage.apis[0].inventory.clone().hold_stock(request).await.context("one hold")?;
    Ok(Sizes { question, answer: answer.get_ref().encoded_len() })
}

/// Commands and groups that the executor has run.
async fn executed(stage: &Stage) -> anyhow::Result<(f64, f64)> {
    Ok((stage.metric("oneshelf_batch_group_size_sum").await?, stage.metric("oneshelf_batch_group_size_count").await?))
}

/// The pgbench side: on one row the first round also finds the best number of clients.
struct Limit {
    hot: bool,
    clients: Option<usize>,
}

impl Limit {
    fn new(hot: bool) -> Self {
        Self { hot, clients: (!hot).then_some(UNIFORM_CLIENTS) }
    }

    fn name(&self) -> String {
        let rows = if self.hot { "on one row, at its best" } else { "over 10,000 rows" };
        format!("pgbench reservations {rows}, {} clients", self.clients.unwrap_or_default())
    }

    async fn measure(&mut self, pgbench: &Pgbench, load: Load) -> anyhow::Result<f64> {
        if let Some(clients) = self.clients {
            return pgbench.run(clients, self.hot, load.time).await;
        }
        let mut best = 0.0;
        for clients in HOT_CLIENTS {
            let rate = pgbench.run(clients, self.hot, load.time).await?;
            if rate > best {
                (best, self.clients) = (rate, Some(clients));
            }
        }
        Ok(best)
    }
}
