//! Redis: caches and wake-ups, never a decision. Losing it costs latency only.
//!
//! So nothing here fails. An operation gets a budget of 50 ms; when it is over, or Redis answers nonsense, the result
//! is a miss, counted in `oneshelf_redis_failures_total`, and for a second nobody asks again: a frozen Redis must not
//! cost each request its 50 ms.
//!
//! A cached value carries the version of what it was made from, and a fill is stored only over an older one, by a
//! script that Redis runs as one step. So a slow reader cannot put yesterday's stock over today's.

use std::{
    fmt::Display,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use ::redis::{
    Client, RedisError, Script,
    aio::{ConnectionManager, ConnectionManagerConfig},
    cmd,
};
use futures::StreamExt;
use metrics::{Counter, counter};
use secrecy::ExposeSecret;
use tokio::{
    sync::broadcast,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::config::RedisConfig;

const BUDGET: Duration = Duration::from_millis(50);
const BYPASS: Duration = Duration::from_secs(1);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
const RECONNECT_PAUSE: Duration = Duration::from_millis(500);
/// Keys in one script call, which blocks Redis while it runs.
const SCRIPT_KEYS: usize = 500;
/// Wake-ups that a slow receiver may have waiting; beyond it, it is told to look at everything.
const WAKES: usize = 1_024;

/// The process's way to Redis. Cheap to clone; connects when first used.
#[derive(Clone)]
pub struct Redis(Arc<Inner>);

struct Inner {
    client: Client,
    connection: ConnectionManager,
    namespace: String,
    started: Instant,
    /// Milliseconds after `started` until which Redis is left alone.
    bypassed_until_ms: AtomicU64,
    failures: Counter,
}

impl Redis {
    /// Checks the URL only; Redis may be away. Needs a running Tokio runtime.
    pub fn new(cfg: &RedisConfig) -> Result<Self, RedisError> {
        let client = Client::open(cfg.url.expose_secret())?;
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(BUDGET))
            .set_number_of_retries(1)
            .set_max_delay(RECONNECT_PAUSE);
        Ok(Self(Arc::new(Inner {
            connection: ConnectionManager::new_lazy_with_config(client.clone(), config)?,
            client,
            namespace: cfg.namespace.clone(),
            started: Instant::now(),
            bypassed_until_ms: AtomicU64::new(0),
            failures: counter!("oneshelf_redis_failures_total"),
        })))
    }

    /// Whether Redis answers within the budget. Its absence never makes a service unready.
    pub async fn ping(&self) -> bool {
        self.ask(async |mut redis| cmd("PING").query_async::<String>(&mut redis).await).await.is_some()
    }

    fn name(&self, plain: impl Display) -> String {
        match &*self.0.namespace {
            "" => plain.to_string(),
            namespace => format!("{namespace}:{plain}"),
        }
    }

    /// Runs an operation within the budget; `None` if it failed or Redis is being left alone.
    async fn ask<T, F>(&self, operation: impl FnOnce(ConnectionManager) -> F) -> Option<T>
    where
        F: Future<Output = Result<T, RedisError>>,
    {
        let inner = &*self.0;
        let now_ms = inner.started.elapsed().as_millis() as u64;
        if now_ms < inner.bypassed_until_ms.load(Ordering::Relaxed) {
            return None;
        }
        match timeout(BUDGET, operation(inner.connection.clone())).await {
            Ok(Ok(value)) => return Some(value),
            Ok(Err(error)) => debug!(%error, "redis failed"),
            Err(_) => debug!("redis did not answer within the budget"),
        }
        inner.failures.increment(1);
        inner.bypassed_until_ms.store(now_ms + BYPASS.as_millis() as u64, Ordering::Relaxed);
        None
    }
}

/// A cached value and the version of what it was made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cached {
    pub version: i64,
    pub value: Vec<u8>,
}

/// A cache in which newer values win, whoever comes last.
///
/// A stored entry is the version in 20 digits, a mark (`1` value, `0` known to be outdated), and the value; so texts
/// compare as versions do, and a value beats the mark of its own version.
#[derive(Clone)]
pub struct VersionedCache {
    redis: Redis,
    name: &'static str,
    ttl: Duration,
    store: Arc<Script>,
    hits: Counter,
    misses: Counter,
}

const VERSION_DIGITS: usize = 20;
const VALUE: char = '1';
const OUTDATED: char = '0';

const STORE_IF_NEWER: &str = r"
local stored = 0
for i, key in ipairs(KEYS) do
    local entry = ARGV[i + 1]
    local current = redis.pcall('GETRANGE', key, 0, 20)
    if type(current) == 'table' or not string.find(current, '^%d+$') then
        redis.call('DEL', key)
        current = ''
    end
    if current < string.sub(entry, 1, 21) then
        redis.call('SET', key, entry, 'PX', ARGV[1])
        stored = stored + 1
    end
end
return stored
";

impl VersionedCache {
    /// `name` stands before each key; `ttl` bounds how old a value can get when an invalidation is lost.
    pub fn new(redis: Redis, name: &'static str, ttl: Duration) -> Self {
        Self {
            redis,
            name,
            ttl,
            store: Arc::new(Script::new(STORE_IF_NEWER)),
            hits: counter!("oneshelf_cache_hits_total", "cache" => name),
            misses: counter!("oneshelf_cache_misses_total", "cache" => name),
        }
    }

