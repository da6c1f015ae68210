//! Splitting an amount over lines so that the parts add up to the whole, to the unit.

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ApportionError {
    #[error("weight {index} is negative")]
    NegativeWeight { index: usize },
    #[error("there is an amount to share out, but no weight above zero")]
    NoWeight,
}

/// Shares `total` out in proportion to `weights` by the method of largest remainder (Hamilton's): every part first gets
/// the whole units of its exact share, then the units left go, one each, to the parts with the largest remainders; of
/// equal remainders the earlier line comes first. A negative total is shared as the mirror image of the positive one.
///
/// So Σ parts = total; a part is less than one unit off its exact share; weight zero gets zero; and where
/// |total| ≤ Σ weights, no part is larger than its weight (a discount cannot exceed its line).
pub fn apportion(total: i64, weights: &[i64]) -> Result<Vec<i64>, ApportionError> {
    if let Some(index) = weights.iter().position(|weight| *weight < 0) {
        return Err(ApportionError::NegativeWeight { index });
    }
    if total == 0 {
        return Ok(vec![0; weights.len()]);
    }
    let whole: i128 = weights.iter().copied().map(i128::from).sum();
    if whole == 0 {
        return Err(ApportionError::NoWeight);
    }

    let amount = i128::from(total).abs();
    let mut left = amount;
    let mut parts = Vec::with_capacity(weights.len());
    // (negated remainder, line): ascending order is "largest remainder first, then line order".
    let mut order = Vec::with_capacity(weights.len());
    for (line, weight) in weights.iter().enumerate() {
        let exact = amount * i128::from(*weight);
        let units = exact / whole;
        left -= units;
        parts.push(units);
        order.push((-(exact % whole), line));
    }
    // 0 ≤ left < number of lines with a remainder.
    let left = left as usize;
    if left > 0 {
        order.select_nth_unstable(left - 1);
        for (_, line) in &order[..left] {
            parts[*line] += 1;
        }
    }
    let sign = i128::from(total.signum());
    Ok(parts.into_iter().map(|part| i64::try_from(part * sign).expect("a part is not larger than the total")).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(100, &[1, 1, 1], &[34, 33, 33])]
    #[case(-100, &[1, 1, 1], &[-34, -33, -33])]
    #[case(2, &[1, 1, 1], &[1, 1, 0])]
    #[case(10, &[1, 2, 3], &[2, 3, 5])]
    #[case(7, &[0, 5, 0], &[0, 7, 0])]
    #[case(0, &[0, 0], &[0, 0])]
    #[case(0, &[], &[])]
    #[case(i64::MAX, &[i64::MAX, i64::MAX], &[4_611_686_018_427_387_904, 4_611_686_018_427_387_903])]
    #[case(i64::MIN, &[i64::MAX], &[i64::MIN])]
    fn largest_remainders_get_the_units_left(#[case] total: i64, #[case] weights: &[i64], #[case] parts: &[i64]) {
        assert_eq!(apportion(total, weights).unwrap(), parts);
    }

    #[test]
    fn an_amount_without_anybody_to_take_it_is_refused() {
        assert_eq!(apportion(1, &[]), Err(ApportionError::NoWeight));
        assert_eq!(apportion(-1, &[0, 0]), Err(ApportionError::NoWeight));
        assert_eq!(apportion(1, &[1, -1]), Err(ApportionError::NegativeWeight { index: 1 }));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1_000))]

        #[test]
        fn parts_add_up_and_stay_within_one_unit_of_their_share(
            total in any::<i64>(),
            weights in prop::collection::vec(prop_oneof![Just(0), 0..5_i64, 0..100_000_i64, 0..=i64::MAX], 1..40),
        ) {
            let whole: i128 = weights.iter().copied().map(i128::from).sum();
            prop_assume!(whole > 0);
            let parts = apportion(total, &weights).unwrap();
            prop_assert_eq!(parts.iter().copied().map(i128::from).sum::<i128>(), i128::from(total));
            for (part, weight) in parts.iter().zip(&weights) {
                let exact_times_whole = i128::from(total) * i128::from(*weight);
                // part × whole − exact × whole, which must be less than one whole.
                let off = i128::from(*part).checked_mul(whole).map(|p| (p - exact_times_whole).abs());
                prop_assert!(off.is_none_or(|off| off < whole));
                prop_assert!(*weight != 0 || *part == 0);
            }
        }

        #[test]
        fn heavier_or_earlier_equal_lines_never_get_less(
            total in 0..1_000_000_i64,
            weights in prop::collection::vec(0..1_000_i64, 1..40),
        ) {
            prop_assume!(weights.iter().any(|w| *w > 0));
            let parts = apportion(total, &weights).unwrap();
            for (i, a) in weights.iter().enumerate() {
                for (j, b) in weights.iter().enumerate() {
                    if a > b || (a == b && i < j) {
                        prop_assert!(parts[i] >= parts[j]);
                    }
                }
            }
        }

        #[test]
        fn a_discount_never_exceeds_its_line(weights in prop::collection::vec(0..1_000_i64, 1..40), share in 0..=1_000_i64) {
            let whole: i64 = weights.iter().sum();
            prop_assume!(whole > 0);
            let parts = apportion(whole * share / 1_000, &weights).unwrap();
            prop_assert!(parts.iter().zip(&weights).all(|(part, weight)| part <= weight));
        }
    }
}
