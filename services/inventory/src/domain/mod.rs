//! Pure rules of stock: no IO, no clock of their own.
//!
//! | module | rule |
//! |---|---|
//! | [`stock_level`] | what one location holds of one SKU, and what may still be promised |
//! | [`hold`] | units promised to somebody: granted at most what is available, resolved at most once |
//! | [`ledger`] | every movement takes from one account and gives to another |
//! | [`reason`] | why units move: a closed list, and the operator's own |
//! | [`period`] | the months by which the ledger is kept and closed |
//! | [`drift`] | counters beside what ledger and holds say, and how a level is set right |
//! | [`group`] | a group of commands applied in turn to locked levels and holds: the heart of the write path |

pub mod drift;
pub mod error;
pub mod event;
pub mod group;
pub mod hold;
pub mod ledger;
pub mod location;
pub mod period;
pub mod reason;
pub mod stock_level;

pub use error::Refusal;
