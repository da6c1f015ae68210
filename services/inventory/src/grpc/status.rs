//! The one place where an error of this service becomes a status.

use oneshelf_kit::status::{self, MAX_DETAILS, Violations};
use oneshelf_proto::inventory::v1::ErrorReason;
use oneshelf_values::LocationId;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, PreconditionViolation, StatusExt};

use crate::{
    domain::{
        Refusal,
        error::{ShortLine, UnsourcedLine},
        location::Leftovers,
    },
    usecases::Error,
};

pub const DOMAIN: &str = "inventory.oneshelf";

pub fn from_error(error: Error) -> Status {
    match error {
        Error::Refused(refusal) => from_refusal(&refusal),
        Error::Denied(denied) => denied.into(),
        Error::EffectiveTimeAhead => {
            let mut violations = Violations::new();
            violations.add("effective_time", error.to_string());
            violations.into_status()
        }
        Error::OutOfScope(channel) => info(
            Code::PermissionDenied,
            "the key is bound to another channel".to_owned(),
            ErrorReason::OutOfScope,
            vec![("channel_id", channel.to_string())],
        ),
        Error::OutOfPartnerScope(partner) => info(
            Code::PermissionDenied,
            "the key is bound to another partner".to_owned(),
            ErrorReason::OutOfScope,
            vec![("partner_id", partner.to_string())],
        ),
        Error::Overloaded => {
            status::exhausted("OVERLOADED", "inventory.executor", "too many stock changes wait", status::RETRY_DELAY)
        }
        Error::Conflict | Error::MoreKits(_) | Error::LongWay | Error::Stopping => try_again(),
        Error::Unavailable(ref source) => status::unavailable(source),
        Error::Internal(_) | Error::Unexpected(_) => status::internal(&error),
    }
}

