//! The services that are asked: inventory for stock, partners for credit.
//!
//! A call comes to one of three ends. *Done*. *Refused*: the remote decided against it and changed nothing. *Unclear*:
//! away, too slow, overloaded or misconfigured; whether it was done is learned by asking again with the same request id.

pub mod inventory;
pub mod partners;

use chrono::{DateTime, Utc};
use prost_types::Timestamp;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::domain::RemoteRefusal;

/// Why a call was not done for certain.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CallError {
    #[error("refused: {} ({})", .0.reason, .0.message)]
    Refused(RemoteRefusal),
    #[error("no clear answer: {0}")]
    Unclear(String),
}

impl From<Status> for CallError {
    fn from(status: Status) -> Self {
        // Only what a rule of the remote decided. A missing scope or an unknown key is a fault of the installation: the
        // order waits until it is mended.
        let decided = matches!(
            status.code(),
            Code::FailedPrecondition | Code::NotFound | Code::InvalidArgument | Code::AlreadyExists | Code::OutOfRange
        );
        if !decided {
            return Self::Unclear(format!("{:?}: {}", status.code(), status.message()));
        }
        let reason = status.get_details_error_info().map_or_else(|| format!("{:?}", status.code()), |info| info.reason);
        Self::Refused(RemoteRefusal {
            code: status.code() as i32,
            reason,
            message: status.message().to_owned(),
            details: status.details().to_vec(),
        })
    }
}

/// When it happened, if the caller said so. A till's clock may be ahead of ours; the remote knows no future.
fn effective_time(at: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Option<Timestamp> {
    at.map(|at| crate::time::timestamp(at.min(now)))
}
