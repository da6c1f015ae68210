//! The public API as the tools of this binary call it: six clients over one connection, with a key.

use anyhow::Context;
use oneshelf_kit::{
    config::ClientConfig,
    grpc::client::{ClientChannel, connect_lazy},
};
use oneshelf_proto::{
    catalog::v1::catalog_service_client::CatalogServiceClient,
    channels::v1::channels_service_client::ChannelsServiceClient,
    inventory::v1::inventory_service_client::InventoryServiceClient,
    loyalty::v1::loyalty_service_client::LoyaltyServiceClient, orders::v1::orders_service_client::OrdersServiceClient,
    partners::v1::partners_service_client::PartnersServiceClient,
};
use secrecy::SecretString;

/// Answers larger than tonic's 4 MiB: pages of thousands of records.
const MAX_ANSWER_BYTES: usize = 64 * 1024 * 1024;

#[derive(Clone)]
pub struct Api {
    pub catalog: CatalogServiceClient<ClientChannel>,
    pub inventory: InventoryServiceClient<ClientChannel>,
    pub orders: OrdersServiceClient<ClientChannel>,
    pub partners: PartnersServiceClient<ClientChannel>,
    pub loyalty: LoyaltyServiceClient<ClientChannel>,
    pub channels: ChannelsServiceClient<ClientChannel>,
}

impl Api {
    /// Connects when first used. `target` is `http://host:port`.
    pub fn connect(target: &str, key: &SecretString) -> anyhow::Result<Self> {
        let config = ClientConfig { timeout_ms: 60_000, ..ClientConfig::new(target) };
        let channel = connect_lazy(&config, key).with_context(|| format!("cannot call {target}"))?;
        Ok(Self {
            catalog: CatalogServiceClient::new(channel.clone()).max_decoding_message_size(MAX_ANSWER_BYTES),
            inventory: InventoryServiceClient::new(channel.clone()).max_decoding_message_size(MAX_ANSWER_BYTES),
            orders: OrdersServiceClient::new(channel.clone()).max_decoding_message_size(MAX_ANSWER_BYTES),
            partners: PartnersServiceClient::new(channel.clone()).max_decoding_message_size(MAX_ANSWER_BYTES),
            loyalty: LoyaltyServiceClient::new(channel.clone()).max_decoding_message_size(MAX_ANSWER_BYTES),
            channels: ChannelsServiceClient::new(channel).max_decoding_message_size(MAX_ANSWER_BYTES),
        })
    }
}
