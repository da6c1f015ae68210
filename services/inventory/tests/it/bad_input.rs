//! Every field of every request, spoilt in turn; and what only the whole of a request shows.

use oneshelf_proto::{FILE_DESCRIPTOR_SET, inventory::v1 as pb};
use oneshelf_testkit::bad_input::{Good, assert_bad_input_is_refused};
use prost_types::{Duration, Timestamp};
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::{
    channel_changed::register,
    consignments::agreement,
    costs::set_costs,
    good_documents as good,
    kits::{kit, set_kits},
    lots::{line, receipt, serials, set_tracking},
    reorder::{reorder_policy, set_reorder},
    support::{Shelf, fields, reason, stock_lines},
    thresholds::set_thresholds,
};

#[expect(clippy::unnecessary_wraps, reason = "fields of messages are optional")]
fn yesterday(shelf: &Shelf) -> Option<Timestamp> {
    Some(Timestamp { seconds: shelf.clock.now().timestamp() - 86_400, nanos: 1 })
}

fn wh() -> String {
    "WH".to_owned()
}

fn movements(shelf: &Shelf) -> Vec<Good> {
    let (lines, reference) = (stock_lines(&[("A", 1)]), "note 7".to_owned());
    let (request_id, location_id, effective_time) = (|| shelf.id(), wh, yesterday(shelf));
    vec![
        Good::new(
            "ReceiveStock",
            &pb::ReceiveStockRequest {
                request_id: request_id(),
                location_id: location_id(),
                lines: lines.clone(),
                reference: reference.clone(),
                effective_time,
            },
        )
        .optional(&["reference", "effective_time"])
        .elsewhere(&["lines.lots"])
        .at_most(&[("lines", 2_000)]),
        Good::new(
            "AdjustStock",
            &pb::AdjustStockRequest {
                request_id: request_id(),
                location_id: location_id(),
                lines: vec![pb::AdjustmentLine {
                    sku: "A".to_owned(),
                    delta: 1,
                    bucket: pb::StockBucket::Damaged.into(),
                    ..Default::default()
                }],
                reason: pb::AdjustmentReason::Count.into(),
                reference: reference.clone(),
                effective_time,
            },
        )
        .optional(&["lines.bucket", "reference", "effective_time"])
        .signed(&["lines.delta"])
        .elsewhere(&["lines.lots"])
        .at_most(&[("lines", 2_000)]),
        Good::new(
            "ReturnStock",
            &pb::ReturnStockRequest {
                request_id: request_id(),
                location_id: location_id(),
                lines: lines.clone(),
                bucket: pb::StockBucket::Quarantine.into(),
                reference: reference.clone(),
                effective_time,
            },
        )
        .optional(&["bucket", "reference", "effective_time"])
        .elsewhere(&["lines.lots"])
        .at_most(&[("lines", 2_000)]),
        Good::new(
            "RecordSoldStock",
            &pb::RecordSoldStockRequest {
                request_id: request_id(),
                location_id: location_id(),
                lines,
                reference,
                effective_time,
            },
        )
        .optional(&["reference", "effective_time"])
        .elsewhere(&["lines.lots"])
        .at_most(&[("lines", 2_000)]),
    ]
}

async fn holds(shelf: &mut Shelf) -> Vec<Good> {
    let to_commit = shelf.held(shelf.hold(&[("A", 1)])).await.hold_id;
    let to_release = shelf.held(shelf.hold(&[("A", 1)])).await.hold_id;
    let to_extend = shelf.held(shelf.soft_hold(&[("A", 1)], 600)).await.hold_id;
    let cart =
        |shelf: &Shelf| pb::HoldStockRequest { shopper_id: "ann".to_owned(), ..shelf.soft_hold(&[("A", 1)], 600) };
    let to_replace = shelf.held(cart(shelf)).await.hold_id;
    let hold = pb::HoldStockRequest {
        allow_partial: true,
        partner_id: "D-7".to_owned(),
        replaces_hold_id: to_replace,
        channel_id: "WEB".to_owned(),
        reference: "cart 7".to_owned(),
        ..cart(shelf)
    };
    let line = pb::CommitLine { sku: "A".to_owned(), location_id: wh(), quantity: 1 };
    vec![
        Good::new("HoldStock", &hold)
            // Without its shopper it replaces nothing, which is told of that.
            .optional(&["kind", "ttl", "channel_id", "reference", "partner_id", "shopper_id", "replaces_hold_id"])
            .elsewhere(&["network"])
            .at_most(&[("lines", 2_000)]),
        Good::new(
            "CommitHold",
            &pb::CommitHoldRequest {
                request_id: shelf.id(),
                hold_id: to_commit.clone(),
                lines: vec![line],
                effective_time: yesterday(shelf),
            },
        )
        .optional(&["lines", "lines.location_id", "lines.quantity", "effective_time"])
        .at_most(&[("lines", 2_000)]),
        Good::new("ReleaseHold", &pb::ReleaseHoldRequest { request_id: shelf.id(), hold_id: to_release }),
        Good::new(
            "ExtendHold",
            &pb::ExtendHoldRequest {
                request_id: shelf.id(),
                hold_id: to_extend,
                ttl: Some(Duration { seconds: 600, nanos: 1 }),
            },
        ),
        Good::new("GetHold", &pb::GetHoldRequest { hold_id: to_commit }),
    ]
}

