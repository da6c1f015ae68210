//! Kits: defined, shown, held and taken as their components, and announced with them.

use std::time::Duration;

use futures::future::join_all;
use oneshelf_inventory::verify;
use oneshelf_proto::inventory::v1 as pb;
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::{
    channel_changed::register,
    policies::{fence, set_fence, set_sku, set_stock, stock_policy},
    support::{Shelf, fields, reason, stock_lines},
};

pub fn kit(sku: &str, parts: &[(&str, i64)]) -> pb::Kit {
    pb::Kit {
        sku: sku.to_owned(),
        components: parts
            .iter()
            .map(|(sku, units)| pb::KitComponent { sku: (*sku).to_owned(), units: *units })
            .collect(),
        audit: None,
    }
}

pub fn set_kits(shelf: &Shelf, kits: Vec<pb::Kit>) -> pb::SetKitsRequest {
    pb::SetKitsRequest {
        request_id: shelf.id(),
        lines: kits.into_iter().map(|kit| pb::KitSetLine { kit: Some(kit), expected_version: 0 }).collect(),
    }
}

/// The shop's usual stock, with SET of two A and one B.
async fn shop() -> Shelf {
    let mut shelf = Shelf::stocked().await;
    let request = set_kits(&shelf, vec![kit("SET", &[("A", 2), ("B", 1)])]);
    shelf.client.set_kits(request).await.unwrap();
    shelf
}

fn commit(shelf: &Shelf, hold: &pb::Hold, lines: &[(&str, i64)]) -> pb::CommitHoldRequest {
    pb::CommitHoldRequest {
        request_id: shelf.id(),
        hold_id: hold.hold_id.clone(),
        lines: lines
            .iter()
            .map(|(sku, quantity)| pb::CommitLine {
                sku: (*sku).to_owned(),
                location_id: "WH".to_owned(),
                quantity: *quantity,
            })
            .collect(),
        effective_time: None,
    }
}

/// SKU, held, kit and units in one of it, line by line.
fn lines(hold: &pb::Hold) -> Vec<(&str, i64, Option<i32>, i64)> {
    hold.lines.iter().map(|line| (line.sku.as_str(), line.held, line.kit, line.units_per_kit)).collect()
}

async fn available(shelf: &mut Shelf, channel: &str, skus: &[&str]) -> Vec<i64> {
    shelf.clock.advance(Duration::from_secs(1));
    let request = pb::GetAvailabilityRequest {
        channel_id: channel.to_owned(),
        skus: skus.iter().map(|sku| (*sku).to_owned()).collect(),
        ..Default::default()
    };
    let answer = shelf.client.get_availability(request).await.unwrap().into_inner();
    answer.availabilities.iter().map(|one| one.available).collect()
}

