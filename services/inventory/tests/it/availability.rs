use std::time::Duration;

use oneshelf_proto::inventory::v1 as pb;
use tonic::Code;

use crate::{
    channel_changed::register,
    support::{Shelf, fields, reason},
};

fn ask(channel: &str, skus: &[&str]) -> pb::GetAvailabilityRequest {
    pb::GetAvailabilityRequest {
        channel_id: channel.to_owned(),
        skus: skus.iter().map(|sku| (*sku).to_owned()).collect(),
    }
}

#[tokio::test]
async fn get_availability_adds_the_floored_parts_of_the_channels_locations() {
    let mut shelf = Shelf::stocked().await;
    shelf.receive("SHOP", &[("A", 3)]).await;
    register(&shelf, "WEB", &["WH", "SHOP"], 1).await;
    register(&shelf, "TILL", &["SHOP"], 1).await;
    shelf.held(shelf.hold(&[("A", 4)])).await;
    shelf.clock.advance(Duration::from_secs(5));
    let answer = shelf.client.get_availability(ask("WEB", &["B", "a", "NEVER"])).await.unwrap().into_inner();
    let found: Vec<(&str, i64)> = answer.availabilities.iter().map(|one| (one.sku.as_str(), one.available)).collect();
    assert_eq!(found, [("B", 5), ("A", 9), ("NEVER", 0)], "in the order asked");
    assert_eq!(answer.availabilities[1].locations.len(), 2);
    let till = shelf.client.get_availability(ask("TILL", &["A", "B"])).await.unwrap().into_inner();
    let found: Vec<i64> = till.availabilities.iter().map(|one| one.available).collect();
    assert_eq!(found, [3, 0]);
}

#[tokio::test]
async fn get_availability_is_never_older_than_its_bound() {
    let mut shelf = Shelf::stocked().await;
    register(&shelf, "WEB", &["WH"], 1).await;
    let before = shelf.client.get_availability(ask("WEB", &["A"])).await.unwrap().into_inner();
    assert_eq!(before.availabilities[0].available, 10);
    shelf.held(shelf.soft_hold(&[("A", 4)], 10)).await;
    shelf.clock.advance(Duration::from_millis(251));
    let after = shelf.client.get_availability(ask("WEB", &["A"])).await.unwrap().into_inner();
    assert_eq!(after.availabilities[0].available, 6);
    // An expired hold is free at once, recorded or not.
    shelf.clock.advance(Duration::from_secs(10));
    let expired = shelf.client.get_availability(ask("WEB", &["A"])).await.unwrap().into_inner();
    assert_eq!(expired.availabilities[0].available, 10);
}

#[tokio::test]
async fn get_availability_refuses_what_it_cannot_answer() {
    let mut shelf = Shelf::stocked().await;
    register(&shelf, "WEB", &["WH"], 1).await;
    let unknown = shelf.client.get_availability(ask("NOBODY", &["A"])).await.unwrap_err();
    assert_eq!((unknown.code(), reason(&unknown).as_str()), (Code::NotFound, "CHANNEL_NOT_FOUND"));
    let bad = shelf.client.get_availability(ask("", &["A", "\t"])).await.unwrap_err();
    assert_eq!(fields(&bad), ["channel_id", "skus[1]"]);
    let many = vec!["A"; 2_001];
    assert_eq!(fields(&shelf.client.get_availability(ask("WEB", &many)).await.unwrap_err()), ["skus"]);
    let mut app = shelf.client_for(&["inventory:*"], Some("APP")).await;
    let foreign = app.get_availability(ask("WEB", &["A"])).await.unwrap_err();
    assert_eq!((foreign.code(), reason(&foreign).as_str()), (Code::PermissionDenied, "OUT_OF_SCOPE"));
}
