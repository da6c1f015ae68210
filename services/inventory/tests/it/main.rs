//! The service as its callers see it: a real server, a real database, a real broker.
#![expect(clippy::unwrap_used, reason = "what is unwrapped here is the test's own claim")]

mod availability;
mod bad_input;
mod bulk;
mod channel_changed;
mod concurrency;
mod counts;
mod good_documents;
mod guards;
mod holds;
mod inbounds;
mod ledger;
mod locations;
mod movements;
mod overload;
mod policies;
mod promises;
mod reconcile;
mod support;
mod transfers;