#[tokio::test]
async fn set_kits_defines_by_versions_and_list_kits_reads_them() {
    let mut shelf = Shelf::stocked().await;
    let request = set_kits(&shelf, vec![kit("set", &[("b", 1), ("a", 2)]), kit("PAIR", &[("A", 2)])]);
    let answer = shelf.client.set_kits(request.clone()).await.unwrap().into_inner();
    let set = &answer.kits[0];
    assert_eq!((set.sku.as_str(), set.components.clone()), ("SET", kit("", &[("A", 2), ("B", 1)]).components));
    assert_eq!(set.audit.as_ref().unwrap().version, 1);
    assert_eq!(shelf.announced("SET@WH").await.available, 5);

    let other = pb::SetKitsRequest { lines: request.lines[..1].to_vec(), ..request.clone() };
    let other = shelf.client.set_kits(other).await.unwrap_err();
    assert_eq!((other.code(), reason(&other).as_str()), (Code::InvalidArgument, "REQUEST_ID_REUSED"));
    let mut newer = set_kits(&shelf, vec![kit("SET", &[("A", 3)])]);
    newer.lines[0].expected_version = 1;
    let newer = shelf.client.set_kits(newer).await.unwrap().into_inner().kits;
    assert_eq!(newer[0].audit.as_ref().unwrap().version, 2);
    assert_eq!(shelf.client.set_kits(request).await.unwrap().into_inner(), answer, "as it was answered");
    let same = shelf.client.set_kits(set_kits(&shelf, vec![kit("SET", &[("A", 3)])])).await.unwrap().into_inner().kits;
    assert_eq!(same, newer, "so already");
    let event = shelf.announced("SET@WH").await;
    assert_eq!((event.available, event.version, event.sellable), (3, 2, 0));

    let mut stale = set_kits(&shelf, vec![kit("PAIR", &[("A", 1)]), kit("SET", &[("A", 1)])]);
    stale.lines[1].expected_version = 1;
    let stale = shelf.client.set_kits(stale).await.unwrap_err();
    assert_eq!((stale.code(), reason(&stale).as_str()), (Code::Aborted, "VERSION_MISMATCH"));
    assert_eq!(stale.get_details_error_info().unwrap().metadata["line"], "1");
    let list = |sku: &str, component: &str, size, token: &str| pb::ListKitsRequest {
        sku: sku.to_owned(),
        component_sku: component.to_owned(),
        page_size: size,
        page_token: token.to_owned(),
    };
    let first = shelf.client.list_kits(list("", "A", 1, "")).await.unwrap().into_inner();
    assert_eq!((first.kits[0].sku.as_str(), first.next_page_token.as_str()), ("PAIR", "PAIR"));
    let next = shelf.client.list_kits(list("", "A", 5, &first.next_page_token)).await.unwrap().into_inner();
    assert_eq!((&next.kits, next.next_page_token.as_str()), (&newer, ""));
    assert_eq!(shelf.client.list_kits(list("", "B", 0, "")).await.unwrap().into_inner().kits, []);
    assert_eq!(shelf.client.list_kits(list("set", "", 0, "")).await.unwrap().into_inner().kits, newer);
    let bad = shelf.client.list_kits(list("a\tb", "a\tb", 0, "")).await.unwrap_err();
    assert_eq!(fields(&bad), ["sku", "component_sku"]);
    shelf.verify().await;
}

#[tokio::test]
async fn set_kits_refuses_kits_in_kits_and_skus_with_something_of_their_own() {
    let mut shelf = shop().await;
    let before = shelf.rows().await;
    let refused = async |shelf: &mut Shelf, sku: &str, parts: &[(&str, i64)]| {
        let request = set_kits(shelf, vec![kit(sku, parts)]);
        let status = shelf.client.set_kits(request).await.unwrap_err();
        assert_eq!(status.code(), Code::FailedPrecondition);
        let what = status.get_details_error_info().unwrap().metadata.get("what").cloned();
        (reason(&status), what.unwrap_or_default())
    };
    let in_kit = ("KIT_IN_KIT".to_owned(), String::new());
    assert_eq!(refused(&mut shelf, "BIG", &[("SET", 1), ("A", 1)]).await, in_kit);
    assert_eq!(refused(&mut shelf, "B", &[("C", 1)]).await, in_kit, "a component of SET");
    assert_eq!(refused(&mut shelf, "SELF", &[("SELF", 1)]).await, in_kit);
    assert_eq!(shelf.rows().await, before);

    shelf.receive("WH", &[("S", 1), ("D", 1), ("P", 1), ("F", 1)]).await;
    shelf
        .client
        .promise_stock(pb::PromiseStockRequest {
            request_id: shelf.id(),
            promise_date: "2031-01-10".to_owned(),
            lines: vec![pb::PromiseRequestLine { sku: "D".to_owned(), location_id: "WH".to_owned(), quantity: 1 }],
            ..Default::default()
        })
        .await
        .unwrap();
    let in_use = |what: &str| ("SKU_IN_USE".to_owned(), what.to_owned());
    assert_eq!(refused(&mut shelf, "S", &[("C", 1)]).await, in_use("stock"));
    let ordered = pb::CreatePurchaseOrderRequest {
        request_id: shelf.id(),
        supplier: "ACME".to_owned(),
        location_id: "WH".to_owned(),
        lines: vec![pb::ExpectedLine { sku: "O".to_owned(), quantity: 1, expected_date: "2031-01-10".to_owned() }],
        ..Default::default()
    };
    shelf.client.create_purchase_order(ordered).await.unwrap();
    assert_eq!(refused(&mut shelf, "O", &[("C", 1)]).await, in_use("open documents"));
    let policy = pb::StockPolicy { safety_stock: 1, ..stock_policy("P2", "WH") };
    shelf.client.set_stock_policies(set_stock(&shelf, vec![policy])).await.unwrap();
    shelf.client.set_ring_fences(set_fence(&shelf, fence("F2", "WEB", 2))).await.unwrap();
    let cap = pb::SkuPolicy { sku: "CAP".to_owned(), shopper_cap: Some(1), ..Default::default() };
    shelf.client.set_sku_policies(set_sku(&shelf, cap)).await.unwrap();
    for (sku, what) in [("P2", "policies"), ("F2", "policies"), ("CAP", "caps")] {
        assert_eq!(refused(&mut shelf, sku, &[("C", 1)]).await, in_use(what), "{sku}");
    }

    let many: Vec<(String, i64)> = (0..51).map(|number| (format!("P{number}"), 1)).collect();
    let many: Vec<(&str, i64)> = many.iter().map(|(sku, units)| (sku.as_str(), *units)).collect();
    let mut bad = set_kits(
        &shelf,
        vec![kit("", &[]), kit("N", &[("A", 0), ("", 1_000_001), ("a", 1)]), kit("n", &[("A", 1)]), kit("M", &many)],
    );
    bad.lines.push(pb::KitSetLine { kit: None, expected_version: -1 });
    let bad = shelf.client.set_kits(bad).await.unwrap_err();
    assert_eq!(
        fields(&bad),
        [
            "lines[0].kit.sku",
            "lines[0].kit.components",
            "lines[1].kit.components[0].units",
            "lines[1].kit.components[1].sku",
            "lines[1].kit.components[1].units",
            "lines[1].kit.components[2].sku",
            "lines[2].kit",
            "lines[3].kit.components",
            "lines[4].expected_version",
            "lines[4].kit",
        ]
    );
    let full: Vec<pb::Kit> = (0..5).map(|number| kit(&format!("K{number}"), &many[..41])).collect();
    assert_eq!(fields(&shelf.client.set_kits(set_kits(&shelf, full)).await.unwrap_err()), ["lines"]);
    let mut narrow = shelf.client_for(&["inventory:ListKits"], None).await;
    let denied = narrow.set_kits(set_kits(&shelf, vec![kit("N", &[("A", 1)])])).await.unwrap_err();
    assert_eq!((denied.code(), reason(&denied).as_str()), (Code::PermissionDenied, "SCOPE_MISSING"));
    shelf.verify().await;
}

