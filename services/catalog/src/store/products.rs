//! Products and variants.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use oneshelf_values::{Gtin, ProductId, Sku};
use sqlx::PgConnection;

use crate::domain::product::{Product, Variant};

/// A key of a new product that somebody else has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    Product(ProductId),
    Sku(Sku),
    Gtin(Gtin),
}

/// The first key that is taken, products before SKUs before GTINs. Exact while the caller holds the `products` head.
pub async fn find_taken(conn: &mut PgConnection, products: &[Product]) -> Result<Option<Taken>, sqlx::Error> {
    let variants = || products.iter().flat_map(|p| &p.variants);
    let product_ids: Vec<&str> = products.iter().map(|p| p.product_id.as_str()).collect();
    let skus: Vec<&str> = variants().map(|v| v.sku.as_str()).collect();
    let gtins: Vec<String> = variants().filter_map(|v| v.gtin).map(|g| g.canonical()).collect();
    let found = sqlx::query!(
        r#"
        (
            SELECT
                product_id AS "product_id: ProductId"
              , NULL AS "sku: Sku"
              , NULL AS gtin
            FROM catalog.products
            WHERE product_id = ANY($1)
            LIMIT 1
        )
        UNION ALL
        (SELECT NULL, sku, NULL FROM catalog.variants WHERE sku = ANY($2) LIMIT 1)
        UNION ALL
        (SELECT NULL, NULL, gtin FROM catalog.variants WHERE gtin14 = ANY($3) LIMIT 1)
        LIMIT 1
        "#,
        &product_ids as _,
        &skus as _,
        &gtins,
    )
    .fetch_optional(conn)
    .await?;
    let Some(found) = found else { return Ok(None) };
    let gtin = found.gtin.map(|text| stored_gtin(&text)).transpose()?;
    Ok(found.product_id.map(Taken::Product).or(found.sku.map(Taken::Sku)).or(gtin.map(Taken::Gtin)))
}

pub async fn insert_products(
    conn: &mut PgConnection,
    products: &[Product],
    head_version: i64,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    let ids: Vec<&str> = products.iter().map(|p| p.product_id.as_str()).collect();
    let titles: Vec<&str> = products.iter().map(|p| p.title.as_str()).collect();
    sqlx::query!(
        r#"
        INSERT INTO catalog.products (product_id, title, created_at)
        SELECT new.product_id, new.title, $3
        FROM UNNEST($1::TEXT[], $2::TEXT[]) AS new (product_id, title)
        "#,
        &ids as _,
        &titles as _,
        now,
    )
    .execute(&mut *conn)
    .await?;

    let variants: Vec<(i32, &Variant)> = products.iter().flat_map(|p| (1..).zip(&p.variants)).collect();
    let skus: Vec<&str> = variants.iter().map(|(_, v)| v.sku.as_str()).collect();
    let product_ids: Vec<&str> = variants.iter().map(|(_, v)| v.product_id.as_str()).collect();
    let positions: Vec<i32> = variants.iter().map(|(position, _)| *position).collect();
    let titles: Vec<&str> = variants.iter().map(|(_, v)| v.title.as_str()).collect();
    let gtins: Vec<Option<String>> = variants.iter().map(|(_, v)| v.gtin.map(|g| g.to_string())).collect();
    let gtin14s: Vec<Option<String>> = variants.iter().map(|(_, v)| v.gtin.map(|g| g.canonical())).collect();
    sqlx::query!(
        r#"
        INSERT INTO catalog.variants (sku, product_id, position, title, gtin, gtin14, head_version)
        SELECT new.*, $7
        FROM UNNEST($1::TEXT[], $2::TEXT[], $3::INT[], $4::TEXT[], $5::TEXT[], $6::TEXT[])
            AS new (sku, product_id, position, title, gtin, gtin14)
        "#,
        &skus as _,
        &product_ids as _,
        &positions,
        &titles as _,
        &gtins as _,
        &gtin14s as _,
        head_version,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Products in id order, from the one after `after` on.
pub async fn list_products(
    conn: &mut PgConnection,
    after: Option<&ProductId>,
    limit: i64,
) -> Result<Vec<Product>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"
        SELECT
            product_id AS "product_id: ProductId"
          , title
          , created_at
        FROM catalog.products
        WHERE product_id > $1
        ORDER BY product_id
        LIMIT $2
        "#,
        after.map_or("", ProductId::as_str),
        limit,
    )
    .fetch_all(&mut *conn)
    .await?;
    let ids: Vec<&str> = rows.iter().map(|row| row.product_id.as_str()).collect();
    let mut variants = list_variants(conn, &ids).await?;
    Ok(rows
        .into_iter()
        .map(|row| Product {
            variants: variants.remove(&row.product_id).unwrap_or_default(),
            product_id: row.product_id,
            title: row.title,
            created_at: row.created_at,
        })
        .collect())
}

