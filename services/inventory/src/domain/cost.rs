//! What a unit of a SKU costs us: what stock is valued by. Set from outside, with its history; no costing method of ours.

use oneshelf_values::{Sku, UnitPrice};

use super::policy::Audit;

/// The dearest unit, in millionths of a currency's major unit: sums of what is valued by it stay far within 128 bits.
pub const MAX_COST_MICROS: i64 = 1_000_000_000_000_000;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitCost {
    pub sku: Sku,
    pub cost: UnitPrice,
    pub audit: Audit,
}
