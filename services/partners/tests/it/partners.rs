//! The partners' records: create, read, suspend, reinstate, limit.

use oneshelf_proto::partners::v1 as pb;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::support::{Fixture, assert_refused, assert_violations, minor, money, partner, pence};

async fn create(fixture: &Fixture, request_id: &str, new: Option<pb::Partner>) -> Result<pb::Partner, Status> {
    let request = pb::CreatePartnerRequest { request_id: request_id.to_owned(), partner: new };
    Ok(fixture.client.clone().create_partner(request).await?.into_inner().partner.unwrap())
}

async fn get(fixture: &Fixture, id: &str) -> Result<pb::Partner, Status> {
    let request = pb::GetPartnerRequest { partner_id: id.to_owned() };
    Ok(fixture.client.clone().get_partner(request).await?.into_inner().partner.unwrap())
}

async fn suspend(fixture: &Fixture, request_id: &str, id: &str, reason: &str) -> Result<pb::Partner, Status> {
    let request = pb::SuspendPartnerRequest {
        request_id: request_id.to_owned(),
        partner_id: id.to_owned(),
        reason: reason.to_owned(),
    };
    Ok(fixture.client.clone().suspend_partner(request).await?.into_inner().partner.unwrap())
}

async fn reinstate(fixture: &Fixture, request_id: &str, id: &str) -> Result<pb::Partner, Status> {
    let request = pb::ReinstatePartnerRequest { request_id: request_id.to_owned(), partner_id: id.to_owned() };
    Ok(fixture.client.clone().reinstate_partner(request).await?.into_inner().partner.unwrap())
}

fn limit_request(request_id: &str, id: &str, limit: i64, expected_version: i64) -> pb::SetCreditLimitRequest {
    pb::SetCreditLimitRequest {
        request_id: request_id.to_owned(),
        partner_id: id.to_owned(),
        credit_limit: Some(pence(limit)),
        expected_version,
    }
}

async fn limit(fixture: &Fixture, request: pb::SetCreditLimitRequest) -> Result<pb::Partner, Status> {
    Ok(fixture.client.clone().set_credit_limit(request).await?.into_inner().partner.unwrap())
}

#[tokio::test]
async fn create_partner_adds_a_dealer_with_its_account_and_tells_of_it() {
    let fixture = Fixture::start().await;
    let new = pb::Partner {
        partner_id: " d-1 ".to_owned(),
        tier: pb::PartnerTier::Gold.into(),
        price_list_id: "dealers".to_owned(),
        ..partner("", 5_000)
    };
    let created = create(&fixture, &fixture.new_id(), Some(new)).await.unwrap();
    assert_eq!(created.partner_id, "D-1");
    assert_eq!(created.price_list_id, "DEALERS");
    assert_eq!(created.tier(), pb::PartnerTier::Gold);
    assert_eq!((created.state(), created.version), (pb::PartnerState::Active, 1));
    assert_eq!(created.create_time.unwrap().seconds, fixture.clock.now().timestamp());
    assert_eq!(get(&fixture, "d-1").await.unwrap(), created);
    assert_eq!(fixture.changes().await, [(1, created)]);
    assert_eq!(fixture.credit("D-1").await, (0, 0, 5_000));
}

#[tokio::test]
async fn create_partner_repeated_gives_the_first_answer() {
    let fixture = Fixture::start().await;
    let id = fixture.new_id();
    let first = create(&fixture, &id, Some(partner("D-1", 5_000))).await.unwrap();
    limit(&fixture, limit_request(&fixture.new_id(), "D-1", 1, 0)).await.unwrap();
    let again = create(&fixture, &id.to_uppercase(), Some(partner("D-1", 5_000))).await.unwrap();
    assert_eq!(again, first);
    let other = create(&fixture, &id, Some(partner("D-2", 5_000))).await.unwrap_err();
    assert_refused(&other, Code::InvalidArgument, "REQUEST_ID_REUSED");
    assert_violations(&other, &["request_id"]);
    assert_eq!(fixture.changes().await.len(), 2);
}

#[tokio::test]
async fn create_partner_with_a_taken_id_is_refused() {
    let fixture = Fixture::with_partner(5_000).await;
    let taken = create(&fixture, &fixture.new_id(), Some(partner("d-1", 1))).await.unwrap_err();
    assert_eq!(assert_refused(&taken, Code::AlreadyExists, "PARTNER_EXISTS"), ["partner_id=D-1"]);
    assert_eq!(fixture.credit("D-1").await, (0, 0, 5_000));
}

