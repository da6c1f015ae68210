//! Tracked goods against a naive model: whatever comes, is held, taken and goes off.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};
use proptest::prelude::*;

use super::*;
use crate::domain::lot::{Lots, TrackingTerms};

fn key() -> LevelKey {
    LevelKey { sku: "MILK".parse().unwrap(), location: "WH".parse().unwrap() }
}

fn start() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

fn at(day: u64) -> DateTime<Utc> {
    start() + TimeDelta::days(day as i64)
}

fn date(day: u64) -> NaiveDate {
    start().date_naive() + Days::new(day)
}

fn track(kind: TrackingKind, shelf_life_days: i64) -> Command {
    let terms = TrackingTerms { kind, shelf_life_days };
    let lines = vec![Line { key: key().sku, terms, expected_version: 0 }];
    Command::SetPolicies(SetPolicies { change: PolicyChange::Tracking(lines), by: "test".to_owned() })
}

fn units(lot: &str, units: i64, expires_on: Option<NaiveDate>) -> LotUnits {
    LotUnits { lot: lot.parse().unwrap(), expires_on, units }
}

fn moved(kind: MoveKind, lots: Vec<LotUnits>, sign: i64) -> Command {
    let delta = sign * lots.iter().map(|lot| lot.units).sum::<i64>();
    Command::Move(MoveStock {
        movement_id: Uuid::nil(),
        hold_ids: HoldIds::new(Uuid::nil()),
        kind,
        location: key().location,
        lines: vec![MoveLine { key: key(), bucket: Bucket::Sellable, delta, lots }],
        reference: String::new(),
        effective_at: start(),
    })
}

fn hold(id: u128, quantity: i64, allow_partial: bool) -> Command {
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
        lines: vec![(key(), quantity)],
    })
}

fn commit(id: u128, quantity: Option<i64>) -> Command {
    let lines = quantity.map(|quantity| vec![(key(), quantity).into()]);
    Command::Commit(CommitHold { hold_id: Uuid::from_u128(id).into(), lines, effective_at: start() })
}

/// A shelf with nothing of a SKU that is tracked.
fn shelf(kind: TrackingKind, shelf_life_days: i64) -> Shelf {
    let mut shelf = Shelf::new(HashMap::from([(key(), Level::default())]), HashMap::new());
    shelf.apply(&track(kind, shelf_life_days), start()).unwrap();
    shelf
}

fn lots_of(hold: &StockHold) -> Vec<(String, i64)> {
    hold.lines[0].lots.iter().map(|(lot, units)| (lot.to_string(), *units)).collect()
}

fn granted(outcome: Result<Answer, Refusal>) -> StockHold {
    match outcome {
        Ok(Answer::Hold(hold)) => hold,
        other => panic!("must be granted: {other:?}"),
    }
}

#[test]
fn what_comes_and_goes_is_named_as_it_is_tracked() {
    let mut lot = shelf(TrackingKind::Lot, 0);
    let mismatch = |outcome| matches!(outcome, Err(Refusal::TrackingMismatch { .. }));
    let nameless = Command::Move(MoveStock {
        lines: vec![MoveLine { key: key(), bucket: Bucket::Sellable, delta: 3, lots: Vec::new() }],
        ..match moved(MoveKind::Receipt, vec![], 1) {
            Command::Move(command) => command,
            _ => unreachable!(),
        }
    });
    assert!(mismatch(lot.apply(&nameless, start())));
    let mut plain = shelf(TrackingKind::None, 0);
    assert!(mismatch(plain.apply(&moved(MoveKind::Receipt, vec![units("L", 3, None)], 1), start())));
    plain.apply(&nameless, start()).unwrap();
    let mut serial = shelf(TrackingKind::Serial, 0);
    assert!(mismatch(serial.apply(&moved(MoveKind::Receipt, vec![units("S", 2, None)], 1), start())));
    let twice = moved(MoveKind::Receipt, vec![units("S", 1, None), units("S", 1, None)], 1);
    assert!(matches!(serial.apply(&twice, start()), Err(Refusal::SerialOnHand { .. })));
    assert_eq!(serial.levels[&key()].sellable, 0, "no trace");
    let in_turn =
        [("receive", 1, true), ("again", 1, false), ("sell", -1, true), ("sell again", -1, false), ("back", 1, true)];
    for (what, sign, fits) in in_turn {
        let kind = if sign > 0 { MoveKind::Return } else { MoveKind::Sale };
        let outcome = serial.apply(&moved(kind, vec![units("S", 1, None)], sign), start());
        assert_eq!(outcome.is_ok(), fits, "{what}: {outcome:?}");
    }
    let changes = serial.finish(start());
    assert_eq!((changes.new_lots.len(), changes.lots.len(), changes.movements.len()), (1, 1, 3));
    assert!(changes.movements.iter().all(|movement| movement.lot.is_some()));
}

