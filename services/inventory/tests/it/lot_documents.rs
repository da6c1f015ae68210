//! Tracked goods in documents: delivered, transferred and booked between accounts by lot and serial number.

use oneshelf_proto::inventory::v1 as pb;
use tonic::{Code, Status};

use crate::{
    lots::{dairy, day, line, lot, receipt, serials},
    support::{Shelf, fields, reason},
};

/// Serial number, location and bucket of each phone.
async fn phones(shelf: &mut Shelf) -> Vec<(String, String, pb::StockBucket)> {
    let request = pb::ListSerialsRequest { sku: "PHONE".to_owned(), ..Default::default() };
    let serials = shelf.client.list_serials(request).await.unwrap().into_inner().serials;
    serials.into_iter().map(|one| (one.serial.clone(), one.location_id.clone(), one.bucket())).collect()
}

fn phone(serial: &str, location: &str, bucket: pb::StockBucket) -> (String, String, pb::StockBucket) {
    (serial.to_owned(), location.to_owned(), bucket)
}

/// Lot, location, bucket, units, of a SKU.
async fn places(shelf: &mut Shelf, sku: &str) -> Vec<(String, String, pb::StockBucket, i64)> {
    let request = pb::ListLotsRequest { sku: sku.to_owned(), ..Default::default() };
    let lots = shelf.client.list_lots(request).await.unwrap().into_inner().lots;
    lots.into_iter().map(|lot| (lot.lot.clone(), lot.location_id.clone(), lot.bucket(), lot.quantity)).collect()
}

fn at(lot: &str, location: &str, bucket: pb::StockBucket, units: i64) -> (String, String, pb::StockBucket, i64) {
    (lot.to_owned(), location.to_owned(), bucket, units)
}

/// Nothing was changed by a refusal.
async fn refuses(shelf: &mut Shelf, rows: i64, outcome: Result<(), Status>, why: &str) {
    let status = outcome.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::FailedPrecondition, why));
    assert_eq!(shelf.rows().await, rows);
    shelf.verify().await;
}

fn delivered(sku: &str, accepted: Vec<pb::LotUnits>, quarantined: Vec<pb::LotUnits>) -> pb::DeliveredLine {
    let units = |lots: &[pb::LotUnits]| lots.iter().map(|lot| lot.quantity).sum();
    pb::DeliveredLine {
        sku: sku.to_owned(),
        accepted: units(&accepted),
        quarantined: units(&quarantined),
        returned: 1,
        accepted_lots: accepted,
        quarantined_lots: quarantined,
    }
}

#[tokio::test]
async fn tracked_goods_are_delivered_by_lot() {
    use pb::StockBucket::{Quarantine, Sellable};
    let mut shelf = dairy().await;
    let order = shelf.ordered(&[("MILK", 20, "2031-01-10"), ("PHONE", 5, "2031-01-10"), ("A", 5, "2031-01-10")]).await;
    let delivery = |shelf: &Shelf, lines| pb::ReceiveInboundRequest {
        request_id: shelf.id(),
        inbound_id: order.clone(),
        lines,
        ..Default::default()
    };
    let rows = shelf.rows().await;
    let (soon, late) = (day(&shelf, 3), day(&shelf, 9));
    for (lines, why) in [
        (vec![pb::DeliveredLine { accepted: 2, ..delivered("MILK", vec![], vec![]) }], "TRACKING_MISMATCH"),
        (vec![delivered("A", vec![lot("X", 1, "")], vec![])], "TRACKING_MISMATCH"),
        (vec![delivered("PHONE", vec![lot("S9", 2, "")], vec![])], "TRACKING_MISMATCH"),
        (vec![delivered("MILK", vec![lot("NEW", 1, &late)], vec![lot("SOON", 1, &late)])], "LOT_EXPIRY_DIFFERS"),
        (vec![delivered("PHONE", serials(&["S9"]), serials(&["S1"]))], "SERIAL_ON_HAND"),
        (vec![delivered("PHONE", serials(&["S9"]), serials(&["S9"]))], "SERIAL_ON_HAND"),
    ] {
        let request = delivery(&shelf, lines);
        let outcome = shelf.client.receive_inbound(request).await.map(drop);
        refuses(&mut shelf, rows, outcome, why).await;
    }
    let short =
        delivery(&shelf, vec![pb::DeliveredLine { accepted: 3, ..delivered("MILK", vec![lot("N", 2, "")], vec![]) }]);
    assert_eq!(fields(&shelf.client.receive_inbound(short).await.unwrap_err()), ["lines[0].accepted_lots"]);

    let lines = vec![
        delivered("MILK", vec![lot("NEW", 4, &late), lot("SOON", 1, &soon)], vec![lot("LATE", 2, "")]),
        delivered("PHONE", serials(&["S9"]), serials(&["S8"])),
    ];
    let request = delivery(&shelf, lines);
    let first = shelf.client.receive_inbound(request.clone()).await.unwrap().into_inner();
    assert_eq!(shelf.client.receive_inbound(request).await.unwrap().into_inner(), first);
    let line = first.inbound.unwrap().lines[0].clone();
    assert_eq!((line.received, line.stocked, line.quarantined, line.returned), (8, 5, 2, 1));
    assert_eq!(
        places(&mut shelf, "MILK").await,
        [
            at("LATE", "WH", Quarantine, 2),
            at("LATE", "WH", Sellable, 4),
            at("NEW", "WH", Sellable, 4),
            at("SOON", "WH", Sellable, 4)
        ]
    );
    let hold = shelf.held(shelf.hold(&[("MILK", 5)])).await;
    assert_eq!(
        hold.lines[0].lots.iter().map(|lot| (lot.lot.as_str(), lot.quantity)).collect::<Vec<_>>(),
        [("SOON", 4), ("LATE", 1)]
    );
    shelf.verify().await;
}

