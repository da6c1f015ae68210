use oneshelf_proto::loyalty::v1::{ListMembersRequest, ListMembersResponse};
use tonic::Status;

use crate::support::{Fixture, assert_violations};

async fn list(fixture: &Fixture, page_size: i32, token: &str) -> Result<ListMembersResponse, Status> {
    let request = ListMembersRequest { page_size, page_token: token.to_owned() };
    Ok(fixture.client.clone().list_members(request).await?.into_inner())
}

#[tokio::test]
async fn list_members_pages_through_all_by_id() {
    let fixture = Fixture::start().await;
    fixture.enrol(&["B", "_", "A", "10", "9"]).await;
    let (mut found, mut token) = (Vec::new(), String::new());
    loop {
        let page = list(&fixture, 2, &token).await.unwrap();
        found.extend(page.members.into_iter().map(|member| member.member_id));
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(found, ["10", "9", "A", "B", "_"]);
    let whole = list(&fixture, 0, "").await.unwrap();
    assert_eq!((whole.members.len(), whole.next_page_token.as_str()), (5, ""));
    // A full last page has no next one.
    assert_eq!(list(&fixture, 5, "").await.unwrap().next_page_token, "");
}

#[tokio::test]
async fn list_members_shows_only_enrolled_ones() {
    let fixture = Fixture::start().await;
    fixture.deliver(vec![fixture.recorded(fixture.new_id(), "STRANGER", &[500])]).await;
    assert!(list(&fixture, 0, "").await.unwrap().members.is_empty());
}

#[tokio::test]
async fn list_members_refuses_bad_input() {
    let fixture = Fixture::start().await;
    assert_violations(&list(&fixture, -1, "").await.unwrap_err(), &["page_size"]);
    assert_violations(&list(&fixture, 5_001, "").await.unwrap_err(), &["page_size"]);
    assert_violations(&list(&fixture, i32::MIN, "no token").await.unwrap_err(), &["page_size", "page_token"]);
}
