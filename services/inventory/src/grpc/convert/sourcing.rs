//! How orders are sourced: rules, costs, plans, comparisons, moves.

use std::collections::HashSet;

use oneshelf_kit::{idempotency::Key, status::Violations};
use oneshelf_proto::inventory::v1 as proto;
use oneshelf_values::{ChannelId, Coordinates, HoldId, LocationId, ZoneId};
use tonic::Status;

use super::{MAX_REFERENCE, complete, holds, instant, location, locations, quantity, request_id, sku, text};
use crate::{
    domain::{
        sourcing::{
            self, Asked, Costs, Criterion, Destination, Explained, Fulfilment, Judged, Ladder, MAX_LINES, MAX_PARCELS,
            Missing, Node, Order, Plan, Sourced, Step, UNKNOWN_WAY_M, Weights,
            simulate::{Outcome, Past, Totals},
        },
        stock_level::LevelKey,
    },
    time::timestamp,
    usecases::{
        figures::Who,
        plan_fulfilment::{Comparison, MAX_ORDERS, Orders, Planned, Side},
        sourcing_rules::{StoredCosts, StoredRules},
    },
};

const MAX_STEPS: usize = 8;
const MAX_ZONES: usize = 50;
const MAX_MOVES: usize = 200;
/// Lines of a past order.
const MAX_PAST_LINES: usize = 50;
const MAX_COST: i64 = 1_000_000_000;
const MAX_PERCENT: i32 = 1_000;

/// What lines of a hold that name no location are to be sourced by.
pub(super) fn network_terms<'a>(
    violations: &mut Violations,
    terms: &proto::NetworkTerms,
    all: usize,
    lines: impl Iterator<Item = (usize, &'a proto::HoldRequestLine)>,
) -> Option<Order> {
    let values = &terms.unit_values;
    if !values.is_empty() && values.len() != all {
        violations.add("network.unit_values", "must have as many entries as lines, or none");
    }
    for (place, value) in values.iter().take(super::MAX_LINES).enumerate() {
        quantity(violations, format!("network.unit_values[{place}]"), *value, 0);
    }
    let fulfilment = fulfilment(violations, "network.fulfilment", terms.fulfilment);
    let destination = destination(violations, "network.destination", terms.destination.as_ref());
    let lines: Vec<(usize, &proto::HoldRequestLine)> = lines.collect();
    if lines.is_empty() || lines.len() > MAX_LINES {
        violations.add("network", format!("needs 1 to {MAX_LINES} lines without a location"));
    }
    let lines: Vec<Asked> = lines
        .into_iter()
        .take(MAX_LINES)
        .filter_map(|(place, line)| {
            let sku = sku(violations, format!("lines[{place}].sku"), &line.sku);
            let units = quantity(violations, format!("lines[{place}].quantity"), line.quantity, 1);
            let unit_value = values.get(place).copied().unwrap_or(0);
            Some(Asked { sku: sku?, units: units?, unit_value })
        })
        .collect();
    Some(Order { lines: sourcing::distinct(lines), fulfilment: fulfilment?, destination })
}

fn fulfilment(violations: &mut Violations, field: impl Into<String>, value: i32) -> Option<Fulfilment> {
    match proto::SourcingFulfilment::try_from(value) {
        Ok(proto::SourcingFulfilment::Unspecified | proto::SourcingFulfilment::Ship) => Some(Fulfilment::Ship),
        Ok(proto::SourcingFulfilment::Pickup) => Some(Fulfilment::Pickup),
        Err(_) => {
            violations.add(field, "is not a known value");
            None
        }
    }
}

/// What is malformed is noted, which refuses the request.
fn destination(violations: &mut Violations, field: &str, given: Option<&proto::Destination>) -> Destination {
    let Some(given) = given else { return Destination::default() };
    let coordinates = given.coordinates.and_then(|at| {
        let point = Coordinates::try_new(at.latitude_micro_degrees, at.longitude_micro_degrees);
        violations.check(format!("{field}.coordinates"), point)
    });
    let zone = (!given.zone_id.is_empty())
        .then(|| violations.check(format!("{field}.zone_id"), given.zone_id.parse::<ZoneId>()))
        .flatten();
    Destination { coordinates, zone }
}

