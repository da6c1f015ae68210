//! A service without a proto file: requests and answers are `google.protobuf.StringValue`.

use std::{
    convert::Infallible,
    task::{Context, Poll},
    time::Duration,
};

use futures::{StreamExt, future::BoxFuture, stream::BoxStream};
use http::uri::PathAndQuery;
use oneshelf_kit::{
    config::ClientConfig,
    grpc::{Deadline, client},
    status,
};
use prost::Message;
use prost_types::{FileDescriptorProto, FileDescriptorSet, MethodDescriptorProto, ServiceDescriptorProto};
use secrecy::{ExposeSecret, SecretString};
use tonic::{
    Request, Response, Status, Streaming,
    body::Body,
    client::GrpcService,
    server::{Grpc, NamedService},
    service::Interceptor,
    transport::Channel,
};
use tonic_prost::ProstCodec;
use tower::{Service, service_fn};

pub(super) struct Paths {
    pub(super) echo: &'static str,
    pub(super) sleep: &'static str,
    pub(super) left: &'static str,
    pub(super) panic: &'static str,
    pub(super) ticks: &'static str,
    pub(super) panic_later: &'static str,
}

pub(super) const PATHS: Paths = Paths {
    echo: "/oneshelf.test.v1.TestService/Echo",
    sleep: "/oneshelf.test.v1.TestService/Sleep",
    left: "/oneshelf.test.v1.TestService/Left",
    panic: "/oneshelf.test.v1.TestService/Panic",
    ticks: "/oneshelf.test.v1.TestService/Ticks",
    panic_later: "/oneshelf.test.v1.TestService/PanicLater",
};

/// The contract, and a second service in it that nobody mounts.
pub(super) fn descriptors() -> &'static [u8] {
    let method = |name: &str, server_streaming| MethodDescriptorProto {
        name: Some(name.to_owned()),
        input_type: Some(".google.protobuf.StringValue".to_owned()),
        output_type: Some(".google.protobuf.StringValue".to_owned()),
        server_streaming: Some(server_streaming),
        ..Default::default()
    };
    let unary = ["Echo", "Sleep", "Left", "Panic"].map(|name| method(name, false));
    let streams = ["Ticks", "PanicLater"].map(|name| method(name, true));
    let service = |name: &str, method| ServiceDescriptorProto { name: Some(name.to_owned()), method, options: None };
    let file = FileDescriptorProto {
        name: Some("oneshelf/test/v1/test_service.proto".to_owned()),
        package: Some("oneshelf.test.v1".to_owned()),
        service: vec![
            service("TestService", unary.into_iter().chain(streams).collect()),
            service("NotMounted", vec![method("Echo", false)]),
        ],
        ..Default::default()
    };
    FileDescriptorSet { file: vec![file] }.encode_to_vec().leak()
}

#[derive(Clone)]
pub(super) struct TestService;

impl TestService {
    pub(super) const NAME: &'static str = <Self as NamedService>::NAME;
}

impl NamedService for TestService {
    const NAME: &'static str = "oneshelf.test.v1.TestService";
}

impl Service<http::Request<Body>> for TestService {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(async move {
            let path = request.uri().path().to_owned();
            let mut grpc = Grpc::new(ProstCodec::<String, String>::default());
            Ok(if path == PATHS.ticks || path == PATHS.panic_later {
                let handler = service_fn(move |_: Request<String>| {
                    let stream = stream(&path);
                    async move { Ok::<_, Status>(Response::new(stream)) }
                });
                grpc.server_streaming(handler, request).await
            } else {
                let handler = service_fn(move |request| {
                    let path = path.clone();
                    async move { answer(&path, request).await.map(Response::new) }
                });
                grpc.unary(handler, request).await
            })
        })
    }
}

async fn answer(path: &str, request: Request<String>) -> Result<String, Status> {
    let caller = status::caller(&request)?;
    let deadline = request.extensions().get::<Deadline>().copied();
    assert_eq!(deadline, Deadline::current(), "both ways to the deadline agree");
    let text = request.into_inner();
    if path == PATHS.echo {
        Ok(format!("{text} of {}", caller.key_id()))
    } else if path == PATHS.sleep {
        tokio::time::sleep(Duration::from_millis(text.parse().unwrap())).await;
        Ok("slept".to_owned())
    } else if path == PATHS.left {
        let cfg = ClientConfig { timeout_ms: 60_000, ..ClientConfig::new("http://localhost") };
        let mut outgoing = client::Outgoing::try_new(&SecretString::from("oss_x_y"), &cfg).unwrap();
        let sent = outgoing.call(Request::new(()))?;
        Ok(format!("left={}", sent.metadata().get("grpc-timeout").unwrap().to_str().unwrap()))
    } else {
        panic!("{text}");
    }
}

fn stream(path: &str) -> BoxStream<'static, Result<String, Status>> {
    if path == PATHS.ticks {
        let ticks = tokio_stream::wrappers::IntervalStream::new(tokio::time::interval(Duration::from_millis(5)));
        ticks.map(|_| Ok("tick".to_owned())).boxed()
    } else {
        // A moment apart, because items that are ready together are sent together.
        futures::stream::iter([1, 2])
            .then(|nth| async move {
                tokio::time::sleep(Duration::from_millis(20)).await;
                assert_eq!(nth, 1, "the second item cannot be made");
                Ok("first".to_owned())
            })
            .boxed()
    }
}

/// A client with or without a key and with or without a deadline.
#[derive(Clone)]
pub(super) struct Caller {
    channel: Channel,
    key: Option<SecretString>,
    timeout: Option<Duration>,
}

impl Caller {
    pub(super) fn new(channel: Channel, key: SecretString) -> Self {
        Self { channel, key: Some(key), timeout: None }
    }

    pub(super) fn without_key(channel: Channel) -> Self {
        Self { channel, key: None, timeout: None }
    }

    pub(super) fn timeout(self, timeout: Duration) -> Self {
        Self { timeout: Some(timeout), ..self }
    }

    fn request(&self, text: &str) -> Request<String> {
        let mut request = Request::new(text.to_owned());
        if let Some(key) = &self.key {
            let header = format!("Bearer {}", key.expose_secret()).parse().unwrap();
            request.metadata_mut().insert("authorization", header);
        }
        if let Some(timeout) = self.timeout {
            request.set_timeout(timeout);
        }
        request
    }

    pub(super) async fn unary(&self, path: &'static str, text: &str) -> Result<String, Status> {
        unary(self.channel.clone(), self.request(text), path).await
    }

    pub(super) async fn stream(&self, path: &'static str) -> Result<Streaming<String>, Status> {
        let mut grpc = tonic::client::Grpc::new(self.channel.clone());
        grpc.ready().await.map_err(|error| Status::from_error(error.into()))?;
        let codec = ProstCodec::<String, String>::default();
        grpc.server_streaming(self.request(""), PathAndQuery::from_static(path), codec).await.map(Response::into_inner)
    }
}

pub(super) async fn unary<C>(channel: C, request: Request<String>, path: &'static str) -> Result<String, Status>
where
    C: GrpcService<Body>,
    C::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    C::ResponseBody: http_body::Body<Data = prost::bytes::Bytes> + Send + 'static,
    <C::ResponseBody as http_body::Body>::Error: Into<Box<dyn std::error::Error + Send + Sync>> + Send,
{
    let mut grpc = tonic::client::Grpc::new(channel);
    grpc.ready().await.map_err(|error| Status::from_error(error.into()))?;
    let codec = ProstCodec::<String, String>::default();
    grpc.unary(request, PathAndQuery::from_static(path), codec).await.map(Response::into_inner)
}
