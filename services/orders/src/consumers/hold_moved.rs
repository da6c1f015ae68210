//! Hard holds whose units went to other locations. An order's hold has the order's id; others are passed over.

use oneshelf_kit::consumer::{Event, HandlerError};
use oneshelf_proto::inventory::v1::{HeldUnits, HoldMoved};
use oneshelf_values::TextError;
use sqlx::PgConnection;

use crate::{
    domain::order::{Allocation, MovedHold},
    usecases::take_moved_holds::take_moved_holds,
};

/// Why an event is not one of a moved hold.
#[derive(Debug, thiserror::Error)]
enum Malformed {
    #[error("hold_id")]
    HoldId(#[source] TextError),
    #[error("sku")]
    Sku(#[source] TextError),
    #[error("location_id")]
    LocationId(#[source] TextError),
}

pub(crate) async fn hold_moved(conn: &mut PgConnection, events: &[Event]) -> Result<(), HandlerError> {
    let moved = events
        .iter()
        .map(|event| moved_hold(event.decode()?).map_err(HandlerError::park))
        .collect::<Result<Vec<_>, _>>()?;
    take_moved_holds(conn, moved).await.map_err(HandlerError::from)
}

fn moved_hold(message: HoldMoved) -> Result<MovedHold, Malformed> {
    Ok(MovedHold {
        order_id: message.hold_id.parse().map_err(Malformed::HoldId)?,
        version: message.version,
        allocations: message.units.into_iter().map(allocation).collect::<Result<_, _>>()?,
    })
}

fn allocation(units: HeldUnits) -> Result<Allocation, Malformed> {
    Ok(Allocation {
        sku: units.sku.parse().map_err(Malformed::Sku)?,
        location: units.location_id.parse().map_err(Malformed::LocationId)?,
        quantity: units.quantity,
    })
}
