//! Adds a place that holds stock.

use oneshelf_kit::{
    idempotency::{self, Claim, Key},
    pg,
};
use oneshelf_values::LocationId;

use super::{Error, Inventory};
use crate::{
    domain::{
        Refusal,
        location::{Location, LocationKind},
    },
    store,
};

/// What to add.
#[derive(Debug, Clone)]
pub struct NewLocation {
    pub location_id: LocationId,
    pub kind: LocationKind,
    pub title: String,
    pub oversell_facts: bool,
}

impl Inventory {
    /// Adds a location; the same request again answers with what it made.
    pub async fn create_location(&self, key: Key, new: NewLocation) -> Result<Location, Error> {
        let (schema, now) = (self.schema, self.clock.now());
        pg::in_tx(&self.pool, move |conn| {
            let (key, new) = (key.clone(), new.clone());
            Box::pin(async move {
                match idempotency::claim(conn, schema, &key, now).await? {
                    Claim::Reused => return Err(Refusal::RequestIdReused.into()),
                    Claim::Answered(_) => {
                        // A location never changes, so what it is now is what was answered.
                        return store::locations::find_location(conn, &new.location_id)
                            .await?
                            .ok_or(Error::Refused(Refusal::LocationNotFound { location: new.location_id }));
                    }
                    Claim::New => {}
                }
                let location = Location {
                    location_id: new.location_id,
                    kind: new.kind,
                    title: new.title,
                    oversell_facts: new.oversell_facts,
                    version: 1,
                    created_at: now,
                };
                if !store::locations::insert_location(conn, &location).await? {
                    return Err(Refusal::LocationExists { location: location.location_id }.into());
                }
                idempotency::store(conn, schema, &key, location.location_id.as_str().as_bytes()).await?;
                Ok(location)
            })
        })
        .await
    }
}
