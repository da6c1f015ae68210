//! The composition root: pool, use cases, gRPC, consumer, pruning. This service tells nobody anything, so no relay.

use futures::FutureExt;
use oneshelf_kit::{
    Chassis, consumer,
    grpc::Mounted,
    pg,
    retention::{self, Retention},
    schema::Schema,
};
use oneshelf_proto::loyalty::v1::loyalty_service_server::LoyaltyServiceServer;
use sqlx::migrate::Migrator;

use crate::{config::Config, consumers, grpc::LoyaltyGrpc, usecases::Loyalty};

/// The schema `loyalty`.
pub static MIGRATOR: Migrator = sqlx::migrate!();

/// Starts the service's tasks under the chassis' lifecycle and answers what is to be put on the server.
pub async fn start(cfg: &Config, chassis: &Chassis) -> anyhow::Result<Mounted> {
    let Chassis { clock, lifecycle, broker, .. } = chassis;
    let pool = pg::connect(&cfg.database, "loyalty").await?;
    let schema = Schema::new("loyalty");
    let soft = lifecycle.soft();

    let now = clock.clone();
    lifecycle.spawn(
        "loyalty.sales",
        consumer::run(
            broker.clone(),
            pool.clone(),
            schema,
            clock.clone(),
            soft.clone(),
            consumers::SALES,
            move |conn, events| {
                let now = now.now();
                consumers::sales(conn, events, now).boxed()
            },
        ),
    );
    lifecycle.spawn(
        "loyalty.retention",
        retention::run(pool.clone(), schema, clock.clone(), Retention::default(), soft.clone()),
    );

    let loyalty = Loyalty::new(pool.clone(), schema, clock.clone());
    let server = LoyaltyServiceServer::new(LoyaltyGrpc(loyalty)).max_decoding_message_size(chassis.max_message_bytes);
    Ok(Mounted::new("loyalty").service(server).pool(pool))
}
