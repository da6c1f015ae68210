use oneshelf_proto::inventory::v1 as pb;
use tonic::Code;

use crate::support::{Shelf, fields, reason};

fn units(lines: &[(&str, i64)]) -> Vec<pb::TransferQuantity> {
    lines.iter().map(|(sku, quantity)| pb::TransferQuantity { sku: (*sku).to_owned(), quantity: *quantity }).collect()
}

impl Shelf {
    fn new_transfer(&self, lines: &[(&str, i64)]) -> pb::CreateTransferRequest {
        pb::CreateTransferRequest {
            request_id: self.id(),
            source_location_id: "WH".to_owned(),
            destination_location_id: "SHOP".to_owned(),
            lines: units(lines),
            expected_date: "2031-01-10".to_owned(),
            reference: "weekly".to_owned(),
        }
    }

    async fn allocated(&mut self, lines: &[(&str, i64)]) -> pb::Transfer {
        let request = self.new_transfer(lines);
        let transfer_id =
            self.client.create_transfer(request).await.unwrap().into_inner().transfer.unwrap().transfer_id;
        let approve = pb::ApproveTransferRequest {
            request_id: self.id(),
            transfer_id: transfer_id.clone(),
            ..Default::default()
        };
        self.client.approve_transfer(approve).await.unwrap();
        let allocate = pb::AllocateTransferRequest { request_id: self.id(), transfer_id, ..Default::default() };
        self.client.allocate_transfer(allocate).await.unwrap().into_inner().transfer.unwrap()
    }

    fn shipment(&self, transfer_id: &str, lines: &[(&str, i64)]) -> pb::ShipTransferRequest {
        pb::ShipTransferRequest {
            request_id: self.id(),
            transfer_id: transfer_id.to_owned(),
            lines: units(lines),
            ..Default::default()
        }
    }

    fn arrival(&self, transfer_id: &str, lines: &[(&str, i64, i64)]) -> pb::ReceiveTransferRequest {
        pb::ReceiveTransferRequest {
            request_id: self.id(),
            transfer_id: transfer_id.to_owned(),
            lines: lines
                .iter()
                .map(|(sku, good, damaged)| pb::TransferArrival {
                    sku: (*sku).to_owned(),
                    good: *good,
                    damaged: *damaged,
                    ..Default::default()
                })
                .collect(),
            ..Default::default()
        }
    }

    fn resolution(&self, transfer_id: &str, sku: &str, lost: i64, from: i64) -> pb::ResolveTransferDiscrepancyRequest {
        pb::ResolveTransferDiscrepancyRequest {
            request_id: self.id(),
            transfer_id: transfer_id.to_owned(),
            lines: vec![pb::TransferResolution { sku: sku.to_owned(), lost, from_source: from, ..Default::default() }],
            ..Default::default()
        }
    }

    fn cancellation(&self, transfer_id: &str) -> pb::CancelTransferRequest {
        pb::CancelTransferRequest { request_id: self.id(), transfer_id: transfer_id.to_owned(), ..Default::default() }
    }

    /// Sellable, damaged and held of a SKU at a location.
    async fn at(&mut self, sku: &str, location_id: &str) -> (i64, i64, i64) {
        let request = pb::ListStockLevelsRequest {
            sku: sku.to_owned(),
            location_id: location_id.to_owned(),
            ..Default::default()
        };
        let levels = self.client.list_stock_levels(request).await.unwrap().into_inner().levels;
        levels.first().map_or((0, 0, 0), |level| (level.sellable, level.damaged, level.hard_held))
    }
}

fn first(transfer: &pb::Transfer) -> [i64; 6] {
    let line = &transfer.lines[0];
    [line.allocated, line.shipped, line.received, line.in_transit, line.lost, line.surplus]
}