fn order_lines(violations: &mut Violations, field: &str, lines: &[proto::OrderLine], most: usize) -> Vec<Asked> {
    if lines.is_empty() || lines.len() > most {
        violations.add(field, format!("must have 1 to {most} entries"));
    }
    let lines: Vec<Asked> = lines
        .iter()
        .take(most)
        .enumerate()
        .filter_map(|(place, line)| {
            let sku = sku(violations, format!("{field}[{place}].sku"), &line.sku);
            let units = quantity(violations, format!("{field}[{place}].quantity"), line.quantity, 1);
            let unit_value = quantity(violations, format!("{field}[{place}].unit_value"), line.unit_value, 0);
            Some(Asked { sku: sku?, units: units?, unit_value: unit_value? })
        })
        .collect();
    sourcing::distinct(lines)
}

pub fn plan_request(request: &proto::PlanFulfilmentRequest) -> Result<(Who, Order, Option<Ladder>), Status> {
    let mut violations = Violations::new();
    let channel = violations.check("channel_id", request.channel_id.parse::<ChannelId>());
    let partner = holds::partner(&mut violations, &request.partner_id);
    let lines = order_lines(&mut violations, "lines", &request.lines, MAX_LINES);
    let fulfilment = fulfilment(&mut violations, "fulfilment", request.fulfilment);
    let destination = destination(&mut violations, "destination", request.destination.as_ref());
    let draft = request.draft.as_ref().and_then(|draft| ladder(&mut violations, "draft", draft));
    let parsed = channel
        .zip(fulfilment)
        .map(|(channel, fulfilment)| (Who { channel, partner }, Order { lines, fulfilment, destination }, draft));
    complete(violations, parsed)
}

/// A ladder; whatever is wrong with it is noted, which refuses the request.
fn ladder(violations: &mut Violations, field: &str, given: &proto::SourcingRules) -> Option<Ladder> {
    if given.steps.is_empty() || given.steps.len() > MAX_STEPS {
        violations.add(format!("{field}.steps"), format!("must have 1 to {MAX_STEPS} entries"));
        return None;
    }
    let mut names = HashSet::new();
    let steps: Vec<Step> = given
        .steps
        .iter()
        .enumerate()
        .filter_map(|(place, given)| {
            let at = format!("{field}.steps[{place}]");
            let step = step(violations, &at, given)?;
            if !names.insert(step.name.clone()) {
                violations.add(format!("{at}.name"), "is the name of an earlier step");
            }
            Some(step)
        })
        .collect();
    let weights = given.weights.as_ref().map_or(Some(Weights::default()), |given| {
        let mut percent = |name: &str, value: i32| {
            if (0..=MAX_PERCENT).contains(&value) {
                return Some(value as u16);
            }
            violations.add(format!("{field}.weights.{name}"), format!("must be 0 to {MAX_PERCENT}"));
            None
        };
        let (handling, transport, markdown) = (
            percent("handling", given.handling),
            percent("transport", given.transport),
            percent("markdown", given.markdown),
        );
        let penalty = cost(violations, format!("{field}.weights.parcel_penalty"), given.parcel_penalty);
        Some(Weights { handling: handling?, transport: transport?, markdown: markdown?, parcel_penalty: penalty? })
    });
    Some(Ladder { steps, weights: weights? })
}

