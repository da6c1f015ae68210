//! The vocabulary that every service shares, parsed once at the door and exact from then on.
//!
//! | module | what it holds |
//! |---|---|
//! | [`clock`] | the injected time; ids made from it |
//! | [`id`] | operator codes (`LocationId`, …) and transaction ids (`OrderId`, …) |
//! | [`sku`], [`gtin`] | article codes |
//! | [`gln`], [`geo`] | numbers, coordinates and countries of places |
//! | [`money`] | `Money` in minor units, `UnitPrice` in micros, `BasisPoints` |
//! | [`quantity`] | `Quantity`, `QuantityDelta`, `Version` |
//! | [`mod@apportion`] | splitting an amount to the unit |
//! | [`hold`] | the one state machine of everything scarce that is promised |
//!
//! Nothing here does IO, and no sum here is a float: amounts are integers, arithmetic is checked, a loss is an error.
//! With the feature `sqlx` the codes and ids are column types.
#![deny(clippy::float_arithmetic)]

pub mod apportion;
pub mod clock;
#[cfg(feature = "sqlx")]
mod column;
pub mod currency;
pub mod geo;
pub mod gln;
pub mod gtin;
pub mod hold;
pub mod id;
pub mod money;
pub mod quantity;
pub mod sku;
mod text;

pub use apportion::{ApportionError, apportion};
pub use clock::{Clock, derived_id, new_id};
pub use currency::{Currency, UnknownCurrency};
pub use geo::{Coordinates, CoordinatesError, CountryCode};
pub use gln::{Gln, GlnError};
pub use gtin::{Gtin, GtinError};
pub use hold::{Hold, HoldRefusal, HoldState, HoldTerms, InconsistentHold, LineSplit, Resolution, Standing};
pub use id::*;
pub use money::{BasisPoints, Money, MoneyError, UnitPrice};
pub use quantity::{Quantity, QuantityDelta, QuantityError, Version};
pub use sku::Sku;
pub use text::TextError;
