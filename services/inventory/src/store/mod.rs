//! All SQL of the service. Functions on `&mut PgConnection` are part of the caller's transaction; those on `&PgPool` are
//! reads of their own. Statements take arrays: round trips do not grow with lines, SKUs or commands.

pub mod answers;
pub mod balances;
pub mod caps;
pub mod channels;
pub mod consignments;
pub mod costs;
pub mod count_plan;
pub mod counts;
pub mod documents;
pub mod drift;
pub mod grants;
pub mod holds;
pub mod inbounds;
pub mod kits;
pub mod ledger;
pub mod locations;
pub mod lots;
pub mod movements;
pub mod partitions;
pub mod policies;
pub mod promises;
pub mod reasons;
pub mod reorder;
pub mod sourcing;
pub mod stock_levels;
pub mod thresholds;
pub mod transfers;

/// A stored row that does not fit the domain: somebody wrote around the service, or a migration went wrong.
#[derive(Debug, thiserror::Error)]
#[error("{table}.{column} of {key} does not fit: {value}")]
pub struct Inconsistency {
    pub table: &'static str,
    pub column: &'static str,
    pub key: String,
    pub value: String,
}

impl From<Inconsistency> for sqlx::Error {
    fn from(inconsistency: Inconsistency) -> Self {
        Self::Decode(Box::new(inconsistency))
    }
}

/// Parses a stored code or SKU, which was valid when it was written.
pub(crate) fn parse<T: std::str::FromStr>(
    table: &'static str,
    column: &'static str,
    value: &str,
) -> Result<T, sqlx::Error> {
    value.parse().map_err(|_| Inconsistency { table, column, key: value.to_owned(), value: value.to_owned() }.into())
}
