//! The rules, without IO: what a channel may be, what a cursor means, when a price window counts, what may be
//! acknowledged. What is summed over many rows (available, the price that applies) is decided in one statement of
//! [`crate::store::listings`], because it is asked for thousands of listings at once.

pub mod acknowledgement;
pub mod changes;
pub mod channel;
pub mod cursor;
mod error;
pub mod event;
pub mod fact;
pub mod listing;

pub use error::Refusal;
