//! The registry: what is made, changed and read, and who may.

use oneshelf_kit::outbox::Recorded;
use oneshelf_proto::channels::v1 as pb;
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::support::{Shop, fields, refusal, refused, web};

#[tokio::test]
async fn create_channel_registers_it_once_and_tells_others() {
    let shop = Shop::open().await;
    let mut client = shop.client.clone();
    let request = pb::CreateChannelRequest { request_id: shop.id(), channel: Some(web(" web-1 ", &["WH", "shop-1"])) };
    let made = client.create_channel(request.clone()).await.unwrap().into_inner();
    let channel = made.channel.clone().unwrap();
    assert_eq!(channel.channel_id, "WEB-1");
    assert_eq!(channel.location_ids, ["SHOP-1", "WH"]);
    assert_eq!(channel.version, 1);

    let repeated = client.create_channel(request.clone()).await.unwrap().into_inner();
    assert_eq!(repeated, made);

    let mut reused = request.clone();
    reused.channel = Some(web("web-2", &["WH"]));
    let status = client.create_channel(reused).await.unwrap_err();
    assert_eq!(refusal(&status), refused(Code::InvalidArgument, "REQUEST_ID_REUSED"));
    assert_eq!(fields(&status), ["request_id"]);

    let taken = pb::CreateChannelRequest { request_id: shop.id(), ..request };
    let status = client.create_channel(taken).await.unwrap_err();
    assert_eq!(refusal(&status), refused(Code::AlreadyExists, "CHANNEL_EXISTS"));

    let told = shop.told().await;
    let [Recorded { routing_key, event, .. }] = &told[..] else { panic!("one event, not {told:?}") };
    assert_eq!((&**routing_key, &*event.aggregate_id), ("channels.channel.changed.v1", "WEB-1"));
    assert_eq!(event.aggregate_version, 1);
    assert_eq!(event.decode::<pb::ChannelChanged>().unwrap().channel, Some(channel));
    shop.stop().await;
}

#[tokio::test]
async fn update_channel_changes_title_and_locations_of_the_version_that_was_seen() {
    let shop = Shop::open().await;
    let mut client = shop.client.clone();
    shop.channel("WEB", &["WH"]).await;
    let request = pb::UpdateChannelRequest {
        request_id: shop.id(),
        channel: Some(pb::Channel {
            title: "Outlet".to_owned(),
            kind: pb::ChannelKind::Store.into(),
            currency_code: "EUR".to_owned(),
            ..web("WEB", &["SHOP"])
        }),
        expected_version: 1,
    };
    let changed = client.update_channel(request.clone()).await.unwrap().into_inner();
    let channel = changed.channel.clone().unwrap();
    assert_eq!((channel.title.as_str(), channel.version), ("Outlet", 2));
    assert_eq!(channel.location_ids, ["SHOP"]);
    assert_eq!(channel.kind(), pb::ChannelKind::Web);
    assert_eq!(channel.currency_code, "GBP");
    assert_eq!(client.update_channel(request.clone()).await.unwrap().into_inner(), changed);

    let late = pb::UpdateChannelRequest { request_id: shop.id(), ..request.clone() };
    let status = client.update_channel(late).await.unwrap_err();
    assert_eq!(refusal(&status), refused(Code::Aborted, "VERSION_MISMATCH"));

    let same = pb::UpdateChannelRequest { request_id: shop.id(), expected_version: 0, ..request.clone() };
    assert_eq!(client.update_channel(same).await.unwrap().into_inner().channel.unwrap().version, 2);

    let mut reused = request.clone();
    reused.expected_version = 2;
    let status = client.update_channel(reused).await.unwrap_err();
    assert_eq!(refusal(&status), refused(Code::InvalidArgument, "REQUEST_ID_REUSED"));

    let unknown =
        pb::UpdateChannelRequest { request_id: shop.id(), channel: Some(web("NOWHERE", &["WH"])), expected_version: 0 };
    let status = client.update_channel(unknown).await.unwrap_err();
    assert_eq!(refusal(&status), refused(Code::NotFound, "CHANNEL_NOT_FOUND"));

    assert_eq!(shop.told().await.len(), 2);
    shop.stop().await;
}

