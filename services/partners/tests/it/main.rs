//! The service as its callers and the broker see it: a real server, a real database, a real broker.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod access;
mod bad_input;
mod credit_holds;
mod credit_reads;
mod items_returned;
mod partners;
mod races;
mod support;
