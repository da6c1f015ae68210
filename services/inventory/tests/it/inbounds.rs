use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    process::Command,
};

use futures::stream::{self, StreamExt};
use oneshelf_proto::inventory::v1 as pb;
use tonic::Code;

use crate::support::{Shelf, fields, reason};

fn expected(lines: &[(&str, i64, &str)]) -> Vec<pb::ExpectedLine> {
    lines
        .iter()
        .map(|(sku, quantity, day)| pb::ExpectedLine {
            sku: (*sku).to_owned(),
            quantity: *quantity,
            expected_date: (*day).to_owned(),
        })
        .collect()
}

/// Accepted, quarantined, returned.
fn delivered(lines: &[(&str, i64, i64, i64)]) -> Vec<pb::DeliveredLine> {
    lines
        .iter()
        .map(|(sku, accepted, quarantined, returned)| pb::DeliveredLine {
            sku: (*sku).to_owned(),
            accepted: *accepted,
            quarantined: *quarantined,
            returned: *returned,
            ..Default::default()
        })
        .collect()
}

impl Shelf {
    pub fn order(&self, lines: &[(&str, i64, &str)]) -> pb::CreatePurchaseOrderRequest {
        pb::CreatePurchaseOrderRequest {
            request_id: self.id(),
            supplier: "ACME".to_owned(),
            location_id: "WH".to_owned(),
            lines: expected(lines),
            reference: "PO 7".to_owned(),
            ..Default::default()
        }
    }

    pub async fn ordered(&mut self, lines: &[(&str, i64, &str)]) -> String {
        let request = self.order(lines);
        self.client.create_purchase_order(request).await.unwrap().into_inner().inbound.unwrap().inbound_id
    }

    fn notice(&self, order_id: &str, lines: &[(&str, i64, &str)]) -> pb::CreateAsnRequest {
        pb::CreateAsnRequest {
            request_id: self.id(),
            purchase_order_id: order_id.to_owned(),
            supplier: "ACME".to_owned(),
            location_id: "WH".to_owned(),
            lines: expected(lines),
            ..Default::default()
        }
    }

    pub fn delivery(&self, inbound_id: &str, lines: &[(&str, i64, i64, i64)]) -> pb::ReceiveInboundRequest {
        pb::ReceiveInboundRequest {
            request_id: self.id(),
            inbound_id: inbound_id.to_owned(),
            lines: delivered(lines),
            ..Default::default()
        }
    }

    fn amendment(&self, inbound_id: &str, lines: &[(&str, i64, &str)]) -> pb::AmendPurchaseOrderRequest {
        pb::AmendPurchaseOrderRequest {
            request_id: self.id(),
            inbound_id: inbound_id.to_owned(),
            expected_version: 0,
            lines: expected(lines),
        }
    }

    fn order_cancellation(&self, inbound_id: &str) -> pb::CancelPurchaseOrderRequest {
        pb::CancelPurchaseOrderRequest {
            request_id: self.id(),
            inbound_id: inbound_id.to_owned(),
            ..Default::default()
        }
    }

    pub fn closing(&self, inbound_id: &str) -> pb::CloseInboundRequest {
        pb::CloseInboundRequest { request_id: self.id(), inbound_id: inbound_id.to_owned(), ..Default::default() }
    }

    /// What is due of all SKUs: SKU, day, quantity.
    async fn due(&mut self) -> Vec<(String, String, i64)> {
        let due = self.client.list_inbound_due(pb::ListInboundDueRequest::default()).await.unwrap().into_inner().due;
        due.into_iter().map(|due| (due.sku, due.expected_date, due.quantity)).collect()
    }
}

fn due(lines: &[(&str, &str, i64)]) -> Vec<(String, String, i64)> {
    lines.iter().map(|(sku, day, quantity)| ((*sku).to_owned(), (*day).to_owned(), *quantity)).collect()
}

