//! Holding, capturing, releasing, paying.

use oneshelf_proto::partners::v1 as pb;
use tonic::{Code, Status};

use crate::support::{Fixture, assert_refused, assert_violations, hold_request, minor, money, pence};

async fn hold(fixture: &Fixture, request: pb::HoldCreditRequest) -> Result<pb::CreditHold, Status> {
    Ok(fixture.client.clone().hold_credit(request).await?.into_inner().hold.unwrap())
}

async fn capture(fixture: &Fixture, request: pb::CaptureCreditRequest) -> Result<pb::CreditHold, Status> {
    Ok(fixture.client.clone().capture_credit(request).await?.into_inner().hold.unwrap())
}

async fn release(fixture: &Fixture, request_id: &str, hold_id: &str) -> Result<pb::CreditHold, Status> {
    let request = pb::ReleaseCreditRequest { request_id: request_id.to_owned(), hold_id: hold_id.to_owned() };
    Ok(fixture.client.clone().release_credit(request).await?.into_inner().hold.unwrap())
}

fn payment(request_id: &str, partner_id: &str, amount: Option<i64>) -> pb::RecordPaymentRequest {
    pb::RecordPaymentRequest {
        request_id: request_id.to_owned(),
        partner_id: partner_id.to_owned(),
        amount: amount.map(pence),
        reference: "bank 1".to_owned(),
    }
}

async fn pay(fixture: &Fixture, request: pb::RecordPaymentRequest) -> Result<pb::CreditAccount, Status> {
    Ok(fixture.client.clone().record_payment(request).await?.into_inner().account.unwrap())
}

#[tokio::test]
async fn hold_credit_promises_up_to_the_limit_and_no_more() {
    let fixture = Fixture::with_partner(5_000).await;
    let id = fixture.new_id();
    let held = hold(&fixture, hold_request(&id, "d-1", 3_800)).await.unwrap();
    assert_eq!((held.hold_id.as_str(), held.partner_id.as_str()), (id.as_str(), "D-1"));
    assert_eq!((held.state(), held.reference.as_str()), (pb::CreditHoldState::Held, "order 1"));
    assert_eq!((minor(held.amount), minor(held.captured)), (3_800, 0));
    assert_eq!(fixture.credit("D-1").await, (0, 3_800, 1_200));

    let beyond = fixture.hold("D-1", 5_000).await.unwrap_err();
    let told = assert_refused(&beyond, Code::FailedPrecondition, "CREDIT_EXCEEDED");
    assert_eq!(told, ["available_minor=1200", "currency_code=GBP", "partner_id=D-1", "requested_minor=5000"]);
    fixture.hold("D-1", 1_200).await.unwrap();
    assert_eq!(fixture.credit("D-1").await, (0, 5_000, 0));
    fixture.assert_books_are_right().await;
}

#[tokio::test]
async fn hold_credit_repeated_gives_the_hold_as_it_was_granted() {
    let fixture = Fixture::with_partner(5_000).await;
    fixture.create("D-2", 5_000).await;
    let id = fixture.new_id();
    let first = hold(&fixture, hold_request(&id, "D-1", 100)).await.unwrap();
    assert_eq!(hold(&fixture, hold_request(&id, "D-1", 100)).await.unwrap(), first);
    fixture.capture(&id, None).await.unwrap();
    assert_eq!(hold(&fixture, hold_request(&id.to_uppercase(), "D-1", 100)).await.unwrap(), first);
    assert_eq!(fixture.credit("D-1").await, (100, 0, 4_900));

    for other in [hold_request(&id, "D-1", 101), hold_request(&id, "D-2", 100)] {
        let reused = hold(&fixture, other).await.unwrap_err();
        assert_refused(&reused, Code::InvalidArgument, "REQUEST_ID_REUSED");
    }
    assert_eq!(fixture.credit("D-2").await, (0, 0, 5_000));
}

