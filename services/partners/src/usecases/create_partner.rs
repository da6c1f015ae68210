use std::sync::Arc;

use futures::FutureExt;
use oneshelf_kit::{
    auth::Caller,
    idempotency::{self, Claim, Key},
    outbox, pg,
};

use super::{Error, Partners, change_partner::require_unbound};
use crate::{
    domain::{NewPartner, Partner, Refusal},
    events,
    store::{answers, partners},
};

impl Partners {
    /// Adds a dealer with its credit account.
    #[tracing::instrument(name = "partners.create_partner", skip_all, fields(partner_id = %new.id))]
    pub async fn create_partner(&self, caller: &Caller, key: Key, new: NewPartner) -> Result<Partner, Error> {
        require_unbound(caller, &new.id)?;
        let (schema, clock) = (self.schema, self.clock.clone());
        let work = Arc::new((key, new));
        pg::in_tx(&self.pool, move |conn| {
            let (work, clock) = (Arc::clone(&work), clock.clone());
            async move {
                let (key, new) = &*work;
                let now = clock.now();
                match idempotency::claim(conn, schema, key, now).await? {
                    Claim::Answered(answer) => return Ok(answers::decode_partner(&answer)?),
                    Claim::Reused => return Err(Error::RequestIdReused),
                    Claim::New => {}
                }
                let partner = Partner::new(new.clone(), now);
                if !partners::insert_partner(conn, &partner).await? {
                    return Err(Refusal::PartnerExists { partner_id: partner.id }.into());
                }
                outbox::append(conn, schema, &[events::partner_changed(&partner, &clock)], now).await?;
                idempotency::store(conn, schema, key, &answers::encode_partner(&partner)).await?;
                Ok(partner)
            }
            .boxed()
        })
        .await
    }
}
