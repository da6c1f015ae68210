//! Adds prices to a list and makes the next version of the price book, all entries or none.
//!
//! Round trips inside the transaction, for 1 entry or 20,000:
//!
//! | statement | lock |
//! |---|---|
//! | find the list | — |
//! | claim the request id | its row |
//! | find a SKU that does not exist | — |
//! | advance the `price_books` head | publishes wait for each other from here to the commit |
//! | read the windows of its SKUs, for their tiers | — |
//! | insert the version; insert the prices; count the publish on its list | the list |
//! | append the events; store the answer | — |

use std::sync::Arc;

use chrono::{DateTime, Utc};
use oneshelf_kit::{auth::Caller, idempotency, outbox, pg};
use oneshelf_values::{Clock, PriceListId};
use sqlx::PgConnection;

use super::{Catalog, Error, Kind, answered, scope::check_writes_list};
use crate::{
    domain::{
        Refusal,
        price_list::{BookVersion, NewPrice, PriceList, Publication},
    },
    events,
    store::{
        answers::{self, Published},
        heads::{Head, advance_head},
        price_books, price_lists, products,
    },
};

/// What a caller asks to publish.
#[derive(Debug, Clone)]
pub struct Publish {
    pub price_list_id: PriceListId,
    pub entries: Vec<NewPrice>,
    /// `None`, or an instant in the past: now.
    pub activate_at: Option<DateTime<Utc>>,
}

impl Catalog {
    pub async fn publish_price_list(
        &self,
        caller: &Caller,
        key: idempotency::Key,
        publish: Publish,
    ) -> Result<BookVersion, Error> {
        let now = self.clock.now();
        let entry_count = publish.entries.len() as i32;
        let price_list_id = publish.price_list_id.clone();
        let unit = Arc::new((caller.clone(), key, publish, self.clock.clone()));
        let schema = self.schema;
        let published = pg::in_tx(&self.pool, move |conn| {
            let unit = unit.clone();
            Box::pin(async move {
                let (caller, key, publish, clock) = &*unit;
                let list = writable_list(conn, caller, &publish.price_list_id).await?;
                if let Some(answer) = answered(idempotency::claim(conn, schema, key, now).await?)? {
                    return Ok(answers::decode::<Published>(&answer)?);
                }
                let (book, events) = make_version(conn, &list, publish, clock, now).await?;
                outbox::append(conn, schema, &events, now).await?;
                let answer = Published {
                    book_version: book.book_version,
                    activate_at: book.activate_at,
                    published_at: book.published_at,
                };
                idempotency::store(conn, schema, key, &answers::encode(&answer)?).await?;
                Ok::<_, Error>(answer)
            })
        })
        .await?;
        self.catch_up().await;
        Ok(BookVersion {
            book_version: published.book_version,
            activate_at: published.activate_at,
            published_at: published.published_at,
            price_list_id,
            entry_count,
        })
    }
}

async fn writable_list(
    conn: &mut PgConnection,
    caller: &Caller,
    price_list_id: &PriceListId,
) -> Result<PriceList, Error> {
    let list = price_lists::find_price_list(conn, price_list_id)
        .await?
        .ok_or_else(|| Error::NotFound { kind: Kind::PriceList, id: price_list_id.to_string() })?;
    check_writes_list(caller, &list)?;
    Ok(list)
}

async fn make_version(
    conn: &mut PgConnection,
    list: &PriceList,
    publish: &Publish,
    clock: &Clock,
    now: DateTime<Utc>,
) -> Result<(BookVersion, Vec<outbox::OutboxEvent>), Error> {
    let publication = Publication::settle(list.currency, &publish.entries, publish.activate_at, now)?;
    let skus: Vec<&str> = publication.entries.iter().map(|e| e.sku.as_str()).collect();
    if let Some((line, sku)) = products::find_unknown_sku(conn, &skus).await? {
        return Err(Refusal::UnknownVariant { sku, line }.into());
    }

    let book = BookVersion {
        book_version: advance_head(conn, Head::PriceBooks).await?,
        activate_at: publication.activate_at,
        published_at: publication.published_at,
        price_list_id: list.price_list_id.clone(),
        entry_count: publication.entries.len() as i32,
    };
    if !list.rising_tiers {
        let known = price_books::list_windows_of(conn, &list.price_list_id, list.currency, &skus).await?;
        publication.check_tiers(known, book.book_version)?;
    }
    price_books::insert_price_book(conn, &book).await?;
    price_books::insert_prices(conn, &book, &publication.entries).await?;
    let chunks = publication.entries.len().div_ceil(events::PRICES_PER_EVENT) as i64;
    let before = price_lists::count_publish(conn, &list.price_list_id, chunks).await?;
    let events = events::prices_published(clock, list, &book, &publication.entries, before);
    Ok((book, events))
}
