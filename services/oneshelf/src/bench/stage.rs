//! What a run is measured on: a database of its own, a server as a child process, and the bare echo as another.

use std::{
    fs::File,
    net::SocketAddr,
    path::PathBuf,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use oneshelf_kit::{
    auth::{self, NewKey, Pepper, Scope},
    config::ClientConfig,
    grpc::client::{ClientChannel, connect_lazy},
    pg,
};
use oneshelf_values::Clock;
use secrecy::{ExposeSecret, SecretString};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, PgPool, postgres::PgConnectOptions};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    process::{Child, Command},
};

use super::{
    cpu::{self, Meter},
    echo,
    machine::host_and_port,
    queues,
};
use crate::{api::Api, config::Config, migrate, verify};

/// Made at the start and dropped at the end.
pub const DATABASE: &str = "oneshelf_bench";
/// Before every exchange, queue and Redis key.
const NAMESPACE: &str = "bench";
const READY_WITHIN: Duration = Duration::from_secs(30);
const QUIET_WITHIN: Duration = Duration::from_secs(180);

pub struct Stage {
    pub config: Config,
    pub options: PgConnectOptions,
    pub pool: PgPool,
    pub clock: Clock,
    /// One per connection.
    pub apis: Vec<Api>,
    pub echoes: Vec<ClientChannel>,
    pub meter: Meter,
    key: SecretString,
    admin: PgConnectOptions,
    admin_listen: SocketAddr,
    server: Child,
    echo: Child,
}

impl Stage {
    /// `admin` is the address of a role that may create databases.
    pub async fn raise(
        mut config: Config,
        admin: &SecretString,
        connections: usize,
        commit_delay_us: u32,
    ) -> anyhow::Result<Self> {
        let admin: PgConnectOptions = admin.expose_secret().parse().context("DATABASE_URL")?;
        let mut conn = PgConnection::connect_with(&admin).await.context("DATABASE_URL")?;
        recreate(&mut conn).await?;
        delay_commits(&mut conn, commit_delay_us).await?;
        conn.close().await?;
        let options = admin.clone().database(DATABASE);
        let url = options.to_url_lossy().to_string();
        set_addresses(&mut config, &url).await?;
        queues::delete(&config).await?;
        migrate::run(&config).await?;

        let pool = pg::connect(&config.access.database, "bench").await?;
        let clock = Clock::system();
        let key = make_key(&config, &pool, &clock).await?;
        let admin_listen = config.server.admin_listen;
        let server = serve(&config, &url, "all", "server.log")?;
        let echo_listen = free_address().await?;
        let echo = child("echo.log", &["bench-echo", "--listen", &echo_listen.to_string()])?
            .env(echo::DATABASE_URL, &url)
            .spawn()?;
        ready(admin_listen).await?;
        let apis = connect(&config, &key, connections)?;
        let echo_config = ClientConfig::new(format!("http://{echo_listen}"));
        let echoes = (0..connections).map(|_| connect_lazy(&echo_config, &key)).collect::<Result<_, _>>()?;
        let meter = Meter::new()
            .process("server", server.id())
            .process("echo", echo.id())
            .process("rabbitmq", listener(&config.rabbitmq.url))
            .process("redis", listener(&config.redis.url))
            .postgres(cpu::listener(options.get_port()), DATABASE);
        Ok(Self { config, options, pool, clock, apis, echoes, meter, key, admin, admin_listen, server, echo })
    }

    /// Another process of inventory on the same database.
    pub async fn twin(&self, connections: usize) -> anyhow::Result<Twin> {
        let mut config = self.config.clone();
        config.server.listen = free_address().await?;
        config.server.admin_listen = free_address().await?;
        let server = serve(&config, self.options.to_url_lossy().as_str(), "inventory", "twin.log")?;
        ready(config.server.admin_listen).await?;
        let apis = connect(&config, &self.key, connections)?;
        Ok(Twin { apis, server })
    }

