use oneshelf_kit::auth::Caller;
use oneshelf_values::PartnerId;

use super::{Error, Partners, require_visible};
use crate::{domain::Account, store::credit};

impl Partners {
    #[tracing::instrument(name = "partners.get_credit_account", skip_all, fields(%partner_id))]
    pub async fn get_credit_account(&self, caller: &Caller, partner_id: PartnerId) -> Result<Account, Error> {
        require_visible(caller, &partner_id)?;
        credit::find_account(&self.pool, &partner_id).await?.ok_or(Error::PartnerNotFound { partner_id })
    }
}
