//! Always on: counters beside the ledger, promised units beside the open holds, and what is done where they differ.
//!
//! A round looks at a slice of levels, by SKU; the next goes on where it ended, and after the last it begins again. What
//! looks wrong, and what was found wrong before, is then assessed exactly, in one snapshot, and written down or closed.
//! Rounds only read levels, and lock none but those that drift. A repair takes the level's lock as every change does.

use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use oneshelf_kit::{
    auth::Caller,
    idempotency::{self, Claim, Key},
    outbox, pg,
};
use oneshelf_values::Clock;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Error, Inventory, execute};
use crate::{
    domain::{
        Refusal,
        drift::{Assessment, Finding, Repaired, repaired},
        event::Event,
        group, kit,
        stock_level::LevelKey,
    },
    events, store,
};

/// Levels per round whose ledger is added up.
const LEDGER_SLICE: i64 = 1_000;
/// Levels per round of holds. Each such round reads all open holds, so it is seldom and wide.
const HOLDS_SLICE: i64 = 100_000;
/// Every so many rounds one looks at holds as well.
const HOLDS_EVERY: u64 = 10;
/// Open findings that a round looks at again.
const REVISITED: i64 = 200;

/// Where a process' reconciler is. Another process has its own; both find the same.
#[derive(Debug, Default)]
pub struct Progress {
    rounds: u64,
    ledger_after: String,
    holds_after: String,
}

/// What a round saw.
#[derive(Debug, PartialEq, Eq)]
pub struct Round {
    pub checked: i64,
    /// Levels with an open finding, in the whole service.
    pub drifting: i64,
}

impl Inventory {
    /// One round.
    pub async fn reconcile(&self, progress: &mut Progress) -> Result<Round, Error> {
        let slice = store::drift::compare_with_ledger(&self.pool, &progress.ledger_after, LEDGER_SLICE).await?;
        progress.ledger_after = slice.end.unwrap_or_default();
        let (mut suspects, mut checked) = (slice.suspects, slice.checked);
        if progress.rounds.is_multiple_of(HOLDS_EVERY) {
            let slice = store::drift::compare_with_holds(&self.pool, &progress.holds_after, HOLDS_SLICE).await?;
            progress.holds_after = slice.end.unwrap_or_default();
            suspects.extend(slice.suspects);
            checked += slice.checked;
        }
        progress.rounds += 1;
        suspects.extend(store::drift::list_open_findings(&self.pool, REVISITED).await?);
        if !suspects.is_empty() {
            self.record(suspects).await?;
        }
        Ok(Round { checked, drifting: store::drift::count_open_findings(&self.pool).await? })
    }

    /// Writes down which of these levels drift, and that the others do not.
    async fn record(&self, suspects: Vec<LevelKey>) -> Result<(), Error> {
        let clock = self.clock.clone();
        pg::in_tx(&self.pool, move |conn| {
            let (suspects, clock) = (suspects.clone(), clock.clone());
            Box::pin(async move {
                let now = clock.now();
                let assessments = store::drift::assess(conn, &suspects).await?;
                let (drifting, right): (Vec<&Assessment>, Vec<&Assessment>) =
                    assessments.iter().partition(|assessment| assessment.drifts());
                if !drifting.is_empty() {
                    let drifting: BTreeSet<&LevelKey> = drifting.iter().map(|assessment| &assessment.key).collect();
                    write_down(conn, drifting.into_iter().cloned().collect(), &clock, now).await?;
                }
                let right: Vec<&LevelKey> = right.iter().map(|assessment| &assessment.key).collect();
                Ok(store::drift::resolve_findings(conn, &right, now).await?)
            })
        })
        .await
    }

    /// Reads findings, oldest first, after the given one.
    pub async fn list_drift(
        &self,
        include_resolved: bool,
        after: Option<Uuid>,
        limit: i64,
    ) -> Result<Vec<Finding>, Error> {
        Ok(store::drift::list_findings(&self.pool, include_resolved, after, limit).await?)
    }

