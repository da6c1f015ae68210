//! Tests of the whole: structure, contract, journeys across services, faults of real processes.

pub mod books;
pub mod imports;
pub mod load;
pub mod nemesis;
pub mod shop;
pub mod stack;
pub mod tap;

/// Every service, by the name of its folder, schema and proto package.
pub const SERVICES: [&str; 6] = ["catalog", "inventory", "orders", "partners", "loyalty", "channels"];
