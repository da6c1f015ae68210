use std::time::Duration;

use oneshelf_proto::inventory::v1 as pb;
use oneshelf_testkit::wait_for;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::{
    channel_changed::register,
    support::{Shelf, fields, location, reason},
};

/// A shop in London with everything that can be said of it.
fn full(location_id: &str) -> pb::Location {
    let weekday = |weekday: pb::Weekday, opens_minute, closes_minute| pb::OpeningHours {
        weekday: weekday.into(),
        opens_minute,
        closes_minute,
    };
    pb::Location {
        gln: "0614141000012".to_owned(),
        coordinates: Some(pb::Coordinates { latitude_micro_degrees: 51_507_222, longitude_micro_degrees: -127_500 }),
        country_code: "gb".to_owned(),
        zone_id: "south-east".to_owned(),
        calendar: Some(pb::OpeningCalendar {
            time_zone: "Europe/London".to_owned(),
            hours: vec![weekday(pb::Weekday::Saturday, 600, 960), weekday(pb::Weekday::Monday, 540, 1_080)],
            closed_days: vec!["2026-12-25".to_owned()],
            ship_cut_off_minute: Some(840),
        }),
        abilities: Some(pb::LocationAbilities { abilities: vec![pb::LocationAbility::Pickup.into()] }),
        daily_order_capacity: Some(40),
        priority: 3,
        owner_id: "dealer-1".to_owned(),
        ..location(location_id, pb::LocationKind::Dealer, true)
    }
}

async fn create(shelf: &mut Shelf, location: pb::Location) -> pb::Location {
    let request = pb::CreateLocationRequest { request_id: shelf.id(), location: Some(location) };
    shelf.client.create_location(request).await.unwrap().into_inner().location.unwrap()
}

fn update(shelf: &Shelf, location: pb::Location, paths: &[&str]) -> pb::UpdateLocationRequest {
    pb::UpdateLocationRequest {
        request_id: shelf.id(),
        location: Some(location),
        update_mask: Some(prost_types::FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() }),
        expected_version: 0,
    }
}

async fn deactivate(shelf: &mut Shelf, location_id: &str) -> Result<pb::Location, Status> {
    let request = pb::DeactivateLocationRequest { request_id: shelf.id(), location_id: location_id.to_owned() };
    Ok(shelf.client.deactivate_location(request).await?.into_inner().location.unwrap())
}

async fn activate(shelf: &mut Shelf, location_id: &str) -> Result<pb::Location, Status> {
    let request = pb::ActivateLocationRequest { request_id: shelf.id(), location_id: location_id.to_owned() };
    Ok(shelf.client.activate_location(request).await?.into_inner().location.unwrap())
}

async fn close(shelf: &mut Shelf, location_id: &str) -> Result<pb::Location, Status> {
    let request = pb::CloseLocationRequest { request_id: shelf.id(), location_id: location_id.to_owned() };
    Ok(shelf.client.close_location(request).await?.into_inner().location.unwrap())
}

async fn available(shelf: &mut Shelf, sku: &str) -> i64 {
    shelf.clock.advance(Duration::from_secs(1));
    let request =
        pb::GetAvailabilityRequest { channel_id: "WEB".to_owned(), skus: vec![sku.to_owned()], ..Default::default() };
    shelf.client.get_availability(request).await.unwrap().into_inner().availabilities[0].available
}

#[tokio::test]
async fn create_location_answers_again_what_it_answered() {
    let mut shelf = Shelf::open().await;
    let request = pb::CreateLocationRequest {
        request_id: shelf.id(),
        location: Some(location(" shop-2 ", pb::LocationKind::Store, true)),
    };
    let first = shelf.client.create_location(request.clone()).await.unwrap().into_inner();
    assert_eq!(first.location.as_ref().unwrap().location_id, "SHOP-2");
    let again = shelf.client.create_location(request.clone()).await.unwrap().into_inner();
    assert_eq!(first, again);

    let mut other = request.clone();
    other.location.as_mut().unwrap().title = "another".to_owned();
    let reused = shelf.client.create_location(other).await.unwrap_err();
    assert_eq!((reused.code(), reason(&reused).as_str()), (Code::InvalidArgument, "REQUEST_ID_REUSED"));
    assert_eq!(fields(&reused), ["request_id"]);

    let taken = pb::CreateLocationRequest { request_id: shelf.id(), ..request };
    let taken = shelf.client.create_location(taken).await.unwrap_err();
    assert_eq!((taken.code(), reason(&taken).as_str()), (Code::AlreadyExists, "LOCATION_EXISTS"));
}

