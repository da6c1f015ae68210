//! The service as its callers see it: a real server, a real database, a real broker.

mod availability;
mod channel_changed;
mod concurrency;
mod holds;
mod locations;
mod movements;
mod support;
