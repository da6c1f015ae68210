//! Events in. One queue per subject; the topology is declared from here, and `docs/EVENTS.md` lists it.

use futures::FutureExt;
use oneshelf_kit::consumer::{Event, HandlerError, Subscription};
use oneshelf_proto::channels::v1::ChannelChanged;
use sqlx::PgConnection;

use crate::usecases::take_channels::{self, ChannelRecord};

/// What channels sell from, as the registry announces it.
pub const CHANNEL_CHANGED: Subscription =
    Subscription::new("inventory.channel_changed", &["channels.channel.changed.v1"]);

/// For declaring the queues when installing, before the first event is published.
pub const SUBSCRIPTIONS: &[Subscription] = &[CHANNEL_CHANGED];

pub fn channel_changed<'a>(
    conn: &'a mut PgConnection,
    events: &'a [Event],
) -> futures::future::BoxFuture<'a, Result<(), HandlerError>> {
    async move {
        let records = events
            .iter()
            .map(|event| {
                let channel = event.decode::<ChannelChanged>()?.channel.unwrap_or_default();
                Ok((channel.channel_id, channel.location_ids, channel.version))
            })
            .collect::<Result<Vec<ChannelRecord>, HandlerError>>()?;
        take_channels::take_channels(conn, &records).await.map_err(HandlerError::from)
    }
    .boxed()
}
