use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::FutureExt;
use lapin::{Connection, ConnectionProperties, options::QueueDeclareOptions, types::FieldTable};
use oneshelf_kit::{
    consumer::{self, Event, HandlerError, Subscription},
    outbox::{self, EventIds, OutboxEvent},
    relay,
    schema::Schema,
};
use oneshelf_testkit::{Database, Rabbit, clock, create_kit_tables, wait_for};
use oneshelf_values::{Clock, new_id};
use secrecy::ExposeSecret;
use sqlx::{AssertSqlSafe, PgConnection, PgPool};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) const SOON: Duration = Duration::from_secs(30);
pub(crate) const KEY: &str = "shop.thing.changed.v1";

/// A service of a test: its database with the kit's tables in the schema `shop`, and a table for effects.
pub(crate) struct Shop {
    pub(crate) database: Database,
    pub(crate) schema: Schema,
    pub(crate) clock: Clock,
    pub(crate) stop: CancellationToken,
}

impl Shop {
    pub(crate) async fn open() -> Self {
        let database = Database::new(&[]).await;
        create_kit_tables(database.pool(), "shop").await;
        // The position tells the order of application. Where a row lies in the table does not: a vacuum lets later rows
        // into earlier pages, and connections of a pool fill pages side by side.
        sqlx::query(
            "CREATE TABLE shop.effects (position BIGINT GENERATED ALWAYS AS IDENTITY, queue TEXT NOT NULL, aggregate_id TEXT NOT NULL)",
        )
        .execute(database.pool())
        .await
        .unwrap();
        Self { database, schema: Schema::new("shop"), clock: clock(), stop: CancellationToken::new() }
    }

    pub(crate) fn pool(&self) -> &PgPool {
        self.database.pool()
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    pub(crate) fn relay(&self, rabbit: &Rabbit) -> JoinHandle<()> {
        let relay = relay::run(
            self.pool().clone(),
            self.schema,
            rabbit.broker().clone(),
            self.clock.clone(),
            self.stop.clone(),
        );
        tokio::spawn(relay.map(|_| ()))
    }

    /// A consumer that writes each event's aggregate id into the table of effects, unless `refuse` has an objection.
    pub(crate) async fn consume(
        &self,
        rabbit: &Rabbit,
        subscription: Subscription,
        refuse: impl Fn(&Event) -> Option<HandlerError> + Send + Sync + 'static,
    ) -> JoinHandle<()> {
        let queue = subscription.queue;
        let consumer = consumer::run(
            rabbit.broker().clone(),
            self.pool().clone(),
            self.schema,
            self.clock.clone(),
            self.stop.clone(),
            subscription,
            move |conn, events| {
                let refusal = events.iter().find_map(&refuse);
                async move {
                    if let Some(refusal) = refusal {
                        return Err(refusal);
                    }
                    write_effects(conn, queue, events).await.map_err(HandlerError::from)
                }
                .boxed()
            },
        );
        let consumer = tokio::spawn(consumer.map(|_| ()));
        wait_for("a consumer on the queue", SOON, async || {
            let queue = inspect(rabbit, queue).await?;
            (queue.consumer_count() > 0).then_some(())
        })
        .await;
        consumer
    }

    /// Commits one transaction with these events.
    pub(crate) async fn append(&self, aggregates: &[String]) {
        let mut ids = EventIds::new(&self.clock);
        let events: Vec<OutboxEvent> = aggregates
            .iter()
            .map(|aggregate| OutboxEvent { event_id: ids.give(), ..event(&self.clock, KEY, aggregate) })
            .collect();
        let mut tx = self.pool().begin().await.unwrap();
        outbox::append(&mut tx, self.schema, &events, self.now()).await.unwrap();
        tx.commit().await.unwrap();
    }

    pub(crate) async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(self.pool()).await.unwrap()
    }

    pub(crate) async fn unpublished(&self) -> i64 {
        self.count("SELECT COUNT(*) FROM shop.outbox_packs WHERE published_at IS NULL").await
    }

    /// What consumer `queue` applied, in the order of application.
    pub(crate) async fn effects(&self, queue: &str) -> Vec<String> {
        sqlx::query_scalar(AssertSqlSafe("SELECT aggregate_id FROM shop.effects WHERE queue = $1 ORDER BY position"))
            .bind(queue)
            .fetch_all(self.pool())
            .await
            .unwrap()
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn write_effects(conn: &mut PgConnection, queue: &str, events: &[Event]) -> Result<(), sqlx::Error> {
    let aggregates: Vec<&str> = events.iter().map(|event| event.aggregate_id.as_str()).collect();
    sqlx::query("INSERT INTO shop.effects (queue, aggregate_id) SELECT $1, * FROM UNNEST($2::TEXT[])")
        .bind(queue)
        .bind(aggregates)
        .execute(conn)
        .await
        .map(drop)
}

pub(crate) async fn channel(rabbit: &Rabbit) -> lapin::Channel {
    let connection = Connection::connect(rabbit.config().url.expose_secret(), ConnectionProperties::default());
    connection.await.unwrap().create_channel().await.unwrap()
}

/// The queue with its counts, if it is there.
pub(crate) async fn inspect(rabbit: &Rabbit, queue: &str) -> Option<lapin::Queue> {
    let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    let name = rabbit.broker().name(queue).into();
    channel(rabbit).await.queue_declare(name, passive, FieldTable::default()).await.ok()
}

/// How many messages wait in a queue.
pub(crate) async fn messages(rabbit: &Rabbit, queue: &str) -> u32 {
    inspect(rabbit, queue).await.map_or(0, |queue| queue.message_count())
}

pub(crate) fn event(clock: &Clock, routing_key: &'static str, aggregate: &str) -> OutboxEvent {
    OutboxEvent {
        event_id: new_id(clock),
        routing_key,
        event_type: "oneshelf.shop.v1.ThingChanged",
        aggregate_id: aggregate.to_owned(),
        aggregate_version: 1,
        payload: b"payload".to_vec(),
        effective_at: clock.now(),
    }
}

pub(crate) fn names(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|nth| format!("{prefix}-{nth:05}")).collect()
}
