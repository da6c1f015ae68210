//! The chassis against real servers: PostgreSQL, RabbitMQ, Redis.

mod auth;
mod batch;
mod consumer;
mod grpc;
mod idempotency;
mod pg;
mod redis;
mod relay;
mod retention;
mod support;
