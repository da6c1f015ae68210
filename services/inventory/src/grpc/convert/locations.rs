//! Locations.

use std::collections::BTreeSet;

use chrono::{NaiveDate, Weekday};
use chrono_tz::Tz;
use oneshelf_kit::{idempotency::Key, status::Violations};
use oneshelf_proto::inventory::v1 as proto;
use oneshelf_values::{Coordinates, CountryCode, Gln, LocationId, PartnerId, ZoneId};
use prost::Message;
use tonic::Status;

use super::{complete, entries, location, request_id, text};
use crate::{
    domain::{
        calendar::{Calendar, CalendarError, DAY_MINUTES, MAX_CLOSED_DAYS, MAX_INTERVALS_A_DAY, OpeningHours},
        location::{Abilities, Details, DetailsUpdate, Location, LocationKind, LocationState},
    },
    time::timestamp,
    usecases::{create_location::NewLocation, list::LocationFilter},
};

/// The largest capacity and priority.
const MAX_NUMBER: i32 = 1_000_000;

const ABILITIES: usize = 4;

/// Paths of a mask: more than there are fields.
const MAX_PATHS: usize = 20;

pub fn new_location(request: &proto::CreateLocationRequest) -> Result<(Key, NewLocation), Status> {
    let mut violations = Violations::new();
    let id = request_id(&mut violations, &request.request_id);
    let given = violations.require("location", request.location.as_ref());
    let parsed = given.and_then(|given| {
        let location_id = location(&mut violations, "location.location_id", &given.location_id);
        let kind = kind(&mut violations, given.kind);
        let title = text(&mut violations, "location.title", &given.title, 1, 200);
        let gln = gln(&mut violations, given);
        let coordinates = coordinates(&mut violations, given);
        let country = country(&mut violations, "location.country_code", &given.country_code);
        let zone = zone(&mut violations, "location.zone_id", &given.zone_id);
        let calendar = calendar(&mut violations, given);
        let abilities = abilities(&mut violations, given);
        let daily_capacity = daily_capacity(&mut violations, given);
        let priority = priority(&mut violations, given);
        let owner = owner(&mut violations, "location.owner_id", &given.owner_id);
        Some((
            Key::of("CreateLocation", id?, request),
            NewLocation {
                location_id: location_id?,
                details: Details {
                    kind: kind?,
                    title: title?,
                    gln,
                    coordinates,
                    country,
                    zone,
                    calendar,
                    abilities: abilities.unwrap_or(kind?.usual_abilities()),
                    daily_capacity,
                    priority: priority?,
                    owner,
                },
                oversell_facts: given.oversell_facts,
            },
        ))
    });
    complete(violations, parsed)
}

/// What an update changes: request, location, new values, expected version.
pub type Update = (Key, LocationId, DetailsUpdate, i64);

pub fn location_update(request: &proto::UpdateLocationRequest) -> Result<Update, Status> {
    let mut violations = Violations::new();
    let id = request_id(&mut violations, &request.request_id);
    let mask = violations.require("update_mask", request.update_mask.as_ref().filter(|mask| !mask.paths.is_empty()));
    let count = mask.map_or(0, |mask| entries(&mut violations, "update_mask.paths", mask.paths.len(), 1, MAX_PATHS));
    if request.expected_version < 0 {
        violations.add("expected_version", "must not be negative");
    }
    let given = violations.require("location", request.location.as_ref());
    let parsed = given.and_then(|given| {
        let location_id = location(&mut violations, "location.location_id", &given.location_id);
        let mut update = DetailsUpdate::default();
        for (place, path) in mask.into_iter().flat_map(|mask| &mask.paths).take(count).enumerate() {
            match path.as_str() {
                "kind" => update.kind = kind(&mut violations, given.kind),
                "title" => update.title = text(&mut violations, "location.title", &given.title, 1, 200),
                "gln" => update.gln = Some(gln(&mut violations, given)),
                "coordinates" => update.coordinates = Some(coordinates(&mut violations, given)),
                "country_code" => {
                    update.country = Some(country(&mut violations, "location.country_code", &given.country_code));
                }
                "zone_id" => update.zone = Some(zone(&mut violations, "location.zone_id", &given.zone_id)),
                "calendar" => update.calendar = Some(calendar(&mut violations, given)),
                "abilities" => update.abilities = Some(abilities(&mut violations, given)),
                "daily_order_capacity" => update.daily_capacity = Some(daily_capacity(&mut violations, given)),
                "priority" => update.priority = priority(&mut violations, given),
                "owner_id" => update.owner = Some(owner(&mut violations, "location.owner_id", &given.owner_id)),
                _ => violations.add(format!("update_mask.paths[{place}]"), "is not a field that can be changed"),
            }
        }
        Some((Key::of("UpdateLocation", id?, request), location_id?, update, request.expected_version))
    });
    complete(violations, parsed)
}

