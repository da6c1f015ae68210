//! gRPC in and out.
//!
//! One server per process; the services that run in it are [`Mounted`] on one port, beside health v1, reflection v1
//! and v1alpha. gRPC-Web is spoken on the same port. What happens to each call on its way is in `call.rs`; calls to
//! our own services go out through [`client::connect_lazy`].
//!
//! A handler finds in the request's extensions the [`Caller`](crate::auth::Caller) (use
//! [`status::caller`](crate::status::caller)) and the [`Deadline`].

mod call;
pub mod client;
mod deadline;
mod methods;
mod stream;
mod web;

use std::{collections::HashSet, convert::Infallible, fmt, io, net::SocketAddr, sync::Arc, time::Duration};

use axum::response::IntoResponse;
use futures::future::{BoxFuture, join_all};
use http::{Request, header::InvalidHeaderValue};
use sqlx::PgPool;
use tokio::{net::TcpListener, sync::watch};
use tokio_util::sync::CancellationToken;
use tonic::{
    body::Body,
    server::NamedService,
    service::Routes,
    transport::{Server, server::TcpIncoming},
};
use tonic_health::{
    ServingStatus,
    pb::health_server::{self, HealthServer},
    server::{HealthReporter, HealthService},
};
use tonic_reflection as reflection;
use tower::Service;

use self::{
    call::{CallService, Calls, Gate},
    methods::Methods,
    web::Front,
};
pub use self::{deadline::Deadline, methods::MethodsError};
use crate::{Chassis, config::ServerConfig};

/// One of our services, ready to be put on the server.
#[must_use]
pub struct Mounted {
    add: Box<dyn FnOnce(Routes) -> Routes + Send>,
    probe: Probe,
}

/// What is asked to know whether a service can do its work.
struct Probe {
    name: &'static str,
    grpc_names: Vec<&'static str>,
    pools: Vec<PgPool>,
    checks: Vec<Check>,
}

type Check = Box<dyn Fn() -> BoxFuture<'static, bool> + Send + Sync>;

impl Mounted {
    /// `name` is the service's short name: `inventory`.
    pub fn new(name: &'static str) -> Self {
        Self {
            add: Box::new(|routes| routes),
            probe: Probe { name, grpc_names: Vec::new(), pools: Vec::new(), checks: Vec::new() },
        }
    }

    /// Adds a generated server. Set its message limit first: `.max_decoding_message_size(chassis.max_message_bytes)`.
    pub fn service<S>(mut self, server: S) -> Self
    where
        S: Service<Request<Body>, Error = Infallible> + NamedService + Clone + Send + Sync + 'static,
        S::Response: IntoResponse,
        S::Future: Send + 'static,
    {
        let add = self.add;
        self.add = Box::new(move |routes| add(routes).add_service(server));
        self.probe.grpc_names.push(S::NAME);
        self
    }

    /// The service is ready only while this pool answers.
    pub fn pool(mut self, pool: PgPool) -> Self {
        self.probe.pools.push(pool);
        self
    }

    /// The service is ready only while this holds, such as "a price book is loaded".
    pub fn ready_while<F, R>(mut self, check: F) -> Self
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = bool> + Send + 'static,
    {
        self.probe.checks.push(Box::new(move || Box::pin(check())));
        self
    }
}

impl fmt::Debug for Mounted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mounted").field("services", &self.probe.grpc_names).finish_non_exhaustive()
    }
}

impl Probe {
    async fn is_ready(&self) -> bool {
        let pools = join_all(self.pools.iter().map(answers));
        let checks = join_all(self.checks.iter().map(|check| check()));
        let asked = async { pools.await.into_iter().chain(checks.await).all(|ready| ready) };
        tokio::time::timeout(READY_TIMEOUT, asked).await.unwrap_or(false)
    }
}

async fn answers(pool: &PgPool) -> bool {
    sqlx::query("SELECT 1").execute(pool).await.is_ok()
}

const READY_EVERY: Duration = Duration::from_secs(1);
const READY_TIMEOUT: Duration = Duration::from_secs(2);

/// Which services can do their work at the moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Readiness {
    services: Vec<(&'static str, bool)>,
    stopping: bool,
}

impl Readiness {
    pub fn is_ready(&self) -> bool {
        !self.stopping && !self.services.is_empty() && self.services.iter().all(|(_, ready)| *ready)
    }
}

