//! Follows a list: what came in after a version, then each publish as it activates.
//!
//! The stream is pulled: it reads one page when the caller has taken the last, so a slow caller costs nothing but its
//! own delay. Pages go by version; a message says up to which version the stream is complete, and a caller that comes
//! back with that number misses nothing.

use std::sync::Arc;

use futures::{Stream, stream};
use oneshelf_kit::auth::Caller;
use oneshelf_values::PriceListId;
use tokio::sync::watch;

use super::{Catalog, Error};
use crate::{
    domain::price_list::{ChangePlace, PriceList, PricePlace, PublishedPrice},
    store::price_books,
};

/// Entries per message, at most.
const PAGE: usize = 1_000;

/// One message of the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PriceChanges {
    /// The stream is complete up to this version.
    pub book_version: i64,
    pub entries: Vec<PublishedPrice>,
}

struct Watch {
    catalog: Arc<Catalog>,
    list: PriceList,
    place: ChangePlace,
    /// The newest active version.
    active: watch::Receiver<i64>,
    /// Whether the caller has been told where it stands; it is told at once, even that nothing is new.
    told: bool,
}

impl Catalog {
    /// Has no end of its own: the server ends it, at its stop or the caller's deadline.
    pub async fn watch_prices(
        self: &Arc<Self>,
        caller: &Caller,
        price_list_id: &PriceListId,
        after_book_version: i64,
    ) -> Result<impl Stream<Item = Result<PriceChanges, Error>> + Send + use<>, Error> {
        let mut conn = self.pool.acquire().await?;
        let list = self.find_readable_list(&mut conn, caller, price_list_id).await?;
        let watch = Watch {
            catalog: self.clone(),
            list,
            place: ChangePlace { book_version: after_book_version, entry: None },
            active: self.board.watch_active(),
            told: false,
        };
        // After an error there is nothing more to say.
        Ok(stream::unfold(Some(watch), async |watch| {
            let mut watch = watch?;
            let item = watch.next().await;
            let rest = item.is_ok().then_some(watch);
            Some((item, rest))
        }))
    }
}

impl Watch {
    async fn next(&mut self) -> Result<PriceChanges, Error> {
        loop {
            let head = *self.active.borrow_and_update();
            if !self.told || self.place.entry.is_some() || self.place.book_version < head {
                let changes = self.read(head).await?;
                if !changes.entries.is_empty() || !self.told {
                    self.told = self.place.entry.is_none();
                    return Ok(changes);
                }
                continue;
            }
            // Cannot fail: the sender lives in the catalog, which this watch holds.
            let _ = self.active.changed().await;
        }
    }

    async fn read(&mut self, head: i64) -> Result<PriceChanges, Error> {
        // A version that the last page ended in is not complete yet.
        let complete = self.place.book_version - i64::from(self.place.entry.is_some());
        let mut conn = self.catalog.pool.acquire().await?;
        let (list, currency) = (&self.list.price_list_id, self.list.currency);
        let entries = price_books::list_changes(&mut conn, list, currency, &self.place, head, PAGE as i64).await?;
        let book_version = match entries.last() {
            // There may be more of the version that the page ends in.
            Some(last) if entries.len() == PAGE => {
                self.place = ChangePlace { book_version: last.book_version, entry: Some(PricePlace::of(&last.entry)) };
                complete.max(last.book_version - 1)
            }
            _ => {
                self.place = ChangePlace { book_version: self.place.book_version.max(head), entry: None };
                self.place.book_version
            }
        };
        Ok(PriceChanges { book_version, entries })
    }
}