#[tokio::test]
async fn create_purchase_order_says_what_is_due() {
    let mut shelf = Shelf::open().await;
    let request = shelf.order(&[("A", 10, "2031-01-10"), ("B", 5, "2031-01-12")]);
    let first = shelf.client.create_purchase_order(request.clone()).await.unwrap().into_inner();
    let order = first.inbound.clone().unwrap();
    assert_eq!((order.inbound_id.as_str(), order.version), (request.request_id.as_str(), 1));
    assert_eq!((order.state(), order.kind()), (pb::InboundState::Open, pb::InboundKind::PurchaseOrder));
    assert_eq!(shelf.client.create_purchase_order(request.clone()).await.unwrap().into_inner(), first);
    assert_eq!(shelf.due().await, due(&[("A", "2031-01-10", 10), ("B", "2031-01-12", 5)]));
    let reused = pb::CreatePurchaseOrderRequest { supplier: "OTHER".to_owned(), ..request };
    assert_eq!(reason(&shelf.client.create_purchase_order(reused).await.unwrap_err()), "REQUEST_ID_REUSED");

    let before = shelf.rows().await;
    let good = shelf.order(&[("A", 10, "2031-01-10")]);
    let nowhere = pb::CreatePurchaseOrderRequest { location_id: "NOWHERE".to_owned(), ..good.clone() };
    let nowhere = shelf.client.create_purchase_order(nowhere).await.unwrap_err();
    assert_eq!((nowhere.code(), reason(&nowhere).as_str()), (Code::NotFound, "LOCATION_NOT_FOUND"));
    let bad = pb::CreatePurchaseOrderRequest {
        supplier: " ".to_owned(),
        lines: expected(&[("A", 0, "2031-01-10"), ("B", 1, ""), ("C", 1, "2031-01-01"), ("c", 1, "2031-01-01")]),
        over_tolerance_percent: 101,
        ..good
    };
    assert_eq!(
        fields(&shelf.client.create_purchase_order(bad).await.unwrap_err()),
        ["supplier", "lines[0].quantity", "lines[1].expected_date", "lines", "over_tolerance_percent"]
    );
    assert_eq!(shelf.rows().await, before);
}

#[tokio::test]
async fn amend_purchase_order_moves_what_is_due_but_not_below_what_came() {
    let mut shelf = Shelf::open().await;
    let id = shelf.ordered(&[("A", 10, "2031-01-10")]).await;
    let part = shelf.delivery(&id, &[("A", 4, 0, 0)]);
    shelf.client.receive_inbound(part).await.unwrap();
    let low = shelf.amendment(&id, &[("A", 3, "2031-01-11")]);
    let refused = shelf.client.amend_purchase_order(low).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "BELOW_RECEIVED"));
    let amend = shelf.amendment(&id, &[("A", 8, "2031-01-11"), ("B", 2, "2031-01-12")]);
    let first = shelf.client.amend_purchase_order(amend.clone()).await.unwrap().into_inner();
    assert_eq!(shelf.client.amend_purchase_order(amend).await.unwrap().into_inner(), first);
    assert_eq!(shelf.due().await, due(&[("A", "2031-01-11", 4), ("B", "2031-01-12", 2)]));
    let cut = shelf.amendment(&id, &[("A", 4, "2031-01-11"), ("B", 0, "2031-01-12")]);
    let cut = shelf.client.amend_purchase_order(cut).await.unwrap().into_inner().inbound.unwrap();
    assert_eq!((cut.state(), shelf.due().await), (pb::InboundState::Complete, vec![]));
    let stale =
        pb::AmendPurchaseOrderRequest { expected_version: 1, ..shelf.amendment(&id, &[("A", 9, "2031-01-11")]) };
    assert_eq!(reason(&shelf.client.amend_purchase_order(stale).await.unwrap_err()), "VERSION_MISMATCH");
    let bad = shelf.amendment("x", &[]);
    assert_eq!(fields(&shelf.client.amend_purchase_order(bad).await.unwrap_err()), ["lines", "inbound_id"]);
    shelf.verify().await;
}

#[tokio::test]
async fn cancel_purchase_order_is_for_one_of_which_nothing_came() {
    let mut shelf = Shelf::open().await;
    let id = shelf.ordered(&[("A", 10, "2031-01-10")]).await;
    let notice = shelf.notice(&id, &[("A", 4, "2031-01-09")]);
    let notice = shelf.client.create_asn(notice).await.unwrap().into_inner().inbound.unwrap().inbound_id;
    let cancel = shelf.order_cancellation(&id);
    assert_eq!(reason(&shelf.client.cancel_purchase_order(cancel).await.unwrap_err()), "DOCUMENT_STATE");
    let close = shelf.closing(&notice);
    shelf.client.close_inbound(close).await.unwrap();
    let cancel = shelf.order_cancellation(&id);
    let first = shelf.client.cancel_purchase_order(cancel.clone()).await.unwrap().into_inner();
    assert_eq!(first.inbound.as_ref().unwrap().state(), pb::InboundState::Cancelled);
    assert_eq!(shelf.client.cancel_purchase_order(cancel).await.unwrap().into_inner(), first);
    assert_eq!(shelf.due().await, []);
    let late = shelf.delivery(&id, &[("A", 1, 0, 0)]);
    assert_eq!(reason(&shelf.client.receive_inbound(late).await.unwrap_err()), "DOCUMENT_STATE");
    let nobody = shelf.id();
    let nobody = shelf.order_cancellation(&nobody);
    assert_eq!(reason(&shelf.client.cancel_purchase_order(nobody).await.unwrap_err()), "DOCUMENT_NOT_FOUND");
    let bad = shelf.order_cancellation("x");
    assert_eq!(fields(&shelf.client.cancel_purchase_order(bad).await.unwrap_err()), ["inbound_id"]);
    shelf.verify().await;
}

