//! Events in. One queue for all three, so that a sale and its return mostly arrive in order, and one transaction counts
//! whatever waits.
//!
//! | queue | binding | does |
//! |---|---|---|
//! | `loyalty.sales` | `orders.order.shipped.v1`, `orders.sale.recorded.v1` | counts the goods of an order or ticket |
//! | | `orders.items.returned.v1` | counts the goods of a return, negative |

mod sales;

use oneshelf_kit::consumer::Subscription;

pub(crate) use sales::sales;

pub(crate) const SALES: Subscription = Subscription::new(
    "loyalty.sales",
    &["orders.order.shipped.v1", "orders.sale.recorded.v1", "orders.items.returned.v1"],
);

/// For declaring the queues when installing, before orders publishes its first event (`Broker::declare`).
pub const SUBSCRIPTIONS: &[Subscription] = &[SALES];
