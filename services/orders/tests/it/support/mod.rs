//! Orders, inventory and partners, served for real; the way from orders to the others can be cut.

use std::time::Duration;

use oneshelf_kit::{
    auth::{NewKey, Scope},
    config::ClientConfig,
    grpc::client::ClientChannel,
    outbox,
    schema::Schema,
};
use oneshelf_orders::{config::Config, server, server::Remotes, verify};
use oneshelf_partners::config::CreditConfig;
use oneshelf_pricing::{KeyRing, SigningKey};
use oneshelf_proto::{
    FILE_DESCRIPTOR_SET,
    catalog::v1 as catalog,
    inventory::v1::{self as stock, inventory_service_client::InventoryServiceClient},
    orders::v1::{self as pb, orders_service_client::OrdersServiceClient},
    partners::v1::{self as dealers, partners_service_client::PartnersServiceClient},
    r#type::v1::{Money, UnitPrice},
};
use oneshelf_testkit::{Database, Proxy, ServeTest, Server, wait_for};
use oneshelf_values::{Clock, new_id};
use prost::Message as _;
use tonic::Status;
use tonic_types::StatusExt as _;

pub type Client = OrdersServiceClient<ClientChannel>;

/// Everything that an order needs, and a client that may do everything.
pub struct Desk {
    pub client: Client,
    pub inventory: InventoryServiceClient<ClientChannel>,
    pub partners: PartnersServiceClient<ClientChannel>,
    pub clock: Clock,
    /// Stands between orders and the other two.
    pub road: Proxy,
    pub server: Server,
    /// Kept, so that they run as long as the desk.
    _behind: Server,
    pub db: Database,
}

fn keys() -> KeyRing {
    let key = SigningKey::try_new([7; 32]).unwrap();
    KeyRing::try_new("k1", [("k1".to_owned(), key)]).unwrap()
}

impl Desk {
    /// With 10 of A and 5 of B in the warehouse WH, a till's SHOP that may oversell, a STRICT one that may not, and the
    /// dealer D-1 with 100.00 pounds of credit.
    pub async fn open() -> Self {
        let db =
            Database::new(&[&oneshelf_orders::MIGRATOR, &oneshelf_inventory::MIGRATOR, &oneshelf_partners::MIGRATOR])
                .await;
        let clock = oneshelf_testkit::clock();
        let behind = {
            let test = ServeTest::new(db.pool(), clock.clone()).await;
            let inventory = oneshelf_inventory::config::Config::new(db.config());
            let inventory = oneshelf_inventory::server::start(&inventory, &test.chassis).await.unwrap();
            let partners = oneshelf_partners::config::Config { database: db.config(), credit: CreditConfig::default() };
            let partners = oneshelf_partners::server::start(&partners, &test.chassis).await.unwrap();
            test.start(FILE_DESCRIPTOR_SET, vec![inventory, partners]).await
        };
        let road = Proxy::new(behind.address().to_string()).await;
        let server = {
            let test = ServeTest::new(db.pool(), clock.clone()).await;
            let remote = ClientConfig { timeout_ms: 20_000, ..ClientConfig::new(format!("http://{}", road.address())) };
            let remotes = Remotes { inventory: remote.clone(), partners: remote };
            let config = Config { redrive_every_ms: 20, park_after: 3, ..Config::new(db.config()) };
            let mounted = server::start(&config, &remotes, keys(), &test.chassis).await.unwrap();
            test.start(FILE_DESCRIPTOR_SET, vec![mounted]).await
        };
        let mut desk = Self {
            client: OrdersServiceClient::new(server.client().await),
            inventory: InventoryServiceClient::new(behind.client().await),
            partners: PartnersServiceClient::new(behind.client().await),
            clock,
            road,
            server,
            _behind: behind,
            db,
        };
        desk.fill().await;
        desk
    }

    async fn fill(&mut self) {
        for (location_id, oversell_facts) in [("WH", false), ("SHOP", true), ("STRICT", false)] {
            let location = stock::Location {
                location_id: location_id.to_owned(),
                kind: stock::LocationKind::Store.into(),
                title: location_id.to_owned(),
                oversell_facts,
                ..Default::default()
            };
            let request = stock::CreateLocationRequest { request_id: self.id(), location: Some(location) };
            self.inventory.create_location(request).await.unwrap();
        }
        self.receive("WH", &[("A", 10), ("B", 5)]).await;
        let partner = dealers::Partner {
            partner_id: "D-1".to_owned(),
            title: "dealer".to_owned(),
            credit_limit: Some(gbp(10_000)),
            ..Default::default()
        };
        let request = dealers::CreatePartnerRequest { request_id: self.id(), partner: Some(partner) };
        self.partners.create_partner(request).await.unwrap();
    }

