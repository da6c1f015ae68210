//! Units promised to somebody: the shared state machine [`oneshelf_values::Hold`], with a SKU and a location per line.

use chrono::{DateTime, Utc};
use oneshelf_values::{
    ChannelId, Hold, HoldId, HoldRefusal, HoldState, HoldTerms, LocationId, PartnerId, ShopperId, Sku,
    hold::{Resolution, Standing},
};

use super::{error::Refusal, lot::LotNumber, policy::Asker, sourcing::Sourced, stock_level::LevelKey};

/// A cart's promise or an order's allocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HoldKind {
    Soft,
    Hard,
}

impl HoldKind {
    /// The kind of hold that is asked for with these terms.
    pub const fn of(terms: &HoldTerms) -> Self {
        match terms {
            HoldTerms::Soft { .. } => Self::Soft,
            HoldTerms::Hard => Self::Hard,
        }
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Soft => "soft",
            Self::Hard => "hard",
        }
    }
}

/// One SKU at one location of a hold. What is held of it is in the promise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldLine {
    pub key: LevelKey,
    pub requested: i64,
    /// What was left after this line was granted, for whoever the hold is for.
    pub available: i64,
    /// The level's version with the group that granted it.
    pub granted_version: i64,
    /// Of which kit it is a part; `None`: it was asked for by itself.
    pub part_of: Option<KitPart>,
    /// Of a tracked SKU: the lots it was given, in the order in which a commit takes them.
    pub lots: Vec<(LotNumber, i64)>,
}

/// A line's place in a kit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KitPart {
    /// Which of [`StockHold::kits`].
    pub kit: usize,
    /// Units of the line in one kit.
    pub units: i64,
}

/// A kit that was asked for at a location: held as lines of its components, so many of each as one kit has, times the
/// same number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KitLine {
    pub key: LevelKey,
    /// The definition that it was granted by.
    pub version: i64,
    pub requested: i64,
    /// Kits that were left after this one was granted.
    pub available: i64,
}

/// A line as it was first granted, before any of its units moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantedLine {
    pub line: HoldLine,
    pub held: i64,
}

/// What to take of a hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedUnits {
    pub sku: Sku,
    /// `None`: wherever the hold has units of it, first lines first. So whoever knows what was held need not know whether
    /// units have been moved meanwhile.
    pub location: Option<LocationId>,
    pub quantity: i64,
}

#[cfg(test)]
impl From<(LevelKey, i64)> for WantedUnits {
    fn from((key, quantity): (LevelKey, i64)) -> Self {
        Self { sku: key.sku, location: Some(key.location), quantity }
    }
}

impl WantedUnits {
    fn covers(&self, key: &LevelKey) -> bool {
        self.sku == key.sku && self.location.as_ref().is_none_or(|location| *location == key.location)
    }
}

/// Stands for the fingerprint of a hold that no HoldStock asked for but a document took: no digest is all zeros. Such a
/// hold is its document's to resolve, and nobody else's.
pub const OWNED: [u8; 32] = [0; 32];

/// A hold on stock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StockHold {
    pub hold_id: HoldId,
    /// Amounts and state, line by line with `lines`.
    pub promise: Hold,
    pub lines: Vec<HoldLine>,
    /// The kits that some of the lines make up.
    pub kits: Vec<KitLine>,
    pub channel: Option<ChannelId>,
    pub partner: Option<PartnerId>,
    /// Whose cart it is.
    pub shopper: Option<ShopperId>,
    /// When its units began to be held softly: its own creation, or that of the first hold that it replaced.
    pub since: DateTime<Utc>,
    pub reference: String,
    /// What was asked, hashed: the same id with other content is refused.
    pub fingerprint: [u8; 32],
    /// The expiry as first granted: a repeated request gets its first answer even after an extension.
    pub granted_until: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
    /// How lines that named no location were sourced; `None`: there were none.
    pub sourced: Option<Box<Sourced>>,
    /// Set once units moved to other locations.
    pub first_lines: Option<Vec<GrantedLine>>,
    /// How often units were moved: the version of what is told about it.
    pub moves: i32,
}

impl StockHold {
    pub fn kind(&self) -> HoldKind {
        match self.promise.terms() {
            HoldTerms::Soft { .. } => HoldKind::Soft,
            HoldTerms::Hard => HoldKind::Hard,
        }
    }

    /// A document's, which alone may resolve it.
    pub fn is_owned(&self) -> bool {
        self.fingerprint == OWNED
    }

