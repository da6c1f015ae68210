//! The bench's own queues: taken away before a run, since an earlier one may have been killed, and after it.

use anyhow::Context;
use lapin::{
    Connection, ConnectionProperties,
    options::{ExchangeDeleteOptions, QueueDeleteOptions},
};
use oneshelf_kit::broker::{Broker, Declared};
use secrecy::ExposeSecret;

use crate::{config::Config, migrate};

pub async fn delete(config: &Config) -> anyhow::Result<()> {
    // Declaring once more changes nothing and says the names.
    let broker = Broker::new(&config.rabbitmq).context("rabbitmq")?;
    broker.declare(&migrate::subscriptions()).await.context("rabbitmq")?;
    let url = config.rabbitmq.url.expose_secret();
    let connection = Connection::connect(url, ConnectionProperties::default()).await.context("rabbitmq")?;
    let channel = connection.create_channel().await?;
    for declared in broker.declared() {
        match declared {
            Declared::Queue(name) => {
                channel.queue_delete(name.into(), QueueDeleteOptions::default()).await?;
            }
            Declared::Exchange(name) => channel.exchange_delete(name.into(), ExchangeDeleteOptions::default()).await?,
        }
    }
    connection.close(200, "done".into()).await?;
    Ok(())
}
