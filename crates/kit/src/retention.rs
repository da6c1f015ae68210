//! Deletes what is only kept for a while: published outbox rows, inbox rows, answers by request id.
//!
//! Deletion goes in bounded steps, each its own transaction, so it never holds locks for long and may stop anywhere.

use std::{convert::Infallible, time::Duration};

use oneshelf_values::Clock;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::{idempotency, inbox, outbox, schema::Schema};

/// How long each kind of row is kept. The inbox must outlive anything that waits in a queue, and answers must outlive
/// the time in which a caller may repeat a request.
#[derive(Debug, Clone, Copy)]
pub struct Retention {
    pub outbox: Duration,
    pub inbox: Duration,
    pub idempotency: Duration,
    /// Time between two rounds.
    pub every: Duration,
}

impl Default for Retention {
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        Self { outbox: DAY, inbox: 30 * DAY, idempotency: 7 * DAY, every: Duration::from_secs(60) }
    }
}

/// Prunes a schema's kit tables until stopped. Several replicas may do so at once.
pub async fn run(
    pool: PgPool,
    schema: Schema,
    clock: Clock,
    retention: Retention,
    stop: CancellationToken,
) -> Result<(), Infallible> {
    loop {
        if let Err(error) = prune(&pool, schema, &clock, &retention, &stop).await {
            warn!(schema = schema.name(), %error, "pruning failed, trying again in the next round");
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(retention.every) => {}
        }
    }
}

/// One round: deletes step by step until nothing old is left.
pub async fn prune(
    pool: &PgPool,
    schema: Schema,
    clock: &Clock,
    retention: &Retention,
    stop: &CancellationToken,
) -> Result<(), sqlx::Error> {
    let now = clock.now();
    loop {
        let deleted = outbox::prune(pool, schema, now - retention.outbox).await?
            + inbox::prune(pool, schema, now - retention.inbox).await?
            + idempotency::prune(pool, schema, now - retention.idempotency).await?;
        debug!(schema = schema.name(), deleted, "pruned");
        if deleted == 0 || stop.is_cancelled() {
            return Ok(());
        }
    }
}
