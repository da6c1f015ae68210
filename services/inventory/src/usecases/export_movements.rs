//! Writes the ledger out, page by page: memory does not grow with the export, and no transaction stays open for as long
//! as a slow reader takes. Each page is a snapshot of its own, so what is recorded meanwhile may be in the export or not.

use super::{Error, Inventory};
use crate::store;
pub use crate::store::ledger::{EntryPlace, ExportFilter, StoredMovement};

const PAGE: i64 = 1_000;

/// An export in progress.
pub struct Export {
    inventory: Inventory,
    filter: ExportFilter,
    /// The last entry that was given; `None` before the first and after the last.
    after: Option<EntryPlace>,
}

impl Inventory {
    /// Goes on after the given entry, or begins.
    pub fn export_movements(&self, filter: ExportFilter, after: Option<EntryPlace>) -> Export {
        Export { inventory: self.clone(), filter, after }
    }
}

impl Export {
    /// The next entries by (SKU, effective time, sequence).
    pub async fn next(&mut self) -> Result<Vec<StoredMovement>, Error> {
        let page = store::ledger::export_page(&self.inventory.pool, &self.filter, self.after.as_ref(), PAGE).await?;
        self.after = page.last().filter(|_| page.len() as i64 == PAGE).map(EntryPlace::of);
        Ok(page)
    }

    /// Where the export goes on; `None` when that was all.
    pub fn place(&self) -> Option<&EntryPlace> {
        self.after.as_ref()
    }
}
