//! Kits against a naive model: whatever is received, held and taken, in whatever groups.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;

use super::*;
use crate::domain::{
    kit::{Components, Kits},
    policy::{Audit, StockTerms},
};

fn sku(name: &str) -> Sku {
    name.parse().unwrap()
}

fn key(name: &str) -> LevelKey {
    LevelKey { sku: sku(name), location: "WH".parse().unwrap() }
}

fn start() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

fn components(parts: &[(&str, i64)]) -> Components {
    parts.iter().map(|(name, units)| (sku(name), *units)).collect()
}

fn define(lines: Vec<(&str, Components)>) -> Command {
    let lines = lines.into_iter().map(|(kit, terms)| Line { key: sku(kit), terms, expected_version: 0 }).collect();
    Command::SetPolicies(SetPolicies { change: PolicyChange::Kits(lines), by: "test".to_owned() })
}

fn hold(id: u128, allow_partial: bool, lines: Vec<(&str, i64)>) -> Command {
    Command::Hold(HoldStock {
        hold_id: Uuid::from_u128(id).into(),
        terms: HoldTerms::Hard,
        channel: None,
        partner: None,
        shopper: None,
        replaces: None,
        longest: TimeDelta::hours(24),
        reference: String::new(),
        fingerprint: [1; 32],
        allow_partial,
        owed: false,
        sourcing: None,
        lines: lines.into_iter().map(|(name, units)| (key(name), units)).collect(),
    })
}

fn commit(id: u128, lines: Option<Vec<(&str, i64)>>) -> Command {
    let lines = lines.map(|lines| lines.into_iter().map(|(name, units)| (key(name), units).into()).collect());
    Command::Commit(CommitHold { hold_id: Uuid::from_u128(id).into(), lines, effective_at: start() })
}

fn moved(kind: MoveKind, name: &str, delta: i64) -> Command {
    Command::Move(MoveStock {
        movement_id: Uuid::nil(),
        hold_ids: HoldIds::new(Uuid::nil()),
        kind,
        location: key(name).location,
        lines: vec![MoveLine { key: key(name), bucket: Bucket::Sellable, delta, lots: Vec::new() }],
        reference: String::new(),
        effective_at: start(),
    })
}

/// What the tables would keep from one group to the next.
#[derive(Default)]
struct World {
    levels: HashMap<LevelKey, Level>,
    holds: HashMap<HoldId, StockHold>,
    rulebook: Rulebook,
    told: BTreeMap<Sku, Vec<(i64, i64)>>,
}

impl World {
    fn with(stock: &[(&str, i64)]) -> Self {
        let level = |units| Level { sellable: units, has_rules: true, ..Level::default() };
        let levels = stock.iter().map(|(name, units)| (key(name), level(*units))).collect();
        Self { levels, ..Self::default() }
    }

    /// Runs a group that has locked everything but the levels named, which are read beside it.
    fn group(&mut self, unlocked: &[&str], commands: &[Command]) -> Vec<Result<Answer, Refusal>> {
        let mut rulebook = self.rulebook.clone();
        let mut locked = self.levels.clone();
        for name in unlocked {
            if let Some(level) = locked.remove(&key(name)) {
                rulebook.kits.siblings.insert(key(name), level);
            }
        }
        for command in commands {
            if let Command::SetPolicies(SetPolicies { change: PolicyChange::Kits(lines), .. }) = command {
                for line in lines {
                    let at = LevelKey { sku: line.key.clone(), ..key("A") };
                    rulebook.kits.levels.entry(at).or_default();
                }
            }
        }
        let mut shelf = Shelf::new(locked, self.holds.clone()).ruled_by(rulebook);
        let outcomes = commands.iter().map(|command| shelf.apply(command, start())).collect();
        for (name, kit) in shelf.rulebook.kits.iter().map(|kit| (kit.sku.clone(), kit.clone())).collect::<Vec<_>>() {
            assert_eq!(kit.sku, name);
            self.rulebook.kits.define(kit);
        }
        let changes = shelf.finish(start());
        for (key, level) in changes.levels {
            self.levels.insert(key, level);
        }
        for hold in changes.granted.into_iter().chain(changes.changed) {
            self.holds.insert(hold.hold_id, hold);
        }
        for (key, level) in changes.kit_levels {
            self.told.entry(key.sku.clone()).or_default().push((level.version, level.available));
            self.rulebook.kits.levels.insert(key, level);
        }
        outcomes
    }