#[tokio::test]
async fn create_location_names_every_bad_field_and_changes_nothing() {
    let mut shelf = Shelf::open().await;
    let before = shelf.rows().await;
    let bad = pb::CreateLocationRequest {
        request_id: "7".to_owned(),
        location: Some(pb::Location {
            title: "x".repeat(201),
            kind: 9,
            ..location("A B", pb::LocationKind::Store, false)
        }),
    };
    let status = shelf.client.create_location(bad).await.unwrap_err();
    assert_eq!(fields(&status), ["request_id", "location.location_id", "location.kind", "location.title"]);
    let empty = shelf.client.create_location(pb::CreateLocationRequest::default()).await.unwrap_err();
    assert_eq!(fields(&empty), ["request_id", "location"]);
    assert_eq!(shelf.rows().await, before);
}

#[tokio::test]
async fn get_location_finds_known_ones_only() {
    let mut shelf = Shelf::open().await;
    let get = |id: &str| pb::GetLocationRequest { location_id: id.to_owned() };
    let found = shelf.client.get_location(get("wh")).await.unwrap().into_inner().location.unwrap();
    assert_eq!((found.location_id.as_str(), found.version), ("WH", 1));
    let missing = shelf.client.get_location(get("NOWHERE")).await.unwrap_err();
    assert_eq!((missing.code(), reason(&missing).as_str()), (Code::NotFound, "LOCATION_NOT_FOUND"));
    assert_eq!(fields(&shelf.client.get_location(get("")).await.unwrap_err()), ["location_id"]);
}

#[tokio::test]
async fn list_locations_pages_by_id() {
    let mut shelf = Shelf::open().await;
    let list = |page_size, page_token: String| pb::ListLocationsRequest { page_size, page_token, ..Default::default() };
    let first = shelf.client.list_locations(list(1, String::new())).await.unwrap().into_inner();
    assert_eq!(first.locations[0].location_id, "SHOP");
    let second = shelf.client.list_locations(list(1, first.next_page_token)).await.unwrap().into_inner();
    assert_eq!(second.locations[0].location_id, "WH");
    let end = shelf.client.list_locations(list(0, second.next_page_token)).await.unwrap().into_inner();
    assert!(end.locations.is_empty() && end.next_page_token.is_empty());
    for size in [-1, 1_001] {
        assert_eq!(fields(&shelf.client.list_locations(list(size, String::new())).await.unwrap_err()), ["page_size"]);
    }
}

#[tokio::test]
async fn create_location_needs_a_key_with_the_scope() {
    let shelf = Shelf::open().await;
    let request = || pb::CreateLocationRequest {
        request_id: shelf.id(),
        location: Some(location("X", pb::LocationKind::Store, false)),
    };
    let stranger = shelf.stranger().await.create_location(request()).await.unwrap_err();
    assert_eq!(stranger.code(), Code::Unauthenticated);
    let mut narrow = shelf.client_for(&["inventory:GetLocation"], None).await;
    let denied = narrow.create_location(request()).await.unwrap_err();
    assert_eq!((denied.code(), reason(&denied).as_str()), (Code::PermissionDenied, "SCOPE_MISSING"));
}

