//! Availability and lists.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use oneshelf_kit::status::Violations;
use oneshelf_proto::inventory::v1 as proto;
use oneshelf_values::{ChannelId, Coordinates, LocationId, Sku};
use tonic::Status;

use super::{complete, entries, instant, line_count, location, quantity, sku};
use crate::{
    domain::{
        availability::{Band, Blocked},
        policy::FenceOwner,
    },
    time::timestamp,
    usecases::{
        explain_availability::{Explained, Explanation, PartOfKit},
        figures::Who,
        find_pickup::{Place, Wanted},
        get_availability::Availability,
    },
};

const MAX_RADIUS_M: u32 = 500_000;

const MAX_PICKUP_LINES: usize = 50;

pub fn availability_request(request: &proto::GetAvailabilityRequest) -> Result<(Who, Vec<Sku>), Status> {
    let mut violations = Violations::new();
    let who = who(&mut violations, &request.channel_id, &request.partner_id);
    let skus = skus(&mut violations, &request.skus);
    complete(violations, who.map(|who| (who, skus)))
}

pub fn explain_request(request: &proto::ExplainAvailabilityRequest) -> Result<(Who, Sku), Status> {
    let mut violations = Violations::new();
    let who = who(&mut violations, &request.channel_id, &request.partner_id);
    let sku = sku(&mut violations, "sku".to_owned(), &request.sku);
    complete(violations, who.zip(sku))
}

pub fn pickup_request(request: &proto::FindPickupRequest) -> Result<(Who, Wanted), Status> {
    let mut violations = Violations::new();
    let who = who(&mut violations, &request.channel_id, &request.partner_id);
    let near = violations.require("near", request.near).and_then(|near| {
        let point = Coordinates::try_new(near.latitude_micro_degrees, near.longitude_micro_degrees);
        violations.check("near", point)
    });
    let radius_m = u32::try_from(request.radius_m).ok().filter(|radius| (1..=MAX_RADIUS_M).contains(radius));
    if radius_m.is_none() {
        violations.add("radius_m", format!("must be 1 to {MAX_RADIUS_M}"));
    }
    let count = entries(&mut violations, "lines", request.lines.len(), 0, MAX_PICKUP_LINES);
    let mut seen = HashSet::new();
    let lines = request
        .lines
        .iter()
        .take(count)
        .enumerate()
        .filter_map(|(place, line)| {
            let sku = sku(&mut violations, format!("lines[{place}].sku"), &line.sku);
            let quantity = quantity(&mut violations, format!("lines[{place}].quantity"), line.quantity, 1);
            let line = sku.zip(quantity)?;
            if !seen.insert(line.0.clone()) {
                violations.add(format!("lines[{place}].sku"), "is named twice");
            }
            Some(line)
        })
        .collect();
    let limit = match request.limit {
        0 => Some(10),
        limit => usize::try_from(limit).ok().filter(|limit| (1..=100).contains(limit)),
    };
    if limit.is_none() {
        violations.add("limit", "must be 0 to 100");
    }
    let wanted = (|| {
        Some(Wanted { near: near?, radius_m: radius_m?, lines, complete_only: request.complete_only, limit: limit? })
    })();
    complete(violations, who.zip(wanted))
}

fn who(violations: &mut Violations, channel_id: &str, partner_id: &str) -> Option<Who> {
    let channel = violations.check("channel_id", channel_id.parse::<ChannelId>());
    let partner = super::holds::partner(violations, partner_id);
    channel.map(|channel| Who { channel, partner })
}

