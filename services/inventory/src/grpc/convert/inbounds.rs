//! Orders to suppliers and notices of deliveries.

use chrono::{DateTime, NaiveDate, Utc};
use oneshelf_kit::{idempotency::Key, status::Violations};
use oneshelf_proto::inventory::v1 as proto;
use oneshelf_values::{InboundId, LocationId, Sku};
use prost::Message;
use tonic::Status;

use super::{
    bad_token, complete, date, document_lines, expected_version, instant, location, lots::NamedLots, named_once,
    page_token, quantity, reference, request_id, required_date, sku, text,
};
use crate::{
    domain::{
        group::{InboundAct, NewInbound},
        inbound::{Delivery, Inbound, InboundKind, InboundState},
    },
    time::timestamp,
    usecases::inbounds::{InboundChange, InboundDue, InboundFilter},
};

/// The common shape of a new order and a new notice.
struct NewFields<'a> {
    rpc: &'static str,
    kind: InboundKind,
    request_id: &'a str,
    order_id: &'a str,
    supplier: &'a str,
    location_id: &'a str,
    lines: &'a [proto::ExpectedLine],
    over_percent: i32,
    accept_unlisted: bool,
    reference: &'a str,
}

fn new_inbound(fields: &NewFields<'_>, request: &impl Message) -> Result<InboundChange, Status> {
    let mut violations = Violations::new();
    let id = request_id(&mut violations, fields.request_id);
    let order_id = optional_id(&mut violations, "purchase_order_id", fields.order_id);
    let supplier = text(&mut violations, "supplier", fields.supplier, 1, 100);
    let location = location(&mut violations, "location_id", fields.location_id);
    let lines = expected_lines(&mut violations, fields.lines, 1);
    if !(0..=100).contains(&fields.over_percent) {
        violations.add("over_tolerance_percent", "must be 0 to 100");
    }
    let reference = reference(&mut violations, fields.reference);
    let change = (|| {
        let id = id?;
        Some(InboundChange {
            key: Key::of(fields.rpc, id, request),
            inbound_id: id.into(),
            expected_version: None,
            act: InboundAct::Create(NewInbound {
                kind: fields.kind,
                order_id,
                supplier: supplier?,
                location: location?,
                reference: reference?,
                over_percent: fields.over_percent,
                accept_unlisted: fields.accept_unlisted,
                lines,
            }),
            effective_at: None,
        })
    })();
    complete(violations, change)
}

pub fn create_purchase_order(request: &proto::CreatePurchaseOrderRequest) -> Result<InboundChange, Status> {
    let fields = NewFields {
        rpc: "CreatePurchaseOrder",
        kind: InboundKind::PurchaseOrder,
        request_id: &request.request_id,
        order_id: "",
        supplier: &request.supplier,
        location_id: &request.location_id,
        lines: &request.lines,
        over_percent: request.over_tolerance_percent,
        accept_unlisted: request.accept_unlisted,
        reference: &request.reference,
    };
    new_inbound(&fields, request)
}

pub fn create_asn(request: &proto::CreateAsnRequest) -> Result<InboundChange, Status> {
    let fields = NewFields {
        rpc: "CreateAsn",
        kind: InboundKind::Asn,
        request_id: &request.request_id,
        order_id: &request.purchase_order_id,
        supplier: &request.supplier,
        location_id: &request.location_id,
        lines: &request.lines,
        over_percent: request.over_tolerance_percent,
        accept_unlisted: request.accept_unlisted,
        reference: &request.reference,
    };
    new_inbound(&fields, request)
}

/// What every command on an order or notice names.
struct Named<'a> {
    rpc: &'static str,
    request_id: &'a str,
    inbound_id: &'a str,
    expected_version: i64,
}

fn change(
    mut violations: Violations,
    named: &Named<'_>,
    request: &impl Message,
    act: InboundAct,
    effective_at: Option<DateTime<Utc>>,
) -> Result<InboundChange, Status> {
    let id = request_id(&mut violations, named.request_id);
    let inbound_id =
        violations.check("inbound_id", named.inbound_id.parse::<InboundId>().map_err(|_| "must be a UUID"));
    let expected_version = expected_version(&mut violations, named.expected_version);
    let change = id.zip(inbound_id).map(|(id, inbound_id)| InboundChange {
        key: Key::of(named.rpc, id, request),
        inbound_id,
        expected_version,
        act,
        effective_at,
    });
    complete(violations, change)
}

