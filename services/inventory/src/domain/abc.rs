//! How often to count what: the few SKUs that make most of the movement often (A), the many that make little seldom (C).

use oneshelf_values::Sku;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AbcClass {
    A,
    B,
    C,
}

impl AbcClass {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::B => "B",
            Self::C => "C",
        }
    }

    pub fn parse(stored: &str) -> Option<Self> {
        [Self::A, Self::B, Self::C].into_iter().find(|class| class.as_str() == stored)
    }
}

/// Up to which share of all movement, in percent, SKUs are A, and up to which B; the rest is C.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AbcShares {
    pub a_percent: u32,
    pub b_percent: u32,
}

/// Classes by what moved, in units or in value: the largest first, and each belongs to the share that those before it leave open. So the
/// largest is always A, and what did not move is C. Ties go by SKU.
pub fn classify(mut moved: Vec<(Sku, i128)>, shares: AbcShares) -> Vec<(Sku, AbcClass)> {
    moved.sort_by(|(left, less), (right, more)| more.cmp(less).then_with(|| left.cmp(right)));
    let total: i128 = moved.iter().map(|(_, units)| *units).sum();
    let mut before: i128 = 0;
    moved
        .into_iter()
        .map(|(sku, units)| {
            let class = if units == 0 {
                AbcClass::C
            } else if before * 100 < total * i128::from(shares.a_percent) {
                AbcClass::A
            } else if before * 100 < total * i128::from(shares.b_percent) {
                AbcClass::B
            } else {
                AbcClass::C
            };
            before += units;
            (sku, class)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_that_is_already_covered_decides_the_class() {
        let moved = [("SMALL", 4), ("BIG", 70), ("DEAD", 0), ("MID", 20), ("TINY", 1), ("LOW", 5)];
        let moved = moved.map(|(sku, units)| (sku.parse().unwrap(), units)).to_vec();
        let classes: Vec<(String, AbcClass)> = classify(moved, AbcShares { a_percent: 80, b_percent: 95 })
            .into_iter()
            .map(|(sku, class)| (sku.to_string(), class))
            .collect();
        let expected = [
            ("BIG", AbcClass::A),
            ("MID", AbcClass::A),
            ("LOW", AbcClass::B),
            ("SMALL", AbcClass::C),
            ("TINY", AbcClass::C),
            ("DEAD", AbcClass::C),
        ];
        assert_eq!(classes, expected.map(|(sku, class)| (sku.to_owned(), class)));
    }

    #[test]
    fn where_nothing_moved_everything_is_c() {
        let classes = classify(vec![("X".parse().unwrap(), 0)], AbcShares { a_percent: 80, b_percent: 95 });
        assert_eq!(classes[0].1, AbcClass::C);
    }
}
