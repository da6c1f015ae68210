//! RabbitMQ: connections, names, the topology, and publishing that knows what became of each message.
//!
//! ```text
//! publisher ──► oneshelf.events (topic) ──binding──► <consumer>.<handler>  (quorum, delivery limit)
//!                   │ no binding                        │ a try failed              ▲ ttl over
//!                   ▼ alternate exchange                ├──► .retry.<seconds>s ─────┘
//!               oneshelf.unrouted (fanout ► queue,      └──► .parked   out of tries, malformed, over the limit
//!               bounded, oldest dropped)
//! ```
//!
//! A fact that nobody listens to yet is kept in sight in `oneshelf.unrouted` and blocks nobody. So a message that the
//! broker *returns* always means a broken topology, and counts as not published.
//!
//! Reconnecting is ours, not the library's recovery: whatever was in flight when a connection died is sent again from
//! the outbox, or delivered again by the broker, and each session declares what it needs before it starts. A library
//! that replays channels underneath would add a second, unseen state to that. Publishing and consuming use separate
//! connections, because the broker stops reading from a connection that publishes while it is short of memory or disk,
//! and acknowledgements must still get through.

use std::{
    collections::{BTreeSet, HashSet},
    sync::{Arc, PoisonError},
    time::Duration,
};

use futures::future::try_join_all;
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, ExchangeKind,
    options::{
        BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
    },
    types::{AMQPValue, FieldTable, ShortString},
    uri::AMQPUri,
};
use metrics::gauge;
use secrecy::ExposeSecret;
use tokio::{sync::Mutex, time::timeout};
use uuid::Uuid;

use crate::{config::RabbitConfig, consumer::Subscription};

pub(crate) const EVENTS_EXCHANGE: &str = "oneshelf.events";
const UNROUTED: &str = "oneshelf.unrouted";
const UNROUTED_MAX_LENGTH: i64 = 10_000;
/// The default exchange routes to the queue named by the routing key.
const DEFAULT_EXCHANGE: &str = "";
/// Deliveries of one message before the broker parks it by itself. A failed try is retried under our own count, so only
/// consumers that die again and again get there. Brokers before 4.0 have no limit of their own.
const DELIVERY_LIMIT: i64 = 20;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Two of them missed end the connection: this is how a half-open one is noticed.
const HEARTBEAT_S: u16 = 10;

#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    #[error("the broker's URL is malformed: {0}")]
    Url(String),
    #[error("the broker did not accept a connection within {CONNECT_TIMEOUT:?}")]
    ConnectTimeout,
    #[error("the broker did not confirm within {0:?}")]
    ConfirmTimeout(Duration),
    #[error("the broker holds back publishers: it is short of memory or disk")]
    Blocked,
    #[error("cannot {action}")]
    Amqp { action: &'static str, source: lapin::Error },
}

pub(crate) fn failed(action: &'static str) -> impl FnOnce(lapin::Error) -> BrokerError {
    move |source| BrokerError::Amqp { action, source }
}

/// The process's way to the broker. Cheap to clone; connects when first used and again when a connection was lost.
#[derive(Clone)]
pub struct Broker(Arc<Inner>);

struct Inner {
    uri: AMQPUri,
    namespace: String,
    prefetch: u16,
    confirm_timeout: Duration,
    publishing: Mutex<Option<Connection>>,
    consuming: Mutex<Option<Connection>>,
    declared: std::sync::Mutex<BTreeSet<Declared>>,
}

/// A part of the topology, by its full name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Declared {
    Queue(String),
    Exchange(String),
}

impl Broker {
    /// Checks the URL only; the broker may be away.
    pub fn new(cfg: &RabbitConfig) -> Result<Self, BrokerError> {
        let mut uri: AMQPUri = cfg.url.expose_secret().parse().map_err(BrokerError::Url)?;
        uri.query.heartbeat.get_or_insert(HEARTBEAT_S);
        Ok(Self(Arc::new(Inner {
            uri,
            namespace: cfg.namespace.clone(),
            prefetch: cfg.prefetch,
            confirm_timeout: Duration::from_millis(cfg.confirm_timeout_ms),
            publishing: Mutex::default(),
            consuming: Mutex::default(),
            declared: std::sync::Mutex::default(),
        })))
    }

    /// An exchange's or queue's name in this installation's namespace.
    pub fn name(&self, plain: &str) -> String {
        match &*self.0.namespace {
            "" => plain.to_owned(),
            namespace => format!("{namespace}.{plain}"),
        }
    }

