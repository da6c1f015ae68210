use oneshelf_kit::{auth::Caller, idempotency::Key};
use oneshelf_values::{HoldId, Money};

use super::{Error, Partners, credit_group::Command};
use crate::domain::CreditHold;

impl Partners {
    /// Uses held credit; what is not captured is released. `amount`: all of it when `None`.
    #[tracing::instrument(name = "partners.capture_credit", skip_all, fields(%hold_id))]
    pub async fn capture_credit(
        &self,
        caller: &Caller,
        key: Key,
        hold_id: HoldId,
        amount: Option<Money>,
    ) -> Result<CreditHold, Error> {
        let only = caller.partner().cloned();
        Ok(self.credit.submit(Command::Capture { key, only, hold_id, amount }).await??.hold())
    }
}
