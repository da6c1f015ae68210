//! Reads one product.

use oneshelf_kit::auth::Caller;
use oneshelf_values::ProductId;

use super::{Catalog, Error, Kind};
use crate::{domain::product::Product, store::products};

impl Catalog {
    pub async fn get_product(&self, _caller: &Caller, product_id: &ProductId) -> Result<Product, Error> {
        let mut conn = self.pool.acquire().await?;
        products::find_product(&mut conn, product_id)
            .await?
            .ok_or_else(|| Error::NotFound { kind: Kind::Product, id: product_id.to_string() })
    }
}