fn step(violations: &mut Violations, at: &str, given: &proto::SourcingStep) -> Option<Step> {
    let name = text(violations, &format!("{at}.name"), &given.name, 1, 60);
    let kind = |kind: i32| proto::LocationKind::try_from(kind).ok().and_then(locations::kind_of);
    let kinds = each_once(violations, &format!("{at}.kinds"), &given.kinds, 0, kind);
    if given.zone_ids.len() > MAX_ZONES {
        violations.add(format!("{at}.zone_ids"), format!("at most {MAX_ZONES} entries"));
    }
    let zones = given
        .zone_ids
        .iter()
        .take(MAX_ZONES)
        .enumerate()
        .filter_map(|(place, zone)| violations.check(format!("{at}.zone_ids[{place}]"), zone.parse::<ZoneId>()));
    let zones: Vec<ZoneId> = zones.collect();
    if given.max_distance_m.is_some_and(|most| most > UNKNOWN_WAY_M) {
        violations.add(format!("{at}.max_distance_m"), format!("must be at most {UNKNOWN_WAY_M}"));
    }
    let least_left = quantity(violations, format!("{at}.least_left"), given.least_left, 0);
    let least_parcel_value = quantity(violations, format!("{at}.least_parcel_value"), given.least_parcel_value, 0);
    let one = |one: i32| proto::SourcingCriterion::try_from(one).ok().and_then(criterion);
    let order_by = each_once(violations, &format!("{at}.order_by"), &given.order_by, 1, one);
    let max_parcels = match usize::try_from(given.max_parcels) {
        Ok(0) => Some(MAX_PARCELS),
        Ok(parcels) if parcels <= MAX_PARCELS => Some(parcels),
        _ => {
            violations.add(format!("{at}.max_parcels"), format!("must be 0 to {MAX_PARCELS}"));
            None
        }
    };
    Some(Step {
        name: name?,
        kinds,
        zones,
        same_zone: given.same_zone,
        max_distance_m: given.max_distance_m,
        open_now: given.open_now,
        leaves_today: given.leaves_today,
        least_left: least_left?,
        order_by,
        max_parcels: max_parcels?,
        least_parcel_value: least_parcel_value?,
    })
}

/// Kinds of locations, and criteria: there are six of each.
const MAX_OF_EACH: usize = 6;

/// A list of known values, none of them twice.
fn each_once<T: PartialEq>(
    violations: &mut Violations,
    field: &str,
    given: &[i32],
    least: usize,
    parse: impl Fn(i32) -> Option<T>,
) -> Vec<T> {
    let mut values = Vec::new();
    if !(least..=MAX_OF_EACH).contains(&given.len()) {
        violations.add(field, format!("must have {least} to {MAX_OF_EACH} entries"));
        return values;
    }
    for (place, value) in given.iter().enumerate() {
        match parse(*value) {
            Some(value) if !values.contains(&value) => values.push(value),
            Some(_) => violations.add(format!("{field}[{place}]"), "is there twice"),
            None => violations.add(format!("{field}[{place}]"), "must be a known value"),
        }
    }
    values
}

fn criterion(given: proto::SourcingCriterion) -> Option<Criterion> {
    match given {
        proto::SourcingCriterion::Unspecified => None,
        proto::SourcingCriterion::Parcels => Some(Criterion::Parcels),
        proto::SourcingCriterion::Cost => Some(Criterion::Cost),
        proto::SourcingCriterion::Distance => Some(Criterion::Distance),
        proto::SourcingCriterion::StockBalance => Some(Criterion::StockBalance),
        proto::SourcingCriterion::Markdown => Some(Criterion::Markdown),
        proto::SourcingCriterion::Priority => Some(Criterion::Priority),
    }
}

fn cost(violations: &mut Violations, field: String, value: i64) -> Option<i64> {
    if (0..=MAX_COST).contains(&value) {
        return Some(value);
    }
    violations.add(field, format!("must be 0 to {MAX_COST}"));
    None
}

/// The version that the caller expects; 0: nothing was set yet.
fn expected(violations: &mut Violations, given: Option<i64>) -> Option<i64> {
    if given.is_some_and(|version| version < 0) {
        violations.add("expected_version", "must not be negative");
    }
    given
}

/// Rules to set: request, channel, ladder, expected version.
pub type NewRules = (Key, ChannelId, Ladder, Option<i64>);

