//! Receipts, returns, a till's sales, corrections, and the levels that they come to.

use chrono::{DateTime, Utc};
use oneshelf_kit::{idempotency::Key, status::Violations};
use oneshelf_proto::inventory::v1 as proto;
use prost::Message;
use tonic::Status;

use super::{
    MAX_LINES, MAX_QUANTITY, complete, instant, line_count, location, lots::NamedLots, quantity, reference, request_id,
    sku,
};
use crate::{
    domain::{
        availability::Breakdown,
        group::{AdjustmentReason, MoveKind, MoveLine},
        policy::{Asker, Rules},
        stock_level::{Bucket, Level, LevelKey},
    },
    time::timestamp,
    usecases::list::{StoredLevel, StoredMovement},
    usecases::move_stock::Moved,
};

/// The common shape of receipts, returns and a till's sales.
pub struct MoveFields<'a> {
    pub rpc: &'static str,
    pub kind: MoveKind,
    pub request_id: &'a str,
    pub location_id: &'a str,
    pub lines: &'a [proto::StockLine],
    pub bucket: i32,
    pub reference: &'a str,
    pub effective_time: Option<prost_types::Timestamp>,
}

pub fn movement(fields: &MoveFields<'_>, request: &impl Message) -> Result<(Key, Moved), Status> {
    let mut violations = Violations::new();
    let id = request_id(&mut violations, fields.request_id);
    let location = location(&mut violations, "location_id", fields.location_id);
    let bucket = bucket(&mut violations, "bucket", fields.bucket);
    line_count(&mut violations, "lines", fields.lines.len());
    let sign = if fields.kind == MoveKind::Sale { -1 } else { 1 };
    let mut lots = NamedLots::default();
    let lines = fields
        .lines
        .iter()
        .take(MAX_LINES)
        .enumerate()
        .filter_map(|(place, line)| {
            let sku = sku(&mut violations, format!("lines[{place}].sku"), &line.sku);
            let quantity = quantity(&mut violations, format!("lines[{place}].quantity"), line.quantity, 1);
            let lots = lots.read(&mut violations, &format!("lines[{place}].lots"), &line.lots, line.quantity);
            Some(MoveLine {
                key: LevelKey { sku: sku?, location: location.clone()? },
                bucket: bucket?,
                delta: sign * quantity?,
                lots,
            })
        })
        .collect();
    let reference = reference(&mut violations, fields.reference);
    let effective_at = instant(&mut violations, "effective_time", fields.effective_time);
    let moved = (|| {
        Some((
            Key::of(fields.rpc, id?, request),
            Moved { kind: fields.kind, location: location?, lines, reference: reference?, effective_at },
        ))
    })();
    complete(violations, moved)
}

pub fn adjustment(request: &proto::AdjustStockRequest) -> Result<(Key, Moved), Status> {
    let mut violations = Violations::new();
    let id = request_id(&mut violations, &request.request_id);
    let location = location(&mut violations, "location_id", &request.location_id);
    line_count(&mut violations, "lines", request.lines.len());
    let mut lots = NamedLots::default();
    let lines = request
        .lines
        .iter()
        .take(MAX_LINES)
        .enumerate()
        .filter_map(|(place, line)| {
            let sku = sku(&mut violations, format!("lines[{place}].sku"), &line.sku);
            let bucket = bucket(&mut violations, format!("lines[{place}].bucket"), line.bucket);
            if line.delta == 0 || line.delta.checked_abs().is_none_or(|size| size > MAX_QUANTITY) {
                violations.add(
                    format!("lines[{place}].delta"),
                    format!("must not be zero, and at most {MAX_QUANTITY} either way"),
                );
            }
            let lots =
                lots.read(&mut violations, &format!("lines[{place}].lots"), &line.lots, line.delta.saturating_abs());
            Some(MoveLine {
                key: LevelKey { sku: sku?, location: location.clone()? },
                bucket: bucket?,
                delta: line.delta,
                lots,
            })
        })
        .collect();
    let reason = adjustment_reason(&mut violations, request.reason);
    let reference = reference(&mut violations, &request.reference);
    let effective_at = instant(&mut violations, "effective_time", request.effective_time);
    let moved = (|| {
        Some((
            Key::of("AdjustStock", id?, request),
            Moved {
                kind: MoveKind::Adjustment(reason?),
                location: location?,
                lines,
                reference: reference?,
                effective_at,
            },
        ))
    })();
    complete(violations, moved)
}

