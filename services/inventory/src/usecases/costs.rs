//! What units cost us: plain records, each batch of them one transaction.

use std::{collections::BTreeSet, sync::Arc};

use oneshelf_kit::{
    auth::Caller,
    idempotency::{self, Claim, Key},
    pg,
};
use oneshelf_values::{Sku, UnitPrice};

use super::{Error, Inventory};
use crate::{
    domain::{Refusal, cost::UnitCost, group::Line, policy::Audit},
    store,
};

impl Inventory {
    /// All lines or none; answers the costs as they are then.
    pub async fn set_unit_costs(
        &self,
        caller: &Caller,
        key: Key,
        lines: Vec<Line<Sku, UnitPrice>>,
    ) -> Result<Vec<UnitCost>, Error> {
        let (schema, now) = (self.schema, self.clock.now());
        let work = Arc::new((key, lines, caller.key_id().to_owned()));
        pg::in_tx(&self.pool, move |conn| {
            let work = work.clone();
            Box::pin(async move {
                let (key, lines, by) = &*work;
                match idempotency::claim(conn, schema, key, now).await? {
                    Claim::Reused => return Err(Refusal::RequestIdReused.into()),
                    Claim::Answered(answer) => return Ok(store::costs::decode_unit_costs(&answer)?),
                    Claim::New => {}
                }
                let skus: BTreeSet<&str> = lines.iter().map(|line| line.key.as_str()).collect();
                let known = store::costs::lock_unit_costs(conn, &skus.into_iter().collect::<Vec<_>>()).await?;
                let mut changed = Vec::new();
                let mut costs = Vec::with_capacity(lines.len());
                for (place, line) in lines.iter().enumerate() {
                    let before = known.get(&line.key);
                    line.expect(place, before.map(|cost| &cost.audit))?;
                    let cost = match before {
                        Some(same) if same.cost == line.terms => same.clone(),
                        _ => {
                            let audit = Audit::next(before.map(|cost| &cost.audit), by, now);
                            let cost = UnitCost { sku: line.key.clone(), cost: line.terms, audit };
                            changed.push(cost.clone());
                            cost
                        }
                    };
                    costs.push(cost);
                }
                if !store::costs::upsert_unit_costs(conn, &changed).await? {
                    return Err(Error::Conflict);
                }
                idempotency::store(conn, schema, key, &store::costs::encode_unit_costs(&costs)).await?;
                Ok(costs)
            })
        })
        .await
    }

    pub async fn list_unit_costs(&self, after: &str, limit: i64) -> Result<Vec<UnitCost>, Error> {
        Ok(store::costs::list_unit_costs(&self.pool, after, limit).await?)
    }
}
