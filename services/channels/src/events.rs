//! Outward events: what happened here, as the message that others bind to.
//!
//! | routing key | message | aggregate |
//! |---|---|---|
//! | `channels.channel.changed.v1` | `oneshelf.channels.v1.ChannelChanged` | the channel, at its record's version |

use chrono::{DateTime, Utc};
use oneshelf_kit::{outbox::OutboxEvent, schema::Schema};
use oneshelf_proto::channels::v1 as pb;
use oneshelf_values::{Clock, new_id};
use prost::Message as _;
use sqlx::PgConnection;

use crate::domain::{
    channel::{Channel, ChannelKind},
    event::Event,
};

const CHANNEL_CHANGED: (&str, &str) = ("channels.channel.changed.v1", "oneshelf.channels.v1.ChannelChanged");

/// Every event this service publishes: routing key and message.
pub const PUBLISHED: &[(&str, &str)] = &[CHANNEL_CHANGED];

/// Appends what happened to the outbox of this transaction.
pub async fn append(
    conn: &mut PgConnection,
    schema: Schema,
    clock: &Clock,
    events: &[Event],
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    let rows: Vec<OutboxEvent> = events
        .iter()
        .map(|event| match event {
            Event::ChannelChanged(channel) => OutboxEvent {
                event_id: new_id(clock),
                routing_key: CHANNEL_CHANGED.0,
                event_type: CHANNEL_CHANGED.1,
                aggregate_id: channel.channel_id.to_string(),
                aggregate_version: channel.version,
                payload: pb::ChannelChanged { channel: Some(channel_message(channel)) }.encode_to_vec(),
                effective_at: now,
            },
        })
        .collect();
    oneshelf_kit::outbox::append(conn, schema, &rows, now).await
}

/// A channel as the contract writes it, in events and answers alike.
pub fn channel_message(channel: &Channel) -> pb::Channel {
    pb::Channel {
        channel_id: channel.channel_id.to_string(),
        kind: match channel.kind {
            ChannelKind::Web => pb::ChannelKind::Web,
            ChannelKind::Marketplace => pb::ChannelKind::Marketplace,
            ChannelKind::Dealer => pb::ChannelKind::Dealer,
            ChannelKind::Store => pb::ChannelKind::Store,
        }
        .into(),
        title: channel.title.to_string(),
        currency_code: channel.currency.code().to_owned(),
        location_ids: channel.location_ids.iter().map(ToString::to_string).collect(),
        version: channel.version,
        create_time: Some(timestamp(channel.created_at)),
    }
}

pub fn timestamp(at: DateTime<Utc>) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds: at.timestamp(), nanos: at.timestamp_subsec_nanos().cast_signed() }
}
