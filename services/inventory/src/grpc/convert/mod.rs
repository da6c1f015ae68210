//! Messages to domain values, all violations of a request at once; domain values to messages. Here: what every request
//! has; the rest by noun.

mod bulk;
mod consignments;
mod costs;
mod counts;
mod holds;
mod inbounds;
mod kits;
mod ledger;
mod locations;
mod lots;
mod movements;
mod pages;
mod policies;
mod promises;
mod records;
mod reorder;
mod sourcing;
mod thresholds;
mod transfers;

use chrono::{DateTime, Datelike as _, NaiveDate, Utc};
use oneshelf_kit::status::Violations;
use oneshelf_values::{LocationId, RequestId, Sku};
use tonic::Status;
use tonic_types::StatusExt as _;
use uuid::Uuid;

pub use self::{
    bulk::{batch_adjustment, import_chunk, row_results, set_stock},
    consignments::{
        after_agreement, after_stock, agreement, agreement_message, agreement_token, consigned_stock_message,
        consignment_filter, settlement_message, settlements_page, stock_token,
    },
    costs::{unit_cost_message, unit_costs},
    counts::{
        approve_count, cancel_count, compute_abc_classes, count_filters, count_id, count_message, due_message,
        due_request, post_count, record_count, request_recount, set_abc_classes, set_count_schedule, start_count,
    },
    holds::{commit, extension, hold_id, hold_message, hold_ref, hold_request},
    inbounds::{
        after_due, amend_purchase_order, cancel_purchase_order, close_inbound, create_asn, create_purchase_order,
        inbound_due_filter, inbound_due_message, inbound_filter, inbound_id, inbound_message, receive_inbound,
    },
    kits::{kit_filters, kit_message, kits_response, set_kits},
    ledger::{
        drift_message, export_request, finding_id, new_reason_code, posting, reason_code_message, repair,
        repair_message, resume_token,
    },
    locations::{location_filter, location_id, location_message, location_ref, location_update, new_location},
    lots::{
        lot_message, lot_place, lot_token, lots_of, serial_history_message, serial_message, serial_request,
        set_tracking, tracking_message, trackings_response,
    },
    movements::{MoveFields, adjustment, level_message, movement, movement_message, stored_level_message},
    pages::{LevelsPage, MovementsPage, level_token, levels_page, movement_token, movements_page},
    policies::{
        after_fence, ring_fence_message, ring_fence_token, ring_fences, ring_fences_response, sku_policies,
        sku_policies_response, sku_policy_message, stock_policies, stock_policies_response, stock_policy_message,
    },
    promises::{
        atp_request, cancel_promise, commit_promise, promise_filters, promise_id, promise_message, promise_stock,
    },
    records::{
        as_of_request, availability_message, availability_request, explain_request, explanation_message, filters,
        pickup_request, place_message,
    },
    reorder::{reorder_policies, reorder_policy_message, suggest_terms, suggestion_message, terms_suggestion_message},
    sourcing::{
        costs_message, hold_moves, new_costs, new_rules, plan_request, plan_response, rules_filter, rules_message,
        rules_request, simulation, simulation_response,
    },
    thresholds::{stock_thresholds, threshold_message, threshold_token, thresholds_page},
    transfers::{
        allocate_transfer, approve_transfer, cancel_transfer, create_transfer, receive_transfer, resolve_transfer,
        ship_transfer, transfer_filters, transfer_id, transfer_message,
    },
};
use self::{
    holds::channel,
    movements::{adjustment_reason, bucket, bucket_message},
    records::skus,
};

pub const MAX_LINES: usize = 2_000;

const MAX_DOCUMENT_LINES: usize = crate::domain::document::MAX_LINES;

const MAX_QUANTITY: i64 = 1_000_000_000_000;

const MAX_REFERENCE: usize = 100;

