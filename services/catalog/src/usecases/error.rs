//! Why a use case ends without doing what was asked. `grpc/status.rs` is the one place that says it to a caller.

use oneshelf_kit::{
    auth::Denied,
    idempotency::Claim,
    pg::{self, DbErrorKind},
};

use crate::domain::Refusal;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Display and cause are the refusal's own.
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("{kind} {id} does not exist")]
    NotFound { kind: Kind, id: String },
    #[error("the request id belongs to a request with other content")]
    RequestIdReused,
    #[error("the key is bound to another channel or partner")]
    OutOfScope,
    #[error(transparent)]
    Denied(#[from] Denied),
    #[error("prices are not loaded yet")]
    NotLoaded,
    /// Others changed the same rows, and the unit of work was repeated in vain.
    #[error("the transaction met others again and again")]
    Conflict(#[source] sqlx::Error),
    #[error("the database is away")]
    Unavailable(#[source] sqlx::Error),
    #[error("the database refused a statement")]
    Internal(#[source] sqlx::Error),
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        match pg::kind(&error) {
            DbErrorKind::Retryable => Self::Conflict(error),
            DbErrorKind::Unavailable => Self::Unavailable(error),
            DbErrorKind::Constraint(_) | DbErrorKind::Other => Self::Internal(error),
        }
    }
}

/// What was not found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Product,
    Variant,
    PriceList,
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Product => "product",
            Self::Variant => "variant",
            Self::PriceList => "price list",
        })
    }
}

/// The stored answer of a request that was already done, or nothing if it is still to do.
pub(crate) fn answered(claim: Claim) -> Result<Option<Vec<u8>>, Error> {
    match claim {
        Claim::New => Ok(None),
        Claim::Answered(answer) => Ok(Some(answer)),
        Claim::Reused => Err(Error::RequestIdReused),
    }
}
