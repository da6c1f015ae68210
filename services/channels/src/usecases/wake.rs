//! Wakes subscribers when a channel's listings change, in this process and, through Redis, in the others.
//!
//! A wake-up is a hint and carries the sequence number that will be there once the writer commits. It may be given a
//! little before that commit, may be of a transaction that rolls back, and may get lost on its way: a subscriber that
//! finds nothing asks again soon, then ever less often, and at the latest after its poll interval. Nothing is decided
//! by it, and giving it never waits.

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
};

use oneshelf_kit::redis::{self, Fanout};
use oneshelf_values::ChannelId;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::store::listings::Advanced;

/// Wake-ups on their way to Redis; more than these are dropped, and the other processes poll.
const OUTGOING: usize = 1_024;

/// The wake-ups of this process, per channel that somebody listens to.
#[derive(Debug, Clone)]
pub struct Wake {
    senders: Arc<Mutex<HashMap<ChannelId, watch::Sender<i64>>>>,
    outgoing: mpsc::Sender<String>,
}

/// Wake-ups for the other processes.
pub struct Outgoing(mpsc::Receiver<String>);

impl Wake {
    pub fn new() -> (Self, Outgoing) {
        let (outgoing, receiver) = mpsc::channel(OUTGOING);
        (Self { senders: Arc::default(), outgoing }, Outgoing(receiver))
    }

    /// Listens to a channel. The value seen is the highest sequence number announced so far.
    pub fn listen(&self, channel_id: &ChannelId) -> watch::Receiver<i64> {
        let mut senders = self.senders.lock().unwrap_or_else(PoisonError::into_inner);
        // Channels without listeners left are forgotten here, so the map is no larger than the set of streams.
        senders.retain(|_, sender| sender.receiver_count() > 0);
        senders.entry(channel_id.clone()).or_insert_with(|| watch::Sender::new(0)).subscribe()
    }

    /// Wakes whoever listens to these channels.
    pub fn announce(&self, advanced: &[Advanced]) {
        for Advanced { channel_id, last_seq } in advanced {
            self.announce_here(channel_id, *last_seq);
            // Full or gone: the others poll.
            let _ = self.outgoing.try_send(format!("{channel_id} {last_seq}"));
        }
    }

    fn announce_here(&self, channel_id: &str, last_seq: i64) {
        let senders = self.senders.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = senders.get(channel_id) {
            sender.send_if_modified(|seq| {
                let newer = last_seq > *seq;
                *seq = last_seq.max(*seq);
                newer
            });
        }
    }

    fn wake_all(&self) {
        for sender in self.senders.lock().unwrap_or_else(PoisonError::into_inner).values() {
            sender.send_modify(|_| {});
        }
    }

    /// Passes on what other processes announce, until stopped.
    pub async fn receive(self, fanout: Fanout, stop: CancellationToken) -> Result<(), Infallible> {
        let mut wakes = fanout.subscribe();
        while let Some(wake) = stop.run_until_cancelled(wakes.next()).await {
            match wake {
                redis::Wake::All => self.wake_all(),
                redis::Wake::Topic(topic) => {
                    if let Some((channel_id, last_seq)) = topic.split_once(' ')
                        && let Ok(last_seq) = last_seq.parse()
                    {
                        self.announce_here(channel_id, last_seq);
                    }
                }
            }
        }
        Ok(())
    }
}

impl Outgoing {
    /// Tells the other processes, until stopped.
    pub async fn send(mut self, fanout: Fanout, stop: CancellationToken) -> Result<(), Infallible> {
        while let Some(Some(topic)) = stop.run_until_cancelled(self.0.recv()).await {
            fanout.publish(&topic).await;
        }
        Ok(())
    }
}
