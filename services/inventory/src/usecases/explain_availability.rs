//! Why a channel may sell what it may sell: every location with every subtraction.

use chrono::{DateTime, Utc};
use oneshelf_kit::auth::Caller;
use oneshelf_values::{LocationId, Sku};

use super::{
    Error, Inventory,
    figures::{LiveShelf, SEE_QUANTITIES, Who, locations_of, read_live},
};
use crate::{
    domain::{
        availability::{self, Band, Breakdown},
        policy::{Asker, FenceOwner},
    },
    store::stock_levels::LiveLevel,
};

/// One location.
#[derive(Debug, Clone)]
pub struct Explained {
    pub location: LocationId,
    pub breakdown: Breakdown,
    /// Whose fences, and what is left of each.
    pub fences: Vec<(FenceOwner, i64)>,
    pub oversold: i64,
    pub version: i64,
    /// Of a kit: what it is made of.
    pub parts: Vec<PartOfKit>,
}

/// A component of a kit at its location.
#[derive(Debug, Clone)]
pub struct PartOfKit {
    pub sku: Sku,
    /// In one kit.
    pub units: i64,
    /// As many as it makes.
    pub kits: i64,
    pub explained: Explained,
}

/// The whole network.
#[derive(Debug, Clone)]
pub struct Explanation {
    pub sku: Sku,
    pub available: i64,
    pub network_threshold: i64,
    pub band: Band,
    pub locations: Vec<Explained>,
    pub read_at: DateTime<Utc>,
}

impl Inventory {
    /// Reads the tables as they are now.
    pub async fn explain_availability(&self, caller: &Caller, who: Who, sku: Sku) -> Result<Explanation, Error> {
        caller.require(SEE_QUANTITIES)?;
        let (who, read_at) = (who.within(caller)?, self.clock.now());
        let locations = locations_of(&self.pool, &who.channel).await?;
        let shelf = read_live(&self.pool, &[sku.as_str()], &locations, read_at).await?;
        let explained: Vec<Explained> =
            shelf.levels.iter().map(|live| explain(&shelf, live, who.asker(), read_at)).collect();
        let first = shelf.levels.first();
        let network_threshold =
            first.and_then(|live| shelf.rules(&live.key).sku).map_or(0, |policy| policy.network_threshold);
        let available = availability::network(explained.iter().map(|one| one.breakdown.available), network_threshold);
        let band = Band::of(available, first.map_or(0, |live| live.low_threshold));
        Ok(Explanation { sku, available, network_threshold, band, locations: explained, read_at })
    }
}

fn explain(shelf: &LiveShelf, live: &LiveLevel, asker: Asker<'_>, read_at: DateTime<Utc>) -> Explained {
    let parts = shelf.parts_of(live).into_iter().map(|(units, part)| {
        let explained = explain(shelf, &part, asker, read_at);
        PartOfKit { sku: part.key.sku, units, kits: explained.breakdown.available / units, explained }
    });
    Explained {
        location: live.key.location.clone(),
        breakdown: shelf.breakdown(live, asker),
        fences: availability::fences_of_others(shelf.rules(&live.key), asker, read_at)
            .map(|(fence, left)| (fence.owner.clone(), left))
            .collect(),
        oversold: live.level.oversold(),
        version: live.level.version,
        parts: parts.collect(),
    }
}
