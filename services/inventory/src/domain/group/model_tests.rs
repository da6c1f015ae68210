//! The shelf against a model: every command of a group, what it should come to, and nothing else.
//!
//! The model is written from the rules and not from the code: a row of numbers per level, a note per hold and document. For
//! each command it says whether it is granted and what the numbers are then. Groups end in a commit, or in a crash: then
//! nothing of the group ever was, in the tables as in the model.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;

use super::{
    bulk::{BulkChange, BulkRow, RowChange, RowOutcome, RowRefusal},
    document_tests::{Tables, key, place, sku, start},
    posting::{PostLine, PostMovement},
    *,
};
use crate::domain::{
    count::CountKind,
    inbound::{Delivery, InboundKind},
    policy::StockTerms,
    transfer::{Arrival, Resolution as Discrepancy},
};

/// Soft holds live at most this long.
const LONGEST_S: i64 = 20;

/// Levels by (SKU, location); tills at location 1 may oversell.
const SPOTS: [(u8, u8); 4] = [(0, 0), (0, 1), (1, 0), (1, 1)];

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Row {
    good: i64,
    damaged: i64,
    quarantine: i64,
    soft: i64,
    hard: i64,
    safety: i64,
    backorder: i64,
}

impl Row {
    fn free(&self) -> i64 {
        self.good - self.soft - self.hard
    }

    fn for_anybody(&self) -> i64 {
        (self.free() - self.safety + self.backorder).max(0)
    }

