//! Price lists, publishes and price books.

use chrono::{DateTime, Utc};
use oneshelf_kit::{idempotency::Key, status::Violations};
use oneshelf_proto::catalog::v1 as proto;
use oneshelf_values::{Currency, PriceListId, Sku};
use tonic::Status;

use super::{
    fields::{At, Within, YEARS, instant, optional, page_size, request_key, text, unit_price},
    quotes::MAX_LINE_QUANTITY,
};
use crate::{
    domain::price_list::{BookVersion, NewPrice, PriceList, PricePlace, PublishedPrice},
    usecases::{Page, PriceChanges, Publish},
    wire::{price_entry, timestamp},
};

const MAX_ENTRIES: usize = 20_000;

pub(in crate::grpc) fn create(mut request: proto::CreatePriceListRequest) -> Result<(Key, PriceList), Status> {
    let mut violations = Violations::new();
    let request_id = std::mem::take(&mut request.request_id);
    let key = request_key(&mut violations, "CreatePriceList", &request_id, &request);
    let list = violations.require("price_list", request.price_list.as_ref());
    let list = list.and_then(|list| price_list(&mut violations, list));
    match (key, list) {
        (Some(key), Some(list)) if violations.is_empty() => Ok((key, list)),
        _ => Err(violations.into_status()),
    }
}

fn price_list(violations: &mut Violations, list: &proto::PriceList) -> Option<PriceList> {
    let price_list_id = violations.check("price_list.price_list_id", list.price_list_id.parse());
    let title = text(violations, "price_list.title", &list.title, 1, 200);
    let currency: Option<Currency> = violations.check("price_list.currency_code", list.currency_code.parse());
    let channel = optional(violations, "price_list.channel_id", &list.channel_id);
    Some(PriceList {
        price_list_id: price_list_id?,
        title: title?,
        currency: currency?,
        channel,
        rising_tiers: list.rising_tiers,
        version: 0,
        created_at: DateTime::<Utc>::default(),
    })
}

pub(in crate::grpc) fn list(request: &proto::ListPriceListsRequest) -> Result<(Option<PriceListId>, usize), Status> {
    let mut violations = Violations::new();
    let size = page_size(&mut violations, request.page_size, 100, 1_000);
    let after = optional(&mut violations, "page_token", &request.page_token);
    match size {
        Some(size) if violations.is_empty() => Ok((after, size)),
        _ => Err(violations.into_status()),
    }
}

pub(in crate::grpc) fn publish(mut request: proto::PublishPriceListRequest) -> Result<(Key, Publish), Status> {
    let mut violations = Violations::new();
    let request_id = std::mem::take(&mut request.request_id);
    let key = request_key(&mut violations, "PublishPriceList", &request_id, &request);
    let price_list_id = violations.check("price_list_id", request.price_list_id.parse());
    let activate_at = instant(&mut violations, "activate_time", request.activate_time);
    if !(1..=MAX_ENTRIES).contains(&request.entries.len()) {
        violations.add("entries", format!("must be 1 to {MAX_ENTRIES}"));
        return Err(violations.into_status());
    }
    let mut entries = Vec::with_capacity(request.entries.len());
    for (index, entry) in request.entries.iter().enumerate() {
        entries.extend(new_price(&mut violations, index, entry));
    }
    match (key, price_list_id) {
        (Some(key), Some(price_list_id)) if violations.is_empty() => {
            Ok((key, Publish { price_list_id, entries, activate_at }))
        }
        _ => Err(violations.into_status()),
    }
}

fn new_price(violations: &mut Violations, index: usize, entry: &proto::PriceEntry) -> Option<NewPrice> {
    let at = |field| At("entries", index, field);
    let sku: Option<Sku> = violations.check(at("sku"), entry.sku.parse());
    let unit_price = unit_price(violations, at("unit_price"), entry.unit_price.as_ref());
    if unit_price.is_some_and(|price| price.micros() <= 0) {
        violations.add(Within(at("unit_price"), "micros"), "must be above zero");
    }
    let valid_from = instant(violations, at("valid_from"), entry.valid_from);
    let valid_to = instant(violations, at("valid_to"), entry.valid_to);
    let min_quantity = if entry.min_quantity == 0 { 1 } else { entry.min_quantity };
    if !(1..=MAX_LINE_QUANTITY).contains(&min_quantity) {
        violations.add(at("min_quantity"), format!("must be 1 to {MAX_LINE_QUANTITY}, or 0 for 1"));
    }
    Some(NewPrice { sku: sku?, unit_price: unit_price?, min_quantity, valid_from, valid_to })
}

