//! Answers that refuse: `tonic::Status` with the `google.rpc` details that clients branch on.
//!
//! Codes and their details are the table in `docs/ERRORS.md`; each service maps its errors to these once, in
//! `grpc/status.rs`. Driver and library text never leaves: [`internal`] and [`unavailable`] log the chain and answer
//! fixed words.

use std::{collections::HashMap, error::Error, fmt::Display, time::Duration};

use tonic::{Code, Request, Status};
use tonic_types::{ErrorDetails, FieldViolation, QuotaViolation, StatusExt as _};

use crate::{auth::Caller, lifecycle::Chain};

/// The domain of refusals that the chassis itself gives.
pub const DOMAIN: &str = "oneshelf";

/// Wait before trying again that is told to clients when nothing better is known.
pub const RETRY_DELAY: Duration = Duration::from_millis(200);

/// Who calls. Present in every request that came through [`crate::grpc::serve`].
pub fn caller<T>(request: &Request<T>) -> Result<Caller, Status> {
    request.extensions().get::<Caller>().cloned().ok_or_else(|| {
        tracing::error!("request reached a handler without a caller");
        Status::internal(INTERNAL_TEXT)
    })
}

/// So many fields, or lines, are named at most. What is told travels in headers, and clients bound those: at 16 KiB, some
/// at 8. A basket of 2,000 wrong lines must still be told more than "the connection broke".
pub const MAX_DETAILS: usize = 32;

/// Collects what is wrong with a request, so that the caller learns all of it at once: how many fields, and the first
/// [`MAX_DETAILS`] by name.
///
/// ```
/// # use oneshelf_kit::status::Violations;
/// # fn parse(text: &str) -> Result<u32, std::num::ParseIntError> { text.parse() }
/// # fn convert() -> Result<(u32, u32), tonic::Status> {
/// let mut violations = Violations::new();
/// let quantity = violations.check("lines[0].quantity", parse("1"));
/// let limit = violations.check("limit", parse("2"));
/// match (quantity, limit) {
///     (Some(quantity), Some(limit)) if violations.is_empty() => Ok((quantity, limit)),
///     _ => Err(violations.into_status()),
/// }
/// # }
/// ```
#[derive(Debug, Default)]
pub struct Violations {
    named: Vec<FieldViolation>,
    count: usize,
}

impl Violations {
    pub fn new() -> Self {
        Self::default()
    }

    /// `field` is the path in the request: `lines[3].quantity`.
    pub fn add(&mut self, field: impl Into<String>, description: impl Into<String>) {
        self.count += 1;
        if self.named.len() < MAX_DETAILS {
            self.named.push(FieldViolation::new(field, description));
        }
    }

    /// The value, or `None` and a violation in the error's words.
    pub fn check<T, E: Display>(&mut self, field: impl Into<String>, parsed: Result<T, E>) -> Option<T> {
        match parsed {
            Ok(value) => Some(value),
            Err(error) => {
                self.add(field, error.to_string());
                None
            }
        }
    }

