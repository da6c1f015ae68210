//! Codes, SKUs, ids and counts as columns: one by one and as arrays, and what a column must not hold.
#![cfg(feature = "sqlx")]

use oneshelf_values::{Currency, LocationId, OrderId, Quantity, Sku, Version};
use sqlx::{PgPool, query_scalar};

#[sqlx::test]
async fn values_survive_a_round_trip(pool: PgPool) {
    let skus: Vec<Sku> = ["85123A", "BANK CHARGES", "CAFÉ"].map(|code| code.parse().unwrap()).to_vec();
    let read: Vec<Sku> = query_scalar("SELECT * FROM UNNEST($1::text[])").bind(&skus).fetch_all(&pool).await.unwrap();
    assert_eq!(read, skus);

    let orders: Vec<OrderId> = vec!["0193a1b2-0000-7000-8000-0000000000ab".parse().unwrap()];
    let read: Vec<OrderId> = query_scalar("SELECT $1::uuid[]").bind(&orders).fetch_one(&pool).await.unwrap();
    assert_eq!(read, orders);

    let quantities = vec![Quantity::ZERO, Quantity::try_new(1_000_000_000_000).unwrap()];
    let read: Vec<Quantity> =
        query_scalar("SELECT * FROM UNNEST($1::bigint[])").bind(&quantities).fetch_all(&pool).await.unwrap();
    assert_eq!(read, quantities);

    let location: LocationId = "WH-UK".parse().unwrap();
    let read: LocationId = query_scalar("SELECT $1").bind(&location).fetch_one(&pool).await.unwrap();
    assert_eq!(read, location);

    let read: Currency = query_scalar("SELECT $1::char(3)").bind(Currency::GBP).fetch_one(&pool).await.unwrap();
    assert_eq!(read, Currency::GBP);

    let read: Option<Version> = query_scalar("SELECT NULL::bigint").fetch_one(&pool).await.unwrap();
    assert_eq!(read, None);
}

#[sqlx::test]
async fn a_column_that_holds_something_else_is_an_error(pool: PgPool) {
    let sku = query_scalar::<_, Sku>("SELECT E'A\\tB'").fetch_one(&pool).await;
    assert!(matches!(sku, Err(sqlx::Error::ColumnDecode { .. })), "{sku:?}");
    let sku = query_scalar::<_, Sku>("SELECT '85123a'").fetch_one(&pool).await;
    assert!(matches!(sku, Err(sqlx::Error::ColumnDecode { .. })), "{sku:?}");
    let quantity = query_scalar::<_, Quantity>("SELECT -1::bigint").fetch_one(&pool).await;
    assert!(matches!(quantity, Err(sqlx::Error::ColumnDecode { .. })), "{quantity:?}");
    let currency = query_scalar::<_, Currency>("SELECT 'ZZZ'").fetch_one(&pool).await;
    assert!(matches!(currency, Err(sqlx::Error::ColumnDecode { .. })), "{currency:?}");
}
