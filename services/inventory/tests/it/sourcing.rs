//! Orders that name no location: planned, explained, held, moved, compared.

use futures::future::join_all;
use oneshelf_inventory::verify;
use oneshelf_proto::inventory::v1 as pb;
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::{
    channel_changed::register,
    support::{Client, Shelf, fields, location, reason},
};

/// Three warehouses north of London on one channel: NEAR, MID and FAR, 11, 56 and 111 km away.
async fn network() -> Shelf {
    let mut shelf = Shelf::open().await;
    for (id, latitude, priority) in [("NEAR", 51_600_000, 2), ("MID", 52_000_000, 1), ("FAR", 52_500_000, 0)] {
        add(&mut shelf, id, latitude, priority, None).await;
    }
    register(&shelf, "WEB", &["NEAR", "MID", "FAR"], 1).await;
    shelf
}

async fn add(shelf: &mut Shelf, id: &str, latitude: i32, priority: i32, capacity: Option<i32>) {
    let place = pb::Location {
        coordinates: Some(pb::Coordinates { latitude_micro_degrees: latitude, longitude_micro_degrees: 0 }),
        priority,
        daily_order_capacity: capacity,
        zone_id: "UK".to_owned(),
        ..location(id, pb::LocationKind::Warehouse, false)
    };
    let request = pb::CreateLocationRequest { request_id: shelf.id(), location: Some(place) };
    shelf.client.create_location(request).await.unwrap();
}

#[expect(clippy::unnecessary_wraps, reason = "fields of messages are optional")]
fn london() -> Option<pb::Destination> {
    let coordinates = pb::Coordinates { latitude_micro_degrees: 51_500_000, longitude_micro_degrees: 0 };
    Some(pb::Destination { coordinates: Some(coordinates), zone_id: "UK".to_owned() })
}

fn wanted(shelf: &Shelf, lines: &[(&str, i64)]) -> pb::HoldStockRequest {
    let line = |(sku, quantity): &(&str, i64)| pb::HoldRequestLine {
        sku: (*sku).to_owned(),
        location_id: String::new(),
        quantity: *quantity,
    };
    pb::HoldStockRequest {
        request_id: shelf.id(),
        kind: pb::HoldKind::Hard.into(),
        channel_id: "WEB".to_owned(),
        lines: lines.iter().map(line).collect(),
        network: Some(pb::NetworkTerms { destination: london(), ..Default::default() }),
        ..Default::default()
    }
}

fn question(lines: &[(&str, i64)]) -> pb::PlanFulfilmentRequest {
    let line =
        |(sku, quantity): &(&str, i64)| pb::OrderLine { sku: (*sku).to_owned(), quantity: *quantity, unit_value: 0 };
    pb::PlanFulfilmentRequest {
        channel_id: "WEB".to_owned(),
        lines: lines.iter().map(line).collect(),
        destination: london(),
        ..Default::default()
    }
}

fn step(name: &str, order_by: &[pb::SourcingCriterion]) -> pb::SourcingStep {
    pb::SourcingStep {
        name: name.to_owned(),
        order_by: order_by.iter().map(|one| i32::from(*one)).collect(),
        ..Default::default()
    }
}

fn rules(steps: Vec<pb::SourcingStep>) -> pb::SourcingRules {
    pb::SourcingRules { channel_id: "WEB".to_owned(), steps, ..Default::default() }
}

async fn set(shelf: &mut Shelf, rules: pb::SourcingRules) -> pb::SourcingRules {
    let request = pb::SetSourcingRulesRequest { request_id: shelf.id(), rules: Some(rules), expected_version: None };
    shelf.client.set_sourcing_rules(request).await.unwrap().into_inner().rules.unwrap()
}

async fn plan(client: &mut Client, request: pb::PlanFulfilmentRequest) -> pb::PlanFulfilmentResponse {
    client.plan_fulfilment(request).await.unwrap().into_inner()
}

fn planned(plan: &pb::PlanFulfilmentResponse) -> Vec<(&str, &str, i64)> {
    plan.lines.iter().map(|line| (line.sku.as_str(), line.location_id.as_str(), line.quantity)).collect()
}

fn held(hold: &pb::Hold) -> Vec<(&str, &str, i64)> {
    hold.lines.iter().map(|line| (line.sku.as_str(), line.location_id.as_str(), line.held)).collect()
}

/// Sellable and held of a SKU at a location.
async fn level(shelf: &mut Shelf, sku: &str, at: &str) -> (i64, i64) {
    let request = pb::ListStockLevelsRequest { sku: sku.to_owned(), location_id: at.to_owned(), ..Default::default() };
    let levels = shelf.client.list_stock_levels(request).await.unwrap().into_inner().levels;
    levels.first().map_or((0, 0), |level| (level.sellable, level.soft_held + level.hard_held))
}

/// The day's places of a location.
async fn taken(shelf: &Shelf, at: &str) -> i64 {
    sqlx::query_scalar("SELECT COALESCE(SUM(taken), 0)::BIGINT FROM inventory.node_days WHERE location_id = $1")
        .bind(at)
        .fetch_one(shelf.db.pool())
        .await
        .unwrap()
}

