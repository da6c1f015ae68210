//! Tracked goods: brought, held, sold and found again by lot and serial number.

use std::time::Duration;

use futures::future::join_all;
use oneshelf_inventory::verify;
use oneshelf_proto::inventory::v1 as pb;
use oneshelf_testkit::wait_for;
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::{
    channel_changed::register,
    kits::{kit, set_kits},
    policies::{set_stock, stock_policy},
    support::{Shelf, fields, reason},
};

/// A day so many days from now.
pub fn day(shelf: &Shelf, from_now: i64) -> String {
    (shelf.clock.now().date_naive() + chrono::TimeDelta::days(from_now)).to_string()
}

pub fn set_tracking(shelf: &Shelf, sku: &str, kind: pb::TrackingKind, days: i64) -> pb::SetTrackingRequest {
    let tracking = pb::Tracking { sku: sku.to_owned(), kind: kind.into(), minimum_shelf_life_days: days, audit: None };
    pb::SetTrackingRequest {
        request_id: shelf.id(),
        lines: vec![pb::TrackingLine { tracking: Some(tracking), expected_version: 0 }],
    }
}

pub fn lot(lot: &str, quantity: i64, expiry_date: &str) -> pb::LotUnits {
    pb::LotUnits { lot: lot.to_owned(), quantity, expiry_date: expiry_date.to_owned() }
}

pub fn line(sku: &str, lots: Vec<pb::LotUnits>) -> pb::StockLine {
    pb::StockLine { sku: sku.to_owned(), quantity: lots.iter().map(|lot| lot.quantity).sum(), lots }
}

pub fn serials(numbers: &[&str]) -> Vec<pb::LotUnits> {
    numbers.iter().map(|number| lot(number, 1, "")).collect()
}

pub fn receipt(shelf: &Shelf, location_id: &str, lines: Vec<pb::StockLine>) -> pb::ReceiveStockRequest {
    pb::ReceiveStockRequest { lines, ..shelf.receipt(location_id, &[]) }
}

/// MILK in two lots, to be sold two days before its last; PHONE by serial number.
pub async fn dairy() -> Shelf {
    let mut shelf = Shelf::stocked().await;
    for request in [
        set_tracking(&shelf, "MILK", pb::TrackingKind::Lot, 2),
        set_tracking(&shelf, "PHONE", pb::TrackingKind::Serial, 0),
    ] {
        shelf.client.set_tracking(request).await.unwrap();
    }
    let milk = vec![lot("LATE", 4, &day(&shelf, 9)), lot("SOON", 3, &day(&shelf, 3))];
    let request = receipt(&shelf, "WH", vec![line("MILK", milk), line("PHONE", serials(&["S1", "S2", "S3"]))]);
    shelf.client.receive_stock(request).await.unwrap();
    shelf
}

/// Lot, bucket, there and held, of a SKU.
async fn lots(shelf: &mut Shelf, sku: &str) -> Vec<(String, i64, i64)> {
    let request = pb::ListLotsRequest { sku: sku.to_owned(), ..Default::default() };
    let lots = shelf.client.list_lots(request).await.unwrap().into_inner().lots;
    lots.into_iter().map(|lot| (lot.lot, lot.quantity, lot.held)).collect()
}

fn given(hold: &pb::Hold) -> Vec<(&str, i64)> {
    hold.lines.iter().flat_map(|line| &line.lots).map(|lot| (lot.lot.as_str(), lot.quantity)).collect()
}

async fn serial(shelf: &mut Shelf, number: &str) -> pb::GetSerialResponse {
    let request = pb::GetSerialRequest { sku: "PHONE".to_owned(), serial: number.to_owned() };
    shelf.client.get_serial(request).await.unwrap().into_inner()
}

fn all_of(shelf: &Shelf, hold: &pb::Hold) -> pb::CommitHoldRequest {
    pb::CommitHoldRequest { request_id: shelf.id(), hold_id: hold.hold_id.clone(), ..Default::default() }
}

