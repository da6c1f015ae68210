//! Inventory: locations, stock levels, the ledger, what is kept back, and holds; and the papers that move goods:
//! transfers, orders to suppliers, counts, promises for a day. It alone decides whether a unit may be sold.
//!
//! Invariants (checked by `verify` on the tables, by property tests on the domain):
//! - what is on hand is what the ledger says, and all accounts of a SKU sum to zero (Q1);
//! - no bucket falls below zero but where a location lets a till's fact do so (Q2);
//! - a hold is granted only from what is available (Q3), and resolves at most once (Q6);
//! - what is available is one figure, whether it is answered, explained, announced or held (Q4);
//! - the same request id gives the same answer (Q7);
//! - no unit to come is promised twice (Q5), and a transfer loses sight of none (Q9).
//!
//! The road of a change: `grpc` parses → `usecases::execute` groups commands → `domain::group` decides on locked rows →
//! `store` writes with array statements → outbox rows → one commit answers the whole group. Bulk changes go beside the
//! groups, under the same locks (`usecases::bulk`).

pub mod config;
pub mod consumers;
pub mod domain;
pub mod events;
pub mod grpc;
pub mod jobs;
pub mod server;
pub mod store;
mod time;
pub mod usecases;
pub mod verify;

/// The service's schema, applied by `oneshelf migrate`.
pub static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!();
