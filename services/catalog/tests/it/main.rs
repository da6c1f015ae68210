//! The catalog on a real server, a fresh database and the real broker.
#![expect(clippy::unwrap_used, reason = "what is unwrapped here is the test's own claim")]

mod access;
mod bad_input;
mod create_price_list;
mod explain_price;
mod get_price_book;
mod partner_changed;
mod products;
mod publish_price_list;
mod quote_prices;
mod read_price_lists;
mod replicas;
mod support;
mod verify;
mod watch_prices;
