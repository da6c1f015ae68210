//! The chassis: a box of tools that every service uses, not a framework.
//!
//! Nothing here calls business code except through a function or closure that was handed in, and every
//! `server.rs` can be read without opening this crate.
//!
//! | need | module |
//! |---|---|
//! | configuration, telemetry, start and stop of the process | [`config`], [`telemetry`], [`lifecycle`], [`admin`] |
//! | gRPC in and out, callers, error details | [`grpc`], [`auth`], [`status`] |
//! | PostgreSQL: pool, transactions, grouped writes | [`pg`], [`schema`], [`batch`], [`idempotency`], [`retention`] |
//! | events out and in | [`outbox`], [`relay`], [`broker`], [`consumer`], [`inbox`] |
//! | caches and wake-ups; never a decision | [`redis`] |

pub mod admin;
pub mod auth;
pub mod batch;
pub mod broker;
pub mod cloudevents;
pub mod config;
pub mod consumer;
pub mod grpc;
pub mod idempotency;
pub mod inbox;
pub mod lifecycle;
pub mod outbox;
pub mod pg;
pub mod redis;
pub mod relay;
pub mod retention;
pub mod schema;
pub mod status;
pub mod telemetry;
pub mod verify;

/// What a process makes once and every service in it is given. Each takes what it needs.
#[derive(Clone)]
pub struct Chassis {
    pub clock: oneshelf_values::Clock,
    pub lifecycle: lifecycle::Lifecycle,
    pub broker: broker::Broker,
    pub redis: redis::Redis,
    pub auth: auth::Authenticator,
    pub pepper: auth::Pepper,
    /// For `.max_decoding_message_size(…)` of the generated servers.
    pub max_message_bytes: usize,
}
