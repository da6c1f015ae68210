//! Counts, and how often to count what.

use chrono::{DateTime, Utc};
use oneshelf_kit::{idempotency::Key, status::Violations};
use oneshelf_proto::inventory::v1 as proto;
use oneshelf_values::{CountId, Currency, LocationId, Sku};
use prost::Message;
use tonic::Status;

use super::{
    adjustment_reason, bucket, bucket_message, complete, expected_version, instant, line_count, location, named_once,
    quantity, reference, request_id, sku, skus,
};
use crate::{
    domain::{
        abc::{AbcClass, AbcShares},
        count::{Count, CountKind, CountState},
        group::{AdjustmentReason, CountAct},
    },
    time::timestamp,
    usecases::{
        count_plan::{ComputeClasses, CountDays, DueCount},
        counts::{CountChange, CountScope, StartCount},
    },
};

pub fn start_count(request: &proto::StartCountRequest) -> Result<StartCount, Status> {
    let mut violations = Violations::new();
    let id = request_id(&mut violations, &request.request_id);
    let location = location(&mut violations, "location_id", &request.location_id);
    let bucket = bucket(&mut violations, "bucket", request.bucket);
    let scope = match proto::CountKind::try_from(request.kind) {
        Ok(proto::CountKind::Full) => {
            if !request.skus.is_empty() {
                violations.add("skus", "a full count takes what there is; bound it by first_sku and last_sku");
            }
            let mut bound = |field: &str, text: &str| {
                (!text.is_empty()).then(|| sku(&mut violations, field.to_owned(), text)).flatten()
            };
            let (first, last) = (bound("first_sku", &request.first_sku), bound("last_sku", &request.last_sku));
            Some(CountScope::Full { first, last })
        }
        Ok(proto::CountKind::Cycle) => {
            for (field, text) in [("first_sku", &request.first_sku), ("last_sku", &request.last_sku)] {
                if !text.is_empty() {
                    violations.add(field, "bounds a full count only");
                }
            }
            let skus = skus(&mut violations, &request.skus);
            named_once(&mut violations, "skus", &skus);
            Some(CountScope::Cycle(skus))
        }
        Ok(proto::CountKind::Unspecified) | Err(_) => {
            violations.add("kind", "must be a known kind");
            None
        }
    };
    let reference = reference(&mut violations, &request.reference);
    let start = (|| {
        Some(StartCount {
            key: Key::of("StartCount", id?, request),
            location: location?,
            bucket: bucket?,
            scope: scope?,
            reference: reference?,
        })
    })();
    complete(violations, start)
}

/// What every command on a count names.
struct Named<'a> {
    rpc: &'static str,
    request_id: &'a str,
    count_id: &'a str,
    expected_version: i64,
}

fn change(
    mut violations: Violations,
    named: &Named<'_>,
    request: &impl Message,
    act: CountAct,
    effective_at: Option<DateTime<Utc>>,
) -> Result<CountChange, Status> {
    let id = request_id(&mut violations, named.request_id);
    let count_id = violations.check("count_id", named.count_id.parse::<CountId>().map_err(|_| "must be a UUID"));
    let expected_version = expected_version(&mut violations, named.expected_version);
    let change = id.zip(count_id).map(|(id, count_id)| CountChange {
        key: Key::of(named.rpc, id, request),
        count_id,
        expected_version,
        act,
        effective_at,
    });
    complete(violations, change)
}

pub fn record_count(request: &proto::RecordCountRequest) -> Result<CountChange, Status> {
    let mut violations = Violations::new();
    let count = line_count(&mut violations, "entries", request.entries.len());
    let entries = request
        .entries
        .iter()
        .take(count)
        .enumerate()
        .filter_map(|(place, entry)| {
            let sku = sku(&mut violations, format!("entries[{place}].sku"), &entry.sku);
            let quantity = quantity(&mut violations, format!("entries[{place}].quantity"), entry.quantity, 0);
            sku.zip(quantity)
        })
        .collect();
    let named = Named {
        rpc: "RecordCount",
        request_id: &request.request_id,
        count_id: &request.count_id,
        expected_version: request.expected_version,
    };
    change(violations, &named, request, CountAct::Record { entries, add: request.add }, None)
}