#[tokio::test]
async fn a_network_hold_is_taken_where_the_rules_say_and_answers_again() {
    let mut shelf = network().await;
    for at in ["NEAR", "MID", "FAR"] {
        shelf.receive(at, &[("A", 5), ("B", 5)]).await;
    }
    let request = wanted(&shelf, &[("A", 2), ("B", 1), ("a", 1)]);
    let hold = shelf.held(request.clone()).await;
    assert_eq!(held(&hold), [("A", "NEAR", 3), ("B", "NEAR", 1)], "the nearest in one parcel");
    let sourcing = hold.sourcing.clone().unwrap();
    assert_eq!((sourcing.rules_version, sourcing.step.as_str(), sourcing.destination), (0, "anywhere", london()));
    assert_eq!(
        sourcing.lines.iter().map(|line| (line.requested, line.unsourced)).collect::<Vec<_>>(),
        [(3, 0), (1, 0)]
    );
    assert_eq!(shelf.held(request).await, hold);
    assert_eq!(level(&mut shelf, "A", "NEAR").await, (5, 3));

    let split = shelf.held(wanted(&shelf, &[("A", 7)])).await;
    assert_eq!(held(&split), [("A", "MID", 5), ("A", "NEAR", 2)], "the most in one parcel, the rest from the nearest");
    let none = shelf.client.hold_stock(wanted(&shelf, &[("A", 6), ("B", 1)])).await.unwrap_err();
    assert_eq!((none.code(), reason(&none).as_str()), (Code::FailedPrecondition, "CANNOT_SOURCE"));
    let metadata = none.get_details_error_info().unwrap().metadata;
    assert_eq!(
        (metadata["sku"].as_str(), metadata["unsourced"].as_str(), metadata["reason"].as_str()),
        ("A", "1", "out_of_stock")
    );
    let partial = pb::HoldStockRequest { allow_partial: true, ..wanted(&shelf, &[("A", 6), ("NONE", 1)]) };
    let partial = shelf.held(partial).await;
    assert_eq!(partial.lines.iter().map(|line| line.held).sum::<i64>(), 5);
    let lines = partial.sourcing.unwrap().lines;
    assert_eq!(lines.iter().map(|line| line.unsourced).collect::<Vec<_>>(), [1, 1]);
    shelf.verify().await;

    let commit = pb::CommitHoldRequest { request_id: shelf.id(), hold_id: split.hold_id, ..Default::default() };
    shelf.client.commit_hold(commit).await.unwrap();
    assert_eq!(level(&mut shelf, "A", "MID").await.0, 0, "what is committed is what was planned");
    shelf.verify().await;
}

