//! Transport in: parse, hand over, answer. No rule lives here.

pub mod convert;
pub mod status;

use chrono::{DateTime, Utc};
use oneshelf_kit::{idempotency::Key, status::caller};
use oneshelf_proto::inventory::v1::{self as proto, inventory_service_server::InventoryService};
use tonic::{Request, Response, Status};

use crate::{
    domain::{
        group::MoveKind,
        stock_level::{Level, LevelKey},
    },
    usecases::{Inventory, figures::SEE_QUANTITIES, move_stock::Moved},
};
use convert::MoveFields;
use status::from_error;

type Answer<T> = Result<Response<T>, Status>;

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
        let limit = convert::page_size(request.page_size, 100, 1_000)?;
        let filter = convert::location_filter(&request)?;
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
        let message = request.get_ref();
        let (key, hold_id) = convert::hold_ref("CommitHold", &message.request_id, &message.hold_id, message)?;
        let (lines, effective_at) = convert::commit_lines(message)?;
        let hold = self.0.commit_hold(&caller, key, hold_id, lines, effective_at).await.map_err(from_error)?;
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
        let message = request.get_ref();
        let (key, hold_id) = convert::hold_ref("ExtendHold", &message.request_id, &message.hold_id, message)?;
        let ttl = convert::extension(message)?;
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
        let request = request.into_inner();
        let limit = convert::page_size(request.page_size, 500, 5_000)?;
        let (sku, location) = convert::filters(&request.sku, &request.location_id)?;
        let after = convert::page_token(&request.page_token, 2)?;
        let levels = self
            .0
            .list_stock_levels(
                location.as_ref(),
                sku.as_ref(),
                after.as_deref().map(|parts| (parts[0], parts[1])),
                limit,
            )
            .await
            .map_err(from_error)?;
        Ok(Response::new(proto::ListStockLevelsResponse {
            next_page_token: next_token(&levels, limit, |last| format!("{}\t{}", last.key.sku, last.key.location)),
            levels: levels.iter().map(convert::stored_level_message).collect(),
        }))
    }

    async fn list_movements(
        &self,
        request: Request<proto::ListMovementsRequest>,
    ) -> Answer<proto::ListMovementsResponse> {
        let request = request.into_inner();
        let limit = convert::page_size(request.page_size, 100, 1_000)?;
        let (sku, location) = convert::filters(&request.sku, &request.location_id)?;
        let Some(sku) = sku else {
            let mut violations = oneshelf_kit::status::Violations::new();
            violations.add("sku", "is required");
            return Err(violations.into_status());
        };
        let before = match convert::page_token(&request.page_token, 2)? {
            None => None,
            Some(parts) => Some(
                parts[0]
                    .parse()
                    .ok()
                    .and_then(DateTime::from_timestamp_micros)
                    .zip(parts[1].parse().ok())
                    .ok_or_else(convert::bad_token)?,
            ),
        };
        let movements = self.0.list_movements(&sku, location.as_ref(), before, limit).await.map_err(from_error)?;
        Ok(Response::new(proto::ListMovementsResponse {
            next_page_token: next_token(&movements, limit, |last| {
                format!("{}\t{}", last.effective_at.timestamp_micros(), last.entry_id)
            }),
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
        let limit = convert::page_size(request.page_size, 100, 1_000)?;
        let (sku, location) = convert::filters(&request.sku, &request.location_id)?;
        let after = convert::page_token(&request.page_token, 2)?;
        let after = after.as_deref().map_or(("", ""), |parts| (parts[0], parts[1]));
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
        let limit = convert::page_size(request.page_size, 100, 1_000)?;
        let (sku, location) = convert::filters(&request.sku, &request.location_id)?;
        let after = convert::page_token(&request.page_token, 4)?;
        let after = after.as_deref().map_or(("", "", "", ""), |parts| (parts[0], parts[1], parts[2], parts[3]));
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
        let limit = convert::page_size(request.page_size, 100, 1_000)?;
        let policies = self.0.list_sku_policies(&request.page_token, limit).await.map_err(from_error)?;
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
}

/// The token of the next page: the last key, when the page is full.
fn next_token<T>(page: &[T], limit: i64, key: impl Fn(&T) -> String) -> String {
    page.last().filter(|_| page.len() as i64 == limit).map_or_else(String::new, key)
}