#[tokio::test]
async fn create_partner_refuses_bad_input() {
    let fixture = Fixture::start().await;
    let id = fixture.new_id();
    let good = || partner("D-1", 1);
    let cases: Vec<(&str, Option<pb::Partner>, &[&str])> = vec![
        ("", Some(good()), &["request_id"]),
        ("1", None, &["request_id", "partner"]),
        (&id, Some(pb::Partner { partner_id: String::new(), ..good() }), &["partner.partner_id"]),
        (&id, Some(pb::Partner { partner_id: "D".repeat(33), ..good() }), &["partner.partner_id"]),
        (&id, Some(pb::Partner { partner_id: "D 1".to_owned(), ..good() }), &["partner.partner_id"]),
        (&id, Some(pb::Partner { title: " ".to_owned(), ..good() }), &["partner.title"]),
        (&id, Some(pb::Partner { title: "é".repeat(201), ..good() }), &["partner.title"]),
        (&id, Some(pb::Partner { title: "a\0b".to_owned(), ..good() }), &["partner.title"]),
        (&id, Some(pb::Partner { tier: 99, ..good() }), &["partner.tier"]),
        (&id, Some(pb::Partner { price_list_id: "a b".to_owned(), ..good() }), &["partner.price_list_id"]),
        (&id, Some(pb::Partner { credit_limit: None, ..good() }), &["partner.credit_limit"]),
        (&id, Some(partner("D-1", -1)), &["partner.credit_limit.minor_units"]),
        (
            &id,
            Some(pb::Partner { credit_limit: Some(money(1, "gbp")), ..good() }),
            &["partner.credit_limit.currency_code"],
        ),
        (
            &id,
            Some(pb::Partner { tier: -1, credit_limit: Some(money(i64::MIN, "")), ..Default::default() }),
            &[
                "partner.partner_id",
                "partner.title",
                "partner.tier",
                "partner.credit_limit.currency_code",
                "partner.credit_limit.minor_units",
            ],
        ),
    ];
    for (request_id, new, fields) in cases {
        assert_violations(&create(&fixture, request_id, new).await.unwrap_err(), fields);
    }
    assert!(fixture.changes().await.is_empty());
}

#[tokio::test]
async fn get_partner_of_an_unknown_one_is_not_found() {
    let fixture = Fixture::start().await;
    let missing = get(&fixture, "D-1").await.unwrap_err();
    assert_eq!(missing.code(), Code::NotFound);
    assert_eq!(missing.get_details_resource_info().unwrap().resource_name, "D-1");
}

#[tokio::test]
async fn get_partner_refuses_bad_input() {
    let fixture = Fixture::start().await;
    for id in ["", "D 1", &"D".repeat(33)] {
        assert_violations(&get(&fixture, id).await.unwrap_err(), &["partner_id"]);
    }
}

async fn list(fixture: &Fixture, size: i32, token: &str) -> Result<pb::ListPartnersResponse, Status> {
    let request = pb::ListPartnersRequest { page_size: size, page_token: token.to_owned() };
    Ok(fixture.client.clone().list_partners(request).await?.into_inner())
}

