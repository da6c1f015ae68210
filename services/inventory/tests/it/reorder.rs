//! When and how much is reordered, and what demand says these should be.

use oneshelf_proto::inventory::v1 as pb;
use oneshelf_testkit::wait_for;
use prost_types::Timestamp;
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::support::{Shelf, fields, reason, stock_lines};

pub fn reorder_policy(sku: &str, reorder_point: i64, order_up_to: i64) -> pb::ReorderPolicy {
    pb::ReorderPolicy {
        sku: sku.to_owned(),
        location_id: "WH".to_owned(),
        reorder_point,
        order_up_to,
        ..Default::default()
    }
}

pub fn set_reorder(shelf: &Shelf, policies: Vec<pb::ReorderPolicy>) -> pb::SetReorderPoliciesRequest {
    pb::SetReorderPoliciesRequest {
        request_id: shelf.id(),
        lines: policies
            .into_iter()
            .map(|policy| pb::ReorderPolicyLine { policy: Some(policy), expected_version: 0 })
            .collect(),
    }
}

impl Shelf {
    async fn suggestions(&mut self) -> Vec<pb::ReorderSuggestion> {
        let request = pb::ListReorderSuggestionsRequest { location_id: "WH".to_owned(), ..Default::default() };
        self.client.list_reorder_suggestions(request).await.unwrap().into_inner().suggestions
    }

    /// A till's sale at noon, so many days ago.
    async fn sold(&mut self, sku: &str, quantity: i64, days_ago: i64) {
        let day = self.clock.now().date_naive() - chrono::TimeDelta::days(days_ago);
        let noon = day.and_hms_opt(12, 0, 0).unwrap().and_utc().timestamp();
        let request = pb::RecordSoldStockRequest {
            request_id: self.id(),
            location_id: "WH".to_owned(),
            lines: stock_lines(&[(sku, quantity)]),
            reference: "ticket".to_owned(),
            effective_time: Some(Timestamp { seconds: noon, nanos: 0 }),
        };
        self.client.record_sold_stock(request).await.unwrap();
    }
}

#[tokio::test]
async fn set_reorder_policies_keeps_every_version_for_list_reorder_policies() {
    let mut shelf = Shelf::stocked().await;
    let request = set_reorder(&shelf, vec![reorder_policy("a", 5, 20), reorder_policy("NEW", 0, 0)]);
    let set = shelf.client.set_reorder_policies(request.clone()).await.unwrap().into_inner().policies;
    let audit = set[0].audit.clone().unwrap();
    assert_eq!((set[0].sku.as_str(), audit.version, audit.updated_by.is_empty()), ("A", 1, false));
    assert_eq!((set[0].pack_multiple, set[0].service_level_basis_points), (1, 9_500), "what 0 stands for");

    let other = pb::ReorderPolicy { review_days: 7, ..reorder_policy("A", 6, 20) };
    let change = set_reorder(&shelf, vec![other]);
    let changed = shelf.client.set_reorder_policies(change.clone()).await.unwrap().into_inner().policies;
    assert_eq!(changed[0].audit.as_ref().unwrap().version, 2);
    let again = set_reorder(&shelf, change.lines.iter().filter_map(|line| line.policy.clone()).collect());
    let again = shelf.client.set_reorder_policies(again).await.unwrap().into_inner().policies;
    assert_eq!(again, changed, "saying what is so already is no new version");
    let repeated = shelf.client.set_reorder_policies(request.clone()).await.unwrap().into_inner().policies;
    assert_eq!(repeated, set, "the same request is answered the same, though the policy is another by now");
    let mut other = request;
    other.lines.pop();
    let reused = shelf.client.set_reorder_policies(other).await.unwrap_err();
    assert_eq!(reason(&reused), "REQUEST_ID_REUSED");

    let mut stale = set_reorder(&shelf, vec![reorder_policy("NEW", 1, 1), reorder_policy("A", 1, 1)]);
    stale.lines[1].expected_version = 1;
    let stale = shelf.client.set_reorder_policies(stale).await.unwrap_err();
    assert_eq!((stale.code(), reason(&stale).as_str()), (Code::Aborted, "VERSION_MISMATCH"));
    assert_eq!(stale.get_details_error_info().unwrap().metadata["line"], "1");
    let nowhere = pb::ReorderPolicy { location_id: "NO".to_owned(), ..reorder_policy("A", 1, 1) };
    let nowhere = set_reorder(&shelf, vec![reorder_policy("NEW", 1, 1), nowhere]);
    let nowhere = shelf.client.set_reorder_policies(nowhere).await.unwrap_err();
    assert_eq!((nowhere.code(), reason(&nowhere).as_str()), (Code::NotFound, "LOCATION_NOT_FOUND"));
    let bad = pb::ReorderPolicy {
        pack_multiple: -1,
        lead_time_hours: 17_521,
        lead_time_deviation_hours: -1,
        review_days: 366,
        service_level_basis_points: 4_999,
        ..reorder_policy("A", 2, 1)
    };
    let bad = set_reorder(&shelf, vec![bad, reorder_policy("B", 0, 1), reorder_policy("B", 0, 1)]);
    let bad = fields(&shelf.client.set_reorder_policies(bad).await.unwrap_err());
    let policy = |name: &str| format!("lines[0].policy.{name}");
    let names = ["order_up_to", "pack_multiple", "lead_time_hours", "lead_time_deviation_hours", "review_days"];
    let expected = names.iter().chain(&["service_level_basis_points"]).map(|name| policy(name));
    assert_eq!(bad, expected.chain(["lines[2].policy".to_owned()]).collect::<Vec<_>>());

    let one = pb::ListReorderPoliciesRequest { page_size: 1, ..Default::default() };
    let first = shelf.client.list_reorder_policies(one.clone()).await.unwrap().into_inner();
    let rest = pb::ListReorderPoliciesRequest { page_token: first.next_page_token, ..one };
    let second = shelf.client.list_reorder_policies(rest).await.unwrap().into_inner();
    assert_eq!((&first.policies, second.policies[0].sku.as_str()), (&changed, "NEW"), "nothing of the refused is left");
    shelf.verify().await;
}