#[tokio::test]
async fn create_transfer_changes_no_stock_and_repeats_its_answer() {
    let mut shelf = Shelf::stocked().await;
    let request = shelf.new_transfer(&[("A", 4), ("B", 2)]);
    let made = shelf.client.create_transfer(request.clone()).await.unwrap().into_inner();
    let transfer = made.transfer.clone().unwrap();
    assert_eq!((transfer.transfer_id.as_str(), transfer.version), (request.request_id.as_str(), 1));
    assert_eq!(transfer.state(), pb::TransferState::Requested);
    let approve =
        pb::ApproveTransferRequest { request_id: shelf.id(), transfer_id: transfer.transfer_id, ..Default::default() };
    shelf.client.approve_transfer(approve).await.unwrap();
    assert_eq!(shelf.client.create_transfer(request.clone()).await.unwrap().into_inner(), made, "as it was answered");
    let other = pb::CreateTransferRequest { reference: "other".to_owned(), ..request.clone() };
    let reused = shelf.client.create_transfer(other).await.unwrap_err();
    assert_eq!((reused.code(), reason(&reused).as_str()), (Code::InvalidArgument, "REQUEST_ID_REUSED"));
    assert_eq!(shelf.level("A").await, (10, 0, 10));

    let before = shelf.rows().await;
    let good = shelf.new_transfer(&[("A", 1)]);
    let nowhere = pb::CreateTransferRequest { destination_location_id: "NOWHERE".to_owned(), ..good.clone() };
    let nowhere = shelf.client.create_transfer(nowhere).await.unwrap_err();
    assert_eq!((nowhere.code(), reason(&nowhere).as_str()), (Code::NotFound, "LOCATION_NOT_FOUND"));
    let bad = pb::CreateTransferRequest {
        request_id: "x".to_owned(),
        destination_location_id: "wh".to_owned(),
        lines: units(&[("A", 0), ("B", 1), ("b", 1)]),
        expected_date: "soon".to_owned(),
        ..good.clone()
    };
    let bad = fields(&shelf.client.create_transfer(bad).await.unwrap_err());
    assert_eq!(bad, ["request_id", "destination_location_id", "lines[0].quantity", "lines", "expected_date"]);
    let many = pb::CreateTransferRequest { lines: units(&vec![("A", 1); 501]), ..good };
    assert!(fields(&shelf.client.create_transfer(many).await.unwrap_err()).contains(&"lines".to_owned()));
    assert_eq!(shelf.rows().await, before);
}

#[tokio::test]
async fn approve_transfer_is_for_a_requested_one_of_the_version_that_was_read() {
    let mut shelf = Shelf::stocked().await;
    let request = shelf.new_transfer(&[("A", 4)]);
    let transfer_id = shelf.client.create_transfer(request).await.unwrap().into_inner().transfer.unwrap().transfer_id;
    let approve = |version| pb::ApproveTransferRequest {
        request_id: shelf.id(),
        transfer_id: transfer_id.clone(),
        expected_version: version,
    };
    let (stale, right, again, bad) = (approve(2), approve(1), approve(0), approve(-1));
    let refused = shelf.client.approve_transfer(stale).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::Aborted, "VERSION_MISMATCH"));
    let first = shelf.client.approve_transfer(right.clone()).await.unwrap().into_inner();
    assert_eq!(first.transfer.as_ref().unwrap().state(), pb::TransferState::Approved);
    assert_eq!(shelf.client.approve_transfer(right).await.unwrap().into_inner(), first);
    let refused = shelf.client.approve_transfer(again).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "DOCUMENT_STATE"));
    assert_eq!(fields(&shelf.client.approve_transfer(bad).await.unwrap_err()), ["expected_version"]);
    let nobody = pb::ApproveTransferRequest { request_id: shelf.id(), transfer_id: shelf.id(), expected_version: 0 };
    let refused = shelf.client.approve_transfer(nobody).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::NotFound, "DOCUMENT_NOT_FOUND"));
}

#[tokio::test]
async fn allocate_transfer_holds_at_the_source_and_nobody_else_may_end_that_hold() {
    let mut shelf = Shelf::stocked().await;
    let request = shelf.new_transfer(&[("A", 12), ("B", 2)]);
    let transfer_id = shelf.client.create_transfer(request).await.unwrap().into_inner().transfer.unwrap().transfer_id;
    let allocate = |allow_partial| pb::AllocateTransferRequest {
        request_id: shelf.id(),
        transfer_id: transfer_id.clone(),
        expected_version: 0,
        allow_partial,
    };
    let (whole, partial) = (allocate(false), allocate(true));
    let early = shelf.client.allocate_transfer(whole.clone()).await.unwrap_err();
    assert_eq!(reason(&early), "DOCUMENT_STATE");
    let approve =
        pb::ApproveTransferRequest { request_id: shelf.id(), transfer_id: transfer_id.clone(), ..Default::default() };
    shelf.client.approve_transfer(approve).await.unwrap();
    let short = shelf.client.allocate_transfer(whole).await.unwrap_err();
    assert_eq!((short.code(), reason(&short).as_str()), (Code::FailedPrecondition, "INSUFFICIENT_STOCK"));
    let transfer = shelf.client.allocate_transfer(partial.clone()).await.unwrap().into_inner();
    let lines: Vec<i64> = transfer.transfer.as_ref().unwrap().lines.iter().map(|line| line.allocated).collect();
    assert_eq!(lines, [10, 2]);
    assert_eq!(shelf.client.allocate_transfer(partial).await.unwrap().into_inner(), transfer);
    assert_eq!(shelf.level("A").await, (10, 10, 0));

    let hold_id: uuid::Uuid =
        sqlx::query_scalar("SELECT hold_id FROM inventory.transfers").fetch_one(shelf.db.pool()).await.unwrap();
    let release = pb::ReleaseHoldRequest { request_id: shelf.id(), hold_id: hold_id.to_string() };
    let refused = shelf.client.release_hold(release).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "HOLD_OWNED"));
    let commit = pb::CommitHoldRequest { request_id: shelf.id(), hold_id: hold_id.to_string(), ..Default::default() };
    assert_eq!(reason(&shelf.client.commit_hold(commit).await.unwrap_err()), "HOLD_OWNED");
    shelf.verify().await;
}

