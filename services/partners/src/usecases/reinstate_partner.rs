use oneshelf_kit::{auth::Caller, idempotency::Key};
use oneshelf_values::PartnerId;

use super::{Error, Partners};
use crate::domain::Partner;

impl Partners {
    /// Allows business again.
    #[tracing::instrument(name = "partners.reinstate_partner", skip_all, fields(%partner_id))]
    pub async fn reinstate_partner(&self, caller: &Caller, key: Key, partner_id: PartnerId) -> Result<Partner, Error> {
        self.change_partner(caller, key, partner_id, |partner| Ok(partner.reinstate())).await
    }
}
