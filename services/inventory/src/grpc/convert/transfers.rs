//! Transfers.

use oneshelf_kit::{idempotency::Key, status::Violations};
use oneshelf_proto::inventory::v1 as proto;
use oneshelf_values::{LocationId, Sku, TransferId};
use prost::Message;
use tonic::Status;

use super::{
    bucket, complete, date, day_text, document_lines, expected_version, instant, location, lots::NamedLots, named_once,
    quantity, reference, request_id, sku,
};
use crate::{
    domain::{
        group::{NewTransfer, TransferAct},
        transfer::{Arrival, Resolution, Transfer, TransferState},
    },
    time::timestamp,
    usecases::transfers::TransferChange,
};

pub fn create_transfer(request: &proto::CreateTransferRequest) -> Result<TransferChange, Status> {
    let mut violations = Violations::new();
    let id = request_id(&mut violations, &request.request_id);
    let source = location(&mut violations, "source_location_id", &request.source_location_id);
    let destination = location(&mut violations, "destination_location_id", &request.destination_location_id);
    if source.is_some() && source == destination {
        violations.add("destination_location_id", "must be another location than the source");
    }
    let lines = quantities(&mut violations, &request.lines);
    named_once(&mut violations, "lines", lines.iter().map(|(sku, _)| sku));
    let expected_on = date(&mut violations, "expected_date", &request.expected_date);
    let reference = reference(&mut violations, &request.reference);
    let change = (|| {
        let id = id?;
        Some(TransferChange {
            key: Key::of("CreateTransfer", id, request),
            transfer_id: id.into(),
            expected_version: None,
            act: TransferAct::Create(NewTransfer {
                source: source?,
                destination: destination?,
                reference: reference?,
                expected_on,
                lines,
            }),
            effective_at: None,
        })
    })();
    complete(violations, change)
}

/// What every command on a transfer names.
struct Named<'a> {
    rpc: &'static str,
    request_id: &'a str,
    transfer_id: &'a str,
    expected_version: i64,
    effective_time: Option<prost_types::Timestamp>,
}

fn change(
    mut violations: Violations,
    named: &Named<'_>,
    request: &impl Message,
    act: TransferAct,
) -> Result<TransferChange, Status> {
    let id = request_id(&mut violations, named.request_id);
    let transfer_id =
        violations.check("transfer_id", named.transfer_id.parse::<TransferId>().map_err(|_| "must be a UUID"));
    let expected_version = expected_version(&mut violations, named.expected_version);
    let effective_at = instant(&mut violations, "effective_time", named.effective_time);
    let change = id.zip(transfer_id).map(|(id, transfer_id)| TransferChange {
        key: Key::of(named.rpc, id, request),
        transfer_id,
        expected_version,
        act,
        effective_at,
    });
    complete(violations, change)
}

pub fn approve_transfer(request: &proto::ApproveTransferRequest) -> Result<TransferChange, Status> {
    let named = Named {
        rpc: "ApproveTransfer",
        request_id: &request.request_id,
        transfer_id: &request.transfer_id,
        expected_version: request.expected_version,
        effective_time: None,
    };
    change(Violations::new(), &named, request, TransferAct::Approve)
}

pub fn allocate_transfer(request: &proto::AllocateTransferRequest) -> Result<TransferChange, Status> {
    let named = Named {
        rpc: "AllocateTransfer",
        request_id: &request.request_id,
        transfer_id: &request.transfer_id,
        expected_version: request.expected_version,
        effective_time: None,
    };
    change(Violations::new(), &named, request, TransferAct::Allocate { allow_partial: request.allow_partial })
}

pub fn ship_transfer(request: &proto::ShipTransferRequest) -> Result<TransferChange, Status> {
    let mut violations = Violations::new();
    let lines = quantities(&mut violations, &request.lines);
    let expected_on = date(&mut violations, "expected_date", &request.expected_date);
    let named = Named {
        rpc: "ShipTransfer",
        request_id: &request.request_id,
        transfer_id: &request.transfer_id,
        expected_version: request.expected_version,
        effective_time: request.effective_time,
    };
    let act = TransferAct::Ship { lines, expected_on, release_rest: request.release_rest };
    change(violations, &named, request, act)
}

pub fn receive_transfer(request: &proto::ReceiveTransferRequest) -> Result<TransferChange, Status> {
    let (mut violations, mut lots) = (Violations::new(), NamedLots::default());
    let count = document_lines(&mut violations, request.lines.len());
    let arrivals = request
        .lines
        .iter()
        .take(count)
        .enumerate()
        .filter_map(|(place, line)| {
            let sku = sku(&mut violations, format!("lines[{place}].sku"), &line.sku);
            let mut units = |name, quantity, named: &[_]| lots.units(&mut violations, place, name, quantity, named);
            let good = units("good", line.good, &line.good_lots);
            let damaged = units("damaged", line.damaged, &line.damaged_lots);
            if (line.good, line.damaged) == (0, 0) {
                violations.add(format!("lines[{place}]"), "must have at least one unit");
            }
            Some(Arrival { sku: sku?, good: good?, damaged: damaged? })
        })
        .collect();
    let bucket = bucket(&mut violations, "bucket", request.bucket);
    let named = Named {
        rpc: "ReceiveTransfer",
        request_id: &request.request_id,
        transfer_id: &request.transfer_id,
        expected_version: request.expected_version,
        effective_time: request.effective_time,
    };
    match bucket {
        Some(bucket) => change(violations, &named, request, TransferAct::Receive { bucket, arrivals }),
        None => Err(violations.into_status()),
    }
}