    /// What was announced last of a kit.
    fn told(&self, kit: &str) -> i64 {
        self.told.get(&sku(kit)).and_then(|told| told.last()).map_or(0, |(_, available)| *available)
    }
}

/// Two kits that share a component.
fn shop(stock: &[(&str, i64)]) -> World {
    let mut world = World::with(stock);
    let kits = vec![("SET", components(&[("A", 2), ("B", 1)])), ("BOX", components(&[("B", 1), ("C", 3)]))];
    world.group(&[], &[define(kits)]).remove(0).unwrap();
    world
}

fn granted(outcome: Result<Answer, Refusal>) -> StockHold {
    match outcome {
        Ok(Answer::Hold(hold)) => hold,
        other => panic!("must be granted: {other:?}"),
    }
}

#[test]
fn a_kit_is_held_whole_or_not_at_all() {
    let mut world = shop(&[("A", 5), ("B", 9), ("C", 2)]);
    assert_eq!((world.told("SET"), world.told("BOX")), (2, 0));
    let refused = world.group(&[], &[hold(1, false, vec![("B", 1), ("SET", 3)])]).remove(0);
    let Err(Refusal::InsufficientStock { short }) = refused else { panic!("must be short") };
    assert_eq!((short.len(), short[0].line, short[0].sku.as_str(), short[0].available), (1, 1, "SET", 2));
    assert_eq!(world.levels[&key("A")].hard_held + world.levels[&key("B")].hard_held, 0, "no trace");

    let part = granted(world.group(&[], &[hold(2, true, vec![("SET", 3), ("BOX", 1)])]).remove(0));
    assert_eq!(part.promise.granted(), [4, 2, 0, 0], "whole kits only");
    assert_eq!(part.kits.iter().map(|kit| (kit.requested, kit.available)).collect::<Vec<_>>(), [(3, 0), (1, 0)]);
    assert_eq!(world.told("SET"), 0);
}

#[test]
fn a_kit_is_bound_by_what_is_kept_back_of_its_components() {
    let mut world = shop(&[("A", 10), ("B", 10), ("C", 0)]);
    let web: ChannelId = "WEB".parse().unwrap();
    let terms = StockTerms { buffers: BTreeMap::from([(web.clone(), 5)]), ..StockTerms::default() };
    let lines = vec![Line { key: key("A"), terms, expected_version: 0 }];
    let set = Command::SetPolicies(SetPolicies { change: PolicyChange::Stock(lines), by: "test".to_owned() });
    let mut shelf = Shelf::new(world.levels.clone(), HashMap::new()).ruled_by(world.rulebook.clone());
    shelf.apply(&set, start()).unwrap();
    let changes = shelf.finish(start());
    let (_, told) = changes.kit_levels.iter().find(|(key, _)| key.sku == sku("SET")).unwrap();
    assert_eq!((told.available, told.channels.clone()), (5, vec![(web, 2)]));
    assert_eq!(world.group(&[], &[]).len(), 0);
}

#[test]
fn the_other_component_is_read_where_only_one_is_locked() {
    let mut world = shop(&[("A", 10), ("B", 3), ("C", 9)]);
    assert_eq!((world.told("SET"), world.told("BOX")), (3, 3));
    world.group(&["A", "C"], &[hold(1, false, vec![("B", 2)])]).remove(0).unwrap();
    assert_eq!((world.told("SET"), world.told("BOX")), (1, 1));
    world.group(&["B", "C"], &[hold(2, false, vec![("A", 1)])]).remove(0).unwrap();
    assert_eq!(world.told[&sku("SET")].len(), 2, "nothing changed, nothing is said");
}