    pub async fn receive(&mut self, location_id: &str, lines: &[(&str, i64)]) {
        let request = stock::ReceiveStockRequest {
            request_id: self.id(),
            location_id: location_id.to_owned(),
            lines: lines
                .iter()
                .map(|(sku, quantity)| stock::StockLine {
                    sku: (*sku).to_owned(),
                    quantity: *quantity,
                    ..Default::default()
                })
                .collect(),
            ..Default::default()
        };
        self.inventory.receive_stock(request).await.unwrap();
    }

    pub fn id(&self) -> String {
        new_id(&self.clock).to_string()
    }

    /// Sellable and held of a SKU at a location.
    pub async fn level(&mut self, location_id: &str, sku: &str) -> (i64, i64) {
        let request = stock::ListStockLevelsRequest {
            sku: sku.to_owned(),
            location_id: location_id.to_owned(),
            ..Default::default()
        };
        let levels = self.inventory.list_stock_levels(request).await.unwrap().into_inner().levels;
        levels.first().map_or((0, 0), |level| (level.sellable, level.soft_held + level.hard_held))
    }

    /// Used and held credit of the dealer, in pence.
    pub async fn credit(&mut self) -> (i64, i64) {
        let request = dealers::GetCreditAccountRequest { partner_id: "D-1".to_owned() };
        let account = self.partners.get_credit_account(request).await.unwrap().into_inner().account.unwrap();
        (account.used.unwrap().minor_units, account.held.unwrap().minor_units)
    }
}

/// What a basket of `lines` (SKU, units, pence for all of them) would be quoted at, unsigned.
pub fn quote(clock: &Clock, partner_id: &str, lines: &[(&str, i64, i64)], fee_minor: i64) -> catalog::Quote {
    let goods = lines.iter().map(|(_, _, total)| total).sum();
    let fees = (fee_minor != 0).then(|| catalog::QuotedFee {
        code: "POST".to_owned(),
        description: "postage".to_owned(),
        quantity: 1,
        unit_price: Some(price(fee_minor * 10_000)),
        total_minor: fee_minor,
    });
    let now = clock.now().timestamp();
    catalog::Quote {
        quote_id: new_id(clock).to_string(),
        book_version: 3,
        channel_id: "WEB".to_owned(),
        partner_id: partner_id.to_owned(),
        currency_code: "GBP".to_owned(),
        price_time: Some(at(now)),
        create_time: Some(at(now)),
        expire_time: Some(at(now + 600)),
        lines: (1..)
            .zip(lines)
            .map(|(line_no, (sku, quantity, total_minor))| catalog::QuotedLine {
                line_no,
                sku: (*sku).to_owned(),
                quantity: *quantity,
                list_unit_price: Some(price(2_000_000)),
                unit_price: Some(price(total_minor * 10_000 / quantity)),
                gross_minor: *total_minor,
                total_minor: *total_minor,
                ..Default::default()
            })
            .collect(),
        fees: fees.into_iter().collect(),
        goods_total: Some(gbp(goods)),
        fee_total: Some(gbp(fee_minor)),
        total: Some(gbp(goods + fee_minor)),
        discount: Some(gbp(0)),
    }
}

pub fn sign(quote: &catalog::Quote) -> catalog::SignedQuote {
    let quote = quote.encode_to_vec();
    let signature = keys().sign(&quote);
    catalog::SignedQuote { quote, key_id: signature.key_id, signature: signature.bytes.to_vec() }
}

impl Desk {
    /// A request to place an order of the shop's own customer from the warehouse.
    pub fn order(&self, lines: &[(&str, i64, i64)]) -> pb::PlaceOrderRequest {
        self.order_of(&quote(&self.clock, "", lines, 0))
    }

    /// As [`Self::order`], for the dealer.
    pub fn dealer_order(&self, lines: &[(&str, i64, i64)]) -> pb::PlaceOrderRequest {
        self.order_of(&quote(&self.clock, "D-1", lines, 0))
    }

    pub fn order_of(&self, quote: &catalog::Quote) -> pb::PlaceOrderRequest {
        pb::PlaceOrderRequest {
            request_id: self.id(),
            signed_quote: Some(sign(quote)),
            location_id: "WH".to_owned(),
            member_id: "M-1".to_owned(),
            reference: "web 1".to_owned(),
            effective_time: None,
        }
    }

    pub async fn placed(&mut self, request: pb::PlaceOrderRequest) -> pb::Order {
        self.client.place_order(request).await.unwrap().into_inner().order.unwrap()
    }

