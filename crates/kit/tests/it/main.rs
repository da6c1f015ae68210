//! The chassis against real servers: PostgreSQL, RabbitMQ, Redis.

mod batch;
mod consumer;
mod idempotency;
mod pg;
mod redis;
mod relay;
mod retention;
mod support;
