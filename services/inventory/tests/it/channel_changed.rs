use oneshelf_inventory::consumers;
use oneshelf_kit::consumer::Event;
use oneshelf_proto::channels::v1::{Channel, ChannelChanged};
use oneshelf_values::new_id;
use prost::Message;

use crate::support::Shelf;

fn event(shelf: &Shelf, channel_id: &str, locations: &[&str], version: i64) -> Event {
    let channel = Channel {
        channel_id: channel_id.to_owned(),
        location_ids: locations.iter().map(|id| (*id).to_owned()).collect(),
        version,
        ..Default::default()
    };
    Event {
        id: new_id(&shelf.clock),
        event_type: "oneshelf.channels.v1.ChannelChanged".to_owned(),
        aggregate_id: channel_id.to_owned(),
        aggregate_version: version,
        effective_at: shelf.clock.now(),
        payload: ChannelChanged { channel: Some(channel) }.encode_to_vec().into(),
        traceparent: None,
    }
}

/// Tells the service of a channel, as the registry's event would.
pub async fn register(shelf: &Shelf, channel_id: &str, locations: &[&str], version: i64) {
    let mut conn = shelf.db.pool().acquire().await.unwrap();
    let events = [event(shelf, channel_id, locations, version)];
    consumers::channel_changed(&mut conn, &events).await.unwrap();
}

#[tokio::test]
async fn a_newer_record_wins_in_any_order_and_any_number() {
    let shelf = Shelf::open().await;
    register(&shelf, "WEB", &["WH", "SHOP"], 2).await;
    register(&shelf, "WEB", &["WH"], 1).await;
    register(&shelf, "WEB", &["WH", "SHOP"], 2).await;
    let locations: Vec<String> =
        sqlx::query_scalar("SELECT location_ids FROM inventory.channels WHERE channel_id = 'WEB'")
            .fetch_one(shelf.db.pool())
            .await
            .unwrap();
    assert_eq!(locations, ["WH", "SHOP"]);
}

#[tokio::test]
async fn an_event_that_cannot_be_read_is_parked() {
    let shelf = Shelf::open().await;
    let mut conn = shelf.db.pool().acquire().await.unwrap();
    let broken = Event { payload: vec![0xff; 3].into(), ..event(&shelf, "WEB", &["WH"], 1) };
    let refused = consumers::channel_changed(&mut conn, &[broken]).await.unwrap_err();
    assert!(matches!(refused, oneshelf_kit::consumer::HandlerError::Park(_)));
}
