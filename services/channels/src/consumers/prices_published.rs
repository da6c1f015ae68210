//! Price windows of catalog. Lists for partners are not shown in any channel.

use oneshelf_kit::consumer::{Event, HandlerError, Subscription};
use oneshelf_proto::catalog::v1::{PriceEntry, PricesPublished};
use oneshelf_values::{ChannelId, UnitPrice};
use sqlx::PgConnection;

use super::{bad, instant, parse};
use crate::{domain::fact::PriceFact, usecases::Channels};

pub const SUBSCRIPTION: Subscription = Subscription::new("channels.prices_published", &["catalog.prices.published.v1"]);

pub async fn handle(channels: &Channels, conn: &mut PgConnection, events: &[Event]) -> Result<(), HandlerError> {
    let mut published = Vec::new();
    for event in events {
        let message: PricesPublished = event.decode()?;
        if message.channel_id.is_empty() {
            continue;
        }
        let channel_id: ChannelId = parse("channel_id", &message.channel_id)?;
        // A channel shows the price of one unit.
        for entry in message.entries.iter().filter(|entry| entry.min_quantity <= 1) {
            published.push(fact(event, &message, &channel_id, entry)?);
        }
    }
    Ok(channels.apply_prices(conn, &published).await?)
}

fn fact(
    event: &Event,
    message: &PricesPublished,
    channel_id: &ChannelId,
    entry: &PriceEntry,
) -> Result<PriceFact, HandlerError> {
    let price = entry.unit_price.as_ref().filter(|price| price.micros > 0).ok_or_else(|| bad("unit_price"))?;
    Ok(PriceFact {
        channel_id: channel_id.clone(),
        sku: parse("sku", &entry.sku)?,
        unit_price: UnitPrice::new(price.micros, parse("unit_price.currency_code", &price.currency_code)?),
        valid_from: instant("valid_from", entry.valid_from.as_ref())?,
        valid_to: entry.valid_to.as_ref().map(|at| instant("valid_to", Some(at))).transpose()?,
        book_version: message.book_version,
        activate_at: instant("activate_time", message.activate_time.as_ref())?,
        published_at: event.effective_at,
    })
}