#[tokio::test]
async fn hold_credit_refused_leaves_its_id_free() {
    let fixture = Fixture::with_partner(100).await;
    let id = fixture.new_id();
    hold(&fixture, hold_request(&id, "D-1", 200)).await.unwrap_err();
    hold(&fixture, hold_request(&id, "D-1", 100)).await.unwrap();
}

#[tokio::test]
async fn hold_credit_of_an_unknown_partner_or_another_currency_is_refused() {
    let fixture = Fixture::with_partner(100).await;
    assert_eq!(fixture.hold("D-9", 1).await.unwrap_err().code(), Code::NotFound);
    let euros = pb::HoldCreditRequest { amount: Some(money(1, "EUR")), ..hold_request(&fixture.new_id(), "D-1", 1) };
    let refused = hold(&fixture, euros).await.unwrap_err();
    let told = assert_refused(&refused, Code::InvalidArgument, "CURRENCY_MISMATCH");
    assert_eq!(told, ["account=GBP", "given=EUR", "partner_id=D-1"]);
    assert_eq!(fixture.credit("D-1").await, (0, 0, 100));
}

#[tokio::test]
async fn hold_credit_refuses_bad_input() {
    let fixture = Fixture::with_partner(100).await;
    let id = fixture.new_id();
    let good = || hold_request(&id, "D-1", 1);
    let cases: Vec<(pb::HoldCreditRequest, &[&str])> = vec![
        (hold_request("", "D-1", 1), &["request_id"]),
        (hold_request(&id, " ", 1), &["partner_id"]),
        (hold_request(&id, "D-1", 0), &["amount.minor_units"]),
        (hold_request(&id, "D-1", -1), &["amount.minor_units"]),
        (hold_request(&id, "D-1", i64::MIN), &["amount.minor_units"]),
        (pb::HoldCreditRequest { amount: None, ..good() }, &["amount"]),
        (pb::HoldCreditRequest { amount: Some(money(1, "XXXX")), ..good() }, &["amount.currency_code"]),
        (pb::HoldCreditRequest { reference: "x".repeat(101), ..good() }, &["reference"]),
        (pb::HoldCreditRequest::default(), &["request_id", "partner_id", "amount"]),
    ];
    for (request, fields) in cases {
        assert_violations(&hold(&fixture, request).await.unwrap_err(), fields);
    }
    let vast = fixture.hold("D-1", i64::MAX).await.unwrap_err();
    assert_refused(&vast, Code::FailedPrecondition, "CREDIT_EXCEEDED");
    assert_eq!(fixture.credit("D-1").await, (0, 0, 100));
}

#[tokio::test]
async fn capture_credit_uses_a_part_and_releases_the_rest() {
    let fixture = Fixture::with_partner(5_000).await;
    let open = fixture.hold("D-1", 1_000).await.unwrap();
    let captured = fixture.capture(&open.hold_id, Some(600)).await.unwrap();
    assert_eq!(captured.state(), pb::CreditHoldState::Captured);
    assert_eq!((minor(captured.amount), minor(captured.captured)), (1_000, 600));
    assert_eq!(fixture.credit("D-1").await, (600, 0, 4_400));
    let entries = fixture.entries("D-1").await;
    assert_eq!((entries.len(), entries[0].reason.as_str(), entries[0].reference.as_str()), (1, "capture", "order 1"));
    fixture.assert_books_are_right().await;
}

#[tokio::test]
async fn capture_credit_of_nothing_releases_the_hold() {
    let fixture = Fixture::with_partner(5_000).await;
    let open = fixture.hold("D-1", 1_000).await.unwrap();
    let released = fixture.capture(&open.hold_id, Some(0)).await.unwrap();
    assert_eq!((released.state(), minor(released.captured)), (pb::CreditHoldState::Released, 0));
    assert_eq!(fixture.credit("D-1").await, (0, 0, 5_000));
    assert!(fixture.entries("D-1").await.is_empty());
}

