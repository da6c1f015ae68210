//! What channels are told: on crossings only, once for each, whatever made it.

use std::time::Duration;

use oneshelf_inventory::events;
use oneshelf_kit::{outbox, schema::Schema};
use oneshelf_proto::inventory::v1 as pb;
use oneshelf_testkit::wait_for;
use prost::Message as _;
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::{
    channel_changed::register,
    policies::{fence, set_fence, set_sku, set_stock, stock_policy},
    support::{Shelf, reason, stock_lines},
};

pub fn set_thresholds(shelf: &Shelf, lines: &[(&str, &str, i64)]) -> pb::SetStockThresholdsRequest {
    pb::SetStockThresholdsRequest {
        request_id: shelf.id(),
        lines: lines
            .iter()
            .map(|(sku, channel, low_threshold)| pb::StockThresholdLine {
                threshold: Some(pb::StockThreshold {
                    sku: (*sku).to_owned(),
                    channel_id: (*channel).to_owned(),
                    low_threshold: *low_threshold,
                    ..Default::default()
                }),
                expected_version: 0,
            })
            .collect(),
    }
}

const KINDS: [(&str, &str); 4] = [
    (events::STOCK_RAN_LOW, "low"),
    (events::STOCK_RAN_OUT, "out"),
    (events::STOCK_CAME_BACK, "back"),
    (events::STOCK_RECOVERED, "recovered"),
];

impl Shelf {
    /// What was told of a SKU and channel, such as `A/WEB`: what, the figure before and after. Numbers are gap-free.
    async fn told(&self, about: &str) -> Vec<(&'static str, i64, i64)> {
        let told = outbox::read_all(self.db.pool(), Schema::new("inventory")).await.unwrap();
        let mut crossings: Vec<(i64, (&str, i64, i64))> = told
            .iter()
            .filter(|told| told.event.aggregate_id == about)
            .map(|told| {
                let kind = KINDS.iter().find(|(key, _)| *key == told.routing_key).expect("a crossing").1;
                // The four have one form.
                let crossing = pb::StockRanLow::decode(&told.event.payload[..]).unwrap().crossing.unwrap();
                assert_eq!(crossing.number, told.event.aggregate_version);
                (crossing.number, (kind, crossing.available_before, crossing.available))
            })
            .collect();
        crossings.sort_by_key(|(number, _)| *number);
        let numbers: Vec<i64> = crossings.iter().map(|(number, _)| *number).collect();
        assert_eq!(numbers, (1..=numbers.len() as i64).collect::<Vec<_>>(), "each number once");
        crossings.into_iter().map(|(_, told)| told).collect()
    }

    /// Until so much was told of `A/WEB`.
    async fn wait_to_tell(&self, count: usize) {
        let told = async || (self.told("A/WEB").await.len() >= count).then_some(());
        wait_for("crossing", Duration::from_secs(10), told).await;
    }

    /// Units of A in the shop, by the way of bulk changes.
    fn adjust_by(&self, delta: i64) -> impl Future<Output = Result<(), tonic::Status>> + use<> {
        let row =
            pb::AdjustStockRow { sku: "A".to_owned(), location_id: "SHOP".to_owned(), delta, ..Default::default() };
        let request = pb::BatchAdjustStockRequest {
            request_id: self.id(),
            rows: vec![row],
            reason_code: "adjust_count".to_owned(),
            ..Default::default()
        };
        let mut client = self.client.clone();
        async move { client.batch_adjust_stock(request).await.map(drop) }
    }

    async fn sell(&mut self, location_id: &str, quantity: i64) -> Result<(), tonic::Status> {
        let request = pb::RecordSoldStockRequest {
            request_id: self.id(),
            location_id: location_id.to_owned(),
            lines: stock_lines(&[("A", quantity)]),
            ..Default::default()
        };
        self.client.record_sold_stock(request).await.map(drop)
    }
}

