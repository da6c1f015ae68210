//! The bare limit: a gRPC server that only answers, with as many bytes as it is asked for. What our services answer
//! slower than this is their own work; what this costs is the price of gRPC.

use std::{
    convert::Infallible,
    net::SocketAddr,
    process::ExitCode,
    task::{Context, Poll},
};

use anyhow::Context as _;
use clap::Args;
use futures::{FutureExt as _, future::BoxFuture};
use http::uri::PathAndQuery;
use oneshelf_kit::grpc::client::ClientChannel;
use prost::bytes::Bytes;
use tokio::net::TcpListener;
use tonic::{
    Request, Response, Status,
    body::Body,
    server::{Grpc, NamedService, UnaryService},
    service::Routes,
    transport::{Server, server::TcpIncoming},
};
use tonic_prost::ProstCodec;

const PATH: &str = "/oneshelf.bench.Echo/Echo";

#[derive(Args)]
pub struct EchoArgs {
    #[arg(long)]
    listen: SocketAddr,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct EchoRequest {
    #[prost(uint32, tag = "1")]
    answer_bytes: u32,
    #[prost(bytes = "bytes", tag = "2")]
    payload: Bytes,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct EchoResponse {
    #[prost(bytes = "bytes", tag = "1")]
    payload: Bytes,
}

/// The sizes of a question and its answer, as bytes of the real messages.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    pub question: usize,
    pub answer: usize,
}

/// Asks the echo once.
pub async fn ask(channel: ClientChannel, sizes: Sizes) -> Result<(), Status> {
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let request = EchoRequest { answer_bytes: sizes.answer as u32, payload: vec![7; sizes.question].into() };
    let codec = ProstCodec::<EchoRequest, EchoResponse>::default();
    client.unary(Request::new(request), PathAndQuery::from_static(PATH), codec).await.map(drop)
}

pub async fn serve(args: EchoArgs) -> anyhow::Result<ExitCode> {
    let listener = TcpListener::bind(args.listen).await.context("--listen")?;
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    Server::builder().add_routes(Routes::new(Echo)).serve_with_incoming(incoming).await?;
    Ok(ExitCode::SUCCESS)
}

/// Written by hand what tonic-build generates: one service with one unary method.
#[derive(Clone)]
struct Echo;

impl NamedService for Echo {
    const NAME: &'static str = "oneshelf.bench.Echo";
}

impl tonic::codegen::Service<http::Request<Body>> for Echo {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        async move {
            let codec = ProstCodec::<EchoResponse, EchoRequest>::default();
            Ok(Grpc::new(codec).unary(Answer, request).await)
        }
        .boxed()
    }
}

struct Answer;

impl UnaryService<EchoRequest> for Answer {
    type Response = EchoResponse;
    type Future = std::future::Ready<Result<Response<EchoResponse>, Status>>;

    fn call(&mut self, request: Request<EchoRequest>) -> Self::Future {
        let payload = vec![7; request.into_inner().answer_bytes as usize].into();
        std::future::ready(Ok(Response::new(EchoResponse { payload })))
    }
}
