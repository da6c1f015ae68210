//! Events in: one transaction holds the inbox rows and the effect; the broker is told after its commit.
//!
//! ```text
//! deliveries waiting (≤ 256 messages) ─► inbox rows, new events only ─► handler ─► commit ─► one ack for all
//!                                            └── on error: halves, each alone, until the bad event stands alone
//! ```
//!
//! A quiet queue is handled at once. Behind a group of [`BUSY_EVENTS`] or more the next one gathers, the longer the
//! fuller that one was ([`gather_behind`]): a stream of small groups would spend more on transactions than on its events,
//! on the cores that the writers need as well, and what changes twice meanwhile is taken over once.
//!
//! What becomes of an event whose handling failed:
//!
//! | why | what happens |
//! |---|---|
//! | [`HandlerError::Unavailable`]: database or peer is away | the group waits here and is tried again; no try is counted, nothing is parked by an outage |
//! | [`HandlerError::Retry`] | to `.retry.<seconds>s`, back after that time, the next step each time; out of steps: `.parked` |
//! | [`HandlerError::Park`], or not an event at all | to `.parked` at once, in sight, with the reason in a header |
//!
//! An event is acknowledged only when its effect is committed, it was applied before, or the broker confirmed its copy
//! in the retry or parked queue. Neighbours of a bad event are applied. The order of events is not kept across retries
//! and redeliveries: handlers let the newer `aggregate_version` win and accept the older as done.

use std::{collections::HashMap, convert::Infallible, error::Error as StdError, ops::Range, time::Duration};

use backon::{BackoffBuilder, ExponentialBuilder};
use chrono::{DateTime, Utc};
use futures::{StreamExt, future::BoxFuture};
use lapin::{
    BasicProperties, Channel,
    message::Delivery,
    options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions},
    types::{AMQPValue, FieldTable},
};
use metrics::{Counter, Histogram, counter, histogram};
use oneshelf_values::Clock;
use opentelemetry::{
    propagation::TextMapPropagator,
    trace::{SpanContext, TraceContextExt},
};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use prost::{Message, bytes::Bytes};
use sqlx::{Connection, PgConnection, PgPool};
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, error, info, info_span, warn};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use uuid::Uuid;

use crate::{
    broker::{Broker, BrokerError, Outgoing, Publisher, failed},
    cloudevents::{CONTENT_TYPE, decode_event, join_batch, split_batch},
    inbox,
    lifecycle::Chain,
    pg,
    relay::seconds_between,
    schema::Schema,
    telemetry,
};

const GROUP_MESSAGES: usize = 256;
const GROUP_EVENTS: usize = 16_384;
/// A group of so many events says that more are coming.
const BUSY_EVENTS: usize = 64;
/// For each event of the group before. So a queue with less than 2,000 events a second stays quick.
const GATHER_PER_EVENT: Duration = Duration::from_micros(500);
const LONGEST_GATHER: Duration = Duration::from_secs(1);
/// A span follows this many events' traces; a group may hold thousands.
const LINKS: usize = 32;
const REASON_CHARS: usize = 500;
const ATTEMPTS_HEADER: &str = "x-oneshelf-attempts";
const REASON_HEADER: &str = "x-oneshelf-reason";
const RETRY_AFTER: &[Duration] =
    &[Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(30), Duration::from_secs(300)];

type BoxError = Box<dyn StdError + Send + Sync>;

/// One event as a handler sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub id: Uuid,
    /// Full name of the message in `payload`, such as `oneshelf.inventory.v1.StockLevelChanged`.
    pub event_type: String,
    pub aggregate_id: String,
    pub aggregate_version: i64,
    pub effective_at: DateTime<Utc>,
    pub payload: Bytes,
    pub traceparent: Option<String>,
}

impl Event {
    /// Reads the payload; one that cannot be read never will be, so the error parks the event.
    pub fn decode<M: Message + Default>(&self) -> Result<M, HandlerError> {
        M::decode(self.payload.clone()).map_err(HandlerError::park)
    }
}

