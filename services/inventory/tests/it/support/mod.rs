//! An inventory that is served, and short ways to fill it.

use oneshelf_inventory::{MIGRATOR, config::Config, server, verify};
use oneshelf_kit::{
    auth::{NewKey, Scope},
    grpc::client::ClientChannel,
    outbox,
    schema::Schema,
};
use oneshelf_proto::{
    FILE_DESCRIPTOR_SET,
    inventory::v1::{self as pb, inventory_service_client::InventoryServiceClient},
};
use oneshelf_testkit::{Database, ServeTest, Server};
use oneshelf_values::{Clock, new_id};
use tonic::Status;
use tonic_types::StatusExt as _;

pub type Client = InventoryServiceClient<ClientChannel>;

/// A served inventory and a client that may do everything.
pub struct Shelf {
    pub client: Client,
    pub clock: Clock,
    pub server: Server,
    pub db: Database,
}

impl Shelf {
    /// With the warehouse WH and the store SHOP, whose till may oversell.
    pub async fn open() -> Self {
        Self::open_with(|config| config).await
    }

    /// As [`Self::open`], with the jobs that look after ledger and levels always at it.
    pub async fn lively() -> Self {
        Self::open_with(|config| Config { keep_ledger_every_ms: 50, reconcile_every_ms: 100, ..config }).await
    }

    pub async fn open_with(adapt: impl FnOnce(Config) -> Config) -> Self {
        let db = Database::new(&[&MIGRATOR]).await;
        let clock = oneshelf_testkit::clock();
        let test = ServeTest::new(db.pool(), clock.clone()).await;
        // RabbitMQ 3.10 breaks when a queue is deleted while it is being made, as a short test would do.
        test.chassis.broker.declare(oneshelf_inventory::consumers::SUBSCRIPTIONS).await.unwrap();
        let config = adapt(Config { sweep_every_ms: 50, ..Config::new(db.config()) });
        let mounted = server::start(&config, &test.chassis).await.unwrap();
        let server = test.start(FILE_DESCRIPTOR_SET, vec![mounted]).await;
        let client = InventoryServiceClient::new(server.client().await);
        let mut shelf = Self { client, clock, server, db };
        shelf.add_location("WH", pb::LocationKind::Warehouse, false).await;
        shelf.add_location("SHOP", pb::LocationKind::Store, true).await;
        shelf
    }

    /// As [`Self::open`], with 10 of A and 5 of B in the warehouse.
    pub async fn stocked() -> Self {
        let mut shelf = Self::open().await;
        shelf.receive("WH", &[("A", 10), ("B", 5)]).await;
        shelf
    }

    pub fn id(&self) -> String {
        new_id(&self.clock).to_string()
    }

    pub async fn add_location(&mut self, location_id: &str, kind: pb::LocationKind, oversell_facts: bool) {
        let request = pb::CreateLocationRequest {
            request_id: self.id(),
            location: Some(location(location_id, kind, oversell_facts)),
        };
        self.client.create_location(request).await.unwrap();
    }

    pub async fn receive(&mut self, location_id: &str, lines: &[(&str, i64)]) {
        let request = self.receipt(location_id, lines);
        self.client.receive_stock(request).await.unwrap();
    }

    pub fn receipt(&self, location_id: &str, lines: &[(&str, i64)]) -> pb::ReceiveStockRequest {
        pb::ReceiveStockRequest {
            request_id: self.id(),
            location_id: location_id.to_owned(),
            lines: stock_lines(lines),
            reference: "delivery note 7".to_owned(),
            effective_time: None,
        }
    }

    /// A request for a hard hold in the warehouse.
    pub fn hold(&self, lines: &[(&str, i64)]) -> pb::HoldStockRequest {
        pb::HoldStockRequest {
            request_id: self.id(),
            kind: pb::HoldKind::Hard.into(),
            lines: lines
                .iter()
                .map(|(sku, quantity)| pb::HoldRequestLine {
                    sku: (*sku).to_owned(),
                    location_id: "WH".to_owned(),
                    quantity: *quantity,
                })
                .collect(),
            ..Default::default()
        }
    }

    /// A request for a soft hold of `seconds`.
    pub fn soft_hold(&self, lines: &[(&str, i64)], seconds: i64) -> pb::HoldStockRequest {
        pb::HoldStockRequest {
            kind: pb::HoldKind::Soft.into(),
            ttl: Some(prost_types::Duration { seconds, nanos: 0 }),
            ..self.hold(lines)
        }
    }