pub async fn find_product(conn: &mut PgConnection, product_id: &ProductId) -> Result<Option<Product>, sqlx::Error> {
    let row =
        sqlx::query!(r#"SELECT title, created_at FROM catalog.products WHERE product_id = $1"#, product_id.as_str(),)
            .fetch_optional(&mut *conn)
            .await?;
    let Some(row) = row else { return Ok(None) };
    let mut variants = list_variants(conn, &[product_id.as_str()]).await?;
    Ok(Some(Product {
        product_id: product_id.clone(),
        title: row.title,
        variants: variants.remove(product_id).unwrap_or_default(),
        created_at: row.created_at,
    }))
}

async fn list_variants(
    conn: &mut PgConnection,
    product_ids: &[&str],
) -> Result<HashMap<ProductId, Vec<Variant>>, sqlx::Error> {
    let rows = sqlx::query_as!(
        VariantRow,
        r#"
        SELECT
            sku AS "sku: Sku"
          , product_id AS "product_id: ProductId"
          , title
          , gtin
        FROM catalog.variants
        WHERE product_id = ANY($1)
        ORDER BY product_id, position
        "#,
        product_ids as _,
    )
    .fetch_all(conn)
    .await?;
    let mut by_product: HashMap<ProductId, Vec<Variant>> = HashMap::new();
    for row in rows {
        let variant = Variant::try_from(row)?;
        by_product.entry(variant.product_id.clone()).or_default().push(variant);
    }
    Ok(by_product)
}

pub async fn find_variant_by_sku(conn: &mut PgConnection, sku: &Sku) -> Result<Option<Variant>, sqlx::Error> {
    sqlx::query_as!(
        VariantRow,
        r#"
        SELECT
            sku AS "sku: Sku"
          , product_id AS "product_id: ProductId"
          , title
          , gtin
        FROM catalog.variants
        WHERE sku = $1
        "#,
        sku.as_str(),
    )
    .fetch_optional(conn)
    .await?
    .map(Variant::try_from)
    .transpose()
}

pub async fn find_variant_by_gtin(conn: &mut PgConnection, gtin: Gtin) -> Result<Option<Variant>, sqlx::Error> {
    sqlx::query_as!(
        VariantRow,
        r#"
        SELECT
            sku AS "sku: Sku"
          , product_id AS "product_id: ProductId"
          , title
          , gtin
        FROM catalog.variants
        WHERE gtin14 = $1
        "#,
        gtin.canonical(),
    )
    .fetch_optional(conn)
    .await?
    .map(Variant::try_from)
    .transpose()
}

/// The first of `skus` that no variant has, with its place.
pub async fn find_unknown_sku(conn: &mut PgConnection, skus: &[&str]) -> Result<Option<(usize, Sku)>, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        SELECT
            asked.sku AS "sku!: Sku"
          , asked.place AS "place!"
        FROM UNNEST($1::TEXT[]) WITH ORDINALITY AS asked (sku, place)
        WHERE NOT EXISTS (SELECT FROM catalog.variants WHERE variants.sku = asked.sku)
        ORDER BY asked.place
        LIMIT 1
        "#,
        skus as _,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| (row.place as usize - 1, row.sku)))
}

/// The SKUs that came in after `head_version`.
pub async fn list_skus_after(conn: &mut PgConnection, head_version: i64) -> Result<Vec<Sku>, sqlx::Error> {
    sqlx::query_scalar!(r#"SELECT sku AS "sku: Sku" FROM catalog.variants WHERE head_version > $1"#, head_version,)
        .fetch_all(conn)
        .await
}

struct VariantRow {
    sku: Sku,
    product_id: ProductId,
    title: String,
    gtin: Option<String>,
}

impl TryFrom<VariantRow> for Variant {
    type Error = sqlx::Error;

    fn try_from(row: VariantRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            sku: row.sku,
            product_id: row.product_id,
            title: row.title,
            gtin: row.gtin.map(|text| stored_gtin(&text)).transpose()?,
        })
    }
}

fn stored_gtin(text: &str) -> Result<Gtin, sqlx::Error> {
    text.parse().map_err(|error| sqlx::Error::Decode(format!("catalog.variants.gtin holds {text:?}: {error}").into()))
}
