use oneshelf_kit::auth::Caller;
use oneshelf_values::PartnerId;

use super::{Error, Partners, require_visible};
use crate::{domain::Partner, store::partners};

impl Partners {
    #[tracing::instrument(name = "partners.get_partner", skip_all, fields(%partner_id))]
    pub async fn get_partner(&self, caller: &Caller, partner_id: PartnerId) -> Result<Partner, Error> {
        require_visible(caller, &partner_id)?;
        partners::find_partner(&self.pool, &partner_id).await?.ok_or(Error::PartnerNotFound { partner_id })
    }
}
