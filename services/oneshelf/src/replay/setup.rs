//! The stage of the year: locations, channels, price lists, products, dealers and members.
//!
//! What is there already is left as it is, so a second run, or another file on the same installation, adds only what is
//! missing.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use anyhow::{Context, bail};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use oneshelf_proto::{
    catalog::v1::{
        BatchCreateProductsRequest, CreatePriceListRequest, GetPriceBookRequest, ListPriceListsRequest,
        ListProductsRequest, PriceEntry, PriceList, Product, PublishPriceListRequest, Variant,
    },
    channels::v1::{Channel, ChannelKind, CreateChannelRequest, ListChannelsRequest},
    inventory::v1::{CreateLocationRequest, GetAvailabilityRequest, ListLocationsRequest, Location, LocationKind},
    loyalty::v1::{BatchCreateMembersRequest, ListMembersRequest},
    partners::v1::{CreatePartnerRequest, ListPartnersRequest, Partner},
    r#type::v1::Money,
};

use super::{
    calls::Caller,
    classify::{Place, SalesChannel},
    ids,
    progress::Progress,
    requests::{CURRENCY, OFFICE, Year, printable, timestamp, unit_price},
};

/// Nobody's credit ends during the year: ten billion pounds.
const AMPLE_CREDIT_MINOR: i64 = 1_000_000_000_000;
const PAGE: i32 = 1_000;
const PRODUCTS_PER_REQUEST: usize = 500;
const MEMBERS_PER_REQUEST: usize = 1_000;
const PRICES_PER_REQUEST: usize = 20_000;
/// How long an event may take to arrive.
const PATIENCE: Duration = Duration::from_secs(60);

/// Reads all pages of a list RPC.
macro_rules! all_pages {
    ($caller:expr, $client:ident . $rpc:ident, $request:expr, $items:ident) => {{
        let mut found = Vec::new();
        let mut request = $request;
        loop {
            let page =
                $caller
                    .read(stringify!($rpc), request.clone(), |mut api, request| async move {
                        api.$client.$rpc(request).await
                    })
                    .await?;
            found.extend(page.$items);
            if page.next_page_token.is_empty() {
                break found;
            }
            request.page_token = page.next_page_token;
        }
    }};
}
pub(super) use all_pages;

/// Brings everything that the documents name into being.
pub async fn run(caller: &Caller, year: &Year, clients: usize, progress: &Progress) -> anyhow::Result<()> {
    progress.say("locations and channels");
    locations(caller, year).await?;
    channels(caller, year).await?;
    progress.say("products");
    products(caller, year).await?;
    progress.say("prices");
    price_lists(caller, year).await?;
    progress.say("dealers and members");
    partners(caller, year, clients).await?;
    members(caller, year).await?;
    progress.say("waiting until inventory knows the channels");
    channels_are_known(caller).await
}

async fn locations(caller: &Caller, year: &Year) -> anyhow::Result<()> {
    let request = ListLocationsRequest { page_size: PAGE, ..Default::default() };
    let found = all_pages!(caller, inventory.list_locations, request, locations);
    let found: BTreeSet<String> = found.into_iter().map(|location| location.location_id).collect();
    for place in Place::ALL.into_iter().filter(|place| !found.contains(place.code())) {
        let warehouse = place == Place::WAREHOUSE;
        let kind = if warehouse { LocationKind::Warehouse } else { LocationKind::Store };
        let request = CreateLocationRequest {
            request_id: year.ids.of(&format!("location/{}", place.code())),
            location: Some(Location {
                location_id: place.code().to_owned(),
                kind: kind.into(),
                title: if warehouse { "The warehouse".to_owned() } else { format!("Shop {}", &place.code()[5..]) },
                oversell_facts: !warehouse,
                ..Default::default()
            }),
        };
        caller
            .send("CreateLocation", request, |mut api, r| async move { api.inventory.create_location(r).await })
            .await?;
    }
    Ok(())
}