async fn reads(shelf: &mut Shelf) -> Vec<Good> {
    let movements = pb::ListMovementsRequest { sku: "A".to_owned(), page_size: 1, ..Default::default() };
    let page_of_movements = shelf.client.list_movements(movements.clone()).await.unwrap().into_inner().next_page_token;
    let levels = pb::ListStockLevelsRequest { page_size: 1, ..Default::default() };
    let page_of_levels = shelf.client.list_stock_levels(levels).await.unwrap().into_inner().next_page_token;
    vec![
        Good::new("GetLocation", &pb::GetLocationRequest { location_id: wh() }),
        Good::new(
            "GetAvailability",
            &pb::GetAvailabilityRequest {
                channel_id: "WEB".to_owned(),
                skus: vec!["A".to_owned()],
                partner_id: "D-7".to_owned(),
            },
        )
        .optional(&["partner_id"])
        .at_most(&[("skus", 2_000)]),
        Good::new(
            "ListStockLevels",
            &pb::ListStockLevelsRequest {
                location_id: wh(),
                sku: "A".to_owned(),
                page_size: 1,
                page_token: page_of_levels,
            },
        )
        .optional(&["location_id", "sku"]),
        Good::new(
            "ListMovements",
            &pb::ListMovementsRequest { location_id: wh(), page_token: page_of_movements, ..movements },
        )
        .optional(&["location_id"]),
        Good::new(
            "GetStockAsOf",
            &pb::GetStockAsOfRequest { skus: vec!["A".to_owned()], location_id: wh(), as_of_time: yesterday(shelf) },
        )
        .may_lie_ahead(&["as_of_time"])
        .at_most(&[("skus", 2_000)]),
    ]
}

async fn reorders(shelf: &mut Shelf) -> Vec<Good> {
    let policy = pb::ReorderPolicy {
        pack_multiple: 6,
        lead_time_hours: 48,
        lead_time_deviation_hours: 12,
        review_days: 7,
        service_level_basis_points: 9_800,
        ..reorder_policy("A", 5, 20)
    };
    let set = set_reorder(shelf, vec![policy.clone(), reorder_policy("B", 1, 1)]);
    shelf.client.set_reorder_policies(set).await.unwrap();
    let policies = pb::ListReorderPoliciesRequest { location_id: wh(), page_size: 1, ..Default::default() };
    let page = shelf.client.list_reorder_policies(policies.clone()).await.unwrap().into_inner().next_page_token;
    let line = pb::ReorderPolicyLine { policy: Some(policy), expected_version: 1 };
    vec![
        Good::new("SetReorderPolicies", &pb::SetReorderPoliciesRequest { request_id: shelf.id(), lines: vec![line] })
            .optional(&[
                "lines.policy.reorder_point",
                "lines.policy.pack_multiple",
                "lines.policy.lead_time_hours",
                "lines.policy.lead_time_deviation_hours",
                "lines.policy.review_days",
                "lines.policy.service_level_basis_points",
                "lines.expected_version",
            ])
            .unbounded(&["lines.expected_version"])
            .ignored(&["lines.policy.audit"])
            .at_most(&[("lines", 2_000)]),
        Good::new(
            "ListReorderPolicies",
            &pb::ListReorderPoliciesRequest { sku: "A".to_owned(), page_token: page.clone(), ..policies },
        )
        .optional(&["location_id", "sku"]),
        Good::new(
            "ListReorderSuggestions",
            &pb::ListReorderSuggestionsRequest {
                location_id: wh(),
                sku: "A".to_owned(),
                include_sufficient: true,
                page_size: 1,
                page_token: page,
            },
        )
        .optional(&["location_id", "sku"]),
        Good::new(
            "SuggestReorderTerms",
            &pb::SuggestReorderTermsRequest {
                location_id: wh(),
                skus: vec!["A".to_owned()],
                days: 30,
                cover_days: 14,
                lead_time_hours: Some(48),
                lead_time_deviation_hours: Some(12),
                review_days: Some(7),
                service_level_basis_points: Some(9_800),
            },
        )
        .optional(&[
            "days",
            "cover_days",
            "lead_time_hours",
            "lead_time_deviation_hours",
            "review_days",
            "service_level_basis_points",
        ])
        .at_most(&[("skus", 500)]),
    ]
}