pub fn amend_purchase_order(request: &proto::AmendPurchaseOrderRequest) -> Result<InboundChange, Status> {
    let mut violations = Violations::new();
    let lines = expected_lines(&mut violations, &request.lines, 0);
    let named = Named {
        rpc: "AmendPurchaseOrder",
        request_id: &request.request_id,
        inbound_id: &request.inbound_id,
        expected_version: request.expected_version,
    };
    change(violations, &named, request, InboundAct::Amend(lines), None)
}

pub fn cancel_purchase_order(request: &proto::CancelPurchaseOrderRequest) -> Result<InboundChange, Status> {
    let named = Named {
        rpc: "CancelPurchaseOrder",
        request_id: &request.request_id,
        inbound_id: &request.inbound_id,
        expected_version: request.expected_version,
    };
    change(Violations::new(), &named, request, InboundAct::Cancel, None)
}

pub fn receive_inbound(request: &proto::ReceiveInboundRequest) -> Result<InboundChange, Status> {
    let (mut violations, mut lots) = (Violations::new(), NamedLots::default());
    let count = document_lines(&mut violations, request.lines.len());
    let deliveries: Vec<Delivery> = request
        .lines
        .iter()
        .take(count)
        .enumerate()
        .filter_map(|(place, line)| {
            let sku = sku(&mut violations, format!("lines[{place}].sku"), &line.sku);
            let mut units = |name, quantity, named: &[_]| lots.units(&mut violations, place, name, quantity, named);
            let accepted = units("accepted", line.accepted, &line.accepted_lots);
            let quarantined = units("quarantined", line.quarantined, &line.quarantined_lots);
            let returned = quantity(&mut violations, format!("lines[{place}].returned"), line.returned, 0);
            if (line.accepted, line.quarantined, line.returned) == (0, 0, 0) {
                violations.add(format!("lines[{place}]"), "must have at least one unit");
            }
            Some(Delivery { sku: sku?, accepted: accepted?, quarantined: quarantined?, returned: returned? })
        })
        .collect();
    named_once(&mut violations, "lines", deliveries.iter().map(|delivery| &delivery.sku));
    let effective_at = instant(&mut violations, "effective_time", request.effective_time);
    let named = Named {
        rpc: "ReceiveInbound",
        request_id: &request.request_id,
        inbound_id: &request.inbound_id,
        expected_version: request.expected_version,
    };
    change(violations, &named, request, InboundAct::Receive(deliveries), effective_at)
}

pub fn close_inbound(request: &proto::CloseInboundRequest) -> Result<InboundChange, Status> {
    let named = Named {
        rpc: "CloseInbound",
        request_id: &request.request_id,
        inbound_id: &request.inbound_id,
        expected_version: request.expected_version,
    };
    change(Violations::new(), &named, request, InboundAct::Close, None)
}

pub fn inbound_id(text: &str) -> Result<InboundId, Status> {
    let mut violations = Violations::new();
    let id = violations.check("inbound_id", text.parse::<InboundId>().map_err(|_| "must be a UUID"));
    complete(violations, id)
}

fn optional_id(violations: &mut Violations, field: &str, text: &str) -> Option<InboundId> {
    let id = (!text.is_empty()).then(|| text.parse::<InboundId>().map_err(|_| "must be a UUID"))?;
    violations.check(field, id)
}

fn expected_lines(
    violations: &mut Violations,
    lines: &[proto::ExpectedLine],
    least: i64,
) -> Vec<(Sku, i64, NaiveDate)> {
    let count = document_lines(violations, lines.len());
    let parsed: Vec<(Sku, i64, NaiveDate)> = lines
        .iter()
        .take(count)
        .enumerate()
        .filter_map(|(place, line)| {
            let sku = sku(violations, format!("lines[{place}].sku"), &line.sku);
            let quantity = quantity(violations, format!("lines[{place}].quantity"), line.quantity, least);
            let day = required_date(violations, &format!("lines[{place}].expected_date"), &line.expected_date);
            Some((sku?, quantity?, day?))
        })
        .collect();
    named_once(violations, "lines", parsed.iter().map(|(sku, ..)| sku));
    parsed
}

