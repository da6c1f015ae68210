//! Pure rules of stock: no IO, no clock of their own.
//!
//! | module | rule |
//! |---|---|
//! | [`stock_level`] | what one location holds of one SKU |
//! | [`policy`] | what is kept back, and from whom: safety stock, buffers, ring-fences, exclusions, thresholds |
//! | [`availability`] | the one figure of what may be sold, for whoever asks |
//! | [`kit`] | what is sold as a whole and lies on no shelf |
//! | [`hold`] | units promised to somebody: granted at most what is available, resolved at most once |
//! | [`ledger`] | every movement takes from one account and gives to another |
//! | [`lot`] | goods of which it matters which: lots and serial numbers |
//! | [`document`] | what transfers and the other papers have in common |
//! | [`transfer`] | goods between two locations: shipped = received + in transit + lost |
//! | [`count`] | what is found against what the books said when it was frozen |
//! | [`abc`] | how often to count what |
//! | [`cost`] | what a unit costs us |
//! | [`inbound`] | what suppliers are to deliver, and what came of it |
//! | [`future`] | what may be promised for a day: no unit to come twice |
//! | [`promise`] | units promised for a day |
//! | [`reason`] | why units move: a closed list, and the operator's own |
//! | [`reorder`] | when more of a SKU is ordered, how much, and what its demand says these should be |
//! | [`period`] | the months by which the ledger is kept and closed |
//! | [`drift`] | counters beside what ledger and holds say, and how a level is set right |
//! | [`caps`] | how much of a SKU one shopper or channel may hold softly |
//! | [`threshold`] | when a channel is told that a SKU runs low, is out, or is back |
//! | [`consignment`] | goods that belong to somebody else than the holder of their place |
//! | [`sourcing`] | from which locations an order comes: a ladder of rules, planned and explained |
//! | [`location`] | what a place is, and whether it takes part |
//! | [`calendar`] | when it is open, and until when an order still leaves the same day |
//! | [`group`] | a group of commands applied in turn to locked levels and holds: the heart of the write path |

pub mod abc;
pub mod availability;
pub mod calendar;
pub mod caps;
pub mod consignment;
pub mod cost;
pub mod count;
pub mod document;
pub mod drift;
pub mod error;
pub mod event;
pub mod future;
pub mod group;
pub mod hold;
pub mod inbound;
pub mod kit;
pub mod ledger;
pub mod location;
pub mod lot;
pub mod period;
pub mod policy;
pub mod promise;
pub mod reason;
pub mod reorder;
pub mod sourcing;
pub mod stock_level;
pub mod threshold;
pub mod transfer;

pub use error::Refusal;