#[test]
fn a_lot_has_one_last_day_and_only_free_units_leave_it() {
    let mut shelf = shelf(TrackingKind::Lot, 0);
    let receive = |day| moved(MoveKind::Receipt, vec![units("L", 4, day)], 1);
    shelf.apply(&receive(Some(date(9))), start()).unwrap();
    assert!(matches!(shelf.apply(&receive(Some(date(8))), start()), Err(Refusal::LotExpiryDiffers { .. })));
    shelf.apply(&receive(None), start()).unwrap();
    granted(shelf.apply(&hold(1, 6, false), start()));
    let lose = |units_lost| moved(MoveKind::Adjustment(AdjustmentReason::Lost), vec![units("L", units_lost, None)], -1);
    assert!(matches!(shelf.apply(&lose(3), start()), Err(Refusal::LotNotFree { free: 2, requested: 3, .. })));
    shelf.apply(&lose(2), start()).unwrap();
    assert!(matches!(
        shelf.apply(&track(TrackingKind::None, 0), start()),
        Err(Refusal::SkuInUse { what: "stock", .. })
    ));
    shelf.apply(&track(TrackingKind::Lot, 3), start()).unwrap();
}

#[test]
fn a_refused_hold_and_a_replaced_one_give_their_lots_back() {
    let mut shelf = shelf(TrackingKind::Lot, 0);
    shelf
        .apply(&moved(MoveKind::Receipt, vec![units("A", 2, Some(date(3))), units("B", 2, None)], 1), start())
        .unwrap();
    assert!(shelf.apply(&hold(1, 5, false), start()).is_err());
    assert!(shelf.rulebook.lots[&key()].iter().all(|lot| lot.held == 0));
    let cart = |id, quantity, replaces| match hold(id, quantity, false) {
        Command::Hold(command) => Command::Hold(HoldStock {
            terms: HoldTerms::Soft { expires_at: start() + TimeDelta::seconds(60) },
            shopper: Some("ann".parse().unwrap()),
            replaces,
            ..command
        }),
        other => other,
    };
    let first = granted(shelf.apply(&cart(2, 3, None), start()));
    assert_eq!(lots_of(&first), [("A".to_owned(), 2), ("B".to_owned(), 1)]);
    let second = granted(shelf.apply(&cart(3, 4, Some(first.hold_id)), start()));
    assert_eq!(lots_of(&second), [("A".to_owned(), 2), ("B".to_owned(), 2)]);
    assert!(shelf.apply(&cart(4, 5, Some(second.hold_id)), start()).is_err());
    let held: Vec<i64> = shelf.rulebook.lots[&key()].iter().map(|lot| lot.held).collect();
    assert_eq!(held, [2, 2], "a refusal left the old hold as it was");
}

