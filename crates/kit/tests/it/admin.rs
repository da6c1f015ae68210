//! The admin port, asked as a probe and a scraper do.

use std::time::Duration;

use metrics_exporter_prometheus::PrometheusBuilder;
use oneshelf_kit::{admin, grpc::Readiness, lifecycle::Lifecycle};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
};

#[tokio::test]
async fn probes_and_metrics_are_answered_until_the_drain_ends() {
    let recorder = PrometheusBuilder::new().build_recorder();
    metrics::with_local_recorder(&recorder, || metrics::counter!("things_total").increment(3));
    let lifecycle = Lifecycle::new(Duration::from_secs(5));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (_readiness, watched) = watch::channel(Readiness::default());
    admin::serve(&lifecycle, listener, watched, recorder.handle());

    let get = async |path: &str| {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    assert!(get("/metrics").await.contains("things_total 3"));

    lifecycle.stop();
    assert!(get("/healthz").await.starts_with("HTTP/1.1 200"), "alive while draining");
    let ready = get("/readyz").await;
    assert!(ready.starts_with("HTTP/1.1 503") && ready.ends_with("starting\n"), "{ready}");
    lifecycle.shut_down().await.expect("the admin port does not hold up the drain");
}
