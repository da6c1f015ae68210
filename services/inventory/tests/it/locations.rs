use oneshelf_proto::inventory::v1 as pb;
use tonic::Code;

use crate::support::{Shelf, fields, location, reason};

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
    let list = |page_size, page_token: String| pb::ListLocationsRequest { page_size, page_token };
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