#[tokio::test]
async fn capture_credit_repeated_captures_once() {
    let fixture = Fixture::with_partner(5_000).await;
    let open = fixture.hold("D-1", 1_000).await.unwrap();
    let request = pb::CaptureCreditRequest { request_id: fixture.new_id(), hold_id: open.hold_id, amount: None };
    let first = capture(&fixture, request.clone()).await.unwrap();
    assert_eq!(capture(&fixture, request.clone()).await.unwrap(), first);
    assert_eq!(fixture.credit("D-1").await, (1_000, 0, 4_000));
    let other = pb::CaptureCreditRequest { amount: Some(pence(1)), ..request };
    assert_refused(&capture(&fixture, other).await.unwrap_err(), Code::InvalidArgument, "REQUEST_ID_REUSED");
}

#[tokio::test]
async fn capture_credit_refuses_more_than_held_resolved_and_unknown_holds() {
    let fixture = Fixture::with_partner(5_000).await;
    let open = fixture.hold("D-1", 1_000).await.unwrap();
    let beyond = fixture.capture(&open.hold_id, Some(1_001)).await.unwrap_err();
    assert_refused(&beyond, Code::FailedPrecondition, "CAPTURE_EXCEEDS_HOLD");
    fixture.capture(&open.hold_id, Some(1_000)).await.unwrap();
    let again = fixture.capture(&open.hold_id, Some(1_000)).await.unwrap_err();
    assert_refused(&again, Code::FailedPrecondition, "HOLD_RESOLVED");
    let released = fixture.release(&open.hold_id).await.unwrap_err();
    assert_refused(&released, Code::FailedPrecondition, "HOLD_RESOLVED");
    assert_eq!(fixture.capture(&fixture.new_id(), None).await.unwrap_err().code(), Code::NotFound);
    fixture.assert_books_are_right().await;
}

#[tokio::test]
async fn capture_credit_refuses_bad_input() {
    let fixture = Fixture::with_partner(5_000).await;
    let open = fixture.hold("D-1", 1_000).await.unwrap();
    let good = || pb::CaptureCreditRequest {
        request_id: fixture.new_id(),
        hold_id: open.hold_id.clone(),
        amount: Some(pence(1)),
    };
    let cases: Vec<(pb::CaptureCreditRequest, &[&str])> = vec![
        (pb::CaptureCreditRequest { request_id: "x".to_owned(), ..good() }, &["request_id"]),
        (pb::CaptureCreditRequest { hold_id: "x".to_owned(), ..good() }, &["hold_id"]),
        (pb::CaptureCreditRequest { amount: Some(pence(-1)), ..good() }, &["amount.minor_units"]),
        (pb::CaptureCreditRequest { amount: Some(money(1, "")), ..good() }, &["amount.currency_code"]),
        (pb::CaptureCreditRequest::default(), &["request_id", "hold_id"]),
    ];
    for (request, fields) in cases {
        assert_violations(&capture(&fixture, request).await.unwrap_err(), fields);
    }
    let euros = pb::CaptureCreditRequest { amount: Some(money(1, "EUR")), ..good() };
    assert_refused(&capture(&fixture, euros).await.unwrap_err(), Code::InvalidArgument, "CURRENCY_MISMATCH");
    assert_eq!(fixture.credit("D-1").await, (0, 1_000, 4_000));
}

#[tokio::test]
async fn release_credit_gives_back_once_and_again_succeeds() {
    let fixture = Fixture::with_partner(5_000).await;
    let open = fixture.hold("D-1", 1_000).await.unwrap();
    let id = fixture.new_id();
    let released = release(&fixture, &id, &open.hold_id).await.unwrap();
    assert_eq!(released.state(), pb::CreditHoldState::Released);
    assert_eq!(release(&fixture, &id, &open.hold_id).await.unwrap(), released);
    assert_eq!(release(&fixture, &fixture.new_id(), &open.hold_id).await.unwrap(), released);
    assert_eq!(fixture.credit("D-1").await, (0, 0, 5_000));
    let another = fixture.hold("D-1", 1).await.unwrap();
    let reused = release(&fixture, &id, &another.hold_id).await.unwrap_err();
    assert_refused(&reused, Code::InvalidArgument, "REQUEST_ID_REUSED");
    fixture.assert_books_are_right().await;
}