async fn watched(low_threshold: i64) -> Shelf {
    let mut shelf = Shelf::stocked().await;
    register(&shelf, "WEB", &["WH", "SHOP"], 1).await;
    register(&shelf, "TILL", &["SHOP"], 1).await;
    let request = set_thresholds(&shelf, &[("A", "WEB", low_threshold)]);
    let set = shelf.client.set_stock_thresholds(request).await.unwrap().into_inner().thresholds;
    assert_eq!((set[0].available, set[0].band(), set[0].crossings), (10, pb::AvailabilityBand::InStock, 0));
    shelf
}

#[tokio::test]
async fn set_stock_thresholds_tells_of_crossings_and_of_nothing_else() {
    let mut shelf = watched(4).await;
    let hold = shelf.held(shelf.hold(&[("A", 5)])).await;
    assert_eq!(shelf.told("A/WEB").await, [], "five left: still in stock");
    let low = shelf.held(shelf.hold(&[("A", 2)])).await;
    shelf.held(shelf.hold(&[("A", 1)])).await;
    assert_eq!(shelf.told("A/WEB").await, [("low", 5, 3)], "lower is not told again");
    shelf.held(shelf.hold(&[("A", 2)])).await;
    let refused = shelf.client.hold_stock(shelf.hold(&[("A", 1)])).await.unwrap_err();
    assert_eq!(reason(&refused), "INSUFFICIENT_STOCK");
    // The shop counts as well, and a repeated request does not.
    let receipt = shelf.receipt("SHOP", &[("A", 1)]);
    for _ in 0..2 {
        shelf.client.receive_stock(receipt.clone()).await.unwrap();
    }
    let release = pb::ReleaseHoldRequest { request_id: shelf.id(), hold_id: hold.hold_id };
    for _ in 0..2 {
        shelf.client.release_hold(release.clone()).await.unwrap();
    }
    let expected = [("low", 5, 3), ("out", 2, 0), ("back", 0, 1), ("recovered", 1, 6)];
    assert_eq!(shelf.told("A/WEB").await, expected);
    // What is committed was not available before.
    let commit = pb::CommitHoldRequest { request_id: shelf.id(), hold_id: low.hold_id, ..Default::default() };
    shelf.client.commit_hold(commit).await.unwrap();
    assert_eq!(shelf.told("A/WEB").await, expected);
    let listed = pb::ListStockThresholdsRequest { channel_id: "WEB".to_owned(), ..Default::default() };
    let listed = shelf.client.list_stock_thresholds(listed).await.unwrap().into_inner().thresholds;
    assert_eq!((listed[0].available, listed[0].band(), listed[0].crossings), (6, pb::AvailabilityBand::InStock, 4));
    shelf.verify().await;
}

