//! Promises units to somebody.

use oneshelf_kit::auth::Caller;

use super::{Error, Inventory, execute::Job};
use crate::domain::{
    Refusal,
    group::{Answer, Command, HoldStock},
    hold::StockHold,
};

impl Inventory {
    /// Grants the hold or says which lines are short. The hold's id is the request's: repeating it repeats the answer.
    pub async fn hold_stock(&self, caller: &Caller, mut hold: HoldStock) -> Result<StockHold, Error> {
        super::check_channel(caller, hold.channel.as_ref())?;
        hold.partner = super::partner_for(caller, hold.partner)?;
        hold.longest = self.longest_soft_hold;
        let again = hold.sourcing.is_some().then(|| hold.clone());
        let outcome = self.execute(Job::unkeyed(Command::Hold(hold))).await;
        match (outcome, again) {
            (Err(Error::Refused(Refusal::PlanOvertaken { .. })), Some(mut hold)) => {
                if let Some(request) = &mut hold.sourcing {
                    request.wide = true;
                }
                self.execute(Job::unkeyed(Command::Hold(hold))).await.and_then(hold_of)
            }
            (outcome, _) => outcome.and_then(hold_of),
        }
    }
}

pub(super) fn hold_of(answer: Answer) -> Result<StockHold, Error> {
    match answer {
        Answer::Hold(hold) => Ok(hold),
        _ => Err(Error::Unexpected("no hold answered to a hold's command")),
    }
}
