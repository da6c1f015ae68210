//! Units promised for a day: what the shelf had then is held, the rest waits for supply (see [`super::future`]).
//!
//! ```text
//! Open ─commit (once nothing waits)─▶ Committed, and a hard hold of all its units
//!   └── cancel ────────────────────▶ Cancelled
//! ```

use chrono::{DateTime, NaiveDate, Utc};
use oneshelf_values::{ChannelId, HoldId, PromiseId};

use super::{document::DocumentKind, error::Refusal, stock_level::LevelKey};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PromiseState {
    Open,
    Committed,
    Cancelled,
}

impl PromiseState {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Committed => "committed",
            Self::Cancelled => "cancelled",
        }
    }

    pub fn parse(stored: &str) -> Option<Self> {
        [Self::Open, Self::Committed, Self::Cancelled].into_iter().find(|state| state.as_str() == stored)
    }
}

/// One SKU at one location of a promise; a promise names each pair once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PromiseLine {
    pub key: LevelKey,
    pub quantity: i64,
    /// Not there yet; the rest is held.
    pub waiting: i64,
    /// Of the waiting units: those that no supply covers any more.
    pub uncovered: i64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Promise {
    pub promise_id: PromiseId,
    pub state: PromiseState,
    pub due: NaiveDate,
    pub channel: Option<ChannelId>,
    pub reference: String,
    pub lines: Vec<PromiseLine>,
    /// The hard holds on what is there, owned by this promise: one from its beginning, one from each receipt.
    pub held_by: Vec<HoldId>,
    /// The hold that it was committed into.
    pub hold_id: Option<HoldId>,
    pub version: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

impl Promise {
    pub fn level_keys(&self) -> impl Iterator<Item = LevelKey> {
        self.lines.iter().map(|line| line.key.clone())
    }

    /// Turns the promise into a hold of all its units.
    pub(super) fn commit(&mut self, hold_id: HoldId) -> Result<(), Refusal> {
        self.expect_open()?;
        let waiting = self.lines.iter().map(|line| line.waiting).sum();
        if waiting > 0 {
            return Err(Refusal::PromiseWaiting { promise_id: self.promise_id, waiting });
        }
        self.state = PromiseState::Committed;
        self.hold_id = Some(hold_id);
        Ok(())
    }

    /// Gives everything back.
    pub(super) fn cancel(&mut self) -> Result<(), Refusal> {
        self.expect_open()?;
        self.state = PromiseState::Cancelled;
        for line in &mut self.lines {
            (line.waiting, line.uncovered) = (0, 0);
        }
        Ok(())
    }

    pub(super) fn changed(&mut self, now: DateTime<Utc>) {
        self.version += 1;
        self.updated_at = now;
    }

    fn expect_open(&self) -> Result<(), Refusal> {
        if self.state == PromiseState::Open {
            return Ok(());
        }
        Err(Refusal::DocumentState {
            kind: DocumentKind::Promise,
            id: self.promise_id.into(),
            state: self.state.as_str(),
        })
    }
}
