//! The ledger: append-only, double-entry. One movement takes units from one account and gives them to another, so all
//! accounts of a SKU always sum to zero and what is on hand is what flowed in less what flowed out (Q1).

use chrono::{DateTime, Utc};
use oneshelf_values::{LocationId, PartnerId, Sku};
use uuid::Uuid;

use super::{
    lot::LotNumber,
    reason::Reason,
    stock_level::{Bucket, LevelKey},
};

/// Where units are, or whom they belong to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Account {
    Supplier,
    Customer,
    Loss,
    Found,
    /// On the way between two locations.
    InTransit,
    Production,
    /// Goods that are another's, by owner.
    Consignment(PartnerId),
    Shelf(LocationId, Bucket),
}

impl Account {
    /// The account's kind as stored.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Supplier => "supplier",
            Self::Customer => "customer",
            Self::Loss => "loss",
            Self::Found => "found",
            Self::InTransit => "in_transit",
            Self::Production => "production",
            Self::Consignment(_) => "consignment",
            Self::Shelf(_, bucket) => bucket.as_str(),
        }
    }

    pub fn location(&self) -> Option<&LocationId> {
        match self {
            Self::Shelf(location, _) => Some(location),
            _ => None,
        }
    }
}

/// Units that moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Movement {
    /// The request (or hold) that caused it.
    pub movement_id: Uuid,
    /// 0-based place within that request.
    pub line: usize,
    pub sku: Sku,
    pub source: Account,
    pub target: Account,
    /// Positive.
    pub quantity: i64,
    pub reason: Reason,
    pub reference: String,
    /// Version that the touched level gets with this group; 0 where no level is touched.
    pub level_version: i64,
    pub effective_at: DateTime<Utc>,
    /// Of a tracked SKU: which lot or serial number.
    pub lot: Option<LotNumber>,
}

impl Movement {
    /// The level that this movement changes: at most one, as goods go between locations by way of transit.
    pub fn level_key(&self) -> Option<LevelKey> {
        let location = self.source.location().or(self.target.location())?;
        Some(LevelKey { sku: self.sku.clone(), location: location.clone() })
    }

    /// Whose consigned goods moved.
    pub fn owner(&self) -> Option<&PartnerId> {
        [&self.source, &self.target].into_iter().find_map(|account| match account {
            Account::Consignment(owner) => Some(owner),
            _ => None,
        })
    }

    /// What the movement adds to a bucket of its level.
    pub fn delta(&self, bucket: Bucket) -> i64 {
        let of = |account: &Account| matches!(account, Account::Shelf(_, named) if *named == bucket);
        self.quantity * (i64::from(of(&self.target)) - i64::from(of(&self.source)))
    }
}