async fn thresholds(shelf: &mut Shelf) -> Vec<Good> {
    let mut set = set_thresholds(shelf, &[("A", "WEB", 3), ("B", "WEB", 1)]);
    shelf.client.set_stock_thresholds(set.clone()).await.unwrap();
    set.request_id = shelf.id();
    set.lines.truncate(1);
    set.lines[0].expected_version = 1;
    let list = pb::ListStockThresholdsRequest { channel_id: "WEB".to_owned(), page_size: 1, ..Default::default() };
    let page_token = shelf.client.list_stock_thresholds(list.clone()).await.unwrap().into_inner().next_page_token;
    vec![
        Good::new("SetStockThresholds", &set)
            .optional(&["lines.threshold.low_threshold", "lines.expected_version"])
            .unbounded(&["lines.expected_version"])
            .ignored(&[
                "lines.threshold.available",
                "lines.threshold.band",
                "lines.threshold.crossings",
                "lines.threshold.audit",
            ])
            .at_most(&[("lines", 50)]),
        Good::new("ListStockThresholds", &pb::ListStockThresholdsRequest { sku: "A".to_owned(), page_token, ..list })
            .optional(&["channel_id", "sku"]),
    ]
}

async fn consignments(shelf: &mut Shelf) -> Vec<Good> {
    let theirs = agreement(shelf, "V-1", "WH", pb::ConsignmentSide::Theirs);
    let second = agreement(shelf, "V-2", "SHOP", pb::ConsignmentSide::Theirs);
    for agreed in [theirs.clone(), second] {
        shelf.agree(agreed).await;
    }
    for units in [2, 3] {
        shelf.client.post_movement(shelf.consigned("V-1", units)).await.unwrap();
    }
    shelf.client.record_sold_stock(sold(shelf)).await.unwrap();
    shelf.client.record_sold_stock(sold(shelf)).await.unwrap();
    let agreed = pb::ConsignmentAgreement {
        skus: vec!["A".to_owned()],
        valid_until: theirs.valid_from.map(|from| Timestamp { seconds: from.seconds + 86_400, nanos: 0 }),
        ..theirs
    };
    let agreements = pb::ListConsignmentAgreementsRequest { page_size: 1, ..Default::default() };
    let agreements_token =
        shelf.client.list_consignment_agreements(agreements.clone()).await.unwrap().into_inner().next_page_token;
    let stock = pb::ListConsignmentStockRequest { page_size: 1, ..Default::default() };
    let stock_token = shelf.client.list_consignment_stock(stock.clone()).await.unwrap().into_inner().next_page_token;
    let settlements = pb::ListConsignmentSettlementsRequest { page_size: 1, ..shelf.settlements_of("V-1") };
    let settlements_token =
        shelf.client.list_consignment_settlements(settlements.clone()).await.unwrap().into_inner().next_page_token;
    vec![
        Good::new(
            "SetConsignmentAgreement",
            &pb::SetConsignmentAgreementRequest {
                request_id: shelf.id(),
                agreement: Some(agreed),
                expected_version: 1,
            },
        )
        .optional(&["agreement.skus", "agreement.valid_until", "expected_version"])
        .unbounded(&["expected_version"])
        .ignored(&["agreement.audit"])
        .may_lie_ahead(&["agreement.valid_from", "agreement.valid_until"])
        .at_most(&[("agreement.skus", 500)]),
        Good::new(
            "ListConsignmentAgreements",
            &pb::ListConsignmentAgreementsRequest {
                party_id: "V-1".to_owned(),
                location_id: wh(),
                page_token: agreements_token,
                ..agreements
            },
        )
        .optional(&["party_id", "location_id"]),
        Good::new(
            "ListConsignmentStock",
            &pb::ListConsignmentStockRequest {
                party_id: "V-1".to_owned(),
                location_id: wh(),
                sku: "A".to_owned(),
                page_token: stock_token,
                ..stock
            },
        )
        .optional(&["party_id", "location_id", "sku"]),
        Good::new(
            "ListConsignmentSettlements",
            &pb::ListConsignmentSettlementsRequest { page_token: settlements_token, ..settlements },
        )
        .may_lie_ahead(&["settled_from", "settled_until"]),
    ]
}

