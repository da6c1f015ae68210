use std::time::Duration;

use futures::future::join_all;
use oneshelf_proto::inventory::v1 as pb;
use tonic::Code;

use crate::{
    channel_changed::register,
    policies::{fence, set_fence, set_sku, set_stock, stock_policy},
    support::{Shelf, fields, location, reason},
};

fn ask(channel: &str, skus: &[&str]) -> pb::GetAvailabilityRequest {
    pb::GetAvailabilityRequest {
        channel_id: channel.to_owned(),
        skus: skus.iter().map(|sku| (*sku).to_owned()).collect(),
        ..Default::default()
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
async fn get_availability_that_is_read_for_many_answers_each_of_them() {
    let mut shelf = Shelf::stocked().await;
    shelf.receive("SHOP", &[("A", 3)]).await;
    register(&shelf, "WEB", &["WH", "SHOP"], 1).await;
    register(&shelf, "TILL", &["SHOP"], 1).await;
    let asked = [("WEB", &["A", "B"][..]), ("TILL", &["B", "A"]), ("NOBODY", &["A"]), ("WEB", &["B", "B"])];
    let answers = join_all(asked.iter().cycle().take(64).map(|(channel, skus)| {
        let mut client = shelf.client.clone();
        async move { client.get_availability(ask(channel, skus)).await.map_err(|status| status.code()) }
    }));
    let found: Vec<Result<Vec<i64>, Code>> = answers
        .await
        .into_iter()
        .map(|answer| Ok(answer?.into_inner().availabilities.iter().map(|one| one.available).collect()))
        .collect();
    let wanted = [Ok(vec![13, 5]), Ok(vec![0, 3]), Err(Code::NotFound), Ok(vec![5, 5])];
    assert!(found.chunks(4).all(|four| four == wanted), "{found:?}");
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

#[tokio::test]
async fn get_availability_answers_in_bands_to_those_who_may_not_see_numbers() {
    let mut shelf = Shelf::stocked().await;
    register(&shelf, "WEB", &["WH"], 1).await;
    let policy = pb::SkuPolicy { sku: "B".to_owned(), low_threshold: 5, ..Default::default() };
    shelf.client.set_sku_policies(set_sku(&shelf, policy)).await.unwrap();
    let bands = |answer: &pb::GetAvailabilityResponse| -> Vec<pb::AvailabilityBand> {
        answer.availabilities.iter().map(pb::Availability::band).collect()
    };
    let expected = [pb::AvailabilityBand::InStock, pb::AvailabilityBand::Low, pb::AvailabilityBand::Out];
    let all = shelf.client.get_availability(ask("WEB", &["A", "B", "C"])).await.unwrap().into_inner();
    assert_eq!((bands(&all).as_slice(), all.quantities_hidden), (&expected[..], false));
    let mut narrow = shelf.client_for(&["inventory:GetAvailability"], None).await;
    let hidden = narrow.get_availability(ask("WEB", &["A", "B", "C"])).await.unwrap().into_inner();
    assert_eq!((bands(&hidden).as_slice(), hidden.quantities_hidden), (&expected[..], true));
    assert!(hidden.availabilities.iter().all(|one| one.available == 0 && one.locations.is_empty()));
}

#[tokio::test]
async fn explain_availability_lists_every_subtraction_and_adds_up_to_what_is_answered_and_held() {
    let mut shelf = Shelf::stocked().await;
    shelf.receive("SHOP", &[("A", 3)]).await;
    register(&shelf, "WEB", &["WH", "SHOP"], 1).await;
    let policy = pb::StockPolicy {
        safety_stock: 1,
        backorder_limit: 2,
        buffers: vec![pb::ChannelBuffer { channel_id: "WEB".to_owned(), units: 1 }],
        ..stock_policy("A", "WH")
    };
    let closed = pb::StockPolicy { excluded: true, ..stock_policy("A", "SHOP") };
    shelf.client.set_stock_policies(set_stock(&shelf, vec![policy, closed])).await.unwrap();
    shelf.client.set_ring_fences(set_fence(&shelf, fence("A", "TILL", 4))).await.unwrap();
    let threshold = pb::SkuPolicy { sku: "A".to_owned(), network_threshold: 1, ..Default::default() };
    shelf.client.set_sku_policies(set_sku(&shelf, threshold)).await.unwrap();
    shelf.held(shelf.hold(&[("A", 1)])).await;
    shelf.held(shelf.soft_hold(&[("A", 1)], 600)).await;
    shelf.held(shelf.soft_hold(&[("A", 1)], 1)).await;
    shelf.clock.advance(Duration::from_secs(1));

    let request =
        pb::ExplainAvailabilityRequest { channel_id: "WEB".to_owned(), sku: "a".to_owned(), ..Default::default() };
    let told = shelf.client.explain_availability(request.clone()).await.unwrap().into_inner();
    let [shop, warehouse] = &told.locations[..] else { panic!("two locations: {told:?}") };
    assert_eq!((shop.block(), shop.available), (pb::AvailabilityBlock::Excluded, 0));
    let fenced: i64 = warehouse.fences.iter().map(|fence| fence.left).sum();
    assert_eq!(
        (
            warehouse.sellable,
            warehouse.hard_held,
            warehouse.soft_held,
            warehouse.safety_stock,
            fenced,
            warehouse.buffer
        ),
        (10, 1, 1, 1, 4, 1)
    );
    assert_eq!((warehouse.backorder_limit, warehouse.unfloored, warehouse.available), (2, 4, 4));
    assert_eq!((told.network_threshold, told.available), (1, 3));
    let answered = shelf.client.get_availability(ask("WEB", &["A"])).await.unwrap().into_inner();
    assert_eq!(answered.availabilities[0].available, told.available);
    let all = pb::HoldStockRequest { channel_id: "WEB".to_owned(), ..shelf.hold(&[("A", warehouse.available)]) };
    shelf.held(all).await;

    let unknown = pb::ExplainAvailabilityRequest { channel_id: "NOBODY".to_owned(), ..request.clone() };
    assert_eq!(reason(&shelf.client.explain_availability(unknown).await.unwrap_err()), "CHANNEL_NOT_FOUND");
    let bad = pb::ExplainAvailabilityRequest { partner_id: "a b".to_owned(), ..Default::default() };
    let bad = shelf.client.explain_availability(bad).await.unwrap_err();
    assert_eq!(fields(&bad), ["channel_id", "partner_id", "sku"]);
    let mut narrow = shelf.client_for(&["inventory:ExplainAvailability"], None).await;
    let denied = narrow.explain_availability(request.clone()).await.unwrap_err();
    assert_eq!((denied.code(), reason(&denied).as_str()), (Code::PermissionDenied, "SCOPE_MISSING"));
    let mut app = shelf.client_for(&["inventory:*"], Some("APP")).await;
    assert_eq!(reason(&app.explain_availability(request).await.unwrap_err()), "OUT_OF_SCOPE");
    shelf.verify().await;
}

/// A place at so many micro-degrees north of the equator, open on weekdays from 9 to 5 in UTC.
async fn place(shelf: &mut Shelf, location_id: &str, latitude_micro_degrees: i32) {
    let hours = (1..=5).map(|weekday| pb::OpeningHours { weekday, opens_minute: 540, closes_minute: 1_020 });
    let calendar = pb::OpeningCalendar { time_zone: "UTC".to_owned(), hours: hours.collect(), ..Default::default() };
    let location = pb::Location {
        coordinates: Some(pb::Coordinates { latitude_micro_degrees, longitude_micro_degrees: 0 }),
        calendar: Some(calendar),
        ..location(location_id, pb::LocationKind::Store, true)
    };
    let request = pb::CreateLocationRequest { request_id: shelf.id(), location: Some(location) };
    shelf.client.create_location(request).await.unwrap();
}

#[tokio::test]
async fn find_pickup_answers_places_by_distance_with_their_opening_and_what_is_there() {
    let mut shelf = Shelf::stocked().await;
    for (location_id, latitude) in [("FAR", 90_000), ("NEAR", 9_000), ("GONE", 10_000), ("REMOTE", 9_000_000)] {
        place(&mut shelf, location_id, latitude).await;
        shelf.receive(location_id, &[("A", if location_id == "FAR" { 5 } else { 1 })]).await;
    }
    let off = pb::DeactivateLocationRequest { request_id: shelf.id(), location_id: "GONE".to_owned() };
    shelf.client.deactivate_location(off).await.unwrap();
    register(&shelf, "WEB", &["WH", "FAR", "NEAR", "GONE", "REMOTE"], 1).await;
    let line = |sku: &str, quantity| pb::PickupLine { sku: sku.to_owned(), quantity };
    let request = pb::FindPickupRequest {
        channel_id: "WEB".to_owned(),
        near: Some(pb::Coordinates { latitude_micro_degrees: 0, longitude_micro_degrees: 0 }),
        radius_m: 50_000,
        lines: vec![line("a", 2)],
        ..Default::default()
    };
    let found = shelf.client.find_pickup(request.clone()).await.unwrap().into_inner().places;
    let told: Vec<(&str, i32, i64, bool)> = found
        .iter()
        .map(|place| (place.location_id.as_str(), place.distance_m, place.lines[0].available, place.complete))
        .collect();
    assert_eq!(told, [("NEAR", 1_001, 1, false), ("FAR", 10_008, 5, true)]);
    let now = shelf.clock.now();
    let opens = found[0].next_opening_time.unwrap();
    assert_eq!(found[0].open, opens.seconds == now.timestamp());
    assert!(opens.seconds >= now.timestamp() && opens.seconds <= now.timestamp() + 4 * 86_400);

    let complete = pb::FindPickupRequest { complete_only: true, limit: 1, ..request.clone() };
    let complete = shelf.client.find_pickup(complete).await.unwrap().into_inner().places;
    assert_eq!(complete[0].location_id, "FAR");
    let places = pb::FindPickupRequest { lines: vec![], limit: 1, ..request.clone() };
    let places = shelf.client.find_pickup(places).await.unwrap().into_inner().places;
    assert_eq!((places.len(), places[0].location_id.as_str(), places[0].complete), (1, "NEAR", true));
    let mut narrow = shelf.client_for(&["inventory:FindPickup"], None).await;
    let hidden = narrow.find_pickup(request.clone()).await.unwrap().into_inner();
    let line_of = &hidden.places[1].lines[0];
    assert_eq!((hidden.quantities_hidden, line_of.available, line_of.sufficient), (true, 0, true));

    let bad = pb::FindPickupRequest {
        channel_id: String::new(),
        near: None,
        radius_m: 500_001,
        lines: vec![line("", 0), line("B", 1), line("b", 1)],
        limit: 101,
        ..request.clone()
    };
    let bad = shelf.client.find_pickup(bad).await.unwrap_err();
    assert_eq!(
        fields(&bad),
        ["channel_id", "near", "radius_m", "lines[0].sku", "lines[0].quantity", "lines[2].sku", "limit"]
    );
    let unknown = pb::FindPickupRequest { channel_id: "NOBODY".to_owned(), ..request };
    assert_eq!(reason(&shelf.client.find_pickup(unknown).await.unwrap_err()), "CHANNEL_NOT_FOUND");
}
