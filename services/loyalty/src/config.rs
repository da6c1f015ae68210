//! What an operator can set for this service.

use std::convert::Infallible;

use oneshelf_kit::config::DatabaseConfig;
use serde::Deserialize;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub database: DatabaseConfig,
}

impl Config {
    /// So far every value that can be read is a valid one.
    pub fn validate(&self) -> Result<(), Infallible> {
        Ok(())
    }
}
