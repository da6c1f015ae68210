//! What happened here that others may want to know.

use super::channel::Channel;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A channel was made or changed; this is what it is now.
    ChannelChanged(Channel),
}
