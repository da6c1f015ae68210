//! The road of a call, on a real server with a small service of its own.

mod service;

use std::time::{Duration, Instant};

use futures::StreamExt;
use oneshelf_kit::{
    auth::{self, NewKey, Scope},
    config::{ClientConfig, ServerConfig},
    grpc::{self, Mounted, client},
    lifecycle::Failure,
};
use oneshelf_testkit::{Database, ServeTest, clock, wait_for};
use secrecy::{ExposeSecret, SecretString};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tonic::{
    Code, Request, Status,
    transport::{Channel, Endpoint},
};
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};
use tonic_types::StatusExt;

use self::service::{Caller, PATHS, TestService, descriptors};

const SOON: Duration = Duration::from_secs(10);

/// The test service on a port of its own.
struct Running {
    test: ServeTest,
    database: Database,
    serving: grpc::Serving,
}

impl Running {
    async fn start(adjust: impl FnOnce(&mut ServerConfig)) -> Self {
        let database = Database::new(&[]).await;
        let test = ServeTest::new(database.pool(), clock()).await;
        let mut cfg = ServerConfig::default();
        adjust(&mut cfg);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mounted = Mounted::new("test").service(TestService).pool(database.pool().clone());
        let serving = grpc::serve(&test.chassis, &cfg, listener, descriptors(), vec![mounted]).unwrap();
        let mut readiness = serving.readiness.clone();
        readiness.wait_for(grpc::Readiness::is_ready).await.unwrap();
        Self { test, database, serving }
    }

    fn url(&self) -> String {
        format!("http://{}", self.serving.address)
    }

    fn plain(&self) -> Channel {
        Endpoint::from_shared(self.url()).unwrap().connect_lazy()
    }

    fn service_key(&self) -> SecretString {
        auth::service_key(&self.test.chassis.pepper, "tests")
    }

    /// With a key, but without the deadline that [`client::connect_lazy`] adds.
    fn caller(&self) -> Caller {
        Caller::new(self.plain(), self.service_key())
    }

    async fn caller_with(&self, scopes: &[&str]) -> Caller {
        let scopes = scopes.iter().map(|text| Scope::parse(text).unwrap()).collect();
        let key = NewKey { title: "test".to_owned(), scopes, channel: None, partner: None, expires_at: None };
        let chassis = &self.test.chassis;
        let key = auth::create_key(self.database.pool(), &chassis.pepper, &chassis.clock, &key).await.unwrap();
        Caller::new(self.plain(), key)
    }

    /// A gRPC-Web call by hand over HTTP/1.1: nothing on the client's side has a timer or retries.
    async fn web(&self, path: &str, headers: &str, message: &str) -> String {
        let mut body =
            vec![0, 0, 0, 0, u8::try_from(message.len() + 2).unwrap(), 10, u8::try_from(message.len()).unwrap()];
        body.extend(message.as_bytes());
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\ncontent-type: application/grpc-web+proto\r\n\
             authorization: Bearer {}\r\n{headers}content-length: {}\r\n\r\n",
            self.service_key().expose_secret(),
            body.len(),
        );
        self.http([head.as_bytes(), &body].concat()).await
    }

    async fn http(&self, request: Vec<u8>) -> String {
        let mut stream = TcpStream::connect(self.serving.address).await.unwrap();
        stream.write_all(&request).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        String::from_utf8_lossy(&answer).to_lowercase()
    }
}

fn reason(status: &Status) -> String {
    status.get_details_error_info().expect("the refusal has an ErrorInfo").reason
}

#[tokio::test]
async fn a_call_with_a_key_reaches_the_handler_with_its_caller() {
    let running = Running::start(|_| {}).await;
    assert_eq!(running.caller().unary(PATHS.echo, "hello").await.unwrap(), "hello of tests");
}

#[tokio::test]
async fn a_missing_and_a_wrong_key_are_unauthenticated() {
    let running = Running::start(|_| {}).await;
    let missing = Caller::without_key(running.plain()).unary(PATHS.echo, "x").await.unwrap_err();
    assert_eq!((missing.code(), reason(&missing).as_str()), (Code::Unauthenticated, "MISSING_CREDENTIALS"));
    let wrong = Caller::new(running.plain(), SecretString::from("osk_0000000000000000_00"));
    let wrong = wrong.unary(PATHS.echo, "x").await.unwrap_err();
    assert_eq!((wrong.code(), reason(&wrong).as_str()), (Code::Unauthenticated, "INVALID_CREDENTIALS"));
}

