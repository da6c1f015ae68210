//! From which locations an order comes: a pure function of the order, the channel's rules, the candidates and what each
//! can promise. A network hold is planned by it and takes what it plans ([`super::group`]); `PlanFulfilment` and
//! `SimulateSourcing` ask the same function.
//!
//! # The ladder
//!
//! A channel's rules are steps, tried in order. Each step filters the candidates, says which location and which plan is
//! better, and bounds how an order may be split. A step tries to source the whole order; the first that can is taken. Where
//! none can, the step that found most says what is missing.
//!
//! # What a step looks for, and its bound
//!
//! The best split is a set-cover problem, so it is not searched for: a step looks at every location that can serve the
//! whole order alone, and at two splits that are built greedily (the location that covers most first; the one that is best
//! by the step's order first), each once more with every parcel dropped that the others can absorb. Of these the best by
//! the step's order is taken. So a single location is found whenever there is one, and a split is at least as good as both
//! greedy ones, but a cleverer one may exist. Work is at most steps (8) × 2 × parcels (10) × candidates × SKUs; a caller
//! keeps candidates × SKUs within [`MAX_PAIRS`].
//!
//! All figures are whole numbers, and all ties are broken: by the number of parcels, then the locations' priority, then
//! their ids. So the same question has the same answer on every machine and in whatever order the candidates come.

mod plan;
pub mod simulate;

use std::collections::HashMap;

use chrono::{DateTime, NaiveDate, Utc};
use oneshelf_values::{ChannelId, Coordinates, HoldId, LocationId, Sku, ZoneId};

pub use self::plan::{Explained, Judged, explain, plan, possible, still_there};
use super::{
    calendar::Calendar,
    error::Refusal,
    location::{Abilities, Location, LocationKind, LocationState},
};

/// Distinct SKUs of one order at most.
pub const MAX_LINES: usize = 200;

/// Locations of a channel that take part at most: the first by priority.
pub const MAX_NODES: usize = 500;

/// Candidates times SKUs of one order at most: so many levels it may lock.
pub const MAX_PAIRS: usize = 50_000;

/// Parcels of one order at most.
pub const MAX_PARCELS: usize = 10;

/// A way that is not known counts as longer than any on Earth.
pub const UNKNOWN_WAY_M: u32 = 20_100_000;

/// How the goods get to the customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fulfilment {
    Ship,
    /// The customer fetches everything at one location.
    Pickup,
}

impl Fulfilment {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ship => "ship",
            Self::Pickup => "pickup",
        }
    }

    pub fn parse(stored: &str) -> Option<Self> {
        [Self::Ship, Self::Pickup].into_iter().find(|one| one.as_str() == stored)
    }
}

/// Where the goods are to go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Destination {
    pub coordinates: Option<Coordinates>,
    pub zone: Option<ZoneId>,
}

/// One SKU of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    pub sku: Sku,
    /// Positive.
    pub units: i64,
    /// Of one unit, in minor units.
    pub unit_value: i64,
}

/// What is to be sourced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Distinct SKUs, in the order asked.
    pub lines: Vec<Asked>,
    pub fulfilment: Fulfilment,
    pub destination: Destination,
}

/// Makes the lines of an order: SKUs that are named twice are one line, worth what the first says.
pub fn distinct(lines: impl IntoIterator<Item = Asked>) -> Vec<Asked> {
    let mut distinct: Vec<Asked> = Vec::new();
    let mut places: HashMap<Sku, usize> = HashMap::new();
    for line in lines {
        if let Some(place) = places.get(&line.sku) {
            distinct[*place].units += line.units;
        } else {
            places.insert(line.sku.clone(), distinct.len());
            distinct.push(line);
        }
    }
    distinct
}

/// What decides which is better; the lower figure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Criterion {
    Parcels,
    /// By [`Weights`].
    Cost,
    Distance,
    /// The share of what is available that is taken.
    StockBalance,
    Markdown,
    Priority,
}