/// An allocated transfer from WH to SHOP.
async fn allocated(shelf: &mut Shelf, lines: &[(&str, i64)]) -> String {
    let create = pb::CreateTransferRequest {
        request_id: shelf.id(),
        source_location_id: "WH".to_owned(),
        destination_location_id: "SHOP".to_owned(),
        lines: quantities(lines),
        ..Default::default()
    };
    let transfer_id = shelf.client.create_transfer(create).await.unwrap().into_inner().transfer.unwrap().transfer_id;
    let approve =
        pb::ApproveTransferRequest { request_id: shelf.id(), transfer_id: transfer_id.clone(), ..Default::default() };
    shelf.client.approve_transfer(approve).await.unwrap();
    let allocate =
        pb::AllocateTransferRequest { request_id: shelf.id(), transfer_id: transfer_id.clone(), ..Default::default() };
    shelf.client.allocate_transfer(allocate).await.unwrap();
    transfer_id
}

fn quantities(lines: &[(&str, i64)]) -> Vec<pb::TransferQuantity> {
    lines.iter().map(|(sku, quantity)| pb::TransferQuantity { sku: (*sku).to_owned(), quantity: *quantity }).collect()
}

async fn ship(shelf: &mut Shelf, transfer_id: &str, lines: &[(&str, i64)]) -> pb::Transfer {
    let request = pb::ShipTransferRequest {
        request_id: shelf.id(),
        transfer_id: transfer_id.to_owned(),
        lines: quantities(lines),
        ..Default::default()
    };
    shelf.client.ship_transfer(request).await.unwrap().into_inner().transfer.unwrap()
}

fn sent(transfer: &pb::Transfer) -> Vec<(&str, &str, i64)> {
    let lines = transfer.lines.iter();
    lines
        .flat_map(|line| line.lots_in_transit.iter().map(|lot| (line.sku.as_str(), lot.lot.as_str(), lot.quantity)))
        .collect()
}

fn arrived(sku: &str, good_lots: Vec<pb::LotUnits>, damaged_lots: Vec<pb::LotUnits>) -> pb::TransferArrival {
    let units = |lots: &[pb::LotUnits]| lots.iter().map(|lot| lot.quantity).sum();
    pb::TransferArrival {
        sku: sku.to_owned(),
        good: units(&good_lots),
        damaged: units(&damaged_lots),
        good_lots,
        damaged_lots,
    }
}

fn arrival(shelf: &Shelf, transfer_id: &str, lines: Vec<pb::TransferArrival>) -> pb::ReceiveTransferRequest {
    let (request_id, transfer_id) = (shelf.id(), transfer_id.to_owned());
    pb::ReceiveTransferRequest { request_id, transfer_id, lines, ..Default::default() }
}