#[tokio::test]
async fn create_location_keeps_everything_that_is_said_of_a_place() {
    let mut shelf = Shelf::open().await;
    let made = create(&mut shelf, full("D-1")).await;
    let calendar = made.calendar.clone().unwrap();
    let weekdays: Vec<pb::Weekday> = calendar.hours.iter().map(pb::OpeningHours::weekday).collect();
    assert_eq!(weekdays, [pb::Weekday::Monday, pb::Weekday::Saturday], "sorted");
    let asked = full("D-1");
    let expected = pb::Location {
        country_code: "GB".to_owned(),
        zone_id: "SOUTH-EAST".to_owned(),
        owner_id: "DEALER-1".to_owned(),
        calendar: Some(pb::OpeningCalendar { hours: calendar.hours.clone(), ..asked.calendar.clone().unwrap() }),
        version: 1,
        state: pb::LocationState::Active.into(),
        create_time: made.create_time,
        update_time: made.update_time,
        ..asked
    };
    assert_eq!(made, expected);
    let get = pb::GetLocationRequest { location_id: "D-1".to_owned() };
    assert_eq!(shelf.client.get_location(get).await.unwrap().into_inner().location, Some(made));
    let usual = create(&mut shelf, location("V", pb::LocationKind::Vendor, false)).await;
    assert_eq!(usual.abilities.unwrap().abilities, [i32::from(pb::LocationAbility::Ship)]);
}

#[tokio::test]
async fn create_location_names_every_bad_detail() {
    let mut shelf = Shelf::open().await;
    let hours = |weekday, opens_minute, closes_minute| pb::OpeningHours { weekday, opens_minute, closes_minute };
    let bad = pb::Location {
        gln: "0614141000013".to_owned(),
        coordinates: Some(pb::Coordinates { latitude_micro_degrees: 90_000_001, longitude_micro_degrees: 0 }),
        country_code: "GBR".to_owned(),
        zone_id: "a b".to_owned(),
        calendar: Some(pb::OpeningCalendar {
            time_zone: "Mars/Olympus".to_owned(),
            hours: vec![hours(0, -1, 1_441)],
            closed_days: vec!["25.12.2026".to_owned()],
            ship_cut_off_minute: Some(2_000),
        }),
        abilities: Some(pb::LocationAbilities { abilities: vec![1, 1, 9] }),
        daily_order_capacity: Some(-1),
        priority: 1_000_001,
        owner_id: "a b".to_owned(),
        ..location("X", pb::LocationKind::Store, false)
    };
    let request = pb::CreateLocationRequest { request_id: shelf.id(), location: Some(bad) };
    let status = shelf.client.create_location(request).await.unwrap_err();
    assert_eq!(
        fields(&status),
        [
            "location.gln",
            "location.coordinates",
            "location.country_code",
            "location.zone_id",
            "location.calendar.time_zone",
            "location.calendar.hours[0].weekday",
            "location.calendar.hours[0].opens_minute",
            "location.calendar.hours[0].closes_minute",
            "location.calendar.closed_days[0]",
            "location.calendar.ship_cut_off_minute",
            "location.abilities.abilities[1]",
            "location.abilities.abilities[2]",
            "location.daily_order_capacity",
            "location.priority",
            "location.owner_id",
        ]
    );
    let mut overlapping = full("X");
    overlapping.calendar.as_mut().unwrap().hours = vec![hours(1, 0, 100), hours(1, 99, 200)];
    let request = pb::CreateLocationRequest { request_id: shelf.id(), location: Some(overlapping) };
    let status = shelf.client.create_location(request).await.unwrap_err();
    assert_eq!(fields(&status), ["location.calendar.hours[1]"]);
}

