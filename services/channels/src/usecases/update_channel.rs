//! Changes a channel's title and locations, and its listings with them.

use oneshelf_kit::{
    auth::Caller,
    idempotency::{self, Claim, Key},
    pg,
};

use super::{Channels, Error, may_write};
use crate::{
    domain::{
        Refusal,
        channel::{Channel, ChannelUpdate},
        event::Event,
    },
    events,
    store::{
        answers, channels,
        listings::{self, Scope},
        registry,
    },
};

impl Channels {
    /// Updates a channel; what it says already is success and no new version.
    pub async fn update_channel(&self, caller: &Caller, key: Key, update: ChannelUpdate) -> Result<Channel, Error> {
        may_write(caller, &update.channel_id)?;
        let (schema, clock, now) = (self.schema, self.clock.clone(), self.clock.now());
        let (channel, advanced) = pg::in_tx(&self.pool, move |conn| {
            let (key, clock, update) = (key.clone(), clock.clone(), update.clone());
            Box::pin(async move {
                match idempotency::claim(conn, schema, &key, now).await? {
                    Claim::Reused => return Err(Refusal::RequestIdReused.into()),
                    Claim::Answered(answer) => return Ok((answers::decode_channel(&answer)?, Vec::new())),
                    Claim::New => {}
                }
                registry::lock_alone(conn).await?;
                let current = channels::lock_channel(conn, &update.channel_id)
                    .await?
                    .ok_or_else(|| Refusal::ChannelNotFound(update.channel_id.clone()))?;
                let (channel, advanced) = match current.updated(&update)? {
                    None => (current, Vec::new()),
                    Some(channel) => {
                        channels::update_channel(conn, &channel, now).await?;
                        let scope = Scope::Channel(&channel.channel_id, now);
                        let advanced = listings::recompute_listings(conn, scope, now).await?;
                        events::append(conn, schema, &clock, &[Event::ChannelChanged(channel.clone())], now).await?;
                        (channel, advanced)
                    }
                };
                idempotency::store(conn, schema, &key, &answers::encode_channel(&channel)?).await?;
                Ok::<_, Error>((channel, advanced))
            })
        })
        .await?;
        self.wake.announce(&advanced);
        Ok(channel)
    }
}
