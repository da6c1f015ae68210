//! What an operator may set.

use std::time::Duration;

use oneshelf_kit::config::DatabaseConfig;
use serde::Deserialize;

use crate::usecases::Pace;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub database: DatabaseConfig,
    /// How often the timer looks for processes that nobody drives.
    #[serde(default = "default_redrive_every_ms")]
    pub redrive_every_ms: u64,
    /// Processes that the timer drives at a time.
    #[serde(default = "default_redrive_at_once")]
    pub redrive_at_once: usize,
    /// Whoever drives a process has this long per step before the timer takes over. Longer than four calls' timeouts.
    #[serde(default = "default_lease_ms")]
    pub lease_ms: u64,
    /// After so many failed tries of one step a process is parked: counted in sight, tried hourly.
    #[serde(default = "default_park_after")]
    pub park_after: i32,
}

fn default_redrive_every_ms() -> u64 {
    1_000
}
fn default_redrive_at_once() -> usize {
    16
}
fn default_lease_ms() -> u64 {
    30_000
}
fn default_park_after() -> i32 {
    12
}

impl Config {
    /// A configuration with defaults for everything but the database.
    pub fn new(database: DatabaseConfig) -> Self {
        Self {
            database,
            redrive_every_ms: default_redrive_every_ms(),
            redrive_at_once: default_redrive_at_once(),
            lease_ms: default_lease_ms(),
            park_after: default_park_after(),
        }
    }

    /// Refuses values that cannot work, naming the key.
    pub fn validate(&self) -> Result<(), String> {
        let bounds = [
            ("orders.redrive_every_ms", self.redrive_every_ms, 10, 60_000),
            ("orders.redrive_at_once", self.redrive_at_once as u64, 1, 256),
            ("orders.lease_ms", self.lease_ms, 1_000, 600_000),
            ("orders.park_after", u64::try_from(self.park_after).unwrap_or(0), 1, 1_000),
        ];
        match bounds.iter().find(|(_, value, least, most)| !(least..=most).contains(&value)) {
            Some((key, value, least, most)) => Err(format!("{key} is {value}, must be {least} to {most}")),
            None => Ok(()),
        }
    }

    pub(crate) fn pace(&self) -> Pace {
        Pace { lease: Duration::from_millis(self.lease_ms), park_after: self.park_after }
    }
}
