//! The body of a streaming answer: ends it in words instead of by cutting the connection.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures::future::BoxFuture;
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status, body::Body};
use tracing::Span;

use super::{deadline::Deadline, methods::Observed};
use crate::status::INTERNAL_TEXT;

/// Passes the handler's stream on until it ends, the caller's deadline passes or the server stops. Holds the call's
/// place in the stream limit, its measure and its span for that long.
pub(super) struct StreamBody {
    inner: Body,
    end: BoxFuture<'static, Status>,
    observed: Observed,
    span: Span,
    done: bool,
    _permit: Option<OwnedSemaphorePermit>,
}

/// What ends a stream from our side.
pub(super) struct Bounds {
    pub(super) deadline: Option<Deadline>,
    pub(super) soft: CancellationToken,
    /// From the soft stop until the stream is ended; zero where the client sends nothing that could be lost.
    pub(super) grace: Duration,
}

impl Bounds {
    async fn passed(self) -> Status {
        let stopping = async {
            self.soft.cancelled().await;
            tokio::time::sleep(self.grace).await;
        };
        let late = async {
            match self.deadline {
                Some(Deadline(at)) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = stopping => Status::unavailable("the server is stopping: resume on another one"),
            () = late => Status::deadline_exceeded("the deadline passed"),
        }
    }
}

impl StreamBody {
    pub(super) fn new(
        inner: Body,
        bounds: Bounds,
        observed: Observed,
        span: Span,
        permit: Option<OwnedSemaphorePermit>,
    ) -> Self {
        Self { inner, end: Box::pin(bounds.passed()), observed, span, done: false, _permit: permit }
    }

    fn finish(&mut self, status: &Status) -> Frame<prost::bytes::Bytes> {
        self.done = true;
        self.observed.finish(status.code());
        // The handler's stream is dropped now, not when the connection gets round to it.
        self.inner = Body::empty();
        let mut trailers = HeaderMap::new();
        if status.add_header(&mut trailers).is_err() {
            trailers.insert("grpc-status", http::HeaderValue::from_static("13"));
        }
        Frame::trailers(trailers)
    }
}

impl http_body::Body for StreamBody {
    type Data = prost::bytes::Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Self::Data>, Status>>> {
        let this = self.get_mut();
        if this.done {
            return Poll::Ready(None);
        }
        let span = this.span.clone();
        let _entered = span.enter();
        // First, so that a stream which always has something to say is ended too.
        if let Poll::Ready(status) = this.end.as_mut().poll(cx) {
            return Poll::Ready(Some(Ok(this.finish(&status))));
        }
        let inner = &mut this.inner;
        let Ok(polled) = catch_unwind(AssertUnwindSafe(|| Pin::new(inner).poll_frame(cx))) else {
            return Poll::Ready(Some(Ok(this.finish(&Status::internal(INTERNAL_TEXT)))));
        };
        let frame = ready!(polled);
        match &frame {
            Some(Ok(frame)) => {
                if let Some(trailers) = frame.trailers_ref() {
                    this.observed.finish(code_of(trailers));
                }
            }
            Some(Err(status)) => this.observed.finish(status.code()),
            None => this.done = true,
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.done || self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// The code that an answer's head or trailers carry; none means it went well.
pub(super) fn code_of(headers: &HeaderMap) -> Code {
    headers.get("grpc-status").map_or(Code::Ok, |code| Code::from_bytes(code.as_bytes()))
}
