//! What all documents have in common: goods on their way, orders to suppliers, counts, promises for a day.
//!
//! A document is a state and lines. Its commands are pure: they change a copy, or refuse. What a command does to the
//! shelf happens with it or not at all (`super::group`), so the books and the paper cannot part.

use std::collections::HashMap;

use oneshelf_values::{CountId, HoldId, InboundId, PromiseId, TransferId, derived_id};
use uuid::Uuid;

use super::{
    count::Count, error::Refusal, inbound::Inbound, promise::Promise, stock_level::LevelKey, transfer::Transfer,
};

/// What a document is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DocumentKind {
    Transfer,
    Count,
    Inbound,
    Promise,
}

impl DocumentKind {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Transfer => "transfer",
            Self::Count => "count",
            Self::Inbound => "inbound",
            Self::Promise => "promise",
        }
    }
}

/// A document is answered whole with each command, and so is shorter than a request may be.
pub const MAX_LINES: usize = 500;

/// Refuses when the caller has read another version than there is.
pub(super) fn check_version(kind: DocumentKind, id: Uuid, expected: Option<i64>, current: i64) -> Result<(), Refusal> {
    match expected {
        Some(expected) if expected != current => Err(Refusal::DocumentChanged { kind, id, expected, current }),
        _ => Ok(()),
    }
}

/// Ids for the holds that one command may need, made before it runs: the domain has no source of its own.
#[derive(Debug, Clone, Copy)]
pub struct HoldIds(Uuid);

impl HoldIds {
    pub fn new(first: Uuid) -> Self {
        Self(first)
    }

    /// All of them, in their order.
    pub fn iter(self) -> impl Iterator<Item = HoldId> {
        (0..).map(move |place| self.nth(place))
    }

    /// The `place`-th id.
    pub fn nth(self, place: usize) -> HoldId {
        derived_id(self.0, &format!("hold {place}")).into()
    }
}

/// The documents that a group names, locked.
#[derive(Debug, Default)]
pub struct Documents {
    pub transfers: HashMap<TransferId, Transfer>,
    pub counts: HashMap<CountId, Count>,
    /// With the orders of the notices among them.
    pub inbounds: HashMap<InboundId, Inbound>,
    pub promises: HashMap<PromiseId, Promise>,
}

impl Documents {
    /// The holds that they own.
    pub fn hold_ids(&self) -> impl Iterator<Item = HoldId> {
        let transfers = self.transfers.values().filter_map(|transfer| transfer.hold_id);
        transfers.chain(self.promises.values().flat_map(|promise| promise.held_by.iter().copied()))
    }

    /// The levels that their lines are about; what a count looks at depends on the command.
    pub fn level_keys(&self) -> impl Iterator<Item = LevelKey> {
        self.future_keys()
    }

    /// The levels whose future they may change.
    pub fn future_keys(&self) -> impl Iterator<Item = LevelKey> {
        // A transfer that is cancelled frees units at its source.
        let transfers = self.transfers.values().flat_map(Transfer::level_keys);
        let inbounds = self.inbounds.values().flat_map(Inbound::level_keys);
        transfers.chain(inbounds).chain(self.promises.values().flat_map(Promise::level_keys))
    }
}