pub fn new_rules(request: &proto::SetSourcingRulesRequest) -> Result<NewRules, Status> {
    let mut violations = Violations::new();
    let id = request_id(&mut violations, &request.request_id);
    let expected = expected(&mut violations, request.expected_version);
    let given = violations.require("rules", request.rules.as_ref());
    let parsed = given.and_then(|given| {
        let channel = violations.check("rules.channel_id", given.channel_id.parse::<ChannelId>());
        let ladder = ladder(&mut violations, "rules", given);
        Some((Key::of("SetSourcingRules", id?, request), channel?, ladder?, expected))
    });
    complete(violations, parsed)
}

pub fn rules_request(request: &proto::GetSourcingRulesRequest) -> Result<(ChannelId, Option<i64>), Status> {
    let mut violations = Violations::new();
    let channel = violations.check("channel_id", request.channel_id.parse::<ChannelId>());
    if request.version < 0 {
        violations.add("version", "must not be negative");
    }
    let version = (request.version > 0).then_some(request.version);
    complete(violations, channel.map(|channel| (channel, version)))
}

/// The channel whose versions are listed; `None`: the newest of all.
pub fn rules_filter(request: &proto::ListSourcingRulesRequest) -> Result<Option<ChannelId>, Status> {
    let mut violations = Violations::new();
    let channel = holds::channel(&mut violations, &request.channel_id);
    complete(violations, Some(channel))
}

/// Costs to set: request, location, costs, expected version.
pub type NewCosts = (Key, LocationId, Costs, Option<i64>);

pub fn new_costs(request: &proto::SetNodeCostsRequest) -> Result<NewCosts, Status> {
    let mut violations = Violations::new();
    let id = request_id(&mut violations, &request.request_id);
    let expected = expected(&mut violations, request.expected_version);
    let given = violations.require("costs", request.costs.as_ref());
    let parsed = given.and_then(|given| {
        let location = location(&mut violations, "costs.location_id", &given.location_id);
        let parcel = cost(&mut violations, "costs.parcel".to_owned(), given.parcel);
        let unit = cost(&mut violations, "costs.unit".to_owned(), given.unit);
        let km = cost(&mut violations, "costs.km".to_owned(), given.km);
        let markdown = cost(&mut violations, "costs.markdown".to_owned(), given.markdown);
        let costs = Costs { parcel: parcel?, unit: unit?, km: km?, markdown: markdown? };
        Some((Key::of("SetNodeCosts", id?, request), location?, costs, expected))
    });
    complete(violations, parsed)
}

/// Moves of a hold: request, hold, and from where to where how many.
pub type HoldMoves = (Key, HoldId, Vec<(LevelKey, LocationId, i64)>);

pub fn hold_moves(request: &proto::MoveHoldRequest) -> Result<HoldMoves, Status> {
    let mut violations = Violations::new();
    let named = holds::named(&mut violations, "MoveHold", &request.request_id, &request.hold_id, request);
    if request.moves.is_empty() || request.moves.len() > MAX_MOVES {
        violations.add("moves", format!("must have 1 to {MAX_MOVES} entries"));
    }
    let moves = request
        .moves
        .iter()
        .take(MAX_MOVES)
        .enumerate()
        .filter_map(|(place, given)| {
            let at = |name: &str| format!("moves[{place}].{name}");
            let sku = sku(&mut violations, at("sku"), &given.sku);
            let source = location(&mut violations, at("source_location_id"), &given.source_location_id);
            let target = location(&mut violations, at("target_location_id"), &given.target_location_id);
            let units = quantity(&mut violations, at("quantity"), given.quantity, 1);
            if source.is_some() && source == target {
                violations.add(at("target_location_id"), "must be another location");
            }
            Some((LevelKey { sku: sku?, location: source? }, target?, units?))
        })
        .collect();
    complete(violations, named.map(|(key, hold)| (key, hold, moves)))
}