fn from_refusal(refusal: &Refusal) -> Status {
    let message = refusal.to_string();
    match refusal {
        Refusal::InsufficientStock { short } => insufficient(message, short),
        Refusal::HoldNotFound { hold_id } => {
            info(Code::NotFound, message, ErrorReason::HoldNotFound, vec![("hold_id", hold_id.to_string())])
        }
        Refusal::HoldExpired { hold_id, expired_at } => info(
            Code::FailedPrecondition,
            message,
            ErrorReason::HoldExpired,
            vec![("hold_id", hold_id.to_string()), ("expired_at", expired_at.to_rfc3339())],
        ),
        Refusal::HoldResolved { hold_id, state } => info(
            Code::FailedPrecondition,
            message,
            ErrorReason::HoldResolved,
            vec![("hold_id", hold_id.to_string()), ("state", (*state).to_owned())],
        ),
        Refusal::CommitExceedsHold { line, held, requested } => info(
            Code::FailedPrecondition,
            message,
            ErrorReason::CommitExceedsHold,
            vec![("line", line.to_string()), ("held", held.to_string()), ("requested", requested.to_string())],
        ),
        Refusal::HoldNotExtendable { hold_id } => info(
            Code::FailedPrecondition,
            message,
            ErrorReason::HoldNotExtendable,
            vec![("hold_id", hold_id.to_string())],
        ),
        Refusal::HoldLifeExceeded { hold_id, latest } => info(
            Code::FailedPrecondition,
            message,
            ErrorReason::HoldLifeExceeded,
            vec![("hold_id", hold_id.to_string()), ("latest", latest.to_rfc3339())],
        ),
        Refusal::HoldNotReplaceable { hold_id } => info(
            Code::FailedPrecondition,
            message,
            ErrorReason::HoldNotReplaceable,
            vec![("hold_id", hold_id.to_string())],
        ),
        Refusal::HoldCapExceeded { sku, whose, cap, held, requested } => info(
            Code::FailedPrecondition,
            message,
            ErrorReason::HoldCapExceeded,
            vec![
                ("sku", sku.to_string()),
                ("whose", (*whose).to_owned()),
                ("cap", cap.to_string()),
                ("held", held.to_string()),
                ("requested", requested.to_string()),
            ],
        ),
        Refusal::LocationNotFound { location } => {
            info(Code::NotFound, message, ErrorReason::LocationNotFound, vec![("location_id", location.to_string())])
        }
        Refusal::LocationExists { location } => {
            info(Code::AlreadyExists, message, ErrorReason::LocationExists, vec![("location_id", location.to_string())])
        }
        Refusal::LocationClosed { location } => info(
            Code::FailedPrecondition,
            message,
            ErrorReason::LocationClosed,
            vec![("location_id", location.to_string())],
        ),
        Refusal::LocationActive { location } => info(
            Code::FailedPrecondition,
            message,
            ErrorReason::LocationActive,
            vec![("location_id", location.to_string())],
        ),
        Refusal::LocationNotEmpty { location, left } => not_empty(message, location, left),
        Refusal::VersionMismatch { expected, found } => mismatch(message, None, *expected, *found),
        Refusal::PolicyChanged { line, expected, found } => mismatch(message, Some(*line), *expected, *found),
        Refusal::ChannelNotFound { channel } => {
            info(Code::NotFound, message, ErrorReason::ChannelNotFound, vec![("channel_id", channel.to_string())])
        }
        Refusal::RequestIdReused => {
            let why = reason(ErrorReason::RequestIdReused);
            status::bad_field("request_id", message, DOMAIN, why, [("", ""); 0])
        }
        Refusal::QuantityOverflow { sku, location } => info(
            Code::FailedPrecondition,
            message,
            ErrorReason::QuantityOverflow,
            vec![("sku", sku.to_string()), ("location_id", location.to_string())],
        ),
        Refusal::HoldOwned { hold_id } => {
            info(Code::FailedPrecondition, message, ErrorReason::HoldOwned, vec![("hold_id", hold_id.to_string())])
        }
        Refusal::DocumentNotFound { kind, id } => info(
            Code::NotFound,
            message,
            ErrorReason::DocumentNotFound,
            vec![("document", kind.as_str().to_owned()), ("id", id.to_string())],
        ),
        Refusal::DocumentState { kind, id, state } => info(
            Code::FailedPrecondition,
            message,
            ErrorReason::DocumentState,
            vec![("document", kind.as_str().to_owned()), ("id", id.to_string()), ("state", (*state).to_owned())],
        ),
        Refusal::DocumentChanged { kind, id, expected, current } => status::retry_info(
            Code::Aborted,
            message,
            DOMAIN,
            reason(ErrorReason::VersionMismatch),
            [
                ("document", kind.as_str().to_owned()),
                ("id", id.to_string()),
                ("expected", expected.to_string()),
                ("current", current.to_string()),
            ],
            status::RETRY_DELAY,
        ),
        Refusal::LineNotFound { line, sku } => info(
            Code::FailedPrecondition,
            message,
            ErrorReason::LineNotFound,
            vec![("line", line.to_string()), ("sku", sku.to_string())],
        ),
        Refusal::AlreadyCounting { sku, count_id } => info(
            Code::FailedPrecondition,
            message,
            ErrorReason::AlreadyCounting,
            vec![("sku", sku.to_string()), ("count_id", count_id.to_string())],
        ),
        Refusal::CountIncomplete { count_id, uncounted, sku } => info(
            Code::FailedPrecondition,
            message,
            ErrorReason::CountIncomplete,
            vec![("count_id", count_id.to_string()), ("uncounted", uncounted.to_string()), ("sku", sku.to_string())],
        ),
        Refusal::TooLarge { limit } => {
            info(Code::FailedPrecondition, message, ErrorReason::TooLarge, vec![("limit", limit.to_string())])
        }
        Refusal::OverReceipt { line, sku, limit, requested } => info(
            Code::FailedPrecondition,
            message,
            ErrorReason::OverReceipt,
            vec![
                ("line", line.to_string()),
                ("sku", sku.to_string()),
                ("limit", limit.to_string()),
                ("requested", requested.to_string()),
            ],
        ),
        Refusal::BelowReceived { line, sku, least, requested } => info(
            Code::FailedPrecondition,
            message,
            ErrorReason::BelowReceived,
            vec![
                ("line", line.to_string()),
                ("sku", sku.to_string()),
                ("least", least.to_string()),
                ("requested", requested.to_string()),
            ],
        ),
        Refusal::OtherLocation { location } => info(
            Code::FailedPrecondition,
            message,
            ErrorReason::OtherLocation,
            vec![("location_id", location.to_string())],
        ),
        Refusal::PromiseWaiting { promise_id, waiting } => info(
            Code::FailedPrecondition,
            message,
            ErrorReason::PromiseWaiting,
            vec![("promise_id", promise_id.to_string()), ("waiting", waiting.to_string())],
        ),
        Refusal::LineExceeded { line, sku, limit, requested } => info(
            Code::FailedPrecondition,
            message,
            ErrorReason::LineExceeded,
            vec![
                ("line", line.to_string()),
                ("sku", sku.to_string()),
                ("limit", limit.to_string()),
                ("requested", requested.to_string()),
            ],
        ),
        Refusal::ConsignmentOverlap { location, party } => info(
            Code::FailedPrecondition,
            message,
            ErrorReason::ConsignmentOverlap,
            vec![("location_id", location.to_string()), ("party_id", party.to_string())],
        ),
        Refusal::NotConsigned { line, sku, location, party } => info(
            Code::FailedPrecondition,
            message,
            ErrorReason::NotConsigned,
            vec![
                ("line", line.to_string()),
                ("sku", sku.to_string()),
                ("location_id", location.to_string()),
                ("party_id", party.to_string()),
            ],
        ),
        Refusal::ReasonCodeNotFound { code } => {
            info(Code::NotFound, message, ErrorReason::ReasonCodeNotFound, vec![("reason_code", code.clone())])
        }
        Refusal::ReasonCodeExists { code } => {
            info(Code::AlreadyExists, message, ErrorReason::ReasonCodeExists, vec![("reason_code", code.clone())])
        }
        Refusal::SkuIsKit { sku } => {
            info(Code::FailedPrecondition, message, ErrorReason::SkuIsKit, vec![("sku", sku.to_string())])
        }
        Refusal::SkuInUse { sku, what } => info(
            Code::FailedPrecondition,
            message,
            ErrorReason::SkuInUse,
            vec![("sku", sku.to_string()), ("what", (*what).to_owned())],
        ),
        Refusal::KitInKit { sku, component } => info(
            Code::FailedPrecondition,
            message,
            ErrorReason::KitInKit,
            vec![("sku", sku.to_string()), ("component_sku", component.to_string())],
        ),
        Refusal::KitBroken { hold_id, sku } => info(
            Code::FailedPrecondition,
            message,
            ErrorReason::KitBroken,
            vec![("hold_id", hold_id.to_string()), ("sku", sku.to_string())],
        ),
        Refusal::SkuTracked { sku } => {
            info(Code::FailedPrecondition, message, ErrorReason::SkuTracked, vec![("sku", sku.to_string())])
        }
        Refusal::TrackingMismatch { line, sku, kind } => info(
            Code::FailedPrecondition,
            message,
            ErrorReason::TrackingMismatch,
            vec![("line", line.to_string()), ("sku", sku.to_string()), ("tracking", kind.as_str().to_owned())],
        ),
        Refusal::SerialNotFound { sku, serial } => info(
            Code::NotFound,
            message,
            ErrorReason::SerialNotFound,
            vec![("sku", sku.to_string()), ("serial", serial.to_string())],
        ),
        Refusal::LotNotFree { sku, lot, free, requested } => info(
            Code::FailedPrecondition,
            message,
            ErrorReason::LotNotFree,
            vec![
                ("sku", sku.to_string()),
                ("lot", lot.to_string()),
                ("free", free.to_string()),
                ("requested", requested.to_string()),
            ],
        ),
        Refusal::SerialOnHand { sku, serial, location } => info(
            Code::FailedPrecondition,
            message,
            ErrorReason::SerialOnHand,
            vec![("sku", sku.to_string()), ("serial", serial.to_string()), ("location_id", location.to_string())],
        ),
        Refusal::LotExpiryDiffers { sku, lot, expires_on } => info(
            Code::FailedPrecondition,
            message,
            ErrorReason::LotExpiryDiffers,
            vec![
                ("sku", sku.to_string()),
                ("lot", lot.to_string()),
                ("expiry_date", expires_on.map_or_else(String::new, |day| day.to_string())),
            ],
        ),
        Refusal::CannotSource { lines } => cannot_source(message, lines),
        Refusal::PlanOvertaken { .. } => try_again(),
        Refusal::NodeFull { location, day, capacity } => info(
            Code::FailedPrecondition,
            message,
            ErrorReason::NodeFull,
            vec![("location_id", location.to_string()), ("day", day.to_string()), ("capacity", capacity.to_string())],
        ),
        Refusal::SourcingRulesNotFound { channel, version } => info(
            Code::NotFound,
            message,
            ErrorReason::SourcingRulesNotFound,
            vec![("channel_id", channel.to_string()), ("version", version.to_string())],
        ),
        Refusal::MoveExceedsHold { line, held, requested } => info(
            Code::FailedPrecondition,
            message,
            ErrorReason::MoveExceedsHold,
            vec![("line", line.to_string()), ("held", held.to_string()), ("requested", requested.to_string())],
        ),
        Refusal::LedgerUnsound { sku, location, expected } => info(
            Code::FailedPrecondition,
            message,
            ErrorReason::LedgerUnsound,
            vec![
                ("sku", sku.to_string()),
                ("location_id", location.to_string()),
                ("sellable", expected.sellable.to_string()),
                ("damaged", expected.damaged.to_string()),
                ("quarantine", expected.quarantine.to_string()),
                ("soft_held", expected.soft_held.to_string()),
                ("hard_held", expected.hard_held.to_string()),
            ],
        ),
    }
}

