//! Months of the ledger, in UTC: what it is partitioned and balanced by.

use chrono::{DateTime, Datelike, Months, NaiveDate, NaiveTime, TimeDelta, Utc};

/// A calendar month.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Month {
    first_day: NaiveDate,
}

impl Month {
    pub fn of(at: DateTime<Utc>) -> Self {
        let day = at.date_naive();
        Self { first_day: day.with_day(1).unwrap_or(day) }
    }

    pub fn begin(self) -> DateTime<Utc> {
        self.first_day.and_time(NaiveTime::MIN).and_utc()
    }

    /// The first instant that is no longer in it.
    pub fn end(self) -> DateTime<Utc> {
        self.next().begin()
    }

    #[must_use]
    pub fn next(self) -> Self {
        Self { first_day: self.first_day + Months::new(1) }
    }

    /// `2026_11`, as in the names of partitions.
    pub fn suffix(self) -> String {
        self.first_day.format("%Y_%m").to_string()
    }
}

/// A month is closed this long after its end, never sooner.
pub const CLOSE_AFTER: TimeDelta = TimeDelta::hours(24);

/// An entry older than this may belong to a closed month, so whoever records it looks. Between this and
/// [`CLOSE_AFTER`] lies what clocks may differ by, and how long a transaction may take, without harm: 23 hours.
pub const LATE_AFTER: TimeDelta = TimeDelta::hours(1);

/// The last month that may be closed now.
pub fn due(now: DateTime<Utc>) -> Month {
    let current = Month::of(now - CLOSE_AFTER);
    Month { first_day: current.first_day - Months::new(1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn a_month_holds_its_first_instant_and_not_its_end() {
        let december = Month::of(at("2026-12-31T23:59:59.999999Z"));
        assert_eq!((december.begin(), december.end()), (at("2026-12-01T00:00:00Z"), at("2027-01-01T00:00:00Z")));
        assert_eq!(Month::of(december.end()), december.next());
        assert_eq!(december.suffix(), "2026_12");
    }

    #[test]
    fn a_month_is_due_a_day_after_its_end() {
        assert_eq!(due(at("2026-12-01T23:59:59Z")).suffix(), "2026_10");
        assert_eq!(due(at("2026-12-02T00:00:00Z")).suffix(), "2026_11");
    }
}