    /// Waits until every fact is published, so that the invariants can be looked at, and says how long that took.
    pub async fn settle(&self) -> anyhow::Result<Duration> {
        let begin = Instant::now();
        let waiting = ["catalog", "inventory", "orders", "partners", "loyalty", "channels"]
            .map(|schema| format!("EXISTS (SELECT FROM {schema}.outbox_packs WHERE published_at IS NULL)"))
            .join(" OR ");
        loop {
            let statement = AssertSqlSafe(format!("SELECT {waiting}"));
            if !sqlx::query_scalar::<_, bool>(statement).fetch_one(&self.pool).await? {
                return Ok(begin.elapsed());
            }
            ensure!(begin.elapsed() < QUIET_WITHIN, "facts are still unpublished after {QUIET_WITHIN:?}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Checks every invariant of the bench's database; says how many there are and what is broken.
    pub async fn verify(&self) -> anyhow::Result<(usize, Vec<String>)> {
        let checks = verify::all(&self.config).await?;
        let broken = checks
            .iter()
            .filter(|check| check.violations > 0)
            .map(|check| format!("{}: {} violations ({})", check.id, check.violations, check.offenders.join("; ")))
            .collect();
        Ok((checks.len(), broken))
    }

    /// The value of a metric of the server, summed over its labels.
    pub async fn metric(&self, name: &str) -> anyhow::Result<f64> {
        let text = get(self.admin_listen, "/metrics").await?;
        let of_name = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']));
        Ok(text.lines().filter(of_name).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum())
    }

    /// Resident memory of the server in MiB; 0 where `/proc` does not say.
    pub async fn server_memory(&self) -> f64 {
        memory(&self.server, "VmRSS:").await
    }

    /// More connections to the server, each with its own bound on requests in flight.
    pub fn connect(&self, connections: usize) -> anyhow::Result<Vec<Api>> {
        connect(&self.config, &self.key, connections)
    }

    /// Stops the children, drops the database and deletes the queues.
    pub async fn strike(mut self) -> anyhow::Result<()> {
        self.echo.kill().await?;
        stop(&mut self.server).await?;
        queues::delete(&self.config).await?;
        self.pool.close().await;
        let mut conn = PgConnection::connect_with(&self.admin).await?;
        drop_database(&mut conn).await?;
        Ok(conn.close().await?)
    }
}

/// The second process of two.
pub struct Twin {
    pub apis: Vec<Api>,
    server: Child,
}

impl Twin {
    /// The most resident memory that it ever had, in MiB; 0 where `/proc` does not say.
    pub async fn memory_peak(&self) -> f64 {
        memory(&self.server, "VmHWM:").await
    }

    pub async fn strike(mut self) -> anyhow::Result<()> {
        stop(&mut self.server).await
    }
}

fn connect(config: &Config, key: &SecretString, connections: usize) -> anyhow::Result<Vec<Api>> {
    let target = format!("http://{}", config.server.listen);
    (0..connections).map(|_| Api::connect(&target, key)).collect()
}

/// A line of a process's status, in MiB.
async fn memory(process: &Child, name: &str) -> f64 {
    let Some(pid) = process.id() else { return 0.0 };
    let status = tokio::fs::read_to_string(format!("/proc/{pid}/status")).await.unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kib.unwrap_or_default() / 1_024.0
}

/// Asks a server to end, and ends it if it does not.
async fn stop(server: &mut Child) -> anyhow::Result<()> {
    if let Some(pid) = server.id() {
        Command::new("kill").args(["-TERM", &pid.to_string()]).status().await?;
    }
    if tokio::time::timeout(Duration::from_secs(25), server.wait()).await.is_err() {
        server.kill().await?;
    }
    Ok(())
}

async fn drop_database(conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    let statement = format!("DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)");
    sqlx::query(AssertSqlSafe(statement)).execute(conn).await.map(drop)
}

async fn recreate(conn: &mut PgConnection) -> anyhow::Result<()> {
    drop_database(conn).await.context("dropping what an earlier run left")?;
    sqlx::query(AssertSqlSafe(format!("CREATE DATABASE {DATABASE} TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C'")))
        .execute(conn)
        .await
        .context("DATABASE_URL must name a role that may create databases")?;
    Ok(())
}

/// As on a slow disk: whoever flushes the log waits before, also for nobody. Holds for all sessions of the database.
async fn delay_commits(conn: &mut PgConnection, micros: u32) -> anyhow::Result<()> {
    if micros > 0 {
        for setting in [format!("commit_delay = {micros}"), "commit_siblings = 0".to_owned()] {
            let statement = format!("ALTER DATABASE {DATABASE} SET {setting}");
            sqlx::query(AssertSqlSafe(statement)).execute(&mut *conn).await.context("--commit-delay-us")?;
        }
    }
    Ok(())
}

/// Everything in the one database, on ports and in namespaces of its own.
async fn set_addresses(config: &mut Config, url: &str) -> anyhow::Result<()> {
    let databases = [
        &mut config.access.database,
        &mut config.catalog.database,
        &mut config.inventory.database,
        &mut config.orders.database,
        &mut config.partners.database,
        &mut config.loyalty.database,
        &mut config.channels.database,
    ];
    for database in databases {
        database.url = SecretString::from(url.to_owned());
    }
    config.server.listen = free_address().await?;
    config.server.admin_listen = free_address().await?;
    NAMESPACE.clone_into(&mut config.rabbitmq.namespace);
    NAMESPACE.clone_into(&mut config.redis.namespace);
    Ok(())
}

async fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0").await?.local_addr()?)
}

fn serve(config: &Config, url: &str, services: &str, log: &str) -> anyhow::Result<Child> {
    let mut command = child(log, &["serve", services])?;
    for name in ["ACCESS", "CATALOG", "INVENTORY", "ORDERS", "PARTNERS", "LOYALTY", "CHANNELS"] {
        command.env(format!("ONESHELF__{name}__DATABASE__URL"), url);
        command.env_remove(format!("ONESHELF__{name}__DATABASE__URL_FILE"));
    }
    let own = format!("http://{}", config.server.listen);
    command
        .env("ONESHELF__SERVER__LISTEN", config.server.listen.to_string())
        .env("ONESHELF__SERVER__ADMIN_LISTEN", config.server.admin_listen.to_string())
        .env("ONESHELF__RABBITMQ__NAMESPACE", NAMESPACE)
        .env("ONESHELF__REDIS__NAMESPACE", NAMESPACE)
        .env("ONESHELF__CLIENTS__INVENTORY__URL", &own)
        .env("ONESHELF__CLIENTS__PARTNERS__URL", &own)
        .env("ONESHELF__TELEMETRY__LOG", "warn");
    Ok(command.spawn()?)
}

/// This program again, with its output in a file. It ends when we do.
fn child(log: &str, args: &[&str]) -> anyhow::Result<Command> {
    let path = scratch()?.join(log);
    let log = File::create(&path).with_context(|| path.display().to_string())?;
    let mut command = Command::new(std::env::current_exe()?);
    command.args(args).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).kill_on_drop(true);
    Ok(command)
}

/// A directory for logs and scripts.
pub fn scratch() -> anyhow::Result<PathBuf> {
    let path = std::env::temp_dir().join("oneshelf-bench");
    std::fs::create_dir_all(&path).with_context(|| path.display().to_string())?;
    Ok(path)
}

async fn make_key(config: &Config, pool: &PgPool, clock: &Clock) -> anyhow::Result<SecretString> {
    let pepper = Pepper::try_new(&config.access.pepper).context("access.pepper")?;
    let key = NewKey {
        title: "bench".to_owned(),
        scopes: vec![Scope::parse("*").map_err(anyhow::Error::msg)?],
        channel: None,
        partner: None,
        expires_at: None,
    };
    Ok(auth::create_key(pool, &pepper, clock, &key).await?)
}

async fn ready(admin: SocketAddr) -> anyhow::Result<()> {
    let begin = Instant::now();
    loop {
        match get(admin, "/readyz").await {
            Ok(answer) if answer.lines().next().is_some_and(|status| status.contains(" 200 ")) => return Ok(()),
            _ if begin.elapsed() < READY_WITHIN => tokio::time::sleep(Duration::from_millis(100)).await,
            Ok(answer) => bail!("the server did not become ready; its log is in {}: {answer}", scratch()?.display()),
            Err(error) => return Err(error.context(format!("the server's log is in {}", scratch()?.display()))),
        }
    }
}

/// The smallest HTTP client.
async fn get(address: SocketAddr, path: &str) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn listener(url: &SecretString) -> Option<u32> {
    host_and_port(url).and_then(|(_, port)| cpu::listener(port))
}
