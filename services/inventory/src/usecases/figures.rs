//! What may be sold, read without locks for those who only want to know: by the same function that decides holds.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use chrono::{DateTime, Utc};
use oneshelf_kit::auth::Caller;
use oneshelf_values::{ChannelId, LocationId, PartnerId, Sku};
use sqlx::PgPool;

use super::Error;
use crate::{
    domain::{
        Refusal,
        availability::{Blocked, Breakdown},
        kit::{self, Kit, Kits},
        policy::{Asker, Rulebook, Rules},
        stock_level::{Level, LevelKey},
    },
    store::{self, stock_levels::LiveLevel},
};

/// The permission to see numbers and not only bands.
pub const SEE_QUANTITIES: &str = "inventory:SeeQuantities";

/// On which channel, and for whom.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Who {
    pub channel: ChannelId,
    pub partner: Option<PartnerId>,
}

impl Who {
    pub(super) fn asker(&self) -> Asker<'_> {
        Asker { channel: Some(&self.channel), partner: self.partner.as_ref() }
    }

    /// A bound key asks for its channel and its partner only; a partner's key that names nobody asks for that partner.
    pub(super) fn within(self, caller: &Caller) -> Result<Self, Error> {
        super::check_channel(caller, Some(&self.channel))?;
        Ok(Self { partner: super::partner_for(caller, self.partner)?, ..self })
    }
}

/// Levels as they can be sold from at an instant, with their rules. A kit stands among them, by location, wherever one of
/// its components has a level.
pub(super) struct LiveShelf {
    pub levels: Vec<LiveLevel>,
    /// Levels of the components of kits.
    parts: HashMap<LevelKey, LiveLevel>,
    rulebook: Rulebook,
    read_at: DateTime<Utc>,
}

impl LiveShelf {
    pub fn rules(&self, key: &LevelKey) -> Rules<'_> {
        self.rulebook.of(key)
    }

    /// Of a kit: as many as its components make, and nothing of its own.
    pub fn breakdown(&self, live: &LiveLevel, asker: Asker<'_>) -> Breakdown {
        let Some(kit) = self.rulebook.kits.get(&live.key.sku) else {
            return Breakdown::of(&live.level, self.rules(&live.key), asker, self.read_at);
        };
        let kits = kit.least(|component| {
            let key = LevelKey { sku: component.clone(), location: live.key.location.clone() };
            let level = self.parts.get(&key).map_or_else(Level::default, |part| part.level);
            Breakdown::of(&level, self.rules(&key), asker, self.read_at).available
        });
        let blocked = kit::excluded(self.rulebook.sku_terms(&kit.sku), asker).then_some(Blocked::ExcludedFromChannel);
        let nothing = Breakdown::of(&Level::default(), Rules::default(), asker, self.read_at);
        let available = if blocked.is_some() { 0 } else { kits };
        Breakdown { unfloored: kits, blocked, available, ..nothing }
    }

    /// The components of a kit, with the units of each in one, as they are at its location; none of what is no kit.
    pub fn parts_of(&self, live: &LiveLevel) -> Vec<(i64, LiveLevel)> {
        let Some(kit) = self.rulebook.kits.get(&live.key.sku) else { return Vec::new() };
        let parts = kit.keys(&live.key).zip(kit.components.values());
        parts.map(|(key, units)| (*units, self.part(key))).collect()
    }

    /// A component as it is; empty where it has no level.
    fn part(&self, key: LevelKey) -> LiveLevel {
        let nothing = || LiveLevel { key: key.clone(), level: Level::default(), low_threshold: 0 };
        self.parts.get(&key).cloned().unwrap_or_else(nothing)
    }
}

