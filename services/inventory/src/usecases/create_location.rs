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
        location::{Details, Location},
    },
    store,
};

/// What to add.
#[derive(Debug, Clone)]
pub struct NewLocation {
    pub location_id: LocationId,
    pub details: Details,
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
                    Claim::Answered(answer) => return Ok(store::answers::decode_location(&answer)?),
                    Claim::New => {}
                }
                let location = Location::new(new.location_id, new.details, new.oversell_facts, now);
                if !store::locations::insert_location(conn, &location).await? {
                    return Err(Refusal::LocationExists { location: location.location_id }.into());
                }
                idempotency::store(conn, schema, &key, &store::answers::encode_location(&location)).await?;
                Ok(location)
            })
        })
        .await
    }
}
