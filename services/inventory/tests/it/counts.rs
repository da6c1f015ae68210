use std::time::Duration;

use futures::future::join_all;
use oneshelf_proto::inventory::v1 as pb;
use tonic::Code;

use crate::support::{Shelf, fields, reason, stock_lines};

impl Shelf {
    fn cycle(&self, skus: &[&str]) -> pb::StartCountRequest {
        pb::StartCountRequest {
            request_id: self.id(),
            location_id: "WH".to_owned(),
            kind: pb::CountKind::Cycle.into(),
            skus: skus.iter().map(|sku| (*sku).to_owned()).collect(),
            reference: "aisle 3".to_owned(),
            ..Default::default()
        }
    }

    async fn started(&mut self, skus: &[&str]) -> String {
        let request = self.cycle(skus);
        self.client.start_count(request).await.unwrap().into_inner().count.unwrap().count_id
    }

    fn found(&self, count_id: &str, entries: &[(&str, i64)]) -> pb::RecordCountRequest {
        pb::RecordCountRequest {
            request_id: self.id(),
            count_id: count_id.to_owned(),
            entries: entries
                .iter()
                .map(|(sku, quantity)| pb::CountEntry { sku: (*sku).to_owned(), quantity: *quantity })
                .collect(),
            ..Default::default()
        }
    }

    fn approval(&self, count_id: &str) -> pb::ApproveCountRequest {
        pb::ApproveCountRequest { request_id: self.id(), count_id: count_id.to_owned(), ..Default::default() }
    }

    fn posting(&self, count_id: &str) -> pb::PostCountRequest {
        pb::PostCountRequest { request_id: self.id(), count_id: count_id.to_owned(), ..Default::default() }
    }

    fn recount(&self, count_id: &str, skus: &[&str]) -> pb::RequestRecountRequest {
        pb::RequestRecountRequest {
            request_id: self.id(),
            count_id: count_id.to_owned(),
            expected_version: 0,
            skus: skus.iter().map(|sku| (*sku).to_owned()).collect(),
        }
    }

    fn count_cancellation(&self, count_id: &str) -> pb::CancelCountRequest {
        pb::CancelCountRequest { request_id: self.id(), count_id: count_id.to_owned(), ..Default::default() }
    }
}

fn get(count_id: &str, review: bool) -> pb::GetCountRequest {
    pb::GetCountRequest { count_id: count_id.to_owned(), review, ..Default::default() }
}

#[tokio::test]
async fn start_count_freezes_and_tells_the_counter_nothing_of_the_books() {
    let mut shelf = Shelf::stocked().await;
    let request = shelf.cycle(&["A", "B"]);
    let first = shelf.client.start_count(request.clone()).await.unwrap().into_inner();
    let count = first.count.clone().unwrap();
    assert_eq!((count.count_id.as_str(), count.version), (request.request_id.as_str(), 1));
    assert_eq!(count.lines.len(), 2);
    assert!(count.lines.iter().all(|line| line.review.is_none() && line.counted.is_none()));
    assert_eq!(shelf.client.start_count(request).await.unwrap().into_inner(), first);

    let second = shelf.cycle(&["B", "C"]);
    let refused = shelf.client.start_count(second).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "ALREADY_COUNTING"));
    let damaged = pb::StartCountRequest { bucket: pb::StockBucket::Damaged.into(), ..shelf.cycle(&["B"]) };
    shelf.client.start_count(damaged).await.unwrap();
    let nowhere = pb::StartCountRequest { location_id: "NOWHERE".to_owned(), ..shelf.cycle(&["C"]) };
    let nowhere = shelf.client.start_count(nowhere).await.unwrap_err();
    assert_eq!((nowhere.code(), reason(&nowhere).as_str()), (Code::NotFound, "LOCATION_NOT_FOUND"));
    let full = pb::StartCountRequest {
        kind: pb::CountKind::Full.into(),
        skus: vec![],
        location_id: "NOWHERE".to_owned(),
        ..shelf.cycle(&[])
    };
    assert_eq!(reason(&shelf.client.start_count(full).await.unwrap_err()), "LOCATION_NOT_FOUND");

    let cases = [
        (pb::StartCountRequest { kind: 0, ..shelf.cycle(&["C"]) }, vec!["kind"]),
        (shelf.cycle(&[]), vec!["skus"]),
        (shelf.cycle(&["C", "c"]), vec!["skus"]),
        (pb::StartCountRequest { first_sku: "A".to_owned(), ..shelf.cycle(&["C"]) }, vec!["first_sku"]),
        (
            pb::StartCountRequest { kind: pb::CountKind::Full.into(), bucket: 9, ..shelf.cycle(&["C"]) },
            vec!["bucket", "skus"],
        ),
    ];
    for (request, expected) in cases {
        assert_eq!(fields(&shelf.client.start_count(request).await.unwrap_err()), expected);
    }
    shelf.verify().await;
}

