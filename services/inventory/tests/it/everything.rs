//! Every part of the shelf at once: plain, capped, fenced, kitted, tracked and consigned goods under holds, moves of holds,
//! documents, counts, promises, bulk rows and policies, from several callers. Whatever meets whatever, each request is
//! granted or refused for a reason that callers know, and in the end every book balances.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::join_all;
use oneshelf_proto::inventory::v1 as pb;
use oneshelf_values::{Clock, new_id};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};
use tonic::{Code, Response, Status};

use crate::{
    channel_changed::register,
    consignments::agreement,
    kits::{kit, set_kits},
    lots::{line, lot, receipt, set_tracking},
    policies::{fence, set_fence, set_sku, set_stock, stock_policy},
    support::{Client, Shelf, reason},
    thresholds::set_thresholds,
};

const CALLERS: u64 = 6;
const ACTS: usize = 70;
/// CAP is capped, SET is two of B and one of MILK, PHONE goes by serial number, V is a vendor's.
const SKUS: [&str; 7] = ["A", "B", "CAP", "SET", "MILK", "PHONE", "V"];
const PLACES: [&str; 3] = ["WH", "SHOP", "DEPOT"];

async fn opened() -> Shelf {
    let mut shelf = Shelf::lively().await;
    shelf.add_location("DEPOT", pb::LocationKind::Warehouse, false).await;
    register(&shelf, "WEB", &["WH", "DEPOT"], 1).await;
    for request in [
        set_tracking(&shelf, "MILK", pb::TrackingKind::Lot, 0),
        set_tracking(&shelf, "PHONE", pb::TrackingKind::Serial, 0),
    ] {
        shelf.client.set_tracking(request).await.unwrap();
    }
    for place in PLACES {
        shelf.receive(place, &[("A", 30), ("B", 30), ("CAP", 20)]).await;
        let lots = vec![lot("L1", 8, "2031-01-01"), lot("L2", 8, ""), lot("L3", 4, "2032-01-01")];
        let phones = (0..6).map(|number| lot(&format!("{place}-{number}"), 1, "")).collect();
        let request = receipt(&shelf, place, vec![line("MILK", lots), line("PHONE", phones)]);
        shelf.client.receive_stock(request).await.unwrap();
    }
    shelf.client.set_kits(set_kits(&shelf, vec![kit("SET", &[("B", 2), ("MILK", 1)])])).await.unwrap();
    let cap =
        pb::SkuPolicy { sku: "CAP".to_owned(), shopper_cap: Some(3), channel_cap: Some(15), ..Default::default() };
    shelf.client.set_sku_policies(set_sku(&shelf, cap)).await.unwrap();
    shelf.client.set_ring_fences(set_fence(&shelf, fence("A", "WEB", 5))).await.unwrap();
    let thresholds = [("A", "WEB", 20), ("B", "WEB", 20), ("SET", "WEB", 5), ("MILK", "WEB", 10)];
    shelf.client.set_stock_thresholds(set_thresholds(&shelf, &thresholds)).await.unwrap();
    let vendor = pb::ConsignmentAgreement {
        skus: vec!["V".to_owned()],
        ..agreement(&shelf, "V-1", "WH", pb::ConsignmentSide::Theirs)
    };
    shelf.agree(vendor).await;
    shelf
}

/// What came of the requests: how many were granted, and why the others were not.
#[derive(Debug, Default)]
struct Tally {
    granted: BTreeMap<&'static str, usize>,
    refused: BTreeSet<String>,
}

struct Caller {
    client: Client,
    clock: Clock,
    rng: StdRng,
    name: u64,
    serials: usize,
    holds: Vec<pb::Hold>,
    tally: Tally,
}

impl Caller {
    fn id(&self) -> String {
        new_id(&self.clock).to_string()
    }

