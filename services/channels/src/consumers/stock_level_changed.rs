//! Stock levels of inventory, in groups of up to thousands.

use oneshelf_kit::consumer::{Event, HandlerError, Subscription};
use oneshelf_proto::inventory::v1::StockLevelChanged;
use sqlx::PgConnection;

use super::{bad, instant, parse};
use crate::{domain::fact::StockFact, usecases::Channels};

pub const SUBSCRIPTION: Subscription =
    Subscription::new("channels.stock_level_changed", &["inventory.stock_level.changed.v1"]);

pub async fn handle(channels: &Channels, conn: &mut PgConnection, events: &[Event]) -> Result<(), HandlerError> {
    let facts = events.iter().map(fact).collect::<Result<_, _>>()?;
    Ok(channels.apply_stock(conn, facts).await?)
}

fn fact(event: &Event) -> Result<StockFact, HandlerError> {
    let changed: StockLevelChanged = event.decode()?;
    if changed.available < 0 || changed.channel_availables.iter().any(|one| one.available < 0) {
        return Err(bad("available"));
    }
    if changed.network_threshold < 0 {
        return Err(bad("network_threshold"));
    }
    Ok(StockFact {
        sku: parse("sku", &changed.sku)?,
        location_id: parse("location_id", &changed.location_id)?,
        available: changed.available,
        channel_availables: changed
            .channel_availables
            .iter()
            .map(|one| Ok((parse("channel_id", &one.channel_id)?, one.available)))
            .collect::<Result<_, HandlerError>>()?,
        network_threshold: changed.network_threshold,
        version: changed.version,
        changed_at: instant("change_time", changed.change_time.as_ref())?,
    })
}