/// A request that only names a location, with its key.
pub fn location_ref(
    rpc: &'static str,
    id: &str,
    location_id: &str,
    request: &impl Message,
) -> Result<(Key, LocationId), Status> {
    let mut violations = Violations::new();
    let id = request_id(&mut violations, id);
    let location = location(&mut violations, "location_id", location_id);
    complete(violations, id.zip(location).map(|(id, location)| (Key::of(rpc, id, request), location)))
}

pub fn location_id(text: &str) -> Result<LocationId, Status> {
    let mut violations = Violations::new();
    let parsed = location(&mut violations, "location_id", text);
    complete(violations, parsed)
}

pub fn location_filter(request: &proto::ListLocationsRequest) -> Result<LocationFilter, Status> {
    let mut violations = Violations::new();
    let kind = match proto::LocationKind::try_from(request.kind) {
        Ok(proto::LocationKind::Unspecified) => None,
        Ok(known) => kind_of(known),
        Err(_) => {
            violations.add("kind", "is not a known value");
            None
        }
    };
    let state = match proto::LocationState::try_from(request.state) {
        Ok(proto::LocationState::Unspecified) => None,
        Ok(proto::LocationState::Active) => Some(LocationState::Active),
        Ok(proto::LocationState::Inactive) => Some(LocationState::Inactive),
        Ok(proto::LocationState::Closed) => Some(LocationState::Closed),
        Err(_) => {
            violations.add("state", "is not a known value");
            None
        }
    };
    let country = country(&mut violations, "country_code", &request.country_code);
    let zone = zone(&mut violations, "zone_id", &request.zone_id);
    let owner = owner(&mut violations, "owner_id", &request.owner_id);
    let wanted = ability_list(&mut violations, "abilities", &request.abilities);
    let filter = LocationFilter {
        kind,
        state,
        country,
        zone,
        owner,
        ship: wanted.ship,
        pickup: wanted.pickup,
        take_returns: wanted.take_returns,
        transfer: wanted.transfer,
    };
    complete(violations, Some(filter))
}

fn kind(violations: &mut Violations, value: i32) -> Option<LocationKind> {
    let kind = proto::LocationKind::try_from(value).ok().and_then(kind_of);
    if kind.is_none() {
        violations.add("location.kind", "must be a known kind");
    }
    kind
}

pub(super) fn kind_of(kind: proto::LocationKind) -> Option<LocationKind> {
    match kind {
        proto::LocationKind::Unspecified => None,
        proto::LocationKind::Warehouse => Some(LocationKind::Warehouse),
        proto::LocationKind::Store => Some(LocationKind::Store),
        proto::LocationKind::Dealer => Some(LocationKind::Dealer),
        proto::LocationKind::ThirdParty => Some(LocationKind::ThirdParty),
        proto::LocationKind::Vendor => Some(LocationKind::Vendor),
        proto::LocationKind::Virtual => Some(LocationKind::Virtual),
    }
}

/// An optional text; a malformed one is noted, which refuses the request.
fn optional<T: std::str::FromStr<Err: std::fmt::Display>>(
    violations: &mut Violations,
    field: &str,
    text: &str,
) -> Option<T> {
    (!text.is_empty()).then(|| violations.check(field, text.parse())).flatten()
}

fn gln(violations: &mut Violations, given: &proto::Location) -> Option<Gln> {
    optional(violations, "location.gln", &given.gln)
}

