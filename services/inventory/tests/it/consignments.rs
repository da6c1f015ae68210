//! Goods that belong to somebody else than the holder of their place, and what is settled when they are sold.

use std::time::Duration;

use oneshelf_inventory::events;
use oneshelf_kit::{outbox, schema::Schema};
use oneshelf_proto::inventory::v1 as pb;
use prost_types::Timestamp;
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::{
    ledger::{line, movement},
    support::{Shelf, fields, reason, stock_lines},
};

pub fn agreement(shelf: &Shelf, party: &str, location: &str, side: pb::ConsignmentSide) -> pb::ConsignmentAgreement {
    pb::ConsignmentAgreement {
        party_id: party.to_owned(),
        location_id: location.to_owned(),
        side: side.into(),
        valid_from: at(shelf, -3_600),
        ..Default::default()
    }
}

#[expect(clippy::unnecessary_wraps, reason = "fields of messages are optional")]
fn at(shelf: &Shelf, seconds: i64) -> Option<Timestamp> {
    Some(Timestamp { seconds: shelf.clock.now().timestamp() + seconds, nanos: 0 })
}

impl Shelf {
    pub async fn agree(&mut self, agreement: pb::ConsignmentAgreement) -> pb::ConsignmentAgreement {
        let request = pb::SetConsignmentAgreementRequest {
            request_id: self.id(),
            agreement: Some(agreement),
            expected_version: 0,
        };
        self.client.set_consignment_agreement(request).await.unwrap().into_inner().agreement.unwrap()
    }

    /// Units of A that come from a partner, or go back.
    pub fn consigned(&self, party: &str, units: i64) -> pb::PostMovementRequest {
        let line = match units {
            0.. => line("A", pb::Account::Consignment, pb::Account::Sellable, units),
            _ => line("A", pb::Account::Sellable, pb::Account::Consignment, -units),
        };
        let code = if units < 0 { "consignment_out" } else { "consignment_in" };
        pb::PostMovementRequest { owner_id: party.to_owned(), ..movement(self, code, vec![line]) }
    }

    async fn consigned_stock(&mut self) -> Vec<(String, String, String, i64)> {
        let request = pb::ListConsignmentStockRequest::default();
        let stock = self.client.list_consignment_stock(request).await.unwrap().into_inner().stock;
        stock.into_iter().map(|one| (one.sku, one.location_id, one.party_id, one.units)).collect()
    }

    async fn settlements(&mut self, party: &str) -> Vec<(pb::ConsignmentCause, i64, String)> {
        let request = self.settlements_of(party);
        let settled = self.client.list_consignment_settlements(request).await.unwrap().into_inner().settlements;
        settled.into_iter().map(|one| (one.cause(), one.units, one.reference)).collect()
    }

    pub fn settlements_of(&self, party: &str) -> pb::ListConsignmentSettlementsRequest {
        pb::ListConsignmentSettlementsRequest {
            party_id: party.to_owned(),
            settled_from: at(self, -86_400),
            settled_until: at(self, 86_400),
            ..Default::default()
        }
    }

    /// What was told of a partner's goods: units, and whether they were sold or came back.
    async fn told_of(&self, about: &str) -> Vec<(i64, bool)> {
        let told = outbox::read_all(self.db.pool(), Schema::new("inventory")).await.unwrap();
        let mut told: Vec<(i64, (i64, bool))> = told
            .iter()
            .filter(|told| told.event.aggregate_id == about)
            .map(|told| {
                let back = told.routing_key == events::CONSIGNMENT_RETURNED;
                let settled = if back {
                    told.event.decode::<pb::ConsignmentReturned>().unwrap().settlement
                } else {
                    told.event.decode::<pb::ConsignmentSold>().unwrap().settlement
                };
                (told.event.aggregate_version, (settled.unwrap().units, !back))
            })
            .collect();
        told.sort_unstable();
        let versions: Vec<i64> = told.iter().map(|(version, _)| *version).collect();
        assert_eq!(versions, (1..=told.len() as i64).collect::<Vec<_>>(), "each once");
        told.into_iter().map(|(_, told)| told).collect()
    }

    async fn adjusted(&mut self, delta: i64) {
        self.clock.advance(Duration::from_secs(1));
        let request = pb::AdjustStockRequest {
            request_id: self.id(),
            location_id: "WH".to_owned(),
            lines: vec![pb::AdjustmentLine { sku: "A".to_owned(), delta, bucket: 0, lots: Vec::new() }],
            reason: pb::AdjustmentReason::Lost.into(),
            reference: "count".to_owned(),
            ..Default::default()
        };
        self.client.adjust_stock(request).await.unwrap();
    }

