//! Takes over where inventory has moved orders' units to.

use std::collections::BTreeMap;

use oneshelf_values::OrderId;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{domain::order::MovedHold, store};

/// The newest of each order wins, older and repeated changes nothing; a hold that is nobody's order, or of an order that
/// has ended, is passed over. Part of the consumer's transaction.
pub async fn take_moved_holds(conn: &mut PgConnection, moved: Vec<MovedHold>) -> Result<(), sqlx::Error> {
    let mut newest = BTreeMap::<OrderId, MovedHold>::new();
    for hold in moved {
        let known = newest.get(&hold.order_id).map_or(0, |known| known.version);
        if hold.version > known {
            newest.insert(hold.order_id, hold);
        }
    }
    let ids: Vec<Uuid> = newest.keys().map(OrderId::as_uuid).collect();
    let open = store::allocations::lock_open_orders(conn, &ids).await?;
    let news: Vec<MovedHold> = newest
        .into_values()
        .filter(|hold| open.get(&hold.order_id).is_some_and(|known| hold.version > *known))
        .collect();
    if news.is_empty() { Ok(()) } else { store::allocations::replace(conn, &news).await }
}