#[tokio::test]
async fn a_kit_is_held_as_its_components_and_answered_the_same_whatever_it_becomes() {
    let mut shelf = shop().await;
    register(&shelf, "WEB", &["WH", "SHOP"], 1).await;
    assert_eq!(available(&mut shelf, "WEB", &["SET", "A", "B"]).await, [5, 10, 5]);
    let request = shelf.hold(&[("B", 1), ("set", 2)]);
    let hold = shelf.held(request.clone()).await;
    assert_eq!(lines(&hold), [("B", 1, None, 0), ("A", 4, Some(0), 2), ("B", 2, Some(0), 1)]);
    let held = hold.kits[0].clone();
    assert_eq!((held.sku.as_str(), held.location_id.as_str(), held.version), ("SET", "WH", 1));
    assert_eq!((held.requested, held.held, held.committed, held.available), (2, 2, 0, 2));
    assert_eq!(available(&mut shelf, "WEB", &["SET", "A", "B"]).await, [2, 6, 2]);
    assert_eq!(shelf.announced("SET@WH").await.available, 2);

    let short = shelf.client.hold_stock(shelf.hold(&[("SET", 3)])).await.unwrap_err();
    assert_eq!((short.code(), reason(&short).as_str()), (Code::FailedPrecondition, "INSUFFICIENT_STOCK"));
    let told = short.get_details_error_info().unwrap().metadata.clone();
    assert_eq!((told["sku"].as_str(), told["available"].as_str()), ("SET", "2"));
    let partial = pb::HoldStockRequest { allow_partial: true, ..shelf.hold(&[("SET", 3)]) };
    let partial = shelf.held(partial).await;
    assert_eq!((partial.kits[0].requested, partial.kits[0].held), (3, 2), "whole kits only");
    let release = pb::ReleaseHoldRequest { request_id: shelf.id(), hold_id: partial.hold_id };
    shelf.client.release_hold(release).await.unwrap();

    // The definition changes: a component goes, another comes, which the process has not heard of in a hold yet.
    shelf.receive("WH", &[("C", 3)]).await;
    shelf.client.set_kits(set_kits(&shelf, vec![kit("SET", &[("A", 1), ("C", 1)])])).await.unwrap();
    assert_eq!(shelf.held(request).await, hold, "as it was granted");
    let newer = shelf.held(shelf.hold(&[("SET", 3)])).await;
    assert_eq!(lines(&newer), [("A", 3, Some(0), 1), ("C", 3, Some(0), 1)]);
    assert_eq!(newer.kits[0].version, 2);
    let taken =
        shelf.client.commit_hold(commit(&shelf, &hold, &[("SET", 1)])).await.unwrap().into_inner().hold.unwrap();
    assert_eq!((taken.kits[0].held, taken.kits[0].committed), (2, 1), "by the definition that it was granted by");
    assert_eq!((shelf.level("A").await.0, shelf.level("B").await.0), (8, 4));
    let read = shelf.client.get_hold(pb::GetHoldRequest { hold_id: taken.hold_id.clone() }).await.unwrap().into_inner();
    assert_eq!(read.hold.unwrap(), taken);
    shelf.verify().await;
}