    fn for_whom_it_was_promised(&self) -> i64 {
        (self.free() + self.backorder).max(0)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Held,
    Committed,
    Released,
    Expired,
}

#[derive(Debug, Clone)]
struct Note {
    until: Option<i64>,
    since: i64,
    lines: Vec<(usize, i64)>,
    end: End,
    /// A document's own.
    owned: bool,
}

impl Note {
    fn lives(&self, now: i64) -> bool {
        self.end == End::Held && self.until.is_none_or(|until| now < until)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Asked,
    Approved,
    Allocated,
    Moving,
    Arrived,
    Off,
}

#[derive(Debug, Clone)]
struct Parcel {
    from: usize,
    to: usize,
    asked: i64,
    allocated: i64,
    moving: i64,
    /// Arrived or lost.
    done: bool,
    surplus: i64,
    stage: Stage,
    hold: Option<HoldId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    Counting,
    Approved,
    Over,
}

#[derive(Debug, Clone)]
struct Tally {
    spot: usize,
    books: i64,
    found: Option<i64>,
    look: Look,
}

#[derive(Debug, Clone)]
struct Order {
    spot: usize,
    ordered: i64,
    received: i64,
    over: bool,
}

#[derive(Debug, Clone)]
struct Word {
    spot: usize,
    units: i64,
    hold: HoldId,
    open: bool,
}

#[derive(Debug, Clone, Default)]
struct Model {
    rows: [Row; 4],
    notes: BTreeMap<HoldId, Note>,
    parcels: Vec<(TransferId, Parcel)>,
    tallies: Vec<(CountId, Tally)>,
    /// Spots that no other count may begin on before the group is over.
    counted: Vec<usize>,
    orders: Vec<(InboundId, Order)>,
    words: Vec<(PromiseId, Word)>,
}

#[derive(Debug, Clone)]
enum Step {
    Hold { soft: bool, partial: bool, owed: bool, lines: Vec<(usize, i64)>, seconds: i64, replaces: Option<usize> },
    Commit(usize, Option<i64>),
    Release(usize),
    Extend(usize, i64),
    Expire(usize),
    Move { kind: u8, spot: usize, bucket: u8, units: i64, second: Option<i64> },
    Bulk(Vec<(usize, u8, i64, Option<i64>)>),
    Post { spot: usize, from: u8, to: u8, units: i64 },
    Policy { spot: usize, safety: i64, backorder: i64 },
    NewTransfer { from: usize, units: i64 },
    Transfer { pick: usize, act: u8, units: i64 },
    StartCount(usize),
    Count { pick: usize, act: u8, units: i64 },
    NewOrder(usize, i64),
    Order { pick: usize, act: u8, units: i64 },
    Promise(usize, i64),
    Word { pick: usize, commit: bool },
    Wait(i64),
    EndGroup,
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    let (spot, pick) = (0usize..4, any::<usize>());
    let lines = prop::collection::btree_map(0usize..4, 1i64..7, 1..4);
    let hold =
        (any::<bool>(), any::<bool>(), prop::bool::weighted(0.1), lines, 1i64..25, prop::option::weighted(0.3, pick));
    let row = (0usize..4, 0u8..3, -6i64..12, prop::option::weighted(0.3, -1i64..6));
    prop_oneof![
        6 => hold.prop_map(|(soft, partial, owed, lines, seconds, replaces)| Step::Hold {
            soft, partial, owed, seconds, replaces, lines: lines.into_iter().collect(),
        }),
        4 => (pick, prop::option::of(0i64..7)).prop_map(|(pick, part)| Step::Commit(pick, part)),
        2 => pick.prop_map(Step::Release),
        1 => (pick, 1i64..25).prop_map(|(pick, seconds)| Step::Extend(pick, seconds)),
        2 => pick.prop_map(Step::Expire),
        8 => (0u8..5, spot.clone(), 0u8..3, 1i64..9, prop::option::of(1i64..5))
            .prop_map(|(kind, spot, bucket, units, second)| Step::Move { kind, spot, bucket, units, second }),
        2 => prop::collection::vec(row, 1..4).prop_map(Step::Bulk),
        1 => (spot.clone(), 0u8..4, 0u8..4, 1i64..6)
            .prop_map(|(spot, from, to, units)| Step::Post { spot, from, to, units }),
        2 => (spot.clone(), 0i64..4, 0i64..4)
            .prop_map(|(spot, safety, backorder)| Step::Policy { spot, safety, backorder }),
        1 => (0usize..2, 1i64..8).prop_map(|(from, units)| Step::NewTransfer { from, units }),
        6 => (pick, 0u8..8, 1i64..7).prop_map(|(pick, act, units)| Step::Transfer { pick, act, units }),
        1 => spot.clone().prop_map(Step::StartCount),
        4 => (pick, 0u8..5, 0i64..9).prop_map(|(pick, act, units)| Step::Count { pick, act, units }),
        1 => (0usize..2, 1i64..9).prop_map(|(spot, units)| Step::NewOrder(spot, units)),
        2 => (pick, 0u8..3, 1i64..6).prop_map(|(pick, act, units)| Step::Order { pick, act, units }),
        2 => (2usize..4, 1i64..6).prop_map(|(spot, units)| Step::Promise(spot, units)),
        2 => (pick, any::<bool>()).prop_map(|(pick, commit)| Step::Word { pick, commit }),
        2 => (1i64..8).prop_map(Step::Wait),
        4 => Just(Step::EndGroup),
        1 => Just(Step::Crash),
    ]
}

fn spot_key(spot: usize) -> LevelKey {
    key(SPOTS[spot].0, SPOTS[spot].1)
}

fn oversells(spot: usize) -> bool {
    SPOTS[spot].1 == 1
}

fn at(second: i64) -> DateTime<Utc> {
    start() + TimeDelta::seconds(second)
}

fn bucket(number: u8) -> Bucket {
    [Bucket::Sellable, Bucket::Damaged, Bucket::Quarantine][usize::from(number)]
}

/// What the model says of a command: granted, or not.
type Verdict = bool;

impl Model {
    fn units(&mut self, spot: usize, bucket: u8) -> &mut i64 {
        let row = &mut self.rows[spot];
        [&mut row.good, &mut row.damaged, &mut row.quarantine].into_iter().nth(usize::from(bucket)).unwrap()
    }

    /// A signed change of a bucket, unless it would go below zero and may not.
    fn shift(&mut self, spot: usize, bucket: u8, by: i64, fact: bool) -> Verdict {
        let after = *self.units(spot, bucket) + by;
        let good = by >= 0 || after >= 0 || (fact && oversells(spot) && bucket == 0);
        if good {
            *self.units(spot, bucket) = after;
        }
        good
    }

    fn all_or_nothing(&mut self, act: impl FnOnce(&mut Self) -> Verdict) -> Verdict {
        let before = self.clone();
        let granted = act(self);
        if !granted {
            *self = before;
        }
        granted
    }

    fn hold(&mut self, id: HoldId, note: Note, partial: bool, owed: bool) -> Verdict {
        self.all_or_nothing(|model| {
            let mut note = note;
            let mut short = false;
            for (spot, units) in &mut note.lines {
                let row = &mut model.rows[*spot];
                let left = if owed { row.for_whom_it_was_promised() } else { row.for_anybody() };
                short |= left < *units;
                *units = (*units).min(left);
                match note.until {
                    Some(_) => row.soft += *units,
                    None => row.hard += *units,
                }
            }
            let nothing = note.lines.iter().all(|(_, units)| *units == 0);
            model.notes.insert(id, note);
            !nothing && (partial || !short)
        })
    }

