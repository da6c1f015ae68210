//! A till's completed sale. It is a fact: nothing here can refuse it for want of stock.

use chrono::{DateTime, Utc};
use oneshelf_values::{ChannelId, Currency, DeviceId, LocationId, MemberId, OrderId, Sku, derived_id};
use uuid::{Uuid, uuid};

use super::{
    Refusal,
    order::{Fee, Line, Order, Origin, State, total},
};

/// Parent of all tickets' order ids. Never changes: ids of tickets derive from it.
const TICKETS: Uuid = uuid!("0193a8f0-5c3e-8000-8a1d-6f6e6573686c");

/// One ticket as the till sent it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    pub device: DeviceId,
    pub ticket_no: String,
    pub channel: ChannelId,
    pub location: LocationId,
    pub member: Option<MemberId>,
    pub currency: Currency,
    pub lines: Vec<TicketLine>,
    pub fees: Vec<Fee>,
    pub sold_at: DateTime<Utc>,
    /// Of the content: other content under the same key is another sale, and refused.
    pub fingerprint: [u8; 32],
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TicketLine {
    pub sku: Sku,
    pub quantity: i64,
    pub unit_price_micros: i64,
    pub list_unit_price_micros: Option<i64>,
    pub override_reason: String,
    /// `unit_price × quantity`, rounded once.
    pub total_minor: i64,
}

impl Ticket {
    /// The id that the ticket is kept under: always the same for (device, ticket number).
    pub fn order_id(&self) -> OrderId {
        derived_id(TICKETS, &format!("{}\n{}", self.device, self.ticket_no)).into()
    }

    /// The sale, written down at `now`. The goods have left with the customer.
    pub fn into_order(self, now: DateTime<Utc>) -> Result<Order, Refusal> {
        let order_id = self.order_id();
        let goods_total_minor = total(self.currency, self.lines.iter().map(|line| line.total_minor))?;
        let fee_total_minor = total(self.currency, self.fees.iter().map(|fee| fee.total_minor))?;
        total(self.currency, [goods_total_minor, fee_total_minor].into_iter())?;
        let lines = (1..)
            .zip(self.lines)
            .map(|(line_no, line)| Line {
                line_no,
                sku: line.sku,
                ordered: line.quantity,
                unallocated: 0,
                allocated: 0,
                shipping: 0,
                shipped: line.quantity,
                cancelled: 0,
                returned: 0,
                list_unit_price_micros: line.list_unit_price_micros,
                unit_price_micros: line.unit_price_micros,
                override_reason: line.override_reason,
                total_minor: line.total_minor,
            })
            .collect();
        Ok(Order {
            order_id,
            origin: Origin::Ticket { device: self.device, ticket_no: self.ticket_no },
            state: State::Recorded,
            channel: self.channel,
            location: self.location,
            partner: None,
            member: self.member,
            reference: String::new(),
            currency: self.currency,
            lines,
            fees: self.fees,
            goods_total_minor,
            fee_total_minor,
            refusal: None,
            cancel_reason: None,
            tracking_number: None,
            effective_at: self.sold_at,
            created_at: now,
            version: 1,
            allocations: Vec::new(),
        })
    }
}