    /// An order of these lines that has shipped whole.
    pub async fn shipped(&mut self, request: pb::PlaceOrderRequest) -> pb::Order {
        let order = self.placed(request).await;
        self.ship_all(&order.order_id).await
    }

    pub async fn ship_all(&mut self, order_id: &str) -> pb::Order {
        let request = self.ship(order_id, &[]);
        self.client.ship_order(request).await.unwrap().into_inner().order.unwrap()
    }

    pub fn ship(&self, order_id: &str, lines: &[(i32, i64)]) -> pb::ShipOrderRequest {
        pb::ShipOrderRequest {
            request_id: self.id(),
            order_id: order_id.to_owned(),
            lines: lines
                .iter()
                .map(|(line_no, quantity)| pb::ShipLine { line_no: *line_no, quantity: *quantity })
                .collect(),
            ..Default::default()
        }
    }

    pub async fn get(&mut self, order_id: &str) -> pb::Order {
        let request = pb::GetOrderRequest { order_id: order_id.to_owned() };
        self.client.get_order(request).await.unwrap().into_inner().order.unwrap()
    }

    /// Waits, and lets time pass, until the timer has brought the order there.
    pub async fn reaches(&mut self, order_id: &str, state: pb::OrderState) -> pb::Order {
        let (client, clock) = (self.client.clone(), self.clock.clone());
        wait_for(&format!("{state:?}"), Duration::from_secs(60), async || {
            clock.advance(Duration::from_secs(1));
            let request = pb::GetOrderRequest { order_id: order_id.to_owned() };
            let order = client.clone().get_order(request).await.unwrap().into_inner().order.unwrap();
            (order.state() == state).then_some(order)
        })
        .await
    }

    /// A client whose key has these scopes and bounds.
    pub async fn client_for(&self, scopes: &[&str], channel: Option<&str>, partner: Option<&str>) -> Client {
        let key = NewKey {
            title: "narrow".to_owned(),
            scopes: scopes.iter().map(|scope| Scope::parse(scope).unwrap()).collect(),
            channel: channel.map(|id| id.parse().unwrap()),
            partner: partner.map(|id| id.parse().unwrap()),
            expires_at: None,
        };
        OrdersServiceClient::new(self.server.client_with(key).await)
    }

    /// A client without any key.
    pub async fn stranger(&self) -> OrdersServiceClient<tonic::transport::Channel> {
        OrdersServiceClient::connect(format!("http://{}", self.server.address())).await.unwrap()
    }

    /// How many rows all tables of the service have: what a refused request must not change.
    pub async fn rows(&self) -> i64 {
        sqlx::query_scalar(
            "SELECT (SELECT COUNT(*) FROM orders.orders) + (SELECT COUNT(*) FROM orders.order_lines)
                  + (SELECT COUNT(*) FROM orders.returns) + (SELECT COUNT(*) FROM orders.return_lines)
                  + (SELECT COUNT(*) FROM orders.processes) + (SELECT COUNT(*) FROM orders.outbox_packs)
                  + (SELECT COUNT(*) FROM orders.idempotency_keys)",
        )
        .fetch_one(self.db.pool())
        .await
        .unwrap()
    }

    /// The events of an aggregate, oldest first.
    pub async fn events<M: prost::Message + Default>(&self, aggregate_id: &str, routing_key: &str) -> Vec<M> {
        let recorded = outbox::read_all(self.db.pool(), Schema::new("orders")).await.unwrap();
        recorded
            .iter()
            .filter(|told| told.routing_key == routing_key && told.event.aggregate_id == aggregate_id)
            .map(|told| told.event.decode().unwrap())
            .collect()
    }

    /// Every invariant of the service holds, and nothing is left undone.
    pub async fn verify(&self) {
        for check in verify::verify(self.db.pool(), self.clock.now()).await.unwrap() {
            assert_eq!(check.violations, 0, "{}: {:?}", check.what, check.offenders);
        }
    }
}

pub fn gbp(minor_units: i64) -> Money {
    Money { minor_units, currency_code: "GBP".to_owned() }
}

pub fn price(micros: i64) -> UnitPrice {
    UnitPrice { micros, currency_code: "GBP".to_owned() }
}

pub fn at(seconds: i64) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds, nanos: 0 }
}

/// The fields that a refusal names.
pub fn fields(status: &Status) -> Vec<String> {
    assert_eq!(status.code(), tonic::Code::InvalidArgument, "{status:?}");
    let details = status.get_details_bad_request().expect("a BadRequest detail");
    details.field_violations.into_iter().map(|violation| violation.field).collect()
}

pub fn reason(status: &Status) -> String {
    status.get_details_error_info().map_or_else(String::new, |info| info.reason)
}