#[tokio::test]
async fn ship_transfer_and_receive_transfer_in_parts_keep_every_unit_in_one_place() {
    let mut shelf = Shelf::stocked().await;
    let transfer_id = shelf.allocated(&[("A", 8), ("B", 2)]).await.transfer_id;
    let too_many = shelf.shipment(&transfer_id, &[("A", 9)]);
    let refused = shelf.client.ship_transfer(too_many).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "LINE_EXCEEDED"));
    let unknown = shelf.shipment(&transfer_id, &[("C", 1)]);
    assert_eq!(reason(&shelf.client.ship_transfer(unknown).await.unwrap_err()), "LINE_NOT_FOUND");

    let part = shelf.shipment(&transfer_id, &[("A", 5)]);
    let shipped = shelf.client.ship_transfer(part.clone()).await.unwrap().into_inner();
    assert_eq!(first(shipped.transfer.as_ref().unwrap()), [3, 5, 0, 5, 0, 0]);
    assert_eq!(shelf.client.ship_transfer(part).await.unwrap().into_inner(), shipped);
    assert_eq!((shelf.at("A", "WH").await, shelf.at("B", "WH").await), ((5, 0, 3), (5, 0, 2)));
    shelf.verify().await;

    let part = shelf.arrival(&transfer_id, &[("A", 3, 1)]);
    let received = shelf.client.receive_transfer(part.clone()).await.unwrap().into_inner();
    assert_eq!(first(received.transfer.as_ref().unwrap()), [3, 5, 4, 1, 0, 0]);
    assert_eq!(shelf.client.receive_transfer(part).await.unwrap().into_inner(), received);
    assert_eq!(shelf.at("A", "SHOP").await, (3, 1, 0));

    let rest = pb::ShipTransferRequest { release_rest: true, ..shelf.shipment(&transfer_id, &[("A", 1), ("B", 2)]) };
    let shipped = shelf.client.ship_transfer(rest).await.unwrap().into_inner().transfer.unwrap();
    assert_eq!((first(&shipped), shipped.state()), ([0, 6, 4, 2, 0, 0], pb::TransferState::InTransit));
    assert_eq!(shelf.at("A", "WH").await, (4, 0, 0));
    let rest = pb::ReceiveTransferRequest {
        bucket: pb::StockBucket::Quarantine.into(),
        ..shelf.arrival(&transfer_id, &[("A", 2, 0), ("B", 2, 0)])
    };
    let received = shelf.client.receive_transfer(rest).await.unwrap().into_inner().transfer.unwrap();
    assert_eq!((first(&received), received.state()), ([0, 6, 6, 0, 0, 0], pb::TransferState::Received));
    let late = shelf.arrival(&transfer_id, &[("A", 1, 0)]);
    assert_eq!(reason(&shelf.client.receive_transfer(late).await.unwrap_err()), "DOCUMENT_STATE");
    let bad = pb::ReceiveTransferRequest { bucket: 9, ..shelf.arrival(&transfer_id, &[("A", -1, 0), ("A", 0, 0)]) };
    let bad = fields(&shelf.client.receive_transfer(bad).await.unwrap_err());
    assert_eq!(bad, ["lines[0].good", "lines[1]", "bucket"]);
    let bad = pb::ShipTransferRequest { expected_date: "x".to_owned(), ..shelf.shipment("no", &[]) };
    let bad = fields(&shelf.client.ship_transfer(bad).await.unwrap_err());
    assert_eq!(bad, ["lines", "expected_date", "transfer_id"]);
    shelf.verify().await;
}

