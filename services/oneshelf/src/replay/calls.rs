//! How a request is sent: retried where that is safe and promising, and twice where asked for.
//!
//! Every mutation carries its request id, so after any unclear outcome the same request is sent again. With `--twice`
//! each answered request is sent once more and both answers must be the same, byte for byte.

use std::{fmt, time::Duration};

use anyhow::bail;
use oneshelf_proto::catalog::v1::GetPriceBookRequest;
use prost::Message;
use tonic::{Code, Response, Status};
use tonic_types::StatusExt as _;

use crate::api::Api;

/// Tries of one request; with the pauses between them about a minute, longer than a restart of a service takes.
const MAX_TRIES: u32 = 20;
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Tries of the first request, over about three seconds.
const FEW_TRIES: u32 = 7;

/// An answer that repeating does not change.
#[derive(Debug)]
pub struct CallError {
    pub rpc: &'static str,
    pub status: Box<Status>,
}

impl CallError {
    /// The `reason` that clients branch on; empty where the error has none.
    pub fn reason(&self) -> String {
        self.status.get_details_error_info().map(|info| info.reason).unwrap_or_default()
    }
}

impl std::error::Error for CallError {}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} answered {:?}: {}", self.rpc, self.status.code(), self.status.message())?;
        if let Some(info) = self.status.get_details_error_info() {
            let mut metadata: Vec<_> = info.metadata.into_iter().collect();
            metadata.sort();
            write!(f, " ({} {metadata:?})", info.reason)?;
        }
        for violation in self.status.get_details_bad_request().map(|bad| bad.field_violations).unwrap_or_default() {
            write!(f, "; {}: {}", violation.field, violation.description)?;
        }
        Ok(())
    }
}

/// Whether sending the same again may help.
pub fn is_transient(status: &Status) -> bool {
    match status.code() {
        // CANCELLED is what tonic's client says when its own timer runs out.
        Code::Unavailable | Code::Aborted | Code::ResourceExhausted | Code::DeadlineExceeded | Code::Cancelled => true,
        // A connection that breaks in the middle of an answer is told with its cause; what a server says has none.
        Code::Unknown | Code::Internal => std::error::Error::source(status).is_some(),
        _ => false,
    }
}

/// The pause before the next of some tries: doubling, up to a bound, with jitter so that clients part.
pub fn pause(tries: u32) -> Duration {
    let longest = FIRST_PAUSE.saturating_mul(1 << tries.min(10)).min(LONGEST_PAUSE);
    longest.mul_f64(rand::random_range(0.5..1.0))
}

#[derive(Clone)]
pub struct Caller {
    pub api: Api,
    pub twice: bool,
}

impl Caller {
    /// Sends one mutation: `call` is the RPC of a client in [`Api`].
    pub async fn send<Q, A, F>(&self, rpc: &'static str, request: Q, call: impl Fn(Api, Q) -> F) -> anyhow::Result<A>
    where
        Q: Clone,
        A: Message + Default + fmt::Debug,
        F: Future<Output = Result<Response<A>, Status>>,
    {
        let first = self.read(rpc, request.clone(), &call).await?;
        if self.twice {
            let second = self.read(rpc, request, &call).await?;
            if first.encode_to_vec() != second.encode_to_vec() {
                bail!("{rpc} answered the same request differently: first {first:?}, then {second:?}");
            }
        }
        Ok(first)
    }

    /// Whether anybody answers at all, found out soon: a wrong address or key is no outage to sit through.
    pub async fn greet(&self, target: &str) -> anyhow::Result<()> {
        for tries in 0..FEW_TRIES {
            match self.api.catalog.clone().get_price_book(GetPriceBookRequest {}).await {
                Ok(_) => return Ok(()),
                Err(status) if is_transient(&status) => tokio::time::sleep(pause(tries)).await,
                Err(status) => return Err(CallError { rpc: "GetPriceBook", status: Box::new(status) }.into()),
            }
        }
        bail!("nobody answers at {target}: start `oneshelf serve all`, or say with --target where it serves")
    }

    /// Sends one request that changes nothing.
    pub async fn read<Q, A, F>(&self, rpc: &'static str, request: Q, call: impl Fn(Api, Q) -> F) -> Result<A, CallError>
    where
        Q: Clone,
        F: Future<Output = Result<Response<A>, Status>>,
    {
        let mut tries = 0;
        loop {
            match call(self.api.clone(), request.clone()).await {
                Ok(answer) => return Ok(answer.into_inner()),
                Err(status) if is_transient(&status) && tries < MAX_TRIES => {
                    tracing::debug!(rpc, %status, tries, "again");
                    tokio::time::sleep(pause(tries)).await;
                    tries += 1;
                }
                Err(status) => return Err(CallError { rpc, status: Box::new(status) }),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_decided_is_not_asked_again_and_a_broken_connection_is() {
        for code in [Code::Unavailable, Code::Aborted, Code::ResourceExhausted, Code::DeadlineExceeded] {
            assert!(is_transient(&Status::new(code, "")), "{code:?}");
        }
        for code in [Code::InvalidArgument, Code::FailedPrecondition, Code::NotFound, Code::Internal, Code::Unknown] {
            assert!(!is_transient(&Status::new(code, "")), "{code:?}");
        }
        let broken = Status::from_error("the connection broke".into());
        assert_eq!(broken.code(), Code::Unknown);
        assert!(is_transient(&broken));
    }

    #[test]
    fn pauses_grow_up_to_a_bound() {
        assert!(pause(0) <= FIRST_PAUSE);
        assert!((0..100).all(|tries| pause(tries) <= LONGEST_PAUSE));
        assert!(pause(20) >= LONGEST_PAUSE / 2);
    }
}
