//! What may be sold, read without locks for those who only want to know: by the same function that decides holds.

use chrono::{DateTime, Utc};
use oneshelf_kit::auth::Caller;
use oneshelf_values::{ChannelId, PartnerId};
use sqlx::PgPool;

use super::Error;
use crate::{
    domain::{
        Refusal,
        availability::Breakdown,
        policy::{Asker, Rulebook, Rules},
        stock_level::LevelKey,
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

/// Levels as they can be sold from at an instant, with their rules.
pub(super) struct LiveShelf {
    pub levels: Vec<LiveLevel>,
    rulebook: Rulebook,
    read_at: DateTime<Utc>,
}

impl LiveShelf {
    pub fn rules(&self, key: &LevelKey) -> Rules<'_> {
        self.rulebook.of(key)
    }

    pub fn breakdown(&self, live: &LiveLevel, asker: Asker<'_>) -> Breakdown {
        Breakdown::of(&live.level, self.rules(&live.key), asker, self.read_at)
    }
}

/// One statement, and two more only if one of the levels has rules.
pub(super) async fn read_live(
    pool: &PgPool,
    skus: &[&str],
    location_ids: &[String],
    now: DateTime<Utc>,
) -> Result<LiveShelf, Error> {
    let levels = store::stock_levels::list_live_levels(pool, skus, location_ids, now).await?;
    let ruled: Vec<&LevelKey> = levels.iter().filter(|live| live.level.has_rules).map(|live| &live.key).collect();
    let mut rulebook = Rulebook::default();
    if !ruled.is_empty() {
        let mut conn = pool.acquire().await?;
        rulebook = store::policies::find_rules(&mut conn, &ruled, &[]).await?;
        drop(conn);
        if rulebook.fences.values().flatten().any(|fence| fence.used > 0) {
            for units in store::policies::list_expired_units(pool, &ruled, now).await? {
                let asker = Asker { channel: units.channel.as_ref(), partner: units.partner.as_ref() };
                rulebook.count_fences(asker, &units.key, units.granted_version, -units.held);
            }
        }
    }
    Ok(LiveShelf { levels, rulebook, read_at: now })
}

pub(super) async fn locations_of(pool: &PgPool, channel: &ChannelId) -> Result<Vec<String>, Error> {
    store::channels::find_channel_locations(pool, channel)
        .await?
        .ok_or_else(|| Refusal::ChannelNotFound { channel: channel.clone() }.into())
}
