//! Lots and serial numbers.

use std::collections::HashSet;

use oneshelf_kit::{idempotency::Key, status::Violations};
use oneshelf_proto::inventory::v1 as proto;
use oneshelf_values::{LocationId, Sku};
use tonic::Status;

use super::{
    bad_token, bucket_message, complete, date, day_text, movement_message, page_token,
    policies::{audit_message, once, version},
    quantity, request_id, sku,
};
use crate::{
    domain::{
        group::{Line, Policies, PolicyChange},
        lot::{LotNumber, LotUnits, MAX_SHELF_LIFE, Tracking, TrackingKind, TrackingTerms, Units},
        stock_level::Bucket,
    },
    usecases::list::{SerialHistory, StoredLot},
};

/// SKUs whose tracking one request sets: every level of each is locked.
const MAX_SKUS: usize = 50;

/// Lots that one request names.
const MAX_LOTS: usize = 2_000;

/// The lots of a request's lines, read line by line.
#[derive(Default)]
pub(super) struct NamedLots(usize);

impl NamedLots {
    /// Units of a line, by the name of their field, with the lots in the field beside it, which is named after it.
    pub fn units(
        &mut self,
        violations: &mut Violations,
        place: usize,
        name: &str,
        units: i64,
        given: &[proto::LotUnits],
    ) -> Option<Units> {
        let field = format!("lines[{place}].{name}");
        let lots = self.read(violations, &format!("{field}_lots"), given, units);
        Some(Units { quantity: quantity(violations, field, units, 0)?, lots })
    }

    /// The lots of one line, which must add up to its units.
    pub fn read(
        &mut self,
        violations: &mut Violations,
        field: &str,
        given: &[proto::LotUnits],
        units: i64,
    ) -> Vec<LotUnits> {
        let room = MAX_LOTS - self.0;
        self.0 += given.len().min(room);
        if given.len() > room {
            violations.add(field, format!("at most {MAX_LOTS} in a request"));
            return Vec::new();
        }
        let lots: Vec<LotUnits> = given
            .iter()
            .enumerate()
            .filter_map(|(number, one)| {
                let lot = violations.check(format!("{field}[{number}].lot"), one.lot.parse::<LotNumber>());
                let units = quantity(violations, format!("{field}[{number}].quantity"), one.quantity, 1);
                let expires_on = date(violations, format!("{field}[{number}].expiry_date"), &one.expiry_date);
                Some(LotUnits { lot: lot?, expires_on, units: units? })
            })
            .collect();
        if !given.is_empty() && lots.len() == given.len() && lots.iter().map(|lot| lot.units).sum::<i64>() != units {
            violations.add(field, "must add up to the units that they are of");
        }
        lots
    }
}

pub fn set_tracking(request: &proto::SetTrackingRequest) -> Result<(Key, PolicyChange), Status> {
    let mut violations = Violations::new();
    let id = request_id(&mut violations, &request.request_id);
    let fits = request.lines.len() <= MAX_SKUS;
    if request.lines.is_empty() || !fits {
        violations.add("lines", format!("must have 1 to {MAX_SKUS} entries"));
    }
    let mut seen = HashSet::new();
    let lines = request
        .lines
        .iter()
        .take(if fits { MAX_SKUS } else { 0 })
        .enumerate()
        .filter_map(|(place, line)| {
            let at = |name: &str| format!("lines[{place}].{name}");
            let expected_version = version(&mut violations, at("expected_version"), line.expected_version);
            let tracking = violations.require(at("tracking"), line.tracking.as_ref())?;
            let key = sku(&mut violations, at("tracking.sku"), &tracking.sku);
            let kind = match tracking.kind() {
                proto::TrackingKind::None => Some(TrackingKind::None),
                proto::TrackingKind::Lot => Some(TrackingKind::Lot),
                proto::TrackingKind::Serial => Some(TrackingKind::Serial),
                proto::TrackingKind::Unspecified => {
                    violations.add(at("tracking.kind"), "must be a known kind");
                    None
                }
            };
            let shelf_life_days = tracking.minimum_shelf_life_days;
            if !(0..=MAX_SHELF_LIFE).contains(&shelf_life_days) {
                violations.add(at("tracking.minimum_shelf_life_days"), format!("must be 0 to {MAX_SHELF_LIFE}"));
            }
            let key = key?;
            once(&mut violations, &mut seen, at("tracking"), key.clone());
            let terms = TrackingTerms { kind: kind?, shelf_life_days };
            Some(Line { key, terms, expected_version: expected_version? })
        })
        .collect();
    complete(violations, id.map(|id| (Key::of("SetTracking", id, request), PolicyChange::Tracking(lines))))
}

