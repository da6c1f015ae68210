//! Composition: pool → executor → use cases → gRPC, relay, consumers, jobs.

use std::{convert::Infallible, sync::Arc, time::Duration};

use anyhow::Context;
use chrono::TimeDelta;
use oneshelf_kit::{
    Chassis,
    batch::{Batcher, Options},
    consumer,
    grpc::Mounted,
    pg, relay,
    retention::{self, Retention},
    schema::Schema,
};
use oneshelf_proto::inventory::v1::inventory_service_server::InventoryServiceServer;
use sqlx::PgPool;
use tokio::sync::Semaphore;

use crate::{
    config::Config,
    consumers,
    grpc::InventoryGrpc,
    jobs,
    usecases::{
        Inventory,
        execute::{Job, Memory, run_group},
        get_availability::Availabilities,
    },
};

/// Starts everything of this service as tasks of the chassis' lifecycle.
pub async fn start(cfg: &Config, chassis: &Chassis) -> anyhow::Result<Mounted> {
    let pool = pg::connect(&cfg.database, "inventory").await.context("inventory.database")?;
    let schema = Schema::new("inventory");
    let inventory = use_cases(cfg, chassis, pool.clone(), schema);
    // Before the first entry: what waits in the ledger's default partition until its month is made would move from under
    // readers that are just looking for it.
    if let Err(error) = inventory.make_partitions().await {
        tracing::warn!(%error, "could not make the ledger's months yet");
    }

    let lifecycle = &chassis.lifecycle;
    let stop = lifecycle.soft();
    lifecycle.spawn(
        "inventory.relay",
        relay::run(pool.clone(), schema, chassis.broker.clone(), chassis.clock.clone(), stop.clone()),
    );
    lifecycle.spawn(
        "inventory.channel_changed",
        consumer::run(
            chassis.broker.clone(),
            pool.clone(),
            schema,
            chassis.clock.clone(),
            stop.clone(),
            consumers::CHANNEL_CHANGED,
            consumers::channel_changed,
        ),
    );
    lifecycle.spawn(
        "inventory.retention",
        retention::run(pool.clone(), schema, chassis.clock.clone(), Retention::default(), stop.clone()),
    );
    let sweep = jobs::expire_holds(inventory.clone(), cfg.sweep_every(), stop.clone());
    lifecycle.spawn("inventory.expire_holds", async move {
        sweep.await;
        Ok::<_, Infallible>(())
    });
    let keep = jobs::keep_ledger(inventory.clone(), cfg.keep_ledger_every(), stop.clone());
    lifecycle.spawn("inventory.keep_ledger", async move {
        keep.await;
        Ok::<_, Infallible>(())
    });
    let reconcile = jobs::reconcile(inventory.clone(), cfg.reconcile_every(), stop.clone());
    lifecycle.spawn("inventory.reconcile", async move {
        reconcile.await;
        Ok::<_, Infallible>(())
    });
    let follow = jobs::follow_changes(inventory.clone(), cfg.sweep_every(), stop.clone());
    lifecycle.spawn("inventory.follow_changes", async move {
        follow.await;
        Ok::<_, Infallible>(())
    });

    let server =
        InventoryServiceServer::new(InventoryGrpc(inventory)).max_decoding_message_size(chassis.max_message_bytes);
    Ok(Mounted::new("inventory").service(server).pool(pool))
}

/// The use cases over a pool, with their executor running.
pub fn use_cases(cfg: &Config, chassis: &Chassis, pool: PgPool, schema: Schema) -> Inventory {
    let options = Options { max_group: cfg.max_group, queue: cfg.queue, writers: cfg.writers() };
    let (executor_pool, clock, memory) = (pool.clone(), chassis.clock.clone(), Arc::new(Memory::default()));
    Inventory {
        batcher: Batcher::spawn(&chassis.lifecycle, "inventory.executor", options, Job::route, move |jobs| {
            run_group(executor_pool.clone(), schema, clock.clone(), memory.clone(), jobs)
        }),
        availability: Availabilities::spawn(
            &chassis.lifecycle,
            pool.clone(),
            chassis.clock.clone(),
            Duration::from_millis(cfg.availability_max_age_ms),
            cfg.availability_capacity,
        ),
        pool,
        schema,
        clock: chassis.clock.clone(),
        bulk_places: Arc::new(Semaphore::new(cfg.bulk_writers)),
        longest_soft_hold: TimeDelta::seconds(cfg.longest_soft_hold_s as i64),
    }
}
