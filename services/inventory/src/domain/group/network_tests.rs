//! Network holds and moves in random groups: units are held once, days are counted once, and the history adds up.

use std::collections::{BTreeMap, HashMap};

use proptest::prelude::*;

use super::{
    super::{
        hold::HoldKind,
        location::LocationKind,
        sourcing::{Asked, Board, Costs, Destination, Fulfilment, Node, Order},
    },
    *,
};

const LOCATIONS: u8 = 3;
const SKUS: u8 = 2;

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + second, 0).unwrap()
}

fn sku(number: u8) -> Sku {
    format!("S{}", number % SKUS).parse().unwrap()
}

fn place(number: u8) -> LocationId {
    format!("L{}", number % LOCATIONS).parse().unwrap()
}

fn web() -> ChannelId {
    "WEB".parse().unwrap()
}

fn board(capacities: &[Option<i32>]) -> Boards {
    let node = |(number, capacity): (u8, &Option<i32>)| Node {
        location: place(number),
        active: true,
        kind: LocationKind::Store,
        abilities: LocationKind::Store.usual_abilities(),
        coordinates: None,
        zone: None,
        calendar: None,
        capacity: *capacity,
        priority: number.into(),
        costs: Costs::default(),
    };
    let nodes: Vec<Node> = (0..).zip(capacities).map(node).collect();
    let targets = nodes.iter().map(|node| (node.location.clone(), node.clone())).collect();
    Boards { channels: HashMap::from([(web(), Board { nodes, ..Board::default() })]), targets, ..Boards::default() }
}

#[derive(Debug, Clone)]
enum Step {
    Buy { lines: Vec<(u8, i64)>, partial: bool, soft: Option<i64>, named: Option<(u8, u8, i64)> },
    Move { pick: u8, moves: Vec<(u8, u8, u8, i64)> },
    Release { pick: u8 },
    Commit { pick: u8, some: bool },
    Expire { pick: u8 },
    Receive { sku: u8, place: u8, units: i64 },
}

fn step() -> impl Strategy<Value = Step> {
    let lines = prop::collection::vec((0..SKUS, 1i64..5), 1..3);
    let named = prop::option::weighted(0.3, (0..SKUS, 0..LOCATIONS, 1i64..3));
    let moves = prop::collection::vec((0..SKUS, 0..LOCATIONS, 0..LOCATIONS, 1i64..4), 1..4);
    prop_oneof![
        4 => (lines, any::<bool>(), prop::option::of(1i64..40), named)
            .prop_map(|(lines, partial, soft, named)| Step::Buy { lines, partial, soft, named }),
        4 => (any::<u8>(), moves).prop_map(|(pick, moves)| Step::Move { pick, moves }),
        1 => any::<u8>().prop_map(|pick| Step::Release { pick }),
        1 => (any::<u8>(), any::<bool>()).prop_map(|(pick, some)| Step::Commit { pick, some }),
        1 => any::<u8>().prop_map(|pick| Step::Expire { pick }),
        2 => (0..SKUS, 0..LOCATIONS, 1i64..6).prop_map(|(sku, place, units)| Step::Receive { sku, place, units }),
    ]
}

/// What lies in the tables between groups.
#[derive(Default)]
struct World {
    levels: HashMap<LevelKey, Level>,
    holds: BTreeMap<HoldId, StockHold>,
    days: HashMap<NodeDay, i32>,
    next: u128,
}

