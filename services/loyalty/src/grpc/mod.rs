//! Transport in: each RPC parses, calls its use case and answers. No rule stands here.

mod convert;
mod status;

use oneshelf_kit::status::caller;
use oneshelf_proto::loyalty::v1::{self as pb, loyalty_service_server::LoyaltyService};
use tonic::{Request, Response, Status};

use crate::{
    grpc::{
        convert::{entry_message, member_message},
        status::to_status,
    },
    usecases::Loyalty,
};

/// The service behind the contract.
pub(crate) struct LoyaltyGrpc(pub(crate) Loyalty);

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl LoyaltyService for LoyaltyGrpc {
    async fn batch_create_members(
        &self,
        request: Request<pb::BatchCreateMembersRequest>,
    ) -> Answer<pb::BatchCreateMembersResponse> {
        let caller = caller(&request)?;
        let (key, ids) = convert::batch_create_members(request.into_inner())?;
        let members = self.0.batch_create_members(&caller, key, ids).await.map_err(to_status)?;
        Ok(Response::new(pb::BatchCreateMembersResponse { members: members.iter().map(member_message).collect() }))
    }

    async fn get_member(&self, request: Request<pb::GetMemberRequest>) -> Answer<pb::GetMemberResponse> {
        let caller = caller(&request)?;
        let id = convert::get_member(request.get_ref())?;
        let member = self.0.get_member(&caller, id).await.map_err(to_status)?;
        Ok(Response::new(pb::GetMemberResponse { member: Some(member_message(&member)) }))
    }

    async fn list_members(&self, request: Request<pb::ListMembersRequest>) -> Answer<pb::ListMembersResponse> {
        let caller = caller(&request)?;
        let (after, size) = convert::list_members(request.get_ref())?;
        let (page, more) = self.0.list_members(&caller, after, size).await.map_err(to_status)?;
        let next = page.last().filter(|_| more).map(|last| last.id.to_string());
        Ok(Response::new(pb::ListMembersResponse {
            members: page.iter().map(member_message).collect(),
            next_page_token: next.unwrap_or_default(),
        }))
    }

    async fn list_points_entries(
        &self,
        request: Request<pb::ListPointsEntriesRequest>,
    ) -> Answer<pb::ListPointsEntriesResponse> {
        let caller = caller(&request)?;
        let (id, before, size) = convert::list_points_entries(request.get_ref())?;
        let (page, more) = self.0.list_points_entries(&caller, id, before, size).await.map_err(to_status)?;
        let next = page.last().filter(|_| more).map(|(sequence, _)| sequence.to_string());
        Ok(Response::new(pb::ListPointsEntriesResponse {
            entries: page.iter().map(|(sequence, entry)| entry_message(*sequence, entry)).collect(),
            next_page_token: next.unwrap_or_default(),
        }))
    }
}