#[tokio::test]
async fn list_locations_narrows_by_every_filter() {
    let mut shelf = Shelf::open().await;
    create(&mut shelf, full("D-1")).await;
    deactivate(&mut shelf, "WH").await.unwrap();
    let cases: Vec<(pb::ListLocationsRequest, Vec<&str>)> = vec![
        (pb::ListLocationsRequest::default(), vec!["D-1", "SHOP", "WH"]),
        (pb::ListLocationsRequest { kind: pb::LocationKind::Dealer.into(), ..Default::default() }, vec!["D-1"]),
        (pb::ListLocationsRequest { state: pb::LocationState::Inactive.into(), ..Default::default() }, vec!["WH"]),
        (pb::ListLocationsRequest { country_code: "gb".to_owned(), ..Default::default() }, vec!["D-1"]),
        (pb::ListLocationsRequest { zone_id: "south-east".to_owned(), ..Default::default() }, vec!["D-1"]),
        (pb::ListLocationsRequest { owner_id: "dealer-1".to_owned(), ..Default::default() }, vec!["D-1"]),
        (
            pb::ListLocationsRequest { abilities: vec![pb::LocationAbility::Pickup.into()], ..Default::default() },
            vec!["D-1", "SHOP"],
        ),
        (
            pb::ListLocationsRequest {
                abilities: vec![pb::LocationAbility::Pickup.into(), pb::LocationAbility::Return.into()],
                ..Default::default()
            },
            vec!["SHOP"],
        ),
    ];
    for (request, expected) in cases {
        let found = shelf.client.list_locations(request.clone()).await.unwrap().into_inner().locations;
        let ids: Vec<&str> = found.iter().map(|location| location.location_id.as_str()).collect();
        assert_eq!(ids, expected, "{request:?}");
    }
    let bad = pb::ListLocationsRequest {
        kind: 99,
        state: 99,
        country_code: "x".to_owned(),
        zone_id: "a b".to_owned(),
        owner_id: "a b".to_owned(),
        abilities: vec![0],
        ..Default::default()
    };
    let status = shelf.client.list_locations(bad).await.unwrap_err();
    assert_eq!(fields(&status), ["kind", "state", "country_code", "zone_id", "owner_id", "abilities[0]"]);
}

#[tokio::test]
async fn update_location_changes_what_the_mask_names_and_nothing_else() {
    let mut shelf = Shelf::open().await;
    let made = create(&mut shelf, full("D-1")).await;
    let new = pb::Location {
        location_id: "D-1".to_owned(),
        title: "renamed".to_owned(),
        priority: 9,
        kind: pb::LocationKind::Virtual.into(),
        ..Default::default()
    };
    shelf.clock.advance(Duration::from_secs(1));
    let request = update(&shelf, new.clone(), &["title", "gln", "abilities", "daily_order_capacity"]);
    let changed = shelf.client.update_location(request.clone()).await.unwrap().into_inner().location.unwrap();
    let expected = pb::Location {
        title: "renamed".to_owned(),
        gln: String::new(),
        daily_order_capacity: None,
        version: 2,
        update_time: changed.update_time,
        abilities: changed.abilities.clone(),
        ..made.clone()
    };
    assert_eq!(changed, expected);
    assert_eq!(changed.abilities.as_ref().unwrap().abilities.len(), 3, "what is usual for a dealer");
    assert_ne!(changed.update_time, made.update_time);

    let everything = ["kind", "coordinates", "country_code", "zone_id", "calendar", "priority", "owner_id"];
    let bare = shelf.client.update_location(update(&shelf, new, &everything)).await.unwrap().into_inner();
    let bare = bare.location.unwrap();
    assert_eq!((bare.version, bare.priority, bare.kind()), (3, 9, pb::LocationKind::Virtual));
    assert_eq!((bare.calendar, bare.coordinates, bare.country_code.as_str()), (None, None, ""));

    let again = shelf.client.update_location(request.clone()).await.unwrap().into_inner().location.unwrap();
    assert_eq!(again, changed, "the first answer, whatever came after");
    let same = pb::Location { location_id: "D-1".to_owned(), priority: 9, ..Default::default() };
    let unchanged = shelf.client.update_location(update(&shelf, same, &["priority"])).await.unwrap().into_inner();
    assert_eq!(unchanged.location.unwrap().version, 3, "it says so already");

    let mut other = request;
    other.location.as_mut().unwrap().title = "other".to_owned();
    assert_eq!(reason(&shelf.client.update_location(other).await.unwrap_err()), "REQUEST_ID_REUSED");
}

