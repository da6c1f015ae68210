//! Places that hold stock.

use chrono::{DateTime, Utc};
use oneshelf_values::LocationId;

/// What a location is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LocationKind {
    Warehouse,
    Store,
}

impl LocationKind {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Warehouse => "warehouse",
            Self::Store => "store",
        }
    }

    pub fn parse(stored: &str) -> Option<Self> {
        match stored {
            "warehouse" => Some(Self::Warehouse),
            "store" => Some(Self::Store),
            _ => None,
        }
    }
}

/// A place that holds stock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    pub location_id: LocationId,
    pub kind: LocationKind,
    pub title: String,
    /// A till's sale may take sellable stock below zero here.
    pub oversell_facts: bool,
    pub version: i64,
    pub created_at: DateTime<Utc>,
}
