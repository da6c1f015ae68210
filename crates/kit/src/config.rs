//! Configuration: a commented TOML of defaults, then one file, then the environment; the last one wins.
//!
//! | source | example |
//! |---|---|
//! | defaults and file | `[inventory.database]` `max_connections = 16` |
//! | environment | `ONESHELF__INVENTORY__DATABASE__MAX_CONNECTIONS=16` |
//! | environment, secret in a file | `ONESHELF__INVENTORY__DATABASE__URL_FILE=/run/secrets/url` (content, trimmed) |
//!
//! A double underscore separates levels; only variables that start with `ONESHELF__` are read. Every struct denies
//! unknown fields, so a misspelt key stops the start with a message that names it, before any port opens. Because
//! `_FILE` is taken, no key may end in `_file`.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use config::{Config, File, FileFormat, Value};
use secrecy::SecretString;
use serde::{Deserialize, de::DeserializeOwned};

const ENV_PREFIX: &str = "ONESHELF__";
const FILE_SUFFIX: &str = "_FILE";

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("configuration file {} cannot be read", path.display())]
    File { path: PathBuf, source: std::io::Error },
    #[error("{variable} names the file {}, which cannot be read", path.display())]
    SecretFile { variable: String, path: PathBuf, source: std::io::Error },
    #[error("{variable} and {variable}_FILE are both set: keep one")]
    SetTwice { variable: String },
    /// The text names the key, and the source where that is known.
    #[error("bad configuration: {0}")]
    Invalid(#[from] config::ConfigError),
}

/// Merges the three sources and parses them into `T`, which should deny unknown fields all the way down.
pub fn load<T: DeserializeOwned>(
    defaults_toml: &str,
    file: Option<&Path>,
    env: impl Iterator<Item = (String, String)>,
) -> Result<T, ConfigError> {
    let mut merged = Config::builder().add_source(File::from_str(defaults_toml, FileFormat::Toml));
    if let Some(path) = file {
        let text =
            std::fs::read_to_string(path).map_err(|source| ConfigError::File { path: path.to_owned(), source })?;
        merged = merged.add_source(File::from_str(&text, FileFormat::Toml));
    }
    for (key, variable, text) in overrides(env)? {
        merged = merged.set_override(key, Value::new(Some(&variable), text))?;
    }
    Ok(merged.build()?.try_deserialize()?)
}

/// The `(key, variable, value)` triples that the environment sets, secrets already read from their files.
fn overrides(env: impl Iterator<Item = (String, String)>) -> Result<Vec<(String, String, String)>, ConfigError> {
    let mut found: Vec<(String, String, String)> = Vec::new();
    for (variable, text) in env {
        let Some(path) = variable.strip_prefix(ENV_PREFIX) else {
            continue;
        };
        let (path, text) = match path.strip_suffix(FILE_SUFFIX) {
            None => (path, text),
            Some(path) => {
                let content = std::fs::read_to_string(&text).map_err(|source| ConfigError::SecretFile {
                    variable: variable.clone(),
                    path: PathBuf::from(&text),
                    source,
                })?;
                (path, content.trim().to_owned())
            }
        };
        let key = path.to_ascii_lowercase().replace("__", ".");
        if found.iter().any(|(other, ..)| *other == key) {
            let variable = format!("{ENV_PREFIX}{path}");
            return Err(ConfigError::SetTwice { variable });
        }
        found.push((key, variable, text));
    }
    Ok(found)
}

/// One service's PostgreSQL. The URL holds a password, so it is redacted in `Debug`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseConfig {
    pub url: SecretString,
    #[serde(default = "database::max_connections")]
    pub max_connections: u32,
    /// How long a request waits for a free connection before it is answered UNAVAILABLE.
    #[serde(default = "database::acquire_timeout_ms")]
    pub acquire_timeout_ms: u64,
    /// PostgreSQL cancels a statement that runs longer.
    #[serde(default = "database::statement_timeout_ms")]
    pub statement_timeout_ms: u64,
}

mod database {
    pub(super) fn max_connections() -> u32 {
        16
    }
    pub(super) fn acquire_timeout_ms() -> u64 {
        3_000
    }
    pub(super) fn statement_timeout_ms() -> u64 {
        30_000
    }
}