#[tokio::test]
async fn the_plan_that_sourcing_returns_is_the_plan_that_is_held() {
    let mut shelf = network().await;
    let all = [
        pb::SourcingCriterion::Cost,
        pb::SourcingCriterion::Distance,
        pb::SourcingCriterion::StockBalance,
        pb::SourcingCriterion::Priority,
        pb::SourcingCriterion::Parcels,
    ];
    for (number, (at, costs)) in [("NEAR", (900, 10)), ("MID", (300, 20)), ("FAR", (200, 5))].into_iter().enumerate() {
        let stock: Vec<(String, i64)> =
            (0..5).map(|sku| (format!("S{sku}"), (sku * 7 + number as i64 * 5) % 13 + 2)).collect();
        let stock: Vec<(&str, i64)> = stock.iter().map(|(sku, units)| (sku.as_str(), *units)).collect();
        shelf.receive(at, &stock).await;
        let costs =
            pb::NodeCosts { location_id: at.to_owned(), parcel: costs.0, unit: costs.1, km: 1, ..Default::default() };
        let request = pb::SetNodeCostsRequest { request_id: shelf.id(), costs: Some(costs), expected_version: None };
        shelf.client.set_node_costs(request).await.unwrap();
    }
    // With a level that has rules: its holds are planned on all locked candidates.
    let policy = pb::StockPolicy {
        sku: "S4".to_owned(),
        location_id: "MID".to_owned(),
        buffers: vec![pb::ChannelBuffer { channel_id: "WEB".to_owned(), units: 3 }],
        ..Default::default()
    };
    let lines = vec![pb::StockPolicyLine { policy: Some(policy), expected_version: 0 }];
    shelf.client.set_stock_policies(pb::SetStockPoliciesRequest { request_id: shelf.id(), lines }).await.unwrap();
    let (mut granted, mut refused) = (0, 0);
    for round in 0..40_i64 {
        let first = all[round as usize % all.len()];
        let second = all[(round as usize + 1) % all.len()];
        set(&mut shelf, rules(vec![pb::SourcingStep { least_left: round % 3, ..step("only", &[first, second]) }]))
            .await;
        let skus = [format!("S{}", round % 5), format!("S{}", (round * 3 + 1) % 5)];
        let lines = [(skus[0].as_str(), round % 4 + 1), (skus[1].as_str(), round % 3 + 1)];
        let told = plan(&mut shelf.client, question(&lines)).await;
        let complete = told.asked.iter().all(|line| line.unsourced == 0);
        match shelf.client.hold_stock(wanted(&shelf, &lines)).await {
            Ok(answer) => {
                let hold = answer.into_inner().hold.unwrap();
                assert!(complete);
                assert_eq!(held(&hold), planned(&told), "round {round}");
                let sourcing = hold.sourcing.unwrap();
                assert_eq!((sourcing.step, sourcing.rules_version), (told.step, told.rules_version));
                granted += 1;
            }
            Err(status) => {
                assert_eq!((reason(&status).as_str(), complete), ("CANNOT_SOURCE", false));
                refused += 1;
            }
        }
    }
    assert!(granted > 10 && refused > 3, "{granted} granted, {refused} refused");
    shelf.verify().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_buyers_of_scarce_stock_sell_exactly_what_there_is_and_strand_nothing() {
    let mut shelf = network().await;
    shelf.receive("NEAR", &[("X", 7), ("Y", 11)]).await;
    shelf.receive("MID", &[("X", 13), ("Y", 5)]).await;
    shelf.receive("FAR", &[("X", 20), ("Y", 24)]).await;
    let buyers = (0..64).map(|number| {
        // Two writers work on each other's SKUs: the first line decides who leads.
        let lines = if number % 2 == 0 { [("X", 1), ("Y", 1)] } else { [("Y", 1), ("X", 1)] };
        let (mut client, request) = (shelf.client.clone(), wanted(&shelf, &lines));
        async move { client.hold_stock(request).await }
    });
    let outcomes = join_all(buyers).await;
    let granted = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    for refused in outcomes.into_iter().filter_map(Result::err) {
        assert_eq!(reason(&refused), "CANNOT_SOURCE", "{refused:?}");
    }
    assert_eq!(granted, 40, "all forty of each");
    for at in ["NEAR", "MID", "FAR"] {
        for sku in ["X", "Y"] {
            let (sellable, held) = level(&mut shelf, sku, at).await;
            assert_eq!(sellable, held, "{sku} at {at}");
        }
    }
    shelf.verify().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_locations_day_is_never_taken_beyond_its_capacity() {
    let mut shelf = network().await;
    add(&mut shelf, "SMALL", 51_510_000, 0, Some(5)).await;
    register(&shelf, "WEB", &["NEAR", "SMALL"], 2).await;
    let skus: Vec<String> = (0..16).map(|sku| format!("C{sku}")).collect();
    let stock: Vec<(&str, i64)> = skus.iter().map(|sku| (sku.as_str(), 10)).collect();
    shelf.receive("SMALL", &stock).await;
    shelf.receive("NEAR", &stock).await;
    let buyers = skus.iter().map(|sku| {
        let (mut client, request) = (shelf.client.clone(), wanted(&shelf, &[(sku, 1)]));
        async move { client.hold_stock(request).await.unwrap().into_inner().hold.unwrap() }
    });
    let holds = join_all(buyers).await;
    let at_small: Vec<&pb::Hold> = holds.iter().filter(|hold| hold.lines[0].location_id == "SMALL").collect();
    assert_eq!(at_small.len(), 5, "the nearest, until its day is full");
    assert!(at_small.iter().all(|hold| hold.sourcing.as_ref().unwrap().days.len() == 1));
    assert_eq!(taken(&shelf, "SMALL").await, 5);
    let told = plan(&mut shelf.client, question(&[("C0", 1)])).await;
    let judged = told.explanation[0].candidates.iter().find(|one| one.location_id == "SMALL").unwrap();
    assert_eq!(judged.dropped(), pb::SourcingDrop::Full);
    shelf.verify().await;

    // What is given back is free again; what is committed stays taken.
    let release = |hold: &pb::Hold| pb::ReleaseHoldRequest { request_id: shelf.id(), hold_id: hold.hold_id.clone() };
    shelf.client.clone().release_hold(release(at_small[0])).await.unwrap();
    let commit =
        pb::CommitHoldRequest { request_id: shelf.id(), hold_id: at_small[1].hold_id.clone(), ..Default::default() };
    shelf.client.commit_hold(commit).await.unwrap();
    assert_eq!(taken(&shelf, "SMALL").await, 4);
    let next = shelf.held(wanted(&shelf, &[("C1", 1)])).await;
    assert_eq!(next.lines[0].location_id, "SMALL");
    // A move takes and gives places as well.
    let elsewhere = holds.iter().find(|hold| hold.lines[0].location_id == "NEAR").unwrap();
    let there = |hold: &pb::Hold, source: &str, target: &str| pb::MoveHoldRequest {
        request_id: shelf.id(),
        hold_id: hold.hold_id.clone(),
        moves: vec![pb::HoldMove {
            sku: hold.lines[0].sku.clone(),
            source_location_id: source.to_owned(),
            target_location_id: target.to_owned(),
            quantity: 1,
        }],
    };
    let full = shelf.client.clone().move_hold(there(elsewhere, "NEAR", "SMALL")).await.unwrap_err();
    assert_eq!((full.code(), reason(&full).as_str()), (Code::FailedPrecondition, "NODE_FULL"));
    let moved = shelf.client.clone().move_hold(there(&next, "SMALL", "NEAR")).await.unwrap();
    assert!(moved.into_inner().hold.unwrap().sourcing.unwrap().days.is_empty());
    assert_eq!(taken(&shelf, "SMALL").await, 4);
    shelf.client.clone().move_hold(there(elsewhere, "NEAR", "SMALL")).await.unwrap();
    assert_eq!(taken(&shelf, "SMALL").await, 5);
    shelf.verify().await;
}

#[tokio::test]
async fn plan_fulfilment_explains_every_candidate_and_takes_nothing() {
    let mut shelf = network().await;
    shelf.receive("MID", &[("A", 3)]).await;
    shelf.receive("FAR", &[("A", 9)]).await;
    let near = pb::SourcingStep { max_distance_m: Some(60_000), ..step("near", &[pb::SourcingCriterion::Distance]) };
    set(&mut shelf, rules(vec![near, step("far", &[pb::SourcingCriterion::Parcels])])).await;
    let told = plan(&mut shelf.client, question(&[("A", 5)])).await;
    assert_eq!((planned(&told), told.step.as_str(), told.rules_version), (vec![("A", "FAR", 5)], "far", 1));
    let judged = |step: usize| -> Vec<(&str, pb::SourcingDrop, i64, bool)> {
        let candidates = told.explanation[step].candidates.iter();
        candidates.map(|one| (one.location_id.as_str(), one.dropped(), one.units, one.chosen)).collect()
    };
    let (distance, nothing) = (pb::SourcingDrop::Distance, pb::SourcingDrop::NothingThere);
    let kept = pb::SourcingDrop::Unspecified;
    assert_eq!(judged(0), [("FAR", distance, 0, false), ("MID", kept, 3, false), ("NEAR", nothing, 0, false)]);
    assert_eq!(judged(1), [("FAR", kept, 5, true), ("MID", kept, 3, false), ("NEAR", nothing, 0, false)]);
    assert_eq!(told.explanation[0].candidates[1].scores.len(), 1);
    assert_eq!(told.distance_m, i64::from(told.explanation[1].candidates[0].distance_m.unwrap()));

    let draft = pb::PlanFulfilmentRequest {
        draft: Some(rules(vec![pb::SourcingStep { max_parcels: 1, ..step("one", &[pb::SourcingCriterion::Cost]) }])),
        ..question(&[("A", 10)])
    };
    let short = plan(&mut shelf.client, draft).await;
    assert_eq!(short.asked[0].reason(), pb::UnsourcedReason::SplitLimits);
    assert_eq!((short.asked[0].unsourced, short.rules_version), (1, 0));
    assert_eq!(level(&mut shelf, "A", "FAR").await, (9, 0));

    let unknown = pb::PlanFulfilmentRequest { channel_id: "NONE".to_owned(), ..question(&[("A", 1)]) };
    assert_eq!(reason(&shelf.client.plan_fulfilment(unknown).await.unwrap_err()), "CHANNEL_NOT_FOUND");
    let mut blind = shelf.client_for(&["inventory:PlanFulfilment"], None).await;
    let refused = blind.plan_fulfilment(question(&[("A", 1)])).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    let scopes = ["inventory:PlanFulfilment", "inventory:SeeQuantities"];
    let mut other = shelf.client_for(&scopes, Some("APP")).await;
    assert_eq!(reason(&other.plan_fulfilment(question(&[("A", 1)])).await.unwrap_err()), "OUT_OF_SCOPE");
    let unknown = pb::HoldStockRequest { channel_id: "NONE".to_owned(), ..wanted(&shelf, &[("A", 1)]) };
    assert_eq!(reason(&shelf.client.hold_stock(unknown).await.unwrap_err()), "CHANNEL_NOT_FOUND");
}

#[tokio::test]
async fn set_sourcing_rules_makes_versions_that_get_sourcing_rules_and_list_sourcing_rules_show() {
    let mut shelf = network().await;
    let get = |version| pb::GetSourcingRulesRequest { channel_id: "WEB".to_owned(), version };
    let default = shelf.client.get_sourcing_rules(get(0)).await.unwrap().into_inner().rules.unwrap();
    assert_eq!((default.version, default.steps.len(), default.updated_by.as_str()), (0, 1, ""));
    let by_cost = rules(vec![step("cost", &[pb::SourcingCriterion::Cost])]);
    let request =
        pb::SetSourcingRulesRequest { request_id: shelf.id(), rules: Some(by_cost.clone()), expected_version: Some(0) };
    let first = shelf.client.set_sourcing_rules(request.clone()).await.unwrap().into_inner();
    assert_eq!(shelf.client.set_sourcing_rules(request.clone()).await.unwrap().into_inner(), first);
    let stored = first.rules.unwrap();
    assert_eq!((stored.version, stored.steps[0].max_parcels, stored.updated_by.is_empty()), (1, 10, false));
    assert!(stored.update_time.is_some());
    let stale = pb::SetSourcingRulesRequest { request_id: shelf.id(), ..request.clone() };
    let refused = shelf.client.set_sourcing_rules(stale).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::Aborted, "VERSION_MISMATCH"));
    assert_eq!(set(&mut shelf, by_cost).await.version, 1, "what is so already is no new version");
    let second = set(&mut shelf, rules(vec![step("way", &[pb::SourcingCriterion::Distance])])).await;
    assert_eq!(second.version, 2);
    assert_eq!(shelf.client.get_sourcing_rules(get(1)).await.unwrap().into_inner().rules.unwrap(), stored);
    let missing = shelf.client.get_sourcing_rules(get(3)).await.unwrap_err();
    assert_eq!((missing.code(), reason(&missing).as_str()), (Code::NotFound, "SOURCING_RULES_NOT_FOUND"));

    let page = |token: &str| pb::ListSourcingRulesRequest {
        channel_id: "WEB".to_owned(),
        page_size: 1,
        page_token: token.to_owned(),
    };
    let newest = shelf.client.list_sourcing_rules(page("")).await.unwrap().into_inner();
    assert_eq!(newest.rules, std::slice::from_ref(&second));
    let older = shelf.client.list_sourcing_rules(page(&newest.next_page_token)).await.unwrap().into_inner();
    assert_eq!(older.rules, [stored]);
    let all = shelf.client.list_sourcing_rules(pb::ListSourcingRulesRequest::default()).await.unwrap().into_inner();
    assert_eq!(all.rules, [second]);
    let mut app = shelf.client_for(&["inventory:*"], Some("APP")).await;
    assert_eq!(reason(&app.get_sourcing_rules(get(0)).await.unwrap_err()), "OUT_OF_SCOPE");
    let none = app.list_sourcing_rules(pb::ListSourcingRulesRequest::default()).await.unwrap().into_inner();
    assert!(none.rules.is_empty());
    let history = sqlx::query("UPDATE inventory.sourcing_rules SET updated_by = 'x'").execute(shelf.db.pool()).await;
    assert!(history.is_err(), "versions are not rewritten");
}

