//! All SQL of this service. Members are always locked in member order and before their documents are read.

pub(crate) mod answers;
pub(crate) mod documents;
pub(crate) mod members;

/// A row that does not fit its domain type: a bug or a hand at the tables, never "not found".
fn inconsistent(table: &str, key: impl std::fmt::Display, what: impl std::fmt::Display) -> sqlx::Error {
    sqlx::Error::Decode(format!("loyalty.{table} {key}: {what}").into())
}
