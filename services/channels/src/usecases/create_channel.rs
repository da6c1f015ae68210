//! Registers a channel and lists at once what it can sell.

use std::collections::BTreeSet;

use oneshelf_kit::{
    auth::Caller,
    idempotency::{self, Claim, Key},
    pg,
};
use oneshelf_values::{ChannelId, Currency, LocationId};

use super::{Channels, Error, may_write};
use crate::{
    domain::{
        Refusal,
        channel::{Channel, ChannelKind, Title},
        event::Event,
    },
    events,
    store::{
        answers, channels,
        listings::{self, Scope},
        registry,
    },
};

/// What to register.
#[derive(Debug, Clone)]
pub struct NewChannel {
    pub channel_id: ChannelId,
    pub kind: ChannelKind,
    pub title: Title,
    pub currency: Currency,
    pub location_ids: BTreeSet<LocationId>,
}

impl Channels {
    /// Registers a channel; the same request again answers what it answered.
    pub async fn create_channel(&self, caller: &Caller, key: Key, new: NewChannel) -> Result<Channel, Error> {
        may_write(caller, &new.channel_id)?;
        let (schema, clock, now) = (self.schema, self.clock.clone(), self.clock.now());
        let channel = Channel {
            channel_id: new.channel_id,
            kind: new.kind,
            title: new.title,
            currency: new.currency,
            location_ids: new.location_ids,
            version: 1,
            created_at: now,
        };
        let (channel, advanced) = pg::in_tx(&self.pool, move |conn| {
            let (key, clock, channel) = (key.clone(), clock.clone(), channel.clone());
            Box::pin(async move {
                match idempotency::claim(conn, schema, &key, now).await? {
                    Claim::Reused => return Err(Refusal::RequestIdReused.into()),
                    Claim::Answered(answer) => return Ok((answers::decode_channel(&answer)?, Vec::new())),
                    Claim::New => {}
                }
                registry::lock_alone(conn).await?;
                if !channels::insert_channel(conn, &channel).await? {
                    return Err(Refusal::ChannelExists(channel.channel_id).into());
                }
                let scope = Scope::Channel(&channel.channel_id, now);
                let advanced = listings::recompute_listings(conn, scope, now).await?;
                events::append(conn, schema, &clock, &[Event::ChannelChanged(channel.clone())], now).await?;
                idempotency::store(conn, schema, &key, &answers::encode_channel(&channel)?).await?;
                Ok::<_, Error>((channel, advanced))
            })
        })
        .await?;
        self.wake.announce(&advanced);
        Ok(channel)
    }
}
