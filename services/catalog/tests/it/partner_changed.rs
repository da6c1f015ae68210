use std::time::Duration;

use oneshelf_catalog::consumers::{PARTNER_CHANGED, partner_changed};
use oneshelf_kit::{
    outbox::{self, OutboxEvent},
    relay,
    schema::Schema,
};
use oneshelf_proto::{
    catalog::v1::QuotePricesRequest,
    partners::v1::{Partner, PartnerChanged, PartnerState},
};
use oneshelf_testkit::{create_kit_tables, wait_for};
use oneshelf_values::new_id;
use prost::Message as _;

use crate::support::{Shop, basket};

fn changed(shop: &Shop, price_list_id: &str, version: i64) -> OutboxEvent {
    let partner = Partner {
        partner_id: "D-1".to_owned(),
        price_list_id: price_list_id.to_owned(),
        state: PartnerState::Active.into(),
        version,
        ..Default::default()
    };
    OutboxEvent {
        event_id: new_id(&shop.clock),
        routing_key: "partners.partner.changed.v1",
        event_type: "oneshelf.partners.v1.PartnerChanged",
        aggregate_id: "D-1".to_owned(),
        aggregate_version: version,
        payload: PartnerChanged { partner: Some(partner) }.encode_to_vec(),
        effective_at: shop.clock.now(),
    }
}

/// Sends events as the partners service does: from an outbox of its own, by the relay and the broker.
async fn send(shop: &Shop, partners: Schema, events: &[OutboxEvent]) {
    let mut conn = shop.db.pool().acquire().await.unwrap();
    outbox::append(&mut conn, partners, events, shop.clock.now()).await.unwrap();
}

async fn price_of_a(shop: &mut Shop) -> Option<i64> {
    let request = QuotePricesRequest { partner_id: "D-1".to_owned(), ..basket(&[("A", 1)]) };
    let quote = shop.client.quote_prices(request).await.ok()?.into_inner().quote?;
    Some(quote.lines[0].gross_minor)
}

async fn wait_for_price(shop: &mut Shop, pence: i64) {
    let shop = tokio::sync::Mutex::new(shop);
    wait_for("the partner's price", Duration::from_secs(20), async || {
        (price_of_a(*shop.lock().await).await == Some(pence)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_partner_s_price_list_follows_the_newest_record_however_often_and_late_others_come() {
    let mut shop = Shop::stocked().await;
    for (list, pence) in [("GOLD", 70), ("SILVER", 80)] {
        shop.add_list(list, "GBP", "").await;
        shop.publish(list, &[("A", pence)]).await;
    }
    shop.publish("WEB-GBP", &[("A", 100)]).await;
    assert_eq!(price_of_a(&mut shop).await, Some(100));

    create_kit_tables(shop.db.pool(), "partners").await;
    let partners = Schema::new("partners");
    let chassis = shop.server.chassis().clone();
    let stop = chassis.lifecycle.soft().clone();
    let relay = relay::run(shop.db.pool().clone(), partners, chassis.broker.clone(), shop.clock.clone(), stop);
    chassis.lifecycle.spawn("partners.relay", relay);

    let first = changed(&shop, "GOLD", 1);
    let third = changed(&shop, "SILVER", 3);
    send(&shop, partners, &[third.clone(), first.clone(), third.clone()]).await;
    wait_for_price(&mut shop, 80).await;
    // The older record under a new event id, and both again; then one that can be waited for.
    send(&shop, partners, &[changed(&shop, "GOLD", 2), first, third, changed(&shop, "", 4)]).await;
    wait_for_price(&mut shop, 100).await;

    let versions: Vec<i64> =
        sqlx::query_scalar("SELECT version FROM catalog.partners").fetch_all(shop.db.pool()).await.unwrap();
    assert_eq!(versions, [4]);
}

#[tokio::test]
async fn an_older_record_in_a_later_delivery_changes_nothing() {
    let shop = Shop::open().await;
    let events = [(2, "GOLD"), (1, "SILVER"), (2, "BRONZE")].map(|(version, list)| {
        let event = changed(&shop, list, version);
        oneshelf_kit::consumer::Event {
            id: event.event_id,
            event_type: event.event_type.to_owned(),
            aggregate_id: event.aggregate_id,
            aggregate_version: event.aggregate_version,
            effective_at: event.effective_at,
            payload: event.payload.into(),
            traceparent: None,
        }
    });
    let mut conn = shop.db.pool().acquire().await.unwrap();
    for event in &events {
        partner_changed(&mut conn, std::slice::from_ref(event)).await.unwrap();
    }
    let list: String =
        sqlx::query_scalar("SELECT price_list_id FROM catalog.partners").fetch_one(shop.db.pool()).await.unwrap();
    assert_eq!(list, "GOLD");
    assert_eq!(PARTNER_CHANGED.queue, "catalog.partner_changed");
}
