//! Places that hold stock: what they are, what they can do, and whether they take part.
//!
//! ```text
//! Active ◀──▶ Inactive ──▶ Closed
//! ```
//!
//! | state | holds | available | facts, returns, receipts, corrections |
//! |---|---|---|---|
//! | active | granted | counted | booked |
//! | inactive | none granted; those that are there run on | nothing | booked |
//! | closed | none, and none are there | nothing | no bucket rises above zero: a till's late sale is booked, goods do not come in |
//!
//! Closing is for good, and only for an inactive place with nothing on its shelves and nothing promised from them.
//! Levels carry a copy of the state, because a hold is decided on the locked row of its level and on nothing else; the
//! copies follow the location in steps of bounded size ([`super::group::Command::Follow`]), and each level is announced
//! as it changes, so whoever watches levels needs no word of locations.

use chrono::{DateTime, Utc};
use oneshelf_values::{Coordinates, CountryCode, Gln, LocationId, PartnerId, Sku, ZoneId};

use super::{Refusal, calendar::Calendar};

/// What a location is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LocationKind {
    Warehouse,
    Store,
    Dealer,
    ThirdParty,
    Vendor,
    Virtual,
}

impl LocationKind {
    const ALL: [Self; 6] = [Self::Warehouse, Self::Store, Self::Dealer, Self::ThirdParty, Self::Vendor, Self::Virtual];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Warehouse => "warehouse",
            Self::Store => "store",
            Self::Dealer => "dealer",
            Self::ThirdParty => "third_party",
            Self::Vendor => "vendor",
            Self::Virtual => "virtual",
        }
    }

    pub fn parse(stored: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == stored)
    }

    /// What a place of this kind usually can do.
    pub const fn usual_abilities(self) -> Abilities {
        match self {
            Self::Warehouse | Self::ThirdParty => {
                Abilities { ship: true, pickup: false, take_returns: true, transfer: true }
            }
            Self::Store => Abilities { ship: true, pickup: true, take_returns: true, transfer: true },
            Self::Dealer => Abilities { ship: true, pickup: true, take_returns: true, transfer: false },
            Self::Vendor => Abilities { ship: true, pickup: false, take_returns: false, transfer: false },
            Self::Virtual => Abilities { ship: false, pickup: false, take_returns: false, transfer: false },
        }
    }
}

/// Whether a location takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LocationState {
    #[default]
    Active,
    Inactive,
    Closed,
}

impl LocationState {
    const ALL: [Self; 3] = [Self::Active, Self::Inactive, Self::Closed];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Inactive => "inactive",
            Self::Closed => "closed",
        }
    }

    pub fn parse(stored: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == stored)
    }
}

/// What a location may be asked to do. It plans by these; a return that was handed in is booked anywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Abilities {
    /// Sends parcels to customers.
    pub ship: bool,
    /// Hands orders over to customers.
    pub pickup: bool,
    pub take_returns: bool,
    /// Sends stock to other locations.
    pub transfer: bool,
}

/// What is known of a place and may change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Details {
    pub kind: LocationKind,
    pub title: String,
    pub gln: Option<Gln>,
    pub coordinates: Option<Coordinates>,
    pub country: Option<CountryCode>,
    pub zone: Option<ZoneId>,
    /// `None`: around the clock.
    pub calendar: Option<Calendar>,
    pub abilities: Abilities,
    /// Orders a day; `None`: no bound.
    pub daily_capacity: Option<i32>,
    /// Lower comes first.
    pub priority: i32,
    /// Whose place it is; `None`: ours.
    pub owner: Option<PartnerId>,
}

/// New values for some of the details; `None`: as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DetailsUpdate {
    pub kind: Option<LocationKind>,
    pub title: Option<String>,
    pub gln: Option<Option<Gln>>,
    pub coordinates: Option<Option<Coordinates>>,
    pub country: Option<Option<CountryCode>>,
    pub zone: Option<Option<ZoneId>>,
    pub calendar: Option<Option<Calendar>>,
    /// `Some(None)`: those that are usual for the kind.
    pub abilities: Option<Option<Abilities>>,
    pub daily_capacity: Option<Option<i32>>,
    pub priority: Option<i32>,
    pub owner: Option<Option<PartnerId>>,
}

impl Details {
    #[must_use]
    pub fn with(&self, update: DetailsUpdate) -> Self {
        let now = self.clone();
        let kind = update.kind.unwrap_or(now.kind);
        Self {
            kind,
            title: update.title.unwrap_or(now.title),
            gln: update.gln.unwrap_or(now.gln),
            coordinates: update.coordinates.unwrap_or(now.coordinates),
            country: update.country.unwrap_or(now.country),
            zone: update.zone.unwrap_or(now.zone),
            calendar: update.calendar.unwrap_or(now.calendar),
            abilities: match update.abilities {
                None => now.abilities,
                Some(given) => given.unwrap_or(kind.usual_abilities()),
            },
            daily_capacity: update.daily_capacity.unwrap_or(now.daily_capacity),
            priority: update.priority.unwrap_or(now.priority),
            owner: update.owner.unwrap_or(now.owner),
        }
    }
}

/// What keeps a location from closing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Leftovers {
    /// How many levels have something.
    pub levels: i64,
    /// The first of them, by SKU.
    pub first: Vec<Leftover>,
}

/// What one level still has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftover {
    pub sku: Sku,
    pub on_hand: i64,
    pub soft_held: i64,
    pub hard_held: i64,
}

