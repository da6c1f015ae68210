//! Gives everything of a confirmed order back.

use oneshelf_kit::{
    auth::Caller,
    idempotency::{self, Claim, Key},
    pg,
};
use oneshelf_values::OrderId;

use super::{Error, Orders, drive_process::Subject, ship_order::lock_in_scope};
use crate::{
    domain::{
        order::{Order, State},
        process::{Verb, first},
    },
    store::{self, processes::Process},
};

/// What is asked for.
#[derive(Debug, Clone)]
pub struct CancelOrder {
    pub key: Key,
    pub order_id: OrderId,
    pub reason: String,
}

impl Orders {
    /// Answers with the cancelled order, which never changes again. One that is cancelled already is fine.
    pub async fn cancel_order(&self, caller: &Caller, command: CancelOrder) -> Result<Order, Error> {
        let (schema, now, due_at) = (self.schema, self.clock.now(), self.lease_end());
        let (order_id, caller) = (command.order_id, caller.clone());
        let begun = pg::in_tx(&self.pool, move |conn| {
            let (command, caller) = (command.clone(), caller.clone());
            Box::pin(async move {
                match idempotency::claim(conn, schema, &command.key, now).await? {
                    Claim::Reused => return Err(Error::RequestIdReused),
                    Claim::Answered(_) => return Ok(None),
                    Claim::New => {}
                }
                let mut order = lock_in_scope(conn, &caller, order_id).await?;
                idempotency::store(conn, schema, &command.key, &[]).await?;
                if matches!(order.state, State::Cancelling | State::Cancelled) {
                    return Ok(None);
                }
                order.start_cancelling(command.reason)?;
                let process = Process {
                    process_id: order_id.as_uuid(),
                    verb: Verb::Cancel,
                    step: first(Verb::Cancel, order.touches()),
                    effective_at: None,
                    attempts: 0,
                };
                if !store::orders::save(conn, &order).await? {
                    return Err(Error::InProgress);
                }
                store::processes::insert(conn, &process, due_at, now).await?;
                Ok(Some((process, order)))
            })
        })
        .await?;
        let ended = match begun {
            Some((process, order)) => self.drive(process, Subject::Order(order)).await?,
            None => self.resume(order_id.as_uuid(), Verb::Cancel).await?,
        };
        match ended {
            Subject::Order(order) if order.state == State::Cancelled => Ok(order),
            _ => Err(Error::InProgress),
        }
    }
}
