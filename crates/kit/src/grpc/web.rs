//! gRPC-Web for browsers on the same port. A native call passes by all of it.

use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures::future::Either;
use http::{
    HeaderName, HeaderValue, Method, Request, Response, Version,
    header::{CONTENT_TYPE, InvalidHeaderValue, ORIGIN},
};
use tonic::body::Body;
use tonic_web::{GrpcWebLayer, GrpcWebService};
use tower::{Layer as _, Service};
use tower_http::cors::{AllowHeaders, AllowOrigin, Any, Cors, CorsLayer};

use super::call::CallService;

#[derive(Clone)]
pub(super) struct Front {
    native: CallService,
    /// Shared, because a connection clones its service for every request.
    web: Arc<Web>,
}

type Web = Cors<GrpcWebService<CallService>>;

impl Front {
    pub(super) fn try_new(native: CallService, origins: &[String]) -> Result<Self, InvalidHeaderValue> {
        let web = cors(origins)?.layer(GrpcWebLayer::new().layer(native.clone()));
        Ok(Self { native, web: Arc::new(web) })
    }
}

impl Service<Request<Body>> for Front {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Either<<CallService as Service<Request<Body>>>::Future, <Web as Service<Request<Body>>>::Future>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        if is_native(&request) {
            Either::Left(self.native.call(request))
        } else {
            Either::Right(Web::clone(&self.web).call(request))
        }
    }
}

fn is_native(request: &Request<Body>) -> bool {
    let headers = request.headers();
    request.version() == Version::HTTP_2
        && !headers.contains_key(ORIGIN)
        && headers.get(CONTENT_TYPE).is_some_and(|kind| !kind.as_bytes().starts_with(b"application/grpc-web"))
}

/// Keys travel in a header that the page sets itself, never in cookies, so any origin may be allowed.
fn cors(origins: &[String]) -> Result<CorsLayer, InvalidHeaderValue> {
    let origin: AllowOrigin = if origins.iter().any(|origin| origin == "*") {
        Any.into()
    } else {
        origins.iter().map(|origin| origin.parse()).collect::<Result<Vec<HeaderValue>, _>>()?.into()
    };
    Ok(CorsLayer::new()
        .allow_origin(origin)
        .allow_methods([Method::POST])
        // Mirrored: a wildcard does not cover `authorization`.
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers(["grpc-status", "grpc-message", "grpc-status-details-bin"].map(HeaderName::from_static))
        .max_age(Duration::from_secs(24 * 3_600)))
}
