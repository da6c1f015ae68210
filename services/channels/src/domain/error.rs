//! Why a request is refused, with the data that explains it.

use oneshelf_values::{ChannelId, Sku};

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("channel {0} exists already")]
    ChannelExists(ChannelId),
    #[error("channel {0} does not exist")]
    ChannelNotFound(ChannelId),
    #[error("the cursor is not one of channel {0}")]
    CursorInvalid(ChannelId),
    #[error("the request id was used for a request with other content")]
    RequestIdReused,
    #[error("the key is not for channel {0}")]
    OutOfScope(ChannelId),
    #[error("version {acknowledged} of {sku} was never sent, the newest is {sent}")]
    VersionAhead { sku: Sku, sent: i64, acknowledged: i64 },
    #[error("channel {channel_id} is at version {current}, not {expected}")]
    VersionMismatch { channel_id: ChannelId, expected: i64, current: i64 },
}
