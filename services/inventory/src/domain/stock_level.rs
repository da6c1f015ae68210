//! What one location holds of one SKU. What may be sold of it is [`super::availability`]'s to say.
//!
//! On hand = sellable + damaged + quarantine.
//!
//! Invariant Q3: when a hold is granted, soft + hard ≤ sellable + backorder limit. Only facts (a till's sale, a loss found
//! in a count) may push sellable below what is promised, and only where the location's policy allows may they push it
//! below zero.

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

    pub fn parse(stored: &str) -> Option<Self> {
        [Self::Sellable, Self::Damaged, Self::Quarantine].into_iter().find(|bucket| bucket.as_str() == stored)
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
    /// Copies of the level's policy.
    pub safety_stock: i64,
    pub backorder_limit: i64,
    /// There may be rules beyond those copies ([`super::policy`]); a level without them is judged by this row alone.
    pub has_rules: bool,
    /// Of a kit ([`super::kit`]): nothing is ever here.
    pub kit: bool,
    pub version: i64,
}

impl Level {
    pub fn bucket(&self, bucket: Bucket) -> i64 {
        match bucket {
            Bucket::Sellable => self.sellable,
            Bucket::Damaged => self.damaged,
            Bucket::Quarantine => self.quarantine,
        }
    }

    pub fn on_hand(&self) -> i64 {
        self.sellable + self.damaged + self.quarantine
    }

    /// Sellable less held: negative where more is promised than there is.
    pub fn free(&self) -> i64 {
        self.sellable - self.hard_held - self.soft_held
    }

    /// What the shelf has for promises of a later day.
    pub fn promisable(&self) -> i64 {
        self.free() - self.safety_stock
    }

    /// Promised units that are not there, and were not promised as a backorder.
    pub fn oversold(&self) -> i64 {
        (self.hard_held + self.soft_held - self.sellable - self.backorder_limit).max(0)
    }

    /// Promises `quantity` units; the caller has checked that they are available.
    pub fn promise(&mut self, kind: HoldKind, quantity: i64) {
        *self.held_mut(kind) += quantity;
    }

    /// Ends a promise of `held` units, of which `taken` leave the shelf.
    pub fn resolve(&mut self, kind: HoldKind, held: i64, taken: i64) {
        debug_assert!(taken <= held, "took more than was held");
        *self.held_mut(kind) -= held;
        self.sellable -= taken;
    }

    /// Moves a signed quantity into (or out of) a bucket. Nothing comes in to a closed location, and nothing to a kit. Decreases are facts of two strengths: a `Fact` (a till's sale)
    /// may go below zero where the policy allows, a `Correction` may take at most what is in the bucket.
    pub fn shift(
        &mut self,
        key: &LevelKey,
        line: usize,
        bucket: Bucket,
        delta: i64,
        strength: Strength,
    ) -> Result<(), Refusal> {
        if self.kit {
            return Err(Refusal::SkuIsKit { sku: key.sku.clone() });
        }
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

/// Units that holds want of a level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wanted {
    pub soft: i64,
    pub hard: i64,
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
