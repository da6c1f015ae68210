//! Reads: a channel, all channels, listings by SKU, the lag. Each is one statement or two, on the primary.

use oneshelf_kit::auth::Caller;
use oneshelf_values::ChannelId;

use super::{Channels, Error, may_read};
use crate::{
    domain::{
        Refusal,
        channel::Channel,
        listing::{Lag, Listing},
    },
    store,
};

/// One page of a list that is ordered by a text key.
#[derive(Debug, Clone)]
pub struct PageAsked {
    /// The key of the last item that the caller has; empty: from the beginning.
    pub after: String,
    pub size: usize,
}

/// What was found, and whether there is more behind it.
#[derive(Debug, Clone)]
pub struct PageFound<T> {
    pub items: Vec<T>,
    pub more: bool,
}

impl PageAsked {
    /// One row more than asked tells whether there is a next page.
    fn limit(&self) -> i64 {
        self.size as i64 + 1
    }

    fn found<T>(&self, mut items: Vec<T>) -> PageFound<T> {
        let more = items.len() > self.size;
        items.truncate(self.size);
        PageFound { items, more }
    }
}

impl Channels {
    pub async fn get_channel(&self, caller: &Caller, channel_id: &ChannelId) -> Result<Channel, Error> {
        may_read(caller, channel_id)?;
        let mut conn = self.pool.acquire().await?;
        let channel = store::channels::find_channel(&mut conn, channel_id).await?;
        channel.ok_or_else(|| Refusal::ChannelNotFound(channel_id.clone()).into())
    }

    /// Channels by id; a key bound to one sees that one.
    pub async fn list_channels(&self, caller: &Caller, page: PageAsked) -> Result<PageFound<Channel>, Error> {
        let mut conn = self.pool.acquire().await?;
        let found = store::channels::list_channels(&mut conn, caller.channel(), &page.after, page.limit()).await?;
        Ok(page.found(found))
    }

    /// A channel's listings by SKU.
    pub async fn list_listings(
        &self,
        caller: &Caller,
        channel_id: &ChannelId,
        page: PageAsked,
    ) -> Result<PageFound<Listing>, Error> {
        let channel = self.get_channel(caller, channel_id).await?;
        let mut conn = self.pool.acquire().await?;
        let found = store::listings::list_listings_after_sku(
            &mut conn,
            channel_id,
            channel.currency,
            &page.after,
            page.limit(),
        )
        .await?;
        Ok(page.found(found))
    }

    pub async fn get_channel_lag(&self, caller: &Caller, channel_id: &ChannelId) -> Result<Lag, Error> {
        self.get_channel(caller, channel_id).await?;
        let mut conn = self.pool.acquire().await?;
        Ok(store::lag::measure_lag(&mut conn, channel_id, self.clock.now()).await?)
    }
}
