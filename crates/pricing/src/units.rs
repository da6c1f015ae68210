//! What each single unit of a line was paid with.
//!
//! A line of 3 units for 100 pence has units of 34, 33 and 33: the total split by largest remainder, fixed when the order
//! is placed. A refund is the sum of its units' amounts, so refunds of all units give back exactly the line, in whatever
//! portions they come back (M3). Units are numbered from 0; whoever refunds remembers how many went before.

use oneshelf_values::Quantity;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("units {first} to {first} + {count} are not among the line's {quantity}")]
pub struct UnitsError {
    pub quantity: i64,
    pub first: i64,
    pub count: i64,
}

/// The amounts of all units, in minor units: the first |total mod quantity| carry one more than the others.
pub fn unit_amounts(line_total: i64, quantity: Quantity) -> impl Iterator<Item = i64> {
    let units = quantity.get();
    // A line of no units has no amounts; the divisor is then never used.
    let (base, extra) = split(line_total, units.max(1));
    (0..units).map(move |unit| base + if unit < extra { line_total.signum() } else { 0 })
}

/// The sum of `count` units from unit `first` on, without visiting them.
pub fn amount_of_units(line_total: i64, quantity: Quantity, first: i64, count: i64) -> Result<i64, UnitsError> {
    let units = quantity.get();
    let end = first.checked_add(count).filter(|end| first >= 0 && count >= 0 && *end <= units);
    let Some(end) = end else {
        return Err(UnitsError { quantity: units, first, count });
    };
    if count == 0 {
        return Ok(0);
    }
    let (base, extra) = split(line_total, units);
    let with_extra = end.min(extra) - first.min(extra);
    // At most |line_total|, so it cannot overflow.
    Ok(base * count + line_total.signum() * with_extra)
}

/// What every unit carries, and how many carry one more (in the direction of the total).
fn split(line_total: i64, units: i64) -> (i64, i64) {
    (line_total / units, (line_total % units).abs())
}

#[cfg(test)]
mod tests {
    use oneshelf_values::apportion;
    use proptest::prelude::*;

    use super::*;

    fn units(count: i64) -> Quantity {
        Quantity::try_new(count).unwrap()
    }

    #[test]
    fn the_first_units_carry_the_remainder() {
        assert_eq!(unit_amounts(100, units(3)).collect::<Vec<_>>(), [34, 33, 33]);
        assert_eq!(unit_amounts(-100, units(3)).collect::<Vec<_>>(), [-34, -33, -33]);
        assert_eq!(unit_amounts(2, units(3)).collect::<Vec<_>>(), [1, 1, 0]);
        assert_eq!(unit_amounts(5, units(0)).count(), 0);
    }

    #[test]
    fn units_that_are_not_there_are_refused() {
        for (first, count) in [(-1, 1), (0, 4), (3, 1), (2, 2), (1, -1), (i64::MAX, 1), (0, i64::MAX)] {
            let error = UnitsError { quantity: 3, first, count };
            assert_eq!(amount_of_units(100, units(3), first, count), Err(error));
        }
        assert_eq!(amount_of_units(100, units(3), 3, 0), Ok(0));
        assert_eq!(amount_of_units(0, units(0), 0, 0), Ok(0));
    }

    #[test]
    fn the_extremes_do_not_overflow() {
        let most = units(1_000_000_000_000);
        assert_eq!(amount_of_units(i64::MAX, most, 0, most.get()), Ok(i64::MAX));
        assert_eq!(amount_of_units(i64::MIN, most, 0, most.get()), Ok(i64::MIN));
        assert_eq!(amount_of_units(i64::MIN, units(1), 0, 1), Ok(i64::MIN));
    }

    proptest! {
        #[test]
        fn units_are_the_largest_remainder_split_of_the_line(total in any::<i64>(), count in 1..200_i64) {
            let amounts: Vec<i64> = unit_amounts(total, units(count)).collect();
            prop_assert_eq!(amounts, apportion(total, &vec![1; count as usize]).unwrap());
        }

        #[test]
        fn a_portion_is_the_sum_of_its_units(total in any::<i64>(), count in 1..200_i64, a in 0..200_i64, b in 0..200_i64) {
            let (first, end) = (a.min(b).min(count), a.max(b).min(count));
            let amounts: Vec<i64> = unit_amounts(total, units(count)).collect();
            let expected: i64 = amounts[first as usize..end as usize].iter().sum();
            prop_assert_eq!(amount_of_units(total, units(count), first, end - first), Ok(expected));
        }

        #[test]
        fn refunds_in_any_portions_give_back_exactly_the_line(
            total in any::<i64>(),
            count in 1..1_000_000_i64,
            cuts in prop::collection::vec(0..1_000_000_i64, 0..8),
        ) {
            let mut cuts: Vec<i64> = cuts.into_iter().map(|cut| cut % count).chain([0, count]).collect();
            cuts.sort_unstable();
            let refunded: i64 = cuts
                .windows(2)
                .map(|portion| amount_of_units(total, units(count), portion[0], portion[1] - portion[0]).unwrap())
                .sum();
            prop_assert_eq!(refunded, total);
        }
    }
}
