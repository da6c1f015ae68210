//! Logs, traces and metrics of the process.
//!
//! **Traces.** W3C `traceparent` travels in gRPC metadata, in outbox rows and in AMQP headers, whether or not anything
//! is exported: without an exporter a caller's trace id is handed on unchanged, and a root that needs one makes it, so
//! that log lines of different services can still be joined. Spans are carried by [`tracing`]; work that is spawned
//! must take its span along (`.in_current_span()`).
//!
//! **Metrics** (Prometheus; base units; every label is a small closed set; a service's own begin with
//! `oneshelf_<service>_`):
//!
//! | `oneshelf_…` | labels | what |
//! |---|---|---|
//! | `grpc_handled_total` | service, method, code | calls answered |
//! | `grpc_handling_seconds` | service, method | from request head to answer, or to the end of the stream |
//! | `grpc_in_flight` | | calls and streams in progress |
//! | `batch_group_size`, `batch_queue_wait_seconds` | batch | groups of the write executor, and the wait for one |
//! | `batch_overloaded_total`, `batch_split_groups_total` | batch | commands refused, groups retried singly |
//! | `db_pool_connections` | pool, state (idle, in_use) | use of the pool |
//! | `db_transaction_retries_total` | | units of work that ran again |
//! | `outbox_unpublished_events`, `outbox_oldest_unpublished_seconds` | service | depth and age of what waits |
//! | `outbox_published_events_total`, `outbox_refused_messages_total` | service | confirmed, and not |
//! | `outbox_pack_events`, `outbox_publish_seconds` | service | events per message; from claim to mark |
//! | `relay_active` | service | 1 in the process whose relay is the active one |
//! | `consumer_handled_events_total`, `consumer_duplicate_events_total` | queue | applied, known already |
//! | `consumer_retried_events_total`, `consumer_parked_events_total` | queue | put off, given up |
//! | `consumer_lag_seconds` | queue | from the event's making to its effect |
//! | `broker_blocked` | | 1 while the broker holds back publishers |
//! | `cache_hits_total`, `cache_misses_total` | cache | of the Redis caches |
//! | `redis_failures_total` | | calls that were bypassed |

use std::{fmt, fmt::Write as _, str::FromStr, time::Duration};

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use opentelemetry::{
    Context, KeyValue,
    trace::{SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState, TracerProvider as _},
};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::{
    Resource,
    trace::{Sampler, SdkTracerProvider},
};
use tracing::{Dispatch, Span, span::Id};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::{
    EnvFilter, Layer as _, Registry,
    filter::ParseError,
    layer::SubscriberExt as _,
    registry::LookupSpan as _,
    util::{SubscriberInitExt as _, TryInitError},
};

use crate::config::TelemetryConfig;

pub(crate) const GRPC_HANDLED: &str = "oneshelf_grpc_handled_total";
pub(crate) const GRPC_SECONDS: &str = "oneshelf_grpc_handling_seconds";
pub(crate) const GRPC_IN_FLIGHT: &str = "oneshelf_grpc_in_flight";

/// 50 µs to 5 min: a quote takes tens of microseconds, the lag of a consumer that was away is long.
const SECONDS_BUCKETS: [f64; 19] = [
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0,
    10.0, 60.0, 300.0,
];
const SIZE_BUCKETS: [f64; 10] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];

/// The OTLP exporter can hang while its collector is away; a stop must not.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(3);

