//! A running service with its own database and broker names, and an orders service's outbox to send events from.

use std::time::Duration;

use lapin::{Connection, ConnectionProperties, options::QueueDeclareOptions, types::FieldTable};
use oneshelf_kit::{
    auth::{NewKey, Scope},
    grpc::client::ClientChannel,
    inbox,
    outbox::{self, OutboxEvent},
    relay,
    schema::Schema,
};
use oneshelf_partners::{
    MIGRATOR,
    config::{Config, CreditConfig},
    consumers::SUBSCRIPTIONS,
    server,
    verify::verify,
};
use oneshelf_proto::{
    FILE_DESCRIPTOR_SET,
    orders::v1::{ItemsReturned, SoldLine},
    partners::v1::{self as pb, partners_service_client::PartnersServiceClient},
    r#type::v1::Money,
};
use oneshelf_testkit::{Database, ServeTest, Server, clock, create_kit_tables, wait_for};
use oneshelf_values::{Clock, new_id};
use prost::Message;
use secrecy::{ExposeSecret, SecretString};
use tonic::{Code, Status};
use tonic_types::StatusExt;

pub const WITHIN: Duration = Duration::from_secs(20);

pub type Client = PartnersServiceClient<ClientChannel>;

pub struct Fixture {
    pub client: Client,
    pub server: Server,
    pub db: Database,
    pub clock: Clock,
    orders: Schema,
    rabbit_url: SecretString,
}

impl Fixture {
    pub async fn start() -> Self {
        let db = Database::new(&[&MIGRATOR]).await;
        let clock = clock();
        let test = ServeTest::new(db.pool(), clock.clone()).await;
        test.chassis.broker.declare(SUBSCRIPTIONS).await.unwrap();
        create_kit_tables(db.pool(), "orders").await;
        let orders = Schema::new("orders");
        let soft = test.chassis.lifecycle.soft().clone();
        let relay = relay::run(db.pool().clone(), orders, test.chassis.broker.clone(), clock.clone(), soft);
        test.chassis.lifecycle.spawn("orders.relay", relay);
        let rabbit_url = test.rabbit.config().url.clone();
        let config = Config { database: db.config(), credit: CreditConfig::default() };
        let mounted = server::start(&config, &test.chassis).await.unwrap();
        let server = test.start(FILE_DESCRIPTOR_SET, vec![mounted]).await;
        Self { client: PartnersServiceClient::new(server.client().await), server, db, clock, orders, rabbit_url }
    }

    /// With a partner `D-1` whose limit is this many pence.
    pub async fn with_partner(limit_minor: i64) -> Self {
        let fixture = Self::start().await;
        fixture.create("D-1", limit_minor).await;
        fixture
    }

    pub fn new_id(&self) -> String {
        new_id(&self.clock).to_string()
    }

    /// A client whose key is bound to a partner.
    pub async fn client_of(&self, partner: &str) -> Client {
        let key = NewKey {
            title: "dealer".to_owned(),
            scopes: vec![Scope::parse("partners:*").unwrap()],
            channel: None,
            partner: Some(partner.parse().unwrap()),
            expires_at: None,
        };
        PartnersServiceClient::new(self.server.client_with(key).await)
    }

    pub async fn create(&self, id: &str, limit_minor: i64) -> pb::Partner {
        let request = pb::CreatePartnerRequest { request_id: self.new_id(), partner: Some(partner(id, limit_minor)) };
        self.client.clone().create_partner(request).await.unwrap().into_inner().partner.unwrap()
    }

    pub async fn hold(&self, partner_id: &str, minor: i64) -> Result<pb::CreditHold, Status> {
        let request = hold_request(&self.new_id(), partner_id, minor);
        Ok(self.client.clone().hold_credit(request).await?.into_inner().hold.unwrap())
    }

    pub async fn capture(&self, hold_id: &str, amount: Option<i64>) -> Result<pb::CreditHold, Status> {
        let request = pb::CaptureCreditRequest {
            request_id: self.new_id(),
            hold_id: hold_id.to_owned(),
            amount: amount.map(pence),
        };
        Ok(self.client.clone().capture_credit(request).await?.into_inner().hold.unwrap())
    }

    pub async fn release(&self, hold_id: &str) -> Result<pb::CreditHold, Status> {
        let request = pb::ReleaseCreditRequest { request_id: self.new_id(), hold_id: hold_id.to_owned() };
        Ok(self.client.clone().release_credit(request).await?.into_inner().hold.unwrap())
    }

    /// `(used, held, available)` in minor units.
    pub async fn credit(&self, partner_id: &str) -> (i64, i64, i64) {
        let request = pb::GetCreditAccountRequest { partner_id: partner_id.to_owned() };
        let account = self.client.clone().get_credit_account(request).await.unwrap().into_inner().account.unwrap();
        (minor(account.used), minor(account.held), minor(account.available))
    }

    pub async fn entries(&self, partner_id: &str) -> Vec<pb::CreditEntry> {
        let request = pb::ListCreditEntriesRequest { partner_id: partner_id.to_owned(), ..Default::default() };
        self.client.clone().list_credit_entries(request).await.unwrap().into_inner().entries
    }

