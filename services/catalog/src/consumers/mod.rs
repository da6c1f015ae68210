//! What the catalog listens to.

mod partner_changed;

pub use partner_changed::{PARTNER_CHANGED, partner_changed};