    /// Whether the broker accepts a connection now; for readiness.
    pub async fn ping(&self) -> Result<(), BrokerError> {
        self.channel(&self.0.publishing, "publish").await.map(drop)
    }

    /// What this process has declared, so that a test can take it away again.
    pub fn declared(&self) -> Vec<Declared> {
        self.0.declared.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    fn note(&self, declared: Declared) {
        self.0.declared.lock().unwrap_or_else(PoisonError::into_inner).insert(declared);
    }

    pub(crate) fn default_prefetch(&self) -> u16 {
        self.0.prefetch
    }

    /// A channel of the consuming connection.
    pub(crate) async fn consuming_channel(&self) -> Result<Channel, BrokerError> {
        self.channel(&self.0.consuming, "consume").await
    }

    /// A channel on which every message is confirmed.
    pub async fn publisher(&self) -> Result<Publisher, BrokerError> {
        let channel = self.channel(&self.0.publishing, "publish").await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await.map_err(failed("ask for confirms"))?;
        Ok(Publisher { broker: self.clone(), channel })
    }

    async fn channel(&self, slot: &Mutex<Option<Connection>>, purpose: &str) -> Result<Channel, BrokerError> {
        let mut slot = slot.lock().await;
        if let Some(connection) = &*slot
            && connection.status().connected()
            && let Ok(Ok(channel)) = timeout(CONNECT_TIMEOUT, connection.create_channel()).await
        {
            return Ok(channel);
        }
        *slot = None;
        let properties = ConnectionProperties::default().with_connection_name(format!("oneshelf {purpose}").into());
        let opened = timeout(CONNECT_TIMEOUT, async {
            let connection =
                Connection::connect_uri(self.0.uri.clone(), properties).await.map_err(failed("connect"))?;
            let channel = connection.create_channel().await.map_err(failed("open a channel"))?;
            Ok((connection, channel))
        });
        let (connection, channel) = opened.await.map_err(|_| BrokerError::ConnectTimeout)??;
        *slot = Some(connection);
        Ok(channel)
    }

    async fn blocked(&self) -> bool {
        let blocked = self.0.publishing.lock().await.as_ref().is_some_and(|connection| connection.status().blocked());
        gauge!("oneshelf_broker_blocked").set(f64::from(u8::from(blocked)));
        blocked
    }

    /// Declares subscriptions before their consumers run for the first time, as part of installing: a fact that is
    /// published before a queue is bound counts as unheard, also if its consumer is only a moment late.
    pub async fn declare(&self, subscriptions: &[Subscription]) -> Result<(), BrokerError> {
        let channel = self.consuming_channel().await?;
        self.declare_exchanges(&channel).await?;
        for subscription in subscriptions {
            self.declare_subscription(&channel, subscription).await?;
        }
        Ok(())
    }

    /// Declares the exchange of events and the place for those that nobody listens to.
    pub(crate) async fn declare_exchanges(&self, channel: &Channel) -> Result<(), BrokerError> {
        let unrouted: ShortString = self.name(UNROUTED).into();
        self.declare_exchange(channel, unrouted.clone(), ExchangeKind::Fanout, FieldTable::default()).await?;
        let bounded = quorum_queue([("x-max-length", UNROUTED_MAX_LENGTH.into()), ("x-overflow", text("drop-head"))]);
        self.declare_queue(channel, unrouted.clone(), bounded).await?;
        bind(channel, unrouted.clone(), unrouted.clone(), "".into()).await?;
        let mut events = FieldTable::default();
        events.insert("alternate-exchange".into(), text(unrouted.as_str()));
        self.declare_exchange(channel, self.name(EVENTS_EXCHANGE).into(), ExchangeKind::Topic, events).await
    }

    async fn declare_exchange(
        &self,
        channel: &Channel,
        name: ShortString,
        kind: ExchangeKind,
        arguments: FieldTable,
    ) -> Result<(), BrokerError> {
        let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
        self.note(Declared::Exchange(name.to_string()));
        channel.exchange_declare(name, kind, durable, arguments).await.map_err(failed("declare an exchange"))
    }

    async fn declare_queue(
        &self,
        channel: &Channel,
        name: ShortString,
        arguments: FieldTable,
    ) -> Result<(), BrokerError> {
        let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        self.note(Declared::Queue(name.to_string()));
        channel.queue_declare(name, durable, arguments).await.map_err(failed("declare a queue")).map(drop)
    }

    /// Declares a subscription's queues and bindings.
    pub(crate) async fn declare_subscription(
        &self,
        channel: &Channel,
        subscription: &Subscription,
    ) -> Result<(), BrokerError> {
        self.declare_exchanges(channel).await?;
        let main: ShortString = self.name(subscription.queue).into();
        let parked: ShortString = self.name(&subscription.parked()).into();
        self.declare_queue(channel, parked.clone(), quorum_queue([])).await?;
        for delay in subscription.retry_after {
            let mut arguments = forwarding_to(&main);
            arguments.insert("x-message-ttl".into(), AMQPValue::LongLongInt(delay.as_millis() as i64));
            self.declare_queue(channel, self.name(&subscription.retry(*delay)).into(), arguments).await?;
        }
        let mut arguments = forwarding_to(&parked);
        arguments.insert("x-delivery-limit".into(), DELIVERY_LIMIT.into());
        self.declare_queue(channel, main.clone(), arguments).await?;
        for key in subscription.routing_keys {
            bind(channel, main.clone(), self.name(EVENTS_EXCHANGE).into(), (*key).into()).await?;
        }
        Ok(())
    }
}

/// A quorum queue whose dead letters go to `target`, at least once: the default strategy may lose them when the target
/// is away. The broker demands `reject-publish` for it, which without a length limit never rejects.
fn forwarding_to(target: &ShortString) -> FieldTable {
    quorum_queue([
        ("x-dead-letter-exchange", text(DEFAULT_EXCHANGE)),
        ("x-dead-letter-routing-key", text(target.as_str())),
        ("x-dead-letter-strategy", text("at-least-once")),
        ("x-overflow", text("reject-publish")),
    ])
}

fn quorum_queue<const N: usize>(arguments: [(&str, AMQPValue); N]) -> FieldTable {
    let mut table = FieldTable::default();
    table.insert("x-queue-type".into(), text("quorum"));
    for (name, value) in arguments {
        table.insert(name.into(), value);
    }
    table
}

fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(value.into())
}

