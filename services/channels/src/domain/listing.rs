//! What a channel should show of one SKU.

use std::time::Duration;

use chrono::{DateTime, Utc};
use oneshelf_values::{Sku, UnitPrice};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    pub sku: Sku,
    /// Rises by one with each change of price or stock.
    pub version: i64,
    pub available: i64,
    /// None: no price now, so not for sale.
    pub unit_price: Option<UnitPrice>,
    /// When the newest change was committed at its source.
    pub source_at: DateTime<Utc>,
    pub acknowledged_version: i64,
}

/// How far a channel is behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lag {
    /// SKUs with a newer version than was acknowledged.
    pub pending: i64,
    pub oldest_pending_age: Duration,
    /// Acknowledgements of the newest version, within [`LAG_WINDOW`], and their delays from commit at the source.
    pub acknowledged: i64,
    pub delay_p50: Duration,
    pub delay_p99: Duration,
    pub delay_max: Duration,
}

pub const LAG_WINDOW: Duration = Duration::from_secs(60);
