//! The shop that is measured: one warehouse, one channel, one price list, 10,000 SKUs with more stock than any run sells.

use std::time::Duration;

use oneshelf_proto::{
    catalog::v1 as catalog, channels::v1 as channels, inventory::v1 as inventory, r#type::v1::UnitPrice,
};
use oneshelf_values::HoldId;
use tonic::Code;

use super::stage::Stage;
use crate::api::Api;

pub const SKUS: usize = 10_000;
/// The one that everybody wants.
pub const HOT_SKU: &str = "HOT-1";
/// Of which there are only [`SCARCE_UNITS`].
pub const SCARCE_SKU: &str = "SCARCE-1";
pub const SCARCE_UNITS: i64 = 200;
pub const LOCATION: &str = "WH-1";
pub const CHANNEL: &str = "WEB";
pub const CURRENCY: &str = "GBP";

const PLENTY: i64 = 1_000_000_000;
const PAGE: usize = 500;

pub fn sku(number: usize) -> String {
    format!("SKU-{:05}", number % SKUS + 1)
}

pub fn request_id(stage: &Stage) -> String {
    HoldId::generate(&stage.clock).to_string()
}

pub async fn fill(stage: &Stage) -> anyhow::Result<()> {
    let mut api = stage.apis[0].clone();
    places(stage, &mut api).await?;
    let skus: Vec<String> = (0..SKUS).map(sku).chain([HOT_SKU.to_owned(), SCARCE_SKU.to_owned()]).collect();
    for page in skus.chunks(PAGE) {
        products(stage, &mut api, page).await?;
        stock(stage, &mut api, page).await?;
    }
    prices(stage, &mut api, &skus).await?;
    wait_until_sold(&mut api).await?;
    stage.settle().await?;
    // A running installation has statistics; without them PostgreSQL plans for empty tables.
    sqlx::query("VACUUM (ANALYZE)").execute(&stage.pool).await?;
    Ok(())
}

async fn places(stage: &Stage, api: &mut Api) -> anyhow::Result<()> {
    let location = inventory::Location {
        location_id: LOCATION.to_owned(),
        kind: inventory::LocationKind::Warehouse.into(),
        title: "Warehouse".to_owned(),
        ..Default::default()
    };
    let request_id = request_id(stage);
    api.inventory.create_location(inventory::CreateLocationRequest { request_id, location: Some(location) }).await?;
    let channel = channels::Channel {
        channel_id: CHANNEL.to_owned(),
        kind: channels::ChannelKind::Web.into(),
        title: "Web shop".to_owned(),
        currency_code: CURRENCY.to_owned(),
        location_ids: vec![LOCATION.to_owned()],
        ..Default::default()
    };
    let request_id = self::request_id(stage);
    api.channels.create_channel(channels::CreateChannelRequest { request_id, channel: Some(channel) }).await?;
    Ok(())
}

async fn products(stage: &Stage, api: &mut Api, skus: &[String]) -> anyhow::Result<()> {
    let products = skus
        .iter()
        .map(|sku| catalog::Product {
            product_id: format!("P-{sku}"),
            title: format!("Article {sku}"),
            variants: vec![catalog::Variant { sku: sku.clone(), ..Default::default() }],
            ..Default::default()
        })
        .collect();
    let request_id = request_id(stage);
    api.catalog.batch_create_products(catalog::BatchCreateProductsRequest { request_id, products }).await?;
    Ok(())
}

async fn stock(stage: &Stage, api: &mut Api, skus: &[String]) -> anyhow::Result<()> {
    let lines = skus
        .iter()
        .map(|sku| inventory::StockLine {
            sku: sku.clone(),
            quantity: if sku == SCARCE_SKU { SCARCE_UNITS } else { PLENTY },
            ..Default::default()
        })
        .collect();
    api.inventory
        .receive_stock(inventory::ReceiveStockRequest {
            request_id: request_id(stage),
            location_id: LOCATION.to_owned(),
            lines,
            reference: "opening stock".to_owned(),
            effective_time: None,
        })
        .await?;
    Ok(())
}

async fn prices(stage: &Stage, api: &mut Api, skus: &[String]) -> anyhow::Result<()> {
    let price_list = catalog::PriceList {
        price_list_id: "WEB-GBP".to_owned(),
        title: "Web prices".to_owned(),
        currency_code: CURRENCY.to_owned(),
        channel_id: CHANNEL.to_owned(),
        ..Default::default()
    };
    let request = catalog::CreatePriceListRequest { request_id: request_id(stage), price_list: Some(price_list) };
    api.catalog.create_price_list(request).await?;
    let entries = skus
        .iter()
        .enumerate()
        .map(|(place, sku)| catalog::PriceEntry {
            sku: sku.clone(),
            unit_price: Some(UnitPrice {
                micros: (place as i64 % 97 + 3) * 990_000,
                currency_code: CURRENCY.to_owned(),
            }),
            ..Default::default()
        })
        .collect();
    api.catalog
        .publish_price_list(catalog::PublishPriceListRequest {
            request_id: request_id(stage),
            price_list_id: "WEB-GBP".to_owned(),
            entries,
            activate_time: None,
        })
        .await?;
    Ok(())
}

/// Inventory hears of the channel by an event, catalog's board of the prices within its refresh.
async fn wait_until_sold(api: &mut Api) -> anyhow::Result<()> {
    for _ in 0..100 {
        let availability = api.inventory.get_availability(inventory::GetAvailabilityRequest {
            channel_id: CHANNEL.to_owned(),
            skus: vec![HOT_SKU.to_owned()],
            ..Default::default()
        });
        let quote = super::quotes::request(0, 1);
        match (availability.await, api.catalog.quote_prices(quote).await) {
            (Ok(answer), Ok(_)) if answer.get_ref().availabilities.iter().any(|found| found.available > 0) => {
                return Ok(());
            }
            (Err(status), _) | (_, Err(status)) if status.code() == Code::Unauthenticated => return Err(status.into()),
            _ => tokio::time::sleep(Duration::from_millis(200)).await,
        }
    }
    anyhow::bail!("the channel sells nothing after 20 s: its stock and prices travel by events")
}
