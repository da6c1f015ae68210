use oneshelf_kit::{auth::Caller, idempotency::Key};
use oneshelf_values::{Money, PartnerId};

use super::{Error, Partners, change_partner::require_unbound, credit_group::Command};
use crate::domain::Account;

impl Partners {
    /// Lowers what is used by what the partner paid. For unbound keys: a dealer does not confirm its own payment.
    #[tracing::instrument(name = "partners.record_payment", skip_all, fields(%partner_id))]
    pub async fn record_payment(
        &self,
        caller: &Caller,
        key: Key,
        partner_id: PartnerId,
        amount: Money,
        reference: String,
    ) -> Result<Account, Error> {
        require_unbound(caller, &partner_id)?;
        Ok(self.credit.submit(Command::Pay { key, partner_id, amount, reference }).await??.account())
    }
}
