//! Messages to domain values, all violations of a request at once; domain values to messages.

use chrono::{DateTime, TimeDelta, Utc};
use oneshelf_kit::{idempotency::Key, status::Violations};
use oneshelf_proto::inventory::v1 as proto;
use oneshelf_values::{ChannelId, Clock, HoldId, HoldTerms, LocationId, Sku, hold::Standing};
use prost::Message;
use tonic::Status;
use uuid::Uuid;

use crate::{
    domain::{
        group::{AdjustmentReason, HoldStock, MoveKind, MoveLine},
        hold::{HoldKind, StockHold},
        location::{Location, LocationKind},
        stock_level::{Bucket, Level, LevelKey},
    },
    store::{ledger::StoredMovement, stock_levels::StoredLevel},
    time::timestamp,
    usecases::{create_location::NewLocation, get_availability::Availability, move_stock::Moved},
};

pub const MAX_LINES: usize = 1_000;
const MAX_QUANTITY: i64 = 1_000_000_000_000;
const MAX_REFERENCE: usize = 100;
const MAX_TTL: TimeDelta = TimeDelta::hours(24);
const DEFAULT_TTL: TimeDelta = TimeDelta::minutes(15);

/// The request's id, as the caller made it.
fn request_id(violations: &mut Violations, text: &str) -> Option<Uuid> {
    violations.check("request_id", text.parse::<Uuid>().map_err(|_| "must be a UUID"))
}

fn sku(violations: &mut Violations, field: String, text: &str) -> Option<Sku> {
    violations.check(field, text.parse::<Sku>())
}

fn location(violations: &mut Violations, field: impl Into<String>, text: &str) -> Option<LocationId> {
    violations.check(field, text.parse::<LocationId>())
}

fn quantity(violations: &mut Violations, field: String, value: i64, least: i64) -> Option<i64> {
    if (least..=MAX_QUANTITY).contains(&value) {
        return Some(value);
    }
    violations.add(field, format!("must be {least} to {MAX_QUANTITY}"));
    None
}

fn reference(violations: &mut Violations, text: &str) -> Option<String> {
    if text.chars().count() <= MAX_REFERENCE && !text.contains('\0') {
        return Some(text.to_owned());
    }
    violations.add("reference", format!("at most {MAX_REFERENCE} characters, none of them NUL"));
    None
}

fn line_count(violations: &mut Violations, field: &str, count: usize) {
    if count == 0 || count > MAX_LINES {
        violations.add(field, format!("must have 1 to {MAX_LINES} entries"));
    }
}

fn instant(
    violations: &mut Violations,
    field: &str,
    time: Option<prost_types::Timestamp>,
) -> Option<DateTime<Utc>> {
    let time = time?;
    let parsed = DateTime::from_timestamp(time.seconds, u32::try_from(time.nanos).unwrap_or(u32::MAX));
    match parsed {
        Some(at) if (1900..=9999).contains(&chrono::Datelike::year(&at)) => Some(oneshelf_values::clock::truncate(at)),
        _ => {
            violations.add(field, "must be an instant of the years 1900 to 9999");
            None
        }
    }
}

fn ttl(violations: &mut Violations, ttl: Option<prost_types::Duration>) -> Option<TimeDelta> {
    let Some(ttl) = ttl else {
        return Some(DEFAULT_TTL);
    };
    let parsed = TimeDelta::try_seconds(ttl.seconds).filter(|_| (0..1_000_000_000).contains(&ttl.nanos));
    match parsed.map(|whole| whole + TimeDelta::nanoseconds(ttl.nanos.into())) {
        Some(ttl) if (TimeDelta::seconds(1)..=MAX_TTL).contains(&ttl) => Some(ttl),
        _ => {
            violations.add("ttl", "must be 1 second to 24 hours");
            None
        }
    }
}

fn channel(violations: &mut Violations, text: &str) -> Option<Option<ChannelId>> {
    if text.is_empty() {
        return Some(None);
    }
    violations.check("channel_id", text.parse::<ChannelId>()).map(Some)
}

/// The values when nothing was wrong; every path that leaves a value `None` has added a violation.
fn complete<T>(violations: Violations, values: Option<T>) -> Result<T, Status> {
    match values {
        Some(values) if violations.is_empty() => Ok(values),
        _ => Err(violations.into_status()),
    }
}