    fn one_of(&mut self, of: &[&'static str]) -> &'static str {
        of.choose(&mut self.rng).unwrap()
    }

    fn units(&mut self) -> i64 {
        self.rng.random_range(1..4)
    }

    /// Notes what came of a request. What is refused must be a rule's doing, and never an accident of ours.
    fn note<T>(&mut self, what: &'static str, outcome: Result<Response<T>, Status>) -> Option<T> {
        match outcome {
            Ok(answer) => {
                *self.tally.granted.entry(what).or_default() += 1;
                Some(answer.into_inner())
            }
            Err(status) => {
                assert!(
                    matches!(status.code(), Code::FailedPrecondition | Code::NotFound | Code::Aborted),
                    "{what}: {status:?}"
                );
                self.tally.refused.insert(reason(&status));
                None
            }
        }
    }

    /// The lots of so many units that come, of a tracked SKU.
    fn lots_that_come(&mut self, sku: &str, units: i64) -> Vec<pb::LotUnits> {
        match sku {
            "MILK" => vec![lot(["L1", "L2", "L3"][self.rng.random_range(0..3)], units, "")],
            "PHONE" => (0..units)
                .map(|_| {
                    self.serials += 1;
                    lot(&format!("{}-{}", self.name, self.serials), 1, "")
                })
                .collect(),
            _ => Vec::new(),
        }
    }

    /// So many units of lots that lie there, as far as there are any.
    async fn lots_that_go(&mut self, sku: &str, place: &str, units: i64) -> Vec<pb::LotUnits> {
        let (sku, location_id) = (sku.to_owned(), place.to_owned());
        let there: Vec<(String, i64)> = match sku.as_str() {
            "MILK" => {
                let request = pb::ListLotsRequest { sku, location_id, ..Default::default() };
                let lots = self.client.list_lots(request).await.unwrap().into_inner().lots.into_iter();
                lots.filter(|one| one.bucket() == pb::StockBucket::Sellable)
                    .map(|one| (one.lot, one.quantity))
                    .collect()
            }
            "PHONE" => {
                let request = pb::ListSerialsRequest { sku, location_id, ..Default::default() };
                let serials = self.client.list_serials(request).await.unwrap().into_inner().serials.into_iter();
                serials.filter(|one| one.bucket() == pb::StockBucket::Sellable).map(|one| (one.serial, 1)).collect()
            }
            _ => Vec::new(),
        };
        let mut left = units;
        there
            .into_iter()
            .filter_map(|(number, units)| {
                let taken = left.min(units);
                left -= taken;
                (taken > 0).then(|| lot(&number, taken, ""))
            })
            .collect()
    }

    async fn hold(&mut self) {
        let lines = (0..self.rng.random_range(1..4))
            .map(|_| pb::HoldRequestLine {
                sku: self.one_of(&SKUS).to_owned(),
                location_id: self.one_of(&["WH", "DEPOT", "SHOP", ""]).to_owned(),
                quantity: self.units(),
            })
            .collect::<Vec<_>>();
        let sourced = lines.iter().any(|line| line.location_id.is_empty());
        let soft = self.rng.random_bool(0.5);
        let request = pb::HoldStockRequest {
            request_id: self.id(),
            kind: if soft { pb::HoldKind::Soft } else { pb::HoldKind::Hard }.into(),
            allow_partial: self.rng.random_bool(0.3),
            channel_id: if sourced || self.rng.random_bool(0.5) { "WEB" } else { "" }.to_owned(),
            shopper_id: format!("shopper-{}", self.rng.random_range(0..4)),
            network: sourced.then(|| pb::NetworkTerms {
                destination: Some(pb::Destination { coordinates: None, zone_id: "UK".to_owned() }),
                ..Default::default()
            }),
            lines,
            ..Default::default()
        };
        let outcome = self.client.hold_stock(request).await;
        if let Some(answer) = self.note("hold", outcome) {
            self.holds.extend(answer.hold);
        }
    }

    async fn resolve(&mut self) {
        if self.holds.is_empty() {
            return;
        }
        let hold = self.holds.swap_remove(self.rng.random_range(0..self.holds.len()));
        let (request_id, hold_id) = (self.id(), hold.hold_id.clone());
        match self.rng.random_range(0..4) {
            0 => {
                let outcome = self.client.release_hold(pb::ReleaseHoldRequest { request_id, hold_id }).await;
                self.note("release", outcome);
            }
            1 => {
                let request = pb::CommitHoldRequest { request_id, hold_id, ..Default::default() };
                let outcome = self.client.commit_hold(request).await;
                self.note("commit", outcome);
            }
            2 => {
                // A part, of plain lines wherever they are by now.
                let plain = hold.lines.iter().filter(|line| line.kit.is_none() && line.held > 0);
                let lines = plain
                    .take(1)
                    .map(|line| pb::CommitLine { sku: line.sku.clone(), location_id: String::new(), quantity: 1 })
                    .collect();
                let request = pb::CommitHoldRequest { request_id, hold_id, lines, effective_time: None };
                let outcome = self.client.commit_hold(request).await;
                self.note("commit in part", outcome);
            }
            _ => {
                let Some(line) = hold.lines.iter().find(|line| line.held > 0) else { return };
                let target = self.one_of(&PLACES);
                if target == line.location_id {
                    return;
                }
                let moves = vec![pb::HoldMove {
                    sku: line.sku.clone(),
                    source_location_id: line.location_id.clone(),
                    target_location_id: target.to_owned(),
                    quantity: 1,
                }];
                let outcome = self.client.move_hold(pb::MoveHoldRequest { request_id, hold_id, moves }).await;
                if let Some(answer) = self.note("move", outcome) {
                    self.holds.extend(answer.hold);
                }
            }
        }
    }

    async fn goods(&mut self) {
        let (sku, place, units) = (self.one_of(&SKUS), self.one_of(&PLACES), self.units());
        let location_id = place.to_owned();
        match self.rng.random_range(0..4) {
            0 => {
                let lines =
                    vec![pb::StockLine { sku: sku.to_owned(), quantity: units, lots: self.lots_that_come(sku, units) }];
                let request =
                    pb::ReceiveStockRequest { request_id: self.id(), location_id, lines, ..Default::default() };
                let outcome = self.client.receive_stock(request).await;
                self.note("receive", outcome);
            }
            1 => {
                let lots = self.lots_that_go(sku, place, units).await;
                let quantity = if lots.is_empty() { units } else { lots.iter().map(|lot| lot.quantity).sum() };
                let lines = vec![pb::StockLine { sku: sku.to_owned(), quantity, lots }];
                let request =
                    pb::RecordSoldStockRequest { request_id: self.id(), location_id, lines, ..Default::default() };
                let outcome = self.client.record_sold_stock(request).await;
                self.note("sell", outcome);
            }
            2 => {
                let lots = self.lots_that_go(sku, place, units).await;
                let quantity = if lots.is_empty() { units } else { lots.iter().map(|lot| lot.quantity).sum() };
                let (source, target) = (pb::Account::Sellable.into(), pb::Account::Damaged.into());
                let lines = vec![pb::MovementLine { sku: sku.to_owned(), source, target, quantity, lots }];
                let request = pb::PostMovementRequest {
                    request_id: self.id(),
                    location_id,
                    lines,
                    reason_code: "condition_change".to_owned(),
                    ..Default::default()
                };
                let outcome = self.client.post_movement(request).await;
                self.note("damage", outcome);
            }
            _ => {
                let (source, target) = (pb::Account::Consignment.into(), pb::Account::Sellable.into());
                let lines =
                    vec![pb::MovementLine { sku: "V".to_owned(), source, target, quantity: 3, lots: Vec::new() }];
                let request = pb::PostMovementRequest {
                    request_id: self.id(),
                    location_id: "WH".to_owned(),
                    lines,
                    owner_id: "V-1".to_owned(),
                    reason_code: "consignment_in".to_owned(),
                    ..Default::default()
                };
                let outcome = self.client.post_movement(request).await;
                self.note("consign", outcome);
            }
        }
    }

    /// From one place to another; a part is lost, or the whole turns back.
    async fn transfer(&mut self) -> Option<()> {
        let (sku, units) = (self.one_of(&["A", "B", "MILK", "PHONE", "V", "SET"]), self.units());
        let (source, destination) = (self.one_of(&PLACES), self.one_of(&PLACES));
        if source == destination {
            return None;
        }
        let quantities = vec![pb::TransferQuantity { sku: sku.to_owned(), quantity: units }];
        let create = pb::CreateTransferRequest {
            request_id: self.id(),
            source_location_id: source.to_owned(),
            destination_location_id: destination.to_owned(),
            lines: quantities.clone(),
            expected_date: "2031-01-10".to_owned(),
            ..Default::default()
        };
        let outcome = self.client.create_transfer(create).await;
        let transfer_id = self.note("create a transfer", outcome)?.transfer?.transfer_id;
        let named = |caller: &Self| (caller.id(), transfer_id.clone());
        let (request_id, id) = named(self);
        let approve = pb::ApproveTransferRequest { request_id, transfer_id: id, ..Default::default() };
        let outcome = self.client.approve_transfer(approve).await;
        self.note("approve", outcome)?;
        let (request_id, id) = named(self);
        let allocate = pb::AllocateTransferRequest { request_id, transfer_id: id, ..Default::default() };
        let outcome = self.client.allocate_transfer(allocate).await;
        self.note("allocate", outcome)?;
        let (request_id, id) = named(self);
        let ship = pb::ShipTransferRequest { request_id, transfer_id: id, lines: quantities, ..Default::default() };
        let outcome = self.client.ship_transfer(ship).await;
        let sent = self.note("ship", outcome)?.transfer?.lines.into_iter().next()?;
        let mut lots: Vec<pb::LotUnits> =
            sent.lots_in_transit.iter().map(|held| lot(&held.lot, held.quantity, "")).collect();
        if self.rng.random_bool(0.2) {
            let (request_id, transfer_id) = named(self);
            let cancel = pb::CancelTransferRequest { request_id, transfer_id, ..Default::default() };
            let outcome = self.client.cancel_transfer(cancel).await;
            self.note("cancel a transfer", outcome);
            return None;
        }
        let lost_lots: Vec<pb::LotUnits> = lots.pop().into_iter().map(|last| lot(&last.lot, 1, "")).collect();
        if let Some(last) = sent.lots_in_transit.last().filter(|last| last.quantity > 1) {
            lots.push(lot(&last.lot, last.quantity - 1, ""));
        }
        if units > 1 {
            let (request_id, transfer_id) = named(self);
            let lines = vec![pb::TransferArrival {
                sku: sku.to_owned(),
                good: units - 1,
                good_lots: lots,
                ..Default::default()
            }];
            let receive = pb::ReceiveTransferRequest { request_id, transfer_id, lines, ..Default::default() };
            let outcome = self.client.receive_transfer(receive).await;
            self.note("arrive", outcome);
        }
        let (request_id, transfer_id) = named(self);
        let lines = vec![pb::TransferResolution { sku: sku.to_owned(), lost: 1, lost_lots, ..Default::default() }];
        let resolve = pb::ResolveTransferDiscrepancyRequest { request_id, transfer_id, lines, ..Default::default() };
        let outcome = self.client.resolve_transfer_discrepancy(resolve).await;
        self.note("lose", outcome);
        None
    }

    async fn order(&mut self) -> Option<()> {
        let (sku, units) = (self.one_of(&["A", "B", "MILK", "PHONE", "V"]), self.units());
        let order = pb::CreatePurchaseOrderRequest {
            request_id: self.id(),
            supplier: "ACME".to_owned(),
            location_id: self.one_of(&PLACES).to_owned(),
            lines: vec![pb::ExpectedLine {
                sku: sku.to_owned(),
                quantity: units,
                expected_date: "2031-01-10".to_owned(),
            }],
            ..Default::default()
        };
        let outcome = self.client.create_purchase_order(order).await;
        let inbound_id = self.note("order", outcome)?.inbound?.inbound_id;
        let lines = vec![pb::DeliveredLine {
            sku: sku.to_owned(),
            accepted: units,
            accepted_lots: self.lots_that_come(sku, units),
            ..Default::default()
        }];
        let delivery = pb::ReceiveInboundRequest { request_id: self.id(), inbound_id, lines, ..Default::default() };
        let outcome = self.client.receive_inbound(delivery).await;
        self.note("deliver", outcome);
        None
    }

    async fn promise(&mut self) -> Option<()> {
        let request = pb::PromiseStockRequest {
            request_id: self.id(),
            promise_date: "2031-01-12".to_owned(),
            lines: vec![pb::PromiseRequestLine {
                sku: self.one_of(&["A", "B", "V", "MILK"]).to_owned(),
                location_id: self.one_of(&PLACES).to_owned(),
                quantity: self.units(),
            }],
            ..Default::default()
        };
        let outcome = self.client.promise_stock(request).await;
        let promise_id = self.note("promise", outcome)?.promise?.promise_id;
        let request_id = self.id();
        match self.rng.random_range(0..4) {
            0 | 1 => {
                let request = pb::CommitPromiseRequest { request_id, promise_id, ..Default::default() };
                let outcome = self.client.commit_promise(request).await;
                self.note("keep a promise", outcome);
            }
            2 => {
                let request = pb::CancelPromiseRequest { request_id, promise_id, ..Default::default() };
                let outcome = self.client.cancel_promise(request).await;
                self.note("cancel a promise", outcome);
            }
            _ => {}
        }
        None
    }

    async fn count(&mut self) -> Option<()> {
        let sku = self.one_of(&["A", "B", "CAP", "V", "PHONE"]);
        let request = pb::StartCountRequest {
            request_id: self.id(),
            location_id: self.one_of(&PLACES).to_owned(),
            kind: pb::CountKind::Cycle.into(),
            skus: vec![sku.to_owned()],
            ..Default::default()
        };
        let outcome = self.client.start_count(request).await;
        let count_id = self.note("count", outcome)?.count?.count_id;
        let entries = vec![pb::CountEntry { sku: sku.to_owned(), quantity: self.rng.random_range(0..40) }];
        let record =
            pb::RecordCountRequest { request_id: self.id(), count_id: count_id.clone(), entries, ..Default::default() };
        let outcome = self.client.record_count(record).await;
        self.note("record", outcome);
        let (request_id, id) = (self.id(), count_id.clone());
        let approve = pb::ApproveCountRequest { request_id, count_id: id, ..Default::default() };
        let outcome = self.client.approve_count(approve).await;
        self.note("approve a count", outcome);
        let post = pb::PostCountRequest { request_id: self.id(), count_id: count_id.clone(), ..Default::default() };
        let outcome = self.client.post_count(post).await;
        if self.note("post", outcome).is_none() {
            let cancel = pb::CancelCountRequest { request_id: self.id(), count_id, ..Default::default() };
            let outcome = self.client.cancel_count(cancel).await;
            self.note("cancel a count", outcome);
        }
        None
    }

    async fn rule(&mut self, shelf: &Shelf) {
        let (place, units) = (self.one_of(&PLACES), self.units());
        match self.rng.random_range(0..4) {
            0 => {
                let policy = pb::StockPolicy { safety_stock: units, ..stock_policy(self.one_of(&SKUS), place) };
                let outcome = self.client.set_stock_policies(set_stock(shelf, vec![policy])).await;
                self.note("set a policy", outcome);
            }
            1 => {
                let outcome = self.client.set_ring_fences(set_fence(shelf, fence("A", "WEB", units))).await;
                self.note("set a fence", outcome);
            }
            2 => {
                let parts = [("B", units), ("MILK", 1)];
                let outcome = self.client.set_kits(set_kits(shelf, vec![kit("SET", &parts)])).await;
                self.note("set a kit", outcome);
            }
            _ => {
                let row = pb::AdjustStockRow {
                    sku: self.one_of(&SKUS).to_owned(),
                    location_id: place.to_owned(),
                    delta: units,
                    bucket: 0,
                };
                let request = pb::BatchAdjustStockRequest {
                    request_id: self.id(),
                    rows: vec![row],
                    reason_code: "adjust_found".to_owned(),
                    ..Default::default()
                };
                let outcome = self.client.batch_adjust_stock(request).await;
                self.note("adjust in bulk", outcome);
            }
        }
    }

    async fn act(&mut self, shelf: &Shelf) {
        match self.rng.random_range(0..20) {
            0..7 => self.hold().await,
            7..11 => self.resolve().await,
            11..14 => self.goods().await,
            14 | 15 => drop(self.transfer().await),
            16 => drop(self.order().await),
            17 => drop(self.promise().await),
            18 => drop(self.count().await),
            _ => self.rule(shelf).await,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_meets_whatever_is_granted_or_refused_and_every_book_balances() {
    let shelf = opened().await;
    let callers = (0..CALLERS).map(|name| {
        let mut caller = Caller {
            client: shelf.client.clone(),
            clock: shelf.clock.clone(),
            rng: StdRng::seed_from_u64(name),
            name,
            serials: 0,
            holds: Vec::new(),
            tally: Tally::default(),
        };
        let shelf = &shelf;
        async move {
            for _ in 0..ACTS {
                caller.act(shelf).await;
            }
            caller.tally
        }
    });
    let mut granted = BTreeMap::<&str, usize>::new();
    let mut refused = BTreeSet::new();
    for tally in join_all(callers).await {
        for (what, times) in tally.granted {
            *granted.entry(what).or_default() += times;
        }
        refused.extend(tally.refused);
    }
    // Each kind of request was granted at least once, or the test proves little.
    let kinds = 25;
    assert!(granted.len() >= kinds, "only {}: {granted:?}; refused: {refused:?}", granted.len());
    shelf.verify().await;
    let drift = pb::ListDriftRequest::default();
    let found = shelf.client.clone().list_drift(drift).await.unwrap().into_inner().findings;
    assert_eq!(found, [], "nor did the reconciler find anything");
}