impl World {
    fn command(&mut self, step: &Step, now: DateTime<Utc>) -> Option<Command> {
        self.next += 1;
        let pick = |pick: u8| {
            let open: Vec<HoldId> =
                self.holds.values().filter(|hold| !hold.is_owned()).map(|hold| hold.hold_id).collect();
            open.get(usize::from(pick) % open.len().max(1)).copied()
        };
        Some(match step {
            Step::Buy { lines, partial, soft, named } => {
                let asked =
                    lines.iter().map(|(number, units)| Asked { sku: sku(*number), units: *units, unit_value: 0 });
                let order = Order {
                    lines: super::super::sourcing::distinct(asked),
                    fulfilment: Fulfilment::Ship,
                    destination: Destination::default(),
                };
                Command::Hold(HoldStock {
                    hold_id: Uuid::from_u128(self.next).into(),
                    terms: soft
                        .map_or(HoldTerms::Hard, |ttl| HoldTerms::Soft { expires_at: now + TimeDelta::seconds(ttl) }),
                    channel: Some(web()),
                    partner: None,
                    shopper: None,
                    replaces: None,
                    longest: TimeDelta::hours(24),
                    reference: String::new(),
                    fingerprint: [1; 32],
                    allow_partial: *partial,
                    owed: false,
                    lines: named
                        .iter()
                        .map(|(number, at, units)| (LevelKey { sku: sku(*number), location: place(*at) }, *units))
                        .collect(),
                    sourcing: Some(Box::new(SourceRequest { order, wide: true })),
                })
            }
            Step::Move { pick: which, moves } => {
                let moves: Vec<_> = moves
                    .iter()
                    .filter(|(_, from, to, _)| from % LOCATIONS != to % LOCATIONS)
                    .map(|(number, from, to, units)| {
                        (LevelKey { sku: sku(*number), location: place(*from) }, place(*to), *units)
                    })
                    .collect();
                if moves.is_empty() {
                    return None;
                }
                let move_id = Uuid::from_u128(self.next);
                let by = "key".to_owned();
                Command::MoveHold(Box::new(MoveHold { move_id, hold_id: pick(*which)?, moves, by }))
            }
            Step::Release { pick: which } => Command::Release { hold_id: pick(*which)? },
            Step::Expire { pick: which } => Command::Expire { hold_id: pick(*which)? },
            Step::Commit { pick: which, some } => {
                let hold_id = pick(*which)?;
                let first = self.holds[&hold_id].lines.first().map(|line| vec![(line.key.clone(), 1).into()]);
                Command::Commit(CommitHold { hold_id, lines: first.filter(|_| *some), effective_at: now })
            }
            Step::Receive { sku: number, place: at, units } => {
                let key = LevelKey { sku: sku(*number), location: place(*at) };
                Command::Move(MoveStock {
                    movement_id: Uuid::from_u128(self.next),
                    hold_ids: HoldIds::new(Uuid::from_u128(self.next)),
                    kind: MoveKind::Receipt,
                    location: key.location.clone(),
                    lines: vec![MoveLine { key, bucket: Bucket::Sellable, delta: *units, lots: Vec::new() }],
                    reference: String::new(),
                    effective_at: now,
                })
            }
        })
    }

    /// Takes over what a group wrote.
    fn save(&mut self, changes: Changes) {
        for hold in changes.granted.iter().chain(&changes.moved).chain(&changes.changed) {
            self.holds.insert(hold.hold_id, hold.clone());
        }
        for (day, taken, full) in changes.days {
            assert!(full.is_none_or(|capacity| taken <= capacity), "{day:?} has {taken} of {full:?}");
            self.days.insert(day, taken);
        }
        for (key, level) in changes.levels {
            self.levels.insert(key, level);
        }
    }

