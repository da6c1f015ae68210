//! The configuration of a process: one tree, checked whole before anything starts.

use std::{path::Path, str::FromStr};

use anyhow::{Context, bail};
use oneshelf_kit::{
    auth::Pepper,
    broker::Broker,
    config::{AccessConfig, ClientConfig, RabbitConfig, RedisConfig, ServerConfig, TelemetryConfig, load},
    redis::Redis,
};
use oneshelf_pricing::{KeyRing, SigningKey};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use sqlx::postgres::PgConnectOptions;

use crate::migrate;

/// The commented defaults, which are also the reference of all keys.
pub const DEFAULTS: &str = include_str!("../../../deploy/oneshelf.default.toml");

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub server: ServerConfig,
    pub telemetry: TelemetryConfig,
    pub access: AccessConfig,
    pub redis: RedisConfig,
    pub rabbitmq: RabbitConfig,
    pub quotes: QuotesConfig,
    pub clients: ClientsConfig,
    pub catalog: oneshelf_catalog::config::Config,
    pub inventory: oneshelf_inventory::config::Config,
    pub orders: oneshelf_orders::config::Config,
    pub partners: oneshelf_partners::config::Config,
    pub loyalty: oneshelf_loyalty::config::Config,
    pub channels: oneshelf_channels::config::Config,
}

/// The keys that sign and check quotes: shared by catalog and orders.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuotesConfig {
    /// Names the signing key inside quotes.
    pub key_id: String,
    /// At least 32 characters.
    pub key: SecretString,
    /// The pair before the last rotation: still accepted, no longer used to sign.
    pub previous_key_id: Option<String>,
    pub previous_key: Option<SecretString>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientsConfig {
    pub inventory: ClientConfig,
    pub partners: ClientConfig,
}

impl Config {
    /// Defaults, then the file, then the environment; every service's own checks included.
    pub fn load(file: Option<&Path>) -> anyhow::Result<Self> {
        let config: Self = load(DEFAULTS, file, std::env::vars())?;
        config.validate()?;
        Ok(config)
    }

    /// What must be set to run these services: their own databases and that of the callers' keys. A process needs no more.
    pub fn require(&self, services: &[&str]) -> anyhow::Result<()> {
        let unset = crate::migrate::schemas(self)
            .into_iter()
            .filter(|(name, ..)| *name == "access" || services.contains(name))
            .find(|(_, _, database)| database.url.expose_secret().is_empty());
        if let Some((name, ..)) = unset {
            bail!("bad configuration: {name}.database.url is not set");
        }
        Ok(())
    }

    fn validate(&self) -> anyhow::Result<()> {
        let checks = [
            self.catalog.validate(),
            self.inventory.validate(),
            self.orders.validate(),
            self.partners.validate().map_err(|wrong| wrong.to_string()),
            self.loyalty.validate().map_err(|wrong| wrong.to_string()),
            self.channels.validate(),
        ];
        if let Some(wrong) = checks.into_iter().find_map(Result::err) {
            bail!("bad configuration: {wrong}");
        }
        self.quotes.key_ring().context("bad configuration: quotes.key")?;
        Pepper::try_new(&self.access.pepper).context("bad configuration: access.pepper")?;
        Redis::new(&self.redis).context("bad configuration: redis.url")?;
        Broker::new(&self.rabbitmq).context("bad configuration: rabbitmq.url")?;
        // What is not set may not be needed: see `require`.
        let set =
            migrate::schemas(self).into_iter().filter(|(_, _, database)| !database.url.expose_secret().is_empty());
        for (name, _, database) in set {
            let url = PgConnectOptions::from_str(database.url.expose_secret());
            url.with_context(|| format!("bad configuration: {name}.database.url"))?;
        }
        Ok(())
    }
}

impl QuotesConfig {
    /// The ring that signs with the current key and still accepts the previous one.
    pub fn key_ring(&self) -> anyhow::Result<KeyRing> {
        let mut keys = vec![(self.key_id.clone(), signing_key(&self.key)?)];
        match (&self.previous_key_id, &self.previous_key) {
            (Some(id), Some(key)) => keys.push((id.clone(), signing_key(key)?)),
            (None, None) => {}
            _ => bail!("quotes.previous_key_id and quotes.previous_key are set together or not at all"),
        }
        Ok(KeyRing::try_new(&self.key_id, keys)?)
    }
}

fn signing_key(secret: &SecretString) -> anyhow::Result<SigningKey> {
    Ok(SigningKey::try_new(secret.expose_secret().as_bytes())?)
}
