//! Holds.

use chrono::{DateTime, TimeDelta, Utc};
use oneshelf_kit::{idempotency::Key, status::Violations};
use oneshelf_proto::inventory::v1 as proto;
use oneshelf_values::{ChannelId, Clock, HoldId, HoldTerms, PartnerId, ShopperId, hold::Standing};
use prost::Message;
use tonic::Status;

use super::{
    MAX_LINES, complete, instant, line_count, location, quantity, reference, request_id, sku,
    sourcing::{hold_sourcing, network_terms},
};
use crate::{
    domain::{
        group::HoldStock,
        hold::{HoldKind, StockHold, WantedUnits},
        sourcing::SourceRequest,
        stock_level::LevelKey,
    },
    time::timestamp,
    usecases::resolve_hold::Commit,
};

const MAX_TTL: TimeDelta = TimeDelta::hours(24);

const DEFAULT_TTL: TimeDelta = TimeDelta::minutes(15);

pub fn hold_request(request: &proto::HoldStockRequest, clock: &Clock) -> Result<HoldStock, Status> {
    let mut violations = Violations::new();
    let id = request_id(&mut violations, &request.request_id);
    line_count(&mut violations, "lines", request.lines.len());
    // Without the terms a missing location is a mistake, and not a line to be sourced.
    let to_source = |line: &proto::HoldRequestLine| request.network.is_some() && line.location_id.is_empty();
    let lines: Vec<_> = request
        .lines
        .iter()
        .take(MAX_LINES)
        .enumerate()
        .filter(|(_, line)| !to_source(line))
        .filter_map(|(place, line)| {
            let sku = sku(&mut violations, format!("lines[{place}].sku"), &line.sku);
            let location = location(&mut violations, format!("lines[{place}].location_id"), &line.location_id);
            let quantity = quantity(&mut violations, format!("lines[{place}].quantity"), line.quantity, 1);
            Some((LevelKey { sku: sku?, location: location? }, quantity?))
        })
        .collect();
    let channel = channel(&mut violations, &request.channel_id);
    let sourcing = request.network.as_ref().and_then(|terms| {
        let lines = request.lines.iter().enumerate().filter(|(_, line)| to_source(line));
        let sourcing = network_terms(&mut violations, terms, request.lines.len(), lines)?;
        if request.channel_id.is_empty() {
            violations.add("channel_id", "is required where a line names no location");
        }
        Some(Box::new(SourceRequest { order: sourcing, wide: false }))
    });
    let partner = partner(&mut violations, &request.partner_id);
    let shopper = (!request.shopper_id.is_empty())
        .then(|| violations.check("shopper_id", request.shopper_id.parse::<ShopperId>()))
        .flatten();
    let replaces = (!request.replaces_hold_id.is_empty())
        .then(|| violations.check("replaces_hold_id", request.replaces_hold_id.parse::<HoldId>()))
        .flatten();
    if replaces.is_some() && (request.shopper_id.is_empty() || request.kind == i32::from(proto::HoldKind::Hard)) {
        violations.add("replaces_hold_id", "needs a shopper_id and a soft hold");
    }
    if replaces.is_some() && replaces == id.map(HoldId::from) {
        violations.add("replaces_hold_id", "must be another hold");
    }
    let reference = reference(&mut violations, &request.reference);
    let terms = match proto::HoldKind::try_from(request.kind) {
        Ok(proto::HoldKind::Hard) => {
            if request.ttl.is_some() {
                violations.add("ttl", "hard holds have no expiry");
            }
            Some(HoldTerms::Hard)
        }
        Ok(proto::HoldKind::Soft | proto::HoldKind::Unspecified) => {
            ttl(&mut violations, request.ttl).map(|ttl| HoldTerms::Soft { expires_at: clock.now() + ttl })
        }
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
            channel,
            partner,
            shopper,
            replaces,
            // Set by the use case, which knows the configuration.
            longest: TimeDelta::MAX,
            reference: reference?,
            fingerprint: Key::of("HoldStock", hold_id, request).fingerprint,
            allow_partial: request.allow_partial,
            owed: false,
            lines,
            sourcing,
        })
    })();
    complete(violations, hold)
}