#[tokio::test]
async fn a_transfer_carries_its_lots() {
    use pb::StockBucket::{Damaged, Sellable};
    let mut shelf = dairy().await;
    let transfer_id = allocated(&mut shelf, &[("MILK", 6), ("PHONE", 2)]).await;
    let part = ship(&mut shelf, &transfer_id, &[("MILK", 4)]).await;
    assert_eq!(sent(&part), [("MILK", "SOON", 3), ("MILK", "LATE", 1)]);
    let more = ship(&mut shelf, &transfer_id, &[("MILK", 1), ("PHONE", 1)]).await;
    assert_eq!(sent(&more), [("MILK", "SOON", 3), ("MILK", "LATE", 2), ("PHONE", "S1", 1)]);
    shelf.verify().await;

    let rows = shelf.rows().await;
    for (lines, why) in [
        (vec![pb::TransferArrival { good: 2, ..arrived("MILK", vec![], vec![]) }], "TRACKING_MISMATCH"),
        (vec![arrived("MILK", vec![lot("SOON", 1, &day(&shelf, 30))], vec![])], "LOT_EXPIRY_DIFFERS"),
        (vec![arrived("PHONE", serials(&["S3"]), vec![])], "SERIAL_ON_HAND"),
    ] {
        let request = arrival(&shelf, &transfer_id, lines);
        let outcome = shelf.client.receive_transfer(request).await.map(drop);
        refuses(&mut shelf, rows, outcome, why).await;
    }
    // A serial number that is on its way is in no other place.
    for place in ["WH", "SHOP"] {
        let twin = receipt(&shelf, place, vec![line("PHONE", serials(&["S1"]))]);
        let outcome = shelf.client.receive_stock(twin).await.map(drop);
        refuses(&mut shelf, rows, outcome, "SERIAL_ON_HAND").await;
    }

    let lines = vec![
        arrived("MILK", vec![lot("SOON", 2, ""), lot("LATE", 3, "")], vec![lot("SOON", 1, "")]),
        arrived("PHONE", serials(&["S1"]), vec![]),
    ];
    let request = arrival(&shelf, &transfer_id, lines);
    let received = shelf.client.receive_transfer(request.clone()).await.unwrap().into_inner();
    assert_eq!(shelf.client.receive_transfer(request).await.unwrap().into_inner(), received);
    let milk = received.transfer.unwrap().lines[0].clone();
    assert_eq!((milk.shipped, milk.received, milk.damaged, milk.in_transit, milk.surplus), (5, 5, 1, 0, 1));
    assert_eq!(milk.lots_in_transit, []);
    assert_eq!(
        places(&mut shelf, "MILK").await,
        [
            at("SOON", "SHOP", Damaged, 1),
            at("LATE", "SHOP", Sellable, 3),
            at("SOON", "SHOP", Sellable, 2),
            at("LATE", "WH", Sellable, 2),
        ]
    );
    let (s1, history) = {
        let request = pb::GetSerialRequest { sku: "PHONE".to_owned(), serial: "S1".to_owned() };
        let answer = shelf.client.get_serial(request).await.unwrap().into_inner();
        (answer.serial.unwrap().location_id, answer.movements.len())
    };
    assert_eq!((s1.as_str(), history), ("SHOP", 3), "came, left, arrived");
    shelf.verify().await;
}

