use std::time::Duration;

use futures::future::join_all;
use oneshelf_kit::{outbox, schema::Schema};
use oneshelf_proto::inventory::v1 as pb;
use tonic::Code;

use crate::support::{Shelf, fields, reason, stock_lines};

/// A day so many days from now.
fn day(shelf: &Shelf, from_now: i64) -> String {
    (shelf.clock.now() + chrono::TimeDelta::days(from_now)).date_naive().to_string()
}

impl Shelf {
    fn promise(&self, sku: &str, quantity: i64, from_now: i64) -> pb::PromiseStockRequest {
        pb::PromiseStockRequest {
            request_id: self.id(),
            promise_date: day(self, from_now),
            lines: vec![pb::PromiseRequestLine { sku: sku.to_owned(), location_id: "WH".to_owned(), quantity }],
            ..Default::default()
        }
    }

    async fn promised(&mut self, sku: &str, quantity: i64, from_now: i64) -> pb::Promise {
        let request = self.promise(sku, quantity, from_now);
        self.client.promise_stock(request).await.unwrap().into_inner().promise.unwrap()
    }

    /// What may be promised of A in the warehouse on these days from now.
    async fn atp(&mut self, days: &[i64]) -> Vec<i64> {
        let request = pb::GetAvailableToPromiseRequest {
            skus: vec!["A".to_owned()],
            location_id: "WH".to_owned(),
            promise_dates: days.iter().map(|from_now| day(self, *from_now)).collect(),
            ..Default::default()
        };
        let answer = self.client.get_available_to_promise(request).await.unwrap().into_inner();
        answer.available[0].quantities.clone()
    }

    fn commit_promise(&self, promise_id: &str) -> pb::CommitPromiseRequest {
        pb::CommitPromiseRequest { request_id: self.id(), promise_id: promise_id.to_owned(), ..Default::default() }
    }

    fn cancel_promise(&self, promise_id: &str) -> pb::CancelPromiseRequest {
        pb::CancelPromiseRequest { request_id: self.id(), promise_id: promise_id.to_owned(), ..Default::default() }
    }

    async fn read_promise(&mut self, promise_id: &str) -> pb::Promise {
        let request = pb::GetPromiseRequest { promise_id: promise_id.to_owned() };
        self.client.get_promise(request).await.unwrap().into_inner().promise.unwrap()
    }

    async fn order_of_a(&mut self, quantity: i64, from_now: i64) -> String {
        let day = day(self, from_now);
        self.ordered(&[("A", quantity, &day)]).await
    }
}

#[tokio::test]
async fn get_available_to_promise_counts_what_comes_and_what_is_promised() {
    let mut shelf = Shelf::stocked().await;
    shelf.held(shelf.hold(&[("A", 4)])).await;
    shelf.order_of_a(20, 3).await;
    shelf.promised("A", 22, 5).await;
    assert_eq!(shelf.atp(&[-1, 0, 2, 3, 5, 9]).await, [4, 4, 4, 4, 4, 4], "6 free and 20 due, less 22");
    shelf.order_of_a(7, 8).await;
    assert_eq!(shelf.atp(&[0, 8]).await, [4, 11]);
    shelf.clock.advance(Duration::from_secs(4 * 86_400));
    assert_eq!(shelf.atp(&[0, 4]).await, [0, 0], "what is late gives nothing: 4 are free, 20 are claimed");

    let ask = pb::GetAvailableToPromiseRequest {
        skus: vec!["A".to_owned()],
        location_id: "NOWHERE".to_owned(),
        promise_dates: vec!["2031-01-01".to_owned()],
        ..Default::default()
    };
    let nowhere = shelf.client.get_available_to_promise(ask.clone()).await.unwrap_err();
    assert_eq!((nowhere.code(), reason(&nowhere).as_str()), (Code::NotFound, "LOCATION_NOT_FOUND"));
    let unknown =
        pb::GetAvailableToPromiseRequest { location_id: String::new(), channel_id: "WEB".to_owned(), ..ask.clone() };
    assert_eq!(reason(&shelf.client.get_available_to_promise(unknown).await.unwrap_err()), "CHANNEL_NOT_FOUND");
    let bad = pb::GetAvailableToPromiseRequest {
        skus: vec![],
        channel_id: "WEB".to_owned(),
        promise_dates: vec!["x".to_owned()],
        ..ask
    };
    assert_eq!(
        fields(&shelf.client.get_available_to_promise(bad).await.unwrap_err()),
        ["skus", "location_id", "promise_dates[0]"]
    );
    shelf.verify().await;
}