pub fn request_recount(request: &proto::RequestRecountRequest) -> Result<CountChange, Status> {
    let mut violations = Violations::new();
    let skus = skus(&mut violations, &request.skus);
    let named = Named {
        rpc: "RequestRecount",
        request_id: &request.request_id,
        count_id: &request.count_id,
        expected_version: request.expected_version,
    };
    change(violations, &named, request, CountAct::Recount(skus), None)
}

pub fn approve_count(request: &proto::ApproveCountRequest) -> Result<CountChange, Status> {
    let named = Named {
        rpc: "ApproveCount",
        request_id: &request.request_id,
        count_id: &request.count_id,
        expected_version: request.expected_version,
    };
    let act = CountAct::Approve { uncounted_is_zero: request.uncounted_is_zero };
    change(Violations::new(), &named, request, act, None)
}

pub fn post_count(request: &proto::PostCountRequest) -> Result<CountChange, Status> {
    let mut violations = Violations::new();
    let reason = if request.reason == 0 {
        Some(AdjustmentReason::Count)
    } else {
        adjustment_reason(&mut violations, request.reason)
    };
    let effective_at = instant(&mut violations, "effective_time", request.effective_time);
    let named = Named {
        rpc: "PostCount",
        request_id: &request.request_id,
        count_id: &request.count_id,
        expected_version: request.expected_version,
    };
    let act = CountAct::Post(reason.unwrap_or(AdjustmentReason::Count));
    change(violations, &named, request, act, effective_at)
}

pub fn cancel_count(request: &proto::CancelCountRequest) -> Result<CountChange, Status> {
    let named = Named {
        rpc: "CancelCount",
        request_id: &request.request_id,
        count_id: &request.count_id,
        expected_version: request.expected_version,
    };
    change(Violations::new(), &named, request, CountAct::Cancel, None)
}

pub fn count_id(text: &str) -> Result<CountId, Status> {
    let mut violations = Violations::new();
    let id = violations.check("count_id", text.parse::<CountId>().map_err(|_| "must be a UUID"));
    complete(violations, id)
}

/// The filters of a list of counts.
pub fn count_filters(request: &proto::ListCountsRequest) -> Result<(Option<CountState>, Option<LocationId>), Status> {
    let mut violations = Violations::new();
    let state = match proto::CountState::try_from(request.state) {
        Ok(proto::CountState::Unspecified) => None,
        Ok(proto::CountState::Counting) => Some(CountState::Counting),
        Ok(proto::CountState::Approved) => Some(CountState::Approved),
        Ok(proto::CountState::Posted) => Some(CountState::Posted),
        Ok(proto::CountState::Cancelled) => Some(CountState::Cancelled),
        Err(_) => {
            violations.add("state", "is not a known value");
            None
        }
    };
    let location =
        (!request.location_id.is_empty()).then(|| location(&mut violations, "location_id", &request.location_id));
    complete(violations, Some((state, location.flatten())))
}

/// A count's message. Only with `review` does it say what the books said.
pub fn count_message(count: &Count, review: bool) -> proto::Count {
    proto::Count {
        count_id: count.count_id.to_string(),
        location_id: count.location.to_string(),
        bucket: bucket_message(count.bucket).into(),
        kind: match count.kind {
            CountKind::Full => proto::CountKind::Full,
            CountKind::Cycle => proto::CountKind::Cycle,
        }
        .into(),
        state: match count.state {
            CountState::Counting => proto::CountState::Counting,
            CountState::Approved => proto::CountState::Approved,
            CountState::Posted => proto::CountState::Posted,
            CountState::Cancelled => proto::CountState::Cancelled,
        }
        .into(),
        reference: count.reference.clone(),
        lines: count
            .lines
            .iter()
            .map(|(sku, line)| proto::CountLine {
                sku: sku.to_string(),
                counted: line.counted,
                round: line.round,
                review: review.then(|| proto::CountReview {
                    expected: line.expected,
                    variance: line.variance(),
                    frozen_version: line.frozen_version,
                }),
            })
            .collect(),
        version: count.version,
        create_time: Some(timestamp(count.created_at)),
        update_time: Some(timestamp(count.updated_at)),
    }
}

/// A key, a location, and the classes to set.
pub type SetClasses = (Key, LocationId, Vec<(Sku, Option<AbcClass>)>);