#[tokio::test]
async fn commit_hold_takes_kits_by_their_components_in_whole_kits_only() {
    let mut shelf = shop().await;
    let hold = shelf.held(shelf.hold(&[("SET", 3), ("A", 1)])).await;
    let broken = shelf.client.commit_hold(commit(&shelf, &hold, &[("A", 4), ("B", 1)])).await.unwrap_err();
    assert_eq!((broken.code(), reason(&broken).as_str()), (Code::FailedPrecondition, "KIT_BROKEN"));
    let many = shelf.client.commit_hold(commit(&shelf, &hold, &[("SET", 4)])).await.unwrap_err();
    assert_eq!(reason(&many), "COMMIT_EXCEEDS_HOLD");
    let request = commit(&shelf, &hold, &[("A", 3), ("B", 1)]);
    let taken = shelf.client.commit_hold(request).await.unwrap().into_inner().hold.unwrap();
    let committed: Vec<(&str, i64)> = taken.lines.iter().map(|line| (line.sku.as_str(), line.committed)).collect();
    assert_eq!(committed, [("A", 2), ("B", 1), ("A", 1)]);
    assert_eq!(taken.kits[0].committed, 1);
    assert_eq!((shelf.level("A").await, shelf.level("B").await), ((7, 0, 7), (4, 0, 4)));
    shelf.verify().await;
}

#[tokio::test]
async fn a_soft_hold_of_kits_expires_and_is_replaced_within_the_caps_of_components() {
    let mut shelf = shop().await;
    let cap = pb::SkuPolicy { sku: "A".to_owned(), shopper_cap: Some(5), ..Default::default() };
    shelf.client.set_sku_policies(set_sku(&shelf, cap)).await.unwrap();
    let cart = |shelf: &Shelf, kits| pb::HoldStockRequest {
        shopper_id: "ann".to_owned(),
        ..shelf.soft_hold(&[("SET", kits)], 60)
    };
    let first = shelf.held(cart(&shelf, 2)).await;
    let more = shelf.client.hold_stock(cart(&shelf, 1)).await.unwrap_err();
    assert_eq!(reason(&more), "HOLD_CAP_EXCEEDED");
    assert_eq!(more.get_details_error_info().unwrap().metadata["sku"], "A");
    let replacing = pb::HoldStockRequest { replaces_hold_id: first.hold_id, ..cart(&shelf, 1) };
    assert_eq!(shelf.held(replacing).await.kits[0].held, 1);
    assert_eq!(shelf.level("A").await, (10, 2, 8));
    shelf.verify().await;
    shelf.clock.advance(Duration::from_secs(60));
    assert_eq!(shelf.held(cart(&shelf, 2)).await.kits[0].held, 2, "what expired counts no more");
    shelf.verify().await;
}

