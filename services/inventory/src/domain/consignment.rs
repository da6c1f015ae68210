//! Goods that belong to somebody else than the holder of the place where they lie.
//!
//! | side | goods | at | become at a sale | in the ledger |
//! |---|---|---|---|---|
//! | theirs | a partner's | a location of ours | ours, and the customer's at once | shelf → customer, and supplier → consignment of the partner |
//! | ours | ours | a partner's location | the partner's, and the customer's at once | shelf → customer |
//!
//! What a partner sends us comes from the partner's consignment account, which so stands at minus what we owe goods for; a
//! sale buys the units from the partner as from any supplier and evens the account out. Where our goods are sold by a
//! partner, leaving our shelf is all that the ledger has to know. Either way the sale is *settled*: an entry names partner,
//! units and movement, and an event tells it.
//!
//! - A level may have units of its holder and of one partner; nobody can tell them apart. A sale takes the partner's first.
//!   Whatever else takes units away takes the holder's first; beyond them the partner's are *taken* and settled as well.
//!   So what is the partner's is never more than what is there.
//! - What customers bring back undoes settlements, as far as there are any that were not undone: theirs are theirs again.
//! - Whose units are is known from how they came, and not from the agreement: one that is over lets nothing more come, and
//!   what lies there is still the partner's.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use oneshelf_values::{LocationId, PartnerId, Sku};
use uuid::Uuid;

use super::{
    error::Refusal,
    ledger::{Account, Movement},
    policy::Audit,
    stock_level::{Level, LevelKey},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// The partner owns, we hold.
    Theirs,
    /// We own, the partner holds.
    Ours,
}

impl Side {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Theirs => "theirs",
            Self::Ours => "ours",
        }
    }

    pub fn parse(stored: &str) -> Option<Self> {
        [Self::Theirs, Self::Ours].into_iter().find(|side| side.as_str() == stored)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgreementTerms {
    /// `None`: all.
    pub skus: Option<BTreeSet<Sku>>,
    pub valid_from: DateTime<Utc>,
    pub valid_until: Option<DateTime<Utc>>,
}

impl AgreementTerms {
    pub fn covers(&self, sku: &Sku, at: DateTime<Utc>) -> bool {
        self.skus.as_ref().is_none_or(|skus| skus.contains(sku))
            && self.valid_from <= at
            && self.valid_until.is_none_or(|until| at < until)
    }

    /// Whether both are about a SKU at one time.
    pub fn overlaps(&self, other: &Self) -> bool {
        let skus = match (&self.skus, &other.skus) {
            (Some(ours), Some(theirs)) => !ours.is_disjoint(theirs),
            _ => true,
        };
        let before = |one: &Self, other: &Self| one.valid_until.is_some_and(|until| until <= other.valid_from);
        skus && !before(self, other) && !before(other, self)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreement {
    pub party: PartnerId,
    pub location: LocationId,
    pub side: Side,
    pub terms: AgreementTerms,
    pub audit: Audit,
}

/// Of a level: what is a partner's, and what was settled with a partner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consigned {
    pub party: PartnerId,
    pub side: Side,
    pub units: i64,
    /// Sold and taken less returned.
    pub settled: i64,
    /// How often something was settled.
    pub settlements: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    Received,
    SentBack,
    Sold,
    Taken,
    Returned,
}

impl Cause {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::SentBack => "sent_back",
            Self::Sold => "sold",
            Self::Taken => "taken",
            Self::Returned => "returned",
        }
    }

    pub fn parse(stored: &str) -> Option<Self> {
        [Self::Received, Self::SentBack, Self::Sold, Self::Taken, Self::Returned]
            .into_iter()
            .find(|cause| cause.as_str() == stored)
    }

    /// Whether units change their owner.
    pub fn settles(self) -> bool {
        matches!(self, Self::Sold | Self::Taken | Self::Returned)
    }
}

/// Units that came, went back or changed their owner, by a line of a movement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub key: LevelKey,
    pub party: PartnerId,
    pub side: Side,
    pub cause: Cause,
    pub units: i64,
    pub movement_id: Uuid,
    pub line: usize,
    pub reference: String,
    pub effective_at: DateTime<Utc>,
    /// Of the settlements with this partner of this level, counted from 1; 0 where nothing is settled.
    pub number: i64,
}