#[tokio::test]
async fn record_count_adds_what_a_full_count_did_not_list_and_a_cycle_count_does_not() {
    let mut shelf = Shelf::stocked().await;
    let full = pb::StartCountRequest {
        kind: pb::CountKind::Full.into(),
        first_sku: "A".to_owned(),
        last_sku: "M".to_owned(),
        ..shelf.cycle(&[])
    };
    let count_id = shelf.client.start_count(full).await.unwrap().into_inner().count.unwrap().count_id;
    let entries = shelf.found(&count_id, &[("A", 6), ("Z", 2)]);
    let first = shelf.client.record_count(entries.clone()).await.unwrap().into_inner();
    let counted: Vec<(String, Option<i64>)> =
        first.count.as_ref().unwrap().lines.iter().map(|line| (line.sku.clone(), line.counted)).collect();
    assert_eq!(counted, [("A".to_owned(), Some(6)), ("Z".to_owned(), Some(2))], "only what was recorded");
    assert!(first.count.as_ref().unwrap().lines.iter().all(|line| line.review.is_none()));
    assert_eq!(shelf.client.record_count(entries).await.unwrap().into_inner(), first);
    let more = pb::RecordCountRequest { add: true, ..shelf.found(&count_id, &[("A", 3)]) };
    let added = shelf.client.record_count(more).await.unwrap().into_inner().count.unwrap();
    assert_eq!(added.lines[0].counted, Some(9), "in another place");

    let approve = pb::ApproveCountRequest { uncounted_is_zero: true, ..shelf.approval(&count_id) };
    let approved = shelf.client.approve_count(approve).await.unwrap().into_inner().count.unwrap();
    let variances: Vec<(String, Option<i64>)> =
        approved.lines.iter().map(|line| (line.sku.clone(), line.review.as_ref().unwrap().variance)).collect();
    let expected = [("A", -1), ("B", -5), ("Z", 2)].map(|(sku, variance)| (sku.to_owned(), Some(variance)));
    assert_eq!(variances, expected);
    let late = shelf.found(&count_id, &[("A", 1)]);
    assert_eq!(reason(&shelf.client.record_count(late).await.unwrap_err()), "DOCUMENT_STATE");
    let post = shelf.posting(&count_id);
    shelf.client.post_count(post).await.unwrap();
    assert_eq!((shelf.level("A").await.0, shelf.level("B").await.0, shelf.level("Z").await.0), (9, 0, 2));

    let cycle = shelf.started(&["A"]).await;
    let unlisted = shelf.found(&cycle, &[("A", 9), ("B", 1)]);
    let refused = shelf.client.record_count(unlisted).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "LINE_NOT_FOUND"));
    let bad = shelf.found("x", &[("A", -1)]);
    assert_eq!(fields(&shelf.client.record_count(bad).await.unwrap_err()), ["entries[0].quantity", "count_id"]);
    shelf.verify().await;
}

