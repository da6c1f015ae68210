//! One file per verb. Each opens one transaction, or reads, or, as quotes do, looks at the board only.

mod batch_create_products;
mod board;
mod create_price_list;
mod error;
mod explain_price;
mod get_price_book;
mod get_product;
mod get_variant;
mod list_price_lists;
mod list_prices;
mod list_products;
mod publish_price_list;
mod quote_prices;
mod record_partners;
mod refresh;
mod scope;
mod watch_prices;

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use oneshelf_kit::schema::Schema;
use oneshelf_values::Clock;
use sqlx::PgPool;

use self::board::Board;
use self::error::answered;
pub use self::{
    error::{Error, Kind},
    explain_price::{Explained, Question},
    get_variant::VariantKey,
    publish_price_list::Publish,
    quote_prices::{Quote, QuoteRequest},
    record_partners::record_partners,
    watch_prices::PriceChanges,
};
use crate::store::heads::Heads;

/// The catalog: products, price lists, the price book, quotes.
pub struct Catalog {
    pool: PgPool,
    schema: Schema,
    clock: Clock,
    quote_ttl: Duration,
    board: Board,
    /// What the board has seen; whoever holds it is the one that fills.
    seen: tokio::sync::Mutex<Heads>,
    loaded: AtomicBool,
}

impl Catalog {
    pub fn new(pool: PgPool, schema: Schema, clock: Clock, quote_ttl: Duration) -> Self {
        Self {
            pool,
            schema,
            clock,
            quote_ttl,
            board: Board::empty(),
            seen: tokio::sync::Mutex::default(),
            loaded: AtomicBool::new(false),
        }
    }

    /// Whether the board has been filled once; before, no quote can be right.
    pub fn is_loaded(&self) -> bool {
        self.loaded.load(Ordering::Acquire)
    }

    pub fn now(&self) -> chrono::DateTime<chrono::Utc> {
        self.clock.now()
    }
}

/// Part of a list, and the place where it ended if there is more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T, P> {
    pub items: Vec<T>,
    pub next: Option<P>,
}

/// One row more than a page holds tells whether there is another.
fn probe(size: usize) -> i64 {
    size as i64 + 1
}

impl<T, P> Page<T, P> {
    /// From up to `probe(size)` items.
    fn cut(mut items: Vec<T>, size: usize, place: impl Fn(&T) -> P) -> Self {
        let more = items.len() > size;
        items.truncate(size);
        let next = items.last().filter(|_| more).map(place);
        Self { items, next }
    }
}