#[tokio::test]
async fn a_channel_may_promise_the_sum_over_its_locations() {
    let mut shelf = Shelf::stocked().await;
    shelf.receive("SHOP", &[("A", 2)]).await;
    sqlx::query("INSERT INTO inventory.channels VALUES ('WEB', '{WH,SHOP}', 1)")
        .execute(shelf.db.pool())
        .await
        .unwrap();
    let ask = pb::GetAvailableToPromiseRequest {
        skus: vec!["NEVER".to_owned(), "A".to_owned()],
        channel_id: "WEB".to_owned(),
        promise_dates: vec![day(&shelf, 1)],
        ..Default::default()
    };
    let answer = shelf.client.get_available_to_promise(ask.clone()).await.unwrap().into_inner();
    let found: Vec<(String, Vec<i64>)> = answer.available.into_iter().map(|one| (one.sku, one.quantities)).collect();
    assert_eq!(found, [("NEVER".to_owned(), vec![0]), ("A".to_owned(), vec![12])]);
    let mut app = shelf.client_for(&["inventory:*"], Some("APP")).await;
    assert_eq!(reason(&app.get_available_to_promise(ask).await.unwrap_err()), "OUT_OF_SCOPE");
}

#[tokio::test]
async fn promise_stock_takes_the_future_first_and_holds_the_rest() {
    let mut shelf = Shelf::stocked().await;
    shelf.order_of_a(6, 3).await;
    let request = shelf.promise("A", 8, 5);
    let first = shelf.client.promise_stock(request.clone()).await.unwrap().into_inner();
    let promise = first.promise.clone().unwrap();
    assert_eq!((promise.promise_id.as_str(), promise.lines[0].waiting), (request.request_id.as_str(), 6));
    assert_eq!(shelf.client.promise_stock(request).await.unwrap().into_inner(), first);
    assert_eq!(shelf.level("A").await, (10, 2, 8));
    // What is on the shelf may be sold: the promise does not need it.
    shelf.held(shelf.hold(&[("A", 8)])).await;
    let more = shelf.promise("A", 1, 9);
    let short = shelf.client.promise_stock(more).await.unwrap_err();
    assert_eq!((short.code(), reason(&short).as_str()), (Code::FailedPrecondition, "INSUFFICIENT_STOCK"));
    let early = shelf.promise("A", 1, 1);
    assert_eq!(reason(&shelf.client.promise_stock(early).await.unwrap_err()), "INSUFFICIENT_STOCK");
    let mut two = shelf.promise("B", 5, 1);
    two.lines.push(pb::PromiseRequestLine { sku: "A".to_owned(), location_id: "WH".to_owned(), quantity: 1 });
    assert_eq!(reason(&shelf.client.promise_stock(two).await.unwrap_err()), "INSUFFICIENT_STOCK");
    assert_eq!(shelf.level("B").await, (5, 0, 5), "all lines or none");

    let mut nowhere = shelf.promise("A", 1, 1);
    "NOWHERE".clone_into(&mut nowhere.lines[0].location_id);
    assert_eq!(reason(&shelf.client.promise_stock(nowhere).await.unwrap_err()), "LOCATION_NOT_FOUND");
    let mut bad = shelf.promise("A", 0, 1);
    bad.promise_date = String::new();
    assert_eq!(fields(&shelf.client.promise_stock(bad).await.unwrap_err()), ["promise_date", "lines[0].quantity"]);
    let mut app = shelf.client_for(&["inventory:*"], Some("APP")).await;
    let foreign = shelf.promise("B", 1, 1);
    assert_eq!(reason(&app.promise_stock(foreign).await.unwrap_err()), "OUT_OF_SCOPE");
    shelf.verify().await;
}

