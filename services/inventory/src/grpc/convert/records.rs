//! Locations, availability and lists.

use chrono::{DateTime, Utc};
use oneshelf_kit::{idempotency::Key, status::Violations};
use oneshelf_proto::inventory::v1 as proto;
use oneshelf_values::{ChannelId, LocationId, Sku};
use tonic::Status;

use super::{MAX_LINES, complete, instant, line_count, location, request_id, sku};
use crate::{
    domain::location::{Location, LocationKind},
    time::timestamp,
    usecases::{create_location::NewLocation, get_availability::Availability},
};

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

pub fn availability_request(request: &proto::GetAvailabilityRequest) -> Result<(ChannelId, Vec<Sku>), Status> {
    let mut violations = Violations::new();
    let channel = violations.check("channel_id", request.channel_id.parse::<ChannelId>());
    let skus = skus(&mut violations, &request.skus);
    complete(violations, channel.map(|channel| (channel, skus)))
}

pub(super) fn skus(violations: &mut Violations, texts: &[String]) -> Vec<Sku> {
    line_count(violations, "skus", texts.len());
    texts
        .iter()
        .take(MAX_LINES)
        .enumerate()
        .filter_map(|(place, text)| sku(violations, format!("skus[{place}]"), text))
        .collect()
}

pub fn as_of_request(request: &proto::GetStockAsOfRequest) -> Result<(Vec<Sku>, LocationId, DateTime<Utc>), Status> {
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
    let location =
        (!location_id.is_empty()).then(|| violations.check("location_id", location_id.parse::<LocationId>()));
    complete(violations, Some((sku.flatten(), location.flatten())))
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