#[tokio::test]
async fn what_does_not_arrive_is_lost_by_lot_or_turns_back() {
    use pb::StockBucket::Sellable;
    let mut shelf = dairy().await;
    let transfer_id = allocated(&mut shelf, &[("MILK", 5), ("PHONE", 1)]).await;
    ship(&mut shelf, &transfer_id, &[("MILK", 5), ("PHONE", 1)]).await;
    let resolution = |shelf: &Shelf, sku: &str, lost_lots: Vec<pb::LotUnits>, from_source_lots: Vec<pb::LotUnits>| {
        let units = |lots: &[pb::LotUnits]| lots.iter().map(|lot| lot.quantity).sum();
        pb::ResolveTransferDiscrepancyRequest {
            request_id: shelf.id(),
            transfer_id: transfer_id.clone(),
            lines: vec![pb::TransferResolution {
                sku: sku.to_owned(),
                lost: units(&lost_lots),
                from_source: units(&from_source_lots),
                lost_lots,
                from_source_lots,
            }],
            ..Default::default()
        }
    };
    let request =
        arrival(&shelf, &transfer_id, vec![arrived("MILK", vec![lot("SOON", 1, ""), lot("LATE", 3, "")], vec![])]);
    shelf.client.receive_transfer(request).await.unwrap();
    let rows = shelf.rows().await;
    for (request, why) in [
        (resolution(&shelf, "MILK", vec![lot("LATE", 1, "")], vec![]), "LOT_NOT_FREE"),
        (resolution(&shelf, "MILK", vec![lot("SOON", 2, ""), lot("SOON", 1, "")], vec![]), "LINE_EXCEEDED"),
        (resolution(&shelf, "MILK", vec![], vec![lot("SOON", 1, "")]), "LOT_NOT_FREE"),
        (resolution(&shelf, "PHONE", serials(&["S2"]), vec![]), "LOT_NOT_FREE"),
    ] {
        let outcome = shelf.client.resolve_transfer_discrepancy(request).await.map(drop);
        refuses(&mut shelf, rows, outcome, why).await;
    }
    let request = resolution(&shelf, "MILK", vec![lot("SOON", 1, "")], vec![lot("LATE", 1, "")]);
    let resolved = shelf.client.resolve_transfer_discrepancy(request).await.unwrap().into_inner().transfer.unwrap();
    assert_eq!(sent(&resolved), [("MILK", "SOON", 1), ("PHONE", "S1", 1)]);
    shelf.verify().await;

    let cancel = pb::CancelTransferRequest { request_id: shelf.id(), transfer_id, ..Default::default() };
    shelf.client.cancel_transfer(cancel).await.unwrap();
    assert_eq!(
        places(&mut shelf, "MILK").await,
        [
            at("LATE", "SHOP", Sellable, 3),
            at("SOON", "SHOP", Sellable, 1),
            at("LATE", "WH", Sellable, 1),
            at("SOON", "WH", Sellable, 1),
        ]
    );
    assert!(phones(&mut shelf).await.contains(&phone("S1", "WH", Sellable)));
    let hold = shelf.held(shelf.hold(&[("MILK", 2)])).await;
    assert_eq!(hold.lines[0].lots[0].lot, "SOON", "it has kept its day");
    shelf.verify().await;

    // The books say where a paper and the ledger differ.
    let other = allocated(&mut shelf, &[("PHONE", 1)]).await;
    ship(&mut shelf, &other, &[("PHONE", 1)]).await;
    sqlx::query("UPDATE inventory.transfer_lines SET lots = '[[\"S9\", 1]]' WHERE in_transit > 0")
        .execute(shelf.db.pool())
        .await
        .unwrap();
    let checks = oneshelf_inventory::verify::verify(shelf.db.pool()).await.unwrap();
    let broken: Vec<_> =
        checks.into_iter().filter(|check| check.violations > 0).map(|check| (check.id, check.violations)).collect();
    assert_eq!(broken, [("LOT", 2)]);
}