#[tokio::test]
async fn policies_fences_bulk_and_locations_cross_as_well() {
    let mut shelf = watched(4).await;
    let policy = pb::StockPolicy { safety_stock: 7, ..stock_policy("A", "WH") };
    shelf.client.set_stock_policies(set_stock(&shelf, vec![policy])).await.unwrap();
    shelf.client.set_stock_policies(set_stock(&shelf, vec![stock_policy("A", "WH")])).await.unwrap();
    let network = pb::SkuPolicy { sku: "A".to_owned(), network_threshold: 10, ..Default::default() };
    shelf.client.set_sku_policies(set_sku(&shelf, network)).await.unwrap();
    let open = pb::SkuPolicy { sku: "A".to_owned(), ..Default::default() };
    shelf.client.set_sku_policies(set_sku(&shelf, open)).await.unwrap();
    let seen = [("low", 10, 3), ("recovered", 3, 10), ("out", 10, 0), ("back", 0, 10)];
    assert_eq!(shelf.told("A/WEB").await, seen);

    // Time ends a fence: told once, when it is announced.
    let until = shelf.clock.now() + chrono::TimeDelta::seconds(60);
    let release_time = Some(prost_types::Timestamp { seconds: until.timestamp(), nanos: 0 });
    let kept = pb::RingFence { release_time, ..fence("A", "TILL", 8) };
    shelf.client.set_ring_fences(set_fence(&shelf, kept)).await.unwrap();
    assert_eq!(shelf.told("A/WEB").await[4..], [("low", 10, 2)]);
    shelf.clock.advance(Duration::from_secs(61));
    shelf.wait_to_tell(6).await;
    assert_eq!(shelf.told("A/WEB").await[5], ("recovered", 2, 10));

    let row = pb::SetStockRow { sku: "A".to_owned(), location_id: "WH".to_owned(), quantity: 4, ..Default::default() };
    let bulk = pb::SetStockRequest { request_id: shelf.id(), rows: vec![row], ..Default::default() };
    shelf.client.set_stock(bulk).await.unwrap();
    assert_eq!(shelf.told("A/WEB").await[6..], [("low", 10, 4)]);
    let away = pb::DeactivateLocationRequest { request_id: shelf.id(), location_id: "WH".to_owned() };
    shelf.client.deactivate_location(away).await.unwrap();
    assert_eq!(shelf.told("A/WEB").await[7..], [("out", 4, 0)]);
    let back = pb::ActivateLocationRequest { request_id: shelf.id(), location_id: "WH".to_owned() };
    shelf.client.activate_location(back).await.unwrap();
    assert_eq!(shelf.told("A/WEB").await[8..], [("back", 0, 4)]);
    shelf.verify().await;
}

#[tokio::test]
async fn a_threshold_that_is_moved_crosses_and_one_that_ended_is_silent() {
    let mut shelf = watched(4).await;
    let request = set_thresholds(&shelf, &[("A", "WEB", 12), ("A", "TILL", 3)]);
    let set = shelf.client.set_stock_thresholds(request.clone()).await.unwrap().into_inner().thresholds;
    assert_eq!(
        (set[0].band(), set[1].band(), set[1].available),
        (pb::AvailabilityBand::Low, pb::AvailabilityBand::Out, 0)
    );
    assert_eq!(shelf.client.set_stock_thresholds(request).await.unwrap().into_inner().thresholds, set);
    assert_eq!((shelf.told("A/WEB").await, shelf.told("A/TILL").await), (vec![("low", 10, 10)], vec![]));
    let mut end = set_thresholds(&shelf, &[("A", "WEB", 12)]);
    end.lines[0].threshold.as_mut().unwrap().ended = true;
    shelf.client.set_stock_thresholds(end).await.unwrap();
    shelf.receive("SHOP", &[("A", 9)]).await;
    assert_eq!((shelf.told("A/WEB").await.len(), shelf.told("A/TILL").await), (1, vec![("back", 0, 9)]));
    shelf.receive("SHOP", &[("A", 1)]).await;
    let again = set_thresholds(&shelf, &[("A", "WEB", 12)]);
    let again = shelf.client.set_stock_thresholds(again).await.unwrap().into_inner().thresholds;
    assert_eq!((again[0].available, again[0].band()), (20, pb::AvailabilityBand::InStock), "counted anew");
    shelf.sell("SHOP", 9).await.unwrap();
    assert_eq!(shelf.told("A/WEB").await, [("low", 10, 10), ("low", 20, 11)], "numbers go on");

    let unknown = set_thresholds(&shelf, &[("A", "WEB", 1), ("A", "NO", 1)]);
    let unknown = shelf.client.set_stock_thresholds(unknown).await.unwrap_err();
    assert_eq!((unknown.code(), reason(&unknown).as_str()), (Code::NotFound, "CHANNEL_NOT_FOUND"));
    let mut stale = set_thresholds(&shelf, &[("A", "WEB", 1)]);
    stale.lines[0].expected_version = 1;
    let stale = shelf.client.set_stock_thresholds(stale).await.unwrap_err();
    assert_eq!(stale.get_details_error_info().unwrap().metadata["found"], "4");
    let mut bound = shelf.client_for(&["inventory:*"], Some("TILL")).await;
    let foreign = bound.set_stock_thresholds(set_thresholds(&shelf, &[("A", "WEB", 1)])).await.unwrap_err();
    assert_eq!((foreign.code(), reason(&foreign).as_str()), (Code::PermissionDenied, "OUT_OF_SCOPE"));
    let foreign = bound.list_stock_thresholds(pb::ListStockThresholdsRequest::default()).await.unwrap_err();
    assert_eq!(reason(&foreign), "OUT_OF_SCOPE");
    shelf.verify().await;
}

