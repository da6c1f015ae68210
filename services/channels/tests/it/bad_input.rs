//! Malformed requests are told every field that is wrong and change nothing; keys must be there and fit.

use oneshelf_proto::{FILE_DESCRIPTOR_SET, channels::v1 as pb};
use oneshelf_testkit::bad_input::{Good, assert_bad_input_is_refused};
use tonic::Code;

use crate::support::{Shop, fields, web};

fn version(sku: &str, version: i64) -> pb::AcknowledgedVersion {
    pb::AcknowledgedVersion { sku: sku.to_owned(), version }
}

fn goods(shop: &Shop) -> Vec<Good> {
    let channel_id = || "WEB".to_owned();
    let create = pb::CreateChannelRequest { request_id: shop.id(), channel: Some(web("APP", &["WH"])) };
    let update = pb::UpdateChannelRequest {
        request_id: shop.id(),
        channel: Some(pb::Channel { title: "The web shop".to_owned(), ..web("WEB", &["WH"]) }),
        expected_version: 1,
    };
    let acknowledge =
        pb::AcknowledgeRequest { request_id: shop.id(), channel_id: channel_id(), versions: vec![version("A", 1)] };
    vec![
        Good::new("CreateChannel", &create)
            .ignored(&["channel.version", "channel.create_time"])
            .any_currency(&["channel.currency_code"])
            .at_most(&[("channel.location_ids", 1_000)]),
        Good::new("UpdateChannel", &update)
            .optional(&["expected_version"])
            // Kind and currency cannot change.
            .ignored(&["channel.kind", "channel.currency_code", "channel.version", "channel.create_time"])
            .unbounded(&["expected_version"])
            .at_most(&[("channel.location_ids", 1_000)]),
        Good::new("GetChannel", &pb::GetChannelRequest { channel_id: channel_id() }),
        Good::new("ListChannels", &pb::ListChannelsRequest { page_size: 1, page_token: "p1.WEB".to_owned() }),
        Good::new("Subscribe", &pb::SubscribeRequest { channel_id: channel_id(), cursor: "c1.WEB.0".to_owned() })
            .optional(&["cursor"]),
        Good::new("Acknowledge", &acknowledge).unbounded(&["versions.version"]).at_most(&[("versions", 1_000)]),
        Good::new(
            "ListListings",
            &pb::ListListingsRequest { channel_id: channel_id(), page_size: 1, page_token: "p1.A".to_owned() },
        ),
        Good::new("GetChannelLag", &pb::GetChannelLagRequest { channel_id: channel_id() }),
    ]
}

#[tokio::test]
async fn every_bad_field_is_refused_by_its_name_and_changes_nothing() {
    let shop = Shop::open().await;
    shop.channel("WEB", &["WH"]).await;
    shop.announce_stock("A", "WH", 5, 1).await;
    shop.wait_for_listing("WEB", "A", |listing| listing.version == 1).await;
    let (server, service) = (shop.server(), "oneshelf.channels.v1.ChannelsService");
    assert_bad_input_is_refused(server, &shop.pool, FILE_DESCRIPTOR_SET, service, goods(&shop)).await;
    shop.stop().await;
}

#[tokio::test]
async fn create_channel_names_every_bad_field() {
    let shop = Shop::open().await;
    let before = shop.rows().await;
    let good = web("WEB", &["WH"]);
    let cases = [
        (None, vec!["channel"]),
        (
            Some(pb::Channel::default()),
            vec![
                "channel.channel_id",
                "channel.kind",
                "channel.title",
                "channel.currency_code",
                "channel.location_ids",
            ],
        ),
        (
            Some(pb::Channel {
                channel_id: "A".repeat(33),
                kind: 77,
                title: "x".repeat(201),
                currency_code: "gbp".to_owned(),
                location_ids: vec!["WH".to_owned(), "a b".to_owned(), "wh".to_owned()],
                ..good.clone()
            }),
            vec![
                "channel.channel_id",
                "channel.kind",
                "channel.title",
                "channel.currency_code",
                "channel.location_ids[1]",
                "channel.location_ids[2]",
            ],
        ),
        (
            Some(pb::Channel { title: "a\u{7}b".to_owned(), currency_code: "ZZZ".to_owned(), ..good.clone() }),
            vec!["channel.title", "channel.currency_code"],
        ),
        (
            Some(pb::Channel { location_ids: (0..1_001).map(|n| format!("L{n}")).collect(), ..good.clone() }),
            vec!["channel.location_ids"],
        ),
    ];
    for (channel, expected) in cases {
        let request = pb::CreateChannelRequest { request_id: shop.id(), channel };
        let status = shop.client.clone().create_channel(request).await.unwrap_err();
        assert_eq!(fields(&status), expected);
    }
    for request_id in ["", "7", "00000000-0000-0000-0000-000000000000"] {
        let request = pb::CreateChannelRequest { request_id: request_id.to_owned(), channel: Some(good.clone()) };
        let status = shop.client.clone().create_channel(request).await.unwrap_err();
        assert_eq!(fields(&status), ["request_id"]);
    }
    assert_eq!(shop.rows().await, before);
    shop.stop().await;
}