#[tokio::test]
async fn post_movement_moves_lots_between_accounts() {
    use pb::{
        Account,
        StockBucket::{Damaged, Quarantine, Sellable},
    };
    let mut shelf = dairy().await;
    let posting = |shelf: &Shelf, sku: &str, source: Account, target: Account, lots: Vec<pb::LotUnits>| {
        let line = pb::MovementLine {
            sku: sku.to_owned(),
            source: source.into(),
            target: target.into(),
            quantity: lots.iter().map(|lot| lot.quantity).sum::<i64>().max(1),
            lots,
        };
        pb::PostMovementRequest {
            request_id: shelf.id(),
            location_id: "WH".to_owned(),
            lines: vec![line],
            reason_code: "condition_change".to_owned(),
            ..Default::default()
        }
    };
    let rows = shelf.rows().await;
    for (request, why) in [
        (posting(&shelf, "MILK", Account::Sellable, Account::Damaged, vec![]), "TRACKING_MISMATCH"),
        (posting(&shelf, "MILK", Account::Sellable, Account::Damaged, vec![lot("SOON", 4, "")]), "LOT_NOT_FREE"),
        (posting(&shelf, "PHONE", Account::Supplier, Account::Sellable, serials(&["S1"])), "SERIAL_ON_HAND"),
        (posting(&shelf, "A", Account::Sellable, Account::Damaged, vec![lot("X", 1, "")]), "TRACKING_MISMATCH"),
    ] {
        let outcome = shelf.client.post_movement(request).await.map(drop);
        refuses(&mut shelf, rows, outcome, why).await;
    }
    for request in [
        posting(&shelf, "MILK", Account::Sellable, Account::Damaged, vec![lot("SOON", 2, ""), lot("LATE", 1, "")]),
        posting(&shelf, "MILK", Account::Damaged, Account::Loss, vec![lot("SOON", 1, "")]),
        posting(&shelf, "MILK", Account::Production, Account::Quarantine, vec![lot("OWN", 5, &day(&shelf, 5))]),
        posting(&shelf, "PHONE", Account::Sellable, Account::Quarantine, serials(&["S2"])),
    ] {
        shelf.client.post_movement(request).await.unwrap();
        shelf.verify().await;
    }
    assert_eq!(
        places(&mut shelf, "MILK").await,
        [
            at("LATE", "WH", Damaged, 1),
            at("SOON", "WH", Damaged, 1),
            at("OWN", "WH", Quarantine, 5),
            at("LATE", "WH", Sellable, 3),
            at("SOON", "WH", Sellable, 1),
        ]
    );
    assert!(phones(&mut shelf).await.contains(&phone("S2", "WH", Quarantine)));
}

#[tokio::test]
async fn lots_that_cannot_be_read_are_named_by_their_fields() {
    let mut shelf = dairy().await;
    let bad = || vec![lot("", 0, "soon")];
    let named = |fields: &[&str]| -> Vec<String> {
        let of = |field: &&str| {
            ["lot", "quantity", "expiry_date"].map(|name| format!("lines[0].{field}[0].{name}")).into_iter()
        };
        fields.iter().flat_map(of).collect()
    };
    let posting = pb::PostMovementRequest {
        request_id: shelf.id(),
        location_id: "WH".to_owned(),
        lines: vec![pb::MovementLine {
            sku: "MILK".to_owned(),
            quantity: 1,
            source: pb::Account::Found.into(),
            target: pb::Account::Sellable.into(),
            lots: bad(),
        }],
        reason_code: "found".to_owned(),
        ..Default::default()
    };
    assert_eq!(fields(&shelf.client.post_movement(posting).await.unwrap_err()), named(&["lots"]));
    let delivery = pb::ReceiveInboundRequest {
        request_id: shelf.id(),
        inbound_id: shelf.id(),
        lines: vec![pb::DeliveredLine { accepted: 1, ..delivered("MILK", bad(), bad()) }],
        ..Default::default()
    };
    assert_eq!(
        fields(&shelf.client.receive_inbound(delivery).await.unwrap_err()),
        named(&["accepted_lots", "quarantined_lots"])
    );
    let id = shelf.id();
    let request = arrival(&shelf, &id, vec![pb::TransferArrival { good: 1, ..arrived("MILK", bad(), bad()) }]);
    assert_eq!(
        fields(&shelf.client.receive_transfer(request).await.unwrap_err()),
        named(&["good_lots", "damaged_lots"])
    );
    let request = pb::ResolveTransferDiscrepancyRequest {
        request_id: shelf.id(),
        transfer_id: id.clone(),
        lines: vec![pb::TransferResolution {
            sku: "MILK".to_owned(),
            lost: 1,
            from_source: 0,
            lost_lots: bad(),
            from_source_lots: bad(),
        }],
        ..Default::default()
    };
    assert_eq!(
        fields(&shelf.client.resolve_transfer_discrepancy(request).await.unwrap_err()),
        named(&["lost_lots", "from_source_lots"])
    );
    let many = arrival(
        &shelf,
        &id,
        vec![arrived("MILK", (0..2_001).map(|number| lot(&format!("L{number}"), 1, "")).collect(), vec![])],
    );
    assert_eq!(fields(&shelf.client.receive_transfer(many).await.unwrap_err()), ["lines[0].good_lots"]);
}
