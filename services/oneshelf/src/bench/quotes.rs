//! Signed quotes: of one line, and of a basket of twenty.

use anyhow::Context;
use oneshelf_proto::catalog::v1::{QuoteLine, QuotePricesRequest};
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

pub async fn measure(args: &BenchArgs, stage: &Stage, figures: &mut Vec<Figure>) -> anyhow::Result<()> {
    for load in args.loads() {
        for lines in [1, 20] {
            let sizes = sizes(stage, lines).await?;
            let (mut echoes, mut ours) = (Vec::new(), Vec::new());
            for _ in 0..args.rounds {
                echoes.push(stage.echo(load, sizes).await?.per_second());
                ours.push(ask(stage, load, lines).await?);
            }
            let name = format!("quotes of {lines} lines");
            let figure = Figure::of(name, "quotes", load, &ours, vec![(echo_named(sizes), echoes)])?;
            figure.print();
            figures.push(figure);
        }
    }
    Ok(())
}

/// One unit each of `lines` neighbouring SKUs from `first` on.
pub fn request(first: usize, lines: usize) -> QuotePricesRequest {
    QuotePricesRequest {
        channel_id: seed::CHANNEL.to_owned(),
        currency_code: seed::CURRENCY.to_owned(),
        lines: (first..first + lines)
            .map(|number| QuoteLine { sku: seed::sku(number), quantity: 1, ..Default::default() })
            .collect(),
        ..Default::default()
    }
}

fn any(lines: usize) -> QuotePricesRequest {
    request(rand::rng().random_range(0..seed::SKUS), lines)
}

async fn ask(stage: &Stage, load: Load, lines: usize) -> anyhow::Result<Round> {
    let apis = stage.apis.clone();
    load::drive(load, &stage.meter, move |stream| {
        let mut catalog = apis[stream % apis.len()].catalog.clone();
        async move { catalog.quote_prices(any(lines)).await.map(drop) }
    })
    .await
}

async fn sizes(stage: &Stage, lines: usize) -> anyhow::Result<Sizes> {
    let request = any(lines);
    let question = request.encoded_len();
    let answer = stage.apis[0].catalog.clone().quote_prices(request).await.context("one quote")?;
    Ok(Sizes { question, answer: answer.get_ref().encoded_len() })
}