#[test]
fn a_commit_takes_whole_kits_by_either_name() {
    let lines = |lines| Some(lines);
    for (wanted, taken) in [
        (lines(vec![("SET", 1)]), Some(vec![0, 2, 1])),
        (lines(vec![("A", 2), ("B", 1)]), None),
        (lines(vec![("A", 5), ("B", 1)]), Some(vec![3, 2, 1])),
        (lines(vec![("SET", 1), ("A", 5), ("B", 1)]), Some(vec![3, 4, 2])),
        (lines(vec![("A", 3)]), Some(vec![3, 0, 0])),
        (lines(vec![("A", 4)]), None),
        (None, Some(vec![3, 4, 2])),
    ] {
        let mut world = shop(&[("A", 10), ("B", 10), ("C", 0)]);
        world.group(&[], &[hold(1, false, vec![("A", 3), ("SET", 2)])]).remove(0).unwrap();
        let outcome = world.group(&[], &[commit(1, wanted.clone())]).remove(0);
        match taken {
            Some(taken) => {
                let hold = granted(outcome);
                let committed: Vec<i64> = (0..3).map(|line| hold.promise.split(line, start()).committed).collect();
                assert_eq!(committed, taken, "{wanted:?}");
            }
            None => assert!(matches!(outcome, Err(Refusal::KitBroken { .. })), "{wanted:?}: {outcome:?}"),
        }
    }
    let mut world = shop(&[("A", 10), ("B", 10), ("C", 0)]);
    world.group(&[], &[hold(1, false, vec![("SET", 2)])]).remove(0).unwrap();
    let refused = world.group(&[], &[commit(1, Some(vec![("SET", 3)]))]).remove(0);
    assert!(matches!(refused, Err(Refusal::CommitExceedsHold { held: 2, requested: 3, .. })), "{refused:?}");
}

#[test]
fn what_is_defined_is_no_kit_of_kits_and_has_nothing_of_its_own() {
    let mut world = shop(&[("A", 10), ("B", 3), ("C", 9), ("FREE", 0)]);
    let mut refused =
        |kit, parts: &[(&str, i64)]| world.group(&[], &[define(vec![(kit, components(parts))])]).remove(0);
    assert!(matches!(refused("NEW", &[("SET", 1)]), Err(Refusal::KitInKit { .. })));
    assert!(matches!(refused("NEW", &[("NEW", 1)]), Err(Refusal::KitInKit { .. })));
    assert!(matches!(refused("A", &[("FREE", 1)]), Err(Refusal::KitInKit { .. })));
    assert!(matches!(refused("SET", &[("BOX", 1)]), Err(Refusal::KitInKit { .. })));
    let mut world = World::with(&[("A", 10), ("FREE", 0)]);
    let mut set = |kit, parts: &[(&str, i64)]| world.group(&[], &[define(vec![(kit, components(parts))])]).remove(0);
    assert!(matches!(set("A", &[("FREE", 1)]), Err(Refusal::SkuInUse { what: "stock", .. })));
    set("FREE", &[("A", 3)]).unwrap();
    assert!(world.levels.contains_key(&key("FREE")));
    let mut shelf = Shelf::new(world.levels.clone(), HashMap::new()).ruled_by(world.rulebook.clone());
    shelf.levels.get_mut(&key("FREE")).unwrap().kit = true;
    assert!(matches!(shelf.apply(&moved(MoveKind::Receipt, "FREE", 1), start()), Err(Refusal::SkuIsKit { .. })));
    shelf.apply(&moved(MoveKind::Sale, "FREE", -2), start()).unwrap();
    let changes = shelf.finish(start());
    assert_eq!((changes.levels[0].1.sellable, changes.movements[0].quantity), (4, 6), "a till's sale takes components");
    assert_eq!(changes.kit_levels[0].1.available, 1);
}