    /// Versions and records of `partners.partner.changed.v1` in the outbox, in order.
    pub async fn changes(&self) -> Vec<(i64, pb::Partner)> {
        let recorded = outbox::read_all(self.db.pool(), Schema::new("partners")).await.unwrap();
        recorded
            .into_iter()
            .filter(|told| told.routing_key == "partners.partner.changed.v1")
            .map(|told| {
                let changed: pb::PartnerChanged = told.event.decode().unwrap();
                (told.event.aggregate_version, changed.partner.unwrap())
            })
            .collect()
    }

    pub async fn assert_books_are_right(&self) {
        for check in verify(self.db.pool()).await.unwrap() {
            assert_eq!(check.violations, 0, "{check:?}");
        }
    }
}

impl Fixture {
    /// Sends events, and one more behind them, and waits until that one is applied. The relay and the queue keep the
    /// order, so the others then are too, also those that came again.
    pub async fn deliver(&self, mut events: Vec<OutboxEvent>) {
        let marker = self.returned(&self.new_id(), "", &[], 0);
        let marker_id = marker.event_id;
        events.push(marker);
        let mut tx = self.db.pool().begin().await.unwrap();
        outbox::append(&mut tx, self.orders, &events, self.clock.now()).await.unwrap();
        tx.commit().await.unwrap();
        let own = Schema::new("partners");
        wait_for("the inbox", WITHIN, async || {
            let applied = inbox::count_applied(self.db.pool(), own, None, &[marker_id]).await.unwrap();
            (applied > 0).then_some(())
        })
        .await;
    }

    /// A return of goods in pounds.
    pub fn returned(&self, return_id: &str, partner: &str, refunds: &[i64], fee_total_minor: i64) -> OutboxEvent {
        self.returned_in("GBP", return_id, partner, refunds, fee_total_minor)
    }

    pub fn returned_in(
        &self,
        currency: &str,
        return_id: &str,
        partner: &str,
        refunds: &[i64],
        fee_total_minor: i64,
    ) -> OutboxEvent {
        let line = |(line_no, &amount_minor)| SoldLine { line_no, sku: "A".to_owned(), quantity: 1, amount_minor };
        let items = ItemsReturned {
            return_id: return_id.to_owned(),
            partner_id: partner.to_owned(),
            currency_code: currency.to_owned(),
            lines: (1..).zip(refunds).map(line).collect(),
            fee_total_minor,
            ..Default::default()
        };
        OutboxEvent {
            event_id: new_id(&self.clock),
            routing_key: "orders.items.returned.v1",
            event_type: "oneshelf.orders.v1.ItemsReturned",
            aggregate_id: return_id.to_owned(),
            aggregate_version: 1,
            payload: items.encode_to_vec(),
            effective_at: self.clock.now(),
        }
    }

    /// How many events were set aside for good.
    pub async fn parked(&self) -> u32 {
        let url = self.rabbit_url.expose_secret();
        let connection = Connection::connect(url, ConnectionProperties::default()).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        let queue = self.server.chassis().broker.name("partners.items_returned.parked");
        let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let count = channel.queue_declare(queue.into(), passive, FieldTable::default()).await.unwrap().message_count();
        connection.close(200, "done".into()).await.unwrap();
        count
    }
}

pub fn pence(minor_units: i64) -> Money {
    money(minor_units, "GBP")
}

pub fn money(minor_units: i64, currency: &str) -> Money {
    Money { minor_units, currency_code: currency.to_owned() }
}

pub fn minor(amount: Option<Money>) -> i64 {
    amount.unwrap().minor_units
}

/// What a caller says of a new partner.
pub fn partner(id: &str, limit_minor: i64) -> pb::Partner {
    pb::Partner {
        partner_id: id.to_owned(),
        title: "Toys and Sons".to_owned(),
        credit_limit: Some(pence(limit_minor)),
        ..Default::default()
    }
}

pub fn hold_request(request_id: &str, partner_id: &str, minor: i64) -> pb::HoldCreditRequest {
    pb::HoldCreditRequest {
        request_id: request_id.to_owned(),
        partner_id: partner_id.to_owned(),
        amount: Some(pence(minor)),
        reference: "order 1".to_owned(),
    }
}

/// INVALID_ARGUMENT that names exactly these fields.
#[track_caller]
pub fn assert_violations(status: &Status, fields: &[&str]) {
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    let details = status.get_details_bad_request().unwrap_or_else(|| panic!("no field is named: {status:?}"));
    let named: Vec<&str> = details.field_violations.iter().map(|violation| violation.field.as_str()).collect();
    assert_eq!(named, fields, "{status:?}");
}

/// A refusal by this service, with its reason; the answer is its metadata as `key=value`, sorted.
#[track_caller]
pub fn assert_refused(status: &Status, code: Code, reason: &str) -> Vec<String> {
    assert_eq!(status.code(), code, "{status:?}");
    let info = status.get_details_error_info().unwrap_or_else(|| panic!("no reason is given: {status:?}"));
    assert_eq!((info.domain.as_str(), info.reason.as_str()), ("partners.oneshelf", reason));
    let mut metadata: Vec<String> = info.metadata.iter().map(|(key, value)| format!("{key}={value}")).collect();
    metadata.sort();
    metadata
}
