//! A server of this service with neighbours that speak through a real broker.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use oneshelf_channels::config::Config;
use oneshelf_kit::{
    auth::{NewKey, Scope},
    grpc::client::ClientChannel,
    inbox,
    outbox::{self, OutboxEvent, Recorded},
    relay,
    schema::Schema,
};
use oneshelf_proto::{
    catalog::v1 as catalog,
    channels::v1::{self as pb, channels_service_client::ChannelsServiceClient},
    inventory::v1 as inventory,
    r#type::v1::UnitPrice,
};
use oneshelf_testkit::{Database, ServeTest, Server, clock, create_kit_tables, wait_for};
use oneshelf_values::{Clock, new_id};
use prost::Message as _;
use sqlx::PgPool;
use tonic::{Code, Request, Status, Streaming};
use tonic_types::StatusExt as _;
use uuid::Uuid;

pub type Client = ChannelsServiceClient<ClientChannel>;

pub const SOON: Duration = Duration::from_secs(20);

/// The service on a port, with inventory and catalog as far as they publish.
pub struct Shop {
    pub pool: PgPool,
    pub clock: Clock,
    pub client: Client,
    server: Server,
    inventory: Schema,
    catalog: Schema,
    probes: Vec<Uuid>,
    _database: Database,
}

impl Shop {
    pub async fn open() -> Self {
        Self::open_with(|_| {}).await
    }

    pub async fn open_with(set: impl FnOnce(&mut Config)) -> Self {
        let clock = clock();
        let database = Database::new(&[&oneshelf_channels::MIGRATOR]).await;
        let pool = database.pool();
        let test = ServeTest::new(pool, clock.clone()).await;
        let mut config = Config::new(database.config());
        config.activate_prices_every_ms = 50;
        set(&mut config);
        let mounted = oneshelf_channels::server::start(&config, &test.chassis).await.expect("the service starts");
        let neighbours = ["inventory", "catalog"].map(Schema::new);
        for schema in neighbours {
            create_kit_tables(pool, schema.name()).await;
            let stop = test.chassis.lifecycle.soft().clone();
            let broker = test.chassis.broker.clone();
            test.chassis.lifecycle.spawn("neighbour", relay::run(pool.clone(), schema, broker, clock.clone(), stop));
        }
        let server = test.start(oneshelf_proto::FILE_DESCRIPTOR_SET, vec![mounted]).await;
        let client = ChannelsServiceClient::new(server.client().await);
        let [inventory, catalog] = neighbours;
        let pool = pool.clone();
        let probes = Vec::new();
        let mut shop = Self { pool, clock, client, server, inventory, catalog, probes, _database: database };
        shop.wait_for_consumers().await;
        shop
    }

