//! Transport in: parse, hand over, answer. No rule lives here.

pub mod convert;
mod export;
pub mod status;

use std::pin::Pin;

use chrono::{DateTime, Utc};
use futures::{Stream, stream};
use oneshelf_kit::{
    idempotency::Key,
    status::{caller, unreadable},
};
use oneshelf_proto::inventory::v1::{self as proto, inventory_service_server::InventoryService};
use oneshelf_values::ChannelId;
use tonic::{Request, Response, Status, Streaming};

use crate::{
    domain::{
        group::MoveKind,
        stock_level::{Level, LevelKey},
    },
    usecases::{
        Inventory, counts::CountChange, figures::SEE_QUANTITIES, inbounds::InboundChange, move_stock::Moved,
        promises::PromiseChange, transfers::TransferChange,
    },
};
use convert::MoveFields;
use export::FileWriter;
use status::from_error;

type Answer<T> = Result<Response<T>, Status>;
type AnswerStream<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// The service on the wire.
pub struct InventoryGrpc(pub Inventory);

impl InventoryGrpc {
    async fn moved<T>(
        &self,
        request: &Request<T>,
        (key, moved): (Key, Moved),
    ) -> Result<Vec<proto::StockLevel>, Status> {
        let caller = caller(request)?;
        let (levels, at) = self.0.move_stock(&caller, key, moved).await.map_err(from_error)?;
        Ok(level_messages(&levels, at))
    }
}

impl InventoryGrpc {
    async fn transfer<T>(
        &self,
        request: &Request<T>,
        change: Result<TransferChange, Status>,
    ) -> Result<Option<proto::Transfer>, Status> {
        let transfer = self.0.change_transfer(&caller(request)?, change?).await.map_err(from_error)?;
        Ok(Some(convert::transfer_message(&transfer)))
    }

    /// Runs a command on a count. What the books said is for those who approve and post, not for those who count.
    async fn count<T>(
        &self,
        request: &Request<T>,
        change: Result<CountChange, Status>,
        review: bool,
    ) -> Result<Option<proto::Count>, Status> {
        let count = self.0.change_count(&caller(request)?, change?).await.map_err(from_error)?;
        Ok(Some(convert::count_message(&count, review)))
    }

    async fn inbound<T>(
        &self,
        request: &Request<T>,
        change: Result<InboundChange, Status>,
    ) -> Result<Option<proto::Inbound>, Status> {
        let inbound = self.0.change_inbound(&caller(request)?, change?).await.map_err(from_error)?;
        Ok(Some(convert::inbound_message(&inbound)))
    }

    async fn promise<T>(
        &self,
        request: &Request<T>,
        change: Result<PromiseChange, Status>,
    ) -> Result<Option<proto::Promise>, Status> {
        let promise = self.0.change_promise(&caller(request)?, change?).await.map_err(from_error)?;
        Ok(Some(convert::promise_message(&promise)))
    }
}

fn level_messages(levels: &[(LevelKey, Level)], at: DateTime<Utc>) -> Vec<proto::StockLevel> {
    levels.iter().map(|(key, level)| convert::level_message(key, level, 0, at)).collect()
}

#[tonic::async_trait]
impl InventoryService for InventoryGrpc {
    async fn create_location(
        &self,
        request: Request<proto::CreateLocationRequest>,
    ) -> Answer<proto::CreateLocationResponse> {
        let (key, new) = convert::new_location(request.get_ref())?;
        let location = self.0.create_location(key, new).await.map_err(from_error)?;
        Ok(Response::new(proto::CreateLocationResponse { location: Some(convert::location_message(location)) }))
    }

    async fn get_location(&self, request: Request<proto::GetLocationRequest>) -> Answer<proto::GetLocationResponse> {
        let location_id = convert::location_id(&request.get_ref().location_id)?;
        let location = self.0.get_location(location_id).await.map_err(from_error)?;
        Ok(Response::new(proto::GetLocationResponse { location: Some(convert::location_message(location)) }))
    }

    async fn list_locations(
        &self,
        request: Request<proto::ListLocationsRequest>,
    ) -> Answer<proto::ListLocationsResponse> {
        let request = request.into_inner();
        let (filter, limit, ()) = convert::all(
            convert::location_filter(&request),
            convert::page_size(request.page_size, 100, 1_000),
            convert::location_token(&request.page_token),
        )?;
        let locations = self.0.list_locations(&filter, &request.page_token, limit).await.map_err(from_error)?;
        Ok(Response::new(proto::ListLocationsResponse {
            next_page_token: next_token(&locations, limit, |last| last.location_id.to_string()),
            locations: locations.into_iter().map(convert::location_message).collect(),
        }))
    }

    async fn receive_stock(&self, request: Request<proto::ReceiveStockRequest>) -> Answer<proto::ReceiveStockResponse> {
        let message = request.get_ref();
        let parsed = convert::movement(
            &MoveFields {
                rpc: "ReceiveStock",
                kind: MoveKind::Receipt,
                request_id: &message.request_id,
                location_id: &message.location_id,
                lines: &message.lines,
                bucket: 0,
                reference: &message.reference,
                effective_time: message.effective_time,
            },
            message,
        )?;
        let levels = self.moved(&request, parsed).await?;
        Ok(Response::new(proto::ReceiveStockResponse { levels }))
    }

    async fn adjust_stock(&self, request: Request<proto::AdjustStockRequest>) -> Answer<proto::AdjustStockResponse> {
        let parsed = convert::adjustment(request.get_ref())?;
        let levels = self.moved(&request, parsed).await?;
        Ok(Response::new(proto::AdjustStockResponse { levels }))
    }

    async fn return_stock(&self, request: Request<proto::ReturnStockRequest>) -> Answer<proto::ReturnStockResponse> {
        let message = request.get_ref();
        let parsed = convert::movement(
            &MoveFields {
                rpc: "ReturnStock",
                kind: MoveKind::Return,
                request_id: &message.request_id,
                location_id: &message.location_id,
                lines: &message.lines,
                bucket: message.bucket,
                reference: &message.reference,
                effective_time: message.effective_time,
            },
            message,
        )?;
        let levels = self.moved(&request, parsed).await?;
        Ok(Response::new(proto::ReturnStockResponse { levels }))
    }

    async fn record_sold_stock(
        &self,
        request: Request<proto::RecordSoldStockRequest>,
    ) -> Answer<proto::RecordSoldStockResponse> {
        let message = request.get_ref();
        let parsed = convert::movement(
            &MoveFields {
                rpc: "RecordSoldStock",
                kind: MoveKind::Sale,
                request_id: &message.request_id,
                location_id: &message.location_id,
                lines: &message.lines,
                bucket: 0,
                reference: &message.reference,
                effective_time: message.effective_time,
            },
            message,
        )?;
        let levels = self.moved(&request, parsed).await?;
        Ok(Response::new(proto::RecordSoldStockResponse {
            oversold_skus: levels.iter().filter(|level| level.sellable < 0).map(|level| level.sku.clone()).collect(),
            levels,
        }))
    }

