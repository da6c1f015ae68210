//! Counting what is there.
//!
//! ```text
//! Counting ─record*─▶ Counting ─approve─▶ Approved ─post─▶ Posted
//!     ▲ └───────────── recount ──────────────┘
//!     └ cancel, from either ▶ Cancelled
//! ```
//!
//! - A line is *frozen*: it keeps what the books said, and the level's version at which they said it. Sales go on while
//!   people count. What they find is compared with the frozen figure, and the difference is applied to the level as it
//!   is at the posting, so nothing that happened in between is undone or counted twice.
//! - A recount freezes its lines anew.
//! - Counting is blind: the frozen figure is for those who review, not for those who count.
//! - A (SKU, location, bucket) is in one open count at most, as two would both post the same difference.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use oneshelf_values::{CountId, LocationId, Sku};

use super::{
    document::{self, DocumentKind},
    error::Refusal,
    stock_level::{Bucket, LevelKey},
};

/// What a full count may grow to by what is found besides: all its lines are read for each command.
pub const MAX_LINES: usize = 4_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CountKind {
    /// Everything that a location has, or a range of its SKUs; what is found besides is added.
    Full,
    /// Chosen SKUs, such as those that are due.
    Cycle,
}

impl CountKind {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Cycle => "cycle",
        }
    }

    pub fn parse(stored: &str) -> Option<Self> {
        [Self::Full, Self::Cycle].into_iter().find(|kind| kind.as_str() == stored)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CountState {
    Counting,
    Approved,
    Posted,
    Cancelled,
}

impl CountState {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counting => "counting",
            Self::Approved => "approved",
            Self::Posted => "posted",
            Self::Cancelled => "cancelled",
        }
    }

    pub fn parse(stored: &str) -> Option<Self> {
        [Self::Counting, Self::Approved, Self::Posted, Self::Cancelled]
            .into_iter()
            .find(|state| state.as_str() == stored)
    }

    pub fn is_open(self) -> bool {
        matches!(self, Self::Counting | Self::Approved)
    }
}

/// One SKU of a count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CountLine {
    /// What the books said when the line was frozen.
    pub expected: i64,
    /// The level's version that said so.
    pub frozen_version: i64,
    /// What was found; `None` until somebody has looked.
    pub counted: Option<i64>,
    /// 1, and one more with each recount.
    pub round: i32,
}

impl CountLine {
    pub fn frozen(expected: i64, frozen_version: i64) -> Self {
        Self { expected, frozen_version, counted: None, round: 1 }
    }

    /// What the books are wrong by.
    pub fn variance(&self) -> Option<i64> {
        self.counted.map(|counted| counted - self.expected)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Count {
    pub count_id: CountId,
    pub location: LocationId,
    pub bucket: Bucket,
    pub kind: CountKind,
    pub state: CountState,
    pub reference: String,
    pub lines: BTreeMap<Sku, CountLine>,
    pub version: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

impl Count {
    pub fn key(&self, sku: &Sku) -> LevelKey {
        LevelKey { sku: sku.clone(), location: self.location.clone() }
    }

    pub(super) fn changed(&mut self, now: DateTime<Utc>) {
        self.version += 1;
        self.updated_at = now;
    }

    pub(super) fn check_version(&self, expected: Option<i64>) -> Result<(), Refusal> {
        document::check_version(DocumentKind::Count, self.count_id.into(), expected, self.version)
    }

    /// Takes a SKU that was found besides those that were listed.
    pub(super) fn add_line(&mut self, sku: &Sku, line: CountLine) -> Result<(), Refusal> {
        self.expect(&[CountState::Counting])?;
        if self.lines.len() >= MAX_LINES {
            return Err(Refusal::TooLarge { limit: MAX_LINES as i64 });
        }
        self.lines.insert(sku.clone(), line);
        Ok(())
    }

    /// Notes what was found of a line; `add` adds to what this round found before, in another place.
    pub(super) fn record(&mut self, place: usize, sku: &Sku, quantity: i64, add: bool) -> Result<(), Refusal> {
        self.expect(&[CountState::Counting])?;
        let line = self.lines.get_mut(sku).ok_or_else(|| Refusal::LineNotFound { line: place, sku: sku.clone() })?;
        let before = line.counted.filter(|_| add).unwrap_or(0);
        line.counted = Some(
            before
                .checked_add(quantity)
                .filter(|sum| *sum <= super::stock_level::MAX_LEVEL)
                .ok_or_else(|| Refusal::QuantityOverflow { sku: sku.clone(), location: self.location.clone() })?,
        );
        Ok(())
    }

    /// Opens a line again, frozen anew.
    pub(super) fn recount(&mut self, place: usize, sku: &Sku, expected: i64, version: i64) -> Result<(), Refusal> {
        self.expect(&[CountState::Counting, CountState::Approved])?;
        let line = self.lines.get_mut(sku).ok_or_else(|| Refusal::LineNotFound { line: place, sku: sku.clone() })?;
        *line = CountLine { round: line.round + 1, ..CountLine::frozen(expected, version) };
        self.state = CountState::Counting;
        Ok(())
    }

    /// Takes the count as right; `uncounted_is_zero` says that what nobody found is not there.
    pub(super) fn approve(&mut self, uncounted_is_zero: bool) -> Result<Vec<Sku>, Refusal> {
        self.expect(&[CountState::Counting])?;
        let open: Vec<Sku> =
            self.lines.iter().filter(|(_, line)| line.counted.is_none()).map(|(sku, _)| sku.clone()).collect();
        if let Some(first) = open.first().filter(|_| !uncounted_is_zero) {
            return Err(Refusal::CountIncomplete {
                count_id: self.count_id,
                uncounted: open.len(),
                sku: first.clone(),
            });
        }
        for line in self.lines.values_mut() {
            line.counted = line.counted.or(Some(0));
        }
        self.state = CountState::Approved;
        Ok(open)
    }

    /// Ends the count; answers what to apply to the levels as they are now.
    pub(super) fn post(&mut self) -> Result<Vec<(Sku, i64)>, Refusal> {
        self.expect(&[CountState::Approved])?;
        self.state = CountState::Posted;
        Ok(self.variances())
    }

    pub(super) fn cancel(&mut self) -> Result<(), Refusal> {
        self.expect(&[CountState::Counting, CountState::Approved])?;
        self.state = CountState::Cancelled;
        Ok(())
    }

    /// The lines whose count differs from the books.
    pub fn variances(&self) -> Vec<(Sku, i64)> {
        let differing = self.lines.iter().filter_map(|(sku, line)| Some((sku.clone(), line.variance()?)));
        differing.filter(|(_, variance)| *variance != 0).collect()
    }

    /// The count with these lines only: an answer says what its request was about.
    #[must_use]
    pub fn only(&self, skus: impl IntoIterator<Item = Sku>) -> Self {
        let lines = skus.into_iter().filter_map(|sku| self.lines.get(&sku).cloned().map(|line| (sku, line))).collect();
        Self { lines, ..self.head() }
    }

    fn head(&self) -> Self {
        Self {
            count_id: self.count_id,
            location: self.location.clone(),
            bucket: self.bucket,
            kind: self.kind,
            state: self.state,
            reference: self.reference.clone(),
            lines: BTreeMap::new(),
            version: self.version,
            created_at: self.created_at,
            updated_at: self.updated_at,
        }
    }

    fn expect(&self, states: &[CountState]) -> Result<(), Refusal> {
        if states.contains(&self.state) {
            return Ok(());
        }
        Err(Refusal::DocumentState { kind: DocumentKind::Count, id: self.count_id.into(), state: self.state.as_str() })
    }
}
