//! The chassis against real servers: PostgreSQL, RabbitMQ, Redis.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod admin;
mod auth;
mod batch;
mod consumer;
mod grpc;
mod idempotency;
mod inbox;
mod pg;
mod redis;
mod relay;
mod retention;
mod support;