impl DatabaseConfig {
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: SecretString::from(url.into()),
            max_connections: database::max_connections(),
            acquire_timeout_ms: database::acquire_timeout_ms(),
            statement_timeout_ms: database::statement_timeout_ms(),
        }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RedisConfig {
    pub url: SecretString,
    /// Set before every key and channel, so that installations (and tests) can share a Redis.
    #[serde(default)]
    pub namespace: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RabbitConfig {
    pub url: SecretString,
    /// Set before every exchange and queue name; empty in production, one per test in tests.
    #[serde(default)]
    pub namespace: String,
    /// Unacknowledged deliveries that a consumer may hold; it handles at most as many together.
    #[serde(default = "rabbit::prefetch")]
    pub prefetch: u16,
    /// A publish that the broker has not confirmed by then is sent again later. At least 15 s: a broker that
    /// restarts needs about 8 s to confirm what it already stored.
    #[serde(default = "rabbit::confirm_timeout_ms")]
    pub confirm_timeout_ms: u64,
}

mod rabbit {
    pub(super) fn prefetch() -> u16 {
        256
    }
    pub(super) fn confirm_timeout_ms() -> u64 {
        15_000
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TelemetryConfig {
    /// Filter of log lines and spans, as in `info,sqlx=warn`.
    pub log: String,
    pub json: bool,
    /// Where traces go (OTLP over gRPC, `http://collector:4317`); none: nothing is exported.
    pub otlp_endpoint: Option<String>,
    /// Share of new traces that is exported, 0 to 1; a caller's own decision is followed.
    pub otlp_sample_ratio: f64,
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        Self { log: "info".to_owned(), json: false, otlp_endpoint: None, otlp_sample_ratio: 1.0 }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerConfig {
    /// gRPC and gRPC-Web.
    pub listen: SocketAddr,
    /// Health, readiness and metrics over HTTP; never public.
    pub admin_listen: SocketAddr,
    /// Largest request message; a larger one is refused before it is read.
    pub max_message_bytes: usize,
    /// Unary calls in progress; the next one is refused with RESOURCE_EXHAUSTED.
    pub concurrency_limit: usize,
    /// Open streaming calls; the next one is refused with RESOURCE_EXHAUSTED.
    pub stream_limit: usize,
    /// Deadline of a unary call that brings none.
    pub default_deadline_ms: u64,
    /// A longer deadline is shortened to this.
    pub max_deadline_ms: u64,
    /// A connection older than this is closed gently, so that clients spread over new replicas.
    pub max_connection_age_s: u64,
    /// Work in progress at a stop gets this long.
    pub drain_ms: u64,
    /// Origins whose pages may call with gRPC-Web; `*` for any.
    pub web_origins: Vec<String>,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 7400)),
            admin_listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 7401)),
            max_message_bytes: 4 * 1024 * 1024,
            concurrency_limit: 2_048,
            stream_limit: 2_048,
            default_deadline_ms: 10_000,
            max_deadline_ms: 60_000,
            max_connection_age_s: 30 * 60,
            drain_ms: 20_000,
            web_origins: vec!["*".to_owned()],
        }
    }
}

impl ServerConfig {
    pub fn drain(&self) -> Duration {
        Duration::from_millis(self.drain_ms)
    }
}

/// API keys: where they are kept and how they are checked.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessConfig {
    pub database: DatabaseConfig,
    /// Keyed hash of API keys, and the root of the services' own keys. The same in every process of an
    /// installation; changing it invalidates all keys.
    pub pepper: SecretString,
    /// A revoked key works at most this long; values above 30 count as 30.
    #[serde(default = "access::cache_ttl_s")]
    pub cache_ttl_s: u64,
    /// Requests per second and key in one process.
    #[serde(default = "access::rate_limit_per_s")]
    pub rate_limit_per_s: u32,
}

mod access {
    pub(super) fn cache_ttl_s() -> u64 {
        15
    }
    pub(super) fn rate_limit_per_s() -> u32 {
        100_000
    }
}

impl AccessConfig {
    pub fn new(database: DatabaseConfig, pepper: impl Into<String>) -> Self {
        Self {
            database,
            pepper: SecretString::from(pepper.into()),
            cache_ttl_s: access::cache_ttl_s(),
            rate_limit_per_s: access::rate_limit_per_s(),
        }
    }
}

