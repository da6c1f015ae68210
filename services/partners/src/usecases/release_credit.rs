use oneshelf_kit::{auth::Caller, idempotency::Key};
use oneshelf_values::HoldId;

use super::{Error, Partners, credit_group::Command};
use crate::domain::CreditHold;

impl Partners {
    /// Gives held credit back; releasing a released hold succeeds.
    #[tracing::instrument(name = "partners.release_credit", skip_all, fields(%hold_id))]
    pub async fn release_credit(&self, caller: &Caller, key: Key, hold_id: HoldId) -> Result<CreditHold, Error> {
        let only = caller.partner().cloned();
        Ok(self.credit.submit(Command::Release { key, only, hold_id }).await??.hold())
    }
}
