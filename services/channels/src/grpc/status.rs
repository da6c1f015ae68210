//! The one place where an error of a use case becomes a gRPC status.

use oneshelf_kit::status::{self, RETRY_DELAY};
use oneshelf_proto::channels::v1::ErrorReason;
use oneshelf_values::ChannelId;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::{domain::Refusal, usecases::Error};

const DOMAIN: &str = "channels.oneshelf";

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        match &error {
            Error::Refused(refusal) => refused(refusal),
            Error::Unavailable(_) => status::unavailable(&error),
            Error::Internal(_) => status::internal(&error),
        }
    }
}

fn refused(refusal: &Refusal) -> Status {
    tracing::info!(%refusal, "refused");
    let text = refusal.to_string();
    match refusal {
        Refusal::ChannelExists(channel_id) => status::error_info(
            Code::AlreadyExists,
            text,
            DOMAIN,
            reason(ErrorReason::ChannelExists),
            [("channel_id", channel_id.as_str())],
        ),
        Refusal::ChannelNotFound(channel_id) => not_found(channel_id, text),
        Refusal::CursorInvalid(channel_id) => status::bad_field(
            "cursor",
            text,
            DOMAIN,
            reason(ErrorReason::CursorInvalid),
            [("channel_id", channel_id.as_str())],
        ),
        Refusal::RequestIdReused => {
            status::bad_field("request_id", text, DOMAIN, reason(ErrorReason::RequestIdReused), [] as [(&str, &str); 0])
        }
        Refusal::OutOfScope(channel_id) => status::error_info(
            Code::PermissionDenied,
            text,
            DOMAIN,
            reason(ErrorReason::OutOfScope),
            [("channel_id", channel_id.as_str())],
        ),
        Refusal::VersionAhead { sku, sent, acknowledged } => status::error_info(
            Code::FailedPrecondition,
            text,
            DOMAIN,
            reason(ErrorReason::VersionAhead),
            [("sku", sku.to_string()), ("sent", sent.to_string()), ("acknowledged", acknowledged.to_string())],
        ),
        Refusal::VersionMismatch { channel_id, expected, current } => status::retry_info(
            Code::Aborted,
            text,
            DOMAIN,
            reason(ErrorReason::VersionMismatch),
            [
                ("channel_id", channel_id.to_string()),
                ("expected", expected.to_string()),
                ("current", current.to_string()),
            ],
            RETRY_DELAY,
        ),
    }
}

fn not_found(channel_id: &ChannelId, text: String) -> Status {
    let mut details = ErrorDetails::with_resource_info("channels.v1.Channel", channel_id.as_str(), "", "");
    details.set_error_info(
        reason(ErrorReason::ChannelNotFound),
        DOMAIN,
        [("channel_id".to_owned(), channel_id.to_string())],
    );
    Status::with_error_details(Code::NotFound, text, details)
}

/// The name that clients branch on.
fn reason(reason: ErrorReason) -> &'static str {
    let name = reason.as_str_name();
    name.strip_prefix("ERROR_REASON_").unwrap_or(name)
}