/// Another OneShelf service, called by gRPC.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientConfig {
    /// `http://host:port`
    pub url: String,
    /// Deadline of a call made outside a request; inside one, the request's own remaining time counts if shorter.
    #[serde(default = "client::timeout_ms")]
    pub timeout_ms: u64,
}

mod client {
    pub(super) fn timeout_ms() -> u64 {
        5_000
    }
}

impl ClientConfig {
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), timeout_ms: client::timeout_ms() }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use secrecy::ExposeSecret as _;

    use super::*;

    const DEFAULTS: &str = r#"
        [server]
        listen = "127.0.0.1:7400"
        [inventory.database]
        url = "postgres://localhost/oneshelf"
        max_connections = 8
    "#;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Example {
        server: ServerConfig,
        inventory: Inventory,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inventory {
        database: DatabaseConfig,
    }

    fn load_with(env: &[(&str, &str)]) -> Result<Example, ConfigError> {
        let env = env.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned()));
        load(DEFAULTS, None, env)
    }

    fn file_with(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    #[test]
    fn the_environment_wins_over_the_file_and_the_file_over_the_defaults() {
        let file = file_with("[inventory.database]\nmax_connections = 9\nstatement_timeout_ms = 7");
        let env = [("ONESHELF__INVENTORY__DATABASE__MAX_CONNECTIONS".to_owned(), "10".to_owned())];
        let loaded: Example = load(DEFAULTS, Some(file.path()), env.into_iter()).unwrap();
        assert_eq!(loaded.inventory.database.max_connections, 10);
        assert_eq!(loaded.inventory.database.statement_timeout_ms, 7);
        assert_eq!(loaded.inventory.database.acquire_timeout_ms, 3_000);
        assert_eq!(loaded.server.listen.port(), 7400);
    }

    #[test]
    fn other_variables_are_not_read() {
        load_with(&[("ONESHELF_CONFIG", "x"), ("PATH", "/bin")]).unwrap();
    }

    #[test]
    fn an_unknown_key_is_named() {
        let error = load_with(&[("ONESHELF__SERVER__LISSEN", "127.0.0.1:1")]).unwrap_err();
        assert!(error.to_string().contains("lissen"), "{error}");
        let error = load_with(&[("ONESHELF__WAREHOUSE__X", "1")]).unwrap_err();
        assert!(error.to_string().contains("warehouse"), "{error}");
    }

    #[test]
    fn a_bad_value_names_its_key() {
        let error = load_with(&[("ONESHELF__SERVER__LISTEN", "nowhere")]).unwrap_err();
        assert!(error.to_string().contains("server.listen"), "{error}");
        let error = load_with(&[("ONESHELF__SERVER__CONCURRENCY_LIMIT", "many")]).unwrap_err();
        assert!(error.to_string().contains("server.concurrency_limit"), "{error}");
    }

    #[test]
    fn a_secret_may_come_from_a_file_and_is_trimmed() {
        let file = file_with("postgres://db/prod\n");
        let path = file.path().to_str().unwrap();
        let loaded = load_with(&[("ONESHELF__INVENTORY__DATABASE__URL_FILE", path)]).unwrap();
        assert_eq!(loaded.inventory.database.url.expose_secret(), "postgres://db/prod");
    }

    #[test]
    fn a_missing_secret_file_names_the_variable() {
        let error = load_with(&[("ONESHELF__INVENTORY__DATABASE__URL_FILE", "/nowhere/at/all")]).unwrap_err();
        assert!(error.to_string().contains("ONESHELF__INVENTORY__DATABASE__URL_FILE"), "{error}");
    }

    #[test]
    fn a_value_and_its_file_together_are_refused() {
        let file = file_with("b");
        let error = load_with(&[
            ("ONESHELF__INVENTORY__DATABASE__URL", "a"),
            ("ONESHELF__INVENTORY__DATABASE__URL_FILE", file.path().to_str().unwrap()),
        ])
        .unwrap_err();
        assert!(matches!(error, ConfigError::SetTwice { .. }), "{error}");
    }

    #[test]
    fn secrets_are_never_printed() {
        let loaded = load_with(&[("ONESHELF__INVENTORY__DATABASE__URL", "postgres://me:hunter2@db/x")]).unwrap();
        assert!(!format!("{loaded:?}").contains("hunter2"));
    }
}
