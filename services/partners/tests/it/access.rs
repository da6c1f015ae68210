//! Every RPC wants a key, and one with its scope; a key bound to a partner reaches that partner only.

use oneshelf_kit::auth::{NewKey, Scope};
use oneshelf_proto::partners::v1::{self as pb, partners_service_client::PartnersServiceClient};
use tonic::Code;

use crate::support::{Fixture, assert_refused, hold_request, partner, pence};

/// Calls every RPC with an empty request and gives the code of each answer.
macro_rules! call_all {
    ($client:expr) => {{
        let mut client = $client;
        vec![
            client.create_partner(pb::CreatePartnerRequest::default()).await.err().map(|s| s.code()),
            client.get_partner(pb::GetPartnerRequest::default()).await.err().map(|s| s.code()),
            client.list_partners(pb::ListPartnersRequest::default()).await.err().map(|s| s.code()),
            client.suspend_partner(pb::SuspendPartnerRequest::default()).await.err().map(|s| s.code()),
            client.reinstate_partner(pb::ReinstatePartnerRequest::default()).await.err().map(|s| s.code()),
            client.set_credit_limit(pb::SetCreditLimitRequest::default()).await.err().map(|s| s.code()),
            client.hold_credit(pb::HoldCreditRequest::default()).await.err().map(|s| s.code()),
            client.capture_credit(pb::CaptureCreditRequest::default()).await.err().map(|s| s.code()),
            client.release_credit(pb::ReleaseCreditRequest::default()).await.err().map(|s| s.code()),
            client.record_payment(pb::RecordPaymentRequest::default()).await.err().map(|s| s.code()),
            client.get_credit_account(pb::GetCreditAccountRequest::default()).await.err().map(|s| s.code()),
            client.list_credit_entries(pb::ListCreditEntriesRequest::default()).await.err().map(|s| s.code()),
        ]
    }};
}

#[tokio::test]
async fn every_rpc_refuses_a_call_without_a_key() {
    let fixture = Fixture::start().await;
    let address = format!("http://{}", fixture.server.address());
    let codes = call_all!(PartnersServiceClient::connect(address).await.unwrap());
    assert_eq!(codes, [Some(Code::Unauthenticated); 12]);
}

#[tokio::test]
async fn every_rpc_refuses_a_key_without_its_scope() {
    let fixture = Fixture::start().await;
    let key = NewKey {
        title: "test".to_owned(),
        scopes: vec![Scope::parse("loyalty:*").unwrap()],
        channel: None,
        partner: None,
        expires_at: None,
    };
    let client = PartnersServiceClient::new(fixture.server.client_with(key).await);
    assert_eq!(call_all!(client), [Some(Code::PermissionDenied); 12]);
}

#[tokio::test]
async fn a_dealers_key_sees_its_own_partner_only() {
    let fixture = Fixture::with_partner(5_000).await;
    fixture.create("D-2", 5_000).await;
    let mut dealer = fixture.client_of("D-1").await;

    let own = pb::GetPartnerRequest { partner_id: "D-1".to_owned() };
    dealer.get_partner(own).await.unwrap();
    let all = dealer.list_partners(pb::ListPartnersRequest::default()).await.unwrap().into_inner().partners;
    assert_eq!(all.iter().map(|partner| partner.partner_id.as_str()).collect::<Vec<_>>(), ["D-1"]);

    let partner_id = "D-2".to_owned();
    let other = dealer.get_partner(pb::GetPartnerRequest { partner_id: partner_id.clone() }).await;
    assert_eq!(other.unwrap_err().code(), Code::NotFound);
    let other = dealer.get_credit_account(pb::GetCreditAccountRequest { partner_id: partner_id.clone() }).await;
    assert_eq!(other.unwrap_err().code(), Code::NotFound);
    let other = dealer.list_credit_entries(pb::ListCreditEntriesRequest { partner_id, ..Default::default() }).await;
    assert_eq!(other.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn a_dealers_key_touches_its_own_credit_only() {
    let fixture = Fixture::with_partner(5_000).await;
    fixture.create("D-2", 5_000).await;
    let mut dealer = fixture.client_of("D-1").await;
    let own = dealer.hold_credit(hold_request(&fixture.new_id(), "D-1", 100)).await.unwrap().into_inner();
    let release = |hold_id| pb::ReleaseCreditRequest { request_id: fixture.new_id(), hold_id };
    dealer.release_credit(release(own.hold.unwrap().hold_id)).await.unwrap();

    let denied = dealer.hold_credit(hold_request(&fixture.new_id(), "D-2", 100)).await.unwrap_err();
    assert_eq!(assert_refused(&denied, Code::PermissionDenied, "OUT_OF_SCOPE"), ["partner_id=D-2"]);
    let foreign = fixture.hold("D-2", 100).await.unwrap().hold_id;
    assert_eq!(dealer.release_credit(release(foreign.clone())).await.unwrap_err().code(), Code::NotFound);
    let capture = pb::CaptureCreditRequest { request_id: fixture.new_id(), hold_id: foreign, amount: None };
    assert_eq!(dealer.capture_credit(capture).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(fixture.credit("D-2").await, (0, 100, 4_900));
}

#[tokio::test]
async fn a_dealers_key_changes_no_record_not_even_its_own() {
    let fixture = Fixture::with_partner(5_000).await;
    let mut dealer = fixture.client_of("D-1").await;
    let (request_id, partner_id) = (fixture.new_id(), "D-1".to_owned());
    let limit = pb::SetCreditLimitRequest {
        request_id: request_id.clone(),
        partner_id: partner_id.clone(),
        credit_limit: Some(pence(9_999)),
        expected_version: 0,
    };
    let payment = pb::RecordPaymentRequest {
        request_id: request_id.clone(),
        partner_id: partner_id.clone(),
        amount: Some(pence(1)),
        reference: String::new(),
    };
    let create = pb::CreatePartnerRequest { request_id: request_id.clone(), partner: Some(partner("D-9", 1)) };
    let suspend = pb::SuspendPartnerRequest {
        request_id: request_id.clone(),
        partner_id: partner_id.clone(),
        reason: "mine".to_owned(),
    };
    let reinstate = pb::ReinstatePartnerRequest { request_id, partner_id };
    for denied in [
        dealer.set_credit_limit(limit).await.unwrap_err(),
        dealer.record_payment(payment).await.unwrap_err(),
        dealer.create_partner(create).await.unwrap_err(),
        dealer.suspend_partner(suspend).await.unwrap_err(),
        dealer.reinstate_partner(reinstate).await.unwrap_err(),
    ] {
        assert_refused(&denied, Code::PermissionDenied, "OUT_OF_SCOPE");
    }
    assert_eq!(fixture.changes().await.len(), 1);
    assert_eq!(fixture.credit("D-1").await, (0, 0, 5_000));
}
