//! What was answered to a request, kept beside its key so that a repetition gets the same.
//!
//! A resolved hold never changes again, so its id is enough; only an extension must remember its own expiry.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use oneshelf_values::{HoldId, HoldState, HoldTerms, hold::Hold};
use serde::{Deserialize, Serialize};

use super::{
    counts::CountRows,
    holds::{GrantedLineRow, granted_line, granted_line_row},
    inbounds::InboundRows,
    kits::KitRow,
    locations::LocationRow,
    lots::TrackingRow,
    policies::{RingFenceRow, SkuPolicyRow, StockPolicyRow},
    promises::PromiseRows,
    thresholds::ThresholdRow,
    transfers::TransferRows,
};
use crate::domain::{
    count::Count,
    drift::{Counters, Repaired},
    group::{
        Answer, Policies,
        bulk::{RowOutcome, RowRefusal, RowResult},
    },
    hold::StockHold,
    inbound::Inbound,
    location::{Location, LocationState},
    promise::Promise,
    stock_level::{Level, LevelKey},
    transfer::Transfer,
};

#[derive(Serialize, Deserialize)]
enum Stored {
    Hold {
        hold_id: uuid::Uuid,
        /// Set where the answer was a live hold: what it said of its expiry.
        live_until: Option<DateTime<Utc>>,
        /// Set where the answer was a live hold: its lines, since units may move later.
        #[serde(default)]
        lines: Option<Vec<GrantedLineRow>>,
    },
    /// SKU, location, then sellable, damaged, quarantine, soft, hard, safety stock, backorder limit, version, and what it
    /// has of its location.
    Levels(Vec<(String, String, [i64; 8], bool, String)>, DateTime<Utc>),
    StockPolicies(Vec<StockPolicyRow>),
    RingFences(Vec<RingFenceRow>),
    SkuPolicies(Vec<SkuPolicyRow>),
    Thresholds(Vec<ThresholdRow>),
    Kits(Vec<KitRow>),
    Tracking(Vec<TrackingRow>),
    Done,
    /// Documents change later, so they are kept as they were answered.
    Transfer(TransferRows),
    Count(CountRows),
    Inbound(InboundRows),
    Promise(PromiseRows),
}

pub fn encode(answer: &Answer) -> Vec<u8> {
    let stored = match answer {
        Answer::Hold(hold) => Stored::Hold {
            hold_id: hold.hold_id.into(),
            live_until: hold.promise.resolved_at().is_none().then(|| hold.expires_at()).flatten(),
            lines: hold.promise.resolved_at().is_none().then(|| {
                let granted = hold.promise.granted().iter();
                hold.lines.iter().zip(granted).map(|(line, held)| granted_line_row(line, *held)).collect()
            }),
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
        Answer::Transfer(transfer) => Stored::Transfer((&**transfer).into()),
        Answer::Count(count) => Stored::Count((&**count).into()),
        Answer::Inbound(inbound) => Stored::Inbound((&**inbound).into()),
        Answer::Promise(promise) => Stored::Promise((&**promise).into()),
        Answer::Policies(Policies::Stock(policies)) => {
            Stored::StockPolicies(policies.iter().map(StockPolicyRow::from).collect())
        }
        Answer::Policies(Policies::Fences(fences)) => {
            Stored::RingFences(fences.iter().map(RingFenceRow::from).collect())
        }
        Answer::Policies(Policies::Skus(policies)) => {
            Stored::SkuPolicies(policies.iter().map(SkuPolicyRow::from).collect())
        }
        Answer::Policies(Policies::Thresholds(thresholds)) => {
            Stored::Thresholds(thresholds.iter().map(ThresholdRow::from).collect())
        }
        Answer::Policies(Policies::Tracking(tracking)) => {
            Stored::Tracking(tracking.iter().map(TrackingRow::from).collect())
        }
        Answer::Policies(Policies::Kits(kits)) => Stored::Kits(kits.iter().map(KitRow::from).collect()),
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
        Stored::Hold { hold_id, live_until, lines } => {
            let mut hold = holds
                .get(&HoldId::from(hold_id))
                .cloned()
                .ok_or_else(|| unfit(format!("answer names the missing hold {hold_id}").into()))?;
            let mut granted = hold.promise.granted().to_vec();
            let was_live = live_until.is_some() || lines.is_some();
            if let Some(rows) = lines {
                let lines = rows.into_iter().map(granted_line).collect::<Result<Vec<_>, _>>()?;
                (hold.lines, granted) = lines.into_iter().map(|first| (first.line, first.held)).unzip();
            }
            if was_live {
                let terms = live_until.map_or(HoldTerms::Hard, |expires_at| HoldTerms::Soft { expires_at });
                hold.promise = Hold::restore(terms, granted, HoldState::Held).map_err(|error| unfit(error.into()))?;
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
                        kit: false,
                        version,
                    },
                ))
            })
            .collect::<Result<_, _>>()
            .map(|levels| Answer::Levels(levels, at)),
        Stored::Transfer(rows) => Transfer::try_from(rows).map(|transfer| Answer::Transfer(Box::new(transfer))),
        Stored::Count(rows) => Count::try_from(rows).map(|count| Answer::Count(Box::new(count))),
        Stored::Inbound(rows) => Inbound::try_from(rows).map(|inbound| Answer::Inbound(Box::new(inbound))),
        Stored::Promise(rows) => Promise::try_from(rows).map(|promise| Answer::Promise(Box::new(promise))),
        Stored::StockPolicies(rows) => policies(rows).map(Policies::Stock).map(Answer::Policies),
        Stored::RingFences(rows) => policies(rows).map(Policies::Fences).map(Answer::Policies),
        Stored::SkuPolicies(rows) => policies(rows).map(Policies::Skus).map(Answer::Policies),
        Stored::Thresholds(rows) => policies(rows).map(Policies::Thresholds).map(Answer::Policies),
        Stored::Tracking(rows) => policies(rows).map(Policies::Tracking).map(Answer::Policies),
        Stored::Kits(rows) => policies(rows).map(Policies::Kits).map(Answer::Policies),
        Stored::Done => Ok(Answer::Done),
    }
}