#[tokio::test]
async fn set_tracking_fixes_the_kind_while_there_is_stock_and_list_tracking_reads_it() {
    let mut shelf = Shelf::stocked().await;
    let request = set_tracking(&shelf, "milk", pb::TrackingKind::Lot, 5);
    let answer = shelf.client.set_tracking(request.clone()).await.unwrap().into_inner();
    let set = answer.trackings[0].clone();
    assert_eq!((set.sku.as_str(), set.kind(), set.minimum_shelf_life_days), ("MILK", pb::TrackingKind::Lot, 5));
    let milk = receipt(&shelf, "WH", vec![line("MILK", vec![lot("L", 4, "")])]);
    shelf.client.receive_stock(milk).await.unwrap();
    for (sku, kind) in
        [("MILK", pb::TrackingKind::None), ("MILK", pb::TrackingKind::Serial), ("A", pb::TrackingKind::Lot)]
    {
        let request = set_tracking(&shelf, sku, kind, 0);
        let refused = shelf.client.set_tracking(request).await.unwrap_err();
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "SKU_IN_USE"));
        assert_eq!(refused.get_details_error_info().unwrap().metadata["what"], "stock");
    }
    let mut longer = set_tracking(&shelf, "MILK", pb::TrackingKind::Lot, 6);
    longer.lines[0].expected_version = 1;
    let longer = shelf.client.set_tracking(longer).await.unwrap().into_inner().trackings;
    assert_eq!(longer[0].audit.as_ref().unwrap().version, 2);
    assert_eq!(shelf.client.set_tracking(request.clone()).await.unwrap().into_inner(), answer, "as it was answered");
    let mut stale = set_tracking(&shelf, "MILK", pb::TrackingKind::Lot, 7);
    stale.lines[0].expected_version = 1;
    let stale = shelf.client.set_tracking(stale).await.unwrap_err();
    assert_eq!((stale.code(), reason(&stale).as_str()), (Code::Aborted, "VERSION_MISMATCH"));
    let list = pb::ListTrackingRequest { page_size: 1, ..Default::default() };
    let listed = shelf.client.list_tracking(list).await.unwrap().into_inner();
    assert_eq!((listed.trackings, listed.next_page_token.as_str()), (longer, "MILK"));

    shelf.client.set_kits(set_kits(&shelf, vec![kit("SET", &[("A", 1)])])).await.unwrap();
    let kit_tracked = set_tracking(&shelf, "SET", pb::TrackingKind::Lot, 0);
    assert_eq!(reason(&shelf.client.set_tracking(kit_tracked).await.unwrap_err()), "SKU_IS_KIT");
    let tracked_kit = set_kits(&shelf, vec![kit("MILK2", &[("A", 1)])]);
    shelf.client.set_tracking(set_tracking(&shelf, "MILK2", pb::TrackingKind::Lot, 0)).await.unwrap();
    assert_eq!(reason(&shelf.client.set_kits(tracked_kit).await.unwrap_err()), "SKU_IN_USE");
    let mut bad = set_tracking(&shelf, "", pb::TrackingKind::Unspecified, 3_661);
    bad.lines.push(pb::TrackingLine { tracking: None, expected_version: -1 });
    assert_eq!(
        fields(&shelf.client.set_tracking(bad).await.unwrap_err()),
        [
            "lines[0].tracking.sku",
            "lines[0].tracking.kind",
            "lines[0].tracking.minimum_shelf_life_days",
            "lines[1].expected_version",
            "lines[1].tracking",
        ]
    );
    shelf.verify().await;
}