pub fn hold_request(request: &proto::HoldStockRequest, clock: &Clock) -> Result<HoldStock, Status> {
    let mut violations = Violations::new();
    let id = request_id(&mut violations, &request.request_id);
    line_count(&mut violations, "lines", request.lines.len());
    let lines: Vec<_> = request
        .lines
        .iter()
        .take(MAX_LINES)
        .enumerate()
        .filter_map(|(place, line)| {
            let sku = sku(&mut violations, format!("lines[{place}].sku"), &line.sku);
            let location = location(&mut violations, format!("lines[{place}].location_id"), &line.location_id);
            let quantity = quantity(&mut violations, format!("lines[{place}].quantity"), line.quantity, 1);
            Some((LevelKey { sku: sku?, location: location? }, quantity?))
        })
        .collect();
    let channel = channel(&mut violations, &request.channel_id);
    let reference = reference(&mut violations, &request.reference);
    let terms = match proto::HoldKind::try_from(request.kind) {
        Ok(proto::HoldKind::Hard) => {
            if request.ttl.is_some() {
                violations.add("ttl", "hard holds have no expiry");
            }
            Some(HoldTerms::Hard)
        }
        Ok(proto::HoldKind::Soft | proto::HoldKind::Unspecified) => ttl(&mut violations, request.ttl)
            .map(|ttl| HoldTerms::Soft {
                expires_at: clock.now() + ttl,
            }),
        Err(_) => {
            violations.add("kind", "is not a known value");
            None
        }
    };
    let hold = (|| {
        let hold_id = id?;
        Some(HoldStock {
            hold_id: HoldId::from(hold_id),
            terms: terms?,
            channel: channel?,
            reference: reference?,
            fingerprint: Key::of("HoldStock", hold_id, request).fingerprint,
            allow_partial: request.allow_partial,
            lines,
        })
    })();
    complete(violations, hold)
}

/// A request that only names a hold, with its key.
pub fn hold_ref(
    rpc: &'static str,
    id: &str,
    hold_id: &str,
    request: &impl Message,
) -> Result<(Key, HoldId), Status> {
    let mut violations = Violations::new();
    let id = request_id(&mut violations, id);
    let hold = violations.check("hold_id", hold_id.parse::<HoldId>().map_err(|_| "must be a UUID"));
    let parsed = id.zip(hold).map(|(id, hold)| (Key::of(rpc, id, request), hold));
    complete(violations, parsed)
}

pub fn hold_id(text: &str) -> Result<HoldId, Status> {
    let mut violations = Violations::new();
    let hold = violations.check("hold_id", text.parse::<HoldId>().map_err(|_| "must be a UUID"));
    complete(violations, hold)
}

pub fn extension(request: &proto::ExtendHoldRequest) -> Result<TimeDelta, Status> {
    let mut violations = Violations::new();
    let given = violations.require("ttl", request.ttl);
    let ttl = given.and_then(|given| ttl(&mut violations, Some(given)));
    complete(violations, ttl)
}

/// What a commit takes: `None` is everything.
pub type CommitLines = (Option<Vec<(LevelKey, i64)>>, Option<DateTime<Utc>>);

pub fn commit_lines(request: &proto::CommitHoldRequest) -> Result<CommitLines, Status> {
    let mut violations = Violations::new();
    if request.lines.len() > MAX_LINES {
        violations.add("lines", format!("at most {MAX_LINES} entries"));
    }
    let lines = request
        .lines
        .iter()
        .take(MAX_LINES)
        .enumerate()
        .filter_map(|(place, line)| {
            let sku = sku(&mut violations, format!("lines[{place}].sku"), &line.sku);
            let location = location(&mut violations, format!("lines[{place}].location_id"), &line.location_id);
            let quantity = quantity(&mut violations, format!("lines[{place}].quantity"), line.quantity, 0);
            Some((LevelKey { sku: sku?, location: location? }, quantity?))
        })
        .collect::<Vec<_>>();
    let at = instant(&mut violations, "effective_time", request.effective_time);
    complete(violations, Some(((!request.lines.is_empty()).then_some(lines), at)))
}

