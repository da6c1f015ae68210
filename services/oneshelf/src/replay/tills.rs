//! The tills: one long-lived RecordSales stream each, opened with its first ticket.
//!
//! A stream answers its tickets in order, so what waits for an answer is a queue. When a stream breaks, a new one is
//! opened and everything unanswered is sent again: a ticket is keyed by (device, number), so that is safe.

use std::collections::{HashMap, VecDeque};

use anyhow::{anyhow, bail};
use futures::StreamExt as _;
use oneshelf_proto::orders::v1::{RecordSalesRequest, RecordSalesResponse, Ticket, TicketOutcome};
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::calls::{CallError, is_transient, pause};
use crate::api::Api;

/// Tickets of one till that may wait for an answer.
const IN_FLIGHT: usize = 64;
/// Streams that may break in a row without an answer in between.
const MAX_BREAKS: u32 = 20;

type Answer = Result<RecordSalesResponse, CallError>;

struct Sale {
    ticket: Ticket,
    answer: oneshot::Sender<Answer>,
}

pub struct Tills {
    api: Api,
    twice: bool,
    streams: Mutex<HashMap<String, mpsc::Sender<Sale>>>,
}

impl Tills {
    pub fn new(api: Api, twice: bool) -> Self {
        Self { api, twice, streams: Mutex::default() }
    }

    /// Records a ticket and answers the id that it is kept under.
    pub async fn record(&self, ticket: Ticket) -> anyhow::Result<String> {
        let order_id = kept(self.send(ticket.clone()).await?)?.order_id;
        if self.twice {
            let again = kept(self.send(ticket).await?)?;
            if again.order_id != order_id || again.outcome() != TicketOutcome::AlreadyRecorded {
                bail!("RecordSales answered the same ticket differently: first {order_id}, then {again:?}");
            }
        }
        Ok(order_id)
    }

    async fn send(&self, ticket: Ticket) -> anyhow::Result<RecordSalesResponse> {
        let till = self.streams.lock().await.entry(ticket.device_id.clone()).or_insert_with(|| self.open()).clone();
        let (answer, answered) = oneshot::channel();
        let gone = || anyhow!("the till's stream has ended");
        till.send(Sale { ticket, answer }).await.map_err(|_| gone())?;
        Ok(answered.await.map_err(|_| gone())??)
    }

    fn open(&self) -> mpsc::Sender<Sale> {
        let (till, sales) = mpsc::channel(IN_FLIGHT);
        tokio::spawn(serve(self.api.clone(), sales));
        till
    }
}

fn kept(answer: RecordSalesResponse) -> anyhow::Result<RecordSalesResponse> {
    if answer.outcome() == TicketOutcome::Refused {
        bail!("RecordSales refused the ticket: {} {} {}", answer.reason, answer.field, answer.message);
    }
    Ok(answer)
}

/// Serves one till until nobody can send to it any more.
async fn serve(api: Api, mut sales: mpsc::Receiver<Sale>) {
    let mut waiting: VecDeque<Sale> = VecDeque::new();
    let mut breaks = 0;
    loop {
        if waiting.is_empty() {
            match sales.recv().await {
                Some(sale) => waiting.push_back(sale),
                None => return,
            }
        }
        let Err(status) = stream(&api, &mut sales, &mut waiting, &mut breaks).await else { return };
        if is_transient(&status) && breaks < MAX_BREAKS {
            tokio::time::sleep(pause(breaks)).await;
            breaks += 1;
        } else if let Some(sale) = waiting.pop_front() {
            // Whoever waits decides; the run ends with the first error.
            let _ = sale.answer.send(Err(CallError { rpc: "RecordSales", status: Box::new(status) }));
        }
    }
}

/// One stream, from what is unanswered on. `Ok`: nobody needs the till any more.
async fn stream(
    api: &Api,
    sales: &mut mpsc::Receiver<Sale>,
    waiting: &mut VecDeque<Sale>,
    breaks: &mut u32,
) -> Result<(), Status> {
    let broken = || Status::unavailable("the stream of tickets broke off");
    // One place more than can be in flight: sending never waits for reading.
    let (send, requests) = mpsc::channel(IN_FLIGHT + 1);
    for sale in waiting.iter() {
        send.send(RecordSalesRequest { ticket: Some(sale.ticket.clone()) }).await.map_err(|_| broken())?;
    }
    let mut answers = api.orders.clone().record_sales(ReceiverStream::new(requests)).await?.into_inner();
    loop {
        tokio::select! {
            answer = answers.next() => {
                let answer = answer.ok_or_else(broken)??;
                *breaks = 0;
                if let Some(sale) = waiting.pop_front() {
                    // Nobody waits when the run has failed elsewhere.
                    let _ = sale.answer.send(Ok(answer));
                }
            }
            sale = sales.recv(), if waiting.len() < IN_FLIGHT => {
                let Some(sale) = sale else { return Ok(()) };
                let request = RecordSalesRequest { ticket: Some(sale.ticket.clone()) };
                waiting.push_back(sale);
                send.send(request).await.map_err(|_| broken())?;
            }
        }
    }
}
