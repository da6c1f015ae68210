//! Price-book versions and the append-only prices they brought in.
//!
//! Whoever reads "up to version n" reads what is committed: the number came from the head, and the head moves with the
//! commit of the rows that it stamps.

use chrono::{DateTime, Utc};
use oneshelf_pricing::{PriceEntry, Window};
use oneshelf_values::{Currency, PriceListId, Sku, UnitPrice};
use sqlx::PgConnection;

use crate::domain::price_list::{BookVersion, ChangePlace, PricePlace, PublishedPrice};

pub async fn insert_price_book(conn: &mut PgConnection, book: &BookVersion) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        INSERT INTO catalog.price_books (book_version, price_list_id, activate_at, published_at, entry_count)
        VALUES ($1, $2, $3, $4, $5)
        "#,
        book.book_version,
        book.price_list_id.as_str(),
        book.activate_at,
        book.published_at,
        book.entry_count,
    )
    .execute(conn)
    .await?;
    Ok(())
}

pub async fn insert_prices(
    conn: &mut PgConnection,
    book: &BookVersion,
    prices: &[PriceEntry],
) -> Result<(), sqlx::Error> {
    let skus: Vec<&str> = prices.iter().map(|p| p.sku.as_str()).collect();
    let starts: Vec<DateTime<Utc>> = prices.iter().map(|p| p.valid_from).collect();
    let ends: Vec<Option<DateTime<Utc>>> = prices.iter().map(|p| p.valid_to).collect();
    let micros: Vec<i64> = prices.iter().map(|p| p.unit_price.micros()).collect();
    let tiers: Vec<i64> = prices.iter().map(|p| p.min_quantity).collect();
    sqlx::query!(
        r#"
        INSERT INTO catalog.prices (price_list_id, sku, valid_from, valid_to, unit_price_micros, min_quantity, book_version)
        SELECT $1, new.*, $7
        FROM UNNEST($2::TEXT[], $3::TIMESTAMPTZ[], $4::TIMESTAMPTZ[], $5::BIGINT[], $6::BIGINT[])
            AS new (sku, valid_from, valid_to, unit_price_micros, min_quantity)
        "#,
        book.price_list_id.as_str(),
        &skus as _,
        &starts,
        &ends as _,
        &micros,
        &tiers,
        book.book_version,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// All windows that SKUs have in a list.
pub async fn list_windows_of(
    conn: &mut PgConnection,
    price_list_id: &PriceListId,
    currency: Currency,
    skus: &[&str],
) -> Result<Vec<(Sku, Window)>, sqlx::Error> {
    let rows = sqlx::query_as!(
        EntryRow,
        r#"
        SELECT
            sku AS "sku: Sku"
          , valid_from
          , valid_to
          , min_quantity
          , unit_price_micros
          , book_version
        FROM catalog.prices
        WHERE price_list_id = $1
          AND sku = ANY ($2)
        "#,
        price_list_id.as_str(),
        skus as _,
    )
    .fetch_all(conn)
    .await?;
    let window = |row: EntryRow| {
        let EntryRow { sku, valid_from, valid_to, min_quantity, unit_price_micros, book_version } = row;
        let unit_price = UnitPrice::new(unit_price_micros, currency);
        (sku, Window { valid_from, valid_to, min_quantity, unit_price, book_version })
    };
    Ok(rows.into_iter().map(window).collect())
}

/// The newest version, up to `head`, that is active at `now`.
pub async fn find_active_book(
    conn: &mut PgConnection,
    head: i64,
    now: DateTime<Utc>,
) -> Result<Option<BookVersion>, sqlx::Error> {
    sqlx::query_as!(
        BookVersion,
        r#"
        SELECT
            book_version
          , activate_at
          , published_at
          , price_list_id AS "price_list_id: PriceListId"
          , entry_count
        FROM catalog.price_books
        WHERE book_version <= $1
          AND activate_at <= $2
        ORDER BY book_version DESC
        LIMIT 1
        "#,
        head,
        now,
    )
    .fetch_optional(conn)
    .await
}

/// What a version did, without its prices.
#[derive(Debug)]
pub struct VersionRow {
    pub book_version: i64,
    pub activate_at: DateTime<Utc>,
    pub price_list_id: PriceListId,
}

/// The versions after `seen`, up to `head`.
pub async fn list_versions(conn: &mut PgConnection, seen: i64, head: i64) -> Result<Vec<VersionRow>, sqlx::Error> {
    sqlx::query_as!(
        VersionRow,
        r#"
        SELECT
            book_version
          , activate_at
          , price_list_id AS "price_list_id: PriceListId"
        FROM catalog.price_books
        WHERE book_version > $1
          AND book_version <= $2
        ORDER BY book_version
        "#,
        seen,
        head,
    )
    .fetch_all(conn)
    .await
}

/// A price of any list, with its version.
#[derive(Debug)]
pub struct PriceRow {
    pub price_list_id: PriceListId,
    pub sku: Sku,
    pub valid_from: DateTime<Utc>,
    pub valid_to: Option<DateTime<Utc>>,
    pub min_quantity: i64,
    pub unit_price_micros: i64,
    pub book_version: i64,
}

/// The prices of all versions after `seen`, up to `head`, by version.
pub async fn list_prices_of_versions(
    conn: &mut PgConnection,
    seen: i64,
    head: i64,
) -> Result<Vec<PriceRow>, sqlx::Error> {
    sqlx::query_as!(
        PriceRow,
        r#"
        SELECT
            prices.price_list_id AS "price_list_id: PriceListId"
          , prices.sku AS "sku: Sku"
          , prices.valid_from
          , prices.valid_to
          , prices.min_quantity
          , prices.unit_price_micros
          , prices.book_version
        FROM catalog.price_books
        JOIN catalog.prices USING (price_list_id, book_version)
        WHERE price_books.book_version > $1
          AND price_books.book_version <= $2
        ORDER BY prices.book_version
        "#,
        seen,
        head,
    )
    .fetch_all(conn)
    .await
}

/// The prices of a list that stand, by SKU, tier and start, from the one after `after` on. Superseded ones are left out.
pub async fn list_prices(
    conn: &mut PgConnection,
    price_list_id: &PriceListId,
    currency: Currency,
    sku: Option<&Sku>,
    after: Option<&PricePlace>,
    limit: i64,
) -> Result<Vec<PublishedPrice>, sqlx::Error> {
    let rows = sqlx::query_as!(
        EntryRow,
        r#"
        SELECT DISTINCT ON (sku, min_quantity, valid_from)
            sku AS "sku: Sku"
          , valid_from
          , valid_to
          , min_quantity
          , unit_price_micros
          , book_version
        FROM catalog.prices
        WHERE price_list_id = $1
          AND ($2::TEXT IS NULL OR sku = $2)
          AND ($3::TEXT IS NULL OR (sku, min_quantity, valid_from) > ($3, $4::BIGINT, $5::TIMESTAMPTZ))
        ORDER BY sku, min_quantity, valid_from, book_version DESC
        LIMIT $6
        "#,
        price_list_id.as_str(),
        sku.map(Sku::as_str),
        after.map(|place| place.sku.as_str()),
        after.map(|place| place.min_quantity),
        after.map(|place| place.valid_from),
        limit,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| row.price(currency)).collect())
}

/// What came into a list after `after`, up to version `head`, in the order of versions.
pub async fn list_changes(
    conn: &mut PgConnection,
    price_list_id: &PriceListId,
    currency: Currency,
    after: &ChangePlace,
    head: i64,
    limit: i64,
) -> Result<Vec<PublishedPrice>, sqlx::Error> {
    let entry = after.entry.as_ref();
    let rows = sqlx::query_as!(
        EntryRow,
        r#"
        SELECT
            sku AS "sku: Sku"
          , valid_from
          , valid_to
          , min_quantity
          , unit_price_micros
          , book_version
        FROM catalog.prices
        WHERE price_list_id = $1
          AND book_version >= $2
          AND book_version <= $3
          AND (book_version > $2 OR (sku, min_quantity, valid_from) > ($4, $5::BIGINT, $6::TIMESTAMPTZ))
        ORDER BY book_version, sku, min_quantity, valid_from
        LIMIT $7
        "#,
        price_list_id.as_str(),
        after.book_version,
        head,
        entry.map(|place| place.sku.as_str()),
        entry.map(|place| place.min_quantity),
        entry.map(|place| place.valid_from),
        limit,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| row.price(currency)).collect())
}

struct EntryRow {
    sku: Sku,
    valid_from: DateTime<Utc>,
    valid_to: Option<DateTime<Utc>>,
    min_quantity: i64,
    unit_price_micros: i64,
    book_version: i64,
}

impl EntryRow {
    fn price(self, currency: Currency) -> PublishedPrice {
        PublishedPrice {
            entry: PriceEntry {
                sku: self.sku,
                unit_price: UnitPrice::new(self.unit_price_micros, currency),
                min_quantity: self.min_quantity,
                valid_from: self.valid_from,
                valid_to: self.valid_to,
            },
            book_version: self.book_version,
        }
    }
}