/// The hold that a request names, with the request's key.
pub(super) fn named(
    violations: &mut Violations,
    rpc: &'static str,
    id: &str,
    hold_id: &str,
    request: &impl Message,
) -> Option<(Key, HoldId)> {
    let id = request_id(violations, id);
    let hold = violations.check("hold_id", hold_id.parse());
    id.zip(hold).map(|(id, hold)| (Key::of(rpc, id, request), hold))
}

/// A request that only names a hold, with its key.
pub fn hold_ref(rpc: &'static str, id: &str, hold_id: &str, request: &impl Message) -> Result<(Key, HoldId), Status> {
    let mut violations = Violations::new();
    let named = named(&mut violations, rpc, id, hold_id, request);
    complete(violations, named)
}

pub fn hold_id(text: &str) -> Result<HoldId, Status> {
    let mut violations = Violations::new();
    let hold = violations.check("hold_id", text.parse());
    complete(violations, hold)
}

pub fn extension(request: &proto::ExtendHoldRequest) -> Result<(Key, HoldId, TimeDelta), Status> {
    let mut violations = Violations::new();
    let named = named(&mut violations, "ExtendHold", &request.request_id, &request.hold_id, request);
    let given = violations.require("ttl", request.ttl);
    let ttl = given.and_then(|given| ttl(&mut violations, Some(given)));
    complete(violations, named.zip(ttl).map(|((key, hold), ttl)| (key, hold, ttl)))
}

/// A commit, with its key.
pub fn commit(request: &proto::CommitHoldRequest) -> Result<(Key, Commit), Status> {
    let mut violations = Violations::new();
    let named = named(&mut violations, "CommitHold", &request.request_id, &request.hold_id, request);
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
            let location = (!line.location_id.is_empty())
                .then(|| location(&mut violations, format!("lines[{place}].location_id"), &line.location_id))
                .flatten();
            let quantity = quantity(&mut violations, format!("lines[{place}].quantity"), line.quantity, 0);
            Some(WantedUnits { sku: sku?, location, quantity: quantity? })
        })
        .collect::<Vec<_>>();
    let lines = (!request.lines.is_empty()).then_some(lines);
    let effective_at = instant(&mut violations, "effective_time", request.effective_time);
    complete(violations, named.map(|(key, hold_id)| (key, Commit { hold_id, lines, effective_at })))
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

/// An optional channel; a malformed one is noted, which refuses the request.
pub(super) fn channel(violations: &mut Violations, text: &str) -> Option<ChannelId> {
    (!text.is_empty()).then(|| violations.check("channel_id", text.parse())).flatten()
}

/// An optional partner, likewise.
pub(super) fn partner(violations: &mut Violations, text: &str) -> Option<PartnerId> {
    (!text.is_empty()).then(|| violations.check("partner_id", text.parse())).flatten()
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
                kit: line.part_of.map(|part| part.kit as i32),
                units_per_kit: line.part_of.map_or(0, |part| part.units),
                lots: line
                    .lots
                    .iter()
                    .map(|(lot, units)| proto::HeldLot { lot: lot.to_string(), quantity: *units })
                    .collect(),
            })
            .collect(),
        kits: hold
            .kits
            .iter()
            .enumerate()
            .map(|(place, kit)| proto::HoldKit {
                sku: kit.key.sku.as_str().to_owned(),
                location_id: kit.key.location.as_str().to_owned(),
                requested: kit.requested,
                held: hold.kits_in(place, |line| hold.promise.granted()[line]).unwrap_or(0),
                committed: hold.kits_in(place, |line| hold.promise.split(line, now).committed).unwrap_or(0),
                available: kit.available,
                version: kit.version,
            })
            .collect(),
        expire_time: hold.expires_at().map(timestamp),
        create_time: Some(timestamp(hold.created_at)),
        resolve_time: hold.promise.resolved_at().map(timestamp),
        partner_id: hold.partner.as_ref().map_or_else(String::new, PartnerId::to_string),
        shopper_id: hold.shopper.as_ref().map_or_else(String::new, ShopperId::to_string),
        sourcing: hold.sourced.as_deref().map(hold_sourcing),
    }
}
