use std::{net::SocketAddr, time::Duration};

use oneshelf_kit::{
    Chassis,
    auth::{self, Authenticator, NewKey, Pepper, Scope},
    config::{AccessConfig, ClientConfig, ServerConfig},
    grpc::{
        self, Mounted,
        client::{self, ClientChannel},
    },
    lifecycle::Lifecycle,
    redis::Redis,
};
use oneshelf_values::Clock;
use secrecy::SecretString;
use sqlx::PgPool;
use tokio::net::TcpListener;

use crate::{Rabbit, database::config_of, redis_config, wait_for};

const PEPPER: &str = "pepper of the tests, no secret";
const READY_WITHIN: Duration = Duration::from_secs(20);

/// What a server for a test is made from: a chassis on the test's database, a broker namespace and a clock.
pub struct ServeTest {
    pub chassis: Chassis,
    pub rabbit: Rabbit,
    keys: PgPool,
    cfg: ServerConfig,
    listener: TcpListener,
}

impl ServeTest {
    /// `pool` is of a [`Database`](crate::Database). A free port is taken now, so that services that call each other can
    /// be told where they will be.
    pub async fn new(pool: &PgPool, clock: Clock) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let rabbit = Rabbit::new();
        let pepper = SecretString::from(PEPPER);
        let access = AccessConfig::new(config_of(&pool.connect_options()), PEPPER);
        let pepper = Pepper::try_new(&pepper).expect("the pepper is long enough");
        let cfg = ServerConfig::default();
        let chassis = Chassis {
            clock: clock.clone(),
            lifecycle: Lifecycle::new(Duration::from_secs(10)),
            broker: rabbit.broker().clone(),
            redis: Redis::new(&redis_config()).expect("the Redis URL is well formed"),
            auth: Authenticator::new(&access, pepper.clone(), pool.clone(), clock),
            pepper,
            max_message_bytes: cfg.max_message_bytes,
        };
        Self { chassis, rabbit, keys: pool.clone(), cfg, listener }
    }

    /// Where the services will be served.
    pub fn address(&self) -> SocketAddr {
        self.listener.local_addr().expect("a bound listener has an address")
    }

    /// Serves and waits until all services are ready. `descriptors` is `oneshelf_proto::FILE_DESCRIPTOR_SET`.
    pub async fn start(self, descriptors: &'static [u8], services: Vec<Mounted>) -> Server {
        let Self { chassis, rabbit, keys, cfg, listener } = self;
        let serving = grpc::serve(&chassis, &cfg, listener, descriptors, services).expect("the services can be served");
        let mut readiness = serving.readiness.clone();
        wait_for("readiness", READY_WITHIN, async || readiness.borrow_and_update().is_ready().then_some(())).await;
        Server { address: serving.address, chassis, _rabbit: rabbit, keys }
    }
}

/// A running gRPC server; [`Server::stop`] drains it.
pub struct Server {
    address: SocketAddr,
    chassis: Chassis,
    /// Kept, so that its queues live as long as the server.
    _rabbit: Rabbit,
    keys: PgPool,
}

impl Server {
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn chassis(&self) -> &Chassis {
        &self.chassis
    }

    /// A channel with a key that may do everything, for the generated clients.
    pub async fn client(&self) -> ClientChannel {
        self.client_with(NewKey {
            title: "test".to_owned(),
            scopes: vec![Scope::parse("*").expect("the scope of everything")],
            channel: None,
            partner: None,
            expires_at: None,
        })
        .await
    }

    /// A channel with a key of one's own making.
    pub async fn client_with(&self, key: NewKey) -> ClientChannel {
        let chassis = self.chassis();
        let key = auth::create_key(&self.keys, &chassis.pepper, &chassis.clock, &key).await.expect("a key is created");
        self.connect(&key)
    }

    /// A channel as the service `name` has to the others.
    pub fn client_of_service(&self, name: &str) -> ClientChannel {
        self.connect(&auth::service_key(&self.chassis().pepper, name))
    }

    fn connect(&self, key: &SecretString) -> ClientChannel {
        client::connect_lazy(&ClientConfig::new(format!("http://{}", self.address)), key)
            .expect("the address and key are well formed")
    }

    /// Stops softly and waits until all tasks have ended.
    pub async fn stop(self) {
        self.chassis.lifecycle.shut_down().await.expect("the server drains");
    }
}
