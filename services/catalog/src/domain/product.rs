//! Products and their variants. Written once; a batch is checked against itself here and against what is stored by
//! the keys of the tables.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use oneshelf_values::{Gtin, ProductId, Sku};

use super::Refusal;

/// What a shopper sees as one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Product {
    pub product_id: ProductId,
    pub title: String,
    pub variants: Vec<Variant>,
    pub created_at: DateTime<Utc>,
}

/// What is bought and stocked: one SKU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variant {
    pub sku: Sku,
    pub title: String,
    pub gtin: Option<Gtin>,
    pub product_id: ProductId,
}

/// Within one batch, too, each product, SKU and GTIN is there once.
pub fn check_distinct(products: &[Product]) -> Result<(), Refusal> {
    let mut product_ids = HashSet::new();
    let mut skus = HashSet::new();
    let mut gtins = HashSet::new();
    for product in products {
        if !product_ids.insert(&product.product_id) {
            return Err(Refusal::ProductExists { product_id: product.product_id.clone() });
        }
        for variant in &product.variants {
            if !skus.insert(&variant.sku) {
                return Err(Refusal::SkuExists { sku: variant.sku.clone() });
            }
            if let Some(gtin) = variant.gtin
                && !gtins.insert(gtin)
            {
                return Err(Refusal::GtinExists { gtin });
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn product(id: &str, variants: &[(&str, Option<&str>)]) -> Product {
        let product_id: ProductId = id.parse().unwrap();
        Product {
            product_id: product_id.clone(),
            title: "Mug".to_owned(),
            variants: variants
                .iter()
                .map(|(sku, gtin)| Variant {
                    sku: sku.parse().unwrap(),
                    title: String::new(),
                    gtin: gtin.map(|g| g.parse().unwrap()),
                    product_id: product_id.clone(),
                })
                .collect(),
            created_at: DateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn a_batch_names_each_product_sku_and_gtin_once() {
        let mug = product("MUG", &[("M-1", Some("012345678905")), ("M-2", None)]);
        assert_eq!(check_distinct(&[mug.clone(), product("CUP", &[("C-1", None)])]), Ok(()));
        assert_eq!(
            check_distinct(&[mug.clone(), product("MUG", &[("X", None)])]),
            Err(Refusal::ProductExists { product_id: "MUG".parse().unwrap() })
        );
        assert_eq!(
            check_distinct(&[mug.clone(), product("CUP", &[("m-2", None)])]),
            Err(Refusal::SkuExists { sku: "M-2".parse().unwrap() })
        );
        // The same number printed with 12 and with 13 digits.
        assert_eq!(
            check_distinct(&[mug, product("CUP", &[("C-1", Some("0012345678905"))])]),
            Err(Refusal::GtinExists { gtin: "0012345678905".parse().unwrap() })
        );
    }
}
