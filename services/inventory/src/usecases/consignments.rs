//! Goods that belong to somebody else than the holder of their place: agreements, and what is there and was settled.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use oneshelf_kit::{
    auth::Caller,
    idempotency::{self, Claim, Key},
    pg,
};
use oneshelf_values::{LocationId, PartnerId, Sku};
use uuid::Uuid;

use super::{Error, Inventory, execute::Job, partner_for};
pub use crate::store::consignments::{ConsignedStock, Settlement};
use crate::{
    domain::{
        Refusal,
        consignment::{Agreement, AgreementTerms, Side},
        group::Command,
        policy::Audit,
        stock_level::LevelKey,
    },
    store,
};

/// Levels that learn of an agreement with one command.
const STEP: i64 = 500;

/// Locations that one round goes on with.
const ROUND: i64 = 20;

/// An agreement as a request sets it.
#[derive(Debug, Clone)]
pub struct SetAgreement {
    pub party: PartnerId,
    pub location: LocationId,
    pub side: Side,
    pub terms: AgreementTerms,
    /// 0: not checked.
    pub expected_version: i64,
}

impl Inventory {
    /// Answers when every level of the location knows.
    pub async fn set_agreement(&self, caller: &Caller, key: Key, set: SetAgreement) -> Result<Agreement, Error> {
        let (schema, now, location) = (self.schema, self.clock.now(), set.location.clone());
        let work = Arc::new((key, set, caller.key_id().to_owned()));
        let agreement = pg::in_tx(&self.pool, move |conn| {
            let work = work.clone();
            Box::pin(async move {
                let (key, set, by) = &*work;
                match idempotency::claim(conn, schema, key, now).await? {
                    Claim::Reused => return Err(Refusal::RequestIdReused.into()),
                    Claim::Answered(answer) => return Ok(store::consignments::decode_agreement(&answer)?),
                    Claim::New => {}
                }
                // A level that is made shares this lock until it is committed: the steps below find it, or it finds the
                // agreement.
                if store::locations::lock_location(conn, &set.location).await?.is_none() {
                    return Err(Refusal::LocationNotFound { location: set.location.clone() }.into());
                }
                let known = store::consignments::list_agreements_at(conn, &set.location).await?;
                let (before, others): (Vec<_>, Vec<_>) =
                    known.into_iter().partition(|one| one.party == set.party && one.side == set.side);
                let before = before.into_iter().next();
                let found = before.as_ref().map_or(0, |before| before.audit.version);
                if set.expected_version != 0 && set.expected_version != found {
                    return Err(Refusal::VersionMismatch { expected: set.expected_version, found }.into());
                }
                if let Some(other) = others.iter().find(|other| other.terms.overlaps(&set.terms)) {
                    let (location, party) = (set.location.clone(), other.party.clone());
                    return Err(Refusal::ConsignmentOverlap { location, party }.into());
                }
                let agreement = match before {
                    Some(same) if same.terms == set.terms => same,
                    before => {
                        let agreement = Agreement {
                            party: set.party.clone(),
                            location: set.location.clone(),
                            side: set.side,
                            terms: set.terms.clone(),
                            audit: Audit::next(before.as_ref().map(|before| &before.audit), by, now),
                        };
                        // What is theirs is known to levels from its coming; what is ours lies there already.
                        store::consignments::upsert_agreement(conn, &agreement, set.side == Side::Ours).await?;
                        agreement
                    }
                };
                idempotency::store(conn, schema, key, &store::consignments::encode_agreement(&agreement)).await?;
                Ok::<_, Error>(agreement)
            })
        })
        .await?;
        if agreement.side == Side::Ours {
            self.follow_agreements_at(&location, agreement.audit.updated_at).await?;
        }
        Ok(agreement)
    }

    /// Lets all levels of a location look at their rules again; running it twice changes nothing more.
    async fn follow_agreements_at(&self, location: &LocationId, changed: DateTime<Utc>) -> Result<(), Error> {
        let mut after = String::new();
        loop {
            let skus = store::consignments::list_next_skus(&self.pool, location.as_str(), &after, STEP).await?;
            let Some(last) = skus.last() else { break };
            after.clone_from(last);
            let keys = skus
                .iter()
                .map(|sku| Ok(LevelKey { sku: store::parse("stock_levels", "sku", sku)?, location: location.clone() }))
                .collect::<Result<_, sqlx::Error>>()?;
            self.submit(Job::unkeyed(Command::Reconsider { keys })).await?;
        }
        Ok(store::consignments::finish_following(&self.pool, location.as_str(), changed).await?)
    }

    /// Goes on where a process died before all levels knew of an agreement; answers how many locations there were.
    pub async fn follow_agreements(&self) -> Result<usize, Error> {
        let behind = store::consignments::list_locations_behind(&self.pool, ROUND).await?;
        for (location_id, changed) in &behind {
            let location = store::parse("consignment_agreements", "location_id", location_id)?;
            self.follow_agreements_at(&location, *changed).await?;
        }
        Ok(behind.len())
    }

    pub async fn list_agreements(
        &self,
        caller: &Caller,
        party: Option<PartnerId>,
        location: Option<&LocationId>,
        after: (&str, &str, &str),
        limit: i64,
    ) -> Result<Vec<Agreement>, Error> {
        let party = partner_for(caller, party)?;
        Ok(store::consignments::list_agreements(&self.pool, party.as_ref(), location, after, limit).await?)
    }

    pub async fn list_consignment_stock(
        &self,
        caller: &Caller,
        party: Option<PartnerId>,
        location: Option<&LocationId>,
        sku: Option<&Sku>,
        after: (&str, &str, &str),
        limit: i64,
    ) -> Result<Vec<ConsignedStock>, Error> {
        let party = partner_for(caller, party)?;
        let filter = (party.as_ref(), location, sku);
        Ok(store::consignments::list_stock(&self.pool, filter, self.clock.now(), after, limit).await?)
    }

    pub async fn list_settlements(
        &self,
        caller: &Caller,
        party: PartnerId,
        period: (DateTime<Utc>, DateTime<Utc>),
        after: Option<(DateTime<Utc>, Uuid)>,
        limit: i64,
    ) -> Result<Vec<Settlement>, Error> {
        partner_for(caller, Some(party.clone()))?;
        Ok(store::consignments::list_settlements(&self.pool, &party, period, after, limit).await?)
    }
}
