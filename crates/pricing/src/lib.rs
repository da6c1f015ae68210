//! What a basket costs. One engine, run by the catalog service and, offline, by a store.
//!
//! Price is a pure function of (price-book version, context, quantity, instant): same arguments, same answer, on every
//! machine. No IO, no clock, no float.
//!
//! | module | what it holds |
//! |---|---|
//! | [`book`] | the published prices as one immutable, versioned whole |
//! | [`evaluate`](mod@evaluate) | unit prices, line totals, fees, the apportioned order discount |
//! | [`explain`](mod@explain) | every price that was looked at for one SKU, taken or not, and why |
//! | [`units`] | what each single unit of a line was paid with, so that refunds add up |
//! | [`signature`] | the proof that a quote is ours, checked without a call |
#![deny(clippy::float_arithmetic)]

pub mod book;
pub mod evaluate;
pub mod explain;
pub mod signature;
pub mod units;

pub use book::{
    BookError, EntryFault, EntryViolation, ListPrices, PriceBook, PriceEntry, Rise, Window, find_rise, validate_entries,
};
pub use evaluate::{
    Basket, Context, Evaluated, Fee, Line, Place, PriceOverride, PricedFee, PricedLine, Refusal, evaluate,
};
pub use explain::{Candidate, Explanation, Verdict, explain};
pub use signature::{KeyRing, KeyRingError, Signature, SignatureError, SigningKey, is_expired};
pub use units::{UnitsError, amount_of_units, unit_amounts};
