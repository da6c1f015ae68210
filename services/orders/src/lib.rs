//! Orders of all channels: placed, shipped, cancelled, returned, and the tickets of the tills.
//!
//! Owned here: orders with their lines, fees and fixed money; returns; and the processes that carry an order across
//! inventory and partners. Stock is promised by inventory and credit by partners; this service asks them by gRPC, in
//! steps that are stored before they are taken (`domain/process.rs`).
//!
//! | invariant | held by |
//! |---|---|
//! | L1: ordered = unallocated + allocated + shipped + cancelled, returned ≤ shipped | `domain/order.rs`, a CHECK, `verify` |
//! | L2: allocated lines = the hard holds in inventory | the process: hold, then confirm; commit, then mark shipped |
//! | M1–M3: totals re-add; a unit's share is fixed at placement; refunds ≤ paid | `domain/{order,returns}.rs`, `verify` |
//! | same id, same answer | the order's own row; an order's earlier states can be told again (`Order::as_confirmed`) |
//!
//! The road of a mutation: `grpc` parses → `usecases/<verb>` writes the order and its process in one transaction →
//! `usecases/drive_process` takes the steps at once → answer. If the process dies in between, or a remote is away, the
//! timer (`jobs/redrive`) goes on from the stored step through the same code.
//!
//! What is consumed: inventory's word that it moved an order's units to other locations (`consumers/`). Until it arrives an
//! order's units may be elsewhere than the order says; a despatch does not mind, it takes them wherever inventory has them.

pub mod clients;
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

/// The service's schema and tables.
pub static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!();
