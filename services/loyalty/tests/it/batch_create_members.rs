use oneshelf_proto::loyalty::v1::BatchCreateMembersRequest;
use tonic::Code;

use crate::support::{Fixture, assert_refused, assert_violations};

fn request(request_id: &str, ids: &[&str]) -> BatchCreateMembersRequest {
    BatchCreateMembersRequest {
        request_id: request_id.to_owned(),
        member_ids: ids.iter().map(ToString::to_string).collect(),
    }
}

#[tokio::test]
async fn batch_create_members_enrols_all_in_the_order_asked() {
    let fixture = Fixture::start().await;
    let members = fixture.enrol(&["M-2", " m-1 ", "17850"]).await;
    let ids: Vec<&str> = members.iter().map(|member| member.member_id.as_str()).collect();
    assert_eq!(ids, ["M-2", "M-1", "17850"]);
    for member in members {
        assert_eq!((member.balance, member.earned), (0, 0));
        assert_eq!(member.create_time.unwrap().seconds, fixture.clock.now().timestamp());
        assert_eq!(fixture.member(&member.member_id).await.unwrap(), member);
    }
}

#[tokio::test]
async fn batch_create_members_repeated_gives_the_first_answer() {
    let fixture = Fixture::start().await;
    let mut client = fixture.client.clone();
    let id = fixture.new_id().to_string();
    let first = client.batch_create_members(request(&id, &["M-1"])).await.unwrap().into_inner();
    fixture.deliver(vec![fixture.recorded(fixture.new_id(), "M-1", &[500])]).await;
    let again = client.batch_create_members(request(&id.to_uppercase(), &["M-1"])).await.unwrap().into_inner();
    assert_eq!(first, again);

    let other = client.batch_create_members(request(&id, &["M-2"])).await.unwrap_err();
    assert_refused(&other, Code::InvalidArgument, "REQUEST_ID_REUSED");
    assert_violations(&other, &["request_id"]);
    assert_eq!(fixture.member("M-2").await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn batch_create_members_with_a_taken_id_enrols_none() {
    let fixture = Fixture::start().await;
    fixture.enrol(&["M-1"]).await;
    let id = fixture.new_id().to_string();
    let mut client = fixture.client.clone();
    let taken = client.batch_create_members(request(&id, &["M-0", "M-1", "M-2"])).await.unwrap_err();
    assert_refused(&taken, Code::AlreadyExists, "MEMBER_EXISTS");
    for id in ["M-0", "M-2"] {
        assert_eq!(fixture.member(id).await.unwrap_err().code(), Code::NotFound);
    }
    // The refusal was not stored: the mended request may use the id.
    client.batch_create_members(request(&id, &["M-0", "M-2"])).await.unwrap();
}

#[tokio::test]
async fn batch_create_members_takes_a_thousand() {
    let fixture = Fixture::start().await;
    let ids: Vec<String> = (0..1_000).map(|n| format!("M{n}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    assert_eq!(fixture.enrol(&ids).await.len(), 1_000);
}

#[tokio::test]
async fn batch_create_members_refuses_bad_input() {
    let fixture = Fixture::start().await;
    let id = fixture.new_id().to_string();
    let many: Vec<String> = (0..1_001).map(|n| format!("M{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let long = "M".repeat(33);
    let cases: &[(BatchCreateMembersRequest, &[&str])] = &[
        (request("", &["M-1"]), &["request_id"]),
        (request("M-1", &["M-1"]), &["request_id"]),
        (request("00000000-0000-0000-0000-000000000000", &["M-1"]), &["request_id"]),
        (request(&id, &[]), &["member_ids"]),
        (request(&id, &many), &["member_ids"]),
        (request("", &[]), &["request_id", "member_ids"]),
        (
            request(&id, &["M-1", "", " ", &long, "m 1", "Ä"]),
            &["member_ids[1]", "member_ids[2]", "member_ids[3]", "member_ids[4]", "member_ids[5]"],
        ),
        (request(&id, &["M-1", "m-1"]), &["member_ids[1]"]),
    ];
    for (request, fields) in cases {
        let refused = fixture.client.clone().batch_create_members(request.clone()).await.unwrap_err();
        assert_violations(&refused, fields);
    }
    assert_eq!(fixture.member("M-1").await.unwrap_err().code(), Code::NotFound);
}