    /// Ends a hold, of which some units leave the shelf.
    fn end(&mut self, id: HoldId, end: End, taken: &[i64]) {
        let note = self.notes.get_mut(&id).unwrap();
        note.end = end;
        for (line, (spot, units)) in note.lines.iter().enumerate() {
            let row = &mut self.rows[*spot];
            match note.until {
                Some(_) => row.soft -= units,
                None => row.hard -= units,
            }
            row.good -= taken.get(line).copied().unwrap_or(0);
        }
    }

    fn commit(&mut self, id: HoldId, part: Option<i64>, now: i64) -> Verdict {
        let note = self.notes[&id].clone();
        if note.owned || !note.lives(now) {
            return false;
        }
        let mut taken: Vec<i64> = note.lines.iter().map(|(_, units)| *units).collect();
        if let Some(part) = part {
            if part > taken[0] {
                return false;
            }
            taken.fill(0);
            taken[0] = part;
        }
        let there = note
            .lines
            .iter()
            .zip(&taken)
            .all(|((spot, _), taken)| *taken == 0 || *taken <= self.rows[*spot].good.max(0) || oversells(*spot));
        if there {
            let end = if taken.iter().all(|units| *units == 0) { End::Released } else { End::Committed };
            self.end(id, end, &taken);
        }
        there
    }

    fn release(&mut self, id: HoldId, now: i64) -> Verdict {
        let note = &self.notes[&id];
        match note.end {
            _ if note.owned => false,
            End::Released => true,
            _ if note.lives(now) => {
                self.end(id, End::Released, &[]);
                true
            }
            _ => false,
        }
    }

    fn expire(&mut self, id: HoldId, now: i64) {
        let note = &self.notes[&id];
        if note.end == End::Held && note.until.is_some_and(|until| now >= until) {
            self.end(id, End::Expired, &[]);
        }
    }

    fn replace(&mut self, id: HoldId, old: HoldId, note: Note, partial: bool, now: i64) -> Verdict {
        self.all_or_nothing(|model| {
            let was = model.notes[&old].clone();
            if was.until.is_none() || was.end == End::Committed {
                return false;
            }
            let since = if was.lives(now) { was.since } else { now };
            if was.lives(now) {
                model.end(old, End::Released, &[]);
            } else {
                model.expire(old, now);
            }
            note.until.unwrap() <= since + LONGEST_S && model.hold(id, Note { since, ..note }, partial, false)
        })
    }

    /// `act`: approve, allocate all, allocate some, ship, ship and let go, receive, lose, cancel.
    fn transfer(&mut self, at: usize, act: u8, units: i64, next: HoldId) -> Verdict {
        self.all_or_nothing(|model| {
            let mut parcel = model.parcels[at].1.clone();
            let (from, to) = (parcel.from, parcel.to);
            let own = |lines| Note { until: None, since: 0, lines, end: End::Held, owned: true };
            let granted = match (act, parcel.stage) {
                (0, Stage::Asked) => {
                    parcel.stage = Stage::Approved;
                    true
                }
                (1 | 2, Stage::Approved) => {
                    let held = model.hold(next, own(vec![(from, parcel.asked)]), act == 2, false);
                    if held {
                        parcel.allocated = model.notes[&next].lines[0].1;
                        parcel.hold = Some(next);
                        parcel.stage = Stage::Allocated;
                    }
                    held
                }
                (3 | 4, Stage::Allocated | Stage::Moving) if parcel.hold.is_some() => {
                    let there = units <= parcel.allocated && (units <= model.rows[from].good.max(0) || oversells(from));
                    if there {
                        model.end(parcel.hold.unwrap(), End::Committed, &[units]);
                        parcel.moving += units;
                        parcel.stage = Stage::Moving;
                        // The rest is held anew, as much of it as there is.
                        let rest = if act == 4 { 0 } else { parcel.allocated - units };
                        let kept = rest > 0 && model.hold(next, own(vec![(from, rest)]), true, false);
                        parcel.hold = kept.then_some(next);
                        parcel.allocated = if kept { model.notes[&next].lines[0].1 } else { 0 };
                    }
                    there
                }
                (5, Stage::Moving) => {
                    let came = units.min(parcel.moving);
                    parcel.moving -= came;
                    parcel.surplus += units - came;
                    parcel.done = true;
                    model.shift(to, 0, units, false)
                }
                (6, Stage::Moving | Stage::Arrived) => {
                    let lost = units.min(2);
                    parcel.done |= lost <= parcel.moving;
                    parcel.moving -= lost;
                    parcel.moving >= 0
                }
                (7, Stage::Asked | Stage::Approved | Stage::Allocated | Stage::Moving) => {
                    if let Some(hold) = parcel.hold.take() {
                        model.end(hold, End::Released, &[]);
                    }
                    parcel.stage = if parcel.done { Stage::Arrived } else { Stage::Off };
                    let back = std::mem::take(&mut parcel.moving);
                    parcel.allocated = 0;
                    model.shift(from, 0, back, false)
                }
                _ => false,
            };
            if parcel.stage == Stage::Moving && parcel.moving + parcel.allocated == 0 {
                parcel.stage = Stage::Arrived;
            }
            model.parcels[at].1 = parcel;
            granted
        })
    }