/// What agreements and history say of one level.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Consignment {
    /// That name the SKU or all.
    pub agreements: Vec<Agreement>,
    pub stock: Vec<Consigned>,
}

impl Consignment {
    /// Whether a change of the level has to look at it.
    pub fn matters(&self) -> bool {
        self.stock.iter().any(|stock| stock.units > 0 || stock.settled > 0)
            || self.agreements.iter().any(|agreement| agreement.side == Side::Ours)
    }

    /// Whose units lie there, if anybody's but the holder's.
    pub fn owner(&self) -> Option<&Consigned> {
        self.stock.iter().find(|stock| stock.units > 0)
    }

    fn row(&mut self, party: &PartnerId, side: Side) -> &mut Consigned {
        let known = self.stock.iter().position(|stock| stock.party == *party && stock.side == side);
        let at = known.unwrap_or_else(|| {
            self.stock.push(Consigned { party: party.clone(), side, units: 0, settled: 0, settlements: 0 });
            self.stock.len() - 1
        });
        &mut self.stock[at]
    }
}

/// Ledger entries of one movement that change an owner are numbered from here on, behind those that move goods; those of
/// units that were taken from twice this.
pub const OWNERSHIP_LINES: usize = 10_000;

/// The consignments of a group's levels.
pub type Consignments = HashMap<LevelKey, Consignment>;

/// What a group did to consignments.
#[derive(Debug, Default)]
pub struct Settled {
    /// Changes of owner, for the ledger.
    pub movements: Vec<Movement>,
    pub entries: Vec<Entry>,
    pub stock: Vec<(LevelKey, Consigned)>,
}

/// Whether a partner's goods may come in, or go back, by a line of a movement.
pub fn check(
    consignments: &Consignments,
    moving: &mut BTreeMap<LevelKey, i64>,
    line: usize,
    key: &LevelKey,
    accounts: (&Account, &Account),
    quantity: i64,
    at: DateTime<Utc>,
) -> Result<(), Refusal> {
    let none = Consignment::default();
    let consignment = consignments.get(key).unwrap_or(&none);
    let refused = |owner: &PartnerId| Refusal::NotConsigned {
        line,
        sku: key.sku.clone(),
        location: key.location.clone(),
        party: owner.clone(),
    };
    match accounts {
        (Account::Consignment(owner), _) => {
            let agreed = consignment.agreements.iter().any(|agreement| {
                agreement.side == Side::Theirs && agreement.party == *owner && agreement.terms.covers(&key.sku, at)
            });
            let other = consignment.owner().is_some_and(|other| other.party != *owner);
            if !agreed || other {
                return Err(refused(owner));
            }
            *moving.entry(key.clone()).or_default() += quantity;
        }
        (_, Account::Consignment(owner)) => {
            let there = consignment.owner().filter(|there| there.party == *owner).map_or(0, |there| there.units);
            let moved = moving.entry(key.clone()).or_default();
            if there + *moved < quantity {
                let limit = (there + *moved).max(0);
                return Err(Refusal::LineExceeded { line, sku: key.sku.clone(), limit, requested: quantity });
            }
            *moved -= quantity;
        }
        _ => {}
    }
    Ok(())
}

/// Says what movements, in their order, did to consignments, and what is taken beyond what its holder had.
pub fn settle(consignments: &mut Consignments, movements: &[Movement], levels: &[(LevelKey, Level)]) -> Settled {
    let mut settled = Settled::default();
    if consignments.is_empty() {
        return settled;
    }
    let mut changed: BTreeSet<LevelKey> = BTreeSet::new();
    // What takes units away that nobody bought; else whatever moved last.
    let mut cause: HashMap<LevelKey, &Movement> = HashMap::new();
    for movement in movements {
        let Some(key) = movement.level_key() else { continue };
        let Some(consignment) = consignments.get_mut(&key) else { continue };
        let takes = |movement: &Movement| {
            movement.source.location().is_some()
                && movement.target.location().is_none()
                && movement.target != Account::Customer
        };
        if takes(movement) || !cause.get(&key).is_some_and(|known| takes(known)) {
            cause.insert(key.clone(), movement);
        }
        let mut book = Booking { settled: &mut settled, movement, key: &key };
        let touched = match (&movement.source, &movement.target) {
            (Account::Consignment(owner), _) => {
                book.shift(consignment.row(owner, Side::Theirs), Cause::Received, movement.quantity);
                true
            }
            (_, Account::Consignment(owner)) => {
                book.shift(consignment.row(owner, Side::Theirs), Cause::SentBack, movement.quantity);
                true
            }
            (_, Account::Customer) => book.sell(consignment),
            (Account::Customer, _) => book.take_back(consignment),
            _ => false,
        };
        if touched {
            changed.insert(key);
        }
    }
    for (key, level) in levels {
        let (Some(consignment), Some(movement)) = (consignments.get_mut(key), cause.get(key)) else { continue };
        let Some(owned) = consignment.stock.iter_mut().find(|stock| stock.units > level.on_hand().max(0)) else {
            continue;
        };
        let excess = owned.units - level.on_hand().max(0);
        Booking { settled: &mut settled, movement, key }.shift(owned, Cause::Taken, excess);
        changed.insert(key.clone());
    }
    for key in changed {
        let stock = consignments.get(&key).into_iter().flat_map(|consignment| &consignment.stock);
        settled.stock.extend(stock.map(|stock| (key.clone(), stock.clone())));
    }
    settled
}

