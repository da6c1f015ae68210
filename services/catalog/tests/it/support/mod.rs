//! A catalog that is served, and short ways to fill it.

use std::time::Duration;

use chrono::{DateTime, Utc};
use oneshelf_catalog::{MIGRATOR, config::Config, server};
use oneshelf_kit::{
    auth::{NewKey, Scope},
    grpc::client::ClientChannel,
};
use oneshelf_pricing::{KeyRing, SigningKey};
use oneshelf_proto::{
    FILE_DESCRIPTOR_SET,
    catalog::v1::{self as proto, catalog_service_client::CatalogServiceClient},
    r#type::v1 as common,
};
use oneshelf_testkit::{Database, ServeTest, Server};
use oneshelf_values::{Clock, new_id};
use prost_types::Timestamp;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

pub type Client = CatalogServiceClient<ClientChannel>;

/// A served catalog and a client that may do everything.
pub struct Shop {
    pub client: Client,
    pub clock: Clock,
    pub server: Server,
    pub db: Database,
}

pub fn keys() -> KeyRing {
    let key = SigningKey::try_new("a key that is only good for tests").unwrap();
    KeyRing::try_new("k1", [("k1".to_owned(), key)]).unwrap()
}

impl Shop {
    pub async fn open() -> Self {
        let db = Database::new(&[&MIGRATOR]).await;
        let clock = oneshelf_testkit::clock();
        let test = ServeTest::new(db.pool(), clock.clone()).await;
        // RabbitMQ 3.10 breaks when a queue is deleted while it is being made, as a short test would do.
        test.chassis.broker.declare(oneshelf_catalog::consumers::SUBSCRIPTIONS).await.unwrap();
        let config = Config { refresh_every_ms: 20, ..Config::new(db.config()) };
        let mounted = server::start(&config, &keys(), &test.chassis).await.unwrap();
        let server = test.start(FILE_DESCRIPTOR_SET, vec![mounted]).await;
        let client = CatalogServiceClient::new(server.client().await);
        Self { client, clock, server, db }
    }

    /// With the SKUs A, B and C, and a list WEB-GBP for the channel WEB.
    pub async fn stocked() -> Self {
        let mut shop = Self::open().await;
        shop.add_product("P1", &["A", "B", "C"]).await;
        shop.add_list("WEB-GBP", "GBP", "WEB").await;
        shop
    }

    pub fn request_id(&self) -> String {
        new_id(&self.clock).to_string()
    }

    #[expect(clippy::unnecessary_wraps, reason = "as a message field takes it")]
    pub fn in_hours(&self, hours: i64) -> Option<Timestamp> {
        Some(at(self.clock.now() + chrono::TimeDelta::hours(hours)))
    }

    pub fn advance_hours(&self, hours: u64) {
        self.clock.advance(Duration::from_secs(hours * 3_600));
    }

    pub async fn add_product(&mut self, product_id: &str, skus: &[&str]) {
        let request = proto::BatchCreateProductsRequest {
            request_id: self.request_id(),
            products: vec![product(product_id, skus)],
        };
        self.client.batch_create_products(request).await.unwrap();
    }

    pub async fn add_list(&mut self, price_list_id: &str, currency: &str, channel: &str) {
        let request = proto::CreatePriceListRequest {
            request_id: self.request_id(),
            price_list: Some(price_list(price_list_id, currency, channel)),
        };
        self.client.create_price_list(request).await.unwrap();
    }

    /// Publishes pence for now and answers the book version.
    pub async fn publish(&mut self, price_list_id: &str, prices: &[(&str, i64)]) -> i64 {
        let entries = prices.iter().map(|(sku, pence)| entry(sku, *pence)).collect();
        self.publish_entries(price_list_id, entries, None).await.unwrap().book_version
    }

    pub async fn publish_entries(
        &mut self,
        price_list_id: &str,
        entries: Vec<proto::PriceEntry>,
        activate_time: Option<Timestamp>,
    ) -> Result<proto::PriceBook, Status> {
        let request = proto::PublishPriceListRequest {
            request_id: self.request_id(),
            price_list_id: price_list_id.to_owned(),
            entries,
            activate_time,
        };
        Ok(self.client.publish_price_list(request).await?.into_inner().price_book.unwrap())
    }

    /// A client with these scopes, bound to a channel or partner if one is named.
    pub async fn client_for(&self, scopes: &[&str], channel: Option<&str>, partner: Option<&str>) -> Client {
        let key = NewKey {
            title: "narrow".to_owned(),
            scopes: scopes.iter().map(|scope| Scope::parse(scope).unwrap()).collect(),
            channel: channel.map(|id| id.parse().unwrap()),
            partner: partner.map(|id| id.parse().unwrap()),
            expires_at: None,
        };
        CatalogServiceClient::new(self.server.client_with(key).await)
    }
}

pub fn at(at: DateTime<Utc>) -> Timestamp {
    Timestamp { seconds: at.timestamp(), nanos: at.timestamp_subsec_nanos().cast_signed() }
}

pub fn product(product_id: &str, skus: &[&str]) -> proto::Product {
    let variants = skus.iter().map(|sku| proto::Variant { sku: (*sku).to_owned(), ..Default::default() });
    proto::Product {
        product_id: product_id.to_owned(),
        title: "Mug".to_owned(),
        variants: variants.collect(),
        create_time: None,
    }
}

pub fn price_list(price_list_id: &str, currency: &str, channel: &str) -> proto::PriceList {
    proto::PriceList {
        price_list_id: price_list_id.to_owned(),
        title: "Prices".to_owned(),
        currency_code: currency.to_owned(),
        channel_id: channel.to_owned(),
        ..Default::default()
    }
}

#[expect(clippy::unnecessary_wraps, reason = "as a message field takes it")]
pub fn pounds(micros: i64) -> Option<common::UnitPrice> {
    Some(common::UnitPrice { micros, currency_code: "GBP".to_owned() })
}

/// An entry in pence, from the activation on.
pub fn entry(sku: &str, pence: i64) -> proto::PriceEntry {
    proto::PriceEntry { sku: sku.to_owned(), unit_price: pounds(pence * 10_000), ..Default::default() }
}

/// The same for so many units or more.
pub fn tier(sku: &str, min_quantity: i64, pence: i64) -> proto::PriceEntry {
    proto::PriceEntry { min_quantity, ..entry(sku, pence) }
}

/// A basket of (SKU, quantity) for the channel WEB in GBP.
pub fn basket(lines: &[(&str, i64)]) -> proto::QuotePricesRequest {
    let lines = lines.iter().map(|(sku, quantity)| proto::QuoteLine {
        sku: (*sku).to_owned(),
        quantity: *quantity,
        ..Default::default()
    });
    proto::QuotePricesRequest {
        channel_id: "WEB".to_owned(),
        currency_code: "GBP".to_owned(),
        lines: lines.collect(),
        ..Default::default()
    }
}

/// The code and the reason of a refusal.
pub fn refusal(status: &Status) -> (Code, String) {
    let info = status.get_details_error_info().unwrap_or_else(|| panic!("no ErrorInfo in {status:?}"));
    (status.code(), info.reason)
}

/// One item of a refusal's metadata.
pub fn told(status: &Status, key: &str) -> String {
    status.get_details_error_info().unwrap().metadata[key].clone()
}

/// The fields that INVALID_ARGUMENT names.
#[track_caller]
pub fn bad_fields(status: &Status) -> Vec<String> {
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    let request = status.get_details_bad_request().unwrap_or_else(|| panic!("no BadRequest in {status:?}"));
    request.field_violations.into_iter().map(|violation| violation.field).collect()
}
