//! The recipe: what the service is made of.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use futures::FutureExt as _;
use oneshelf_kit::{
    Chassis,
    auth::service_key,
    config::ClientConfig,
    consumer,
    grpc::Mounted,
    pg, relay,
    retention::{self, Retention},
    schema::Schema,
};
use oneshelf_pricing::KeyRing;
use oneshelf_proto::orders::v1::orders_service_server::OrdersServiceServer;
use tokio::sync::Notify;

use crate::{
    clients::{inventory::Inventory, partners::Partners},
    config::Config,
    consumers,
    grpc::OrdersGrpc,
    jobs,
    usecases::Orders,
};

/// Where the services that are asked listen.
#[derive(Clone, Debug)]
pub struct Remotes {
    pub inventory: ClientConfig,
    pub partners: ClientConfig,
}

/// Starts the service's tasks and answers what the gRPC server mounts. `quotes` are the keys that the catalog signs with.
pub async fn start(cfg: &Config, remotes: &Remotes, quotes: KeyRing, chassis: &Chassis) -> anyhow::Result<Mounted> {
    let pool = pg::connect(&cfg.database, "orders").await.context("orders.database")?;
    let schema = Schema::new("orders");
    let key = service_key(&chassis.pepper, "orders");
    let orders = Orders {
        pool: pool.clone(),
        schema,
        clock: chassis.clock.clone(),
        quotes: Arc::new(quotes),
        inventory: Inventory::try_new(&remotes.inventory, &key).context("clients.inventory")?,
        partners: Partners::try_new(&remotes.partners, &key).context("clients.partners")?,
        pace: cfg.pace(),
        due: Arc::new(Notify::new()),
    };

    let (lifecycle, clock) = (&chassis.lifecycle, chassis.clock.clone());
    let stop = || lifecycle.soft().clone();
    lifecycle.spawn("orders relay", relay::run(pool.clone(), schema, chassis.broker.clone(), clock.clone(), stop()));
    lifecycle.spawn(
        "orders hold moved",
        consumer::run(
            chassis.broker.clone(),
            pool.clone(),
            schema,
            clock.clone(),
            stop(),
            consumers::HOLD_MOVED,
            |conn, events| consumers::hold_moved(conn, events).boxed(),
        ),
    );
    lifecycle.spawn("orders retention", retention::run(pool.clone(), schema, clock, Retention::default(), stop()));
    let every = Duration::from_millis(cfg.redrive_every_ms);
    lifecycle.spawn("orders redrive", jobs::redrive::run(orders.clone(), every, cfg.redrive_at_once, stop()));

    let server = OrdersServiceServer::new(OrdersGrpc(orders)).max_decoding_message_size(chassis.max_message_bytes);
    Ok(Mounted::new("orders").pool(pool).service(server))
}