    async fn brought_back(&mut self, location_id: &str, quantity: i64) {
        self.clock.advance(Duration::from_secs(1));
        let request = pb::ReturnStockRequest {
            request_id: self.id(),
            location_id: location_id.to_owned(),
            lines: stock_lines(&[("A", quantity)]),
            reference: "return".to_owned(),
            ..Default::default()
        };
        self.client.return_stock(request).await.unwrap();
    }
}

#[tokio::test]
async fn set_consignment_agreement_lets_one_partner_in_and_refuses_what_is_wrong() {
    let mut shelf = Shelf::stocked().await;
    let theirs = agreement(&shelf, "v-1", "wh", pb::ConsignmentSide::Theirs);
    let only_a = pb::ConsignmentAgreement { skus: vec!["a".to_owned()], ..theirs.clone() };
    let set = shelf.agree(only_a.clone()).await;
    assert_eq!(
        (set.party_id.as_str(), &set.skus[..], set.audit.as_ref().unwrap().version),
        ("V-1", &["A".to_owned()][..], 1)
    );
    assert_eq!(shelf.agree(only_a.clone()).await, set, "it says so already");

    let set_other = |agreement, expected_version| pb::SetConsignmentAgreementRequest {
        request_id: shelf.id(),
        agreement: Some(agreement),
        expected_version,
    };
    let ours = agreement(&shelf, "D-7", "WH", pb::ConsignmentSide::Ours);
    let (overlapping, stale) = (set_other(ours.clone(), 0), set_other(theirs.clone(), 2));
    let nowhere = set_other(pb::ConsignmentAgreement { location_id: "NO".to_owned(), ..theirs.clone() }, 0);
    let bad = pb::ConsignmentAgreement {
        party_id: "a b".to_owned(),
        location_id: String::new(),
        side: 7,
        skus: vec!["A".to_owned(), String::new(), "a".to_owned()],
        valid_until: at(&shelf, -3_600),
        ..theirs.clone()
    };
    let bad = set_other(bad, -1);
    let overlapping = shelf.client.set_consignment_agreement(overlapping).await.unwrap_err();
    assert_eq!((overlapping.code(), reason(&overlapping).as_str()), (Code::FailedPrecondition, "CONSIGNMENT_OVERLAP"));
    assert_eq!(overlapping.get_details_error_info().unwrap().metadata["party_id"], "V-1");
    let stale = shelf.client.set_consignment_agreement(stale).await.unwrap_err();
    assert_eq!(reason(&stale), "VERSION_MISMATCH");
    let nowhere = shelf.client.set_consignment_agreement(nowhere).await.unwrap_err();
    assert_eq!(reason(&nowhere), "LOCATION_NOT_FOUND");
    let bad = fields(&shelf.client.set_consignment_agreement(bad).await.unwrap_err());
    let names = ["party_id", "location_id", "side", "skus[1]", "skus[2]", "valid_until"];
    let expected: Vec<String> = names.iter().map(|name| format!("agreement.{name}")).collect();
    assert_eq!(bad, [vec!["expected_version".to_owned()], expected].concat());

    // What does not overlap may be.
    shelf.agree(pb::ConsignmentAgreement { skus: vec!["B".to_owned()], ..ours }).await;
    let over = pb::ConsignmentAgreement { valid_until: at(&shelf, -1), ..only_a };
    assert_eq!(shelf.agree(over).await.audit.unwrap().version, 2);
    shelf.verify().await;
}

#[tokio::test]
async fn list_consignment_agreements_shows_partners_their_own() {
    let mut shelf = Shelf::stocked().await;
    for (party, location) in [("V-1", "WH"), ("V-2", "SHOP")] {
        shelf.agree(agreement(&shelf, party, location, pb::ConsignmentSide::Theirs)).await;
    }
    let one = pb::ListConsignmentAgreementsRequest { page_size: 1, ..Default::default() };
    let page = shelf.client.list_consignment_agreements(one.clone()).await.unwrap().into_inner();
    assert_eq!(page.next_page_token, "SHOP\tV-2\ttheirs");
    let rest = pb::ListConsignmentAgreementsRequest { page_token: page.next_page_token, ..one };
    let rest = shelf.client.list_consignment_agreements(rest).await.unwrap().into_inner();
    assert_eq!(rest.agreements[0].party_id, "V-1");
    let of =
        |party_id: &str| pb::ListConsignmentAgreementsRequest { party_id: party_id.to_owned(), ..Default::default() };
    let found = shelf.client.list_consignment_agreements(of("V-2")).await.unwrap().into_inner().agreements;
    assert_eq!((found.len(), found[0].location_id.as_str()), (1, "SHOP"));
}