#[tokio::test]
async fn approve_count_wants_every_line_counted() {
    let mut shelf = Shelf::stocked().await;
    let count_id = shelf.started(&["A", "B"]).await;
    let entries = shelf.found(&count_id, &[("A", 10)]);
    shelf.client.record_count(entries).await.unwrap();
    let early = shelf.approval(&count_id);
    let refused = shelf.client.approve_count(early).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "COUNT_INCOMPLETE"));
    let entries = shelf.found(&count_id, &[("B", 5)]);
    shelf.client.record_count(entries).await.unwrap();
    let approve = shelf.approval(&count_id);
    let first = shelf.client.approve_count(approve.clone()).await.unwrap().into_inner();
    assert_eq!(first.count.as_ref().unwrap().lines, [], "nothing differs");
    assert_eq!(shelf.client.approve_count(approve).await.unwrap().into_inner(), first);
    let stale = pb::ApproveCountRequest { expected_version: 1, ..shelf.approval(&count_id) };
    assert_eq!(reason(&shelf.client.approve_count(stale).await.unwrap_err()), "VERSION_MISMATCH");
    let nobody = shelf.id();
    let nobody = shelf.approval(&nobody);
    assert_eq!(reason(&shelf.client.approve_count(nobody).await.unwrap_err()), "DOCUMENT_NOT_FOUND");
}

#[tokio::test]
async fn post_count_applies_the_variance_to_the_level_as_it_is() {
    let mut shelf = Shelf::stocked().await;
    let count_id = shelf.started(&["A"]).await;
    // Sold while people count: 3 of 10. They find what should have been there at the freezing, less one.
    shelf.held(shelf.hold(&[("A", 3)])).await;
    let sale = pb::RecordSoldStockRequest {
        request_id: shelf.id(),
        location_id: "WH".to_owned(),
        lines: stock_lines(&[("A", 2)]),
        ..Default::default()
    };
    shelf.client.record_sold_stock(sale).await.unwrap();
    let entries = shelf.found(&count_id, &[("A", 9)]);
    shelf.client.record_count(entries).await.unwrap();
    let early = shelf.posting(&count_id);
    assert_eq!(reason(&shelf.client.post_count(early).await.unwrap_err()), "DOCUMENT_STATE");
    let approve = shelf.approval(&count_id);
    shelf.client.approve_count(approve).await.unwrap();
    let post = pb::PostCountRequest { reason: pb::AdjustmentReason::Lost.into(), ..shelf.posting(&count_id) };
    let first = shelf.client.post_count(post.clone()).await.unwrap().into_inner();
    let review = first.count.as_ref().unwrap().lines[0].review.unwrap();
    assert_eq!((review.expected, review.variance, review.frozen_version), (10, Some(-1), 1));
    assert_eq!(shelf.client.post_count(post).await.unwrap().into_inner(), first);
    assert_eq!(shelf.level("A").await, (7, 3, 4));
    let bad = pb::PostCountRequest { reason: 99, ..shelf.posting(&count_id) };
    assert_eq!(fields(&shelf.client.post_count(bad).await.unwrap_err()), ["reason"]);
    shelf.verify().await;
}

#[tokio::test]
async fn request_recount_freezes_anew() {
    let mut shelf = Shelf::stocked().await;
    let count_id = shelf.started(&["A", "B"]).await;
    let entries = shelf.found(&count_id, &[("A", 4), ("B", 5)]);
    shelf.client.record_count(entries).await.unwrap();
    let approve = shelf.approval(&count_id);
    shelf.client.approve_count(approve).await.unwrap();
    let sale = pb::RecordSoldStockRequest {
        request_id: shelf.id(),
        location_id: "WH".to_owned(),
        lines: stock_lines(&[("A", 8)]),
        ..Default::default()
    };
    shelf.client.record_sold_stock(sale).await.unwrap();
    // 4 were found of 10, and 8 sold since: the books cannot be right.
    let post = shelf.posting(&count_id);
    let refused = shelf.client.post_count(post).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "INSUFFICIENT_STOCK"));
    let recount = shelf.recount(&count_id, &["A"]);
    let first = shelf.client.request_recount(recount.clone()).await.unwrap().into_inner();
    let count = first.count.clone().unwrap();
    assert_eq!((count.state(), count.lines.len()), (pb::CountState::Counting, 1));
    assert_eq!((count.lines[0].round, count.lines[0].counted, count.lines[0].review.as_ref()), (2, None, None));
    assert_eq!(shelf.client.request_recount(recount).await.unwrap().into_inner(), first);
    let unknown = shelf.recount(&count_id, &["C"]);
    assert_eq!(reason(&shelf.client.request_recount(unknown).await.unwrap_err()), "LINE_NOT_FOUND");
    let bad = shelf.recount(&count_id, &[]);
    assert_eq!(fields(&shelf.client.request_recount(bad).await.unwrap_err()), ["skus"]);

    let entries = shelf.found(&count_id, &[("A", 1)]);
    shelf.client.record_count(entries).await.unwrap();
    let approve = shelf.approval(&count_id);
    shelf.client.approve_count(approve).await.unwrap();
    let post = shelf.posting(&count_id);
    shelf.client.post_count(post).await.unwrap();
    assert_eq!((shelf.level("A").await.0, shelf.level("B").await.0), (1, 5));
    shelf.verify().await;
}