/// What is taken for an instant of this world; PostgreSQL knows them all.
const YEARS: std::ops::RangeInclusive<i32> = 1900..=9999;

/// The request's id, as the caller made it.
fn request_id(violations: &mut Violations, text: &str) -> Option<Uuid> {
    violations.check("request_id", text.parse::<RequestId>()).map(Uuid::from)
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

/// Text for people, trimmed.
fn text(violations: &mut Violations, field: &str, text: &str, least: usize, most: usize) -> Option<String> {
    let text = text.trim();
    if (least..=most).contains(&text.chars().count()) && !text.chars().any(char::is_control) {
        return Some(text.to_owned());
    }
    violations.add(field, format!("must be {least} to {most} characters, none of them a control character"));
    None
}

fn reference(violations: &mut Violations, reference: &str) -> Option<String> {
    text(violations, "reference", reference, 0, MAX_REFERENCE)
}

/// How many of a list's entries are looked at: all, or none of one that is too long.
fn entries(violations: &mut Violations, field: &str, count: usize, least: usize, most: usize) -> usize {
    if (least..=most).contains(&count) {
        return count;
    }
    violations.add(field, format!("must have {least} to {most} entries"));
    0
}

fn line_count(violations: &mut Violations, field: &str, count: usize) -> usize {
    entries(violations, field, count, 1, MAX_LINES)
}

fn document_lines(violations: &mut Violations, count: usize) -> usize {
    entries(violations, "lines", count, 1, MAX_DOCUMENT_LINES)
}

/// Documents name each SKU once.
fn named_once<'a>(violations: &mut Violations, field: &str, skus: impl IntoIterator<Item = &'a Sku>) {
    let mut seen = std::collections::HashSet::new();
    if let Some(twice) = skus.into_iter().find(|sku| !seen.insert(*sku)) {
        violations.add(field, format!("{twice} is named twice"));
    }
}

/// The version that the caller has read; 0 stands for any.
fn expected_version(violations: &mut Violations, version: i64) -> Option<i64> {
    if version < 0 {
        violations.add("expected_version", "must not be negative");
    }
    (version > 0).then_some(version)
}

/// An optional day; a malformed one is noted, which refuses the request.
fn date(violations: &mut Violations, field: impl Into<String>, text: &str) -> Option<NaiveDate> {
    if text.is_empty() {
        return None;
    }
    let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().filter(|day| (1900..=9999).contains(&day.year()));
    if day.is_none() {
        violations.add(field, "must be a day such as 2026-11-30, of the years 1900 to 9999");
    }
    day
}

fn required_date(violations: &mut Violations, field: &str, text: &str) -> Option<NaiveDate> {
    if text.is_empty() {
        violations.add(field, "is required");
    }
    date(violations, field, text)
}

fn day_text(day: Option<NaiveDate>) -> String {
    day.map_or_else(String::new, |day| day.to_string())
}

/// Both, or what is wrong with either.
pub fn both<A, B>(a: Result<A, Status>, b: Result<B, Status>) -> Result<(A, B), Status> {
    match (a, b) {
        (Ok(a), Ok(b)) => Ok((a, b)),
        (Err(a), Err(b)) => {
            let mut violations = Violations::new();
            for violation in
                [a, b].iter().filter_map(Status::get_details_bad_request).flat_map(|bad| bad.field_violations)
            {
                violations.add(violation.field, violation.description);
            }
            Err(violations.into_status())
        }
        (Err(wrong), _) | (_, Err(wrong)) => Err(wrong),
    }
}

/// As [`both`]: the filters of a list, the size of its page, and where it goes on.
pub fn all<A, B, C>(a: Result<A, Status>, b: Result<B, Status>, c: Result<C, Status>) -> Result<(A, B, C), Status> {
    both(a, both(b, c)).map(|(a, (b, c))| (a, b, c))
}