fn channel_codes() -> impl Iterator<Item = (&'static str, ChannelKind, &'static str, &'static [Place])> {
    let [warehouse, shops @ ..] = const { &Place::ALL };
    let warehouse = std::slice::from_ref(warehouse);
    let of = move |channel: SalesChannel| match channel {
        SalesChannel::Dealer => (channel.code(), ChannelKind::Dealer, "Dealers", warehouse),
        SalesChannel::Online => (channel.code(), ChannelKind::Web, "Web shop", warehouse),
        SalesChannel::Shop => (channel.code(), ChannelKind::Store, "Shops", &shops[..]),
    };
    let office = (OFFICE, ChannelKind::Store, "Corrections", warehouse);
    SalesChannel::ALL.into_iter().map(of).chain([office])
}

async fn channels(caller: &Caller, year: &Year) -> anyhow::Result<()> {
    let request = ListChannelsRequest { page_size: PAGE, ..Default::default() };
    let found = all_pages!(caller, channels.list_channels, request, channels);
    let found: BTreeSet<String> = found.into_iter().map(|channel| channel.channel_id).collect();
    for (code, kind, title, places) in channel_codes().filter(|(code, ..)| !found.contains(*code)) {
        let request = CreateChannelRequest {
            request_id: year.ids.of(&format!("channel/{code}")),
            channel: Some(Channel {
                channel_id: code.to_owned(),
                kind: kind.into(),
                title: title.to_owned(),
                currency_code: CURRENCY.to_owned(),
                location_ids: places.iter().map(|place| place.code().to_owned()).collect(),
                ..Default::default()
            }),
        };
        caller.send("CreateChannel", request, |mut api, r| async move { api.channels.create_channel(r).await }).await?;
    }
    Ok(())
}

