//! Reads orders, newest first, page by page.

use chrono::{DateTime, Utc};
use oneshelf_kit::{auth::Caller, pg};
use oneshelf_values::OrderId;
use uuid::Uuid;

use super::{Error, Orders};
use crate::{
    domain::order::{Filter, Order},
    store,
};

/// A page ends early where its orders have more lines than this together, so that an answer stays within a message.
const MAX_LINES: i32 = 10_000;

/// Some orders, and after which one the next page begins.
#[derive(Debug)]
pub struct Page {
    pub orders: Vec<Order>,
    pub next: Option<(DateTime<Utc>, OrderId)>,
}

impl Orders {
    pub async fn list_orders(&self, caller: &Caller, mut filter: Filter, page_size: usize) -> Result<Page, Error> {
        // A bound key sees its own; asking for others' finds nothing.
        if let Some(own) = caller.channel() {
            if filter.channel.as_ref().is_some_and(|asked| asked != own) {
                return Ok(Page { orders: Vec::new(), next: None });
            }
            filter.channel = Some(own.clone());
        }
        if let Some(own) = caller.partner() {
            if filter.partner.as_ref().is_some_and(|asked| asked != own) {
                return Ok(Page { orders: Vec::new(), next: None });
            }
            filter.partner = Some(own.clone());
        }
        let page = pg::in_tx(&self.pool, move |conn| {
            let filter = filter.clone();
            Box::pin(async move {
                store::orders::read_one_moment(conn).await?;
                let mut places = store::orders::list(conn, &filter, page_size as i64 + 1).await?;
                let mut lines = 0;
                let fitting = places
                    .iter()
                    .take_while(|place| {
                        lines += place.line_count;
                        lines <= MAX_LINES
                    })
                    .count()
                    // One order always fits: it has 2,000 lines at most.
                    .clamp(1, page_size);
                let more = places.len() > fitting;
                places.truncate(fitting);
                let next = places.last().filter(|_| more).map(|last| (last.created_at, last.order_id));
                let ids: Vec<Uuid> = places.iter().map(|place| place.order_id.as_uuid()).collect();
                let orders = store::orders::find_all(conn, &ids).await?;
                Ok::<_, sqlx::Error>(Page { orders, next })
            })
        })
        .await?;
        Ok(page)
    }
}