    /// Publishes events that mean nothing until each consumer has applied one: an event that is published before its
    /// queues are bound goes to nobody.
    async fn wait_for_consumers(&mut self) {
        for consumers in 0.. {
            let stock = self.stock_event("PROBE", "NOWHERE", 0, 1);
            let prices = self.prices_event("", consumers, self.clock.now(), &[]);
            self.probes.extend([stock.event_id, prices.event_id]);
            self.publish(self.inventory, &[stock]).await;
            self.publish(self.catalog, &[prices]).await;
            let deadline = Instant::now() + Duration::from_secs(1);
            while Instant::now() < deadline {
                let consumers: i64 = sqlx::query_scalar("SELECT COUNT(DISTINCT consumer) FROM channels.inbox_packs")
                    .fetch_one(&self.pool)
                    .await
                    .expect("the inbox is read");
                if consumers == 2 {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            assert!(consumers < 20, "the consumers do not come up");
        }
    }

    pub fn server(&self) -> &Server {
        &self.server
    }

    /// A client whose key has these scopes and, perhaps, is bound to a channel.
    pub async fn client_with(&self, scopes: &[&str], channel: Option<&str>) -> Client {
        let key = NewKey {
            title: "test".to_owned(),
            scopes: scopes.iter().map(|scope| Scope::parse(scope).expect("a scope")).collect(),
            channel: channel.map(|channel| channel.parse().expect("a channel id")),
            partner: None,
            expires_at: None,
        };
        ChannelsServiceClient::new(self.server.client_with(key).await)
    }

    /// A client without any key.
    pub async fn stranger(&self) -> ChannelsServiceClient<tonic::transport::Channel> {
        let address = format!("http://{}", self.server.address());
        ChannelsServiceClient::connect(address).await.expect("the server listens")
    }

    pub async fn stop(self) {
        self.verify().await;
        self.server.stop().await;
    }

    /// Registers a web channel in pounds that sells from these locations.
    pub async fn channel(&self, channel_id: &str, locations: &[&str]) -> pb::Channel {
        let request = pb::CreateChannelRequest { request_id: self.id(), channel: Some(web(channel_id, locations)) };
        let answer = self.client.clone().create_channel(request).await.expect("the channel is registered");
        answer.into_inner().channel.expect("the answer has the channel")
    }

    pub fn id(&self) -> String {
        new_id(&self.clock).to_string()
    }

    /// Inventory announces a level.
    pub async fn announce_stock(&self, sku: &str, location: &str, available: i64, version: i64) -> OutboxEvent {
        let event = self.stock_event(sku, location, available, version);
        self.publish(self.inventory, std::slice::from_ref(&event)).await;
        event
    }

    /// Inventory announces a level with rules: what single channels may sell of it, and the threshold of the SKU.
    pub async fn announce_figures(
        &self,
        sku: &str,
        location: &str,
        version: i64,
        available: i64,
        channels: &[(&str, i64)],
        network_threshold: i64,
    ) {
        let mut event = self.stock_event(sku, location, available, version);
        let mut changed = inventory::StockLevelChanged::decode(&event.payload[..]).expect("it was encoded here");
        changed.network_threshold = network_threshold;
        changed.channel_availables = channels
            .iter()
            .map(|(channel, available)| inventory::ChannelAvailable {
                channel_id: (*channel).to_owned(),
                available: *available,
            })
            .collect();
        event.payload = changed.encode_to_vec();
        self.publish(self.inventory, &[event]).await;
    }

    pub fn stock_event(&self, sku: &str, location: &str, available: i64, version: i64) -> OutboxEvent {
        let now = self.clock.now();
        let payload = inventory::StockLevelChanged {
            sku: sku.to_owned(),
            location_id: location.to_owned(),
            sellable: available,
            on_hand: available,
            available,
            version,
            change_time: Some(timestamp(now)),
            ..Default::default()
        };
        self.event(
            "inventory.stock_level.changed.v1",
            "oneshelf.inventory.v1.StockLevelChanged",
            format!("{sku}@{location}"),
            version,
            payload.encode_to_vec(),
        )
    }

    pub async fn publish_stock(&self, events: &[OutboxEvent]) {
        self.publish(self.inventory, events).await;
    }

    /// Catalog publishes a book of the channel's list.
    pub async fn publish_prices(&self, channel_id: &str, book: i64, activate_at: DateTime<Utc>, prices: &[Price<'_>]) {
        let event = self.prices_event(channel_id, book, activate_at, prices);
        self.publish(self.catalog, &[event]).await;
    }

    fn prices_event(
        &self,
        channel_id: &str,
        book: i64,
        activate_at: DateTime<Utc>,
        prices: &[Price<'_>],
    ) -> OutboxEvent {
        let payload = catalog::PricesPublished {
            price_list_id: format!("{channel_id}-LIST"),
            channel_id: channel_id.to_owned(),
            book_version: book,
            activate_time: Some(timestamp(activate_at)),
            entries: prices
                .iter()
                .map(|price| catalog::PriceEntry {
                    sku: price.sku.to_owned(),
                    unit_price: Some(UnitPrice { micros: price.micros, currency_code: price.currency.to_owned() }),
                    valid_from: Some(timestamp(price.from)),
                    valid_to: price.to.map(timestamp),
                    book_version: book,
                    min_quantity: price.min_quantity,
                })
                .collect(),
        };
        self.event(
            "catalog.prices.published.v1",
            "oneshelf.catalog.v1.PricesPublished",
            format!("{channel_id}-LIST"),
            book,
            payload.encode_to_vec(),
        )
    }

    fn event(
        &self,
        routing_key: &'static str,
        event_type: &'static str,
        aggregate_id: String,
        aggregate_version: i64,
        payload: Vec<u8>,
    ) -> OutboxEvent {
        OutboxEvent {
            event_id: new_id(&self.clock),
            routing_key,
            event_type,
            aggregate_id,
            aggregate_version,
            payload,
            effective_at: self.clock.now(),
        }
    }

    async fn publish(&self, schema: Schema, events: &[OutboxEvent]) {
        let mut conn = self.pool.acquire().await.expect("a connection");
        outbox::append(&mut conn, schema, events, self.clock.now()).await.expect("the events are appended");
    }
}

impl Shop {
    /// What a channel should show of a SKU now.
    pub async fn listing(&self, channel_id: &str, sku: &str) -> Option<pb::Listing> {
        let request = pb::ListListingsRequest { channel_id: channel_id.to_owned(), ..Default::default() };
        let listings =
            self.client.clone().list_listings(request).await.expect("listings are read").into_inner().listings;
        listings.into_iter().find(|listing| listing.sku == sku)
    }

    /// Waits until a listing is as wanted.
    pub async fn wait_for_listing(
        &self,
        channel_id: &str,
        sku: &str,
        wanted: impl Fn(&pb::Listing) -> bool,
    ) -> pb::Listing {
        let what = format!("{channel_id}/{sku}");
        wait_for(&what, SOON, async || self.listing(channel_id, sku).await.filter(&wanted)).await
    }

    /// How many events all consumers together have applied.
    pub async fn applied(&self) -> i64 {
        let all = sqlx::query_scalar("SELECT COALESCE(SUM(BIT_COUNT(applied)), 0)::BIGINT FROM channels.inbox_packs");
        let all: i64 = all.fetch_one(&self.pool).await.expect("the inbox is read");
        all - inbox::count_applied(&self.pool, Schema::new("channels"), None, &self.probes)
            .await
            .expect("the inbox is read")
    }

    /// What the service has told the outside, in order.
    pub async fn told(&self) -> Vec<Recorded> {
        outbox::read_all(&self.pool, Schema::new("channels")).await.expect("the outbox is read")
    }

    pub async fn wait_for_applied(&self, events: i64) {
        wait_for("event applied", SOON, async || (self.applied().await >= events).then_some(())).await;
    }

    pub async fn subscribe(&self, channel_id: &str, cursor: &str) -> Streaming<pb::SubscribeResponse> {
        let request = pb::SubscribeRequest { channel_id: channel_id.to_owned(), cursor: cursor.to_owned() };
        let mut request = Request::new(request);
        // Otherwise our clients' own deadline for calls ends it.
        request.set_timeout(Duration::from_secs(55));
        self.client.clone().subscribe(request).await.expect("the stream opens").into_inner()
    }

    pub async fn verify(&self) {
        let checks = oneshelf_channels::verify::verify(&self.pool, self.clock.now()).await.expect("the checks run");
        for check in checks {
            assert_eq!(check.violations, 0, "{}: {} {:?}", check.id, check.what, check.offenders);
        }
    }

    /// All rows that a refused request could have changed.
    pub async fn rows(&self) -> Vec<i64> {
        sqlx::query_scalar(
            r"
            SELECT COUNT(*) FROM channels.channels
            UNION ALL
            SELECT COALESCE(SUM(version), 0)::BIGINT FROM channels.channels
            UNION ALL
            SELECT COUNT(*) FROM channels.outbox_packs
            UNION ALL
            SELECT COUNT(*) FROM channels.idempotency_keys
            UNION ALL
            SELECT COALESCE(SUM(acked_version), 0)::BIGINT FROM channels.listings
            ",
        )
        .fetch_all(&self.pool)
        .await
        .expect("the tables are read")
    }
}

/// One window of a price.
#[derive(Clone)]
pub struct Price<'a> {
    pub sku: &'a str,
    pub micros: i64,
    pub currency: &'a str,
    pub from: DateTime<Utc>,
    pub to: Option<DateTime<Utc>>,
    pub min_quantity: i64,
}

/// An open window in pounds.
pub fn pounds(sku: &str, micros: i64, from: DateTime<Utc>) -> Price<'_> {
    Price { sku, micros, currency: "GBP", from, to: None, min_quantity: 1 }
}

pub fn web(channel_id: &str, locations: &[&str]) -> pb::Channel {
    pb::Channel {
        channel_id: channel_id.to_owned(),
        kind: pb::ChannelKind::Web.into(),
        title: "Web shop".to_owned(),
        currency_code: "GBP".to_owned(),
        location_ids: locations.iter().map(|&location| location.to_owned()).collect(),
        ..Default::default()
    }
}

pub fn timestamp(at: DateTime<Utc>) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds: at.timestamp(), nanos: at.timestamp_subsec_nanos().cast_signed() }
}

