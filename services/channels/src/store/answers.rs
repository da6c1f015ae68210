//! What was answered to a request, kept beside its key so that a repetition gets the same.

use chrono::{DateTime, Utc};
use oneshelf_values::{ChannelId, Currency, LocationId};
use serde::{Deserialize, Serialize};

use super::parse;
use crate::domain::channel::Channel;

#[derive(Serialize, Deserialize)]
struct StoredChannel {
    channel_id: ChannelId,
    kind: String,
    title: String,
    currency: Currency,
    location_ids: Vec<LocationId>,
    version: i64,
    created_at: DateTime<Utc>,
}

pub fn encode_channel(channel: &Channel) -> Result<Vec<u8>, sqlx::Error> {
    encode(&StoredChannel {
        channel_id: channel.channel_id.clone(),
        kind: channel.kind.as_str().to_owned(),
        title: channel.title.to_string(),
        currency: channel.currency,
        location_ids: channel.location_ids.iter().cloned().collect(),
        version: channel.version,
        created_at: channel.created_at,
    })
}

pub fn decode_channel(bytes: &[u8]) -> Result<Channel, sqlx::Error> {
    let stored: StoredChannel = decode(bytes)?;
    Ok(Channel {
        kind: parse("idempotency_keys", "response", &stored.channel_id, &stored.kind)?,
        title: parse("idempotency_keys", "response", &stored.channel_id, &stored.title)?,
        currency: stored.currency,
        location_ids: stored.location_ids.into_iter().collect(),
        version: stored.version,
        created_at: stored.created_at,
        channel_id: stored.channel_id,
    })
}

pub fn encode_advanced(advanced: usize) -> Result<Vec<u8>, sqlx::Error> {
    encode(&advanced)
}

pub fn decode_advanced(bytes: &[u8]) -> Result<usize, sqlx::Error> {
    decode(bytes)
}

fn encode(answer: &impl Serialize) -> Result<Vec<u8>, sqlx::Error> {
    serde_json::to_vec(answer).map_err(|error| sqlx::Error::Encode(error.into()))
}

fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, sqlx::Error> {
    serde_json::from_slice(bytes).map_err(|error| sqlx::Error::Decode(error.into()))
}
