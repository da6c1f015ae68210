//! Composition: pool → use cases → gRPC, relay, consumer, jobs.

use std::sync::Arc;

use anyhow::Context as _;
use oneshelf_kit::{
    Chassis, consumer,
    grpc::Mounted,
    pg, relay,
    retention::{self, Retention},
    schema::Schema,
};
use oneshelf_pricing::KeyRing;
use oneshelf_proto::catalog::v1::catalog_service_server::CatalogServiceServer;

use crate::{config::Config, consumers, grpc::CatalogGrpc, jobs, usecases::Catalog};

/// Starts everything of this service as tasks of the chassis' lifecycle. `keys` sign quotes; orders checks them with
/// the same.
pub async fn start(cfg: &Config, keys: &KeyRing, chassis: &Chassis) -> anyhow::Result<Mounted> {
    let pool = pg::connect(&cfg.database, "catalog").await.context("catalog.database")?;
    let schema = Schema::new("catalog");
    let catalog = Arc::new(Catalog::new(pool.clone(), schema, chassis.clock.clone(), cfg.quote_ttl()));

    let lifecycle = &chassis.lifecycle;
    let stop = lifecycle.soft();
    lifecycle.spawn("catalog.board", jobs::refresh_board(catalog.clone(), cfg.refresh_every(), stop.clone()));
    lifecycle.spawn(
        "catalog.relay",
        relay::run(pool.clone(), schema, chassis.broker.clone(), chassis.clock.clone(), stop.clone()),
    );
    lifecycle.spawn(
        "catalog.partner_changed",
        consumer::run(
            chassis.broker.clone(),
            pool.clone(),
            schema,
            chassis.clock.clone(),
            stop.clone(),
            consumers::PARTNER_CHANGED,
            consumers::partner_changed,
        ),
    );
    lifecycle.spawn(
        "catalog.retention",
        retention::run(pool.clone(), schema, chassis.clock.clone(), Retention::default(), stop.clone()),
    );

    let server = CatalogServiceServer::new(CatalogGrpc { catalog: catalog.clone(), keys: keys.clone() })
        .max_decoding_message_size(chassis.max_message_bytes);
    let loaded = move || std::future::ready(catalog.is_loaded());
    Ok(Mounted::new("catalog").service(server).pool(pool).ready_while(loaded))
}
