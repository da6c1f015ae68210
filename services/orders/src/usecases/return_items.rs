//! Takes goods back and refunds what was paid for these units.

use chrono::{DateTime, Utc};
use oneshelf_kit::{auth::Caller, pg};

use super::{Error, Orders, drive_process::Subject, effective_at, in_scope};
use crate::{
    domain::{
        process::{Touches, Verb, first},
        returns::{Item, Return, ReturnRequest, decide},
    },
    store::{self, processes::Process},
};

/// What is asked for.
#[derive(Debug, Clone)]
pub struct ReturnItems {
    pub request: ReturnRequest,
    /// Of the request's content.
    pub fingerprint: [u8; 32],
    pub effective_at: Option<DateTime<Utc>>,
}

impl Orders {
    /// Answers with the return, which never changes, once its stock is booked.
    pub async fn return_items(&self, caller: &Caller, command: ReturnItems) -> Result<Return, Error> {
        let request = &command.request;
        if !request.fees.is_empty() || request.items.iter().any(|item| matches!(item, Item::Loose { .. })) {
            caller.require("orders:ReturnWithoutOrder")?;
        }
        if !caller.covers_channel(&request.channel) {
            return Err(Error::OutOfScope);
        }
        let (now, due_at) = (self.clock.now(), self.lease_end());
        let at = effective_at(caller, command.effective_at, now)?;
        let (return_id, caller) = (request.return_id, caller.clone());
        let begun = pg::in_tx(&self.pool, move |conn| {
            let (command, caller) = (command.clone(), caller.clone());
            Box::pin(async move {
                match store::returns::find_fingerprint(conn, return_id).await? {
                    Some(known) if known == command.fingerprint => return Ok(None),
                    Some(_) => return Err(Error::RequestIdReused),
                    None => {}
                }
                let mut sales = store::returns::lock_sales(conn, &command.request.items).await?;
                sales.retain(|_, sale| in_scope(&caller, &sale.channel, sale.partner.as_ref()));
                let back = decide(command.request, &mut sales, at, now)?;
                if !in_scope(&caller, &back.channel, back.partner.as_ref()) {
                    return Err(Error::OutOfScope);
                }
                if !store::returns::insert(conn, &back, &command.fingerprint).await? {
                    // A twin committed in this moment: its answer is there for the next try.
                    return Err(Error::InProgress);
                }
                store::returns::save_returned(conn, &sales).await?;
                let touches = Touches { stock: !back.lines.is_empty(), credit: false };
                let process = Process {
                    process_id: return_id.as_uuid(),
                    verb: Verb::Return,
                    step: first(Verb::Return, touches),
                    effective_at: command.effective_at,
                    attempts: 0,
                };
                store::processes::insert(conn, &process, due_at, now).await?;
                Ok(Some((process, back)))
            })
        })
        .await?;
        let ended = match begun {
            Some((process, back)) => self.drive(process, Subject::Return(back)).await?,
            None => self.resume(return_id.as_uuid(), Verb::Return).await?,
        };
        match ended {
            Subject::Return(back) => Ok(back),
            Subject::Order(_) => Err(Error::InProgress),
        }
    }
}
