//! The injected time, and ids made from it.
//!
//! Rules never ask the machine what time it is; they are told. A test holds the hands of a manual clock and can pin a
//! whole answer. Instants are cut to microseconds, the resolution of PostgreSQL, so a value survives a round trip
//! through a row unchanged.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use uuid::{Builder, Uuid};

/// Where "now" comes from. Cheap to clone; clones of a manual clock share its hands.
#[derive(Debug, Clone)]
pub struct Clock(Source);

#[derive(Debug, Clone)]
enum Source {
    System,
    /// Microseconds since the Unix epoch.
    Manual(Arc<AtomicI64>),
}

impl Clock {
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands still at `start` until it is advanced.
    pub fn manual(start: DateTime<Utc>) -> Self {
        Self(Source::Manual(Arc::new(AtomicI64::new(start.timestamp_micros()))))
    }

    pub fn now(&self) -> DateTime<Utc> {
        match &self.0 {
            Source::System => {
                #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's time")]
                let now = Utc::now();
                truncate(now)
            }
            Source::Manual(micros) => from_micros(micros.load(Ordering::SeqCst)),
        }
    }

    /// Moves a manual clock forward, for all its clones.
    ///
    /// # Panics
    /// On the system clock: nobody can move that one, so the test that tries is wrong.
    pub fn advance(&self, by: Duration) {
        match &self.0 {
            Source::System => panic!("the system clock cannot be advanced"),
            Source::Manual(micros) => {
                let by = i64::try_from(by.as_micros()).expect("a test advances by less than 292,000 years");
                micros.fetch_add(by, Ordering::SeqCst);
            }
        }
    }
}

/// Cuts an instant to microseconds, as a column will. For instants that come from outside.
pub fn truncate(at: DateTime<Utc>) -> DateTime<Utc> {
    from_micros(at.timestamp_micros())
}

fn from_micros(micros: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(micros).expect("micros that came from a DateTime fit one")
}

/// A new UUID v7: 48 bits of milliseconds, 12 bits of the fraction below (RFC 9562, section 6.2, method 3), 62 bits
/// of randomness. Ids of one process sort by the microsecond they were made in, which keeps index inserts at the end.
pub fn new_id(clock: &Clock) -> Uuid {
    let micros = clock.now().timestamp_micros().max(0).cast_unsigned();
    let mut tail: [u8; 10] = rand::random();
    let fraction = ((micros % 1_000) << 12) / 1_000;
    tail[0] = (fraction >> 8) as u8;
    tail[1] = fraction as u8;
    Builder::from_unix_timestamp_millis(micros / 1_000, &tail).into_uuid()
}

/// The id of a step of a larger thing: the same parent and label always give the same id, so a step can be repeated
/// after a crash and is recognised. UUID v8: the parent's time stays in front (index order), the rest is SHA-256 over
/// parent and label.
pub fn derived_id(parent: Uuid, label: &str) -> Uuid {
    let digest = Sha256::new().chain_update(parent.as_bytes()).chain_update(label.as_bytes()).finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    bytes[..6].copy_from_slice(&parent.as_bytes()[..6]);
    Builder::from_custom_bytes(bytes).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock() -> Clock {
        Clock::manual("2026-11-23T10:00:00.123456Z".parse().unwrap())
    }

    #[test]
    fn a_manual_clock_moves_only_when_told_and_for_all_clones() {
        let clock = clock();
        let clone = clock.clone();
        assert_eq!(clock.now(), clone.now());
        clock.advance(Duration::from_micros(7));
        assert_eq!(clone.now(), "2026-11-23T10:00:00.123463Z".parse::<DateTime<Utc>>().unwrap());
    }

    #[test]
    fn now_has_no_digits_below_the_microsecond() {
        assert_eq!(Clock::system().now().timestamp_subsec_nanos() % 1_000, 0);
        let fine: DateTime<Utc> = "2026-11-23T10:00:00.123456789Z".parse().unwrap();
        assert_eq!(truncate(fine), clock().now());
    }

    #[test]
    fn ids_are_version_7_and_sort_by_the_microsecond() {
        let clock = clock();
        let mut earlier = new_id(&clock);
        assert_eq!(earlier.get_version_num(), 7);
        for _ in 0..2_000 {
            clock.advance(Duration::from_micros(1));
            let later = new_id(&clock);
            assert!(earlier < later, "{earlier} before {later}");
            earlier = later;
        }
    }

    #[test]
    fn ids_of_the_same_instant_differ() {
        let clock = clock();
        assert_ne!(new_id(&clock), new_id(&clock));
    }

    #[test]
    fn a_derived_id_is_stable_and_differs_by_parent_and_label() {
        let order = new_id(&clock());
        assert_eq!(derived_id(order, "hold"), derived_id(order, "hold"));
        assert_ne!(derived_id(order, "hold"), derived_id(order, "credit"));
        assert_ne!(derived_id(order, "hold"), derived_id(new_id(&clock()), "hold"));
        assert_eq!(derived_id(order, "hold").get_version_num(), 8);
        assert_eq!(derived_id(order, "hold").as_bytes()[..6], order.as_bytes()[..6]);
    }
}
