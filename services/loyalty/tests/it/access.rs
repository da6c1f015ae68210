//! Every RPC wants a key, and one with its scope.

use oneshelf_kit::auth::{NewKey, Scope};
use oneshelf_proto::loyalty::v1::{self as pb, loyalty_service_client::LoyaltyServiceClient};
use tonic::Code;

use crate::support::Fixture;

/// Calls every RPC with an empty request and gives the code of each answer.
macro_rules! call_all {
    ($client:expr) => {{
        let mut client = $client;
        vec![
            client.batch_create_members(pb::BatchCreateMembersRequest::default()).await.err().map(|s| s.code()),
            client.get_member(pb::GetMemberRequest::default()).await.err().map(|s| s.code()),
            client.list_members(pb::ListMembersRequest::default()).await.err().map(|s| s.code()),
            client.list_points_entries(pb::ListPointsEntriesRequest::default()).await.err().map(|s| s.code()),
        ]
    }};
}

fn key(scope: &str) -> NewKey {
    NewKey {
        title: "test".to_owned(),
        scopes: vec![Scope::parse(scope).unwrap()],
        channel: None,
        partner: None,
        expires_at: None,
    }
}

#[tokio::test]
async fn every_rpc_refuses_a_call_without_a_key() {
    let fixture = Fixture::start().await;
    let address = format!("http://{}", fixture.server.address());
    let codes = call_all!(LoyaltyServiceClient::connect(address).await.unwrap());
    assert_eq!(codes, [Some(Code::Unauthenticated); 4]);
}

#[tokio::test]
async fn every_rpc_refuses_a_key_without_its_scope() {
    let fixture = Fixture::start().await;
    let client = LoyaltyServiceClient::new(fixture.server.client_with(key("inventory:*")).await);
    assert_eq!(call_all!(client), [Some(Code::PermissionDenied); 4]);
    let client = LoyaltyServiceClient::new(fixture.server.client_with(key("loyalty:ListMembers")).await);
    let denied = Some(Code::PermissionDenied);
    assert_eq!(call_all!(client), [denied, denied, None, denied]);
}
