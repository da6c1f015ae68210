//! The public API as a test drives it: clients of all services over one connection, and short words for what a shop does.

use oneshelf_kit::grpc::client::ClientChannel;
use oneshelf_proto::{
    catalog::v1::{self as catalog, catalog_service_client::CatalogServiceClient},
    channels::v1::{self as channels, channels_service_client::ChannelsServiceClient},
    inventory::v1::{self as inventory, inventory_service_client::InventoryServiceClient},
    loyalty::v1::{self as loyalty, loyalty_service_client::LoyaltyServiceClient},
    orders::v1::{self as orders, orders_service_client::OrdersServiceClient},
    partners::v1::{self as partners, partners_service_client::PartnersServiceClient},
    r#type::v1::{Money, UnitPrice},
};
use oneshelf_values::{Clock, new_id};
use prost_types::Timestamp;
use tonic::Status;

pub const CURRENCY: &str = "GBP";
/// Ships for the web and the dealers; never oversold.
pub const WAREHOUSE: &str = "WH";
/// A store, whose till may oversell; also the id of its channel.
pub const STORE: &str = "SHOP";
pub const WEB: &str = "WEB";
pub const DEALERS: &str = "DEALERS";
pub const DEALER: &str = "D-1";
pub const MEMBER: &str = "M-1";

/// A shop's clerk: clients with a key, and the time that ids are made from.
#[derive(Clone)]
pub struct Shop {
    pub catalog: CatalogServiceClient<ClientChannel>,
    pub inventory: InventoryServiceClient<ClientChannel>,
    pub orders: OrdersServiceClient<ClientChannel>,
    pub partners: PartnersServiceClient<ClientChannel>,
    pub loyalty: LoyaltyServiceClient<ClientChannel>,
    pub channels: ChannelsServiceClient<ClientChannel>,
    pub clock: Clock,
}

pub fn pounds(minor_units: i64) -> Money {
    Money { minor_units, currency_code: CURRENCY.to_owned() }
}

pub fn pence_each(pence: i64) -> UnitPrice {
    UnitPrice { micros: pence * 10_000, currency_code: CURRENCY.to_owned() }
}

impl Shop {
    pub fn new(channel: ClientChannel, clock: Clock) -> Self {
        Self {
            catalog: CatalogServiceClient::new(channel.clone()),
            inventory: InventoryServiceClient::new(channel.clone()),
            orders: OrdersServiceClient::new(channel.clone()),
            partners: PartnersServiceClient::new(channel.clone()),
            loyalty: LoyaltyServiceClient::new(channel.clone()),
            channels: ChannelsServiceClient::new(channel),
            clock,
        }
    }

    pub fn id(&self) -> String {
        new_id(&self.clock).to_string()
    }

