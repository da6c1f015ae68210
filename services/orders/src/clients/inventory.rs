//! Stock: held under the order's id, so that inventory's hard hold and the order name each other.

use chrono::{DateTime, Utc};
use oneshelf_kit::{
    config::ClientConfig,
    grpc::client::{ClientChannel, ClientError, connect_lazy},
};
use oneshelf_proto::inventory::v1::{
    CommitHoldRequest, CommitLine, HoldKind, HoldRequestLine, HoldStockRequest, RecordSoldStockRequest,
    ReleaseHoldRequest, ReturnStockRequest, StockBucket, StockLine, inventory_service_client::InventoryServiceClient,
};
use oneshelf_values::{LocationId, PartnerId};
use secrecy::SecretString;
use uuid::Uuid;

use super::{CallError, effective_time};
use crate::domain::order::{Order, SkuUnits};

#[derive(Clone)]
pub struct Inventory(InventoryServiceClient<ClientChannel>);

impl Inventory {
    pub fn try_new(cfg: &ClientConfig, key: &SecretString) -> Result<Self, ClientError> {
        Ok(Self(InventoryServiceClient::new(connect_lazy(cfg, key)?)))
    }

    /// Allocates all of `units` to the order, or none.
    pub async fn hold_stock(&self, order: &Order, units: &[SkuUnits]) -> Result<(), CallError> {
        let request = HoldStockRequest {
            request_id: order.order_id.to_string(),
            kind: HoldKind::Hard.into(),
            lines: units
                .iter()
                .map(|line| HoldRequestLine {
                    sku: line.sku.to_string(),
                    location_id: order.location.to_string(),
                    quantity: line.quantity,
                })
                .collect(),
            ttl: None,
            allow_partial: false,
            channel_id: order.channel.to_string(),
            // What is ring-fenced for a dealer is open to its orders.
            partner_id: order.partner.as_ref().map_or_else(String::new, PartnerId::to_string),
            reference: order.order_id.to_string(),
            ..Default::default()
        };
        self.0.clone().hold_stock(request).await?;
        Ok(())
    }

    /// Takes `units` of the order's hold out of stock, wherever inventory has them by now, and releases the rest.
    pub async fn commit_hold(
        &self,
        request_id: Uuid,
        order: &Order,
        units: &[SkuUnits],
        at: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> Result<(), CallError> {
        let request = CommitHoldRequest {
            request_id: request_id.to_string(),
            hold_id: order.order_id.to_string(),
            lines: units
                .iter()
                .map(|line| CommitLine {
                    sku: line.sku.to_string(),
                    location_id: String::new(),
                    quantity: line.quantity,
                })
                .collect(),
            effective_time: effective_time(at, now),
        };
        self.0.clone().commit_hold(request).await?;
        Ok(())
    }

    /// Gives the order's hold back.
    pub async fn release_hold(&self, request_id: Uuid, order: &Order) -> Result<(), CallError> {
        let request = ReleaseHoldRequest { request_id: request_id.to_string(), hold_id: order.order_id.to_string() };
        self.0.clone().release_hold(request).await?;
        Ok(())
    }

    /// Books a till's sale.
    pub async fn record_sold_stock(
        &self,
        request_id: Uuid,
        order: &Order,
        units: &[SkuUnits],
        at: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> Result<(), CallError> {
        let request = RecordSoldStockRequest {
            request_id: request_id.to_string(),
            location_id: order.location.to_string(),
            lines: stock_lines(units),
            reference: order.order_id.to_string(),
            effective_time: effective_time(at, now),
        };
        self.0.clone().record_sold_stock(request).await?;
        Ok(())
    }

    /// Books goods that came back, as sellable.
    pub async fn return_stock(
        &self,
        request_id: Uuid,
        location: &LocationId,
        units: &[SkuUnits],
        reference: Uuid,
        at: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> Result<(), CallError> {
        let request = ReturnStockRequest {
            request_id: request_id.to_string(),
            location_id: location.to_string(),
            lines: stock_lines(units),
            bucket: StockBucket::Sellable.into(),
            reference: reference.to_string(),
            effective_time: effective_time(at, now),
        };
        self.0.clone().return_stock(request).await?;
        Ok(())
    }
}

fn stock_lines(units: &[SkuUnits]) -> Vec<StockLine> {
    units
        .iter()
        .map(|line| StockLine { sku: line.sku.to_string(), quantity: line.quantity, ..Default::default() })
        .collect()
}
