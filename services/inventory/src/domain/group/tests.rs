//! The group's rules against a naive model: random commands in random groups, checked after every group.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use oneshelf_values::hold::Standing;
use proptest::prelude::*;

use super::*;

fn key(sku: u8, location: u8) -> LevelKey {
    LevelKey { sku: format!("SKU-{sku}").parse().unwrap(), location: format!("LOC-{location}").parse().unwrap() }
}

fn start() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

fn hold(id: u128, terms: HoldTerms, allow_partial: bool, lines: Vec<(LevelKey, i64)>) -> Command {
    Command::Hold(HoldStock {
        hold_id: Uuid::from_u128(id).into(),
        terms,
        channel: None,
        reference: String::new(),
        fingerprint: [0; 32],
        allow_partial,
        lines,
    })
}

fn moved(kind: MoveKind, key: LevelKey, delta: i64) -> Command {
    Command::Move(MoveStock {
        movement_id: Uuid::nil(),
        kind,
        location: key.location.clone(),
        lines: vec![MoveLine { key, bucket: Bucket::Sellable, delta }],
        reference: String::new(),
        effective_at: start(),
    })
}

fn shelf_with(sellable: i64) -> Shelf {
    let level = Level { sellable, ..Level::default() };
    Shelf::new(HashMap::from([(key(0, 0), level)]), HashMap::new())
}

#[test]
fn the_last_unit_goes_to_exactly_one() {
    let mut shelf = shelf_with(1);
    let outcomes: Vec<bool> = (0..64)
        .map(|id| {
            let command = hold(id, HoldTerms::Hard, false, vec![(key(0, 0), 1)]);
            shelf.apply(&command, start()).is_ok()
        })
        .collect();
    assert_eq!(outcomes.iter().filter(|granted| **granted).count(), 1);
    assert_eq!(shelf.finish().levels[0].1.hard_held, 1);
}

#[test]
fn a_refused_hold_leaves_no_trace_and_names_every_short_line() {
    let mut shelf = shelf_with(5);
    let command = hold(1, HoldTerms::Hard, false, vec![(key(0, 0), 3), (key(0, 0), 3), (key(1, 0), 1)]);
    let Err(Refusal::InsufficientStock { short }) = shelf.apply(&command, start()) else {
        panic!("must be short");
    };
    let lines: Vec<(usize, i64)> = short.iter().map(|line| (line.line, line.available)).collect();
    assert_eq!(lines, [(1, 2), (2, 0)]);
    assert!(shelf.finish().is_empty());
}

#[test]
fn the_same_sku_twice_in_one_hold_counts_twice() {
    let mut shelf = shelf_with(5);
    let lines = vec![(key(0, 0), 3), (key(0, 0), 2)];
    assert!(shelf.apply(&hold(1, HoldTerms::Hard, false, lines), start()).is_ok());
    assert_eq!(shelf.finish().levels[0].1.available(), 0);
}

#[test]
fn a_partial_hold_takes_what_is_there_but_not_nothing() {
    let mut shelf = shelf_with(2);
    let Ok(Answer::Hold(granted)) = shelf.apply(&hold(1, HoldTerms::Hard, true, vec![(key(0, 0), 5)]), start()) else {
        panic!("must be granted in part");
    };
    assert_eq!(granted.promise.granted(), [2]);
    assert!(shelf.apply(&hold(2, HoldTerms::Hard, true, vec![(key(0, 0), 5)]), start()).is_err());
}

#[test]
fn a_correction_cannot_take_what_is_not_there_but_a_fact_can_where_allowed() {
    let mut shelf = shelf_with(2);
    assert!(shelf.apply(&moved(MoveKind::Adjustment(AdjustmentReason::Lost), key(0, 0), -3), start()).is_err());
    assert!(shelf.apply(&moved(MoveKind::Sale, key(0, 0), -3), start()).is_err());
    let level = Level { sellable: 2, oversell_facts: true, ..Level::default() };
    let mut shop = Shelf::new(HashMap::from([(key(0, 0), level)]), HashMap::new());
    assert!(shop.apply(&moved(MoveKind::Sale, key(0, 0), -3), start()).is_ok());
    assert_eq!(shop.finish().levels[0].1.sellable, -1);
}

#[test]
fn a_level_changes_its_version_once_per_group() {
    let mut shelf = shelf_with(10);
    for id in 0..5 {
        shelf.apply(&hold(id, HoldTerms::Hard, false, vec![(key(0, 0), 1)]), start()).unwrap();
    }
    let changes = shelf.finish();
    assert_eq!(changes.levels[0].1.version, 1);
    assert_eq!(changes.events.len(), 1);
}

