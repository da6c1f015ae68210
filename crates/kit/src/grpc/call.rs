//! The road of a call from the wire to the handler and back, the same for every method.
//!
//! 1. the method is found by its path; an unknown one is UNIMPLEMENTED
//! 2. a place among the calls in progress is taken, or RESOURCE_EXHAUSTED at once: shedding early is what keeps a
//!    server quick under more load than it can carry. So nothing is done for such a call but to count it
//! 3. a span is opened, child of the caller's trace
//! 4. the key is checked, then its scope for this verb
//! 5. the handler runs under the deadline; a panic is INTERNAL and stays in this call, and a request that cannot be read
//!    is INVALID_ARGUMENT
//! 6. the outcome is measured
//!
//! A call that is refused ahead of its handler is read to its end all the same: h2 charges small frames that nobody reads to
//! the connection, and after some thousands of them closes it, with every call on it ("too_many_data_frames").
//!
//! One service instead of a layer each: the whole road is one future, boxed once, and reads as one paragraph.

use std::{
    convert::Infallible,
    panic::AssertUnwindSafe,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use futures::{FutureExt as _, future::BoxFuture};
use http::{HeaderMap, Request, Response, header::AUTHORIZATION};
use http_body_util::BodyExt as _;
use prost::bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status, body::Body, service::Routes};
use tower::Service;
use tracing::{Instrument as _, Span, field};

use super::{
    deadline::Deadline,
    methods::{Method, Methods, Observed},
    stream::{Bounds, StreamBody, code_of},
};
use crate::{
    auth::{Authenticator, Caller, scope_missing},
    status::{self, INTERNAL_TEXT, RETRY_DELAY, unreadable},
    telemetry,
};

pub(super) struct Calls {
    pub(super) methods: Methods,
    pub(super) auth: Authenticator,
    pub(super) unary: Gate,
    pub(super) streams: Gate,
    pub(super) default_deadline: Duration,
    pub(super) max_deadline: Duration,
    pub(super) soft: CancellationToken,
    /// From the soft stop until streams on which the client still sends are ended.
    pub(super) stream_grace: Duration,
}

/// Lets in so many calls at a time.
pub(super) struct Gate {
    places: Arc<Semaphore>,
    /// How the others are answered, made once: under overload most answers are this one.
    refusal: HeaderMap,
}

impl Gate {
    pub(super) fn new(places: usize, subject: &str) -> Self {
        let refusal = status::exhausted("OVERLOADED", subject, "the server is at its limit", RETRY_DELAY);
        let refusal = refusal.into_http::<Body>().into_parts().0.headers;
        Self { places: Arc::new(Semaphore::new(places)), refusal }
    }

    fn enter(&self) -> Result<OwnedSemaphorePermit, Response<Body>> {
        Arc::clone(&self.places).try_acquire_owned().map_err(|_| {
            let mut response = Response::new(Body::empty());
            response.headers_mut().clone_from(&self.refusal);
            response
        })
    }
}

impl Calls {
    async fn answer(self: Arc<Self>, routes: Routes, request: Request<Body>, arrived: Instant) -> Response<Body> {
        let Some(method) = self.methods.get(request.uri().path()).cloned() else {
            read_rest(request).await;
            return Status::unimplemented("no such method here").into_http();
        };
        let mut observed = Observed::start(method.clone(), arrived);
        let permit = match self.admit(&method) {
            Ok(permit) => permit,
            Err(refusal) => {
                observed.finish(Code::ResourceExhausted);
                if !method.client_streaming {
                    read_rest(request).await;
                }
                return refusal;
            }
        };
        // ERROR, so that no log level cuts the trace apart.
        let span = tracing::error_span!("rpc", method = &*method.path, caller = field::Empty);
        if let Some(parent) = request.headers().get("traceparent").and_then(|text| text.to_str().ok()) {
            telemetry::set_parent(&span, parent);
        }
        let handled = self.handle(&method, routes, request, arrived).instrument(span.clone()).await;
        match handled {
            Ok((response, deadline)) if method.is_streaming() && code_of(response.headers()) == Code::Ok => {
                let bounds = Bounds {
                    deadline,
                    soft: self.soft.clone(),
                    grace: if method.client_streaming { self.stream_grace } else { Duration::ZERO },
                };
                response.map(|body| Body::new(StreamBody::new(body, bounds, observed, span, permit)))
            }
            Ok((response, _)) => {
                observed.finish(code_of(response.headers()));
                response
            }
            Err(status) => {
                observed.finish(status.code());
                status.into_http()
            }
        }
    }