#[tokio::test]
async fn create_asn_is_due_on_its_own_day_and_counts_once() {
    let mut shelf = Shelf::open().await;
    let id = shelf.ordered(&[("A", 10, "2031-01-10")]).await;
    let request = shelf.notice(&id, &[("A", 6, "2031-01-08")]);
    let first = shelf.client.create_asn(request.clone()).await.unwrap().into_inner();
    assert_eq!(shelf.client.create_asn(request).await.unwrap().into_inner(), first);
    assert_eq!(shelf.due().await, due(&[("A", "2031-01-08", 6), ("A", "2031-01-10", 4)]));
    let notice = first.inbound.unwrap().inbound_id;

    let part = shelf.delivery(&notice, &[("A", 2, 0, 0)]);
    shelf.client.receive_inbound(part).await.unwrap();
    assert_eq!(shelf.due().await, due(&[("A", "2031-01-08", 4), ("A", "2031-01-10", 4)]));
    shelf.verify().await;
    let close = shelf.closing(&notice);
    let first = shelf.client.close_inbound(close.clone()).await.unwrap().into_inner();
    assert_eq!(shelf.client.close_inbound(close).await.unwrap().into_inner(), first);
    assert_eq!(shelf.due().await, due(&[("A", "2031-01-10", 8)]), "what did not come is due on the order again");

    let unlisted = shelf.notice(&id, &[("B", 1, "2031-01-08")]);
    let refused = shelf.client.create_asn(unlisted).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "LINE_NOT_FOUND"));
    let elsewhere =
        pb::CreateAsnRequest { location_id: "SHOP".to_owned(), ..shelf.notice(&id, &[("A", 1, "2031-01-08")]) };
    assert_eq!(reason(&shelf.client.create_asn(elsewhere).await.unwrap_err()), "OTHER_LOCATION");
    let nobody = shelf.id();
    let nobody = shelf.notice(&nobody, &[("A", 1, "2031-01-08")]);
    assert_eq!(reason(&shelf.client.create_asn(nobody).await.unwrap_err()), "DOCUMENT_NOT_FOUND");
    let same = pb::CreateAsnRequest { request_id: id.clone(), ..shelf.notice("", &[("Z", 3, "2031-01-08")]) };
    assert_eq!(reason(&shelf.client.create_asn(same).await.unwrap_err()), "REQUEST_ID_REUSED", "the order has that id");
    let alone = shelf.notice("", &[("Z", 3, "2031-01-08")]);
    shelf.client.create_asn(alone).await.unwrap();
    assert_eq!(shelf.due().await, due(&[("A", "2031-01-10", 8), ("Z", "2031-01-08", 3)]));
    let bad = shelf.notice("x", &[]);
    assert_eq!(fields(&shelf.client.create_asn(bad).await.unwrap_err()), ["purchase_order_id", "lines"]);
    shelf.verify().await;
}