#[tokio::test]
async fn a_key_may_call_only_the_verbs_of_its_scopes() {
    let running = Running::start(|_| {}).await;
    let caller = running.caller_with(&["test:Echo", "other:*"]).await;
    caller.unary(PATHS.echo, "x").await.unwrap();
    let denied = caller.unary(PATHS.sleep, "0").await.unwrap_err();
    assert_eq!((denied.code(), reason(&denied).as_str()), (Code::PermissionDenied, "SCOPE_MISSING"));
    assert_eq!(denied.get_details_error_info().unwrap().metadata["scope"], "test:Sleep");
}

#[tokio::test]
async fn a_request_that_cannot_be_read_is_the_callers_to_mend() {
    let running = Running::start(|_| {}).await;
    let head = |length: usize| {
        format!(
            "POST {} HTTP/1.1\r\nhost: test\r\nconnection: close\r\ncontent-type: application/grpc-web+proto\r\n\
             authorization: Bearer {}\r\ncontent-length: {length}\r\n\r\n",
            PATHS.echo,
            running.service_key().expose_secret(),
        )
    };
    // A field whose end is missing; an unknown compression; nothing at all.
    for body in [&[0, 0, 0, 0, 2, 10, 9][..], &[7, 0, 0, 0, 0], &[]] {
        let answer = running.http([head(body.len()).as_bytes(), body].concat()).await;
        assert!(answer.contains("grpc-status: 3") || answer.contains("grpc-status:3"), "{answer}");
    }
}

#[tokio::test]
async fn an_unknown_method_is_unimplemented() {
    let running = Running::start(|_| {}).await;
    for path in ["/oneshelf.test.v1.TestService/Nothing", "/oneshelf.inventory.v1.InventoryService/HoldStock"] {
        assert_eq!(running.caller().unary(path, "x").await.unwrap_err().code(), Code::Unimplemented);
    }
}

#[tokio::test]
async fn the_callers_deadline_ends_the_call_as_deadline_exceeded() {
    let running = Running::start(|_| {}).await;
    for millis in [1, 3, 10, 30, 50] {
        let started = Instant::now();
        let answer = running.web(PATHS.sleep, &format!("grpc-timeout: {millis}m\r\n"), "60000").await;
        assert!(answer.contains("grpc-status: 4") || answer.contains("grpc-status:4"), "{millis} ms: {answer}");
        assert!(started.elapsed() < SOON);
    }
}

#[tokio::test]
async fn without_a_deadline_the_servers_default_counts_and_a_long_one_is_shortened() {
    let running = Running::start(|cfg| cfg.default_deadline_ms = 50).await;
    let late = running.caller().unary(PATHS.sleep, "60000").await.unwrap_err();
    assert_eq!(late.code(), Code::DeadlineExceeded);

    let running = Running::start(|cfg| cfg.max_deadline_ms = 50).await;
    let late = running.caller().timeout(Duration::from_secs(3_600)).unary(PATHS.sleep, "60000").await.unwrap_err();
    assert_eq!(late.code(), Code::DeadlineExceeded);
}

#[tokio::test]
async fn a_call_to_another_service_has_what_is_left_of_the_deadline() {
    let running = Running::start(|_| {}).await;
    let answer = running.web(PATHS.left, "grpc-timeout: 3S\r\n", "").await;
    let (_, sent) = answer.split_once("left=").expect("the handler tells what its outgoing call would carry");
    let micros: u64 = sent.split_once('u').unwrap().0.parse().unwrap();
    assert!((1..3_000_000).contains(&micros), "{micros}");
}