#[test]
fn what_a_count_did_not_find_cannot_be_committed() {
    let mut shelf = shelf_with(5);
    shelf.apply(&hold(1, HoldTerms::Hard, false, vec![(key(0, 0), 5)]), start()).unwrap();
    shelf.apply(&moved(MoveKind::Adjustment(AdjustmentReason::Count), key(0, 0), -3), start()).unwrap();
    let commit =
        |lines| Command::Commit(CommitHold { hold_id: Uuid::from_u128(1).into(), lines, effective_at: start() });
    assert!(matches!(shelf.apply(&commit(None), start()), Err(Refusal::InsufficientStock { .. })));
    assert!(shelf.apply(&commit(Some(vec![(key(0, 0), 2)])), start()).is_ok());
    assert_eq!(shelf.finish().levels[0].1.sellable, 0);
}

#[test]
fn an_inactive_location_grants_nothing_and_books_facts_and_a_closed_one_takes_nothing_in() {
    let mut shelf = shelf_with(5);
    let place = || key(0, 0).location;
    shelf.apply(&hold(1, HoldTerms::Hard, false, vec![(key(0, 0), 2)]), start()).unwrap();
    let follow = Command::Follow { keys: vec![key(0, 0), key(1, 1)] };
    shelf = shelf.following(HashMap::from([(place(), LocationState::Inactive)]));
    shelf.apply(&follow, start()).unwrap();
    assert_eq!(shelf.levels[&key(0, 0)].available(), 0);
    for partial in [false, true] {
        let Err(Refusal::InsufficientStock { short }) =
            shelf.apply(&hold(2, HoldTerms::Hard, partial, vec![(key(0, 0), 1)]), start())
        else {
            panic!("must be short");
        };
        assert_eq!(short[0].available, 0);
    }
    let commit = Command::Commit(CommitHold { hold_id: Uuid::from_u128(1).into(), lines: None, effective_at: start() });
    assert!(shelf.apply(&commit, start()).is_ok(), "what was promised before is kept");
    assert!(shelf.apply(&moved(MoveKind::Return, key(0, 0), 4), start()).is_ok());
    let changes = shelf.finish();
    assert_eq!(changes.followed, [(key(0, 0), LocationState::Inactive)]);
    assert_eq!((changes.levels[0].1.sellable, changes.levels[0].1.version, changes.events.len()), (7, 1, 1));

    let closed = Level { location: LocationState::Closed, oversell_facts: true, ..Level::default() };
    let mut shelf = Shelf::new(HashMap::from([(key(0, 0), closed)]), HashMap::new());
    let refused = Err(Refusal::LocationClosed { location: place() });
    assert_eq!(shelf.apply(&moved(MoveKind::Receipt, key(0, 0), 1), start()), refused);
    assert!(shelf.apply(&moved(MoveKind::Sale, key(0, 0), -2), start()).is_ok(), "a till's late sale is a fact");
    let found = |quantity| moved(MoveKind::Adjustment(AdjustmentReason::Found), key(0, 0), quantity);
    assert_eq!(shelf.apply(&found(3), start()), refused, "not above zero");
    assert!(shelf.apply(&found(2), start()).is_ok());
}

/// One step of the random walk.
#[derive(Debug, Clone)]
enum Step {
    Receive(u8, u8, i64),
    Lose(u8, u8, i64),
    Hold { soft: bool, partial: bool, lines: Vec<(u8, u8, i64)> },
    Commit { pick: usize, part: Option<i64> },
    Release { pick: usize },
    Extend { pick: usize },
    Expire { pick: usize },
    Wait(i64),
    EndGroup,
}

fn step() -> impl Strategy<Value = Step> {
    let place = || (0u8..2, 0u8..2);
    prop_oneof![
        (place(), 1i64..20).prop_map(|((s, l), q)| Step::Receive(s, l, q)),
        (place(), 1i64..5).prop_map(|((s, l), q)| Step::Lose(s, l, q)),
        (any::<bool>(), any::<bool>(), prop::collection::vec((0u8..2, 0u8..2, 1i64..8), 1..4))
            .prop_map(|(soft, partial, lines)| Step::Hold { soft, partial, lines }),
        (any::<usize>(), prop::option::of(0i64..8)).prop_map(|(pick, part)| Step::Commit { pick, part }),
        any::<usize>().prop_map(|pick| Step::Release { pick }),
        any::<usize>().prop_map(|pick| Step::Extend { pick }),
        any::<usize>().prop_map(|pick| Step::Expire { pick }),
        (1i64..10).prop_map(Step::Wait),
        Just(Step::EndGroup),
    ]
}

/// Everything that was ever written, as the tables would hold it.
#[derive(Default)]
struct Tables {
    levels: HashMap<LevelKey, Level>,
    holds: HashMap<HoldId, StockHold>,
    movements: Vec<Movement>,
}

