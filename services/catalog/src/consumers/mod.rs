//! What the catalog listens to.

mod partner_changed;

pub use partner_changed::{PARTNER_CHANGED, partner_changed};

/// For declaring the queues when installing, before the first event is published.
pub const SUBSCRIPTIONS: &[oneshelf_kit::consumer::Subscription] = &[partner_changed::PARTNER_CHANGED];
