//! What is kept back: set by batches, respected by holds and availability alike, announced level by level.

use std::time::Duration;

use oneshelf_proto::inventory::v1 as pb;
use oneshelf_testkit::wait_for;
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::{
    channel_changed::register,
    support::{Shelf, fields, reason},
};

pub fn stock_policy(sku: &str, location_id: &str) -> pb::StockPolicy {
    pb::StockPolicy { sku: sku.to_owned(), location_id: location_id.to_owned(), ..Default::default() }
}

pub fn set_stock(shelf: &Shelf, policies: Vec<pb::StockPolicy>) -> pb::SetStockPoliciesRequest {
    pb::SetStockPoliciesRequest {
        request_id: shelf.id(),
        lines: policies
            .into_iter()
            .map(|policy| pb::StockPolicyLine { policy: Some(policy), expected_version: 0 })
            .collect(),
    }
}

pub fn set_sku(shelf: &Shelf, policy: pb::SkuPolicy) -> pb::SetSkuPoliciesRequest {
    pb::SetSkuPoliciesRequest {
        request_id: shelf.id(),
        lines: vec![pb::SkuPolicyLine { policy: Some(policy), expected_version: 0 }],
    }
}

pub fn fence(sku: &str, channel: &str, quota: i64) -> pb::RingFence {
    pb::RingFence {
        sku: sku.to_owned(),
        location_id: "WH".to_owned(),
        owner: Some(pb::ring_fence::Owner::ChannelId(channel.to_owned())),
        quota,
        ..Default::default()
    }
}

pub fn set_fence(shelf: &Shelf, fence: pb::RingFence) -> pb::SetRingFencesRequest {
    pb::SetRingFencesRequest {
        request_id: shelf.id(),
        lines: vec![pb::RingFenceLine { fence: Some(fence), expected_version: 0 }],
    }
}

fn buffer(channel_id: &str, units: i64) -> pb::ChannelBuffer {
    pb::ChannelBuffer { channel_id: channel_id.to_owned(), units }
}

/// What is available of A in the warehouse to a channel, by the network's figure.
async fn available(shelf: &mut Shelf, channel: &str) -> i64 {
    shelf.clock.advance(Duration::from_secs(1));
    let request =
        pb::GetAvailabilityRequest { channel_id: channel.to_owned(), skus: vec!["A".to_owned()], ..Default::default() };
    shelf.client.get_availability(request).await.unwrap().into_inner().availabilities[0].available
}

/// What a hold is told to be left when it asks for far too much.
async fn grantable(shelf: &mut Shelf, channel: &str) -> i64 {
    let request = pb::HoldStockRequest { channel_id: channel.to_owned(), ..shelf.hold(&[("A", 1_000)]) };
    let refused = shelf.client.hold_stock(request).await.unwrap_err();
    refused.get_details_error_info().unwrap().metadata["available"].parse().unwrap()
}

async fn channels(shelf: &Shelf) {
    for channel in ["WEB", "TILL"] {
        register(shelf, channel, &["WH", "SHOP"], 1).await;
    }
}

#[tokio::test]
async fn set_stock_policies_keeps_units_back_from_holds_and_availability_alike() {
    let mut shelf = Shelf::stocked().await;
    channels(&shelf).await;
    let policy = pb::StockPolicy {
        safety_stock: 2,
        backorder_limit: 1,
        excluded_channels: vec!["till".to_owned()],
        buffers: vec![buffer("web", 3), buffer("OTHER", 0)],
        ..stock_policy("a", "wh")
    };
    let request = set_stock(&shelf, vec![policy]);
    let set = shelf.client.set_stock_policies(request.clone()).await.unwrap().into_inner().policies;
    let audit = set[0].audit.clone().unwrap();
    assert_eq!((set[0].sku.as_str(), audit.version, audit.updated_by.is_empty()), ("A", 1, false));
    assert_eq!((&set[0].excluded_channels, &set[0].buffers), (&vec!["TILL".to_owned()], &vec![buffer("WEB", 3)]));

    for (channel, expected) in [("WEB", 10 - 2 + 1 - 3), ("TILL", 0)] {
        assert_eq!(available(&mut shelf, channel).await, expected, "{channel}");
        assert_eq!(grantable(&mut shelf, channel).await, expected, "{channel}");
    }
    let event = shelf.announced("A@WH").await;
    let told: Vec<(&str, i64)> =
        event.channel_availables.iter().map(|one| (one.channel_id.as_str(), one.available)).collect();
    assert_eq!((event.available, told), (9, vec![("TILL", 0), ("WEB", 6)]));

    // A backorder is promised beyond what is there, and nothing more.
    shelf.held(pb::HoldStockRequest { channel_id: "OTHER".to_owned(), ..shelf.hold(&[("A", 9)]) }).await;
    let request_again = shelf.client.set_stock_policies(request).await.unwrap().into_inner().policies;
    assert_eq!(request_again, set, "the same request is answered the same");
    let open = pb::StockPolicy { backorder_limit: 5, ..stock_policy("A", "WH") };
    shelf.client.set_stock_policies(set_stock(&shelf, vec![open])).await.unwrap();
    shelf.held(shelf.hold(&[("A", 6)])).await;
    assert_eq!(shelf.level("A").await, (10, 15, 0));
    shelf.verify().await;
}

