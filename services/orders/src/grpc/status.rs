//! The one place where an error of this service becomes a status.

use oneshelf_kit::status::{self, Violations};
use oneshelf_proto::orders::v1::ErrorReason;
use tonic::{Code, Status};

use crate::{
    domain::{Refusal, RemoteRefusal},
    usecases::Error,
};

pub const DOMAIN: &str = "orders.oneshelf";

pub fn from_error(error: Error) -> Status {
    match error {
        Error::Refused(refusal) => from_refusal(refusal),
        Error::Remote(refusal) => from_remote(refusal),
        Error::Field { field, description } => violation(field, description),
        Error::Denied(denied) => denied.into(),
        Error::OutOfScope => info(Code::PermissionDenied, error.to_string(), ErrorReason::OutOfScope, vec![]),
        Error::RequestIdReused => bad("request_id", error.to_string(), ErrorReason::RequestIdReused, vec![]),
        Error::InProgress => status::retry_info(
            Code::Aborted,
            error.to_string(),
            DOMAIN,
            reason(ErrorReason::InProgress),
            [("", ""); 0],
            status::RETRY_DELAY,
        ),
        Error::RemoteUnclear(_) | Error::Unavailable(_) => status::unavailable(&error),
        Error::Internal(_) => status::internal(&error),
    }
}

/// As inventory or partners said it, with their domain, reason and details.
fn from_remote(refusal: RemoteRefusal) -> Status {
    Status::with_details(Code::from_i32(refusal.code), refusal.message, refusal.details.into())
}

fn from_refusal(refusal: Refusal) -> Status {
    let message = refusal.to_string();
    match refusal {
        // Whether the quote, the key or the signature is another one cannot be told.
        Refusal::QuoteSignatureInvalid => bad("signed_quote", message, ErrorReason::QuoteSignatureInvalid, vec![]),
        Refusal::QuoteExpired { quote_id, expired_at } => info(
            Code::FailedPrecondition,
            message,
            ErrorReason::QuoteExpired,
            vec![("quote_id", quote_id.to_string()), ("expired_at", expired_at.to_rfc3339())],
        ),
        Refusal::OrderNotFound(order_id) => {
            info(Code::NotFound, message, ErrorReason::OrderNotFound, vec![("order_id", order_id.to_string())])
        }
        Refusal::ReturnNotFound(return_id) => {
            info(Code::NotFound, message, ErrorReason::ReturnNotFound, vec![("return_id", return_id.to_string())])
        }
        Refusal::OrderState { order_id, state } => info(
            Code::FailedPrecondition,
            message,
            ErrorReason::OrderState,
            vec![("order_id", order_id.to_string()), ("state", state.as_str().to_owned())],
        ),
        Refusal::LineNotFound { order_id, line_no } => info(
            Code::NotFound,
            message,
            ErrorReason::LineNotFound,
            vec![("order_id", order_id.to_string()), ("line_no", line_no.to_string())],
        ),
        Refusal::ShipExceedsAllocated { line_no, allocated, requested } => info(
            Code::FailedPrecondition,
            message,
            ErrorReason::ShipExceedsAllocated,
            vec![
                ("line_no", line_no.to_string()),
                ("allocated", allocated.to_string()),
                ("requested", requested.to_string()),
            ],
        ),
        Refusal::ReturnExceedsShipped { order_id, line_no, returnable, requested } => info(
            Code::FailedPrecondition,
            message,
            ErrorReason::ReturnExceedsShipped,
            vec![
                ("order_id", order_id.to_string()),
                ("line_no", line_no.to_string()),
                ("returnable", returnable.to_string()),
                ("requested", requested.to_string()),
            ],
        ),
        Refusal::CurrencyMismatch { expected, found } => bad(
            "currency_code",
            message,
            ErrorReason::CurrencyMismatch,
            vec![("expected", expected.to_string()), ("found", found.to_string())],
        ),
        Refusal::NotTheOrders { field, .. } => violation(field, &message),
        Refusal::AmountOverflow => info(Code::FailedPrecondition, message, ErrorReason::AmountOverflow, vec![]),
    }
}

fn violation(field: String, description: &str) -> Status {
    let mut violations = Violations::new();
    violations.add(field, description);
    violations.into_status()
}

/// INVALID_ARGUMENT that what is stored, or signed, shows.
fn bad(field: &str, message: String, why: ErrorReason, metadata: Vec<(&'static str, String)>) -> Status {
    status::bad_field(field, message, DOMAIN, reason(why), metadata)
}

fn info(code: Code, message: String, why: ErrorReason, metadata: Vec<(&'static str, String)>) -> Status {
    status::error_info(code, message, DOMAIN, reason(why), metadata)
}

/// The reason as clients see it: the enum's name without its prefix.
pub fn reason(why: ErrorReason) -> &'static str {
    why.as_str_name().trim_start_matches("ERROR_REASON_")
}
