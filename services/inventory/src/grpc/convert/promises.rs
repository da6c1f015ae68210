//! Promises for a day.

use std::collections::HashSet;

use chrono::NaiveDate;
use oneshelf_kit::{idempotency::Key, status::Violations};
use oneshelf_proto::inventory::v1 as proto;
use oneshelf_values::{ChannelId, PromiseId, Sku};
use prost::Message;
use tonic::Status;

use super::{
    channel, complete, document_lines, entries, expected_version, location, quantity, reference, request_id,
    required_date, sku,
};
use crate::{
    domain::{
        group::{NewPromise, PromiseAct},
        promise::{Promise, PromiseState},
        stock_level::LevelKey,
    },
    time::timestamp,
    usecases::promises::{PromiseChange, PromiseFrom},
};

/// SKUs and days of one question: its work is their product, times the channel's locations.
const MAX_SKUS: usize = 100;
const MAX_DAYS: usize = 60;

/// What is asked: SKUs, where, and days.
pub type AtpQuestion = (Vec<Sku>, PromiseFrom, Vec<NaiveDate>);

pub fn atp_request(request: &proto::GetAvailableToPromiseRequest) -> Result<AtpQuestion, Status> {
    let mut violations = Violations::new();
    let count = entries(&mut violations, "skus", request.skus.len(), 1, MAX_SKUS);
    let skus = request
        .skus
        .iter()
        .take(count)
        .enumerate()
        .filter_map(|(place, text)| sku(&mut violations, format!("skus[{place}]"), text))
        .collect();
    let from = match (request.location_id.is_empty(), request.channel_id.is_empty()) {
        (false, true) => location(&mut violations, "location_id", &request.location_id).map(PromiseFrom::Location),
        (true, false) => channel(&mut violations, &request.channel_id).map(PromiseFrom::Channel),
        _ => {
            violations.add("location_id", "exactly one of location_id and channel_id");
            None
        }
    };
    let count = entries(&mut violations, "promise_dates", request.promise_dates.len(), 1, MAX_DAYS);
    let days = request
        .promise_dates
        .iter()
        .take(count)
        .enumerate()
        .filter_map(|(place, text)| required_date(&mut violations, &format!("promise_dates[{place}]"), text))
        .collect();
    complete(violations, from.map(|from| (skus, from, days)))
}

pub fn promise_stock(request: &proto::PromiseStockRequest) -> Result<PromiseChange, Status> {
    let mut violations = Violations::new();
    let id = request_id(&mut violations, &request.request_id);
    let due = required_date(&mut violations, "promise_date", &request.promise_date);
    let count = document_lines(&mut violations, request.lines.len());
    let lines: Vec<(LevelKey, i64)> = request
        .lines
        .iter()
        .take(count)
        .enumerate()
        .filter_map(|(place, line)| {
            let sku = sku(&mut violations, format!("lines[{place}].sku"), &line.sku);
            let location = location(&mut violations, format!("lines[{place}].location_id"), &line.location_id);
            let quantity = quantity(&mut violations, format!("lines[{place}].quantity"), line.quantity, 1);
            Some((LevelKey { sku: sku?, location: location? }, quantity?))
        })
        .collect();
    let mut seen = HashSet::new();
    if let Some((twice, _)) = lines.iter().find(|(key, _)| !seen.insert(key)) {
        violations.add("lines", format!("{} at {} is named twice", twice.sku, twice.location));
    }
    let channel = channel(&mut violations, &request.channel_id);
    let reference = reference(&mut violations, &request.reference);
    let change = (|| {
        let id = id?;
        Some(PromiseChange {
            key: Key::of("PromiseStock", id, request),
            promise_id: id.into(),
            expected_version: None,
            act: PromiseAct::Promise(NewPromise { due: due?, channel, reference: reference?, lines }),
        })
    })();
    complete(violations, change)
}

pub fn commit_promise(request: &proto::CommitPromiseRequest) -> Result<PromiseChange, Status> {
    change("CommitPromise", &request.request_id, &request.promise_id, request.expected_version, request, |key| {
        PromiseAct::Commit { request_id: key.request_id, fingerprint: key.fingerprint }
    })
}

pub fn cancel_promise(request: &proto::CancelPromiseRequest) -> Result<PromiseChange, Status> {
    change("CancelPromise", &request.request_id, &request.promise_id, request.expected_version, request, |_| {
        PromiseAct::Cancel
    })
}

fn change(
    rpc: &'static str,
    id: &str,
    promise_id: &str,
    version: i64,
    request: &impl Message,
    act: impl FnOnce(&Key) -> PromiseAct,
) -> Result<PromiseChange, Status> {
    let mut violations = Violations::new();
    let id = request_id(&mut violations, id);
    let promise_id = violations.check("promise_id", promise_id.parse::<PromiseId>().map_err(|_| "must be a UUID"));
    let expected_version = expected_version(&mut violations, version);
    let change = id.zip(promise_id).map(|(id, promise_id)| {
        let key = Key::of(rpc, id, request);
        PromiseChange { promise_id, expected_version, act: act(&key), key }
    });
    complete(violations, change)
}

pub fn promise_id(text: &str) -> Result<PromiseId, Status> {
    let mut violations = Violations::new();
    let id = violations.check("promise_id", text.parse::<PromiseId>().map_err(|_| "must be a UUID"));
    complete(violations, id)
}

/// The filters of a list of promises.
pub fn promise_filters(
    request: &proto::ListPromisesRequest,
) -> Result<(Option<PromiseState>, Option<ChannelId>), Status> {
    let mut violations = Violations::new();
    let state = match proto::PromiseState::try_from(request.state) {
        Ok(proto::PromiseState::Unspecified) => None,
        Ok(proto::PromiseState::Open) => Some(PromiseState::Open),
        Ok(proto::PromiseState::Committed) => Some(PromiseState::Committed),
        Ok(proto::PromiseState::Cancelled) => Some(PromiseState::Cancelled),
        Err(_) => {
            violations.add("state", "is not a known value");
            None
        }
    };
    let channel = channel(&mut violations, &request.channel_id);
    complete(violations, Some((state, channel)))
}

pub fn promise_message(promise: &Promise) -> proto::Promise {
    proto::Promise {
        promise_id: promise.promise_id.to_string(),
        state: match promise.state {
            PromiseState::Open => proto::PromiseState::Open,
            PromiseState::Committed => proto::PromiseState::Committed,
            PromiseState::Cancelled => proto::PromiseState::Cancelled,
        }
        .into(),
        promise_date: promise.due.to_string(),
        channel_id: promise.channel.as_ref().map_or_else(String::new, ChannelId::to_string),
        reference: promise.reference.clone(),
        lines: promise
            .lines
            .iter()
            .map(|line| proto::PromiseLine {
                sku: line.key.sku.to_string(),
                location_id: line.key.location.to_string(),
                quantity: line.quantity,
                waiting: line.waiting,
                uncovered: line.uncovered,
            })
            .collect(),
        hold_id: promise.hold_id.map_or_else(String::new, |id| id.to_string()),
        version: promise.version,
        create_time: Some(timestamp(promise.created_at)),
        update_time: Some(timestamp(promise.updated_at)),
    }
}
