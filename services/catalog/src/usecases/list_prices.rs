//! Reads the prices of a list by SKU, tier and start.

use oneshelf_kit::auth::Caller;
use oneshelf_values::{PriceListId, Sku};
use sqlx::PgConnection;

use super::{Catalog, Error, Kind, Page, probe};
use crate::{
    domain::price_list::{PriceList, PricePlace, PublishedPrice},
    store::{price_books, price_lists},
};

impl Catalog {
    pub async fn list_prices(
        &self,
        caller: &Caller,
        price_list_id: &PriceListId,
        sku: Option<&Sku>,
        after: Option<&PricePlace>,
        size: usize,
    ) -> Result<Page<PublishedPrice, PricePlace>, Error> {
        let mut conn = self.pool.acquire().await?;
        let list = self.find_readable_list(&mut conn, caller, price_list_id).await?;
        let limit = probe(size);
        let found = price_books::list_prices(&mut conn, price_list_id, list.currency, sku, after, limit).await?;
        Ok(Page::cut(found, size, |price| PricePlace::of(&price.entry)))
    }

    pub(super) async fn find_readable_list(
        &self,
        conn: &mut PgConnection,
        caller: &Caller,
        price_list_id: &PriceListId,
    ) -> Result<PriceList, Error> {
        price_lists::find_price_list(conn, price_list_id)
            .await?
            .filter(|list| self.may_read_list(caller, list))
            .ok_or_else(|| Error::NotFound { kind: Kind::PriceList, id: price_list_id.to_string() })
    }
}