pub(super) fn adjustment_reason(violations: &mut Violations, value: i32) -> Option<AdjustmentReason> {
    match proto::AdjustmentReason::try_from(value) {
        Ok(proto::AdjustmentReason::Found) => Some(AdjustmentReason::Found),
        Ok(proto::AdjustmentReason::Lost) => Some(AdjustmentReason::Lost),
        Ok(proto::AdjustmentReason::Damaged) => Some(AdjustmentReason::Damaged),
        Ok(proto::AdjustmentReason::WriteOff) => Some(AdjustmentReason::WriteOff),
        Ok(proto::AdjustmentReason::Count) => Some(AdjustmentReason::Count),
        Ok(proto::AdjustmentReason::Unspecified) | Err(_) => {
            violations.add("reason", "must be a known reason");
            None
        }
    }
}

pub(super) fn bucket_message(bucket: Bucket) -> proto::StockBucket {
    match bucket {
        Bucket::Sellable => proto::StockBucket::Sellable,
        Bucket::Damaged => proto::StockBucket::Damaged,
        Bucket::Quarantine => proto::StockBucket::Quarantine,
    }
}

pub(super) fn bucket(violations: &mut Violations, field: impl Into<String>, value: i32) -> Option<Bucket> {
    match proto::StockBucket::try_from(value) {
        Ok(proto::StockBucket::Unspecified | proto::StockBucket::Sellable) => Some(Bucket::Sellable),
        Ok(proto::StockBucket::Damaged) => Some(Bucket::Damaged),
        Ok(proto::StockBucket::Quarantine) => Some(Bucket::Quarantine),
        Err(_) => {
            violations.add(field, "is not a known value");
            None
        }
    }
}

/// A level; `expired` of its soft holds are past their time and count as free.
pub fn level_message(key: &LevelKey, level: &Level, expired: i64, updated_at: DateTime<Utc>) -> proto::StockLevel {
    let live = Level { soft_held: level.soft_held - expired, ..*level };
    proto::StockLevel {
        sku: key.sku.as_str().to_owned(),
        location_id: key.location.as_str().to_owned(),
        on_hand: level.on_hand(),
        sellable: level.sellable,
        damaged: level.damaged,
        quarantine: level.quarantine,
        soft_held: level.soft_held,
        hard_held: level.hard_held,
        available: Breakdown::of(&live, Rules::default(), Asker::default(), updated_at).available,
        oversold: live.oversold(),
        version: level.version,
        update_time: Some(timestamp(updated_at)),
        safety_stock: level.safety_stock,
        backorder_limit: level.backorder_limit,
    }
}

pub fn stored_level_message(stored: &StoredLevel) -> proto::StockLevel {
    level_message(&stored.key, &stored.level, stored.expired, stored.updated_at)
}

pub fn movement_message(movement: StoredMovement) -> proto::Movement {
    let owner = movement.owner_id;
    let account = |kind: String, location: Option<String>| match (location, &owner) {
        (Some(location), _) => format!("{location}/{kind}"),
        (None, Some(owner)) if kind == "consignment" => format!("{owner}/{kind}"),
        (None, _) => kind,
    };
    proto::Movement {
        // A line of a tracked SKU is as many entries as it names lots.
        movement_id: match &movement.lot {
            None => format!("{}/{}", movement.movement_id, movement.line_no),
            Some(lot) => format!("{}/{}/{lot}", movement.movement_id, movement.line_no),
        },
        lot: movement.lot.unwrap_or_default(),
        sequence: movement.entry_id,
        sku: movement.sku,
        source: account(movement.source, movement.source_location_id),
        target: account(movement.target, movement.target_location_id),
        quantity: movement.quantity,
        reason: movement.reason,
        reference: movement.reference,
        effective_time: Some(timestamp(movement.effective_at)),
        record_time: Some(timestamp(movement.recorded_at)),
    }
}