/// Names the worst line in the metadata, and the short lines, as many as fit, in a PreconditionFailure.
fn insufficient(message: String, short: &[ShortLine]) -> Status {
    let worst = short.iter().max_by_key(|line| line.requested - line.available);
    let metadata = worst.into_iter().flat_map(|line| {
        [
            ("sku", line.sku.to_string()),
            ("location_id", line.location.to_string()),
            ("requested", line.requested.to_string()),
            ("available", line.available.to_string()),
            ("short_lines", short.len().to_string()),
        ]
    });
    let mut details = ErrorDetails::with_error_info(
        reason(ErrorReason::InsufficientStock),
        DOMAIN,
        metadata.map(|(key, value)| (key.to_owned(), value)).collect::<std::collections::HashMap<_, _>>(),
    );
    details.set_precondition_failure(
        short
            .iter()
            .take(MAX_DETAILS)
            .map(|line| {
                PreconditionViolation::new(
                    "STOCK",
                    format!("lines[{}]", line.line),
                    format!(
                        "{} at {}: {} requested, {} available",
                        line.sku, line.location, line.requested, line.available
                    ),
                )
            })
            .collect::<Vec<_>>(),
    );
    Status::with_error_details(Code::FailedPrecondition, message, details)
}

/// Names the worst SKU in the metadata, and as many as fit in a PreconditionFailure.
fn cannot_source(message: String, lines: &[UnsourcedLine]) -> Status {
    let worst = lines.iter().max_by_key(|line| line.unsourced);
    let metadata = worst.into_iter().flat_map(|line| {
        [
            ("sku", line.sku.to_string()),
            ("requested", line.requested.to_string()),
            ("unsourced", line.unsourced.to_string()),
            ("reason", line.why.as_str().to_owned()),
            ("unsourced_skus", lines.len().to_string()),
        ]
    });
    let mut details = ErrorDetails::with_error_info(
        reason(ErrorReason::CannotSource),
        DOMAIN,
        metadata.map(|(key, value)| (key.to_owned(), value)).collect::<std::collections::HashMap<_, _>>(),
    );
    let violations = lines.iter().take(MAX_DETAILS).map(|line| {
        let what = format!("{} requested, {} found nowhere: {}", line.requested, line.unsourced, line.why.as_str());
        PreconditionViolation::new("STOCK", line.sku.to_string(), what)
    });
    details.set_precondition_failure(violations.collect::<Vec<_>>());
    Status::with_error_details(Code::FailedPrecondition, message, details)
}

