use lapin::{
    Connection, ConnectionProperties,
    options::{ExchangeDeleteOptions, QueueDeleteOptions},
};
use oneshelf_kit::{
    broker::{Broker, Declared},
    config::{RabbitConfig, RedisConfig},
};
use secrecy::SecretString;
use uuid::Uuid;

use crate::{block_on, environment::variable};

/// A namespace of its own in the test broker. What was declared through [`Rabbit::broker`] is deleted with the fixture.
pub struct Rabbit {
    config: RabbitConfig,
    broker: Broker,
}

impl Rabbit {
    pub fn new() -> Self {
        Self::at(variable("ONESHELF__RABBITMQ__URL"))
    }

    /// The same broker by another address, such as that of a [`crate::Proxy`].
    pub fn at(url: String) -> Self {
        let config = RabbitConfig {
            url: SecretString::from(url),
            namespace: namespace(),
            prefetch: 64,
            confirm_timeout_ms: 15_000,
        };
        let broker = Broker::new(&config).expect("the broker's URL is well formed");
        Self { config, broker }
    }

    /// Where the broker listens: `host:port`.
    pub fn address() -> String {
        let url = variable("ONESHELF__RABBITMQ__URL");
        let (_, rest) = url.rsplit_once('@').expect("the broker's URL has credentials");
        rest.split('/').next().unwrap_or(rest).to_owned()
    }

    /// The broker's URL with another `host:port`.
    pub fn url_at(address: &str) -> String {
        variable("ONESHELF__RABBITMQ__URL").replace(&Self::address(), address)
    }

    pub fn config(&self) -> &RabbitConfig {
        &self.config
    }

    pub fn broker(&self) -> &Broker {
        &self.broker
    }
}

impl Default for Rabbit {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Rabbit {
    fn drop(&mut self) {
        let declared = self.broker.declared();
        let url = variable("ONESHELF__RABBITMQ__URL");
        block_on(async move {
            let Ok(connection) = Connection::connect(&url, ConnectionProperties::default()).await else { return };
            let Ok(channel) = connection.create_channel().await else { return };
            for declared in declared {
                let _ = match declared {
                    Declared::Queue(name) => {
                        channel.queue_delete(name.into(), QueueDeleteOptions::default()).await.map(drop)
                    }
                    Declared::Exchange(name) => {
                        channel.exchange_delete(name.into(), ExchangeDeleteOptions::default()).await
                    }
                };
            }
            let _ = connection.close(200, "done".into()).await;
        });
    }
}

/// The test Redis, with a prefix of its own for every key.
pub fn redis_config() -> RedisConfig {
    RedisConfig { url: SecretString::from(variable("ONESHELF__REDIS__URL")), namespace: namespace() }
}

fn namespace() -> String {
    #[expect(clippy::disallowed_methods, reason = "a name, not an id of the domain")]
    let name = Uuid::new_v4().simple().to_string();
    format!("test-{}", &name[..12])
}
