//! Whom a run speaks to.
//!
//! Where OneShelf serves already, a run needs its address and a key. Where nobody answers on this machine, and the
//! configuration says where the databases are, the run serves them itself: it brings the tables up to date and starts
//! `oneshelf serve all` as a child at that address, for as long as it lasts. Without a key it makes one in the same
//! databases and revokes it at the end.

use std::{
    fs::File,
    net::{SocketAddr, ToSocketAddrs as _},
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use chrono::TimeDelta;
use http::Uri;
use oneshelf_kit::{
    auth::{self, NewKey, Pepper, Scope},
    pg,
};
use oneshelf_values::Clock;
use secrecy::{ExposeSecret, SecretString};
use sqlx::PgPool;
use tokio::{
    net::TcpStream,
    process::{Child, Command},
};

use super::progress::Progress;
use crate::{BadConfig, config::Config, migrate};

const LOG: &str = ".local/replay-server.log";
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);
const SERVES_WITHIN: Duration = Duration::from_secs(60);
/// Longer than the server's own drain.
const STOPS_WITHIN: Duration = Duration::from_secs(25);
/// A run that is killed cannot revoke its key.
const KEY_LASTS: TimeDelta = TimeDelta::days(2);

pub struct Host {
    pub key: SecretString,
    made: Option<Made>,
    server: Option<Child>,
}

/// A key of our own.
struct Made {
    pool: PgPool,
    key_id: String,
}

impl Host {
    /// `config` is asked only where it is needed; `file` is what it is read from besides the environment.
    pub async fn find(
        target: &str,
        key: Option<SecretString>,
        config: impl FnOnce() -> Result<Config, BadConfig>,
        file: Option<&Path>,
        progress: &Progress,
    ) -> anyhow::Result<Self> {
        let address = resolve(target)?;
        let served = answers(&address).await;
        let key = key.filter(|key| !key.expose_secret().is_empty());
        if let (true, Some(key)) = (served, &key) {
            return Ok(Self { key: key.clone(), made: None, server: None });
        }
        let here = address.iter().find(|address| address.ip().is_loopback()).copied();
        ensure!(served || here.is_some(), "nobody answers at {target}");
        let config = config().map_err(|wrong| BadConfig(missing(target, served, &wrong)))?;
        let server = match here.filter(|_| !served) {
            None => None,
            Some(listen) => {
                progress.say(&format!("nobody answers at {target}: serving there while this runs (log: {LOG})"));
                migrate::run(&config).await?;
                Some(serve(listen, target, file).await?)
            }
        };
        let (key, made) = match key {
            Some(key) => (key, None),
            None => make_key(&config).await.map(|(key, made)| (key, Some(made)))?,
        };
        Ok(Self { key, made, server })
    }

    /// Leaves as it was found.
    pub async fn leave(self) -> anyhow::Result<()> {
        if let Some(Made { pool, key_id }) = self.made {
            auth::revoke_key(&pool, &Clock::system(), &key_id).await.context("revoking the key of this run")?;
        }
        if let Some(mut server) = self.server {
            if let Some(pid) = server.id() {
                Command::new("kill").args(["-TERM", &pid.to_string()]).status().await?;
            }
            if tokio::time::timeout(STOPS_WITHIN, server.wait()).await.is_err() {
                server.kill().await?;
            }
        }
        Ok(())
    }
}

/// What to do where the configuration would have helped.
fn missing(target: &str, served: bool, wrong: &BadConfig) -> String {
    let settings = "after `make infra-up`, `. .local/env` does";
    if served {
        format!(
            "no key: give one with --key or ONESHELF_KEY, or say where the databases are and the replay makes its own; \
             {settings} ({wrong})"
        )
    } else {
        format!(
            "nobody answers at {target}: start `oneshelf serve all`, or say where the databases are and the replay \
             serves them itself; {settings} ({wrong})"
        )
    }
}

/// Where a target's name leads.
fn resolve(target: &str) -> anyhow::Result<Vec<SocketAddr>> {
    let uri: Uri = target.parse().with_context(|| format!("--target {target}"))?;
    let host = uri.host().with_context(|| format!("--target {target} names no host"))?;
    let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 });
    let found = (host.trim_matches(['[', ']']), port).to_socket_addrs();
    Ok(found.with_context(|| format!("--target {target}"))?.collect())
}

async fn answers(address: &[SocketAddr]) -> bool {
    matches!(tokio::time::timeout(ANSWERS_WITHIN, TcpStream::connect(address)).await, Ok(Ok(_)))
}

/// This program again, serving everything, with its output in a file.
async fn serve(listen: SocketAddr, target: &str, file: Option<&Path>) -> anyhow::Result<Child> {
    let log = PathBuf::from(LOG);
    let folder = log.parent().expect("the log has a folder");
    std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    let out = File::create(&log).with_context(|| LOG.to_owned())?;
    let mut command = Command::new(std::env::current_exe()?);
    if let Some(file) = file {
        command.arg("--config").arg(file);
    }
    let mut server = command
        .args(["serve", "all"])
        .env("ONESHELF__SERVER__LISTEN", listen.to_string())
        .env("ONESHELF__SERVER__ADMIN_LISTEN", "127.0.0.1:0")
        .env("ONESHELF__CLIENTS__INVENTORY__URL", target)
        .env("ONESHELF__CLIENTS__PARTNERS__URL", target)
        .stdin(Stdio::null())
        .stdout(out.try_clone()?)
        .stderr(out)
        // Ctrl-C is for the run, which then stops its server in good order.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()?;
    let began = Instant::now();
    while !answers(&[listen]).await {
        if let Some(ended) = server.try_wait()? {
            bail!("the server did not start ({ended}); its log is in {LOG}");
        }
        ensure!(began.elapsed() < SERVES_WITHIN, "the server does not answer at {listen}; its log is in {LOG}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(server)
}

async fn make_key(config: &Config) -> anyhow::Result<(SecretString, Made)> {
    let pool = pg::connect(&config.access.database, "replay").await.context("access.database")?;
    let pepper = Pepper::try_new(&config.access.pepper).context("access.pepper")?;
    let clock = Clock::system();
    let new = NewKey {
        title: "replay".to_owned(),
        scopes: vec![Scope::parse("*").map_err(anyhow::Error::msg)?],
        channel: None,
        partner: None,
        expires_at: Some(clock.now() + KEY_LASTS),
    };
    let key = auth::create_key(&pool, &pepper, &clock, &new).await.context("making a key for this run")?;
    let key_id = key.expose_secret().split('_').nth(1).context("a key has an id")?.to_owned();
    Ok((key, Made { pool, key_id }))
}
