//! When a location works: weekly opening hours and closed days by its own clock, and until when an order still leaves
//! the same day.
//!
//! Hours are the location's wall-clock time; instants are what the world shares. An opening interval belongs to a local
//! date and runs from the instant its clock first shows the opening minute to the instant it last shows the closing
//! one. So where a clock goes back, a shop that is open in the repeated hour is open through both; where it goes
//! forward, a minute that does not exist is the instant of the jump. Every answer is computed from those instants, so
//! [`Calendar::is_open`] and [`Calendar::next_opening`] cannot disagree.
//!
//! A location without a calendar works around the clock.

use std::collections::BTreeSet;

use chrono::{DateTime, Datelike, Days, MappedLocalTime, NaiveDate, NaiveTime, TimeDelta, TimeZone, Utc, Weekday};
use chrono_tz::Tz;

/// Minutes of a local day; 1,440 is its end.
pub const DAY_MINUTES: u16 = 1_440;

/// Opening intervals of one weekday at most.
pub const MAX_INTERVALS_A_DAY: usize = 4;

/// Closed days at most: more than a year of them.
pub const MAX_CLOSED_DAYS: usize = 400;

/// Open on each such weekday from one minute of the local day to another. A night shift is two intervals, up to 1,440
/// and from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpeningHours {
    pub weekday: Weekday,
    pub opens: u16,
    /// Exclusive.
    pub closes: u16,
}

/// Why hours are no hours; the place is that in the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CalendarError {
    #[error("must open before it closes, within 0 to {DAY_MINUTES}")]
    Bounds { place: usize },
    #[error("overlaps another interval of its day")]
    Overlap { place: usize },
    #[error("at most {MAX_INTERVALS_A_DAY} intervals a day")]
    TooMany { place: usize },
}

/// The working times of one location.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Calendar {
    time_zone: Tz,
    /// By weekday and opening; they do not overlap.
    hours: Vec<OpeningHours>,
    closed_days: BTreeSet<NaiveDate>,
    ship_cut_off: Option<u16>,
}

impl Calendar {
    /// `ship_cut_off` is a minute of the local day, 0 to 1,440. No hours at all: never open.
    pub fn try_new(
        time_zone: Tz,
        mut hours: Vec<OpeningHours>,
        closed_days: BTreeSet<NaiveDate>,
        ship_cut_off: Option<u16>,
    ) -> Result<Self, CalendarError> {
        for (place, one) in hours.iter().enumerate() {
            if one.opens >= one.closes || one.closes > DAY_MINUTES {
                return Err(CalendarError::Bounds { place });
            }
            let same_day = || hours[..place].iter().filter(|other| other.weekday == one.weekday);
            if same_day().any(|other| one.opens < other.closes && other.opens < one.closes) {
                return Err(CalendarError::Overlap { place });
            }
            if same_day().count() >= MAX_INTERVALS_A_DAY {
                return Err(CalendarError::TooMany { place });
            }
        }
        hours.sort_by_key(|one| (one.weekday.num_days_from_monday(), one.opens));
        Ok(Self { time_zone, hours, closed_days, ship_cut_off })
    }

    pub fn time_zone(&self) -> Tz {
        self.time_zone
    }

    pub fn hours(&self) -> &[OpeningHours] {
        &self.hours
    }

    pub fn closed_days(&self) -> &BTreeSet<NaiveDate> {
        &self.closed_days
    }

    pub fn ship_cut_off(&self) -> Option<u16> {
        self.ship_cut_off
    }

    /// Whether somebody is there at this instant.
    pub fn is_open(&self, at: DateTime<Utc>) -> bool {
        self.intervals_around(at).any(|(opens, closes)| opens <= at && at < closes)
    }

    /// The first instant from `at` on at which it is open: `at` itself when it is. `None`: never again.
    pub fn next_opening(&self, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.intervals_around(at).find(|(_, closes)| at < *closes).map(|(opens, _)| opens.max(at))
    }

    /// The instant until which an order leaves with the next despatch: the cut-off of the first working day that is not
    /// over, or, where there is no cut-off, the last closing of that day. `None`: it never works again.
    pub fn next_cut_off(&self, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.dates_from(at).filter_map(|date| self.cut_off_of(date)).find(|cut_off| at < *cut_off)
    }

