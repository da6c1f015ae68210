//! Changes a location: its details, whether it takes part, and its end.
//!
//! The location is one transaction, its levels follow in steps of bounded size, each through the executor like any other
//! change of a level: so a shop with 50,000 SKUs is switched off without holding up its neighbours. The location itself
//! says while levels are behind, and the caller is answered when none is any more; if this process dies on the way, a
//! timer goes on.

use oneshelf_kit::{
    idempotency::{self, Claim, Key},
    pg,
};
use oneshelf_values::LocationId;

use super::{Error, Inventory, execute::Job};
use crate::{
    domain::{
        Refusal,
        group::Command,
        location::{DetailsUpdate, Location},
        stock_level::LevelKey,
    },
    store,
};

/// Levels that follow their location with one command.
const STEP: i64 = 500;

/// Locations that one round of the timer looks at.
const ROUND: i64 = 100;

/// What is to become of a location.
#[derive(Debug, Clone)]
enum Change {
    Update(Box<DetailsUpdate>),
    Switch { active: bool },
    Close,
}

impl Inventory {
    /// New details; what it says already is success and no new version.
    pub async fn update_location(
        &self,
        key: Key,
        location_id: LocationId,
        update: DetailsUpdate,
        expected_version: i64,
    ) -> Result<Location, Error> {
        self.change_location(key, &location_id, Change::Update(Box::new(update)), expected_version).await
    }

    /// Takes part from now on, or not for now. Answers when every level knows.
    pub async fn switch_location(&self, key: Key, location_id: LocationId, active: bool) -> Result<Location, Error> {
        let location = self.change_location(key, &location_id, Change::Switch { active }, 0).await?;
        self.follow_location(location_id.as_str()).await?;
        Ok(location)
    }

    /// Ends an inactive location that has nothing left. Soft holds that only wait for the sweeper are recorded first.
    pub async fn close_location(&self, key: Key, location_id: LocationId) -> Result<Location, Error> {
        self.follow_location(location_id.as_str()).await?;
        let outcome = self.change_location(key.clone(), &location_id, Change::Close, 0).await;
        let not_empty = matches!(&outcome, Err(Error::Refused(Refusal::LocationNotEmpty { .. })));
        if not_empty && self.expire_holds().await? > 0 {
            return self.change_location(key, &location_id, Change::Close, 0).await;
        }
        outcome
    }

    async fn change_location(
        &self,
        key: Key,
        location_id: &LocationId,
        change: Change,
        expected_version: i64,
    ) -> Result<Location, Error> {
        let (schema, now, location_id) = (self.schema, self.clock.now(), location_id.clone());
        pg::in_tx(&self.pool, move |conn| {
            let (key, location_id, change) = (key.clone(), location_id.clone(), change.clone());
            Box::pin(async move {
                match idempotency::claim(conn, schema, &key, now).await? {
                    Claim::Reused => return Err(Refusal::RequestIdReused.into()),
                    Claim::Answered(answer) => return Ok(store::answers::decode_location(&answer)?),
                    Claim::New => {}
                }
                let current = store::locations::lock_location(conn, &location_id)
                    .await?
                    .ok_or_else(|| Refusal::LocationNotFound { location: location_id.clone() })?;
                current.expect_version(expected_version)?;
                let changed = match change {
                    Change::Update(update) => current.updated(*update, now)?,
                    Change::Switch { active } => current.switched(active, now)?,
                    Change::Close => {
                        if store::locations::find_progress(conn, location_id.as_str()).await?.is_some_and(|at| at.1) {
                            return Err(Error::Conflict);
                        }
                        let left = store::locations::lock_leftovers(conn, &location_id).await?;
                        let closed = current.closed(&left, now)?;
                        if closed.is_some() {
                            store::locations::close_levels(conn, &location_id).await?;
                        }
                        closed
                    }
                };
                let location = match changed {
                    None => current,
                    Some(location) => {
                        store::locations::update_location(conn, &location).await?;
                        location
                    }
                };
                idempotency::store(conn, schema, &key, &store::answers::encode_location(&location)).await?;
                Ok::<_, Error>(location)
            })
        })
        .await
    }

    /// Brings all levels of a location to its state. Nothing to do is the usual case; running it twice, also at the same
    /// time, changes nothing more.
    async fn follow_location(&self, location_id: &str) -> Result<(), Error> {
        loop {
            let mut conn = self.pool.acquire().await?;
            let progress = store::locations::find_progress(&mut conn, location_id).await?;
            drop(conn);
            let Some((version, true)) = progress else { return Ok(()) };
            let location: LocationId = store::parse("locations", "location_id", location_id)?;
            let mut after = String::new();
            loop {
                let skus = store::locations::list_levels_behind(&self.pool, location_id, &after, STEP).await?;
                let Some(last) = skus.last() else { break };
                after.clone_from(last);
                let keys = skus
                    .iter()
                    .map(|sku| {
                        Ok(LevelKey { sku: store::parse("stock_levels", "sku", sku)?, location: location.clone() })
                    })
                    .collect::<Result<_, sqlx::Error>>()?;
                self.submit(Job::unkeyed(Command::Follow { keys })).await?;
            }
            // Somebody may have changed it again meanwhile: then from the start.
            store::locations::finish_following(&self.pool, location_id, version).await?;
        }
    }

    /// Goes on where a process died before all levels of a location knew; answers how many locations there were.
    pub async fn follow_locations(&self) -> Result<usize, Error> {
        let behind = store::locations::list_locations_behind(&self.pool, ROUND).await?;
        for location_id in &behind {
            self.follow_location(location_id).await?;
        }
        Ok(behind.len())
    }
}
