//! Where a subscriber stands: its channel and the sequence number of the last listing it was sent.
//!
//! Each change of a listing takes the channel's next sequence number and the listing keeps only its newest one. So
//! "everything after 0, in order" is a snapshot, "everything after the cursor" are the changes since, and both are the
//! same question; changes that wait are coalesced by themselves.

use std::fmt;

use oneshelf_values::ChannelId;

use super::Refusal;

const PREFIX: &str = "c1";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    pub channel_id: ChannelId,
    pub seq: i64,
}

impl Cursor {
    /// Reads a cursor that the subscriber of `channel_id` gave back; the empty text is the beginning.
    pub fn parse(text: &str, channel_id: &ChannelId) -> Result<Self, Refusal> {
        let seq = if text.is_empty() {
            Some(0)
        } else {
            text.strip_prefix(PREFIX)
                .and_then(|rest| rest.strip_prefix('.'))
                .and_then(|rest| rest.strip_prefix(channel_id.as_str()))
                .and_then(|rest| rest.strip_prefix('.'))
                // `parse` alone would take a sign.
                .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
                .and_then(|digits| digits.parse().ok())
        };
        let channel_id = channel_id.clone();
        match seq {
            Some(seq) => Ok(Self { channel_id, seq }),
            None => Err(Refusal::CursorInvalid(channel_id)),
        }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}.{}.{}", self.channel_id, self.seq)
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
        fn a_cursor_survives_the_wire(seq in 0..=i64::MAX) {
            let cursor = Cursor { channel_id: web(), seq };
            prop_assert_eq!(Cursor::parse(&cursor.to_string(), &web()), Ok(cursor));
        }

        #[test]
        fn parsing_never_panics(text in any::<String>()) {
            let _ = Cursor::parse(&text, &web());
        }
    }
}
