//! The group's rules against a naive model: random commands in random groups, checked after every group.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, TimeDelta, Utc};
use oneshelf_values::hold::Standing;
use proptest::prelude::*;

use super::*;
use crate::domain::{
    hold::HoldKind,
    policy::{FenceTerms, SkuTerms, StockTerms},
};

fn key(sku: u8, location: u8) -> LevelKey {
    LevelKey { sku: format!("SKU-{sku}").parse().unwrap(), location: format!("LOC-{location}").parse().unwrap() }
}

fn start() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

fn hold(id: u128, terms: HoldTerms, allow_partial: bool, lines: Vec<(LevelKey, i64)>) -> Command {
    hold_for(id, terms, allow_partial, lines, None, None)
}

fn hold_for(
    id: u128,
    terms: HoldTerms,
    allow_partial: bool,
    lines: Vec<(LevelKey, i64)>,
    channel: Option<&str>,
    partner: Option<&str>,
) -> Command {
    Command::Hold(HoldStock {
        hold_id: Uuid::from_u128(id).into(),
        terms,
        channel: channel.map(|id| id.parse().unwrap()),
        partner: partner.map(|id| id.parse().unwrap()),
        shopper: None,
        replaces: None,
        longest: TimeDelta::hours(24),
        reference: String::new(),
        fingerprint: [1; 32],
        allow_partial,
        owed: false,
        lines,
        sourcing: None,
    })
}

fn moved(kind: MoveKind, key: LevelKey, delta: i64) -> Command {
    Command::Move(MoveStock {
        movement_id: Uuid::nil(),
        hold_ids: HoldIds::new(Uuid::nil()),
        kind,
        location: key.location.clone(),
        lines: vec![MoveLine { key, bucket: Bucket::Sellable, delta, lots: Vec::new() }],
        reference: String::new(),
        effective_at: start(),
    })
}

fn shelf_with(sellable: i64) -> Shelf {
    let level = Level { sellable, ..Level::default() };
    Shelf::new(HashMap::from([(key(0, 0), level)]), HashMap::new())
}

/// What anybody may still take of a level without rules.
fn left(level: &Level) -> i64 {
    availability::available(level, Rules::default(), Asker::default(), start())
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
    assert_eq!(shelf.finish(start()).levels[0].1.hard_held, 1);
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
    assert!(shelf.finish(start()).is_empty());
}

#[test]
fn the_same_sku_twice_in_one_hold_counts_twice() {
    let mut shelf = shelf_with(5);
    let lines = vec![(key(0, 0), 3), (key(0, 0), 2)];
    assert!(shelf.apply(&hold(1, HoldTerms::Hard, false, lines), start()).is_ok());
    assert_eq!(left(&shelf.finish(start()).levels[0].1), 0);
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
    assert_eq!(shop.finish(start()).levels[0].1.sellable, -1);
}

#[test]
fn a_level_changes_its_version_once_per_group() {
    let mut shelf = shelf_with(10);
    for id in 0..5 {
        shelf.apply(&hold(id, HoldTerms::Hard, false, vec![(key(0, 0), 1)]), start()).unwrap();
    }
    let changes = shelf.finish(start());
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
    assert!(shelf.apply(&commit(Some(vec![(key(0, 0), 2).into()])), start()).is_ok());
    assert_eq!(shelf.finish(start()).levels[0].1.sellable, 0);
}

