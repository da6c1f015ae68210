//! Answers as they are kept under their request ids: a record changes later, but a repeated request must be told what
//! the first one was told.

use chrono::{DateTime, Utc};
use oneshelf_values::{Currency, Money, PartnerId, PriceListId};
use serde::{Deserialize, Serialize};

use crate::domain::{Account, Partner, Standing, Tier};

#[derive(Serialize, Deserialize)]
struct PartnerAnswer {
    partner_id: PartnerId,
    title: String,
    tier: TierAnswer,
    price_list_id: Option<PriceListId>,
    currency: Currency,
    limit_minor: i64,
    suspended_reason: Option<String>,
    version: i64,
    created_at: DateTime<Utc>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Tier", rename_all = "snake_case")]
enum TierDef {
    Standard,
    Silver,
    Gold,
}

#[derive(Serialize, Deserialize)]
struct TierAnswer(#[serde(with = "TierDef")] Tier);

#[derive(Serialize, Deserialize)]
struct AccountAnswer {
    partner_id: PartnerId,
    currency: Currency,
    limit_minor: i64,
    used_minor: i64,
    held_minor: i64,
    version: i64,
}

pub(crate) fn encode_partner(partner: &Partner) -> Vec<u8> {
    encode(&PartnerAnswer {
        partner_id: partner.id.clone(),
        title: partner.title.clone(),
        tier: TierAnswer(partner.tier),
        price_list_id: partner.price_list.clone(),
        currency: partner.credit_limit.currency(),
        limit_minor: partner.credit_limit.minor(),
        suspended_reason: match &partner.standing {
            Standing::Active => None,
            Standing::Suspended { reason } => Some(reason.clone()),
        },
        version: partner.version,
        created_at: partner.created_at,
    })
}

pub(crate) fn decode_partner(answer: &[u8]) -> Result<Partner, sqlx::Error> {
    let answer: PartnerAnswer = decode(answer)?;
    Ok(Partner {
        id: answer.partner_id,
        title: answer.title,
        tier: answer.tier.0,
        price_list: answer.price_list_id,
        credit_limit: Money::new(answer.limit_minor, answer.currency),
        standing: answer.suspended_reason.map_or(Standing::Active, |reason| Standing::Suspended { reason }),
        version: answer.version,
        created_at: answer.created_at,
    })
}

pub(crate) fn encode_account(account: &Account) -> Vec<u8> {
    encode(&AccountAnswer {
        partner_id: account.partner_id.clone(),
        currency: account.currency,
        limit_minor: account.limit_minor,
        used_minor: account.used_minor,
        held_minor: account.held_minor,
        version: account.version,
    })
}

pub(crate) fn decode_account(answer: &[u8]) -> Result<Account, sqlx::Error> {
    let answer: AccountAnswer = decode(answer)?;
    Ok(Account {
        partner_id: answer.partner_id,
        currency: answer.currency,
        limit_minor: answer.limit_minor,
        used_minor: answer.used_minor,
        held_minor: answer.held_minor,
        version: answer.version,
    })
}

fn encode(answer: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(answer).expect("plain values have a JSON form")
}

fn decode<'a, T: Deserialize<'a>>(answer: &'a [u8]) -> Result<T, sqlx::Error> {
    serde_json::from_slice(answer).map_err(|error| super::inconsistent("idempotency_keys", "answer", error))
}