#[tokio::test]
async fn set_stock_policies_may_come_before_the_goods_and_refuses_what_is_wrong() {
    let mut shelf = Shelf::stocked().await;
    let early = pb::StockPolicy { safety_stock: 1, ..stock_policy("NEW", "WH") };
    shelf.client.set_stock_policies(set_stock(&shelf, vec![early.clone()])).await.unwrap();
    shelf.receive("WH", &[("NEW", 4)]).await;
    assert_eq!(shelf.level("NEW").await, (4, 0, 3));

    let before = shelf.rows().await;
    let mut stale = set_stock(&shelf, vec![stock_policy("A", "WH"), early]);
    stale.lines[1].expected_version = 2;
    let stale = shelf.client.set_stock_policies(stale).await.unwrap_err();
    assert_eq!((stale.code(), reason(&stale).as_str()), (Code::Aborted, "VERSION_MISMATCH"));
    assert_eq!(stale.get_details_error_info().unwrap().metadata["line"], "1");
    let unknown = shelf.client.set_stock_policies(set_stock(&shelf, vec![stock_policy("A", "NO")])).await.unwrap_err();
    assert_eq!((unknown.code(), reason(&unknown).as_str()), (Code::NotFound, "LOCATION_NOT_FOUND"));
    let bad = pb::StockPolicy {
        sku: String::new(),
        location_id: "a b".to_owned(),
        safety_stock: -1,
        backorder_limit: i64::MAX,
        excluded_channels: vec!["a b".to_owned()],
        buffers: vec![buffer("", -1), buffer("WEB", 1), buffer("WEB", 2)],
        ..Default::default()
    };
    let mut request = set_stock(&shelf, vec![bad, stock_policy("A", "WH"), stock_policy("A", "WH")]);
    request.lines.push(pb::StockPolicyLine { policy: None, expected_version: -1 });
    let status = shelf.client.set_stock_policies(request).await.unwrap_err();
    assert_eq!(
        fields(&status),
        [
            "lines[0].policy.sku",
            "lines[0].policy.location_id",
            "lines[0].policy.safety_stock",
            "lines[0].policy.backorder_limit",
            "lines[0].policy.excluded_channels[0]",
            "lines[0].policy.buffers[0].channel_id",
            "lines[0].policy.buffers[0].units",
            "lines[0].policy.buffers[2].channel_id",
            "lines[2].policy",
            "lines[3].expected_version",
            "lines[3].policy",
        ]
    );
    let empty = shelf.client.set_stock_policies(pb::SetStockPoliciesRequest::default()).await.unwrap_err();
    assert_eq!(fields(&empty), ["request_id", "lines"]);
    assert_eq!(shelf.rows().await, before);
    let mut narrow = shelf.client_for(&["inventory:ListStockPolicies"], None).await;
    let denied = narrow.set_stock_policies(set_stock(&shelf, vec![stock_policy("A", "WH")])).await.unwrap_err();
    assert_eq!(denied.code(), Code::PermissionDenied);
    shelf.verify().await;
}

