//! What the channel says it shows, and the lag that follows from it.

use std::time::Duration;

use oneshelf_proto::channels::v1 as pb;
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::support::{Shop, refusal, refused};

fn says(shop: &Shop, versions: &[(&str, i64)]) -> pb::AcknowledgeRequest {
    pb::AcknowledgeRequest {
        request_id: shop.id(),
        channel_id: "WEB".to_owned(),
        versions: versions
            .iter()
            .map(|&(sku, version)| pb::AcknowledgedVersion { sku: sku.to_owned(), version })
            .collect(),
    }
}

/// A channel with A at version 2 and B at version 1.
async fn stocked() -> Shop {
    let shop = Shop::open().await;
    shop.channel("WEB", &["WH"]).await;
    shop.announce_stock("A", "WH", 5, 1).await;
    shop.announce_stock("B", "WH", 5, 1).await;
    shop.wait_for_applied(2).await;
    shop.clock.advance(Duration::from_secs(2));
    shop.announce_stock("A", "WH", 4, 2).await;
    shop.wait_for_applied(3).await;
    shop
}

#[tokio::test]
async fn acknowledge_moves_forward_only_and_repeats_its_answer() {
    let shop = stocked().await;
    let mut client = shop.client.clone();
    let first = says(&shop, &[("a", 1), ("A", 2), ("B", 1)]);
    assert_eq!(client.acknowledge(first.clone()).await.unwrap().into_inner().advanced, 2);
    assert_eq!(client.acknowledge(first.clone()).await.unwrap().into_inner().advanced, 2);
    let older = says(&shop, &[("A", 1), ("B", 1)]);
    assert_eq!(client.acknowledge(older).await.unwrap().into_inner().advanced, 0);
    assert_eq!(shop.listing("WEB", "A").await.unwrap().acknowledged_version, 2);

    let reused = pb::AcknowledgeRequest { request_id: first.request_id, ..says(&shop, &[("A", 1)]) };
    let status = client.acknowledge(reused).await.unwrap_err();
    assert_eq!(refusal(&status), refused(Code::InvalidArgument, "REQUEST_ID_REUSED"));
    let elsewhere = pb::AcknowledgeRequest { channel_id: "SHOP".to_owned(), ..says(&shop, &[("A", 1)]) };
    let status = client.acknowledge(elsewhere).await.unwrap_err();
    assert_eq!(refusal(&status), refused(Code::NotFound, "CHANNEL_NOT_FOUND"));
    shop.stop().await;
}

#[tokio::test]
async fn acknowledge_of_what_was_never_sent_is_refused_whole() {
    let shop = stocked().await;
    let mut client = shop.client.clone();
    for (sku, sent) in [("A", "2"), ("UNKNOWN", "0")] {
        let status = client.acknowledge(says(&shop, &[("B", 1), (sku, 3)])).await.unwrap_err();
        assert_eq!(refusal(&status), refused(Code::FailedPrecondition, "VERSION_AHEAD"));
        let metadata = status.get_details_error_info().unwrap().metadata;
        assert_eq!((metadata["sku"].as_str(), metadata["sent"].as_str()), (sku, sent));
        assert_eq!(metadata["acknowledged"], "3");
    }
    assert_eq!(shop.listing("WEB", "B").await.unwrap().acknowledged_version, 0);
    shop.stop().await;
}

#[tokio::test]
async fn get_channel_lag_tells_what_is_pending_and_how_long_acknowledgements_took() {
    let shop = stocked().await;
    let mut client = shop.client.clone();
    let lag = async || {
        let request = pb::GetChannelLagRequest { channel_id: "WEB".to_owned() };
        shop.client.clone().get_channel_lag(request).await.unwrap().into_inner()
    };
    let seconds = |seconds| Some(prost_types::Duration { seconds, nanos: 0 });
    shop.clock.advance(Duration::from_secs(1));
    let none_yet = lag().await;
    assert_eq!((none_yet.pending, none_yet.acknowledged), (2, 0));
    assert_eq!((none_yet.oldest_pending_age, none_yet.delay_max), (seconds(3), seconds(0)));

    client.acknowledge(says(&shop, &[("A", 2)])).await.unwrap();
    let half = lag().await;
    assert_eq!((half.pending, half.acknowledged, half.delay_p50), (1, 1, seconds(1)));

    client.acknowledge(says(&shop, &[("B", 1)])).await.unwrap();
    let all = lag().await;
    assert_eq!((all.pending, all.oldest_pending_age, all.acknowledged), (0, seconds(0), 2));
    assert_eq!((all.delay_p50, all.delay_p99, all.delay_max), (seconds(1), seconds(3), seconds(3)));

    shop.clock.advance(Duration::from_secs(61));
    assert_eq!(lag().await.acknowledged, 0);
    let request = pb::GetChannelLagRequest { channel_id: "SHOP".to_owned() };
    let status = client.get_channel_lag(request).await.unwrap_err();
    assert_eq!(refusal(&status), refused(Code::NotFound, "CHANNEL_NOT_FOUND"));
    shop.stop().await;
}

#[tokio::test]
async fn the_wait_of_a_pending_change_counts_from_the_first_unacknowledged_one() {
    let shop = stocked().await;
    shop.clock.advance(Duration::from_secs(5));
    shop.announce_stock("A", "WH", 3, 3).await;
    shop.wait_for_applied(4).await;
    let request = pb::GetChannelLagRequest { channel_id: "WEB".to_owned() };
    let lag = shop.client.clone().get_channel_lag(request).await.unwrap().into_inner();
    assert_eq!(lag.oldest_pending_age.unwrap().seconds, 7);
    shop.stop().await;
}

#[tokio::test]
async fn list_listings_pages_by_sku_with_what_was_acknowledged() {
    let shop = stocked().await;
    let mut client = shop.client.clone();
    client.acknowledge(says(&shop, &[("A", 1)])).await.unwrap();
    let mut request = pb::ListListingsRequest { channel_id: "WEB".to_owned(), page_size: 1, page_token: String::new() };
    let first = client.list_listings(request.clone()).await.unwrap().into_inner();
    assert_eq!(first.listings.len(), 1);
    let listing = &first.listings[0];
    assert_eq!((listing.sku.as_str(), listing.version, listing.acknowledged_version), ("A", 2, 1));
    request.page_token = first.next_page_token;
    let second = client.list_listings(request.clone()).await.unwrap().into_inner();
    assert_eq!((second.listings[0].sku.as_str(), second.next_page_token.as_str()), ("B", ""));
    request.channel_id = "SHOP".to_owned();
    let status = client.list_listings(request).await.unwrap_err();
    assert_eq!(refusal(&status), refused(Code::NotFound, "CHANNEL_NOT_FOUND"));
    shop.stop().await;
}
