//! Every field of every request, spoilt in turn.

use oneshelf_proto::{FILE_DESCRIPTOR_SET, partners::v1 as pb};
use oneshelf_testkit::bad_input::{Good, assert_bad_input_is_refused};

use crate::support::{Fixture, partner, pence};

fn d1() -> String {
    "D-1".to_owned()
}

fn records(fixture: &Fixture) -> Vec<Good> {
    let id = || fixture.new_id();
    let new =
        pb::Partner { tier: pb::PartnerTier::Gold.into(), price_list_id: "DEALERS".to_owned(), ..partner("D-2", 100) };
    vec![
        Good::new("CreatePartner", &pb::CreatePartnerRequest { request_id: id(), partner: Some(new) })
            .optional(&["partner.tier", "partner.price_list_id", "partner.credit_limit.minor_units"])
            .ignored(&["partner.state", "partner.version", "partner.create_time"])
            .unbounded(&["partner.credit_limit.minor_units"])
            .any_currency(&["partner.credit_limit.currency_code"]),
        Good::new("GetPartner", &pb::GetPartnerRequest { partner_id: d1() }),
        Good::new("ListPartners", &pb::ListPartnersRequest { page_size: 1, page_token: d1() }),
        Good::new(
            "SetCreditLimit",
            &pb::SetCreditLimitRequest {
                request_id: id(),
                partner_id: d1(),
                credit_limit: Some(pence(7_000)),
                expected_version: 1,
            },
        )
        .optional(&["credit_limit.minor_units", "expected_version"])
        .unbounded(&["credit_limit.minor_units", "expected_version"]),
        Good::new(
            "SuspendPartner",
            &pb::SuspendPartnerRequest { request_id: id(), partner_id: d1(), reason: "late".to_owned() },
        ),
        Good::new("ReinstatePartner", &pb::ReinstatePartnerRequest { request_id: id(), partner_id: d1() }),
    ]
}

async fn credit(fixture: &Fixture) -> Vec<Good> {
    let id = || fixture.new_id();
    let one = fixture.hold("D-1", 100).await.unwrap().hold_id;
    let other = fixture.hold("D-1", 100).await.unwrap().hold_id;
    let reference = || "order 1".to_owned();
    vec![
        Good::new(
            "HoldCredit",
            &pb::HoldCreditRequest {
                request_id: id(),
                partner_id: d1(),
                amount: Some(pence(100)),
                reference: reference(),
            },
        )
        .optional(&["reference"])
        .unbounded(&["amount.minor_units"]),
        Good::new(
            "CaptureCredit",
            &pb::CaptureCreditRequest { request_id: id(), hold_id: one, amount: Some(pence(100)) },
        )
        .optional(&["amount", "amount.minor_units"])
        .unbounded(&["amount.minor_units"]),
        Good::new("ReleaseCredit", &pb::ReleaseCreditRequest { request_id: id(), hold_id: other }),
        Good::new(
            "RecordPayment",
            &pb::RecordPaymentRequest {
                request_id: id(),
                partner_id: d1(),
                amount: Some(pence(100)),
                reference: reference(),
            },
        )
        .optional(&["reference"])
        .unbounded(&["amount.minor_units"]),
        Good::new("GetCreditAccount", &pb::GetCreditAccountRequest { partner_id: d1() }),
        Good::new(
            "ListCreditEntries",
            &pb::ListCreditEntriesRequest { partner_id: d1(), page_size: 1, page_token: "7".to_owned() },
        ),
    ]
}

#[tokio::test]
async fn every_bad_field_is_refused_by_its_name_and_changes_nothing() {
    let fixture = Fixture::with_partner(5_000).await;
    let mut goods = credit(&fixture).await;
    goods.extend(records(&fixture));
    let (server, pool) = (&fixture.server, fixture.db.pool());
    assert_bad_input_is_refused(server, pool, FILE_DESCRIPTOR_SET, "oneshelf.partners.v1.PartnersService", goods).await;
    fixture.assert_books_are_right().await;
}
