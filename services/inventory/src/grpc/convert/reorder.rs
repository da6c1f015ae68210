//! When and how much is reordered.

use std::collections::HashSet;

use oneshelf_kit::{idempotency::Key, status::Violations};
use oneshelf_proto::inventory::v1 as proto;
use tonic::Status;

use super::{
    complete, line_count, location, named_once,
    policies::{audit_message, once, version},
    quantity, request_id, sku,
};
use crate::{
    domain::{
        group::Line,
        reorder::{DEFAULT_SERVICE_LEVEL, Pattern, ReorderPolicy, ReorderTerms, Suggestion, Supply},
        stock_level::LevelKey,
    },
    usecases::reorder::{Positioned, SuggestTerms},
};

const MAX_PACK: i64 = 1_000_000;

/// Two years.
const MAX_HOURS: i32 = 17_520;

const MAX_REVIEW_DAYS: i32 = 365;

/// SKUs whose demand one request sums up.
const MAX_SUGGESTED: usize = 500;

pub fn reorder_policies(
    request: &proto::SetReorderPoliciesRequest,
) -> Result<(Key, Vec<Line<LevelKey, ReorderTerms>>), Status> {
    let mut violations = Violations::new();
    let id = request_id(&mut violations, &request.request_id);
    line_count(&mut violations, "lines", request.lines.len());
    let fits = request.lines.len() <= super::MAX_LINES;
    let mut seen = HashSet::new();
    let lines = request
        .lines
        .iter()
        .take(super::MAX_LINES)
        .enumerate()
        .filter_map(|(place, line)| {
            let at = |name: &str| format!("lines[{place}].{name}");
            let expected_version = version(&mut violations, at("expected_version"), line.expected_version);
            let policy = violations.require(at("policy"), line.policy.as_ref())?;
            let sku = sku(&mut violations, at("policy.sku"), &policy.sku);
            let location = location(&mut violations, at("policy.location_id"), &policy.location_id);
            let reorder_point = quantity(&mut violations, at("policy.reorder_point"), policy.reorder_point, 0);
            let order_up_to =
                quantity(&mut violations, at("policy.order_up_to"), policy.order_up_to, 0).filter(|order_up_to| {
                    let fits = reorder_point.is_none_or(|reorder_point| reorder_point <= *order_up_to);
                    if !fits {
                        violations.add(at("policy.order_up_to"), "must be at least reorder_point");
                    }
                    fits
                });
            if !(0..=MAX_PACK).contains(&policy.pack_multiple) {
                violations.add(at("policy.pack_multiple"), format!("must be 0 to {MAX_PACK}"));
            }
            let mut bounded = |name: &str, value, least, most| {
                within(&mut violations, at(&format!("policy.{name}")), value, least, most)
            };
            let lead_time_hours = bounded("lead_time_hours", policy.lead_time_hours, 0, MAX_HOURS);
            let lead_time_deviation_hours =
                bounded("lead_time_deviation_hours", policy.lead_time_deviation_hours, 0, MAX_HOURS);
            let review_days = bounded("review_days", policy.review_days, 0, MAX_REVIEW_DAYS);
            let service_level_basis_points = match policy.service_level_basis_points {
                0 => Some(DEFAULT_SERVICE_LEVEL),
                level => bounded("service_level_basis_points", level, 5_000, 9_999),
            };
            let key = LevelKey { sku: sku?, location: location? };
            if fits {
                once(&mut violations, &mut seen, at("policy"), key.clone());
            }
            let terms = ReorderTerms {
                reorder_point: reorder_point?,
                order_up_to: order_up_to?,
                pack_multiple: policy.pack_multiple.max(1),
                supply: Supply {
                    lead_time_hours: lead_time_hours?,
                    lead_time_deviation_hours: lead_time_deviation_hours?,
                    review_days: review_days?,
                    service_level_basis_points: service_level_basis_points?,
                },
                paused: policy.paused,
            };
            Some(Line { key, terms, expected_version: expected_version? })
        })
        .collect();
    complete(violations, id.map(|id| (Key::of("SetReorderPolicies", id, request), lines)))
}

fn within(violations: &mut Violations, field: String, value: i32, least: i32, most: i32) -> Option<i32> {
    if (least..=most).contains(&value) {
        return Some(value);
    }
    violations.add(field, format!("must be {least} to {most}"));
    None
}

