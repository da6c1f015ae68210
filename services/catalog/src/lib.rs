//! Products, price lists, the price book, quotes.
//!
//! | owns | invariant |
//! |---|---|
//! | products and variants | a SKU, and a GTIN in any of its lengths, is there once |
//! | price lists and their prices | append-only; a price is above zero and in the list's currency |
//! | price-book versions | gap-free over all lists, in the order of commits; what a version holds never changes |
//! | quotes | price = f(version, lists, quantity, instant); signed, so what is quoted is charged |
//! | a copy of partners' price lists | the newer record wins |
//!
//! A write goes [`grpc`] → [`usecases`] (one transaction: request id, effect, events, answer) → commit → the board in
//! memory catches up. A quote goes [`grpc`] → [`usecases`] → the board and `oneshelf_pricing`, and touches nothing else.
//! Other replicas' writes reach the board by a poll of counters that move with each commit (see `store/heads.rs`).

pub mod config;
pub mod consumers;
pub mod domain;
mod events;
pub mod grpc;
mod jobs;
pub mod server;
mod store;
pub mod usecases;
pub mod verify;
mod wire;

pub use events::PUBLISHED;

/// The schema `catalog`.
pub static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!();