#[tokio::test]
async fn list_consignment_settlements_names_each_sale_of_a_partners_goods_once() {
    let mut shelf = Shelf::stocked().await;
    let early = shelf.client.post_movement(shelf.consigned("V-1", 5)).await.unwrap_err();
    assert_eq!((early.code(), reason(&early).as_str()), (Code::FailedPrecondition, "NOT_CONSIGNED"));
    shelf.agree(agreement(&shelf, "V-1", "WH", pb::ConsignmentSide::Theirs)).await;
    let other = shelf.client.post_movement(shelf.consigned("V-2", 5)).await.unwrap_err();
    assert_eq!(other.get_details_error_info().unwrap().metadata["party_id"], "V-2");
    shelf.client.post_movement(shelf.consigned("V-1", 5)).await.unwrap();
    assert_eq!(shelf.level("A").await, (15, 0, 15), "they are sold like any others");
    let stock = |units| vec![("A".to_owned(), "WH".to_owned(), "V-1".to_owned(), units)];
    assert_eq!(shelf.consigned_stock().await, stock(5));

    // Theirs go first, and what is repeated is not settled twice.
    let hold = pb::HoldStockRequest { reference: "order 7".to_owned(), ..shelf.hold(&[("A", 8)]) };
    let hold = shelf.held(hold).await;
    let commit = pb::CommitHoldRequest { request_id: shelf.id(), hold_id: hold.hold_id.clone(), ..Default::default() };
    for _ in 0..2 {
        shelf.client.commit_hold(commit.clone()).await.unwrap();
    }
    let sold = (pb::ConsignmentCause::Sold, 5, "order 7".to_owned());
    assert_eq!(shelf.settlements("V-1").await, std::slice::from_ref(&sold));
    assert_eq!(shelf.consigned_stock().await, []);
    shelf.brought_back("WH", 3).await;
    let returned = (pb::ConsignmentCause::Returned, 3, "return".to_owned());
    assert_eq!(shelf.settlements("V-1").await, [sold.clone(), returned.clone()]);
    assert_eq!(shelf.consigned_stock().await, stock(3));
    shelf.verify().await;

    // Of ten there, three are theirs: losing seven is ours to bear, the eighth is not.
    shelf.adjusted(-7).await;
    assert_eq!(shelf.settlements("V-1").await.len(), 2);
    shelf.adjusted(-1).await;
    let taken = (pb::ConsignmentCause::Taken, 1, "count".to_owned());
    assert_eq!(shelf.settlements("V-1").await, [sold, returned, taken]);
    let too_many = shelf.client.post_movement(shelf.consigned("V-1", -3)).await.unwrap_err();
    assert_eq!((reason(&too_many).as_str(), shelf.level("A").await.0), ("LINE_EXCEEDED", 2));
    shelf.client.post_movement(shelf.consigned("V-1", -2)).await.unwrap();
    assert_eq!((shelf.consigned_stock().await, shelf.level("A").await.0), (vec![], 0));
    assert_eq!(shelf.told_of("A@WH/V-1").await, [(5, true), (3, false), (1, true)]);

    // What the ledger says: the partner's account is even, and what was sold was bought.
    let sum: (i64, i64) = sqlx::query_as(
        "SELECT SUM(quantity * ((target = 'consignment')::INT - (source = 'consignment')::INT))::BIGINT
              , SUM(quantity * ((target = 'supplier')::INT - (source = 'supplier')::INT))::BIGINT
           FROM inventory.ledger_entries WHERE owner_id = 'V-1'",
    )
    .fetch_one(shelf.db.pool())
    .await
    .unwrap();
    assert_eq!(sum, (0, -3));
    let page = pb::ListConsignmentSettlementsRequest { page_size: 2, ..shelf.settlements_of("V-1") };
    let first = shelf.client.list_consignment_settlements(page.clone()).await.unwrap().into_inner();
    assert_eq!((first.settlements[0].movement_id.as_str(), first.settlements[0].line), (hold.hold_id.as_str(), 0));
    let rest = pb::ListConsignmentSettlementsRequest { page_token: first.next_page_token, ..page };
    let rest = shelf.client.list_consignment_settlements(rest).await.unwrap().into_inner();
    assert_eq!((rest.settlements.len(), rest.settlements[0].cause()), (1, pb::ConsignmentCause::Taken));
    let long = pb::ListConsignmentSettlementsRequest {
        settled_until: at(&shelf, 366 * 86_400),
        ..shelf.settlements_of("V-1")
    };
    assert_eq!(fields(&shelf.client.list_consignment_settlements(long).await.unwrap_err()), ["settled_until"]);
    shelf.verify().await;
}

