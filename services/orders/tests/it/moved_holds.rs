//! Inventory moves an order's units to other locations (MoveHold).

use std::time::Duration;

use oneshelf_kit::{
    inbox,
    outbox::{self, OutboxEvent},
    schema::Schema,
};
use oneshelf_proto::{inventory::v1 as stock, orders::v1 as pb};
use oneshelf_testkit::wait_for;
use oneshelf_values::new_id;
use prost::Message as _;

use crate::support::{Desk, at};

const WITHIN: Duration = Duration::from_secs(30);

/// (SKU, location, units).
type Units<'a> = (&'a str, &'a str, i64);

/// As inventory tells it; the desk's two servers do not hear each other.
fn told(desk: &Desk, order_id: &str, version: i64, units: &[Units<'_>]) -> OutboxEvent {
    let message = stock::HoldMoved {
        hold_id: order_id.to_owned(),
        version,
        units: units
            .iter()
            .map(|(sku, location_id, quantity)| stock::HeldUnits {
                sku: (*sku).to_owned(),
                location_id: (*location_id).to_owned(),
                quantity: *quantity,
            })
            .collect(),
        move_time: Some(at(desk.clock.now().timestamp())),
        ..Default::default()
    };
    OutboxEvent {
        event_id: new_id(&desk.clock),
        routing_key: "inventory.hold.moved.v1",
        event_type: "oneshelf.inventory.v1.HoldMoved",
        aggregate_id: order_id.to_owned(),
        aggregate_version: version,
        payload: message.encode_to_vec(),
        effective_at: desk.clock.now(),
    }
}

/// Publishes events, and waits until what was published last has been taken.
async fn deliver(desk: &Desk, mut events: Vec<OutboxEvent>) {
    let schema = Schema::new("orders");
    events.push(told(desk, &desk.id(), 1, &[]));
    let last = events[events.len() - 1].event_id;
    let mut tx = desk.db.pool().begin().await.unwrap();
    outbox::append(&mut tx, schema, &events, desk.clock.now()).await.unwrap();
    tx.commit().await.unwrap();
    wait_for("the inbox", WITHIN, async || {
        (inbox::count_applied(desk.db.pool(), schema, None, &[last]).await.unwrap() > 0).then_some(())
    })
    .await;
}

/// Has inventory move so many units of A of an order from WH to STRICT.
async fn move_to_strict(desk: &mut Desk, order: &pb::Order, quantity: i64) {
    let request = stock::MoveHoldRequest {
        request_id: desk.id(),
        hold_id: order.order_id.clone(),
        moves: vec![stock::HoldMove {
            sku: "A".to_owned(),
            source_location_id: "WH".to_owned(),
            target_location_id: "STRICT".to_owned(),
            quantity,
        }],
    };
    desk.inventory.move_hold(request).await.unwrap();
}

fn places(order: &pb::Order) -> Vec<Units<'_>> {
    let allocations = order.allocations.iter();
    allocations.map(|one| (one.sku.as_str(), one.location_id.as_str(), one.quantity)).collect()
}

#[tokio::test]
async fn where_units_are_is_what_the_newest_move_says() {
    let mut desk = Desk::open().await;
    let request = desk.order(&[("A", 3, 100), ("B", 2, 50)]);
    let order = desk.placed(request.clone()).await;
    assert_eq!(places(&order), []);
    let id = &order.order_id;
    let second = told(&desk, id, 2, &[("A", "SHOP", 1), ("A", "WH", 2), ("B", "STRICT", 2)]);
    deliver(
        &desk,
        vec![
            second.clone(),
            told(&desk, id, 1, &[("A", "SHOP", 3), ("B", "WH", 2)]),
            told(&desk, &desk.id(), 1, &[("A", "SHOP", 1)]),
            told(&desk, "no uuid", 1, &[("A", "SHOP", 1)]),
            second,
        ],
    )
    .await;
    let moved = desk.get(id).await;
    let newest = [("A", "SHOP", 1), ("A", "WH", 2), ("B", "STRICT", 2)];
    assert_eq!(places(&moved), newest);
    assert_eq!(moved.version, order.version, "inventory's doing is no step of the order");
    desk.verify().await;
    deliver(&desk, vec![told(&desk, id, 1, &[("A", "SHOP", 3), ("B", "WH", 2)])]).await;
    assert_eq!(places(&desk.get(id).await), newest, "older than what is known");
    assert_eq!(desk.placed(request).await, order, "a repeated request gets its first answer");

    // The books say where the two sides differ.
    sqlx::query("UPDATE orders.order_allocations SET quantity = 3 WHERE sku = 'B'")
        .execute(desk.db.pool())
        .await
        .unwrap();
    let checks = oneshelf_orders::verify::verify(desk.db.pool(), desk.clock.now()).await.unwrap();
    let broken: Vec<_> =
        checks.iter().filter(|check| check.violations > 0).map(|check| (check.id, check.violations)).collect();
    assert_eq!(broken, [("L2", 1)]);
}

#[tokio::test]
async fn an_order_ships_from_wherever_its_units_are_before_it_hears_of_it() {
    let mut desk = Desk::open().await;
    desk.receive("STRICT", &[("A", 4)]).await;
    let order = desk.placed(desk.order(&[("A", 5, 100), ("B", 1, 50)])).await;
    move_to_strict(&mut desk, &order, 4).await;
    assert_eq!((desk.level("WH", "A").await, desk.level("STRICT", "A").await), ((10, 1), (4, 4)));

    let request = desk.ship(&order.order_id, &[(1, 3), (2, 1)]);
    let shipped = desk.client.ship_order(request).await.unwrap().into_inner().order.unwrap();
    assert_eq!((shipped.lines[0].shipped, shipped.lines[0].cancelled), (3, 2));
    assert_eq!((desk.level("WH", "A").await, desk.level("STRICT", "A").await), ((9, 0), (2, 0)));
    // Too late to matter.
    deliver(&desk, vec![told(&desk, &order.order_id, 1, &[("A", "STRICT", 4), ("A", "WH", 1), ("B", "WH", 1)])]).await;
    assert_eq!(desk.get(&order.order_id).await, shipped);
    desk.verify().await;
}

#[tokio::test]
async fn a_cancelled_order_gives_moved_units_back_where_they_are() {
    let mut desk = Desk::open().await;
    desk.receive("STRICT", &[("A", 4)]).await;
    let order = desk.placed(desk.order(&[("A", 2, 100)])).await;
    move_to_strict(&mut desk, &order, 2).await;
    deliver(&desk, vec![told(&desk, &order.order_id, 1, &[("A", "STRICT", 2)])]).await;
    assert_eq!(places(&desk.get(&order.order_id).await), [("A", "STRICT", 2)]);
    let cancel =
        pb::CancelOrderRequest { request_id: desk.id(), order_id: order.order_id.clone(), reason: "late".to_owned() };
    let cancelled = desk.client.cancel_order(cancel).await.unwrap().into_inner().order.unwrap();
    assert_eq!(places(&cancelled), []);
    assert_eq!((desk.level("WH", "A").await, desk.level("STRICT", "A").await), ((10, 0), (4, 0)));
    desk.verify().await;
}