#[tokio::test]
async fn receive_inbound_books_parts_and_rejects_and_refuses_too_much() {
    let mut shelf = Shelf::open().await;
    let request =
        pb::CreatePurchaseOrderRequest { over_tolerance_percent: 10, ..shelf.order(&[("A", 20, "2031-01-10")]) };
    let id = shelf.client.create_purchase_order(request).await.unwrap().into_inner().inbound.unwrap().inbound_id;
    let part = shelf.delivery(&id, &[("A", 10, 3, 2)]);
    let first = shelf.client.receive_inbound(part.clone()).await.unwrap().into_inner();
    let line = first.inbound.as_ref().unwrap().lines[0].clone();
    assert_eq!((line.received, line.stocked, line.quarantined, line.returned, line.due), (15, 10, 3, 2, 5));
    assert_eq!(first.inbound.as_ref().unwrap().state(), pb::InboundState::Receiving);
    assert_eq!(shelf.client.receive_inbound(part).await.unwrap().into_inner(), first);
    assert_eq!(shelf.level("A").await, (10, 0, 10));

    let over = shelf.delivery(&id, &[("A", 8, 0, 0)]);
    let refused = shelf.client.receive_inbound(over).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "OVER_RECEIPT"));
    let within = shelf.delivery(&id, &[("A", 7, 0, 0)]);
    let complete = shelf.client.receive_inbound(within).await.unwrap().into_inner().inbound.unwrap();
    assert_eq!((complete.state(), complete.lines[0].due), (pb::InboundState::Complete, 0));
    let unlisted = shelf.delivery(&id, &[("X", 1, 0, 0)]);
    assert_eq!(reason(&shelf.client.receive_inbound(unlisted).await.unwrap_err()), "LINE_NOT_FOUND");

    let open = pb::CreatePurchaseOrderRequest { accept_unlisted: true, ..shelf.order(&[("B", 5, "2031-01-10")]) };
    let open = shelf.client.create_purchase_order(open).await.unwrap().into_inner().inbound.unwrap().inbound_id;
    let unlisted = shelf.delivery(&open, &[("X", 3, 0, 1)]);
    let taken = shelf.client.receive_inbound(unlisted).await.unwrap().into_inner().inbound.unwrap();
    let line = &taken.lines[1];
    assert_eq!((line.expected, line.stocked, line.quarantined, line.returned), (0, 0, 3, 1));
    assert_eq!(shelf.level("X").await, (0, 0, 0), "nothing that nobody ordered is sellable");

    let bad = pb::ReceiveInboundRequest {
        lines: delivered(&[("A", -1, 0, 0), ("B", 0, 0, 0), ("C", 1, 0, 0), ("c", 1, 0, 0)]),
        ..shelf.delivery("x", &[])
    };
    assert_eq!(
        fields(&shelf.client.receive_inbound(bad).await.unwrap_err()),
        ["lines[0].accepted", "lines[1]", "lines", "inbound_id"]
    );
    shelf.verify().await;
}

#[tokio::test]
async fn a_receipt_on_a_notice_is_held_to_the_order_behind_it() {
    let mut shelf = Shelf::open().await;
    let id = shelf.ordered(&[("A", 10, "2031-01-10")]).await;
    let notice = shelf.notice(&id, &[("A", 6, "2031-01-08")]);
    let notice = shelf.client.create_asn(notice).await.unwrap().into_inner().inbound.unwrap().inbound_id;
    let more = shelf.delivery(&notice, &[("A", 8, 0, 0)]);
    let more = shelf.client.receive_inbound(more).await.unwrap().into_inner().inbound.unwrap();
    assert_eq!(more.state(), pb::InboundState::Complete, "more than announced, not more than ordered");
    assert_eq!(shelf.due().await, due(&[("A", "2031-01-10", 2)]));
    let over = shelf.delivery(&notice, &[("A", 3, 0, 0)]);
    assert_eq!(reason(&shelf.client.receive_inbound(over).await.unwrap_err()), "OVER_RECEIPT");
    let get = pb::GetInboundRequest { inbound_id: id };
    let order = shelf.client.get_inbound(get).await.unwrap().into_inner().inbound.unwrap();
    assert_eq!((order.state(), order.lines[0].received), (pb::InboundState::Receiving, 8));
    shelf.verify().await;
}

#[tokio::test]
async fn close_inbound_expects_no_more() {
    let mut shelf = Shelf::open().await;
    let id = shelf.ordered(&[("A", 10, "2031-01-10")]).await;
    let notice = shelf.notice(&id, &[("A", 6, "2031-01-08")]);
    let notice = shelf.client.create_asn(notice).await.unwrap().into_inner().inbound.unwrap().inbound_id;
    let early = shelf.closing(&id);
    assert_eq!(reason(&shelf.client.close_inbound(early).await.unwrap_err()), "DOCUMENT_STATE");
    let all = shelf.delivery(&notice, &[("A", 6, 0, 0)]);
    shelf.client.receive_inbound(all).await.unwrap();
    let close = shelf.closing(&id);
    let closed = shelf.client.close_inbound(close).await.unwrap().into_inner().inbound.unwrap();
    assert_eq!((closed.state(), closed.lines[0].received, closed.lines[0].due), (pb::InboundState::Closed, 6, 0));
    assert_eq!(shelf.due().await, []);
    let close = shelf.closing(&notice);
    shelf.client.close_inbound(close).await.unwrap();
    let get = pb::GetInboundRequest { inbound_id: id.clone() };
    let order = shelf.client.get_inbound(get).await.unwrap().into_inner().inbound.unwrap();
    assert_eq!(order.state(), pb::InboundState::Closed, "closing its notice does not open it again");
    let again = shelf.closing(&id);
    assert_eq!(reason(&shelf.client.close_inbound(again).await.unwrap_err()), "DOCUMENT_STATE");
    let bad = shelf.closing("x");
    assert_eq!(fields(&shelf.client.close_inbound(bad).await.unwrap_err()), ["inbound_id"]);
    shelf.verify().await;
}