#[tokio::test]
async fn list_partners_pages_through_all_by_id() {
    let fixture = Fixture::start().await;
    for id in ["B", "A", "_", "9", "10"] {
        fixture.create(id, 0).await;
    }
    let (mut found, mut token) = (Vec::new(), String::new());
    loop {
        let page = list(&fixture, 2, &token).await.unwrap();
        found.extend(page.partners.into_iter().map(|partner| partner.partner_id));
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(found, ["10", "9", "A", "B", "_"]);
}

#[tokio::test]
async fn list_partners_refuses_bad_input() {
    let fixture = Fixture::start().await;
    assert_violations(&list(&fixture, -1, "").await.unwrap_err(), &["page_size"]);
    assert_violations(&list(&fixture, 1_001, "a b").await.unwrap_err(), &["page_size", "page_token"]);
}

#[tokio::test]
async fn suspend_partner_and_reinstate_partner_change_the_record_once_each() {
    let fixture = Fixture::with_partner(5_000).await;
    let id = fixture.new_id();
    let suspended = suspend(&fixture, &id, "D-1", "late").await.unwrap();
    assert_eq!((suspended.state(), suspended.version), (pb::PartnerState::Suspended, 2));
    // Already so is success, and no change.
    assert_eq!(suspend(&fixture, &fixture.new_id(), "D-1", "later").await.unwrap(), suspended);

    let active = reinstate(&fixture, &fixture.new_id(), "D-1").await.unwrap();
    assert_eq!((active.state(), active.version), (pb::PartnerState::Active, 3));
    assert_eq!(reinstate(&fixture, &fixture.new_id(), "D-1").await.unwrap(), active);

    // A repeated request is told what it was told, and does nothing.
    assert_eq!(suspend(&fixture, &id, "D-1", "late").await.unwrap(), suspended);
    assert_eq!(get(&fixture, "D-1").await.unwrap(), active);
    let versions: Vec<i64> = fixture.changes().await.iter().map(|(version, _)| *version).collect();
    assert_eq!(versions, [1, 2, 3]);

    let reused = suspend(&fixture, &id, "D-1", "another reason").await.unwrap_err();
    assert_refused(&reused, Code::InvalidArgument, "REQUEST_ID_REUSED");
}

#[tokio::test]
async fn suspend_partner_stops_new_holds_until_reinstate_partner() {
    let fixture = Fixture::with_partner(5_000).await;
    suspend(&fixture, &fixture.new_id(), "D-1", "late").await.unwrap();
    let refused = fixture.hold("D-1", 1).await.unwrap_err();
    assert_eq!(assert_refused(&refused, Code::FailedPrecondition, "PARTNER_SUSPENDED"), ["partner_id=D-1"]);
    reinstate(&fixture, &fixture.new_id(), "D-1").await.unwrap();
    fixture.hold("D-1", 1).await.unwrap();
}

#[tokio::test]
async fn suspend_partner_refuses_bad_input() {
    let fixture = Fixture::with_partner(5_000).await;
    let id = fixture.new_id();
    let long = "x".repeat(201);
    let cases: &[(&str, &str, &str, &[&str])] = &[
        ("", "D-1", "late", &["request_id"]),
        (&id, "", "late", &["partner_id"]),
        (&id, "D-1", "", &["reason"]),
        (&id, "D-1", &long, &["reason"]),
        ("", "D 1", " ", &["request_id", "partner_id", "reason"]),
    ];
    for (request_id, partner_id, reason, fields) in cases {
        assert_violations(&suspend(&fixture, request_id, partner_id, reason).await.unwrap_err(), fields);
    }
    assert_eq!(suspend(&fixture, &id, "D-9", "late").await.unwrap_err().code(), Code::NotFound);
    assert_eq!(fixture.changes().await.len(), 1);
}

#[tokio::test]
async fn reinstate_partner_refuses_bad_input() {
    let fixture = Fixture::start().await;
    let id = fixture.new_id();
    assert_violations(&reinstate(&fixture, "x", "").await.unwrap_err(), &["request_id", "partner_id"]);
    assert_violations(&reinstate(&fixture, &id, "D 1").await.unwrap_err(), &["partner_id"]);
    assert_eq!(reinstate(&fixture, &id, "D-9").await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn set_credit_limit_below_what_is_held_only_stops_new_holds() {
    let fixture = Fixture::with_partner(5_000).await;
    let open = fixture.hold("D-1", 4_000).await.unwrap();
    let id = fixture.new_id();
    let changed = limit(&fixture, limit_request(&id, "D-1", 1_000, 1)).await.unwrap();
    assert_eq!((minor(changed.credit_limit.clone()), changed.version), (1_000, 2));
    assert_eq!(fixture.credit("D-1").await, (0, 4_000, 0));
    assert_refused(&fixture.hold("D-1", 1).await.unwrap_err(), Code::FailedPrecondition, "CREDIT_EXCEEDED");
    fixture.capture(&open.hold_id, None).await.unwrap();
    assert_eq!(fixture.credit("D-1").await, (4_000, 0, 0));
    fixture.assert_books_are_right().await;

    assert_eq!(limit(&fixture, limit_request(&id, "D-1", 1_000, 1)).await.unwrap(), changed);
    let reused = limit(&fixture, limit_request(&id, "D-1", 2_000, 1)).await.unwrap_err();
    assert_refused(&reused, Code::InvalidArgument, "REQUEST_ID_REUSED");
}

#[tokio::test]
async fn set_credit_limit_refuses_an_older_version_and_another_currency() {
    let fixture = Fixture::with_partner(5_000).await;
    let stale = limit(&fixture, limit_request(&fixture.new_id(), "D-1", 1, 7)).await.unwrap_err();
    let told = assert_refused(&stale, Code::Aborted, "VERSION_MISMATCH");
    assert_eq!(told, ["actual_version=1", "expected_version=7", "partner_id=D-1"]);
    assert!(stale.get_details_retry_info().is_some());

    let euros = pb::SetCreditLimitRequest {
        credit_limit: Some(money(1, "EUR")),
        ..limit_request(&fixture.new_id(), "D-1", 1, 0)
    };
    let other = limit(&fixture, euros).await.unwrap_err();
    assert_refused(&other, Code::InvalidArgument, "CURRENCY_MISMATCH");
    assert_eq!(fixture.credit("D-1").await, (0, 0, 5_000));
}

#[tokio::test]
async fn set_credit_limit_refuses_bad_input() {
    let fixture = Fixture::with_partner(5_000).await;
    let id = fixture.new_id();
    let good = || limit_request(&id, "D-1", 1, 0);
    let cases: Vec<(pb::SetCreditLimitRequest, &[&str])> = vec![
        (limit_request("", "D-1", 1, 0), &["request_id"]),
        (limit_request(&id, "", 1, 0), &["partner_id"]),
        (limit_request(&id, "D-1", -1, 0), &["credit_limit.minor_units"]),
        (limit_request(&id, "D-1", 1, -1), &["expected_version"]),
        (pb::SetCreditLimitRequest { credit_limit: None, ..good() }, &["credit_limit"]),
        (pb::SetCreditLimitRequest { credit_limit: Some(money(1, "???")), ..good() }, &["credit_limit.currency_code"]),
        (
            pb::SetCreditLimitRequest { expected_version: -1, ..Default::default() },
            &["request_id", "partner_id", "credit_limit", "expected_version"],
        ),
    ];
    for (request, fields) in cases {
        assert_violations(&limit(&fixture, request).await.unwrap_err(), fields);
    }
    assert_eq!(limit(&fixture, limit_request(&id, "D-9", 1, 0)).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(fixture.changes().await.len(), 1);
}