#[tokio::test]
async fn list_stock_policies_pages_by_sku_and_location() {
    let mut shelf = Shelf::stocked().await;
    let policies = vec![stock_policy("B", "WH"), stock_policy("A", "WH"), stock_policy("A", "SHOP")];
    shelf.client.set_stock_policies(set_stock(&shelf, policies)).await.unwrap();
    let list =
        |page_size, page_token: String| pb::ListStockPoliciesRequest { page_size, page_token, ..Default::default() };
    let names = |policies: &[pb::StockPolicy]| -> Vec<String> {
        policies.iter().map(|policy| format!("{}@{}", policy.sku, policy.location_id)).collect()
    };
    let first = shelf.client.list_stock_policies(list(2, String::new())).await.unwrap().into_inner();
    assert_eq!(names(&first.policies), ["A@SHOP", "A@WH"]);
    let second = shelf.client.list_stock_policies(list(2, first.next_page_token)).await.unwrap().into_inner();
    assert_eq!(names(&second.policies), ["B@WH"]);
    let only = pb::ListStockPoliciesRequest { location_id: "shop".to_owned(), ..Default::default() };
    assert_eq!(names(&shelf.client.list_stock_policies(only).await.unwrap().into_inner().policies), ["A@SHOP"]);
    assert_eq!(fields(&shelf.client.list_stock_policies(list(1_001, String::new())).await.unwrap_err()), ["page_size"]);
    assert_eq!(fields(&shelf.client.list_stock_policies(list(1, "x".to_owned())).await.unwrap_err()), ["page_token"]);
}

#[tokio::test]
async fn set_ring_fences_keeps_a_quota_for_its_owner_until_its_time() {
    let mut shelf = Shelf::stocked().await;
    channels(&shelf).await;
    let until = shelf.clock.now() + Duration::from_secs(60);
    let release_time = Some(prost_types::Timestamp { seconds: until.timestamp(), nanos: 0 });
    let kept = pb::RingFence { release_time, ..fence("A", "WEB", 6) };
    let request = set_fence(&shelf, kept);
    let set = shelf.client.set_ring_fences(request.clone()).await.unwrap().into_inner().fences;
    assert_eq!((set[0].used, set[0].quota), (0, 6));
    assert_eq!(shelf.client.set_ring_fences(request).await.unwrap().into_inner().fences, set);
    for (channel, expected) in [("WEB", 10), ("TILL", 4)] {
        assert_eq!(available(&mut shelf, channel).await, expected, "{channel}");
        assert_eq!(grantable(&mut shelf, channel).await, expected, "{channel}");
    }
    let event = shelf.announced("A@WH").await;
    assert_eq!((event.available, event.channel_availables[0].available), (4, 10));

    // What the owner holds or has bought counts; what it gives back does not.
    let web = |quantity, shelf: &Shelf| pb::HoldStockRequest {
        channel_id: "WEB".to_owned(),
        ..shelf.hold(&[("A", quantity)])
    };
    let bought = shelf.held(web(2, &shelf)).await;
    let given_back = shelf.held(web(3, &shelf)).await;
    assert_eq!(grantable(&mut shelf, "TILL").await, 4, "one of six is left to WEB");
    let commit = pb::CommitHoldRequest { request_id: shelf.id(), hold_id: bought.hold_id, ..Default::default() };
    shelf.client.commit_hold(commit).await.unwrap();
    let release = pb::ReleaseHoldRequest { request_id: shelf.id(), hold_id: given_back.hold_id };
    shelf.client.release_hold(release).await.unwrap();
    assert_eq!(available(&mut shelf, "TILL").await, 4);
    let listed = shelf.client.list_ring_fences(pb::ListRingFencesRequest::default()).await.unwrap().into_inner();
    assert_eq!(listed.fences[0].used, 2);
    shelf.verify().await;

    // A soft hold of the owner whose time is over counts for nobody, recorded or not.
    let soft = pb::HoldStockRequest { channel_id: "WEB".to_owned(), ..shelf.soft_hold(&[("A", 4)], 5) };
    shelf.held(soft).await;
    assert_eq!(available(&mut shelf, "TILL").await, 4);
    shelf.clock.advance(Duration::from_secs(5));
    assert_eq!(available(&mut shelf, "TILL").await, 4);
    assert_eq!(grantable(&mut shelf, "TILL").await, 4);

    shelf.clock.advance(Duration::from_secs(60));
    assert_eq!(grantable(&mut shelf, "TILL").await, 8, "released by the clock");
    assert_eq!(available(&mut shelf, "TILL").await, 8);
    wait_for("the release to be announced", Duration::from_secs(10), async || {
        let event = shelf.announced("A@WH").await;
        (event.available == 8 && event.channel_availables.is_empty()).then_some(())
    })
    .await;
    let again = shelf.client.set_ring_fences(set_fence(&shelf, fence("A", "WEB", 5))).await.unwrap().into_inner();
    assert_eq!((again.fences[0].used, again.fences[0].audit.as_ref().unwrap().version), (0, 2), "it begins anew");
    assert_eq!(grantable(&mut shelf, "TILL").await, 3);
    shelf.verify().await;
}

