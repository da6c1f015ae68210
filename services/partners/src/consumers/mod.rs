//! Events in.
//!
//! | queue | binding | does |
//! |---|---|---|
//! | `partners.items_returned` | `orders.items.returned.v1` | lowers what the partner has used by what the return gives back |

mod items_returned;

use oneshelf_kit::consumer::Subscription;

pub(crate) use items_returned::items_returned;

pub(crate) const ITEMS_RETURNED: Subscription =
    Subscription::new("partners.items_returned", &["orders.items.returned.v1"]);

/// For declaring the queues when installing, before orders publishes its first event (`Broker::declare`).
pub const SUBSCRIPTIONS: &[Subscription] = &[ITEMS_RETURNED];