fn country(violations: &mut Violations, field: &str, text: &str) -> Option<CountryCode> {
    optional(violations, field, text)
}

fn zone(violations: &mut Violations, field: &str, text: &str) -> Option<ZoneId> {
    optional(violations, field, text)
}

fn owner(violations: &mut Violations, field: &str, text: &str) -> Option<PartnerId> {
    optional(violations, field, text)
}

fn coordinates(violations: &mut Violations, given: &proto::Location) -> Option<Coordinates> {
    let at = given.coordinates?;
    let point = Coordinates::try_new(at.latitude_micro_degrees, at.longitude_micro_degrees);
    violations.check("location.coordinates", point)
}

fn abilities(violations: &mut Violations, given: &proto::Location) -> Option<Abilities> {
    let given = given.abilities.as_ref()?;
    Some(ability_list(violations, "location.abilities.abilities", &given.abilities))
}

fn ability_list(violations: &mut Violations, field: &str, list: &[i32]) -> Abilities {
    let mut can = Abilities { ship: false, pickup: false, take_returns: false, transfer: false };
    let count = entries(violations, field, list.len(), 0, ABILITIES);
    for (place, ability) in list.iter().take(count).enumerate() {
        let named = match proto::LocationAbility::try_from(*ability) {
            Ok(proto::LocationAbility::Ship) => &mut can.ship,
            Ok(proto::LocationAbility::Pickup) => &mut can.pickup,
            Ok(proto::LocationAbility::Return) => &mut can.take_returns,
            Ok(proto::LocationAbility::Transfer) => &mut can.transfer,
            Ok(proto::LocationAbility::Unspecified) | Err(_) => {
                violations.add(format!("{field}[{place}]"), "is not a known value");
                continue;
            }
        };
        if std::mem::replace(named, true) {
            violations.add(format!("{field}[{place}]"), "is named twice");
        }
    }
    can
}

fn daily_capacity(violations: &mut Violations, given: &proto::Location) -> Option<i32> {
    bounded(violations, "location.daily_order_capacity", given.daily_order_capacity?)
}

fn priority(violations: &mut Violations, given: &proto::Location) -> Option<i32> {
    bounded(violations, "location.priority", given.priority)
}

fn bounded(violations: &mut Violations, field: &str, value: i32) -> Option<i32> {
    if (0..=MAX_NUMBER).contains(&value) {
        return Some(value);
    }
    violations.add(field, format!("must be 0 to {MAX_NUMBER}"));
    None
}

fn calendar(violations: &mut Violations, given: &proto::Location) -> Option<Calendar> {
    let given = given.calendar.as_ref()?;
    let time_zone = violations
        .check("location.calendar.time_zone", given.time_zone.parse::<Tz>().map_err(|_| "must be an IANA time zone"));
    let count = entries(violations, "location.calendar.hours", given.hours.len(), 0, 7 * MAX_INTERVALS_A_DAY);
    let hours: Vec<OpeningHours> = given
        .hours
        .iter()
        .take(count)
        .enumerate()
        .filter_map(|(place, one)| {
            let field = |name: &str| format!("location.calendar.hours[{place}].{name}");
            let weekday = u8::try_from(one.weekday).ok().and_then(|day| Weekday::try_from(day.wrapping_sub(1)).ok());
            if weekday.is_none() {
                violations.add(field("weekday"), "must be a weekday");
            }
            let opens = minute(violations, field("opens_minute"), one.opens_minute);
            let closes = minute(violations, field("closes_minute"), one.closes_minute);
            if closes == Some(0) {
                violations.add(field("closes_minute"), "must be after opens_minute");
                return None;
            }
            Some(OpeningHours { weekday: weekday?, opens: opens?, closes: closes? })
        })
        .collect();
    let count = entries(violations, "location.calendar.closed_days", given.closed_days.len(), 0, MAX_CLOSED_DAYS);
    let closed_days: BTreeSet<NaiveDate> = given
        .closed_days
        .iter()
        .take(count)
        .enumerate()
        .filter_map(|(place, day)| {
            let field = format!("location.calendar.closed_days[{place}]");
            violations.check(field, NaiveDate::parse_from_str(day, "%Y-%m-%d").map_err(|_| "must be YYYY-MM-DD"))
        })
        .collect();
    let cut_off = given
        .ship_cut_off_minute
        .and_then(|given| minute(violations, "location.calendar.ship_cut_off_minute".to_owned(), given));
    // Places are those of the request only if every interval was read.
    if hours.len() != given.hours.len() {
        return None;
    }
    match Calendar::try_new(time_zone?, hours, closed_days, cut_off) {
        Ok(calendar) => Some(calendar),
        Err(error) => {
            let (CalendarError::Bounds { place } | CalendarError::Overlap { place } | CalendarError::TooMany { place }) =
                error;
            violations.add(format!("location.calendar.hours[{place}]"), error.to_string());
            None
        }
    }
}

