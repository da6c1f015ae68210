//! Reads one variant by SKU or GTIN.

use oneshelf_kit::auth::Caller;
use oneshelf_values::{Gtin, Sku};

use super::{Catalog, Error, Kind};
use crate::{domain::product::Variant, store::products};

/// By what a variant is asked for.
#[derive(Debug, Clone)]
pub enum VariantKey {
    Sku(Sku),
    Gtin(Gtin),
}

impl Catalog {
    pub async fn get_variant(&self, _caller: &Caller, key: &VariantKey) -> Result<Variant, Error> {
        let mut conn = self.pool.acquire().await?;
        let (found, id) = match key {
            VariantKey::Sku(sku) => (products::find_variant_by_sku(&mut conn, sku).await?, sku.to_string()),
            VariantKey::Gtin(gtin) => (products::find_variant_by_gtin(&mut conn, *gtin).await?, gtin.to_string()),
        };
        found.ok_or(Error::NotFound { kind: Kind::Variant, id })
    }
}
