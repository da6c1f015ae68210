//! What units cost us, and how often to count what by it.

use oneshelf_proto::{inventory::v1 as pb, r#type::v1::UnitPrice};
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::support::{Shelf, fields, reason, stock_lines};

pub fn set_costs(shelf: &Shelf, costs: &[(&str, i64, &str)]) -> pb::SetUnitCostsRequest {
    pb::SetUnitCostsRequest {
        request_id: shelf.id(),
        lines: costs
            .iter()
            .map(|(sku, micros, currency)| pb::UnitCostLine {
                unit_cost: Some(pb::UnitCost {
                    sku: (*sku).to_owned(),
                    cost: Some(UnitPrice { micros: *micros, currency_code: (*currency).to_owned() }),
                    audit: None,
                }),
                expected_version: 0,
            })
            .collect(),
    }
}

#[tokio::test]
async fn set_unit_costs_keeps_every_version_and_refuses_what_is_wrong() {
    let mut shelf = Shelf::stocked().await;
    let request = set_costs(&shelf, &[("a", 1_250_000, "GBP"), ("B", 0, "EUR")]);
    let set = shelf.client.set_unit_costs(request.clone()).await.unwrap().into_inner().unit_costs;
    assert_eq!((set[0].sku.as_str(), set[0].audit.as_ref().unwrap().version), ("A", 1));
    assert_eq!(set[0].cost, Some(UnitPrice { micros: 1_250_000, currency_code: "GBP".to_owned() }));
    let change = set_costs(&shelf, &[("A", 2, "GBP"), ("B", 0, "EUR")]);
    let changed = shelf.client.set_unit_costs(change).await.unwrap().into_inner().unit_costs;
    let versions: Vec<i64> = changed.iter().map(|cost| cost.audit.as_ref().unwrap().version).collect();
    assert_eq!(versions, [2, 1], "saying what is so already is no new version");
    assert_eq!(shelf.client.set_unit_costs(request).await.unwrap().into_inner().unit_costs, set);

    let mut stale = set_costs(&shelf, &[("B", 1, "EUR"), ("A", 1, "EUR")]);
    stale.lines[1].expected_version = 1;
    let stale = shelf.client.set_unit_costs(stale).await.unwrap_err();
    assert_eq!((stale.code(), reason(&stale).as_str()), (Code::Aborted, "VERSION_MISMATCH"));
    assert_eq!(stale.get_details_error_info().unwrap().metadata["line"], "1");
    let mut bad = set_costs(&shelf, &[("", -1, "EURO"), ("B", 1_000_000_000_000_001, "EUR"), ("b", 1, "EUR")]);
    bad.lines.push(pb::UnitCostLine::default());
    let names = ["[0].unit_cost.sku", "[0].unit_cost.cost.currency_code", "[0].unit_cost.cost.micros"];
    let names = names.iter().chain(&["[1].unit_cost.cost.micros", "[2].unit_cost", "[3].unit_cost"]);
    let expected: Vec<String> = names.map(|name| format!("lines{name}")).collect();
    assert_eq!(fields(&shelf.client.set_unit_costs(bad).await.unwrap_err()), expected);

    let one = pb::ListUnitCostsRequest { page_size: 1, ..Default::default() };
    let page = shelf.client.list_unit_costs(one.clone()).await.unwrap().into_inner();
    assert_eq!(page.unit_costs, changed[..1]);
    let rest = pb::ListUnitCostsRequest { page_token: page.next_page_token, ..one };
    assert_eq!(shelf.client.list_unit_costs(rest).await.unwrap().into_inner().unit_costs, changed[1..]);
    shelf.verify().await;
}

#[tokio::test]
async fn list_unit_costs_begins_anywhere_and_verify_finds_a_cost_that_nobody_set() {
    let mut shelf = Shelf::stocked().await;
    shelf.client.set_unit_costs(set_costs(&shelf, &[("A", 5, "GBP")])).await.unwrap();
    let after = pb::ListUnitCostsRequest { page_token: "A".to_owned(), ..Default::default() };
    assert!(shelf.client.list_unit_costs(after).await.unwrap().into_inner().unit_costs.is_empty());
    sqlx::query("UPDATE inventory.unit_costs SET cost_micros = 6").execute(shelf.db.pool()).await.unwrap();
    let checks = oneshelf_inventory::verify::verify(shelf.db.pool()).await.unwrap();
    let check = checks.iter().find(|check| check.id == "cost").unwrap();
    assert_eq!((check.violations, &check.offenders[..]), (1, &["A".to_owned()][..]));
}

/// Many cheap ones move, few dear ones: what is worth most is counted most.
#[tokio::test]
async fn compute_abc_classes_by_value_weighs_units_by_their_cost() {
    let mut shelf = Shelf::stocked().await;
    shelf.receive("WH", &[("CHEAP", 100), ("DEAR", 100), ("FOREIGN", 100)]).await;
    let sale = pb::RecordSoldStockRequest {
        request_id: shelf.id(),
        location_id: "WH".to_owned(),
        lines: stock_lines(&[("CHEAP", 90), ("DEAR", 2), ("FOREIGN", 8), ("A", 1)]),
        ..Default::default()
    };
    shelf.client.record_sold_stock(sale).await.unwrap();
    let costs = [("CHEAP", 100_000, "GBP"), ("DEAR", 90_000_000, "GBP"), ("FOREIGN", 90_000_000, "EUR")];
    shelf.client.set_unit_costs(set_costs(&shelf, &costs)).await.unwrap();
    let compute = |basis: pb::AbcBasis, currency_code: &str| pb::ComputeAbcClassesRequest {
        request_id: shelf.id(),
        location_id: "WH".to_owned(),
        basis: basis.into(),
        currency_code: currency_code.to_owned(),
        ..Default::default()
    };
    let (by_units, by_value) = (compute(pb::AbcBasis::Units, ""), compute(pb::AbcBasis::Value, "GBP"));
    let bad = [(compute(pb::AbcBasis::Value, ""), "currency_code"), (compute(pb::AbcBasis::Units, "GBP"), "basis")];
    let counted = shelf.client.compute_abc_classes(by_units).await.unwrap().into_inner();
    assert_eq!((counted.a, counted.b, counted.c, counted.without_value), (1, 1, 3, 0));
    assert_eq!(classes(&shelf).await[2..], [("CHEAP", "A"), ("DEAR", "C"), ("FOREIGN", "B")].map(owned));
    let counted = shelf.client.compute_abc_classes(by_value.clone()).await.unwrap().into_inner();
    // 180 of 189 pounds are DEAR; A and B have no cost, FOREIGN none in pounds.
    assert_eq!((counted.a, counted.b, counted.c, counted.without_value), (1, 0, 4, 3));
    assert_eq!(classes(&shelf).await[2..], [("CHEAP", "C"), ("DEAR", "A"), ("FOREIGN", "C")].map(owned));
    assert_eq!(shelf.client.compute_abc_classes(by_value).await.unwrap().into_inner(), counted, "repeated");
    for (bad, field) in bad {
        assert_eq!(fields(&shelf.client.compute_abc_classes(bad).await.unwrap_err()), [field]);
    }
}

fn owned((sku, class): (&str, &str)) -> (String, String) {
    (sku.to_owned(), class.to_owned())
}

async fn classes(shelf: &Shelf) -> Vec<(String, String)> {
    let rows = sqlx::query_as("SELECT sku, class FROM inventory.count_plan ORDER BY sku COLLATE \"C\"");
    rows.fetch_all(shelf.db.pool()).await.unwrap()
}
