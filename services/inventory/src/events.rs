//! What the outside hears: the only translator from domain events to public ones.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use oneshelf_kit::outbox::{EventIds, OutboxEvent};
use oneshelf_proto::inventory::v1 as proto;
use oneshelf_values::{ChannelId, Clock};
use prost::Message;
use uuid::Uuid;

use crate::{
    domain::{
        consignment::{Cause, Entry, Side},
        event::Event,
        hold::StockHold,
        stock_level::LevelKey,
        threshold::{Crossing, CrossingKind},
    },
    time::timestamp,
};

pub const STOCK_LEVEL_CHANGED: &str = "inventory.stock_level.changed.v1";
pub const HOLD_EXPIRED: &str = "inventory.hold.expired.v1";
pub const HOLD_MOVED: &str = "inventory.hold.moved.v1";
pub const PROMISE_FILLED: &str = "inventory.promise.filled.v1";
pub const STOCK_RAN_LOW: &str = "inventory.channel_stock.ran_low.v1";
pub const STOCK_RAN_OUT: &str = "inventory.channel_stock.ran_out.v1";
pub const STOCK_CAME_BACK: &str = "inventory.channel_stock.came_back.v1";
pub const CONSIGNMENT_SOLD: &str = "inventory.consignment.sold.v1";
pub const CONSIGNMENT_RETURNED: &str = "inventory.consignment.returned.v1";
pub const STOCK_RECOVERED: &str = "inventory.channel_stock.recovered.v1";

/// Every event this service publishes: routing key and message.
pub const PUBLISHED: &[(&str, &str)] = &[
    (STOCK_LEVEL_CHANGED, "oneshelf.inventory.v1.StockLevelChanged"),
    (HOLD_EXPIRED, "oneshelf.inventory.v1.HoldExpired"),
    (PROMISE_FILLED, "oneshelf.inventory.v1.PromiseFilled"),
    (STOCK_RAN_LOW, "oneshelf.inventory.v1.StockRanLow"),
    (STOCK_RAN_OUT, "oneshelf.inventory.v1.StockRanOut"),
    (STOCK_CAME_BACK, "oneshelf.inventory.v1.StockCameBack"),
    (STOCK_RECOVERED, "oneshelf.inventory.v1.StockRecovered"),
    (CONSIGNMENT_SOLD, "oneshelf.inventory.v1.ConsignmentSold"),
    (CONSIGNMENT_RETURNED, "oneshelf.inventory.v1.ConsignmentReturned"),
    (HOLD_MOVED, "oneshelf.inventory.v1.HoldMoved"),
];

/// Outbox rows for a group's events.
pub fn publish(events: &[Event], clock: &Clock, now: DateTime<Utc>) -> Vec<OutboxEvent> {
    let mut ids = EventIds::new(clock);
    events
        .iter()
        .map(|event| match event {
            Event::LevelChanged { key, level, figures } => OutboxEvent {
                event_id: ids.give(),
                routing_key: STOCK_LEVEL_CHANGED,
                event_type: PUBLISHED[0].1,
                aggregate_id: format!("{}@{}", key.sku, key.location),
                aggregate_version: level.version,
                payload: proto::StockLevelChanged {
                    sku: key.sku.as_str().to_owned(),
                    location_id: key.location.as_str().to_owned(),
                    sellable: level.sellable,
                    on_hand: level.on_hand(),
                    soft_held: level.soft_held,
                    hard_held: level.hard_held,
                    available: figures.available,
                    version: level.version,
                    change_time: Some(timestamp(now)),
                    channel_availables: figures
                        .channels
                        .iter()
                        .map(|(channel, available)| proto::ChannelAvailable {
                            channel_id: channel.to_string(),
                            available: *available,
                        })
                        .collect(),
                    network_threshold: figures.network_threshold,
                }
                .encode_to_vec(),
                effective_at: now,
            },
            Event::HoldExpired { hold_id, channel, reference, expired_at } => OutboxEvent {
                event_id: ids.give(),
                routing_key: HOLD_EXPIRED,
                event_type: PUBLISHED[1].1,
                aggregate_id: hold_id.to_string(),
                // A hold expires once: it is the only event of this aggregate.
                aggregate_version: 1,
                payload: proto::HoldExpired {
                    hold_id: hold_id.to_string(),
                    channel_id: channel.as_ref().map_or_else(String::new, ChannelId::to_string),
                    reference: reference.clone(),
                    expire_time: Some(timestamp(*expired_at)),
                }
                .encode_to_vec(),
                effective_at: *expired_at,
            },
            Event::HoldMoved { hold } => moved(ids.give(), hold, now),
            Event::PromiseFilled { key, claim, filled } => OutboxEvent {
                event_id: ids.give(),
                routing_key: PROMISE_FILLED,
                event_type: PUBLISHED[2].1,
                aggregate_id: format!("{}/{}", claim.promise_id, claim.line),
                aggregate_version: claim.fills,
                payload: proto::PromiseFilled {
                    promise_id: claim.promise_id.to_string(),
                    line: claim.line as i32,
                    sku: key.sku.as_str().to_owned(),
                    location_id: key.location.as_str().to_owned(),
                    filled: *filled,
                    waiting: claim.waiting,
                    fill_time: Some(timestamp(now)),
                }
                .encode_to_vec(),
                effective_at: now,
            },
            Event::StockCrossed(crossing) => crossed(ids.give(), crossing, now),
            Event::ConsignmentSettled(entry) => settled(ids.give(), entry),
        })
        .collect()
}

