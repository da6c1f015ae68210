//! The short way of plain holds: those that name their locations and take nothing's place, of levels without rules.
//!
//! | round trip | |
//! |---|---|
//! | begin | |
//! | take what the group wants of each level, where its row says that there is enough | locks, decides and writes in one |
//! | insert holds and their lines | |
//! | append outbox | |
//! | commit | |
//!
//! [`super::execute`] locks and reads first and writes later, because it has to look at what a row alone does not say. For
//! nine holds of ten the row says everything. Nothing is decided twice: the levels come back as they were written, the
//! domain applies the same commands to what they were before, and unless it comes to the very same levels, all is rolled
//! back and the group goes the long way. So the statement may be stricter than the domain, and cannot be more generous.
//!
//! A level is asked once, for all lines of the group: where it has too little for all, the holds on it go the long way,
//! where they are judged one by one. Levels are locked in the order of their keys, as on the long way.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use metrics::counter;
use oneshelf_kit::{outbox, pg, schema::Schema};
use oneshelf_values::{Clock, HoldId};
use sqlx::{PgConnection, PgPool};

use super::{
    Error,
    execute::{Job, Outcome},
};
use crate::{
    domain::{
        group::{Command, HoldStock, Shelf},
        hold::HoldKind,
        stock_level::{Level, LevelKey, Wanted},
    },
    events, store,
};

/// Whether the short way is worth a try. Where SKUs have rules or are sold out it leads nowhere, and each try costs two
/// round trips: so after a miss some groups do not try, after several in a row more of them.
#[derive(Debug, Default)]
pub struct ShortWay {
    misses: AtomicU32,
    to_skip: AtomicU32,
}

/// Of 64 groups one tries, at least.
const LONGEST_SKIP_EXPONENT: u32 = 6;

impl ShortWay {
    /// Grants what it can of a group: `None` for commands that have to go the long way.
    pub async fn grant(
        &self,
        pool: &PgPool,
        schema: Schema,
        clock: &Clock,
        jobs: &Arc<[Job]>,
    ) -> Result<Vec<Option<Outcome>>, Error> {
        if !are_plain(jobs) || !self.is_open() {
            return Ok(vec![None; jobs.len()]);
        }
        let (group, clock) = (jobs.clone(), clock.clone());
        let granted = pg::in_tx(pool, move |conn| {
            let (group, clock) = (group.clone(), clock.clone());
            Box::pin(async move { grant_plain(conn, schema, &group, &clock).await })
        })
        .await;
        match granted {
            Ok(outcomes) => {
                self.went();
                counter!("oneshelf_inventory_short_way_groups_total", "outcome" => "granted").increment(1);
                Ok(outcomes)
            }
            Err(Error::LongWay | Error::Conflict) => {
                self.missed();
                counter!("oneshelf_inventory_short_way_groups_total", "outcome" => "missed").increment(1);
                Ok(vec![None; jobs.len()])
            }
            Err(error) => Err(error),
        }
    }

    fn is_open(&self) -> bool {
        let skip = |left: u32| left.checked_sub(1);
        self.to_skip.fetch_update(Ordering::Relaxed, Ordering::Relaxed, skip).is_err()
    }

    fn went(&self) {
        self.misses.store(0, Ordering::Relaxed);
    }

    fn missed(&self) {
        let misses = self.misses.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        self.to_skip.store((1 << misses.min(LONGEST_SKIP_EXPONENT)) - 1, Ordering::Relaxed);
    }
}

/// Whether all are plain holds, each with an id of its own.
fn are_plain(jobs: &[Job]) -> bool {
    let mut ids: HashSet<HoldId> = HashSet::with_capacity(jobs.len());
    jobs.iter().all(|job| {
        matches!(job.command(), Command::Hold(hold)
            if hold.replaces.is_none() && hold.sourcing.is_none() && !hold.owed && ids.insert(hold.hold_id))
    })
}

fn hold_of(job: &Job) -> Option<&HoldStock> {
    match job.command() {
        Command::Hold(hold) => Some(hold),
        _ => None,
    }
}

/// What the group wants of each level, by key.
fn wanted(jobs: &[Job]) -> BTreeMap<&LevelKey, Wanted> {
    let mut wanted: BTreeMap<&LevelKey, Wanted> = BTreeMap::new();
    for hold in jobs.iter().filter_map(hold_of) {
        for (key, units) in &hold.lines {
            let wanted = wanted.entry(key).or_default();
            let sum = match HoldKind::of(&hold.terms) {
                HoldKind::Soft => &mut wanted.soft,
                HoldKind::Hard => &mut wanted.hard,
            };
            *sum = sum.saturating_add(*units);
        }
    }
    wanted
}

async fn grant_plain(
    conn: &mut PgConnection,
    schema: Schema,
    jobs: &[Job],
    clock: &Clock,
) -> Result<Vec<Option<Outcome>>, Error> {
    let now = clock.now();
    let wanted = wanted(jobs);
    let written = store::stock_levels::take_plain(conn, &wanted, now).await?;
    let has_all = |hold: &HoldStock| hold.lines.iter().all(|(key, _)| written.contains_key(key));
    let has_some = |hold: &HoldStock| hold.lines.iter().any(|(key, _)| written.contains_key(key));
    let torn = |hold: &HoldStock| has_some(hold) && !has_all(hold);
    if written.is_empty() || jobs.iter().filter_map(hold_of).any(torn) {
        return Err(Error::LongWay);
    }

    let mut shelf = Shelf::new(before(&written, &wanted), HashMap::new());
    let outcomes: Vec<Option<Outcome>> =
        jobs.iter().map(|job| hold_of(job).is_some_and(has_all).then(|| shelf.apply(job.command(), now))).collect();
    let changes = shelf.finish(now);
    let refused = outcomes.iter().flatten().any(Result::is_err);
    let same = |(key, level): &(LevelKey, Level)| written.get(key) == Some(level);
    if refused || changes.levels.len() != written.len() || !changes.levels.iter().all(same) {
        return Err(Error::LongWay);
    }
    store::holds::insert_holds(conn, &changes.granted).await.map_err(Error::of_new_holds)?;
    outbox::append(conn, schema, &events::publish(&changes.events, clock, now), now).await?;
    Ok(outcomes)
}

/// The levels as they were before the units that the group wanted were taken.
fn before(written: &HashMap<LevelKey, Level>, wanted: &BTreeMap<&LevelKey, Wanted>) -> HashMap<LevelKey, Level> {
    let undone = |(key, level): (&LevelKey, &Level)| {
        let taken = wanted[key];
        let level = Level {
            soft_held: level.soft_held - taken.soft,
            hard_held: level.hard_held - taken.hard,
            version: level.version - 1,
            ..*level
        };
        (key.clone(), level)
    };
    written.iter().map(undone).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_that_leads_nowhere_is_tried_less_often_and_again_when_it_leads_somewhere() {
        let way = ShortWay::default();
        let until_tried = || (0..1_000).take_while(|_| !way.is_open()).count();
        let skipped: Vec<usize> = (0..9)
            .map(|_| {
                let skipped = until_tried();
                way.missed();
                skipped
            })
            .collect();
        assert_eq!(skipped, [0, 1, 3, 7, 15, 31, 63, 63, 63]);
        assert_eq!(until_tried(), 63);
        way.went();
        assert_eq!((until_tried(), until_tried()), (0, 0));
    }
}