    /// `act`: record, add, recount, approve, post, then cancel.
    fn count(&mut self, at: usize, act: u8, units: i64, books: i64) -> Verdict {
        let Tally { spot, .. } = self.tallies[at].1;
        let tally = &mut self.tallies[at].1;
        match (act, tally.look) {
            (0, Look::Counting) => tally.found = Some(tally.found.filter(|_| units % 2 == 1).unwrap_or(0) + units),
            (1, Look::Counting | Look::Approved) => {
                *tally = Tally { books, found: None, look: Look::Counting, ..*tally };
            }
            (2, Look::Counting) if tally.found.is_some() || units % 2 == 1 => {
                tally.found = tally.found.or(Some(0));
                tally.look = Look::Approved;
            }
            (3, Look::Approved) => {
                let variance = tally.found.unwrap_or(0) - tally.books;
                if variance < 0 && self.rows[spot].good + variance < 0 {
                    return false;
                }
                self.tallies[at].1.look = Look::Over;
                self.rows[spot].good += variance;
            }
            (4, Look::Counting | Look::Approved) => tally.look = Look::Over,
            _ => return false,
        }
        true
    }
}

/// Both, side by side: what is written, and the group that is being applied.
struct World {
    tables: Tables,
    rulebook: Rulebook,
    shelf: Shelf,
    model: Model,
    /// As of the last commit.
    kept: Model,
    now: i64,
}

fn picked<T>(from: &[T], pick: usize) -> Option<usize> {
    (!from.is_empty()).then(|| pick % from.len())
}

impl World {
    fn new() -> Self {
        let mut tables = Tables::default();
        for spot in 0..4 {
            let level = Level { oversell_facts: oversells(spot), ..Level::default() };
            tables.levels.insert(spot_key(spot), level);
        }
        let (rulebook, model) = (Rulebook::default(), Model::default());
        Self { shelf: tables.open(), tables, rulebook, kept: model.clone(), model, now: 0 }
    }

    fn begin(&mut self) {
        self.shelf = self.tables.open().ruled_by(self.rulebook.clone());
        let open = self.model.tallies.iter().filter(|(_, tally)| tally.look != Look::Over);
        self.model.counted = open.map(|(_, tally)| tally.spot).collect();
    }

    fn commit(&mut self) {
        let changes = std::mem::take(&mut self.shelf).finish(at(self.now));
        for (policy, _) in &changes.policies {
            self.rulebook.policies.insert(policy.key.clone(), policy.clone());
        }
        self.tables.write(changes);
        self.kept = self.model.clone();
        self.begin();
        for (spot, row) in self.model.rows.iter().enumerate() {
            assert_eq!(row_of(&self.tables.levels[&spot_key(spot)]), *row, "what was written of {spot}");
        }
    }

    /// Nothing of the group was ever written.
    fn crash(&mut self) {
        self.model = self.kept.clone();
        self.begin();
    }

    fn row_before(&self, spot: usize) -> i64 {
        self.kept.rows[spot].good
    }