#[tokio::test]
async fn set_node_costs_makes_versions_and_list_node_costs_shows_the_last() {
    let mut shelf = network().await;
    let costs = |parcel| Some(pb::NodeCosts { location_id: "MID".to_owned(), parcel, unit: 2, ..Default::default() });
    let request = pb::SetNodeCostsRequest { request_id: shelf.id(), costs: costs(5), expected_version: Some(0) };
    let first = shelf.client.set_node_costs(request.clone()).await.unwrap().into_inner();
    assert_eq!(shelf.client.set_node_costs(request.clone()).await.unwrap().into_inner(), first);
    assert_eq!(first.costs.as_ref().unwrap().version, 1);
    let stale = pb::SetNodeCostsRequest { request_id: shelf.id(), costs: costs(6), ..request };
    assert_eq!(reason(&shelf.client.set_node_costs(stale).await.unwrap_err()), "VERSION_MISMATCH");
    let nowhere = pb::NodeCosts { location_id: "NOWHERE".to_owned(), ..Default::default() };
    let nowhere = pb::SetNodeCostsRequest { request_id: shelf.id(), costs: Some(nowhere), expected_version: None };
    assert_eq!(reason(&shelf.client.set_node_costs(nowhere).await.unwrap_err()), "LOCATION_NOT_FOUND");
    let listed = shelf.client.list_node_costs(pb::ListNodeCostsRequest::default()).await.unwrap().into_inner().costs;
    assert_eq!(listed, [first.costs.unwrap()]);
}