#[tokio::test]
async fn update_location_refuses_stale_unknown_and_malformed_changes() {
    let mut shelf = Shelf::open().await;
    let before = shelf.rows().await;
    let shop = || pb::Location { title: "new".to_owned(), ..location("SHOP", pb::LocationKind::Store, true) };
    let stale = pb::UpdateLocationRequest { expected_version: 2, ..update(&shelf, shop(), &["title"]) };
    let stale = shelf.client.update_location(stale).await.unwrap_err();
    assert_eq!((stale.code(), reason(&stale).as_str()), (Code::Aborted, "VERSION_MISMATCH"));
    let unknown = pb::Location { location_id: "NOWHERE".to_owned(), ..shop() };
    let unknown = shelf.client.update_location(update(&shelf, unknown, &["title"])).await.unwrap_err();
    assert_eq!((unknown.code(), reason(&unknown).as_str()), (Code::NotFound, "LOCATION_NOT_FOUND"));
    let fixed = update(&shelf, shop(), &["title", "oversell_facts", "state", "location_id"]);
    let fixed = shelf.client.update_location(fixed).await.unwrap_err();
    assert_eq!(fields(&fixed), ["update_mask.paths[1]", "update_mask.paths[2]", "update_mask.paths[3]"]);
    let empty = shelf.client.update_location(pb::UpdateLocationRequest::default()).await.unwrap_err();
    assert_eq!(fields(&empty), ["request_id", "update_mask", "location"]);
    let negative = pb::UpdateLocationRequest { expected_version: -1, ..update(&shelf, shop(), &["title"]) };
    assert_eq!(fields(&shelf.client.update_location(negative).await.unwrap_err()), ["expected_version"]);
    assert_eq!(shelf.rows().await, before);
    let mut narrow = shelf.client_for(&["inventory:GetLocation"], None).await;
    let denied = narrow.update_location(update(&shelf, shop(), &["title"])).await.unwrap_err();
    assert_eq!(denied.code(), Code::PermissionDenied);
}

#[tokio::test]
async fn deactivate_location_takes_its_stock_off_every_shelf_and_activate_location_brings_it_back() {
    let mut shelf = Shelf::stocked().await;
    register(&shelf, "WEB", &["WH"], 1).await;
    let hold = shelf.held(shelf.hold(&[("A", 3)])).await;
    assert_eq!(available(&mut shelf, "A").await, 7);
    let version = shelf.announced("A@WH").await.version;

    let off = deactivate(&mut shelf, "WH").await.unwrap();
    assert_eq!((off.state(), off.version), (pb::LocationState::Inactive, 2));
    let told = shelf.announced("A@WH").await;
    assert_eq!((told.version, told.available), (version + 1, 0), "channels hear it of the level");
    assert_eq!(shelf.announced("B@WH").await.available, 0);
    assert_eq!(available(&mut shelf, "A").await, 0);
    assert_eq!(shelf.level("A").await, (10, 3, 0));
    let refused = shelf.client.hold_stock(shelf.hold(&[("A", 1)])).await.unwrap_err();
    assert_eq!(refused.get_details_error_info().unwrap().metadata["available"], "0");

    // What was promised before is kept, and what happens is booked.
    let commit = pb::CommitHoldRequest { request_id: shelf.id(), hold_id: hold.hold_id, ..Default::default() };
    shelf.client.commit_hold(commit).await.unwrap();
    shelf.receive("WH", &[("A", 1), ("NEW", 4)]).await;
    assert_eq!((shelf.level("A").await, shelf.level("NEW").await), ((8, 0, 0), (4, 0, 0)), "also of a new SKU");
    assert_eq!(deactivate(&mut shelf, "WH").await.unwrap().version, 2, "it is so already");

    let on = activate(&mut shelf, "WH").await.unwrap();
    assert_eq!((on.state(), on.version), (pb::LocationState::Active, 3));
    assert_eq!((shelf.announced("A@WH").await.available, shelf.announced("NEW@WH").await.available), (8, 4));
    assert_eq!(available(&mut shelf, "A").await, 8);
    shelf.held(shelf.hold(&[("NEW", 4)])).await;
    shelf.verify().await;
}

