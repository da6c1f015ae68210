//! What every process makes once: clock, lifecycle, broker, Redis, callers.

use anyhow::Context;
use oneshelf_kit::{
    Chassis,
    auth::{Authenticator, Pepper},
    broker::Broker,
    lifecycle::Lifecycle,
    pg,
    redis::Redis,
};
use oneshelf_values::Clock;

use crate::config::Config;

/// Connects to what is needed to know who calls; broker and Redis may be away and are waited for where they are used.
pub async fn build(config: &Config) -> anyhow::Result<Chassis> {
    let clock = Clock::system();
    let pepper = Pepper::try_new(&config.access.pepper).context("access.pepper")?;
    let access = pg::connect(&config.access.database, "access").await.context("access.database")?;
    Ok(Chassis {
        auth: Authenticator::new(&config.access, pepper.clone(), access, clock.clone()),
        broker: Broker::new(&config.rabbitmq).context("rabbitmq")?,
        redis: Redis::new(&config.redis).context("redis")?,
        lifecycle: Lifecycle::new(config.server.drain()),
        max_message_bytes: config.server.max_message_bytes,
        pepper,
        clock,
    })
}