/// A comparison: channel, both sides, orders.
pub fn simulation(request: &proto::SimulateSourcingRequest) -> Result<(ChannelId, Side, Side, Orders), Status> {
    let mut violations = Violations::new();
    let channel = violations.check("channel_id", request.channel_id.parse::<ChannelId>());
    let first = side(&mut violations, "first", request.first.as_ref());
    let second = side(&mut violations, "second", request.second.as_ref());
    let start = instant(&mut violations, "start_time", request.start_time);
    let end = instant(&mut violations, "end_time", request.end_time);
    if request.orders.len() > MAX_ORDERS {
        violations.add("orders", format!("at most {MAX_ORDERS} entries"));
    }
    let mut given: Vec<(String, Past)> = request
        .orders
        .iter()
        .take(MAX_ORDERS)
        .enumerate()
        .filter_map(|(place, order)| past(&mut violations, &format!("orders[{place}]"), order))
        .collect();
    let orders = if request.orders.is_empty() {
        violations.require("start_time", request.start_time);
        violations.require("end_time", request.end_time);
        if start.zip(end).is_some_and(|(start, end)| start >= end) {
            violations.add("end_time", "must be after start_time");
        }
        start.zip(end).map(|(start, end)| Orders::Held(start, end))
    } else {
        for (field, time) in [("start_time", request.start_time), ("end_time", request.end_time)] {
            if time.is_some() {
                violations.add(field, "is not for orders that are given");
            }
        }
        given.sort_by_key(|(_, past)| past.at);
        Some(Orders::Given(given))
    };
    let parsed = (|| Some((channel?, first?, second?, orders?)))();
    complete(violations, parsed)
}

fn side(violations: &mut Violations, field: &str, given: Option<&proto::SimulatedRules>) -> Option<Side> {
    let given = violations.require(field, given)?;
    match &given.rules {
        None => Some(Side::Current),
        Some(proto::simulated_rules::Rules::Version(version)) if *version >= 0 => Some(Side::Version(*version)),
        Some(proto::simulated_rules::Rules::Version(_)) => {
            violations.add(format!("{field}.version"), "must not be negative");
            None
        }
        Some(proto::simulated_rules::Rules::Draft(draft)) => {
            ladder(violations, &format!("{field}.draft"), draft).map(Side::Draft)
        }
    }
}

fn past(violations: &mut Violations, at: &str, given: &proto::PastOrder) -> Option<(String, Past)> {
    let reference = text(violations, &format!("{at}.reference"), &given.reference, 0, MAX_REFERENCE);
    let lines = order_lines(violations, &format!("{at}.lines"), &given.lines, MAX_PAST_LINES);
    let fulfilment = fulfilment(violations, format!("{at}.fulfilment"), given.fulfilment);
    let destination = destination(violations, &format!("{at}.destination"), given.destination.as_ref());
    let field = format!("{at}.order_time");
    let given_at = violations.require(field.clone(), given.order_time);
    let order_time = given_at.and_then(|time| instant(violations, &field, Some(time)));
    let order = Order { lines, fulfilment: fulfilment?, destination };
    Some((reference?, Past { order, at: order_time? }))
}

fn fulfilment_message(fulfilment: Fulfilment) -> i32 {
    match fulfilment {
        Fulfilment::Ship => proto::SourcingFulfilment::Ship,
        Fulfilment::Pickup => proto::SourcingFulfilment::Pickup,
    }
    .into()
}

fn destination_message(destination: &Destination) -> proto::Destination {
    proto::Destination {
        coordinates: destination.coordinates.map(|at| proto::Coordinates {
            latitude_micro_degrees: at.latitude_micro_degrees(),
            longitude_micro_degrees: at.longitude_micro_degrees(),
        }),
        zone_id: destination.zone.as_ref().map_or_else(String::new, ToString::to_string),
    }
}

fn sourced_line(asked: &Asked, missing: Option<(i64, Missing)>) -> proto::SourcedLine {
    let reason = match missing {
        None => proto::UnsourcedReason::Unspecified,
        Some((_, Missing::OutOfStock)) => proto::UnsourcedReason::OutOfStock,
        Some((_, Missing::Filtered)) => proto::UnsourcedReason::Filtered,
        Some((_, Missing::SplitLimits)) => proto::UnsourcedReason::SplitLimits,
    };
    proto::SourcedLine {
        sku: asked.sku.to_string(),
        requested: asked.units,
        unsourced: missing.map_or(0, |(units, _)| units),
        reason: reason.into(),
    }
}