/// The common shape of receipts, returns and a till's sales.
pub struct MoveFields<'a> {
    pub rpc: &'static str,
    pub kind: MoveKind,
    pub request_id: &'a str,
    pub location_id: &'a str,
    pub lines: &'a [proto::StockLine],
    pub bucket: i32,
    pub reference: &'a str,
    pub effective_time: Option<prost_types::Timestamp>,
}

pub fn movement(fields: &MoveFields<'_>, request: &impl Message) -> Result<(Key, Moved), Status> {
    let mut violations = Violations::new();
    let id = request_id(&mut violations, fields.request_id);
    let location = location(&mut violations, "location_id", fields.location_id);
    let bucket = bucket(&mut violations, "bucket", fields.bucket);
    line_count(&mut violations, "lines", fields.lines.len());
    let sign = if fields.kind == MoveKind::Sale { -1 } else { 1 };
    let lines = fields
        .lines
        .iter()
        .take(MAX_LINES)
        .enumerate()
        .filter_map(|(place, line)| {
            let sku = sku(&mut violations, format!("lines[{place}].sku"), &line.sku);
            let quantity = quantity(&mut violations, format!("lines[{place}].quantity"), line.quantity, 1);
            Some(MoveLine {
                key: LevelKey { sku: sku?, location: location.clone()? },
                bucket: bucket?,
                delta: sign * quantity?,
            })
        })
        .collect();
    let reference = reference(&mut violations, fields.reference);
    let effective_at = instant(&mut violations, "effective_time", fields.effective_time);
    let moved = (|| {
        Some((
            Key::of(fields.rpc, id?, request),
            Moved {
                kind: fields.kind,
                location: location?,
                lines,
                reference: reference?,
                effective_at,
            },
        ))
    })();
    complete(violations, moved)
}

pub fn adjustment(request: &proto::AdjustStockRequest) -> Result<(Key, Moved), Status> {
    let mut violations = Violations::new();
    let id = request_id(&mut violations, &request.request_id);
    let location = location(&mut violations, "location_id", &request.location_id);
    line_count(&mut violations, "lines", request.lines.len());
    let lines = request
        .lines
        .iter()
        .take(MAX_LINES)
        .enumerate()
        .filter_map(|(place, line)| {
            let sku = sku(&mut violations, format!("lines[{place}].sku"), &line.sku);
            let bucket = bucket(&mut violations, format!("lines[{place}].bucket"), line.bucket);
            if line.delta == 0 || line.delta.checked_abs().is_none_or(|size| size > MAX_QUANTITY) {
                violations.add(
                    format!("lines[{place}].delta"),
                    format!("must not be zero, and at most {MAX_QUANTITY} either way"),
                );
            }
            Some(MoveLine {
                key: LevelKey { sku: sku?, location: location.clone()? },
                bucket: bucket?,
                delta: line.delta,
            })
        })
        .collect();
    let reason = match proto::AdjustmentReason::try_from(request.reason) {
        Ok(proto::AdjustmentReason::Found) => Some(AdjustmentReason::Found),
        Ok(proto::AdjustmentReason::Lost) => Some(AdjustmentReason::Lost),
        Ok(proto::AdjustmentReason::Damaged) => Some(AdjustmentReason::Damaged),
        Ok(proto::AdjustmentReason::WriteOff) => Some(AdjustmentReason::WriteOff),
        Ok(proto::AdjustmentReason::Count) => Some(AdjustmentReason::Count),
        Ok(proto::AdjustmentReason::Unspecified) | Err(_) => {
            violations.add("reason", "must be a known reason");
            None
        }
    };
    let reference = reference(&mut violations, &request.reference);
    let effective_at = instant(&mut violations, "effective_time", request.effective_time);
    let moved = (|| {
        Some((
            Key::of("AdjustStock", id?, request),
            Moved {
                kind: MoveKind::Adjustment(reason?),
                location: location?,
                lines,
                reference: reference?,
                effective_at,
            },
        ))
    })();
    complete(violations, moved)
}

