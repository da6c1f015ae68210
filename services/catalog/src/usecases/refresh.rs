//! Brings the board up to what is committed: at the start, after each write of this replica, and by a steady poll for
//! the writes of others.
//!
//! One small statement reads the heads; only what is newer is loaded, by `> seen`. Takes no input and may run as often
//! as it likes.

use std::sync::{Arc, atomic::Ordering};

use chrono::{DateTime, Utc};
use oneshelf_pricing::{PriceBook, PriceEntry, Window};
use oneshelf_values::{Currency, UnitPrice};
use sqlx::PgConnection;

use super::{Catalog, Error, board::Activation};
use crate::store::{
    heads::{self, Heads},
    partners,
    price_books::{self, PriceRow},
    price_lists, products,
};

impl Catalog {
    /// Answers when the next activation is due, if one waits.
    pub async fn refresh(&self) -> Result<Option<DateTime<Utc>>, Error> {
        let mut seen = self.seen.lock().await;
        let mut conn = self.pool.acquire().await?;
        let heads = heads::read_heads(&mut conn).await?;
        if heads.products > seen.products {
            self.board.add_skus(products::list_skus_after(&mut conn, seen.products).await?);
            seen.products = heads.products;
        }
        if heads.price_lists > seen.price_lists {
            self.board.add_lists(price_lists::list_price_lists_after(&mut conn, seen.price_lists).await?);
            seen.price_lists = heads.price_lists;
        }
        if heads.partners > seen.partners {
            self.board.put_partners(partners::list_partners_after(&mut conn, seen.partners).await?);
            seen.partners = heads.partners;
        }
        if heads.price_books > seen.price_books {
            self.load_books(&mut conn, &mut seen, heads.price_books).await?;
        }
        self.loaded.store(true, Ordering::Release);
        Ok(self.board.settle(self.clock.now()))
    }

    /// After a commit: what this replica wrote, it shows at once. If that fails, the poll makes up for it.
    pub(super) async fn catch_up(&self) {
        if let Err(error) = self.refresh().await {
            tracing::warn!(%error, "the board is behind until the next poll");
        }
    }

    async fn load_books(&self, conn: &mut PgConnection, seen: &mut Heads, head: i64) -> Result<(), Error> {
        if seen.price_books == 0 {
            seen.price_books = self.load_active_book(conn, head).await?;
        }
        let versions = price_books::list_versions(conn, seen.price_books, head).await?;
        let mut prices =
            price_books::list_prices_of_versions(conn, seen.price_books, head).await?.into_iter().peekable();
        let currencies = self.board.currencies();
        let mut book = self.board.newest_book();
        let mut added = Vec::with_capacity(versions.len());
        for version in versions {
            let Some(currency) = currencies.get(&version.price_list_id).copied() else {
                return Err(inconsistent("a price book names an unknown price list").into());
            };
            let mut entries = Vec::new();
            while let Some(row) = prices.next_if(|row| row.book_version == version.book_version) {
                entries.push(entry(row, currency));
            }
            let next = book.apply(version.book_version, &version.price_list_id, currency, &entries);
            book = Arc::new(next.map_err(inconsistent)?);
            added.push(Activation { activate_at: version.activate_at, book: book.clone() });
        }
        self.board.add_books(added);
        seen.price_books = head;
        Ok(())
    }

    /// The book that is active at the start, as one whole; answers its version.
    async fn load_active_book(&self, conn: &mut PgConnection, head: i64) -> Result<i64, Error> {
        let Some(active) = price_books::find_active_book(conn, head, self.clock.now()).await? else { return Ok(0) };
        let rows = price_books::list_prices_of_versions(conn, 0, active.book_version).await?;
        let currencies = self.board.currencies();
        let mut windows = Vec::with_capacity(rows.len());
        for row in rows {
            let Some(currency) = currencies.get(&row.price_list_id).copied() else {
                return Err(inconsistent("a price names an unknown price list").into());
            };
            let (list, book_version) = (row.price_list_id.clone(), row.book_version);
            let PriceEntry { sku, unit_price, min_quantity, valid_from, valid_to } = entry(row, currency);
            windows.push((list, sku, Window { valid_from, valid_to, min_quantity, unit_price, book_version }));
        }
        let book = PriceBook::load(active.book_version, currencies, windows).map_err(inconsistent)?;
        self.board.add_books(vec![Activation { activate_at: active.activate_at, book: Arc::new(book) }]);
        Ok(active.book_version)
    }
}

fn entry(row: PriceRow, currency: Currency) -> PriceEntry {
    PriceEntry {
        sku: row.sku,
        unit_price: UnitPrice::new(row.unit_price_micros, currency),
        min_quantity: row.min_quantity,
        valid_from: row.valid_from,
        valid_to: row.valid_to,
    }
}

fn inconsistent(what: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> sqlx::Error {
    sqlx::Error::Decode(what.into())
}
