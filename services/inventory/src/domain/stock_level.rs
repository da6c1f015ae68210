//! What one location holds of one SKU, and what may still be promised of it.
//!
//! | | |
//! |---|---|
//! | on hand | sellable + damaged + quarantine |
//! | available | max(0, sellable − hard − soft), at an active location: the floor hides nothing, the negative part is `oversold` |
//!
//! Invariant Q3: when a hold is granted, soft + hard ≤ sellable. Only facts (a till's sale, a loss found in a count) may
//! push sellable below what is promised, and only where the location's policy allows may they push it below zero.

use oneshelf_values::{LocationId, Sku};

use super::{
    error::{Refusal, ShortLine},
    hold::HoldKind,
    location::LocationState,
};

/// The identity of a level. Its order, by SKU and then location, is the order in which rows are locked.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LevelKey {
    pub sku: Sku,
    pub location: LocationId,
}

/// A condition of goods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Bucket {
    Sellable,
    Damaged,
    Quarantine,
}

impl Bucket {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sellable => "sellable",
            Self::Damaged => "damaged",
            Self::Quarantine => "quarantine",
        }
    }
}

/// The counters of one (SKU, location).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Level {
    pub sellable: i64,
    pub damaged: i64,
    pub quarantine: i64,
    pub soft_held: i64,
    pub hard_held: i64,
    /// The location's policy: facts may take sellable below zero.
    pub oversell_facts: bool,
    /// A copy of the location's state: a hold is decided on this row alone.
    pub location: LocationState,
    pub version: i64,
}

impl Level {
    pub fn on_hand(&self) -> i64 {
        self.sellable + self.damaged + self.quarantine
    }

    /// Units that may still be promised or sold.
    pub fn available(&self) -> i64 {
        match self.location {
            LocationState::Active => (self.sellable - self.hard_held - self.soft_held).max(0),
            LocationState::Inactive | LocationState::Closed => 0,
        }
    }

    /// Promised units that are not there.
    pub fn oversold(&self) -> i64 {
        (self.hard_held + self.soft_held - self.sellable).max(0)
    }

    /// Promises `quantity` units; the caller has checked that they are available.
    pub fn promise(&mut self, kind: HoldKind, quantity: i64) {
        debug_assert!(quantity <= self.available(), "promised more than available");
        *self.held_mut(kind) += quantity;
    }

    /// Ends a promise of `held` units, of which `taken` leave the shelf.
    pub fn resolve(&mut self, kind: HoldKind, held: i64, taken: i64) {
        debug_assert!(taken <= held, "took more than was held");
        *self.held_mut(kind) -= held;
        self.sellable -= taken;
    }

    /// Moves a signed quantity into (or out of) a bucket. Nothing comes in to a closed location. Decreases are facts of two strengths: a `Fact` (a till's sale)
    /// may go below zero where the policy allows, a `Correction` may take at most what is in the bucket.
    pub fn shift(
        &mut self,
        key: &LevelKey,
        line: usize,
        bucket: Bucket,
        delta: i64,
        strength: Strength,
    ) -> Result<(), Refusal> {
        let oversell_facts = self.oversell_facts;
        let counter = match bucket {
            Bucket::Sellable => &mut self.sellable,
            Bucket::Damaged => &mut self.damaged,
            Bucket::Quarantine => &mut self.quarantine,
        };
        let after = counter
            .checked_add(delta)
            .filter(|after| after.abs() <= MAX_LEVEL)
            .ok_or_else(|| Refusal::QuantityOverflow { sku: key.sku.clone(), location: key.location.clone() })?;
        if self.location == LocationState::Closed && delta > 0 && after > 0 {
            return Err(Refusal::LocationClosed { location: key.location.clone() });
        }
        let may_go_below = strength == Strength::Fact && oversell_facts && bucket == Bucket::Sellable;
        if delta < 0 && after < 0 && !may_go_below {
            return Err(Refusal::InsufficientStock {
                short: vec![ShortLine {
                    line,
                    sku: key.sku.clone(),
                    location: key.location.clone(),
                    requested: -delta,
                    available: (*counter).max(0),
                }],
            });
        }
        *counter = after;
        Ok(())
    }

    fn held_mut(&mut self, kind: HoldKind) -> &mut i64 {
        match kind {
            HoldKind::Soft => &mut self.soft_held,
            HoldKind::Hard => &mut self.hard_held,
        }
    }
}

/// No bucket passes this size in either direction, so sums over buckets cannot overflow.
pub const MAX_LEVEL: i64 = 1_000_000_000_000_000;

/// How firmly a decrease is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strength {
    /// It has happened; the books follow.
    Fact,
    /// A correction or request: refused when the units are not there.
    Correction,
}
