//! The bare limits behind gRPC: a server that only answers, with as many bytes as it is asked for, and may run the one
//! statement of a reservation before. What our services answer slower than the first is their own work, what this costs is
//! the price of gRPC; the second is what a shop would write by hand.

use std::{
    convert::Infallible,
    net::SocketAddr,
    process::ExitCode,
    sync::LazyLock,
    task::{Context, Poll},
};

use anyhow::Context as _;
use clap::Args;
use futures::{FutureExt as _, future::BoxFuture};
use http::uri::PathAndQuery;
use oneshelf_kit::grpc::client::ClientChannel;
use prost::bytes::Bytes;
use rand::Rng;
use secrecy::{ExposeSecret, SecretString};
use sqlx::{AssertSqlSafe, PgPool, postgres::PgPoolOptions};
use tokio::net::TcpListener;
use tonic::{
    Request, Response, Status,
    body::Body,
    server::{Grpc, NamedService, UnaryService},
    service::Routes,
    transport::{Server, server::TcpIncoming},
};
use tonic_prost::ProstCodec;

use super::pgbench;

const PATH: &str = "/oneshelf.bench.Echo/Echo";
const CONNECTIONS: u32 = 16;

#[derive(Args)]
pub struct EchoArgs {
    #[arg(long)]
    listen: SocketAddr,
    /// Where the reservations are.
    #[arg(long, env = DATABASE_URL, hide_env_values = true, value_name = "URL")]
    database_url: SecretString,
}

/// The environment variable of the address.
pub const DATABASE_URL: &str = "ONESHELF_BENCH_DATABASE_URL";

#[derive(Clone, PartialEq, prost::Message)]
pub struct EchoRequest {
    #[prost(uint32, tag = "1")]
    answer_bytes: u32,
    #[prost(bytes = "bytes", tag = "2")]
    payload: Bytes,
    /// Of how many rows one is reserved first, at random; 0: none.
    #[prost(int64, tag = "3")]
    rows: i64,
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

/// Asks the echo once. If there are `rows`, one of them is reserved.
pub async fn ask(channel: ClientChannel, sizes: Sizes, rows: i64) -> Result<(), Status> {
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let request = EchoRequest { answer_bytes: sizes.answer as u32, payload: vec![7; sizes.question].into(), rows };
    let codec = ProstCodec::<EchoRequest, EchoResponse>::default();
    client.unary(Request::new(request), PathAndQuery::from_static(PATH), codec).await.map(drop)
}

pub async fn serve(args: EchoArgs) -> anyhow::Result<ExitCode> {
    let listener = TcpListener::bind(args.listen).await.context("--listen")?;
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    // As our services have it: a connection is not asked whether it still lives before each statement.
    let pool = PgPoolOptions::new().max_connections(CONNECTIONS).test_before_acquire(false);
    let pool = pool.connect_lazy(args.database_url.expose_secret()).context("--database-url")?;
    Server::builder().add_routes(Routes::new(Echo { pool })).serve_with_incoming(incoming).await?;
    Ok(ExitCode::SUCCESS)
}

/// Written by hand what tonic-build generates: one service with one unary method.
#[derive(Clone)]
struct Echo {
    pool: PgPool,
}

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
        let answer = Answer { pool: self.pool.clone() };
        async move {
            let codec = ProstCodec::<EchoResponse, EchoRequest>::default();
            Ok(Grpc::new(codec).unary(answer, request).await)
        }
        .boxed()
    }
}

struct Answer {
    pool: PgPool,
}

impl UnaryService<EchoRequest> for Answer {
    type Response = EchoResponse;
    type Future = BoxFuture<'static, Result<Response<EchoResponse>, Status>>;

    fn call(&mut self, request: Request<EchoRequest>) -> Self::Future {
        let (pool, request) = (self.pool.clone(), request.into_inner());
        async move {
            if request.rows > 0 {
                reserve(&pool, request.rows).await.map_err(|error| Status::internal(error.to_string()))?;
            }
            Ok(Response::new(EchoResponse { payload: vec![7; request.answer_bytes as usize].into() }))
        }
        .boxed()
    }
}

async fn reserve(pool: &PgPool, rows: i64) -> Result<(), sqlx::Error> {
    static STATEMENT: LazyLock<String> = LazyLock::new(|| pgbench::reservation("$1"));
    let row = rand::rng().random_range(1..=rows);
    sqlx::query(AssertSqlSafe(STATEMENT.as_str())).bind(row).execute(pool).await.map(drop)
}
