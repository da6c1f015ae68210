//! The counters that stamp what is new; see the migration for what they promise.

use sqlx::PgConnection;

/// The kinds of things that replicas keep in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Head {
    Products,
    PriceLists,
    PriceBooks,
    Partners,
}

impl Head {
    fn kind(self) -> &'static str {
        match self {
            Self::Products => "products",
            Self::PriceLists => "price_lists",
            Self::PriceBooks => "price_books",
            Self::Partners => "partners",
        }
    }
}

/// Where each head stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Heads {
    pub products: i64,
    pub price_lists: i64,
    pub price_books: i64,
    pub partners: i64,
}

/// Counts a head up and holds it until the transaction ends, so that numbers rise in the order of commits. Take it
/// late: writers of one kind wait here for each other.
pub async fn advance_head(conn: &mut PgConnection, head: Head) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"
        UPDATE catalog.heads
        SET version = version + 1
        WHERE kind = $1
        RETURNING version
        "#,
        head.kind(),
    )
    .fetch_one(conn)
    .await
}

pub async fn read_heads(conn: &mut PgConnection) -> Result<Heads, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        SELECT
            max(version) FILTER (WHERE kind = 'products') AS "products!"
          , max(version) FILTER (WHERE kind = 'price_lists') AS "price_lists!"
          , max(version) FILTER (WHERE kind = 'price_books') AS "price_books!"
          , max(version) FILTER (WHERE kind = 'partners') AS "partners!"
        FROM catalog.heads
        "#,
    )
    .fetch_one(conn)
    .await?;
    Ok(Heads {
        products: row.products,
        price_lists: row.price_lists,
        price_books: row.price_books,
        partners: row.partners,
    })
}