#[tokio::test]
async fn set_ring_fences_for_a_partner_is_open_to_that_partners_holds_only() {
    let mut shelf = Shelf::stocked().await;
    channels(&shelf).await;
    let owner = Some(pb::ring_fence::Owner::PartnerId("d-1".to_owned()));
    let kept = pb::RingFence { owner, ..fence("A", "WEB", 8) };
    shelf.client.set_ring_fences(set_fence(&shelf, kept)).await.unwrap();
    assert_eq!(grantable(&mut shelf, "WEB").await, 2);
    let dealer = pb::HoldStockRequest { partner_id: "D-1".to_owned(), ..shelf.hold(&[("A", 10)]) };
    assert_eq!(shelf.held(dealer).await.partner_id, "D-1");
    let bad = pb::RingFence {
        owner: None,
        quota: -1,
        release_time: Some(prost_types::Timestamp { seconds: i64::MAX, nanos: 0 }),
        ..fence("", "WEB", 0)
    };
    let mut request = set_fence(&shelf, bad);
    request.lines.extend(set_fence(&shelf, fence("A", "a b", 1)).lines);
    request
        .lines
        .extend([fence("A", "WEB", 1), fence("A", "WEB", 2)].map(|fence| set_fence(&shelf, fence).lines).concat());
    let status = shelf.client.set_ring_fences(request).await.unwrap_err();
    assert_eq!(
        fields(&status),
        [
            "lines[0].fence.sku",
            "lines[0].fence.owner",
            "lines[0].fence.quota",
            "lines[0].fence.release_time",
            "lines[1].fence.channel_id",
            "lines[3].fence",
        ]
    );
    let mut stale = set_fence(&shelf, fence("A", "WEB", 1));
    stale.lines[0].expected_version = 1;
    assert_eq!(reason(&shelf.client.set_ring_fences(stale).await.unwrap_err()), "VERSION_MISMATCH");
    let mut narrow = shelf.client_for(&["inventory:ListRingFences"], None).await;
    let denied = narrow.set_ring_fences(set_fence(&shelf, fence("A", "WEB", 1))).await.unwrap_err();
    assert_eq!(denied.code(), Code::PermissionDenied);
    shelf.verify().await;
}

