//! Every field of every request, spoilt in turn; and what only the whole of a request shows.

use oneshelf_proto::{FILE_DESCRIPTOR_SET, inventory::v1 as pb};
use oneshelf_testkit::bad_input::{Good, assert_bad_input_is_refused_but};
use prost_types::{Duration, Timestamp};
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::{
    channel_changed::register,
    support::{Shelf, fields, location, reason, stock_lines},
};

/// RPCs without a good request here yet: their bad input is tested only as far as their own tests go.
const ELSEWHERE: &[&str] = &[
    "ActivateLocation",
    "AllocateTransfer",
    "AmendPurchaseOrder",
    "ApproveCount",
    "ApproveTransfer",
    "BatchAdjustStock",
    "CancelCount",
    "CancelPromise",
    "CancelPurchaseOrder",
    "CancelTransfer",
    "CloseInbound",
    "CloseLocation",
    "CommitPromise",
    "ComputeAbcClasses",
    "CreateAsn",
    "CreatePurchaseOrder",
    "CreateReasonCode",
    "CreateTransfer",
    "DeactivateLocation",
    "ExplainAvailability",
    "ExportMovements",
    "FindPickup",
    "GetAvailableToPromise",
    "GetCount",
    "GetInbound",
    "GetPromise",
    "GetTransfer",
    "ImportStock",
    "ListCounts",
    "ListDrift",
    "ListDueCounts",
    "ListInboundDue",
    "ListInbounds",
    "ListPromises",
    "ListReasonCodes",
    "ListRingFences",
    "ListSkuPolicies",
    "ListStockPolicies",
    "ListTransfers",
    "PostCount",
    "PostMovement",
    "PromiseStock",
    "ReceiveInbound",
    "ReceiveTransfer",
    "RecordCount",
    "RepairLevel",
    "RequestRecount",
    "ResolveTransferDiscrepancy",
    "SetAbcClasses",
    "SetCountSchedule",
    "SetRingFences",
    "SetSkuPolicies",
    "SetStock",
    "SetStockPolicies",
    "ShipTransfer",
    "StartCount",
    "UpdateLocation",
];

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
                }],
                reason: pb::AdjustmentReason::Count.into(),
                reference: reference.clone(),
                effective_time,
            },
        )
        .optional(&["lines.bucket", "reference", "effective_time"])
        .signed(&["lines.delta"])
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
        .at_most(&[("lines", 2_000)]),
    ]
}

async fn holds(shelf: &mut Shelf) -> Vec<Good> {
    let to_commit = shelf.held(shelf.hold(&[("A", 1)])).await.hold_id;
    let to_release = shelf.held(shelf.hold(&[("A", 1)])).await.hold_id;
    let to_extend = shelf.held(shelf.soft_hold(&[("A", 1)], 600)).await.hold_id;
    let hold = pb::HoldStockRequest {
        allow_partial: true,
        channel_id: "WEB".to_owned(),
        reference: "cart 7".to_owned(),
        ..shelf.soft_hold(&[("A", 1)], 600)
    };
    let line = pb::CommitLine { sku: "A".to_owned(), location_id: wh(), quantity: 1 };
    vec![
        Good::new("HoldStock", &hold)
            .optional(&["kind", "ttl", "channel_id", "reference"])
            .elsewhere(&["partner_id", "shopper_id", "replaces_hold_id", "network"])
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
        .optional(&["lines", "lines.quantity", "effective_time"])
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
            "ListLocations",
            &pb::ListLocationsRequest { page_size: 1, page_token: "SHOP".to_owned(), ..Default::default() },
        )
        .elsewhere(&["kind", "state", "country_code", "zone_id", "owner_id", "abilities"]),
        Good::new(
            "GetAvailability",
            &pb::GetAvailabilityRequest {
                channel_id: "WEB".to_owned(),
                skus: vec!["A".to_owned()],
                ..Default::default()
            },
        )
        .elsewhere(&["partner_id"])
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
    let new = location("NEW", pb::LocationKind::Store, true);
    let mut goods = vec![
        Good::new("CreateLocation", &pb::CreateLocationRequest { request_id: shelf.id(), location: Some(new) })
            .elsewhere(&[
                "location.gln",
                "location.coordinates",
                "location.country_code",
                "location.zone_id",
                "location.calendar",
                "location.abilities",
                "location.daily_order_capacity",
                "location.priority",
                "location.owner_id",
                "location.state",
                "location.update_time",
            ])
            .ignored(&["location.version", "location.create_time"]),
    ];
    goods.extend(movements(&shelf));
    goods.extend(holds(&mut shelf).await);
    goods.extend(reads(&mut shelf).await);
    goods.extend(sourcing(&mut shelf).await);
    let (server, pool) = (&shelf.server, shelf.db.pool());
    let service = "oneshelf.inventory.v1.InventoryService";
    assert_bad_input_is_refused_but(server, pool, FILE_DESCRIPTOR_SET, service, goods, ELSEWHERE).await;
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
