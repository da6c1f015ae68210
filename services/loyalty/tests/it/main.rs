//! The service as its callers and the broker see it: a real server, a real database, a real broker.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod access;
mod bad_input;
mod batch_create_members;
mod get_member;
mod list_members;
mod list_points_entries;
mod sales;
mod support;
