//! When more of a SKU is ordered for a location, and how much; and what its demand says these should be.
//!
//! ```text
//!   sellable − held + inbound − claimed = position
//!   position ≤ s: order S − position, rounded up to whole packs
//!
//!   SS = z · √((L + R) · σ_d² + d² · σ_L²)        s = d · (L + R) + SS        S = s + d · cover
//! ```
//!
//! d and σ_d are the mean and the sample standard deviation of demand per day, days without demand included; L and σ_L those
//! of the lead time; R the review period, 0 where the position is looked at all the time; z the standard normal quantile
//! of the service level (Silver, Pyke and Thomas, *Inventory and Production Management in Supply Chains*). Claims were
//! promised on inbound, so what serves them is no stock of ours any more.
//!
//! All of it is in integers: means and deviations in millionths, variances in millionths squared, times in hours, z in ten
//! thousandths. Roots are rounded down to a millionth, then units are rounded up.

use oneshelf_values::Sku;

use super::{
    error::Refusal,
    policy::Audit,
    stock_level::{LevelKey, MAX_LEVEL},
};

const MICROS: i128 = 1_000_000;
const HOURS_PER_DAY: i128 = 24;

/// How demand is bridged until more comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Supply {
    pub lead_time_hours: i32,
    pub lead_time_deviation_hours: i32,
    /// 0: looked at all the time.
    pub review_days: i32,
    /// The share of order cycles without a stock-out that is aimed at.
    pub service_level_basis_points: i32,
}

impl Default for Supply {
    fn default() -> Self {
        Self {
            lead_time_hours: 168,
            lead_time_deviation_hours: 0,
            review_days: 0,
            service_level_basis_points: DEFAULT_SERVICE_LEVEL,
        }
    }
}

pub const DEFAULT_SERVICE_LEVEL: i32 = 9_500;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReorderTerms {
    /// s: at this position or below, more is ordered.
    pub reorder_point: i64,
    /// S, at least s: what the position is brought up to.
    pub order_up_to: i64,
    /// At least 1.
    pub pack_multiple: i64,
    pub supply: Supply,
    /// Nothing is suggested.
    pub paused: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReorderPolicy {
    pub key: LevelKey,
    pub terms: ReorderTerms,
    pub audit: Audit,
}

/// What a location has of a SKU, is to get, and owes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Position {
    pub sellable: i64,
    pub held: i64,
    pub inbound: i64,
    pub claimed: i64,
}

impl Position {
    pub fn total(&self) -> i64 {
        self.sellable - self.held + self.inbound - self.claimed
    }
}

impl ReorderTerms {
    /// What to order, 0 for nothing.
    pub fn quantity(&self, position: Position) -> i64 {
        let total = position.total();
        if self.paused || total > self.reorder_point {
            return 0;
        }
        let short = self.order_up_to - total;
        // Terms and levels are bounded far below the end of the integers.
        (short + self.pack_multiple - 1) / self.pack_multiple * self.pack_multiple
    }
}

/// What left for customers in a number of whole days.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Demand {
    /// At least 2.
    pub days: i64,
    /// Days on which anything was sold.
    pub demand_days: i64,
    pub units: i128,
    /// Σ over days of the units squared.
    pub squares: i128,
}

/// How demand comes: the categories of Syntetos, Boylan and Croston (2005), *On the categorization of demand patterns*.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pattern {
    None,
    Smooth,
    Erratic,
    Intermittent,
    Lumpy,
}

impl Demand {
    /// d in millionths of a unit per day.
    pub fn mean_micros(&self) -> Option<i128> {
        Some(self.units.checked_mul(MICROS)? / i128::from(self.days))
    }

    /// σ_d², in millionths of a unit squared: days² · 10¹² of it.
    fn variance(&self) -> Option<i128> {
        let days = i128::from(self.days);
        let spread = days.checked_mul(self.squares)?.checked_sub(self.units.checked_mul(self.units)?)?;
        Some(spread.checked_mul(MICROS * MICROS)? / (days * (days - 1)))
    }

    /// σ_d in millionths of a unit per day.
    pub fn deviation_micros(&self) -> Option<i128> {
        self.variance().and_then(root)
    }