fn try_again() -> Status {
    status::retry_info(Code::Aborted, "try again", DOMAIN, "TRY_AGAIN", [("", ""); 0], status::RETRY_DELAY)
}

fn mismatch(message: String, line: Option<usize>, expected: i64, found: i64) -> Status {
    let numbers = [("expected", expected.to_string()), ("found", found.to_string())];
    let metadata = numbers.into_iter().chain(line.map(|line| ("line", line.to_string())));
    let why = reason(ErrorReason::VersionMismatch);
    status::retry_info(Code::Aborted, message, DOMAIN, why, metadata, status::RETRY_DELAY)
}

/// Names what is left in a PreconditionFailure.
fn not_empty(message: String, location: &LocationId, left: &Leftovers) -> Status {
    let metadata = [("location_id", location.to_string()), ("levels", left.levels.to_string())];
    let mut details = ErrorDetails::with_error_info(
        reason(ErrorReason::LocationNotEmpty),
        DOMAIN,
        metadata.map(|(key, value)| (key.to_owned(), value)).into_iter().collect::<std::collections::HashMap<_, _>>(),
    );
    details.set_precondition_failure(
        left.first
            .iter()
            .map(|level| {
                PreconditionViolation::new(
                    "STOCK",
                    level.sku.to_string(),
                    format!(
                        "{} on hand, {} held softly, {} held for orders",
                        level.on_hand, level.soft_held, level.hard_held
                    ),
                )
            })
            .collect::<Vec<_>>(),
    );
    Status::with_error_details(Code::FailedPrecondition, message, details)
}

fn info(code: Code, message: String, why: ErrorReason, metadata: Vec<(&'static str, String)>) -> Status {
    status::error_info(code, message, DOMAIN, reason(why), metadata)
}

/// The reason as clients see it: the enum's name without its prefix.
fn reason(why: ErrorReason) -> &'static str {
    why.as_str_name().trim_start_matches("ERROR_REASON_")
}
