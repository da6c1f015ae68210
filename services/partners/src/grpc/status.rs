//! The one place where a use case's error becomes a status.

use oneshelf_kit::{
    batch::Submit,
    pg::{self, DbErrorKind},
    status,
};
use oneshelf_proto::partners::v1::ErrorReason;
use tonic::{Code, Status};

use crate::{domain::Refusal, usecases::Error};

const DOMAIN: &str = "partners.oneshelf";

pub(super) fn to_status(error: Error) -> Status {
    status_of("amount", error)
}

/// As [`to_status`], where the money of the request is the limit.
pub(super) fn limit_to_status(error: Error) -> Status {
    status_of("credit_limit", error)
}

fn status_of(money: &str, error: Error) -> Status {
    let message = error.to_string();
    match error {
        Error::Refused(refusal) => refused(money, &message, refusal),
        Error::PartnerNotFound { partner_id } => status::resource_info("partners.v1.Partner", partner_id),
        Error::HoldNotFound { hold_id } => status::resource_info("partners.v1.CreditHold", hold_id.to_string()),
        Error::OutOfScope { partner_id } => {
            info(Code::PermissionDenied, &message, ErrorReason::OutOfScope, [("partner_id", partner_id.into())])
        }
        Error::RequestIdReused => {
            status::bad_field("request_id", message, DOMAIN, reason(ErrorReason::RequestIdReused), [("", ""); 0])
        }
        Error::Overloaded => status::exhausted("OVERLOADED", "credit commands waiting", message, status::RETRY_DELAY),
        Error::Unanswered(ref cause) => match cause {
            Submit::Broken | Submit::Failed(_) => status::internal(&error),
            Submit::Overloaded | Submit::Stopping | Submit::Unavailable => status::unavailable(&error),
        },
        Error::Database(ref cause) => match pg::kind(cause) {
            DbErrorKind::Unavailable | DbErrorKind::Retryable => status::unavailable(&error),
            DbErrorKind::Constraint(_) | DbErrorKind::Other => status::internal(&error),
        },
    }
}

fn refused(money: &str, message: &str, refusal: Refusal) -> Status {
    use ErrorReason as R;
    let precondition = Code::FailedPrecondition;
    match refusal {
        Refusal::PartnerExists { partner_id } => {
            info(Code::AlreadyExists, message, R::PartnerExists, [("partner_id", partner_id.into())])
        }
        Refusal::PartnerSuspended { partner_id } => {
            info(precondition, message, R::PartnerSuspended, [("partner_id", partner_id.into())])
        }
        Refusal::CreditExceeded { partner_id, requested, available } => info(
            precondition,
            message,
            R::CreditExceeded,
            [
                ("partner_id", partner_id.into()),
                ("requested_minor", requested.minor().to_string()),
                ("available_minor", available.minor().to_string()),
                ("currency_code", requested.currency().code().to_owned()),
            ],
        ),
        Refusal::HoldResolved { hold_id } => {
            info(precondition, message, R::HoldResolved, [("hold_id", hold_id.to_string())])
        }
        Refusal::CaptureExceedsHold { hold_id, held, requested } => info(
            precondition,
            message,
            R::CaptureExceedsHold,
            [
                ("hold_id", hold_id.to_string()),
                ("held_minor", held.minor().to_string()),
                ("requested_minor", requested.minor().to_string()),
            ],
        ),
        Refusal::CurrencyMismatch { partner_id, given, account } => status::bad_field(
            format!("{money}.currency_code"),
            message,
            DOMAIN,
            reason(R::CurrencyMismatch),
            [
                ("partner_id", partner_id.into()),
                ("given", given.code().to_owned()),
                ("account", account.code().to_owned()),
            ],
        ),
        Refusal::VersionMismatch { partner_id, expected, actual } => status::retry_info(
            Code::Aborted,
            message,
            DOMAIN,
            reason(R::VersionMismatch),
            [
                ("partner_id", String::from(partner_id)),
                ("expected_version", expected.to_string()),
                ("actual_version", actual.to_string()),
            ],
            status::RETRY_DELAY,
        ),
        Refusal::AmountOverflow { partner_id } => {
            info(precondition, message, R::AmountOverflow, [("partner_id", partner_id.into())])
        }
    }
}

fn info<const N: usize>(code: Code, message: &str, why: ErrorReason, metadata: [(&str, String); N]) -> Status {
    status::error_info(code, message, DOMAIN, reason(why), metadata)
}

/// The enum's name without its prefix, as clients compare it.
fn reason(reason: ErrorReason) -> &'static str {
    reason.as_str_name().trim_start_matches("ERROR_REASON_")
}
