//! What a (SKU, location) is to get and owes, by day, and what may be promised of it (Q5).
//!
//! | | |
//! |---|---|
//! | supply | units still to come: orders and notices of suppliers, transfers on their way |
//! | claim | units promised for a day that wait for supply; what a promise took from the shelf is held there, and no claim |
//! | projected(u) | sellable − held + supply due by u − claims due by u |
//! | ATP(t) | max(0, min over u ≥ t of projected(u)) |
//!
//! A new promise takes what it can from supply and the rest from the shelf, as a hold. So claims are covered by supply
//! alone, whatever is sold from the shelf meanwhile: for each day, claims due by it ≤ supply due by it. No unit to come
//! is promised twice, and a hold granted now never breaks a promise. Where supply is taken back, or comes short, claims
//! stay uncovered, the last ones first; that is reported, and what comes next goes to them before it can be promised.
//!
//! Supply whose day is over has not come: it covers the claims that were made on it, but gives nothing to new promises
//! until somebody says a new day.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use oneshelf_values::PromiseId;

/// A line of a promise that waits for units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    pub promise_id: PromiseId,
    /// 0-based place among the promise's lines.
    pub line: usize,
    pub due: NaiveDate,
    /// Order among claims of one day: that in which they were made.
    pub sequence: i64,
    pub waiting: i64,
    /// Of the waiting units: those that no supply covers.
    pub uncovered: i64,
    /// How often it was served.
    pub fills: i64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Future {
    supply: BTreeMap<NaiveDate, i64>,
    /// In the order in which they are served: by day, then by sequence.
    claims: Vec<Claim>,
}

impl Future {
    pub fn new(supply: impl IntoIterator<Item = (NaiveDate, i64)>, mut claims: Vec<Claim>) -> Self {
        claims.sort_by_key(|claim| (claim.due, claim.sequence));
        let mut future = Self { supply: BTreeMap::new(), claims };
        for (day, units) in supply {
            future.shift_supply(day, units);
        }
        future
    }

    pub fn claims(&self) -> &[Claim] {
        &self.claims
    }

    pub fn shift_supply(&mut self, day: NaiveDate, units: i64) {
        *self.supply.entry(day).or_default() += units;
    }

    /// Adds a claim behind those of its day.
    pub fn claim(&mut self, claim: Claim) {
        let at = self.claims.partition_point(|other| (other.due, other.sequence) <= (claim.due, claim.sequence));
        self.claims.insert(at, claim);
    }

    /// Takes the claims of a promise away.
    pub fn drop_claims(&mut self, promise_id: PromiseId) {
        self.claims.retain(|claim| claim.promise_id != promise_id);
    }

    /// min over u ≥ `day` of supply due by u less claims due by u. Negative where claims are uncovered.
    pub fn free_by(&self, day: NaiveDate, today: NaiveDate) -> i64 {
        let day = day.max(today);
        let supply_by = |until: NaiveDate| -> i64 { self.supply.range(today..=until).map(|(_, units)| units).sum() };
        let claimed_by = |until: NaiveDate| -> i64 {
            self.claims.iter().take_while(|claim| claim.due <= until).map(|claim| claim.waiting).sum()
        };
        // The sum falls only where a claim is due.
        let later: BTreeSet<NaiveDate> = self.claims.iter().map(|claim| claim.due).filter(|due| *due > day).collect();
        std::iter::once(day).chain(later).map(|until| supply_by(until) - claimed_by(until)).min().unwrap_or_default()
    }

    /// What may be promised for a day, where `shelf` is sellable less held: negative when oversold.
    pub fn available_to_promise(&self, shelf: i64, day: NaiveDate, today: NaiveDate) -> i64 {
        (shelf + self.free_by(day, today)).max(0)
    }

    /// Of a promise of `quantity` units that fits: how many the future gives. The shelf gives the rest.
    pub fn from_supply(&self, quantity: i64, day: NaiveDate, today: NaiveDate) -> i64 {
        self.free_by(day, today).clamp(0, quantity)
    }

    /// Serves claims in their order with units that have come; answers which got how many, and what they wait for still.
    pub fn serve(&mut self, units: i64) -> Vec<(Claim, i64)> {
        let mut left = units;
        let mut served = Vec::new();
        for claim in &mut self.claims {
            let taken = claim.waiting.min(left);
            if taken > 0 {
                claim.waiting -= taken;
                claim.uncovered = claim.uncovered.min(claim.waiting);
                claim.fills += 1;
                left -= taken;
                served.push((claim.clone(), taken));
            }
        }
        served
    }

