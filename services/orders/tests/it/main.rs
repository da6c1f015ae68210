//! The service against a real database and the real services that it asks.

mod cancel_order;
mod place_order;
mod process;
mod read_orders;
mod record_sales;
mod return_items;
mod ship_order;
mod support;