#[tokio::test]
async fn list_ring_fences_pages_by_level_and_owner() {
    let mut shelf = Shelf::stocked().await;
    for one in [fence("B", "WEB", 1), fence("A", "WEB", 1), fence("A", "TILL", 1)] {
        shelf.client.set_ring_fences(set_fence(&shelf, one)).await.unwrap();
    }
    let list =
        |page_size, page_token: String| pb::ListRingFencesRequest { page_size, page_token, ..Default::default() };
    let names = |fences: &[pb::RingFence]| -> Vec<String> {
        fences.iter().map(|fence| format!("{} {:?}", fence.sku, fence.owner)).collect()
    };
    let first = shelf.client.list_ring_fences(list(2, String::new())).await.unwrap().into_inner();
    assert_eq!(names(&first.fences), [r#"A Some(ChannelId("TILL"))"#, r#"A Some(ChannelId("WEB"))"#]);
    let second = shelf.client.list_ring_fences(list(2, first.next_page_token)).await.unwrap().into_inner();
    assert_eq!(names(&second.fences), [r#"B Some(ChannelId("WEB"))"#]);
    assert_eq!(fields(&shelf.client.list_ring_fences(list(-1, String::new())).await.unwrap_err()), ["page_size"]);
    assert_eq!(fields(&shelf.client.list_ring_fences(list(1, "a\tb".to_owned())).await.unwrap_err()), ["page_token"]);
}

#[tokio::test]
async fn set_sku_policies_holds_wherever_the_sku_lies_also_later() {
    let mut shelf = Shelf::stocked().await;
    channels(&shelf).await;
    let policy = pb::SkuPolicy {
        sku: "a".to_owned(),
        network_threshold: 3,
        low_threshold: 9,
        excluded_channels: vec!["TILL".to_owned()],
        ..Default::default()
    };
    let request = set_sku(&shelf, policy);
    let set = shelf.client.set_sku_policies(request.clone()).await.unwrap().into_inner();
    assert_eq!(shelf.client.set_sku_policies(request).await.unwrap().into_inner(), set);
    assert_eq!(available(&mut shelf, "WEB").await, 7);
    assert_eq!(grantable(&mut shelf, "WEB").await, 10, "a hold names its location and is bound by its figure");
    assert_eq!((available(&mut shelf, "TILL").await, grantable(&mut shelf, "TILL").await), (0, 0));
    // A level that is made only now knows as well.
    shelf.receive("SHOP", &[("A", 2)]).await;
    let event = shelf.announced("A@SHOP").await;
    assert_eq!((event.network_threshold, event.available, event.channel_availables[0].available), (3, 2, 0));
    assert_eq!((available(&mut shelf, "WEB").await, available(&mut shelf, "TILL").await), (9, 0));
    let early = pb::SkuPolicy { sku: "NEVER".to_owned(), network_threshold: 1, ..Default::default() };
    shelf.client.set_sku_policies(set_sku(&shelf, early)).await.unwrap();
    shelf.receive("WH", &[("NEVER", 1)]).await;
    assert_eq!(shelf.announced("NEVER@WH").await.network_threshold, 1);
    // And one of a SKU without any policy forgets the suspicion.
    shelf.receive("WH", &[("PLAIN", 1)]).await;
    let suspected: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM inventory.stock_levels WHERE has_rules AND sku = 'PLAIN'")
            .fetch_one(shelf.db.pool())
            .await
            .unwrap();
    assert_eq!(suspected, 0);

    let bad = pb::SkuPolicy {
        network_threshold: -1,
        low_threshold: -1,
        excluded_channels: vec![String::new()],
        ..Default::default()
    };
    let status = shelf.client.set_sku_policies(set_sku(&shelf, bad)).await.unwrap_err();
    assert_eq!(
        fields(&status),
        [
            "lines[0].policy.sku",
            "lines[0].policy.network_threshold",
            "lines[0].policy.low_threshold",
            "lines[0].policy.excluded_channels[0]"
        ]
    );
    let line = pb::SkuPolicyLine { policy: None, expected_version: 0 };
    let many = pb::SetSkuPoliciesRequest { request_id: shelf.id(), lines: vec![line; 51] };
    assert_eq!(fields(&shelf.client.set_sku_policies(many).await.unwrap_err())[0], "lines");
    let mut narrow = shelf.client_for(&["inventory:ListSkuPolicies"], None).await;
    let denied = narrow.set_sku_policies(set_sku(&shelf, pb::SkuPolicy::default())).await.unwrap_err();
    assert_eq!(denied.code(), Code::PermissionDenied);
    shelf.verify().await;
}

#[tokio::test]
async fn list_sku_policies_pages_by_sku() {
    let mut shelf = Shelf::stocked().await;
    for sku in ["B", "A"] {
        let policy = pb::SkuPolicy { sku: sku.to_owned(), low_threshold: 1, ..Default::default() };
        shelf.client.set_sku_policies(set_sku(&shelf, policy)).await.unwrap();
    }
    let list = |page_size, page_token: String| pb::ListSkuPoliciesRequest { page_size, page_token };
    let first = shelf.client.list_sku_policies(list(1, String::new())).await.unwrap().into_inner();
    assert_eq!(first.policies[0].sku, "A");
    let second = shelf.client.list_sku_policies(list(1, first.next_page_token)).await.unwrap().into_inner();
    assert_eq!(second.policies[0].sku, "B");
    assert_eq!(fields(&shelf.client.list_sku_policies(list(1_001, String::new())).await.unwrap_err()), ["page_size"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn levels_made_while_a_sku_policy_is_set_all_know_of_it() {
    let mut shelf = Shelf::open().await;
    for number in 0..20 {
        shelf.add_location(&format!("L{number}"), pb::LocationKind::Store, false).await;
    }
    for round in 0..5 {
        let sku = format!("S{round}");
        let receipts = (0..20).map(|number| {
            let (mut client, request) =
                (shelf.client.clone(), shelf.receipt(&format!("L{number}"), &[(sku.as_str(), 1)]));
            async move { client.receive_stock(request).await.map(drop) }
        });
        let policy = pb::SkuPolicy { sku: sku.clone(), network_threshold: 1, ..Default::default() };
        let (mut client, request) = (shelf.client.clone(), set_sku(&shelf, policy));
        let (received, set) = tokio::join!(futures::future::join_all(receipts), client.set_sku_policies(request));
        assert!(received.into_iter().all(|outcome| outcome.is_ok()));
        set.unwrap();
    }
    shelf.verify().await;
}

#[tokio::test]
async fn verify_sees_a_level_that_does_not_know_of_its_rules_and_a_fence_that_miscounts() {
    let mut shelf = Shelf::stocked().await;
    shelf.client.set_ring_fences(set_fence(&shelf, fence("A", "WEB", 5))).await.unwrap();
    let policy = pb::StockPolicy { safety_stock: 1, ..stock_policy("B", "WH") };
    shelf.client.set_stock_policies(set_stock(&shelf, vec![policy])).await.unwrap();
    shelf.verify().await;
    for tampering in [
        "UPDATE inventory.stock_levels SET has_rules = FALSE WHERE sku = 'A'",
        "UPDATE inventory.stock_levels SET safety_stock = 2 WHERE sku = 'B'",
        "UPDATE inventory.ring_fences SET used = 1",
    ] {
        sqlx::query(tampering).execute(shelf.db.pool()).await.unwrap();
    }
    let checks = oneshelf_inventory::verify::verify(shelf.db.pool()).await.unwrap();
    let broken: Vec<(&str, i64)> =
        checks.iter().filter(|check| check.violations > 0).map(|check| (check.id, check.violations)).collect();
    assert_eq!(broken, [("Q4", 2), ("Q4", 1)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cap_holds_against_many_requests_at_once_and_frees_with_time() {
    let mut shelf = Shelf::stocked().await;
    shelf.receive("SHOP", &[("A", 10)]).await;
    let cart = |shelf: &Shelf, location_id: &str| {
        let mut hold = pb::HoldStockRequest {
            shopper_id: "ann".to_owned(),
            channel_id: "WEB".to_owned(),
            ..shelf.soft_hold(&[("A", 1)], 60)
        };
        hold.lines[0].location_id = location_id.to_owned();
        hold
    };
    // One hold is there before the cap is: it counts.
    let first = shelf.held(cart(&shelf, "WH")).await;
    let policy =
        pb::SkuPolicy { sku: "A".to_owned(), shopper_cap: Some(4), channel_cap: Some(6), ..Default::default() };
    shelf.client.set_sku_policies(set_sku(&shelf, policy)).await.unwrap();
    let asked = (0..20).map(|number| {
        let (mut client, request) = (shelf.client.clone(), cart(&shelf, if number % 2 == 0 { "WH" } else { "SHOP" }));
        async move { client.hold_stock(request).await }
    });
    let outcomes = futures::future::join_all(asked).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 3);
    let refused = outcomes.into_iter().find_map(Result::err).unwrap();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "HOLD_CAP_EXCEEDED"));
    assert_eq!(refused.get_details_error_info().unwrap().metadata["whose"], "shopper");
    let bob = |shelf: &Shelf| pb::HoldStockRequest { shopper_id: "bob".to_owned(), ..cart(shelf, "SHOP") };
    for _ in 0..2 {
        shelf.held(bob(&shelf)).await;
    }
    let channel = shelf.client.hold_stock(bob(&shelf)).await.unwrap_err();
    assert_eq!(channel.get_details_error_info().unwrap().metadata["whose"], "channel");
    let release = pb::ReleaseHoldRequest { request_id: shelf.id(), hold_id: first.hold_id };
    shelf.client.release_hold(release).await.unwrap();
    shelf.held(cart(&shelf, "SHOP")).await;
    shelf.verify().await;
    shelf.clock.advance(Duration::from_secs(60));
    for _ in 0..4 {
        shelf.held(cart(&shelf, "SHOP")).await;
    }
    shelf.verify().await;

    sqlx::query("UPDATE inventory.cap_counters SET soft_held = 9 WHERE holder_id = 'ann'")
        .execute(shelf.db.pool())
        .await
        .unwrap();
    let checks = oneshelf_inventory::verify::verify(shelf.db.pool()).await.unwrap();
    let broken: Vec<&str> = checks.iter().filter(|check| check.violations > 0).map(|check| check.id).collect();
    assert_eq!(broken, ["CAP"]);
}
