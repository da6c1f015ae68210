use oneshelf_proto::catalog::v1::{
    BatchCreateProductsRequest, GetProductRequest, GetVariantRequest, ListProductsRequest, Product, Variant,
};
use tonic::Code;

use crate::support::{Shop, bad_fields, product, refusal, told};

const GTIN: &str = "012345678905";
const SAME_GTIN: &str = "0012345678905";

fn request(shop: &Shop, products: Vec<Product>) -> BatchCreateProductsRequest {
    BatchCreateProductsRequest { request_id: shop.request_id(), products }
}

fn with_gtin(product_id: &str, sku: &str, gtin: &str) -> Product {
    let mut product = product(product_id, &[sku]);
    gtin.clone_into(&mut product.variants[0].gtin);
    product
}

#[tokio::test]
async fn batch_create_products_and_get_product_give_back_what_was_made() {
    let mut shop = Shop::open().await;
    let first = request(&shop, vec![with_gtin("mug", " m-1 ", GTIN), product("CUP", &["C-2", "C-1"])]);
    let answer = shop.client.batch_create_products(first.clone()).await.unwrap().into_inner();
    let mug = &answer.products[0];
    assert_eq!((mug.product_id.as_str(), mug.variants[0].sku.as_str()), ("MUG", "M-1"));
    assert_eq!(mug.variants[0].product_id, "MUG");
    for product in &answer.products {
        let get = GetProductRequest { product_id: product.product_id.to_lowercase() };
        let found = shop.client.get_product(get).await.unwrap().into_inner().product;
        assert_eq!(found.as_ref(), Some(product));
    }

    shop.advance_hours(1);
    let again = shop.client.batch_create_products(first.clone()).await.unwrap().into_inner();
    assert_eq!(again, answer);
    let other = BatchCreateProductsRequest { products: vec![product("X", &["X"])], ..first };
    let status = shop.client.batch_create_products(other).await.unwrap_err();
    assert_eq!(refusal(&status), (Code::InvalidArgument, "REQUEST_ID_REUSED".to_owned()));
    assert_eq!(bad_fields(&status), ["request_id"]);
}

#[tokio::test]
async fn batch_create_products_makes_all_or_none() {
    let mut shop = Shop::open().await;
    let request_of = request(&shop, vec![with_gtin("MUG", "M-1", GTIN)]);
    shop.client.batch_create_products(request_of).await.unwrap();
    let cases = [
        (product("MUG", &["X"]), "PRODUCT_EXISTS", "product_id", "MUG"),
        (product("X", &["M-1"]), "PRODUCT_EXISTS", "sku", "M-1"),
        (with_gtin("X", "X", SAME_GTIN), "GTIN_EXISTS", "gtin", GTIN),
        (product("NEW", &["Y"]), "PRODUCT_EXISTS", "product_id", "NEW"),
        (product("X", &["N-1"]), "PRODUCT_EXISTS", "sku", "N-1"),
        (product("X", &["Z", "z"]), "PRODUCT_EXISTS", "sku", "Z"),
    ];
    for (taken, reason, key, value) in cases {
        let request = request(&shop, vec![product("NEW", &["N-1"]), taken]);
        let status = shop.client.batch_create_products(request).await.unwrap_err();
        assert_eq!(refusal(&status), (Code::AlreadyExists, reason.to_owned()));
        assert_eq!(told(&status, key), value);
    }
    let all = shop.client.list_products(ListProductsRequest::default()).await.unwrap().into_inner();
    assert_eq!(all.products.len(), 1);
}

