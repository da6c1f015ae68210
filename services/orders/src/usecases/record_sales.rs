//! Writes tills' tickets down, many with one transaction, as facts. Their stock is booked by the timer's process, which is
//! woken at once: a till does not wait for inventory, and is not refused while inventory is away.
//!
//! | round trip | when |
//! |---|---|
//! | begin, insert all, commit | always |
//! | read known fingerprints | a ticket came before |

use std::collections::HashMap;

use oneshelf_kit::{auth::Caller, pg};
use oneshelf_values::OrderId;
use uuid::Uuid;

use super::{Error, Orders};
use crate::{
    domain::{
        Refusal,
        process::{Verb, first},
        ticket::Ticket,
    },
    store::{self, orders::NewOrder, processes::Process},
};

/// What became of one ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recorded {
    Now(OrderId),
    Before(OrderId),
    /// Its key was used for another sale.
    Conflict,
    OutOfScope,
    Refused(Refusal),
}

impl Orders {
    /// Answers for each ticket, in order.
    pub async fn record_sales(&self, caller: &Caller, tickets: Vec<Ticket>) -> Result<Vec<Recorded>, Error> {
        let now = self.clock.now();
        let mut answers: Vec<Option<Recorded>> = Vec::with_capacity(tickets.len());
        let mut keys = Vec::with_capacity(tickets.len());
        // The first of a key in this group stands for it; sorted by id, so that two groups never wait for each other.
        let mut new = std::collections::BTreeMap::<OrderId, NewOrder>::new();
        for ticket in tickets {
            let (order_id, fingerprint) = (ticket.order_id(), ticket.fingerprint);
            keys.push((order_id, fingerprint));
            if !caller.covers_channel(&ticket.channel) || caller.partner().is_some() {
                answers.push(Some(Recorded::OutOfScope));
                continue;
            }
            let order = match ticket.into_order(now) {
                Ok(order) => order,
                Err(refusal) => {
                    answers.push(Some(Recorded::Refused(refusal)));
                    continue;
                }
            };
            answers.push(None);
            let process = Process {
                process_id: order_id.as_uuid(),
                verb: Verb::RecordTicket,
                step: first(Verb::RecordTicket, order.touches()),
                effective_at: Some(order.effective_at),
                attempts: 0,
            };
            new.entry(order_id).or_insert(NewOrder { order, fingerprint, process, due_at: now });
        }
        let mut written = self.write_tickets(new.into_values().collect()).await?;
        let answer = |(known, (order_id, fingerprint)): (Option<Recorded>, (OrderId, [u8; 32]))| {
            known.unwrap_or_else(|| match written.get_mut(&order_id) {
                Some(ticket) if ticket.fingerprint != fingerprint => Recorded::Conflict,
                Some(ticket) => {
                    // Its twin further down in this group came before.
                    let first = std::mem::replace(&mut ticket.new, false);
                    if first { Recorded::Now(order_id) } else { Recorded::Before(order_id) }
                }
                None => Recorded::Conflict,
            })
        };
        Ok(answers.into_iter().zip(keys).map(answer).collect())
    }

    /// Writes what is new and answers what is stored under each key.
    async fn write_tickets(&self, new: Vec<NewOrder>) -> Result<HashMap<OrderId, Written>, Error> {
        if new.is_empty() {
            return Ok(HashMap::new());
        }
        let written = pg::in_tx(&self.pool, move |conn| {
            let new = new.clone();
            Box::pin(async move {
                let inserted = store::orders::insert_all(conn, &new).await?;
                let mut written: HashMap<OrderId, Written> = HashMap::with_capacity(new.len());
                for ticket in new.iter().filter(|ticket| inserted.contains(&ticket.order.order_id)) {
                    let fingerprint = ticket.fingerprint;
                    written.insert(ticket.order.order_id, Written { fingerprint, new: true });
                }
                let known: Vec<Uuid> = new
                    .iter()
                    .map(|ticket| ticket.order.order_id)
                    .filter(|order_id| !written.contains_key(order_id))
                    .map(|order_id| order_id.as_uuid())
                    .collect();
                if !known.is_empty() {
                    for (order_id, fingerprint) in store::orders::find_ticket_fingerprints(conn, &known).await? {
                        let fingerprint = fingerprint.try_into().unwrap_or_default();
                        written.insert(order_id, Written { fingerprint, new: false });
                    }
                }
                Ok::<_, sqlx::Error>(written)
            })
        })
        .await?;
        self.due.notify_one();
        Ok(written)
    }
}

struct Written {
    fingerprint: [u8; 32],
    new: bool,
}
