//! A running service with its own database and broker names, and an orders service's outbox to send events from.

use std::time::Duration;

use chrono::{DateTime, Utc};
use lapin::{Connection, ConnectionProperties, options::QueueDeclareOptions, types::FieldTable};
use oneshelf_kit::{
    grpc::client::ClientChannel,
    inbox,
    outbox::{self, OutboxEvent},
    relay,
    schema::Schema,
};
use oneshelf_loyalty::{MIGRATOR, config::Config, consumers::SUBSCRIPTIONS, server, verify::verify};
use oneshelf_proto::{
    FILE_DESCRIPTOR_SET,
    loyalty::v1::{self as pb, loyalty_service_client::LoyaltyServiceClient},
    orders::v1::{ItemsReturned, OrderShipped, SaleRecorded, SoldLine},
};
use oneshelf_testkit::{Database, ServeTest, Server, clock, create_kit_tables, wait_for};
use oneshelf_values::{Clock, new_id};
use prost::Message;
use secrecy::{ExposeSecret, SecretString};
use tonic::{Code, Status};
use tonic_types::StatusExt;
use uuid::Uuid;

pub const WITHIN: Duration = Duration::from_secs(20);

pub type Client = LoyaltyServiceClient<ClientChannel>;

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
        let mounted = server::start(&Config { database: db.config() }, &test.chassis).await.unwrap();
        let server = test.start(FILE_DESCRIPTOR_SET, vec![mounted]).await;
        Self { client: LoyaltyServiceClient::new(server.client().await), server, db, clock, orders, rabbit_url }
    }

    pub fn new_id(&self) -> Uuid {
        new_id(&self.clock)
    }

    pub async fn enrol(&self, ids: &[&str]) -> Vec<pb::Member> {
        let request = pb::BatchCreateMembersRequest {
            request_id: self.new_id().to_string(),
            member_ids: ids.iter().map(ToString::to_string).collect(),
        };
        self.client.clone().batch_create_members(request).await.unwrap().into_inner().members
    }

    pub async fn member(&self, id: &str) -> Result<pb::Member, Status> {
        let request = pb::GetMemberRequest { member_id: id.to_owned() };
        Ok(self.client.clone().get_member(request).await?.into_inner().member.unwrap())
    }

    pub async fn balance(&self, id: &str) -> i64 {
        self.member(id).await.unwrap().balance
    }

    pub async fn entries(&self, id: &str) -> Vec<pb::PointsEntry> {
        let request = pb::ListPointsEntriesRequest { member_id: id.to_owned(), ..Default::default() };
        self.client.clone().list_points_entries(request).await.unwrap().into_inner().entries
    }

    /// Sends events as orders does.
    pub async fn send(&self, events: Vec<OutboxEvent>) {
        let mut tx = self.db.pool().begin().await.unwrap();
        outbox::append(&mut tx, self.orders, &events, self.clock.now()).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// Sends events, and one more behind them, and waits until that one is applied. The relay and the queue keep the
    /// order, so the others then are too, also those that came again.
    pub async fn deliver(&self, mut events: Vec<OutboxEvent>) {
        let marker = self.recorded(self.new_id(), "", &[]);
        let marker_id = marker.event_id;
        events.push(marker);
        self.send(events).await;
        let own = Schema::new("loyalty");
        wait_for("the inbox", WITHIN, async || {
            let applied = inbox::count_applied(self.db.pool(), own, None, &[marker_id]).await.unwrap();
            (applied > 0).then_some(())
        })
        .await;
    }

    /// How many events were set aside for good.
    pub async fn parked(&self) -> u32 {
        let connection =
            Connection::connect(self.rabbit_url.expose_secret(), ConnectionProperties::default()).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        let queue = self.server.chassis().broker.name("loyalty.sales.parked");
        let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let count = channel.queue_declare(queue.into(), passive, FieldTable::default()).await.unwrap().message_count();
        connection.close(200, "done".into()).await.unwrap();
        count
    }

    pub async fn assert_books_are_right(&self) {
        for check in verify(self.db.pool()).await.unwrap() {
            assert_eq!(check.violations, 0, "{check:?}");
        }
    }
}

/// Line numbers from 1, with the amounts paid.
pub fn lines(amounts: &[i64]) -> Vec<SoldLine> {
    let line = |(line_no, &amount_minor)| SoldLine { line_no, sku: "A".to_owned(), quantity: 1, amount_minor };
    (1..).zip(amounts).map(line).collect()
}

impl Fixture {
    pub fn shipped(&self, order_id: Uuid, version: i64, member: &str, currency: &str, amounts: &[i64]) -> OutboxEvent {
        let shipped = OrderShipped {
            order_id: order_id.to_string(),
            member_id: member.to_owned(),
            currency_code: currency.to_owned(),
            lines: lines(amounts),
            ..Default::default()
        };
        self.event("orders.order.shipped.v1", "oneshelf.orders.v1.OrderShipped", order_id, version, &shipped)
    }

    pub fn recorded(&self, order_id: Uuid, member: &str, amounts: &[i64]) -> OutboxEvent {
        let sale = SaleRecorded {
            order_id: order_id.to_string(),
            member_id: member.to_owned(),
            currency_code: "GBP".to_owned(),
            lines: lines(amounts),
            ..Default::default()
        };
        self.event("orders.sale.recorded.v1", "oneshelf.orders.v1.SaleRecorded", order_id, 1, &sale)
    }

    pub fn returned(&self, return_id: Uuid, member: &str, amounts: &[i64]) -> OutboxEvent {
        let items = ItemsReturned {
            return_id: return_id.to_string(),
            member_id: member.to_owned(),
            currency_code: "GBP".to_owned(),
            lines: lines(amounts),
            ..Default::default()
        };
        self.event("orders.items.returned.v1", "oneshelf.orders.v1.ItemsReturned", return_id, 1, &items)
    }

    fn event(
        &self,
        routing_key: &'static str,
        event_type: &'static str,
        aggregate: Uuid,
        aggregate_version: i64,
        message: &impl Message,
    ) -> OutboxEvent {
        OutboxEvent {
            event_id: self.new_id(),
            routing_key,
            event_type,
            aggregate_id: aggregate.to_string(),
            aggregate_version,
            payload: message.encode_to_vec(),
            effective_at: sold_at(),
        }
    }
}

/// When the goods of every event moved.
pub fn sold_at() -> DateTime<Utc> {
    "2026-11-20T12:00:00Z".parse().unwrap()
}

/// INVALID_ARGUMENT that names exactly these fields.
#[track_caller]
pub fn assert_violations(status: &Status, fields: &[&str]) {
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    let details = status.get_details_bad_request().unwrap_or_else(|| panic!("no field is named: {status:?}"));
    let named: Vec<&str> = details.field_violations.iter().map(|violation| violation.field.as_str()).collect();
    assert_eq!(named, fields, "{status:?}");
}

/// A refusal by this service, with its reason.
#[track_caller]
pub fn assert_refused(status: &Status, code: Code, reason: &str) {
    assert_eq!(status.code(), code, "{status:?}");
    let info = status.get_details_error_info().unwrap_or_else(|| panic!("no reason is given: {status:?}"));
    assert_eq!((info.domain.as_str(), info.reason.as_str()), ("loyalty.oneshelf", reason));
}