#[tokio::test]
async fn a_stream_outlives_the_default_deadline_and_honours_its_own() {
    let running = Running::start(|cfg| cfg.default_deadline_ms = 1).await;
    let ticks = running.caller().stream(PATHS.ticks).await.unwrap();
    assert_eq!(ticks.take(20).filter(|tick| std::future::ready(tick.is_ok())).count().await, 20);

    let mut ticks = running.caller().timeout(Duration::from_millis(300)).stream(PATHS.ticks).await.unwrap();
    let end = tokio::time::timeout(SOON, async {
        loop {
            if let Some(Err(status)) = ticks.next().await {
                break status;
            }
        }
    });
    assert_eq!(end.await.unwrap().code(), Code::DeadlineExceeded);
}

#[tokio::test]
async fn more_calls_than_the_limit_are_shed_at_once_but_probes_are_not() {
    let running = Running::start(|cfg| cfg.concurrency_limit = 1).await;
    let caller = running.caller();
    let busy = tokio::spawn({
        let caller = caller.clone();
        async move { caller.unary(PATHS.sleep, "2000").await }
    });
    let shed = wait_for("a shed call", SOON, async || caller.unary(PATHS.echo, "x").await.err()).await;
    assert_eq!((shed.code(), reason(&shed).as_str()), (Code::ResourceExhausted, "OVERLOADED"));
    assert!(shed.get_details_retry_info().unwrap().retry_delay.is_some());
    assert_eq!(shed.get_details_quota_failure().unwrap().violations.len(), 1);
    assert_eq!(health(&running, "").await, Ok(ServingStatus::Serving));
    busy.await.unwrap().unwrap();
    caller.unary(PATHS.echo, "x").await.expect("the place is free again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_outlives_any_number_of_refused_calls() {
    let running = Running::start(|cfg| cfg.concurrency_limit = 0).await;
    let caller = running.caller();
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..1_000 {
        let caller = caller.clone();
        clients.spawn(async move {
            for _ in 0..20 {
                let shed = caller.unary(PATHS.echo, "x").await.unwrap_err();
                assert_eq!(shed.code(), Code::ResourceExhausted, "{shed:?}");
            }
        });
    }
    clients.join_all().await;
}

#[tokio::test]
async fn more_streams_than_their_limit_are_shed_until_one_ends() {
    let running = Running::start(|cfg| cfg.stream_limit = 1).await;
    let caller = running.caller();
    let first = caller.stream(PATHS.ticks).await.unwrap();
    assert_eq!(caller.stream(PATHS.ticks).await.err().unwrap().code(), Code::ResourceExhausted);
    caller.unary(PATHS.echo, "x").await.expect("streams do not count as calls");
    drop(first);
    wait_for("a free place", SOON, async || caller.stream(PATHS.ticks).await.ok()).await;
}

#[tokio::test]
async fn a_panic_is_internal_and_stays_in_its_call() {
    let running = Running::start(|_| {}).await;
    let caller = running.caller();
    let status = caller.unary(PATHS.panic, "secret words").await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::Internal, "internal error"));
    let mut stream = caller.stream(PATHS.panic_later).await.unwrap();
    assert_eq!(stream.next().await.unwrap().unwrap(), "first");
    assert_eq!(stream.next().await.unwrap().unwrap_err().code(), Code::Internal);
    caller.unary(PATHS.echo, "x").await.expect("the same connection goes on");
}

