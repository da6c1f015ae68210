//! A partner's credit account.
//!
//! ```text
//! limit ─┬─ used       captured and not paid back = Σ entries
//!        ├─ held       promised to open holds     = Σ amounts of open holds
//!        └─ available  what a new hold may take
//! ```
//!
//! used + held ≤ limit holds whenever a hold is granted (M4). It may be passed later by lowering the limit or by a
//! return that costs more than it refunds; then nothing new is granted until it holds again. A hold is
//! `values::Hold` with one line of minor units and no expiry: an order captures or releases its own.
//!
//! A refused command changes nothing.

use chrono::{DateTime, Utc};
use oneshelf_values::{Currency, Hold, HoldId, HoldRefusal, HoldState, HoldTerms, Money, PartnerId, hold::Resolution};
use uuid::Uuid;

use super::{Refusal, Standing};

/// Where a partner's credit stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    pub partner_id: PartnerId,
    pub currency: Currency,
    pub limit_minor: i64,
    pub used_minor: i64,
    pub held_minor: i64,
    pub version: i64,
}

/// Credit promised to an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreditHold {
    pub id: HoldId,
    pub partner_id: PartnerId,
    pub currency: Currency,
    /// One line, in minor units.
    pub hold: Hold,
    pub evidence: Evidence,
    pub reference: String,
    pub created_at: DateTime<Utc>,
}

/// That used + held ≤ limit when a hold was granted (M4), kept with the hold: the limit may be lowered later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Evidence {
    /// used + held, this hold included.
    pub exposure_minor: i64,
    pub limit_minor: i64,
}

/// Why `used` changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryReason {
    Capture,
    Payment,
    Return,
}

/// One line of the account's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub partner_id: PartnerId,
    pub reason: EntryReason,
    /// Raises `used` when positive.
    pub amount_minor: i64,
    pub reference: String,
    /// The hold, payment or return that it comes from: one entry each.
    pub cause_id: Uuid,
    pub created_at: DateTime<Utc>,
}

/// What a new hold is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldRequest {
    pub id: HoldId,
    pub amount: Money,
    pub reference: String,
}

impl Account {
    pub fn limit(&self) -> Money {
        Money::new(self.limit_minor, self.currency)
    }

    pub fn used(&self) -> Money {
        Money::new(self.used_minor, self.currency)
    }

    pub fn held(&self) -> Money {
        Money::new(self.held_minor, self.currency)
    }

    /// What a new hold may take; never below zero.
    pub fn available(&self) -> Money {
        // In i128: a partner far in credit has more than an i64 of headroom.
        let headroom = i128::from(self.limit_minor) - i128::from(self.used_minor) - i128::from(self.held_minor);
        Money::new(headroom.clamp(0, i128::from(i64::MAX)) as i64, self.currency)
    }

    /// Grants a hold if the partner is active and the credit is there.
    pub fn hold(
        &mut self,
        standing: &Standing,
        request: HoldRequest,
        now: DateTime<Utc>,
    ) -> Result<CreditHold, Refusal> {
        if matches!(standing, Standing::Suspended { .. }) {
            return Err(Refusal::PartnerSuspended { partner_id: self.partner_id.clone() });
        }
        self.require_currency(request.amount)?;
        let available = self.available();
        if request.amount.minor() > available.minor() {
            return Err(Refusal::CreditExceeded {
                partner_id: self.partner_id.clone(),
                requested: request.amount,
                available,
            });
        }
        let held = self.held_minor.checked_add(request.amount.minor()).ok_or_else(|| self.overflow())?;
        let exposure_minor = self.used_minor.checked_add(held).ok_or_else(|| self.overflow())?;
        let hold = Hold::grant(HoldTerms::Hard, vec![request.amount.minor()], now)
            .expect("the door lets no amount in that is not above zero");
        self.held_minor = held;
        self.version += 1;
        Ok(CreditHold {
            id: request.id,
            partner_id: self.partner_id.clone(),
            currency: self.currency,
            hold,
            evidence: Evidence { exposure_minor, limit_minor: self.limit_minor },
            reference: request.reference,
            created_at: now,
        })
    }

