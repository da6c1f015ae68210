//! Agreements on consignment, and what comes of them.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use oneshelf_kit::{idempotency::Key, status::Violations};
use oneshelf_proto::inventory::v1 as proto;
use oneshelf_values::{LocationId, PartnerId, Sku};
use tonic::Status;
use uuid::Uuid;

use super::{complete, instant, location, policies::audit_message, policies::version, request_id, sku};
use crate::{
    domain::consignment::{Agreement, AgreementTerms, Cause, Side},
    time::timestamp,
    usecases::consignments::{ConsignedStock, SetAgreement, Settlement},
};

const MAX_SKUS: usize = 500;

/// The longest period of settlements that one list is about.
const MAX_PERIOD: TimeDelta = TimeDelta::days(366);

pub fn agreement(request: &proto::SetConsignmentAgreementRequest) -> Result<(Key, SetAgreement), Status> {
    let mut violations = Violations::new();
    let id = request_id(&mut violations, &request.request_id);
    let expected_version = version(&mut violations, "expected_version".to_owned(), request.expected_version);
    let given = violations.require("agreement", request.agreement.as_ref());
    let set = given.and_then(|given| {
        let party = violations.check("agreement.party_id", given.party_id.parse::<PartnerId>());
        let location = location(&mut violations, "agreement.location_id", &given.location_id);
        let side = match proto::ConsignmentSide::try_from(given.side) {
            Ok(proto::ConsignmentSide::Theirs) => Some(Side::Theirs),
            Ok(proto::ConsignmentSide::Ours) => Some(Side::Ours),
            Ok(proto::ConsignmentSide::Unspecified) | Err(_) => {
                violations.add("agreement.side", "must be a known side");
                None
            }
        };
        if given.skus.len() > MAX_SKUS {
            violations.add("agreement.skus", format!("at most {MAX_SKUS} entries"));
        }
        let mut skus = BTreeSet::new();
        for (place, text) in given.skus.iter().take(MAX_SKUS).enumerate() {
            let field = format!("agreement.skus[{place}]");
            if let Some(sku) = sku(&mut violations, field.clone(), text)
                && !skus.insert(sku)
                && given.skus.len() <= MAX_SKUS
            {
                violations.add(field, "is named twice");
            }
        }
        let from = violations.require("agreement.valid_from", given.valid_from);
        let valid_from = from.and_then(|from| instant(&mut violations, "agreement.valid_from", Some(from)));
        let valid_until = instant(&mut violations, "agreement.valid_until", given.valid_until);
        if let Some((from, until)) = valid_from.zip(valid_until)
            && until <= from
        {
            violations.add("agreement.valid_until", "must be later than valid_from");
        }
        let skus = (!given.skus.is_empty()).then_some(skus);
        let terms = AgreementTerms { skus, valid_from: valid_from?, valid_until };
        Some(SetAgreement {
            party: party?,
            location: location?,
            side: side?,
            terms,
            expected_version: expected_version?,
        })
    });
    complete(violations, id.zip(set).map(|(id, set)| (Key::of("SetConsignmentAgreement", id, request), set)))
}

pub fn agreement_message(agreement: &Agreement) -> proto::ConsignmentAgreement {
    proto::ConsignmentAgreement {
        party_id: agreement.party.to_string(),
        location_id: agreement.location.to_string(),
        side: side_message(agreement.side).into(),
        skus: agreement.terms.skus.iter().flatten().map(Sku::to_string).collect(),
        valid_from: Some(timestamp(agreement.terms.valid_from)),
        valid_until: agreement.terms.valid_until.map(timestamp),
        audit: Some(audit_message(&agreement.audit)),
    }
}

pub fn side_message(side: Side) -> proto::ConsignmentSide {
    match side {
        Side::Theirs => proto::ConsignmentSide::Theirs,
        Side::Ours => proto::ConsignmentSide::Ours,
    }
}

pub fn cause_message(cause: Cause) -> proto::ConsignmentCause {
    match cause {
        Cause::Sold => proto::ConsignmentCause::Sold,
        Cause::Taken => proto::ConsignmentCause::Taken,
        Cause::Returned => proto::ConsignmentCause::Returned,
        Cause::Received | Cause::SentBack => proto::ConsignmentCause::Unspecified,
    }
}

/// Of which partner, and where.
#[derive(Debug, Default)]
pub struct ConsignmentFilter {
    pub party: Option<PartnerId>,
    pub location: Option<LocationId>,
    pub sku: Option<Sku>,
}