#[tokio::test]
async fn explain_availability_names_the_component_that_limits_a_kit_and_adds_up() {
    let mut shelf = shop().await;
    shelf.receive("SHOP", &[("A", 9)]).await;
    register(&shelf, "WEB", &["WH", "SHOP"], 1).await;
    register(&shelf, "TILL", &["WH", "SHOP"], 1).await;
    let policy = pb::StockPolicy {
        safety_stock: 1,
        buffers: vec![pb::ChannelBuffer { channel_id: "WEB".to_owned(), units: 2 }],
        ..stock_policy("A", "WH")
    };
    shelf.client.set_stock_policies(set_stock(&shelf, vec![policy])).await.unwrap();
    shelf.client.set_ring_fences(set_fence(&shelf, fence("B", "TILL", 1))).await.unwrap();
    let low = pb::SkuPolicy { sku: "SET".to_owned(), network_threshold: 1, low_threshold: 2, ..Default::default() };
    shelf.client.set_sku_policies(set_sku(&shelf, low)).await.unwrap();
    let request =
        pb::ExplainAvailabilityRequest { channel_id: "WEB".to_owned(), sku: "SET".to_owned(), ..Default::default() };
    let told = shelf.client.explain_availability(request.clone()).await.unwrap().into_inner();
    let [shop, warehouse] = &told.locations[..] else { panic!("two locations: {told:?}") };
    assert_eq!((shop.available, shop.kit_parts[0].kits, shop.kit_parts[1].kits), (0, 4, 0));
    assert!(shop.kit_parts[1].limiting && !shop.kit_parts[0].limiting);
    let part = |place: usize| {
        let part = &warehouse.kit_parts[place];
        let figure = part.part.as_ref().unwrap();
        assert_eq!(
            figure.unfloored,
            figure.sellable
                - figure.hard_held
                - figure.soft_held
                - figure.safety_stock
                - figure.fences.iter().map(|fence| fence.left).sum::<i64>()
                - figure.buffer
                + figure.backorder_limit
        );
        (part.sku.as_str(), part.units, figure.available, part.kits, part.limiting)
    };
    assert_eq!((part(0), part(1)), (("A", 2, 7, 3, true), ("B", 1, 4, 4, false)));
    assert_eq!((warehouse.unfloored, warehouse.available, told.network_threshold, told.available), (3, 3, 1, 2));
    assert_eq!(told.band(), pb::AvailabilityBand::Low);
    assert_eq!(available(&mut shelf, "WEB", &["SET"]).await, [2]);
    assert_eq!(available(&mut shelf, "TILL", &["SET"]).await, [3]);
    let event = shelf.announced("SET@WH").await;
    let channels: Vec<(&str, i64)> =
        event.channel_availables.iter().map(|one| (one.channel_id.as_str(), one.available)).collect();
    assert_eq!((event.available, channels, event.network_threshold), (4, vec![("WEB", 3)], 1));
    assert_eq!(warehouse.version, event.version);
    let web = pb::HoldStockRequest { channel_id: "WEB".to_owned(), ..shelf.hold(&[("SET", 4)]) };
    let short = shelf.client.hold_stock(web).await.unwrap_err();
    assert_eq!(short.get_details_error_info().unwrap().metadata["available"], "3", "granted by the same figure");

    let excluded =
        pb::SkuPolicy { sku: "SET".to_owned(), excluded_channels: vec!["WEB".to_owned()], ..Default::default() };
    shelf.client.set_sku_policies(set_sku(&shelf, excluded)).await.unwrap();
    let told = shelf.client.explain_availability(request).await.unwrap().into_inner();
    assert_eq!((told.available, told.locations[1].block()), (0, pb::AvailabilityBlock::ExcludedFromChannel));
    let web = pb::HoldStockRequest { channel_id: "WEB".to_owned(), ..shelf.hold(&[("SET", 1)]) };
    assert_eq!(reason(&shelf.client.hold_stock(web).await.unwrap_err()), "INSUFFICIENT_STOCK");
    let off = pb::DeactivateLocationRequest { request_id: shelf.id(), location_id: "WH".to_owned() };
    shelf.client.deactivate_location(off).await.unwrap();
    assert_eq!(shelf.announced("SET@WH").await.available, 0);
    shelf.verify().await;
}

