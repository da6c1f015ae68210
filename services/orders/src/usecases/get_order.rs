//! Reads one order.

use oneshelf_kit::{auth::Caller, pg};
use oneshelf_values::OrderId;

use super::{Error, Orders, in_scope};
use crate::{
    domain::{Refusal, order::Order},
    store,
};

impl Orders {
    pub async fn get_order(&self, caller: &Caller, order_id: OrderId) -> Result<Order, Error> {
        let found = pg::in_tx(&self.pool, move |conn| {
            Box::pin(async move {
                store::orders::read_one_moment(conn).await?;
                store::orders::find_all(conn, &[order_id.as_uuid()]).await
            })
        })
        .await?;
        found
            .into_iter()
            .find(|order| in_scope(caller, &order.channel, order.partner.as_ref()))
            .ok_or_else(|| Refusal::OrderNotFound(order_id).into())
    }
}
