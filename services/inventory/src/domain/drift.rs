//! A level's counters beside what ledger and open holds say. They are written in one transaction, so a difference means
//! that somebody wrote around the service, or a fault of ours.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{
    error::Refusal,
    stock_level::{Level, LevelKey},
};

/// The counters of a level, without what only rules need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    pub sellable: i64,
    pub damaged: i64,
    pub quarantine: i64,
    pub soft_held: i64,
    pub hard_held: i64,
}

impl Counters {
    pub fn of(level: &Level) -> Self {
        Self {
            sellable: level.sellable,
            damaged: level.damaged,
            quarantine: level.quarantine,
            soft_held: level.soft_held,
            hard_held: level.hard_held,
        }
    }
}

/// A level as it is, and as it should be, in one snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assessment {
    pub key: LevelKey,
    pub counted: Counters,
    pub expected: Counters,
    pub level_version: i64,
}

impl Assessment {
    pub fn drifts(&self) -> bool {
        self.counted != self.expected
    }
}

/// A drift as it was written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub finding_id: Uuid,
    pub assessment: Assessment,
    pub found_at: DateTime<Utc>,
    pub resolved_at: Option<DateTime<Utc>>,
}

/// What a repair did. The two are equal where nothing was wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repaired {
    pub before: Counters,
    pub after: Counters,
    /// Of the level, after the repair.
    pub version: i64,
}

/// The level set right. Refused where what ledger and holds say is itself something that no level may hold.
pub fn repaired(key: &LevelKey, level: &Level, expected: Counters) -> Result<Level, Refusal> {
    let Counters { sellable, damaged, quarantine, soft_held, hard_held } = expected;
    let sound = (sellable >= 0 || level.oversell_facts)
        && [damaged, quarantine, soft_held, hard_held].iter().all(|counter| *counter >= 0);
    if !sound {
        return Err(Refusal::LedgerUnsound { sku: key.sku.clone(), location: key.location.clone(), expected });
    }
    Ok(Level { sellable, damaged, quarantine, soft_held, hard_held, version: level.version + 1, ..*level })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repair_takes_over_what_is_expected_unless_no_level_may_hold_it() {
        let key = LevelKey { sku: "A".parse().unwrap(), location: "WH".parse().unwrap() };
        let level = Level { sellable: 9, version: 3, ..Level::default() };
        let expected = Counters { sellable: 4, soft_held: 1, ..Counters::default() };
        let right = repaired(&key, &level, expected).unwrap();
        assert_eq!((Counters::of(&right), right.version), (expected, 4));
        let below = Counters { sellable: -1, ..expected };
        assert!(repaired(&key, &level, below).is_err());
        assert!(repaired(&key, &Level { oversell_facts: true, ..level }, below).is_ok());
        assert!(repaired(&key, &level, Counters { damaged: -1, ..expected }).is_err());
    }
}
