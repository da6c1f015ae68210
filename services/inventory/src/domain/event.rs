//! What happened, as the domain sees it; `crate::events` decides what the outside hears.

use chrono::{DateTime, Utc};
use oneshelf_values::{ChannelId, HoldId};

use super::{
    consignment::Entry,
    future::Claim,
    hold::StockHold,
    stock_level::{Level, LevelKey},
    threshold::Crossing,
};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A committed group changed a level: the result, once per level and group.
    LevelChanged { key: LevelKey, level: Level, figures: Figures },
    /// A soft hold's time ran out and its units went back.
    HoldExpired { hold_id: HoldId, channel: Option<ChannelId>, reference: String, expired_at: DateTime<Utc> },
    /// Units of a hard hold went to other locations: the hold as it is now.
    HoldMoved { hold: Box<StockHold> },
    /// Goods that came in went to a promise that waited for them; the claim is what it waits for still.
    PromiseFilled { key: LevelKey, claim: Claim, filled: i64 },
    /// What a channel may sell of a SKU crossed a threshold.
    StockCrossed(Crossing),
    /// Units changed their owner.
    ConsignmentSettled(Entry),
}

/// What may be sold at a level, as consumers show it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Figures {
    /// For a channel that no rule names.
    pub available: i64,
    /// For channels that rules name, where it differs.
    pub channels: Vec<(ChannelId, i64)>,
    /// Of the SKU, to be taken off the sum over a channel's locations.
    pub network_threshold: i64,
}