pub(super) fn skus(violations: &mut Violations, texts: &[String]) -> Vec<Sku> {
    let count = line_count(violations, "skus", texts.len());
    texts
        .iter()
        .take(count)
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

/// With numbers, or in a band only.
pub fn availability_message(availability: &Availability, numbers: bool) -> proto::Availability {
    let parts = availability.parts.iter().filter(|_| numbers);
    proto::Availability {
        sku: availability.sku.as_str().to_owned(),
        available: if numbers { availability.available } else { 0 },
        locations: parts
            .map(|part| proto::LocationAvailability {
                location_id: part.location.as_str().to_owned(),
                available: part.available,
                version: part.version,
            })
            .collect(),
        band: band_message(availability.band).into(),
    }
}

pub(super) fn band_message(band: Band) -> proto::AvailabilityBand {
    match band {
        Band::InStock => proto::AvailabilityBand::InStock,
        Band::Low => proto::AvailabilityBand::Low,
        Band::Out => proto::AvailabilityBand::Out,
    }
}

pub fn explanation_message(explanation: Explanation) -> proto::ExplainAvailabilityResponse {
    proto::ExplainAvailabilityResponse {
        sku: explanation.sku.to_string(),
        available: explanation.available,
        network_threshold: explanation.network_threshold,
        band: band_message(explanation.band).into(),
        locations: explanation.locations.into_iter().map(explained_message).collect(),
        read_time: Some(timestamp(explanation.read_at)),
    }
}

fn explained_message(one: Explained) -> proto::LocationExplanation {
    let figure = one.breakdown;
    let block = match figure.blocked {
        None => proto::AvailabilityBlock::Unspecified,
        Some(Blocked::LocationInactive) => proto::AvailabilityBlock::LocationInactive,
        Some(Blocked::LocationClosed) => proto::AvailabilityBlock::LocationClosed,
        Some(Blocked::Excluded) => proto::AvailabilityBlock::Excluded,
        Some(Blocked::ExcludedFromChannel) => proto::AvailabilityBlock::ExcludedFromChannel,
    };
    let fences = one.fences.into_iter().map(|(owner, left)| proto::FencedUnits {
        owner: Some(match owner {
            FenceOwner::Channel(channel) => proto::fenced_units::Owner::ChannelId(channel.into()),
            FenceOwner::Partner(partner) => proto::fenced_units::Owner::PartnerId(partner.into()),
        }),
        left,
    });
    proto::LocationExplanation {
        location_id: one.location.to_string(),
        sellable: figure.sellable,
        hard_held: figure.hard_held,
        soft_held: figure.soft_held,
        safety_stock: figure.safety_stock,
        fences: fences.collect(),
        buffer: figure.buffer,
        backorder_limit: figure.backorder_limit,
        block: block.into(),
        unfloored: figure.unfloored,
        available: figure.available,
        oversold: one.oversold,
        version: one.version,
        short_dated: figure.short_dated,
        kit_parts: {
            let least = one.parts.iter().map(|part| part.kits).min();
            let message = |part: PartOfKit| proto::KitPartExplanation {
                sku: part.sku.to_string(),
                units: part.units,
                kits: part.kits,
                limiting: Some(part.kits) == least,
                part: Some(explained_message(part.explained)),
            };
            one.parts.into_iter().map(message).collect()
        },
    }
}

/// With numbers, or in bands only.
pub fn place_message(place: Place, wanted: &[(Sku, i64)], numbers: bool) -> proto::PickupPlace {
    proto::PickupPlace {
        location_id: place.location.location_id.to_string(),
        title: place.location.details.title,
        coordinates: Some(proto::Coordinates {
            latitude_micro_degrees: place.coordinates.latitude_micro_degrees(),
            longitude_micro_degrees: place.coordinates.longitude_micro_degrees(),
        }),
        distance_m: place.distance_m as i32,
        open: place.open,
        next_opening_time: place.next_opening.map(timestamp),
        lines: place
            .lines
            .iter()
            .zip(wanted)
            .map(|((available, in_band), (sku, asked))| proto::PickupAvailability {
                sku: sku.to_string(),
                available: if numbers { *available } else { 0 },
                band: band_message(*in_band).into(),
                sufficient: available >= asked,
            })
            .collect(),
        complete: place.complete,
    }
}
