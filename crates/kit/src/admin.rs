//! The admin port: plain HTTP for the orchestrator and the scraper, never public.
//!
//! | path | answers |
//! |---|---|
//! | `/healthz` | 200 while the event loop turns; asks nothing else, so a database outage restarts no pod |
//! | `/readyz` | 200 when every mounted service is ready, else 503 and what is not |
//! | `/metrics` | Prometheus text |

use std::{io, time::Duration};

use axum::{Router, extract::State, http::StatusCode, response::IntoResponse, routing::get};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::{net::TcpListener, sync::watch};

use crate::{grpc::Readiness, lifecycle::Lifecycle};

/// How often buffered histogram samples are folded, so that a process nobody scrapes does not grow.
const UPKEEP: Duration = Duration::from_secs(5);

/// Serves until the hard stop: probes are answered while the rest drains.
pub fn serve(
    lifecycle: &Lifecycle,
    listener: TcpListener,
    readiness: watch::Receiver<Readiness>,
    metrics: PrometheusHandle,
) {
    let pages = Router::new()
        .route("/healthz", get(|| async { "alive\n" }))
        .route("/readyz", get(ready).with_state(readiness))
        .route("/metrics", get(scrape).with_state(metrics.clone()));
    lifecycle.spawn_until_hard("admin", async move { axum::serve(listener, pages).await });
    lifecycle.spawn_until_hard("metrics upkeep", async move {
        let mut ticks = tokio::time::interval(UPKEEP);
        loop {
            ticks.tick().await;
            metrics.run_upkeep();
        }
        #[expect(unreachable_code, reason = "names the error type of a task that never ends")]
        Ok::<(), io::Error>(())
    });
}

async fn scrape(State(metrics): State<PrometheusHandle>) -> String {
    metrics.render()
}

async fn ready(State(readiness): State<watch::Receiver<Readiness>>) -> impl IntoResponse {
    let readiness = readiness.borrow();
    let code = if readiness.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, format!("{}\n", *readiness))
}