    fn same(&self, command: &str) {
        for (spot, row) in self.model.rows.iter().enumerate() {
            assert_eq!(row_of(&self.shelf.levels[&spot_key(spot)]), *row, "spot {spot} after {command}");
        }
        for (id, note) in &self.model.notes {
            let hold = &self.shelf.holds[id];
            let standing = match (note.end, note.lives(self.now)) {
                (End::Held, true) => "held",
                (End::Held, false) | (End::Expired, _) => "expired",
                (End::Committed, _) => "committed",
                (End::Released, _) => "released",
            };
            assert_eq!(hold.promise.standing(at(self.now)).as_str(), standing, "hold {id} after {command}");
            let granted: Vec<i64> = note.lines.iter().map(|(_, units)| *units).collect();
            assert_eq!(hold.promise.granted(), granted, "hold {id} after {command}");
        }
        assert_eq!(self.shelf.holds.len(), self.model.notes.len(), "no other holds after {command}");
    }

    fn apply(&mut self, command: &Command, verdict: Verdict) {
        let outcome = self.shelf.apply(command, at(self.now));
        assert_eq!(outcome.is_ok(), verdict, "{command:?} came to {outcome:?}");
        self.same(&format!("{command:?}"));
    }

    fn step(&mut self, number: u128, step: &Step) {
        let id = Uuid::from_u128(number + 1);
        let hold_ids = HoldIds::new(id);
        let (now, effective_at) = (self.now, at(self.now));
        let holds: Vec<HoldId> = self.model.notes.keys().copied().collect();
        match step {
            Step::Hold { soft, partial, owed, lines, seconds, replaces } => {
                let replaces = replaces.and_then(|pick| picked(&holds, pick)).map(|pick| holds[pick]).filter(|_| *soft);
                let until = soft.then_some(now + seconds);
                let note = Note { until, since: now, lines: lines.clone(), end: End::Held, owned: false };
                let verdict = match replaces {
                    Some(old) => self.model.replace(id.into(), old, note, *partial, now),
                    None => {
                        until.is_none_or(|until| until <= now + LONGEST_S)
                            && self.model.hold(id.into(), note, *partial, *owed && replaces.is_none())
                    }
                };
                let command = HoldStock {
                    hold_id: id.into(),
                    terms: until.map_or(HoldTerms::Hard, |until| HoldTerms::Soft { expires_at: at(until) }),
                    channel: None,
                    partner: None,
                    shopper: soft.then(|| "ann".parse().unwrap()),
                    replaces,
                    longest: TimeDelta::seconds(LONGEST_S),
                    reference: String::new(),
                    fingerprint: [1; 32],
                    allow_partial: *partial,
                    owed: *owed && replaces.is_none(),
                    sourcing: None,
                    lines: lines.iter().map(|(spot, units)| (spot_key(*spot), *units)).collect(),
                };
                self.apply(&Command::Hold(command), verdict);
            }
            Step::Commit(pick, part) => {
                let Some(hold_id) = picked(&holds, *pick).map(|pick| holds[pick]) else { return };
                let first = spot_key(self.model.notes[&hold_id].lines[0].0);
                let verdict = self.model.commit(hold_id, *part, now);
                let lines = part.map(|units| vec![(first, units).into()]);
                self.apply(&Command::Commit(CommitHold { hold_id, lines, effective_at }), verdict);
            }
            Step::Release(pick) => {
                let Some(hold_id) = picked(&holds, *pick).map(|pick| holds[pick]) else { return };
                let verdict = self.model.release(hold_id, now);
                self.apply(&Command::Release { hold_id }, verdict);
            }
            Step::Extend(pick, seconds) => {
                let Some(hold_id) = picked(&holds, *pick).map(|pick| holds[pick]) else { return };
                let note = self.model.notes.get_mut(&hold_id).unwrap();
                let until = now + seconds;
                let verdict = note.until.is_some() && note.lives(now) && !note.owned && until <= note.since + LONGEST_S;
                if verdict {
                    note.until = Some(until);
                }
                let longest = TimeDelta::seconds(LONGEST_S);
                self.apply(&Command::Extend { hold_id, until: at(until), longest }, verdict);
            }
            Step::Expire(pick) => {
                let Some(hold_id) = picked(&holds, *pick).map(|pick| holds[pick]) else { return };
                self.model.expire(hold_id, now);
                self.apply(&Command::Expire { hold_id }, true);
            }
            Step::Move { kind, spot, bucket: number, units, second } => {
                let (kind, sign, fact) = match kind {
                    0 => (MoveKind::Receipt, 1, false),
                    1 => (MoveKind::Return, 1, false),
                    2 => (MoveKind::Sale, -1, true),
                    3 => (MoveKind::Adjustment(AdjustmentReason::Found), 1, false),
                    _ => (MoveKind::Adjustment(AdjustmentReason::Lost), -1, false),
                };
                let number = if matches!(kind, MoveKind::Receipt | MoveKind::Sale) { 0 } else { *number };
                let deltas: Vec<i64> =
                    [Some(*units), *second].into_iter().flatten().map(|units| sign * units).collect();
                let verdict = self
                    .model
                    .all_or_nothing(|model| deltas.iter().all(|delta| model.shift(*spot, number, *delta, fact)));
                let key = spot_key(*spot);
                let line = |delta: &i64| MoveLine {
                    key: key.clone(),
                    bucket: bucket(number),
                    delta: *delta,
                    lots: Vec::new(),
                };
                let command = MoveStock {
                    movement_id: id,
                    hold_ids,
                    kind,
                    location: key.location.clone(),
                    lines: deltas.iter().map(line).collect(),
                    reference: String::new(),
                    effective_at,
                };
                self.apply(&Command::Move(command), verdict);
            }
            Step::Bulk(rows) => self.bulk(id, rows),
            Step::Post { spot, from, to, units } => {
                if from == to {
                    return;
                }
                let verdict = self.model.all_or_nothing(|model| {
                    (*from == 3 || model.shift(*spot, *from, -units, false))
                        && (*to == 3 || model.shift(*spot, *to, *units, false))
                });
                let key = spot_key(*spot);
                let account = |number: u8| match number {
                    3 => Account::Production,
                    number => Account::Shelf(key.location.clone(), bucket(number)),
                };
                let (source, target) = (account(*from), account(*to));
                let command = PostMovement {
                    movement_id: id,
                    location: key.location.clone(),
                    lines: vec![PostLine { key: key.clone(), source, target, units: (*units).into() }],
                    reason: "condition_change".into(),
                    reference: String::new(),
                    effective_at,
                };
                let outcome = self.shelf.post(&command);
                assert_eq!(outcome.is_ok(), verdict, "{command:?} came to {outcome:?}");
                self.same("a posting");
            }
            Step::Policy { spot, safety, backorder } => {
                let row = &mut self.model.rows[*spot];
                (row.safety, row.backorder) = (*safety, *backorder);
                let terms = StockTerms { safety_stock: *safety, backorder_limit: *backorder, ..StockTerms::default() };
                let line = Line { key: spot_key(*spot), terms, expected_version: 0 };
                let set = SetPolicies { change: PolicyChange::Stock(vec![line]), by: "test".to_owned() };
                self.apply(&Command::SetPolicies(set), true);
            }
            Step::NewTransfer { from, units } => {
                let parcel = Parcel {
                    from: *from,
                    to: 1 - from,
                    asked: *units,
                    allocated: 0,
                    moving: 0,
                    done: false,
                    surplus: 0,
                    stage: Stage::Asked,
                    hold: None,
                };
                self.model.parcels.push((id.into(), parcel));
                let new = NewTransfer {
                    source: place(*from as u8),
                    destination: place(1 - *from as u8),
                    reference: String::new(),
                    expected_on: None,
                    lines: vec![(sku(0), *units)],
                };
                self.transfer(id, id.into(), TransferAct::Create(new), true);
            }
            Step::Transfer { pick, act, units } => {
                let Some(pick) = picked(&self.model.parcels, *pick) else { return };
                let verdict = self.model.transfer(pick, *act, *units, hold_ids.nth(0));
                let lines = vec![(sku(0), *units)];
                let act = match act {
                    0 => TransferAct::Approve,
                    1 | 2 => TransferAct::Allocate { allow_partial: *act == 2 },
                    3 | 4 => TransferAct::Ship { lines, expected_on: None, release_rest: *act == 4 },
                    5 => {
                        let arrivals = vec![Arrival { sku: sku(0), good: (*units).into(), damaged: 0.into() }];
                        TransferAct::Receive { bucket: Bucket::Sellable, arrivals }
                    }
                    6 => {
                        let lost = (*units).min(2);
                        TransferAct::Resolve(vec![Discrepancy {
                            sku: sku(0),
                            lost: lost.into(),
                            from_source: 0.into(),
                        }])
                    }
                    _ => TransferAct::Cancel,
                };
                self.transfer(id, self.model.parcels[pick].0, act, verdict);
            }
            Step::StartCount(spot) => {
                let verdict = !self.model.counted.contains(spot);
                if verdict {
                    let books = self.row_before(*spot);
                    self.model.counted.push(*spot);
                    self.model
                        .tallies
                        .push((id.into(), Tally { spot: *spot, books, found: None, look: Look::Counting }));
                }
                let new = NewCount {
                    location: spot_key(*spot).location,
                    bucket: Bucket::Sellable,
                    kind: CountKind::Cycle,
                    reference: String::new(),
                    skus: vec![spot_key(*spot).sku],
                };
                self.count(id, id.into(), CountAct::Start(new), verdict);
            }
            Step::Count { pick, act, units } => {
                let Some(pick) = picked(&self.model.tallies, *pick) else { return };
                let spot = self.model.tallies[pick].1.spot;
                let verdict = self.model.count(pick, *act, *units, self.row_before(spot));
                let of = spot_key(spot).sku;
                let act = match act {
                    0 => CountAct::Record { entries: vec![(of, *units)], add: units % 2 == 1 },
                    1 => CountAct::Recount(vec![of]),
                    2 => CountAct::Approve { uncounted_is_zero: units % 2 == 1 },
                    3 => CountAct::Post(AdjustmentReason::Count),
                    _ => CountAct::Cancel,
                };
                self.count(id, self.model.tallies[pick].0, act, verdict);
            }
            Step::NewOrder(spot, units) => {
                let order = Order { spot: *spot, ordered: *units, received: 0, over: false };
                self.model.orders.push((id.into(), order));
                let new = NewInbound {
                    kind: InboundKind::PurchaseOrder,
                    order_id: None,
                    supplier: "ACME".to_owned(),
                    location: spot_key(*spot).location,
                    reference: String::new(),
                    over_percent: 0,
                    accept_unlisted: false,
                    lines: vec![(sku(0), *units, start().date_naive())],
                };
                self.inbound(id, id.into(), InboundAct::Create(new), true);
            }
            Step::Order { pick, act, units } => {
                let Some(pick) = picked(&self.model.orders, *pick) else { return };
                let order = &mut self.model.orders[pick].1;
                let verdict = !order.over
                    && match act {
                        0 => order.received + units < order.ordered,
                        1 => true,
                        _ => order.received == 0,
                    };
                if verdict {
                    match act {
                        // One unit of each delivery is set apart.
                        0 => {
                            order.received += units + 1;
                            let spot = order.spot;
                            self.model.rows[spot].good += units;
                            self.model.rows[spot].quarantine += 1;
                        }
                        _ => order.over = true,
                    }
                }
                let act = match act {
                    0 => {
                        let delivery =
                            Delivery { sku: sku(0), accepted: (*units).into(), quarantined: 1.into(), returned: 0 };
                        InboundAct::Receive(vec![delivery])
                    }
                    1 => InboundAct::Close,
                    _ => InboundAct::Cancel,
                };
                self.inbound(id, self.model.orders[pick].0, act, verdict);
            }
            Step::Promise(spot, units) => {
                // Nothing is to come of this SKU: all of it is held on the shelf.
                let row = self.model.rows[*spot];
                let hold = hold_ids.nth(0);
                let note = Note { until: None, since: now, lines: vec![(*spot, *units)], end: End::Held, owned: true };
                let verdict = row.free() - row.safety >= *units && self.model.hold(hold, note, false, false);
                if verdict {
                    self.model.words.push((id.into(), Word { spot: *spot, units: *units, hold, open: true }));
                }
                let new = NewPromise {
                    due: effective_at.date_naive(),
                    channel: None,
                    reference: String::new(),
                    lines: vec![(spot_key(*spot), *units)],
                };
                self.promise(id.into(), hold_ids, PromiseAct::Promise(new), verdict);
            }
            Step::Word { pick, commit } => {
                let Some(pick) = picked(&self.model.words, *pick) else { return };
                let word = self.model.words[pick].1.clone();
                let row = self.model.rows[word.spot];
                let verdict = word.open && (!commit || row.free() + row.backorder >= 0);
                if verdict {
                    self.model.words[pick].1.open = false;
                    self.model.end(word.hold, End::Released, &[]);
                    if *commit {
                        let lines = vec![(word.spot, word.units)];
                        let note = Note { until: None, since: now, lines, end: End::Held, owned: false };
                        assert!(self.model.hold(id.into(), note, false, true), "what was promised is there");
                    }
                }
                let commit_act = PromiseAct::Commit { request_id: id, fingerprint: [1; 32] };
                let act = if *commit { commit_act } else { PromiseAct::Cancel };
                self.promise(self.model.words[pick].0, hold_ids, act, verdict);
            }
            Step::Wait(seconds) => self.now += seconds,
            Step::EndGroup => self.commit(),
            Step::Crash => self.crash(),
        }
    }

