//! The registry's record: who sells, in which currency, from which locations.

use std::{collections::BTreeSet, fmt, str::FromStr};

use chrono::{DateTime, Utc};
use oneshelf_values::{ChannelId, Currency, LocationId};

use super::Refusal;

pub const MAX_LOCATIONS: usize = 1_000;
pub const MAX_TITLE_CHARS: usize = 200;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChannelKind {
    Web,
    Marketplace,
    Dealer,
    Store,
}

impl ChannelKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Web => "WEB",
            Self::Marketplace => "MARKETPLACE",
            Self::Dealer => "DEALER",
            Self::Store => "STORE",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no kind of channel")]
pub struct UnknownKind(String);

impl FromStr for ChannelKind {
    type Err = UnknownKind;

    fn from_str(text: &str) -> Result<Self, UnknownKind> {
        [Self::Web, Self::Marketplace, Self::Dealer, Self::Store]
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| UnknownKind(text.to_owned()))
    }
}

/// A title for people: trimmed, 1 to 200 characters, none of them a control character.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Title(String);

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TitleError {
    #[error("must not be empty")]
    Empty,
    #[error("must be at most {MAX_TITLE_CHARS} characters")]
    TooLong,
    #[error("must not contain control characters")]
    Control,
}

impl FromStr for Title {
    type Err = TitleError;

    fn from_str(text: &str) -> Result<Self, TitleError> {
        let title = text.trim();
        if title.is_empty() {
            Err(TitleError::Empty)
        } else if title.chars().nth(MAX_TITLE_CHARS).is_some() {
            Err(TitleError::TooLong)
        } else if title.chars().any(char::is_control) {
            Err(TitleError::Control)
        } else {
            Ok(Self(title.to_owned()))
        }
    }
}

impl Title {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Title {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A channel as it is registered.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_field_names, reason = "ids are called the same everywhere")]
pub struct Channel {
    pub channel_id: ChannelId,
    pub kind: ChannelKind,
    pub title: Title,
    pub currency: Currency,
    pub location_ids: BTreeSet<LocationId>,
    pub version: i64,
    pub created_at: DateTime<Utc>,
}

/// What may change of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelUpdate {
    pub channel_id: ChannelId,
    pub title: Title,
    pub location_ids: BTreeSet<LocationId>,
    /// The version the caller saw; none: whatever it is now.
    pub expected_version: Option<i64>,
}

impl Channel {
    /// The record after an update; `None` when it says so already, which is success and no new version.
    pub fn updated(&self, update: &ChannelUpdate) -> Result<Option<Self>, Refusal> {
        if let Some(expected) = update.expected_version
            && expected != self.version
        {
            return Err(Refusal::VersionMismatch {
                channel_id: self.channel_id.clone(),
                expected,
                current: self.version,
            });
        }
        if self.title == update.title && self.location_ids == update.location_ids {
            return Ok(None);
        }
        Ok(Some(Self {
            title: update.title.clone(),
            location_ids: update.location_ids.clone(),
            version: self.version + 1,
            ..self.clone()
        }))
    }
}
