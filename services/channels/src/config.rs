//! What an operator may set.

use std::time::Duration;

use oneshelf_kit::config::DatabaseConfig;
use serde::Deserialize;

use crate::usecases::Pace;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub database: DatabaseConfig,
    /// How often a subscription looks at the database when no wake-up comes.
    #[serde(default = "default_subscribe_poll_ms")]
    pub subscribe_poll_ms: u64,
    /// A subscription says something at least this often, so that a dead connection is noticed.
    #[serde(default = "default_subscribe_heartbeat_ms")]
    pub subscribe_heartbeat_ms: u64,
    /// How often prices whose window starts or ends are shown or taken back.
    #[serde(default = "default_activate_prices_every_ms")]
    pub activate_prices_every_ms: u64,
}

fn default_subscribe_poll_ms() -> u64 {
    500
}
fn default_subscribe_heartbeat_ms() -> u64 {
    15_000
}
fn default_activate_prices_every_ms() -> u64 {
    1_000
}

impl Config {
    /// A configuration with defaults for everything but the database.
    pub fn new(database: DatabaseConfig) -> Self {
        Self {
            database,
            subscribe_poll_ms: default_subscribe_poll_ms(),
            subscribe_heartbeat_ms: default_subscribe_heartbeat_ms(),
            activate_prices_every_ms: default_activate_prices_every_ms(),
        }
    }

    /// Refuses values that cannot work, naming the key.
    pub fn validate(&self) -> Result<(), String> {
        let bounds = [
            ("channels.subscribe_poll_ms", self.subscribe_poll_ms, 10, 60_000),
            ("channels.subscribe_heartbeat_ms", self.subscribe_heartbeat_ms, 100, 600_000),
            ("channels.activate_prices_every_ms", self.activate_prices_every_ms, 10, 60_000),
        ];
        match bounds.iter().find(|(_, value, least, most)| !(least..=most).contains(&value)) {
            Some((key, value, least, most)) => Err(format!("{key} is {value}, must be {least} to {most}")),
            None => Ok(()),
        }
    }

    pub(crate) fn pace(&self) -> Pace {
        Pace {
            poll: Duration::from_millis(self.subscribe_poll_ms),
            heartbeat: Duration::from_millis(self.subscribe_heartbeat_ms),
        }
    }

    pub(crate) fn activate_prices_every(&self) -> Duration {
        Duration::from_millis(self.activate_prices_every_ms)
    }
}
