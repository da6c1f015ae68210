//! The composition root: pool, use cases, gRPC, relay, consumer, pruning.

use futures::FutureExt;
use oneshelf_kit::{
    Chassis, consumer,
    grpc::Mounted,
    pg, relay,
    retention::{self, Retention},
    schema::Schema,
};
use oneshelf_proto::partners::v1::partners_service_server::PartnersServiceServer;
use sqlx::migrate::Migrator;

use crate::{config::Config, consumers, grpc::PartnersGrpc, usecases::Partners};

/// The schema `partners`.
pub static MIGRATOR: Migrator = sqlx::migrate!();

/// Starts the service's tasks under the chassis' lifecycle and answers what is to be put on the server.
pub async fn start(cfg: &Config, chassis: &Chassis) -> anyhow::Result<Mounted> {
    cfg.validate()?;
    let Chassis { clock, lifecycle, broker, .. } = chassis;
    let pool = pg::connect(&cfg.database, "partners").await?;
    let schema = Schema::new("partners");
    let soft = lifecycle.soft();

    let partners = Partners::new(pool.clone(), schema, clock.clone(), lifecycle, cfg.batch());

    lifecycle.spawn("partners.relay", relay::run(pool.clone(), schema, broker.clone(), clock.clone(), soft.clone()));
    let now = clock.clone();
    lifecycle.spawn(
        "partners.items_returned",
        consumer::run(
            broker.clone(),
            pool.clone(),
            schema,
            clock.clone(),
            soft.clone(),
            consumers::ITEMS_RETURNED,
            move |conn, events| consumers::items_returned(conn, events, now.now()).boxed(),
        ),
    );
    lifecycle.spawn(
        "partners.retention",
        retention::run(pool.clone(), schema, clock.clone(), Retention::default(), soft.clone()),
    );

    let server =
        PartnersServiceServer::new(PartnersGrpc(partners)).max_decoding_message_size(chassis.max_message_bytes);
    Ok(Mounted::new("partners").service(server).pool(pool))
}
