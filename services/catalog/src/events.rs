//! What the catalog tells the outside.

use oneshelf_kit::outbox::{EventIds, OutboxEvent};
use oneshelf_pricing::PriceEntry;
use oneshelf_proto::catalog::v1 as proto;
use oneshelf_values::{ChannelId, Clock};
use prost::Message as _;

use crate::{
    domain::price_list::{BookVersion, PriceList},
    wire::{price_entry, timestamp},
};

/// So that a large publish stays far below the size that an event may have.
pub const PRICES_PER_EVENT: usize = 500;

const PRICES_PUBLISHED: (&str, &str) = ("catalog.prices.published.v1", "oneshelf.catalog.v1.PricesPublished");

/// Every event this service publishes: routing key and message.
pub const PUBLISHED: &[(&str, &str)] = &[PRICES_PUBLISHED];

/// One publish as events of the list, numbered on from `before`.
pub fn prices_published(
    clock: &Clock,
    list: &PriceList,
    book: &BookVersion,
    prices: &[PriceEntry],
    before: i64,
) -> Vec<OutboxEvent> {
    let mut ids = EventIds::new(clock);
    (before + 1..)
        .zip(prices.chunks(PRICES_PER_EVENT))
        .map(|(aggregate_version, chunk)| {
            let message = proto::PricesPublished {
                price_list_id: list.price_list_id.to_string(),
                channel_id: list.channel.as_ref().map_or("", ChannelId::as_str).to_owned(),
                book_version: book.book_version,
                activate_time: Some(timestamp(book.activate_at)),
                entries: chunk.iter().map(|price| price_entry(price, book.book_version)).collect(),
            };
            OutboxEvent {
                event_id: ids.give(),
                routing_key: PRICES_PUBLISHED.0,
                event_type: PRICES_PUBLISHED.1,
                aggregate_id: list.price_list_id.to_string(),
                aggregate_version,
                payload: message.encode_to_vec(),
                effective_at: book.activate_at,
            }
        })
        .collect()
}