#[tokio::test]
async fn a_stop_lets_calls_finish_and_ends_streams_in_words() {
    let running = Running::start(|_| {}).await;
    let caller = running.caller();
    let mut ticks = caller.stream(PATHS.ticks).await.unwrap();
    ticks.next().await.unwrap().unwrap();
    let call = tokio::spawn({
        let caller = caller.clone();
        async move { caller.unary(PATHS.sleep, "500").await }
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    let stopped: Result<(), Failure> = running.test.chassis.lifecycle.clone().shut_down().await;
    stopped.unwrap();
    assert_eq!(call.await.unwrap().unwrap(), "slept");
    let end = ticks.filter_map(|tick| std::future::ready(tick.err())).next().await.unwrap();
    assert_eq!(end.code(), Code::Unavailable);
}

#[tokio::test]
async fn browsers_call_on_the_same_port() {
    let running = Running::start(|_| {}).await;
    let answer = running.web(PATHS.echo, "origin: https://shop.example\r\n", "hello").await;
    assert!(answer.contains("hello of tests") && answer.contains("grpc-status:0"), "{answer}");
    assert!(answer.contains("access-control-allow-origin: *"), "{answer}");

    let preflight = format!(
        "OPTIONS {} HTTP/1.1\r\nhost: test\r\nconnection: close\r\norigin: https://shop.example\r\n\
         access-control-request-method: POST\r\naccess-control-request-headers: authorization,x-grpc-web\r\n\r\n",
        PATHS.echo
    );
    let allowed = running.http(preflight.into_bytes()).await;
    assert!(allowed.contains("access-control-allow-headers: authorization,x-grpc-web"), "{allowed}");
}

#[tokio::test]
async fn only_named_origins_are_allowed() {
    let running = Running::start(|cfg| cfg.web_origins = vec!["https://shop.example".to_owned()]).await;
    let allowed = running.web(PATHS.echo, "origin: https://shop.example\r\n", "x").await;
    assert!(allowed.contains("access-control-allow-origin: https://shop.example"), "{allowed}");
    let other = running.web(PATHS.echo, "origin: https://evil.example\r\n", "x").await;
    assert!(!other.contains("evil.example"), "{other}");
}

async fn health(running: &Running, service: &str) -> Result<ServingStatus, Code> {
    let request = HealthCheckRequest { service: service.to_owned() };
    let answer = HealthClient::new(running.plain()).check(request).await;
    answer.map(|answer| answer.into_inner().status()).map_err(|status| status.code())
}

#[tokio::test]
async fn health_is_told_per_service_and_follows_the_database() {
    let running = Running::start(|_| {}).await;
    assert_eq!(health(&running, "").await, Ok(ServingStatus::Serving));
    assert_eq!(health(&running, TestService::NAME).await, Ok(ServingStatus::Serving));
    assert_eq!(health(&running, "oneshelf.other.v1.Other").await, Err(Code::NotFound));
    running.database.pool().close().await;
    wait_for("not serving", SOON, async || {
        (health(&running, TestService::NAME).await == Ok(ServingStatus::NotServing)).then_some(())
    })
    .await;
    assert_eq!(running.serving.readiness.borrow().to_string(), "test: not ready");
}

#[tokio::test]
async fn reflection_lists_what_is_mounted_in_both_versions() {
    use tonic_reflection::pb::{v1, v1alpha};

    let running = Running::start(|_| {}).await;
    let ask = v1::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(v1::server_reflection_request::MessageRequest::ListServices(String::new())),
    };
    let mut client = v1::server_reflection_client::ServerReflectionClient::new(running.plain());
    let answers = client.server_reflection_info(tokio_stream::once(ask)).await.unwrap();
    let text = format!("{:?}", answers.into_inner().next().await.unwrap().unwrap());
    assert!(text.contains(TestService::NAME) && text.contains("grpc.health.v1.Health"), "{text}");
    assert!(!text.contains("NotMounted"), "{text}");

    let ask = v1alpha::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(v1alpha::server_reflection_request::MessageRequest::FileContainingSymbol(
            TestService::NAME.to_owned(),
        )),
    };
    let mut client = v1alpha::server_reflection_client::ServerReflectionClient::new(running.plain());
    let answers = client.server_reflection_info(tokio_stream::once(ask)).await.unwrap();
    let text = format!("{:?}", answers.into_inner().next().await.unwrap().unwrap());
    assert!(text.contains("FileDescriptorResponse"), "{text}");
}

#[tokio::test]
async fn a_service_client_brings_its_key_and_reports_a_peer_that_is_away() {
    let running = Running::start(|_| {}).await;
    let channel = client::connect_lazy(&ClientConfig::new(running.url()), &running.service_key()).unwrap();
    assert_eq!(service::unary(channel, Request::new("hi".to_owned()), PATHS.echo).await.unwrap(), "hi of tests");

    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let cfg = ClientConfig::new(format!("http://{nobody}"));
    let channel = client::connect_lazy(&cfg, &running.service_key()).unwrap();
    let away = service::unary(channel, Request::new(String::new()), PATHS.echo).await.unwrap_err();
    assert!(client::outcome_unknown(&away), "{away}");
}