#[tokio::test]
async fn list_consignment_stock_shows_ours_at_a_dealers_until_it_is_sold() {
    let mut shelf = Shelf::stocked().await;
    shelf.add_location("D-SHOP", pb::LocationKind::Dealer, true).await;
    shelf.receive("D-SHOP", &[("A", 6)]).await;
    let sell = |shelf: &Shelf, sku: &str| pb::RecordSoldStockRequest {
        request_id: shelf.id(),
        location_id: "D-SHOP".to_owned(),
        lines: stock_lines(&[(sku, 2)]),
        reference: "ticket".to_owned(),
        ..Default::default()
    };
    shelf.client.record_sold_stock(sell(&shelf, "A")).await.unwrap();
    shelf.agree(agreement(&shelf, "D-7", "D-SHOP", pb::ConsignmentSide::Ours)).await;
    let stock = |sku: &str, units| (sku.to_owned(), "D-SHOP".to_owned(), "D-7".to_owned(), units);
    assert_eq!(shelf.consigned_stock().await, [stock("A", 4)]);
    // Also of what comes only now.
    shelf.receive("D-SHOP", &[("NEW", 3)]).await;
    for sku in ["A", "NEW"] {
        let sale = sell(&shelf, sku);
        for _ in 0..2 {
            shelf.client.record_sold_stock(sale.clone()).await.unwrap();
        }
    }
    let sold = (pb::ConsignmentCause::Sold, 2, "ticket".to_owned());
    assert_eq!(shelf.settlements("D-7").await, [sold.clone(), sold.clone()], "what was sold before is not");
    assert_eq!(shelf.consigned_stock().await, [stock("A", 2), stock("NEW", 1)]);
    shelf.brought_back("D-SHOP", 3).await;
    assert_eq!(shelf.told_of("A@D-SHOP/D-7").await, [(2, true), (2, false)], "no more than was settled");
    // Elsewhere it is nobody else's.
    shelf.brought_back("WH", 1).await;
    assert_eq!(shelf.settlements("D-7").await.len(), 3);
    shelf.verify().await;

    let over = pb::ConsignmentAgreement {
        valid_until: at(&shelf, -1),
        ..agreement(&shelf, "D-7", "D-SHOP", pb::ConsignmentSide::Ours)
    };
    shelf.agree(over).await;
    shelf.client.record_sold_stock(sell(&shelf, "A")).await.unwrap();
    assert_eq!((shelf.settlements("D-7").await.len(), shelf.consigned_stock().await.len()), (3, 0));
    shelf.verify().await;
}

#[tokio::test]
async fn many_sales_at_once_settle_each_unit_once() {
    let mut shelf = Shelf::stocked().await;
    shelf.agree(agreement(&shelf, "V-1", "WH", pb::ConsignmentSide::Theirs)).await;
    shelf.client.post_movement(shelf.consigned("V-1", 7)).await.unwrap();
    let sales = (0..17).map(|_| {
        let request = pb::RecordSoldStockRequest {
            request_id: shelf.id(),
            location_id: "WH".to_owned(),
            lines: stock_lines(&[("A", 1)]),
            ..Default::default()
        };
        let mut client = shelf.client.clone();
        async move { client.record_sold_stock(request).await }
    });
    for sold in futures::future::join_all(sales).await {
        sold.unwrap();
    }
    assert_eq!((shelf.settlements("V-1").await.len(), shelf.consigned_stock().await.len()), (7, 0));
    assert_eq!(shelf.told_of("A@WH/V-1").await.len(), 7);
    shelf.verify().await;
}

#[tokio::test]
async fn verify_finds_units_and_settlements_without_their_movement() {
    let mut shelf = Shelf::stocked().await;
    shelf.agree(agreement(&shelf, "V-1", "WH", pb::ConsignmentSide::Theirs)).await;
    shelf.client.post_movement(shelf.consigned("V-1", 5)).await.unwrap();
    let sale = pb::RecordSoldStockRequest {
        request_id: shelf.id(),
        location_id: "WH".to_owned(),
        lines: stock_lines(&[("A", 2)]),
        ..Default::default()
    };
    shelf.client.record_sold_stock(sale).await.unwrap();
    for (spoil, id, mend) in [
        ("UPDATE inventory.consignment_stock SET units = 4", "CO1", "UPDATE inventory.consignment_stock SET units = 3"),
        (
            "UPDATE inventory.consignment_entries SET movement_id = gen_random_uuid() WHERE cause = 'received'",
            "CO2",
            "DELETE FROM inventory.consignment_entries WHERE cause = 'received'",
        ),
        ("DELETE FROM inventory.consignment_entries", "CO1", "SELECT 1"),
    ] {
        sqlx::query(spoil).execute(shelf.db.pool()).await.unwrap();
        let checks = oneshelf_inventory::verify::verify(shelf.db.pool()).await.unwrap();
        assert!(checks.iter().any(|check| check.id == id && check.violations > 0), "{spoil}");
        sqlx::query(mend).execute(shelf.db.pool()).await.unwrap();
    }
}
