//! What was answered to a request, kept beside its key so that a repetition gets the same.
//!
//! A resolved hold never changes again, so its id is enough; only an extension must remember its own expiry.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use oneshelf_values::{HoldId, HoldState, HoldTerms, hold::Hold};
use serde::{Deserialize, Serialize};

use super::{
    locations::LocationRow,
    policies::{RingFenceRow, SkuPolicyRow, StockPolicyRow},
};
use crate::domain::{
    group::{Answer, Policies},
    hold::StockHold,
    location::{Location, LocationState},
    stock_level::{Level, LevelKey},
};

#[derive(Serialize, Deserialize)]
enum Stored {
    Hold {
        hold_id: uuid::Uuid,
        /// Set where the answer was a live hold: what it said of its expiry.
        live_until: Option<DateTime<Utc>>,
    },
    /// SKU, location, then sellable, damaged, quarantine, soft, hard, safety stock, backorder limit, version, and what it
    /// has of its location.
    Levels(Vec<(String, String, [i64; 8], bool, String)>, DateTime<Utc>),
    StockPolicies(Vec<StockPolicyRow>),
    RingFences(Vec<RingFenceRow>),
    SkuPolicies(Vec<SkuPolicyRow>),
    Done,
}

pub fn encode(answer: &Answer) -> Vec<u8> {
    let stored = match answer {
        Answer::Hold(hold) => Stored::Hold {
            hold_id: hold.hold_id.into(),
            live_until: hold.promise.resolved_at().is_none().then(|| hold.expires_at()).flatten(),
        },
        Answer::Levels(levels, at) => Stored::Levels(
            levels
                .iter()
                .map(|(key, level)| {
                    (
                        key.sku.as_str().to_owned(),
                        key.location.as_str().to_owned(),
                        [
                            level.sellable,
                            level.damaged,
                            level.quarantine,
                            level.soft_held,
                            level.hard_held,
                            level.safety_stock,
                            level.backorder_limit,
                            level.version,
                        ],
                        level.oversell_facts,
                        level.location.as_str().to_owned(),
                    )
                })
                .collect(),
            *at,
        ),
        Answer::Policies(Policies::Stock(policies)) => {
            Stored::StockPolicies(policies.iter().map(StockPolicyRow::from).collect())
        }
        Answer::Policies(Policies::Fences(fences)) => {
            Stored::RingFences(fences.iter().map(RingFenceRow::from).collect())
        }
        Answer::Policies(Policies::Skus(policies)) => {
            Stored::SkuPolicies(policies.iter().map(SkuPolicyRow::from).collect())
        }
        Answer::Done => Stored::Done,
    };
    // Plain structs of text and numbers always have a JSON form.
    serde_json::to_vec(&stored).unwrap_or_default()
}

/// `holds` has every hold that the group names.
#[expect(clippy::implicit_hasher, reason = "the one map it is given is the group's own")]
pub fn decode(bytes: &[u8], holds: &HashMap<HoldId, StockHold>) -> Result<Answer, sqlx::Error> {
    let unfit = |error: Box<dyn std::error::Error + Send + Sync>| sqlx::Error::Decode(error);
    match serde_json::from_slice(bytes).map_err(|error| unfit(error.into()))? {
        Stored::Hold { hold_id, live_until } => {
            let mut hold = holds
                .get(&HoldId::from(hold_id))
                .cloned()
                .ok_or_else(|| unfit(format!("answer names the missing hold {hold_id}").into()))?;
            if let Some(expires_at) = live_until {
                let granted = hold.promise.granted().to_vec();
                hold.promise = Hold::restore(HoldTerms::Soft { expires_at }, granted, HoldState::Held)
                    .map_err(|error| unfit(error.into()))?;
            }
            Ok(Answer::Hold(hold))
        }
        Stored::Levels(rows, at) => rows
            .into_iter()
            .map(|(sku, location, counts, oversell_facts, state)| {
                let [sellable, damaged, quarantine, soft_held, hard_held, safety_stock, backorder_limit, version] =
                    counts;
                Ok((
                    LevelKey {
                        sku: super::parse("idempotency_keys", "response", &sku)?,
                        location: super::parse("idempotency_keys", "response", &location)?,
                    },
                    Level {
                        sellable,
                        damaged,
                        quarantine,
                        soft_held,
                        hard_held,
                        oversell_facts,
                        location: LocationState::parse(&state)
                            .ok_or_else(|| unfit(format!("answer names the unknown state {state}").into()))?,
                        safety_stock,
                        backorder_limit,
                        has_rules: false,
                        version,
                    },
                ))
            })
            .collect::<Result<_, _>>()
            .map(|levels| Answer::Levels(levels, at)),
        Stored::StockPolicies(rows) => policies(rows).map(Policies::Stock).map(Answer::Policies),
        Stored::RingFences(rows) => policies(rows).map(Policies::Fences).map(Answer::Policies),
        Stored::SkuPolicies(rows) => policies(rows).map(Policies::Skus).map(Answer::Policies),
        Stored::Done => Ok(Answer::Done),
    }
}

fn policies<R, P: TryFrom<R, Error = sqlx::Error>>(rows: Vec<R>) -> Result<Vec<P>, sqlx::Error> {
    rows.into_iter().map(P::try_from).collect()
}

/// A location as it was answered: it changes, so its id is not enough.
pub fn encode_location(location: &Location) -> Vec<u8> {
    serde_json::to_vec(&LocationRow::from(location)).unwrap_or_default()
}

pub fn decode_location(bytes: &[u8]) -> Result<Location, sqlx::Error> {
    serde_json::from_slice::<LocationRow>(bytes).map_err(|error| sqlx::Error::Decode(error.into()))?.try_into()
}
