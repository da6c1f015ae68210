//! How often to count what: classes and schedules are plain records, each change of them one transaction.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use oneshelf_kit::{
    idempotency::{self, Claim, Key},
    pg,
};
use oneshelf_values::{Currency, LocationId, Sku};
use sqlx::PgConnection;

use super::{Error, Inventory};
pub use crate::store::count_plan::{CountDays, DueCount};
use crate::{
    domain::{
        Refusal,
        abc::{AbcClass, AbcShares, classify},
    },
    store,
};

/// Classes are computed over at most so many SKUs of one location.
const MAX_CLASSED: i64 = 100_000;

/// How often is counted where nobody said it.
const DEFAULT_DAYS: CountDays = CountDays { a: 30, b: 90, c: 365 };

/// How many SKUs came out as A, B and C, and of how many nobody knew what they are worth.
pub type ClassCounts = [u64; 4];

/// Over what, and how, classes are computed.
#[derive(Debug, Clone)]
pub struct ComputeClasses {
    pub location: LocationId,
    pub days: i64,
    pub shares: AbcShares,
    /// By value in this currency; `None`: by units.
    pub by_value: Option<Currency>,
}

impl Inventory {
    /// Sets and pins classes; `None` lets computing decide again.
    pub async fn set_abc_classes(
        &self,
        key: Key,
        location: LocationId,
        entries: Vec<(Sku, Option<AbcClass>)>,
    ) -> Result<(), Error> {
        let (schema, now) = (self.schema, self.clock.now());
        pg::in_tx(&self.pool, move |conn| {
            let (key, location, entries) = (key.clone(), location.clone(), entries.clone());
            Box::pin(async move {
                match idempotency::claim(conn, schema, &key, now).await? {
                    Claim::Reused => return Err(Refusal::RequestIdReused.into()),
                    Claim::Answered(_) => return Ok(()),
                    Claim::New => {}
                }
                check_location(conn, &location).await?;
                let free: Vec<Sku> =
                    entries.iter().filter(|(_, class)| class.is_none()).map(|(sku, _)| sku.clone()).collect();
                let set: Vec<(Sku, AbcClass)> =
                    entries.into_iter().filter_map(|(sku, class)| Some((sku, class?))).collect();
                store::count_plan::unpin_classes(conn, &location, &free).await?;
                store::count_plan::upsert_classes(conn, &location, &set, true).await?;
                idempotency::store(conn, schema, &key, &[]).await?;
                Ok(())
            })
        })
        .await
    }

    /// Classes a location's SKUs by what left it, in units or in value; pinned classes stay.
    pub async fn compute_abc_classes(&self, key: Key, compute: ComputeClasses) -> Result<ClassCounts, Error> {
        let (schema, now) = (self.schema, self.clock.now());
        pg::in_tx(&self.pool, move |conn| {
            let (key, compute) = (key.clone(), compute.clone());
            Box::pin(async move {
                match idempotency::claim(conn, schema, &key, now).await? {
                    Claim::Reused => return Err(Refusal::RequestIdReused.into()),
                    Claim::Answered(answer) => {
                        return store::answers::decode_class_counts(&answer).map_err(Error::from);
                    }
                    Claim::New => {}
                }
                check_location(conn, &compute.location).await?;
                let since = now - TimeDelta::days(compute.days);
                let moved = store::count_plan::sum_moved(conn, &compute.location, since, MAX_CLASSED + 1).await?;
                if moved.len() as i64 > MAX_CLASSED {
                    return Err(Refusal::TooLarge { limit: MAX_CLASSED }.into());
                }
                let (moved, without_value) = match compute.by_value {
                    None => (moved.into_iter().map(|(sku, units)| (sku, units.into())).collect(), 0),
                    Some(currency) => {
                        let costs = store::costs::find_costs_at(conn, compute.location.as_str(), currency).await?;
                        let without = moved.iter().filter(|(sku, _)| !costs.contains_key(sku)).count() as u64;
                        (worth(moved, &costs), without)
                    }
                };
                let classes = classify(moved, compute.shares);
                store::count_plan::upsert_classes(conn, &compute.location, &classes, false).await?;
                let [a, b, c] = [AbcClass::A, AbcClass::B, AbcClass::C]
                    .map(|class| classes.iter().filter(|(_, one)| *one == class).count() as u64);
                let counts = [a, b, c, without_value];
                idempotency::store(conn, schema, &key, &store::answers::encode_class_counts(counts)).await?;
                Ok(counts)
            })
        })
        .await
    }

    pub async fn set_count_schedule(&self, key: Key, location: LocationId, days: CountDays) -> Result<(), Error> {
        let (schema, now) = (self.schema, self.clock.now());
        pg::in_tx(&self.pool, move |conn| {
            let (key, location) = (key.clone(), location.clone());
            Box::pin(async move {
                match idempotency::claim(conn, schema, &key, now).await? {
                    Claim::Reused => return Err(Refusal::RequestIdReused.into()),
                    Claim::Answered(_) => return Ok(()),
                    Claim::New => {}
                }
                check_location(conn, &location).await?;
                store::count_plan::upsert_schedule(conn, &location, days).await?;
                idempotency::store(conn, schema, &key, &[]).await?;
                Ok(())
            })
        })
        .await
    }

    /// What is due at an instant, by default now.
    pub async fn list_due_counts(
        &self,
        location: &LocationId,
        as_of: Option<DateTime<Utc>>,
        after: Option<(DateTime<Utc>, &str)>,
        limit: i64,
    ) -> Result<Vec<DueCount>, Error> {
        self.get_location(location.clone()).await?;
        let as_of = as_of.unwrap_or_else(|| self.clock.now());
        Ok(store::count_plan::list_due_counts(&self.pool, location, as_of, DEFAULT_DAYS, after, limit).await?)
    }
}

/// What moved, in millionths of the costs' currency; nothing where there is no cost.
fn worth(moved: Vec<(Sku, i64)>, costs: &HashMap<Sku, i64>) -> Vec<(Sku, i128)> {
    let cost = |sku: &Sku| i128::from(costs.get(sku).copied().unwrap_or(0));
    moved
        .into_iter()
        .map(|(sku, units)| {
            let value = i128::from(units) * cost(&sku);
            (sku, value)
        })
        .collect()
}

async fn check_location(conn: &mut PgConnection, location: &LocationId) -> Result<(), Error> {
    if store::locations::find_locations(conn, &[location.as_str()]).await?.is_empty() {
        return Err(Refusal::LocationNotFound { location: location.clone() }.into());
    }
    Ok(())
}
