//! Publishes a schema's outbox rows to the broker, in order, as packs.
//!
//! ```text
//! claim unpublished rows (≤ 1,000, ≤ 8 MiB) ► join by routing key ► publish all ► await all confirms ► mark with one UPDATE
//! ```
//!
//! - **Nothing is marked unless the broker confirmed it and did not return it.** Whatever fails in between is published
//!   again; consumers know an event by its id.
//! - **One relay is active per schema**, by a session lock on the relay's own connection, which also does its claims
//!   and marks: a relay that lost the lock has lost the means to mark. So rows need no row locks, and events of an
//!   aggregate normally leave in their order. The server ends that session when it is silent for a minute (a frozen
//!   process, a vanished machine), and another replica takes over.
//! - **Rows are claimed by state**, never by "position above the last one": positions are taken at insert and become
//!   visible at commit, in another order.
//! - **Waking.** [`crate::outbox::append`] wakes the relay of its process *before* its transaction commits, because it
//!   cannot know when that happens. So after a wake the relay looks again after 5, 10, 20 … ms until it finds
//!   something, and every 250 ms anyway for what other processes wrote. No NOTIFY: inside the writing transactions it
//!   would serialise their commits.
//! - **Gathering.** Waves that are not full begin at least 50 ms apart. The first event after a pause leaves at once; under
//!   load it is a few more events in each message, where each wave costs two statements and a confirm here, and a
//!   transaction in each consumer.

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use backon::{BackoffBuilder, ExponentialBuilder};
use chrono::{DateTime, Utc};
use lapin::{
    BasicProperties,
    types::{AMQPValue, FieldTable},
};
use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
use oneshelf_values::Clock;
use sqlx::{Connection, PgConnection, PgPool};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use uuid::Uuid;

use crate::{
    broker::{Broker, BrokerError, EVENTS_EXCHANGE, Outgoing, Publisher},
    cloudevents::CONTENT_TYPE,
    lifecycle::Chain,
    outbox::{self, PACK_BYTES, PACK_EVENTS, Row},
    schema::Schema,
};

const POLL: Duration = Duration::from_millis(250);
const FIRST_LOOK_AFTER_WAKE: Duration = Duration::from_millis(5);
const GATHER: Duration = Duration::from_millis(50);
const STANDBY_POLL: Duration = Duration::from_secs(1);
const BACKLOG_EVERY: Duration = Duration::from_secs(5);

#[derive(Debug, thiserror::Error)]
enum RelayError {
    #[error("the outbox cannot be read or marked")]
    Database(#[from] sqlx::Error),
    #[error("the broker failed")]
    Broker(#[from] BrokerError),
    #[error("the broker returned or refused {0} messages: its topology is broken")]
    NotTaken(usize),
}

/// Relays `schema`'s outbox until stopped. Failures of the database or the broker end a session; the next one begins
/// after a pause that grows to 5 s.
pub async fn run(
    pool: PgPool,
    schema: Schema,
    broker: Broker,
    clock: Clock,
    stop: CancellationToken,
) -> Result<(), Infallible> {
    let relay = Relay { meters: Meters::new(schema.name()), pool, schema, broker, clock };
    let mut pauses = pauses();
    while !stop.is_cancelled() {
        let published_before = relay.meters.waves();
        let ended = tokio::select! {
            ended = relay.session(&stop) => ended,
            // A wave in progress is given up: its rows stay unmarked and are published again.
            () = async { stop.cancelled().await; sleep(POLL).await } => Ok(()),
        };
        relay.meters.active.set(0.0);
        let Err(error) = ended else { continue };
        if relay.meters.waves() > published_before {
            pauses = self::pauses();
        }
        let pause = pauses.next().unwrap_or(Duration::from_secs(5));
        warn!(schema = schema.name(), error = %Chain(&error), ?pause, "relay session ended, beginning another");
        tokio::select! {
            () = stop.cancelled() => {}
            () = sleep(pause) => {}
        }
    }
    Ok(())
}

fn pauses() -> impl Iterator<Item = Duration> {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(100))
        .with_max_delay(Duration::from_secs(5))
        .without_max_times()
        .with_jitter()
        .build()
}

struct Relay {
    pool: PgPool,
    schema: Schema,
    broker: Broker,
    clock: Clock,
    meters: Meters,
}

impl Relay {
    async fn session(&self, stop: &CancellationToken) -> Result<(), RelayError> {
        let mut db = self.connect().await?;
        while !self.try_lock(&mut db).await? {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = sleep(STANDBY_POLL) => {}
            }
        }
        let publisher = self.broker.publisher().await?;
        self.broker.declare_exchanges(publisher.channel()).await?;
        self.meters.active.set(1.0);
        info!(schema = self.schema.name(), "relay is active");

        let mut look_after = FIRST_LOOK_AFTER_WAKE;
        let mut backlog_due = Instant::now();
        while !stop.is_cancelled() {
            if Instant::now() >= backlog_due {
                self.record_backlog(&mut db).await?;
                backlog_due = Instant::now() + BACKLOG_EVERY;
            }
            let wave = Instant::now();
            let (rows, more) = outbox::list_unpublished(&mut db, self.schema).await?;
            if !rows.is_empty() {
                self.publish(&mut db, &publisher, rows).await?;
                look_after = FIRST_LOOK_AFTER_WAKE;
                if !more {
                    stop.run_until_cancelled(sleep_until(wave + GATHER)).await;
                }
            }
            if !more {
                look_after = self.wait(look_after, stop).await;
            }
        }
        Ok(())
    }

