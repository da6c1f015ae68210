//! A channel's stream of listings.
//!
//! ```text
//! cursor ─▶ read at most 500 after it ──▶ found: send them, go on ────────────────────────────┐
//!    ▲                                 └▶ none: say once "caught up", then wait for a wake-up, │
//!    │                                          the poll, a heartbeat, or the end              │
//!    └─────────────────────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! At the beginning, and where changes that the cursor has not seen are no longer kept, all that changed is read by SKU;
//! then the changes, pack by pack. Nothing is kept per subscriber but the cursor: a slow one reads less often and finds the
//! newest version of each SKU, so waiting changes are coalesced and cost no memory. No database connection is held while waiting. The chassis limits
//! how many streams are open and ends them when the process drains.

use std::time::Duration;

use oneshelf_kit::auth::Caller;
use oneshelf_values::{ChannelId, Currency, Sku};
use tokio::{sync::watch, time::Instant};

use super::{Channels, Error, may_write};
use crate::{
    domain::{
        Refusal,
        changes::{self, Next},
        cursor::{Cursor, Walk},
        listing::Listing,
    },
    store::{
        changes::list_packs_after,
        channels::find_last_seq,
        listings::{list_changed, list_changed_between},
    },
};

pub const MAX_LISTINGS: usize = 500;

/// The first pause after a wake-up that found nothing: the commit it announced is about that far away.
const FIRST_PAUSE: Duration = Duration::from_millis(4);

/// One message of the stream.
#[derive(Debug)]
pub struct Page {
    /// Empty in a heartbeat, and in the message that says the subscriber has caught up.
    pub listings: Vec<Listing>,
    pub cursor: Cursor,
    pub snapshot: bool,
}

/// One subscriber's stream.
pub struct Subscription {
    channels: Channels,
    currency: Currency,
    cursor: Cursor,
    /// The channel's newest sequence number when the stream began.
    began_at: i64,
    caught_up: bool,
    wake: watch::Receiver<i64>,
    next_heartbeat: Instant,
}

impl Channels {
    /// Opens a stream after `cursor`; the empty text is the beginning.
    pub async fn subscribe(
        &self,
        caller: &Caller,
        channel_id: &ChannelId,
        cursor: &str,
    ) -> Result<Subscription, Error> {
        may_write(caller, channel_id)?;
        let cursor = Cursor::parse(cursor, channel_id)?;
        // Listening begins before the first read, so no change falls between the two.
        let wake = self.wake.listen(channel_id);
        let channel = self.get_channel(caller, channel_id).await?;
        let mut conn = self.pool.acquire().await?;
        let began_at =
            find_last_seq(&mut conn, channel_id).await?.ok_or_else(|| Refusal::ChannelNotFound(channel_id.clone()))?;
        if cursor.seq > began_at {
            // Given out by another database, or by this one before it lost something: only a snapshot can help.
            return Err(Refusal::CursorInvalid(channel_id.clone()).into());
        }
        Ok(Subscription {
            channels: self.clone(),
            currency: channel.currency,
            cursor,
            began_at,
            caught_up: false,
            wake,
            next_heartbeat: Instant::now() + self.pace.heartbeat,
        })
    }
}

impl Subscription {
    /// The next message; waits for one.
    pub async fn next(&mut self) -> Result<Page, Error> {
        let mut pause = FIRST_PAUSE;
        loop {
            // Seen before the read: a wake-up that comes during it ends the next wait at once.
            let announced = *self.wake.borrow_and_update();
            let snapshot = self.cursor.sent() < self.began_at;
            let found = self.read().await?;
            if !found.is_empty() || !self.caught_up || Instant::now() >= self.next_heartbeat {
                self.caught_up |= found.is_empty();
                self.next_heartbeat = Instant::now() + self.channels.pace.heartbeat;
                let snapshot = snapshot && !found.is_empty();
                return Ok(Page { listings: found, cursor: self.cursor.clone(), snapshot });
            }
            let poll = self.channels.pace.poll;
            let wait = if announced > self.cursor.seq { pause } else { poll };
            pause = (pause * 2).min(poll);
            let until = (Instant::now() + wait).min(self.next_heartbeat);
            tokio::select! {
                // The sender lives as long as the process has listeners of this channel, that is, as we do.
                Ok(()) = self.wake.changed() => pause = FIRST_PAUSE,
                () = tokio::time::sleep_until(until) => {}
            }
        }
    }

    /// What comes next, with the cursor moved behind it; empty when there is nothing.
    async fn read(&mut self) -> Result<Vec<Listing>, Error> {
        let mut conn = self.channels.pool.acquire().await?;
        let (cursor, currency) = (&mut self.cursor, self.currency);
        loop {
            let found = if let Some(Walk { since, after }) = cursor.walk.take() {
                let (between, after) = ((since, cursor.seq), after.as_ref().map_or("", Sku::as_str));
                let limit = MAX_LISTINGS as i64;
                let found =
                    list_changed_between(&mut conn, &cursor.channel_id, currency, between, after, limit).await?;
                let more = found.last().filter(|_| found.len() == MAX_LISTINGS);
                cursor.walk = more.map(|last| Walk { since, after: Some(last.sku.clone()) });
                found
            } else {
                let kept = list_packs_after(&mut conn, &cursor.channel_id, cursor.seq).await?;
                let kept = kept.ok_or_else(|| Refusal::ChannelNotFound(cursor.channel_id.clone()))?;
                match changes::next(cursor.seq, kept, MAX_LISTINGS) {
                    Next::Nothing => return Ok(Vec::new()),
                    Next::Everything(until) => {
                        cursor.walk = Some(Walk { since: cursor.seq, after: None });
                        cursor.seq = until;
                        Vec::new()
                    }
                    Next::Changes(changes, through) => {
                        cursor.seq = through;
                        list_changed(&mut conn, &cursor.channel_id, currency, &changes).await?
                    }
                }
            };
            if !found.is_empty() {
                return Ok(found);
            }
        }
    }
}