    /// The local date on which an order placed at `at` leaves.
    pub fn ship_date(&self, at: DateTime<Utc>) -> Option<NaiveDate> {
        self.dates_from(at).find(|date| self.cut_off_of(*date).is_some_and(|cut_off| at < cut_off))
    }

    fn cut_off_of(&self, date: NaiveDate) -> Option<DateTime<Utc>> {
        let last_closing = self.intervals_of(date).map(|(_, closes)| closes).last()?;
        Some(self.ship_cut_off.map_or(last_closing, |minute| self.last_instant(date, minute)))
    }

    /// Intervals of the days from the one before `at` on, in order of time.
    fn intervals_around(&self, at: DateTime<Utc>) -> impl Iterator<Item = (DateTime<Utc>, DateTime<Utc>)> {
        self.dates_from(at).flat_map(|date| self.intervals_of(date))
    }

    /// The dates worth looking at: from the day before `at` (whose end may be moved into today by its clock), as many as
    /// must contain a working day if there is one at all.
    fn dates_from(&self, at: DateTime<Utc>) -> impl Iterator<Item = NaiveDate> + use<> {
        let today = at.with_timezone(&self.time_zone).date_naive();
        let days = if self.hours.is_empty() { 0 } else { 7 * (self.closed_days.len() as u64 + 2) };
        let first = today.checked_sub_days(Days::new(1)).unwrap_or(today);
        (0..days).map_while(move |offset| first.checked_add_days(Days::new(offset)))
    }

    fn intervals_of(&self, date: NaiveDate) -> impl Iterator<Item = (DateTime<Utc>, DateTime<Utc>)> {
        let works = !self.closed_days.contains(&date);
        self.hours
            .iter()
            .filter(move |one| works && one.weekday == date.weekday())
            .map(move |one| (self.first_instant(date, one.opens), self.last_instant(date, one.closes)))
            // A jump of the clock may swallow an interval.
            .filter(|(opens, closes)| opens < closes)
    }

    fn first_instant(&self, date: NaiveDate, minute: u16) -> DateTime<Utc> {
        self.instant(date, minute, |first, _| first)
    }

    fn last_instant(&self, date: NaiveDate, minute: u16) -> DateTime<Utc> {
        self.instant(date, minute, |_, last| last)
    }