fn bucket(violations: &mut Violations, field: impl Into<String>, value: i32) -> Option<Bucket> {
    match proto::StockBucket::try_from(value) {
        Ok(proto::StockBucket::Unspecified | proto::StockBucket::Sellable) => Some(Bucket::Sellable),
        Ok(proto::StockBucket::Damaged) => Some(Bucket::Damaged),
        Ok(proto::StockBucket::Quarantine) => Some(Bucket::Quarantine),
        Err(_) => {
            violations.add(field, "is not a known value");
            None
        }
    }
}

pub fn new_location(request: &proto::CreateLocationRequest) -> Result<(Key, NewLocation), Status> {
    let mut violations = Violations::new();
    let id = request_id(&mut violations, &request.request_id);
    let given = violations.require("location", request.location.as_ref());
    let parsed = given.and_then(|given| {
        let location_id = location(&mut violations, "location.location_id", &given.location_id);
        let kind = match proto::LocationKind::try_from(given.kind) {
            Ok(proto::LocationKind::Warehouse) => Some(LocationKind::Warehouse),
            Ok(proto::LocationKind::Store) => Some(LocationKind::Store),
            Ok(proto::LocationKind::Unspecified) | Err(_) => {
                violations.add("location.kind", "must be a known kind");
                None
            }
        };
        let title = given.title.trim();
        if title.is_empty() || title.chars().count() > 200 || title.contains('\0') {
            violations.add("location.title", "must have 1 to 200 characters, none of them NUL");
        }
        Some((
            Key::of("CreateLocation", id?, request),
            NewLocation {
                location_id: location_id?,
                kind: kind?,
                title: title.to_owned(),
                oversell_facts: given.oversell_facts,
            },
        ))
    });
    complete(violations, parsed)
}

pub fn location_id(text: &str) -> Result<LocationId, Status> {
    let mut violations = Violations::new();
    let parsed = location(&mut violations, "location_id", text);
    complete(violations, parsed)
}

pub fn availability_request(request: &proto::GetAvailabilityRequest) -> Result<(ChannelId, Vec<Sku>), Status> {
    let mut violations = Violations::new();
    let channel = violations.check("channel_id", request.channel_id.parse::<ChannelId>());
    let skus = skus(&mut violations, &request.skus);
    complete(violations, channel.map(|channel| (channel, skus)))
}

fn skus(violations: &mut Violations, texts: &[String]) -> Vec<Sku> {
    line_count(violations, "skus", texts.len());
    texts
        .iter()
        .take(MAX_LINES)
        .enumerate()
        .filter_map(|(place, text)| sku(violations, format!("skus[{place}]"), text))
        .collect()
}

pub fn as_of_request(
    request: &proto::GetStockAsOfRequest,
) -> Result<(Vec<Sku>, LocationId, DateTime<Utc>), Status> {
    let mut violations = Violations::new();
    let skus = skus(&mut violations, &request.skus);
    let location = location(&mut violations, "location_id", &request.location_id);
    let given = violations.require("as_of_time", request.as_of_time);
    let at = given.and_then(|given| instant(&mut violations, "as_of_time", Some(given)));
    complete(violations, location.zip(at).map(|(location, at)| (skus, location, at)))
}

/// Filters of a list: an optional SKU and an optional location.
pub fn filters(sku: &str, location_id: &str) -> Result<(Option<Sku>, Option<LocationId>), Status> {
    let mut violations = Violations::new();
    let sku = (!sku.is_empty()).then(|| violations.check("sku", sku.parse::<Sku>()));
    let location = (!location_id.is_empty()).then(|| violations.check("location_id", location_id.parse::<LocationId>()));
    complete(violations, Some((sku.flatten(), location.flatten())))
}

pub fn page_size(asked: i32, default: i64, most: i64) -> Result<i64, Status> {
    match i64::from(asked) {
        0 => Ok(default),
        asked if (1..=most).contains(&asked) => Ok(asked),
        _ => {
            let mut violations = Violations::new();
            violations.add("page_size", format!("must be 0 to {most}"));
            Err(violations.into_status())
        }
    }
}

/// A page token is the last key of the page before, parts separated by a tab (which no key contains).
pub fn page_token(token: &str, parts: usize) -> Result<Option<Vec<&str>>, Status> {
    let split: Vec<&str> = token.split('\t').collect();
    match token {
        "" => Ok(None),
        _ if split.len() == parts => Ok(Some(split)),
        _ => Err(bad_token()),
    }
}

