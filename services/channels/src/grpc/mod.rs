//! Transport in: each RPC converts, calls one use case, and converts back.

mod convert;
mod status;

use std::pin::Pin;

use futures::{Stream, stream};
use oneshelf_kit::status::caller;
use oneshelf_proto::channels::v1::{self as pb, channels_service_server::ChannelsService};
use tonic::{Request, Response, Status};

use crate::{events::channel_message, usecases::Channels};

/// The service on the wire.
#[derive(Clone)]
pub struct ChannelsGrpc(pub Channels);

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl ChannelsService for ChannelsGrpc {
    async fn create_channel(&self, request: Request<pb::CreateChannelRequest>) -> Answer<pb::CreateChannelResponse> {
        let caller = caller(&request)?;
        let (key, new) = convert::create_channel(request.into_inner())?;
        let channel = self.0.create_channel(&caller, key, new).await?;
        Ok(Response::new(pb::CreateChannelResponse { channel: Some(channel_message(&channel)) }))
    }

    async fn update_channel(&self, request: Request<pb::UpdateChannelRequest>) -> Answer<pb::UpdateChannelResponse> {
        let caller = caller(&request)?;
        let (key, update) = convert::update_channel(request.into_inner())?;
        let channel = self.0.update_channel(&caller, key, update).await?;
        Ok(Response::new(pb::UpdateChannelResponse { channel: Some(channel_message(&channel)) }))
    }

    async fn get_channel(&self, request: Request<pb::GetChannelRequest>) -> Answer<pb::GetChannelResponse> {
        let caller = caller(&request)?;
        let channel_id = convert::channel_id(&request.get_ref().channel_id)?;
        let channel = self.0.get_channel(&caller, &channel_id).await?;
        Ok(Response::new(pb::GetChannelResponse { channel: Some(channel_message(&channel)) }))
    }

    async fn list_channels(&self, request: Request<pb::ListChannelsRequest>) -> Answer<pb::ListChannelsResponse> {
        let caller = caller(&request)?;
        let page = convert::list_channels(request.get_ref())?;
        let found = self.0.list_channels(&caller, page).await?;
        Ok(Response::new(convert::channels_page(found)))
    }

    type SubscribeStream = Pin<Box<dyn Stream<Item = Result<pb::SubscribeResponse, Status>> + Send>>;

    async fn subscribe(&self, request: Request<pb::SubscribeRequest>) -> Answer<Self::SubscribeStream> {
        let caller = caller(&request)?;
        let channel_id = convert::channel_id(&request.get_ref().channel_id)?;
        let subscription = self.0.subscribe(&caller, &channel_id, &request.get_ref().cursor).await?;
        let messages = stream::try_unfold(subscription, |mut subscription| async {
            let page = subscription.next().await?;
            Ok(Some((convert::stream_page(page), subscription)))
        });
        Ok(Response::new(Box::pin(messages)))
    }

    async fn acknowledge(&self, request: Request<pb::AcknowledgeRequest>) -> Answer<pb::AcknowledgeResponse> {
        let caller = caller(&request)?;
        let (key, channel_id, versions) = convert::acknowledge(request.into_inner())?;
        let advanced = self.0.acknowledge(&caller, key, channel_id, versions).await?;
        Ok(Response::new(pb::AcknowledgeResponse { advanced: advanced as i32 }))
    }

    async fn list_listings(&self, request: Request<pb::ListListingsRequest>) -> Answer<pb::ListListingsResponse> {
        let caller = caller(&request)?;
        let (channel_id, page) = convert::list_listings(request.get_ref())?;
        let found = self.0.list_listings(&caller, &channel_id, page).await?;
        Ok(Response::new(convert::listings_page(found)))
    }

    async fn get_channel_lag(&self, request: Request<pb::GetChannelLagRequest>) -> Answer<pb::GetChannelLagResponse> {
        let caller = caller(&request)?;
        let channel_id = convert::channel_id(&request.get_ref().channel_id)?;
        let lag = self.0.get_channel_lag(&caller, &channel_id).await?;
        Ok(Response::new(convert::lag(lag)))
    }
}