fn sold(shelf: &Shelf) -> pb::RecordSoldStockRequest {
    pb::RecordSoldStockRequest {
        request_id: shelf.id(),
        location_id: wh(),
        lines: stock_lines(&[("A", 1)]),
        ..Default::default()
    }
}

async fn costs(shelf: &mut Shelf) -> Vec<Good> {
    let mut set = set_costs(shelf, &[("A", 5, "GBP"), ("B", 5, "GBP")]);
    shelf.client.set_unit_costs(set.clone()).await.unwrap();
    set.request_id = shelf.id();
    set.lines.truncate(1);
    set.lines[0].expected_version = 1;
    vec![
        Good::new("SetUnitCosts", &set)
            .optional(&["lines.unit_cost.cost.micros", "lines.expected_version"])
            .unbounded(&["lines.expected_version"])
            .any_currency(&["lines.unit_cost.cost.currency_code"])
            .ignored(&["lines.unit_cost.audit"])
            .at_most(&[("lines", 2_000)]),
        Good::new("ListUnitCosts", &pb::ListUnitCostsRequest { page_size: 1, page_token: "A".to_owned() }),
        Good::new(
            "ComputeAbcClasses",
            &pb::ComputeAbcClassesRequest {
                request_id: shelf.id(),
                location_id: wh(),
                days: 30,
                a_percent: 70,
                b_percent: 90,
                basis: pb::AbcBasis::Value.into(),
                currency_code: "GBP".to_owned(),
            },
        )
        .optional(&["days", "a_percent", "b_percent"])
        .any_currency(&["currency_code"]),
    ]
}

fn kits(shelf: &Shelf) -> Vec<Good> {
    vec![
        Good::new("SetKits", &set_kits(shelf, vec![kit("SET", &[("A", 1)])]))
            .elsewhere(&["lines.expected_version", "lines.kit.audit"])
            .at_most(&[("lines", 20), ("lines.kit.components", 50)]),
        Good::new(
            "ListKits",
            &pb::ListKitsRequest {
                sku: "SET".to_owned(),
                component_sku: "A".to_owned(),
                page_size: 1,
                page_token: "SET".to_owned(),
            },
        )
        .optional(&["sku", "component_sku"]),
    ]
}

async fn lots(shelf: &mut Shelf) -> Vec<Good> {
    for (sku, kind) in [("MILK", pb::TrackingKind::Lot), ("PHONE", pb::TrackingKind::Serial)] {
        shelf.client.set_tracking(set_tracking(shelf, sku, kind, 0)).await.unwrap();
    }
    let goods = vec![line("MILK", serials(&["L1", "L2"])), line("PHONE", serials(&["S1", "S2"]))];
    shelf.client.receive_stock(receipt(shelf, "WH", goods)).await.unwrap();
    let lots = pb::ListLotsRequest {
        sku: "MILK".to_owned(),
        location_id: wh(),
        page_size: 1,
        page_token: "WH\tsellable\tL1".to_owned(),
    };
    let list = pb::ListSerialsRequest {
        sku: "PHONE".to_owned(),
        location_id: wh(),
        page_size: 1,
        page_token: "WH\tsellable\tS1".to_owned(),
    };
    vec![
        Good::new("SetTracking", &set_tracking(shelf, "TEA", pb::TrackingKind::Lot, 30))
            .optional(&["lines.tracking.minimum_shelf_life_days"])
            .elsewhere(&["lines.expected_version", "lines.tracking.audit"])
            .at_most(&[("lines", 50)]),
        Good::new("ListTracking", &pb::ListTrackingRequest { page_size: 1, page_token: "MILK".to_owned() }),
        Good::new("ListLots", &lots).optional(&["location_id"]),
        Good::new("ListSerials", &list).optional(&["location_id"]),
        Good::new("GetSerial", &pb::GetSerialRequest { sku: "PHONE".to_owned(), serial: "S1".to_owned() }),
    ]
}