    /// A connection of its own, beside the pool: its session holds the lock.
    async fn connect(&self) -> Result<PgConnection, sqlx::Error> {
        let mut db = PgConnection::connect_with(&self.pool.connect_options()).await?;
        sqlx::query(
            "SELECT set_config('idle_session_timeout', '60s', false), set_config('statement_timeout', '30s', false)",
        )
        .execute(&mut db)
        .await?;
        Ok(db)
    }

    async fn try_lock(&self, db: &mut PgConnection) -> Result<bool, sqlx::Error> {
        sqlx::query_scalar("SELECT pg_try_advisory_lock(hashtext('oneshelf.relay'), hashtext($1))")
            .bind(self.schema.name())
            .fetch_one(db)
            .await
    }

    /// Waits until it may be worth looking again; answers how long to wait after that if it was not.
    async fn wait(&self, look_after: Duration, stop: &CancellationToken) -> Duration {
        tokio::select! {
            () = stop.cancelled() => POLL,
            () = self.schema.appended().notified() => {
                sleep(FIRST_LOOK_AFTER_WAKE).await;
                FIRST_LOOK_AFTER_WAKE * 2
            }
            () = sleep(look_after) => (look_after * 2).min(POLL),
        }
    }

    async fn publish(&self, db: &mut PgConnection, publisher: &Publisher, rows: Vec<Row>) -> Result<(), RelayError> {
        let started = Instant::now();
        let mut packs = pack(rows);
        let messages: Vec<Outgoing> = packs.iter_mut().map(|pack| self.message(pack)).collect();
        let taken = publisher.publish_all(&messages).await?;
        let mut positions = Vec::new();
        let (mut published, mut refused) = (0, 0);
        for (pack, taken) in packs.iter().zip(taken) {
            if taken {
                positions.extend(&pack.positions);
                published += pack.events as u64;
                self.meters.pack_events.record(pack.events as f64);
            } else {
                refused += 1;
                self.meters.refused.increment(1);
            }
        }
        outbox::mark_published(db, self.schema, &positions, self.clock.now()).await?;
        self.meters.published.increment(published);
        self.meters.wave_seconds.record(started.elapsed());
        if refused > 0 {
            return Err(RelayError::NotTaken(refused));
        }
        self.meters.waves.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn message(&self, pack: &mut Pack) -> Outgoing {
        let mut headers = FieldTable::default();
        let source = format!("/oneshelf/{}", self.schema.name());
        headers.insert("ce-source".into(), AMQPValue::LongString(source.into()));
        headers.insert("ce-count".into(), AMQPValue::LongInt(pack.events as i32));
        Outgoing {
            // Only tells the messages of this publish apart; the events keep their own ids inside.
            id: Uuid::from_u128(pack.positions[0].unsigned_abs().into()),
            exchange: self.broker.name(EVENTS_EXCHANGE).into(),
            routing_key: pack.routing_key.as_str().into(),
            body: std::mem::take(&mut pack.body),
            properties: BasicProperties::default()
                .with_content_type(CONTENT_TYPE.into())
                .with_timestamp(self.clock.now().timestamp().max(0).cast_unsigned())
                .with_headers(headers),
        }
    }

    async fn record_backlog(&self, db: &mut PgConnection) -> Result<(), sqlx::Error> {
        let (waiting, oldest) = outbox::backlog(db, self.schema).await?;
        let age = oldest.map_or(0.0, |oldest| seconds_between(oldest, self.clock.now()));
        self.meters.waiting.set(waiting as f64);
        self.meters.oldest_seconds.set(age);
        Ok(())
    }
}

pub(crate) fn seconds_between(earlier: DateTime<Utc>, later: DateTime<Utc>) -> f64 {
    (later - earlier).num_milliseconds().max(0) as f64 / 1_000.0
}

/// Rows of one routing key that travel as one message.
struct Pack {
    routing_key: String,
    positions: Vec<i64>,
    events: usize,
    body: Vec<u8>,
}

/// Joins rows, in order, by routing key. Their batches, one after the other, are one batch.
fn pack(rows: Vec<Row>) -> Vec<Pack> {
    let mut packs: Vec<Pack> = Vec::new();
    let mut open: HashMap<String, usize> = HashMap::new();
    for row in rows {
        let events = row.events as usize;
        let fits = |pack: &Pack| pack.events + events <= PACK_EVENTS && pack.body.len() + row.batch.len() <= PACK_BYTES;
        match open.get(&row.routing_key) {
            Some(&index) if fits(&packs[index]) => {
                let pack = &mut packs[index];
                pack.positions.push(row.position);
                pack.events += events;
                pack.body.extend(row.batch);
            }
            _ => {
                open.insert(row.routing_key.clone(), packs.len());
                packs.push(Pack {
                    routing_key: row.routing_key,
                    positions: vec![row.position],
                    events,
                    body: row.batch,
                });
            }
        }
    }
    packs
}

struct Meters {
    active: Gauge,
    waiting: Gauge,
    oldest_seconds: Gauge,
    published: Counter,
    refused: Counter,
    pack_events: Histogram,
    wave_seconds: Histogram,
    waves: AtomicU64,
}

impl Meters {
    fn new(service: &'static str) -> Self {
        Self {
            active: gauge!("oneshelf_relay_active", "service" => service),
            waiting: gauge!("oneshelf_outbox_unpublished_events", "service" => service),
            oldest_seconds: gauge!("oneshelf_outbox_oldest_unpublished_seconds", "service" => service),
            published: counter!("oneshelf_outbox_published_events_total", "service" => service),
            refused: counter!("oneshelf_outbox_refused_messages_total", "service" => service),
            pack_events: histogram!("oneshelf_outbox_pack_events", "service" => service),
            wave_seconds: histogram!("oneshelf_outbox_publish_seconds", "service" => service),
            waves: AtomicU64::new(0),
        }
    }

    fn waves(&self) -> u64 {
        self.waves.load(Ordering::Relaxed)
    }
}