/// Why an event was not handled; the table above says what follows.
#[derive(Debug, thiserror::Error)]
pub enum HandlerError {
    #[error("a dependency is away")]
    Unavailable(#[source] BoxError),
    #[error("the event could not be handled now")]
    Retry(#[source] BoxError),
    #[error("the event can never be handled")]
    Park(#[source] BoxError),
}

impl HandlerError {
    pub fn unavailable(source: impl Into<BoxError>) -> Self {
        Self::Unavailable(source.into())
    }

    /// A failure that may pass. If the database's absence is behind it, it is not the event's failure.
    pub fn retry(source: impl Into<BoxError>) -> Self {
        let source = source.into();
        match pg::find(&*source).map(pg::kind) {
            Some(pg::DbErrorKind::Unavailable | pg::DbErrorKind::Retryable) => Self::Unavailable(source),
            _ => Self::Retry(source),
        }
    }

    pub fn park(source: impl Into<BoxError>) -> Self {
        Self::Park(source.into())
    }
}

impl From<sqlx::Error> for HandlerError {
    fn from(source: sqlx::Error) -> Self {
        Self::retry(source)
    }
}

/// A queue, what it listens to, and how failures are spaced.
#[derive(Debug, Clone)]
pub struct Subscription {
    /// `<consumer>.<handler>`, such as `channels.stock_level_changed`; also the consumer's name in the inbox.
    pub queue: &'static str,
    pub routing_keys: &'static [&'static str],
    /// Unacknowledged messages held at once; the configured one if not set.
    pub prefetch: Option<u16>,
    /// One retry queue per step. The time is part of its name, because a queue's arguments can never be changed.
    pub retry_after: &'static [Duration],
}

impl Subscription {
    /// Retries after 1 s, 5 s, 30 s and 5 min.
    pub const fn new(queue: &'static str, routing_keys: &'static [&'static str]) -> Self {
        Self { queue, routing_keys, prefetch: None, retry_after: RETRY_AFTER }
    }

    pub(crate) fn retry(&self, delay: Duration) -> String {
        format!("{}.retry.{}s", self.queue, delay.as_secs_f32())
    }

    pub(crate) fn parked(&self) -> String {
        format!("{}.parked", self.queue)
    }
}

/// Consumes until stopped. A lost broker, a deleted queue or a refused declaration ends a session; the next one
/// declares everything again, after a pause that grows to 5 s.
///
/// `handler` gets only events that this consumer has not applied, in the transaction that records them. It may run
/// again with the same events, after a rollback.
pub async fn run<F>(
    broker: Broker,
    pool: PgPool,
    schema: Schema,
    clock: Clock,
    stop: CancellationToken,
    subscription: Subscription,
    handler: F,
) -> Result<(), Infallible>
where
    F: for<'a> Fn(&'a mut PgConnection, &'a [Event]) -> BoxFuture<'a, Result<(), HandlerError>> + Send + Sync,
{
    let meters = Meters::new(subscription.queue);
    let consumer = Consumer { broker, pool, schema, clock, stop, subscription, handler, meters };
    let mut pauses = pauses();
    while !consumer.stop.is_cancelled() {
        let mut groups = 0_u64;
        let Err(error) = consumer.session(&mut groups).await else { continue };
        if groups > 0 {
            pauses = self::pauses();
        }
        let pause = pauses.next().unwrap_or(Duration::from_secs(5));
        warn!(queue = consumer.subscription.queue, error = %Chain(&error), ?pause, "consumer session ended, beginning another");
        tokio::select! {
            () = consumer.stop.cancelled() => {}
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

#[derive(Debug, thiserror::Error)]
enum SessionError {
    #[error(transparent)]
    Broker(#[from] BrokerError),
    #[error("the broker ended the subscription: its queue was deleted")]
    Cancelled,
    #[error("a copy for the retry or parked queue was not taken")]
    CopyNotTaken,
}

struct Consumer<F> {
    broker: Broker,
    pool: PgPool,
    schema: Schema,
    clock: Clock,
    stop: CancellationToken,
    subscription: Subscription,
    handler: F,
    meters: Meters,
}

/// One event of a group, with what its message said about it.
struct Incoming {
    event: Event,
    /// As it came, for a copy in another queue.
    encoded: Bytes,
    attempts: i64,
}

/// What goes to another queue instead of being applied.
struct Aside {
    body: Vec<u8>,
    queue: String,
    attempts: i64,
    reason: String,
}

impl<F> Consumer<F>
where
    F: for<'a> Fn(&'a mut PgConnection, &'a [Event]) -> BoxFuture<'a, Result<(), HandlerError>> + Send + Sync,
{
    async fn session(&self, groups: &mut u64) -> Result<(), SessionError> {
        let channel = self.broker.consuming_channel().await?;
        self.broker.declare_subscription(&channel, &self.subscription).await?;
        let prefetch = self.subscription.prefetch.unwrap_or(self.broker.default_prefetch());
        channel.basic_qos(prefetch, BasicQosOptions::default()).await.map_err(failed("set the prefetch"))?;
        let mut deliveries = channel
            .basic_consume(
                self.broker.name(self.subscription.queue).into(),
                "".into(),
                BasicConsumeOptions::default(),
                FieldTable::default(),
            )
            .await
            .map_err(failed("consume"))?;
        info!(queue = self.subscription.queue, "consuming");
        let messages = GROUP_MESSAGES.min(prefetch.into());
        let mut gather = Duration::ZERO;
        loop {
            let first = tokio::select! {
                () = self.stop.cancelled() => return Ok(()),
                first = deliveries.next() => first.ok_or(SessionError::Cancelled)?.map_err(failed("receive"))?,
            };
            let mut group = Group::default();
            self.admit(&mut group, first);
            let until = Instant::now() + gather;
            while group.messages < messages && group.events.len() < GROUP_EVENTS {
                match timeout_at(until, deliveries.next()).await {
                    Ok(Some(Ok(delivery))) => self.admit(&mut group, delivery),
                    // Time is up; or the end of the stream or its error, which comes again with the next receive.
                    _ => break,
                }
            }
            gather = gather_behind(group.events.len());
            self.handle(&channel, group).await?;
            *groups += 1;
        }
    }

    fn admit(&self, group: &mut Group, delivery: Delivery) {
        group.messages += 1;
        group.last_tag = delivery.delivery_tag;
        let attempts = attempts(&delivery);
        let parked = |body, reason: String| Aside { body, queue: self.subscription.parked(), attempts, reason };
        let body = Bytes::from(delivery.data);
        let Some(batch) = split_batch(body.clone()) else {
            group.aside.push(parked(body.into(), "the body is not a batch of CloudEvents".to_owned()));
            return;
        };
        for encoded in batch {
            match decode_event(encoded.clone()) {
                Ok(event) => group.events.push(Incoming { event, encoded, attempts }),
                Err(malformed) => group.aside.push(parked(join_batch(vec![encoded]), malformed.to_string())),
            }
        }
    }

    async fn handle(&self, channel: &Channel, mut group: Group) -> Result<(), SessionError> {
        let span = self.span(&group.events);
        let Some(failures) = self.apply(&group.events).instrument(span).await else {
            // Stopping: unacknowledged messages are delivered to another consumer.
            return Ok(());
        };
        group.aside.extend(failures.into_iter().map(|(index, error)| self.set_aside(&group.events[index], &error)));
        if !group.aside.is_empty() {
            self.publish(group.aside).await?;
        }
        let all_so_far = BasicAckOptions { multiple: true };
        channel.basic_ack(group.last_tag, all_so_far).await.map_err(failed("acknowledge"))?;
        Ok(())
    }

    /// Applies events, in order, and answers those that failed by themselves; `None` when stopped while waiting for a
    /// dependency.
    async fn apply(&self, events: &[Incoming]) -> Option<Vec<(usize, HandlerError)>> {
        let mut failures = Vec::new();
        let mut ranges: Vec<Range<usize>> = Vec::new();
        if !events.is_empty() {
            ranges.push(0..events.len());
        }
        let mut pauses = pauses();
        while let Some(range) = ranges.pop() {
            match self.apply_together(&events[range.clone()]).await {
                Ok(()) => pauses = self::pauses(),
                Err(HandlerError::Unavailable(source)) => {
                    let pause = pauses.next().unwrap_or(Duration::from_secs(5));
                    warn!(
                        queue = self.subscription.queue,
                        error = &*source as &dyn StdError,
                        ?pause,
                        "waiting for a dependency"
                    );
                    tokio::select! {
                        () = self.stop.cancelled() => return None,
                        () = sleep(pause) => {}
                    }
                    ranges.push(range);
                }
                Err(error) if range.len() == 1 => failures.push((range.start, error)),
                Err(_) => {
                    let middle = range.start + range.len() / 2;
                    ranges.push(middle..range.end);
                    ranges.push(range.start..middle);
                }
            }
        }
        Some(failures)
    }

    async fn apply_together(&self, incoming: &[Incoming]) -> Result<(), HandlerError> {
        let now = self.clock.now();
        let applied = pg::retrying(|| self.try_together(incoming, now)).await?;
        self.meters.handled.increment(applied as u64);
        self.meters.duplicates.increment((incoming.len() - applied) as u64);
        for incoming in incoming {
            self.meters.lag_seconds.record(seconds_between(incoming.event.effective_at, now));
        }
        Ok(())
    }

    /// One transaction; answers how many events were new.
    async fn try_together(&self, incoming: &[Incoming], now: DateTime<Utc>) -> Result<usize, HandlerError> {
        let mut conn = pg::lend(&self.pool).await?;
        let result = async {
            let mut tx = conn.begin().await?;
            let ids = incoming.iter().map(|incoming| incoming.event.id);
            let mut admitted = inbox::admit(&mut tx, self.schema, self.subscription.queue, ids, now).await?;
            // `remove`: an event may stand twice in a group.
            let new: Vec<Event> = incoming
                .iter()
                .filter(|incoming| admitted.remove(&incoming.event.id))
                .map(|incoming| incoming.event.clone())
                .collect();
            if !new.is_empty() {
                (self.handler)(&mut tx, &new).await?;
            }
            tx.commit().await?;
            Ok(new.len())
        }
        .await;
        conn.give_back(&result);
        result
    }

    fn set_aside(&self, incoming: &Incoming, error: &HandlerError) -> Aside {
        let attempts = incoming.attempts + 1;
        let reason: String = Chain(error).to_string().chars().take(REASON_CHARS).collect();
        let step = usize::try_from(attempts - 1).unwrap_or(usize::MAX);
        let (id, event_type) = (incoming.event.id, &incoming.event.event_type);
        let queue = match (error, self.subscription.retry_after.get(step)) {
            (HandlerError::Retry(_), Some(delay)) => {
                self.meters.retried.increment(1);
                warn!(queue = self.subscription.queue, %id, event_type, attempts, reason, "event will be retried");
                self.subscription.retry(*delay)
            }
            _ => self.subscription.parked(),
        };
        Aside { body: join_batch(vec![incoming.encoded.clone()]), queue, attempts, reason }
    }

    async fn publish(&self, aside: Vec<Aside>) -> Result<(), SessionError> {
        let parked = self.subscription.parked();
        for aside in aside.iter().filter(|aside| aside.queue == parked) {
            self.meters.parked.increment(1);
            error!(queue = self.subscription.queue, aside.attempts, aside.reason, "event parked");
        }
        let messages: Vec<Outgoing> = aside.into_iter().enumerate().map(|(nth, aside)| self.copy(nth, aside)).collect();
        let publisher: Publisher = self.broker.publisher().await?;
        let taken = publisher.publish_all(&messages).await?;
        if taken.into_iter().all(|taken| taken) { Ok(()) } else { Err(SessionError::CopyNotTaken) }
    }

    fn copy(&self, nth: usize, aside: Aside) -> Outgoing {
        let mut headers = FieldTable::default();
        headers.insert(ATTEMPTS_HEADER.into(), AMQPValue::LongLongInt(aside.attempts));
        headers.insert(REASON_HEADER.into(), AMQPValue::LongString(aside.reason.into()));
        Outgoing {
            // Only tells the copies of this publish apart; the event keeps its own id inside.
            id: Uuid::from_u128(nth as u128),
            exchange: "".into(),
            routing_key: self.broker.name(&aside.queue).into(),
            body: aside.body,
            properties: BasicProperties::default().with_content_type(CONTENT_TYPE.into()).with_headers(headers),
        }
    }

    /// A lone event continues its trace; a group is its own and points to theirs.
    fn span(&self, events: &[Incoming]) -> tracing::Span {
        let span = info_span!("consume", queue = self.subscription.queue, events = events.len());
        let mut traces = events.iter().filter_map(|incoming| incoming.event.traceparent.as_deref());
        if events.len() == 1 {
            traces.by_ref().for_each(|trace| telemetry::set_parent(&span, trace));
        }
        traces.take(LINKS).for_each(|trace| span.add_link(linked(trace)));
        span
    }
}

fn linked(traceparent: &str) -> SpanContext {
    let carrier = HashMap::from([("traceparent".to_owned(), traceparent.to_owned())]);
    TraceContextPropagator::new().extract(&carrier).span().span_context().clone()
}

#[derive(Default)]
struct Group {
    events: Vec<Incoming>,
    aside: Vec<Aside>,
    messages: usize,
    last_tag: u64,
}

/// How long the next group may gather behind one of so many events.
fn gather_behind(events: usize) -> Duration {
    if events < BUSY_EVENTS {
        return Duration::ZERO;
    }
    let events = u32::try_from(events).unwrap_or(u32::MAX);
    GATHER_PER_EVENT.saturating_mul(events).min(LONGEST_GATHER)
}

fn attempts(delivery: &Delivery) -> i64 {
    let headers = delivery.properties.headers().as_ref();
    headers
        .and_then(|headers| headers.inner().get(ATTEMPTS_HEADER))
        .and_then(AMQPValue::as_long_long_int)
        .unwrap_or(0)
        .max(0)
}

struct Meters {
    handled: Counter,
    duplicates: Counter,
    retried: Counter,
    parked: Counter,
    lag_seconds: Histogram,
}

impl Meters {
    fn new(queue: &'static str) -> Self {
        Self {
            handled: counter!("oneshelf_consumer_handled_events_total", "queue" => queue),
            duplicates: counter!("oneshelf_consumer_duplicate_events_total", "queue" => queue),
            retried: counter!("oneshelf_consumer_retried_events_total", "queue" => queue),
            parked: counter!("oneshelf_consumer_parked_events_total", "queue" => queue),
            lag_seconds: histogram!("oneshelf_consumer_lag_seconds", "queue" => queue),
        }
    }
}
