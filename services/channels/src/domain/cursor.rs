//! Where a subscriber stands: its channel, and the sequence number up to which it was sent everything.
//!
//! Each change of a listing takes the channel's next sequence number and the listing keeps only its newest one, so changes
//! that wait are coalesced by themselves. A subscriber that begins, or that is further behind than changes are kept, walks
//! through the listings by SKU first; its cursor then says how far it came.

use std::fmt;

use oneshelf_values::{ChannelId, Sku};

use super::Refusal;

const PREFIX: &str = "c1";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    pub channel_id: ChannelId,
    /// With a walk: the number up to which it will have sent everything once it has come to its end.
    pub seq: i64,
    pub walk: Option<Walk>,
}

/// Through the listings that changed after a sequence number, by SKU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Walk {
    pub since: i64,
    /// `None`: at the beginning.
    pub after: Option<Sku>,
}

impl Cursor {
    /// Reads a cursor that the subscriber of `channel_id` gave back; the empty text is the beginning.
    pub fn parse(text: &str, channel_id: &ChannelId) -> Result<Self, Refusal> {
        let position = if text.is_empty() { Some((0, None)) } else { position(text, channel_id) };
        match position {
            Some((seq, walk)) => Ok(Self { channel_id: channel_id.clone(), seq, walk }),
            None => Err(Refusal::CursorInvalid(channel_id.clone())),
        }
    }

    /// The sequence number up to which everything was sent.
    pub fn sent(&self) -> i64 {
        self.walk.as_ref().map_or(self.seq, |walk| walk.since)
    }
}

fn position(text: &str, channel_id: &ChannelId) -> Option<(i64, Option<Walk>)> {
    let rest = text.strip_prefix(PREFIX)?.strip_prefix('.')?;
    let rest = rest.strip_prefix(channel_id.as_str())?.strip_prefix('.')?;
    let Some((seq, walk)) = rest.split_once('.') else { return Some((number(rest)?, None)) };
    let (since, after) = walk.split_once('.')?;
    let (seq, since) = (number(seq)?, number(since)?);
    let after = if after.is_empty() { None } else { Some(after.parse().ok()?) };
    (since <= seq).then_some((seq, Some(Walk { since, after })))
}

fn number(text: &str) -> Option<i64> {
    // `parse` alone would take a sign.
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}.{}.{}", self.channel_id, self.seq)?;
        let Some(Walk { since, after }) = &self.walk else { return Ok(()) };
        write!(f, ".{since}.{}", after.as_ref().map_or("", Sku::as_str))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn web() -> ChannelId {
        "WEB".parse().unwrap()
    }

    #[test]
    fn a_cursor_of_another_channel_or_malformed_is_refused() {
        for text in [
            "c1.SHOP.1",
            "c1.WEB",
            "c1.WEB.",
            "c1.WEB.-1",
            "c1.WEB.+1",
            "c1.WEB.1x",
            "c2.WEB.1",
            "1",
            "c1.WEB.9223372036854775808",
            "c1.WEB.9.3",
            "c1.WEB.9.10.A",
            "c1.WEB.9..A",
            "c1.WEB.9.3. ",
        ] {
            assert_eq!(Cursor::parse(text, &web()), Err(Refusal::CursorInvalid(web())), "{text}");
        }
    }

    #[test]
    fn no_cursor_is_the_beginning() {
        assert_eq!(Cursor::parse("", &web()).unwrap().seq, 0);
    }

    proptest! {
        #[test]
        fn a_cursor_survives_the_wire(
            seq in 0..=i64::MAX, walk in prop::option::of((0..=i64::MAX, prop::option::of("[A-Z0-9][A-Z0-9.-]{0,20}"))),
        ) {
            let walk = walk.map(|(since, after)| {
                Walk { since: since.min(seq), after: after.map(|sku| sku.parse().unwrap()) }
            });
            let cursor = Cursor { channel_id: web(), seq, walk };
            prop_assert_eq!(Cursor::parse(&cursor.to_string(), &web()), Ok(cursor));
        }

        #[test]
        fn parsing_never_panics(text in any::<String>()) {
            let _ = Cursor::parse(&text, &web());
        }
    }
}
