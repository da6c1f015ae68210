//! Setting what is kept back: policies, ring-fences, and their release.
//!
//! A policy is set under the lock of the levels that it concerns, like any other change of them: holds in the same group
//! see it or not by their order, and each level is announced with what it has now.

use chrono::{DateTime, Utc};
use oneshelf_values::Sku;

use super::{
    super::{
        error::Refusal,
        kit::{Components, Kit},
        lot::{Tracking, TrackingTerms},
        policy::{Audit, FenceOwner, FenceTerms, RingFence, SkuPolicy, SkuTerms, StockPolicy, StockTerms},
        stock_level::LevelKey,
        threshold::Threshold,
    },
    Answer, Shelf, ThresholdLine,
};

/// New terms, each thing at most once; all or none.
#[derive(Debug, Clone)]
pub struct SetPolicies {
    pub change: PolicyChange,
    /// The key that sets them.
    pub by: String,
}

#[derive(Debug, Clone)]
pub enum PolicyChange {
    Stock(Vec<Line<LevelKey, StockTerms>>),
    Fences(Vec<Line<(LevelKey, FenceOwner), FenceTerms>>),
    Skus(Vec<Line<Sku, SkuTerms>>),
    /// The SKUs' levels are all locked, as for their policies.
    Thresholds(Vec<ThresholdLine>),
    Kits(Vec<Line<Sku, Components>>),
    Tracking(Vec<Line<Sku, TrackingTerms>>),
}

impl PolicyChange {
    /// The SKUs that it concerns.
    pub fn skus(&self) -> Box<dyn Iterator<Item = &Sku> + '_> {
        match self {
            Self::Stock(lines) => Box::new(lines.iter().map(|line| &line.key.sku)),
            Self::Fences(lines) => Box::new(lines.iter().map(|line| &line.key.0.sku)),
            Self::Skus(lines) => Box::new(lines.iter().map(|line| &line.key)),
            Self::Thresholds(lines) => Box::new(lines.iter().map(|line| &line.key.0)),
            Self::Kits(lines) => Box::new(lines.iter().map(|line| &line.key)),
            Self::Tracking(lines) => Box::new(lines.iter().map(|line| &line.key)),
        }
    }
}

#[derive(Debug, Clone)]
pub struct Line<K, T> {
    pub key: K,
    pub terms: T,
    /// 0: not checked.
    pub expected_version: i64,
}

impl<K, T> Line<K, T> {
    pub fn expect(&self, line: usize, found: Option<&Audit>) -> Result<(), Refusal> {
        let found = found.map_or(0, |audit| audit.version);
        if self.expected_version == 0 || self.expected_version == found {
            return Ok(());
        }
        Err(Refusal::PolicyChanged { line, expected: self.expected_version, found })
    }
}

/// Policies as they are now, in the order asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Policies {
    Stock(Vec<StockPolicy>),
    Fences(Vec<RingFence>),
    Skus(Vec<SkuPolicy>),
    Thresholds(Vec<Threshold>),
    Kits(Vec<Kit>),
    Tracking(Vec<Tracking>),
}

impl Shelf {
    pub(super) fn set_policies(&mut self, command: &SetPolicies, now: DateTime<Utc>) -> Result<Answer, Refusal> {
        let policies = match &command.change {
            PolicyChange::Stock(lines) => {
                for (place, line) in lines.iter().enumerate() {
                    self.require_level(&line.key)?;
                    // What is not there yet has no lot to be given.
                    if line.terms.backorder_limit > 0 {
                        self.refuse_tracked(&line.key.sku)?;
                    }
                    line.expect(place, self.rulebook.policies.get(&line.key).map(|policy| &policy.audit))?;
                }
                Policies::Stock(lines.iter().map(|line| self.set_stock(line, &command.by, now)).collect())
            }
            PolicyChange::Fences(lines) => {
                for (place, line) in lines.iter().enumerate() {
                    self.require_level(&line.key.0)?;
                    line.expect(place, self.fence(&line.key.0, &line.key.1).map(|fence| &fence.audit))?;
                }
                Policies::Fences(lines.iter().map(|line| self.set_fence(line, &command.by, now)).collect())
            }
            PolicyChange::Skus(lines) => {
                for (place, line) in lines.iter().enumerate() {
                    // What a kit's components hold is capped, component by component.
                    if line.terms.is_capped() && self.rulebook.kits.get(&line.key).is_some() {
                        return Err(Refusal::SkuIsKit { sku: line.key.clone() });
                    }
                    line.expect(place, self.rulebook.skus.get(&line.key).map(|policy| &policy.audit))?;
                }
                Policies::Skus(lines.iter().map(|line| self.set_sku(line, &command.by, now)).collect())
            }
            PolicyChange::Thresholds(lines) => Policies::Thresholds(self.set_thresholds(lines, &command.by, now)?),
            PolicyChange::Tracking(lines) => Policies::Tracking(self.set_tracking(lines, &command.by, now)?),
            PolicyChange::Kits(lines) => Policies::Kits(self.set_kits(lines, &command.by, now)?),
        };
        Ok(Answer::Policies(policies))
    }

