//! Events in.
//!
//! | queue | binding | does |
//! |---|---|---|
//! | `orders.hold_moved` | `inventory.hold.moved.v1` | keeps where an order's units are |

mod hold_moved;

use oneshelf_kit::consumer::Subscription;

pub(crate) use hold_moved::hold_moved;

pub(crate) const HOLD_MOVED: Subscription = Subscription::new("orders.hold_moved", &["inventory.hold.moved.v1"]);

/// For declaring the queues when installing, before inventory publishes its first event (`Broker::declare`).
pub const SUBSCRIPTIONS: &[Subscription] = &[HOLD_MOVED];