#[tokio::test]
async fn release_credit_refuses_bad_input() {
    let fixture = Fixture::start().await;
    let id = fixture.new_id();
    assert_violations(&release(&fixture, "", "").await.unwrap_err(), &["request_id", "hold_id"]);
    assert_violations(&release(&fixture, &id, "x").await.unwrap_err(), &["hold_id"]);
    assert_eq!(release(&fixture, &id, &fixture.new_id()).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn record_payment_lowers_what_is_used_and_an_overpayment_is_credit() {
    let fixture = Fixture::with_partner(5_000).await;
    let open = fixture.hold("D-1", 1_000).await.unwrap();
    fixture.capture(&open.hold_id, None).await.unwrap();
    let account = pay(&fixture, payment(&fixture.new_id(), "D-1", Some(1_500))).await.unwrap();
    assert_eq!((minor(account.used), minor(account.available)), (-500, 5_500));
    fixture.hold("D-1", 5_500).await.unwrap();
    fixture.assert_books_are_right().await;
}

#[tokio::test]
async fn record_payment_repeated_is_booked_once_with_the_first_answer() {
    let fixture = Fixture::with_partner(5_000).await;
    let id = fixture.new_id();
    let first = pay(&fixture, payment(&id, "D-1", Some(100))).await.unwrap();
    fixture.hold("D-1", 1).await.unwrap();
    assert_eq!(pay(&fixture, payment(&id, "D-1", Some(100))).await.unwrap(), first);
    assert_eq!(fixture.credit("D-1").await.0, -100);
    let reused = pay(&fixture, payment(&id, "D-1", Some(101))).await.unwrap_err();
    assert_refused(&reused, Code::InvalidArgument, "REQUEST_ID_REUSED");
}

#[tokio::test]
async fn record_payment_refuses_bad_input() {
    let fixture = Fixture::with_partner(5_000).await;
    let id = fixture.new_id();
    let good = || payment(&id, "D-1", Some(1));
    let cases: Vec<(pb::RecordPaymentRequest, &[&str])> = vec![
        (payment("", "D-1", Some(1)), &["request_id"]),
        (payment(&id, "", Some(1)), &["partner_id"]),
        (payment(&id, "D-1", Some(0)), &["amount.minor_units"]),
        (payment(&id, "D-1", Some(-1)), &["amount.minor_units"]),
        (payment(&id, "D-1", None), &["amount"]),
        (pb::RecordPaymentRequest { amount: Some(money(1, "PENCE")), ..good() }, &["amount.currency_code"]),
        (pb::RecordPaymentRequest { reference: "x".repeat(101), ..good() }, &["reference"]),
        (pb::RecordPaymentRequest::default(), &["request_id", "partner_id", "amount"]),
    ];
    for (request, fields) in cases {
        assert_violations(&pay(&fixture, request).await.unwrap_err(), fields);
    }
    assert_eq!(pay(&fixture, payment(&id, "D-9", Some(1))).await.unwrap_err().code(), Code::NotFound);
    let euros = pb::RecordPaymentRequest { amount: Some(money(1, "EUR")), ..good() };
    assert_refused(&pay(&fixture, euros).await.unwrap_err(), Code::InvalidArgument, "CURRENCY_MISMATCH");
    assert!(fixture.entries("D-1").await.is_empty());
}

#[tokio::test]
async fn record_payment_beyond_the_range_of_amounts_is_refused() {
    let fixture = Fixture::with_partner(0).await;
    pay(&fixture, payment(&fixture.new_id(), "D-1", Some(i64::MAX))).await.unwrap();
    let vast = pay(&fixture, payment(&fixture.new_id(), "D-1", Some(i64::MAX))).await.unwrap_err();
    assert_refused(&vast, Code::FailedPrecondition, "AMOUNT_OVERFLOW");
    fixture.assert_books_are_right().await;
}
