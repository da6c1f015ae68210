//! What an operator may set.

use std::time::Duration;

use oneshelf_kit::config::DatabaseConfig;
use serde::Deserialize;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub database: DatabaseConfig,
    /// Executors side by side; 0: as many as [`Config::writers`] finds right.
    #[serde(default)]
    pub writers: usize,
    /// Commands in one group at most.
    #[serde(default = "default_max_group")]
    pub max_group: usize,
    /// Commands that may wait; above, callers are told RESOURCE_EXHAUSTED at once.
    #[serde(default = "default_queue")]
    pub queue: usize,
    /// An availability answer is at most this old.
    #[serde(default = "default_availability_max_age_ms")]
    pub availability_max_age_ms: u64,
    /// (channel, SKU) pairs kept in the availability cache.
    #[serde(default = "default_availability_capacity")]
    pub availability_capacity: u64,
    /// How often expired holds are recorded.
    #[serde(default = "default_sweep_every_ms")]
    pub sweep_every_ms: u64,
    /// Bulk changes that run at a time; the others wait.
    #[serde(default = "default_bulk_writers")]
    pub bulk_writers: usize,
    /// How often a slice of the levels is compared with ledger and holds.
    #[serde(default = "default_reconcile_every_ms")]
    pub reconcile_every_ms: u64,
    /// How often the ledger's months are looked at: made ahead, closed behind.
    #[serde(default = "default_keep_ledger_every_ms")]
    pub keep_ledger_every_ms: u64,
    /// Units may stay held softly for this long, extensions and replacements included.
    #[serde(default = "default_longest_soft_hold_s")]
    pub longest_soft_hold_s: u64,
}

fn default_max_group() -> usize {
    512
}
fn default_queue() -> usize {
    4_096
}
fn default_availability_max_age_ms() -> u64 {
    250
}
fn default_availability_capacity() -> u64 {
    200_000
}
fn default_sweep_every_ms() -> u64 {
    1_000
}
fn default_bulk_writers() -> usize {
    2
}
fn default_reconcile_every_ms() -> u64 {
    2_000
}
fn default_keep_ledger_every_ms() -> u64 {
    60_000
}
fn default_longest_soft_hold_s() -> u64 {
    86_400
}

impl Config {
    /// Executors side by side: one for every two cores unless it is set, 1 to 4. One writer makes the largest groups and so
    /// has the least to do for each command; more use cores that would be idle.
    pub fn writers(&self) -> usize {
        let for_cores = || std::thread::available_parallelism().map_or(1, |cores| (cores.get() / 2).clamp(1, 4));
        if self.writers == 0 { for_cores() } else { self.writers }
    }

    /// A configuration with defaults for everything but the database.
    pub fn new(database: DatabaseConfig) -> Self {
        Self {
            database,
            writers: 0,
            max_group: default_max_group(),
            queue: default_queue(),
            availability_max_age_ms: default_availability_max_age_ms(),
            availability_capacity: default_availability_capacity(),
            sweep_every_ms: default_sweep_every_ms(),
            bulk_writers: default_bulk_writers(),
            reconcile_every_ms: default_reconcile_every_ms(),
            keep_ledger_every_ms: default_keep_ledger_every_ms(),
            longest_soft_hold_s: default_longest_soft_hold_s(),
        }
    }

    /// Refuses values that cannot work, naming the key.
    pub fn validate(&self) -> Result<(), String> {
        let bounds = [
            ("inventory.writers", self.writers as u64, 0, 16),
            ("inventory.max_group", self.max_group as u64, 1, 4_096),
            ("inventory.queue", self.queue as u64, 1, 100_000),
            ("inventory.availability_max_age_ms", self.availability_max_age_ms, 1, 60_000),
            ("inventory.availability_capacity", self.availability_capacity, 1, 100_000_000),
            ("inventory.sweep_every_ms", self.sweep_every_ms, 10, 60_000),
            ("inventory.bulk_writers", self.bulk_writers as u64, 1, 16),
            ("inventory.reconcile_every_ms", self.reconcile_every_ms, 10, 3_600_000),
            ("inventory.keep_ledger_every_ms", self.keep_ledger_every_ms, 10, 3_600_000),
            ("inventory.longest_soft_hold_s", self.longest_soft_hold_s, 1, 30 * 86_400),
        ];
        match bounds.iter().find(|(_, value, least, most)| !(least..=most).contains(&value)) {
            Some((key, value, least, most)) => Err(format!("{key} is {value}, must be {least} to {most}")),
            None => Ok(()),
        }
    }

    pub(crate) fn sweep_every(&self) -> Duration {
        Duration::from_millis(self.sweep_every_ms)
    }

    pub(crate) fn reconcile_every(&self) -> Duration {
        Duration::from_millis(self.reconcile_every_ms)
    }

    pub(crate) fn keep_ledger_every(&self) -> Duration {
        Duration::from_millis(self.keep_ledger_every_ms)
    }
}