pub fn encode_class_counts(counts: [u64; 4]) -> Vec<u8> {
    serde_json::to_vec(&counts).unwrap_or_default()
}

/// The release before wrote three.
pub fn decode_class_counts(bytes: &[u8]) -> Result<[u64; 4], sqlx::Error> {
    let mut counts: Vec<u64> = serde_json::from_slice(bytes).map_err(|error| sqlx::Error::Decode(error.into()))?;
    counts.resize(4, 0);
    counts.try_into().map_err(|_| sqlx::Error::Decode("four counts are four".into()))
}

/// Results of rows, short: outcome, quantity, version. Thousands of them are kept for a week.
pub fn encode_rows(results: &[RowResult]) -> Vec<u8> {
    let stored: Vec<(u8, i64, i64)> = results
        .iter()
        .map(|result| {
            let place = OUTCOMES.iter().position(|outcome| *outcome == result.outcome).unwrap_or_default();
            (place as u8, result.quantity, result.version)
        })
        .collect();
    serde_json::to_vec(&stored).unwrap_or_default()
}

pub fn decode_rows(bytes: &[u8]) -> Result<Vec<RowResult>, sqlx::Error> {
    let stored: Vec<(u8, i64, i64)> =
        serde_json::from_slice(bytes).map_err(|error| sqlx::Error::Decode(error.into()))?;
    stored
        .into_iter()
        .map(|(outcome, quantity, version)| {
            let outcome = *OUTCOMES
                .get(usize::from(outcome))
                .ok_or_else(|| sqlx::Error::Decode(format!("{outcome} is no outcome of a row").into()))?;
            Ok(RowResult { outcome, quantity, version })
        })
        .collect()
}

/// A repair: the counters before and after, sellable, damaged, quarantine, soft and hard, and the level's version.
pub fn encode_repair(repaired: &Repaired) -> Vec<u8> {
    let stored = (counters(&repaired.before), counters(&repaired.after), repaired.version);
    serde_json::to_vec(&stored).unwrap_or_default()
}

pub fn decode_repair(bytes: &[u8]) -> Result<Repaired, sqlx::Error> {
    let (before, after, version): ([i64; 5], [i64; 5], i64) =
        serde_json::from_slice(bytes).map_err(|error| sqlx::Error::Decode(error.into()))?;
    let restored = |[sellable, damaged, quarantine, soft_held, hard_held]: [i64; 5]| Counters {
        sellable,
        damaged,
        quarantine,
        soft_held,
        hard_held,
    };
    Ok(Repaired { before: restored(before), after: restored(after), version })
}

fn counters(of: &Counters) -> [i64; 5] {
    [of.sellable, of.damaged, of.quarantine, of.soft_held, of.hard_held]
}

/// The stored number is the place here: only ever add at the end.
const OUTCOMES: [RowOutcome; 13] = [
    RowOutcome::Applied,
    RowOutcome::Unchanged,
    RowOutcome::Conflict,
    RowOutcome::Refused(RowRefusal::BadSku),
    RowOutcome::Refused(RowRefusal::BadLocation),
    RowOutcome::Refused(RowRefusal::BadBucket),
    RowOutcome::Refused(RowRefusal::BadQuantity),
    RowOutcome::Refused(RowRefusal::LocationNotFound),
    RowOutcome::Refused(RowRefusal::InsufficientStock),
    RowOutcome::Refused(RowRefusal::QuantityOverflow),
    RowOutcome::Refused(RowRefusal::LocationClosed),
    RowOutcome::Refused(RowRefusal::SkuIsKit),
    RowOutcome::Refused(RowRefusal::SkuTracked),
];

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_of_a_row_is_read_as_it_was_written() {
        let results = OUTCOMES.map(|outcome| RowResult { outcome, quantity: -3, version: 9 });
        assert_eq!(decode_rows(&encode_rows(&results)).unwrap(), results);
        assert!(decode_rows(b"[[13,0,0]]").is_err());
    }
}