#[test]
fn what_has_gone_past_promising_is_announced_by_the_timer_and_not_before() {
    let mut shelf = shelf(TrackingKind::Lot, 2);
    shelf.apply(&moved(MoveKind::Receipt, vec![units("A", 5, Some(date(3)))], 1), start()).unwrap();
    let left = |shelf: &Shelf, day| {
        availability::available(&shelf.levels[&key()], shelf.rulebook.of(&key()), Asker::default(), at(day))
    };
    assert_eq!((left(&shelf, 1), left(&shelf, 2)), (5, 0), "a function of the day");
    shelf.touched.clear();
    let tell = Command::TellShortDated { keys: vec![key()] };
    assert!(shelf.rulebook.lots[&key()].iter().all(|lot| !lot.told));
    shelf.apply(&tell, at(2)).unwrap();
    assert!(shelf.touched.contains(&key()) && shelf.rulebook.lots[&key()].iter().all(|lot| lot.told));
    shelf.apply(&track(TrackingKind::Lot, 0), at(2)).unwrap();
    assert!(shelf.rulebook.lots[&key()].iter().all(|lot| !lot.told), "promisable again");
    assert_eq!(left(&shelf, 2), 5);
}

#[derive(Debug, Clone)]
enum Step {
    Receive(usize, i64),
    Take(usize, i64),
    Hold(i64, bool),
    Commit(usize, Option<i64>),
    Release(usize),
    NextDay,
}

/// Lots by name, with the day after the start until which they are good.
const LOTS: [(&str, Option<u64>); 5] = [("C", Some(4)), ("A", Some(9)), ("B", Some(9)), ("N", None), ("D", Some(2))];

const SHELF_LIFE: u64 = 2;

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0usize..5, 1i64..8).prop_map(|(lot, units)| Step::Receive(lot, units)),
        (0usize..5, 1i64..5).prop_map(|(lot, units)| Step::Take(lot, units)),
        (1i64..9, any::<bool>()).prop_map(|(units, partial)| Step::Hold(units, partial)),
        (0usize..5, prop::option::of(0i64..6)).prop_map(|(hold, units)| Step::Commit(hold, units)),
        (0usize..5).prop_map(Step::Release),
        Just(Step::NextDay),
    ]
}

/// Per lot: there and held; per hold: its lots in the order in which they are taken.
#[derive(Default)]
struct Model {
    lots: BTreeMap<&'static str, (i64, i64)>,
    holds: BTreeMap<u128, Vec<(&'static str, i64)>>,
}

impl Model {
    /// Free units of lots that are good for long enough, what goes off first, first.
    fn promisable(&self, today: u64) -> Vec<(&'static str, i64)> {
        let mut lots: Vec<(Option<u64>, &str, i64)> = LOTS
            .iter()
            .filter(|(_, last)| last.is_none_or(|last| today + SHELF_LIFE <= last))
            .filter_map(|(lot, last)| self.lots.get(lot).map(|(there, held)| (*last, *lot, there - held)))
            .collect();
        lots.sort_by_key(|(last, lot, _)| (last.unwrap_or(u64::MAX), *lot));
        lots.into_iter().map(|(_, lot, free)| (lot, free)).collect()
    }

    fn hold(&mut self, id: u128, units: i64, partial: bool, today: u64) -> bool {
        let promisable = self.promisable(today);
        let all: i64 = promisable.iter().map(|(_, free)| free).sum();
        if all == 0 || (all < units && !partial) {
            return false;
        }
        let mut left = units.min(all);
        let mut got = Vec::new();
        for (lot, free) in promisable {
            let taken = free.min(left);
            if taken > 0 {
                self.lots.get_mut(lot).unwrap().1 += taken;
                left -= taken;
                got.push((lot, taken));
            }
        }
        self.holds.insert(id, got);
        true
    }