fn moving(shelf: &Shelf, hold: &pb::Hold, moves: &[(&str, &str, &str, i64)]) -> pb::MoveHoldRequest {
    let one = |(sku, source, target, quantity): &(&str, &str, &str, i64)| pb::HoldMove {
        sku: (*sku).to_owned(),
        source_location_id: (*source).to_owned(),
        target_location_id: (*target).to_owned(),
        quantity: *quantity,
    };
    pb::MoveHoldRequest {
        request_id: shelf.id(),
        hold_id: hold.hold_id.clone(),
        moves: moves.iter().map(one).collect(),
    }
}

#[tokio::test]
async fn move_hold_holds_units_once_and_the_past_stays_right() {
    let mut shelf = network().await;
    shelf.receive("NEAR", &[("A", 5), ("B", 2)]).await;
    shelf.receive("MID", &[("A", 4)]).await;
    shelf.receive("FAR", &[("A", 1), ("B", 2)]).await;
    let asked = pb::HoldStockRequest {
        kind: pb::HoldKind::Soft.into(),
        ttl: Some(prost_types::Duration { seconds: 60, nanos: 0 }),
        ..wanted(&shelf, &[("A", 5), ("B", 2)])
    };
    let hold = shelf.held(asked.clone()).await;
    assert_eq!(held(&hold), [("A", "NEAR", 5), ("B", "NEAR", 2)]);
    let extend = pb::ExtendHoldRequest {
        request_id: shelf.id(),
        hold_id: hold.hold_id.clone(),
        ttl: Some(prost_types::Duration { seconds: 90, nanos: 0 }),
    };
    let extended = shelf.client.extend_hold(extend.clone()).await.unwrap().into_inner();

    let request = moving(&shelf, &hold, &[("A", "NEAR", "MID", 3), ("B", "NEAR", "FAR", 2), ("A", "NEAR", "FAR", 1)]);
    let moved = shelf.client.move_hold(request.clone()).await.unwrap().into_inner();
    let now = moved.hold.clone().unwrap();
    assert_eq!(held(&now), [("A", "NEAR", 1), ("B", "FAR", 2), ("A", "MID", 3), ("A", "FAR", 1)]);
    let terms = |hold: &pb::Hold| (hold.hold_id.clone(), hold.kind, hold.expire_time, hold.create_time);
    assert_eq!(terms(&now), terms(extended.hold.as_ref().unwrap()));
    for (sku, at, expected) in [("A", "NEAR", 1), ("A", "MID", 3), ("A", "FAR", 1), ("B", "NEAR", 0), ("B", "FAR", 2)] {
        assert_eq!(level(&mut shelf, sku, at).await.1, expected, "{sku} at {at}");
    }
    shelf.verify().await;

    // Whoever repeats a request gets what it was answered, whatever moved since.
    let back = moving(&shelf, &hold, &[("A", "MID", "NEAR", 1)]);
    shelf.client.move_hold(back).await.unwrap();
    assert_eq!(shelf.held(asked).await, hold);
    assert_eq!(shelf.client.extend_hold(extend).await.unwrap().into_inner(), extended);
    assert_eq!(shelf.client.move_hold(request.clone()).await.unwrap().into_inner(), moved);
    let other = pb::MoveHoldRequest { moves: moving(&shelf, &hold, &[("A", "FAR", "MID", 1)]).moves, ..request };
    assert_eq!(reason(&shelf.client.move_hold(other).await.unwrap_err()), "REQUEST_ID_REUSED");
    shelf.verify().await;

    let take = |location_id: &str, quantity| pb::CommitLine {
        sku: "A".to_owned(),
        location_id: location_id.to_owned(),
        quantity,
    };
    let commit = pb::CommitHoldRequest {
        request_id: shelf.id(),
        hold_id: hold.hold_id.clone(),
        lines: vec![take("NEAR", 2), take("MID", 2), take("FAR", 1)],
        effective_time: None,
    };
    shelf.client.commit_hold(commit).await.unwrap();
    let left = [
        level(&mut shelf, "A", "NEAR").await,
        level(&mut shelf, "A", "MID").await,
        level(&mut shelf, "B", "FAR").await,
    ];
    assert_eq!(left, [(3, 0), (2, 0), (2, 0)]);
    let late = moving(&shelf, &hold, &[("A", "NEAR", "MID", 1)]);
    assert_eq!(reason(&shelf.client.move_hold(late).await.unwrap_err()), "HOLD_RESOLVED");
    shelf.verify().await;
}