#[tokio::test]
async fn list_lots_shows_that_holds_are_given_what_goes_off_first_and_nothing_past_its_day() {
    let mut shelf = dairy().await;
    register(&shelf, "WEB", &["WH"], 1).await;
    let request = shelf.hold(&[("MILK", 4)]);
    let hold = shelf.held(request.clone()).await;
    assert_eq!(given(&hold), [("SOON", 3), ("LATE", 1)]);
    assert_eq!(shelf.held(request).await, hold, "repeated");
    let short = shelf.client.hold_stock(shelf.hold(&[("MILK", 4)])).await.unwrap_err();
    assert_eq!(short.get_details_error_info().unwrap().metadata["available"], "3");
    let some = pb::CommitHoldRequest {
        lines: vec![pb::CommitLine { sku: "MILK".to_owned(), location_id: "WH".to_owned(), quantity: 2 }],
        ..all_of(&shelf, &hold)
    };
    shelf.client.commit_hold(some).await.unwrap();
    assert_eq!(lots(&mut shelf, "MILK").await, [("LATE".to_owned(), 4, 0), ("SOON".to_owned(), 1, 0)]);
    shelf.verify().await;

    // In two days, what is left of SOON is good for one day only: it is there, and not promised.
    shelf.clock.advance(Duration::from_secs(2 * 86_400));
    wait_for("the day to be announced", Duration::from_secs(10), async || {
        (shelf.announced("MILK@WH").await.available == 4).then_some(())
    })
    .await;
    let ask =
        pb::ExplainAvailabilityRequest { channel_id: "WEB".to_owned(), sku: "MILK".to_owned(), ..Default::default() };
    let told = shelf.client.explain_availability(ask).await.unwrap().into_inner();
    let place = &told.locations[0];
    assert_eq!((place.sellable, place.short_dated, place.unfloored, told.available), (5, 1, 4, 4));
    let web = pb::GetAvailabilityRequest {
        channel_id: "WEB".to_owned(),
        skus: vec!["MILK".to_owned()],
        ..Default::default()
    };
    assert_eq!(shelf.client.get_availability(web).await.unwrap().into_inner().availabilities[0].available, 4);
    assert_eq!(given(&shelf.held(shelf.hold(&[("MILK", 4)])).await), [("LATE", 4)]);
    let entries = pb::ListMovementsRequest { sku: "MILK".to_owned(), ..Default::default() };
    let entries = shelf.client.list_movements(entries).await.unwrap().into_inner().movements;
    let named: Vec<(&str, i64)> = entries.iter().map(|entry| (entry.lot.as_str(), entry.quantity)).collect();
    assert_eq!(named, [("SOON", 2), ("SOON", 3), ("LATE", 4)]);
    shelf.verify().await;
}

#[tokio::test]
async fn a_soft_hold_that_expired_gives_its_lots_back_whether_or_not_that_is_recorded() {
    let mut shelf = dairy().await;
    register(&shelf, "WEB", &["WH"], 1).await;
    shelf.held(shelf.soft_hold(&[("MILK", 7)], 60)).await;
    shelf.clock.advance(Duration::from_secs(2 * 86_400));
    let ask =
        pb::ExplainAvailabilityRequest { channel_id: "WEB".to_owned(), sku: "MILK".to_owned(), ..Default::default() };
    let told = shelf.client.explain_availability(ask).await.unwrap().into_inner();
    assert_eq!((told.locations[0].soft_held, told.locations[0].short_dated, told.available), (0, 3, 4));
    assert_eq!(given(&shelf.held(shelf.hold(&[("MILK", 4)])).await), [("LATE", 4)]);
    shelf.verify().await;
}

