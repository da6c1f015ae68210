use oneshelf_kit::{auth::Caller, idempotency::Key};
use oneshelf_values::{Money, PartnerId};

use super::{Error, Partners, credit_group::Command, require_partner};
use crate::domain::CreditHold;

impl Partners {
    /// Promises credit to an order. The request id becomes the hold's id, and the answer is always the hold as it was
    /// granted, whatever became of it since.
    #[tracing::instrument(name = "partners.hold_credit", skip_all, fields(%partner_id, hold_id = %key.request_id))]
    pub async fn hold_credit(
        &self,
        caller: &Caller,
        key: Key,
        partner_id: PartnerId,
        amount: Money,
        reference: String,
    ) -> Result<CreditHold, Error> {
        require_partner(caller, &partner_id)?;
        Ok(self.credit.submit(Command::Hold { key, partner_id, amount, reference }).await??.hold())
    }
}