/// A policy that is new has no row to lock: of those who make it at once, each having found none, one is first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn set_reorder_policies_at_once_give_each_version_once() {
    let shelf = Shelf::stocked().await;
    let mut held_up = shelf.db.pool().begin().await.unwrap();
    sqlx::query("LOCK TABLE inventory.reorder_policies IN SHARE ROW EXCLUSIVE MODE")
        .execute(&mut *held_up)
        .await
        .unwrap();
    let tries: Vec<_> = (1..=3)
        .map(|point| {
            let (mut client, request) =
                (shelf.client.clone(), set_reorder(&shelf, vec![reorder_policy("A", point, 50)]));
            tokio::spawn(async move {
                loop {
                    match client.set_reorder_policies(request.clone()).await {
                        Ok(set) => return set.into_inner().policies[0].audit.clone().unwrap().version,
                        Err(status) => assert_eq!(status.code(), Code::Aborted, "{status:?}"),
                    }
                }
            })
        })
        .collect();
    let pool = shelf.db.pool().clone();
    let waiting = async || {
        let count: i64 = sqlx::query_scalar(
            "SELECT COUNT(*) FROM pg_locks WHERE NOT granted AND relation = 'inventory.reorder_policies'::REGCLASS",
        )
        .fetch_one(&pool)
        .await
        .unwrap();
        (count == 3).then_some(())
    };
    wait_for("three who wait", std::time::Duration::from_secs(10), waiting).await;
    held_up.commit().await.unwrap();
    let mut versions = Vec::new();
    for one in tries {
        versions.push(one.await.unwrap());
    }
    versions.sort_unstable();
    assert_eq!(versions, [1, 2, 3]);
    shelf.verify().await;
}

