//! Reads price lists by id.

use oneshelf_kit::auth::Caller;
use oneshelf_values::PriceListId;

use super::{Catalog, Error, Page, probe};
use crate::{domain::price_list::PriceList, store::price_lists};

impl Catalog {
    /// A bound key gets the lists that it may read, so a page may be short, or empty, and not be the last.
    pub async fn list_price_lists(
        &self,
        caller: &Caller,
        after: Option<&PriceListId>,
        size: usize,
    ) -> Result<Page<PriceList, PriceListId>, Error> {
        let mut conn = self.pool.acquire().await?;
        let found = price_lists::list_price_lists(&mut conn, after, probe(size)).await?;
        let mut page = Page::cut(found, size, |list| list.price_list_id.clone());
        page.items.retain(|list| self.may_read_list(caller, list));
        Ok(page)
    }
}