#[tokio::test]
async fn batch_create_products_names_every_bad_field() {
    let mut shop = Shop::open().await;
    let variant = |sku: &str, gtin: &str| Variant { sku: sku.to_owned(), gtin: gtin.to_owned(), ..Default::default() };
    let titled = |title: &str| Product { title: title.to_owned(), ..product("P", &["S"]) };
    let cases: Vec<(Vec<Product>, Vec<&str>)> = vec![
        (vec![], vec!["products"]),
        (vec![product("P", &["S"]); 501], vec!["products"]),
        (vec![product("", &["S"])], vec!["products[0].product_id"]),
        (
            vec![titled(""), titled("a\0b"), titled(&"x".repeat(201))],
            vec!["products[0].title", "products[1].title", "products[2].title"],
        ),
        (vec![product("P", &[])], vec!["products[0].variants"]),
        (vec![product("P", &["S"; 101])], vec!["products[0].variants"]),
        (
            vec![product("P", &["", "a  b", &"x".repeat(65)])],
            vec!["products[0].variants[0].sku", "products[0].variants[1].sku", "products[0].variants[2].sku"],
        ),
        (
            vec![Product { variants: vec![variant("A", "4006381333932"), variant("B", "12")], ..product("P", &[]) }],
            vec!["products[0].variants[0].gtin", "products[0].variants[1].gtin"],
        ),
    ];
    for (products, fields) in cases {
        let request = request(&shop, products);
        let status = shop.client.batch_create_products(request).await.unwrap_err();
        assert_eq!(bad_fields(&status), fields);
    }
    let no_id = BatchCreateProductsRequest { request_id: String::new(), products: vec![product("P", &["S"])] };
    assert_eq!(bad_fields(&shop.client.batch_create_products(no_id).await.unwrap_err()), ["request_id"]);
}

#[tokio::test]
async fn get_product_of_an_unknown_or_malformed_id_is_refused() {
    let mut shop = Shop::open().await;
    let unknown = GetProductRequest { product_id: "NONE".to_owned() };
    let status = shop.client.get_product(unknown).await.unwrap_err();
    assert_eq!(refusal(&status), (Code::NotFound, "PRODUCT_NOT_FOUND".to_owned()));
    let status = shop.client.get_product(GetProductRequest::default()).await.unwrap_err();
    assert_eq!(bad_fields(&status), ["product_id"]);
}

#[tokio::test]
async fn list_products_goes_through_all_by_id_in_pages() {
    let mut shop = Shop::open().await;
    let products = ["D", "B", "A", "C", "E"].map(|id| product(id, &[id])).to_vec();
    let request = request(&shop, products);
    shop.client.batch_create_products(request).await.unwrap();
    let mut seen = Vec::new();
    let mut page_token = String::new();
    loop {
        let page = ListProductsRequest { page_size: 2, page_token };
        let page = shop.client.list_products(page).await.unwrap().into_inner();
        seen.extend(page.products.into_iter().map(|p| (p.product_id, p.variants[0].sku.clone())));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(seen, ["A", "B", "C", "D", "E"].map(|id| (id.to_owned(), id.to_owned())));

    let bad = ListProductsRequest { page_size: 1_001, page_token: "?".to_owned() };
    let status = shop.client.list_products(bad).await.unwrap_err();
    assert_eq!(bad_fields(&status), ["page_size", "page_token"]);
    let bad = ListProductsRequest { page_size: -1, page_token: String::new() };
    assert_eq!(bad_fields(&shop.client.list_products(bad).await.unwrap_err()), ["page_size"]);
}

#[tokio::test]
async fn get_variant_finds_by_sku_and_by_gtin_in_any_of_its_lengths() {
    let mut shop = Shop::open().await;
    let request = request(&shop, vec![with_gtin("MUG", "M-1", GTIN)]);
    shop.client.batch_create_products(request).await.unwrap();
    for (sku, gtin) in [("m-1", ""), ("", GTIN), ("", SAME_GTIN)] {
        let key = GetVariantRequest { sku: sku.to_owned(), gtin: gtin.to_owned() };
        let variant = shop.client.get_variant(key).await.unwrap().into_inner().variant.unwrap();
        assert_eq!((variant.sku.as_str(), variant.gtin.as_str(), variant.product_id.as_str()), ("M-1", GTIN, "MUG"));
    }
    for (sku, gtin) in [("M-2", ""), ("", "4006381333931")] {
        let key = GetVariantRequest { sku: sku.to_owned(), gtin: gtin.to_owned() };
        let status = shop.client.get_variant(key).await.unwrap_err();
        assert_eq!(refusal(&status), (Code::NotFound, "VARIANT_NOT_FOUND".to_owned()));
    }
    for (sku, gtin, field) in [("", "", "sku"), ("M-1", GTIN, "gtin"), ("", "12", "gtin"), ("a\tb", "", "sku")] {
        let key = GetVariantRequest { sku: sku.to_owned(), gtin: gtin.to_owned() };
        assert_eq!(bad_fields(&shop.client.get_variant(key).await.unwrap_err()), [field]);
    }
}