#[tokio::test]
async fn only_customers_bring_or_take_a_kit_and_nothing_else_is_booked_on_it() {
    let mut shelf = shop().await;
    let sold = pb::RecordSoldStockRequest {
        request_id: shelf.id(),
        location_id: "WH".to_owned(),
        lines: stock_lines(&[("SET", 2), ("B", 1)]),
        ..Default::default()
    };
    let levels = shelf.client.record_sold_stock(sold).await.unwrap().into_inner().levels;
    let left: Vec<(&str, i64)> = levels.iter().map(|level| (level.sku.as_str(), level.sellable)).collect();
    assert_eq!(left, [("A", 6), ("B", 2)]);
    let back = pb::ReturnStockRequest {
        request_id: shelf.id(),
        location_id: "SHOP".to_owned(),
        lines: stock_lines(&[("SET", 1)]),
        ..Default::default()
    };
    shelf.client.return_stock(back).await.unwrap();
    assert_eq!((shelf.announced("SET@WH").await.available, shelf.announced("SET@SHOP").await.available), (2, 1));

    let before = shelf.rows().await;
    let refused = |outcome: Result<(), tonic::Status>| {
        let status = outcome.unwrap_err();
        assert_eq!((status.code(), reason(&status).as_str()), (Code::FailedPrecondition, "SKU_IS_KIT"));
    };
    let receipt = shelf.receipt("WH", &[("SET", 1)]);
    refused(shelf.client.receive_stock(receipt).await.map(drop));
    let adjust = pb::AdjustStockRequest {
        request_id: shelf.id(),
        location_id: "WH".to_owned(),
        lines: vec![pb::AdjustmentLine { sku: "SET".to_owned(), delta: 1, ..Default::default() }],
        reason: pb::AdjustmentReason::Found.into(),
        ..Default::default()
    };
    refused(shelf.client.adjust_stock(adjust).await.map(drop));
    let units = vec![pb::TransferQuantity { sku: "SET".to_owned(), quantity: 1 }];
    let transfer = pb::CreateTransferRequest {
        request_id: shelf.id(),
        source_location_id: "WH".to_owned(),
        destination_location_id: "SHOP".to_owned(),
        lines: units,
        ..Default::default()
    };
    refused(shelf.client.create_transfer(transfer).await.map(drop));
    let count = pb::StartCountRequest {
        request_id: shelf.id(),
        location_id: "WH".to_owned(),
        kind: pb::CountKind::Cycle.into(),
        skus: vec!["SET".to_owned()],
        ..Default::default()
    };
    refused(shelf.client.start_count(count).await.map(drop));
    let order = pb::CreatePurchaseOrderRequest {
        request_id: shelf.id(),
        supplier: "ACME".to_owned(),
        location_id: "WH".to_owned(),
        lines: vec![pb::ExpectedLine { sku: "SET".to_owned(), quantity: 1, expected_date: "2031-01-10".to_owned() }],
        ..Default::default()
    };
    refused(shelf.client.create_purchase_order(order).await.map(drop));
    let promise = pb::PromiseStockRequest {
        request_id: shelf.id(),
        promise_date: "2031-01-10".to_owned(),
        lines: vec![pb::PromiseRequestLine { sku: "SET".to_owned(), location_id: "WH".to_owned(), quantity: 1 }],
        ..Default::default()
    };
    refused(shelf.client.promise_stock(promise).await.map(drop));
    let policy = pb::StockPolicy { safety_stock: 1, ..stock_policy("SET", "WH") };
    refused(shelf.client.set_stock_policies(set_stock(&shelf, vec![policy])).await.map(drop));
    refused(shelf.client.set_ring_fences(set_fence(&shelf, fence("SET", "WEB", 1))).await.map(drop));
    let cap = pb::SkuPolicy { sku: "SET".to_owned(), channel_cap: Some(1), ..Default::default() };
    refused(shelf.client.set_sku_policies(set_sku(&shelf, cap)).await.map(drop));
    let row =
        pb::SetStockRow { sku: "SET".to_owned(), location_id: "WH".to_owned(), quantity: 1, ..Default::default() };
    let bulk = pb::SetStockRequest { request_id: shelf.id(), rows: vec![row], ..Default::default() };
    let result = shelf.client.set_stock(pb::SetStockRequest { dry_run: true, ..bulk.clone() }).await.unwrap();
    assert_eq!(result.into_inner().results[0].refusal(), pb::RowRefusal::SkuIsKit);
    let result = shelf.client.set_stock(bulk).await.unwrap().into_inner().results;
    assert_eq!(result[0].refusal(), pb::RowRefusal::SkuIsKit);
    // The empty level of the kit, and the answer to the bulk change.
    assert!(shelf.rows().await - before <= 3);
    // The tables would refuse it, too.
    for tampering in [
        "UPDATE inventory.stock_levels SET sellable = 1 WHERE sku = 'SET'",
        "UPDATE inventory.stock_levels SET hard_held = 1 WHERE sku = 'SET'",
    ] {
        let refused = sqlx::query(tampering).execute(shelf.db.pool()).await.unwrap_err();
        assert!(refused.to_string().contains("stock_levels_kit_check"), "{refused}");
    }
    shelf.verify().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kits_and_their_components_held_at_once_sell_exactly_what_there_is() {
    let mut shelf = Shelf::open().await;
    shelf.receive("WH", &[("A", 60), ("M", 60), ("Z", 60)]).await;
    // One kit sorts before its components, one between, one after.
    let kits =
        vec![kit("AA", &[("A", 1), ("Z", 1)]), kit("N", &[("A", 1), ("M", 1)]), kit("ZZ", &[("M", 1), ("Z", 1)])];
    shelf.client.set_kits(set_kits(&shelf, kits)).await.unwrap();
    let buyers = (0..150).map(|number| {
        let what: &[(&str, i64)] = match number % 5 {
            0 => &[("AA", 1), ("M", 1)],
            1 => &[("ZZ", 1)],
            2 => &[("Z", 1), ("N", 1)],
            3 => &[("M", 1), ("A", 1)],
            _ => &[("N", 1), ("ZZ", 1)],
        };
        let (mut client, request) = (shelf.client.clone(), shelf.hold(what));
        async move { client.hold_stock(request).await }
    });
    let outcomes = join_all(buyers).await;
    for refused in outcomes.iter().filter_map(|outcome| outcome.as_ref().err()) {
        assert_eq!(reason(refused), "INSUFFICIENT_STOCK", "{refused:?}");
    }
    let mut held = 0;
    for sku in ["A", "M", "Z"] {
        let (sellable, promised, _) = shelf.level(sku).await;
        assert!(promised <= sellable, "{sku}");
        held += promised;
    }
    let lines = outcomes.into_iter().flatten().flat_map(|answer| answer.into_inner().hold.unwrap().lines);
    assert_eq!(held, lines.map(|line| line.held).sum::<i64>());
    shelf.verify().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kits_defined_anew_while_they_are_sold_are_told_right_in_the_end() {
    let mut shelf = shop().await;
    shelf.receive("WH", &[("A", 200), ("B", 200), ("C", 200)]).await;
    for round in 0..6 {
        let parts: &[(&str, i64)] = if round % 2 == 0 { &[("B", 2), ("C", 1)] } else { &[("A", 1), ("C", 2)] };
        let buyers = (0..12).map(|number| {
            let what = if number % 3 == 0 { ("C", 1) } else { ("SET", 1) };
            let (mut client, request) = (shelf.client.clone(), shelf.hold(&[what]));
            async move { client.hold_stock(request).await }
        });
        let (mut client, request) = (shelf.client.clone(), set_kits(&shelf, vec![kit("SET", parts)]));
        let (outcomes, set) = tokio::join!(join_all(buyers), client.set_kits(request));
        set.unwrap();
        assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    }
    shelf.verify().await;
}

#[tokio::test]
async fn verify_sees_kits_held_in_part_told_wrong_and_with_stock_of_their_own() {
    let mut shelf = shop().await;
    shelf.held(shelf.hold(&[("SET", 2)])).await;
    shelf.verify().await;
    for tampering in [
        "UPDATE inventory.hold_lines SET held = 0 WHERE sku = 'B'",
        "UPDATE inventory.stock_levels SET hard_held = 0 WHERE sku = 'B'",
        "UPDATE inventory.kit_levels SET available = available - 1",
        "UPDATE inventory.stock_levels SET has_rules = FALSE WHERE sku = 'A'",
    ] {
        sqlx::query(tampering).execute(shelf.db.pool()).await.unwrap();
    }
    let checks = verify::verify(shelf.db.pool()).await.unwrap();
    let broken: Vec<(&str, i64)> = checks
        .iter()
        .filter(|check| check.id == "Q8" && check.violations > 0)
        .map(|check| (check.id, check.violations))
        .collect();
    assert_eq!(broken, [("Q8", 1), ("Q8", 1), ("Q8", 1)]);
}
