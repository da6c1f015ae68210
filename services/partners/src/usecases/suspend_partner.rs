use oneshelf_kit::{auth::Caller, idempotency::Key};
use oneshelf_values::PartnerId;

use super::{Error, Partners};
use crate::domain::Partner;

impl Partners {
    /// Stops new business: no credit is held for the partner from the commit on.
    #[tracing::instrument(name = "partners.suspend_partner", skip_all, fields(%partner_id))]
    pub async fn suspend_partner(
        &self,
        caller: &Caller,
        key: Key,
        partner_id: PartnerId,
        reason: String,
    ) -> Result<Partner, Error> {
        self.change_partner(caller, key, partner_id, move |partner| Ok(partner.suspend(reason.clone()))).await
    }
}