    async fn hold_stock(&self, request: Request<proto::HoldStockRequest>) -> Answer<proto::HoldStockResponse> {
        let caller = caller(&request)?;
        let hold = convert::hold_request(request.get_ref(), &self.0.clock)?;
        let hold = self.0.hold_stock(&caller, hold).await.map_err(from_error)?;
        Ok(Response::new(proto::HoldStockResponse {
            // As of its granting: a repeated request is told the same even when time has passed.
            hold: Some(convert::hold_message(&hold, hold.created_at)),
        }))
    }

    async fn commit_hold(&self, request: Request<proto::CommitHoldRequest>) -> Answer<proto::CommitHoldResponse> {
        let caller = caller(&request)?;
        let (key, commit) = convert::commit(request.get_ref())?;
        let hold = self.0.commit_hold(&caller, key, commit).await.map_err(from_error)?;
        Ok(Response::new(proto::CommitHoldResponse { hold: Some(convert::hold_message(&hold, hold.created_at)) }))
    }

    async fn release_hold(&self, request: Request<proto::ReleaseHoldRequest>) -> Answer<proto::ReleaseHoldResponse> {
        let caller = caller(&request)?;
        let message = request.get_ref();
        let (key, hold_id) = convert::hold_ref("ReleaseHold", &message.request_id, &message.hold_id, message)?;
        let hold = self.0.release_hold(&caller, key, hold_id).await.map_err(from_error)?;
        Ok(Response::new(proto::ReleaseHoldResponse { hold: Some(convert::hold_message(&hold, hold.created_at)) }))
    }

    async fn extend_hold(&self, request: Request<proto::ExtendHoldRequest>) -> Answer<proto::ExtendHoldResponse> {
        let caller = caller(&request)?;
        let (key, hold_id, ttl) = convert::extension(request.get_ref())?;
        let hold = self.0.extend_hold(&caller, key, hold_id, ttl).await.map_err(from_error)?;
        Ok(Response::new(proto::ExtendHoldResponse { hold: Some(convert::hold_message(&hold, hold.created_at)) }))
    }

    async fn get_hold(&self, request: Request<proto::GetHoldRequest>) -> Answer<proto::GetHoldResponse> {
        let caller = caller(&request)?;
        let hold_id = convert::hold_id(&request.get_ref().hold_id)?;
        let hold = self.0.get_hold(&caller, hold_id).await.map_err(from_error)?;
        Ok(Response::new(proto::GetHoldResponse { hold: Some(convert::hold_message(&hold, self.0.clock.now())) }))
    }

    async fn get_availability(
        &self,
        request: Request<proto::GetAvailabilityRequest>,
    ) -> Answer<proto::GetAvailabilityResponse> {
        let caller = caller(&request)?;
        let (who, skus) = convert::availability_request(request.get_ref())?;
        let numbers = caller.allows(SEE_QUANTITIES);
        let (availabilities, age) = self.0.get_availability(&caller, who, skus).await.map_err(from_error)?;
        Ok(Response::new(proto::GetAvailabilityResponse {
            availabilities: availabilities.iter().map(|one| convert::availability_message(one, numbers)).collect(),
            age: Some(prost_types::Duration { seconds: age.num_seconds(), nanos: age.subsec_nanos() }),
            quantities_hidden: !numbers,
        }))
    }

    async fn list_stock_levels(
        &self,
        request: Request<proto::ListStockLevelsRequest>,
    ) -> Answer<proto::ListStockLevelsResponse> {
        let page = convert::levels_page(request.get_ref())?;
        let levels = self
            .0
            .list_stock_levels(page.location.as_ref(), page.sku.as_ref(), page.after.as_ref(), page.limit)
            .await
            .map_err(from_error)?;
        Ok(Response::new(proto::ListStockLevelsResponse {
            next_page_token: next_token(&levels, page.limit, convert::level_token),
            levels: levels.iter().map(convert::stored_level_message).collect(),
        }))
    }

    async fn list_movements(
        &self,
        request: Request<proto::ListMovementsRequest>,
    ) -> Answer<proto::ListMovementsResponse> {
        let page = convert::movements_page(request.get_ref())?;
        let movements = self
            .0
            .list_movements(&page.sku, page.location.as_ref(), page.before, page.limit)
            .await
            .map_err(from_error)?;
        Ok(Response::new(proto::ListMovementsResponse {
            next_page_token: next_token(&movements, page.limit, convert::movement_token),
            movements: movements.into_iter().map(convert::movement_message).collect(),
        }))
    }

    async fn get_stock_as_of(
        &self,
        request: Request<proto::GetStockAsOfRequest>,
    ) -> Answer<proto::GetStockAsOfResponse> {
        let (skus, location, as_of) = convert::as_of_request(request.get_ref())?;
        let stocks = self.0.get_stock_as_of(&skus, &location, as_of).await.map_err(from_error)?;
        Ok(Response::new(proto::GetStockAsOfResponse {
            stocks: stocks
                .into_iter()
                .map(|stock| proto::StockAsOf {
                    on_hand: stock.sellable + stock.damaged + stock.quarantine,
                    sku: stock.sku,
                    sellable: stock.sellable,
                    damaged: stock.damaged,
                    quarantine: stock.quarantine,
                })
                .collect(),
        }))
    }

    async fn create_transfer(
        &self,
        request: Request<proto::CreateTransferRequest>,
    ) -> Answer<proto::CreateTransferResponse> {
        let transfer = self.transfer(&request, convert::create_transfer(request.get_ref())).await?;
        Ok(Response::new(proto::CreateTransferResponse { transfer }))
    }

    async fn approve_transfer(
        &self,
        request: Request<proto::ApproveTransferRequest>,
    ) -> Answer<proto::ApproveTransferResponse> {
        let transfer = self.transfer(&request, convert::approve_transfer(request.get_ref())).await?;
        Ok(Response::new(proto::ApproveTransferResponse { transfer }))
    }

    async fn allocate_transfer(
        &self,
        request: Request<proto::AllocateTransferRequest>,
    ) -> Answer<proto::AllocateTransferResponse> {
        let transfer = self.transfer(&request, convert::allocate_transfer(request.get_ref())).await?;
        Ok(Response::new(proto::AllocateTransferResponse { transfer }))
    }

    async fn ship_transfer(&self, request: Request<proto::ShipTransferRequest>) -> Answer<proto::ShipTransferResponse> {
        let transfer = self.transfer(&request, convert::ship_transfer(request.get_ref())).await?;
        Ok(Response::new(proto::ShipTransferResponse { transfer }))
    }

    async fn receive_transfer(
        &self,
        request: Request<proto::ReceiveTransferRequest>,
    ) -> Answer<proto::ReceiveTransferResponse> {
        let transfer = self.transfer(&request, convert::receive_transfer(request.get_ref())).await?;
        Ok(Response::new(proto::ReceiveTransferResponse { transfer }))
    }

    async fn resolve_transfer_discrepancy(
        &self,
        request: Request<proto::ResolveTransferDiscrepancyRequest>,
    ) -> Answer<proto::ResolveTransferDiscrepancyResponse> {
        let transfer = self.transfer(&request, convert::resolve_transfer(request.get_ref())).await?;
        Ok(Response::new(proto::ResolveTransferDiscrepancyResponse { transfer }))
    }

