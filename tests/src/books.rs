//! The end of every test of the whole: the events have arrived and the books balance.

use std::time::Duration;

use oneshelf_kit::{consumer::Subscription, inbox, schema::Schema, verify::Check};
use oneshelf_testkit::wait_for;
use oneshelf_values::Clock;
use sqlx::PgPool;
use uuid::Uuid;

/// Every queue that a service listens to.
pub fn queues() -> Vec<String> {
    subscriptions().iter().map(|subscription| subscription.queue.to_owned()).collect()
}

/// What every service listens to.
pub fn subscriptions() -> Vec<Subscription> {
    [
        oneshelf_catalog::consumers::SUBSCRIPTIONS,
        oneshelf_inventory::consumers::SUBSCRIPTIONS,
        oneshelf_orders::consumers::SUBSCRIPTIONS,
        oneshelf_partners::consumers::SUBSCRIPTIONS,
        oneshelf_loyalty::consumers::SUBSCRIPTIONS,
        oneshelf_channels::consumers::SUBSCRIPTIONS,
    ]
    .concat()
}

/// Everything that events have ever brought about, as text to compare.
pub async fn effects(pool: &PgPool) -> Vec<String> {
    sqlx::query_scalar(
        "SELECT ROW(channel_id, sku, version, seq, available, unit_price_micros)::TEXT FROM channels.listings
          UNION ALL
         SELECT ROW(member_id, balance, earned)::TEXT FROM loyalty.members
          UNION ALL
         SELECT ROW('points entries', COUNT(*))::TEXT FROM loyalty.points_entries
          UNION ALL
         SELECT ROW(partner_id, used_minor, held_minor)::TEXT FROM partners.credit_accounts
          UNION ALL
         SELECT ROW('credit entries', COUNT(*))::TEXT FROM partners.credit_entries
          UNION ALL
         SELECT ROW(partner_id, price_list_id, state, version)::TEXT FROM catalog.partners
          UNION ALL
         SELECT ROW(channel_id, location_ids, version)::TEXT FROM inventory.channels
          UNION ALL
         SELECT ROW(order_id, sku, location_id, quantity)::TEXT FROM orders.order_allocations
          ORDER BY 1",
    )
    .fetch_all(pool)
    .await
    .expect("the effects can be read")
}

/// Whether each of these events (routing key, id) has been applied by every queue that is bound to it.
pub async fn received(pool: &PgPool, events: &[(String, Uuid)]) -> bool {
    let subscriptions = subscriptions();
    let (wanted, ids): (Vec<usize>, Vec<Uuid>) = events
        .iter()
        .map(|(key, id)| (subscriptions.iter().filter(|one| one.routing_keys.contains(&key.as_str())).count(), *id))
        .unzip();
    let mut received = 0;
    for name in ["catalog", "inventory", "orders", "partners", "loyalty", "channels"] {
        received += inbox::count_applied(pool, Schema::new(name), None, &ids).await.expect("the inboxes can be read");
    }
    received == wanted.iter().sum::<usize>() as i64
}

/// Waits until every outbox is published and every order's process has ended. What was published is applied soon after.
pub async fn drained(pool: &PgPool, within: Duration) {
    wait_for("drained outboxes and ended processes", within, async || {
        let waiting: i64 = sqlx::query_scalar(
            "SELECT (SELECT COUNT(*) FROM catalog.outbox_packs WHERE published_at IS NULL)
                  + (SELECT COUNT(*) FROM inventory.outbox_packs WHERE published_at IS NULL)
                  + (SELECT COUNT(*) FROM orders.outbox_packs WHERE published_at IS NULL)
                  + (SELECT COUNT(*) FROM partners.outbox_packs WHERE published_at IS NULL)
                  + (SELECT COUNT(*) FROM channels.outbox_packs WHERE published_at IS NULL)
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
              WHERE l.allocated > 0 AND o.hold_version = 0
              GROUP BY 1, 2, 3
              UNION ALL
             SELECT a.order_id, a.sku, a.location_id, a.quantity
               FROM orders.order_allocations AS a JOIN orders.orders AS o USING (order_id)
              WHERE o.state = 'confirmed'
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