    /// Uses held credit; what is not captured is released. `amount`: all of it when `None`; nothing releases the hold
    /// and leaves no entry.
    pub fn capture(
        &mut self,
        hold: &mut CreditHold,
        amount: Option<Money>,
        now: DateTime<Utc>,
    ) -> Result<Option<Entry>, Refusal> {
        let amount = amount.unwrap_or(hold.amount());
        self.require_currency(amount)?;
        let mut resolved = hold.hold.clone();
        resolved.commit(&[amount.minor()], now).map_err(|refusal| hold.refused(&refusal, amount))?;
        let used = self.used_minor.checked_add(amount.minor()).ok_or_else(|| self.overflow())?;
        hold.hold = resolved;
        self.held_minor -= hold.amount().minor();
        self.used_minor = used;
        self.version += 1;
        Ok((!amount.is_zero()).then(|| Entry {
            partner_id: self.partner_id.clone(),
            reason: EntryReason::Capture,
            amount_minor: amount.minor(),
            reference: hold.reference.clone(),
            cause_id: hold.id.into(),
            created_at: now,
        }))
    }

    /// Gives held credit back; `false`: released before, nothing changed.
    pub fn release(&mut self, hold: &mut CreditHold, now: DateTime<Utc>) -> Result<bool, Refusal> {
        let nothing = Money::zero(hold.currency);
        match hold.hold.release(now).map_err(|refusal| hold.refused(&refusal, nothing))? {
            Resolution::AlreadySo => Ok(false),
            Resolution::Resolved { .. } => {
                self.held_minor -= hold.amount().minor();
                self.version += 1;
                Ok(true)
            }
        }
    }

    /// Lowers what is used by what the partner paid; the rest of an overpayment is credit.
    pub fn pay(
        &mut self,
        payment_id: Uuid,
        amount: Money,
        reference: String,
        now: DateTime<Utc>,
    ) -> Result<Entry, Refusal> {
        self.lower_used(EntryReason::Payment, payment_id, amount, reference, now)
    }

    /// Lowers what is used by what a return gives back: the refund for its goods less its fees. A return whose fees pass
    /// its refund raises it, beyond the limit if need be.
    pub fn give_back(&mut self, return_id: Uuid, refund: Money, now: DateTime<Utc>) -> Result<Entry, Refusal> {
        self.lower_used(EntryReason::Return, return_id, refund, return_id.to_string(), now)
    }

    fn lower_used(
        &mut self,
        reason: EntryReason,
        cause_id: Uuid,
        by: Money,
        reference: String,
        now: DateTime<Utc>,
    ) -> Result<Entry, Refusal> {
        self.require_currency(by)?;
        let amount_minor = by.minor().checked_neg().ok_or_else(|| self.overflow())?;
        self.used_minor = self.used_minor.checked_add(amount_minor).ok_or_else(|| self.overflow())?;
        self.version += 1;
        let partner_id = self.partner_id.clone();
        Ok(Entry { partner_id, reason, amount_minor, reference, cause_id, created_at: now })
    }

    fn require_currency(&self, amount: Money) -> Result<(), Refusal> {
        if amount.currency() == self.currency {
            return Ok(());
        }
        Err(Refusal::CurrencyMismatch {
            partner_id: self.partner_id.clone(),
            given: amount.currency(),
            account: self.currency,
        })
    }

    fn overflow(&self) -> Refusal {
        Refusal::AmountOverflow { partner_id: self.partner_id.clone() }
    }
}

impl CreditHold {
    pub fn amount(&self) -> Money {
        Money::new(self.hold.granted()[0], self.currency)
    }

