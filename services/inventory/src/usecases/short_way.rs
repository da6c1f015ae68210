//! The short way of plain holds: those that name their locations and take nothing's place, of levels without rules.
//!
//! | round trip | |
//! |---|---|
//! | begin | |
//! | take what the group wants of each level, where its row says that there is enough | locks, decides and writes in one |
//! | insert holds and their lines, append outbox | |
//! | commit | |
//!
//! [`super::execute`] locks and reads first and writes later, because it has to look at what a row alone does not say. For
//! nine holds of ten the row says everything. Nothing is decided twice: the levels come back as they were written, the
//! domain applies the same commands to what they were before, and unless it comes to the very same levels, all is rolled
//! back and the group goes the long way. So the statement may be stricter than the domain, and cannot be more generous.
//!
//! A level is asked once, for all lines of the group: where it has too little for all, the holds on it go the long way,
//! where they are judged one by one. Levels are locked in the order of their keys, as on the long way.
//!
//! Ahead of that, a group on few levels that this process wrote last guesses that they still are what it wrote
//! ([`super::known_levels`]). Then the domain decides first, and one statement, which is its own transaction, writes all
//! of it if the guess was right, and nothing if it was wrong.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use metrics::counter;
use oneshelf_kit::{
    outbox::{self, Packs},
    pg,
    schema::Schema,
};
use oneshelf_values::{Clock, HoldId};
use sqlx::{PgConnection, PgPool};

use super::{
    Error,
    execute::{Job, Outcome},
    known_levels::KnownLevels,
};
use crate::{
    domain::{
        group::{Command, HoldStock, Shelf},
        hold::HoldKind,
        stock_level::{Level, LevelKey, Wanted},
    },
    events,
    store::{self, grants::Guess},
};

/// What this process remembers on the short way, from one group to the next.
#[derive(Debug, Default)]
pub struct ShortWay {
    taking: Attempts,
    guessing: Attempts,
    levels: KnownLevels,
}

/// A guess visits each row twice, to lock it and to write it; beyond this many, that costs more than the round trips that
/// it saves.
const GUESSED_LEVELS: usize = 16;

impl ShortWay {
    /// Grants what it can of a group: `None` for commands that have to go the long way.
    pub async fn grant(
        &self,
        pool: &PgPool,
        schema: Schema,
        clock: &Clock,
        jobs: &Arc<[Job]>,
    ) -> Result<Vec<Option<Outcome>>, Error> {
        if !are_plain(jobs) {
            return Ok(vec![None; jobs.len()]);
        }
        if let Some(outcomes) = self.guess(pool, schema, clock, jobs).await? {
            return Ok(outcomes);
        }
        if !self.taking.are_worth_it() {
            return Ok(vec![None; jobs.len()]);
        }
        let (group, clock) = (jobs.clone(), clock.clone());
        let taken = pg::in_tx(pool, move |conn| {
            let (group, clock) = (group.clone(), clock.clone());
            Box::pin(async move { take_plain(conn, schema, &group, &clock).await })
        })
        .await;
        match taken {
            Ok((outcomes, levels)) => {
                self.levels.learn(levels.iter());
                self.taking.led_somewhere();
                count("granted");
                Ok(outcomes)
            }
            Err(Error::LongWay | Error::Conflict) => {
                self.taking.led_nowhere();
                count("missed");
                Ok(vec![None; jobs.len()])
            }
            Err(error) => Err(error),
        }
    }

    /// Remembers levels as the long way wrote them.
    pub fn learn(&self, levels: &[(LevelKey, Level)]) {
        self.levels.learn(levels.iter().map(|(key, level)| (key, level)));
    }

    /// Grants all of a group on levels that are as they are known here, or nothing.
    async fn guess(
        &self,
        pool: &PgPool,
        schema: Schema,
        clock: &Clock,
        jobs: &[Job],
    ) -> Result<Option<Vec<Option<Outcome>>>, Error> {
        let wanted = wanted(jobs);
        if wanted.len() > GUESSED_LEVELS || !self.guessing.are_worth_it() {
            return Ok(None);
        }
        let Some(levels) = self.levels.of(wanted.keys().copied()) else { return Ok(None) };
        let now = clock.now();
        let guess = Guess::new(&wanted, &levels);
        let mut shelf = Shelf::new(levels.clone(), HashMap::new());
        let outcomes: Vec<Option<Outcome>> = jobs.iter().map(|job| Some(shelf.apply(job.command(), now))).collect();
        let changes = shelf.finish(now);
        let refused = outcomes.iter().flatten().any(Result::is_err);
        let as_wanted = |(key, level): &(LevelKey, Level)| before(level, wanted[key]) == levels[key];
        if refused || changes.levels.len() != wanted.len() || !changes.levels.iter().all(as_wanted) {
            return Ok(None);
        }
        let packs = Packs::of(schema, &events::publish(&changes.events, clock, now), now)?;
        let written = changes.levels;
        let step = Arc::new((changes.granted, guess, packs));
        let granted = pg::in_one_statement(pool, move |conn| {
            let step = step.clone();
            Box::pin(async move {
                let (holds, guess, packs) = &*step;
                store::grants::grant(conn, holds, guess, packs, now).await.map_err(Error::of_new_holds)
            })
        })
        .await;
        let was_right = match granted {
            Ok(was_right) => was_right,
            Err(Error::Conflict) => false,
            Err(error) => return Err(error),
        };
        if was_right {
            outbox::wake_relay(schema);
            self.learn(&written);
            self.guessing.led_somewhere();
            count("guessed");
            return Ok(Some(outcomes));
        }
        self.levels.forget(written.iter().map(|(key, _)| key));
        self.guessing.led_nowhere();
        count("mistaken");
        Ok(None)
    }
}

