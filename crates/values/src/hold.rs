//! A hold: something scarce that is promised to somebody. Stock units, a partner's credit, later coupons and points all
//! follow this one machine; a line is one thing held (one SKU at one location; credit has a single line of minor units).
//!
//! ```text
//!            commit(some or all) ──▶ Committed   (what was not taken is released)
//!   Held ──┬ release ─────────────▶ Released
//!          ├ commit(nothing) ─────▶ Released
//!          └ now ≥ expires_at ────▶ Expired     (soft holds only)
//! ```
//!
//! Rules:
//! - A hold resolves at most once, and then for all its lines: committed + released + expired = granted, per line (Q6).
//! - Expiry is a function of time, not an event. From `expires_at` on a soft hold gives nothing any more, whether or
//!   not the sweeper has come by; [`Hold::expire`] only records it.
//! - A refused command changes nothing.
//! - What is already so is a success: releasing a released hold answers [`Resolution::AlreadySo`].

use chrono::{DateTime, Utc};

/// How long the promise lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HoldTerms {
    /// A cart's or checkout's promise.
    Soft { expires_at: DateTime<Utc> },
    /// Bound to an order until it is committed or released.
    Hard,
}

/// Where a hold stands, as recorded. Use [`Hold::standing`] to take the time into account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HoldState {
    Held,
    /// `amounts` were taken, per line.
    Committed {
        at: DateTime<Utc>,
        amounts: Vec<i64>,
    },
    Released {
        at: DateTime<Utc>,
    },
    /// `at` is when it was recorded; it took effect at the terms' `expires_at`.
    Expired {
        at: DateTime<Utc>,
    },
}

/// The state without its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Standing {
    Held,
    Committed,
    Released,
    Expired,
}

impl Standing {
    /// The lower-case word, as stored and as shown in error metadata.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Committed => "committed",
            Self::Released => "released",
            Self::Expired => "expired",
        }
    }
}

impl std::fmt::Display for Standing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

impl std::str::FromStr for Standing {
    type Err = InconsistentHold;

    fn from_str(text: &str) -> Result<Self, InconsistentHold> {
        [Self::Held, Self::Committed, Self::Released, Self::Expired]
            .into_iter()
            .find(|standing| standing.as_str() == text)
            .ok_or(InconsistentHold("unknown state"))
    }
}

/// Where the units of one line are: `held + committed + released + expired` = granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LineSplit {
    pub held: i64,
    pub committed: i64,
    pub released: i64,
    pub expired: i64,
}

/// Why a command was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HoldRefusal {
    #[error("the hold is {state}")]
    NotHeld { state: Standing },
    #[error("the hold expired at {at}")]
    Expired { at: DateTime<Utc> },
    #[error("line {line} holds {held}, {requested} requested")]
    ExceedsHold {
        line: usize,
        held: i64,
        requested: i64,
    },
    #[error("line {line} asks for a negative amount")]
    Negative { line: usize },
    #[error("{given} amounts were given for {lines} lines")]
    LineCount { lines: usize, given: usize },
    #[error("a hard hold has no expiry to move")]
    NotExtendable,
    #[error("the expiry must lie in the future")]
    ExpiryInPast,
    #[error("a hold must hold something, and no line less than nothing")]
    HoldsNothing,
}

/// What is stored cannot be a hold: says what is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("inconsistent hold: {0}")]
pub struct InconsistentHold(pub &'static str);

/// What resolving did. The amounts are per line, in line order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolution {
    /// The hold was resolved by this command: `committed` leaves for good, `freed` is available to others again.
    Resolved {
        committed: Vec<i64>,
        freed: Vec<i64>,
    },
    /// Nothing changed.
    AlreadySo,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    terms: HoldTerms,
    granted: Vec<i64>,
    state: HoldState,
}

impl Hold {
    /// Grants a hold of these amounts. A line may be empty (a partial grant), the whole may not.
    pub fn grant(
        terms: HoldTerms,
        amounts: Vec<i64>,
        now: DateTime<Utc>,
    ) -> Result<Self, HoldRefusal> {
        if amounts.iter().any(|amount| *amount < 0) || amounts.iter().all(|amount| *amount == 0) {
            return Err(HoldRefusal::HoldsNothing);
        }
        if matches!(terms, HoldTerms::Soft { expires_at } if expires_at <= now) {
            return Err(HoldRefusal::ExpiryInPast);
        }
        Ok(Self {
            terms,
            granted: amounts,
            state: HoldState::Held,
        })
    }

    /// A hold as read back from where it is kept.
    pub fn restore(
        terms: HoldTerms,
        granted: Vec<i64>,
        state: HoldState,
    ) -> Result<Self, InconsistentHold> {
        if granted.iter().any(|amount| *amount < 0) || granted.iter().all(|amount| *amount == 0) {
            return Err(InconsistentHold("holds nothing"));
        }
        match &state {
            HoldState::Committed { amounts, .. } => {
                if amounts.len() != granted.len() {
                    return Err(InconsistentHold("committed lines are not the held lines"));
                }
                if amounts
                    .iter()
                    .zip(&granted)
                    .any(|(amount, held)| !(0..=*held).contains(amount))
                {
                    return Err(InconsistentHold("committed more than held"));
                }
                if amounts.iter().all(|amount| *amount == 0) {
                    return Err(InconsistentHold("committed nothing"));
                }
            }
            HoldState::Expired { .. } if terms == HoldTerms::Hard => {
                return Err(InconsistentHold("a hard hold expired"));
            }
            HoldState::Held | HoldState::Released { .. } | HoldState::Expired { .. } => {}
        }
        Ok(Self {
            terms,
            granted,
            state,
        })
    }

