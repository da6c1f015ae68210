//! Messages to domain values, all violations of a request at once; domain values to messages. Here: what every request
//! has; the rest by noun.

mod holds;
mod locations;
mod movements;
mod policies;
mod records;

use chrono::{DateTime, Utc};
use oneshelf_kit::status::Violations;
use oneshelf_values::{LocationId, Sku};
use tonic::Status;
use uuid::Uuid;

pub use self::{
    holds::{commit_lines, extension, hold_id, hold_message, hold_ref, hold_request},
    locations::{location_filter, location_id, location_message, location_ref, location_update, new_location},
    movements::{MoveFields, adjustment, level_message, movement, movement_message, stored_level_message},
    policies::{
        ring_fence_message, ring_fence_token, ring_fences, ring_fences_response, sku_policies, sku_policies_response,
        sku_policy_message, stock_policies, stock_policies_response, stock_policy_message,
    },
    records::{
        as_of_request, availability_message, availability_request, explain_request, explanation_message, filters,
        pickup_request, place_message,
    },
};

pub const MAX_LINES: usize = 2_000;

const MAX_QUANTITY: i64 = 1_000_000_000_000;

const MAX_REFERENCE: usize = 100;

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

fn instant(violations: &mut Violations, field: &str, time: Option<prost_types::Timestamp>) -> Option<DateTime<Utc>> {
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

/// The values when nothing was wrong; every path that leaves a value `None` has added a violation.
fn complete<T>(violations: Violations, values: Option<T>) -> Result<T, Status> {
    match values {
        Some(values) if violations.is_empty() => Ok(values),
        _ => Err(violations.into_status()),
    }
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