#[tokio::test]
async fn an_orders_moved_units_are_told_and_taken_wherever_they_are() {
    let mut shelf = network().await;
    shelf.receive("NEAR", &[("A", 5), ("B", 2)]).await;
    shelf.receive("MID", &[("A", 4), ("B", 2)]).await;
    let hold = shelf.held(wanted(&shelf, &[("A", 5), ("B", 2)])).await;
    let soft =
        shelf.held(pb::HoldStockRequest { kind: pb::HoldKind::Soft.into(), ..wanted(&shelf, &[("A", 1)]) }).await;
    for (hold, moves) in [
        (&hold, vec![("A", "NEAR", "MID", 2), ("B", "NEAR", "MID", 2)]),
        (&hold, vec![("B", "MID", "NEAR", 1)]),
        (&soft, vec![("A", "MID", "NEAR", 1)]),
    ] {
        shelf.client.move_hold(moving(&shelf, hold, &moves)).await.unwrap();
    }
    let told: Vec<pb::HoldMoved> = shelf.events(&hold.hold_id, "inventory.hold.moved.v1").await;
    let units = |told: &pb::HoldMoved| {
        let units = told.units.iter();
        units.map(|one| (one.sku.clone(), one.location_id.clone(), one.quantity)).collect::<Vec<_>>()
    };
    let at = |sku: &str, location: &str, quantity| (sku.to_owned(), location.to_owned(), quantity);
    assert_eq!(told.iter().map(|told| told.version).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(units(&told[0]), [at("A", "MID", 2), at("A", "NEAR", 3), at("B", "MID", 2)]);
    assert_eq!(units(&told[1]), [at("A", "MID", 2), at("A", "NEAR", 3), at("B", "MID", 1), at("B", "NEAR", 1)]);
    let of_cart: Vec<pb::HoldMoved> = shelf.events(&soft.hold_id, "inventory.hold.moved.v1").await;
    assert_eq!(of_cart, [], "a cart has nobody who waits for it");

    let take = |sku: &str, location_id: &str, quantity| pb::CommitLine {
        sku: sku.to_owned(),
        location_id: location_id.to_owned(),
        quantity,
    };
    let commit = |shelf: &Shelf, lines| pb::CommitHoldRequest {
        request_id: shelf.id(),
        hold_id: hold.hold_id.clone(),
        lines,
        effective_time: None,
    };
    for too_much in [vec![take("A", "", 6)], vec![take("A", "MID", 2), take("A", "", 4)], vec![take("A", "FAR", 1)]] {
        let status = shelf.client.commit_hold(commit(&shelf, too_much)).await.unwrap_err();
        assert_eq!(reason(&status), "COMMIT_EXCEEDS_HOLD");
    }
    // Named places first, the rest from wherever it is.
    let request = commit(&shelf, vec![take("A", "MID", 1), take("A", "", 3), take("B", "", 2)]);
    let committed = shelf.client.commit_hold(request).await.unwrap().into_inner().hold.unwrap();
    assert_eq!(committed.lines.iter().map(|line| line.committed).sum::<i64>(), 6);
    assert_eq!(level(&mut shelf, "A", "NEAR").await, (2, 1), "three left, and the cart's one is still held");
    assert_eq!(level(&mut shelf, "A", "MID").await, (3, 0));
    assert_eq!((level(&mut shelf, "B", "NEAR").await, level(&mut shelf, "B", "MID").await), ((1, 0), (1, 0)));
    shelf.verify().await;
}

#[tokio::test]
async fn a_move_that_cannot_be_made_whole_changes_nothing() {
    let mut shelf = network().await;
    shelf.receive("NEAR", &[("A", 5)]).await;
    shelf.receive("MID", &[("A", 2)]).await;
    let hold = shelf.held(wanted(&shelf, &[("A", 5)])).await;
    let before = shelf.rows().await;
    for (moves, why) in [
        (vec![("A", "NEAR", "MID", 2), ("A", "NEAR", "FAR", 1)], "INSUFFICIENT_STOCK"),
        (vec![("A", "NEAR", "MID", 3)], "INSUFFICIENT_STOCK"),
        (vec![("A", "NEAR", "MID", 1), ("A", "MID", "NEAR", 1)], "MOVE_EXCEEDS_HOLD"),
        (vec![("A", "NEAR", "MID", 6)], "MOVE_EXCEEDS_HOLD"),
        (vec![("A", "NEAR", "NOWHERE", 1)], "INSUFFICIENT_STOCK"),
    ] {
        let status = shelf.client.move_hold(moving(&shelf, &hold, &moves)).await.unwrap_err();
        assert_eq!((status.code(), reason(&status).as_str()), (Code::FailedPrecondition, why), "{moves:?}");
    }
    assert_eq!(shelf.rows().await, before);
    assert_eq!(level(&mut shelf, "A", "NEAR").await, (5, 5));
    assert_eq!(level(&mut shelf, "A", "MID").await, (2, 0));
    let other = shelf.held(wanted(&shelf, &[("A", 2)])).await;
    let swap = moving(&shelf, &other, &[("A", "MID", "NEAR", 2)]);
    assert_eq!(reason(&shelf.client.move_hold(swap).await.unwrap_err()), "INSUFFICIENT_STOCK");

    // A document's hold is the document's.
    sqlx::query("UPDATE inventory.holds SET fingerprint = decode(repeat('00', 32), 'hex') WHERE hold_id = $1::UUID")
        .bind(&hold.hold_id)
        .execute(shelf.db.pool())
        .await
        .unwrap();
    let owned = moving(&shelf, &hold, &[("A", "NEAR", "MID", 1)]);
    assert_eq!(reason(&shelf.client.move_hold(owned).await.unwrap_err()), "HOLD_OWNED");
    let unknown = pb::MoveHoldRequest { hold_id: shelf.id(), ..moving(&shelf, &hold, &[("A", "NEAR", "MID", 1)]) };
    assert_eq!(reason(&shelf.client.move_hold(unknown).await.unwrap_err()), "HOLD_NOT_FOUND");
    shelf.verify().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn moves_that_race_with_holds_neither_lose_nor_double_units() {
    let mut shelf = network().await;
    shelf.receive("NEAR", &[("R", 30)]).await;
    shelf.receive("MID", &[("R", 30)]).await;
    let mut holds = Vec::new();
    for _ in 0..10 {
        holds.push(shelf.held(wanted(&shelf, &[("R", 2)])).await);
    }
    let movers = holds.iter().map(|hold| {
        let there = moving(&shelf, hold, &[("R", "NEAR", "MID", 2)]);
        let back = moving(&shelf, hold, &[("R", "MID", "NEAR", 1)]);
        let mut client = shelf.client.clone();
        async move {
            let moved = client.move_hold(there).await.is_ok();
            if moved {
                let _ = client.move_hold(back).await;
            }
        }
    });
    let buyers = (0..40).map(|_| {
        let (mut client, request) = (shelf.client.clone(), wanted(&shelf, &[("R", 1)]));
        async move { client.hold_stock(request).await.is_ok() }
    });
    let (_, granted) = tokio::join!(join_all(movers), join_all(buyers));
    assert_eq!(granted.into_iter().filter(|granted| *granted).count(), 40, "sixty less the twenty that move");
    let (near, mid) = (level(&mut shelf, "R", "NEAR").await, level(&mut shelf, "R", "MID").await);
    assert_eq!((near, mid), ((30, 30), (30, 30)));
    shelf.verify().await;
}

#[tokio::test]
async fn simulate_sourcing_sources_past_orders_again_by_two_sets_of_rules() {
    let mut shelf = network().await;
    shelf.receive("NEAR", &[("A", 2)]).await;
    shelf.receive("FAR", &[("A", 40)]).await;
    for (at, parcel) in [("NEAR", 900), ("FAR", 200)] {
        let costs = pb::NodeCosts { location_id: at.to_owned(), parcel, ..Default::default() };
        let request = pb::SetNodeCostsRequest { request_id: shelf.id(), costs: Some(costs), expected_version: None };
        shelf.client.set_node_costs(request).await.unwrap();
    }
    set(&mut shelf, rules(vec![step("near", &[pb::SourcingCriterion::Distance])])).await;
    let start = shelf.clock.now().timestamp() - 1;
    for _ in 0..3 {
        let hold = shelf.held(wanted(&shelf, &[("A", 1)])).await;
        let release = pb::ReleaseHoldRequest { request_id: shelf.id(), hold_id: hold.hold_id };
        shelf.client.release_hold(release).await.unwrap();
    }
    let side = |version| Some(pb::SimulatedRules { rules: Some(pb::simulated_rules::Rules::Version(version)) });
    let cheap = pb::simulated_rules::Rules::Draft(rules(vec![step("cheap", &[pb::SourcingCriterion::Cost])]));
    let at = |seconds| Some(prost_types::Timestamp { seconds: start + seconds, nanos: 0 });
    let request = pb::SimulateSourcingRequest {
        channel_id: "WEB".to_owned(),
        first: side(1),
        second: Some(pb::SimulatedRules { rules: Some(cheap) }),
        orders: vec![],
        start_time: at(0),
        end_time: at(60),
    };
    let answer = shelf.client.simulate_sourcing(request.clone()).await.unwrap().into_inner();
    let (first, second) = (answer.first.unwrap(), answer.second.unwrap());
    assert_eq!((answer.orders, answer.truncated, first.sourced, second.sourced), (3, false, 3, 3));
    // By distance two come from NEAR, then it is empty; by cost all come from FAR.
    assert_eq!((first.cost, second.cost), (900 + 900 + 200, 600));
    assert!(first.distance_m < second.distance_m);
    let differing: Vec<i32> = answer.differences.iter().map(|one| one.order).collect();
    assert_eq!(differing, [0, 1]);
    let one = &answer.differences[0];
    assert_eq!(one.first.as_ref().unwrap().lines[0].location_id, "NEAR");
    assert_eq!(one.second.as_ref().unwrap().lines[0].location_id, "FAR");
    assert_eq!(level(&mut shelf, "A", "NEAR").await, (2, 0), "nothing is held");

    let given = pb::PastOrder {
        reference: "order 7".to_owned(),
        lines: vec![pb::OrderLine { sku: "A".to_owned(), quantity: 43, unit_value: 0 }],
        destination: london(),
        order_time: at(5),
        ..Default::default()
    };
    let given =
        pb::SimulateSourcingRequest { orders: vec![given], start_time: None, end_time: None, ..request.clone() };
    let answer = shelf.client.simulate_sourcing(given).await.unwrap().into_inner();
    let first = answer.first.unwrap();
    assert_eq!((first.stock_outs, first.unsourced, answer.differences.len()), (1, 1, 0));
    let unknown = pb::SimulateSourcingRequest { second: side(9), ..request };
    assert_eq!(reason(&shelf.client.simulate_sourcing(unknown).await.unwrap_err()), "SOURCING_RULES_NOT_FOUND");
}

#[tokio::test]
async fn a_cart_on_the_network_is_replaced_without_counting_twice() {
    let mut shelf = network().await;
    shelf.receive("NEAR", &[("A", 3)]).await;
    let cart = |shelf: &Shelf, quantity, replaces: &str| pb::HoldStockRequest {
        kind: pb::HoldKind::Soft.into(),
        shopper_id: "session-7".to_owned(),
        replaces_hold_id: replaces.to_owned(),
        ..wanted(shelf, &[("A", quantity)])
    };
    let first = shelf.held(cart(&shelf, 2, "")).await;
    let second = shelf.held(cart(&shelf, 3, &first.hold_id)).await;
    assert_eq!(held(&second), [("A", "NEAR", 3)]);
    assert_eq!(level(&mut shelf, "A", "NEAR").await, (3, 3));
    shelf.verify().await;
}

#[tokio::test]
async fn terms_and_lines_of_a_network_hold_must_fit() {
    let mut shelf = network().await;
    shelf.receive("NEAR", &[("A", 3)]).await;
    let before = shelf.rows().await;
    let good = wanted(&shelf, &[("A", 1)]);
    let terms = |terms: pb::NetworkTerms| pb::HoldStockRequest { network: Some(terms), ..good.clone() };
    let named = pb::HoldRequestLine { sku: "A".to_owned(), location_id: "NEAR".to_owned(), quantity: 1 };
    let many = vec![good.lines[0].clone(); 201];
    for (request, expected) in [
        (pb::HoldStockRequest { network: None, ..good.clone() }, vec!["lines[0].location_id"]),
        (pb::HoldStockRequest { channel_id: String::new(), ..good.clone() }, vec!["channel_id"]),
        (pb::HoldStockRequest { lines: vec![named.clone()], ..good.clone() }, vec!["network"]),
        (pb::HoldStockRequest { lines: many, ..good.clone() }, vec!["network"]),
        (terms(pb::NetworkTerms { fulfilment: 9, ..Default::default() }), vec!["network.fulfilment"]),
        (terms(pb::NetworkTerms { unit_values: vec![1, 2], ..Default::default() }), vec!["network.unit_values"]),
        (terms(pb::NetworkTerms { unit_values: vec![-1], ..Default::default() }), vec!["network.unit_values[0]"]),
    ] {
        assert_eq!(fields(&shelf.client.hold_stock(request).await.unwrap_err()), expected);
    }
    assert_eq!(shelf.rows().await, before);
    // Lines with and without a location in one hold: the named ones are taken first.
    let mixed = pb::HoldStockRequest { lines: vec![good.lines[0].clone(), named], ..good };
    let hold = shelf.held(mixed).await;
    assert_eq!(held(&hold), [("A", "NEAR", 1), ("A", "NEAR", 1)]);
    let too_many = pb::HoldStockRequest {
        lines: vec![
            pb::HoldRequestLine { sku: "A".to_owned(), location_id: "NEAR".to_owned(), quantity: 1 },
            pb::HoldRequestLine { sku: "A".to_owned(), location_id: String::new(), quantity: 1 },
        ],
        ..wanted(&shelf, &[("A", 1)])
    };
    assert_eq!(reason(&shelf.client.hold_stock(too_many).await.unwrap_err()), "CANNOT_SOURCE");
    shelf.verify().await;
}

#[tokio::test]
async fn verify_finds_days_and_moves_that_do_not_add_up() {
    let mut shelf = network().await;
    add(&mut shelf, "SMALL", 51_510_000, 0, Some(5)).await;
    register(&shelf, "WEB", &["SMALL", "NEAR"], 2).await;
    shelf.receive("SMALL", &[("A", 3)]).await;
    shelf.receive("NEAR", &[("A", 3)]).await;
    let hold = shelf.held(wanted(&shelf, &[("A", 2)])).await;
    shelf.client.move_hold(moving(&shelf, &hold, &[("A", "SMALL", "NEAR", 1)])).await.unwrap();
    shelf.verify().await;
    for (break_it, offender) in [
        ("UPDATE inventory.node_days SET taken = taken + 1", "SMALL on "),
        (
            "UPDATE inventory.holds SET sourcing = jsonb_set(sourcing, '{lines,0,requested}', '9')
              WHERE sourcing IS NOT NULL",
            "A of hold ",
        ),
        (
            "UPDATE inventory.hold_lines SET location_id = 'FAR'
              WHERE hold_id IN (SELECT move_id FROM inventory.hold_moves)",
            "line 0 of move ",
        ),
    ] {
        sqlx::query(break_it).execute(shelf.db.pool()).await.unwrap();
        let checks = verify::verify(shelf.db.pool()).await.unwrap();
        let mut found = checks.iter().filter(|check| check.id == "SRC").flat_map(|check| &check.offenders);
        assert!(found.any(|name| name.starts_with(offender)), "{offender}");
    }
    let beyond = sqlx::query("UPDATE inventory.node_days SET taken = 6").execute(shelf.db.pool()).await;
    assert!(beyond.is_err(), "no day is taken beyond its capacity");
}
