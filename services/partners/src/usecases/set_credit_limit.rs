use oneshelf_kit::{auth::Caller, idempotency::Key};
use oneshelf_values::{Money, PartnerId};

use super::{Error, Partners};
use crate::domain::Partner;

impl Partners {
    /// Changes the limit. `expected_version` is the partner's; not checked when `None`.
    #[tracing::instrument(name = "partners.set_credit_limit", skip_all, fields(%partner_id))]
    pub async fn set_credit_limit(
        &self,
        caller: &Caller,
        key: Key,
        partner_id: PartnerId,
        limit: Money,
        expected_version: Option<i64>,
    ) -> Result<Partner, Error> {
        self.change_partner(caller, key, partner_id, move |partner| partner.limit_credit(limit, expected_version)).await
    }
}