    async fn cancel_transfer(
        &self,
        request: Request<proto::CancelTransferRequest>,
    ) -> Answer<proto::CancelTransferResponse> {
        let transfer = self.transfer(&request, convert::cancel_transfer(request.get_ref())).await?;
        Ok(Response::new(proto::CancelTransferResponse { transfer }))
    }

    async fn get_transfer(&self, request: Request<proto::GetTransferRequest>) -> Answer<proto::GetTransferResponse> {
        let transfer_id = convert::transfer_id(&request.get_ref().transfer_id)?;
        let transfer = self.0.get_transfer(transfer_id).await.map_err(from_error)?;
        Ok(Response::new(proto::GetTransferResponse { transfer: Some(convert::transfer_message(&transfer)) }))
    }

    async fn list_transfers(
        &self,
        request: Request<proto::ListTransfersRequest>,
    ) -> Answer<proto::ListTransfersResponse> {
        let request = request.into_inner();
        let ((state, location), limit, before) = convert::all(
            convert::transfer_filters(&request),
            convert::page_size(request.page_size, 50, 100),
            convert::before(&request.page_token),
        )?;
        let transfers = self.0.list_transfers(state, location.as_ref(), before, limit).await.map_err(from_error)?;
        Ok(Response::new(proto::ListTransfersResponse {
            next_page_token: next_token(&transfers, limit, |last| {
                convert::before_token(last.created_at, last.transfer_id)
            }),
            transfers: transfers.iter().map(convert::transfer_message).collect(),
        }))
    }

    async fn start_count(&self, request: Request<proto::StartCountRequest>) -> Answer<proto::StartCountResponse> {
        let caller = caller(&request)?;
        let start = convert::start_count(request.get_ref())?;
        let count = self.0.start_count(&caller, start).await.map_err(from_error)?;
        Ok(Response::new(proto::StartCountResponse { count: Some(convert::count_message(&count, false)) }))
    }

    async fn record_count(&self, request: Request<proto::RecordCountRequest>) -> Answer<proto::RecordCountResponse> {
        let count = self.count(&request, convert::record_count(request.get_ref()), false).await?;
        Ok(Response::new(proto::RecordCountResponse { count }))
    }

    async fn request_recount(
        &self,
        request: Request<proto::RequestRecountRequest>,
    ) -> Answer<proto::RequestRecountResponse> {
        let count = self.count(&request, convert::request_recount(request.get_ref()), false).await?;
        Ok(Response::new(proto::RequestRecountResponse { count }))
    }

    async fn approve_count(&self, request: Request<proto::ApproveCountRequest>) -> Answer<proto::ApproveCountResponse> {
        let count = self.count(&request, convert::approve_count(request.get_ref()), true).await?;
        Ok(Response::new(proto::ApproveCountResponse { count }))
    }

    async fn post_count(&self, request: Request<proto::PostCountRequest>) -> Answer<proto::PostCountResponse> {
        let count = self.count(&request, convert::post_count(request.get_ref()), true).await?;
        Ok(Response::new(proto::PostCountResponse { count }))
    }

    async fn cancel_count(&self, request: Request<proto::CancelCountRequest>) -> Answer<proto::CancelCountResponse> {
        let count = self.count(&request, convert::cancel_count(request.get_ref()), false).await?;
        Ok(Response::new(proto::CancelCountResponse { count }))
    }

