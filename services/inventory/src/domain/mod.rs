//! Pure rules of stock: no IO, no clock of their own.
//!
//! | module | rule |
//! |---|---|
//! | [`stock_level`] | what one location holds of one SKU |
//! | [`policy`] | what is kept back, and from whom: safety stock, buffers, ring-fences, exclusions, thresholds |
//! | [`availability`] | the one figure of what may be sold, for whoever asks |
//! | [`hold`] | units promised to somebody: granted at most what is available, resolved at most once |
//! | [`ledger`] | every movement takes from one account and gives to another |
//! | [`caps`] | how much of a SKU one shopper or channel may hold softly |
//! | [`location`] | what a place is, and whether it takes part |
//! | [`calendar`] | when it is open, and until when an order still leaves the same day |
//! | [`group`] | a group of commands applied in turn to locked levels and holds: the heart of the write path |

pub mod availability;
pub mod calendar;
pub mod caps;
pub mod error;
pub mod event;
pub mod group;
pub mod hold;
pub mod ledger;
pub mod location;
pub mod policy;
pub mod stock_level;

pub use error::Refusal;
