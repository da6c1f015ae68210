//! All SQL of the service. Functions on `&mut PgConnection` are part of the caller's transaction; those on `&PgPool` are
//! statements of their own. Statements take arrays: an order of 2,000 lines costs as many round trips as one of one.

pub mod allocations;
pub mod orders;
pub mod processes;
pub mod returns;

use std::fmt::Display;

/// A stored row that does not fit the domain: somebody wrote around the service, or a migration went wrong.
#[derive(Debug, thiserror::Error)]
#[error("orders.{table}.{column} of {key} does not fit: {value}")]
pub struct Inconsistency {
    table: &'static str,
    column: &'static str,
    key: String,
    value: String,
}

/// A stored value that was valid when it was written, or the error that names the row.
fn known<T>(
    value: Option<T>,
    table: &'static str,
    column: &'static str,
    key: impl Display,
    stored: &impl std::fmt::Debug,
) -> Result<T, sqlx::Error> {
    value.ok_or_else(|| {
        sqlx::Error::Decode(Box::new(Inconsistency {
            table,
            column,
            key: key.to_string(),
            value: format!("{stored:?}"),
        }))
    })
}