/// One movement on its way into the books of consignment.
struct Booking<'a> {
    settled: &'a mut Settled,
    movement: &'a Movement,
    key: &'a LevelKey,
}

impl Booking<'_> {
    fn sell(&mut self, consignment: &mut Consignment) -> bool {
        let (sku, at) = (&self.key.sku, self.movement.effective_at);
        if let Some(owned) = consignment.stock.iter_mut().find(|stock| stock.units > 0) {
            let units = owned.units.min(self.movement.quantity);
            self.shift(owned, Cause::Sold, units);
            return true;
        }
        let agreed = |agreement: &&Agreement| agreement.side == Side::Ours && agreement.terms.covers(sku, at);
        let Some(holder) = consignment.agreements.iter().find(agreed).map(|agreement| agreement.party.clone()) else {
            return false;
        };
        self.shift(consignment.row(&holder, Side::Ours), Cause::Sold, self.movement.quantity);
        true
    }

    fn take_back(&mut self, consignment: &mut Consignment) -> bool {
        let owner = consignment.owner().map(|owned| owned.party.clone());
        let undoable = |stock: &&mut Consigned| {
            let free = stock.side == Side::Ours || owner.as_ref().is_none_or(|owner| *owner == stock.party);
            stock.settled > 0 && free
        };
        let Some(stock) = consignment.stock.iter_mut().find(undoable) else { return false };
        let units = stock.settled.min(self.movement.quantity);
        self.shift(stock, Cause::Returned, units);
        true
    }

    fn shift(&mut self, stock: &mut Consigned, cause: Cause, units: i64) {
        if units == 0 {
            return;
        }
        let theirs = stock.side == Side::Theirs;
        let (of_units, of_settled) = match cause {
            Cause::Received => (units, 0),
            Cause::SentBack => (-units, 0),
            Cause::Sold | Cause::Taken => (-units, units),
            Cause::Returned => (units, -units),
        };
        stock.units += if theirs { of_units } else { 0 };
        stock.settled += of_settled;
        stock.settlements += i64::from(cause.settles());
        let movement = self.movement;
        if theirs && cause.settles() {
            let owner = Account::Consignment(stock.party.clone());
            let (source, target, reason) = match cause {
                Cause::Returned => (owner, Account::Supplier, "consignment_returned"),
                _ => (Account::Supplier, owner, "consignment_sold"),
            };
            self.settled.movements.push(Movement {
                line: movement.line + if cause == Cause::Taken { 2 * OWNERSHIP_LINES } else { OWNERSHIP_LINES },
                source,
                target,
                quantity: units,
                reason: reason.into(),
                level_version: 0,
                ..movement.clone()
            });
        }
        self.settled.entries.push(Entry {
            key: self.key.clone(),
            party: stock.party.clone(),
            side: stock.side,
            cause,
            units,
            movement_id: movement.movement_id,
            line: movement.line,
            reference: movement.reference.clone(),
            effective_at: movement.effective_at,
            number: if cause.settles() { stock.settlements } else { 0 },
        });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::stock_level::Bucket;

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).unwrap()
    }

    fn key() -> LevelKey {
        LevelKey { sku: "A".parse().unwrap(), location: "WH".parse().unwrap() }
    }

    fn terms(skus: &[&str], from: i64, until: Option<i64>) -> AgreementTerms {
        let at = |seconds| now() + chrono::TimeDelta::seconds(seconds);
        let skus = skus.iter().map(|sku| sku.parse().unwrap()).collect::<BTreeSet<_>>();
        AgreementTerms { skus: (!skus.is_empty()).then_some(skus), valid_from: at(from), valid_until: until.map(at) }
    }

    fn agreement(party: &str, side: Side) -> Agreement {
        Agreement {
            party: party.parse().unwrap(),
            location: key().location,
            side,
            terms: terms(&[], 0, Some(60)),
            audit: Audit::next(None, "test", now()),
        }
    }

    fn consignments(side: Side, units: i64, settled: i64) -> Consignments {
        let stock = vec![Consigned { party: "V-1".parse().unwrap(), side, units, settled, settlements: 3 }];
        HashMap::from([(key(), Consignment { agreements: vec![agreement("V-1", side)], stock })])
    }

    fn movement(line: usize, source: Account, target: Account, quantity: i64) -> Movement {
        Movement {
            movement_id: Uuid::from_u128(7),
            line,
            sku: key().sku,
            source,
            target,
            quantity,
            reason: "sale".into(),
            reference: "order 7".to_owned(),
            level_version: 4,
            effective_at: now(),
            lot: None,
        }
    }

    fn shelf() -> Account {
        Account::Shelf(key().location, Bucket::Sellable)
    }

    fn levels(sellable: i64) -> Vec<(LevelKey, Level)> {
        vec![(key(), Level { sellable, ..Level::default() })]
    }

    fn entries(settled: &Settled) -> Vec<(Cause, i64, i64)> {
        settled.entries.iter().map(|entry| (entry.cause, entry.units, entry.number)).collect()
    }

    #[test]
    fn a_sale_takes_the_partners_first_and_evens_its_account_out() {
        let mut consignments = consignments(Side::Theirs, 5, 0);
        let sale = movement(2, shelf(), Account::Customer, 8);
        let settled = settle(&mut consignments, &[sale], &levels(12));
        assert_eq!(entries(&settled), [(Cause::Sold, 5, 4)]);
        let bought = &settled.movements[0];
        assert_eq!(
            (&bought.source, &bought.target),
            (&Account::Supplier, &Account::Consignment("V-1".parse().unwrap()))
        );
        assert_eq!((bought.line, bought.quantity, bought.level_key()), (OWNERSHIP_LINES + 2, 5, None));
        assert_eq!((settled.stock[0].1.units, settled.stock[0].1.settled), (0, 5));
    }

    #[test]
    fn what_comes_back_undoes_what_was_settled_and_no_more() {
        let mut consignments = consignments(Side::Theirs, 1, 4);
        let back = movement(0, Account::Customer, shelf(), 6);
        let settled = settle(&mut consignments, &[back], &levels(7));
        assert_eq!(entries(&settled), [(Cause::Returned, 4, 4)]);
        assert_eq!((settled.stock[0].1.units, settled.stock[0].1.settled), (5, 0));
        assert_eq!(settled.movements[0].target, Account::Supplier);
    }

    #[test]
    fn losses_are_the_holders_first() {
        let lost = |quantity, left| {
            let mut consignments = consignments(Side::Theirs, 5, 0);
            entries(&settle(&mut consignments, &[movement(0, shelf(), Account::Loss, quantity)], &levels(left)))
        };
        assert_eq!(lost(3, 5), [], "five are left, and the partner's");
        assert_eq!(lost(3, 4), [(Cause::Taken, 1, 4)]);
        assert_eq!(lost(8, 0), [(Cause::Taken, 5, 4)]);
    }

    #[test]
    fn our_goods_at_a_partners_are_settled_while_the_agreement_holds() {
        let sold = |at: i64| {
            let mut consignments = consignments(Side::Ours, 0, 0);
            let sale = Movement {
                effective_at: now() + chrono::TimeDelta::seconds(at),
                ..movement(0, shelf(), Account::Customer, 2)
            };
            let settled = settle(&mut consignments, &[sale], &levels(3));
            assert!(settled.movements.is_empty(), "leaving our shelf says it all");
            entries(&settled)
        };
        assert_eq!((sold(-1), sold(0), sold(60)), (vec![], vec![(Cause::Sold, 2, 4)], vec![]));
        let mut elsewhere = Consignments::new();
        assert!(settle(&mut elsewhere, &[movement(0, shelf(), Account::Customer, 2)], &levels(1)).entries.is_empty());
    }

    #[test]
    fn goods_come_by_agreement_only_and_no_more_go_back_than_came() {
        let owner = || Account::Consignment("V-1".parse().unwrap());
        let asked = |consignments: &Consignments, source, target, quantity| {
            check(consignments, &mut BTreeMap::new(), 0, &key(), (&source, &target), quantity, now())
        };
        let known = consignments(Side::Theirs, 5, 0);
        assert!(asked(&known, owner(), shelf(), 3).is_ok());
        assert!(asked(&known, shelf(), owner(), 5).is_ok());
        assert!(matches!(asked(&known, shelf(), owner(), 6), Err(Refusal::LineExceeded { limit: 5, .. })));
        let other = Account::Consignment("V-2".parse().unwrap());
        assert!(matches!(asked(&known, other, shelf(), 1), Err(Refusal::NotConsigned { .. })));
        let mut mixed = known.clone();
        mixed.get_mut(&key()).unwrap().agreements = vec![agreement("V-2", Side::Theirs)];
        let second = Account::Consignment("V-2".parse().unwrap());
        assert!(matches!(asked(&mixed, second, shelf(), 1), Err(Refusal::NotConsigned { .. })), "one owner at a time");
    }

    #[test]
    fn agreements_overlap_in_goods_and_time() {
        for (one, other, expected) in [
            (terms(&[], 0, None), terms(&["A"], 5, Some(6)), true),
            (terms(&["A"], 0, None), terms(&["B"], 0, None), false),
            (terms(&["A"], 0, Some(5)), terms(&["A", "B"], 5, None), false),
            (terms(&["A"], 0, Some(6)), terms(&["A", "B"], 5, None), true),
        ] {
            assert_eq!((one.overlaps(&other), other.overlaps(&one)), (expected, expected), "{one:?} {other:?}");
        }
    }

    proptest! {
        /// Whatever moves, in groups of any size: the partner's units are never more than what is there, they are what came
        /// less what went back and was settled, and the partner's account in the ledger stands at minus them.
        #[test]
        fn units_are_what_came_less_what_was_settled(
            groups in prop::collection::vec(prop::collection::vec((0u8..6, 1i64..9), 1..5), 0..12),
        ) {
            let owner = Account::Consignment("V-1".parse().unwrap());
            let mut known = consignments(Side::Theirs, 0, 0);
            let (mut on_hand, mut account, mut sum, mut undone) = (0i64, 0i64, 0i64, 0i64);
            for group in groups {
                let mut movements = Vec::new();
                let mut moving = BTreeMap::new();
                for (line, (kind, quantity)) in group.into_iter().enumerate() {
                    let (source, target) = match kind {
                        0 => (owner.clone(), shelf()),
                        1 => (Account::Supplier, shelf()),
                        2 => (Account::Customer, shelf()),
                        3 => (shelf(), owner.clone()),
                        4 => (shelf(), Account::Loss),
                        _ => (shelf(), Account::Customer),
                    };
                    let leaves = source == shelf();
                    if leaves && quantity > on_hand {
                        continue;
                    }
                    // Going back is asked for in a movement of its own.
                    if kind == 3 && (!movements.is_empty()
                        || check(&known, &mut moving, line, &key(), (&source, &target), quantity, now()).is_err())
                    {
                        continue;
                    }
                    on_hand += if leaves { -quantity } else { quantity };
                    account += i64::from(target == owner) * quantity - i64::from(source == owner) * quantity;
                    movements.push(movement(line, source, target, quantity));
                    if kind == 3 {
                        break;
                    }
                }
                let settled = settle(&mut known, &movements, &levels(on_hand));
                for entry in &settled.entries {
                    sum += match entry.cause {
                        Cause::Received | Cause::Returned => entry.units,
                        _ => -entry.units,
                    };
                    undone += match entry.cause {
                        Cause::Sold | Cause::Taken => entry.units,
                        Cause::Returned => -entry.units,
                        _ => 0,
                    };
                }
                for bought in &settled.movements {
                    account += if bought.target == owner { bought.quantity } else { -bought.quantity };
                }
                let stock = &known[&key()].stock[0];
                prop_assert!((0..=on_hand).contains(&stock.units));
                prop_assert_eq!((stock.units, stock.units, stock.settled), (sum, -account, undone));
            }
        }
    }
}