    /// Reads values in the order of `keys`; what is absent, outdated or unreadable is a miss.
    pub async fn get_many<K: Display>(&self, keys: &[K]) -> Vec<Option<Cached>> {
        if keys.is_empty() {
            return Vec::new();
        }
        let names: Vec<String> = keys.iter().map(|key| self.key(key)).collect();
        let entries = self
            .redis
            .ask(async |mut redis| cmd("MGET").arg(&names).query_async::<Vec<Option<Vec<u8>>>>(&mut redis).await)
            .await
            .filter(|entries| entries.len() == keys.len())
            .unwrap_or_else(|| vec![None; keys.len()]);
        let found: Vec<Option<Cached>> = entries.into_iter().map(|entry| decode(entry?)).collect();
        let hits = found.iter().flatten().count();
        self.hits.increment(hits as u64);
        self.misses.increment((found.len() - hits) as u64);
        found
    }

    /// Stores values, except over newer ones. Versions are not negative.
    pub async fn put_many<K: Display>(&self, values: &[(K, i64, &[u8])]) {
        let entries: Vec<_> =
            values.iter().map(|(key, version, value)| (self.key(key), encode(*version, VALUE, value))).collect();
        self.store(entries).await;
    }

    /// Makes values older than the given version misses, now and when a slow reader wants to store them later.
    pub async fn outdate_many<K: Display>(&self, keys: &[(K, i64)]) {
        let entries: Vec<_> =
            keys.iter().map(|(key, version)| (self.key(key), encode(*version, OUTDATED, b""))).collect();
        self.store(entries).await;
    }

    async fn store(&self, entries: Vec<(String, Vec<u8>)>) {
        for entries in entries.chunks(SCRIPT_KEYS) {
            let mut call = self.store.prepare_invoke();
            call.arg(self.ttl.as_millis().max(1) as u64);
            for (key, entry) in entries {
                call.key(key).arg(&entry[..]);
            }
            let stored = self.redis.ask(async |mut redis| call.invoke_async::<u64>(&mut redis).await).await;
            if stored.is_none() {
                return;
            }
        }
    }

    fn key(&self, key: impl Display) -> String {
        self.redis.name(format_args!("{}:{key}", self.name))
    }
}

fn encode(version: i64, mark: char, value: &[u8]) -> Vec<u8> {
    let mut entry = format!("{:0VERSION_DIGITS$}{mark}", version.max(0)).into_bytes();
    entry.extend_from_slice(value);
    entry
}

fn decode(entry: Vec<u8>) -> Option<Cached> {
    let (head, value) = entry.split_at_checked(VERSION_DIGITS + 1)?;
    let (version, mark) = std::str::from_utf8(head).ok()?.split_at_checked(VERSION_DIGITS)?;
    let version = version.parse().ok()?;
    (mark.starts_with(VALUE)).then(|| Cached { version, value: value.to_vec() })
}

/// What a receiver of wake-ups hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wake {
    /// Something happened to this.
    Topic(String),
    /// Wake-ups may have been lost: look at everything.
    All,
}

/// Wake-ups to all processes: "look again", best effort. Whoever waits for one must also look by itself now and then.
#[derive(Clone)]
pub struct Fanout {
    redis: Redis,
    channel: String,
    wakes: broadcast::Sender<Wake>,
}

impl Fanout {
    pub fn new(redis: Redis, name: &'static str) -> Self {
        let channel = redis.name(name);
        Self { redis, channel, wakes: broadcast::channel(WAKES).0 }
    }

    /// Wakes receivers in this process at once and those elsewhere through Redis. A receiver here may hear it twice.
    pub async fn publish(&self, topic: &str) {
        // No receiver here is no error.
        let _ = self.wakes.send(Wake::Topic(topic.to_owned()));
        self.redis
            .ask(async |mut redis| cmd("PUBLISH").arg(&self.channel).arg(topic).query_async::<()>(&mut redis).await)
            .await;
    }

    /// A receiver of wake-ups from now on.
    pub fn subscribe(&self) -> Wakes {
        Wakes(self.wakes.subscribe())
    }

    /// Listens to the other processes until stopped; spawn it once per fan-out.
    pub async fn run(self, stop: CancellationToken) -> Result<(), std::convert::Infallible> {
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                Err(error) = self.listen() => warn!(channel = self.channel, %error, "wake-ups interrupted"),
            }
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = sleep(RECONNECT_PAUSE) => {}
            }
        }
    }

    async fn listen(&self) -> Result<(), RedisError> {
        let mut connection = timeout(CONNECT_TIMEOUT, self.redis.0.client.get_async_pubsub())
            .await
            .unwrap_or_else(|_| Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()))?;
        connection.subscribe(&self.channel).await?;
        let _ = self.wakes.send(Wake::All);
        let mut messages = connection.into_on_message();
        while let Some(message) = messages.next().await {
            let _ = self.wakes.send(Wake::Topic(message.get_payload()?));
        }
        Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset).into())
    }
}

/// A receiver of wake-ups.
pub struct Wakes(broadcast::Receiver<Wake>);

impl Wakes {
    /// The next wake-up. One that fell behind hears [`Wake::All`]. Pending for ever when the fan-out is gone.
    pub async fn next(&mut self) -> Wake {
        match self.0.recv().await {
            Ok(wake) => wake,
            Err(broadcast::error::RecvError::Lagged(_)) => Wake::All,
            Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
        }
    }
}