fn moved(event_id: Uuid, hold: &StockHold, now: DateTime<Utc>) -> OutboxEvent {
    let mut units = BTreeMap::<&LevelKey, i64>::new();
    for (line, held) in hold.lines.iter().zip(hold.promise.granted()).filter(|(_, held)| **held > 0) {
        *units.entry(&line.key).or_default() += held;
    }
    OutboxEvent {
        event_id,
        routing_key: HOLD_MOVED,
        event_type: PUBLISHED[9].1,
        aggregate_id: hold.hold_id.to_string(),
        aggregate_version: hold.moves.into(),
        payload: proto::HoldMoved {
            hold_id: hold.hold_id.to_string(),
            channel_id: hold.channel.as_ref().map_or_else(String::new, ChannelId::to_string),
            reference: hold.reference.clone(),
            version: hold.moves.into(),
            units: units
                .into_iter()
                .map(|(key, held)| proto::HeldUnits {
                    sku: key.sku.to_string(),
                    location_id: key.location.to_string(),
                    quantity: held,
                })
                .collect(),
            move_time: Some(timestamp(now)),
        }
        .encode_to_vec(),
        effective_at: now,
    }
}

fn settled(event_id: Uuid, entry: &Entry) -> OutboxEvent {
    let told = Some(proto::ConsignmentSettled {
        party_id: entry.party.to_string(),
        side: side_message(entry.side).into(),
        sku: entry.key.sku.to_string(),
        location_id: entry.key.location.to_string(),
        units: entry.units,
        movement_id: entry.movement_id.to_string(),
        line: entry.line as i32,
        reference: entry.reference.clone(),
        effective_time: Some(timestamp(entry.effective_at)),
        taken: entry.cause == Cause::Taken,
    });
    let ((routing_key, event_type), payload) = match entry.cause {
        Cause::Returned => (PUBLISHED[8], proto::ConsignmentReturned { settlement: told }.encode_to_vec()),
        _ => (PUBLISHED[7], proto::ConsignmentSold { settlement: told }.encode_to_vec()),
    };
    OutboxEvent {
        event_id,
        routing_key,
        event_type,
        aggregate_id: format!("{}@{}/{}", entry.key.sku, entry.key.location, entry.party),
        aggregate_version: entry.number,
        payload,
        effective_at: entry.effective_at,
    }
}

fn side_message(side: Side) -> proto::ConsignmentSide {
    match side {
        Side::Theirs => proto::ConsignmentSide::Theirs,
        Side::Ours => proto::ConsignmentSide::Ours,
    }
}

fn crossed(event_id: Uuid, crossing: &Crossing, now: DateTime<Utc>) -> OutboxEvent {
    let told = Some(proto::StockCrossing {
        sku: crossing.sku.to_string(),
        channel_id: crossing.channel.to_string(),
        available_before: crossing.before,
        available: crossing.after,
        low_threshold: crossing.low_threshold,
        number: crossing.number,
        change_time: Some(timestamp(now)),
    });
    let ((routing_key, event_type), payload) = match crossing.kind {
        CrossingKind::RanLow => (PUBLISHED[3], proto::StockRanLow { crossing: told }.encode_to_vec()),
        CrossingKind::RanOut => (PUBLISHED[4], proto::StockRanOut { crossing: told }.encode_to_vec()),
        CrossingKind::CameBack => (PUBLISHED[5], proto::StockCameBack { crossing: told }.encode_to_vec()),
        CrossingKind::Recovered => (PUBLISHED[6], proto::StockRecovered { crossing: told }.encode_to_vec()),
    };
    OutboxEvent {
        event_id,
        routing_key,
        event_type,
        aggregate_id: format!("{}/{}", crossing.sku, crossing.channel),
        aggregate_version: crossing.number,
        payload,
        effective_at: now,
    }
}
