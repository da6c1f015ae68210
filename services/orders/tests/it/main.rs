//! The service against a real database and the real services that it asks.
#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]
#![expect(clippy::items_after_statements, reason = "a table's type stands at the table")]

mod bad_input;
mod cancel_order;
mod moved_holds;
mod place_order;
mod process;
mod read_orders;
mod record_sales;
mod return_items;
mod ship_order;
mod support;
