//! Pure rules of stock: no IO, no clock of their own.
//!
//! | module | rule |
//! |---|---|
//! | [`stock_level`] | what one location holds of one SKU, and what may still be promised |
//! | [`hold`] | units promised to somebody: granted at most what is available, resolved at most once |
//! | [`ledger`] | every movement takes from one account and gives to another |
//! | [`location`] | what a place is, and whether it takes part |
//! | [`calendar`] | when it is open, and until when an order still leaves the same day |
//! | [`group`] | a group of commands applied in turn to locked levels and holds: the heart of the write path |

pub mod calendar;
pub mod error;
pub mod event;
pub mod group;
pub mod hold;
pub mod ledger;
pub mod location;
pub mod stock_level;

pub use error::Refusal;