#[tokio::test]
async fn goods_that_come_in_go_to_promises_by_day_and_then_in_their_order() {
    let mut shelf = Shelf::open().await;
    let order = shelf.order_of_a(20, 3).await;
    let late = shelf.promised("A", 6, 9).await.promise_id;
    let first = shelf.promised("A", 6, 5).await.promise_id;
    let second = shelf.promised("A", 6, 5).await.promise_id;
    let part = shelf.delivery(&order, &[("A", 8, 0, 0)]);
    shelf.client.receive_inbound(part).await.unwrap();
    let mut waiting = Vec::new();
    for id in [&first, &second, &late] {
        waiting.push(shelf.read_promise(id).await.lines[0].waiting);
    }
    assert_eq!(waiting, [0, 4, 6]);
    assert_eq!(shelf.level("A").await, (8, 8, 0), "nobody else gets them");
    shelf.verify().await;
    // A receipt without an order serves them, too, and what is left over is free.
    shelf.receive("WH", &[("A", 15)]).await;
    assert_eq!(shelf.read_promise(&late).await.lines[0].waiting, 0);
    assert_eq!(shelf.level("A").await, (23, 18, 5));
    let told = outbox::read_all(shelf.db.pool(), Schema::new("inventory")).await.unwrap();
    let filled: Vec<i64> = told
        .iter()
        .filter(|told| told.routing_key == "inventory.promise.filled.v1")
        .map(|told| told.event.aggregate_version)
        .collect();
    assert_eq!(filled, [1, 1, 2, 1]);
    shelf.verify().await;
}

#[tokio::test]
async fn a_transfer_on_its_way_can_be_promised_where_it_goes() {
    let mut shelf = Shelf::open().await;
    shelf.receive("SHOP", &[("A", 10)]).await;
    let create = pb::CreateTransferRequest {
        request_id: shelf.id(),
        source_location_id: "SHOP".to_owned(),
        destination_location_id: "WH".to_owned(),
        lines: vec![pb::TransferQuantity { sku: "A".to_owned(), quantity: 10 }],
        expected_date: day(&shelf, 2),
        ..Default::default()
    };
    let transfer_id = create.request_id.clone();
    shelf.client.create_transfer(create).await.unwrap();
    let approve =
        pb::ApproveTransferRequest { request_id: shelf.id(), transfer_id: transfer_id.clone(), ..Default::default() };
    shelf.client.approve_transfer(approve).await.unwrap();
    let allocate =
        pb::AllocateTransferRequest { request_id: shelf.id(), transfer_id: transfer_id.clone(), ..Default::default() };
    shelf.client.allocate_transfer(allocate).await.unwrap();
    assert_eq!(shelf.atp(&[2]).await, [0], "what has not left does not count");
    let ship = pb::ShipTransferRequest {
        request_id: shelf.id(),
        transfer_id: transfer_id.clone(),
        lines: vec![pb::TransferQuantity { sku: "A".to_owned(), quantity: 10 }],
        ..Default::default()
    };
    shelf.client.ship_transfer(ship).await.unwrap();
    assert_eq!(shelf.atp(&[1, 2]).await, [0, 10]);
    let promise = shelf.promised("A", 7, 3).await.promise_id;
    assert_eq!(shelf.atp(&[2, 3]).await, [3, 3]);
    let receive = pb::ReceiveTransferRequest {
        request_id: shelf.id(),
        transfer_id: transfer_id.clone(),
        lines: vec![pb::TransferArrival { sku: "A".to_owned(), good: 5, damaged: 1, ..Default::default() }],
        ..Default::default()
    };
    shelf.client.receive_transfer(receive).await.unwrap();
    let line = shelf.read_promise(&promise).await.lines[0].clone();
    assert_eq!((line.waiting, line.uncovered), (2, 0));
    let lose = pb::ResolveTransferDiscrepancyRequest {
        request_id: shelf.id(),
        transfer_id,
        lines: vec![pb::TransferResolution { sku: "A".to_owned(), lost: 3, ..Default::default() }],
        ..Default::default()
    };
    shelf.client.resolve_transfer_discrepancy(lose).await.unwrap();
    let line = shelf.read_promise(&promise).await.lines[0].clone();
    assert_eq!((line.waiting, line.uncovered), (2, 1), "4 were on their way, 3 are lost");
    shelf.verify().await;
}

