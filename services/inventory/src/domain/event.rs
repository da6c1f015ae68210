//! What happened, as the domain sees it; `crate::events` decides what the outside hears.

use chrono::{DateTime, Utc};
use oneshelf_values::{ChannelId, HoldId};

use super::{
    future::Claim,
    stock_level::{Level, LevelKey},
};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A committed group changed a level: the result, once per level and group.
    LevelChanged { key: LevelKey, level: Level },
    /// A soft hold's time ran out and its units went back.
    HoldExpired { hold_id: HoldId, channel: Option<ChannelId>, reference: String, expired_at: DateTime<Utc> },
    /// Goods that came in went to a promise that waited for them; the claim is what it waits for still.
    PromiseFilled { key: LevelKey, claim: Claim, filled: i64 },
}