pub fn inbound_filter(request: &proto::ListInboundsRequest) -> Result<InboundFilter, Status> {
    let mut violations = Violations::new();
    let kind = match proto::InboundKind::try_from(request.kind) {
        Ok(proto::InboundKind::Unspecified) => None,
        Ok(proto::InboundKind::PurchaseOrder) => Some(InboundKind::PurchaseOrder),
        Ok(proto::InboundKind::Asn) => Some(InboundKind::Asn),
        Err(_) => {
            violations.add("kind", "is not a known value");
            None
        }
    };
    let state = match proto::InboundState::try_from(request.state) {
        Ok(proto::InboundState::Unspecified) => None,
        Ok(proto::InboundState::Open) => Some(InboundState::Open),
        Ok(proto::InboundState::Receiving) => Some(InboundState::Receiving),
        Ok(proto::InboundState::Complete) => Some(InboundState::Complete),
        Ok(proto::InboundState::Closed) => Some(InboundState::Closed),
        Ok(proto::InboundState::Cancelled) => Some(InboundState::Cancelled),
        Err(_) => {
            violations.add("state", "is not a known value");
            None
        }
    };
    let location =
        (!request.location_id.is_empty()).then(|| location(&mut violations, "location_id", &request.location_id));
    let order_id = optional_id(&mut violations, "purchase_order_id", &request.purchase_order_id);
    complete(violations, Some(InboundFilter { kind, state, location: location.flatten(), order_id }))
}

/// The filters of the list of what is due: location, SKU, last day.
pub type DueFilter = (Option<LocationId>, Option<Sku>, Option<NaiveDate>);

pub fn inbound_due_filter(request: &proto::ListInboundDueRequest) -> Result<DueFilter, Status> {
    let mut violations = Violations::new();
    let location =
        (!request.location_id.is_empty()).then(|| location(&mut violations, "location_id", &request.location_id));
    let sku = (!request.sku.is_empty()).then(|| sku(&mut violations, "sku".to_owned(), &request.sku));
    let until = date(&mut violations, "until_date", &request.until_date);
    complete(violations, Some((location.flatten(), sku.flatten(), until)))
}

/// Where the list of what is due goes on.
pub fn after_due(token: &str) -> Result<Option<(&str, &str, NaiveDate)>, Status> {
    let Some(parts) = page_token(token, 3)? else { return Ok(None) };
    let day = parts[2].parse().ok();
    let level = super::level(parts[0], parts[1]);
    level.zip(day).map(|((sku, location), day)| Some((sku, location, day))).ok_or_else(bad_token)
}

pub fn inbound_message(inbound: &Inbound) -> proto::Inbound {
    proto::Inbound {
        inbound_id: inbound.inbound_id.to_string(),
        kind: match inbound.kind {
            InboundKind::PurchaseOrder => proto::InboundKind::PurchaseOrder,
            InboundKind::Asn => proto::InboundKind::Asn,
        }
        .into(),
        purchase_order_id: inbound.order_id.map_or_else(String::new, |id| id.to_string()),
        supplier: inbound.supplier.clone(),
        location_id: inbound.location.to_string(),
        state: match inbound.state {
            InboundState::Open => proto::InboundState::Open,
            InboundState::Receiving => proto::InboundState::Receiving,
            InboundState::Complete => proto::InboundState::Complete,
            InboundState::Closed => proto::InboundState::Closed,
            InboundState::Cancelled => proto::InboundState::Cancelled,
        }
        .into(),
        reference: inbound.reference.clone(),
        over_tolerance_percent: inbound.over_percent,
        accept_unlisted: inbound.accept_unlisted,
        lines: inbound
            .lines
            .iter()
            .map(|line| proto::InboundLine {
                sku: line.sku.to_string(),
                expected: line.expected,
                expected_date: line.expected_on.to_string(),
                advised: line.advised,
                received: line.received,
                stocked: line.stocked,
                quarantined: line.quarantined,
                returned: line.returned,
                due: line.due,
            })
            .collect(),
        version: inbound.version,
        create_time: Some(timestamp(inbound.created_at)),
        update_time: Some(timestamp(inbound.updated_at)),
    }
}

pub fn inbound_due_message(due: InboundDue) -> proto::InboundDue {
    proto::InboundDue {
        sku: due.sku,
        location_id: due.location_id,
        expected_date: due.day.to_string(),
        quantity: due.quantity,
    }
}