/// Which prices a caller lists.
pub(in crate::grpc) struct ListPrices {
    pub(in crate::grpc) price_list_id: PriceListId,
    pub(in crate::grpc) sku: Option<Sku>,
    pub(in crate::grpc) after: Option<PricePlace>,
    pub(in crate::grpc) size: usize,
}

pub(in crate::grpc) fn list_prices(request: &proto::ListPricesRequest) -> Result<ListPrices, Status> {
    let mut violations = Violations::new();
    let price_list_id = violations.check("price_list_id", request.price_list_id.parse());
    let sku = optional(&mut violations, "sku", &request.sku);
    let size = page_size(&mut violations, request.page_size, 500, 5_000);
    let after = match request.page_token.as_str() {
        "" => None,
        token => violations.check("page_token", place(token).ok_or("must come from an answer")),
    };
    match (price_list_id, size) {
        (Some(price_list_id), Some(size)) if violations.is_empty() => {
            Ok(ListPrices { price_list_id, sku, after, size })
        }
        _ => Err(violations.into_status()),
    }
}

/// `<microseconds>:<tier>:<SKU>`
fn place(token: &str) -> Option<PricePlace> {
    let (micros, rest) = token.split_once(':')?;
    let (min_quantity, sku) = rest.split_once(':')?;
    let min_quantity = min_quantity.parse().ok().filter(|tier| (1..=MAX_LINE_QUANTITY).contains(tier))?;
    let valid_from = DateTime::from_timestamp_micros(micros.parse().ok()?)?;
    // The instants that a price may have; PostgreSQL does not know all that a number can say.
    YEARS.contains(&valid_from.timestamp()).then_some(())?;
    Some(PricePlace { sku: sku.parse().ok()?, min_quantity, valid_from })
}

pub(in crate::grpc) fn watch(request: &proto::WatchPricesRequest) -> Result<(PriceListId, i64), Status> {
    let mut violations = Violations::new();
    let price_list_id = violations.check("price_list_id", request.price_list_id.parse());
    if request.after_book_version < 0 {
        violations.add("after_book_version", "must not be negative");
    }
    match price_list_id {
        Some(price_list_id) if violations.is_empty() => Ok((price_list_id, request.after_book_version)),
        _ => Err(violations.into_status()),
    }
}

pub(in crate::grpc) fn price_list_proto(list: PriceList) -> proto::PriceList {
    proto::PriceList {
        price_list_id: list.price_list_id.to_string(),
        title: list.title,
        currency_code: list.currency.code().to_owned(),
        channel_id: list.channel.map(String::from).unwrap_or_default(),
        rising_tiers: list.rising_tiers,
        version: list.version,
        create_time: Some(timestamp(list.created_at)),
    }
}

pub(in crate::grpc) fn list_proto(page: Page<PriceList, PriceListId>) -> proto::ListPriceListsResponse {
    proto::ListPriceListsResponse {
        price_lists: page.items.into_iter().map(price_list_proto).collect(),
        next_page_token: page.next.map(String::from).unwrap_or_default(),
    }
}

pub(in crate::grpc) fn book_proto(book: BookVersion) -> proto::PriceBook {
    proto::PriceBook {
        book_version: book.book_version,
        activate_time: Some(timestamp(book.activate_at)),
        publish_time: Some(timestamp(book.published_at)),
        price_list_id: book.price_list_id.to_string(),
        entry_count: book.entry_count,
    }
}

pub(in crate::grpc) fn prices_proto(page: Page<PublishedPrice, PricePlace>) -> proto::ListPricesResponse {
    proto::ListPricesResponse {
        entries: entries(&page.items),
        next_page_token: page
            .next
            .map(|place| format!("{}:{}:{}", place.valid_from.timestamp_micros(), place.min_quantity, place.sku))
            .unwrap_or_default(),
    }
}

pub(in crate::grpc) fn changes_proto(changes: &PriceChanges) -> proto::WatchPricesResponse {
    proto::WatchPricesResponse { book_version: changes.book_version, entries: entries(&changes.entries) }
}

fn entries(prices: &[PublishedPrice]) -> Vec<proto::PriceEntry> {
    prices.iter().map(|price| price_entry(&price.entry, price.book_version)).collect()
}