    fn instant(
        &self,
        date: NaiveDate,
        minute: u16,
        of_two: fn(DateTime<Tz>, DateTime<Tz>) -> DateTime<Tz>,
    ) -> DateTime<Utc> {
        let mut local = date.and_time(NaiveTime::MIN) + TimeDelta::minutes(minute.into());
        // A gap ends at a whole minute; the longest so far, where an island changed its side of the date line, took a day.
        for _ in 0..2 * DAY_MINUTES {
            match self.time_zone.from_local_datetime(&local) {
                MappedLocalTime::Single(at) => return at.to_utc(),
                MappedLocalTime::Ambiguous(first, last) => return of_two(first, last).to_utc(),
                MappedLocalTime::None => local += TimeDelta::minutes(1),
            }
        }
        local.and_utc()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn every_day(opens: u16, closes: u16) -> Vec<OpeningHours> {
        let mut weekday = Weekday::Mon;
        (0..7)
            .map(|_| {
                weekday = weekday.succ();
                OpeningHours { weekday, opens, closes }
            })
            .collect()
    }

    fn shop(zone: Tz, opens: u16, closes: u16) -> Calendar {
        Calendar::try_new(zone, every_day(opens, closes), BTreeSet::new(), None).unwrap()
    }

    #[test]
    fn hours_are_those_of_the_locations_clock() {
        // 09:00 to 17:00 in London: an hour earlier in UTC in summer.
        let shop = shop(Tz::Europe__London, 540, 1_020);
        assert!(!shop.is_open(at("2026-01-15T08:59:59Z")));
        assert!(shop.is_open(at("2026-01-15T09:00:00Z")));
        assert!(!shop.is_open(at("2026-01-15T17:00:00Z")));
        assert!(shop.is_open(at("2026-07-15T08:00:00Z")));
        assert!(!shop.is_open(at("2026-07-15T16:00:00Z")));
        assert_eq!(shop.next_opening(at("2026-07-15T16:00:00Z")), Some(at("2026-07-16T08:00:00Z")));
        assert_eq!(shop.next_opening(at("2026-07-15T12:34:56Z")), Some(at("2026-07-15T12:34:56Z")));
    }

    #[test]
    fn an_hour_that_comes_twice_is_open_twice_and_one_that_is_skipped_opens_at_the_jump() {
        // Berlin goes from 03:00 back to 02:00 on 25 October 2026 at 01:00Z, from 02:00 to 03:00 on 29 March at 01:00Z.
        let night = shop(Tz::Europe__Berlin, 90, 150);
        assert!(night.is_open(at("2026-10-24T23:30:00Z")), "01:30");
        assert!(night.is_open(at("2026-10-25T00:45:00Z")), "02:45 the first time: it has not closed yet");
        assert!(night.is_open(at("2026-10-25T01:29:59Z")), "02:29 the second time");
        assert!(!night.is_open(at("2026-10-25T01:30:00Z")));
        let early = shop(Tz::Europe__Berlin, 150, 240);
        assert!(!early.is_open(at("2026-03-29T00:59:59Z")), "01:59");
        assert!(early.is_open(at("2026-03-29T01:00:00Z")), "02:30 does not exist: it opens as the clock shows 03:00");
        assert!(!early.is_open(at("2026-03-29T02:00:00Z")), "04:00");
        let swallowed = shop(Tz::Europe__Berlin, 125, 170);
        assert_eq!(swallowed.next_opening(at("2026-03-29T00:00:00Z")), Some(at("2026-03-30T00:05:00Z")));
    }

    #[test]
    fn a_night_shift_goes_on_through_midnight() {
        let hours = vec![
            OpeningHours { weekday: Weekday::Fri, opens: 1_320, closes: DAY_MINUTES },
            OpeningHours { weekday: Weekday::Sat, opens: 0, closes: 120 },
        ];
        let bar = Calendar::try_new(Tz::UTC, hours, BTreeSet::new(), None).unwrap();
        for (instant, open) in [
            ("2026-11-27T21:59:59Z", false),
            ("2026-11-27T22:00:00Z", true),
            ("2026-11-27T23:59:59Z", true),
            ("2026-11-28T00:00:00Z", true),
            ("2026-11-28T02:00:00Z", false),
        ] {
            assert_eq!(bar.is_open(at(instant)), open, "{instant}");
        }
    }

    #[test]
    fn closed_days_are_skipped_and_a_place_without_hours_never_opens() {
        let closed = ["2026-12-25", "2026-12-26"].map(|day| day.parse().unwrap());
        let hours = every_day(540, 1_020);
        let shop = Calendar::try_new(Tz::UTC, hours, BTreeSet::from(closed), None).unwrap();
        assert!(!shop.is_open(at("2026-12-25T12:00:00Z")));
        assert_eq!(shop.next_opening(at("2026-12-24T18:00:00Z")), Some(at("2026-12-27T09:00:00Z")));
        let never = Calendar::try_new(Tz::UTC, vec![], BTreeSet::new(), Some(600)).unwrap();
        assert_eq!(never.next_opening(at("2026-12-24T18:00:00Z")), None);
        assert_eq!(never.next_cut_off(at("2026-12-24T18:00:00Z")), None);
        let mondays = vec![OpeningHours { weekday: Weekday::Mon, opens: 540, closes: 600 }];
        let mut closed = BTreeSet::new();
        let mut monday: NaiveDate = "2026-11-30".parse().unwrap();
        for _ in 0..MAX_CLOSED_DAYS {
            closed.insert(monday);
            monday = monday + Days::new(7);
        }
        let rare = Calendar::try_new(Tz::UTC, mondays, closed, None).unwrap();
        assert_eq!(rare.next_opening(at("2026-11-25T00:00:00Z")).unwrap().date_naive(), monday, "years later");
    }

    #[test]
    fn an_order_leaves_on_the_day_whose_cut_off_it_makes() {
        let weekdays: Vec<OpeningHours> = every_day(480, 1_080)
            .into_iter()
            .filter(|one| !matches!(one.weekday, Weekday::Sat | Weekday::Sun))
            .collect();
        let depot = Calendar::try_new(Tz::America__New_York, weekdays.clone(), BTreeSet::new(), Some(840)).unwrap();
        // Friday 27 November 2026, 13:59 and 14:00 in New York.
        assert_eq!(depot.next_cut_off(at("2026-11-27T18:59:00Z")), Some(at("2026-11-27T19:00:00Z")));
        assert_eq!(depot.ship_date(at("2026-11-27T18:59:00Z")), Some("2026-11-27".parse().unwrap()));
        assert_eq!(depot.next_cut_off(at("2026-11-27T19:00:00Z")), Some(at("2026-11-30T19:00:00Z")));
        assert_eq!(depot.ship_date(at("2026-11-27T19:00:00Z")), Some("2026-11-30".parse().unwrap()));
        let open_end = Calendar::try_new(Tz::America__New_York, weekdays, BTreeSet::new(), None).unwrap();
        assert_eq!(open_end.next_cut_off(at("2026-11-27T19:00:00Z")), Some(at("2026-11-27T23:00:00Z")));
    }

    #[test]
    fn malformed_hours_are_refused_by_their_place() {
        let hours = |list: &[(u16, u16)]| {
            let hours = list
                .iter()
                .map(|(opens, closes)| OpeningHours { weekday: Weekday::Mon, opens: *opens, closes: *closes })
                .collect();
            Calendar::try_new(Tz::UTC, hours, BTreeSet::new(), None).map(drop)
        };
        assert_eq!(hours(&[(0, 10), (10, 20)]), Ok(()));
        assert_eq!(hours(&[(10, 10)]), Err(CalendarError::Bounds { place: 0 }));
        assert_eq!(hours(&[(0, 1_441)]), Err(CalendarError::Bounds { place: 0 }));
        assert_eq!(hours(&[(20, 30), (0, 21)]), Err(CalendarError::Overlap { place: 1 }));
        assert_eq!(hours(&[(0, 1), (2, 3), (4, 5), (6, 7), (8, 9)]), Err(CalendarError::TooMany { place: 4 }));
    }

    /// Clocks with every kind of change: whole hours, half hours, at midnight, in both halves of the Earth.
    fn zone() -> impl Strategy<Value = Tz> {
        prop::sample::select(vec![
            Tz::Europe__London,
            Tz::America__New_York,
            Tz::Australia__Lord_Howe,
            Tz::America__Santiago,
            Tz::Africa__Cairo,
            Tz::Asia__Kathmandu,
            Tz::UTC,
        ])
    }

    proptest! {
        #[test]
        fn it_is_open_at_the_next_opening_and_never_before(
            zone in zone(),
            hours in prop::collection::vec((0u8..7, 0u16..1_440, 1u16..600), 1..6),
            closed in prop::collection::btree_set(0u64..400, 0..5),
            start in 0i64..500 * 1_440,
            second in 0i64..60,
        ) {
            let mut kept: Vec<OpeningHours> = Vec::new();
            for (weekday, opens, length) in hours {
                let one = OpeningHours {
                    weekday: Weekday::try_from(weekday).unwrap(),
                    opens,
                    closes: (opens + length).min(DAY_MINUTES),
                };
                if Calendar::try_new(zone, [&kept[..], &[one]].concat(), BTreeSet::new(), None).is_ok() {
                    kept.push(one);
                }
            }
            let first: NaiveDate = "2026-01-01".parse().unwrap();
            let closed = closed.into_iter().map(|day| first + Days::new(day)).collect();
            let calendar = Calendar::try_new(zone, kept, closed, None).unwrap();
            let from = at("2026-01-01T00:00:00Z") + TimeDelta::minutes(start) + TimeDelta::seconds(second);
            let next = calendar.next_opening(from).unwrap();
            prop_assert!(calendar.is_open(next));
            prop_assert_eq!(next == from, calendar.is_open(from));
            prop_assert_eq!(calendar.next_opening(next), Some(next));
            let mut before = from;
            while before < next {
                prop_assert!(!calendar.is_open(before), "open at {before}, before {next}");
                before += TimeDelta::minutes(7);
            }
        }
    }
}