pub(super) fn hold_sourcing(sourced: &Sourced) -> proto::HoldSourcing {
    let order = &sourced.order;
    proto::HoldSourcing {
        fulfilment: fulfilment_message(order.fulfilment),
        destination: Some(destination_message(&order.destination)),
        rules_version: sourced.rules_version,
        step: sourced.step.clone(),
        lines: order.lines.iter().zip(&sourced.missing).map(|(line, missing)| sourced_line(line, *missing)).collect(),
        days: sourced
            .days
            .iter()
            .map(|(location, day)| proto::NodeDay { location_id: location.to_string(), day: day.to_string() })
            .collect(),
    }
}

/// The lines of a plan, by line of the order and then by location.
fn planned_lines(order: &Order, nodes: &[Node], plan: &Plan) -> Vec<proto::PlannedLine> {
    let mut lines: Vec<(usize, proto::PlannedLine)> = plan
        .parcels
        .iter()
        .flat_map(|parcel| {
            parcel.takes.iter().map(|(line, units)| {
                let planned = proto::PlannedLine {
                    sku: order.lines[*line].sku.to_string(),
                    location_id: nodes[parcel.node].location.to_string(),
                    quantity: *units,
                };
                (*line, planned)
            })
        })
        .collect();
    // Stable: parcels are in the order of their locations.
    lines.sort_by_key(|(line, _)| *line);
    lines.into_iter().map(|(_, line)| line).collect()
}

pub fn plan_response(planned: &Planned) -> proto::PlanFulfilmentResponse {
    let Planned { order, rules, nodes, plan, explained } = planned;
    let (cost, distance_m) = plan.figures(order, nodes);
    let missing = |line: usize| {
        let found = plan.missing.iter().find(|(place, ..)| *place == line);
        found.map(|(_, units, why)| (*units, *why))
    };
    let name = |step: usize| rules.ladder.steps.get(step).map_or_else(String::new, |step| step.name.clone());
    proto::PlanFulfilmentResponse {
        lines: planned_lines(order, nodes, plan),
        asked: order.lines.iter().enumerate().map(|(place, line)| sourced_line(line, missing(place))).collect(),
        rules_version: rules.version,
        step: name(plan.step),
        explanation: explained
            .iter()
            .map(|one| {
                let taken = one.step == plan.step;
                proto::ExplainedStep { step: name(one.step), taken, candidates: candidates(planned, one, taken) }
            })
            .collect(),
        cost: cut(cost),
        distance_m,
    }
}

fn candidates(planned: &Planned, explained: &Explained, taken: bool) -> Vec<proto::ExplainedCandidate> {
    let candidate = |(node, judged): (usize, &Judged)| {
        let mut message = proto::ExplainedCandidate {
            location_id: planned.nodes[node].location.to_string(),
            chosen: taken && planned.plan.parcels.iter().any(|parcel| parcel.node == node),
            distance_m: sourcing::distance(&planned.nodes[node], &planned.order.destination),
            ..Default::default()
        };
        let dropped = match judged {
            Judged::Inactive => proto::SourcingDrop::Inactive,
            Judged::Ability => proto::SourcingDrop::Ability,
            Judged::Kind => proto::SourcingDrop::Kind,
            Judged::Zone => proto::SourcingDrop::Zone,
            Judged::Distance => proto::SourcingDrop::Distance,
            Judged::ClosedNow => proto::SourcingDrop::ClosedNow,
            Judged::LeavesLater => proto::SourcingDrop::LeavesLater,
            Judged::Full => proto::SourcingDrop::Full,
            Judged::NothingThere => proto::SourcingDrop::NothingThere,
            Judged::Kept { units, scores } => {
                message.units = *units;
                message.scores = scores.iter().map(|score| cut(*score)).collect();
                proto::SourcingDrop::Unspecified
            }
        };
        message.dropped = dropped.into();
        message
    };
    explained.candidates.iter().enumerate().map(candidate).collect()
}

/// A figure as the wire has room for it.
fn cut(figure: i128) -> i64 {
    i64::try_from(figure).unwrap_or(if figure < 0 { i64::MIN } else { i64::MAX })
}