    /// Says of each claim how much of it no supply covers. Earlier claims are covered first, each by what is due in time.
    pub fn cover(&mut self) {
        let mut supply = self.supply.clone();
        for claim in &mut self.claims {
            let mut open = claim.waiting;
            for (_, units) in supply.range_mut(..=claim.due) {
                let taken = open.min(*units);
                *units -= taken;
                open -= taken;
            }
            claim.uncovered = open;
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::Days;
    use proptest::prelude::*;

    use super::*;

    fn day(number: u64) -> NaiveDate {
        NaiveDate::from_ymd_opt(2026, 11, 1).unwrap() + Days::new(number)
    }

    fn claim(id: u128, due: u64, waiting: i64) -> Claim {
        Claim {
            promise_id: uuid::Uuid::from_u128(id).into(),
            line: 0,
            due: day(due),
            sequence: id as i64,
            waiting,
            uncovered: 0,
            fills: 0,
        }
    }

    #[test]
    fn a_later_claim_bounds_what_may_be_promised_earlier() {
        let future = Future::new([(day(1), 10), (day(5), 5)], vec![claim(1, 6, 12)]);
        let atp: Vec<i64> = (0..8).map(|on| future.available_to_promise(2, day(on), day(0))).collect();
        // 2 on the shelf; 10 come on day 1 and 5 on day 5, 12 are claimed for day 6.
        assert_eq!(atp, [2, 5, 5, 5, 5, 5, 5, 5]);
    }

    #[test]
    fn what_is_late_is_not_promised_again() {
        let future = Future::new([(day(1), 10)], vec![]);
        assert_eq!(future.available_to_promise(0, day(3), day(1)), 10);
        assert_eq!(future.available_to_promise(0, day(3), day(2)), 0);
    }

    #[test]
    fn what_comes_heals_an_oversold_shelf_first() {
        let future = Future::new([(day(1), 10)], vec![]);
        assert_eq!(future.available_to_promise(-4, day(1), day(0)), 6);
        assert_eq!(future.from_supply(6, day(1), day(0)), 6);
    }

    #[test]
    fn claims_are_served_by_day_and_then_by_sequence() {
        let mut future = Future::new([], vec![claim(1, 9, 4), claim(3, 2, 4), claim(2, 2, 4)]);
        let served: Vec<(u128, i64)> =
            future.serve(9).into_iter().map(|(claim, got)| (claim.promise_id.as_uuid().as_u128(), got)).collect();
        assert_eq!(served, [(2, 4), (3, 4), (1, 1)]);
    }

    #[test]
    fn when_supply_is_taken_back_the_last_claims_are_uncovered() {
        let mut future = Future::new([(day(1), 10)], vec![claim(1, 2, 6), claim(2, 3, 4)]);
        future.shift_supply(day(1), -5);
        future.cover();
        let uncovered: Vec<i64> = future.claims().iter().map(|claim| claim.uncovered).collect();
        assert_eq!(uncovered, [1, 4]);
    }

    #[derive(Debug, Clone)]
    enum Step {
        Supply(u64, i64),
        Promise(u64, i64),
        Sell(i64),
        Receive(u64, i64),
        NextDay,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0u64..12, 1i64..20).prop_map(|(day, units)| Step::Supply(day, units)),
            (0u64..15, 1i64..15).prop_map(|(day, units)| Step::Promise(day, units)),
            (1i64..10).prop_map(Step::Sell),
            (0u64..12, 1i64..20).prop_map(|(day, units)| Step::Receive(day, units)),
            Just(Step::NextDay),
        ]
    }

    proptest! {
        /// Q5: whatever is ordered, promised, sold and received, no unit to come is promised twice, and what was promised
        /// is there once everything has come.
        #[test]
        fn no_unit_to_come_is_promised_twice(steps in prop::collection::vec(step(), 1..80), shelf in 0i64..20) {
            let (mut shelf, mut held, mut today) = (shelf, 0i64, 0u64);
            let mut promised = 0i64;
            let mut future = Future::default();
            for (number, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Supply(due, units) => future.shift_supply(day(due), units),
                    Step::Sell(units) => shelf -= units.min(shelf - held),
                    Step::Promise(due, units) => {
                        let atp = future.available_to_promise(shelf - held, day(due), day(today));
                        // The definition, day by day.
                        let naive = (due.max(today)..40)
                            .map(|until| {
                                let supply: i64 = future
                                    .supply
                                    .iter()
                                    .filter(|(on, _)| (day(today)..=day(until)).contains(*on))
                                    .map(|(_, units)| units)
                                    .sum();
                                let claimed: i64 = future
                                    .claims
                                    .iter()
                                    .filter(|claim| claim.due <= day(until))
                                    .map(|claim| claim.waiting)
                                    .sum();
                                shelf - held + supply - claimed
                            })
                            .min()
                            .unwrap();
                        prop_assert_eq!(atp, naive.max(0));
                        if units <= atp {
                            let later = future.from_supply(units, day(due), day(today));
                            prop_assert!(units - later <= shelf - held, "the shelf gives the rest");
                            held += units - later;
                            promised += units;
                            if later > 0 {
                                future.claim(claim(number as u128 + 1, due.max(today), later));
                            }
                        }
                    }
                    Step::Receive(due, units) => {
                        let come = units.min(future.supply.get(&day(due)).copied().unwrap_or(0));
                        future.shift_supply(day(due), -come);
                        shelf += come;
                        let served: i64 = future.serve(come).iter().map(|(_, got)| got).sum();
                        held += served;
                    }
                    Step::NextDay => today += 1,
                }
                prop_assert!(held <= shelf, "Q3");
                future.cover();
                for claim in future.claims() {
                    prop_assert_eq!(claim.uncovered, 0, "every claim has its supply in time");
                }
                let waiting: i64 = future.claims().iter().map(|claim| claim.waiting).sum();
                prop_assert_eq!(held + waiting, promised, "no unit is lost");
            }
        }
    }
}
