//! What the figures were measured on.

use std::{fmt, path::Path, time::Duration};

use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::stage::Stage;

#[derive(Debug, Serialize)]
pub struct Machine {
    pub cores: usize,
    pub memory_gib: u64,
    pub processor: String,
    pub kernel: String,
    pub postgresql: String,
    pub synchronous_commit: String,
    pub commit_delay: String,
    pub redis: String,
    pub rabbitmq: String,
    pub oneshelf: &'static str,
}

impl Machine {
    pub async fn look(stage: &Stage) -> anyhow::Result<Self> {
        let show = async |setting: &'static str| {
            sqlx::query_scalar::<_, String>("SELECT current_setting($1)").bind(setting).fetch_one(&stage.pool).await
        };
        Ok(Self {
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_gib: kib_of_memory().unwrap_or_default().div_ceil(1024 * 1024),
            processor: processor().unwrap_or_default(),
            kernel: read("/proc/sys/kernel/osrelease"),
            postgresql: show("server_version").await?,
            synchronous_commit: show("synchronous_commit").await?,
            commit_delay: show("commit_delay").await?,
            redis: redis_version(&stage.config.redis.url).await.unwrap_or_else(unknown),
            rabbitmq: rabbitmq_version(&stage.config.rabbitmq.url).await.unwrap_or_else(unknown),
            oneshelf: env!("CARGO_PKG_VERSION"),
        })
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cores, memory_gib, processor, kernel, postgresql, redis, rabbitmq, oneshelf, .. } = self;
        let Self { synchronous_commit, commit_delay, .. } = self;
        write!(
            f,
            "oneshelf {oneshelf}; {cores} cores ({processor}), {memory_gib} GiB, Linux {kernel}; PostgreSQL {postgresql} \
             (synchronous_commit {synchronous_commit}, commit_delay {commit_delay}), Redis {redis}, RabbitMQ {rabbitmq}"
        )
    }
}

fn read(path: impl AsRef<Path>) -> String {
    std::fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

fn value_of(table: &str, key: &str) -> Option<String> {
    table.lines().find_map(|line| Some(line.strip_prefix(key)?.split_once(':')?.1.trim().to_owned()))
}

fn processor() -> Option<String> {
    value_of(&read("/proc/cpuinfo"), "model name")
}

fn kib_of_memory() -> Option<u64> {
    value_of(&read("/proc/meminfo"), "MemTotal")?.split(' ').next()?.parse().ok()
}

fn unknown() -> String {
    "of unknown version".to_owned()
}

async fn redis_version(url: &SecretString) -> Option<String> {
    let (credentials, _) = url.expose_secret().split_once("://")?.1.rsplit_once('@').unwrap_or_default();
    let password = credentials.rsplit_once(':').map_or("", |(_, password)| password);
    let login = if password.is_empty() { String::new() } else { format!("AUTH {password}\r\n") };
    let said = converse(url, format!("{login}INFO server\r\n").as_bytes()).await?;
    value_of(&String::from_utf8_lossy(&said), "redis_version")
}

/// The broker introduces itself to whoever says hello, in a table of names and texts.
async fn rabbitmq_version(url: &SecretString) -> Option<String> {
    let said = converse(url, b"AMQP\x00\x00\x09\x01").await?;
    let name = b"\x07versionS";
    let at = said.windows(name.len()).position(|window| window == name)? + name.len();
    let length = u32::from_be_bytes(said.get(at..at + 4)?.try_into().ok()?) as usize;
    String::from_utf8(said.get(at + 4..at + 4 + length)?.to_vec()).ok()
}

/// Says one thing and hears what comes within a moment.
async fn converse(url: &SecretString, words: &[u8]) -> Option<Vec<u8>> {
    let (host, port) = host_and_port(url)?;
    let mut stream = TcpStream::connect((host, port)).await.ok()?;
    stream.write_all(words).await.ok()?;
    let mut said = Vec::new();
    let mut part = [0; 4_096];
    while let Ok(Ok(read @ 1..)) = tokio::time::timeout(Duration::from_millis(300), stream.read(&mut part)).await {
        said.extend_from_slice(&part[..read]);
    }
    Some(said)
}

/// Of an address like `amqp://user:password@host:port/vhost`.
pub fn host_and_port(url: &SecretString) -> Option<(&str, u16)> {
    let (_, rest) = url.expose_secret().split_once("://")?;
    let authority = rest.split(['/', '?']).next()?;
    let (host, port) = authority.rsplit_once('@').map_or(authority, |(_, host)| host).rsplit_once(':')?;
    Some((host, port.parse().ok()?))
}
