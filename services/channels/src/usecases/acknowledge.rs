//! Takes note of the versions that a channel shows, and of how long it took until it did.

use std::collections::BTreeMap;

use metrics::histogram;
use oneshelf_kit::{
    auth::Caller,
    idempotency::{self, Claim, Key},
    pg,
};
use oneshelf_values::{ChannelId, Sku};

use super::{Channels, Error, may_write};
use crate::{
    domain::{Refusal, acknowledgement::acknowledge},
    store::{acknowledgements, answers, channels},
};

/// Delay from commit at the source to acknowledgement, by channel.
pub const ACK_DELAY: &str = "oneshelf_channels_ack_delay_seconds";

impl Channels {
    /// Acknowledges versions, the largest per SKU; answers how many SKUs moved forward.
    pub async fn acknowledge(
        &self,
        caller: &Caller,
        key: Key,
        channel_id: ChannelId,
        versions: BTreeMap<Sku, i64>,
    ) -> Result<usize, Error> {
        may_write(caller, &channel_id)?;
        let (schema, now) = (self.schema, self.clock.now());
        let label = channel_id.to_string();
        let (advanced, delays) = pg::in_tx(&self.pool, move |conn| {
            let (key, channel_id, versions) = (key.clone(), channel_id.clone(), versions.clone());
            Box::pin(async move {
                match idempotency::claim(conn, schema, &key, now).await? {
                    Claim::Reused => return Err(Refusal::RequestIdReused.into()),
                    Claim::Answered(answer) => return Ok((answers::decode_advanced(&answer)?, Vec::new())),
                    Claim::New => {}
                }
                if channels::find_last_seq(conn, &channel_id).await?.is_none() {
                    return Err(Refusal::ChannelNotFound(channel_id).into());
                }
                let skus = versions.keys().collect();
                let shown = acknowledgements::lock_shown(conn, &channel_id, &skus).await?;
                let advances = acknowledge(&versions, &shown, now)?;
                acknowledgements::update_acknowledged(conn, &channel_id, &advances, now).await?;
                idempotency::store(conn, schema, &key, &answers::encode_advanced(advances.len())?).await?;
                let delays: Vec<_> = advances.iter().filter_map(|advance| advance.delay).collect();
                Ok::<_, Error>((advances.len(), delays))
            })
        })
        .await?;
        let meter = histogram!(ACK_DELAY, "channel" => label);
        for delay in delays {
            meter.record(delay.as_secs_f64());
        }
        Ok(advanced)
    }
}