fn ladder() -> pb::SourcingRules {
    pb::SourcingRules {
        channel_id: "WEB".to_owned(),
        steps: vec![pb::SourcingStep {
            name: "near".to_owned(),
            kinds: vec![pb::LocationKind::Warehouse.into()],
            zone_ids: vec!["UK".to_owned()],
            least_left: 1,
            order_by: vec![pb::SourcingCriterion::Cost.into()],
            max_parcels: 3,
            least_parcel_value: 100,
            ..Default::default()
        }],
        weights: Some(pb::SourcingWeights { handling: 100, transport: 100, markdown: 50, parcel_penalty: 5 }),
        ..Default::default()
    }
}

async fn sourcing(shelf: &mut Shelf) -> Vec<Good> {
    shelf.receive("SHOP", &[("A", 1)]).await;
    let to_move = shelf.held(shelf.hold(&[("A", 1)])).await.hold_id;
    let rules = |shelf: &Shelf| pb::SetSourcingRulesRequest {
        request_id: shelf.id(),
        rules: Some(ladder()),
        expected_version: Some(1),
    };
    let first = pb::SetSourcingRulesRequest { expected_version: Some(0), ..rules(shelf) };
    shelf.client.set_sourcing_rules(first).await.unwrap();
    let destination = Some(pb::Destination { coordinates: None, zone_id: "UK".to_owned() });
    let lines = vec![pb::OrderLine { sku: "A".to_owned(), quantity: 1, unit_value: 5 }];
    let version = Some(pb::SimulatedRules { rules: Some(pb::simulated_rules::Rules::Version(1)) });
    let draft = Some(pb::SimulatedRules { rules: Some(pb::simulated_rules::Rules::Draft(ladder())) });
    let past = pb::PastOrder {
        reference: "order 7".to_owned(),
        lines: lines.clone(),
        fulfilment: pb::SourcingFulfilment::Ship.into(),
        destination: destination.clone(),
        order_time: yesterday(shelf),
    };
    let given = pb::SimulateSourcingRequest {
        channel_id: "WEB".to_owned(),
        first: version.clone(),
        second: draft.clone(),
        orders: vec![past],
        start_time: None,
        end_time: None,
    };
    let held = pb::SimulateSourcingRequest {
        first: draft,
        second: version,
        orders: vec![],
        start_time: yesterday(shelf),
        end_time: Some(Timestamp { seconds: shelf.clock.now().timestamp(), nanos: 0 }),
        ..given.clone()
    };
    let costs = pb::NodeCosts { location_id: wh(), parcel: 1, unit: 2, km: 3, markdown: 4, ..Default::default() };
    vec![
        Good::new(
            "PlanFulfilment",
            &pb::PlanFulfilmentRequest {
                channel_id: "WEB".to_owned(),
                lines,
                fulfilment: pb::SourcingFulfilment::Pickup.into(),
                destination,
                draft: Some(ladder()),
                ..Default::default()
            },
        )
        .optional(&[
            "lines.unit_value",
            "fulfilment",
            "destination",
            "destination.zone_id",
            "draft",
            "draft.steps.kinds",
            "draft.steps.zone_ids",
            "draft.steps.least_left",
            "draft.steps.max_parcels",
            "draft.steps.least_parcel_value",
            "draft.weights",
            "draft.weights.handling",
            "draft.weights.transport",
            "draft.weights.markdown",
            "draft.weights.parcel_penalty",
        ])
        .elsewhere(&["partner_id", "destination.coordinates", "draft.steps.max_distance_m"])
        .ignored(&["draft.channel_id", "draft.version", "draft.update_time", "draft.updated_by"])
        .at_most(&[
            ("lines", 200),
            ("draft.steps", 8),
            ("draft.steps.kinds", 6),
            ("draft.steps.zone_ids", 50),
            ("draft.steps.order_by", 6),
        ]),
        simulation(&given)
            .optional(&[
                "first.version",
                "second.draft",
                "second.draft.steps.kinds",
                "second.draft.steps.zone_ids",
                "second.draft.steps.least_left",
                "second.draft.steps.max_parcels",
                "second.draft.steps.least_parcel_value",
                "second.draft.weights",
                "second.draft.weights.handling",
                "second.draft.weights.transport",
                "second.draft.weights.markdown",
                "second.draft.weights.parcel_penalty",
                "orders",
                "orders.reference",
                "orders.lines.unit_value",
                "orders.fulfilment",
                "orders.destination",
                "orders.destination.zone_id",
            ])
            .ignored(&[
                "second.draft.channel_id",
                "second.draft.version",
                "second.draft.update_time",
                "second.draft.updated_by",
            ])
            .absent(&["first.draft", "second.version", "start_time", "end_time"])
            .unbounded(&["first.version"])
            .may_lie_ahead(&["orders.order_time"])
            .at_most(&[
                ("orders", 500),
                ("orders.lines", 50),
                ("second.draft.steps", 8),
                ("second.draft.steps.kinds", 6),
                ("second.draft.steps.zone_ids", 50),
                ("second.draft.steps.order_by", 6),
            ]),
        simulation(&held)
            .optional(&[
                "second.version",
                "first.draft",
                "first.draft.steps.kinds",
                "first.draft.steps.zone_ids",
                "first.draft.steps.least_left",
                "first.draft.steps.max_parcels",
                "first.draft.steps.least_parcel_value",
                "first.draft.weights",
                "first.draft.weights.handling",
                "first.draft.weights.transport",
                "first.draft.weights.markdown",
                "first.draft.weights.parcel_penalty",
            ])
            .ignored(&[
                "first.draft.channel_id",
                "first.draft.version",
                "first.draft.update_time",
                "first.draft.updated_by",
            ])
            .absent(&["second.draft", "first.version", "orders"])
            .unbounded(&["second.version"])
            .may_lie_ahead(&["start_time", "end_time"])
            .at_most(&[
                ("first.draft.steps", 8),
                ("first.draft.steps.kinds", 6),
                ("first.draft.steps.zone_ids", 50),
                ("first.draft.steps.order_by", 6),
            ]),
        Good::new(
            "MoveHold",
            &pb::MoveHoldRequest {
                request_id: shelf.id(),
                hold_id: to_move,
                moves: vec![pb::HoldMove {
                    sku: "A".to_owned(),
                    source_location_id: wh(),
                    target_location_id: "SHOP".to_owned(),
                    quantity: 1,
                }],
            },
        )
        .at_most(&[("moves", 200)]),
        Good::new("SetSourcingRules", &rules(shelf))
            .optional(&[
                "expected_version",
                "rules.steps.kinds",
                "rules.steps.zone_ids",
                "rules.steps.least_left",
                "rules.steps.max_parcels",
                "rules.steps.least_parcel_value",
                "rules.weights",
                "rules.weights.handling",
                "rules.weights.transport",
                "rules.weights.markdown",
                "rules.weights.parcel_penalty",
            ])
            .elsewhere(&["rules.steps.max_distance_m"])
            .ignored(&["rules.version", "rules.update_time", "rules.updated_by"])
            .unbounded(&["expected_version"])
            .at_most(&[
                ("rules.steps", 8),
                ("rules.steps.kinds", 6),
                ("rules.steps.zone_ids", 50),
                ("rules.steps.order_by", 6),
            ]),
        Good::new("GetSourcingRules", &pb::GetSourcingRulesRequest { channel_id: "WEB".to_owned(), version: 1 })
            .optional(&["version"])
            .unbounded(&["version"]),
        Good::new(
            "ListSourcingRules",
            &pb::ListSourcingRulesRequest { channel_id: "WEB".to_owned(), page_size: 1, page_token: "2".to_owned() },
        )
        .optional(&["channel_id"]),
        Good::new(
            "SetNodeCosts",
            &pb::SetNodeCostsRequest { request_id: shelf.id(), costs: Some(costs), expected_version: Some(0) },
        )
        .optional(&["expected_version", "costs.parcel", "costs.unit", "costs.km", "costs.markdown"])
        .ignored(&["costs.version", "costs.update_time", "costs.updated_by"])
        .unbounded(&["expected_version"]),
        Good::new("ListNodeCosts", &pb::ListNodeCostsRequest { page_size: 1, page_token: "SHOP".to_owned() }),
    ]
}