impl Criterion {
    const ALL: [Self; 6] =
        [Self::Parcels, Self::Cost, Self::Distance, Self::StockBalance, Self::Markdown, Self::Priority];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Parcels => "parcels",
            Self::Cost => "cost",
            Self::Distance => "distance",
            Self::StockBalance => "stock_balance",
            Self::Markdown => "markdown",
            Self::Priority => "priority",
        }
    }

    pub fn parse(stored: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == stored)
    }
}

/// What the cost of a plan is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weights {
    /// Percent of what parcels and units cost.
    pub handling: u16,
    /// Percent of what the way costs.
    pub transport: u16,
    /// Percent of what is saved by taking units that would lose value.
    pub markdown: u16,
    /// Minor units per parcel, beyond its cost.
    pub parcel_penalty: i64,
}

impl Default for Weights {
    fn default() -> Self {
        Self { handling: 100, transport: 100, markdown: 0, parcel_penalty: 0 }
    }
}

/// One rung of the ladder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    pub name: String,
    /// Empty: any.
    pub kinds: Vec<LocationKind>,
    /// Empty: any.
    pub zones: Vec<ZoneId>,
    /// Only in the destination's zone.
    pub same_zone: bool,
    pub max_distance_m: Option<u32>,
    pub open_now: bool,
    pub leaves_today: bool,
    /// Units of a SKU that stay at a location.
    pub least_left: i64,
    pub order_by: Vec<Criterion>,
    /// 1 to [`MAX_PARCELS`].
    pub max_parcels: usize,
    /// Of each parcel of a split order, in minor units.
    pub least_parcel_value: i64,
}

/// A channel's rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ladder {
    /// At least one.
    pub steps: Vec<Step>,
    pub weights: Weights,
}

impl Default for Ladder {
    /// Of channels without rules: anywhere, in the fewest parcels, cheapest and then nearest first.
    fn default() -> Self {
        Self {
            steps: vec![Step {
                name: "anywhere".to_owned(),
                kinds: Vec::new(),
                zones: Vec::new(),
                same_zone: false,
                max_distance_m: None,
                open_now: false,
                leaves_today: false,
                least_left: 0,
                order_by: vec![Criterion::Parcels, Criterion::Cost, Criterion::Distance, Criterion::Priority],
                max_parcels: MAX_PARCELS,
                least_parcel_value: 0,
            }],
            weights: Weights::default(),
        }
    }
}

/// Rules with their version; 0 is the default ladder.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rules {
    pub ladder: Ladder,
    pub version: i64,
}

/// What fulfilment costs at a location, in minor units.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Costs {
    pub parcel: i64,
    pub unit: i64,
    /// Each kilometre begun.
    pub km: i64,
    /// What a unit that stays is expected to lose.
    pub markdown: i64,
}

/// A location as sourcing sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    pub location: LocationId,
    pub active: bool,
    pub kind: LocationKind,
    pub abilities: Abilities,
    pub coordinates: Option<Coordinates>,
    pub zone: Option<ZoneId>,
    pub calendar: Option<Calendar>,
    /// Orders a day.
    pub capacity: Option<i32>,
    pub priority: i32,
    pub costs: Costs,
}

impl Node {
    pub fn new(location: Location, costs: Costs) -> Self {
        let details = location.details;
        Self {
            location: location.location_id,
            active: location.state == LocationState::Active,
            kind: details.kind,
            abilities: details.abilities,
            coordinates: details.coordinates,
            zone: details.zone,
            calendar: details.calendar,
            capacity: details.daily_capacity,
            priority: details.priority,
            costs,
        }
    }

    /// The local day on which an order of this instant leaves, whose capacity it takes. A place that never works again
    /// has nobody to count by another day than today's.
    pub fn day(&self, at: DateTime<Utc>) -> NaiveDate {
        self.leaving(at).unwrap_or_else(|| self.today(at))
    }

    fn leaving(&self, at: DateTime<Utc>) -> Option<NaiveDate> {
        match &self.calendar {
            None => Some(at.date_naive()),
            Some(calendar) => calendar.ship_date(at),
        }
    }