#[tokio::test]
async fn commit_promise_turns_what_has_come_into_a_hold() {
    let mut shelf = Shelf::stocked().await;
    let order = shelf.order_of_a(6, 3).await;
    let promise_id = shelf.promised("A", 8, 5).await.promise_id;
    let early = shelf.commit_promise(&promise_id);
    let refused = shelf.client.commit_promise(early).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "PROMISE_WAITING"));
    let all = shelf.delivery(&order, &[("A", 6, 0, 0)]);
    shelf.client.receive_inbound(all).await.unwrap();
    let commit = shelf.commit_promise(&promise_id);
    let first = shelf.client.commit_promise(commit.clone()).await.unwrap().into_inner();
    let promise = first.promise.clone().unwrap();
    assert_eq!((promise.state(), promise.hold_id.as_str()), (pb::PromiseState::Committed, commit.request_id.as_str()));
    assert_eq!(shelf.client.commit_promise(commit).await.unwrap().into_inner(), first);
    assert_eq!(shelf.level("A").await, (16, 8, 8));
    let ship = pb::CommitHoldRequest { request_id: shelf.id(), hold_id: promise.hold_id, ..Default::default() };
    shelf.client.commit_hold(ship).await.unwrap();
    assert_eq!(shelf.level("A").await, (8, 0, 8));
    let again = shelf.commit_promise(&promise_id);
    assert_eq!(reason(&shelf.client.commit_promise(again).await.unwrap_err()), "DOCUMENT_STATE");
    let bad = shelf.commit_promise("x");
    assert_eq!(fields(&shelf.client.commit_promise(bad).await.unwrap_err()), ["promise_id"]);
    shelf.verify().await;
}