/// The next message of a stream that should have one.
pub async fn next(stream: &mut Streaming<pb::SubscribeResponse>) -> pb::SubscribeResponse {
    tokio::time::timeout(SOON, stream.message())
        .await
        .expect("a message in time")
        .expect("the stream goes on")
        .expect("the stream does not end")
}

/// Messages until the one that says "caught up"; its cursor, and the listings by SKU in their order.
pub async fn catch_up(stream: &mut Streaming<pb::SubscribeResponse>) -> (Vec<pb::Listing>, String) {
    let mut listings = Vec::new();
    loop {
        let message = next(stream).await;
        if message.listings.is_empty() {
            assert!(!message.snapshot);
            return (listings, message.cursor);
        }
        assert!(message.listings.len() <= 500);
        listings.extend(message.listings);
    }
}

/// Code and reason of a refusal.
pub fn refusal(status: &Status) -> (Code, String) {
    let reason = status.get_details_error_info().map(|info| info.reason).unwrap_or_default();
    (status.code(), reason)
}

pub fn refused(code: Code, reason: &str) -> (Code, String) {
    (code, reason.to_owned())
}

/// The fields that an INVALID_ARGUMENT names.
pub fn fields(status: &Status) -> Vec<String> {
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    let details = status.get_details_bad_request().expect("a bad request says which fields");
    details.field_violations.into_iter().map(|violation| violation.field).collect()
}