    /// Opens the shop: a warehouse and a store, the channels WEB, SHOP and DEALERS, the dealer D-1 with 1,000 pounds of
    /// credit and prices of its own, the member M-1, and `skus` at 5.00, 4.00 for the dealer. The shelves are empty.
    pub async fn open(&mut self, skus: &[String]) -> Result<(), Status> {
        for (location_id, kind) in
            [(WAREHOUSE, inventory::LocationKind::Warehouse), (STORE, inventory::LocationKind::Store)]
        {
            let location = inventory::Location {
                location_id: location_id.to_owned(),
                kind: kind.into(),
                title: location_id.to_owned(),
                oversell_facts: location_id == STORE,
                ..Default::default()
            };
            let request = inventory::CreateLocationRequest { request_id: self.id(), location: Some(location) };
            self.inventory.create_location(request).await?;
        }
        let kinds = [
            (WEB, channels::ChannelKind::Web, WAREHOUSE),
            (STORE, channels::ChannelKind::Store, STORE),
            (DEALERS, channels::ChannelKind::Dealer, WAREHOUSE),
        ];
        for (channel_id, kind, location) in kinds {
            let channel = channels::Channel {
                channel_id: channel_id.to_owned(),
                kind: kind.into(),
                title: channel_id.to_owned(),
                currency_code: CURRENCY.to_owned(),
                location_ids: vec![location.to_owned()],
                ..Default::default()
            };
            let request = channels::CreateChannelRequest { request_id: self.id(), channel: Some(channel) };
            self.channels.create_channel(request).await?;
        }
        let product = |sku: &String| catalog::Product {
            product_id: format!("P-{sku}"),
            title: format!("Product {sku}"),
            variants: vec![catalog::Variant { sku: sku.clone(), ..Default::default() }],
            ..Default::default()
        };
        let products = skus.iter().map(product).collect();
        let request = catalog::BatchCreateProductsRequest { request_id: self.id(), products };
        self.catalog.batch_create_products(request).await?;
        for (list, channel_id, pence) in [
            ("WEB-GBP", WEB, 500),
            ("SHOP-GBP", STORE, 500),
            ("DEALERS-GBP", DEALERS, 450),
            // The dealer's own agreement.
            ("D-1-GBP", "", 400),
        ] {
            let price_list = catalog::PriceList {
                price_list_id: list.to_owned(),
                title: list.to_owned(),
                currency_code: CURRENCY.to_owned(),
                channel_id: channel_id.to_owned(),
                ..Default::default()
            };
            let request = catalog::CreatePriceListRequest { request_id: self.id(), price_list: Some(price_list) };
            self.catalog.create_price_list(request).await?;
            self.publish(list, skus, pence).await?;
        }
        let partner = partners::Partner {
            partner_id: DEALER.to_owned(),
            title: "Dealer".to_owned(),
            tier: partners::PartnerTier::Gold.into(),
            price_list_id: "D-1-GBP".to_owned(),
            credit_limit: Some(pounds(100_000)),
            ..Default::default()
        };
        let request = partners::CreatePartnerRequest { request_id: self.id(), partner: Some(partner) };
        self.partners.create_partner(request).await?;
        self.enrol(MEMBER).await
    }

    pub async fn enrol(&mut self, member: &str) -> Result<(), Status> {
        let member_ids = vec![member.to_owned()];
        let request = loyalty::BatchCreateMembersRequest { request_id: self.id(), member_ids };
        self.loyalty.batch_create_members(request).await.map(drop)
    }

    pub async fn publish(&mut self, list: &str, skus: &[String], pence: i64) -> Result<(), Status> {
        let entry = |sku: &String| catalog::PriceEntry {
            sku: sku.clone(),
            unit_price: Some(pence_each(pence)),
            ..Default::default()
        };
        let request = catalog::PublishPriceListRequest {
            request_id: self.id(),
            price_list_id: list.to_owned(),
            entries: skus.iter().map(entry).collect(),
            activate_time: None,
        };
        self.catalog.publish_price_list(request).await.map(drop)
    }

    pub fn receipt(&self, location: &str, lines: &[(&str, i64)]) -> inventory::ReceiveStockRequest {
        inventory::ReceiveStockRequest {
            request_id: self.id(),
            location_id: location.to_owned(),
            lines: lines
                .iter()
                .map(|(sku, quantity)| inventory::StockLine {
                    sku: (*sku).into(),
                    quantity: *quantity,
                    ..Default::default()
                })
                .collect(),
            reference: "delivery".to_owned(),
            effective_time: None,
        }
    }

    pub async fn receive(&mut self, location: &str, lines: &[(&str, i64)]) -> Result<(), Status> {
        let request = self.receipt(location, lines);
        self.inventory.receive_stock(request).await.map(drop)
    }

    pub async fn quote(
        &mut self,
        channel: &str,
        partner: &str,
        lines: &[(&str, i64)],
    ) -> Result<catalog::QuotePricesResponse, Status> {
        let line = |(sku, quantity): &(&str, i64)| catalog::QuoteLine {
            sku: (*sku).to_owned(),
            quantity: *quantity,
            ..Default::default()
        };
        let request = catalog::QuotePricesRequest {
            channel_id: channel.to_owned(),
            partner_id: partner.to_owned(),
            currency_code: CURRENCY.to_owned(),
            lines: lines.iter().map(line).collect(),
            ..Default::default()
        };
        Ok(self.catalog.quote_prices(request).await?.into_inner())
    }