#[tokio::test]
async fn get_serial_and_list_serials_know_where_a_unit_is_and_how_it_came_there() {
    let mut shelf = dairy().await;
    let hold = shelf.held(shelf.hold(&[("PHONE", 2)])).await;
    assert_eq!(given(&hold), [("S1", 1), ("S2", 1)]);
    let held = serial(&mut shelf, "S1").await.serial.unwrap();
    assert_eq!((held.location_id.as_str(), held.held, held.hold_id), ("WH", true, hold.hold_id.clone()));
    let list = pb::ListSerialsRequest {
        sku: "PHONE".to_owned(),
        location_id: "WH".to_owned(),
        page_size: 2,
        ..Default::default()
    };
    let first = shelf.client.list_serials(list.clone()).await.unwrap().into_inner();
    let next = pb::ListSerialsRequest { page_token: first.next_page_token.clone(), ..list };
    let next = shelf.client.list_serials(next).await.unwrap().into_inner();
    let told: Vec<(&str, bool)> =
        first.serials.iter().chain(&next.serials).map(|one| (one.serial.as_str(), one.held)).collect();
    assert_eq!((told, next.next_page_token.as_str()), (vec![("S1", true), ("S2", true), ("S3", false)], ""));
    shelf.client.commit_hold(all_of(&shelf, &hold)).await.unwrap();
    let sold = serial(&mut shelf, "S1").await;
    assert_eq!(sold.serial.as_ref().unwrap().location_id, "");
    let back = pb::ReturnStockRequest {
        request_id: shelf.id(),
        location_id: "SHOP".to_owned(),
        lines: vec![line("PHONE", serials(&["S1"]))],
        bucket: pb::StockBucket::Quarantine.into(),
        ..Default::default()
    };
    shelf.client.return_stock(back).await.unwrap();
    let came = serial(&mut shelf, "S1").await;
    let place = came.serial.unwrap();
    assert_eq!((place.location_id.as_str(), place.bucket(), place.held), ("SHOP", pb::StockBucket::Quarantine, false));
    let way: Vec<(&str, &str)> =
        came.movements.iter().map(|entry| (entry.source.as_str(), entry.target.as_str())).collect();
    assert_eq!(way, [("customer", "SHOP/quarantine"), ("WH/sellable", "customer"), ("supplier", "WH/sellable")]);
    for number in ["S3", "S1"] {
        let again = receipt(&shelf, "WH", vec![line("PHONE", serials(&[number]))]);
        let again = shelf.client.receive_stock(again).await.unwrap_err();
        assert_eq!((again.code(), reason(&again).as_str()), (Code::FailedPrecondition, "SERIAL_ON_HAND"));
    }
    let unknown = pb::GetSerialRequest { sku: "PHONE".to_owned(), serial: "S9".to_owned() };
    let unknown = shelf.client.get_serial(unknown).await.unwrap_err();
    assert_eq!((unknown.code(), reason(&unknown).as_str()), (Code::NotFound, "SERIAL_NOT_FOUND"));
    shelf.verify().await;
}

#[tokio::test]
async fn what_comes_and_goes_of_tracked_goods_is_named() {
    let mut shelf = dairy().await;
    let before = shelf.rows().await;
    let receive = async |shelf: &mut Shelf, lines| {
        let request = receipt(shelf, "WH", lines);
        shelf.client.receive_stock(request).await.unwrap_err()
    };
    let nameless = pb::StockLine { sku: "MILK".to_owned(), quantity: 2, lots: vec![] };
    let status = receive(&mut shelf, vec![line("MILK", vec![lot("X", 1, "")]), nameless]).await;
    assert_eq!((status.code(), reason(&status).as_str()), (Code::FailedPrecondition, "TRACKING_MISMATCH"));
    let told = status.get_details_error_info().unwrap().metadata.clone();
    assert_eq!((told["line"].as_str(), told["tracking"].as_str()), ("1", "lot"));
    for lines in [vec![line("A", vec![lot("X", 1, "")])], vec![line("PHONE", vec![lot("S9", 2, "")])]] {
        assert_eq!(reason(&receive(&mut shelf, lines).await), "TRACKING_MISMATCH");
    }
    let other_day = vec![line("MILK", vec![lot("SOON", 1, &day(&shelf, 4))])];
    let status = receive(&mut shelf, other_day).await;
    assert_eq!(reason(&status), "LOT_EXPIRY_DIFFERS");
    assert_eq!(status.get_details_error_info().unwrap().metadata["expiry_date"], day(&shelf, 3));
    let mut bad = receipt(&shelf, "WH", vec![line("MILK", vec![lot("a b", 0, "2026-02-30"), lot("L", 1, "")])]);
    bad.lines.push(pb::StockLine { sku: "MILK".to_owned(), quantity: 3, lots: vec![lot("L", 2, "")] });
    assert_eq!(
        fields(&shelf.client.receive_stock(bad).await.unwrap_err()),
        ["lines[0].lots[0].lot", "lines[0].lots[0].quantity", "lines[0].lots[0].expiry_date", "lines[1].lots"]
    );
    assert_eq!(shelf.rows().await, before);

    let adjust = |shelf: &Shelf, delta, lots| pb::AdjustStockRequest {
        request_id: shelf.id(),
        location_id: "WH".to_owned(),
        lines: vec![pb::AdjustmentLine { sku: "MILK".to_owned(), delta, bucket: 0, lots }],
        reason: pb::AdjustmentReason::Lost.into(),
        ..Default::default()
    };
    let many = adjust(&shelf, -4, vec![lot("SOON", 4, "")]);
    let many = shelf.client.adjust_stock(many).await.unwrap_err();
    assert_eq!((many.code(), reason(&many).as_str()), (Code::FailedPrecondition, "LOT_NOT_FREE"));
    shelf.client.adjust_stock(adjust(&shelf, -1, vec![lot("SOON", 1, "")])).await.unwrap();
    let sold = pb::RecordSoldStockRequest {
        request_id: shelf.id(),
        location_id: "WH".to_owned(),
        lines: vec![line("MILK", vec![lot("LATE", 1, ""), lot("SOON", 1, "")])],
        ..Default::default()
    };
    shelf.client.record_sold_stock(sold).await.unwrap();
    assert_eq!(lots(&mut shelf, "MILK").await, [("LATE".to_owned(), 3, 0), ("SOON".to_owned(), 1, 0)]);
    shelf.verify().await;
}

