//! Timers.

pub mod activate_prices;