    fn bulk(&mut self, id: Uuid, rows: &[(usize, u8, i64, Option<i64>)]) {
        let mut wanted = Vec::new();
        let mut asked = Vec::new();
        for (spot, number, units, expected) in rows {
            let before = *self.model.units(*spot, *number);
            // Non-negative numbers set, others adjust.
            let (change, delta) = if *units >= 0 {
                let change = RowChange::Set { quantity: *units, expected_quantity: *expected, expected_version: None };
                (change, units - before)
            } else {
                (RowChange::Adjust { delta: *units }, *units)
            };
            wanted.push(if *units >= 0 && expected.is_some_and(|expected| expected != before) {
                RowOutcome::Conflict
            } else if delta == 0 {
                RowOutcome::Unchanged
            } else if self.model.shift(*spot, *number, delta, false) {
                RowOutcome::Applied
            } else {
                RowOutcome::Refused(RowRefusal::InsufficientStock)
            });
            asked.push(Ok(BulkRow { key: spot_key(*spot), bucket: bucket(*number), change }));
        }
        let change = BulkChange {
            movement_id: id,
            rows: asked,
            reason: "adjust_count".into(),
            reference: String::new(),
            effective_at: at(self.now),
        };
        let outcomes: Vec<RowOutcome> = self.shelf.change(&change).into_iter().map(|row| row.outcome).collect();
        assert_eq!(outcomes, wanted, "{change:?}");
        self.same("rows");
    }

