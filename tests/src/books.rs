//! The end of every test of the whole: the events have arrived and the books balance.

use std::time::Duration;

use oneshelf_kit::verify::Check;
use oneshelf_testkit::wait_for;
use oneshelf_values::Clock;
use sqlx::PgPool;

/// Every queue that a service listens to.
pub fn queues() -> Vec<String> {
    let all = [
        oneshelf_catalog::consumers::SUBSCRIPTIONS,
        oneshelf_inventory::consumers::SUBSCRIPTIONS,
        oneshelf_partners::consumers::SUBSCRIPTIONS,
        oneshelf_loyalty::consumers::SUBSCRIPTIONS,
        oneshelf_channels::consumers::SUBSCRIPTIONS,
    ];
    all.concat().iter().map(|subscription| subscription.queue.to_owned()).collect()
}

/// Waits until every outbox is published and every order's process has ended. What was published is applied soon after.
pub async fn drained(pool: &PgPool, within: Duration) {
    wait_for("drained outboxes and ended processes", within, async || {
        let waiting: i64 = sqlx::query_scalar(
            "SELECT (SELECT COUNT(*) FROM catalog.outbox_events WHERE published_at IS NULL)
                  + (SELECT COUNT(*) FROM inventory.outbox_events WHERE published_at IS NULL)
                  + (SELECT COUNT(*) FROM orders.outbox_events WHERE published_at IS NULL)
                  + (SELECT COUNT(*) FROM partners.outbox_events WHERE published_at IS NULL)
                  + (SELECT COUNT(*) FROM channels.outbox_events WHERE published_at IS NULL)
                  + (SELECT COUNT(*) FROM orders.processes)",
        )
        .fetch_one(pool)
        .await
        .expect("the outboxes can be read");
        (waiting == 0).then_some(())
    })
    .await;
}

/// Every service's own checks, and that what orders allocated is what inventory holds (L2). All schemas are in one
/// database here, so one statement sees both sides.
pub async fn balanced(pool: &PgPool, clock: &Clock) {
    let now = clock.now();
    let mut checks: Vec<Check> = Vec::new();
    checks.extend(oneshelf_catalog::verify::verify(pool).await.expect("catalog is checked"));
    checks.extend(oneshelf_inventory::verify::verify(pool).await.expect("inventory is checked"));
    checks.extend(oneshelf_orders::verify::verify(pool, now).await.expect("orders is checked"));
    checks.extend(oneshelf_partners::verify::verify(pool).await.expect("partners is checked"));
    checks.extend(oneshelf_loyalty::verify::verify(pool).await.expect("loyalty is checked"));
    checks.extend(oneshelf_channels::verify::verify(pool, now).await.expect("channels is checked"));
    for check in checks {
        assert_eq!(check.violations, 0, "{} {}: {:?}", check.id, check.what, check.offenders);
    }
    let apart: Vec<String> = sqlx::query_scalar(
        "WITH allocated AS (
             SELECT l.order_id, l.sku, o.location_id, SUM(l.allocated)::BIGINT AS units
               FROM orders.order_lines AS l JOIN orders.orders AS o USING (order_id)
              WHERE l.allocated > 0
              GROUP BY 1, 2, 3
         ), held AS (
             SELECT l.hold_id AS order_id, l.sku, l.location_id, SUM(l.held)::BIGINT AS units
               FROM inventory.hold_lines AS l JOIN inventory.holds AS h USING (hold_id)
              WHERE h.state = 'held' AND h.kind = 'hard'
              GROUP BY 1, 2, 3
         )
         SELECT format('order %s, %s at %s: %s allocated, %s held',
                       order_id, sku, location_id, allocated.units, held.units)
           FROM allocated FULL JOIN held USING (order_id, sku, location_id)
          WHERE allocated.units IS DISTINCT FROM held.units",
    )
    .fetch_all(pool)
    .await
    .expect("both sides can be read");
    assert!(apart.is_empty(), "L2: {apart:?}");
}
