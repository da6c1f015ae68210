//! Chunks of rows. What is wrong with the request fails it whole, with every bad field; what is wrong with a row is that
//! row's result, since an import of a million rows shall not fail for one.

use oneshelf_kit::{idempotency::Key, status::Violations};
use oneshelf_proto::inventory::v1 as proto;
use oneshelf_values::{LocationId, Sku};
use prost::Message;
use tonic::Status;

use super::{MAX_QUANTITY, complete, instant, reference, request_id};
use crate::{
    domain::{
        group::bulk::{BulkRow, RowChange, RowOutcome, RowRefusal, RowResult},
        reason::{self, DEFAULT_OF_SET},
        stock_level::{Bucket, LevelKey},
    },
    usecases::bulk::Bulk,
};

pub const MAX_ROWS: usize = 5_000;

pub fn set_stock(request: &proto::SetStockRequest) -> Result<(Key, Bulk), Status> {
    let rows = request.rows.iter().take(MAX_ROWS).map(|row| {
        let change = RowChange::Set {
            quantity: row.quantity,
            expected_quantity: row.expected_quantity,
            expected_version: row.expected_version,
        };
        let good = (0..=MAX_QUANTITY).contains(&row.quantity);
        bulk_row(&row.sku, &row.location_id, row.bucket, good, change)
    });
    let fields = Fields {
        rpc: "SetStock",
        request_id: &request.request_id,
        row_count: request.rows.len(),
        reason_code: if request.reason_code.is_empty() { DEFAULT_OF_SET } else { &request.reason_code },
        reference: &request.reference,
        effective_time: request.effective_time,
        dry_run: request.dry_run,
    };
    bulk(fields, rows, request)
}

pub fn batch_adjustment(request: &proto::BatchAdjustStockRequest) -> Result<(Key, Bulk), Status> {
    let rows = request.rows.iter().take(MAX_ROWS).map(|row| {
        let good = row.delta != 0 && row.delta.checked_abs().is_some_and(|size| size <= MAX_QUANTITY);
        bulk_row(&row.sku, &row.location_id, row.bucket, good, RowChange::Adjust { delta: row.delta })
    });
    let fields = Fields {
        rpc: "BatchAdjustStock",
        request_id: &request.request_id,
        row_count: request.rows.len(),
        reason_code: &request.reason_code,
        reference: &request.reference,
        effective_time: request.effective_time,
        dry_run: request.dry_run,
    };
    bulk(fields, rows, request)
}

/// A chunk is the request that it holds: sent alone or in an import, it is the same one.
pub fn import_chunk(request: &proto::ImportStockRequest) -> Result<(Key, Bulk), Status> {
    match &request.chunk {
        Some(proto::import_stock_request::Chunk::Set(set)) => set_stock(set),
        Some(proto::import_stock_request::Chunk::Adjust(adjust)) => batch_adjustment(adjust),
        None => {
            let mut violations = Violations::new();
            violations.add("chunk", "is required");
            Err(violations.into_status())
        }
    }
}

struct Fields<'a> {
    rpc: &'static str,
    request_id: &'a str,
    row_count: usize,
    reason_code: &'a str,
    reference: &'a str,
    effective_time: Option<prost_types::Timestamp>,
    dry_run: bool,
}

fn bulk(
    fields: Fields<'_>,
    rows: impl Iterator<Item = Result<BulkRow, RowRefusal>>,
    request: &impl Message,
) -> Result<(Key, Bulk), Status> {
    let mut violations = Violations::new();
    let id = request_id(&mut violations, fields.request_id);
    if fields.row_count == 0 || fields.row_count > MAX_ROWS {
        violations.add("rows", format!("must have 1 to {MAX_ROWS} entries"));
    }
    let code = reason_code(&mut violations, "reason_code", fields.reason_code);
    let reference = reference(&mut violations, fields.reference);
    let effective_at = instant(&mut violations, "effective_time", fields.effective_time);
    let bulk = (|| {
        Some((
            Key::of(fields.rpc, id?, request),
            Bulk {
                rows: rows.collect(),
                reason_code: code?,
                reference: reference?,
                effective_at,
                dry_run: fields.dry_run,
            },
        ))
    })();
    complete(violations, bulk)
}

pub(super) fn reason_code(violations: &mut Violations, field: &str, text: &str) -> Option<String> {
    if reason::is_code(text) {
        return Some(text.to_owned());
    }
    violations.add(field, "must have 1 to 40 of `a-z 0-9 _` and begin with a letter");
    None
}

fn bulk_row(
    sku: &str,
    location: &str,
    bucket: i32,
    quantity_is_good: bool,
    change: RowChange,
) -> Result<BulkRow, RowRefusal> {
    let bucket = match proto::StockBucket::try_from(bucket) {
        Ok(proto::StockBucket::Unspecified | proto::StockBucket::Sellable) => Bucket::Sellable,
        Ok(proto::StockBucket::Damaged) => Bucket::Damaged,
        Ok(proto::StockBucket::Quarantine) => Bucket::Quarantine,
        Err(_) => return Err(RowRefusal::BadBucket),
    };
    let key = LevelKey {
        sku: sku.parse::<Sku>().map_err(|_| RowRefusal::BadSku)?,
        location: location.parse::<LocationId>().map_err(|_| RowRefusal::BadLocation)?,
    };
    if !quantity_is_good {
        return Err(RowRefusal::BadQuantity);
    }
    Ok(BulkRow { key, bucket, change })
}

pub fn row_results(results: &[RowResult]) -> Vec<proto::RowResult> {
    results
        .iter()
        .map(|result| {
            let (outcome, refusal) = match result.outcome {
                RowOutcome::Applied => (proto::RowOutcome::Applied, proto::RowRefusal::Unspecified),
                RowOutcome::Unchanged => (proto::RowOutcome::Unchanged, proto::RowRefusal::Unspecified),
                RowOutcome::Conflict => (proto::RowOutcome::Conflict, proto::RowRefusal::Unspecified),
                RowOutcome::Refused(refusal) => (
                    proto::RowOutcome::Refused,
                    match refusal {
                        RowRefusal::BadSku => proto::RowRefusal::BadSku,
                        RowRefusal::BadLocation => proto::RowRefusal::BadLocationId,
                        RowRefusal::BadBucket => proto::RowRefusal::BadBucket,
                        RowRefusal::BadQuantity => proto::RowRefusal::BadQuantity,
                        RowRefusal::LocationNotFound => proto::RowRefusal::LocationNotFound,
                        RowRefusal::InsufficientStock => proto::RowRefusal::InsufficientStock,
                        RowRefusal::QuantityOverflow => proto::RowRefusal::QuantityOverflow,
                        RowRefusal::LocationClosed => proto::RowRefusal::LocationClosed,
                        RowRefusal::SkuIsKit => proto::RowRefusal::SkuIsKit,
                        RowRefusal::SkuTracked => proto::RowRefusal::SkuTracked,
                    },
                ),
            };
            proto::RowResult {
                outcome: outcome.into(),
                refusal: refusal.into(),
                quantity: result.quantity,
                version: result.version,
            }
        })
        .collect()
}