/// Orders hold stock for a channel, which inventory learns of by an event.
async fn channels_are_known(caller: &Caller) -> anyhow::Result<()> {
    for (code, ..) in channel_codes() {
        let request =
            GetAvailabilityRequest { channel_id: code.to_owned(), skus: vec!["NONE".to_owned()], ..Default::default() };
        let known = async {
            loop {
                let ask = caller.read("GetAvailability", request.clone(), |mut api, r| async move {
                    api.inventory.get_availability(r).await
                });
                match ask.await {
                    Ok(_) => break anyhow::Ok(()),
                    Err(error) if error.reason() == "CHANNEL_NOT_FOUND" => {}
                    Err(error) => bail!(error),
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let patience = || format!("inventory has not heard of channel {code} within {} s", PATIENCE.as_secs());
        tokio::time::timeout(PATIENCE, known).await.with_context(patience)??;
    }
    Ok(())
}

async fn products(caller: &Caller, year: &Year) -> anyhow::Result<()> {
    let request = ListProductsRequest { page_size: PAGE, ..Default::default() };
    let found = all_pages!(caller, catalog.list_products, request, products);
    let found: BTreeSet<String> =
        found.into_iter().flat_map(|product| product.variants).map(|variant| variant.sku).collect();
    let missing: Vec<Product> = year
        .data
        .skus
        .iter()
        .filter(|sku| sku.goods && !found.contains(sku.code.as_str()))
        .map(|sku| {
            let title = printable(&sku.title, 200);
            Product {
                product_id: ids::product(sku.code.as_str()),
                title: if title.is_empty() { sku.code.to_string() } else { title },
                variants: vec![Variant { sku: sku.code.to_string(), ..Default::default() }],
                create_time: None,
            }
        })
        .collect();
    for batch in missing.chunks(PRODUCTS_PER_REQUEST) {
        let names: Vec<&str> = batch.iter().map(|product| product.product_id.as_str()).collect();
        let request = BatchCreateProductsRequest {
            request_id: year.ids.of(&format!("products/{}", names.join(" "))),
            products: batch.to_vec(),
        };
        let create = |mut api: crate::api::Api, r| async move { api.catalog.batch_create_products(r).await };
        caller.send("BatchCreateProducts", request, create).await?;
    }
    Ok(())
}

async fn price_lists(caller: &Caller, year: &Year) -> anyhow::Result<()> {
    let request = ListPriceListsRequest { page_size: PAGE, ..Default::default() };
    let found = all_pages!(caller, catalog.list_price_lists, request, price_lists);
    let found: BTreeSet<String> = found.into_iter().map(|list| list.price_list_id).collect();
    let mut newest = 0;
    for channel in SalesChannel::ALL {
        let list = channel.price_list();
        if !found.contains(list) {
            let request = CreatePriceListRequest {
                request_id: year.ids.of(&format!("price list/{list}")),
                price_list: Some(PriceList {
                    price_list_id: list.to_owned(),
                    title: format!("Prices of channel {}", channel.code()),
                    currency_code: CURRENCY.to_owned(),
                    channel_id: channel.code().to_owned(),
                    ..Default::default()
                }),
            };
            let create = |mut api: crate::api::Api, r| async move { api.catalog.create_price_list(r).await };
            caller.send("CreatePriceList", request, create).await?;
        }
        let entries: Vec<PriceEntry> = year
            .prices
            .of_channel(channel)
            .map(|(sku, month, micros)| PriceEntry {
                sku: year.data.skus[sku as usize].code.to_string(),
                unit_price: Some(unit_price(micros)),
                valid_from: Some(timestamp(month.start())),
                ..Default::default()
            })
            .collect();
        for (part, entries) in entries.chunks(PRICES_PER_REQUEST).enumerate() {
            let request = PublishPriceListRequest {
                request_id: year.ids.of(&format!("prices/{list}/{part}")),
                price_list_id: list.to_owned(),
                entries: entries.to_vec(),
                activate_time: None,
            };
            let publish = |mut api: crate::api::Api, r| async move { api.catalog.publish_price_list(r).await };
            let published = caller.send("PublishPriceList", request, publish).await?;
            newest = newest.max(published.price_book.map_or(0, |book| book.book_version));
        }
    }
    prices_are_active(caller, newest).await
}

async fn prices_are_active(caller: &Caller, version: i64) -> anyhow::Result<()> {
    let active = async {
        loop {
            let request = GetPriceBookRequest {};
            let ask = |mut api: crate::api::Api, r| async move { api.catalog.get_price_book(r).await };
            let book = caller.read("GetPriceBook", request, ask).await?.price_book;
            if book.is_some_and(|book| book.book_version >= version) || version == 0 {
                break anyhow::Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, active).await.context("the published prices do not become active")?
}

async fn partners(caller: &Caller, year: &Year, clients: usize) -> anyhow::Result<()> {
    // Code → name of the firm.
    let mut wanted: BTreeMap<String, String> = BTreeMap::new();
    for document in year.data.documents.iter().filter(|document| document.channel == Some(SalesChannel::Dealer)) {
        let customer = document.customer.map(|customer| &*year.data.customers[customer as usize]);
        let title = || customer.map_or("Dealers without account".to_owned(), |name| format!("Customer {name}"));
        wanted.entry(ids::partner(customer)).or_insert_with(|| printable(&title(), 200));
    }
    let request = ListPartnersRequest { page_size: PAGE, ..Default::default() };
    for partner in all_pages!(caller, partners.list_partners, request, partners) {
        wanted.remove(&partner.partner_id);
    }
    stream::iter(wanted)
        .map(|(code, title)| async move {
            let request = CreatePartnerRequest {
                request_id: year.ids.of(&format!("partner/{code}")),
                partner: Some(Partner {
                    partner_id: code,
                    title,
                    credit_limit: Some(Money { minor_units: AMPLE_CREDIT_MINOR, currency_code: CURRENCY.to_owned() }),
                    ..Default::default()
                }),
            };
            let create = |mut api: crate::api::Api, r| async move { api.partners.create_partner(r).await };
            caller.send("CreatePartner", request, create).await.map(|_| ())
        })
        .buffer_unordered(clients)
        .try_collect()
        .await
}

async fn members(caller: &Caller, year: &Year) -> anyhow::Result<()> {
    let mut wanted: BTreeSet<String> = year.data.customers.iter().map(|customer| ids::member(customer)).collect();
    let request = ListMembersRequest { page_size: PAGE, ..Default::default() };
    for member in all_pages!(caller, loyalty.list_members, request, members) {
        wanted.remove(&member.member_id);
    }
    let wanted: Vec<String> = wanted.into_iter().collect();
    for batch in wanted.chunks(MEMBERS_PER_REQUEST) {
        let request = BatchCreateMembersRequest {
            request_id: year.ids.of(&format!("members/{}", batch.join(" "))),
            member_ids: batch.to_vec(),
        };
        let create = |mut api: crate::api::Api, r| async move { api.loyalty.batch_create_members(r).await };
        caller.send("BatchCreateMembers", request, create).await?;
    }
    Ok(())
}
