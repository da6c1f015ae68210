//! The chassis: a box of tools that every service uses, not a framework.
//!
//! Nothing here calls business code except through a function or closure that was handed in, and every
//! `server.rs` can be read without opening this crate.
//!
//! | need | module |
//! |---|---|
//! | configuration, telemetry, start and stop of the process | [`config`], [`telemetry`], [`lifecycle`], [`admin`] |
//! | gRPC in and out, callers, error details | [`grpc`], [`auth`], [`status`] |
//! | PostgreSQL: pool, transactions, grouped writes | [`pg`], [`batch`], [`idempotency`] |
//! | events out and in | [`outbox`], [`relay`], [`broker`], [`consumer`] |
//! | caches and wake-ups; never a decision | [`redis`] |

pub mod admin;
pub mod auth;
pub mod batch;
pub mod broker;
pub mod config;
pub mod consumer;
pub mod grpc;
pub mod idempotency;
pub mod lifecycle;
pub mod outbox;
pub mod pg;
pub mod redis;
pub mod relay;
pub mod status;
pub mod telemetry;
