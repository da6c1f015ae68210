//! The service as its callers see it: a real server, a real database, a real broker.
#![expect(clippy::unwrap_used, reason = "what is unwrapped here is the test's own claim")]

mod availability;
mod bad_input;
mod bulk;
mod channel_changed;
mod concurrency;
mod consignments;
mod costs;
mod counts;
mod everything;
mod good_documents;
mod guards;
mod holds;
mod inbounds;
mod kits;
mod ledger;
mod locations;
mod lot_documents;
mod lots;
mod movements;
mod overload;
mod policies;
mod promises;
mod reconcile;
mod reorder;
mod short_way;
mod sourcing;
mod support;
mod thresholds;
mod transfers;
