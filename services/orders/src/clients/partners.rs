//! Credit of dealers: held under the order's id.

use oneshelf_kit::{
    config::ClientConfig,
    grpc::client::{ClientChannel, ClientError, connect_lazy},
};
use oneshelf_proto::{
    partners::v1::{
        CaptureCreditRequest, HoldCreditRequest, ReleaseCreditRequest, partners_service_client::PartnersServiceClient,
    },
    r#type::v1::Money,
};
use oneshelf_values::PartnerId;
use secrecy::SecretString;
use uuid::Uuid;

use super::CallError;
use crate::domain::order::Order;

#[derive(Clone)]
pub struct Partners(PartnersServiceClient<ClientChannel>);

impl Partners {
    pub fn try_new(cfg: &ClientConfig, key: &SecretString) -> Result<Self, ClientError> {
        Ok(Self(PartnersServiceClient::new(connect_lazy(cfg, key)?)))
    }

    /// Holds what the order costs on the dealer's account.
    pub async fn hold_credit(&self, order: &Order, partner: &PartnerId) -> Result<(), CallError> {
        let request = HoldCreditRequest {
            request_id: order.order_id.to_string(),
            partner_id: partner.to_string(),
            amount: Some(money(order, order.total_minor())),
            reference: order.order_id.to_string(),
        };
        self.0.clone().hold_credit(request).await?;
        Ok(())
    }

    /// Uses `amount_minor` of what is held and gives the rest back.
    pub async fn capture_credit(&self, request_id: Uuid, order: &Order, amount_minor: i64) -> Result<(), CallError> {
        let request = CaptureCreditRequest {
            request_id: request_id.to_string(),
            hold_id: order.order_id.to_string(),
            amount: Some(money(order, amount_minor)),
        };
        self.0.clone().capture_credit(request).await?;
        Ok(())
    }

    /// Gives all that is held back.
    pub async fn release_credit(&self, request_id: Uuid, order: &Order) -> Result<(), CallError> {
        let request = ReleaseCreditRequest { request_id: request_id.to_string(), hold_id: order.order_id.to_string() };
        self.0.clone().release_credit(request).await?;
        Ok(())
    }
}

fn money(order: &Order, minor_units: i64) -> Money {
    Money { minor_units, currency_code: order.currency.to_string() }
}