    /// Seldom is a day with demand in 1.32 or more days; uneven are units whose squared coefficient of variation, over the
    /// days with demand, is 0.49 or more.
    pub fn pattern(&self) -> Option<Pattern> {
        let (days, busy) = (i128::from(self.days), i128::from(self.demand_days));
        if busy == 0 {
            return Some(Pattern::None);
        }
        let seldom = days * 100 >= busy * 132;
        let square = self.units.checked_mul(self.units)?;
        let spread = busy.checked_mul(self.squares)?.checked_sub(square)?;
        let uneven =
            busy > 1 && spread.checked_mul(100)?.checked_mul(busy)? >= square.checked_mul(49)?.checked_mul(busy - 1)?;
        Some(match (seldom, uneven) {
            (false, false) => Pattern::Smooth,
            (false, true) => Pattern::Erratic,
            (true, false) => Pattern::Intermittent,
            (true, true) => Pattern::Lumpy,
        })
    }
}

/// What demand says the terms should be, and what it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suggestion {
    pub sku: Sku,
    pub demand: Demand,
    pub pattern: Pattern,
    pub mean_micros: i64,
    pub deviation_micros: i64,
    pub supply: Supply,
    pub z: i32,
    pub safety_stock: i64,
    pub reorder_point: i64,
    pub order_up_to: i64,
}

impl Suggestion {
    /// Refuses demand that leaves the integers: some 10⁹ units a day and more.
    pub fn of(key: &LevelKey, demand: Demand, supply: Supply, cover_days: i32) -> Result<Self, Refusal> {
        Self::compute(key, demand, supply, cover_days)
            .ok_or_else(|| Refusal::QuantityOverflow { sku: key.sku.clone(), location: key.location.clone() })
    }

    fn compute(key: &LevelKey, demand: Demand, supply: Supply, cover_days: i32) -> Option<Self> {
        let z = z_ten_thousandths(supply.service_level_basis_points);
        let (mean, variance) = (demand.mean_micros()?, demand.variance()?);
        let bridged = i128::from(supply.lead_time_hours) + HOURS_PER_DAY * i128::from(supply.review_days);
        let of_demand = bridged.checked_mul(variance)? / HOURS_PER_DAY;
        let late = i128::from(supply.lead_time_deviation_hours);
        let of_lead_time = (mean.checked_mul(mean)? / (HOURS_PER_DAY * HOURS_PER_DAY)).checked_mul(late * late)?;
        let deviation = root(of_demand.checked_add(of_lead_time)?)?;
        let safety_stock = ceil(i128::from(z).checked_mul(deviation)?, 10_000 * MICROS);
        // From the units and not from the rounded mean, so that whole numbers stay whole.
        let days = i128::from(demand.days);
        let expected = ceil(demand.units.checked_mul(bridged)?, days * HOURS_PER_DAY);
        let reorder_point = expected.checked_add(safety_stock)?;
        let order_up_to = reorder_point + ceil(demand.units.checked_mul(i128::from(cover_days))?, days);
        let units = |units: i128| i64::try_from(units).ok().filter(|units| *units <= MAX_LEVEL);
        Some(Self {
            sku: key.sku.clone(),
            demand,
            pattern: demand.pattern()?,
            mean_micros: i64::try_from(mean).ok()?,
            deviation_micros: i64::try_from(demand.deviation_micros()?).ok()?,
            supply,
            z,
            safety_stock: units(safety_stock)?,
            reorder_point: units(reorder_point)?,
            order_up_to: units(order_up_to)?,
        })
    }
}

/// The root, rounded down; of a square of millionths it is in millionths.
fn root(square: i128) -> Option<i128> {
    square.checked_isqrt()
}

/// Of numbers that are not negative.
fn ceil(numerator: i128, denominator: i128) -> i128 {
    (numerator + denominator - 1) / denominator
}