async fn bind(
    channel: &Channel,
    queue: ShortString,
    exchange: ShortString,
    key: ShortString,
) -> Result<(), BrokerError> {
    channel
        .queue_bind(queue, exchange, key, QueueBindOptions::default(), FieldTable::default())
        .await
        .map_err(failed("bind a queue"))
}

/// A message to publish; its id tells messages of one [`Publisher::publish_all`] apart.
pub(crate) struct Outgoing {
    pub(crate) id: Uuid,
    pub(crate) exchange: ShortString,
    pub(crate) routing_key: ShortString,
    pub(crate) body: Vec<u8>,
    pub(crate) properties: BasicProperties,
}

/// A channel in confirm mode. One error makes it useless: take a new one.
pub struct Publisher {
    broker: Broker,
    channel: Channel,
}

impl Publisher {
    pub(crate) fn channel(&self) -> &Channel {
        &self.channel
    }

    /// Publishes all, then waits until each is confirmed; answers, in order, which ones the broker has taken over.
    ///
    /// A returned message is confirmed too, and the library hands it out with whichever confirm comes next, not
    /// necessarily its own. So returns are matched by message id over the whole set.
    pub(crate) async fn publish_all(&self, messages: &[Outgoing]) -> Result<Vec<bool>, BrokerError> {
        if self.broker.blocked().await {
            return Err(BrokerError::Blocked);
        }
        let limit = self.broker.0.confirm_timeout;
        let confirmations = timeout(limit, async {
            let mut pending = Vec::with_capacity(messages.len());
            for message in messages {
                let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
                let properties =
                    message.properties.clone().with_message_id(message.id.to_string().into()).with_delivery_mode(2);
                let (exchange, key) = (message.exchange.clone(), message.routing_key.clone());
                pending.push(
                    self.channel
                        .basic_publish(exchange, key, options, &message.body, properties)
                        .await
                        .map_err(failed("publish"))?,
                );
            }
            try_join_all(pending).await.map_err(failed("get a confirm"))
        })
        .await
        .map_err(|_| BrokerError::ConfirmTimeout(limit))??;

        let taken: Vec<bool> = confirmations.iter().map(Confirmation::is_ack).collect();
        let returned: HashSet<String> = confirmations
            .into_iter()
            .filter_map(Confirmation::take_message)
            .filter_map(|message| message.properties.message_id().as_ref().map(ToString::to_string))
            .collect();
        Ok(messages
            .iter()
            .zip(taken)
            .map(|(message, taken)| taken && (returned.is_empty() || !returned.contains(&message.id.to_string())))
            .collect())
    }
}