    /// The value of a field that must be set.
    pub fn require<T>(&mut self, field: impl Into<String>, value: Option<T>) -> Option<T> {
        if value.is_none() {
            self.add(field, "is required");
        }
        value
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub fn into_result(self) -> Result<(), Status> {
        if self.is_empty() { Ok(()) } else { Err(self.into_status()) }
    }

    /// INVALID_ARGUMENT with a BadRequest that names the fields; the message repeats the first.
    pub fn into_status(self) -> Status {
        let message = match (&self.named[..], self.count) {
            ([], _) => "the request is malformed".to_owned(),
            ([first, ..], 1) => format!("{}: {}", first.field, first.description),
            ([first, ..], count) => format!("{}: {} (and {} more)", first.field, first.description, count - 1),
        };
        Status::with_error_details(Code::InvalidArgument, message, ErrorDetails::with_bad_request(self.named))
    }
}

/// A refusal that clients recognise by `reason`. Numbers in `metadata` are written as strings.
pub fn error_info<K: Into<String>, V: Into<String>>(
    code: Code,
    message: impl Into<String>,
    domain: &str,
    reason: &str,
    metadata: impl IntoIterator<Item = (K, V)>,
) -> Status {
    Status::with_error_details(code, message, ErrorDetails::with_error_info(reason, domain, pairs(metadata)))
}

/// INVALID_ARGUMENT that only the service's data shows, such as a currency that is not the account's: recognised by
/// `reason`, and with the field that is to be corrected.
pub fn bad_field<K: Into<String>, V: Into<String>>(
    field: impl Into<String>,
    message: impl Into<String>,
    domain: &str,
    reason: &str,
    metadata: impl IntoIterator<Item = (K, V)>,
) -> Status {
    let message = message.into();
    let mut details = ErrorDetails::with_bad_request_violation(field, message.clone());
    details.set_error_info(reason, domain, pairs(metadata));
    Status::with_error_details(Code::InvalidArgument, message, details)
}

/// As [`error_info`], with the time after which the same request may succeed.
pub fn retry_info<K: Into<String>, V: Into<String>>(
    code: Code,
    message: impl Into<String>,
    domain: &str,
    reason: &str,
    metadata: impl IntoIterator<Item = (K, V)>,
    retry_after: Duration,
) -> Status {
    let mut details = ErrorDetails::with_retry_info(Some(retry_after));
    details.set_error_info(reason, domain, pairs(metadata));
    Status::with_error_details(code, message, details)
}

/// NOT_FOUND with the kind (`inventory.v1.Location`, `SKU`) and id of what is missing.
pub fn resource_info(kind: &str, id: impl Into<String>) -> Status {
    let id = id.into();
    Status::with_error_details(
        Code::NotFound,
        format!("{kind} {id} does not exist"),
        ErrorDetails::with_resource_info(kind, id, "", ""),
    )
}

/// RESOURCE_EXHAUSTED: a limit named by `subject` is hit; the same request may succeed after `retry_after`.
pub fn exhausted(
    reason: &str,
    subject: impl Into<String>,
    description: impl Into<String>,
    retry_after: Duration,
) -> Status {
    let description = description.into();
    let mut details = ErrorDetails::with_retry_info(Some(retry_after));
    details.set_quota_failure(vec![QuotaViolation::new(subject, description.clone())]).set_error_info(
        reason,
        DOMAIN,
        HashMap::new(),
    );
    Status::with_error_details(Code::ResourceExhausted, description, details)
}

/// UNAVAILABLE: something this service needs is away. The chain is logged, the caller is told to come back.
pub fn unavailable(error: &(dyn Error + 'static)) -> Status {
    tracing::warn!(error = %Chain(error), "a dependency is away");
    Status::with_error_details(
        Code::Unavailable,
        "a dependency is away, try again",
        ErrorDetails::with_retry_info(Some(RETRY_DELAY)),
    )
}

/// What tonic says of a request that it cannot read, or that is larger than may be: INTERNAL and OUT_OF_RANGE. It is the
/// caller's to mend, so it is INVALID_ARGUMENT here; INTERNAL wakes an operator, who could do nothing about it.
pub fn unreadable(status: Status) -> Status {
    match status.code() {
        Code::Internal | Code::OutOfRange if status.message() != INTERNAL_TEXT => {
            Status::invalid_argument(format!("the request cannot be read: {}", status.message()))
        }
        _ => status,
    }
}

/// INTERNAL with fixed words; the chain is logged here, once.
pub fn internal(error: &(dyn Error + 'static)) -> Status {
    tracing::error!(error = %Chain(error), "internal error");
    Status::internal(INTERNAL_TEXT)
}

pub(crate) const INTERNAL_TEXT: &str = "internal error";

fn pairs<K: Into<String>, V: Into<String>>(metadata: impl IntoIterator<Item = (K, V)>) -> HashMap<String, String> {
    metadata.into_iter().map(|(key, value)| (key.into(), value.into())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_violation_is_told_with_its_path() {
        let mut violations = Violations::new();
        assert_eq!(violations.check("lines[3].quantity", "x".parse::<u32>()), None);
        assert_eq!(violations.check("limit", "7".parse::<u32>()), Some(7));
        assert_eq!(violations.require::<u32>("request_id", None), None);
        let status = violations.into_status();
        assert_eq!(status.code(), Code::InvalidArgument);
        let details = status.get_details_bad_request().unwrap();
        let fields: Vec<_> = details.field_violations.iter().map(|violation| violation.field.as_str()).collect();
        assert_eq!(fields, ["lines[3].quantity", "request_id"]);
    }

    #[test]
    fn of_very_many_violations_the_first_are_named_and_all_are_counted() {
        let mut violations = Violations::new();
        for line in 0..20_000 {
            violations.add(format!("lines[{line}].sku"), "must not be empty");
        }
        let status = violations.into_status();
        assert_eq!(status.message(), "lines[0].sku: must not be empty (and 19999 more)");
        assert_eq!(status.get_details_bad_request().unwrap().field_violations.len(), MAX_DETAILS);
        // Base64 makes 4 bytes of 3.
        assert!(status.details().len() * 4 / 3 < 4_096, "{}", status.details().len());
    }

    #[test]
    fn what_the_data_shows_to_be_wrong_has_a_reason_and_a_field() {
        let status =
            bad_field("amount.currency_code", "in GBP", "partners.oneshelf", "CURRENCY_MISMATCH", [("account", "GBP")]);
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(status.get_details_error_info().unwrap().reason, "CURRENCY_MISMATCH");
        assert_eq!(status.get_details_bad_request().unwrap().field_violations[0].field, "amount.currency_code");
    }

    #[test]
    fn an_internal_error_keeps_its_cause_to_itself() {
        let status = internal(&std::io::Error::other("password=hunter2"));
        assert_eq!(status.code(), Code::Internal);
        assert!(!format!("{status:?}").contains("hunter2"));
    }

    #[test]
    fn a_refusal_carries_reason_domain_and_numbers() {
        let status = error_info(
            Code::FailedPrecondition,
            "short",
            "inventory.oneshelf",
            "INSUFFICIENT_STOCK",
            [("available", "3")],
        );
        let info = status.get_details_error_info().unwrap();
        assert_eq!(info.reason, "INSUFFICIENT_STOCK");
        assert_eq!(info.domain, "inventory.oneshelf");
        assert_eq!(info.metadata["available"], "3");
    }
}