pub fn resolve_transfer(request: &proto::ResolveTransferDiscrepancyRequest) -> Result<TransferChange, Status> {
    let (mut violations, mut lots) = (Violations::new(), NamedLots::default());
    let count = document_lines(&mut violations, request.lines.len());
    let resolutions = request
        .lines
        .iter()
        .take(count)
        .enumerate()
        .filter_map(|(place, line)| {
            let sku = sku(&mut violations, format!("lines[{place}].sku"), &line.sku);
            let mut units = |name, quantity, named: &[_]| lots.units(&mut violations, place, name, quantity, named);
            let lost = units("lost", line.lost, &line.lost_lots);
            let from_source = units("from_source", line.from_source, &line.from_source_lots);
            if (line.lost, line.from_source) == (0, 0) {
                violations.add(format!("lines[{place}]"), "must have at least one unit");
            }
            Some(Resolution { sku: sku?, lost: lost?, from_source: from_source? })
        })
        .collect();
    let named = Named {
        rpc: "ResolveTransferDiscrepancy",
        request_id: &request.request_id,
        transfer_id: &request.transfer_id,
        expected_version: request.expected_version,
        effective_time: request.effective_time,
    };
    change(violations, &named, request, TransferAct::Resolve(resolutions))
}

pub fn cancel_transfer(request: &proto::CancelTransferRequest) -> Result<TransferChange, Status> {
    let named = Named {
        rpc: "CancelTransfer",
        request_id: &request.request_id,
        transfer_id: &request.transfer_id,
        expected_version: request.expected_version,
        effective_time: None,
    };
    change(Violations::new(), &named, request, TransferAct::Cancel)
}

pub fn transfer_id(text: &str) -> Result<TransferId, Status> {
    let mut violations = Violations::new();
    let id = violations.check("transfer_id", text.parse::<TransferId>().map_err(|_| "must be a UUID"));
    complete(violations, id)
}

/// The filters of a list of transfers.
pub fn transfer_filters(
    request: &proto::ListTransfersRequest,
) -> Result<(Option<TransferState>, Option<LocationId>), Status> {
    let mut violations = Violations::new();
    let state = match proto::TransferState::try_from(request.state) {
        Ok(proto::TransferState::Unspecified) => None,
        Ok(proto::TransferState::Requested) => Some(TransferState::Requested),
        Ok(proto::TransferState::Approved) => Some(TransferState::Approved),
        Ok(proto::TransferState::Allocated) => Some(TransferState::Allocated),
        Ok(proto::TransferState::InTransit) => Some(TransferState::InTransit),
        Ok(proto::TransferState::Received) => Some(TransferState::Received),
        Ok(proto::TransferState::Cancelled) => Some(TransferState::Cancelled),
        Err(_) => {
            violations.add("state", "is not a known value");
            None
        }
    };
    let location =
        (!request.location_id.is_empty()).then(|| location(&mut violations, "location_id", &request.location_id));
    complete(violations, Some((state, location.flatten())))
}

fn quantities(violations: &mut Violations, lines: &[proto::TransferQuantity]) -> Vec<(Sku, i64)> {
    let count = document_lines(violations, lines.len());
    lines
        .iter()
        .take(count)
        .enumerate()
        .filter_map(|(place, line)| {
            let sku = sku(violations, format!("lines[{place}].sku"), &line.sku);
            let quantity = quantity(violations, format!("lines[{place}].quantity"), line.quantity, 1);
            sku.zip(quantity)
        })
        .collect()
}

pub fn transfer_message(transfer: &Transfer) -> proto::Transfer {
    proto::Transfer {
        transfer_id: transfer.transfer_id.to_string(),
        source_location_id: transfer.source.to_string(),
        destination_location_id: transfer.destination.to_string(),
        state: match transfer.state {
            TransferState::Requested => proto::TransferState::Requested,
            TransferState::Approved => proto::TransferState::Approved,
            TransferState::Allocated => proto::TransferState::Allocated,
            TransferState::InTransit => proto::TransferState::InTransit,
            TransferState::Received => proto::TransferState::Received,
            TransferState::Cancelled => proto::TransferState::Cancelled,
        }
        .into(),
        reference: transfer.reference.clone(),
        expected_date: day_text(transfer.expected_on),
        lines: transfer
            .lines
            .iter()
            .map(|line| proto::TransferLine {
                sku: line.sku.to_string(),
                requested: line.requested,
                allocated: line.allocated,
                shipped: line.shipped,
                received: line.received,
                damaged: line.damaged,
                in_transit: line.in_transit,
                lost: line.lost,
                surplus: line.surplus,
                surplus_settled: line.surplus_settled,
                lots_in_transit: line
                    .lots
                    .iter()
                    .map(|(lot, units)| proto::HeldLot { lot: lot.to_string(), quantity: *units })
                    .collect(),
            })
            .collect(),
        version: transfer.version,
        create_time: Some(timestamp(transfer.created_at)),
        update_time: Some(timestamp(transfer.updated_at)),
    }
}
