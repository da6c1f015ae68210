//! All SQL of this service. A function named `lock_…` takes row locks in the caller's transaction; accounts are
//! always locked in partner order and before anything else of theirs is read.

pub(crate) mod answers;
pub(crate) mod credit;
pub(crate) mod partners;

/// A row that does not fit its domain type: a bug or a hand at the tables, never "not found".
fn inconsistent(table: &str, key: impl std::fmt::Display, what: impl std::fmt::Display) -> sqlx::Error {
    sqlx::Error::Decode(format!("partners.{table} {key}: {what}").into())
}