    fn transfer(&mut self, id: Uuid, transfer_id: TransferId, act: TransferAct, verdict: Verdict) {
        let command = TransferCommand {
            transfer_id,
            expected_version: None,
            movement_id: id,
            hold_ids: HoldIds::new(id),
            effective_at: at(self.now),
            act,
        };
        self.apply(&Command::Transfer(Box::new(command)), verdict);
        for (id, parcel) in &self.model.parcels {
            let line = &self.shelf.documents.transfers[id].lines[0];
            let known = (line.requested, line.allocated, line.in_transit, line.surplus);
            assert_eq!(known, (parcel.asked, parcel.allocated, parcel.moving, parcel.surplus), "transfer {id}");
        }
    }

    fn count(&mut self, id: Uuid, count_id: CountId, act: CountAct, verdict: Verdict) {
        let command =
            CountCommand { count_id, expected_version: None, movement_id: id, effective_at: at(self.now), act };
        self.apply(&Command::Count(Box::new(command)), verdict);
        for (id, tally) in &self.model.tallies {
            let line = &self.shelf.documents.counts[id].lines[&spot_key(tally.spot).sku];
            assert_eq!((line.expected, line.counted), (tally.books, tally.found), "count {id}");
        }
    }

    fn inbound(&mut self, id: Uuid, inbound_id: InboundId, act: InboundAct, verdict: Verdict) {
        let command = InboundCommand {
            inbound_id,
            expected_version: None,
            movement_id: id,
            hold_ids: HoldIds::new(id),
            effective_at: at(self.now),
            act,
        };
        self.apply(&Command::Inbound(Box::new(command)), verdict);
        for (id, order) in &self.model.orders {
            let line = &self.shelf.documents.inbounds[id].lines[0];
            assert_eq!((line.expected, line.received), (order.ordered, order.received), "order {id}");
        }
    }

    fn promise(&mut self, promise_id: PromiseId, hold_ids: HoldIds, act: PromiseAct, verdict: Verdict) {
        let command = PromiseCommand { promise_id, expected_version: None, hold_ids, act };
        self.apply(&Command::Promise(Box::new(command)), verdict);
    }
}

fn row_of(level: &Level) -> Row {
    Row {
        good: level.sellable,
        damaged: level.damaged,
        quarantine: level.quarantine,
        soft: level.soft_held,
        hard: level.hard_held,
        safety: level.safety_stock,
        backorder: level.backorder_limit,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn every_command_comes_to_what_the_model_says_and_a_crash_leaves_what_was_committed(
        steps in prop::collection::vec(step(), 1..160)
    ) {
        let mut world = World::new();
        for (number, step) in steps.iter().enumerate() {
            world.step(number as u128, step);
        }
        world.commit();
    }
}
