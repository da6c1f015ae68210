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
    ExceedsHold { line: usize, held: i64, requested: i64 },
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
    Resolved { committed: Vec<i64>, freed: Vec<i64> },
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
    pub fn grant(terms: HoldTerms, amounts: Vec<i64>, now: DateTime<Utc>) -> Result<Self, HoldRefusal> {
        if amounts.iter().any(|amount| *amount < 0) || amounts.iter().all(|amount| *amount == 0) {
            return Err(HoldRefusal::HoldsNothing);
        }
        if matches!(terms, HoldTerms::Soft { expires_at } if expires_at <= now) {
            return Err(HoldRefusal::ExpiryInPast);
        }
        Ok(Self { terms, granted: amounts, state: HoldState::Held })
    }

    /// A hold as read back from where it is kept.
    pub fn restore(terms: HoldTerms, granted: Vec<i64>, state: HoldState) -> Result<Self, InconsistentHold> {
        if granted.iter().any(|amount| *amount < 0) || granted.iter().all(|amount| *amount == 0) {
            return Err(InconsistentHold("holds nothing"));
        }
        match &state {
            HoldState::Committed { amounts, .. } => {
                if amounts.len() != granted.len() {
                    return Err(InconsistentHold("committed lines are not the held lines"));
                }
                if amounts.iter().zip(&granted).any(|(amount, held)| !(0..=*held).contains(amount)) {
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
        Ok(Self { terms, granted, state })
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
            HoldState::Committed { at, .. } | HoldState::Released { at } | HoldState::Expired { at } => Some(at),
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
            (Standing::Committed, HoldState::Committed { amounts, .. }) => {
                LineSplit { committed: amounts[line], released: granted - amounts[line], ..LineSplit::default() }
            }
            (Standing::Expired, _) => LineSplit { expired: granted, ..LineSplit::default() },
            (Standing::Released, _) => LineSplit { released: granted, ..LineSplit::default() },
            _ => LineSplit { held: granted, ..LineSplit::default() },
        }
    }

    /// Takes `amounts` per line and releases the rest. Taking nothing at all is a release.
    pub fn commit(&mut self, amounts: &[i64], now: DateTime<Utc>) -> Result<Resolution, HoldRefusal> {
        self.require_held(now)?;
        if amounts.len() != self.granted.len() {
            return Err(HoldRefusal::LineCount { lines: self.granted.len(), given: amounts.len() });
        }
        for (line, (&requested, &held)) in amounts.iter().zip(&self.granted).enumerate() {
            if requested < 0 {
                return Err(HoldRefusal::Negative { line });
            }
            if requested > held {
                return Err(HoldRefusal::ExceedsHold { line, held, requested });
            }
        }
        if amounts.iter().all(|amount| *amount == 0) {
            return self.release(now);
        }
        self.state = HoldState::Committed { at: now, amounts: amounts.to_vec() };
        Ok(Resolution::Resolved {
            committed: amounts.to_vec(),
            freed: self.granted.iter().zip(amounts).map(|(held, taken)| held - taken).collect(),
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
            (Standing::Expired, HoldTerms::Soft { expires_at }) => Err(HoldRefusal::Expired { at: expires_at }),
            (state, _) => Err(HoldRefusal::NotHeld { state }),
        }
    }

    fn all_freed(&self) -> Resolution {
        Resolution::Resolved { committed: vec![0; self.granted.len()], freed: self.granted.clone() }
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use proptest::prelude::*;

    use super::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_000 + second, 0).unwrap()
    }

    fn soft(seconds: i64) -> Hold {
        Hold::grant(HoldTerms::Soft { expires_at: at(seconds) }, vec![3, 5], at(0)).unwrap()
    }

    fn hard() -> Hold {
        Hold::grant(HoldTerms::Hard, vec![3, 5], at(0)).unwrap()
    }

    #[test]
    fn a_partial_commit_releases_the_rest() {
        let mut hold = soft(60);
        let resolution = hold.commit(&[2, 0], at(1)).unwrap();
        assert_eq!(resolution, Resolution::Resolved { committed: vec![2, 0], freed: vec![1, 5] });
        assert_eq!(hold.split(0, at(1)), LineSplit { committed: 2, released: 1, ..LineSplit::default() });
        assert_eq!(hold.resolved_at(), Some(at(1)));
    }

    #[test]
    fn committing_nothing_is_a_release() {
        let mut hold = hard();
        let resolution = hold.commit(&[0, 0], at(1)).unwrap();
        assert_eq!(resolution, Resolution::Resolved { committed: vec![0, 0], freed: vec![3, 5] });
        assert_eq!(hold.standing(at(1)), Standing::Released);
    }

    #[test]
    fn a_commit_beyond_the_hold_names_the_line_and_changes_nothing() {
        let mut hold = soft(60);
        let before = hold.clone();
        let exceeds = HoldRefusal::ExceedsHold { line: 1, held: 5, requested: 6 };
        assert_eq!(hold.commit(&[3, 6], at(1)), Err(exceeds));
        assert_eq!(hold.commit(&[3, -1], at(1)), Err(HoldRefusal::Negative { line: 1 }));
        assert_eq!(hold.commit(&[3], at(1)), Err(HoldRefusal::LineCount { lines: 2, given: 1 }));
        assert_eq!(hold, before);
    }

    #[test]
    fn expiry_is_a_matter_of_time_and_not_of_the_sweeper() {
        let mut hold = soft(60);
        assert_eq!(hold.standing(at(59)), Standing::Held);
        assert_eq!(hold.standing(at(60)), Standing::Expired);
        let expired = HoldRefusal::Expired { at: at(60) };
        assert_eq!(hold.commit_all(at(60)), Err(expired.clone()));
        assert_eq!(hold.release(at(60)), Err(expired.clone()));
        assert_eq!(hold.extend(at(120), at(60)), Err(expired.clone()));
        assert_eq!(hold.expire(at(59)), Resolution::AlreadySo);
        let freed = Resolution::Resolved { committed: vec![0, 0], freed: vec![3, 5] };
        assert_eq!(hold.expire(at(75)), freed);
        assert_eq!(hold.expire(at(76)), Resolution::AlreadySo);
        assert_eq!(hold.commit_all(at(76)), Err(expired));
    }

    #[test]
    fn a_hard_hold_does_not_expire_and_cannot_be_extended() {
        let mut hold = hard();
        let later = at(0) + TimeDelta::days(10_000);
        assert_eq!(hold.expire(later), Resolution::AlreadySo);
        assert_eq!(hold.extend(later + TimeDelta::days(1), later), Err(HoldRefusal::NotExtendable));
        assert!(matches!(hold.commit_all(later), Ok(Resolution::Resolved { .. })));
    }

    #[test]
    fn extending_moves_the_expiry_but_not_into_the_past() {
        let mut hold = soft(60);
        hold.extend(at(120), at(59)).unwrap();
        assert_eq!(hold.standing(at(119)), Standing::Held);
        assert_eq!(hold.extend(at(119), at(119)), Err(HoldRefusal::ExpiryInPast));
        assert_eq!(hold.terms(), HoldTerms::Soft { expires_at: at(120) });
    }

    #[test]
    fn releasing_twice_is_already_so() {
        let mut hold = soft(60);
        assert!(matches!(hold.release(at(1)), Ok(Resolution::Resolved { .. })));
        assert_eq!(hold.release(at(2)), Ok(Resolution::AlreadySo));
        // Also after the time that it would have expired at.
        assert_eq!(hold.release(at(61)), Ok(Resolution::AlreadySo));
        let refused = HoldRefusal::NotHeld { state: Standing::Released };
        assert_eq!(hold.commit_all(at(2)), Err(refused));
    }

    #[test]
    fn a_committed_hold_is_neither_committed_again_nor_released() {
        let mut hold = soft(60);
        hold.commit_all(at(1)).unwrap();
        let refused = HoldRefusal::NotHeld { state: Standing::Committed };
        assert_eq!(hold.commit_all(at(2)), Err(refused.clone()));
        assert_eq!(hold.release(at(2)), Err(refused.clone()));
        assert_eq!(hold.extend(at(120), at(2)), Err(refused));
        assert_eq!(hold.expire(at(61)), Resolution::AlreadySo);
    }

    #[test]
    fn a_hold_of_nothing_is_not_granted() {
        let terms = HoldTerms::Soft { expires_at: at(60) };
        for amounts in [vec![], vec![0, 0], vec![1, -1]] {
            assert_eq!(Hold::grant(terms, amounts, at(0)), Err(HoldRefusal::HoldsNothing));
        }
        assert_eq!(Hold::grant(terms, vec![1], at(60)), Err(HoldRefusal::ExpiryInPast));
    }

    #[test]
    fn what_cannot_be_a_hold_is_not_restored() {
        let committed = |amounts: Vec<i64>| HoldState::Committed { at: at(1), amounts };
        for state in [committed(vec![1]), committed(vec![4, 0]), committed(vec![0, 0]), committed(vec![-1, 1])] {
            assert!(Hold::restore(HoldTerms::Hard, vec![3, 5], state).is_err());
        }
        assert!(Hold::restore(HoldTerms::Hard, vec![3], HoldState::Expired { at: at(1) }).is_err());
        assert!(Hold::restore(HoldTerms::Hard, vec![0], HoldState::Held).is_err());
        assert_eq!("held".parse(), Ok(Standing::Held));
        assert!("HELD".parse::<Standing>().is_err());
    }

    #[derive(Debug, Clone)]
    enum Step {
        Commit(Vec<i64>),
        Release,
        Extend(i64),
        Expire,
        Wait(i64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            prop::collection::vec(-1..6_i64, 1..4).prop_map(Step::Commit),
            Just(Step::Release),
            (-5..40_i64).prop_map(Step::Extend),
            Just(Step::Expire),
            (0..15_i64).prop_map(Step::Wait),
        ];
        prop::collection::vec(step, 0..12)
    }

    /// The naive model: plain sums, no states. `left` is what is still promised; once it is given away it stays so.
    struct Model {
        expires: Option<i64>,
        left: Vec<i64>,
        committed: Vec<i64>,
        released: Vec<i64>,
        expired: Vec<i64>,
    }

    impl Model {
        fn tick(&mut self, now: i64) {
            if self.expires.is_some_and(|at| now >= at) {
                for (left, expired) in self.left.iter_mut().zip(&mut self.expired) {
                    *expired += std::mem::take(left);
                }
            }
        }

        fn is_live(&self) -> bool {
            self.left.iter().any(|left| *left > 0)
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn any_history_agrees_with_the_naive_model_and_conserves_every_line(
            granted in prop::collection::vec(0..5_i64, 1..4),
            ttl in prop::option::of(1..30_i64),
            steps in steps(),
        ) {
            prop_assume!(granted.iter().any(|amount| *amount > 0));
            let terms = ttl.map_or(HoldTerms::Hard, |ttl| HoldTerms::Soft { expires_at: at(ttl) });
            let mut hold = Hold::grant(terms, granted.clone(), at(0)).unwrap();
            let nothing = vec![0; granted.len()];
            let mut model = Model {
                expires: ttl,
                left: granted.clone(),
                committed: nothing.clone(),
                released: nothing.clone(),
                expired: nothing,
            };
            let (mut now, mut resolved) = (0, 0);

            for step in steps {
                let before = hold.clone();
                let result = match &step {
                    Step::Wait(seconds) => { now += seconds; Ok(Resolution::AlreadySo) }
                    Step::Commit(amounts) => hold.commit(amounts, at(now)),
                    Step::Release => hold.release(at(now)),
                    Step::Extend(to) => hold.extend(at(now + to), at(now)).map(|()| Resolution::AlreadySo),
                    Step::Expire => Ok(hold.expire(at(now))),
                };
                if result.is_err() {
                    prop_assert_eq!(&hold, &before, "a refused command changes nothing");
                }
                if matches!(result, Ok(Resolution::Resolved { .. })) {
                    resolved += 1;
                }

                model.tick(now);
                match step {
                    Step::Commit(amounts) => {
                        let fits = amounts.len() == granted.len()
                            && amounts.iter().zip(&granted).all(|(a, g)| (0..=*g).contains(a));
                        prop_assert_eq!(result.is_ok(), fits && model.is_live());
                        if result.is_ok() {
                            for (line, amount) in amounts.iter().enumerate() {
                                model.committed[line] = *amount;
                                model.released[line] = std::mem::take(&mut model.left[line]) - amount;
                            }
                        }
                    }
                    Step::Release if model.is_live() => {
                        prop_assert!(result.is_ok());
                        for (left, released) in model.left.iter_mut().zip(&mut model.released) {
                            *released += std::mem::take(left);
                        }
                    }
                    Step::Release => {
                        let was_released = model.released == granted;
                        prop_assert_eq!(result.is_ok(), was_released);
                    }
                    Step::Extend(to) => {
                        let allowed = model.is_live() && model.expires.is_some() && to > 0;
                        prop_assert_eq!(result.is_ok(), allowed);
                        if allowed {
                            model.expires = Some(now + to);
                        }
                    }
                    Step::Expire | Step::Wait(_) => {}
                }

                for (line, granted) in granted.iter().enumerate() {
                    let split = hold.split(line, at(now));
                    prop_assert_eq!(split.held, model.left[line]);
                    prop_assert_eq!(split.committed, model.committed[line]);
                    prop_assert_eq!(split.released, model.released[line]);
                    prop_assert_eq!(split.expired, model.expired[line]);
                    prop_assert_eq!(split.held + split.committed + split.released + split.expired, *granted);
                }
                prop_assert!(resolved <= 1, "a hold resolves at most once");
                let restored = Hold::restore(hold.terms(), hold.granted().to_vec(), hold.state().clone());
                prop_assert_eq!(restored.as_ref(), Ok(&hold));
            }
        }
    }
}
