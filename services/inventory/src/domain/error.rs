//! Why the shelf says no.

use chrono::{DateTime, NaiveDate, Utc};
use oneshelf_values::{ChannelId, CountId, HoldId, LocationId, PartnerId, PromiseId, Sku};
use uuid::Uuid;

use super::document::DocumentKind;

use super::drift::Counters;

use super::location::Leftovers;

use super::lot::{LotNumber, TrackingKind};

use super::sourcing::Missing;

/// A line that asked for more than there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShortLine {
    /// 0-based place in the request.
    pub line: usize,
    pub sku: Sku,
    pub location: LocationId,
    pub requested: i64,
    /// What was left to take.
    pub available: i64,
}

/// A SKU of which units were found nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnsourcedLine {
    pub sku: Sku,
    pub requested: i64,
    pub unsourced: i64,
    pub why: Missing,
}

/// A business refusal: the request was understood and the rules do not allow it. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("{} line(s) ask for more than is available", .short.len())]
    InsufficientStock { short: Vec<ShortLine> },
    #[error("hold {hold_id} does not exist")]
    HoldNotFound { hold_id: HoldId },
    #[error("hold {hold_id} expired at {expired_at}")]
    HoldExpired { hold_id: HoldId, expired_at: DateTime<Utc> },
    #[error("hold {hold_id} is already {state}")]
    HoldResolved { hold_id: HoldId, state: &'static str },
    #[error("line {line} of the commit takes {requested}, held are {held}")]
    CommitExceedsHold { line: usize, held: i64, requested: i64 },
    #[error("hold {hold_id} is a hard hold: it has no expiry to move")]
    HoldNotExtendable { hold_id: HoldId },
    #[error("hold {hold_id} may not be held softly beyond {latest}")]
    HoldLifeExceeded { hold_id: HoldId, latest: DateTime<Utc> },
    #[error("hold {hold_id} is not a soft hold of this shopper")]
    HoldNotReplaceable { hold_id: HoldId },
    #[error("the {whose} holds {held} of {sku} softly, {requested} more would pass the cap of {cap}")]
    HoldCapExceeded { sku: Sku, whose: &'static str, cap: i64, held: i64, requested: i64 },
    #[error("location {location} does not exist")]
    LocationNotFound { location: LocationId },
    #[error("location {location} exists already")]
    LocationExists { location: LocationId },
    #[error("location {location} is closed")]
    LocationClosed { location: LocationId },
    #[error("location {location} is active: deactivate it first")]
    LocationActive { location: LocationId },
    #[error("location {location} still has something of {} SKU(s)", .left.levels)]
    LocationNotEmpty { location: LocationId, left: Leftovers },
    #[error("version {expected} was expected, it is {found}")]
    VersionMismatch { expected: i64, found: i64 },
    #[error("line {line} expected version {expected} of its policy, it is {found}")]
    PolicyChanged { line: usize, expected: i64, found: i64 },
    #[error("channel {channel} is not known")]
    ChannelNotFound { channel: ChannelId },
    #[error("the request id was used for other content")]
    RequestIdReused,
    #[error("the level of {sku} at {location} would leave the range of whole numbers")]
    QuantityOverflow { sku: Sku, location: LocationId },
    #[error("hold {hold_id} belongs to a document, which alone may end it")]
    HoldOwned { hold_id: HoldId },
    #[error("{} {id} does not exist", .kind.as_str())]
    DocumentNotFound { kind: DocumentKind, id: Uuid },
    #[error("{} {id} is {state}", .kind.as_str())]
    DocumentState { kind: DocumentKind, id: Uuid, state: &'static str },
    #[error("{} {id} has version {current}, not {expected}", .kind.as_str())]
    DocumentChanged { kind: DocumentKind, id: Uuid, expected: i64, current: i64 },
    #[error("line {line} names {sku}, which the document has not")]
    LineNotFound { line: usize, sku: Sku },
    #[error("{sku} is in count {count_id} already")]
    AlreadyCounting { sku: Sku, count_id: CountId },
    #[error("{uncounted} line(s) of count {count_id} are not counted")]
    CountIncomplete { count_id: CountId, uncounted: usize, sku: Sku },
    #[error("more than {limit} lines: do it in parts")]
    TooLarge { limit: i64 },
    #[error("line {line} delivers {requested} of {sku}, at most {limit} more are taken")]
    OverReceipt { line: usize, sku: Sku, limit: i64, requested: i64 },
    #[error("line {line} orders {requested} of {sku}, of which {least} have come or are announced")]
    BelowReceived { line: usize, sku: Sku, least: i64, requested: i64 },
    #[error("the order is for {location}")]
    OtherLocation { location: LocationId },
    #[error("promise {promise_id} waits for {waiting} unit(s)")]
    PromiseWaiting { promise_id: PromiseId, waiting: i64 },
    #[error("line {line} takes {requested} of {sku}, left are {limit}")]
    LineExceeded { line: usize, sku: Sku, limit: i64, requested: i64 },
    #[error("the location's goods are agreed upon with {party} already")]
    ConsignmentOverlap { location: LocationId, party: PartnerId },
    #[error("line {line} names goods of {party}, who may not have {sku} at {location}")]
    NotConsigned { line: usize, sku: Sku, location: LocationId, party: PartnerId },
    #[error("the reason {code} is not known, or not for callers to name")]
    ReasonCodeNotFound { code: String },
    #[error("the reason {code} exists already")]
    ReasonCodeExists { code: String },
    #[error("{sku} is a kit: name its components")]
    SkuIsKit { sku: Sku },
    #[error("{sku} has {what}")]
    SkuInUse { sku: Sku, what: &'static str },
    #[error("{component} cannot be part of {sku}: a kit has no kits in it")]
    KitInKit { sku: Sku, component: Sku },
    #[error("the commit takes units of {sku} that come to no whole kit")]
    KitBroken { hold_id: HoldId, sku: Sku },
    #[error("{sku} is tracked by lot or serial number, which cannot be named here")]
    SkuTracked { sku: Sku },
    #[error("line {line} must name what it moves of {sku} as it is tracked: {}", .kind.as_str())]
    TrackingMismatch { line: usize, sku: Sku, kind: TrackingKind },
    #[error("{free} of lot {lot} of {sku} are there and free, not {requested}")]
    LotNotFree { sku: Sku, lot: LotNumber, free: i64, requested: i64 },
    #[error("{serial} of {sku} is at {location} already")]
    SerialOnHand { sku: Sku, serial: LotNumber, location: LocationId },
    #[error("lot {lot} of {sku} is known with another last day")]
    LotExpiryDiffers { sku: Sku, lot: LotNumber, expires_on: Option<NaiveDate> },
    #[error("{serial} of {sku} never came")]
    SerialNotFound { sku: Sku, serial: LotNumber },
    #[error("the ledger says of {sku} at {location} what no level may hold")]
    LedgerUnsound { sku: Sku, location: LocationId, expected: Counters },
    #[error("{} SKU(s) cannot be sourced whole", .lines.len())]
    CannotSource { lines: Vec<UnsourcedLine> },
    /// What was to be taken had gone when it was locked: the hold is planned again, on all candidates. No caller sees it.
    #[error("the plan of hold {hold_id} was overtaken")]
    PlanOvertaken { hold_id: HoldId },
    #[error("{location} has taken all {capacity} orders of {day}")]
    NodeFull { location: LocationId, day: NaiveDate, capacity: i32 },
    #[error("channel {channel} has no sourcing rules of version {version}")]
    SourcingRulesNotFound { channel: ChannelId, version: i64 },
    #[error("move {line} takes {requested}, held are {held}")]
    MoveExceedsHold { line: usize, held: i64, requested: i64 },
}