#[tokio::test]
async fn list_reorder_suggestions_shows_the_position_and_what_brings_it_up() {
    let mut shelf = Shelf::stocked().await;
    let packed = pb::ReorderPolicy { pack_multiple: 6, ..reorder_policy("A", 5, 20) };
    let request = set_reorder(&shelf, vec![packed.clone(), reorder_policy("B", 4, 9), reorder_policy("NEVER", 1, 3)]);
    shelf.client.set_reorder_policies(request).await.unwrap();
    let listed = shelf.suggestions().await;
    let never = pb::ReorderSuggestion {
        sku: "NEVER".to_owned(),
        location_id: "WH".to_owned(),
        reorder_point: 1,
        order_up_to: 3,
        pack_multiple: 1,
        quantity: 3,
        ..Default::default()
    };
    assert_eq!(listed, std::slice::from_ref(&never), "A has 10 and B 5");

    shelf.held(shelf.hold(&[("A", 7)])).await;
    let soon = shelf.held(shelf.soft_hold(&[("B", 2)], 600)).await;
    let day = (shelf.clock.now() + chrono::TimeDelta::days(3)).date_naive().to_string();
    shelf.ordered(&[("A", 4, &day)]).await;
    let promise = pb::PromiseStockRequest {
        request_id: shelf.id(),
        promise_date: day,
        lines: vec![pb::PromiseRequestLine { sku: "A".to_owned(), location_id: "WH".to_owned(), quantity: 3 }],
        ..Default::default()
    };
    shelf.client.promise_stock(promise).await.unwrap();
    let listed = shelf.suggestions().await;
    let a = &listed[0];
    assert_eq!((a.sellable, a.held, a.inbound, a.claimed, a.position), (10, 7, 4, 3, 4));
    assert_eq!((a.reorder_point, a.order_up_to, a.pack_multiple, a.quantity), (5, 20, 6, 18), "16 missing: 3 packs");
    let b = &listed[1];
    assert_eq!((b.sku.as_str(), b.held, b.position, b.quantity), ("B", 2, 3, 6));

    // A hold whose time is over holds nothing, recorded or not.
    shelf.clock.advance(std::time::Duration::from_secs(601));
    let all = pb::ListReorderSuggestionsRequest { include_sufficient: true, page_size: 2, ..Default::default() };
    let page = shelf.client.list_reorder_suggestions(all.clone()).await.unwrap().into_inner();
    assert_eq!((page.suggestions[1].held, page.suggestions[1].quantity), (0, 0), "{}", soon.hold_id);
    let rest = pb::ListReorderSuggestionsRequest { page_token: page.next_page_token, ..all };
    let rest = shelf.client.list_reorder_suggestions(rest).await.unwrap().into_inner();
    assert_eq!((rest.suggestions, rest.next_page_token), (vec![never], String::new()));

    let paused = set_reorder(&shelf, vec![pb::ReorderPolicy { paused: true, ..packed }]);
    shelf.client.set_reorder_policies(paused).await.unwrap();
    assert!(shelf.suggestions().await.iter().all(|one| one.sku != "A"));
    shelf.verify().await;
}