/// A place that holds stock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    pub location_id: LocationId,
    pub details: Details,
    /// A till's sale may take sellable stock below zero here. Fixed: levels that are below zero could not lose it.
    pub oversell_facts: bool,
    pub state: LocationState,
    pub version: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

impl Location {
    /// A new one, taking part at once.
    pub fn new(location_id: LocationId, details: Details, oversell_facts: bool, now: DateTime<Utc>) -> Self {
        Self {
            location_id,
            details,
            oversell_facts,
            state: LocationState::Active,
            version: 1,
            created_at: now,
            updated_at: now,
        }
    }

    /// With other details; `None` when it says so already.
    pub fn updated(&self, update: DetailsUpdate, now: DateTime<Utc>) -> Result<Option<Self>, Refusal> {
        self.require_open()?;
        let details = self.details.with(update);
        Ok((details != self.details).then(|| self.next(|location| location.details = details, now)))
    }

    /// Taking part, or not for now; `None` when it is so already.
    pub fn switched(&self, active: bool, now: DateTime<Utc>) -> Result<Option<Self>, Refusal> {
        self.require_open()?;
        let state = if active { LocationState::Active } else { LocationState::Inactive };
        Ok((state != self.state).then(|| self.next(|location| location.state = state, now)))
    }

    /// Gone for good; `None` when it is so already. `left` is what the locked levels still have.
    pub fn closed(&self, left: &Leftovers, now: DateTime<Utc>) -> Result<Option<Self>, Refusal> {
        match self.state {
            LocationState::Closed => Ok(None),
            LocationState::Active => Err(Refusal::LocationActive { location: self.location_id.clone() }),
            LocationState::Inactive if left.levels > 0 => {
                Err(Refusal::LocationNotEmpty { location: self.location_id.clone(), left: left.clone() })
            }
            LocationState::Inactive => Ok(Some(self.next(|location| location.state = LocationState::Closed, now))),
        }
    }

    /// A caller that read an older version must read again; 0 is not checked.
    pub fn expect_version(&self, expected: i64) -> Result<(), Refusal> {
        if expected == 0 || expected == self.version {
            return Ok(());
        }
        Err(Refusal::VersionMismatch { expected, found: self.version })
    }

    fn require_open(&self) -> Result<(), Refusal> {
        match self.state {
            LocationState::Closed => Err(Refusal::LocationClosed { location: self.location_id.clone() }),
            LocationState::Active | LocationState::Inactive => Ok(()),
        }
    }

    fn next(&self, change: impl FnOnce(&mut Self), now: DateTime<Utc>) -> Self {
        let mut location = self.clone();
        change(&mut location);
        location.version += 1;
        location.updated_at = now;
        location
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn location() -> Location {
        let details = Details {
            kind: LocationKind::Store,
            title: "Shop".to_owned(),
            gln: None,
            coordinates: None,
            country: None,
            zone: None,
            calendar: None,
            abilities: LocationKind::Store.usual_abilities(),
            daily_capacity: None,
            priority: 0,
            owner: None,
        };
        Location::new("SHOP".parse().unwrap(), details, true, DateTime::UNIX_EPOCH)
    }

    #[test]
    fn switching_to_what_it_is_changes_nothing_and_a_closed_place_stays_closed() {
        let now = DateTime::UNIX_EPOCH;
        let (open, nothing) = (location(), Leftovers::default());
        assert_eq!(open.switched(true, now).unwrap(), None);
        assert!(matches!(open.closed(&nothing, now), Err(Refusal::LocationActive { .. })));
        let off = open.switched(false, now).unwrap().unwrap();
        assert_eq!((off.state, off.version), (LocationState::Inactive, 2));
        let something = Leftovers { levels: 1, first: vec![] };
        assert!(matches!(off.closed(&something, now), Err(Refusal::LocationNotEmpty { .. })));
        let closed = off.closed(&nothing, now).unwrap().unwrap();
        assert_eq!(closed.closed(&something, now), Ok(None));
        let refused = Refusal::LocationClosed { location: closed.location_id.clone() };
        assert_eq!(closed.switched(true, now), Err(refused.clone()));
        assert_eq!(closed.updated(DetailsUpdate::default(), now), Err(refused));
    }

    #[test]
    fn an_update_counts_only_what_changes() {
        let now = DateTime::UNIX_EPOCH;
        let shop = location();
        assert_eq!(shop.updated(DetailsUpdate::default(), now).unwrap(), None);
        assert_eq!(shop.updated(DetailsUpdate { priority: Some(0), ..Default::default() }, now).unwrap(), None);
        let update = DetailsUpdate {
            kind: Some(LocationKind::Virtual),
            abilities: Some(None),
            daily_capacity: Some(Some(5)),
            ..Default::default()
        };
        let updated = shop.updated(update, now).unwrap().unwrap();
        assert_eq!((updated.version, updated.details.daily_capacity), (2, Some(5)));
        assert!(!updated.details.abilities.pickup, "what is usual for the new kind");
        assert_eq!(updated.details.title, shop.details.title);
        assert_eq!(shop.expect_version(2), Err(Refusal::VersionMismatch { expected: 2, found: 1 }));
        assert_eq!((shop.expect_version(0), shop.expect_version(1)), (Ok(()), Ok(())));
    }

    #[test]
    fn what_is_stored_is_read_back() {
        for kind in LocationKind::ALL {
            assert_eq!(LocationKind::parse(kind.as_str()), Some(kind));
        }
        for state in LocationState::ALL {
            assert_eq!(LocationState::parse(state.as_str()), Some(state));
        }
    }
}
