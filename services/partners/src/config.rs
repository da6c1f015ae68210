//! What an operator can set for this service.

use oneshelf_kit::{batch::Options, config::DatabaseConfig};
use serde::Deserialize;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub database: DatabaseConfig,
    #[serde(default)]
    pub credit: CreditConfig,
}

/// How credit commands are grouped (`kit::batch`).
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CreditConfig {
    /// Commands in one group, 1 to 4,096.
    pub max_group: usize,
    /// Commands that wait for one writer; beyond it callers are told to come back.
    pub queue: usize,
    /// Groups that run side by side, 1 to 16. Each takes a connection.
    pub writers: usize,
}

impl Default for CreditConfig {
    fn default() -> Self {
        let Options { max_group, queue, writers } = Options::default();
        Self { max_group, queue, writers }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("partners.credit.{key} must be {bounds}")]
pub struct InvalidConfig {
    key: &'static str,
    bounds: &'static str,
}

impl Config {
    pub fn validate(&self) -> Result<(), InvalidConfig> {
        let CreditConfig { max_group, queue, writers } = self.credit;
        let rules = [
            ("max_group", (1..=4_096).contains(&max_group), "1 to 4096"),
            ("queue", (1..=1_000_000).contains(&queue), "1 to 1000000"),
            ("writers", (1..=16).contains(&writers), "1 to 16"),
        ];
        match rules.into_iter().find(|(_, holds, _)| !holds) {
            Some((key, _, bounds)) => Err(InvalidConfig { key, bounds }),
            None => Ok(()),
        }
    }

    pub(crate) fn batch(&self) -> Options {
        let CreditConfig { max_group, queue, writers } = self.credit;
        Options { max_group, queue, writers }
    }
}
