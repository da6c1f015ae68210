//! Events in: which queues, bound to what, and how their messages become facts.
//!
//! | queue | routing key | use case |
//! |---|---|---|
//! | `channels.stock_level_changed` | `inventory.stock_level.changed.v1` | `apply_stock` |
//! | `channels.prices_published` | `catalog.prices.published.v1` | `apply_prices` |

pub mod prices_published;
pub mod stock_level_changed;

use chrono::{DateTime, Utc};
use oneshelf_kit::consumer::HandlerError;
use oneshelf_values::clock::truncate;

/// A field of an event that its contract promises, and that is not there or not what it should be.
#[derive(Debug, thiserror::Error)]
#[error("{field} of the event is missing or malformed")]
struct BadField {
    field: &'static str,
}

/// An event that breaks its contract will do so at each delivery: park it, in sight.
fn bad(field: &'static str) -> HandlerError {
    HandlerError::park(BadField { field })
}

fn parse<T: std::str::FromStr>(field: &'static str, text: &str) -> Result<T, HandlerError> {
    text.parse().map_err(|_| bad(field))
}

fn instant(field: &'static str, at: Option<&prost_types::Timestamp>) -> Result<DateTime<Utc>, HandlerError> {
    at.and_then(|at| DateTime::from_timestamp(at.seconds, u32::try_from(at.nanos).ok()?))
        .map(truncate)
        .ok_or_else(|| bad(field))
}

/// For declaring the queues when installing, before the first event is published.
pub const SUBSCRIPTIONS: &[oneshelf_kit::consumer::Subscription] =
    &[stock_level_changed::SUBSCRIPTION, prices_published::SUBSCRIPTION];