#[test]
fn an_inactive_location_grants_nothing_and_books_facts_and_a_closed_one_takes_nothing_in() {
    let mut shelf = shelf_with(5);
    let place = || key(0, 0).location;
    shelf.apply(&hold(1, HoldTerms::Hard, false, vec![(key(0, 0), 2)]), start()).unwrap();
    let follow = Command::Follow { keys: vec![key(0, 0), key(1, 1)] };
    shelf = shelf.following(HashMap::from([(place(), LocationState::Inactive)]));
    shelf.apply(&follow, start()).unwrap();
    assert_eq!(left(&shelf.levels[&key(0, 0)]), 0);
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
    let changes = shelf.finish(start());
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

fn set(change: PolicyChange) -> Command {
    Command::SetPolicies(SetPolicies { change, by: "test".to_owned() })
}

fn set_stock(key: LevelKey, terms: StockTerms) -> Command {
    set(PolicyChange::Stock(vec![Line { key, terms, expected_version: 0 }]))
}

fn set_fence(key: LevelKey, owner: FenceOwner, quota: i64, release_at: Option<DateTime<Utc>>) -> Command {
    set(PolicyChange::Fences(vec![Line {
        key: (key, owner),
        terms: FenceTerms { quota, release_at },
        expected_version: 0,
    }]))
}

fn web() -> FenceOwner {
    FenceOwner::Channel("WEB".parse().unwrap())
}

#[test]
fn a_fence_counts_what_its_owner_holds_and_buys_and_nothing_else() {
    let mut shelf = shelf_with(10);
    let take = |id, quantity, channel| hold_for(id, HoldTerms::Hard, false, vec![(key(0, 0), quantity)], channel, None);
    // Held in the same group, before the fence is set: it carries the version from which the fence counts.
    shelf.apply(&take(1, 1, Some("WEB")), start()).unwrap();
    shelf.apply(&set_fence(key(0, 0), web(), 6, None), start()).unwrap();
    let used = |shelf: &Shelf| shelf.rulebook.fences[&key(0, 0)][0].used;
    assert_eq!(used(&shelf), 1);
    let Err(Refusal::InsufficientStock { short }) = shelf.apply(&take(2, 5, Some("TILL")), start()) else {
        panic!("five are kept for WEB");
    };
    assert_eq!(short[0].available, 4);
    shelf.apply(&take(3, 4, None), start()).unwrap();
    shelf.apply(&take(4, 5, Some("WEB")), start()).unwrap();
    assert_eq!(used(&shelf), 6);
    let lines = Some(vec![(key(0, 0), 2).into()]);
    let commit = CommitHold { hold_id: Uuid::from_u128(4).into(), lines, effective_at: start() };
    shelf.apply(&Command::Commit(commit), start()).unwrap();
    assert_eq!(used(&shelf), 3, "two bought and one held; three went back");
    shelf.apply(&Command::Release { hold_id: Uuid::from_u128(1).into() }, start()).unwrap();
    assert_eq!(used(&shelf), 2);
    // A larger quota goes on counting, an ended fence begins anew.
    shelf.apply(&set_fence(key(0, 0), web(), 8, None), start()).unwrap();
    assert_eq!(used(&shelf), 2);
    shelf.apply(&set_fence(key(0, 0), web(), 0, None), start()).unwrap();
    let changes = shelf.finish(start());
    assert_eq!(changes.fences.len(), 1);
    assert!(!changes.levels[0].1.has_rules, "nothing of it matters any more");
}

#[test]
fn a_policy_is_set_as_a_whole_counted_and_announced() {
    let mut shelf = shelf_with(10);
    let terms = StockTerms { safety_stock: 3, backorder_limit: 1, ..StockTerms::default() };
    shelf.apply(&set_stock(key(0, 0), terms.clone()), start()).unwrap();
    let Err(Refusal::InsufficientStock { short }) =
        shelf.apply(&hold(1, HoldTerms::Hard, false, vec![(key(0, 0), 9)]), start())
    else {
        panic!("three are kept");
    };
    assert_eq!(short[0].available, 8);
    let stale = Line { key: key(0, 0), terms: StockTerms::default(), expected_version: 7 };
    let other = Line { key: key(0, 0), terms: StockTerms::default(), expected_version: 0 };
    let refused = shelf.apply(&set(PolicyChange::Stock(vec![other, stale])), start());
    assert_eq!(refused, Err(Refusal::PolicyChanged { line: 1, expected: 7, found: 1 }));
    let Ok(Answer::Policies(Policies::Stock(same))) = shelf.apply(&set_stock(key(0, 0), terms), start()) else {
        panic!("it says so already");
    };
    assert_eq!(same[0].audit.version, 1);
    let unknown = shelf.apply(&set_stock(key(1, 1), StockTerms::default()), start());
    assert!(matches!(unknown, Err(Refusal::LocationNotFound { .. })));
    let changes = shelf.finish(start());
    assert_eq!((changes.policies.len(), changes.policies[0].1, changes.ruled.len()), (1, 1, 1));
    let Event::LevelChanged { figures, .. } = &changes.events[0] else { panic!("the level is announced") };
    assert_eq!(figures.available, 8);
}

#[test]
fn a_shopper_replaces_a_hold_without_counting_twice_and_not_for_ever() {
    let soft = |seconds| HoldTerms::Soft { expires_at: start() + TimeDelta::seconds(seconds) };
    let cart = |id, quantity, seconds, shopper: &str, replaces: Option<u128>| {
        let Command::Hold(hold) = hold(id, soft(seconds), false, vec![(key(0, 0), quantity)]) else { unreachable!() };
        Command::Hold(HoldStock {
            shopper: Some(shopper.parse().unwrap()),
            replaces: replaces.map(|id| Uuid::from_u128(id).into()),
            longest: TimeDelta::seconds(100),
            ..hold
        })
    };
    let mut shelf = shelf_with(5);
    shelf.apply(&cart(1, 4, 60, "ann", None), start()).unwrap();
    let before = shelf.levels[&key(0, 0)];
    let short = shelf.apply(&cart(2, 6, 60, "ann", Some(1)), start());
    assert!(matches!(short, Err(Refusal::InsufficientStock { short }) if short[0].available == 5));
    assert_eq!(shelf.levels[&key(0, 0)], before, "the old hold is as it was");
    let foreign = shelf.apply(&cart(3, 1, 60, "bob", Some(1)), start());
    assert!(matches!(foreign, Err(Refusal::HoldNotReplaceable { .. })));
    let missing = shelf.apply(&cart(3, 1, 60, "ann", Some(77)), start());
    assert!(matches!(missing, Err(Refusal::HoldNotFound { .. })));

    shelf.apply(&cart(4, 5, 60, "ann", Some(1)), start()).unwrap();
    assert_eq!(shelf.levels[&key(0, 0)].soft_held, 5);
    assert!(matches!(shelf.holds[&Uuid::from_u128(1).into()].promise.standing(start()), Standing::Released));
    // The time of the first counts on.
    let later = start() + TimeDelta::seconds(50);
    let too_long = shelf.apply(&cart(5, 5, 101, "ann", Some(4)), later);
    assert!(
        matches!(too_long, Err(Refusal::HoldLifeExceeded { latest, .. }) if latest == start() + TimeDelta::seconds(100))
    );
    shelf.apply(&cart(5, 5, 100, "ann", Some(4)), later).unwrap();
    let extend = |seconds| Command::Extend {
        hold_id: Uuid::from_u128(5).into(),
        until: start() + TimeDelta::seconds(seconds),
        longest: TimeDelta::seconds(100),
    };
    assert!(matches!(shelf.apply(&extend(101), later), Err(Refusal::HoldLifeExceeded { .. })));
    // One whose time is over is no hindrance, recorded or not.
    let over = start() + TimeDelta::seconds(100);
    shelf.apply(&cart(6, 2, 200, "ann", Some(5)), over).unwrap();
    assert_eq!(shelf.levels[&key(0, 0)].soft_held, 2);
    let commit = CommitHold { hold_id: Uuid::from_u128(6).into(), lines: None, effective_at: over };
    shelf.apply(&Command::Commit(commit), over).unwrap();
    let bought = shelf.apply(&cart(7, 1, 200, "ann", Some(6)), over);
    assert!(matches!(bought, Err(Refusal::HoldResolved { .. })));
}

#[test]
fn a_cap_bounds_what_one_shopper_and_one_channel_hold_softly_at_all_locations_together() {
    let level = Level { sellable: 50, ..Level::default() };
    let mut shelf = Shelf::new(HashMap::from([(key(0, 0), level), (key(0, 1), level)]), HashMap::new())
        .counting(Counters::default(), HashSet::from([key(0, 0).sku]));
    let terms = SkuTerms { shopper_cap: Some(4), channel_cap: Some(7), ..SkuTerms::default() };
    let cap = set(PolicyChange::Skus(vec![Line { key: key(0, 0).sku, terms, expected_version: 0 }]));
    let soft = HoldTerms::Soft { expires_at: start() + TimeDelta::seconds(60) };
    let cart = |id, location, quantity, shopper: &str, replaces: Option<u128>| {
        let lines = vec![(key(0, location), quantity)];
        let Command::Hold(hold) = hold_for(id, soft, true, lines, Some("WEB"), None) else { unreachable!() };
        Command::Hold(HoldStock {
            shopper: Some(shopper.parse().unwrap()),
            replaces: replaces.map(|id| Uuid::from_u128(id).into()),
            ..hold
        })
    };
    let refused = |outcome: Result<Answer, Refusal>| match outcome {
        Err(Refusal::HoldCapExceeded { whose, cap, held, requested, .. }) => (whose, cap, held, requested),
        other => panic!("must pass the cap: {other:?}"),
    };
    shelf.apply(&cap, start()).unwrap();
    shelf.apply(&cart(1, 0, 3, "ann", None), start()).unwrap();
    assert_eq!(refused(shelf.apply(&cart(2, 1, 2, "ann", None), start())), ("shopper", 4, 3, 2));
    assert_eq!(shelf.levels[&key(0, 1)].soft_held, 0, "it left no trace");
    shelf.apply(&cart(3, 1, 4, "ann", Some(1)), start()).unwrap();
    assert_eq!(refused(shelf.apply(&cart(4, 0, 4, "bob", None), start())), ("channel", 7, 4, 4));
    shelf.apply(&cart(5, 0, 3, "bob", None), start()).unwrap();
    let hard = hold_for(6, HoldTerms::Hard, false, vec![(key(0, 0), 20)], Some("WEB"), None);
    shelf.apply(&hard, start()).unwrap();
    shelf.apply(&Command::Release { hold_id: Uuid::from_u128(3).into() }, start()).unwrap();
    shelf.apply(&cart(7, 0, 4, "bob", Some(5)), start()).unwrap();
    let counted: BTreeMap<String, i64> = shelf
        .finish(start())
        .recounted
        .1
        .into_iter()
        .map(|((_, holder), held)| (format!("{holder:?}"), held))
        .filter(|(_, held)| *held != 0)
        .collect();
    assert_eq!(counted.into_values().collect::<Vec<_>>(), [4, 4], "bob's, and WEB's");
}

/// One step of the random walk.
#[derive(Debug, Clone)]
enum Step {
    Receive(u8, u8, i64),
    Lose(u8, u8, i64),
    Hold { soft: bool, partial: bool, lines: Vec<(u8, u8, i64)>, channel: Option<&'static str>, partner: bool },
    Stock { place: (u8, u8), safety: i64, backorder: i64, buffer: i64, excluded: bool },
    Fence { place: (u8, u8), partner: bool, quota: i64, seconds: Option<i64> },
    Sku { sku: u8, threshold: i64, excluded: bool },
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
        (
            any::<bool>(),
            any::<bool>(),
            prop::collection::vec((0u8..2, 0u8..2, 1i64..8), 1..4),
            prop::sample::select(vec![None, Some("WEB"), Some("TILL")]),
            any::<bool>(),
        )
            .prop_map(|(soft, partial, lines, channel, partner)| Step::Hold {
                soft,
                partial,
                lines,
                channel,
                partner
            }),
        (place(), 0i64..4, 0i64..4, 0i64..4, prop::bool::weighted(0.2)).prop_map(
            |(place, safety, backorder, buffer, excluded)| Step::Stock { place, safety, backorder, buffer, excluded }
        ),
        (place(), any::<bool>(), 0i64..10, prop::option::of(1i64..20))
            .prop_map(|(place, partner, quota, seconds)| Step::Fence { place, partner, quota, seconds }),
        (0u8..2, 0i64..4, prop::bool::weighted(0.2)).prop_map(|(sku, threshold, excluded)| Step::Sku {
            sku,
            threshold,
            excluded
        }),
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
    rulebook: Rulebook,
}

impl Tables {
    fn open(&self) -> Shelf {
        let mut levels = self.levels.clone();
        for (sku, location) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            levels.entry(key(sku, location)).or_default();
        }
        Shelf::new(levels, self.holds.clone()).ruled_by(self.rulebook.clone())
    }

    fn write(&mut self, changes: Changes, now: DateTime<Utc>) {
        for (policy, _) in changes.policies {
            self.rulebook.policies.insert(policy.key.clone(), policy);
        }
        for policy in changes.skus {
            self.rulebook.skus.insert(policy.sku.clone(), policy);
        }
        for fence in changes.fences {
            let fences = self.rulebook.fences.entry(fence.key.clone()).or_default();
            fences.retain(|known| known.owner != fence.owner);
            fences.push(fence);
            fences.sort_by(|a, b| a.owner.cmp(&b.owner));
        }
        for event in &changes.events {
            if let Event::LevelChanged { key, level, figures } = event {
                self.check_figures(key, level, figures, now);
            }
        }
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

    /// What is announced is what a hold would be granted, for every channel.
    fn check_figures(&self, key: &LevelKey, level: &Level, figures: &Figures, now: DateTime<Utc>) {
        let rules = self.rulebook.of(key);
        assert!(level.has_rules || !rules.matter(), "a level knows of its rules");
        assert_eq!(figures.available, availability::available(level, rules, Asker::default(), now));
        for id in ["WEB", "TILL", "OTHER"] {
            let channel = id.parse().unwrap();
            let announced = figures.channels.iter().find(|(named, _)| *named == channel);
            let shown = announced.map_or(figures.available, |(_, available)| *available);
            let asker = Asker { channel: Some(&channel), partner: None };
            assert_eq!(shown, availability::available(level, rules, asker, now), "{id}");
        }
    }

    /// A live fence has used what the holds of its owner took since it began.
    fn check_fences(&self) {
        for fence in self.rulebook.fences.values().flatten().filter(|fence| fence.quota > 0 && !fence.released) {
            let taken: i64 = self
                .holds
                .values()
                .filter(|hold| fence.owner.is(hold.asker()))
                .flat_map(|hold| hold.lines.iter().enumerate().map(move |(place, line)| (hold, place, line)))
                .filter(|(_, _, line)| line.key == fence.key && line.granted_version >= fence.begun)
                .map(|(hold, place, _)| hold.kept(place))
                .sum();
            assert_eq!(fence.used, taken, "a fence counts its owner's holds: {fence:?}");
        }
    }

    fn check(&self, now: DateTime<Utc>) {
        self.check_fences();
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
                Step::Stock { place: (sku, location), safety, backorder, buffer, excluded } => {
                    let terms = StockTerms {
                        safety_stock: safety,
                        backorder_limit: backorder,
                        excluded: false,
                        excluded_channels: excluded.then(|| "TILL".parse().unwrap()).into_iter().collect(),
                        buffers: BTreeMap::from([("WEB".parse().unwrap(), buffer)]),
                    };
                    Some(set_stock(key(sku, location), terms))
                }
                Step::Fence { place: (sku, location), partner, quota, seconds } => {
                    let owner = if partner { FenceOwner::Partner("D-1".parse().unwrap()) } else { web() };
                    let release_at = seconds.map(|seconds| now + TimeDelta::seconds(seconds));
                    Some(set_fence(key(sku, location), owner, quota, release_at))
                }
                Step::Sku { sku, threshold, excluded } => {
                    let terms = SkuTerms {
                        network_threshold: threshold,
                        low_threshold: 0,
                        excluded_channels: excluded.then(|| "TILL".parse().unwrap()).into_iter().collect(),
                        ..SkuTerms::default()
                    };
                    let line = Line { key: key(sku, 0).sku, terms, expected_version: 0 };
                    Some(set(PolicyChange::Skus(vec![line])))
                }
                Step::Hold { soft, partial, lines, channel, partner } => {
                    let terms = if soft {
                        HoldTerms::Soft { expires_at: now + TimeDelta::seconds(5) }
                    } else {
                        HoldTerms::Hard
                    };
                    let lines = lines.into_iter().map(|(s, l, q)| (key(s, l), q)).collect();
                    let partner = partner.then_some("D-1");
                    Some(hold_for(number as u128 + 1, terms, partial, lines, channel, partner))
                }
                Step::Commit { pick: picked, part } => pick(picked).map(|hold_id| {
                    let lines = part.map(|quantity| {
                        let hold = &shelf.holds[&hold_id];
                        vec![(hold.lines[0].key.clone(), quantity).into()]
                    });
                    Command::Commit(CommitHold { hold_id, lines, effective_at: now })
                }),
                Step::Release { pick: picked } => pick(picked).map(|hold_id| Command::Release { hold_id }),
                Step::Extend { pick: picked } => {
                    pick(picked).map(|hold_id| Command::Extend { hold_id, until: now + TimeDelta::seconds(9), longest: TimeDelta::hours(24) })
                }
                Step::Expire { pick: picked } => pick(picked).map(|hold_id| Command::Expire { hold_id }),
                Step::Wait(seconds) => {
                    now += TimeDelta::seconds(seconds);
                    None
                }
                Step::EndGroup => {
                    tables.write(std::mem::take(&mut shelf).finish(now), now);
                    tables.check(now);
                    shelf = tables.open();
                    None
                }
            };
            let Some(command) = command else { continue };
            // What availability answers and an explanation lists is exactly what a hold is granted.
            let told = match &command {
                Command::Hold(asked) if asked.lines.len() == 1 => {
                    let (key, requested) = &asked.lines[0];
                    let asker = Asker { channel: asked.channel.as_ref(), partner: asked.partner.as_ref() };
                    let (level, rules) = (shelf.levels[key], shelf.rulebook.of(key));
                    let explained = availability::Breakdown::of(&level, rules, asker, now);
                    prop_assert_eq!(
                        explained.unfloored,
                        explained.sellable - explained.hard_held - explained.soft_held - explained.safety_stock
                            - explained.fenced - explained.buffer + explained.backorder_limit
                    );
                    Some((explained.available, *requested, asked.allow_partial))
                }
                _ => None,
            };
            let outcome = shelf.apply(&command, now);
            match (told, &outcome) {
                (Some((available, requested, true)), Ok(Answer::Hold(granted))) => {
                    prop_assert_eq!(granted.promise.granted()[0], available.min(requested));
                }
                (Some((available, requested, false)), Ok(_)) => prop_assert!(available >= requested),
                (Some((available, requested, partial)), Err(Refusal::InsufficientStock { short })) => {
                    prop_assert_eq!(short[0].available, available);
                    prop_assert!(available < requested && (!partial || available == 0));
                }
                _ => {}
            }
            match (outcome, &command) {
                (Ok(Answer::Hold(granted)), Command::Hold(_)) => {
                    let taken = granted.lines.iter().zip(granted.promise.granted()).filter(|(_, held)| **held > 0);
                    for (line, _) in taken {
                        let level = shelf.levels[&line.key];
                        prop_assert!(level.soft_held + level.hard_held <= level.sellable + level.backorder_limit, "Q3 when granted");
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
        tables.write(shelf.finish(now), now);
        tables.check(now);
    }
}