impl fmt::Display for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.stopping {
            return f.write_str("stopping");
        }
        if self.services.is_empty() {
            return f.write_str("starting");
        }
        for (index, (name, ready)) in self.services.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}{name}: {}", if *ready { "ready" } else { "not ready" })?;
        }
        Ok(())
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error(transparent)]
    Methods(#[from] MethodsError),
    #[error("the reflection service cannot be built")]
    Reflection(#[from] tonic_reflection::server::Error),
    #[error("server.web_origins holds what is not an origin")]
    Origin(#[from] InvalidHeaderValue),
    #[error("the listener has no address")]
    Listener(#[from] io::Error),
}

/// A server that runs.
#[derive(Clone, Debug)]
pub struct Serving {
    /// Where it listens; of use when the port was 0.
    pub address: SocketAddr,
    /// For [`crate::admin::serve`], and for tests that wait until all is ready.
    pub readiness: watch::Receiver<Readiness>,
}

/// Puts the services on the listener, as tasks of the chassis' lifecycle: at the soft stop nothing new is accepted,
/// calls in progress finish and streams are ended.
///
/// `descriptors` is the whole contract (`oneshelf_proto::FILE_DESCRIPTOR_SET`); who may call what is read from it.
pub fn serve(
    chassis: &Chassis,
    cfg: &ServerConfig,
    listener: TcpListener,
    descriptors: &'static [u8],
    services: Vec<Mounted>,
) -> Result<Serving, ServeError> {
    let address = listener.local_addr()?;
    let reporter = HealthReporter::new();
    let ours = services.iter().flat_map(|mounted| mounted.probe.grpc_names.clone()).collect();
    let (mut routes, methods) = infrastructure(descriptors, ours, &reporter)?;
    let mut probes = Vec::with_capacity(services.len());
    for mounted in services {
        routes = (mounted.add)(routes);
        probes.push(mounted.probe);
    }
    let calls = CallService { calls: Arc::new(calls(chassis, cfg, methods)), routes: routes.prepare() };
    let front = Front::try_new(calls, &cfg.web_origins)?;

    let (readiness, watched) = watch::channel(Readiness::default());
    chassis
        .lifecycle
        .spawn("readiness", watch_readiness(probes, readiness, reporter, chassis.lifecycle.soft().clone()));

    let stop = chassis.lifecycle.soft().clone().cancelled_owned();
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true)).with_keepalive(Some(Duration::from_secs(60)));
    chassis.lifecycle.spawn("grpc server", transport(cfg).serve_with_incoming_shutdown(front, incoming, stop));
    Ok(Serving { address, readiness: watched })
}

/// Health and reflection, and the methods of these and of our services.
fn infrastructure(
    descriptors: &'static [u8],
    ours: HashSet<&'static str>,
    reporter: &HealthReporter,
) -> Result<(Routes, Methods), ServeError> {
    let mut names = ours;
    names.insert(health_server::SERVICE_NAME);
    let sets = [
        descriptors,
        tonic_health::pb::FILE_DESCRIPTOR_SET,
        reflection::pb::v1::FILE_DESCRIPTOR_SET,
        reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
    ];
    let describe = || {
        let builder = reflection::server::Builder::configure().include_reflection_service(false);
        let builder = sets.iter().fold(builder, |builder, set| builder.register_encoded_file_descriptor_set(set));
        names.iter().fold(builder, |builder, name| builder.with_service_name(*name))
    };
    let (v1, v1alpha) = (describe().build_v1()?, describe().build_v1alpha()?);
    names.insert(name_of(&v1));
    names.insert(name_of(&v1alpha));
    let health = HealthServer::new(HealthService::from_health_reporter(reporter.clone()));
    let routes = Routes::new(health).add_service(v1).add_service(v1alpha);
    Ok((routes, Methods::try_new(sets, &names)?))
}

fn name_of<S: NamedService>(_: &S) -> &'static str {
    S::NAME
}

fn calls(chassis: &Chassis, cfg: &ServerConfig, methods: Methods) -> Calls {
    Calls {
        methods,
        auth: chassis.auth.clone(),
        unary: Gate::new(cfg.concurrency_limit, "calls in progress"),
        streams: Gate::new(cfg.stream_limit, "open streams"),
        default_deadline: Duration::from_millis(cfg.default_deadline_ms),
        max_deadline: Duration::from_millis(cfg.max_deadline_ms),
        soft: chassis.lifecycle.soft().clone(),
        stream_grace: cfg.drain() / 2,
    }
}

fn transport(cfg: &ServerConfig) -> Server {
    Server::builder()
        .accept_http1(true)
        .http2_keepalive_interval(Some(Duration::from_secs(30)))
        .http2_keepalive_timeout(Some(Duration::from_secs(10)))
        // No grace time: tonic closes at its end without having said GOAWAY, which tears calls in progress.
        .max_connection_age(Duration::from_secs(cfg.max_connection_age_s))
        // A client that opens and resets streams without end is cut off ("rapid reset").
        .http2_max_pending_accept_reset_streams(Some(64))
        .http2_max_header_list_size(16 * 1024)
        // Who has more to ask waits on its own side, which costs nobody anything: a refused call costs both.
        .max_concurrent_streams(256)
}

/// Asks every service each second and tells health checkers and `/readyz`, until the soft stop.
async fn watch_readiness(
    probes: Vec<Probe>,
    readiness: watch::Sender<Readiness>,
    reporter: HealthReporter,
    soft: CancellationToken,
) -> Result<(), Infallible> {
    while let Some(ready) = soft.run_until_cancelled(join_all(probes.iter().map(Probe::is_ready))).await {
        let services = probes.iter().map(|probe| probe.name).zip(ready).collect();
        publish(&probes, &readiness, &reporter, Readiness { services, stopping: false }).await;
        soft.run_until_cancelled(tokio::time::sleep(READY_EVERY)).await;
    }
    let services = probes.iter().map(|probe| (probe.name, false)).collect();
    publish(&probes, &readiness, &reporter, Readiness { services, stopping: true }).await;
    Ok(())
}

async fn publish(probes: &[Probe], readiness: &watch::Sender<Readiness>, reporter: &HealthReporter, now: Readiness) {
    if *readiness.borrow() != now {
        tracing::info!(ready = now.is_ready(), state = %now, "readiness changed");
    }
    for (probe, (_, ready)) in probes.iter().zip(&now.services) {
        for name in &probe.grpc_names {
            reporter.set_service_status(name, serving(*ready)).await;
        }
    }
    reporter.set_service_status("", serving(now.is_ready())).await;
    readiness.send_replace(now);
}

fn serving(ready: bool) -> ServingStatus {
    if ready { ServingStatus::Serving } else { ServingStatus::NotServing }
}