fn count(outcome: &'static str) {
    counter!("oneshelf_inventory_short_way_groups_total", "outcome" => outcome).increment(1);
}

/// Whether something is worth a try. Where SKUs have rules or are sold out the short way leads nowhere, and where other
/// processes write the same levels guesses are wrong; each try costs one or two round trips. So after a miss some groups do
/// not try, after several in a row more of them.
#[derive(Debug, Default)]
struct Attempts {
    misses: AtomicU32,
    to_skip: AtomicU32,
}

/// Of 64 groups one tries, at least.
const LONGEST_SKIP_EXPONENT: u32 = 6;

impl Attempts {
    fn are_worth_it(&self) -> bool {
        let skip = |left: u32| left.checked_sub(1);
        self.to_skip.fetch_update(Ordering::Relaxed, Ordering::Relaxed, skip).is_err()
    }

    fn led_somewhere(&self) {
        self.misses.store(0, Ordering::Relaxed);
    }

    fn led_nowhere(&self) {
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

async fn take_plain(
    conn: &mut PgConnection,
    schema: Schema,
    jobs: &[Job],
    clock: &Clock,
) -> Result<(Vec<Option<Outcome>>, HashMap<LevelKey, Level>), Error> {
    let now = clock.now();
    let wanted = wanted(jobs);
    let written = store::stock_levels::take_plain(conn, &wanted, now).await?;
    let has_all = |hold: &HoldStock| hold.lines.iter().all(|(key, _)| written.contains_key(key));
    let has_some = |hold: &HoldStock| hold.lines.iter().any(|(key, _)| written.contains_key(key));
    let torn = |hold: &HoldStock| has_some(hold) && !has_all(hold);
    if written.is_empty() || jobs.iter().filter_map(hold_of).any(torn) {
        return Err(Error::LongWay);
    }

    let levels = written.iter().map(|(key, level)| (key.clone(), before(level, wanted[key]))).collect();
    let mut shelf = Shelf::new(levels, HashMap::new());
    let outcomes: Vec<Option<Outcome>> =
        jobs.iter().map(|job| hold_of(job).is_some_and(has_all).then(|| shelf.apply(job.command(), now))).collect();
    let changes = shelf.finish(now);
    let refused = outcomes.iter().flatten().any(Result::is_err);
    let same = |(key, level): &(LevelKey, Level)| written.get(key) == Some(level);
    if refused || changes.levels.len() != written.len() || !changes.levels.iter().all(same) {
        return Err(Error::LongWay);
    }
    let packs = Packs::of(schema, &events::publish(&changes.events, clock, now), now)?;
    let holds = changes.granted;
    store::grants::grant(conn, &holds, &Guess::default(), &packs, now).await.map_err(Error::of_new_holds)?;
    outbox::wake_relay(schema);
    Ok((outcomes, written))
}

/// A level as it was before the units that the group wanted were taken.
fn before(written: &Level, taken: Wanted) -> Level {
    Level {
        soft_held: written.soft_held - taken.soft,
        hard_held: written.hard_held - taken.hard,
        version: written.version - 1,
        ..*written
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_that_leads_nowhere_is_tried_less_often_and_again_when_it_leads_somewhere() {
        let attempts = Attempts::default();
        let until_tried = || (0..1_000).take_while(|_| !attempts.are_worth_it()).count();
        let skipped: Vec<usize> = (0..9)
            .map(|_| {
                let skipped = until_tried();
                attempts.led_nowhere();
                skipped
            })
            .collect();
        assert_eq!(skipped, [0, 1, 3, 7, 15, 31, 63, 63, 63]);
        assert_eq!(until_tried(), 63);
        attempts.led_somewhere();
        assert_eq!((until_tried(), until_tried()), (0, 0));
    }
}
