use oneshelf_proto::loyalty::v1::{ListPointsEntriesRequest, ListPointsEntriesResponse};
use tonic::{Code, Status};

use crate::support::{Fixture, assert_violations, sold_at};

async fn list(fixture: &Fixture, id: &str, size: i32, token: &str) -> Result<ListPointsEntriesResponse, Status> {
    let request = ListPointsEntriesRequest { member_id: id.to_owned(), page_size: size, page_token: token.to_owned() };
    Ok(fixture.client.clone().list_points_entries(request).await?.into_inner())
}

#[tokio::test]
async fn list_points_entries_is_the_statement_newest_first() {
    let fixture = Fixture::start().await;
    fixture.enrol(&["M-1", "M-2"]).await;
    let (sale, back) = (fixture.new_id(), fixture.new_id());
    fixture.deliver(vec![fixture.recorded(sale, "M-1", &[1_000])]).await;
    fixture.deliver(vec![fixture.recorded(fixture.new_id(), "M-2", &[1_000])]).await;
    fixture.deliver(vec![fixture.returned(back, "M-1", &[499])]).await;

    let entries = fixture.entries("M-1").await;
    let told: Vec<_> = entries.iter().map(|e| (e.document_id.clone(), e.reason.as_str(), e.points)).collect();
    assert_eq!(told, [(back.to_string(), "take_back", -4), (sale.to_string(), "earn", 10)]);
    assert_eq!(entries[0].effective_time.unwrap().seconds, sold_at().timestamp());
    assert_eq!(entries[0].record_time.unwrap().seconds, fixture.clock.now().timestamp());

    let first = list(&fixture, "M-1", 1, "").await.unwrap();
    assert_eq!(first.entries, entries[..1]);
    let last = list(&fixture, "M-1", 1, &first.next_page_token).await.unwrap();
    assert_eq!((&last.entries[..], last.next_page_token.as_str()), (&entries[1..], ""));
}

#[tokio::test]
async fn list_points_entries_of_an_unknown_member_is_not_found() {
    let fixture = Fixture::start().await;
    fixture.deliver(vec![fixture.recorded(fixture.new_id(), "STRANGER", &[500])]).await;
    for id in ["M-1", "STRANGER"] {
        assert_eq!(list(&fixture, id, 0, "").await.unwrap_err().code(), Code::NotFound);
    }
}

#[tokio::test]
async fn list_points_entries_refuses_bad_input() {
    let fixture = Fixture::start().await;
    let cases: &[(&str, i32, &str, &[&str])] = &[
        ("", 0, "", &["member_id"]),
        ("M 1", 0, "", &["member_id"]),
        ("M-1", -1, "", &["page_size"]),
        ("M-1", 1_001, "", &["page_size"]),
        ("M-1", 0, "x", &["page_token"]),
        ("M-1", 0, "99999999999999999999", &["page_token"]),
        ("", i32::MAX, "x", &["member_id", "page_size", "page_token"]),
    ];
    for (id, size, token, fields) in cases {
        assert_violations(&list(&fixture, id, *size, token).await.unwrap_err(), fields);
    }
}