pub fn suggest_terms(request: &proto::SuggestReorderTermsRequest) -> Result<SuggestTerms, Status> {
    let mut violations = Violations::new();
    let location = location(&mut violations, "location_id", &request.location_id);
    if request.skus.is_empty() || request.skus.len() > MAX_SUGGESTED {
        violations.add("skus", format!("must have 1 to {MAX_SUGGESTED} entries"));
    }
    let skus: Vec<_> = request
        .skus
        .iter()
        .take(MAX_SUGGESTED)
        .enumerate()
        .filter_map(|(place, text)| sku(&mut violations, format!("skus[{place}]"), text))
        .collect();
    if request.skus.len() <= MAX_SUGGESTED {
        named_once(&mut violations, "skus", &skus);
    }
    let days = match request.days {
        0 => 90,
        days => within(&mut violations, "days".to_owned(), days, 2, 730).unwrap_or_default(),
    };
    let cover_days = match request.cover_days {
        0 => 30,
        days => within(&mut violations, "cover_days".to_owned(), days, 1, 365).unwrap_or_default(),
    };
    let mut own = |name: &str, value: Option<i32>, least, most| {
        value.and_then(|value| within(&mut violations, name.to_owned(), value, least, most))
    };
    let asked = SuggestTerms {
        lead_time_hours: own("lead_time_hours", request.lead_time_hours, 0, MAX_HOURS),
        lead_time_deviation_hours: own("lead_time_deviation_hours", request.lead_time_deviation_hours, 0, MAX_HOURS),
        review_days: own("review_days", request.review_days, 0, MAX_REVIEW_DAYS),
        service_level_basis_points: own("service_level_basis_points", request.service_level_basis_points, 5_000, 9_999),
        location: match location {
            Some(location) => location,
            None => return Err(violations.into_status()),
        },
        skus,
        days: days.unsigned_abs().into(),
        cover_days,
    };
    complete(violations, Some(asked))
}

pub fn reorder_policy_message(policy: &ReorderPolicy) -> proto::ReorderPolicy {
    let supply = policy.terms.supply;
    proto::ReorderPolicy {
        sku: policy.key.sku.to_string(),
        location_id: policy.key.location.to_string(),
        reorder_point: policy.terms.reorder_point,
        order_up_to: policy.terms.order_up_to,
        pack_multiple: policy.terms.pack_multiple,
        lead_time_hours: supply.lead_time_hours,
        lead_time_deviation_hours: supply.lead_time_deviation_hours,
        review_days: supply.review_days,
        service_level_basis_points: supply.service_level_basis_points,
        paused: policy.terms.paused,
        audit: Some(audit_message(&policy.audit)),
    }
}

pub fn suggestion_message(seen: &Positioned) -> proto::ReorderSuggestion {
    let (policy, position) = (&seen.policy, seen.position);
    proto::ReorderSuggestion {
        sku: policy.key.sku.to_string(),
        location_id: policy.key.location.to_string(),
        sellable: position.sellable,
        held: position.held,
        inbound: position.inbound,
        claimed: position.claimed,
        position: position.total(),
        reorder_point: policy.terms.reorder_point,
        order_up_to: policy.terms.order_up_to,
        pack_multiple: policy.terms.pack_multiple,
        quantity: policy.terms.quantity(position),
    }
}

pub fn terms_suggestion_message(suggestion: &Suggestion) -> proto::ReorderTermsSuggestion {
    let (demand, supply) = (&suggestion.demand, suggestion.supply);
    proto::ReorderTermsSuggestion {
        sku: suggestion.sku.to_string(),
        // Demand that does not fit was refused.
        sold: i64::try_from(demand.units).unwrap_or(i64::MAX),
        demand_days: i32::try_from(demand.demand_days).unwrap_or(i32::MAX),
        daily_mean_micros: suggestion.mean_micros,
        daily_deviation_micros: suggestion.deviation_micros,
        pattern: match suggestion.pattern {
            Pattern::None => proto::DemandPattern::None,
            Pattern::Smooth => proto::DemandPattern::Smooth,
            Pattern::Erratic => proto::DemandPattern::Erratic,
            Pattern::Intermittent => proto::DemandPattern::Intermittent,
            Pattern::Lumpy => proto::DemandPattern::Lumpy,
        }
        .into(),
        lead_time_hours: supply.lead_time_hours,
        lead_time_deviation_hours: supply.lead_time_deviation_hours,
        review_days: supply.review_days,
        service_level_basis_points: supply.service_level_basis_points,
        z_ten_thousandths: suggestion.z,
        safety_stock: suggestion.safety_stock,
        reorder_point: suggestion.reorder_point,
        order_up_to: suggestion.order_up_to,
    }
}