#[tokio::test]
async fn get_channel_reads_one_and_names_the_one_that_is_missing() {
    let shop = Shop::open().await;
    let mut client = shop.client.clone();
    let made = shop.channel("WEB", &["WH"]).await;
    let read = client.get_channel(pb::GetChannelRequest { channel_id: "web".to_owned() }).await.unwrap();
    assert_eq!(read.into_inner().channel, Some(made));
    let status = client.get_channel(pb::GetChannelRequest { channel_id: "SHOP".to_owned() }).await.unwrap_err();
    assert_eq!(refusal(&status), refused(Code::NotFound, "CHANNEL_NOT_FOUND"));
    assert_eq!(status.get_details_resource_info().unwrap().resource_name, "SHOP");
    shop.stop().await;
}

#[tokio::test]
async fn list_channels_pages_by_id() {
    let shop = Shop::open().await;
    let mut client = shop.client.clone();
    for channel_id in ["C", "A", "B"] {
        shop.channel(channel_id, &["WH"]).await;
    }
    let mut request = pb::ListChannelsRequest { page_size: 2, page_token: String::new() };
    let first = client.list_channels(request.clone()).await.unwrap().into_inner();
    assert_eq!(ids(&first.channels), ["A", "B"]);
    request.page_token = first.next_page_token;
    let second = client.list_channels(request).await.unwrap().into_inner();
    assert_eq!(ids(&second.channels), ["C"]);
    assert_eq!(second.next_page_token, "");
    shop.stop().await;
}

fn ids(channels: &[pb::Channel]) -> Vec<&str> {
    channels.iter().map(|channel| channel.channel_id.as_str()).collect()
}

#[tokio::test]
async fn a_key_bound_to_a_channel_sees_and_changes_only_that_one() {
    let shop = Shop::open().await;
    shop.channel("MINE", &["WH"]).await;
    shop.channel("YOURS", &["WH"]).await;
    let mut client = shop.client_with(&["channels:*"], Some("MINE")).await;

    let listed = client.list_channels(pb::ListChannelsRequest::default()).await.unwrap().into_inner();
    assert_eq!(ids(&listed.channels), ["MINE"]);
    let yours = || "YOURS".to_owned();
    let hidden = refused(Code::NotFound, "CHANNEL_NOT_FOUND");
    let status = client.get_channel(pb::GetChannelRequest { channel_id: yours() }).await.unwrap_err();
    assert_eq!(refusal(&status), hidden);
    let status = client.get_channel_lag(pb::GetChannelLagRequest { channel_id: yours() }).await.unwrap_err();
    assert_eq!(refusal(&status), hidden);
    let request = pb::ListListingsRequest { channel_id: yours(), ..Default::default() };
    assert_eq!(refusal(&client.list_listings(request).await.unwrap_err()), hidden);

    let denied = refused(Code::PermissionDenied, "OUT_OF_SCOPE");
    let request = pb::SubscribeRequest { channel_id: yours(), cursor: String::new() };
    assert_eq!(refusal(&client.subscribe(request).await.unwrap_err()), denied);
    let request =
        pb::UpdateChannelRequest { request_id: shop.id(), channel: Some(web("YOURS", &["SHOP"])), expected_version: 0 };
    assert_eq!(refusal(&client.update_channel(request).await.unwrap_err()), denied);
    let request = pb::CreateChannelRequest { request_id: shop.id(), channel: Some(web("NEW", &["WH"])) };
    assert_eq!(refusal(&client.create_channel(request).await.unwrap_err()), denied);
    let request = pb::AcknowledgeRequest {
        request_id: shop.id(),
        channel_id: yours(),
        versions: vec![pb::AcknowledgedVersion { sku: "A".to_owned(), version: 1 }],
    };
    assert_eq!(refusal(&client.acknowledge(request).await.unwrap_err()), denied);
    shop.stop().await;
}
