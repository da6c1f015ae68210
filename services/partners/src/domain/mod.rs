//! Pure rules: what a partner is and how its credit may move. No IO, no time of its own.

mod credit;
mod error;
mod partner;

pub use credit::{Account, CreditHold, Entry, EntryReason, Evidence, HoldRequest};
pub use error::Refusal;
pub use partner::{NewPartner, Partner, Standing, Tier};