#[tokio::test]
async fn suggest_reorder_terms_computes_from_whole_days_of_sales() {
    let mut shelf = Shelf::stocked().await;
    shelf.receive("WH", &[("A", 1_000), ("B", 1_000)]).await;
    // In ten days: 5 and 15 in turn; before and today does not count.
    for day in 1..=10 {
        shelf.sold("A", if day % 2 == 0 { 4 } else { 15 }, day).await;
    }
    shelf.sold("A", 2, 2).await;
    for day in [4, 6, 8, 10] {
        shelf.sold("A", 1, day).await;
    }
    shelf.sold("A", 500, 11).await;
    shelf.sold("A", 300, 0).await;
    shelf.sold("B", 8, 3).await;
    // What is lost is no demand, and what comes back does not undo it.
    let lost = pb::AdjustStockRequest {
        request_id: shelf.id(),
        location_id: "WH".to_owned(),
        lines: vec![pb::AdjustmentLine { sku: "A".to_owned(), delta: -50, bucket: 0, lots: Vec::new() }],
        reason: pb::AdjustmentReason::Lost.into(),
        ..Default::default()
    };
    shelf.client.adjust_stock(lost).await.unwrap();
    let policy = pb::ReorderPolicy {
        lead_time_hours: 96,
        lead_time_deviation_hours: 24,
        service_level_basis_points: 9_750,
        ..reorder_policy("A", 0, 0)
    };
    let request = set_reorder(&shelf, vec![policy]);
    shelf.client.set_reorder_policies(request).await.unwrap();

    let request = pb::SuggestReorderTermsRequest {
        location_id: "WH".to_owned(),
        skus: ["A", "B", "NONE"].map(str::to_owned).to_vec(),
        days: 10,
        cover_days: 10,
        ..Default::default()
    };
    let answer = shelf.client.suggest_reorder_terms(request.clone()).await.unwrap().into_inner();
    let day = |ago| (shelf.clock.now().date_naive() - chrono::TimeDelta::days(ago)).to_string();
    assert_eq!((answer.first_date, answer.last_date), (day(10), day(1)));
    let [a, b, none] = &answer.suggestions[..] else { panic!("one each") };
    // Sales of days: 15, 6, 15, 5, 15, 5, 15, 5, 15, 5: Σ 101, Σ² 1,261, variance 26.7667.
    assert_eq!(
        (a.sold, a.demand_days, a.daily_mean_micros, a.daily_deviation_micros),
        (101, 10, 10_100_000, 5_173_651)
    );
    assert_eq!((a.pattern(), a.z_ten_thousandths), (pb::DemandPattern::Smooth, 19_600));
    // 1.96 · √(4 · 26.7667 + 10.1² · 1) = 1.96 · 14.4594 = 28.34; 10.1 · 4 = 40.4; 10.1 · 10 = 101
    assert_eq!((a.safety_stock, a.reorder_point, a.order_up_to), (29, 41 + 29, 41 + 29 + 101));
    assert_eq!((b.sold, b.demand_days, b.pattern()), (8, 1, pb::DemandPattern::Intermittent));
    assert_eq!((b.lead_time_hours, b.service_level_basis_points), (168, 9_500), "without a policy");
    assert_eq!((none.pattern(), none.safety_stock, none.order_up_to), (pb::DemandPattern::None, 0, 0));

    let weekly = pb::SuggestReorderTermsRequest { review_days: Some(7), ..request.clone() };
    let weekly = shelf.client.suggest_reorder_terms(weekly).await.unwrap().into_inner();
    // 1.96 · √(11 · 26.7667 + 10.1²) = 1.96 · 19.9112 = 39.03; 10.1 · 11 = 111.1
    assert_eq!((weekly.suggestions[0].safety_stock, weekly.suggestions[0].reorder_point), (40, 112 + 40));

    let bad = pb::SuggestReorderTermsRequest {
        skus: vec!["A".to_owned(), "a".to_owned()],
        days: 1,
        cover_days: 366,
        lead_time_hours: Some(-1),
        service_level_basis_points: Some(10_000),
        ..request.clone()
    };
    let bad = fields(&shelf.client.suggest_reorder_terms(bad).await.unwrap_err());
    assert_eq!(bad, ["skus", "days", "cover_days", "lead_time_hours", "service_level_basis_points"]);
    let nowhere = pb::SuggestReorderTermsRequest { location_id: "NO".to_owned(), ..request };
    let nowhere = shelf.client.suggest_reorder_terms(nowhere).await.unwrap_err();
    assert_eq!(reason(&nowhere), "LOCATION_NOT_FOUND");
}

#[tokio::test]
async fn verify_finds_a_policy_that_nobody_set() {
    let mut shelf = Shelf::stocked().await;
    let request = set_reorder(&shelf, vec![reorder_policy("A", 5, 20)]);
    shelf.client.set_reorder_policies(request).await.unwrap();
    for spoil in
        ["UPDATE inventory.reorder_policies SET reorder_point = 6", "DELETE FROM inventory.reorder_policy_changes"]
    {
        sqlx::query(spoil).execute(shelf.db.pool()).await.unwrap();
        let checks = oneshelf_inventory::verify::verify(shelf.db.pool()).await.unwrap();
        let check = checks.iter().find(|check| check.id == "reorder").unwrap();
        assert_eq!((check.violations, &check.offenders[..]), (1, &["A at WH".to_owned()][..]), "{spoil}");
        sqlx::query("UPDATE inventory.reorder_policies SET reorder_point = 5").execute(shelf.db.pool()).await.unwrap();
    }
}