#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    #[error("telemetry.log is not a filter")]
    Filter(#[from] ParseError),
    #[error("telemetry.otlp_endpoint is unfit")]
    Exporter(#[from] ExporterBuildError),
    #[error("the metrics recorder cannot be installed")]
    Recorder(#[from] BuildError),
    #[error("the subscriber cannot be installed")]
    Subscriber(#[from] TryInitError),
}

/// What `main` keeps: the handle for `/metrics`, and the exporter to flush at the end.
pub struct Telemetry {
    pub metrics: PrometheusHandle,
    provider: Option<SdkTracerProvider>,
}

/// Installs the process-wide log subscriber, panic hook and metrics recorder. Call once, inside a runtime of at least
/// two workers: with one, the OTLP exporter can starve itself.
pub fn init(cfg: &TelemetryConfig, name: &'static str) -> Result<Telemetry, TelemetryError> {
    let filter = EnvFilter::from_str(&cfg.log)?;
    let provider = cfg
        .otlp_endpoint
        .as_deref()
        .map(|endpoint| tracer_provider(endpoint, cfg.otlp_sample_ratio, name))
        .transpose()?;
    // Logs go to stderr: stdout belongs to what a command prints as its result.
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()));
    let lines = if cfg.json { lines.json().flatten_event(true).boxed() } else { lines.boxed() };
    let export = provider.as_ref().map(|provider| tracing_opentelemetry::layer().with_tracer(provider.tracer(name)));
    // The filter stands on the lines alone, so that a quiet log does not cut traces apart; exported spans are
    // INFO and above.
    tracing_subscriber::registry()
        .with(export.with_filter(tracing::level_filters::LevelFilter::INFO))
        .with(lines.with_filter(filter))
        .try_init()?;
    std::panic::set_hook(Box::new(|panic| {
        let location = panic.location().map(ToString::to_string);
        tracing::error!(location, "{}", crate::lifecycle::panic_text(panic.payload()));
    }));
    Ok(Telemetry { metrics: install_recorder()?, provider })
}

fn tracer_provider(endpoint: &str, ratio: f64, name: &'static str) -> Result<SdkTracerProvider, ExporterBuildError> {
    let exporter = SpanExporter::builder().with_tonic().with_endpoint(endpoint).with_timeout(FLUSH_TIMEOUT).build()?;
    Ok(SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(ratio))))
        .with_resource(
            Resource::builder()
                .with_service_name(name)
                .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
                .build(),
        )
        .build())
}

fn install_recorder() -> Result<PrometheusHandle, BuildError> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS_BUCKETS)?
        .set_buckets_for_metric(Matcher::Suffix("_group_size".to_owned()), &SIZE_BUCKETS)?
        .set_buckets_for_metric(Matcher::Suffix("_pack_events".to_owned()), &SIZE_BUCKETS)?
        .install_recorder()?;
    metrics::describe_counter!(GRPC_HANDLED, "Calls answered, by code");
    metrics::describe_histogram!(GRPC_SECONDS, "From request head to answer, or to the end of the stream");
    metrics::describe_gauge!(GRPC_IN_FLIGHT, "Calls and streams in progress");
    Ok(handle)
}

impl Telemetry {
    /// Sends what is still buffered; bounded, whatever the collector does.
    pub async fn flush(self) {
        let Some(provider) = self.provider else {
            return;
        };
        // A thread of its own: a blocking task that hangs would hold up the end of the runtime.
        let (done, flushed) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            let _ = done.send(provider.shutdown_with_timeout(FLUSH_TIMEOUT));
        });
        match tokio::time::timeout(FLUSH_TIMEOUT, flushed).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => tracing::warn!(%error, "the last traces were not exported"),
            _ => tracing::warn!("the last traces were not exported in time"),
        }
    }
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Telemetry").field("exports", &self.provider.is_some()).finish_non_exhaustive()
    }
}

/// The W3C trace context of the current span, to be sent or stored with what this work causes. `None` outside a span.
pub fn current_traceparent() -> Option<String> {
    let span = Span::current();
    let context = span.context();
    let exported = context.span().span_context().clone();
    if exported.is_valid() {
        return Some(TraceParent::from(&exported).to_string());
    }
    span.with_subscriber(|(id, dispatch)| inherited(id, dispatch))?.map(|parent| parent.to_string())
}

/// Makes the sender's trace the parent of `span`, which must not have been entered yet. Malformed text is ignored, as
/// the W3C recommendation asks.
pub fn set_parent(span: &Span, traceparent: &str) {
    let Some(parent) = TraceParent::parse(traceparent) else {
        return;
    };
    let remote = Context::new().with_remote_span_context(parent.span_context());
    if span.set_parent(remote).is_err() {
        span.with_subscriber(|(id, dispatch)| keep(id, dispatch, parent));
    }
}

/// Without an exporter the context is kept in the span's own extensions.
fn keep(id: &Id, dispatch: &Dispatch, parent: TraceParent) {
    if let Some(span) = dispatch.downcast_ref::<Registry>().and_then(|registry| registry.span(id)) {
        span.extensions_mut().replace(parent);
    }
}

/// The nearest kept context; where there is none the root gets a new one, so that all its work shares it.
fn inherited(id: &Id, dispatch: &Dispatch) -> Option<TraceParent> {
    let span = dispatch.downcast_ref::<Registry>()?.span(id)?;
    let mut root = None;
    for ancestor in span.scope() {
        if let Some(parent) = ancestor.extensions().get::<TraceParent>() {
            return Some(*parent);
        }
        root = Some(ancestor);
    }
    let root = root?;
    let mut extensions = root.extensions_mut();
    // Two children may get here at once; the first one's stays.
    if let Some(parent) = extensions.get_mut::<TraceParent>() {
        return Some(*parent);
    }
    let made = TraceParent::random();
    extensions.insert(made);
    Some(made)
}