fn minute(violations: &mut Violations, field: String, value: i32) -> Option<u16> {
    match u16::try_from(value) {
        Ok(minute) if minute <= DAY_MINUTES => Some(minute),
        _ => {
            violations.add(field, format!("must be 0 to {DAY_MINUTES}"));
            None
        }
    }
}

pub(super) fn kind_message(kind: LocationKind) -> proto::LocationKind {
    match kind {
        LocationKind::Warehouse => proto::LocationKind::Warehouse,
        LocationKind::Store => proto::LocationKind::Store,
        LocationKind::Dealer => proto::LocationKind::Dealer,
        LocationKind::ThirdParty => proto::LocationKind::ThirdParty,
        LocationKind::Vendor => proto::LocationKind::Vendor,
        LocationKind::Virtual => proto::LocationKind::Virtual,
    }
}

pub fn location_message(location: Location) -> proto::Location {
    let details = location.details;
    let text = |value: Option<String>| value.unwrap_or_default();
    proto::Location {
        location_id: location.location_id.to_string(),
        kind: kind_message(details.kind).into(),
        title: details.title,
        oversell_facts: location.oversell_facts,
        version: location.version,
        create_time: Some(timestamp(location.created_at)),
        gln: text(details.gln.map(Into::into)),
        coordinates: details.coordinates.map(|at| proto::Coordinates {
            latitude_micro_degrees: at.latitude_micro_degrees(),
            longitude_micro_degrees: at.longitude_micro_degrees(),
        }),
        country_code: text(details.country.map(|country| country.to_string())),
        zone_id: text(details.zone.map(Into::into)),
        calendar: details.calendar.as_ref().map(calendar_message),
        abilities: Some(proto::LocationAbilities { abilities: ability_messages(details.abilities) }),
        daily_order_capacity: details.daily_capacity,
        priority: details.priority,
        owner_id: text(details.owner.map(Into::into)),
        state: match location.state {
            LocationState::Active => proto::LocationState::Active,
            LocationState::Inactive => proto::LocationState::Inactive,
            LocationState::Closed => proto::LocationState::Closed,
        }
        .into(),
        update_time: Some(timestamp(location.updated_at)),
    }
}

fn ability_messages(can: Abilities) -> Vec<i32> {
    [
        (can.ship, proto::LocationAbility::Ship),
        (can.pickup, proto::LocationAbility::Pickup),
        (can.take_returns, proto::LocationAbility::Return),
        (can.transfer, proto::LocationAbility::Transfer),
    ]
    .into_iter()
    .filter(|(can, _)| *can)
    .map(|(_, ability)| ability.into())
    .collect()
}

fn calendar_message(calendar: &Calendar) -> proto::OpeningCalendar {
    proto::OpeningCalendar {
        time_zone: calendar.time_zone().name().to_owned(),
        hours: calendar
            .hours()
            .iter()
            .map(|one| proto::OpeningHours {
                weekday: one.weekday.number_from_monday() as i32,
                opens_minute: one.opens.into(),
                closes_minute: one.closes.into(),
            })
            .collect(),
        closed_days: calendar.closed_days().iter().map(NaiveDate::to_string).collect(),
        ship_cut_off_minute: calendar.ship_cut_off().map(i32::from),
    }
}