pub fn set_abc_classes(request: &proto::SetAbcClassesRequest) -> Result<SetClasses, Status> {
    let mut violations = Violations::new();
    let id = request_id(&mut violations, &request.request_id);
    let location = location(&mut violations, "location_id", &request.location_id);
    let count = line_count(&mut violations, "entries", request.entries.len());
    let entries = request
        .entries
        .iter()
        .take(count)
        .enumerate()
        .filter_map(|(place, entry)| {
            let sku = sku(&mut violations, format!("entries[{place}].sku"), &entry.sku);
            let class = match proto::AbcClass::try_from(entry.class) {
                Ok(proto::AbcClass::Unspecified) => None,
                Ok(proto::AbcClass::A) => Some(AbcClass::A),
                Ok(proto::AbcClass::B) => Some(AbcClass::B),
                Ok(proto::AbcClass::C) => Some(AbcClass::C),
                Err(_) => {
                    violations.add(format!("entries[{place}].class"), "is not a known value");
                    None
                }
            };
            Some((sku?, class))
        })
        .collect();
    let parsed = id.zip(location).map(|(id, location)| (Key::of("SetAbcClasses", id, request), location, entries));
    complete(violations, parsed)
}

pub fn compute_abc_classes(request: &proto::ComputeAbcClassesRequest) -> Result<(Key, ComputeClasses), Status> {
    let mut violations = Violations::new();
    let id = request_id(&mut violations, &request.request_id);
    let location = location(&mut violations, "location_id", &request.location_id);
    let days = within(&mut violations, "days", request.days, 365, 730);
    let a_percent = within(&mut violations, "a_percent", request.a_percent, 80, 100);
    let b_percent = within(&mut violations, "b_percent", request.b_percent, 95, 100);
    if (1..=100).contains(&a_percent) && (1..a_percent).contains(&b_percent) {
        violations.add("b_percent", "must be at least a_percent");
    }
    let by_value = match proto::AbcBasis::try_from(request.basis) {
        Ok(proto::AbcBasis::Value) => violations.check("currency_code", request.currency_code.parse::<Currency>()),
        Ok(proto::AbcBasis::Unspecified | proto::AbcBasis::Units) => {
            if !request.currency_code.is_empty() {
                violations.add("basis", "must be VALUE where a currency is named");
            }
            None
        }
        Err(_) => {
            violations.add("basis", "is not a known value");
            None
        }
    };
    let parsed = id.zip(location).map(|(id, location)| {
        let shares = AbcShares { a_percent: a_percent as u32, b_percent: b_percent as u32 };
        (Key::of("ComputeAbcClasses", id, request), ComputeClasses { location, days: days.into(), shares, by_value })
    });
    complete(violations, parsed)
}

pub fn set_count_schedule(request: &proto::SetCountScheduleRequest) -> Result<(Key, LocationId, CountDays), Status> {
    let mut violations = Violations::new();
    let id = request_id(&mut violations, &request.request_id);
    let location = location(&mut violations, "location_id", &request.location_id);
    for (field, days) in [("a_days", request.a_days), ("b_days", request.b_days), ("c_days", request.c_days)] {
        if !(1..=3_650).contains(&days) {
            violations.add(field, "must be 1 to 3650");
        }
    }
    let days = CountDays { a: request.a_days, b: request.b_days, c: request.c_days };
    let parsed = id.zip(location).map(|(id, location)| (Key::of("SetCountSchedule", id, request), location, days));
    complete(violations, parsed)
}

/// A number of 1 to `most`; 0 stands for the default.
fn within(violations: &mut Violations, field: &str, value: i32, default: i32, most: i32) -> i32 {
    if !(0..=most).contains(&value) {
        violations.add(field, format!("must be 0 to {most}"));
    }
    if value == 0 { default } else { value }
}

pub fn due_request(request: &proto::ListDueCountsRequest) -> Result<(LocationId, Option<DateTime<Utc>>), Status> {
    let mut violations = Violations::new();
    let location = location(&mut violations, "location_id", &request.location_id);
    let as_of = instant(&mut violations, "as_of_time", request.as_of_time);
    complete(violations, location.map(|location| (location, as_of)))
}

pub fn due_message(due: DueCount) -> proto::DueCount {
    proto::DueCount {
        sku: due.sku,
        class: match due.class {
            AbcClass::A => proto::AbcClass::A,
            AbcClass::B => proto::AbcClass::B,
            AbcClass::C => proto::AbcClass::C,
        }
        .into(),
        last_count_time: due.last_counted_at.map(timestamp),
        due_time: Some(timestamp(due.due_at)),
    }
}