#[tokio::test]
async fn resolve_transfer_discrepancy_books_losses_and_settles_a_surplus() {
    let mut shelf = Shelf::stocked().await;
    let transfer_id = shelf.allocated(&[("A", 6), ("B", 2)]).await.transfer_id;
    let all = shelf.shipment(&transfer_id, &[("A", 6), ("B", 2)]);
    shelf.client.ship_transfer(all).await.unwrap();
    let arrived = shelf.arrival(&transfer_id, &[("A", 4, 0), ("B", 3, 1)]);
    let received = shelf.client.receive_transfer(arrived).await.unwrap().into_inner().transfer.unwrap();
    assert_eq!((received.lines[0].in_transit, received.lines[1].surplus), (2, 2));
    assert_eq!(shelf.at("B", "SHOP").await, (3, 1, 0), "what came is there, whoever sent it");
    shelf.verify().await;

    let too_many = shelf.resolution(&transfer_id, "A", 3, 0);
    assert_eq!(reason(&shelf.client.resolve_transfer_discrepancy(too_many).await.unwrap_err()), "LINE_EXCEEDED");
    let lost = shelf.resolution(&transfer_id, "A", 2, 0);
    let resolved = shelf.client.resolve_transfer_discrepancy(lost.clone()).await.unwrap().into_inner();
    assert_eq!(resolved.transfer.as_ref().unwrap().state(), pb::TransferState::Received);
    assert_eq!(resolved.transfer.as_ref().unwrap().lines[0].lost, 2);
    assert_eq!(shelf.client.resolve_transfer_discrepancy(lost).await.unwrap().into_inner(), resolved);

    let surplus = shelf.resolution(&transfer_id, "B", 0, 1);
    let settled = shelf.client.resolve_transfer_discrepancy(surplus).await.unwrap().into_inner().transfer.unwrap();
    assert_eq!((settled.lines[1].surplus, settled.lines[1].surplus_settled), (2, 1));
    assert_eq!(shelf.at("B", "WH").await, (2, 0, 0), "of 5: 2 were shipped, 1 more had left");
    let none = shelf.resolution(&transfer_id, "A", 0, 0);
    assert_eq!(fields(&shelf.client.resolve_transfer_discrepancy(none).await.unwrap_err()), ["lines[0]"]);
    shelf.verify().await;
}

#[tokio::test]
async fn cancel_transfer_undoes_what_each_stage_did() {
    let mut shelf = Shelf::stocked().await;
    let requested = shelf.new_transfer(&[("A", 4)]);
    let requested = shelf.client.create_transfer(requested).await.unwrap().into_inner().transfer.unwrap();
    let cancel = shelf.cancellation(&requested.transfer_id);
    let cancelled = shelf.client.cancel_transfer(cancel.clone()).await.unwrap().into_inner();
    assert_eq!(cancelled.transfer.as_ref().unwrap().state(), pb::TransferState::Cancelled);
    assert_eq!(shelf.client.cancel_transfer(cancel).await.unwrap().into_inner(), cancelled);
    let again = shelf.cancellation(&requested.transfer_id);
    assert_eq!(reason(&shelf.client.cancel_transfer(again).await.unwrap_err()), "DOCUMENT_STATE");

    let allocated = shelf.allocated(&[("A", 4)]).await.transfer_id;
    let cancel = shelf.cancellation(&allocated);
    shelf.client.cancel_transfer(cancel).await.unwrap();
    assert_eq!(shelf.level("A").await, (10, 0, 10), "free again");

    let on_its_way = shelf.allocated(&[("A", 6)]).await.transfer_id;
    let part = shelf.shipment(&on_its_way, &[("A", 4)]);
    shelf.client.ship_transfer(part).await.unwrap();
    let cancel = shelf.cancellation(&on_its_way);
    let cancelled = shelf.client.cancel_transfer(cancel).await.unwrap().into_inner().transfer.unwrap();
    assert_eq!((cancelled.state(), first(&cancelled)), (pb::TransferState::Cancelled, [0; 6]));
    assert_eq!(shelf.level("A").await, (10, 0, 10), "turned back");

    let half_there = shelf.allocated(&[("A", 6)]).await.transfer_id;
    let part = shelf.shipment(&half_there, &[("A", 4)]);
    shelf.client.ship_transfer(part).await.unwrap();
    let arrived = shelf.arrival(&half_there, &[("A", 1, 0)]);
    shelf.client.receive_transfer(arrived).await.unwrap();
    let cancel = shelf.cancellation(&half_there);
    let cancelled = shelf.client.cancel_transfer(cancel).await.unwrap().into_inner().transfer.unwrap();
    assert_eq!((cancelled.state(), first(&cancelled)), (pb::TransferState::Received, [0, 1, 1, 0, 0, 0]));
    assert_eq!((shelf.at("A", "WH").await, shelf.at("A", "SHOP").await), ((9, 0, 0), (1, 0, 0)));
    let bad = pb::CancelTransferRequest { transfer_id: "no".to_owned(), ..shelf.cancellation("") };
    assert_eq!(fields(&shelf.client.cancel_transfer(bad).await.unwrap_err()), ["transfer_id"]);
    shelf.verify().await;
}