impl Tables {
    fn open(&self) -> Shelf {
        let mut levels = self.levels.clone();
        for (sku, location) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            levels.entry(key(sku, location)).or_default();
        }
        Shelf::new(levels, self.holds.clone())
    }

    fn write(&mut self, changes: Changes) {
        for (key, level) in changes.levels {
            let before = self.levels.get(&key).map_or(0, |before| before.version);
            assert_eq!(level.version, before + 1, "versions are gap-free");
            self.levels.insert(key, level);
        }
        for hold in changes.granted.into_iter().chain(changes.changed) {
            self.holds.insert(hold.hold_id, hold);
        }
        self.movements.extend(changes.movements);
    }

    fn check(&self, now: DateTime<Utc>) {
        for (key, level) in &self.levels {
            let flows: i64 = self
                .movements
                .iter()
                .filter(|movement| movement.level_key().as_ref() == Some(key))
                .map(
                    |movement| {
                        if movement.target.location().is_some() { movement.quantity } else { -movement.quantity }
                    },
                )
                .sum();
            assert_eq!(level.on_hand(), flows, "Q1: on hand is what the ledger says");
            assert!(level.sellable >= 0, "Q2");
            let (mut soft, mut hard) = (0, 0);
            for hold in self.holds.values().filter(|hold| hold.promise.resolved_at().is_none()) {
                for (line, held) in hold.lines.iter().zip(hold.promise.granted()) {
                    if line.key == *key {
                        match hold.kind() {
                            HoldKind::Soft => soft += held,
                            HoldKind::Hard => hard += held,
                        }
                    }
                }
            }
            assert_eq!((level.soft_held, level.hard_held), (soft, hard), "promises are the open holds");
        }
        for hold in self.holds.values() {
            for (line, granted) in hold.promise.granted().iter().enumerate() {
                let split = hold.promise.split(line, now);
                assert_eq!(
                    split.held + split.committed + split.released + split.expired,
                    *granted,
                    "Q6: every unit of a hold is in one place"
                );
            }
        }
        let taken: i64 = self.movements.iter().filter(|movement| movement.reason == "sale").map(|m| m.quantity).sum();
        let committed: i64 = self
            .holds
            .values()
            .flat_map(|hold| (0..hold.lines.len()).map(|line| hold.promise.split(line, now).committed))
            .sum();
        assert_eq!(taken, committed, "what left is what was committed");
    }
}

proptest! {
    #[test]
    fn random_groups_keep_every_invariant(steps in prop::collection::vec(step(), 1..120)) {
        let mut now = start();
        let mut tables = Tables::default();
        let mut shelf = tables.open();
        let mut ids: Vec<HoldId> = Vec::new();
        for (number, step) in steps.into_iter().enumerate() {
            let pick = |pick: usize| (!ids.is_empty()).then(|| ids[pick % ids.len()]);
            let command = match step {
                Step::Receive(sku, location, quantity) => Some(moved(MoveKind::Receipt, key(sku, location), quantity)),
                Step::Lose(sku, location, quantity) => {
                    Some(moved(MoveKind::Adjustment(AdjustmentReason::Lost), key(sku, location), -quantity))
                }
                Step::Hold { soft, partial, lines } => {
                    let terms = if soft {
                        HoldTerms::Soft { expires_at: now + TimeDelta::seconds(5) }
                    } else {
                        HoldTerms::Hard
                    };
                    let lines = lines.into_iter().map(|(s, l, q)| (key(s, l), q)).collect();
                    Some(hold(number as u128 + 1, terms, partial, lines))
                }
                Step::Commit { pick: picked, part } => pick(picked).map(|hold_id| {
                    let lines = part.map(|quantity| {
                        let hold = &shelf.holds[&hold_id];
                        vec![(hold.lines[0].key.clone(), quantity)]
                    });
                    Command::Commit(CommitHold { hold_id, lines, effective_at: now })
                }),
                Step::Release { pick: picked } => pick(picked).map(|hold_id| Command::Release { hold_id }),
                Step::Extend { pick: picked } => {
                    pick(picked).map(|hold_id| Command::Extend { hold_id, until: now + TimeDelta::seconds(9) })
                }
                Step::Expire { pick: picked } => pick(picked).map(|hold_id| Command::Expire { hold_id }),
                Step::Wait(seconds) => {
                    now += TimeDelta::seconds(seconds);
                    None
                }
                Step::EndGroup => {
                    tables.write(std::mem::take(&mut shelf).finish());
                    tables.check(now);
                    shelf = tables.open();
                    None
                }
            };
            let Some(command) = command else { continue };
            match (shelf.apply(&command, now), &command) {
                (Ok(Answer::Hold(granted)), Command::Hold(_)) => {
                    let taken = granted.lines.iter().zip(granted.promise.granted()).filter(|(_, held)| **held > 0);
                    for (line, _) in taken {
                        let level = shelf.levels[&line.key];
                        prop_assert!(level.soft_held + level.hard_held <= level.sellable, "Q3 when granted");
                    }
                    ids.push(granted.hold_id);
                }
                (Ok(Answer::Hold(resolved)), Command::Commit(_)) => {
                    prop_assert_ne!(resolved.promise.standing(now), Standing::Held);
                    // A second commit is refused: a hold resolves once.
                    prop_assert!(shelf.apply(&command, now).is_err());
                }
                _ => {}
            }
        }
        tables.write(shelf.finish());
        tables.check(now);
    }
}
