//! The one place where a use case's error becomes a status.

use oneshelf_kit::{
    pg::{self, DbErrorKind},
    status,
};
use oneshelf_proto::loyalty::v1::ErrorReason;
use tonic::{Code, Status};

use crate::{domain::Refusal, usecases::Error};

const DOMAIN: &str = "loyalty.oneshelf";

pub(super) fn to_status(error: Error) -> Status {
    let message = error.to_string();
    match error {
        Error::Refused(Refusal::MemberExists { member_id }) => {
            info(Code::AlreadyExists, &message, ErrorReason::MemberExists, [("member_id", String::from(member_id))])
        }
        // These answer events; no RPC brings a document.
        Error::Refused(
            Refusal::OtherMember { .. }
            | Refusal::OtherCurrency { .. }
            | Refusal::LineTwice { .. }
            | Refusal::PointsOverflow { .. },
        ) => status::internal(&error),
        Error::MemberNotFound { member_id } => status::resource_info("loyalty.v1.Member", member_id),
        Error::RequestIdReused => {
            status::bad_field("request_id", message, DOMAIN, reason(ErrorReason::RequestIdReused), [("", ""); 0])
        }
        Error::Database(ref cause) => match pg::kind(cause) {
            DbErrorKind::Unavailable | DbErrorKind::Retryable => status::unavailable(&error),
            DbErrorKind::Constraint(_) | DbErrorKind::Other => status::internal(&error),
        },
    }
}

fn info<const N: usize>(code: Code, message: &str, why: ErrorReason, metadata: [(&str, String); N]) -> Status {
    status::error_info(code, message, DOMAIN, reason(why), metadata)
}

/// The enum's name without its prefix, as clients compare it.
fn reason(reason: ErrorReason) -> &'static str {
    reason.as_str_name().trim_start_matches("ERROR_REASON_")
}
