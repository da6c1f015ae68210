//! The sales channels, and what each should show of price and stock.
//!
//! Owns: the registry of channels; one listing per (channel, SKU) with the version the channel should show, the version
//! it acknowledged, and the delay between commit at the source and acknowledgement.
//!
//! | invariant | kept by |
//! |---|---|
//! | a listing says what follows from the newest facts of stock and price | computed in one statement, under the channel's lock |
//! | the version of a listing rises by one with each change, and only then | the same statement writes only rows that differ |
//! | who reads a channel by sequence number never misses a change | numbers are taken from the channel's locked row, so they commit in order |
//! | acknowledged ≤ version | the pure rule, and a CHECK |
//!
//! ```text
//! inventory.stock_level.changed ─▶ consumers ─▶ usecases::apply_stock ─┐
//! catalog.prices.published      ─▶ consumers ─▶ usecases::apply_prices ─┤
//! a price window starts or ends ─▶ jobs      ─▶ usecases::activate_prices ─┤
//! CreateChannel, UpdateChannel  ─▶ grpc      ─▶ usecases ───────────────┤
//!                                                                       ▼
//!                              store::listings::recompute ─▶ commit ─▶ wake ─▶ Subscribe ─▶ the channel ─▶ Acknowledge
//! ```
//!
//! A channel's stream needs no queue of its own: a listing keeps only its newest sequence number, so "after my cursor,
//! in order" is snapshot, delta and coalescing in one question, and the server keeps nothing per subscriber.

pub mod consumers;
mod domain;
mod events;
mod grpc;
mod jobs;
mod store;
mod usecases;

pub mod config;
pub mod server;
pub mod verify;

pub use events::PUBLISHED;

/// The schema's migrations.
pub static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!();