/// The standard normal quantile by service level, in basis points and ten thousandths.
const QUANTILES: [(i32, i32); 36] = [
    (5_000, 0),
    (5_500, 1_257),
    (6_000, 2_533),
    (6_500, 3_853),
    (7_000, 5_244),
    (7_500, 6_745),
    (8_000, 8_416),
    (8_500, 10_364),
    (8_750, 11_503),
    (9_000, 12_816),
    (9_100, 13_408),
    (9_200, 14_051),
    (9_300, 14_758),
    (9_400, 15_548),
    (9_500, 16_449),
    (9_600, 17_507),
    (9_700, 18_808),
    (9_750, 19_600),
    (9_800, 20_537),
    (9_850, 21_701),
    (9_900, 23_263),
    (9_925, 24_324),
    (9_950, 25_758),
    (9_960, 26_521),
    (9_970, 27_478),
    (9_975, 28_070),
    (9_980, 28_782),
    (9_985, 29_677),
    (9_990, 30_902),
    (9_992, 31_559),
    (9_994, 32_389),
    (9_995, 32_905),
    (9_996, 33_528),
    (9_997, 34_316),
    (9_998, 35_401),
    (9_999, 37_190),
];

/// z of a service level of 5,000 to 9,999 basis points; outside, that of the nearer end. Between two entries of the table
/// the chord lies above the quantile, which is convex here: by at most 70 ten thousandths.
pub fn z_ten_thousandths(basis_points: i32) -> i32 {
    let above = QUANTILES.partition_point(|(level, _)| *level < basis_points);
    match (above.checked_sub(1).and_then(|below| QUANTILES.get(below)), QUANTILES.get(above)) {
        (_, Some((level, z))) if *level == basis_points => *z,
        (Some((low, z_low)), Some((high, z_high))) => z_low + (z_high - z_low) * (basis_points - low) / (high - low),
        (None, Some((_, z))) | (Some((_, z)), None) => *z,
        (None, None) => 0,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key() -> LevelKey {
        LevelKey { sku: "A".parse().unwrap(), location: "WH".parse().unwrap() }
    }

    fn terms(reorder_point: i64, order_up_to: i64, pack_multiple: i64) -> ReorderTerms {
        ReorderTerms { reorder_point, order_up_to, pack_multiple, supply: Supply::default(), paused: false }
    }

    fn demand(days: i64, sold: &[i64]) -> Demand {
        Demand {
            days,
            demand_days: sold.len() as i64,
            units: sold.iter().map(|units| i128::from(*units)).sum(),
            squares: sold.iter().map(|units| i128::from(units * units)).sum(),
        }
    }

    #[test]
    fn more_is_ordered_at_the_point_and_not_above_it_in_whole_packs() {
        let at = |sellable, held, inbound, claimed| Position { sellable, held, inbound, claimed };
        for (position, expected) in [
            (at(21, 0, 0, 0), 0),
            (at(20, 0, 0, 0), 84),
            (at(25, 5, 0, 0), 84),
            (at(20, 0, 1, 0), 0),
            (at(20, 0, 4, 4), 84),
            (at(0, 0, 0, 0), 108),
            (at(-5, 3, 0, 0), 108),
            (at(-9, 0, 0, 0), 120),
        ] {
            assert_eq!(terms(20, 100, 12).quantity(position), expected, "{position:?}");
        }
        assert_eq!(ReorderTerms { paused: true, ..terms(20, 100, 12) }.quantity(Position::default()), 0);
        assert_eq!(terms(0, 0, 1).quantity(Position::default()), 0, "nothing is wanted, and nothing is missing");
    }

    /// By hand: d = 10, σ_d = 5 (5 and 15 in turn: √(100·25/99) = 5.0252), L = 4 days, σ_L = 1 day, z(97.5 %) = 1.96.
    #[test]
    fn safety_stock_is_that_of_the_textbook() {
        let sold: Vec<i64> = (0..100).map(|day| if day % 2 == 0 { 5 } else { 15 }).collect();
        let supply = Supply {
            lead_time_hours: 96,
            lead_time_deviation_hours: 24,
            review_days: 0,
            service_level_basis_points: 9_750,
        };
        let seen = Suggestion::of(&key(), demand(100, &sold), supply, 30).unwrap();
        assert_eq!((seen.mean_micros, seen.deviation_micros, seen.z), (10_000_000, 5_025_189, 19_600));
        // 1.96 · √(4 · 25.2525 + 100 · 1) = 1.96 · 14.1780 = 27.79
        assert_eq!((seen.safety_stock, seen.reorder_point, seen.order_up_to), (28, 68, 368));
        // Looked at weekly: 1.96 · √(11 · 25.2525 + 100) = 1.96 · 19.4364 = 38.10
        let weekly = Suggestion::of(&key(), demand(100, &sold), Supply { review_days: 7, ..supply }, 30).unwrap();
        assert_eq!((weekly.safety_stock, weekly.reorder_point), (39, 149));
        assert_eq!(seen.pattern, Pattern::Smooth);
    }

    #[test]
    fn days_without_demand_count_and_seldom_demand_is_flagged() {
        let seen = |days, sold: &[i64]| Suggestion::of(&key(), demand(days, sold), Supply::default(), 30).unwrap();
        assert_eq!(seen(10, &[1]).mean_micros, 100_000);
        assert_eq!(seen(10, &[]).pattern, Pattern::None);
        assert_eq!((seen(10, &[]).safety_stock, seen(10, &[]).order_up_to), (0, 0));
        assert_eq!(seen(10, &[4, 4, 4]).pattern, Pattern::Intermittent);
        assert_eq!(seen(10, &[1, 1, 20]).pattern, Pattern::Lumpy);
        assert_eq!(seen(10, &[1, 1, 1, 1, 1, 1, 1, 1, 40]).pattern, Pattern::Erratic);
        assert_eq!(seen(33, &[2; 25]).pattern, Pattern::Intermittent, "1.32 is seldom");
        assert_eq!(seen(32, &[2; 25]).pattern, Pattern::Smooth);
        assert_eq!(seen(10, &[7]).pattern, Pattern::Intermittent, "one day has no variation");
    }

    #[test]
    fn quantiles_rise_from_level_to_level_and_beyond_the_table_its_end_counts() {
        let all: Vec<i32> = (5_000..=9_999).map(z_ten_thousandths).collect();
        assert!(all.is_sorted());
        assert_eq!((all[0], all[4_500], all[4_999]), (0, 16_449, 37_190));
        assert_eq!((z_ten_thousandths(4_000), z_ten_thousandths(10_000)), (0, 37_190));
        assert_eq!(z_ten_thousandths(9_450), 15_998, "halfway between 15,548 and 16,449");
    }

    #[test]
    fn demand_beyond_computing_is_refused() {
        let much = demand(730, &[1_000_000_000; 730]);
        let longest = Supply {
            lead_time_hours: 17_520,
            lead_time_deviation_hours: 17_520,
            review_days: 365,
            service_level_basis_points: 9_999,
        };
        assert!(Suggestion::of(&key(), much, longest, 365).is_ok());
        let absurd = Demand { days: 2, demand_days: 1, units: 1 << 70, squares: 1 << 100 };
        assert!(matches!(Suggestion::of(&key(), absurd, longest, 1), Err(Refusal::QuantityOverflow { .. })));
    }

    proptest! {
        /// What is ordered brings the position to S, by less than a pack more; above s nothing is.
        #[test]
        fn an_order_reaches_its_level(
            point in 0i64..100, more in 0i64..100, pack in 1i64..13,
            sellable in -50i64..300, held in 0i64..50, inbound in 0i64..50, claimed in 0i64..50,
        ) {
            let terms = terms(point, point + more, pack);
            let position = Position { sellable, held, inbound, claimed };
            let quantity = terms.quantity(position);
            if position.total() > point {
                prop_assert_eq!(quantity, 0);
            } else {
                let after = position.total() + quantity;
                prop_assert!((terms.order_up_to..terms.order_up_to + pack).contains(&after));
                prop_assert_eq!(quantity % pack, 0);
            }
        }

        /// More uncertainty, longer times and higher levels never want less.
        #[test]
        fn safety_stock_rises_with_what_makes_it(
            sold in prop::collection::vec(1i64..50, 0..30), lead in 0i32..500, late in 0i32..100, review in 0i32..30, level in 5_000i32..9_998,
        ) {
            let base = Supply {
                lead_time_hours: lead, lead_time_deviation_hours: late, review_days: review, service_level_basis_points: level,
            };
            let of = |supply| Suggestion::of(&key(), demand(30, &sold), supply, 30).unwrap();
            for more in [
                Supply { lead_time_hours: lead + 1, ..base },
                Supply { lead_time_deviation_hours: late + 1, ..base },
                Supply { review_days: review + 1, ..base },
                Supply { service_level_basis_points: level + 1, ..base },
            ] {
                prop_assert!(of(more).safety_stock >= of(base).safety_stock);
                prop_assert!(of(more).reorder_point >= of(base).reorder_point);
            }
        }
    }
}
