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
        Error::RequestIdReused => info(Code::InvalidArgument, &message, ErrorReason::RequestIdReused, []),
        Error::Database(ref cause) => match pg::kind(cause) {
            DbErrorKind::Unavailable | DbErrorKind::Retryable => status::unavailable(&error),
            DbErrorKind::Constraint(_) | DbErrorKind::Other => status::internal(&error),
        },
    }
}

fn info<const N: usize>(code: Code, message: &str, why: ErrorReason, metadata: [(&str, String); N]) -> Status {
    let reason = why.as_str_name().trim_start_matches("ERROR_REASON_");
    status::error_info(code, message, DOMAIN, reason, metadata)
}