    fn today(&self, at: DateTime<Utc>) -> NaiveDate {
        let calendar = self.calendar.as_ref();
        calendar.map_or(at.date_naive(), |calendar| at.with_timezone(&calendar.time_zone()).date_naive())
    }

    fn rank(&self) -> (i32, &LocationId) {
        (self.priority, &self.location)
    }
}

/// One location's capacity of one day.
pub type NodeDay = (LocationId, NaiveDate);

/// What candidates can give of an order's SKUs.
#[derive(Debug, Clone)]
pub struct Supply {
    /// By candidate and then by line: what a hold there would be granted.
    pub units: Vec<i64>,
    /// By candidate: orders that its day still has room for; `None`: no bound.
    pub room: Vec<Option<i32>>,
}

/// Units that one location gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parcel {
    /// The candidate's place.
    pub node: usize,
    /// The line's place and its units, by line, none of them zero.
    pub takes: Vec<(usize, i64)>,
}

/// Why units were found nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    OutOfStock,
    /// Enough, but filters dropped where it is.
    Filtered,
    /// Enough, but not in as few or as large parcels as the rules want.
    SplitLimits,
}

impl Missing {
    const ALL: [Self; 3] = [Self::OutOfStock, Self::Filtered, Self::SplitLimits];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OutOfStock => "out_of_stock",
            Self::Filtered => "filtered",
            Self::SplitLimits => "split_limits",
        }
    }

    pub fn parse(stored: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == stored)
    }
}

/// What came of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The step's place.
    pub step: usize,
    /// By the locations' priority, then id.
    pub parcels: Vec<Parcel>,
    /// Line, units, reason: empty where the whole order is sourced.
    pub missing: Vec<(usize, i64, Missing)>,
}

impl Plan {
    pub fn is_complete(&self) -> bool {
        self.missing.is_empty()
    }

    /// What the parcels cost, without weights, in minor units, and their way in metres, as far as it is known.
    pub fn figures(&self, order: &Order, nodes: &[Node]) -> (i128, i64) {
        self.parcels.iter().fold((0, 0), |(cost, way), parcel| {
            let node = &nodes[parcel.node];
            let units: i64 = parcel.takes.iter().map(|(_, units)| units).sum();
            let distance = distance(node, &order.destination);
            let km = i128::from(distance.unwrap_or(0).div_ceil(1_000));
            let costs = node.costs;
            let parcel_cost =
                i128::from(costs.parcel) + i128::from(units) * i128::from(costs.unit) + km * i128::from(costs.km);
            (cost + parcel_cost, way + i64::from(distance.unwrap_or(0)))
        })
    }
}

/// The way from a location, where both ends are known.
pub fn distance(node: &Node, destination: &Destination) -> Option<u32> {
    Some(node.coordinates?.distance_m(&destination.coordinates?))
}

/// How the lines of a hold that named no location were sourced: a part of the hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sourced {
    pub order: Order,
    /// By line of the order; `None`: everything was found.
    pub missing: Vec<Option<(i64, Missing)>>,
    pub rules_version: i64,
    /// The step's name.
    pub step: String,
    /// Places that the hold takes of locations' days, by location.
    pub days: Vec<NodeDay>,
}

/// What a hold asks for beyond the lines that name a location.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceRequest {
    pub order: Order,
    /// Every candidate is locked and looked at: what was proposed before had gone when it was to be taken.
    pub wide: bool,
}

/// A channel's rules and candidates.
#[derive(Debug, Clone, Default)]
pub struct Board {
    pub rules: Rules,
    /// By priority, then id.
    pub nodes: Vec<Node>,
}

/// What a group knows for the network holds in it, and for moves of them.
#[derive(Debug, Default)]
pub struct Boards {
    pub channels: HashMap<ChannelId, Board>,
    /// Plans made ahead of the locks, whose levels are locked; a hold without one has all its candidates locked.
    pub proposals: HashMap<HoldId, Plan>,
    /// Why a hold cannot be planned at all.
    pub refused: HashMap<HoldId, Refusal>,
    /// Locations that holds move to.
    pub targets: HashMap<LocationId, Node>,
}

#[cfg(test)]
mod tests;
