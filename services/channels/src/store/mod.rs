//! All SQL of the service. Functions on `&mut PgConnection` are part of the caller's transaction. Statements take arrays
//! or whole sets: round trips do not grow with SKUs, channels or events.
//!
//! Locks, always in this order, so that nobody waits in a circle:
//!
//! | lock | taken by | why |
//! |---|---|---|
//! | the registry, shared or alone ([`registry`]) | facts: shared; a new or changed channel: alone | a fact that is being written and a location that is being added must see each other |
//! | facts, in key order | consumers | |
//! | channels, by id ([`channels::lock_channels`]) | whoever changes listings | listings are computed from what the others committed; sequence numbers become visible in order |
//! | listings, by SKU | changes, acknowledgements | |

pub mod acknowledgements;
pub mod answers;
pub mod changes;
pub mod channels;
pub mod facts;
pub mod lag;
pub mod listings;
pub mod registry;

use std::{fmt::Display, str::FromStr};

/// A stored row that does not fit the domain: somebody wrote around the service, or a migration went wrong.
#[derive(Debug, thiserror::Error)]
#[error("{table}.{column} of {key} does not fit: {value}")]
struct Inconsistency {
    table: &'static str,
    column: &'static str,
    key: String,
    value: String,
}

/// Parses a stored text, which was valid when it was written.
fn parse<T: FromStr>(
    table: &'static str,
    column: &'static str,
    key: impl Display,
    value: &str,
) -> Result<T, sqlx::Error> {
    value.parse().map_err(|_| {
        sqlx::Error::Decode(Box::new(Inconsistency { table, column, key: key.to_string(), value: value.to_owned() }))
    })
}