    pub fn captured(&self) -> Money {
        let captured_minor = match self.hold.state() {
            HoldState::Committed { amounts, .. } => amounts[0],
            HoldState::Held | HoldState::Released { .. } | HoldState::Expired { .. } => 0,
        };
        Money::new(captured_minor, self.currency)
    }

    /// The hold as it was when it was granted.
    #[must_use]
    pub fn as_granted(&self) -> Self {
        let hold = Hold::restore(self.hold.terms(), self.hold.granted().to_vec(), HoldState::Held)
            .expect("a hold that was granted holds something");
        Self { hold, ..self.clone() }
    }

    fn refused(&self, refusal: &HoldRefusal, requested: Money) -> Refusal {
        match refusal {
            HoldRefusal::ExceedsHold { .. } => {
                Refusal::CaptureExceedsHold { hold_id: self.id, held: self.amount(), requested }
            }
            _ => Refusal::HoldResolved { hold_id: self.id },
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GBP: Currency = Currency::GBP;

    fn now() -> DateTime<Utc> {
        "2026-11-23T10:00:00Z".parse().unwrap()
    }

    fn id(n: u128) -> Uuid {
        Uuid::from_u128(n)
    }

    fn pence(minor: i64) -> Money {
        Money::new(minor, GBP)
    }

    fn account(limit_minor: i64) -> Account {
        let partner_id = "D-1".parse().unwrap();
        Account { partner_id, currency: GBP, limit_minor, used_minor: 0, held_minor: 0, version: 1 }
    }

    fn hold(account: &mut Account, n: u128, minor: i64) -> Result<CreditHold, Refusal> {
        let request = HoldRequest { id: id(n).into(), amount: pence(minor), reference: String::new() };
        account.hold(&Standing::Active, request, now())
    }

    #[test]
    fn credit_is_held_up_to_the_limit_and_not_beyond() {
        let mut account = account(1_000);
        hold(&mut account, 1, 1_000).unwrap();
        let before = account.clone();
        assert_eq!(
            hold(&mut account, 2, 1),
            Err(Refusal::CreditExceeded {
                partner_id: account.partner_id.clone(),
                requested: pence(1),
                available: pence(0),
            })
        );
        assert_eq!(account, before);
    }

    #[test]
    fn a_suspended_partner_gets_no_new_hold_but_resolves_old_ones() {
        let mut account = account(1_000);
        let mut open = hold(&mut account, 1, 400).unwrap();
        let request = HoldRequest { id: id(2).into(), amount: pence(1), reference: String::new() };
        let suspended = Standing::Suspended { reason: "late".to_owned() };
        assert!(matches!(account.hold(&suspended, request, now()), Err(Refusal::PartnerSuspended { .. })));
        account.capture(&mut open, None, now()).unwrap();
        assert_eq!(account.used_minor, 400);
    }

    #[test]
    fn capturing_a_part_releases_the_rest() {
        let mut account = account(1_000);
        let mut open = hold(&mut account, 1, 900).unwrap();
        let entry = account.capture(&mut open, Some(pence(600)), now()).unwrap().unwrap();
        assert_eq!((entry.amount_minor, account.used_minor, account.held_minor), (600, 600, 0));
        assert_eq!(open.captured(), pence(600));
        assert!(matches!(account.capture(&mut open, None, now()), Err(Refusal::HoldResolved { .. })));
        assert!(matches!(account.release(&mut open, now()), Err(Refusal::HoldResolved { .. })));
    }

    #[test]
    fn capturing_nothing_releases_and_leaves_no_entry() {
        let mut account = account(1_000);
        let mut open = hold(&mut account, 1, 900).unwrap();
        assert_eq!(account.capture(&mut open, Some(pence(0)), now()), Ok(None));
        assert_eq!((account.used_minor, account.held_minor), (0, 0));
        assert!(matches!(open.hold.state(), HoldState::Released { .. }));
    }

    #[test]
    fn a_refused_capture_leaves_the_hold_open() {
        let mut account = account(1_000);
        let mut open = hold(&mut account, 1, 900).unwrap();
        let before = (account.clone(), open.clone());
        assert!(matches!(account.capture(&mut open, Some(pence(901)), now()), Err(Refusal::CaptureExceedsHold { .. })));
        let euros = Money::new(1, Currency::EUR);
        assert!(matches!(account.capture(&mut open, Some(euros), now()), Err(Refusal::CurrencyMismatch { .. })));
        account.used_minor = i64::MAX;
        assert!(matches!(account.capture(&mut open, None, now()), Err(Refusal::AmountOverflow { .. })));
        account.used_minor = 0;
        assert_eq!((account, open), before);
    }

    #[test]
    fn releasing_twice_is_the_same_as_once() {
        let mut account = account(1_000);
        let mut open = hold(&mut account, 1, 900).unwrap();
        account.release(&mut open, now()).unwrap();
        let once = account.clone();
        account.release(&mut open, now()).unwrap();
        assert_eq!(account, once);
        assert_eq!(account.available(), pence(1_000));
    }

    #[test]
    fn a_partner_far_in_credit_overflows_nothing() {
        let mut account = account(i64::MAX);
        account.pay(id(1), pence(i64::MAX), String::new(), now()).unwrap();
        assert_eq!(account.available(), pence(i64::MAX));
        assert_eq!(account.give_back(id(2), pence(i64::MAX), now()), Err(account.overflow()));
        assert_eq!(account.give_back(id(2), pence(i64::MIN), now()), Err(account.overflow()));
    }

    #[derive(Debug, Clone)]
    enum Step {
        Hold(i64),
        Capture(usize, i64),
        Release(usize),
        Pay(i64),
        GiveBack(i64),
        Limit(i64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (1_i64..600).prop_map(Step::Hold),
            (0_usize..20, 0_i64..700).prop_map(|(nth, amount)| Step::Capture(nth, amount)),
            (0_usize..20).prop_map(Step::Release),
            (1_i64..500).prop_map(Step::Pay),
            (-50_i64..300).prop_map(Step::GiveBack),
            (0_i64..1_500).prop_map(Step::Limit),
        ]
    }

    proptest! {
        /// M4 at each grant; used = Σ entries and held = Σ open holds after each step.
        #[test]
        fn the_account_adds_up_after_every_step(steps in prop::collection::vec(step(), 1..60)) {
            let mut account = account(1_000);
            let mut holds: Vec<CreditHold> = Vec::new();
            let mut entries: Vec<Entry> = Vec::new();
            for (n, step) in (0..).zip(steps) {
                match step {
                    Step::Hold(amount) => {
                        if let Ok(granted) = hold(&mut account, n, amount) {
                            prop_assert!(account.used_minor + account.held_minor <= account.limit_minor);
                            holds.push(granted);
                        }
                    }
                    Step::Capture(nth, amount) => {
                        if let Some(open) = holds.get_mut(nth) {
                            entries.extend(account.capture(open, Some(pence(amount)), now()).ok().flatten());
                        }
                    }
                    Step::Release(nth) => {
                        if let Some(open) = holds.get_mut(nth) {
                            let _ = account.release(open, now());
                        }
                    }
                    Step::Pay(amount) => {
                        entries.push(account.pay(id(n), pence(amount), String::new(), now()).unwrap());
                    }
                    Step::GiveBack(amount) => entries.push(account.give_back(id(n), pence(amount), now()).unwrap()),
                    Step::Limit(limit) => account.limit_minor = limit,
                }
                prop_assert_eq!(account.used_minor, entries.iter().map(|entry| entry.amount_minor).sum::<i64>());
                let open = holds.iter().filter(|hold| hold.hold.resolved_at().is_none());
                prop_assert_eq!(account.held_minor, open.map(|hold| hold.amount().minor()).sum::<i64>());
                prop_assert!(account.available().minor() >= 0);
            }
        }
    }
}