    pub fn terms(&self) -> HoldTerms {
        self.terms
    }

    /// What was granted, per line.
    pub fn granted(&self) -> &[i64] {
        &self.granted
    }

    /// The state as recorded.
    pub fn state(&self) -> &HoldState {
        &self.state
    }

    /// When it was recorded as resolved.
    pub fn resolved_at(&self) -> Option<DateTime<Utc>> {
        match self.state {
            HoldState::Held => None,
            HoldState::Committed { at, .. }
            | HoldState::Released { at }
            | HoldState::Expired { at } => Some(at),
        }
    }

    /// Where the hold stands at `now`: a held one is expired from its expiry on, recorded or not.
    pub fn standing(&self, now: DateTime<Utc>) -> Standing {
        match self.state {
            HoldState::Held if self.is_due(now) => Standing::Expired,
            HoldState::Held => Standing::Held,
            HoldState::Committed { .. } => Standing::Committed,
            HoldState::Released { .. } => Standing::Released,
            HoldState::Expired { .. } => Standing::Expired,
        }
    }

    /// Where the units of a line are at `now`.
    pub fn split(&self, line: usize, now: DateTime<Utc>) -> LineSplit {
        let granted = self.granted[line];
        match (self.standing(now), &self.state) {
            (Standing::Committed, HoldState::Committed { amounts, .. }) => LineSplit {
                committed: amounts[line],
                released: granted - amounts[line],
                ..LineSplit::default()
            },
            (Standing::Expired, _) => LineSplit {
                expired: granted,
                ..LineSplit::default()
            },
            (Standing::Released, _) => LineSplit {
                released: granted,
                ..LineSplit::default()
            },
            _ => LineSplit {
                held: granted,
                ..LineSplit::default()
            },
        }
    }

    /// Takes `amounts` per line and releases the rest. Taking nothing at all is a release.
    pub fn commit(
        &mut self,
        amounts: &[i64],
        now: DateTime<Utc>,
    ) -> Result<Resolution, HoldRefusal> {
        self.require_held(now)?;
        if amounts.len() != self.granted.len() {
            return Err(HoldRefusal::LineCount {
                lines: self.granted.len(),
                given: amounts.len(),
            });
        }
        for (line, (&requested, &held)) in amounts.iter().zip(&self.granted).enumerate() {
            if requested < 0 {
                return Err(HoldRefusal::Negative { line });
            }
            if requested > held {
                return Err(HoldRefusal::ExceedsHold {
                    line,
                    held,
                    requested,
                });
            }
        }
        if amounts.iter().all(|amount| *amount == 0) {
            return self.release(now);
        }
        self.state = HoldState::Committed {
            at: now,
            amounts: amounts.to_vec(),
        };
        Ok(Resolution::Resolved {
            committed: amounts.to_vec(),
            freed: self
                .granted
                .iter()
                .zip(amounts)
                .map(|(held, taken)| held - taken)
                .collect(),
        })
    }

    /// Takes everything that is held.
    pub fn commit_all(&mut self, now: DateTime<Utc>) -> Result<Resolution, HoldRefusal> {
        let all = self.granted.clone();
        self.commit(&all, now)
    }

    /// Gives everything back.
    pub fn release(&mut self, now: DateTime<Utc>) -> Result<Resolution, HoldRefusal> {
        if matches!(self.state, HoldState::Released { .. }) {
            return Ok(Resolution::AlreadySo);
        }
        self.require_held(now)?;
        self.state = HoldState::Released { at: now };
        Ok(self.all_freed())
    }

    /// Moves the expiry of a live soft hold; earlier is allowed, but not into the past.
    pub fn extend(&mut self, until: DateTime<Utc>, now: DateTime<Utc>) -> Result<(), HoldRefusal> {
        self.require_held(now)?;
        match &mut self.terms {
            HoldTerms::Hard => Err(HoldRefusal::NotExtendable),
            HoldTerms::Soft { .. } if until <= now => Err(HoldRefusal::ExpiryInPast),
            HoldTerms::Soft { expires_at } => {
                *expires_at = until;
                Ok(())
            }
        }
    }

    /// Records an expiry that is due. Anything else is left as it is, so a sweeper may run twice and late.
    pub fn expire(&mut self, now: DateTime<Utc>) -> Resolution {
        if matches!(self.state, HoldState::Held) && self.is_due(now) {
            self.state = HoldState::Expired { at: now };
            self.all_freed()
        } else {
            Resolution::AlreadySo
        }
    }

    fn is_due(&self, now: DateTime<Utc>) -> bool {
        matches!(self.terms, HoldTerms::Soft { expires_at } if now >= expires_at)
    }

    fn require_held(&self, now: DateTime<Utc>) -> Result<(), HoldRefusal> {
        match (self.standing(now), self.terms) {
            (Standing::Held, _) => Ok(()),
            (Standing::Expired, HoldTerms::Soft { expires_at }) => {
                Err(HoldRefusal::Expired { at: expires_at })
            }
            (state, _) => Err(HoldRefusal::NotHeld { state }),
        }
    }

    fn all_freed(&self) -> Resolution {
        Resolution::Resolved {
            committed: vec![0; self.granted.len()],
            freed: self.granted.clone(),
        }
    }
}
