//! What this process remembers of plain levels: how it wrote them last.
//!
//! A guess, so that plain holds can be granted by one statement ([`super::short_way`]). Nothing is decided by it: that
//! statement writes nothing unless each level still has the version that is remembered here. So it may be learned before
//! its transaction commits, and needs no word from other processes.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::domain::{
    location::LocationState,
    stock_level::{Level, LevelKey},
};

/// Levels that are remembered, of some 150 bytes each; beyond that, learning begins anew.
const MAX_LEVELS: usize = 65_536;

#[derive(Debug, Default)]
pub struct KnownLevels(Mutex<HashMap<LevelKey, Level>>);

impl KnownLevels {
    /// The levels of `keys`, if all of them are known.
    pub fn of<'a>(&self, keys: impl Iterator<Item = &'a LevelKey>) -> Option<HashMap<LevelKey, Level>> {
        let known = self.lock();
        keys.map(|key| Some((key.clone(), *known.get(key)?))).collect()
    }

    /// Levels as they were written. Those that are not plain are forgotten.
    pub fn learn<'a>(&self, written: impl ExactSizeIterator<Item = (&'a LevelKey, &'a Level)>) {
        let mut known = self.lock();
        if known.len() + written.len() > MAX_LEVELS {
            known.clear();
        }
        for (key, level) in written.take(MAX_LEVELS) {
            if level.location == LocationState::Active && !level.has_rules && !level.kit {
                known.insert(key.clone(), *level);
            } else {
                known.remove(key);
            }
        }
    }

    /// Levels that turned out to be other than they were known.
    pub fn forget<'a>(&self, keys: impl Iterator<Item = &'a LevelKey>) {
        let mut known = self.lock();
        for key in keys {
            known.remove(key);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<LevelKey, Level>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: usize) -> LevelKey {
        LevelKey { sku: format!("SKU-{number}").parse().unwrap(), location: "WH".parse().unwrap() }
    }

    fn plain(version: i64) -> Level {
        Level { location: LocationState::Active, version, ..Level::default() }
    }

    #[test]
    fn all_are_known_or_none_and_what_is_not_plain_is_forgotten() {
        let known = KnownLevels::default();
        known.learn([(&key(1), &plain(1)), (&key(2), &plain(7))].into_iter());
        assert_eq!(known.of([&key(1), &key(2)].into_iter()).unwrap()[&key(2)].version, 7);
        assert!(known.of([&key(1), &key(3)].into_iter()).is_none());
        let others = [
            Level { has_rules: true, ..plain(2) },
            Level { kit: true, ..plain(2) },
            Level { location: LocationState::Inactive, ..plain(2) },
        ];
        for other in others {
            known.learn([(&key(1), &plain(1))].into_iter());
            known.learn([(&key(1), &other)].into_iter());
            assert!(known.of([&key(1)].into_iter()).is_none(), "{other:?}");
        }
        known.forget([&key(2)].into_iter());
        assert!(known.of([&key(2)].into_iter()).is_none());
    }

    #[test]
    fn memory_is_bounded() {
        let known = KnownLevels::default();
        let keys: Vec<LevelKey> = (0..2 * MAX_LEVELS).map(key).collect();
        for part in keys.chunks(1_000) {
            known.learn(part.iter().zip(std::iter::repeat(&plain(1))).collect::<Vec<_>>().into_iter());
            assert!(known.lock().len() <= MAX_LEVELS);
        }
        assert!(known.of(keys[keys.len() - 1_000..].iter()).is_some());
    }
}