#[tokio::test]
async fn activate_location_and_deactivate_location_repeat_their_answer_and_name_what_is_wrong() {
    let mut shelf = Shelf::stocked().await;
    let off = pb::DeactivateLocationRequest { request_id: shelf.id(), location_id: "wh".to_owned() };
    let first = shelf.client.deactivate_location(off.clone()).await.unwrap().into_inner();
    let on = pb::ActivateLocationRequest { request_id: shelf.id(), location_id: "WH".to_owned() };
    let second = shelf.client.activate_location(on.clone()).await.unwrap().into_inner();
    assert_eq!(shelf.client.deactivate_location(off).await.unwrap().into_inner(), first);
    assert_eq!(shelf.client.activate_location(on).await.unwrap().into_inner(), second);
    assert_eq!(shelf.level("A").await.2, 10, "a repeated request does nothing anew");
    for status in [
        shelf.client.deactivate_location(pb::DeactivateLocationRequest::default()).await.unwrap_err(),
        shelf.client.activate_location(pb::ActivateLocationRequest::default()).await.unwrap_err(),
        shelf.client.close_location(pb::CloseLocationRequest::default()).await.unwrap_err(),
    ] {
        assert_eq!(fields(&status), ["request_id", "location_id"]);
    }
    for status in [
        deactivate(&mut shelf, "NOWHERE").await.unwrap_err(),
        activate(&mut shelf, "NOWHERE").await.unwrap_err(),
        close(&mut shelf, "NOWHERE").await.unwrap_err(),
    ] {
        assert_eq!((status.code(), reason(&status).as_str()), (Code::NotFound, "LOCATION_NOT_FOUND"));
    }
    let mut narrow = shelf.client_for(&["inventory:DeactivateLocation"], None).await;
    let on = pb::ActivateLocationRequest { request_id: shelf.id(), location_id: "WH".to_owned() };
    assert_eq!(narrow.activate_location(on).await.unwrap_err().code(), Code::PermissionDenied);
    let close = pb::CloseLocationRequest { request_id: shelf.id(), location_id: "WH".to_owned() };
    assert_eq!(narrow.close_location(close).await.unwrap_err().code(), Code::PermissionDenied);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn levels_made_and_held_while_a_location_is_switched_all_have_its_state() {
    let mut shelf = Shelf::open().await;
    for round in 0..4 {
        let receipts = (0..20).map(|number| {
            let sku = format!("S{round}-{number}");
            let receipt = shelf.receipt("WH", &[(sku.as_str(), 1)]);
            let (mut client, hold) = (shelf.client.clone(), shelf.hold(&[(sku.as_str(), 1)]));
            async move {
                client.receive_stock(receipt).await.unwrap();
                drop(client.hold_stock(hold).await);
            }
        });
        let request = pb::DeactivateLocationRequest { request_id: shelf.id(), location_id: "WH".to_owned() };
        let mut client = shelf.client.clone();
        let (_, off) = tokio::join!(futures::future::join_all(receipts), client.deactivate_location(request));
        off.unwrap();
        shelf.verify().await;
        let refused = shelf.client.hold_stock(shelf.hold(&[("S0-0", 1)])).await;
        assert!(refused.is_err(), "inactive");
        activate(&mut shelf, "WH").await.unwrap();
    }
    shelf.verify().await;
}

#[tokio::test]
async fn levels_that_were_left_behind_follow_their_location_later() {
    let mut shelf = Shelf::stocked().await;
    // As a process that died between the location's commit and its levels leaves it.
    sqlx::query(
        "UPDATE inventory.locations SET state = 'inactive', levels_behind = TRUE, version = 2 WHERE location_id = 'WH'",
    )
    .execute(shelf.db.pool())
    .await
    .unwrap();
    let pool = shelf.db.pool().clone();
    wait_for("the levels to follow", Duration::from_secs(10), async || {
        let behind: bool = sqlx::query_scalar("SELECT levels_behind FROM inventory.locations WHERE location_id = 'WH'")
            .fetch_one(&pool)
            .await
            .unwrap();
        (!behind).then_some(())
    })
    .await;
    assert_eq!(shelf.level("A").await.2, 0);
    shelf.verify().await;
}

#[tokio::test]
async fn close_location_is_refused_while_something_is_there_and_says_what() {
    let mut shelf = Shelf::stocked().await;
    let active = close(&mut shelf, "WH").await.unwrap_err();
    assert_eq!((active.code(), reason(&active).as_str()), (Code::FailedPrecondition, "LOCATION_ACTIVE"));
    let soft = shelf.held(shelf.soft_hold(&[("A", 10)], 60)).await;
    deactivate(&mut shelf, "WH").await.unwrap();
    let full = close(&mut shelf, "WH").await.unwrap_err();
    assert_eq!((full.code(), reason(&full).as_str()), (Code::FailedPrecondition, "LOCATION_NOT_EMPTY"));
    assert_eq!(full.get_details_error_info().unwrap().metadata["levels"], "2");
    let left = full.get_details_precondition_failure().unwrap().violations;
    let told: Vec<(&str, &str)> = left.iter().map(|one| (one.subject.as_str(), one.description.as_str())).collect();
    assert_eq!(
        told,
        [("A", "10 on hand, 10 held softly, 0 held for orders"), ("B", "5 on hand, 0 held softly, 0 held for orders")]
    );

    // A promise without goods, past its time but perhaps not yet recorded as such, keeps nobody.
    for (sku, quantity) in [("A", 10), ("B", 5)] {
        let lost = pb::AdjustStockRequest {
            request_id: shelf.id(),
            location_id: "WH".to_owned(),
            lines: vec![pb::AdjustmentLine { sku: sku.to_owned(), delta: -quantity, ..Default::default() }],
            reason: pb::AdjustmentReason::WriteOff.into(),
            ..Default::default()
        };
        shelf.client.adjust_stock(lost).await.unwrap();
    }
    assert_eq!(reason(&close(&mut shelf, "WH").await.unwrap_err()), "LOCATION_NOT_EMPTY", "{soft:?} is live");
    shelf.clock.advance(Duration::from_secs(61));
    let closed = close(&mut shelf, "WH").await.unwrap();
    assert_eq!((closed.state(), closed.version), (pb::LocationState::Closed, 3));
    assert_eq!(close(&mut shelf, "WH").await.unwrap(), closed, "it is so already");

    let refused = shelf.client.receive_stock(shelf.receipt("WH", &[("A", 1)])).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "LOCATION_CLOSED"));
    let refused = shelf.client.receive_stock(shelf.receipt("WH", &[("NEVER-SEEN", 1)])).await.unwrap_err();
    assert_eq!(reason(&refused), "LOCATION_CLOSED");
    assert_eq!(reason(&activate(&mut shelf, "WH").await.unwrap_err()), "LOCATION_CLOSED");
    let rename = update(&shelf, location("WH", pb::LocationKind::Store, false), &["title"]);
    assert_eq!(reason(&shelf.client.update_location(rename).await.unwrap_err()), "LOCATION_CLOSED");
    shelf.verify().await;
}

#[tokio::test]
async fn verify_sees_a_level_that_does_not_follow_its_location() {
    let shelf = Shelf::stocked().await;
    sqlx::query("UPDATE inventory.stock_levels SET location_active = FALSE WHERE sku = 'A'")
        .execute(shelf.db.pool())
        .await
        .unwrap();
    let checks = oneshelf_inventory::verify::verify(shelf.db.pool()).await.unwrap();
    let broken: Vec<_> = checks.iter().filter(|check| check.violations > 0).collect();
    assert_eq!(broken.len(), 1);
    assert_eq!((broken[0].id, broken[0].offenders.as_slice()), ("LO1", ["A at WH".to_owned()].as_slice()));
}