#[tokio::test]
async fn what_becomes_free_or_comes_back_goes_first_to_promises_that_wait() {
    let mut shelf = Shelf::stocked().await;
    let first = shelf.promised("A", 7, 5).await.promise_id;
    shelf.order_of_a(12, 3).await;
    let waiting = shelf.promised("A", 12, 6).await;
    assert_eq!((waiting.lines[0].waiting, shelf.level("A").await), (12, (10, 7, 3)));
    let cancel = shelf.cancel_promise(&first);
    shelf.client.cancel_promise(cancel).await.unwrap();
    assert_eq!(shelf.read_promise(&waiting.promise_id).await.lines[0].waiting, 5);
    assert_eq!(shelf.level("A").await, (10, 7, 3), "what was the first's is the next's, and no more");
    let back = pb::ReturnStockRequest {
        request_id: shelf.id(),
        location_id: "WH".to_owned(),
        lines: stock_lines(&[("A", 2)]),
        ..Default::default()
    };
    shelf.client.return_stock(back).await.unwrap();
    assert_eq!(shelf.read_promise(&waiting.promise_id).await.lines[0].waiting, 3);
    let found = pb::AdjustStockRequest {
        request_id: shelf.id(),
        location_id: "WH".to_owned(),
        lines: vec![pb::AdjustmentLine { sku: "A".to_owned(), delta: 1, ..Default::default() }],
        reason: pb::AdjustmentReason::Found.into(),
        ..Default::default()
    };
    shelf.client.adjust_stock(found).await.unwrap();
    // A transfer that is not sent after all frees what it held.
    let transfer = pb::CreateTransferRequest {
        request_id: shelf.id(),
        source_location_id: "WH".to_owned(),
        destination_location_id: "SHOP".to_owned(),
        lines: vec![pb::TransferQuantity { sku: "A".to_owned(), quantity: 3 }],
        ..Default::default()
    };
    let transfer_id = transfer.request_id.clone();
    shelf.client.create_transfer(transfer).await.unwrap();
    let (request_id, id) = (shelf.id(), transfer_id.clone());
    let approve = pb::ApproveTransferRequest { request_id, transfer_id: id, ..Default::default() };
    shelf.client.approve_transfer(approve).await.unwrap();
    let (request_id, id) = (shelf.id(), transfer_id.clone());
    let allocate = pb::AllocateTransferRequest { request_id, transfer_id: id, ..Default::default() };
    shelf.client.allocate_transfer(allocate).await.unwrap();
    let cancel = pb::CancelTransferRequest { request_id: shelf.id(), transfer_id, ..Default::default() };
    shelf.client.cancel_transfer(cancel).await.unwrap();
    assert_eq!(shelf.read_promise(&waiting.promise_id).await.lines[0].waiting, 0);
    assert_eq!(shelf.level("A").await, (13, 12, 1));
    let commit = shelf.commit_promise(&waiting.promise_id);
    shelf.client.commit_promise(commit).await.unwrap();
    shelf.verify().await;
}

#[tokio::test]
async fn cancel_promise_gives_its_units_to_the_next() {
    let mut shelf = Shelf::stocked().await;
    let order = shelf.order_of_a(6, 3).await;
    let promise_id = shelf.promised("A", 8, 5).await.promise_id;
    assert_eq!(shelf.atp(&[5]).await, [8]);
    let cancel = shelf.cancel_promise(&promise_id);
    let first = shelf.client.cancel_promise(cancel.clone()).await.unwrap().into_inner();
    assert_eq!(first.promise.as_ref().unwrap().state(), pb::PromiseState::Cancelled);
    assert_eq!(shelf.client.cancel_promise(cancel).await.unwrap().into_inner(), first);
    assert_eq!((shelf.atp(&[5]).await, shelf.level("A").await), (vec![16], (10, 0, 10)));
    // An order that is cut leaves the last promises uncovered, until one before them goes.
    shelf.order_of_a(4, 4).await;
    let (one, two) = (shelf.promised("A", 6, 5).await.promise_id, shelf.promised("A", 4, 5).await.promise_id);
    let close = shelf.closing(&order);
    shelf.client.close_inbound(close).await.unwrap();
    assert_eq!(shelf.read_promise(&one).await.lines[0].uncovered, 2);
    assert_eq!(shelf.read_promise(&two).await.lines[0].uncovered, 4);
    let cancel = shelf.cancel_promise(&one);
    shelf.client.cancel_promise(cancel).await.unwrap();
    assert_eq!(shelf.read_promise(&two).await.lines[0].uncovered, 0);
    let nobody = shelf.id();
    let nobody = shelf.cancel_promise(&nobody);
    assert_eq!(reason(&shelf.client.cancel_promise(nobody).await.unwrap_err()), "DOCUMENT_NOT_FOUND");
    let bad = shelf.cancel_promise("x");
    assert_eq!(fields(&shelf.client.cancel_promise(bad).await.unwrap_err()), ["promise_id"]);
    shelf.verify().await;
}