pub fn tracking_message(tracking: &Tracking) -> proto::Tracking {
    proto::Tracking {
        sku: tracking.sku.to_string(),
        kind: match tracking.terms.kind {
            TrackingKind::None => proto::TrackingKind::None,
            TrackingKind::Lot => proto::TrackingKind::Lot,
            TrackingKind::Serial => proto::TrackingKind::Serial,
        }
        .into(),
        minimum_shelf_life_days: tracking.terms.shelf_life_days,
        audit: Some(audit_message(&tracking.audit)),
    }
}

pub fn trackings_response(policies: Policies) -> proto::SetTrackingResponse {
    let trackings = if let Policies::Tracking(trackings) = policies { trackings } else { Vec::new() };
    proto::SetTrackingResponse { trackings: trackings.iter().map(tracking_message).collect() }
}

/// A SKU, and an optional location.
pub fn lots_of(sku_text: &str, location_id: &str) -> Result<(Sku, Option<LocationId>), Status> {
    let mut violations = Violations::new();
    let sku = sku(&mut violations, "sku".to_owned(), sku_text);
    let location =
        (!location_id.is_empty()).then(|| violations.check("location_id", location_id.parse::<LocationId>()));
    complete(violations, sku.map(|sku| (sku, location.flatten())))
}

/// Where a list of lots goes on: location, bucket and lot of the last.
pub fn lot_token(token: &str) -> Result<(&str, &str, &str), Status> {
    let Some(parts) = page_token(token, 3)? else { return Ok(("", "", "")) };
    let known = parts[0].parse::<LocationId>().is_ok()
        && Bucket::parse(parts[1]).is_some()
        && parts[2].parse::<LotNumber>().is_ok();
    if known { Ok((parts[0], parts[1], parts[2])) } else { Err(bad_token()) }
}

/// The token of [`lot_token`].
pub fn lot_place(lot: &StoredLot) -> String {
    format!("{}\t{}\t{}", lot.location_id, lot.bucket.as_str(), lot.lot)
}

pub fn lot_message(lot: StoredLot) -> proto::Lot {
    proto::Lot {
        sku: lot.sku,
        location_id: lot.location_id,
        bucket: bucket_message(lot.bucket).into(),
        lot: lot.lot,
        expiry_date: day_text(lot.expires_on),
        quantity: lot.quantity,
        held: lot.held,
    }
}

pub fn serial_message(serial: StoredLot) -> proto::Serial {
    proto::Serial {
        sku: serial.sku,
        serial: serial.lot,
        location_id: serial.location_id,
        bucket: bucket_message(serial.bucket).into(),
        expiry_date: day_text(serial.expires_on),
        held: serial.held > 0,
        hold_id: String::new(),
    }
}

pub fn serial_request(request: &proto::GetSerialRequest) -> Result<(Sku, LotNumber), Status> {
    let mut violations = Violations::new();
    let sku = sku(&mut violations, "sku".to_owned(), &request.sku);
    let serial = violations.check("serial", request.serial.parse::<LotNumber>());
    complete(violations, sku.zip(serial))
}

pub fn serial_history_message(history: SerialHistory) -> proto::GetSerialResponse {
    let SerialHistory { serial, movements } = history;
    let (location_id, bucket) =
        serial.place.map_or((String::new(), 0), |(location, bucket)| (location, bucket_message(bucket).into()));
    proto::GetSerialResponse {
        serial: Some(proto::Serial {
            sku: serial.sku,
            serial: serial.serial,
            location_id,
            bucket,
            expiry_date: day_text(serial.expires_on),
            held: serial.hold_id.is_some(),
            hold_id: serial.hold_id.map_or_else(String::new, |id| id.to_string()),
        }),
        movements: movements.into_iter().map(movement_message).collect(),
    }
}