    async fn handle(
        &self,
        method: &Method,
        routes: Routes,
        mut request: Request<Body>,
        arrived: Instant,
    ) -> Result<(Response<Body>, Option<Deadline>), Status> {
        let deadline = self.deadline(method, request.headers(), arrived);
        let answered = async {
            if let Some(permission) = &method.permission {
                match self.allow(permission, request.headers()).await {
                    Ok(caller) => request.extensions_mut().insert(caller),
                    Err(refusal) => {
                        if !method.client_streaming {
                            read_rest(request).await;
                        }
                        return Err(refusal);
                    }
                };
            }
            if let Some(deadline) = deadline {
                request.extensions_mut().insert(deadline);
            }
            run(routes, request).await
        };
        let response = match deadline {
            None => answered.await?,
            Some(deadline) => tokio::time::timeout_at(deadline.0.into(), deadline.scope(answered))
                .await
                .unwrap_or_else(|_| Err(Status::deadline_exceeded("the deadline passed")))?,
        };
        Ok((response, deadline))
    }

    async fn allow(&self, permission: &str, headers: &HeaderMap) -> Result<Caller, Status> {
        let caller = self.auth.authenticate(headers.get(AUTHORIZATION)).await?;
        Span::current().record("caller", caller.key_id());
        if caller.allows(permission) { Ok(caller) } else { Err(scope_missing(permission)) }
    }

    /// Probes are never shed: a busy server is not a dead one.
    fn admit(&self, method: &Method) -> Result<Option<OwnedSemaphorePermit>, Response<Body>> {
        if method.permission.is_none() {
            return Ok(None);
        }
        let gate = if method.is_streaming() { &self.streams } else { &self.unary };
        gate.enter().map(Some)
    }

    /// Streams are long by nature: only a deadline that the caller set itself ends them.
    fn deadline(&self, method: &Method, headers: &HeaderMap, arrived: Instant) -> Option<Deadline> {
        let requested = Deadline::requested(headers, arrived, self.max_deadline);
        if method.is_streaming() {
            return requested;
        }
        Some(requested.unwrap_or(Deadline(arrived + self.default_deadline)))
    }
}

/// What is read of a refused request, and for how long: whoever sends more, or no end, is not waited for.
const REST_BYTES: usize = 64 * 1024;
const REST_TIME: Duration = Duration::from_secs(1);

async fn read_rest(request: Request<Body>) {
    let mut body = request.into_body();
    let mut left = REST_BYTES;
    let rest = async {
        while let Some(Ok(frame)) = body.frame().await {
            left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
            if left == 0 {
                break;
            }
        }
    };
    // The answer is the same either way.
    let _ = tokio::time::timeout(REST_TIME, rest).await;
}

async fn run(mut routes: Routes, request: Request<Body>) -> Result<Response<Body>, Status> {
    // The request is gone after a panic and what handlers share (pools, locks, queues) survives one.
    let answered = AssertUnwindSafe(async move { routes.call(request).await }).catch_unwind();
    match answered.await {
        Ok(Ok(response)) => match Status::from_header_map(response.headers()) {
            // What our handlers refuse has other codes, or our own words.
            Some(refused) if matches!(refused.code(), Code::Internal | Code::OutOfRange) => Err(unreadable(refused)),
            _ => Ok(response),
        },
        Ok(Err(never)) => match never {},
        // The panic hook has logged it.
        Err(_) => Err(Status::internal(INTERNAL_TEXT)),
    }
}

/// [`Calls`] before the handlers, as the service that connections talk to.
#[derive(Clone)]
pub(super) struct CallService {
    pub(super) calls: Arc<Calls>,
    pub(super) routes: Routes,
}

impl Service<Request<Body>> for CallService {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        // Here and not in the future: tonic's own timer must not start before ours.
        let arrived = Instant::now();
        let calls = Arc::clone(&self.calls);
        let routes = self.routes.clone();
        Box::pin(async move { Ok(calls.answer(routes, request, arrived).await) })
    }
}