#[tokio::test]
async fn get_transfer_and_list_transfers_read_what_there_is() {
    let mut shelf = Shelf::stocked().await;
    let allocated = shelf.allocated(&[("A", 1)]).await;
    let get = |transfer_id: &str| pb::GetTransferRequest { transfer_id: transfer_id.to_owned() };
    let read = shelf.client.get_transfer(get(&allocated.transfer_id)).await.unwrap().into_inner().transfer.unwrap();
    assert_eq!(read, allocated);
    let nobody = shelf.id();
    let missing = shelf.client.get_transfer(get(&nobody)).await.unwrap_err();
    assert_eq!((missing.code(), reason(&missing).as_str()), (Code::NotFound, "DOCUMENT_NOT_FOUND"));
    assert_eq!(fields(&shelf.client.get_transfer(get("x")).await.unwrap_err()), ["transfer_id"]);

    shelf.clock.advance(std::time::Duration::from_secs(1));
    let newer = shelf.new_transfer(&[("B", 1)]);
    let newer = shelf.client.create_transfer(newer).await.unwrap().into_inner().transfer.unwrap();
    let list = |state: pb::TransferState, location: &str, token: String| pb::ListTransfersRequest {
        state: state.into(),
        location_id: location.to_owned(),
        page_size: 1,
        page_token: token,
    };
    let any = pb::TransferState::Unspecified;
    let page = shelf.client.list_transfers(list(any, "SHOP", String::new())).await.unwrap().into_inner();
    assert_eq!(page.transfers, [newer]);
    let page = shelf.client.list_transfers(list(any, "", page.next_page_token)).await.unwrap().into_inner();
    assert_eq!(page.transfers, std::slice::from_ref(&allocated));
    let some = list(pb::TransferState::Allocated, "", String::new());
    assert_eq!(shelf.client.list_transfers(some).await.unwrap().into_inner().transfers, [allocated]);
    let bad = pb::ListTransfersRequest { page_size: 101, ..Default::default() };
    assert_eq!(fields(&shelf.client.list_transfers(bad).await.unwrap_err()), ["page_size"]);
    let bad = pb::ListTransfersRequest { state: 99, ..Default::default() };
    assert_eq!(fields(&shelf.client.list_transfers(bad).await.unwrap_err()), ["state"]);
    let bad = pb::ListTransfersRequest { page_token: "x".to_owned(), ..Default::default() };
    assert_eq!(fields(&shelf.client.list_transfers(bad).await.unwrap_err()), ["page_token"]);
}

#[tokio::test]
async fn verify_finds_a_unit_that_a_transfer_lost_sight_of() {
    let mut shelf = Shelf::stocked().await;
    let transfer_id = shelf.allocated(&[("A", 4)]).await.transfer_id;
    let all = shelf.shipment(&transfer_id, &[("A", 4)]);
    shelf.client.ship_transfer(all).await.unwrap();
    let refused = sqlx::query("UPDATE inventory.transfer_lines SET received = 1").execute(shelf.db.pool()).await;
    assert!(refused.is_err(), "the table says the rule, too");
    sqlx::query("UPDATE inventory.transfer_lines SET received = 1, in_transit = 3")
        .execute(shelf.db.pool())
        .await
        .unwrap();
    let checks = oneshelf_inventory::verify::verify(shelf.db.pool()).await.unwrap();
    let broken: Vec<&str> = checks.iter().filter(|check| check.violations > 0).map(|check| check.id).collect();
    assert_eq!(broken, ["Q9"]);
}
