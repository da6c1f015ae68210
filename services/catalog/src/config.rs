//! What an operator may set.

use std::time::Duration;

use oneshelf_kit::config::DatabaseConfig;
use serde::Deserialize;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub database: DatabaseConfig,
    /// How long a quote is good for.
    #[serde(default = "default_quote_ttl_s")]
    pub quote_ttl_s: u64,
    /// How often a replica looks for what others have published. Its own publishes it sees at once.
    #[serde(default = "default_refresh_every_ms")]
    pub refresh_every_ms: u64,
}

fn default_quote_ttl_s() -> u64 {
    900
}
fn default_refresh_every_ms() -> u64 {
    500
}

impl Config {
    /// A configuration with defaults for everything but the database.
    pub fn new(database: DatabaseConfig) -> Self {
        Self { database, quote_ttl_s: default_quote_ttl_s(), refresh_every_ms: default_refresh_every_ms() }
    }

    /// Refuses values that cannot work, naming the key.
    pub fn validate(&self) -> Result<(), String> {
        let bounds = [
            ("catalog.quote_ttl_s", self.quote_ttl_s, 1, 24 * 60 * 60),
            ("catalog.refresh_every_ms", self.refresh_every_ms, 10, 60_000),
        ];
        match bounds.iter().find(|(_, value, least, most)| !(least..=most).contains(&value)) {
            Some((key, value, least, most)) => Err(format!("{key} is {value}, must be {least} to {most}")),
            None => Ok(()),
        }
    }

    pub(crate) fn quote_ttl(&self) -> Duration {
        Duration::from_secs(self.quote_ttl_s)
    }

    pub(crate) fn refresh_every(&self) -> Duration {
        Duration::from_millis(self.refresh_every_ms)
    }
}
