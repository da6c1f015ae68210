//! Products and variants.

use chrono::{DateTime, Utc};
use oneshelf_kit::{idempotency::Key, status::Violations};
use oneshelf_proto::catalog::v1 as proto;
use oneshelf_values::{Gtin, ProductId, Sku};
use tonic::Status;

use super::fields::{At, page_size, request_key, text};
use crate::{
    domain::product::{Product, Variant},
    usecases::{Page, VariantKey},
    wire::timestamp,
};

const MAX_PRODUCTS: usize = 500;
const MAX_VARIANTS: usize = 100;

pub(in crate::grpc) fn create(mut request: proto::BatchCreateProductsRequest) -> Result<(Key, Vec<Product>), Status> {
    let mut violations = Violations::new();
    let request_id = std::mem::take(&mut request.request_id);
    let key = request_key(&mut violations, "BatchCreateProducts", &request_id, &request);
    if !(1..=MAX_PRODUCTS).contains(&request.products.len()) {
        violations.add("products", format!("must be 1 to {MAX_PRODUCTS}"));
        return Err(violations.into_status());
    }
    let products: Vec<Option<Product>> =
        request.products.iter().enumerate().map(|(index, p)| product(&mut violations, index, p)).collect();
    match (key, products.into_iter().collect()) {
        (Some(key), Some(products)) if violations.is_empty() => Ok((key, products)),
        _ => Err(violations.into_status()),
    }
}

fn product(violations: &mut Violations, index: usize, product: &proto::Product) -> Option<Product> {
    let at = |field| At("products", index, field);
    let product_id: Option<ProductId> = violations.check(at("product_id"), product.product_id.parse());
    let title = text(violations, at("title"), &product.title, 1, 200);
    if !(1..=MAX_VARIANTS).contains(&product.variants.len()) {
        violations.add(at("variants"), format!("must be 1 to {MAX_VARIANTS}"));
        return None;
    }
    let mut variants = Vec::with_capacity(product.variants.len());
    for (place, variant) in product.variants.iter().enumerate() {
        let path = |field| format!("products[{index}].variants[{place}].{field}");
        let sku: Option<Sku> = violations.check(path("sku"), variant.sku.parse());
        let title = text(violations, path("title"), &variant.title, 0, 200);
        let gtin: Option<Gtin> = match variant.gtin.as_str() {
            "" => None,
            digits => violations.check(path("gtin"), digits.parse()),
        };
        if let (Some(sku), Some(title), Some(product_id)) = (sku, title, &product_id) {
            variants.push(Variant { sku, title, gtin, product_id: product_id.clone() });
        }
    }
    Some(Product { product_id: product_id?, title: title?, variants, created_at: DateTime::<Utc>::default() })
}

pub(in crate::grpc) fn product_id(text: &str) -> Result<ProductId, Status> {
    let mut violations = Violations::new();
    violations.check("product_id", text.parse()).ok_or_else(|| violations.into_status())
}

pub(in crate::grpc) fn list(request: &proto::ListProductsRequest) -> Result<(Option<ProductId>, usize), Status> {
    let mut violations = Violations::new();
    let size = page_size(&mut violations, request.page_size, 100, 1_000);
    let after = super::fields::optional(&mut violations, "page_token", &request.page_token);
    match size {
        Some(size) if violations.is_empty() => Ok((after, size)),
        _ => Err(violations.into_status()),
    }
}

pub(in crate::grpc) fn variant_key(request: &proto::GetVariantRequest) -> Result<VariantKey, Status> {
    let mut violations = Violations::new();
    let key = match (request.sku.as_str(), request.gtin.as_str()) {
        (sku, "") => violations.check("sku", sku.parse()).map(VariantKey::Sku),
        ("", gtin) => violations.check("gtin", gtin.parse()).map(VariantKey::Gtin),
        (_, _) => {
            violations.add("gtin", "must not be set together with sku");
            None
        }
    };
    key.ok_or_else(|| violations.into_status())
}

pub(in crate::grpc) fn product_proto(product: Product) -> proto::Product {
    proto::Product {
        product_id: product.product_id.to_string(),
        title: product.title,
        variants: product.variants.into_iter().map(variant_proto).collect(),
        create_time: Some(timestamp(product.created_at)),
    }
}

pub(in crate::grpc) fn variant_proto(variant: Variant) -> proto::Variant {
    proto::Variant {
        sku: variant.sku.to_string(),
        title: variant.title,
        gtin: variant.gtin.map(|gtin| gtin.to_string()).unwrap_or_default(),
        product_id: variant.product_id.to_string(),
    }
}

pub(in crate::grpc) fn list_proto(page: Page<Product, ProductId>) -> proto::ListProductsResponse {
    proto::ListProductsResponse {
        products: page.items.into_iter().map(product_proto).collect(),
        next_page_token: page.next.map(String::from).unwrap_or_default(),
    }
}
