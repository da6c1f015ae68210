//! Orders from the quote to the door: QuotePrices, PlaceOrder, ShipOrder.

use oneshelf_proto::orders::v1::{PlaceOrderRequest, ShipOrderRequest};
use oneshelf_values::{Clock, HoldId};
use rand::Rng;
use tonic::Status;

use super::{
    BenchArgs,
    load::{self, Load, Round},
    quotes,
    report::Figure,
    seed,
    stage::Stage,
};
use crate::api::Api;

pub async fn measure(args: &BenchArgs, stage: &Stage, figures: &mut Vec<Figure>) -> anyhow::Result<()> {
    for load in args.loads() {
        for lines in [1, 5] {
            let mut ours = Vec::new();
            for _ in 0..args.rounds {
                ours.push(sell(stage, load, lines).await?);
            }
            let name = format!("orders of {lines} lines, quoted, placed and shipped");
            let figure = Figure::of(name, "orders", load, &ours, Vec::new())?;
            figure.print();
            figures.push(figure);
        }
    }
    Ok(())
}

async fn sell(stage: &Stage, load: Load, lines: usize) -> anyhow::Result<Round> {
    let (apis, clock) = (stage.apis.clone(), stage.clock.clone());
    load::drive(load, &stage.meter, move |stream| sell_one(apis[stream % apis.len()].clone(), clock.clone(), lines))
        .await
}

async fn sell_one(mut api: Api, clock: Clock, lines: usize) -> Result<(), Status> {
    let first = rand::rng().random_range(0..seed::SKUS);
    let quote = api.catalog.quote_prices(quotes::request(first, lines)).await?.into_inner();
    let order_id = HoldId::generate(&clock).to_string();
    api.orders
        .place_order(PlaceOrderRequest {
            request_id: order_id.clone(),
            signed_quote: quote.signed_quote,
            location_id: seed::LOCATION.to_owned(),
            ..Default::default()
        })
        .await?;
    let request_id = HoldId::generate(&clock).to_string();
    api.orders.ship_order(ShipOrderRequest { request_id, order_id, ..Default::default() }).await?;
    Ok(())
}
