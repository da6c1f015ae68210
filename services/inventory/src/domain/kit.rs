//! Kits: SKUs that are sold as a whole and lie on no shelf.
//!
//! A kit is so many units of each component, 1 to 50 of them, none a kit itself. There are as many kits at a location as
//! its scarcest component there makes (Q8):
//!
//! ```text
//!   available(kit, location) = min over components ⌊available(component, location) / units⌋
//!                              0 where the kit is excluded from the channel
//! ```
//!
//! for whoever asks, and by the one figure of each component ([`super::availability`]): its safety stock, buffers, fences
//! and exclusions count for the kit as they do for the component itself. Components are not gathered across locations.
//!
//! A kit has no level. What consumers hear of it at a location has a version of its own ([`KitLevel`]), under a lock that
//! is taken after those of all levels.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use oneshelf_values::{ChannelId, Sku};

use super::{
    availability,
    event::{Event, Figures},
    policy::{Asker, Audit, Rulebook, SkuTerms},
    stock_level::{Level, LevelKey},
};

/// Components of one kit.
pub const MAX_COMPONENTS: usize = 50;

/// Units of one component in one kit.
pub const MAX_UNITS: i64 = 1_000_000;

/// Kits that one SKU is in: whoever changes its level locks and announces that many more.
pub const MAX_KITS_OF: usize = 100;

/// A definition: component to units, both at least one.
pub type Components = BTreeMap<Sku, i64>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kit {
    pub sku: Sku,
    pub components: Components,
    pub audit: Audit,
}

impl Kit {
    /// How many there are, of what is available of each component.
    pub fn least(&self, mut available: impl FnMut(&Sku) -> i64) -> i64 {
        self.components.iter().map(|(component, units)| available(component) / units).min().unwrap_or(0).max(0)
    }

    /// The levels that it is made from at a location.
    pub fn keys<'a>(&'a self, at: &'a LevelKey) -> impl Iterator<Item = LevelKey> + 'a {
        self.components.keys().map(|component| LevelKey { sku: component.clone(), location: at.location.clone() })
    }
}

/// What was announced last of a kit at a location.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KitLevel {
    pub version: i64,
    pub available: i64,
    /// Where it differs.
    pub channels: Vec<(ChannelId, i64)>,
}

/// The kits that a group of commands has to look at.
#[derive(Debug, Clone, Default)]
pub struct Kits {
    known: HashMap<Sku, Arc<Kit>>,
    /// Which kits a SKU is in.
    of: HashMap<Sku, BTreeSet<Sku>>,
    /// Locked.
    pub levels: HashMap<LevelKey, KitLevel>,
    /// Levels of components that no command names: read under the locks of `levels`.
    pub siblings: HashMap<LevelKey, Level>,
}

impl Kits {
    pub fn new(kits: impl IntoIterator<Item = Kit>) -> Self {
        let mut all = Self::default();
        for kit in kits {
            all.define(Arc::new(kit));
        }
        all
    }

    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    pub fn get(&self, sku: &Sku) -> Option<&Arc<Kit>> {
        self.known.get(sku)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Arc<Kit>> {
        self.known.values()
    }

    /// The kits that a SKU is in.
    pub fn of(&self, sku: &Sku) -> impl Iterator<Item = &Sku> {
        self.of.get(sku).into_iter().flatten()
    }

    /// Whether anything is said of a SKU, as a kit or as part of one.
    pub fn concern(&self, sku: &Sku) -> bool {
        self.known.contains_key(sku) || self.of.contains_key(sku)
    }

    /// Puts a definition in the place of the one before.
    pub fn define(&mut self, kit: Arc<Kit>) {
        if let Some(before) = self.known.get(&kit.sku) {
            for component in before.components.keys() {
                if let Some(kits) = self.of.get_mut(component) {
                    kits.remove(&kit.sku);
                    if kits.is_empty() {
                        self.of.remove(component);
                    }
                }
            }
        }
        for component in kit.components.keys() {
            self.of.entry(component.clone()).or_default().insert(kit.sku.clone());
        }
        self.known.insert(kit.sku.clone(), kit);
    }

    /// What it says of these SKUs as kits.
    #[must_use]
    pub fn excerpt<'a>(&self, skus: impl IntoIterator<Item = &'a Sku>) -> Self {
        let mut excerpt = Self::default();
        for kit in skus.into_iter().filter_map(|sku| self.known.get(sku)) {
            excerpt.define(kit.clone());
        }
        excerpt
    }
}