#[test]
fn the_same_definition_again_is_no_new_version() {
    let mut world = shop(&[("A", 10), ("B", 3), ("C", 9)]);
    let mut set = |parts: &[(&str, i64)]| {
        let Ok(Answer::Policies(Policies::Kits(kits))) =
            world.group(&[], &[define(vec![("SET", components(parts))])]).remove(0)
        else {
            panic!("must be set");
        };
        (kits[0].audit.version, world.told("SET"))
    };
    assert_eq!(set(&[("A", 2), ("B", 1)]), (1, 3));
    assert_eq!(set(&[("A", 5)]), (2, 2));
    assert!(world.rulebook.kits.of(&sku("B")).eq([&sku("BOX")]));
    assert_eq!(Arc::strong_count(world.rulebook.kits.get(&sku("SET")).unwrap()), 1);
}

#[derive(Debug, Clone)]
enum Step {
    Receive(usize, i64),
    Hold(bool, Vec<(usize, i64)>),
    CommitKits(usize, i64),
    CommitAll(usize),
    Release(usize),
    NextGroup,
}

const NAMES: [&str; 5] = ["A", "B", "C", "SET", "BOX"];

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0usize..3, 1i64..12).prop_map(|(sku, units)| Step::Receive(sku, units)),
        (any::<bool>(), prop::collection::vec((0usize..5, 1i64..5), 1..4))
            .prop_map(|(part, lines)| Step::Hold(part, lines)),
        (0usize..8, 0i64..4).prop_map(|(hold, kits)| Step::CommitKits(hold, kits)),
        (0usize..8).prop_map(Step::CommitAll),
        (0usize..8).prop_map(Step::Release),
        Just(Step::NextGroup),
    ]
}

/// Stock and what is held, by name; and open holds as what they hold, by name asked for.
#[derive(Default)]
struct Model {
    stock: BTreeMap<&'static str, i64>,
    held: BTreeMap<&'static str, i64>,
    holds: BTreeMap<usize, Vec<(&'static str, i64)>>,
}

impl Model {
    fn parts(name: &'static str) -> Vec<(&'static str, i64)> {
        match name {
            "SET" => vec![("A", 2), ("B", 1)],
            "BOX" => vec![("B", 1), ("C", 3)],
            plain => vec![(plain, 1)],
        }
    }

    fn available(&self, name: &'static str) -> i64 {
        let free = |sku| self.stock.get(sku).unwrap_or(&0) - self.held.get(sku).unwrap_or(&0);
        Self::parts(name).into_iter().map(|(sku, units)| free(sku) / units).min().unwrap()
    }

    fn take(&mut self, name: &'static str, units: i64) {
        for (sku, each) in Self::parts(name) {
            *self.held.entry(sku).or_default() += each * units;
        }
    }

