//! The one way a partner's record changes: lock, decide, write, tell. Creating a partner needs an unbound key, and so
//! does changing one: a dealer's own key may not lift its suspension or its limit.

use std::sync::Arc;

use futures::FutureExt;
use oneshelf_kit::{
    auth::Caller,
    idempotency::{self, Claim, Key},
    outbox, pg,
};
use oneshelf_values::PartnerId;

use super::{Error, Partners};
use crate::{
    domain::{Partner, Refusal},
    events,
    store::{answers, partners},
};

impl Partners {
    /// `decide` gives the changed record, or `None` when it is already so: then nothing is written but the answer.
    pub(super) async fn change_partner(
        &self,
        caller: &Caller,
        key: Key,
        partner_id: PartnerId,
        decide: impl Fn(&Partner) -> Result<Option<Partner>, Refusal> + Send + Sync + 'static,
    ) -> Result<Partner, Error> {
        require_unbound(caller, &partner_id)?;
        let (schema, clock) = (self.schema, self.clock.clone());
        let work = Arc::new((key, partner_id, decide));
        pg::in_tx(&self.pool, move |conn| {
            let (work, clock) = (Arc::clone(&work), clock.clone());
            async move {
                let (key, partner_id, decide) = &*work;
                let now = clock.now();
                match idempotency::claim(conn, schema, key, now).await? {
                    Claim::Answered(answer) => return Ok(answers::decode_partner(&answer)?),
                    Claim::Reused => return Err(Error::RequestIdReused),
                    Claim::New => {}
                }
                let partner = partners::lock_partner(conn, partner_id)
                    .await?
                    .ok_or_else(|| Error::PartnerNotFound { partner_id: partner_id.clone() })?;
                let answer = match decide(&partner)? {
                    None => partner,
                    Some(changed) => {
                        partners::update_partner(conn, &changed, now).await?;
                        outbox::append(conn, schema, &[events::partner_changed(&changed, &clock)], now).await?;
                        changed
                    }
                };
                idempotency::store(conn, schema, key, &answers::encode_partner(&answer)).await?;
                Ok(answer)
            }
            .boxed()
        })
        .await
    }
}

pub(super) fn require_unbound(caller: &Caller, partner_id: &PartnerId) -> Result<(), Error> {
    if caller.partner().is_none() { Ok(()) } else { Err(Error::OutOfScope { partner_id: partner_id.clone() }) }
}
