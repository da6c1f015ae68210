//! Sets and adjusts many levels at once: a chunk of rows, one transaction, a result per row.
//!
//! | round trip | when |
//! |---|---|
//! | is the reason known | it is one of the operator's |
//! | begin; claim the request id | always |
//! | make missing levels; lock levels, sorted by (SKU, location) | always |
//! | read rules | a locked level has some |
//! | lock thresholds, read what is counted in them (2) | a channel is told of a SKU |
//! | update levels, thresholds (2), append ledger, append outbox | a row changed something |
//! | store the answer; commit | always |
//!
//! So a chunk costs the same number of round trips whatever its size, each row a fixed share of array statements, and an
//! import of n rows is n rows' work: nothing is computed over what else is there.
//!
//! **Beside the groups.** A chunk does not go through the executor, where thousands of rows would make every hold of the
//! same group wait for them. It is correct beside it for the reason that two executors are correct beside each other:
//! - What both decide on, the counters of a level, is read under that level's row lock and written before the lock is
//!   given back. Whoever comes second reads what the first committed.
//! - Both make missing levels first and then lock levels, each in (SKU, location) order, and take no other lock after that
//!   which the other holds while waiting for a level (thresholds come after all levels): the request's own row is claimed before, and by this chunk alone.
//!   So nobody waits in a circle. Locks on holds, which groups take before levels, are none of a chunk's.
//! - Both write through the same `save`: version + 1 per level and transaction, one event per changed level, ledger
//!   entries with that version. Consumers and `verify` cannot tell a chunk from a group.
//!
//! A chunk holds its locks for as long as its rows take, so chunks are bounded, and so is the number that run at a time.

use std::{
    borrow::Cow,
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use oneshelf_kit::{
    auth::Caller,
    idempotency::{self, Claim, Key},
    pg,
};

use super::{Error, Inventory, execute};
use crate::{
    domain::{
        Refusal,
        group::{
            Shelf,
            bulk::{BulkChange, BulkRow, RowRefusal, RowResult},
        },
        stock_level::LevelKey,
    },
    store,
};

/// Rows as the caller says them.
#[derive(Debug, Clone)]
pub struct Bulk {
    /// What could not be read stands in its place with the reason.
    pub rows: Vec<Result<BulkRow, RowRefusal>>,
    pub reason_code: String,
    pub reference: String,
    /// `None`: now. Anything else needs the permission to backdate.
    pub effective_at: Option<DateTime<Utc>>,
    /// Say what would become of the rows, and change nothing.
    pub dry_run: bool,
}

impl Inventory {
    /// Applies the rows in turn, each by itself; results are in their order.
    pub async fn change_stock(&self, caller: &Caller, key: Key, bulk: Bulk) -> Result<Vec<RowResult>, Error> {
        let change = BulkChange {
            movement_id: key.request_id,
            effective_at: self.effective_at(caller, bulk.effective_at)?,
            reason: self.assignable_reason(Cow::Owned(bulk.reason_code)).await?,
            rows: bulk.rows,
            reference: bulk.reference,
        };
        let keys: BTreeSet<LevelKey> = change.rows.iter().flatten().map(|row| row.key.clone()).collect();
        let keys: Vec<LevelKey> = keys.into_iter().collect();
        // Never closed, so a place always comes. It is kept by the work, which goes on when the caller is gone.
        let place = self.bulk_places.clone().acquire_owned().await.map_err(|_| Error::Stopping)?;
        if bulk.dry_run {
            let mut conn = self.pool.acquire().await?;
            let levels = store::stock_levels::peek_stock_levels(&mut conn, &keys).await?;
            return Ok(Shelf::new(levels, HashMap::new()).change(&change));
        }
        let (schema, clock) = (self.schema, self.clock.clone());
        let work = Arc::new((key, change, keys, place));
        pg::in_tx(&self.pool, move |conn| {
            let (work, clock) = (work.clone(), clock.clone());
            Box::pin(async move {
                let (key, change, keys, _) = &*work;
                let now = clock.now();
                match idempotency::claim(conn, schema, key, now).await? {
                    Claim::Reused => return Err(Refusal::RequestIdReused.into()),
                    Claim::Answered(answer) => return Ok(store::answers::decode_rows(&answer)?),
                    Claim::New => {}
                }
                store::stock_levels::insert_empty_levels(conn, keys, now).await?;
                let levels = store::stock_levels::lock_stock_levels(conn, keys).await?;
                let rulebook = execute::rules_of(conn, &levels, BTreeSet::new(), now).await?;
                let thresholds = execute::thresholds_of(conn, &levels, &rulebook, &[]).await?;
                let mut shelf = Shelf::new(levels, HashMap::new()).ruled_by(rulebook).watched_by(thresholds);
                let results = shelf.change(change);
                execute::save(conn, schema, shelf, &clock, now).await?;
                idempotency::store(conn, schema, key, &store::answers::encode_rows(&results)).await?;
                Ok(results)
            })
        })
        .await
    }
}