#[tokio::test]
async fn roads_that_cannot_name_lots_refuse_tracked_skus() {
    let mut shelf = dairy().await;
    let refused = |outcome: Result<(), tonic::Status>| {
        let status = outcome.unwrap_err();
        assert_eq!((status.code(), reason(&status).as_str()), (Code::FailedPrecondition, "SKU_TRACKED"));
    };
    let count = pb::StartCountRequest {
        request_id: shelf.id(),
        location_id: "WH".to_owned(),
        kind: pb::CountKind::Cycle.into(),
        skus: vec!["MILK".to_owned()],
        ..Default::default()
    };
    let full = pb::StartCountRequest {
        request_id: shelf.id(),
        kind: pb::CountKind::Full.into(),
        skus: vec![],
        ..count.clone()
    };
    refused(shelf.client.start_count(count).await.map(drop));
    let full = shelf.client.start_count(full).await.unwrap().into_inner().count.unwrap();
    assert_eq!(full.lines.iter().map(|line| line.sku.as_str()).collect::<Vec<_>>(), ["A", "B"]);
    let promise = pb::PromiseStockRequest {
        request_id: shelf.id(),
        promise_date: "2031-01-10".to_owned(),
        lines: vec![pb::PromiseRequestLine { sku: "MILK".to_owned(), location_id: "WH".to_owned(), quantity: 1 }],
        ..Default::default()
    };
    refused(shelf.client.promise_stock(promise).await.map(drop));
    let policy = pb::StockPolicy { backorder_limit: 1, ..stock_policy("MILK", "WH") };
    refused(shelf.client.set_stock_policies(set_stock(&shelf, vec![policy])).await.map(drop));
    let row =
        pb::SetStockRow { sku: "MILK".to_owned(), location_id: "WH".to_owned(), quantity: 1, ..Default::default() };
    let bulk = pb::SetStockRequest { request_id: shelf.id(), rows: vec![row], ..Default::default() };
    let result = shelf.client.set_stock(bulk).await.unwrap().into_inner().results;
    assert_eq!(result[0].refusal(), pb::RowRefusal::SkuTracked);
    // Nor does a level of a tracked SKU get repaired behind its lots' back.
    sqlx::query("UPDATE inventory.stock_levels SET sellable = 99 WHERE sku = 'MILK' AND location_id = 'WH'")
        .execute(shelf.db.pool())
        .await
        .unwrap();
    let repair = pb::RepairLevelRequest {
        request_id: shelf.id(),
        sku: "MILK".to_owned(),
        location_id: "WH".to_owned(),
        reason: "found".to_owned(),
    };
    refused(shelf.client.repair_level(repair).await.map(drop));
    sqlx::query("UPDATE inventory.stock_levels SET sellable = 7 WHERE sku = 'MILK' AND location_id = 'WH'")
        .execute(shelf.db.pool())
        .await
        .unwrap();
    shelf.verify().await;
}