#[tokio::test]
async fn cancel_count_corrects_nothing_and_frees_its_skus() {
    let mut shelf = Shelf::stocked().await;
    let count_id = shelf.started(&["A"]).await;
    let entries = shelf.found(&count_id, &[("A", 1)]);
    shelf.client.record_count(entries).await.unwrap();
    let cancel = shelf.count_cancellation(&count_id);
    let first = shelf.client.cancel_count(cancel.clone()).await.unwrap().into_inner();
    assert_eq!(first.count.as_ref().unwrap().state(), pb::CountState::Cancelled);
    assert_eq!(shelf.client.cancel_count(cancel).await.unwrap().into_inner(), first);
    let again = shelf.count_cancellation(&count_id);
    assert_eq!(reason(&shelf.client.cancel_count(again).await.unwrap_err()), "DOCUMENT_STATE");
    let bad = shelf.count_cancellation("x");
    assert_eq!(fields(&shelf.client.cancel_count(bad).await.unwrap_err()), ["count_id"]);
    assert_eq!(shelf.level("A").await.0, 10);
    shelf.started(&["A"]).await;
    shelf.verify().await;
}

#[tokio::test]
async fn get_count_shows_the_books_only_to_those_who_review() {
    let mut shelf = Shelf::stocked().await;
    let count_id = shelf.started(&["A", "B"]).await;
    let (blind, review) = (get(&count_id, false), get(&count_id, true));
    let mut counter = shelf.client_for(&["inventory:GetCount"], None).await;
    let seen = counter.get_count(blind).await.unwrap().into_inner().count.unwrap();
    assert!(seen.lines.iter().all(|line| line.review.is_none()));
    assert_eq!(counter.get_count(review.clone()).await.unwrap_err().code(), Code::PermissionDenied);
    let mut reviewer = shelf.client_for(&["inventory:GetCount", "inventory:ReviewCount"], None).await;
    let seen = reviewer.get_count(review).await.unwrap().into_inner().count.unwrap();
    assert_eq!(seen.lines[0].review.unwrap().expected, 10);
    let page = pb::GetCountRequest { page_size: 1, ..get(&count_id, false) };
    let page = shelf.client.get_count(page).await.unwrap().into_inner();
    assert_eq!(page.next_page_token, "A");
    let page = pb::GetCountRequest { page_token: page.next_page_token, ..get(&count_id, false) };
    let page = shelf.client.get_count(page).await.unwrap().into_inner();
    assert_eq!(page.count.unwrap().lines[0].sku, "B");
    let nobody = shelf.id();
    let nobody = get(&nobody, false);
    assert_eq!(reason(&shelf.client.get_count(nobody).await.unwrap_err()), "DOCUMENT_NOT_FOUND");
    let bad = get("x", false);
    assert_eq!(fields(&shelf.client.get_count(bad).await.unwrap_err()), ["count_id"]);
}

#[tokio::test]
async fn list_counts_reads_newest_first() {
    let mut shelf = Shelf::stocked().await;
    let old = shelf.started(&["A"]).await;
    shelf.clock.advance(Duration::from_secs(1));
    let new = shelf.started(&["B"]).await;
    let cancel = shelf.count_cancellation(&old);
    shelf.client.cancel_count(cancel).await.unwrap();
    let list = |state: pb::CountState, token: String| pb::ListCountsRequest {
        state: state.into(),
        location_id: "WH".to_owned(),
        page_size: 1,
        page_token: token,
    };
    let any = pb::CountState::Unspecified;
    let page = shelf.client.list_counts(list(any, String::new())).await.unwrap().into_inner();
    assert_eq!((page.counts[0].count_id.as_str(), page.counts[0].lines.len()), (new.as_str(), 0));
    let page = shelf.client.list_counts(list(any, page.next_page_token)).await.unwrap().into_inner();
    assert_eq!(page.counts[0].count_id, old);
    let open = shelf.client.list_counts(list(pb::CountState::Counting, String::new())).await.unwrap().into_inner();
    assert_eq!((open.counts.len(), open.counts[0].count_id.as_str()), (1, new.as_str()));
    for (request, field) in [
        (pb::ListCountsRequest { state: 99, ..Default::default() }, "state"),
        (pb::ListCountsRequest { page_size: 501, ..Default::default() }, "page_size"),
        (pb::ListCountsRequest { page_token: "x".to_owned(), ..Default::default() }, "page_token"),
    ] {
        assert_eq!(fields(&shelf.client.list_counts(request).await.unwrap_err()), [field]);
    }
}

