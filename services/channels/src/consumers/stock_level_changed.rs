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
    if changed.available < 0 {
        return Err(bad("available"));
    }
    Ok(StockFact {
        sku: parse("sku", &changed.sku)?,
        location_id: parse("location_id", &changed.location_id)?,
        available: changed.available,
        version: changed.version,
        changed_at: instant("change_time", changed.change_time.as_ref())?,
    })
}
