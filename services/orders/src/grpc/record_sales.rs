//! The stream of tickets: what has come is taken as one group, written with one transaction, and answered in order.
//!
//! No ticket waits for another one to arrive, and none is read before the group before it is answered: a till that does
//! not read its answers stops being read.

use std::pin::Pin;

use futures::{FutureExt as _, Stream, StreamExt as _};
use oneshelf_kit::{auth::Caller, status::unreadable};
use oneshelf_proto::orders::v1::{ErrorReason, RecordSalesRequest, RecordSalesResponse, Ticket, TicketOutcome};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};
use tonic_types::StatusExt as _;
use tracing::Instrument as _;

use super::{
    convert,
    status::{from_error, reason},
};
use crate::usecases::{Error, Orders, record_sales::Recorded};

/// Tickets, and lines of tickets, in one group; the last ticket may go over.
const MAX_TICKETS: usize = 64;
const MAX_LINES: usize = 8_000;

type Answers = ReceiverStream<Result<RecordSalesResponse, Status>>;

/// Answers one by one, in a task of its own, until the till closes its side or stops reading.
pub fn answers(orders: Orders, caller: Caller, tickets: Streaming<RecordSalesRequest>) -> Answers {
    let (send, answers) = mpsc::channel(MAX_TICKETS);
    let serving = async move {
        let mut tickets = Box::pin(tickets);
        loop {
            let (group, end) = next_group(tickets.as_mut()).await;
            let end = match (answer_group(&orders, &caller, group, &send).await, end) {
                (Ok(()), None) => continue,
                (Ok(()), Some(end)) => end,
                (Err(status), _) => Err(status),
            };
            if let Err(status) = end {
                let _ = send.send(Err(status)).await;
            }
            break;
        }
    };
    tokio::spawn(serving.in_current_span());
    ReceiverStream::new(answers)
}

/// Waits for one ticket, then takes what is there; and how the stream ended, if it did.
async fn next_group(
    mut tickets: Pin<&mut impl Stream<Item = Result<RecordSalesRequest, Status>>>,
) -> (Vec<Ticket>, Option<Result<(), Status>>) {
    let mut group: Vec<Ticket> = Vec::new();
    let mut lines = 0;
    let mut next = tickets.next().await;
    loop {
        match next {
            Some(Ok(request)) => {
                let ticket = request.ticket.unwrap_or_default();
                lines += ticket.lines.len() + ticket.fees.len();
                group.push(ticket);
            }
            Some(Err(status)) => return (group, Some(Err(unreadable(status)))),
            None => return (group, Some(Ok(()))),
        }
        if group.len() >= MAX_TICKETS || lines >= MAX_LINES {
            return (group, None);
        }
        match tickets.next().now_or_never() {
            Some(more) => next = more,
            None => return (group, None),
        }
    }
}

async fn answer_group(
    orders: &Orders,
    caller: &Caller,
    group: Vec<Ticket>,
    send: &mpsc::Sender<Result<RecordSalesResponse, Status>>,
) -> Result<(), Status> {
    let now = orders.now();
    let mut well_formed = Vec::with_capacity(group.len());
    let mut answers = Vec::with_capacity(group.len());
    for ticket in group {
        let mut answer = RecordSalesResponse { outcome: TicketOutcome::Refused.into(), ..Default::default() };
        let parsed = convert::ticket(&ticket, now);
        (answer.device_id, answer.ticket_no) = (ticket.device_id, ticket.ticket_no);
        match parsed {
            Ok(ticket) => {
                well_formed.push(ticket);
                answers.push((answer, true));
            }
            Err(status) => {
                refuse(&mut answer, "INVALID_FIELD", &status);
                answers.push((answer, false));
            }
        }
    }
    let mut recorded = orders.record_sales(caller, well_formed).await.map_err(from_error)?.into_iter();
    for (mut answer, parsed) in answers {
        if let Some(recorded) = parsed.then(|| recorded.next()).flatten() {
            tell(&mut answer, recorded);
        }
        if send.send(Ok(answer)).await.is_err() {
            return Err(Status::cancelled("the till stopped reading"));
        }
    }
    Ok(())
}

fn tell(answer: &mut RecordSalesResponse, recorded: Recorded) {
    match recorded {
        Recorded::Now(order_id) => {
            answer.outcome = TicketOutcome::Recorded.into();
            answer.order_id = order_id.to_string();
        }
        Recorded::Before(order_id) => {
            answer.outcome = TicketOutcome::AlreadyRecorded.into();
            answer.order_id = order_id.to_string();
        }
        Recorded::Conflict => {
            reason(ErrorReason::TicketConflict).clone_into(&mut answer.reason);
            "this ticket number was recorded with other content".clone_into(&mut answer.message);
        }
        Recorded::OutOfScope => {
            reason(ErrorReason::OutOfScope).clone_into(&mut answer.reason);
            answer.message = Error::OutOfScope.to_string();
        }
        Recorded::Refused(refusal) => {
            let status = from_error(refusal.into());
            let why = status.get_details_error_info().map(|info| info.reason).unwrap_or_default();
            refuse(answer, &why, &status);
        }
    }
}

fn refuse(answer: &mut RecordSalesResponse, why: &str, status: &Status) {
    why.clone_into(&mut answer.reason);
    status.message().clone_into(&mut answer.message);
    let first = status.get_details_bad_request().and_then(|bad| bad.field_violations.into_iter().next());
    answer.field = first.map(|violation| violation.field).unwrap_or_default();
}
