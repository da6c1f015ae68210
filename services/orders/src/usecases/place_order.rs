//! Takes an order at the prices of a signed quote.

use chrono::{DateTime, Utc};
use oneshelf_kit::{auth::Caller, pg};
use oneshelf_pricing::is_expired;
use oneshelf_values::{ChannelId, Currency, LocationId, MemberId, OrderId, PartnerId, QuoteId, Sku};

use super::{Error, Orders, drive_process::Subject, effective_at, in_scope};
use crate::{
    domain::{
        Refusal,
        order::{Fee, Line, Order, Origin, State, total},
        process::{Verb, first},
    },
    store::{self, orders::NewOrder, processes::Process},
};

/// What is asked for.
#[derive(Debug, Clone)]
pub struct PlaceOrder {
    pub order_id: OrderId,
    /// Of the request's content.
    pub fingerprint: [u8; 32],
    pub quote: Quote,
    pub proof: Proof,
    pub location: LocationId,
    pub member: Option<MemberId>,
    pub reference: String,
    pub effective_at: Option<DateTime<Utc>>,
}

/// What the catalog quoted, as far as an order needs it.
#[derive(Debug, Clone)]
pub struct Quote {
    pub quote_id: QuoteId,
    pub book_version: i64,
    pub channel: ChannelId,
    pub partner: Option<PartnerId>,
    pub currency: Currency,
    pub expires_at: DateTime<Utc>,
    pub lines: Vec<QuotedLine>,
    pub fees: Vec<Fee>,
}

#[derive(Debug, Clone)]
pub struct QuotedLine {
    pub sku: Sku,
    pub quantity: i64,
    pub list_unit_price_micros: Option<i64>,
    pub unit_price_micros: i64,
    pub override_reason: String,
    pub total_minor: i64,
}

/// The quote as it was signed, and by what.
#[derive(Debug, Clone)]
pub struct Proof {
    pub signed: Vec<u8>,
    pub key_id: String,
    pub signature: Vec<u8>,
}

impl Orders {
    /// Answers with the order as it was when it had just been confirmed; or with the refusal, each time the same.
    pub async fn place_order(&self, caller: &Caller, command: PlaceOrder) -> Result<Order, Error> {
        let PlaceOrder { proof, quote, .. } = &command;
        self.quotes
            .verify(&proof.key_id, &proof.signed, &proof.signature)
            .map_err(|_| Refusal::QuoteSignatureInvalid)?;
        if !in_scope(caller, &quote.channel, quote.partner.as_ref()) {
            return Err(Error::OutOfScope);
        }
        let now = self.clock.now();
        let expired = is_expired(quote.expires_at, now)
            .then_some(Refusal::QuoteExpired { quote_id: quote.quote_id, expired_at: quote.expires_at });
        let asked_at = command.effective_at;
        let effective_at = effective_at(caller, asked_at, now)?;
        let (order_id, fingerprint) = (command.order_id, command.fingerprint);
        let order = into_order(command, effective_at, now)?;
        let process = Process {
            process_id: order_id.as_uuid(),
            verb: Verb::Place,
            step: first(Verb::Place, order.touches()),
            effective_at: asked_at,
            attempts: 0,
        };
        let ended = if self.write_order(&order, &process, fingerprint, expired).await? {
            self.drive(process, Subject::Order(order)).await?
        } else {
            self.resume(order_id.as_uuid(), Verb::Place).await?
        };
        placed(ended)
    }

    /// Writes the order and its process, if nobody did before. An expired quote makes no new order, but a request that
    /// is repeated later than its quote lasts still gets its answer. `false`: it was written before.
    async fn write_order(
        &self,
        order: &Order,
        process: &Process,
        fingerprint: [u8; 32],
        expired: Option<Refusal>,
    ) -> Result<bool, Error> {
        let order_id = order.order_id;
        let new = NewOrder { order: order.clone(), fingerprint, process: process.clone(), due_at: self.lease_end() };
        let known = pg::in_tx(&self.pool, move |conn| {
            let (new, expired) = (new.clone(), expired.clone());
            Box::pin(async move {
                if expired.is_none() && !store::orders::insert_all(conn, &[new]).await?.is_empty() {
                    return Ok(None);
                }
                match store::orders::find_fingerprint(conn, order_id).await? {
                    Some(known) => Ok(Some(known)),
                    None => Err(Error::from(expired.unwrap_or(Refusal::OrderNotFound(order_id)))),
                }
            })
        })
        .await?;
        match known {
            None => Ok(true),
            Some(known) if known == fingerprint => Ok(false),
            Some(_) => Err(Error::RequestIdReused),
        }
    }
}

/// What PlaceOrder answers, whatever has happened to the order since.
fn placed(subject: Subject) -> Result<Order, Error> {
    let Subject::Order(mut order) = subject else { return Err(Error::InProgress) };
    match order.state {
        State::Placing => Err(Error::InProgress),
        State::Refused => Err(order.refusal.take().map_or(Error::InProgress, Error::Remote)),
        _ => Ok(order.as_confirmed()),
    }
}

fn into_order(command: PlaceOrder, effective_at: DateTime<Utc>, now: DateTime<Utc>) -> Result<Order, Refusal> {
    let quote = command.quote;
    let goods_total_minor = total(quote.currency, quote.lines.iter().map(|line| line.total_minor))?;
    let fee_total_minor = total(quote.currency, quote.fees.iter().map(|fee| fee.total_minor))?;
    total(quote.currency, [goods_total_minor, fee_total_minor].into_iter())?;
    let lines = (1..)
        .zip(quote.lines)
        .map(|(line_no, line)| Line {
            line_no,
            sku: line.sku,
            ordered: line.quantity,
            unallocated: line.quantity,
            allocated: 0,
            shipping: 0,
            shipped: 0,
            cancelled: 0,
            returned: 0,
            list_unit_price_micros: line.list_unit_price_micros,
            unit_price_micros: line.unit_price_micros,
            override_reason: line.override_reason,
            total_minor: line.total_minor,
        })
        .collect();
    Ok(Order {
        order_id: command.order_id,
        origin: Origin::Quote { quote_id: quote.quote_id, book_version: quote.book_version },
        state: State::Placing,
        channel: quote.channel,
        location: command.location,
        partner: quote.partner,
        member: command.member,
        reference: command.reference,
        currency: quote.currency,
        lines,
        fees: quote.fees,
        goods_total_minor,
        fee_total_minor,
        refusal: None,
        cancel_reason: None,
        tracking_number: None,
        effective_at,
        created_at: now,
        version: 1,
        allocations: Vec::new(),
    })
}
