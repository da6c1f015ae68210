//! Reads products by id.

use oneshelf_kit::auth::Caller;
use oneshelf_values::ProductId;

use super::{Catalog, Error, Page, probe};
use crate::{domain::product::Product, store::products};

impl Catalog {
    pub async fn list_products(
        &self,
        _caller: &Caller,
        after: Option<&ProductId>,
        size: usize,
    ) -> Result<Page<Product, ProductId>, Error> {
        let mut conn = self.pool.acquire().await?;
        let found = products::list_products(&mut conn, after, probe(size)).await?;
        Ok(Page::cut(found, size, |product| product.product_id.clone()))
    }
}
