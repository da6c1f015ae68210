//! Timers.

pub mod redrive;