/// Whether a kit may not be sold to whoever asks, whatever its components say.
pub fn excluded(terms: Option<&SkuTerms>, asker: Asker<'_>) -> bool {
    terms.zip(asker.channel).is_some_and(|(terms, channel)| terms.excluded_channels.contains(channel))
}

/// Says anew what there is of kits: of those at whose location a component's level changed, and of those that `again` names.
/// Answers what differs from what was announced last, with its new version, and the events that say so.
#[expect(clippy::implicit_hasher, reason = "the maps it is given are the group's own")]
pub fn announce(
    rulebook: &Rulebook,
    levels: &HashMap<LevelKey, Level>,
    touched: &HashSet<LevelKey>,
    again: &HashSet<Sku>,
    now: DateTime<Utc>,
) -> (Vec<(LevelKey, KitLevel)>, Vec<Event>) {
    let kits = &rulebook.kits;
    let (mut changed, mut events) = (Vec::new(), Vec::new());
    let mut keys: Vec<&LevelKey> = kits.levels.keys().collect();
    keys.sort_unstable();
    for key in keys {
        let Some(kit) = kits.get(&key.sku) else { continue };
        if !again.contains(&key.sku) && !kit.keys(key).any(|part| touched.contains(&part)) {
            continue;
        }
        let figures = figures(rulebook, kit, key, levels, now);
        let before = &kits.levels[key];
        let same = before.available == figures.available && before.channels == figures.channels;
        if same && !again.contains(&key.sku) {
            continue;
        }
        let level =
            KitLevel { version: before.version + 1, available: figures.available, channels: figures.channels.clone() };
        let nothing = Level { version: level.version, ..Level::default() };
        events.push(Event::LevelChanged { key: key.clone(), level: nothing, figures });
        changed.push((key.clone(), level));
    }
    (changed, events)
}

/// What consumers show of a kit at a location.
fn figures(
    rulebook: &Rulebook,
    kit: &Kit,
    key: &LevelKey,
    levels: &HashMap<LevelKey, Level>,
    now: DateTime<Utc>,
) -> Figures {
    let terms = rulebook.sku_terms(&kit.sku);
    let parts: HashMap<Sku, (LevelKey, Level)> = kit
        .keys(key)
        .filter_map(|part| {
            let level = levels.get(&part).or_else(|| rulebook.kits.siblings.get(&part))?;
            Some((part.sku.clone(), (part, *level)))
        })
        .collect();
    let ask = |asker| {
        if excluded(terms, asker) {
            return 0;
        }
        kit.least(|component| {
            parts
                .get(component)
                .map_or(0, |(part, level)| availability::available(level, rulebook.of(part), asker, now))
        })
    };
    let available = ask(Asker::default());
    let named = parts.values().flat_map(|(part, _)| rulebook.of(part).channels());
    let named: BTreeSet<&ChannelId> =
        named.chain(terms.into_iter().flat_map(|terms| &terms.excluded_channels)).collect();
    let channels = named
        .into_iter()
        .map(|channel| (channel.clone(), ask(Asker { channel: Some(channel), partner: None })))
        .filter(|(_, differing)| *differing != available)
        .collect();
    Figures { available, channels, network_threshold: terms.map_or(0, |terms| terms.network_threshold) }
}
