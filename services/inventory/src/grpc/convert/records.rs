//! Availability and lists.

use chrono::{DateTime, Utc};
use oneshelf_kit::status::Violations;
use oneshelf_proto::inventory::v1 as proto;
use oneshelf_values::{ChannelId, LocationId, Sku};
use tonic::Status;

use super::{MAX_LINES, complete, instant, line_count, location, sku};
use crate::usecases::get_availability::Availability;

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