/// Where a list by SKU goes on.
pub fn after_sku(token: &str) -> Result<&str, Status> {
    if token.is_empty() || token.parse::<Sku>().is_ok() { Ok(token) } else { Err(bad_token()) }
}

/// Where a list by reason code goes on.
pub fn after_reason_code(token: &str) -> Result<&str, Status> {
    if token.is_empty() || crate::domain::reason::is_code(token) { Ok(token) } else { Err(bad_token()) }
}

/// Where a list by (SKU, location) goes on.
pub fn after_level(token: &str) -> Result<(&str, &str), Status> {
    let Some(parts) = page_token(token, 2)? else { return Ok(("", "")) };
    level(parts[0], parts[1]).ok_or_else(bad_token)
}

/// The key of a level as tokens have it.
fn level<'a>(sku: &'a str, location: &'a str) -> Option<(&'a str, &'a str)> {
    (sku.parse::<Sku>().is_ok() && location.parse::<LocationId>().is_ok()).then_some((sku, location))
}

/// Where a list by creation time goes on.
pub fn before(token: &str) -> Result<Option<(DateTime<Utc>, Uuid)>, Status> {
    let Some(parts) = page_token(token, 2)? else { return Ok(None) };
    let at = parts[0].parse().ok().and_then(DateTime::from_timestamp_micros).filter(|at| YEARS.contains(&at.year()));
    at.zip(parts[1].parse().ok()).map(Some).ok_or_else(bad_token)
}

/// Where a list by an instant and a SKU goes on.
pub fn after_instant(token: &str) -> Result<Option<(DateTime<Utc>, &str)>, Status> {
    let Some(parts) = page_token(token, 2)? else { return Ok(None) };
    let at = parts[0].parse().ok().and_then(DateTime::from_timestamp_micros).filter(|at| YEARS.contains(&at.year()));
    let sku = parts[1].parse::<Sku>().ok().map(|_| parts[1]);
    at.zip(sku).map(Some).ok_or_else(bad_token)
}

/// The token of [`before`] and of [`after_instant`].
pub fn before_token(at: DateTime<Utc>, id: impl std::fmt::Display) -> String {
    format!("{}\t{id}", at.timestamp_micros())
}

fn instant(violations: &mut Violations, field: &str, time: Option<prost_types::Timestamp>) -> Option<DateTime<Utc>> {
    let time = time?;
    // chrono takes more nanoseconds than a second has, for leap seconds.
    let parsed = u32::try_from(time.nanos)
        .ok()
        .filter(|nanos| *nanos < 1_000_000_000)
        .and_then(|nanos| DateTime::from_timestamp(time.seconds, nanos))
        .filter(|at| YEARS.contains(&at.year()));
    let parsed = violations.check(field, parsed.ok_or("must be an instant of the years 1900 to 9999"))?;
    Some(oneshelf_values::clock::truncate(parsed))
}

/// The values when nothing was wrong; every path that leaves a value `None` has added a violation.
fn complete<T>(violations: Violations, values: Option<T>) -> Result<T, Status> {
    match values {
        Some(values) if violations.is_empty() => Ok(values),
        _ => Err(violations.into_status()),
    }
}

/// A malformed token of the list of locations is refused.
pub fn location_token(token: &str) -> Result<(), Status> {
    if token.is_empty() || token.parse::<LocationId>().is_ok() { Ok(()) } else { Err(bad_token()) }
}

/// A malformed token of a list by SKU is refused.
pub fn sku_token(token: &str) -> Result<(), Status> {
    if token.is_empty() || token.parse::<Sku>().is_ok() { Ok(()) } else { Err(bad_token()) }
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
        // The tab parts it; no key that we gave out has another control character.
        _ if split.len() == parts && !split.concat().contains(char::is_control) => Ok(Some(split)),
        _ => Err(bad_token()),
    }
}

pub fn bad_token() -> Status {
    let mut violations = Violations::new();
    violations.add("page_token", "is not a token of this list");
    violations.into_status()
}
