//! A dealer that buys on account. Every change returns the changed record with its version risen by one; a change
//! that is already so returns nothing, and nothing is written or told for it.

use chrono::{DateTime, Utc};
use oneshelf_values::{Money, PartnerId, PriceListId};

use super::Refusal;

/// The dealer's standing in the programme.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tier {
    Standard,
    Silver,
    Gold,
}

/// Whether business is done with the partner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    Active,
    Suspended { reason: String },
}

/// What the operator says when adding a partner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPartner {
    pub id: PartnerId,
    pub title: String,
    pub tier: Tier,
    pub price_list: Option<PriceListId>,
    pub credit_limit: Money,
}

/// The partner's record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partner {
    pub id: PartnerId,
    pub title: String,
    pub tier: Tier,
    pub price_list: Option<PriceListId>,
    /// Kept on the credit account; its currency is the account's for good.
    pub credit_limit: Money,
    pub standing: Standing,
    pub version: i64,
    pub created_at: DateTime<Utc>,
}

impl Partner {
    pub fn new(new: NewPartner, now: DateTime<Utc>) -> Self {
        Self {
            id: new.id,
            title: new.title,
            tier: new.tier,
            price_list: new.price_list,
            credit_limit: new.credit_limit,
            standing: Standing::Active,
            version: 1,
            created_at: now,
        }
    }

    /// `None`: suspended before; the first reason stands.
    pub fn suspend(&self, reason: String) -> Option<Self> {
        match self.standing {
            Standing::Suspended { .. } => None,
            Standing::Active => Some(self.changed(|partner| partner.standing = Standing::Suspended { reason })),
        }
    }

    /// `None`: active already.
    pub fn reinstate(&self) -> Option<Self> {
        match self.standing {
            Standing::Active => None,
            Standing::Suspended { .. } => Some(self.changed(|partner| partner.standing = Standing::Active)),
        }
    }

    /// `None`: the limit is that already. A limit below what is used and held only stops new holds.
    pub fn limit_credit(&self, limit: Money, expected_version: Option<i64>) -> Result<Option<Self>, Refusal> {
        if let Some(expected) = expected_version.filter(|expected| *expected != self.version) {
            return Err(Refusal::VersionMismatch { partner_id: self.id.clone(), expected, actual: self.version });
        }
        if limit.currency() != self.credit_limit.currency() {
            return Err(Refusal::CurrencyMismatch {
                partner_id: self.id.clone(),
                given: limit.currency(),
                account: self.credit_limit.currency(),
            });
        }
        if limit == self.credit_limit {
            return Ok(None);
        }
        Ok(Some(self.changed(|partner| partner.credit_limit = limit)))
    }

    fn changed(&self, change: impl FnOnce(&mut Self)) -> Self {
        let mut next = self.clone();
        change(&mut next);
        next.version += 1;
        next
    }
}