    /// Makes a level what ledger and open holds say, under its lock, and writes down who did so and why.
    pub async fn repair_level(
        &self,
        caller: &Caller,
        key: Key,
        level_key: LevelKey,
        reason: String,
    ) -> Result<Repaired, Error> {
        caller.require("inventory:Repair")?;
        let repaired_by = caller.key_id().to_owned();
        let (schema, clock) = (self.schema, self.clock.clone());
        let work = Arc::new((key, [level_key], reason, repaired_by));
        pg::in_tx(&self.pool, move |conn| {
            let (work, clock) = (work.clone(), clock.clone());
            Box::pin(async move {
                let (key, level_keys, reason, repaired_by) = &*work;
                let [level_key] = level_keys;
                let now = clock.now();
                match idempotency::claim(conn, schema, key, now).await? {
                    Claim::Reused => return Err(Refusal::RequestIdReused.into()),
                    Claim::Answered(answer) => return Ok(store::answers::decode_repair(&answer)?),
                    Claim::New => {}
                }
                store::stock_levels::insert_empty_levels(conn, level_keys, now).await?;
                let mut levels = store::stock_levels::lock_stock_levels(conn, level_keys).await?;
                let rulebook = execute::rules_of(conn, &levels, BTreeSet::new(), now).await?;
                let thresholds = execute::thresholds_of(conn, &levels, &rulebook, &[]).await?;
                // After the lock, and as a statement of its own: so it sees all that was ever written under that lock.
                let assessed = store::drift::assess(conn, level_keys).await?;
                let (Some(level), Some(assessment)) = (levels.remove(level_key), assessed.into_iter().next()) else {
                    return Err(Refusal::LocationNotFound { location: level_key.location.clone() }.into());
                };
                let mut outcome = Repaired {
                    before: assessment.counted,
                    after: assessment.expected,
                    version: assessment.level_version,
                };
                if assessment.drifts() && rulebook.tracked(&level_key.sku).is_some() {
                    return Err(Refusal::SkuTracked { sku: level_key.sku.clone() }.into());
                }
                if assessment.drifts() {
                    let right = repaired(level_key, &level, assessment.expected)?;
                    outcome.version = right.version;
                    store::stock_levels::update_stock_levels(conn, &[(level_key.clone(), right)], now).await?;
                    let repair = store::drift::Repair {
                        repair_id: key.request_id,
                        key: level_key,
                        repaired_by,
                        reason,
                        before: outcome.before,
                        after: outcome.after,
                        level_version: right.version,
                    };
                    store::drift::insert_repair(conn, &repair, now).await?;
                    let settled = thresholds.settle(&rulebook, &[(level_key.clone(), right)], now);
                    store::thresholds::save_thresholds(conn, &settled).await?;
                    let mut changed = vec![group::level_changed(&rulebook, level_key, right, now)];
                    changed.extend(settled.crossings.into_iter().map(Event::StockCrossed));
                    levels.insert(level_key.clone(), right);
                    let touched = HashSet::from([level_key.clone()]);
                    let (kits, told) = kit::announce(&rulebook, &levels, &touched, &HashSet::new(), now);
                    changed.extend(told);
                    if !kits.is_empty() {
                        store::kits::upsert_kit_levels(conn, &kits, now).await?;
                    }
                    outbox::append(conn, schema, &events::publish(&changed, &clock, now), now).await?;
                }
                store::drift::resolve_findings(conn, &[level_key], now).await?;
                idempotency::store(conn, schema, key, &store::answers::encode_repair(&outcome)).await?;
                Ok(outcome)
            })
        })
        .await
    }
}

/// Writes down which of these levels, in the order of locks, drift once nobody else can change them: a repair that came
/// between the look and the writing would otherwise leave a finding behind that is not true any more.
async fn write_down(
    conn: &mut PgConnection,
    keys: Vec<LevelKey>,
    clock: &Clock,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    store::stock_levels::lock_stock_levels(conn, &keys).await?;
    let assessments = store::drift::assess(conn, &keys).await?;
    let drifting: Vec<&Assessment> = assessments.iter().filter(|assessment| assessment.drifts()).collect();
    store::drift::upsert_findings(conn, &drifting, clock, now).await
}