    fn end(&mut self, id: u128, mut taken: i64) {
        for (lot, held) in self.holds.remove(&id).unwrap() {
            let level = self.lots.get_mut(lot).unwrap();
            level.1 -= held;
            level.0 -= taken.min(held);
            taken -= taken.min(held);
        }
    }
}

proptest! {
    #[test]
    fn lots_are_what_came_less_what_went_and_nothing_is_promised_that_goes_off(steps in prop::collection::vec(step(), 1..60)) {
        let mut shelf = shelf(TrackingKind::Lot, SHELF_LIFE as i64);
        let (mut model, mut today) = (Model::default(), 0u64);
        for (number, step) in steps.into_iter().enumerate() {
            let id = number as u128 + 1;
            match step {
                Step::Receive(lot, quantity) => {
                    let (lot, last) = LOTS[lot];
                    let receipt = moved(MoveKind::Receipt, vec![units(lot, quantity, last.map(date))], 1);
                    shelf.apply(&receipt, at(today)).unwrap();
                    model.lots.entry(lot).or_default().0 += quantity;
                }
                Step::Take(lot, quantity) => {
                    let lot = LOTS[lot].0;
                    let free = model.lots.get(lot).map_or(0, |(there, held)| there - held);
                    let loss = moved(MoveKind::Adjustment(AdjustmentReason::Lost), vec![units(lot, quantity, None)], -1);
                    prop_assert_eq!(shelf.apply(&loss, at(today)).is_ok(), quantity <= free);
                    if quantity <= free {
                        model.lots.get_mut(lot).unwrap().0 -= quantity;
                    }
                }
                Step::Hold(quantity, partial) => {
                    let outcome = shelf.apply(&hold(id, quantity, partial), at(today));
                    prop_assert_eq!(outcome.is_ok(), model.hold(id, quantity, partial, today), "{:?}", outcome);
                    if outcome.is_ok() {
                        let expected: Vec<(String, i64)> =
                            model.holds[&id].iter().map(|(lot, units)| ((*lot).to_owned(), *units)).collect();
                        prop_assert_eq!(lots_of(&granted(outcome)), expected, "first expired, first out");
                    }
                }
                Step::Commit(hold, quantity) => {
                    let open = model.holds.iter().nth(hold).map(|(id, lots)| (*id, lots.iter().map(|lot| lot.1).sum::<i64>()));
                    let Some((id, held)) = open else { continue };
                    let outcome = shelf.apply(&commit(id, quantity), at(today));
                    prop_assert_eq!(outcome.is_ok(), quantity.is_none_or(|quantity| quantity <= held));
                    if outcome.is_ok() {
                        model.end(id, quantity.unwrap_or(held));
                    }
                }
                Step::Release(hold) => {
                    let Some(id) = model.holds.keys().nth(hold).copied() else { continue };
                    shelf.apply(&Command::Release { hold_id: Uuid::from_u128(id).into() }, at(today)).unwrap();
                    model.end(id, 0);
                }
                Step::NextDay => today += 1,
            }
            let level = shelf.levels[&key()];
            let (there, held) = model.lots.values().fold((0, 0), |sum, lot| (sum.0 + lot.0, sum.1 + lot.1));
            prop_assert_eq!((level.sellable, level.hard_held), (there, held), "lots add up to the level");
            for lot in shelf.rulebook.lots.get(&key()).into_iter().flat_map(Lots::iter) {
                let expected = model.lots.get(lot.lot.as_str()).copied().unwrap_or_default();
                prop_assert_eq!((lot.quantity, lot.held), expected);
            }
            let promisable: i64 = model.promisable(today).iter().map(|(_, free)| free).sum();
            let available = availability::available(&level, shelf.rulebook.of(&key()), Asker::default(), at(today));
            prop_assert_eq!(available, promisable);
        }
        let changes = shelf.finish(at(today));
        for (lot, (there, _)) in model.lots {
            let flowed: i64 = changes
                .movements
                .iter()
                .filter(|movement| movement.lot.as_ref().is_some_and(|moved| moved.as_str() == lot))
                .map(|movement| movement.delta(Bucket::Sellable))
                .sum();
            prop_assert_eq!(flowed, there, "and so says the ledger");
        }
    }
}