#[tokio::test]
async fn get_promise_and_list_promises_show_a_channel_its_own() {
    let mut shelf = Shelf::stocked().await;
    let old = pb::PromiseStockRequest { channel_id: "WEB".to_owned(), ..shelf.promise("A", 1, 1) };
    let old = shelf.client.promise_stock(old).await.unwrap().into_inner().promise.unwrap();
    shelf.clock.advance(Duration::from_secs(1));
    let new = shelf.promised("A", 1, 1).await;
    let list = |channel: &str, token: String| pb::ListPromisesRequest {
        channel_id: channel.to_owned(),
        state: pb::PromiseState::Open.into(),
        page_size: 1,
        page_token: token,
    };
    let page = shelf.client.list_promises(list("", String::new())).await.unwrap().into_inner();
    assert_eq!(page.promises, std::slice::from_ref(&new));
    let page = shelf.client.list_promises(list("", page.next_page_token)).await.unwrap().into_inner();
    assert_eq!(page.promises, std::slice::from_ref(&old));
    let mut web = shelf.client_for(&["inventory:*"], Some("WEB")).await;
    assert_eq!(web.list_promises(list("WEB", String::new())).await.unwrap().into_inner().promises.len(), 1);
    assert_eq!(reason(&web.list_promises(list("", String::new())).await.unwrap_err()), "OUT_OF_SCOPE");
    let foreign = pb::GetPromiseRequest { promise_id: new.promise_id.clone() };
    assert_eq!(reason(&web.get_promise(foreign).await.unwrap_err()), "DOCUMENT_NOT_FOUND");
    let foreign = shelf.cancel_promise(&new.promise_id);
    assert_eq!(reason(&web.cancel_promise(foreign).await.unwrap_err()), "DOCUMENT_NOT_FOUND");
    let own = pb::GetPromiseRequest { promise_id: old.promise_id.clone() };
    assert_eq!(web.get_promise(own).await.unwrap().into_inner().promise.unwrap(), old);
    let bad = pb::GetPromiseRequest { promise_id: "x".to_owned() };
    assert_eq!(fields(&shelf.client.get_promise(bad).await.unwrap_err()), ["promise_id"]);
    for (request, field) in [
        (pb::ListPromisesRequest { state: 9, ..Default::default() }, "state"),
        (pb::ListPromisesRequest { page_size: 101, ..Default::default() }, "page_size"),
        (pb::ListPromisesRequest { page_token: "x".to_owned(), ..Default::default() }, "page_token"),
    ] {
        assert_eq!(fields(&shelf.client.list_promises(request).await.unwrap_err()), [field]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_promises_at_once_take_each_unit_to_come_once() {
    let mut shelf = Shelf::open().await;
    let order = shelf.order_of_a(50, 2).await;
    let promises = (0..80).map(|number| {
        let (mut client, request) = (shelf.client.clone(), shelf.promise("A", 1, 2 + number % 3));
        async move { client.promise_stock(request).await.map(|answer| answer.into_inner().promise.unwrap().promise_id) }
    });
    let granted: Vec<String> = join_all(promises).await.into_iter().filter_map(Result::ok).collect();
    assert_eq!(granted.len(), 50);
    // Goods come in parts while those who have theirs commit, and some cancel.
    let receipts = (0..10).map(|_| {
        let (mut client, request) = (shelf.client.clone(), shelf.delivery(&order, &[("A", 5, 0, 0)]));
        async move { drop(client.receive_inbound(request).await.unwrap()) }
    });
    let commits = granted.iter().enumerate().map(|(number, id)| {
        let (mut client, commit, cancel) = (shelf.client.clone(), shelf.commit_promise(id), shelf.cancel_promise(id));
        async move {
            if number % 5 == 0 {
                client.cancel_promise(cancel).await.unwrap();
                return 0;
            }
            loop {
                let Err(status) = client.commit_promise(commit.clone()).await else { return 1 };
                let why = reason(&status);
                assert!(["PROMISE_WAITING", "TRY_AGAIN"].contains(&why.as_str()), "{status:?}");
            }
        }
    });
    let (_, committed) = tokio::join!(join_all(receipts), join_all(commits));
    assert_eq!(committed.iter().sum::<i64>(), 40);
    assert_eq!(shelf.level("A").await, (50, 40, 10));
    shelf.verify().await;
}
