//! Pure rules: what an order may do next, what a process takes next, what a returned unit is worth. No IO.

pub mod error;
pub mod order;
pub mod process;
pub mod returns;
pub mod ticket;

pub use error::{Refusal, RemoteRefusal};
