//! Despatches a confirmed order, whole or in part; what does not go out is cancelled.

use chrono::{DateTime, Utc};
use oneshelf_kit::{
    auth::Caller,
    idempotency::{self, Claim, Key},
    pg,
};
use oneshelf_values::OrderId;

use super::{Error, Orders, drive_process::Subject, effective_at, in_scope};
use crate::{
    domain::{
        Refusal,
        order::{Order, ShipUnits, State},
        process::{Verb, first},
    },
    store::{self, processes::Process},
};

/// What is asked for.
#[derive(Debug, Clone)]
pub struct ShipOrder {
    pub key: Key,
    pub order_id: OrderId,
    /// Empty: everything.
    pub units: Vec<ShipUnits>,
    pub tracking_number: Option<String>,
    pub effective_at: Option<DateTime<Utc>>,
}

impl Orders {
    /// Answers with the order as it was when it had just been shipped.
    pub async fn ship_order(&self, caller: &Caller, command: ShipOrder) -> Result<Order, Error> {
        let (schema, now, due_at) = (self.schema, self.clock.now(), self.lease_end());
        let (order_id, caller) = (command.order_id, caller.clone());
        effective_at(&caller, command.effective_at, now)?;
        let begun = pg::in_tx(&self.pool, move |conn| {
            let (command, caller) = (command.clone(), caller.clone());
            Box::pin(async move {
                match idempotency::claim(conn, schema, &command.key, now).await? {
                    Claim::Reused => return Err(Error::RequestIdReused),
                    Claim::Answered(_) => return Ok(None),
                    Claim::New => {}
                }
                let mut order = lock_in_scope(conn, &caller, order_id).await?;
                order.start_shipping(&command.units, command.tracking_number)?;
                let process = Process {
                    process_id: order_id.as_uuid(),
                    verb: Verb::Ship,
                    step: first(Verb::Ship, order.touches()),
                    effective_at: command.effective_at,
                    attempts: 0,
                };
                if !store::orders::save(conn, &order).await? {
                    return Err(Error::InProgress);
                }
                store::processes::insert(conn, &process, due_at, now).await?;
                // The order itself tells the answer; the row says that this request made it.
                idempotency::store(conn, schema, &command.key, &[]).await?;
                Ok(Some((process, order)))
            })
        })
        .await?;
        let ended = match begun {
            Some((process, order)) => self.drive(process, Subject::Order(order)).await?,
            None => self.resume(order_id.as_uuid(), Verb::Ship).await?,
        };
        match ended {
            Subject::Order(order) if order.state == State::Shipped => Ok(order.as_shipped()),
            _ => Err(Error::InProgress),
        }
    }
}

/// The order, locked, if it is the caller's and no process is still placing it.
pub(crate) async fn lock_in_scope(
    conn: &mut sqlx::PgConnection,
    caller: &Caller,
    order_id: OrderId,
) -> Result<Order, Error> {
    let order = store::orders::lock(conn, order_id)
        .await?
        .filter(|order| in_scope(caller, &order.channel, order.partner.as_ref()))
        .ok_or(Refusal::OrderNotFound(order_id))?;
    if order.state == State::Placing {
        return Err(Error::InProgress);
    }
    Ok(order)
}
