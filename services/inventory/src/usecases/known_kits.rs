//! What this process remembers of kits: which levels a hold that names one will need.
//!
//! A guess, so that groups with kits need not run twice. Nothing is decided by it: the definition that counts is read
//! under the locks, and what was learned of an older one only locks levels too many, or too few, which is noticed.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use oneshelf_values::Sku;

/// The components of some kits.
pub type Parts = HashMap<Sku, Arc<[Sku]>>;

/// Kits that are remembered; beyond that, learning begins anew.
const MAX_KITS: usize = 10_000;

#[derive(Debug, Default)]
pub struct KnownKits(RwLock<Parts>);

impl KnownKits {
    /// What is known of these SKUs; they are not asked for where no kit is known at all.
    pub fn of<'a, I: Iterator<Item = &'a Sku>>(&self, skus: impl FnOnce() -> I) -> Parts {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if known.is_empty() {
            return Parts::new();
        }
        skus().filter_map(|sku| Some((sku.clone(), known.get(sku)?.clone()))).collect()
    }

    pub fn learn(&self, found: &Parts) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() + found.len() > MAX_KITS {
            known.clear();
        }
        known.extend(found.iter().map(|(kit, parts)| (kit.clone(), parts.clone())));
    }
}
