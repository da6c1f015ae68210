//! Calls to our own services: with our key, within the caller's deadline, in the caller's trace.

use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use tonic::{
    Code, Request, Status,
    metadata::{Ascii, MetadataValue, errors::InvalidMetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Channel, Endpoint},
};

use super::deadline::Deadline;
use crate::{config::ClientConfig, telemetry};

/// What a generated client is made from: `InventoryServiceClient::new(channel)`. Cheap to clone; clones share a
/// connection.
pub type ClientChannel = InterceptedService<Channel, Outgoing>;

#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("{url} is not the address of a service")]
    Url { url: String, source: tonic::transport::Error },
    #[error("the service key does not fit a header")]
    Key(#[from] InvalidMetadataValue),
}

/// A channel that connects at its first call and again whenever the connection is lost. Must be made inside a runtime.
pub fn connect_lazy(cfg: &ClientConfig, key: &SecretString) -> Result<ClientChannel, ClientError> {
    let endpoint =
        Endpoint::from_shared(cfg.url.clone()).map_err(|source| ClientError::Url { url: cfg.url.clone(), source })?;
    let channel = endpoint
        .connect_timeout(Duration::from_secs(2))
        .tcp_nodelay(true)
        // A peer that vanished without a word is noticed within 15 s.
        .http2_keep_alive_interval(Duration::from_secs(10))
        .keep_alive_timeout(Duration::from_secs(5))
        .keep_alive_while_idle(true)
        .connect_lazy();
    Ok(InterceptedService::new(channel, Outgoing::try_new(key, cfg)?))
}

/// Adds `authorization`, `traceparent` and `grpc-timeout`.
#[derive(Clone)]
pub struct Outgoing {
    authorization: MetadataValue<Ascii>,
    timeout: Duration,
}

impl Outgoing {
    pub fn try_new(key: &SecretString, cfg: &ClientConfig) -> Result<Self, InvalidMetadataValue> {
        let mut authorization: MetadataValue<Ascii> = format!("Bearer {}", key.expose_secret()).parse()?;
        authorization.set_sensitive(true);
        Ok(Self { authorization, timeout: Duration::from_millis(cfg.timeout_ms) })
    }
}

impl Interceptor for Outgoing {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        // The channel's own timeout would not tell the server; this header does. One set by the call itself stays.
        if !request.metadata().contains_key("grpc-timeout") {
            let left = Deadline::current().map_or(self.timeout, |deadline| deadline.remaining().min(self.timeout));
            if left.is_zero() {
                return Err(Status::deadline_exceeded("no time is left to ask another service"));
            }
            request.set_timeout(left);
        }
        let metadata = request.metadata_mut();
        metadata.insert("authorization", self.authorization.clone());
        if let Some(parent) = telemetry::current_traceparent().and_then(|text| text.parse().ok()) {
            metadata.insert("traceparent", parent);
        }
        Ok(request)
    }
}

/// Whether the answer leaves open if the call had its effect. It must then be repeated with the same `request_id`, now
/// or by the process step's next try. CANCELLED is among them: tonic's client says so when its timer runs out.
pub fn outcome_unknown(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Internal | Code::Unknown
    )
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn outgoing() -> Outgoing {
        Outgoing::try_new(&SecretString::from("oss_orders_00"), &ClientConfig::new("http://peer")).unwrap()
    }

    fn sent(request: &Request<()>, key: &str) -> Option<String> {
        request.metadata().get(key).map(|value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn outside_a_request_the_configured_time_is_sent() {
        let request = outgoing().call(Request::new(())).unwrap();
        assert_eq!(sent(&request, "grpc-timeout").as_deref(), Some("5000000u"));
        assert_eq!(sent(&request, "authorization").as_deref(), Some("Bearer oss_orders_00"));
    }

    #[tokio::test]
    async fn inside_a_request_its_remaining_time_is_sent() {
        let deadline = Deadline(Instant::now() + Duration::from_secs(4));
        let request = deadline.scope(async { outgoing().call(Request::new(())) }).await.unwrap();
        let micros: u64 = sent(&request, "grpc-timeout").unwrap().trim_end_matches('u').parse().unwrap();
        assert!((1..=4_000_000).contains(&micros), "{micros}");
    }

    #[tokio::test]
    async fn without_time_left_nothing_is_sent() {
        let refused = Deadline(Instant::now()).scope(async { outgoing().call(Request::new(())) }).await;
        assert_eq!(refused.unwrap_err().code(), Code::DeadlineExceeded);
    }

    #[test]
    fn a_key_is_never_printed() {
        let request = outgoing().call(Request::new(())).unwrap();
        assert!(!format!("{request:?}").contains("oss_orders"));
    }
}