fn simulation(request: &pb::SimulateSourcingRequest) -> Good {
    Good::new("SimulateSourcing", request).elsewhere(&[
        "orders.destination.coordinates",
        "first.draft.steps.max_distance_m",
        "second.draft.steps.max_distance_m",
    ])
}

#[tokio::test]
async fn every_bad_field_is_refused_by_its_name_and_changes_nothing() {
    let mut shelf = Shelf::stocked().await;
    register(&shelf, "WEB", &["WH"], 1).await;
    let mut goods = good::locations(&mut shelf).await;
    goods.extend(movements(&shelf));
    goods.extend(holds(&mut shelf).await);
    goods.extend(reads(&mut shelf).await);
    goods.extend(reorders(&mut shelf).await);
    goods.extend(thresholds(&mut shelf).await);
    goods.extend(consignments(&mut shelf).await);
    goods.extend(costs(&mut shelf).await);
    goods.extend(kits(&shelf));
    goods.extend(lots(&mut shelf).await);
    goods.extend(sourcing(&mut shelf).await);
    goods.extend(good::transfers(&mut shelf).await);
    goods.extend(good::counts(&mut shelf).await);
    goods.extend(good::inbounds(&mut shelf).await);
    goods.extend(good::promises(&mut shelf).await);
    goods.extend(good::policies(&mut shelf).await);
    goods.extend(good::bulk(&shelf));
    goods.extend(good::ledger(&shelf));
    goods.extend(good::figures());
    let (server, pool) = (&shelf.server, shelf.db.pool());
    let service = "oneshelf.inventory.v1.InventoryService";
    assert_bad_input_is_refused(server, pool, FILE_DESCRIPTOR_SET, service, goods).await;
    shelf.verify().await;
}