#[tokio::test]
async fn list_stock_thresholds_follows_channels_that_sell_from_elsewhere() {
    let mut shelf = watched(4).await;
    shelf.receive("SHOP", &[("A", 2)]).await;
    register(&shelf, "WEB", &["SHOP"], 2).await;
    shelf.wait_to_tell(1).await;
    assert_eq!(shelf.told("A/WEB").await, [("low", 12, 2)]);
    let one = pb::ListStockThresholdsRequest { page_size: 1, ..Default::default() };
    let page = shelf.client.list_stock_thresholds(one).await.unwrap().into_inner();
    assert_eq!((page.thresholds[0].available, page.next_page_token.as_str()), (2, "A\tWEB"));
    shelf.verify().await;
}

/// Changes at two locations at once know nothing of each other's levels, and yet one of them is the last. What the till
/// sells goes through the groups, the others beside them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_of_many_at_once_tells_it_once() {
    let mut shelf = watched(4).await;
    shelf.receive("SHOP", &[("A", 10)]).await;
    for round in 1..=3 {
        let sales = (0..10).map(|_| {
            let request = pb::RecordSoldStockRequest {
                request_id: shelf.id(),
                location_id: "WH".to_owned(),
                lines: stock_lines(&[("A", 1)]),
                ..Default::default()
            };
            let mut client = shelf.client.clone();
            async move { client.record_sold_stock(request).await.map(drop) }
        });
        let losses = (0..10).map(|_| shelf.adjust_by(-1));
        let (sold, lost) =
            futures::future::join(futures::future::join_all(sales), futures::future::join_all(losses)).await;
        assert!(sold.into_iter().chain(lost).all(|outcome| outcome.is_ok()));
        let told = shelf.told("A/WEB").await;
        let outs = told.iter().filter(|(kind, ..)| *kind == "out").count();
        assert_eq!((outs, told.last().unwrap().0), (round, "out"), "{told:?}");
        shelf.verify().await;
        let receipt = shelf.receipt("WH", &[("A", 10)]);
        let mut client = shelf.client.clone();
        let received = async move { client.receive_stock(receipt).await.map(drop) };
        let (received, found) = futures::future::join(received, shelf.adjust_by(10)).await;
        assert!(received.is_ok() && found.is_ok());
        let told = shelf.told("A/WEB").await;
        assert_eq!(told.iter().filter(|(kind, ..)| *kind == "back").count(), round, "{told:?}");
    }
    shelf.verify().await;
}

#[tokio::test]
async fn verify_finds_figures_that_were_not_counted() {
    let shelf = watched(4).await;
    for (spoil, id, offender) in [
        ("UPDATE inventory.stock_thresholds SET total = 11, available = 11", "TH1", "A for WEB"),
        ("UPDATE inventory.stock_thresholds SET total = 10, available = 10, band = 'low'", "TH1", "A for WEB"),
        ("UPDATE inventory.stock_threshold_parts SET available = 9", "TH2", "A at WH for WEB"),
        ("UPDATE inventory.stock_levels SET has_rules = FALSE", "TH2", "A at WH for WEB"),
    ] {
        sqlx::query(spoil).execute(shelf.db.pool()).await.unwrap();
        let checks = oneshelf_inventory::verify::verify(shelf.db.pool()).await.unwrap();
        let check = checks.iter().find(|check| check.id == id && check.violations > 0).expect(spoil);
        assert_eq!(check.offenders, [offender], "{spoil}");
    }
}