    /// Marks fences whose time is over, so that their levels are announced without them.
    pub(super) fn release_fences(&mut self, keys: &[LevelKey], now: DateTime<Utc>) -> Answer {
        for key in keys {
            let fences = self.rulebook.fences.get_mut(key).into_iter().flatten();
            let due = |fence: &&mut RingFence| {
                !fence.released && fence.release_at.is_some_and(|release_at| release_at <= now)
            };
            for fence in fences.filter(due) {
                fence.released = true;
                self.changed_fences.insert((key.clone(), fence.owner.clone()));
                self.touched.insert(key.clone());
            }
        }
        Answer::Done
    }

    fn set_stock(&mut self, line: &Line<LevelKey, StockTerms>, by: &str, now: DateTime<Utc>) -> StockPolicy {
        let before = self.rulebook.policies.get(&line.key);
        if let Some(same) = before.filter(|policy| policy.terms == line.terms) {
            return same.clone();
        }
        let audit = Audit::next(before.map(|policy| &policy.audit), by, now);
        let policy = StockPolicy { key: line.key.clone(), terms: line.terms.clone(), audit };
        self.rulebook.policies.insert(line.key.clone(), policy.clone());
        if let Some(level) = self.levels.get_mut(&line.key) {
            level.safety_stock = line.terms.safety_stock;
            level.backorder_limit = line.terms.backorder_limit;
        }
        self.stock_set.insert(line.key.clone());
        self.rule(&line.key);
        policy
    }

    fn set_fence(
        &mut self,
        line: &Line<(LevelKey, FenceOwner), FenceTerms>,
        by: &str,
        now: DateTime<Utc>,
    ) -> RingFence {
        let (key, owner) = &line.key;
        let FenceTerms { quota, release_at } = line.terms;
        let before = self.fence(key, owner);
        if let Some(same) = before.filter(|fence| fence.quota == quota && fence.release_at == release_at) {
            return same.clone();
        }
        let audit = Audit::next(before.map(|fence| &fence.audit), by, now);
        let (begun, used) = match before.filter(|fence| fence.is_live(now)) {
            Some(live) => (live.begun, live.used),
            None => (self.version_after(key), self.taken_in_this_group(key, owner)),
        };
        let mut fence = RingFence {
            key: key.clone(),
            owner: owner.clone(),
            quota,
            release_at,
            used,
            begun,
            released: false,
            audit,
        };
        fence.released = !fence.is_live(now);
        let fences = self.rulebook.fences.entry(key.clone()).or_default();
        match fences.binary_search_by(|known| known.owner.cmp(owner)) {
            Ok(place) => fences[place] = fence.clone(),
            Err(place) => fences.insert(place, fence.clone()),
        }
        self.changed_fences.insert((key.clone(), owner.clone()));
        self.rule(key);
        fence
    }

    fn set_sku(&mut self, line: &Line<Sku, SkuTerms>, by: &str, now: DateTime<Utc>) -> SkuPolicy {
        let before = self.rulebook.skus.get(&line.key);
        if let Some(same) = before.filter(|policy| policy.terms == line.terms) {
            return same.clone();
        }
        let audit = Audit::next(before.map(|policy| &policy.audit), by, now);
        let policy = SkuPolicy { sku: line.key.clone(), terms: line.terms.clone(), audit };
        self.rulebook.skus.insert(line.key.clone(), policy.clone());
        self.skus_set.insert(line.key.clone());
        if self.rulebook.kits.get(&line.key).is_some() {
            self.kits_again.insert(line.key.clone());
            return policy;
        }
        let keys: Vec<LevelKey> = self.levels.keys().filter(|key| key.sku == line.key).cloned().collect();
        for key in keys {
            self.rule(&key);
        }
        policy
    }

    /// Lets a level know whether there are rules of it, and announces it.
    pub(super) fn rule(&mut self, key: &LevelKey) {
        if let Some(level) = self.levels.get_mut(key) {
            level.has_rules = self.rulebook.of(key).matter();
            self.ruled.insert(key.clone());
            self.touched.insert(key.clone());
        }
    }

    /// What holds of this very group took before the fence was set: they carry the version from which it counts.
    fn taken_in_this_group(&self, key: &LevelKey, owner: &FenceOwner) -> i64 {
        let holds = self.granted.iter().map(|id| &self.holds[id]).filter(|hold| owner.is(hold.asker()));
        holds
            .flat_map(|hold| hold.lines.iter().enumerate().map(|(place, line)| (line, hold.kept(place))))
            .filter(|(line, _)| line.key == *key)
            .map(|(_, units)| units)
            .sum()
    }

    fn fence(&self, key: &LevelKey, owner: &FenceOwner) -> Option<&RingFence> {
        self.rulebook.fences.get(key)?.iter().find(|fence| fence.owner == *owner)
    }

    /// A level that there is, and that something may lie at.
    fn require_level(&self, key: &LevelKey) -> Result<(), Refusal> {
        if let Some(level) = self.levels.get(key) {
            return if level.kit { Err(Refusal::SkuIsKit { sku: key.sku.clone() }) } else { Ok(()) };
        }
        Err(Refusal::LocationNotFound { location: key.location.clone() })
    }
}