pub fn rules_message(stored: &StoredRules) -> proto::SourcingRules {
    let ladder = &stored.rules.ladder;
    proto::SourcingRules {
        channel_id: stored.channel.to_string(),
        steps: ladder.steps.iter().map(step_message).collect(),
        weights: Some(proto::SourcingWeights {
            handling: ladder.weights.handling.into(),
            transport: ladder.weights.transport.into(),
            markdown: ladder.weights.markdown.into(),
            parcel_penalty: ladder.weights.parcel_penalty,
        }),
        version: stored.rules.version,
        update_time: stored.updated_at.map(timestamp),
        updated_by: stored.updated_by.clone(),
    }
}

fn step_message(step: &Step) -> proto::SourcingStep {
    let criterion = |one: &Criterion| match one {
        Criterion::Parcels => proto::SourcingCriterion::Parcels,
        Criterion::Cost => proto::SourcingCriterion::Cost,
        Criterion::Distance => proto::SourcingCriterion::Distance,
        Criterion::StockBalance => proto::SourcingCriterion::StockBalance,
        Criterion::Markdown => proto::SourcingCriterion::Markdown,
        Criterion::Priority => proto::SourcingCriterion::Priority,
    };
    proto::SourcingStep {
        name: step.name.clone(),
        kinds: step.kinds.iter().map(|kind| locations::kind_message(*kind).into()).collect(),
        zone_ids: step.zones.iter().map(ToString::to_string).collect(),
        same_zone: step.same_zone,
        max_distance_m: step.max_distance_m,
        open_now: step.open_now,
        leaves_today: step.leaves_today,
        least_left: step.least_left,
        order_by: step.order_by.iter().map(|one| criterion(one).into()).collect(),
        max_parcels: step.max_parcels as i32,
        least_parcel_value: step.least_parcel_value,
    }
}

pub fn costs_message(stored: &StoredCosts) -> proto::NodeCosts {
    proto::NodeCosts {
        location_id: stored.location_id.clone(),
        parcel: stored.parcel,
        unit: stored.unit,
        km: stored.km,
        markdown: stored.markdown,
        version: stored.version,
        update_time: Some(timestamp(stored.updated_at)),
        updated_by: stored.updated_by.clone(),
    }
}

pub fn simulation_response(compared: &Comparison) -> proto::SimulateSourcingResponse {
    let (first, second) = (&compared.first, &compared.second);
    let both = first.1.iter().zip(&second.1).zip(&compared.orders).enumerate();
    let differences = both.filter(|(_, ((first, second), _))| !first.same_goods(second)).map(
        |(place, ((first, second), (reference, past)))| proto::SimulatedDifference {
            order: place as i32,
            reference: reference.clone(),
            first: Some(simulated_plan(&past.order, &compared.nodes, first)),
            second: Some(simulated_plan(&past.order, &compared.nodes, second)),
        },
    );
    proto::SimulateSourcingResponse {
        orders: compared.orders.len() as i32,
        truncated: compared.truncated,
        first: Some(totals_message(&first.0)),
        second: Some(totals_message(&second.0)),
        differences: differences.collect(),
    }
}

fn totals_message(totals: &Totals) -> proto::SimulatedTotals {
    proto::SimulatedTotals {
        sourced: totals.sourced as i32,
        stock_outs: totals.stock_outs as i32,
        unsourced: totals.unsourced,
        parcels: totals.parcels as i32,
        splits: totals.splits as i32,
        cost: cut(totals.cost),
        distance_m: totals.distance_m,
    }
}

fn simulated_plan(order: &Order, nodes: &[Node], outcome: &Outcome) -> proto::SimulatedPlan {
    proto::SimulatedPlan {
        lines: if outcome.unsourced == 0 { planned_lines(order, nodes, &outcome.plan) } else { Vec::new() },
        unsourced: outcome.unsourced,
        parcels: outcome.parcels() as i32,
        cost: cut(outcome.cost),
        distance_m: outcome.distance_m,
    }
}