#[tokio::test]
async fn compute_abc_classes_and_set_abc_classes_and_set_count_schedule_say_what_list_due_counts_names() {
    let mut shelf = Shelf::open().await;
    shelf.receive("WH", &[("FAST", 100), ("MID", 100), ("SLOW", 100), ("DEAD", 100)]).await;
    for (sku, quantity) in [("FAST", 80), ("MID", 15), ("SLOW", 5)] {
        let sale = pb::RecordSoldStockRequest {
            request_id: shelf.id(),
            location_id: "WH".to_owned(),
            lines: stock_lines(&[(sku, quantity)]),
            ..Default::default()
        };
        shelf.client.record_sold_stock(sale).await.unwrap();
    }
    let set = pb::SetAbcClassesRequest {
        request_id: shelf.id(),
        location_id: "WH".to_owned(),
        entries: vec![pb::AbcEntry { sku: "DEAD".to_owned(), class: pb::AbcClass::A.into() }],
    };
    shelf.client.set_abc_classes(set.clone()).await.unwrap();
    shelf.client.set_abc_classes(set.clone()).await.unwrap();
    let reused = pb::SetAbcClassesRequest { location_id: "SHOP".to_owned(), ..set };
    assert_eq!(reason(&shelf.client.set_abc_classes(reused).await.unwrap_err()), "REQUEST_ID_REUSED");
    let compute =
        pb::ComputeAbcClassesRequest { request_id: shelf.id(), location_id: "WH".to_owned(), ..Default::default() };
    let first = shelf.client.compute_abc_classes(compute.clone()).await.unwrap().into_inner();
    assert_eq!((first.a, first.b, first.c), (1, 1, 2));
    assert_eq!(shelf.client.compute_abc_classes(compute).await.unwrap().into_inner(), first);
    let schedule = pb::SetCountScheduleRequest {
        request_id: shelf.id(),
        location_id: "WH".to_owned(),
        a_days: 7,
        b_days: 30,
        c_days: 90,
    };
    shelf.client.set_count_schedule(schedule.clone()).await.unwrap();
    shelf.client.set_count_schedule(schedule).await.unwrap();

    let list = |page_token: String| pb::ListDueCountsRequest {
        location_id: "WH".to_owned(),
        page_size: 3,
        page_token,
        ..Default::default()
    };
    let names = |due: &[pb::DueCount]| -> Vec<(String, pb::AbcClass)> {
        due.iter().map(|due| (due.sku.clone(), due.class())).collect()
    };
    let page = shelf.client.list_due_counts(list(String::new())).await.unwrap().into_inner();
    let expected = [("DEAD", pb::AbcClass::A), ("FAST", pb::AbcClass::A), ("MID", pb::AbcClass::B)];
    assert_eq!(
        names(&page.due),
        expected.map(|(sku, class)| (sku.to_owned(), class)),
        "the pinned one keeps its class"
    );
    let page = shelf.client.list_due_counts(list(page.next_page_token)).await.unwrap().into_inner();
    assert_eq!(names(&page.due), [("SLOW".to_owned(), pb::AbcClass::C)]);

    let count_id = shelf.started(&["FAST", "SLOW"]).await;
    let open = shelf.client.list_due_counts(list(String::new())).await.unwrap().into_inner();
    assert_eq!(open.due.len(), 2, "what is being counted is not due");
    let entries = shelf.found(&count_id, &[("FAST", 20), ("SLOW", 95)]);
    shelf.client.record_count(entries).await.unwrap();
    let approve = shelf.approval(&count_id);
    shelf.client.approve_count(approve).await.unwrap();
    let post = shelf.posting(&count_id);
    shelf.client.post_count(post).await.unwrap();
    shelf.clock.advance(Duration::from_secs(8 * 86_400));
    let due = shelf.client.list_due_counts(list(String::new())).await.unwrap().into_inner().due;
    let due: Vec<String> = due.into_iter().map(|due| due.sku).collect();
    assert_eq!(due, ["DEAD", "MID", "FAST"], "an A is due again after a week, a C is not");

    let nowhere = pb::ListDueCountsRequest { location_id: "NOWHERE".to_owned(), ..Default::default() };
    assert_eq!(reason(&shelf.client.list_due_counts(nowhere).await.unwrap_err()), "LOCATION_NOT_FOUND");
    assert_eq!(fields(&shelf.client.list_due_counts(list("x".to_owned())).await.unwrap_err()), ["page_token"]);
    let bad = pb::SetAbcClassesRequest {
        request_id: shelf.id(),
        location_id: "WH".to_owned(),
        entries: vec![pb::AbcEntry { sku: String::new(), class: 9 }],
    };
    assert_eq!(fields(&shelf.client.set_abc_classes(bad).await.unwrap_err()), ["entries[0].sku", "entries[0].class"]);
    let bad = pb::ComputeAbcClassesRequest {
        request_id: shelf.id(),
        location_id: "WH".to_owned(),
        days: 731,
        a_percent: 96,
        b_percent: 0,
        ..Default::default()
    };
    assert_eq!(fields(&shelf.client.compute_abc_classes(bad).await.unwrap_err()), ["days", "b_percent"]);
    let bad =
        pb::SetCountScheduleRequest { request_id: shelf.id(), location_id: "WH".to_owned(), ..Default::default() };
    assert_eq!(fields(&shelf.client.set_count_schedule(bad).await.unwrap_err()), ["a_days", "b_days", "c_days"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sales_go_on_during_a_count_and_the_result_is_right() {
    let mut shelf = Shelf::open().await;
    shelf.receive("WH", &[("HOT", 1_000)]).await;
    for round in 0..5 {
        // Somebody took 7 that no book knows of.
        let before = shelf.level("HOT").await.0;
        let buyers = (0..40).map(|buyer| {
            let (mut client, hold, id) = (shelf.client.clone(), shelf.hold(&[("HOT", 1)]), shelf.id());
            async move {
                let hold_id = client.hold_stock(hold).await.unwrap().into_inner().hold.unwrap().hold_id;
                if buyer % 4 == 0 {
                    return 0;
                }
                let commit = pb::CommitHoldRequest { request_id: id, hold_id, ..Default::default() };
                client.commit_hold(commit).await.unwrap();
                1
            }
        });
        let mut client = shelf.client.clone();
        let (start, found) = (shelf.cycle(&["HOT"]), shelf.found("", &[]));
        let (approve, post) = (shelf.approval(""), shelf.posting(""));
        let count = async move {
            let count_id = client.start_count(start).await.unwrap().into_inner().count.unwrap().count_id;
            // Those who count find 7 fewer than there were when it was frozen, whatever has been sold by then.
            let frozen = pb::GetCountRequest { count_id: count_id.clone(), review: true, ..Default::default() };
            let frozen = client.get_count(frozen).await.unwrap().into_inner().count.unwrap();
            let quantity = frozen.lines[0].review.unwrap().expected - 7;
            let entries = vec![pb::CountEntry { sku: "HOT".to_owned(), quantity }];
            client.record_count(pb::RecordCountRequest { count_id: count_id.clone(), entries, ..found }).await.unwrap();
            client.approve_count(pb::ApproveCountRequest { count_id: count_id.clone(), ..approve }).await.unwrap();
            client.post_count(pb::PostCountRequest { count_id, ..post }).await.unwrap();
        };
        let (sold, ()) = tokio::join!(join_all(buyers), count);
        let sold: i64 = sold.into_iter().sum();
        assert_eq!(shelf.level("HOT").await.0, before - sold - 7, "round {round}");
    }
    shelf.verify().await;
}