    fn hold(&mut self, id: usize, partial: bool, lines: &[(&'static str, i64)]) -> bool {
        let before = self.held.clone();
        let mut got = Vec::new();
        for (name, wanted) in lines {
            let units = self.available(name).min(*wanted);
            self.take(name, units);
            got.push((*name, units));
        }
        let whole = got.iter().zip(lines).all(|(got, wanted)| got == wanted);
        if (whole || partial) && got.iter().any(|(_, units)| *units > 0) {
            self.holds.insert(id, got);
            return true;
        }
        self.held = before;
        false
    }

    /// Ends a hold; `taken` says how many of each line leave.
    fn end(&mut self, id: usize, taken: impl Fn(usize, i64) -> i64) -> bool {
        let Some(lines) = self.holds.remove(&id) else { return false };
        for (place, (name, units)) in lines.into_iter().enumerate() {
            let left = taken(place, units);
            self.take(name, -units);
            for (sku, each) in Self::parts(name) {
                *self.stock.entry(sku).or_default() -= each * left;
            }
        }
        true
    }
}

proptest! {
    #[test]
    fn kits_and_components_come_from_one_shelf(steps in prop::collection::vec(step(), 1..60)) {
        let mut world = shop(&[("A", 0), ("B", 0), ("C", 0)]);
        let mut model = Model::default();
        let mut group: Vec<(Command, bool)> = Vec::new();
        let end = [Step::NextGroup];
        for (number, step) in steps.iter().chain(&end).enumerate() {
            match step {
                Step::Receive(sku, units) => {
                    *model.stock.entry(NAMES[*sku]).or_default() += units;
                    group.push((moved(MoveKind::Receipt, NAMES[*sku], *units), true));
                }
                Step::Hold(partial, lines) => {
                    let lines: Vec<(&'static str, i64)> = lines.iter().map(|(name, units)| (NAMES[*name], *units)).collect();
                    let granted = model.hold(number, *partial, &lines);
                    group.push((hold(number as u128, *partial, lines), granted));
                }
                Step::CommitKits(hold, kits) => {
                    let open = model.holds.iter().nth(*hold).map(|(id, lines)| (*id, lines.clone()));
                    let Some((id, lines)) = open else { continue };
                    let sets: i64 = lines.iter().filter(|(name, _)| *name == "SET").map(|(_, units)| units).sum();
                    let fits = *kits <= sets;
                    if fits {
                        let before = |place: usize| -> i64 {
                            lines[..place].iter().filter(|(name, _)| *name == "SET").map(|(_, units)| units).sum()
                        };
                        model.end(id, |place, units| {
                            if lines[place].0 == "SET" { units.min((kits - before(place)).max(0)) } else { 0 }
                        });
                    }
                    group.push((commit(id as u128, Some(vec![("SET", *kits)])), fits));
                }
                Step::CommitAll(hold) => {
                    let Some(id) = model.holds.keys().nth(*hold).copied() else { continue };
                    model.end(id, |_, units| units);
                    group.push((commit(id as u128, None), true));
                }
                Step::Release(hold) => {
                    let Some(id) = model.holds.keys().nth(*hold).copied() else { continue };
                    model.end(id, |_, _| 0);
                    group.push((Command::Release { hold_id: Uuid::from_u128(id as u128).into() }, true));
                }
                Step::NextGroup => {
                    let (commands, expected): (Vec<Command>, Vec<bool>) = group.drain(..).unzip();
                    let outcomes = world.group(&[], &commands);
                    for ((outcome, expected), command) in outcomes.iter().zip(expected).zip(&commands) {
                        prop_assert_eq!(outcome.is_ok(), expected, "{:?}: {:?}", command, outcome);
                    }
                    for name in ["A", "B", "C"] {
                        let level = world.levels[&key(name)];
                        let stock = model.stock.get(name).copied().unwrap_or(0);
                        let held = model.held.get(name).copied().unwrap_or(0);
                        prop_assert_eq!((level.sellable, level.hard_held), (stock, held));
                        prop_assert!(held <= stock, "Q3");
                    }
                    for kit in ["SET", "BOX"] {
                        prop_assert_eq!(world.told(kit), model.available(kit), "Q8");
                        let versions: Vec<i64> = world.told.get(&sku(kit)).into_iter().flatten().map(|told| told.0).collect();
                        prop_assert!(versions.iter().copied().eq(1..=versions.len() as i64), "gap-free");
                    }
                    for hold in world.holds.values() {
                        for kit in 0..hold.kits.len() {
                            prop_assert!(hold.kits_in(kit, |line| hold.promise.granted()[line]).is_some());
                            prop_assert!(hold.kits_in(kit, |line| hold.promise.split(line, start()).committed).is_some());
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn the_kits_of_a_rulebook_know_whose_parts_they_are() {
    let audit = Audit::next(None, "test", start());
    let kits = Kits::new([Kit { sku: sku("SET"), components: components(&[("A", 2)]), audit }]);
    assert!(kits.concern(&sku("SET")) && kits.concern(&sku("A")) && !kits.concern(&sku("B")));
}
