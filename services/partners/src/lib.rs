//! Dealers that buy on account, and their credit.
//!
//! Owns the schema `partners`: the partners' records, their credit accounts, the holds that orders take on them and the
//! entries that make up what is used.
//!
//! | invariant | kept by |
//! |---|---|
//! | M4: used + held ≤ limit whenever a hold is granted | [`domain`], under the lock of the account's row |
//! | used = Σ entries, held = Σ open holds | [`domain`]; written together; [`verify`] |
//! | a hold resolves at most once | `values::Hold` |
//! | a payment, capture or return is booked once | request ids, and a unique cause per entry |
//!
//! A request's road: `grpc` → `usecases` → `domain` → `store` → `events`, and back with the commit. Credit commands
//! take it in groups (`usecases/credit_group.rs`). `partners.partner.changed.v1` tells the catalog of every change of a
//! record; returns of goods come in from orders.

pub mod config;
pub mod consumers;
pub mod server;
pub mod verify;

mod domain;
mod events;
mod grpc;
mod store;
mod usecases;

pub use events::PUBLISHED;
pub use server::MIGRATOR;
