//! What the outside is told: decided facts → messages of `oneshelf.orders.v1` in the outbox.

use chrono::{DateTime, Utc};
use oneshelf_kit::outbox::OutboxEvent;
use oneshelf_proto::orders::v1::{ItemsReturned, OrderCancelled, OrderPlaced, OrderShipped, SaleRecorded, SoldLine};
use oneshelf_values::{Clock, new_id};
use prost::Message;

use crate::{
    domain::{
        order::{Line, Order},
        returns::Return,
    },
    time::timestamp,
};

/// An event's routing key and message.
type Kind = (&'static str, &'static str);

const ORDER_PLACED: Kind = ("orders.order.placed.v1", "oneshelf.orders.v1.OrderPlaced");
const ORDER_SHIPPED: Kind = ("orders.order.shipped.v1", "oneshelf.orders.v1.OrderShipped");
const ORDER_CANCELLED: Kind = ("orders.order.cancelled.v1", "oneshelf.orders.v1.OrderCancelled");
const SALE_RECORDED: Kind = ("orders.sale.recorded.v1", "oneshelf.orders.v1.SaleRecorded");
const ITEMS_RETURNED: Kind = ("orders.items.returned.v1", "oneshelf.orders.v1.ItemsReturned");

/// Every event this service publishes: routing key and message.
pub const PUBLISHED: &[(&str, &str)] = &[ORDER_PLACED, ORDER_SHIPPED, ORDER_CANCELLED, SALE_RECORDED, ITEMS_RETURNED];

pub fn order_placed(clock: &Clock, order: &Order) -> OutboxEvent {
    let message = OrderPlaced {
        order_id: order.order_id.to_string(),
        channel_id: order.channel.to_string(),
        partner_id: text(order.partner.as_ref()),
        member_id: text(order.member.as_ref()),
        location_id: order.location.to_string(),
        currency_code: order.currency.to_string(),
        lines: sold_lines(&order.lines, |line| line.ordered),
        total_minor: order.total_minor(),
        effective_time: Some(timestamp(order.effective_at)),
    };
    of_order(clock, order, ORDER_PLACED, &message, order.effective_at)
}

pub fn order_shipped(clock: &Clock, order: &Order, shipped_at: DateTime<Utc>) -> OutboxEvent {
    let message = OrderShipped {
        order_id: order.order_id.to_string(),
        channel_id: order.channel.to_string(),
        partner_id: text(order.partner.as_ref()),
        member_id: text(order.member.as_ref()),
        location_id: order.location.to_string(),
        currency_code: order.currency.to_string(),
        lines: sold_lines(&order.lines, |line| line.shipped),
        effective_time: Some(timestamp(shipped_at)),
    };
    of_order(clock, order, ORDER_SHIPPED, &message, shipped_at)
}

pub fn order_cancelled(clock: &Clock, order: &Order) -> OutboxEvent {
    let message = OrderCancelled {
        order_id: order.order_id.to_string(),
        channel_id: order.channel.to_string(),
        reason: order.cancel_reason.clone().unwrap_or_default(),
    };
    of_order(clock, order, ORDER_CANCELLED, &message, clock.now())
}

pub fn sale_recorded(clock: &Clock, order: &Order) -> OutboxEvent {
    let message = SaleRecorded {
        order_id: order.order_id.to_string(),
        channel_id: order.channel.to_string(),
        member_id: text(order.member.as_ref()),
        location_id: order.location.to_string(),
        currency_code: order.currency.to_string(),
        lines: sold_lines(&order.lines, |line| line.ordered),
        effective_time: Some(timestamp(order.effective_at)),
    };
    of_order(clock, order, SALE_RECORDED, &message, order.effective_at)
}

pub fn items_returned(clock: &Clock, done: &Return) -> OutboxEvent {
    let lines = done.lines.iter().map(|line| SoldLine {
        line_no: line.line_no,
        sku: line.sku.to_string(),
        quantity: line.quantity,
        amount_minor: line.refund_minor,
    });
    let message = ItemsReturned {
        return_id: done.return_id.to_string(),
        channel_id: done.channel.to_string(),
        partner_id: text(done.partner.as_ref()),
        member_id: text(done.member.as_ref()),
        location_id: done.location.to_string(),
        currency_code: done.currency.to_string(),
        lines: lines.collect(),
        fee_total_minor: done.fee_total_minor,
        effective_time: Some(timestamp(done.effective_at)),
    };
    OutboxEvent {
        event_id: new_id(clock),
        routing_key: ITEMS_RETURNED.0,
        event_type: ITEMS_RETURNED.1,
        aggregate_id: done.return_id.to_string(),
        aggregate_version: 1,
        payload: message.encode_to_vec(),
        effective_at: done.effective_at,
    }
}

fn of_order(
    clock: &Clock,
    order: &Order,
    (routing_key, event_type): Kind,
    message: &impl Message,
    effective_at: DateTime<Utc>,
) -> OutboxEvent {
    OutboxEvent {
        event_id: new_id(clock),
        routing_key,
        event_type,
        aggregate_id: order.order_id.to_string(),
        aggregate_version: order.version,
        payload: message.encode_to_vec(),
        effective_at,
    }
}

/// The first `count` units of each line that has any, with what was paid for them.
fn sold_lines(lines: &[Line], count: impl Fn(&Line) -> i64) -> Vec<SoldLine> {
    lines
        .iter()
        .filter(|line| count(line) > 0)
        .map(|line| SoldLine {
            line_no: line.line_no,
            sku: line.sku.to_string(),
            quantity: count(line),
            amount_minor: line.amount_of(0, count(line)),
        })
        .collect()
}

fn text(id: Option<&impl ToString>) -> String {
    id.map(ToString::to_string).unwrap_or_default()
}