#[tokio::test]
async fn get_inbound_and_list_inbounds_and_list_inbound_due_read_what_there_is() {
    let mut shelf = Shelf::open().await;
    let id = shelf.ordered(&[("A", 10, "2031-01-10"), ("B", 10, "2031-01-11")]).await;
    shelf.clock.advance(std::time::Duration::from_secs(1));
    let notice = shelf.notice(&id, &[("A", 6, "2031-01-08")]);
    let notice = shelf.client.create_asn(notice).await.unwrap().into_inner().inbound.unwrap();
    let get = |inbound_id: &str| pb::GetInboundRequest { inbound_id: inbound_id.to_owned() };
    let read = shelf.client.get_inbound(get(&notice.inbound_id)).await.unwrap().into_inner().inbound.unwrap();
    assert_eq!(read, notice);
    let nobody = shelf.id();
    assert_eq!(reason(&shelf.client.get_inbound(get(&nobody)).await.unwrap_err()), "DOCUMENT_NOT_FOUND");
    assert_eq!(fields(&shelf.client.get_inbound(get("x")).await.unwrap_err()), ["inbound_id"]);

    let all = pb::ListInboundsRequest { page_size: 1, location_id: "WH".to_owned(), ..Default::default() };
    let page = shelf.client.list_inbounds(all.clone()).await.unwrap().into_inner();
    assert_eq!(page.inbounds, std::slice::from_ref(&notice));
    let page = pb::ListInboundsRequest { page_token: page.next_page_token, ..all };
    assert_eq!(shelf.client.list_inbounds(page).await.unwrap().into_inner().inbounds[0].inbound_id, id);
    let of_order = pb::ListInboundsRequest { purchase_order_id: id, ..Default::default() };
    assert_eq!(shelf.client.list_inbounds(of_order).await.unwrap().into_inner().inbounds, [notice]);
    let bad = pb::ListInboundsRequest { kind: 9, state: 9, purchase_order_id: "x".to_owned(), ..Default::default() };
    let bad = fields(&shelf.client.list_inbounds(bad).await.unwrap_err());
    assert_eq!(bad, ["kind", "state", "purchase_order_id"]);

    let ask = pb::ListInboundDueRequest { page_size: 1, until_date: "2031-01-10".to_owned(), ..Default::default() };
    let mut seen = Vec::new();
    let mut token = String::new();
    for _ in 0..3 {
        let page = pb::ListInboundDueRequest { page_token: token, ..ask.clone() };
        let page = shelf.client.list_inbound_due(page).await.unwrap().into_inner();
        seen.extend(page.due.into_iter().map(|due| (due.sku, due.expected_date, due.quantity)));
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(seen, due(&[("A", "2031-01-08", 6), ("A", "2031-01-10", 4)]));
    let bad = pb::ListInboundDueRequest { sku: " ".to_owned(), until_date: "x".to_owned(), ..Default::default() };
    assert_eq!(fields(&shelf.client.list_inbound_due(bad).await.unwrap_err()), ["sku", "until_date"]);
    let bad = pb::ListInboundDueRequest { page_token: "a\tb\tc".to_owned(), ..Default::default() };
    assert_eq!(fields(&shelf.client.list_inbound_due(bad).await.unwrap_err()), ["page_token"]);
}

#[tokio::test]
async fn verify_finds_goods_that_an_order_did_not_bring() {
    let mut shelf = Shelf::open().await;
    let id = shelf.ordered(&[("A", 10, "2031-01-10")]).await;
    let part = shelf.delivery(&id, &[("A", 4, 0, 0)]);
    shelf.client.receive_inbound(part).await.unwrap();
    sqlx::query("UPDATE inventory.inbound_lines SET received = 5, stocked = 5, due = 5")
        .execute(shelf.db.pool())
        .await
        .unwrap();
    let checks = oneshelf_inventory::verify::verify(shelf.db.pool()).await.unwrap();
    let broken: Vec<&str> = checks.iter().filter(|check| check.violations > 0).map(|check| check.id).collect();
    assert_eq!(broken, ["inbound"]);
}

/// The folder of the real purchase orders, where ONESHELF_DATA names the data.
fn real_data() -> Option<PathBuf> {
    let folder = std::env::var_os("ONESHELF_DATA").map(|root| Path::new(&root).join("adventureworks"));
    let found = folder.filter(|folder| folder.join("purchase_order_detail.csv.gz").exists());
    if found.is_none() {
        println!("skipped: ONESHELF_DATA has no adventureworks/purchase_order_detail.csv.gz");
    }
    found
}

/// Lines of one order by SKU: day, ordered, stocked, rejected.
type RealOrder = BTreeMap<String, (String, i64, i64, i64)>;

fn real_orders(folder: &Path) -> BTreeMap<u32, RealOrder> {
    let unpacked = Command::new("gzip").arg("-dc").arg(folder.join("purchase_order_detail.csv.gz")).output().unwrap();
    assert!(unpacked.status.success());
    let text = String::from_utf8(unpacked.stdout).unwrap();
    let mut rows = text.lines();
    let places: HashMap<&str, usize> = rows
        .next()
        .unwrap()
        .split(',')
        .enumerate()
        .map(|(place, name)| (name.trim_start_matches('\u{feff}'), place))
        .collect();
    let mut orders: BTreeMap<u32, RealOrder> = BTreeMap::new();
    for row in rows {
        let cells: Vec<&str> = row.split(',').collect();
        let cell = |name: &str| cells[places[name]];
        let whole = |name: &str| -> i64 { cell(name).split('.').next().unwrap().parse().unwrap_or(0) };
        let order = orders.entry(cell("PurchaseOrderID").parse().unwrap()).or_default();
        // Three orders name a product twice.
        let line = order.entry(cell("ProductID").to_owned()).or_insert((cell("DueDate").to_owned(), 0, 0, 0));
        line.1 += whole("OrderQty");
        line.2 += whole("StockedQty");
        line.3 += whole("RejectedQty");
    }
    orders
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_years_of_real_purchase_orders_come_to_their_known_sums() {
    let Some(folder) = real_data() else { return };
    let orders = real_orders(&folder);
    assert_eq!(orders.len(), 4_012);
    let shelf = Shelf::open().await;
    stream::iter(orders.into_values().map(|order| {
        let mut client = shelf.client.clone();
        let lines: Vec<(&str, i64, &str)> =
            order.iter().map(|(sku, (day, ordered, ..))| (sku.as_str(), *ordered, day.as_str())).collect();
        let request = shelf.order(&lines);
        let delivery: Vec<(&str, i64, i64, i64)> = order
            .iter()
            .filter(|(_, (_, _, stocked, rejected))| stocked + rejected > 0)
            .map(|(sku, (_, _, stocked, rejected))| (sku.as_str(), *stocked, *rejected, 0))
            .collect();
        let delivery = shelf.delivery(&request.request_id, &delivery);
        let close = shelf.closing(&request.request_id);
        async move {
            client.create_purchase_order(request).await.unwrap();
            if !delivery.lines.is_empty() {
                client.receive_inbound(delivery).await.unwrap();
            }
            client.close_inbound(close).await.unwrap();
        }
    }))
    .buffer_unordered(64)
    .collect::<Vec<()>>()
    .await;
    let sums: (i64, i64, i64, i64) = sqlx::query_as(
        "SELECT SUM(expected)::BIGINT, SUM(received)::BIGINT, SUM(quarantined)::BIGINT, SUM(stocked)::BIGINT
           FROM inventory.inbound_lines",
    )
    .fetch_one(shelf.db.pool())
    .await
    .unwrap();
    assert_eq!(sums, (2_348_637, 2_327_299, 72_700, 2_254_599), "ordered, received, rejected, stocked");
    let on_hand: (i64, i64) =
        sqlx::query_as("SELECT SUM(sellable)::BIGINT, SUM(quarantine)::BIGINT FROM inventory.stock_levels")
            .fetch_one(shelf.db.pool())
            .await
            .unwrap();
    assert_eq!(on_hand, (2_254_599, 72_700));
    shelf.verify().await;
}