/// One statement, and two more only if one of the levels has rules. A SKU that has no level, or rules, may be a kit: one
/// statement more looks, and if it is one, its components are read in the same way.
pub(super) async fn read_live(
    pool: &PgPool,
    skus: &[&str],
    location_ids: &[String],
    now: DateTime<Utc>,
) -> Result<LiveShelf, Error> {
    let mut levels = store::stock_levels::list_live_levels(pool, skus, location_ids, now).await?;
    let plain: HashSet<&str> =
        levels.iter().filter(|live| !live.level.has_rules).map(|live| live.key.sku.as_str()).collect();
    let perhaps: BTreeSet<&str> = skus.iter().copied().filter(|sku| !plain.contains(sku)).collect();
    let kits = find_kits(pool, perhaps).await?;
    let mut parts = Vec::new();
    if !kits.is_empty() {
        levels.retain(|live| !kits.contains_key(&live.key.sku));
        let components: BTreeSet<&str> = kits.values().flat_map(|kit| kit.components.keys()).map(Sku::as_str).collect();
        let components: Vec<&str> = components.into_iter().collect();
        parts = store::stock_levels::list_live_levels(pool, &components, location_ids, now).await?;
    }
    let ruled: Vec<&LevelKey> =
        levels.iter().chain(&parts).filter(|live| live.level.has_rules).map(|live| &live.key).collect();
    let also: Vec<&str> = kits.keys().map(Sku::as_str).collect();
    let mut rulebook = Rulebook::default();
    if !ruled.is_empty() || !also.is_empty() {
        let mut conn = pool.acquire().await?;
        (rulebook, _) = store::policies::find_rules(&mut conn, &ruled, &also).await?;
        let tracked = |key: &&LevelKey| rulebook.tracked(&key.sku).is_some();
        let tracked: Vec<&LevelKey> = ruled.iter().copied().filter(tracked).collect();
        if !tracked.is_empty() {
            rulebook.lots = store::lots::list_lots(&mut conn, &tracked, Some(now)).await?;
        }
        drop(conn);
        if rulebook.fences.values().flatten().any(|fence| fence.used > 0) {
            for units in store::policies::list_expired_units(pool, &ruled, now).await? {
                let asker = Asker { channel: units.channel.as_ref(), partner: units.partner.as_ref() };
                rulebook.count_fences(asker, &units.key, units.granted_version, -units.held);
            }
        }
    }
    if !kits.is_empty() {
        let versions = store::kits::list_kit_versions(pool, &also).await?;
        levels.extend(live_kits(&kits, &parts, &versions, &rulebook));
        levels.sort_by(|a, b| (&a.key.location, &a.key.sku).cmp(&(&b.key.location, &b.key.sku)));
        rulebook.kits = Kits::new(kits.into_values());
    }
    let parts = parts.into_iter().map(|live| (live.key.clone(), live)).collect();
    Ok(LiveShelf { levels, parts, rulebook, read_at: now })
}

/// Which of these SKUs are kits.
async fn find_kits(pool: &PgPool, skus: BTreeSet<&str>) -> Result<BTreeMap<Sku, Kit>, Error> {
    if skus.is_empty() {
        return Ok(BTreeMap::new());
    }
    let mut conn = pool.acquire().await?;
    let asked: Vec<&str> = skus.iter().copied().collect();
    let found = store::kits::find_kits(&mut conn, &asked).await?;
    Ok(found.into_iter().filter(|kit| skus.contains(kit.sku.as_str())).map(|kit| (kit.sku.clone(), kit)).collect())
}

pub(super) async fn locations_of(pool: &PgPool, channel: &ChannelId) -> Result<Vec<String>, Error> {
    store::channels::find_channel_locations(pool, channel)
        .await?
        .ok_or_else(|| Refusal::ChannelNotFound { channel: channel.clone() }.into())
}

/// Each kit at each location where one of its components has a level.
fn live_kits(
    kits: &BTreeMap<Sku, Kit>,
    parts: &[LiveLevel],
    versions: &HashMap<LevelKey, i64>,
    rulebook: &Rulebook,
) -> Vec<LiveLevel> {
    let mut live = Vec::new();
    for kit in kits.values() {
        let parts = parts.iter().filter(|part| kit.components.contains_key(&part.key.sku));
        let locations: BTreeSet<&LocationId> = parts.map(|part| &part.key.location).collect();
        let low_threshold = rulebook.sku_terms(&kit.sku).map_or(0, |terms| terms.low_threshold);
        live.extend(locations.into_iter().map(|location| {
            let key = LevelKey { sku: kit.sku.clone(), location: location.clone() };
            let version = versions.get(&key).copied().unwrap_or(0);
            LiveLevel { key, level: Level { kit: true, version, ..Level::default() }, low_threshold }
        }));
    }
    live
}