/// Clients bound what an error may carry: it must arrive also where every line of the largest request is short.
#[tokio::test]
async fn two_thousand_short_lines_are_counted_and_the_first_are_named() {
    let mut shelf = Shelf::stocked().await;
    let before = shelf.rows().await;
    let codes: Vec<String> = (0..2_000).map(|n| format!("{n:064}")).collect();
    let lines: Vec<(&str, i64)> = codes.iter().map(|code| (code.as_str(), 1)).collect();
    let status = shelf.client.hold_stock(shelf.hold(&lines)).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::FailedPrecondition, "INSUFFICIENT_STOCK"));
    assert_eq!(status.get_details_error_info().unwrap().metadata["short_lines"], "2000");
    let named = status.get_details_precondition_failure().unwrap().violations;
    assert_eq!((named.len(), named[31].subject.as_str()), (32, "lines[31]"));
    assert_eq!(shelf.rows().await, before);
}

#[tokio::test]
async fn lines_of_the_same_sku_are_judged_by_their_sum() {
    let mut shelf = Shelf::stocked().await;
    let status = shelf.client.hold_stock(shelf.hold(&[("A", 6), ("a", 5)])).await.unwrap_err();
    assert_eq!(status.get_details_precondition_failure().unwrap().violations[0].subject, "lines[1]");
    let hold = shelf.held(shelf.hold(&[("A", 6), ("a", 4)])).await;
    let take = |quantity| pb::CommitLine { sku: "A".to_owned(), location_id: wh(), quantity };
    let commit = |lines| pb::CommitHoldRequest {
        request_id: shelf.id(),
        hold_id: hold.hold_id.clone(),
        lines,
        effective_time: None,
    };
    let (too_many, all) = (commit(vec![take(7), take(4)]), commit(vec![take(7), take(3)]));
    let status = shelf.client.commit_hold(too_many).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::FailedPrecondition, "COMMIT_EXCEEDS_HOLD"));
    assert_eq!(shelf.level("A").await, (10, 10, 0), "the refused commit took nothing");
    shelf.client.commit_hold(all).await.unwrap();
    assert_eq!(shelf.level("A").await, (0, 0, 0));
    shelf.verify().await;
}

/// A till's clock may be a day ahead, and orders hands its time on.
#[tokio::test]
async fn an_effective_time_lies_at_most_two_days_ahead() {
    let mut shelf = Shelf::open().await;
    let in_days = |days: i64| Some(Timestamp { seconds: shelf.clock.now().timestamp() + days * 86_400, nanos: 0 });
    let receipt = |effective_time| pb::ReceiveStockRequest { effective_time, ..shelf.receipt("WH", &[("A", 1)]) };
    let (soon, late) = (receipt(in_days(2)), receipt(in_days(3)));
    shelf.client.receive_stock(soon).await.unwrap();
    assert_eq!(fields(&shelf.client.receive_stock(late).await.unwrap_err()), ["effective_time"]);
    assert_eq!(shelf.level("A").await.0, 1);
}