#[tokio::test]
async fn a_kit_of_tracked_goods_is_given_lots_of_each() {
    let mut shelf = dairy().await;
    shelf.client.set_kits(set_kits(&shelf, vec![kit("PICNIC", &[("MILK", 2), ("PHONE", 1)])])).await.unwrap();
    assert_eq!(shelf.announced("PICNIC@WH").await.available, 3);
    let hold = shelf.held(shelf.hold(&[("PICNIC", 2)])).await;
    assert_eq!(given(&hold), [("SOON", 3), ("LATE", 1), ("S1", 1), ("S2", 1)]);
    shelf.client.commit_hold(all_of(&shelf, &hold)).await.unwrap();
    let sold = pb::RecordSoldStockRequest {
        request_id: shelf.id(),
        location_id: "WH".to_owned(),
        lines: vec![pb::StockLine { sku: "PICNIC".to_owned(), quantity: 1, lots: vec![] }],
        ..Default::default()
    };
    assert_eq!(reason(&shelf.client.record_sold_stock(sold).await.unwrap_err()), "TRACKING_MISMATCH");
    shelf.verify().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_serial_number_goes_to_one_buyer_and_comes_to_one_place() {
    let mut shelf = dairy().await;
    let numbers: Vec<String> = (0..20).map(|number| format!("N{number:02}")).collect();
    let phones = numbers.iter().map(|number| lot(number, 1, "")).collect();
    let request = receipt(&shelf, "WH", vec![line("PHONE", phones)]);
    shelf.client.receive_stock(request).await.unwrap();
    let buyers = (0..40).map(|_| {
        let (mut client, request) = (shelf.client.clone(), shelf.hold(&[("PHONE", 1)]));
        async move { client.hold_stock(request).await }
    });
    let granted: Vec<pb::Hold> =
        join_all(buyers).await.into_iter().flatten().map(|answer| answer.into_inner().hold.unwrap()).collect();
    let mut sold: Vec<&str> = granted.iter().flat_map(given).map(|(serial, _)| serial).collect();
    sold.sort_unstable();
    sold.dedup();
    assert_eq!((granted.len(), sold.len()), (23, 23));
    // The same number comes to two places at once.
    let arrivals = ["WH", "SHOP", "WH", "SHOP"].map(|place| {
        let (mut client, request) =
            (shelf.client.clone(), receipt(&shelf, place, vec![line("PHONE", serials(&["TWIN"]))]));
        async move { client.receive_stock(request).await }
    });
    let arrived = join_all(arrivals).await;
    assert_eq!(arrived.iter().filter(|outcome| outcome.is_ok()).count(), 1, "{arrived:?}");
    for refused in arrived.into_iter().filter_map(Result::err) {
        assert_eq!(reason(&refused), "SERIAL_ON_HAND", "{refused:?}");
    }
    shelf.verify().await;
}

#[tokio::test]
async fn verify_sees_lots_that_do_not_add_up_and_the_tables_refuse_a_serial_number_twice() {
    let mut shelf = dairy().await;
    shelf.held(shelf.hold(&[("MILK", 1), ("PHONE", 1)])).await;
    shelf.verify().await;
    for (tampering, guard) in [
        (
            "INSERT INTO inventory.lot_levels SELECT sku, location_id, 'damaged', lot, serial, expires_on, 1, 0, told FROM inventory.lot_levels WHERE lot = 'S1'",
            "lot_levels_serial_key",
        ),
        ("UPDATE inventory.lot_levels SET held = 2 WHERE lot = 'S1'", "lot_levels_held_check"),
        ("UPDATE inventory.lot_levels SET quantity = 2 WHERE lot = 'S1'", "lot_levels_serial_check"),
    ] {
        let refused = sqlx::query(tampering).execute(shelf.db.pool()).await.unwrap_err();
        assert!(refused.to_string().contains(guard), "{refused}");
    }
    for tampering in [
        "UPDATE inventory.lot_levels SET quantity = quantity + 1 WHERE lot = 'LATE'",
        "UPDATE inventory.hold_lines SET lots = NULL WHERE sku = 'PHONE'",
    ] {
        sqlx::query(tampering).execute(shelf.db.pool()).await.unwrap();
    }
    let checks = verify::verify(shelf.db.pool()).await.unwrap();
    let broken: Vec<(&str, i64)> =
        checks.iter().filter(|check| check.violations > 0).map(|check| (check.id, check.violations)).collect();
    assert_eq!(broken, [("LOT", 1), ("LOT", 1), ("LOT", 2)]);
}