    async fn get_count(&self, request: Request<proto::GetCountRequest>) -> Answer<proto::GetCountResponse> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let (count_id, limit, after) = convert::all(
            convert::count_id(&request.count_id),
            convert::page_size(request.page_size, 500, 2_000),
            convert::after_sku(&request.page_token),
        )?;
        let count = self.0.get_count(&caller, count_id, request.review, after, limit).await.map_err(from_error)?;
        let last = count.lines.keys().next_back().filter(|_| count.lines.len() as i64 == limit);
        Ok(Response::new(proto::GetCountResponse {
            next_page_token: last.map_or_else(String::new, ToString::to_string),
            count: Some(convert::count_message(&count, request.review)),
        }))
    }

    async fn list_counts(&self, request: Request<proto::ListCountsRequest>) -> Answer<proto::ListCountsResponse> {
        let request = request.into_inner();
        let ((state, location), limit, before) = convert::all(
            convert::count_filters(&request),
            convert::page_size(request.page_size, 100, 500),
            convert::before(&request.page_token),
        )?;
        let counts = self.0.list_counts(state, location.as_ref(), before, limit).await.map_err(from_error)?;
        Ok(Response::new(proto::ListCountsResponse {
            next_page_token: next_token(&counts, limit, |last| convert::before_token(last.created_at, last.count_id)),
            counts: counts.iter().map(|count| convert::count_message(count, false)).collect(),
        }))
    }

    async fn set_abc_classes(
        &self,
        request: Request<proto::SetAbcClassesRequest>,
    ) -> Answer<proto::SetAbcClassesResponse> {
        let (key, location, entries) = convert::set_abc_classes(request.get_ref())?;
        self.0.set_abc_classes(key, location, entries).await.map_err(from_error)?;
        Ok(Response::new(proto::SetAbcClassesResponse {}))
    }

    async fn compute_abc_classes(
        &self,
        request: Request<proto::ComputeAbcClassesRequest>,
    ) -> Answer<proto::ComputeAbcClassesResponse> {
        let (key, compute) = convert::compute_abc_classes(request.get_ref())?;
        let counts = self.0.compute_abc_classes(key, compute).await.map_err(from_error)?;
        let [a, b, c, without_value] = counts.map(|count| count as i64);
        Ok(Response::new(proto::ComputeAbcClassesResponse { a, b, c, without_value }))
    }

    async fn set_count_schedule(
        &self,
        request: Request<proto::SetCountScheduleRequest>,
    ) -> Answer<proto::SetCountScheduleResponse> {
        let (key, location, days) = convert::set_count_schedule(request.get_ref())?;
        self.0.set_count_schedule(key, location, days).await.map_err(from_error)?;
        Ok(Response::new(proto::SetCountScheduleResponse {}))
    }

    async fn list_due_counts(
        &self,
        request: Request<proto::ListDueCountsRequest>,
    ) -> Answer<proto::ListDueCountsResponse> {
        let request = request.into_inner();
        let ((location, as_of), limit, after) = convert::all(
            convert::due_request(&request),
            convert::page_size(request.page_size, 100, 2_000),
            convert::after_instant(&request.page_token),
        )?;
        let due = self.0.list_due_counts(&location, as_of, after, limit).await.map_err(from_error)?;
        Ok(Response::new(proto::ListDueCountsResponse {
            next_page_token: next_token(&due, limit, |last| convert::before_token(last.due_at, &last.sku)),
            due: due.into_iter().map(convert::due_message).collect(),
        }))
    }

    async fn create_purchase_order(
        &self,
        request: Request<proto::CreatePurchaseOrderRequest>,
    ) -> Answer<proto::CreatePurchaseOrderResponse> {
        let inbound = self.inbound(&request, convert::create_purchase_order(request.get_ref())).await?;
        Ok(Response::new(proto::CreatePurchaseOrderResponse { inbound }))
    }

    async fn amend_purchase_order(
        &self,
        request: Request<proto::AmendPurchaseOrderRequest>,
    ) -> Answer<proto::AmendPurchaseOrderResponse> {
        let inbound = self.inbound(&request, convert::amend_purchase_order(request.get_ref())).await?;
        Ok(Response::new(proto::AmendPurchaseOrderResponse { inbound }))
    }

    async fn cancel_purchase_order(
        &self,
        request: Request<proto::CancelPurchaseOrderRequest>,
    ) -> Answer<proto::CancelPurchaseOrderResponse> {
        let inbound = self.inbound(&request, convert::cancel_purchase_order(request.get_ref())).await?;
        Ok(Response::new(proto::CancelPurchaseOrderResponse { inbound }))
    }

    async fn create_asn(&self, request: Request<proto::CreateAsnRequest>) -> Answer<proto::CreateAsnResponse> {
        let inbound = self.inbound(&request, convert::create_asn(request.get_ref())).await?;
        Ok(Response::new(proto::CreateAsnResponse { inbound }))
    }

    async fn receive_inbound(
        &self,
        request: Request<proto::ReceiveInboundRequest>,
    ) -> Answer<proto::ReceiveInboundResponse> {
        let inbound = self.inbound(&request, convert::receive_inbound(request.get_ref())).await?;
        Ok(Response::new(proto::ReceiveInboundResponse { inbound }))
    }

    async fn close_inbound(&self, request: Request<proto::CloseInboundRequest>) -> Answer<proto::CloseInboundResponse> {
        let inbound = self.inbound(&request, convert::close_inbound(request.get_ref())).await?;
        Ok(Response::new(proto::CloseInboundResponse { inbound }))
    }

    async fn get_inbound(&self, request: Request<proto::GetInboundRequest>) -> Answer<proto::GetInboundResponse> {
        let inbound_id = convert::inbound_id(&request.get_ref().inbound_id)?;
        let inbound = self.0.get_inbound(inbound_id).await.map_err(from_error)?;
        Ok(Response::new(proto::GetInboundResponse { inbound: Some(convert::inbound_message(&inbound)) }))
    }

    async fn list_inbounds(&self, request: Request<proto::ListInboundsRequest>) -> Answer<proto::ListInboundsResponse> {
        let request = request.into_inner();
        let (filter, limit, before) = convert::all(
            convert::inbound_filter(&request),
            convert::page_size(request.page_size, 50, 100),
            convert::before(&request.page_token),
        )?;
        let inbounds = self.0.list_inbounds(&filter, before, limit).await.map_err(from_error)?;
        Ok(Response::new(proto::ListInboundsResponse {
            next_page_token: next_token(&inbounds, limit, |last| {
                convert::before_token(last.created_at, last.inbound_id)
            }),
            inbounds: inbounds.iter().map(convert::inbound_message).collect(),
        }))
    }

    async fn list_inbound_due(
        &self,
        request: Request<proto::ListInboundDueRequest>,
    ) -> Answer<proto::ListInboundDueResponse> {
        let request = request.into_inner();
        let ((location, sku, until), limit, after) = convert::all(
            convert::inbound_due_filter(&request),
            convert::page_size(request.page_size, 500, 5_000),
            convert::after_due(&request.page_token),
        )?;
        let due =
            self.0.list_inbound_due(location.as_ref(), sku.as_ref(), until, after, limit).await.map_err(from_error)?;
        Ok(Response::new(proto::ListInboundDueResponse {
            next_page_token: next_token(&due, limit, |last| {
                format!("{}\t{}\t{}", last.sku, last.location_id, last.day)
            }),
            due: due.into_iter().map(convert::inbound_due_message).collect(),
        }))
    }

    async fn get_available_to_promise(
        &self,
        request: Request<proto::GetAvailableToPromiseRequest>,
    ) -> Answer<proto::GetAvailableToPromiseResponse> {
        let caller = caller(&request)?;
        let (skus, from, days) = convert::atp_request(request.get_ref())?;
        let quantities = self.0.get_available_to_promise(&caller, &skus, &from, &days).await.map_err(from_error)?;
        let available = skus.iter().zip(quantities);
        Ok(Response::new(proto::GetAvailableToPromiseResponse {
            available: available
                .map(|(sku, quantities)| proto::AvailableToPromise { sku: sku.to_string(), quantities })
                .collect(),
        }))
    }

    async fn promise_stock(&self, request: Request<proto::PromiseStockRequest>) -> Answer<proto::PromiseStockResponse> {
        let promise = self.promise(&request, convert::promise_stock(request.get_ref())).await?;
        Ok(Response::new(proto::PromiseStockResponse { promise }))
    }

    async fn commit_promise(
        &self,
        request: Request<proto::CommitPromiseRequest>,
    ) -> Answer<proto::CommitPromiseResponse> {
        let promise = self.promise(&request, convert::commit_promise(request.get_ref())).await?;
        Ok(Response::new(proto::CommitPromiseResponse { promise }))
    }

    async fn cancel_promise(
        &self,
        request: Request<proto::CancelPromiseRequest>,
    ) -> Answer<proto::CancelPromiseResponse> {
        let promise = self.promise(&request, convert::cancel_promise(request.get_ref())).await?;
        Ok(Response::new(proto::CancelPromiseResponse { promise }))
    }

    async fn get_promise(&self, request: Request<proto::GetPromiseRequest>) -> Answer<proto::GetPromiseResponse> {
        let caller = caller(&request)?;
        let promise_id = convert::promise_id(&request.get_ref().promise_id)?;
        let promise = self.0.get_promise(&caller, promise_id).await.map_err(from_error)?;
        Ok(Response::new(proto::GetPromiseResponse { promise: Some(convert::promise_message(&promise)) }))
    }

    async fn list_promises(&self, request: Request<proto::ListPromisesRequest>) -> Answer<proto::ListPromisesResponse> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let ((state, channel), limit, before) = convert::all(
            convert::promise_filters(&request),
            convert::page_size(request.page_size, 50, 100),
            convert::before(&request.page_token),
        )?;
        let promises =
            self.0.list_promises(&caller, state, channel.as_ref(), before, limit).await.map_err(from_error)?;
        Ok(Response::new(proto::ListPromisesResponse {
            next_page_token: next_token(&promises, limit, |last| {
                convert::before_token(last.created_at, last.promise_id)
            }),
            promises: promises.iter().map(convert::promise_message).collect(),
        }))
    }
    async fn set_stock(&self, request: Request<proto::SetStockRequest>) -> Answer<proto::SetStockResponse> {
        let caller = caller(&request)?;
        let (key, bulk) = convert::set_stock(request.get_ref())?;
        let results = self.0.change_stock(&caller, key, bulk).await.map_err(from_error)?;
        Ok(Response::new(proto::SetStockResponse { results: convert::row_results(&results) }))
    }

    async fn batch_adjust_stock(
        &self,
        request: Request<proto::BatchAdjustStockRequest>,
    ) -> Answer<proto::BatchAdjustStockResponse> {
        let caller = caller(&request)?;
        let (key, bulk) = convert::batch_adjustment(request.get_ref())?;
        let results = self.0.change_stock(&caller, key, bulk).await.map_err(from_error)?;
        Ok(Response::new(proto::BatchAdjustStockResponse { results: convert::row_results(&results) }))
    }

    type ImportStockStream = AnswerStream<proto::ImportStockResponse>;

    async fn import_stock(
        &self,
        request: Request<Streaming<proto::ImportStockRequest>>,
    ) -> Answer<Self::ImportStockStream> {
        let import = (self.0.clone(), caller(&request)?, request.into_inner());
        let answers = stream::try_unfold(import, |(inventory, caller, mut chunks)| async move {
            let Some(chunk) = chunks.message().await.map_err(unreadable)? else {
                return Ok(None);
            };
            let (key, bulk) = convert::import_chunk(&chunk)?;
            let request_id = key.request_id.to_string();
            let results = inventory.change_stock(&caller, key, bulk).await.map_err(from_error)?;
            let answer = proto::ImportStockResponse { request_id, results: convert::row_results(&results) };
            Ok(Some((answer, (inventory, caller, chunks))))
        });
        Ok(Response::new(Box::pin(answers)))
    }

    async fn post_movement(&self, request: Request<proto::PostMovementRequest>) -> Answer<proto::PostMovementResponse> {
        let caller = caller(&request)?;
        let (key, posting) = convert::posting(request.get_ref())?;
        let (levels, at) = self.0.post_movement(&caller, key, posting).await.map_err(from_error)?;
        Ok(Response::new(proto::PostMovementResponse { levels: level_messages(&levels, at) }))
    }

    async fn create_reason_code(
        &self,
        request: Request<proto::CreateReasonCodeRequest>,
    ) -> Answer<proto::CreateReasonCodeResponse> {
        let (key, code, title) = convert::new_reason_code(request.get_ref())?;
        let reason = self.0.create_reason_code(key, code, title).await.map_err(from_error)?;
        Ok(Response::new(proto::CreateReasonCodeResponse { reason_code: Some(convert::reason_code_message(reason)) }))
    }

    async fn list_reason_codes(
        &self,
        request: Request<proto::ListReasonCodesRequest>,
    ) -> Answer<proto::ListReasonCodesResponse> {
        let request = request.into_inner();
        let (limit, after) = convert::both(
            convert::page_size(request.page_size, 100, 1_000),
            convert::after_reason_code(&request.page_token),
        )?;
        let reasons = self.0.list_reason_codes(after, limit).await.map_err(from_error)?;
        Ok(Response::new(proto::ListReasonCodesResponse {
            next_page_token: next_token(&reasons, limit, |last| last.code.clone()),
            reason_codes: reasons.into_iter().map(convert::reason_code_message).collect(),
        }))
    }

    type ExportMovementsStream = AnswerStream<proto::ExportMovementsResponse>;

    async fn export_movements(
        &self,
        request: Request<proto::ExportMovementsRequest>,
    ) -> Answer<Self::ExportMovementsStream> {
        let (format, filter, after) = convert::export_request(request.get_ref())?;
        let now = self.0.clock.now();
        let writer = FileWriter::new(format, after.is_some());
        let file = Some((self.0.export_movements(filter, after), writer));
        let parts = stream::try_unfold(file, move |file| async move {
            let Some((mut export, mut writer)) = file else {
                return Ok(None);
            };
            let entries = export.next().await.map_err(from_error)?;
            let mut part = proto::ExportMovementsResponse {
                content: writer.part(&entries, now),
                entries: entries.len() as i64,
                resume_token: export.place().map_or_else(String::new, convert::resume_token),
            };
            if part.resume_token.is_empty() {
                part.content.extend(writer.end());
                return Ok(Some((part, None)));
            }
            Ok(Some((part, Some((export, writer)))))
        });
        Ok(Response::new(Box::pin(parts)))
    }

    async fn list_drift(&self, request: Request<proto::ListDriftRequest>) -> Answer<proto::ListDriftResponse> {
        let request = request.into_inner();
        let (limit, after) =
            convert::both(convert::page_size(request.page_size, 100, 1_000), convert::finding_id(&request.page_token))?;
        let findings = self.0.list_drift(request.include_resolved, after, limit).await.map_err(from_error)?;
        Ok(Response::new(proto::ListDriftResponse {
            next_page_token: next_token(&findings, limit, |last| last.finding_id.to_string()),
            findings: findings.iter().map(convert::drift_message).collect(),
        }))
    }

    async fn repair_level(&self, request: Request<proto::RepairLevelRequest>) -> Answer<proto::RepairLevelResponse> {
        let caller = caller(&request)?;
        let (key, level, reason) = convert::repair(request.get_ref())?;
        let repaired = self.0.repair_level(&caller, key, level, reason).await.map_err(from_error)?;
        Ok(Response::new(convert::repair_message(&repaired)))
    }

    async fn update_location(
        &self,
        request: Request<proto::UpdateLocationRequest>,
    ) -> Answer<proto::UpdateLocationResponse> {
        let (key, location_id, update, expected) = convert::location_update(request.get_ref())?;
        let location = self.0.update_location(key, location_id, update, expected).await.map_err(from_error)?;
        Ok(Response::new(proto::UpdateLocationResponse { location: Some(convert::location_message(location)) }))
    }

    async fn activate_location(
        &self,
        request: Request<proto::ActivateLocationRequest>,
    ) -> Answer<proto::ActivateLocationResponse> {
        let message = request.get_ref();
        let (key, location_id) =
            convert::location_ref("ActivateLocation", &message.request_id, &message.location_id, message)?;
        let location = self.0.switch_location(key, location_id, true).await.map_err(from_error)?;
        Ok(Response::new(proto::ActivateLocationResponse { location: Some(convert::location_message(location)) }))
    }

    async fn deactivate_location(
        &self,
        request: Request<proto::DeactivateLocationRequest>,
    ) -> Answer<proto::DeactivateLocationResponse> {
        let message = request.get_ref();
        let (key, location_id) =
            convert::location_ref("DeactivateLocation", &message.request_id, &message.location_id, message)?;
        let location = self.0.switch_location(key, location_id, false).await.map_err(from_error)?;
        Ok(Response::new(proto::DeactivateLocationResponse { location: Some(convert::location_message(location)) }))
    }

    async fn close_location(
        &self,
        request: Request<proto::CloseLocationRequest>,
    ) -> Answer<proto::CloseLocationResponse> {
        let message = request.get_ref();
        let (key, location_id) =
            convert::location_ref("CloseLocation", &message.request_id, &message.location_id, message)?;
        let location = self.0.close_location(key, location_id).await.map_err(from_error)?;
        Ok(Response::new(proto::CloseLocationResponse { location: Some(convert::location_message(location)) }))
    }

    async fn set_stock_policies(
        &self,
        request: Request<proto::SetStockPoliciesRequest>,
    ) -> Answer<proto::SetStockPoliciesResponse> {
        let caller = caller(&request)?;
        let (key, change) = convert::stock_policies(request.get_ref())?;
        let policies = self.0.set_policies(&caller, key, change).await.map_err(from_error)?;
        Ok(Response::new(convert::stock_policies_response(policies)))
    }

    async fn list_stock_policies(
        &self,
        request: Request<proto::ListStockPoliciesRequest>,
    ) -> Answer<proto::ListStockPoliciesResponse> {
        let request = request.into_inner();
        let ((sku, location), limit, after) = convert::all(
            convert::filters(&request.sku, &request.location_id),
            convert::page_size(request.page_size, 100, 1_000),
            convert::after_level(&request.page_token),
        )?;
        let policies =
            self.0.list_stock_policies(sku.as_ref(), location.as_ref(), after, limit).await.map_err(from_error)?;
        Ok(Response::new(proto::ListStockPoliciesResponse {
            next_page_token: next_token(&policies, limit, |last| format!("{}\t{}", last.key.sku, last.key.location)),
            policies: policies.iter().map(convert::stock_policy_message).collect(),
        }))
    }

    async fn set_ring_fences(
        &self,
        request: Request<proto::SetRingFencesRequest>,
    ) -> Answer<proto::SetRingFencesResponse> {
        let caller = caller(&request)?;
        let (key, change) = convert::ring_fences(request.get_ref())?;
        let policies = self.0.set_policies(&caller, key, change).await.map_err(from_error)?;
        Ok(Response::new(convert::ring_fences_response(policies)))
    }

    async fn list_ring_fences(
        &self,
        request: Request<proto::ListRingFencesRequest>,
    ) -> Answer<proto::ListRingFencesResponse> {
        let request = request.into_inner();
        let ((sku, location), limit, after) = convert::all(
            convert::filters(&request.sku, &request.location_id),
            convert::page_size(request.page_size, 100, 1_000),
            convert::after_fence(&request.page_token),
        )?;
        let fences =
            self.0.list_ring_fences(sku.as_ref(), location.as_ref(), after, limit).await.map_err(from_error)?;
        Ok(Response::new(proto::ListRingFencesResponse {
            next_page_token: next_token(&fences, limit, convert::ring_fence_token),
            fences: fences.iter().map(convert::ring_fence_message).collect(),
        }))
    }

    async fn set_sku_policies(
        &self,
        request: Request<proto::SetSkuPoliciesRequest>,
    ) -> Answer<proto::SetSkuPoliciesResponse> {
        let caller = caller(&request)?;
        let (key, change) = convert::sku_policies(request.get_ref())?;
        let policies = self.0.set_policies(&caller, key, change).await.map_err(from_error)?;
        Ok(Response::new(convert::sku_policies_response(policies)))
    }

    async fn list_sku_policies(
        &self,
        request: Request<proto::ListSkuPoliciesRequest>,
    ) -> Answer<proto::ListSkuPoliciesResponse> {
        let request = request.into_inner();
        let (limit, after) =
            convert::both(convert::page_size(request.page_size, 100, 1_000), convert::after_sku(&request.page_token))?;
        let policies = self.0.list_sku_policies(after, limit).await.map_err(from_error)?;
        Ok(Response::new(proto::ListSkuPoliciesResponse {
            next_page_token: next_token(&policies, limit, |last| last.sku.to_string()),
            policies: policies.iter().map(convert::sku_policy_message).collect(),
        }))
    }

    async fn explain_availability(
        &self,
        request: Request<proto::ExplainAvailabilityRequest>,
    ) -> Answer<proto::ExplainAvailabilityResponse> {
        let caller = caller(&request)?;
        let (who, sku) = convert::explain_request(request.get_ref())?;
        let explanation = self.0.explain_availability(&caller, who, sku).await.map_err(from_error)?;
        Ok(Response::new(convert::explanation_message(explanation)))
    }

    async fn set_kits(&self, request: Request<proto::SetKitsRequest>) -> Answer<proto::SetKitsResponse> {
        let caller = caller(&request)?;
        let (key, change) = convert::set_kits(request.get_ref())?;
        let kits = self.0.set_policies(&caller, key, change).await.map_err(from_error)?;
        Ok(Response::new(convert::kits_response(kits)))
    }

    async fn list_kits(&self, request: Request<proto::ListKitsRequest>) -> Answer<proto::ListKitsResponse> {
        let request = request.into_inner();
        let limit = convert::page_size(request.page_size, 100, 500)?;
        let (kit, component) = convert::kit_filters(&request)?;
        convert::sku_token(&request.page_token)?;
        let after = &request.page_token;
        let kits = self.0.list_kits(kit.as_ref(), component.as_ref(), after, limit).await.map_err(from_error)?;
        Ok(Response::new(proto::ListKitsResponse {
            next_page_token: next_token(&kits, limit, |last| last.sku.to_string()),
            kits: kits.iter().map(convert::kit_message).collect(),
        }))
    }

    async fn set_tracking(&self, request: Request<proto::SetTrackingRequest>) -> Answer<proto::SetTrackingResponse> {
        let caller = caller(&request)?;
        let (key, change) = convert::set_tracking(request.get_ref())?;
        let trackings = self.0.set_policies(&caller, key, change).await.map_err(from_error)?;
        Ok(Response::new(convert::trackings_response(trackings)))
    }

    async fn list_tracking(&self, request: Request<proto::ListTrackingRequest>) -> Answer<proto::ListTrackingResponse> {
        let request = request.into_inner();
        let limit = convert::page_size(request.page_size, 100, 1_000)?;
        convert::sku_token(&request.page_token)?;
        let trackings = self.0.list_tracking(&request.page_token, limit).await.map_err(from_error)?;
        Ok(Response::new(proto::ListTrackingResponse {
            next_page_token: next_token(&trackings, limit, |last| last.sku.to_string()),
            trackings: trackings.iter().map(convert::tracking_message).collect(),
        }))
    }

    async fn list_lots(&self, request: Request<proto::ListLotsRequest>) -> Answer<proto::ListLotsResponse> {
        let request = request.into_inner();
        let limit = convert::page_size(request.page_size, 100, 1_000)?;
        let (sku, location) = convert::lots_of(&request.sku, &request.location_id)?;
        let after = convert::lot_token(&request.page_token)?;
        let lots = self.0.list_lots(&sku, location.as_ref(), false, after, limit).await.map_err(from_error)?;
        Ok(Response::new(proto::ListLotsResponse {
            next_page_token: next_token(&lots, limit, convert::lot_place),
            lots: lots.into_iter().map(convert::lot_message).collect(),
        }))
    }

    async fn list_serials(&self, request: Request<proto::ListSerialsRequest>) -> Answer<proto::ListSerialsResponse> {
        let request = request.into_inner();
        let limit = convert::page_size(request.page_size, 100, 1_000)?;
        let (sku, location) = convert::lots_of(&request.sku, &request.location_id)?;
        let after = convert::lot_token(&request.page_token)?;
        let serials = self.0.list_lots(&sku, location.as_ref(), true, after, limit).await.map_err(from_error)?;
        Ok(Response::new(proto::ListSerialsResponse {
            next_page_token: next_token(&serials, limit, convert::lot_place),
            serials: serials.into_iter().map(convert::serial_message).collect(),
        }))
    }

    async fn get_serial(&self, request: Request<proto::GetSerialRequest>) -> Answer<proto::GetSerialResponse> {
        let (sku, serial) = convert::serial_request(request.get_ref())?;
        let history = self.0.get_serial(sku, serial).await.map_err(from_error)?;
        Ok(Response::new(convert::serial_history_message(history)))
    }

    async fn plan_fulfilment(
        &self,
        request: Request<proto::PlanFulfilmentRequest>,
    ) -> Answer<proto::PlanFulfilmentResponse> {
        let caller = caller(&request)?;
        let (who, order, draft) = convert::plan_request(request.get_ref())?;
        let planned = self.0.plan_fulfilment(&caller, who, order, draft).await.map_err(from_error)?;
        Ok(Response::new(convert::plan_response(&planned)))
    }

    async fn simulate_sourcing(
        &self,
        request: Request<proto::SimulateSourcingRequest>,
    ) -> Answer<proto::SimulateSourcingResponse> {
        let caller = caller(&request)?;
        let (channel, first, second, orders) = convert::simulation(request.get_ref())?;
        let compared = self.0.simulate_sourcing(&caller, channel, first, second, orders).await.map_err(from_error)?;
        Ok(Response::new(convert::simulation_response(&compared)))
    }

    async fn move_hold(&self, request: Request<proto::MoveHoldRequest>) -> Answer<proto::MoveHoldResponse> {
        let caller = caller(&request)?;
        let (key, hold_id, moves) = convert::hold_moves(request.get_ref())?;
        let hold = self.0.move_hold(&caller, key, hold_id, moves).await.map_err(from_error)?;
        Ok(Response::new(proto::MoveHoldResponse { hold: Some(convert::hold_message(&hold, hold.created_at)) }))
    }

    async fn set_sourcing_rules(
        &self,
        request: Request<proto::SetSourcingRulesRequest>,
    ) -> Answer<proto::SetSourcingRulesResponse> {
        let caller = caller(&request)?;
        let (key, channel, ladder, expected) = convert::new_rules(request.get_ref())?;
        let stored = self.0.set_sourcing_rules(&caller, key, channel, ladder, expected).await.map_err(from_error)?;
        Ok(Response::new(proto::SetSourcingRulesResponse { rules: Some(convert::rules_message(&stored)) }))
    }

    async fn get_sourcing_rules(
        &self,
        request: Request<proto::GetSourcingRulesRequest>,
    ) -> Answer<proto::GetSourcingRulesResponse> {
        let caller = caller(&request)?;
        let (channel, version) = convert::rules_request(request.get_ref())?;
        let stored = self.0.get_sourcing_rules(&caller, channel, version).await.map_err(from_error)?;
        Ok(Response::new(proto::GetSourcingRulesResponse { rules: Some(convert::rules_message(&stored)) }))
    }

    async fn list_sourcing_rules(
        &self,
        request: Request<proto::ListSourcingRulesRequest>,
    ) -> Answer<proto::ListSourcingRulesResponse> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let limit = convert::page_size(request.page_size, 50, 100)?;
        let channel = convert::rules_filter(&request)?;
        let after = convert::page_token(&request.page_token, 1)?;
        let first = after.and_then(|parts| parts.first().copied());
        let (rules, next_page_token) = match &channel {
            None => {
                let after = first.unwrap_or_default();
                if !after.is_empty() && after.parse::<ChannelId>().is_err() {
                    return Err(convert::bad_token());
                }
                let rules = self.0.list_newest_rules(&caller, after, limit).await.map_err(from_error)?;
                let token = next_token(&rules, limit, |last| last.channel.to_string());
                (rules, token)
            }
            Some(channel) => {
                let before = match first {
                    None => i64::MAX,
                    Some(part) => part.parse().map_err(|_| convert::bad_token())?,
                };
                let rules = self.0.list_rules_of(&caller, channel, before, limit).await.map_err(from_error)?;
                let token = next_token(&rules, limit, |last| last.rules.version.to_string());
                (rules, token)
            }
        };
        let rules = rules.iter().map(convert::rules_message).collect();
        Ok(Response::new(proto::ListSourcingRulesResponse { rules, next_page_token }))
    }

    async fn set_node_costs(
        &self,
        request: Request<proto::SetNodeCostsRequest>,
    ) -> Answer<proto::SetNodeCostsResponse> {
        let caller = caller(&request)?;
        let (key, location, costs, expected) = convert::new_costs(request.get_ref())?;
        let stored = self.0.set_node_costs(&caller, key, location, costs, expected).await.map_err(from_error)?;
        Ok(Response::new(proto::SetNodeCostsResponse { costs: Some(convert::costs_message(&stored)) }))
    }

    async fn list_node_costs(
        &self,
        request: Request<proto::ListNodeCostsRequest>,
    ) -> Answer<proto::ListNodeCostsResponse> {
        let request = request.into_inner();
        let limit = convert::page_size(request.page_size, 100, 1_000)?;
        convert::location_token(&request.page_token)?;
        let costs = self.0.list_node_costs(&request.page_token, limit).await.map_err(from_error)?;
        Ok(Response::new(proto::ListNodeCostsResponse {
            next_page_token: next_token(&costs, limit, |last| last.location_id.clone()),
            costs: costs.iter().map(convert::costs_message).collect(),
        }))
    }

    async fn find_pickup(&self, request: Request<proto::FindPickupRequest>) -> Answer<proto::FindPickupResponse> {
        let caller = caller(&request)?;
        let (who, wanted) = convert::pickup_request(request.get_ref())?;
        let (numbers, lines) = (caller.allows(SEE_QUANTITIES), wanted.lines.clone());
        let places = self.0.find_pickup(&caller, who, wanted).await.map_err(from_error)?;
        Ok(Response::new(proto::FindPickupResponse {
            places: places.into_iter().map(|place| convert::place_message(place, &lines, numbers)).collect(),
            quantities_hidden: !numbers,
        }))
    }

    async fn set_reorder_policies(
        &self,
        request: Request<proto::SetReorderPoliciesRequest>,
    ) -> Answer<proto::SetReorderPoliciesResponse> {
        let caller = caller(&request)?;
        let (key, lines) = convert::reorder_policies(request.get_ref())?;
        let policies = self.0.set_reorder_policies(&caller, key, lines).await.map_err(from_error)?;
        Ok(Response::new(proto::SetReorderPoliciesResponse {
            policies: policies.iter().map(convert::reorder_policy_message).collect(),
        }))
    }

    async fn list_reorder_policies(
        &self,
        request: Request<proto::ListReorderPoliciesRequest>,
    ) -> Answer<proto::ListReorderPoliciesResponse> {
        let request = request.into_inner();
        let limit = convert::page_size(request.page_size, 100, 1_000)?;
        let (sku, location) = convert::filters(&request.sku, &request.location_id)?;
        let after = convert::after_level(&request.page_token)?;
        let policies =
            self.0.list_reorder_policies(sku.as_ref(), location.as_ref(), after, limit).await.map_err(from_error)?;
        Ok(Response::new(proto::ListReorderPoliciesResponse {
            next_page_token: next_token(&policies, limit, |last| format!("{}\t{}", last.key.sku, last.key.location)),
            policies: policies.iter().map(convert::reorder_policy_message).collect(),
        }))
    }

    async fn list_reorder_suggestions(
        &self,
        request: Request<proto::ListReorderSuggestionsRequest>,
    ) -> Answer<proto::ListReorderSuggestionsResponse> {
        let request = request.into_inner();
        let limit = convert::page_size(request.page_size, 500, 2_000)?;
        let (sku, location) = convert::filters(&request.sku, &request.location_id)?;
        let after = convert::after_level(&request.page_token)?;
        let seen =
            self.0.list_reorder_positions(sku.as_ref(), location.as_ref(), after, limit).await.map_err(from_error)?;
        Ok(Response::new(proto::ListReorderSuggestionsResponse {
            next_page_token: next_token(&seen, limit, |last| {
                format!("{}\t{}", last.policy.key.sku, last.policy.key.location)
            }),
            suggestions: seen
                .iter()
                .map(convert::suggestion_message)
                .filter(|suggestion| request.include_sufficient || suggestion.quantity > 0)
                .collect(),
        }))
    }

    async fn suggest_reorder_terms(
        &self,
        request: Request<proto::SuggestReorderTermsRequest>,
    ) -> Answer<proto::SuggestReorderTermsResponse> {
        let asked = convert::suggest_terms(request.get_ref())?;
        let (suggestions, first, last) = self.0.suggest_reorder_terms(asked).await.map_err(from_error)?;
        Ok(Response::new(proto::SuggestReorderTermsResponse {
            suggestions: suggestions.iter().map(convert::terms_suggestion_message).collect(),
            first_date: first.to_string(),
            last_date: last.to_string(),
        }))
    }

    async fn set_stock_thresholds(
        &self,
        request: Request<proto::SetStockThresholdsRequest>,
    ) -> Answer<proto::SetStockThresholdsResponse> {
        let caller = caller(&request)?;
        let (key, lines) = convert::stock_thresholds(request.get_ref())?;
        let thresholds = self.0.set_thresholds(&caller, key, lines).await.map_err(from_error)?;
        Ok(Response::new(proto::SetStockThresholdsResponse {
            thresholds: thresholds.iter().map(convert::threshold_message).collect(),
        }))
    }

    async fn list_stock_thresholds(
        &self,
        request: Request<proto::ListStockThresholdsRequest>,
    ) -> Answer<proto::ListStockThresholdsResponse> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let limit = convert::page_size(request.page_size, 100, 1_000)?;
        let page = convert::thresholds_page(&request)?;
        let after = page.after.as_ref().map_or(("", ""), |(sku, channel)| (sku.as_str(), channel.as_str()));
        let thresholds = self
            .0
            .list_thresholds(&caller, page.sku.as_ref(), page.channel.as_ref(), after, limit)
            .await
            .map_err(from_error)?;
        Ok(Response::new(proto::ListStockThresholdsResponse {
            next_page_token: next_token(&thresholds, limit, convert::threshold_token),
            thresholds: thresholds.iter().map(convert::threshold_message).collect(),
        }))
    }

    async fn set_consignment_agreement(
        &self,
        request: Request<proto::SetConsignmentAgreementRequest>,
    ) -> Answer<proto::SetConsignmentAgreementResponse> {
        let caller = caller(&request)?;
        let (key, set) = convert::agreement(request.get_ref())?;
        let agreement = self.0.set_agreement(&caller, key, set).await.map_err(from_error)?;
        Ok(Response::new(proto::SetConsignmentAgreementResponse {
            agreement: Some(convert::agreement_message(&agreement)),
        }))
    }

    async fn list_consignment_agreements(
        &self,
        request: Request<proto::ListConsignmentAgreementsRequest>,
    ) -> Answer<proto::ListConsignmentAgreementsResponse> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let limit = convert::page_size(request.page_size, 100, 500)?;
        let filter = convert::consignment_filter(&request.party_id, &request.location_id, "")?;
        let [location, party, side] = convert::after_agreement(&request.page_token)?.unwrap_or_default();
        let agreements = self
            .0
            .list_agreements(&caller, filter.party, filter.location.as_ref(), (location, party, side), limit)
            .await
            .map_err(from_error)?;
        Ok(Response::new(proto::ListConsignmentAgreementsResponse {
            next_page_token: next_token(&agreements, limit, convert::agreement_token),
            agreements: agreements.iter().map(convert::agreement_message).collect(),
        }))
    }

    async fn list_consignment_stock(
        &self,
        request: Request<proto::ListConsignmentStockRequest>,
    ) -> Answer<proto::ListConsignmentStockResponse> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let limit = convert::page_size(request.page_size, 500, 2_000)?;
        let filter = convert::consignment_filter(&request.party_id, &request.location_id, &request.sku)?;
        let [sku, location, party] = convert::after_stock(&request.page_token)?.unwrap_or_default();
        let (in_location, of_sku) = (filter.location.as_ref(), filter.sku.as_ref());
        let stock = self
            .0
            .list_consignment_stock(&caller, filter.party, in_location, of_sku, (sku, location, party), limit)
            .await
            .map_err(from_error)?;
        Ok(Response::new(proto::ListConsignmentStockResponse {
            next_page_token: next_token(&stock, limit, convert::stock_token),
            stock: stock.into_iter().map(convert::consigned_stock_message).collect(),
        }))
    }

    async fn list_consignment_settlements(
        &self,
        request: Request<proto::ListConsignmentSettlementsRequest>,
    ) -> Answer<proto::ListConsignmentSettlementsResponse> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let limit = convert::page_size(request.page_size, 500, 1_000)?;
        let page = convert::settlements_page(&request)?;
        let settlements =
            self.0.list_settlements(&caller, page.party, page.period, page.after, limit).await.map_err(from_error)?;
        Ok(Response::new(proto::ListConsignmentSettlementsResponse {
            next_page_token: next_token(&settlements, limit, |last| {
                convert::before_token(last.recorded_at, last.entry_id)
            }),
            settlements: settlements.into_iter().map(convert::settlement_message).collect(),
        }))
    }

    async fn set_unit_costs(
        &self,
        request: Request<proto::SetUnitCostsRequest>,
    ) -> Answer<proto::SetUnitCostsResponse> {
        let caller = caller(&request)?;
        let (key, lines) = convert::unit_costs(request.get_ref())?;
        let costs = self.0.set_unit_costs(&caller, key, lines).await.map_err(from_error)?;
        Ok(Response::new(proto::SetUnitCostsResponse {
            unit_costs: costs.iter().map(convert::unit_cost_message).collect(),
        }))
    }

    async fn list_unit_costs(
        &self,
        request: Request<proto::ListUnitCostsRequest>,
    ) -> Answer<proto::ListUnitCostsResponse> {
        let request = request.into_inner();
        let limit = convert::page_size(request.page_size, 100, 1_000)?;
        let after = convert::after_sku(&request.page_token)?;
        let costs = self.0.list_unit_costs(after, limit).await.map_err(from_error)?;
        Ok(Response::new(proto::ListUnitCostsResponse {
            next_page_token: next_token(&costs, limit, |last| last.sku.to_string()),
            unit_costs: costs.iter().map(convert::unit_cost_message).collect(),
        }))
    }
}

/// The token of the next page: the last key, when the page is full.
fn next_token<T>(page: &[T], limit: i64, key: impl Fn(&T) -> String) -> String {
    page.last().filter(|_| page.len() as i64 == limit).map_or_else(String::new, key)
}
