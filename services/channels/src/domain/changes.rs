//! What a subscriber that stands at a sequence number is sent next.
//!
//! The channel's changes are numbered without a gap and kept in packs, the oldest of which are given up in time.

use oneshelf_values::Sku;

/// Changes one after the other, of which the last has the number `last_seq`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pack {
    pub last_seq: i64,
    pub skus: Vec<Sku>,
}

impl Pack {
    /// The number of the change before the first.
    fn before(&self) -> i64 {
        self.last_seq - self.skus.len() as i64
    }
}

/// The channel's newest number, and packs that end after the subscriber's, one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    pub newest: i64,
    pub packs: Vec<Pack>,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    Nothing,
    /// What changed after the subscriber's number, up to this one, is to be read by SKU.
    Everything(i64),
    /// These changes, so far as no newer one of their SKU has overtaken them, and the number of the last.
    Changes(Vec<(Sku, i64)>, i64),
}

/// Decides for a subscriber that has been sent everything up to `seq`; at most `limit` changes, or one pack.
pub fn next(seq: i64, kept: Kept, limit: usize) -> Next {
    if seq >= kept.newest {
        return Next::Nothing;
    }
    // At the beginning most changes are overtaken, and of those after a gap it is not known which SKUs they were of.
    let follows = kept.packs.first().is_some_and(|pack| pack.before() <= seq);
    if seq == 0 || !follows {
        return Next::Everything(kept.newest);
    }
    let (mut changes, mut through) = (Vec::new(), seq);
    for pack in kept.packs {
        let full = !changes.is_empty() && changes.len() + pack.skus.len() > limit;
        if full || pack.before() > through {
            break;
        }
        through = pack.last_seq;
        changes.extend(pack.skus.iter().cloned().zip(pack.before() + 1..).filter(|(_, change)| *change > seq));
    }
    Next::Changes(changes, through)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sku(name: usize) -> Sku {
        format!("S{name}").parse().unwrap()
    }

    /// Packs of these sizes, numbered from behind `before`.
    fn packs(before: i64, sizes: &[usize]) -> Vec<Pack> {
        let mut last_seq = before;
        sizes
            .iter()
            .map(|&size| {
                last_seq += size as i64;
                Pack { last_seq, skus: (0..size).map(sku).collect() }
            })
            .collect()
    }

    #[test]
    fn who_is_at_the_beginning_or_behind_a_gap_is_shown_everything() {
        let kept = |before| Kept { newest: before + 3, packs: packs(before, &[3]) };
        assert_eq!(next(0, kept(0), 500), Next::Everything(3));
        assert_eq!(next(4, kept(5), 500), Next::Everything(8));
        assert_eq!(next(4, Kept { newest: 5, packs: Vec::new() }, 500), Next::Everything(5));
        assert_eq!(next(5, kept(5), 500), Next::Changes(vec![(sku(0), 6), (sku(1), 7), (sku(2), 8)], 8));
        assert_eq!(next(8, kept(5), 500), Next::Nothing);
        let torn = Kept { newest: 9, packs: [packs(5, &[1]), packs(8, &[1])].concat() };
        assert_eq!(next(5, torn, 500), Next::Changes(vec![(sku(0), 6)], 6));
    }

    proptest! {
        /// Step by step, a subscriber gets each change after its number once and in order, whatever the packs.
        #[test]
        fn every_change_comes_once(
            before in 0..50_i64, sizes in prop::collection::vec(1..20_usize, 1..20), ahead in 1..40_i64, limit in 1..40_usize,
        ) {
            let all = packs(before, &sizes);
            let newest = all.last().unwrap().last_seq;
            let mut seq = before + ahead;
            let mut got = Vec::new();
            loop {
                let packs = all.iter().filter(|pack| pack.last_seq > seq).take(3).cloned().collect();
                match next(seq, Kept { newest, packs }, limit) {
                    Next::Nothing => break,
                    Next::Everything(_) => prop_assert!(false, "no gap"),
                    Next::Changes(changes, through) => {
                        prop_assert!(through > seq);
                        prop_assert!(changes.len() <= limit.max(20));
                        got.extend(changes.into_iter().map(|(_, seq)| seq));
                        seq = through;
                    }
                }
            }
            prop_assert!(got.into_iter().eq(before + ahead + 1..=newest));
        }
    }
}
