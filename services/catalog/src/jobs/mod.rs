//! Timers. Each calls a use case and owns no rule.

mod refresh_board;

pub use refresh_board::refresh_board;