pub fn bad_token() -> Status {
    let mut violations = Violations::new();
    violations.add("page_token", "is not a token of this list");
    violations.into_status()
}

pub fn hold_message(hold: &StockHold, now: DateTime<Utc>) -> proto::Hold {
    let state = match hold.promise.standing(now) {
        Standing::Held => proto::HoldState::Held,
        Standing::Committed => proto::HoldState::Committed,
        Standing::Released => proto::HoldState::Released,
        Standing::Expired => proto::HoldState::Expired,
    };
    proto::Hold {
        hold_id: hold.hold_id.to_string(),
        kind: match hold.kind() {
            HoldKind::Soft => proto::HoldKind::Soft,
            HoldKind::Hard => proto::HoldKind::Hard,
        }
        .into(),
        state: state.into(),
        channel_id: hold.channel.as_ref().map_or_else(String::new, ChannelId::to_string),
        reference: hold.reference.clone(),
        lines: hold
            .lines
            .iter()
            .enumerate()
            .map(|(place, line)| proto::HoldLine {
                sku: line.key.sku.as_str().to_owned(),
                location_id: line.key.location.as_str().to_owned(),
                requested: line.requested,
                held: hold.promise.granted()[place],
                committed: hold.promise.split(place, now).committed,
                available: line.available,
            })
            .collect(),
        expire_time: hold.expires_at().map(timestamp),
        create_time: Some(timestamp(hold.created_at)),
        resolve_time: hold.promise.resolved_at().map(timestamp),
    }
}

/// A level; `expired` of its soft holds are past their time and count as free.
pub fn level_message(key: &LevelKey, level: &Level, expired: i64, updated_at: DateTime<Utc>) -> proto::StockLevel {
    let live = Level {
        soft_held: level.soft_held - expired,
        ..*level
    };
    proto::StockLevel {
        sku: key.sku.as_str().to_owned(),
        location_id: key.location.as_str().to_owned(),
        on_hand: level.on_hand(),
        sellable: level.sellable,
        damaged: level.damaged,
        quarantine: level.quarantine,
        soft_held: level.soft_held,
        hard_held: level.hard_held,
        available: live.available(),
        oversold: live.oversold(),
        version: level.version,
        update_time: Some(timestamp(updated_at)),
    }
}

pub fn stored_level_message(stored: &StoredLevel) -> proto::StockLevel {
    level_message(&stored.key, &stored.level, stored.expired, stored.updated_at)
}

pub fn movement_message(movement: StoredMovement) -> proto::Movement {
    let account = |kind: String, location: Option<String>| match location {
        Some(location) => format!("{location}/{kind}"),
        None => kind,
    };
    proto::Movement {
        movement_id: format!("{}/{}", movement.movement_id, movement.line_no),
        sequence: movement.entry_id,
        sku: movement.sku,
        source: account(movement.source, movement.source_location_id),
        target: account(movement.target, movement.target_location_id),
        quantity: movement.quantity,
        reason: movement.reason,
        reference: movement.reference,
        effective_time: Some(timestamp(movement.effective_at)),
        record_time: Some(timestamp(movement.recorded_at)),
    }
}

pub fn location_message(location: Location) -> proto::Location {
    proto::Location {
        location_id: location.location_id.to_string(),
        kind: match location.kind {
            LocationKind::Warehouse => proto::LocationKind::Warehouse,
            LocationKind::Store => proto::LocationKind::Store,
        }
        .into(),
        title: location.title,
        oversell_facts: location.oversell_facts,
        version: location.version,
        create_time: Some(timestamp(location.created_at)),
    }
}

pub fn availability_message(availability: &Availability) -> proto::Availability {
    proto::Availability {
        sku: availability.sku.as_str().to_owned(),
        available: availability.parts.iter().map(|part| part.available).sum(),
        locations: availability
            .parts
            .iter()
            .map(|part| proto::LocationAvailability {
                location_id: part.location.as_str().to_owned(),
                available: part.available,
                version: part.version,
            })
            .collect(),
    }
}
