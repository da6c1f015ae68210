//! Fills an empty installation with the demo shop, through the public API. Ids derive from the seed, so running it again
//! repeats the same requests and changes nothing.

use anyhow::Context;
use oneshelf_proto::{
    catalog::v1 as catalog,
    channels::v1 as channels,
    inventory::v1 as inventory,
    loyalty::v1 as loyalty,
    partners::v1 as partners,
    r#type::v1::{Money, UnitPrice},
};
use oneshelf_values::derived_id;
use uuid::Uuid;

use super::shop;
use crate::api::Api;

/// What the shops and the warehouse start with, per SKU.
const WAREHOUSE_UNITS: i64 = 500;
const SHOP_UNITS: i64 = 20;

pub fn unit_price(pence: i64) -> UnitPrice {
    UnitPrice { micros: pence * 10_000, currency_code: shop::CURRENCY.to_owned() }
}

pub async fn seed(api: &mut Api, seed: u64) -> anyhow::Result<()> {
    let root = Uuid::from_u128(0x5eed_0000_0000_8000_8000_0000_0000_0000 | u128::from(seed));
    let id = |what: &str| derived_id(root, what).to_string();
    let articles = shop::articles(seed);

    places(api, &id).await.context("locations and channels")?;
    products(api, &id, &articles).await.context("products and prices")?;
    people(api, &id).await.context("dealers and members")?;
    stock(api, &id, &articles).await.context("stock")?;
    Ok(())
}

async fn places(api: &mut Api, id: &impl Fn(&str) -> String) -> anyhow::Result<()> {
    let stores = shop::SHOPS.map(|shop| (shop, inventory::LocationKind::Store, true));
    for (location_id, kind, oversell_facts) in
        std::iter::once((shop::WAREHOUSE, inventory::LocationKind::Warehouse, false)).chain(stores)
    {
        api.inventory
            .create_location(inventory::CreateLocationRequest {
                request_id: id(location_id),
                location: Some(inventory::Location {
                    location_id: location_id.to_owned(),
                    kind: kind.into(),
                    title: format!("Demo {location_id}"),
                    oversell_facts,
                    ..Default::default()
                }),
            })
            .await?;
    }
    for (channel_id, kind, title, locations) in shop::channels() {
        api.channels
            .create_channel(channels::CreateChannelRequest {
                request_id: id(&format!("channel {channel_id}")),
                channel: Some(channels::Channel {
                    channel_id: channel_id.to_owned(),
                    kind: kind.into(),
                    title,
                    currency_code: shop::CURRENCY.to_owned(),
                    location_ids: locations.into_iter().map(str::to_owned).collect(),
                    ..Default::default()
                }),
            })
            .await?;
    }
    Ok(())
}

async fn products(api: &mut Api, id: &impl Fn(&str) -> String, articles: &[shop::Article]) -> anyhow::Result<()> {
    for (number, page) in articles.chunks(500).enumerate() {
        let products = page
            .iter()
            .map(|article| catalog::Product {
                product_id: format!("P-{}", article.sku),
                title: article.title.clone(),
                variants: vec![catalog::Variant { sku: article.sku.clone(), ..Default::default() }],
                ..Default::default()
            })
            .collect();
        let request_id = id(&format!("products {number}"));
        api.catalog.batch_create_products(catalog::BatchCreateProductsRequest { request_id, products }).await?;
    }
    let lists = shop::channels().into_iter().map(|(channel, ..)| (shop::price_list(channel), channel, 100));
    // Dealers with an agreement of their own pay less than the dealers' list says.
    let own = std::iter::once(("GOLD-GBP".to_owned(), "", 70));
    for (list, channel, percent) in lists.chain(own) {
        let percent = if channel == shop::DEALER_CHANNEL { 80 } else { percent };
        api.catalog
            .create_price_list(catalog::CreatePriceListRequest {
                request_id: id(&format!("list {list}")),
                price_list: Some(catalog::PriceList {
                    price_list_id: list.clone(),
                    title: format!("Prices {list}"),
                    currency_code: shop::CURRENCY.to_owned(),
                    channel_id: channel.to_owned(),
                    ..Default::default()
                }),
            })
            .await?;
        let entries = articles
            .iter()
            .map(|article| catalog::PriceEntry {
                sku: article.sku.clone(),
                unit_price: Some(unit_price(article.pence * percent / 100)),
                ..Default::default()
            })
            .collect();
        api.catalog
            .publish_price_list(catalog::PublishPriceListRequest {
                request_id: id(&format!("prices {list}")),
                price_list_id: list,
                entries,
                activate_time: None,
            })
            .await?;
    }
    Ok(())
}

async fn people(api: &mut Api, id: &impl Fn(&str) -> String) -> anyhow::Result<()> {
    for (number, (partner_id, title)) in shop::DEALERS.into_iter().enumerate() {
        let gold = number == 0;
        api.partners
            .create_partner(partners::CreatePartnerRequest {
                request_id: id(partner_id),
                partner: Some(partners::Partner {
                    partner_id: partner_id.to_owned(),
                    title: title.to_owned(),
                    tier: if gold { partners::PartnerTier::Gold } else { partners::PartnerTier::Standard }.into(),
                    price_list_id: if gold { "GOLD-GBP".to_owned() } else { String::new() },
                    credit_limit: Some(Money { minor_units: 5_000_000, currency_code: shop::CURRENCY.to_owned() }),
                    ..Default::default()
                }),
            })
            .await?;
    }
    let member_ids = (0..shop::MEMBERS).map(shop::member).collect();
    api.loyalty
        .batch_create_members(loyalty::BatchCreateMembersRequest { request_id: id("members"), member_ids })
        .await?;
    Ok(())
}

async fn stock(api: &mut Api, id: &impl Fn(&str) -> String, articles: &[shop::Article]) -> anyhow::Result<()> {
    let shops = shop::SHOPS.map(|shop| (shop, SHOP_UNITS));
    for (location, quantity) in std::iter::once((shop::WAREHOUSE, WAREHOUSE_UNITS)).chain(shops) {
        for (number, page) in articles.chunks(1_000).enumerate() {
            let lines = page
                .iter()
                .map(|article| inventory::StockLine { sku: article.sku.clone(), quantity, ..Default::default() })
                .collect();
            api.inventory
                .receive_stock(inventory::ReceiveStockRequest {
                    request_id: id(&format!("opening {location} {number}")),
                    location_id: location.to_owned(),
                    lines,
                    reference: "opening stock".to_owned(),
                    effective_time: None,
                })
                .await?;
        }
    }
    Ok(())
}