    pub async fn held(&mut self, request: pb::HoldStockRequest) -> pb::Hold {
        self.client.hold_stock(request).await.unwrap().into_inner().hold.unwrap()
    }

    /// Sellable, held and available of a SKU in the warehouse.
    pub async fn level(&mut self, sku: &str) -> (i64, i64, i64) {
        let request =
            pb::ListStockLevelsRequest { sku: sku.to_owned(), location_id: "WH".to_owned(), ..Default::default() };
        let levels = self.client.list_stock_levels(request).await.unwrap().into_inner().levels;
        levels.first().map_or((0, 0, 0), |level| (level.sellable, level.soft_held + level.hard_held, level.available))
    }

    pub async fn client_for(&self, scopes: &[&str], channel: Option<&str>) -> Client {
        let key = NewKey {
            title: "narrow".to_owned(),
            scopes: scopes.iter().map(|scope| Scope::parse(scope).unwrap()).collect(),
            channel: channel.map(|id| id.parse().unwrap()),
            partner: None,
            expires_at: None,
        };
        InventoryServiceClient::new(self.server.client_with(key).await)
    }

    /// A client without any key.
    pub async fn stranger(&self) -> InventoryServiceClient<tonic::transport::Channel> {
        InventoryServiceClient::connect(format!("http://{}", self.server.address())).await.unwrap()
    }

    /// The newest that was announced of a level, such as `A@WH`.
    pub async fn announced(&self, level: &str) -> pb::StockLevelChanged {
        let told = outbox::read_all(self.db.pool(), Schema::new("inventory")).await.unwrap();
        let of_level = told.iter().filter(|told| told.event.aggregate_id == level);
        let newest = of_level.max_by_key(|told| told.event.aggregate_version).expect("the level was announced");
        newest.event.decode().unwrap()
    }

    /// What was told of an aggregate under a routing key, oldest first.
    pub async fn events<M: prost::Message + Default>(&self, aggregate_id: &str, routing_key: &str) -> Vec<M> {
        let told = outbox::read_all(self.db.pool(), Schema::new("inventory")).await.unwrap();
        let of_it =
            told.iter().filter(|told| told.routing_key == routing_key && told.event.aggregate_id == aggregate_id);
        of_it.map(|told| told.event.decode().unwrap()).collect()
    }

    /// How many rows all tables of the service have: what a refused request must not change.
    pub async fn rows(&self) -> i64 {
        sqlx::query_scalar(
            "SELECT (SELECT COUNT(*) FROM inventory.locations) + (SELECT COUNT(*) FROM inventory.stock_levels)
                  + (SELECT COUNT(*) FROM inventory.ledger_entries) + (SELECT COUNT(*) FROM inventory.holds)
                  + (SELECT COUNT(*) FROM inventory.hold_lines) + (SELECT COUNT(*) FROM inventory.outbox_packs)
                  + (SELECT COUNT(*) FROM inventory.idempotency_keys)
                  + (SELECT COUNT(*) FROM inventory.transfers) + (SELECT COUNT(*) FROM inventory.counts)
                  + (SELECT COUNT(*) FROM inventory.inbounds) + (SELECT COUNT(*) FROM inventory.promises)",
        )
        .fetch_one(self.db.pool())
        .await
        .unwrap()
    }

    /// Every invariant of the service holds.
    pub async fn verify(&self) {
        for check in verify::verify(self.db.pool()).await.unwrap() {
            assert_eq!(check.violations, 0, "{}: {:?}", check.what, check.offenders);
        }
    }
}

pub fn location(location_id: &str, kind: pb::LocationKind, oversell_facts: bool) -> pb::Location {
    pb::Location {
        location_id: location_id.to_owned(),
        kind: kind.into(),
        title: format!("location {location_id}"),
        oversell_facts,
        ..Default::default()
    }
}

pub fn stock_lines(lines: &[(&str, i64)]) -> Vec<pb::StockLine> {
    lines
        .iter()
        .map(|(sku, quantity)| pb::StockLine { sku: (*sku).to_owned(), quantity: *quantity, ..Default::default() })
        .collect()
}

/// The fields that a refusal names.
pub fn fields(status: &Status) -> Vec<String> {
    assert_eq!(status.code(), tonic::Code::InvalidArgument, "{status:?}");
    let details = status.get_details_bad_request().expect("a BadRequest detail");
    details.field_violations.into_iter().map(|violation| violation.field).collect()
}

/// The reason and one number of the metadata.
pub fn reason(status: &Status) -> String {
    status.get_details_error_info().map_or_else(String::new, |info| info.reason)
}
