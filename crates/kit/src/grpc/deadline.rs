//! Until when an answer is of use.
//!
//! The caller's `grpc-timeout`, shortened to the server's maximum, bounds the call; a unary call without one gets the
//! server's default. On expiry the handler's future is dropped and DEADLINE_EXCEEDED is answered; work that it spawned
//! (every database transaction is) goes on to its own end, so the outcome is learned by repeating the `request_id`.
//!
//! tonic parses the header too, and answers CANCELLED. So that ours is the one that fires, it expires a moment earlier,
//! which also leaves the answer time to reach the caller before the caller gives up.

use std::time::{Duration, Instant};

use http::HeaderMap;

const HEADER: &str = "grpc-timeout";
const LARGEST_MARGIN: Duration = Duration::from_millis(2);

tokio::task_local! {
    static CURRENT: Deadline;
}

/// In the extensions of every request that has one, and known to outgoing calls made by its handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(pub Instant);

impl Deadline {
    /// The deadline of the request whose handler runs here. Not inherited by spawned tasks.
    pub fn current() -> Option<Self> {
        CURRENT.try_with(|deadline| *deadline).ok()
    }

    /// Zero when it has passed.
    pub fn remaining(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    pub(crate) async fn scope<F: Future>(self, future: F) -> F::Output {
        CURRENT.scope(self, future).await
    }

    /// What the caller asked for, within the server's maximum. A malformed header counts as none.
    pub(super) fn requested(headers: &HeaderMap, arrived: Instant, max: Duration) -> Option<Self> {
        let asked = parse(headers.get(HEADER)?.to_str().ok()?)?;
        let margin = (asked / 8).min(LARGEST_MARGIN);
        Some(Self(arrived + asked.saturating_sub(margin).min(max)))
    }
}

/// At most eight digits and a unit, as the gRPC protocol has it.
fn parse(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(count * 3_600),
        "M" => Duration::from_secs(count * 60),
        "S" => Duration::from_secs(count),
        "m" => Duration::from_millis(count),
        "u" => Duration::from_micros(count),
        "n" => Duration::from_nanos(count),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_read_as_the_protocol_says() {
        assert_eq!(parse("2H"), Some(Duration::from_secs(7_200)));
        assert_eq!(parse("99999999m"), Some(Duration::from_millis(99_999_999)));
        assert_eq!(parse("5n"), Some(Duration::from_nanos(5)));
        for text in ["", "m", "1", "123456789m", "-1S", "+1S", "1 S", "1d", "1\u{e9}"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_long_deadline_is_shortened_and_a_short_one_fires_before_the_callers() {
        let arrived = Instant::now();
        let max = Duration::from_secs(60);
        let after = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(HEADER, text.parse().unwrap());
            Deadline::requested(&headers, arrived, max).map(|deadline| deadline.0 - arrived)
        };
        assert_eq!(after("10H"), Some(max));
        assert_eq!(after("100m"), Some(Duration::from_millis(98)));
        assert_eq!(after("8m"), Some(Duration::from_millis(7)));
        assert_eq!(after("soon"), None);
        assert_eq!(Deadline::requested(&HeaderMap::new(), arrived, max), None);
    }
}
