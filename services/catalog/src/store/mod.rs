//! All SQL of the catalog. Functions on a `&mut PgConnection` are part of the caller's transaction.

pub mod answers;
pub mod heads;
pub mod partners;
pub mod price_books;
pub mod price_lists;
pub mod products;