    /// Whom it is for.
    pub fn asker(&self) -> Asker<'_> {
        Asker { channel: self.channel.as_ref(), partner: self.partner.as_ref() }
    }

    /// Units of a line that are recorded as held, or were taken for good.
    pub(super) fn kept(&self, line: usize) -> i64 {
        match self.promise.state() {
            HoldState::Held => self.promise.granted()[line],
            HoldState::Committed { amounts, .. } => amounts[line],
            HoldState::Released { .. } | HoldState::Expired { .. } => 0,
        }
    }

    pub fn expires_at(&self) -> Option<DateTime<Utc>> {
        match self.promise.terms() {
            HoldTerms::Soft { expires_at } => Some(expires_at),
            HoldTerms::Hard => None,
        }
    }

    /// The hold as it was when it was granted: what a repeated HoldStock answers.
    #[must_use]
    pub fn as_granted(&self) -> Self {
        let terms = self.granted_until.map_or(HoldTerms::Hard, |expires_at| HoldTerms::Soft { expires_at });
        let (lines, granted) = match &self.first_lines {
            None => (self.lines.clone(), self.promise.granted().to_vec()),
            Some(first) => first.iter().map(|first| (first.line.clone(), first.held)).unzip(),
        };
        Self {
            promise: Hold::grant(terms, granted, self.created_at).unwrap_or_else(|_| self.promise.clone()),
            lines,
            ..self.clone()
        }
    }

    /// Takes the units that are wanted, or everything, and releases the rest.
    pub(super) fn commit(&mut self, wanted: Option<&[WantedUnits]>, now: DateTime<Utc>) -> Result<Resolution, Refusal> {
        let amounts = match wanted {
            None => self.promise.granted().to_vec(),
            Some(wanted) => self.amounts(wanted)?,
        };
        self.promise.commit(&amounts, now).map_err(|refusal| self.refusal(refusal))
    }

    pub(super) fn release(&mut self, now: DateTime<Utc>) -> Result<Resolution, Refusal> {
        self.promise.release(now).map_err(|refusal| self.refusal(refusal))
    }

    pub(super) fn extend(&mut self, until: DateTime<Utc>, now: DateTime<Utc>) -> Result<(), Refusal> {
        self.promise.extend(until, now).map_err(|refusal| self.refusal(refusal))
    }

    /// How many kits the amounts of a kit's lines come to; `None` where they come to no whole number of it.
    pub fn kits_in(&self, kit: usize, amount: impl Fn(usize) -> i64) -> Option<i64> {
        let mut counts = self.parts(kit).map(|(line, units)| (amount(line) % units == 0).then(|| amount(line) / units));
        let first = counts.next()??;
        counts.all(|count| count == Some(first)).then_some(first)
    }

    /// The lines of a kit, with the units of each in one.
    fn parts(&self, kit: usize) -> impl Iterator<Item = (usize, i64)> {
        let parts = self.lines.iter().enumerate();
        parts.filter_map(move |(line, held)| held.part_of.filter(|part| part.kit == kit).map(|part| (line, part.units)))
    }

    /// Spreads what is wanted over the lines, first lines first: a hold may name a key twice. A kit's
    /// key takes of all its parts; a component's takes of lines that were asked for by themselves first, and then of kits,
    /// which must stay whole.
    fn amounts(&self, wanted: &[WantedUnits]) -> Result<Vec<i64>, Refusal> {
        let granted = self.promise.granted();
        let mut amounts = vec![0; granted.len()];
        for (place, wanted) in wanted.iter().enumerate() {
            let mut left = wanted.quantity;
            let mut free = 0;
            for (kit, _) in self.kits.iter().enumerate().filter(|(_, kit)| wanted.covers(&kit.key)) {
                let room =
                    self.parts(kit).map(|(line, units)| (granted[line] - amounts[line]) / units).min().unwrap_or(0);
                let taken = room.min(left);
                for (line, units) in self.parts(kit) {
                    amounts[line] += taken * units;
                }
                left -= taken;
                free += room;
            }
            for of_kits in [false, true] {
                let named = |line: &HoldLine| line.part_of.is_some() == of_kits && wanted.covers(&line.key);
                for (index, _) in self.lines.iter().enumerate().filter(|(_, line)| named(line)) {
                    let room = granted[index] - amounts[index];
                    let taken = room.min(left);
                    amounts[index] += taken;
                    left -= taken;
                    free += room;
                }
            }
            if left > 0 {
                return Err(Refusal::CommitExceedsHold { line: place, held: free, requested: wanted.quantity });
            }
        }
        for (kit, line) in self.kits.iter().enumerate() {
            if self.kits_in(kit, |line| amounts[line]).is_none() {
                return Err(Refusal::KitBroken { hold_id: self.hold_id, sku: line.key.sku.clone() });
            }
        }
        Ok(amounts)
    }

    fn refusal(&self, refusal: HoldRefusal) -> Refusal {
        let hold_id = self.hold_id;
        match refusal {
            HoldRefusal::NotHeld { state } => Refusal::HoldResolved { hold_id, state: state.as_str() },
            HoldRefusal::Expired { at } => Refusal::HoldExpired { hold_id, expired_at: at },
            HoldRefusal::ExceedsHold { line, held, requested } => Refusal::CommitExceedsHold { line, held, requested },
            HoldRefusal::NotExtendable => Refusal::HoldNotExtendable { hold_id },
            // Quantities and times are checked at the door; what is left can only mean that nothing is held.
            HoldRefusal::Negative { .. }
            | HoldRefusal::LineCount { .. }
            | HoldRefusal::ExpiryInPast
            | HoldRefusal::HoldsNothing => Refusal::HoldResolved { hold_id, state: Standing::Held.as_str() },
        }
    }
}