    /// A request to place a basket, at the prices of now, from the warehouse.
    pub async fn basket(
        &mut self,
        channel: &str,
        partner: &str,
        member: &str,
        lines: &[(&str, i64)],
    ) -> Result<orders::PlaceOrderRequest, Status> {
        let quote = self.quote(channel, partner, lines).await?;
        Ok(orders::PlaceOrderRequest {
            request_id: self.id(),
            signed_quote: quote.signed_quote,
            location_id: WAREHOUSE.to_owned(),
            member_id: member.to_owned(),
            ..Default::default()
        })
    }

    pub fn shipment(&self, order_id: &str) -> orders::ShipOrderRequest {
        orders::ShipOrderRequest { request_id: self.id(), order_id: order_id.to_owned(), ..Default::default() }
    }

    pub fn cancellation(&self, order_id: &str) -> orders::CancelOrderRequest {
        orders::CancelOrderRequest {
            request_id: self.id(),
            order_id: order_id.to_owned(),
            reason: "changed their mind".to_owned(),
        }
    }

    /// A till's sale at 5.00 each.
    pub fn ticket(&self, number: &str, member: &str, lines: &[(&str, i64)]) -> orders::Ticket {
        let now = self.clock.now();
        let line = |(sku, quantity): &(&str, i64)| orders::TicketLine {
            sku: (*sku).to_owned(),
            quantity: *quantity,
            unit_price: Some(pence_each(500)),
            ..Default::default()
        };
        orders::Ticket {
            device_id: "TILL-1".to_owned(),
            ticket_no: number.to_owned(),
            channel_id: STORE.to_owned(),
            location_id: STORE.to_owned(),
            member_id: member.to_owned(),
            currency_code: CURRENCY.to_owned(),
            lines: lines.iter().map(line).collect(),
            sale_time: Some(Timestamp { seconds: now.timestamp(), nanos: 0 }),
            ..Default::default()
        }
    }

    /// Sends tickets as a till does; the outcomes in their order.
    pub async fn record(&mut self, tickets: &[orders::Ticket]) -> Result<Vec<orders::RecordSalesResponse>, Status> {
        let tickets: Vec<_> =
            tickets.iter().map(|ticket| orders::RecordSalesRequest { ticket: Some(ticket.clone()) }).collect();
        let mut answers = self.orders.record_sales(tokio_stream::iter(tickets)).await?.into_inner();
        let mut outcomes = Vec::new();
        while let Some(answer) = answers.message().await? {
            outcomes.push(answer);
        }
        Ok(outcomes)
    }

    /// Sellable, soft held and hard held of a SKU at a location.
    pub async fn level(&mut self, location: &str, sku: &str) -> Result<(i64, i64, i64), Status> {
        let request = inventory::ListStockLevelsRequest {
            location_id: location.to_owned(),
            sku: sku.to_owned(),
            ..Default::default()
        };
        let levels = self.inventory.list_stock_levels(request).await?.into_inner().levels;
        Ok(levels.first().map_or((0, 0, 0), |level| (level.sellable, level.soft_held, level.hard_held)))
    }

    /// Used and held credit of the dealer, in pence.
    pub async fn credit(&mut self) -> Result<(i64, i64), Status> {
        let request = partners::GetCreditAccountRequest { partner_id: DEALER.to_owned() };
        let account = self.partners.get_credit_account(request).await?.into_inner().account.unwrap_or_default();
        Ok((account.used.unwrap_or_default().minor_units, account.held.unwrap_or_default().minor_units))
    }

    /// A member's points.
    pub async fn points(&mut self, member: &str) -> Result<i64, Status> {
        let request = loyalty::GetMemberRequest { member_id: member.to_owned() };
        Ok(self.loyalty.get_member(request).await?.into_inner().member.unwrap_or_default().balance)
    }

    /// What a channel shows of a SKU: units, and pence each.
    pub async fn listing(&mut self, channel: &str, sku: &str) -> Result<Option<(i64, Option<i64>)>, Status> {
        let channel_id = channel.to_owned();
        let request = channels::ListListingsRequest { channel_id, page_size: 5_000, ..Default::default() };
        let listings = self.channels.list_listings(request).await?.into_inner().listings;
        let shown = listings.into_iter().find(|listing| listing.sku == sku);
        Ok(shown.map(|listing| (listing.available, listing.unit_price.map(|price| price.micros / 10_000))))
    }
}