    fn check(&self) {
        let mut held: HashMap<&LevelKey, (i64, i64)> = HashMap::new();
        let mut places: HashMap<NodeDay, i32> = HashMap::new();
        for hold in self.holds.values() {
            let open = matches!(hold.promise.state(), oneshelf_values::HoldState::Held);
            for (place, line) in hold.lines.iter().enumerate() {
                let units = if open { hold.promise.granted()[place] } else { 0 };
                let counted = held.entry(&line.key).or_default();
                match hold.kind() {
                    HoldKind::Soft => counted.0 += units,
                    HoldKind::Hard => counted.1 += units,
                }
                assert!(line.requested >= hold.promise.granted()[place] && line.requested > 0);
            }
            for day in hold.sourced.iter().flat_map(|sourced| &sourced.days) {
                let there = |place: usize| hold.lines[place].key.location == day.0 && hold.kept(place) > 0;
                if open || (0..hold.lines.len()).any(there) {
                    *places.entry(day.clone()).or_default() += 1;
                }
            }
        }
        for (key, level) in &self.levels {
            let (soft, hard) = held.get(key).copied().unwrap_or_default();
            assert_eq!((level.soft_held, level.hard_held), (soft, hard), "{key:?}");
            assert!(level.sellable >= soft + hard, "{key:?} is oversold");
        }
        for (day, taken) in &self.days {
            assert_eq!(places.remove(day).unwrap_or(0), *taken, "{day:?}");
        }
        assert!(places.is_empty(), "places that nobody counts: {places:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn units_and_places_are_counted_once(
        capacities in prop::collection::vec(prop::option::of(0i32..3), usize::from(LOCATIONS)),
        groups in prop::collection::vec(prop::collection::vec(step(), 1..5), 1..10),
    ) {
        let boards = Arc::new(board(&capacities));
        let mut world = World::default();
        for number in 0..SKUS {
            for at in 0..LOCATIONS {
                let level = Level { sellable: 4, version: 1, ..Level::default() };
                world.levels.insert(LevelKey { sku: sku(number), location: place(at) }, level);
            }
        }
        for (number, group) in groups.iter().enumerate() {
            let now = at(number as i64 * 10);
            let days = boards.targets.values().filter(|node| node.capacity.is_some()).map(|node| {
                let day = (node.location.clone(), node.day(now));
                let taken = world.days.get(&day).copied().unwrap_or(0);
                (day, taken)
            });
            let mut days: HashMap<NodeDay, i32> = days.collect();
            days.extend(world.days.clone());
            let holds = world.holds.iter().map(|(id, hold)| (*id, hold.clone())).collect();
            let mut shelf = Shelf::new(world.levels.clone(), holds).sourced_from(boards.clone(), days);
            for step in group {
                let Some(command) = world.command(step, now) else { continue };
                let before = format!("{:?} {:?}", sorted(&shelf.levels), shelf.days.iter().collect::<BTreeMap<_, _>>());
                let outcome = shelf.apply(&command, now);
                let after = format!("{:?} {:?}", sorted(&shelf.levels), shelf.days.iter().collect::<BTreeMap<_, _>>());
                if let Err(refusal) = &outcome {
                    prop_assert_eq!(before, after, "refused with {:?} and left a trace", refusal);
                }
                if let (Command::MoveHold(command), Ok(Answer::Hold(moved))) = (&command, &outcome) {
                    let all: i64 = moved.promise.granted().iter().sum();
                    let first: i64 = moved.as_granted().promise.granted().iter().sum();
                    prop_assert_eq!(all, first, "no unit is lost or made by {:?}", command.moves);
                }
                if let (Command::Hold(hold), Ok(Answer::Hold(granted))) = (&command, &outcome) {
                    let missing: i64 =
                        granted.sourced.iter().flat_map(|sourced| sourced.missing.iter().flatten()).map(|one| one.0).sum();
                    let asked: i64 = hold.lines.iter().map(|(_, units)| units).sum::<i64>()
                        + hold.sourcing.iter().flat_map(|request| &request.order.lines).map(|line| line.units).sum::<i64>();
                    let requested: i64 = granted.lines.iter().map(|line| line.requested).sum();
                    prop_assert_eq!(requested + missing, asked);
                }
            }
            world.save(shelf.finish(now));
            world.check();
        }
        // A repeated HoldStock is told what it was told, whatever moved since.
        for hold in world.holds.values().filter(|hold| hold.first_lines.is_some()) {
            let granted = hold.as_granted();
            let first = hold.first_lines.as_ref().unwrap();
            prop_assert!(granted.lines.iter().eq(first.iter().map(|first| &first.line)));
        }
    }
}

fn sorted(levels: &HashMap<LevelKey, Level>) -> BTreeMap<&LevelKey, &Level> {
    levels.iter().collect()
}