#[tokio::test]
async fn update_channel_names_every_bad_field() {
    let shop = Shop::open().await;
    shop.channel("WEB", &["WH"]).await;
    let before = shop.rows().await;
    let cases = [
        (
            pb::UpdateChannelRequest { request_id: String::new(), channel: None, expected_version: -1 },
            vec!["request_id", "expected_version", "channel"],
        ),
        (
            pb::UpdateChannelRequest {
                request_id: shop.id(),
                channel: Some(pb::Channel {
                    channel_id: "a b".to_owned(),
                    title: " ".to_owned(),
                    location_ids: vec![String::new()],
                    ..Default::default()
                }),
                expected_version: i64::MIN,
            },
            vec!["expected_version", "channel.channel_id", "channel.title", "channel.location_ids[0]"],
        ),
    ];
    for (request, expected) in cases {
        let status = shop.client.clone().update_channel(request).await.unwrap_err();
        assert_eq!(fields(&status), expected);
    }
    assert_eq!(shop.rows().await, before);
    shop.stop().await;
}

#[tokio::test]
async fn acknowledge_names_every_bad_field() {
    let shop = Shop::open().await;
    shop.channel("WEB", &["WH"]).await;
    let before = shop.rows().await;
    let cases = [
        (String::new(), String::new(), vec![], vec!["request_id", "channel_id", "versions"]),
        (
            shop.id(),
            "WEB".to_owned(),
            vec![version("", 1), version("A", 0), version(&"x".repeat(65), -1), version("A", i64::MIN)],
            vec![
                "versions[0].sku",
                "versions[1].version",
                "versions[2].version",
                "versions[2].sku",
                "versions[3].version",
            ],
        ),
        (shop.id(), "WEB".to_owned(), vec![version("A", 1); 1_001], vec!["versions"]),
    ];
    for (request_id, channel_id, versions, expected) in cases {
        let request = pb::AcknowledgeRequest { request_id, channel_id, versions };
        let status = shop.client.clone().acknowledge(request).await.unwrap_err();
        assert_eq!(fields(&status), expected);
    }
    assert_eq!(shop.rows().await, before);
    shop.stop().await;
}

#[tokio::test]
async fn reads_name_every_bad_field() {
    let shop = Shop::open().await;
    let mut client = shop.client.clone();
    for channel_id in ["", "a b", &"x".repeat(33)] {
        let channel_id = || channel_id.to_owned();
        let status = client.get_channel(pb::GetChannelRequest { channel_id: channel_id() }).await.unwrap_err();
        assert_eq!(fields(&status), ["channel_id"]);
        let status = client.get_channel_lag(pb::GetChannelLagRequest { channel_id: channel_id() }).await.unwrap_err();
        assert_eq!(fields(&status), ["channel_id"]);
        let request = pb::SubscribeRequest { channel_id: channel_id(), cursor: String::new() };
        assert_eq!(fields(&client.subscribe(request).await.unwrap_err()), ["channel_id"]);
        for (page_size, page_token) in [(-1, "x"), (5_001, "p1."), (i32::MAX, "p1.a  b"), (i32::MIN, "p1.a")] {
            let page_token = page_token.to_owned();
            let request =
                pb::ListListingsRequest { channel_id: channel_id(), page_size, page_token: page_token.clone() };
            let status = client.list_listings(request).await.unwrap_err();
            assert_eq!(fields(&status), ["channel_id", "page_size", "page_token"]);
            let status = client.list_channels(pb::ListChannelsRequest { page_size, page_token }).await.unwrap_err();
            assert_eq!(fields(&status), ["page_size", "page_token"]);
        }
    }
    shop.stop().await;
}

/// Calls every RPC with a client.
macro_rules! every_rpc {
    ($client:expr) => {{
        let client = &mut $client;
        [
            client.create_channel(pb::CreateChannelRequest::default()).await.unwrap_err(),
            client.update_channel(pb::UpdateChannelRequest::default()).await.unwrap_err(),
            client.get_channel(pb::GetChannelRequest::default()).await.unwrap_err(),
            client.list_channels(pb::ListChannelsRequest::default()).await.unwrap_err(),
            client.subscribe(pb::SubscribeRequest::default()).await.unwrap_err(),
            client.acknowledge(pb::AcknowledgeRequest::default()).await.unwrap_err(),
            client.list_listings(pb::ListListingsRequest::default()).await.unwrap_err(),
            client.get_channel_lag(pb::GetChannelLagRequest::default()).await.unwrap_err(),
        ]
    }};
}

#[tokio::test]
async fn without_a_key_or_with_the_wrong_scope_nothing_is_answered() {
    let shop = Shop::open().await;
    for status in every_rpc!(shop.stranger().await) {
        assert_eq!(status.code(), Code::Unauthenticated, "{status:?}");
    }
    for status in every_rpc!(shop.client_with(&["inventory:*"], None).await) {
        assert_eq!(status.code(), Code::PermissionDenied, "{status:?}");
    }
    shop.stop().await;
}
