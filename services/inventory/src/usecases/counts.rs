//! Counts: every command on one is a member of a group, because it freezes levels or corrects them.

use chrono::{DateTime, Utc};
use oneshelf_kit::{auth::Caller, idempotency::Key};
use oneshelf_values::{CountId, LocationId, Sku};
use uuid::Uuid;

use super::{Error, Inventory, execute::Job};
use crate::{
    domain::{
        Refusal,
        count::{Count, CountKind, CountState},
        document::DocumentKind,
        group::{Answer, Command, CountAct, CountCommand, NewCount},
        stock_level::Bucket,
    },
    store,
};

/// A count has at most so many lines when it begins.
const MAX_SKUS: i64 = 2_000;

/// What to begin.
#[derive(Debug, Clone)]
pub struct StartCount {
    pub key: Key,
    pub location: LocationId,
    pub bucket: Bucket,
    pub scope: CountScope,
    pub reference: String,
}

#[derive(Debug, Clone)]
pub enum CountScope {
    /// Everything of the location from the first to the last SKU.
    Full {
        first: Option<Sku>,
        last: Option<Sku>,
    },
    Cycle(Vec<Sku>),
}

/// A command on a count, as the caller says it.
#[derive(Debug, Clone)]
pub struct CountChange {
    pub key: Key,
    pub count_id: CountId,
    pub expected_version: Option<i64>,
    pub act: CountAct,
    /// `None`: now. Anything else needs the permission to backdate.
    pub effective_at: Option<DateTime<Utc>>,
}

impl Inventory {
    /// Begins a count; what a full one is over is read first, and frozen under the locks.
    pub async fn start_count(&self, caller: &Caller, start: StartCount) -> Result<Count, Error> {
        let (kind, skus) = match start.scope {
            CountScope::Cycle(skus) => (CountKind::Cycle, skus),
            CountScope::Full { first, last } => {
                self.get_location(start.location.clone()).await?;
                let (first, last) = (first.as_ref(), last.as_ref());
                let skus =
                    store::stock_levels::list_skus(&self.pool, &start.location, first, last, MAX_SKUS + 1).await?;
                if skus.len() as i64 > MAX_SKUS {
                    return Err(Refusal::TooLarge { limit: MAX_SKUS }.into());
                }
                (CountKind::Full, skus)
            }
        };
        let new = NewCount { location: start.location, bucket: start.bucket, kind, reference: start.reference, skus };
        let count_id = start.key.request_id.into();
        let act = CountAct::Start(new);
        let change = CountChange { key: start.key, count_id, expected_version: None, act, effective_at: None };
        self.change_count(caller, change).await
    }

    /// Answers the count as the command left it, with the lines that it was about.
    pub async fn change_count(&self, caller: &Caller, change: CountChange) -> Result<Count, Error> {
        let command = Command::Count(Box::new(CountCommand {
            count_id: change.count_id,
            expected_version: change.expected_version,
            movement_id: change.key.request_id,
            effective_at: self.effective_at(caller, change.effective_at)?,
            act: change.act,
        }));
        match self.execute(Job::keyed(change.key, command)).await? {
            Answer::Count(count) => Ok(*count),
            _ => Err(Error::Unexpected("something else answered to a count's command")),
        }
    }

    /// Reads a count with a page of its lines. Those who may see what the books said must be allowed to.
    pub async fn get_count(
        &self,
        caller: &Caller,
        count_id: CountId,
        review: bool,
        after: &str,
        limit: i64,
    ) -> Result<Count, Error> {
        if review {
            caller.require("inventory:ReviewCount")?;
        }
        store::counts::find_count(&self.pool, count_id, after, limit)
            .await?
            .ok_or_else(|| Refusal::DocumentNotFound { kind: DocumentKind::Count, id: count_id.into() }.into())
    }

    pub async fn list_counts(
        &self,
        state: Option<CountState>,
        location: Option<&LocationId>,
        before: Option<(DateTime<Utc>, Uuid)>,
        limit: i64,
    ) -> Result<Vec<Count>, Error> {
        Ok(store::counts::list_counts(&self.pool, state, location, before, limit).await?)
    }
}