/// `00-<trace id>-<parent span id>-<flags>`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct TraceParent {
    trace: [u8; 16],
    span: [u8; 8],
    flags: u8,
}

impl TraceParent {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let version = parts.next()?;
        let mut parent = Self { trace: [0; 16], span: [0; 8], flags: 0 };
        lower_hex(parts.next()?, &mut parent.trace)?;
        lower_hex(parts.next()?, &mut parent.span)?;
        lower_hex(parts.next()?, std::slice::from_mut(&mut parent.flags))?;
        // Version 00 has exactly these four parts; a later one may add some; ff is forbidden.
        lower_hex(version, &mut [0])?;
        let complete = match version {
            "00" => parts.next().is_none(),
            "ff" => false,
            _ => true,
        };
        (complete && parent.trace != [0; 16] && parent.span != [0; 8]).then_some(parent)
    }

    /// Not sampled: nobody exports this trace.
    fn random() -> Self {
        Self { trace: rand::random(), span: rand::random(), flags: 0 }
    }

    fn span_context(self) -> SpanContext {
        SpanContext::new(
            TraceId::from_bytes(self.trace),
            SpanId::from_bytes(self.span),
            TraceFlags::new(self.flags),
            true,
            TraceState::NONE,
        )
    }
}

impl From<&SpanContext> for TraceParent {
    fn from(context: &SpanContext) -> Self {
        Self {
            trace: context.trace_id().to_bytes(),
            span: context.span_id().to_bytes(),
            flags: context.trace_flags().to_u8(),
        }
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("00-")?;
        self.trace.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_char('-')?;
        self.span.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        write!(f, "-{:02x}", self.flags)
    }
}

fn lower_hex(text: &str, into: &mut [u8]) -> Option<()> {
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return None;
    }
    hex::decode_to_slice(text, into).ok()
}

#[cfg(test)]
mod tests {
    use tracing::info_span;

    use super::*;

    const SENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn without_exporter(test: impl FnOnce()) {
        tracing::subscriber::with_default(tracing_subscriber::registry(), test);
    }

    #[test]
    fn a_callers_trace_is_handed_on_without_an_exporter() {
        without_exporter(|| {
            let span = info_span!("rpc");
            set_parent(&span, SENT);
            span.in_scope(|| {
                info_span!("inner").in_scope(|| assert_eq!(current_traceparent().as_deref(), Some(SENT)));
            });
        });
    }

    #[test]
    fn a_callers_trace_is_joined_with_an_exporter() {
        let provider = SdkTracerProvider::builder().build();
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            let span = info_span!("rpc");
            set_parent(&span, SENT);
            let ours = span.in_scope(current_traceparent).unwrap();
            assert_eq!(ours[..35], SENT[..35], "same trace");
            assert_ne!(ours[36..52], SENT[36..52], "own span");
        });
    }

    #[test]
    fn all_work_of_a_root_shares_one_new_trace() {
        without_exporter(|| {
            info_span!("job").in_scope(|| {
                let first = info_span!("a").in_scope(current_traceparent).unwrap();
                let second = info_span!("b").in_scope(current_traceparent).unwrap();
                assert_eq!(first, second);
                assert!(TraceParent::parse(&first).is_some());
            });
            let other = info_span!("job").in_scope(current_traceparent);
            assert_ne!(other, info_span!("job").in_scope(current_traceparent));
        });
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_collector_that_never_answers_does_not_hold_up_the_end() {
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", silent.local_addr().unwrap());
        let provider = tracer_provider(&endpoint, 1.0, "test").unwrap();
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            info_span!("work").in_scope(|| {});
        });
        let metrics = PrometheusBuilder::new().build_recorder().handle();
        let telemetry = Telemetry { metrics, provider: Some(provider) };
        tokio::time::timeout(FLUSH_TIMEOUT * 2, telemetry.flush()).await.expect("the flush is bounded");
    }

    #[test]
    fn outside_a_span_there_is_no_trace() {
        without_exporter(|| assert_eq!(current_traceparent(), None));
    }

    #[test]
    fn malformed_contexts_are_ignored() {
        for text in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(TraceParent::parse(text), None, "{text}");
        }
        assert_eq!(TraceParent::parse(SENT).unwrap().to_string(), SENT);
    }
}
