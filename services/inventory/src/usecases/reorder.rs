//! When and how much is reordered: policies are plain records, each batch of them one transaction beside the groups, as
//! they decide nothing about stock that is there.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use chrono::{Days, NaiveDate, NaiveTime};
use oneshelf_kit::{
    auth::Caller,
    idempotency::{self, Claim, Key},
    pg,
};
use oneshelf_values::{LocationId, Sku};

use super::{Error, Inventory};
pub use crate::store::reorder::Positioned;
use crate::{
    domain::{
        Refusal,
        group::Line,
        policy::Audit,
        reorder::{ReorderPolicy, ReorderTerms, Suggestion, Supply},
        stock_level::LevelKey,
    },
    store,
};

/// What is computed from which demand; `None` where the SKU's policy says it.
#[derive(Debug, Clone)]
pub struct SuggestTerms {
    pub location: LocationId,
    pub skus: Vec<Sku>,
    pub days: u64,
    pub cover_days: i32,
    pub lead_time_hours: Option<i32>,
    pub lead_time_deviation_hours: Option<i32>,
    pub review_days: Option<i32>,
    pub service_level_basis_points: Option<i32>,
}

/// The suggestions, in the order asked, and the first and last day that were looked at.
pub type SuggestedTerms = (Vec<Suggestion>, NaiveDate, NaiveDate);

impl Inventory {
    /// All lines or none; answers the policies as they are then.
    pub async fn set_reorder_policies(
        &self,
        caller: &Caller,
        key: Key,
        lines: Vec<Line<LevelKey, ReorderTerms>>,
    ) -> Result<Vec<ReorderPolicy>, Error> {
        let (schema, now) = (self.schema, self.clock.now());
        let work = Arc::new((key, lines, caller.key_id().to_owned()));
        pg::in_tx(&self.pool, move |conn| {
            let work = work.clone();
            Box::pin(async move {
                let (key, lines, by) = &*work;
                match idempotency::claim(conn, schema, key, now).await? {
                    Claim::Reused => return Err(Refusal::RequestIdReused.into()),
                    Claim::Answered(answer) => return Ok(store::reorder::decode_reorder_policies(&answer)?),
                    Claim::New => {}
                }
                let locations: BTreeSet<&str> = lines.iter().map(|line| line.key.location.as_str()).collect();
                let locations: Vec<&str> = locations.into_iter().collect();
                let known: BTreeSet<LocationId> = store::locations::find_locations(conn, &locations)
                    .await?
                    .into_iter()
                    .map(|location| location.location_id)
                    .collect();
                if let Some(line) = lines.iter().find(|line| !known.contains(&line.key.location)) {
                    return Err(Refusal::LocationNotFound { location: line.key.location.clone() }.into());
                }
                let keys: BTreeSet<LevelKey> = lines.iter().map(|line| line.key.clone()).collect();
                let keys: Vec<LevelKey> = keys.into_iter().collect();
                let before = store::reorder::lock_reorder_policies(conn, &keys).await?;
                let mut changed = Vec::new();
                let mut policies = Vec::with_capacity(lines.len());
                for (place, line) in lines.iter().enumerate() {
                    let before: Option<&ReorderPolicy> = before.get(&line.key);
                    line.expect(place, before.map(|policy| &policy.audit))?;
                    let policy = match before {
                        Some(same) if same.terms == line.terms => same.clone(),
                        _ => {
                            let audit = Audit::next(before.map(|policy| &policy.audit), by, now);
                            let policy = ReorderPolicy { key: line.key.clone(), terms: line.terms, audit };
                            changed.push(policy.clone());
                            policy
                        }
                    };
                    policies.push(policy);
                }
                if !store::reorder::upsert_reorder_policies(conn, &changed).await? {
                    return Err(Error::Conflict);
                }
                idempotency::store(conn, schema, key, &store::reorder::encode_reorder_policies(&policies)).await?;
                Ok(policies)
            })
        })
        .await
    }

    pub async fn list_reorder_policies(
        &self,
        sku: Option<&Sku>,
        location: Option<&LocationId>,
        after: (&str, &str),
        limit: i64,
    ) -> Result<Vec<ReorderPolicy>, Error> {
        Ok(store::reorder::list_reorder_policies(&self.pool, sku, location, after, limit).await?)
    }

    /// A page of policies, each with the position of its SKU.
    pub async fn list_reorder_positions(
        &self,
        sku: Option<&Sku>,
        location: Option<&LocationId>,
        after: (&str, &str),
        limit: i64,
    ) -> Result<Vec<Positioned>, Error> {
        let policies = store::reorder::list_reorder_policies(&self.pool, sku, location, after, limit).await?;
        if policies.is_empty() {
            return Ok(Vec::new());
        }
        Ok(store::reorder::list_positions(&self.pool, policies, self.clock.now()).await?)
    }

    /// What demand says the terms should be.
    pub async fn suggest_reorder_terms(&self, asked: SuggestTerms) -> Result<SuggestedTerms, Error> {
        self.get_location(asked.location.clone()).await?;
        let today = self.clock.now().date_naive();
        // Bounded to some years by whoever parses it.
        let first = today.checked_sub_days(Days::new(asked.days)).unwrap_or(today);
        let last = today.pred_opt().unwrap_or(today);
        let midnight = |day: NaiveDate| day.and_time(NaiveTime::MIN).and_utc();
        let period = (midnight(first), midnight(today));
        let demands = store::reorder::sum_demand(&self.pool, &asked.location, &asked.skus, period).await?;
        let known: HashMap<Sku, Supply> =
            store::reorder::find_supply_terms(&self.pool, &asked.location, &asked.skus).await?;
        let suggestions = asked
            .skus
            .iter()
            .zip(demands)
            .map(|(sku, demand)| {
                let own = known.get(sku).copied().unwrap_or_default();
                let supply = Supply {
                    lead_time_hours: asked.lead_time_hours.unwrap_or(own.lead_time_hours),
                    lead_time_deviation_hours: asked.lead_time_deviation_hours.unwrap_or(own.lead_time_deviation_hours),
                    review_days: asked.review_days.unwrap_or(own.review_days),
                    service_level_basis_points: asked
                        .service_level_basis_points
                        .unwrap_or(own.service_level_basis_points),
                };
                let key = LevelKey { sku: sku.clone(), location: asked.location.clone() };
                Suggestion::of(&key, demand, supply, asked.cover_days)
            })
            .collect::<Result<_, _>>()?;
        Ok((suggestions, first, last))
    }
}