pub fn consignment_filter(party_id: &str, location_id: &str, sku_text: &str) -> Result<ConsignmentFilter, Status> {
    let mut violations = Violations::new();
    let mut filter = ConsignmentFilter::default();
    if !party_id.is_empty() {
        filter.party = violations.check("party_id", party_id.parse::<PartnerId>());
    }
    if !location_id.is_empty() {
        filter.location = location(&mut violations, "location_id", location_id);
    }
    if !sku_text.is_empty() {
        filter.sku = sku(&mut violations, "sku".to_owned(), sku_text);
    }
    complete(violations, Some(filter))
}

/// Where a list of agreements goes on: location, party, side.
pub fn after_agreement(token: &str) -> Result<Option<[&str; 3]>, Status> {
    three(token, |[location, party, side]| {
        location.parse::<LocationId>().is_ok() && party.parse::<PartnerId>().is_ok() && Side::parse(side).is_some()
    })
}

/// Where a list of consigned stock goes on: SKU, location, party.
pub fn after_stock(token: &str) -> Result<Option<[&str; 3]>, Status> {
    three(token, |[sku, location, party]| {
        sku.parse::<Sku>().is_ok() && location.parse::<LocationId>().is_ok() && party.parse::<PartnerId>().is_ok()
    })
}

fn three(token: &str, fits: impl FnOnce([&str; 3]) -> bool) -> Result<Option<[&str; 3]>, Status> {
    if token.is_empty() {
        return Ok(None);
    }
    let parts: Vec<&str> = token.split('\t').collect();
    match <[&str; 3]>::try_from(parts) {
        Ok(parts) if fits(parts) => Ok(Some(parts)),
        _ => Err(super::bad_token()),
    }
}

pub fn agreement_token(last: &Agreement) -> String {
    format!("{}\t{}\t{}", last.location, last.party, last.side.as_str())
}

pub fn stock_token(last: &ConsignedStock) -> String {
    format!("{}\t{}\t{}", last.sku, last.location_id, last.party_id)
}

pub fn consigned_stock_message(stock: ConsignedStock) -> proto::ConsignmentStock {
    proto::ConsignmentStock {
        side: Side::parse(&stock.side).map_or(proto::ConsignmentSide::Unspecified, side_message).into(),
        sku: stock.sku,
        location_id: stock.location_id,
        party_id: stock.party_id,
        units: stock.units,
    }
}

/// Whose settlements of which period.
pub struct SettlementsPage {
    pub party: PartnerId,
    pub period: (DateTime<Utc>, DateTime<Utc>),
    pub after: Option<(DateTime<Utc>, Uuid)>,
}

pub fn settlements_page(request: &proto::ListConsignmentSettlementsRequest) -> Result<SettlementsPage, Status> {
    let mut violations = Violations::new();
    let party = violations.check("party_id", request.party_id.parse::<PartnerId>());
    let mut required = |field: &'static str, time| {
        let time = violations.require(field, time)?;
        instant(&mut violations, field, Some(time))
    };
    let from = required("settled_from", request.settled_from);
    let until = required("settled_until", request.settled_until);
    let period = from.zip(until);
    if let Some((from, until)) = period
        && !(TimeDelta::zero()..=MAX_PERIOD).contains(&(until - from))
    {
        violations.add("settled_until", "must be 0 to 366 days after settled_from");
    }
    let after = super::before(&request.page_token)?;
    let page = party.zip(period).map(|(party, period)| SettlementsPage { party, period, after });
    complete(violations, page)
}

pub fn settlement_message(settlement: Settlement) -> proto::ConsignmentSettlement {
    proto::ConsignmentSettlement {
        settlement_id: settlement.entry_id.to_string(),
        party_id: settlement.party_id,
        side: Side::parse(&settlement.side).map_or(proto::ConsignmentSide::Unspecified, side_message).into(),
        sku: settlement.sku,
        location_id: settlement.location_id,
        cause: Cause::parse(&settlement.cause).map_or(proto::ConsignmentCause::Unspecified, cause_message).into(),
        units: settlement.units,
        movement_id: settlement.movement_id.to_string(),
        line: settlement.line_no,
        reference: settlement.reference,
        effective_time: Some(timestamp(settlement.effective_at)),
        settle_time: Some(timestamp(settlement.recorded_at)),
    }
}
