//! Transport in: each RPC parses, calls its use case and answers. No rule stands here.

mod convert;
mod status;

use oneshelf_kit::status::caller;
use oneshelf_proto::partners::v1::{self as pb, partners_service_server::PartnersService};
use tonic::{Request, Response, Status};

use crate::{
    events::partner_message,
    grpc::{
        convert::{account_message, entry_message, hold_message},
        status::{limit_to_status, to_status},
    },
    usecases::Partners,
};

/// The service behind the contract.
pub(crate) struct PartnersGrpc(pub(crate) Partners);

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl PartnersService for PartnersGrpc {
    async fn create_partner(&self, request: Request<pb::CreatePartnerRequest>) -> Answer<pb::CreatePartnerResponse> {
        let caller = caller(&request)?;
        let (key, new) = convert::create_partner(request.into_inner())?;
        let partner = self.0.create_partner(&caller, key, new).await.map_err(to_status)?;
        Ok(Response::new(pb::CreatePartnerResponse { partner: Some(partner_message(&partner)) }))
    }

    async fn get_partner(&self, request: Request<pb::GetPartnerRequest>) -> Answer<pb::GetPartnerResponse> {
        let caller = caller(&request)?;
        let id = convert::partner_id(&request.get_ref().partner_id)?;
        let partner = self.0.get_partner(&caller, id).await.map_err(to_status)?;
        Ok(Response::new(pb::GetPartnerResponse { partner: Some(partner_message(&partner)) }))
    }

    async fn list_partners(&self, request: Request<pb::ListPartnersRequest>) -> Answer<pb::ListPartnersResponse> {
        let caller = caller(&request)?;
        let (after, size) = convert::list_partners(request.get_ref())?;
        let (page, more) = self.0.list_partners(&caller, after, size).await.map_err(to_status)?;
        let next = page.last().filter(|_| more).map(|last| last.id.to_string());
        Ok(Response::new(pb::ListPartnersResponse {
            partners: page.iter().map(partner_message).collect(),
            next_page_token: next.unwrap_or_default(),
        }))
    }

    async fn suspend_partner(&self, request: Request<pb::SuspendPartnerRequest>) -> Answer<pb::SuspendPartnerResponse> {
        let caller = caller(&request)?;
        let (key, id, reason) = convert::suspend_partner(request.into_inner())?;
        let partner = self.0.suspend_partner(&caller, key, id, reason).await.map_err(to_status)?;
        Ok(Response::new(pb::SuspendPartnerResponse { partner: Some(partner_message(&partner)) }))
    }

    async fn reinstate_partner(
        &self,
        request: Request<pb::ReinstatePartnerRequest>,
    ) -> Answer<pb::ReinstatePartnerResponse> {
        let caller = caller(&request)?;
        let (key, id) = convert::reinstate_partner(request.into_inner())?;
        let partner = self.0.reinstate_partner(&caller, key, id).await.map_err(to_status)?;
        Ok(Response::new(pb::ReinstatePartnerResponse { partner: Some(partner_message(&partner)) }))
    }

    async fn set_credit_limit(
        &self,
        request: Request<pb::SetCreditLimitRequest>,
    ) -> Answer<pb::SetCreditLimitResponse> {
        let caller = caller(&request)?;
        let (key, id, limit, expected) = convert::set_credit_limit(request.into_inner())?;
        let partner = self.0.set_credit_limit(&caller, key, id, limit, expected).await.map_err(limit_to_status)?;
        Ok(Response::new(pb::SetCreditLimitResponse { partner: Some(partner_message(&partner)) }))
    }

    async fn hold_credit(&self, request: Request<pb::HoldCreditRequest>) -> Answer<pb::HoldCreditResponse> {
        let caller = caller(&request)?;
        let (key, id, amount, reference) = convert::hold_credit(request.into_inner())?;
        let hold = self.0.hold_credit(&caller, key, id, amount, reference).await.map_err(to_status)?;
        Ok(Response::new(pb::HoldCreditResponse { hold: Some(hold_message(&hold)) }))
    }

    async fn capture_credit(&self, request: Request<pb::CaptureCreditRequest>) -> Answer<pb::CaptureCreditResponse> {
        let caller = caller(&request)?;
        let (key, hold_id, amount) = convert::capture_credit(request.into_inner())?;
        let hold = self.0.capture_credit(&caller, key, hold_id, amount).await.map_err(to_status)?;
        Ok(Response::new(pb::CaptureCreditResponse { hold: Some(hold_message(&hold)) }))
    }

    async fn release_credit(&self, request: Request<pb::ReleaseCreditRequest>) -> Answer<pb::ReleaseCreditResponse> {
        let caller = caller(&request)?;
        let (key, hold_id) = convert::release_credit(request.into_inner())?;
        let hold = self.0.release_credit(&caller, key, hold_id).await.map_err(to_status)?;
        Ok(Response::new(pb::ReleaseCreditResponse { hold: Some(hold_message(&hold)) }))
    }

    async fn record_payment(&self, request: Request<pb::RecordPaymentRequest>) -> Answer<pb::RecordPaymentResponse> {
        let caller = caller(&request)?;
        let (key, id, amount, reference) = convert::record_payment(request.into_inner())?;
        let account = self.0.record_payment(&caller, key, id, amount, reference).await.map_err(to_status)?;
        Ok(Response::new(pb::RecordPaymentResponse { account: Some(account_message(&account)) }))
    }

    async fn get_credit_account(
        &self,
        request: Request<pb::GetCreditAccountRequest>,
    ) -> Answer<pb::GetCreditAccountResponse> {
        let caller = caller(&request)?;
        let id = convert::partner_id(&request.get_ref().partner_id)?;
        let account = self.0.get_credit_account(&caller, id).await.map_err(to_status)?;
        Ok(Response::new(pb::GetCreditAccountResponse { account: Some(account_message(&account)) }))
    }

    async fn list_credit_entries(
        &self,
        request: Request<pb::ListCreditEntriesRequest>,
    ) -> Answer<pb::ListCreditEntriesResponse> {
        let caller = caller(&request)?;
        let (id, before, size) = convert::list_credit_entries(request.get_ref())?;
        let page = self.0.list_credit_entries(&caller, id, before, size).await.map_err(to_status)?;
        let next = page.entries.last().filter(|_| page.more).map(|(sequence, _)| sequence.to_string());
        let entries = page.entries.iter();
        Ok(Response::new(pb::ListCreditEntriesResponse {
            entries: entries.map(|(sequence, entry)| entry_message(*sequence, entry, page.currency)).collect(),
            next_page_token: next.unwrap_or_default(),
        }))
    }
}
