//! Counts on the shelf: freezing what the books say, and posting what they were wrong by.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use oneshelf_values::{CountId, LocationId, Sku};
use uuid::Uuid;

use super::{Account, AdjustmentReason, Answer, Bucket, Cause, MoveKind, Posting, Refusal, Shelf};
use crate::domain::{
    count::{Count, CountKind, CountLine, CountState},
    document::{DocumentKind, Documents},
    stock_level::LevelKey,
};

/// A command on one count.
#[derive(Debug, Clone)]
pub struct CountCommand {
    pub count_id: CountId,
    /// `None`: whatever version there is.
    pub expected_version: Option<i64>,
    /// The request that asks.
    pub movement_id: Uuid,
    pub effective_at: DateTime<Utc>,
    pub act: CountAct,
}

#[derive(Debug, Clone)]
pub enum CountAct {
    Start(NewCount),
    Record { entries: Vec<(Sku, i64)>, add: bool },
    Recount(Vec<Sku>),
    Approve { uncounted_is_zero: bool },
    Post(AdjustmentReason),
    Cancel,
}

#[derive(Debug, Clone)]
pub struct NewCount {
    pub location: LocationId,
    pub bucket: Bucket,
    pub kind: CountKind,
    pub reference: String,
    pub skus: Vec<Sku>,
}

impl CountCommand {
    /// The levels that the command looks at.
    pub fn level_keys(&self, documents: &Documents) -> Vec<LevelKey> {
        let count = documents.counts.get(&self.count_id);
        let (location, skus): (_, Vec<&Sku>) = match (&self.act, count) {
            (CountAct::Start(new), _) => (&new.location, new.skus.iter().collect()),
            (CountAct::Record { entries, .. }, Some(count)) => {
                (&count.location, entries.iter().map(|(sku, _)| sku).collect())
            }
            (CountAct::Recount(skus), Some(count)) => (&count.location, skus.iter().collect()),
            (CountAct::Post(_), Some(count)) => (&count.location, count.lines.keys().collect()),
            _ => return Vec::new(),
        };
        skus.into_iter().map(|sku| LevelKey { sku: sku.clone(), location: location.clone() }).collect()
    }

    /// Whether it may freeze levels.
    pub fn freezes(&self) -> bool {
        matches!(self.act, CountAct::Start(_) | CountAct::Record { .. } | CountAct::Recount(_))
    }
}

impl Shelf {
    pub(super) fn count(&mut self, command: &CountCommand, now: DateTime<Utc>) -> Result<Answer, Refusal> {
        let mut count = match &command.act {
            CountAct::Start(new) => self.new_count(command, new, now)?,
            _ => self.open_count(command)?,
        };
        let mut dirty: BTreeSet<Sku> = BTreeSet::new();
        match &command.act {
            CountAct::Start(new) => dirty.extend(new.skus.iter().cloned()),
            CountAct::Record { entries, add } => {
                for (place, (sku, quantity)) in entries.iter().enumerate() {
                    if count.kind == CountKind::Full && !count.lines.contains_key(sku) {
                        let line = self.freeze_line(command.count_id, &count.key(sku), count.bucket)?;
                        count.add_line(sku, line)?;
                    }
                    count.record(place, sku, *quantity, *add)?;
                    dirty.insert(sku.clone());
                }
            }
            CountAct::Recount(skus) => {
                for (place, sku) in skus.iter().enumerate() {
                    let (expected, version) = self.frozen_figure(&count.key(sku), count.bucket)?;
                    count.recount(place, sku, expected, version)?;
                    dirty.insert(sku.clone());
                }
            }
            CountAct::Approve { uncounted_is_zero } => dirty.extend(count.approve(*uncounted_is_zero)?),
            CountAct::Post(reason) => {
                let variances = count.post()?;
                let shelf = Account::Shelf(count.location.clone(), count.bucket);
                let kind = MoveKind::Adjustment(*reason);
                let postings: Vec<Posting<'_>> = variances
                    .iter()
                    .enumerate()
                    .map(|(line, (sku, variance))| {
                        let other = kind.counterparty(*variance);
                        let (source, target) =
                            if *variance < 0 { (shelf.clone(), other) } else { (other, shelf.clone()) };
                        Posting { line, sku, source, target, units: variance.abs().into(), reason: reason_of(*reason) }
                    })
                    .collect();
                let cause = Cause {
                    movement_id: command.movement_id,
                    reference: count.count_id.to_string(),
                    effective_at: command.effective_at,
                };
                self.book(&cause, &postings)?;
            }
            CountAct::Cancel => count.cancel()?,
        }
        count.changed(now);
        let answer = match &command.act {
            CountAct::Start(_) | CountAct::Record { .. } | CountAct::Recount(_) => count.only(dirty.iter().cloned()),
            CountAct::Approve { .. } | CountAct::Post(_) => {
                count.only(count.variances().into_iter().map(|(sku, _)| sku))
            }
            CountAct::Cancel => count.only([]),
        };
        for sku in &dirty {
            self.counting.insert((count.key(sku), count.bucket), count.count_id);
        }
        // What a count of this group posted stays closed to other counts until the group has committed: they would
        // freeze the figure from before the posting.
        self.changed_documents.counts.entry(count.count_id).or_default().append(&mut dirty);
        self.documents.counts.insert(count.count_id, count);
        Ok(Answer::Count(Box::new(answer)))
    }

    /// A new line, with what the books said before this group: the state that its version names.
    fn freeze_line(&self, count_id: CountId, key: &LevelKey, bucket: Bucket) -> Result<CountLine, Refusal> {
        if let Some(other) = self.counting.get(&(key.clone(), bucket)).filter(|other| **other != count_id) {
            return Err(Refusal::AlreadyCounting { sku: key.sku.clone(), count_id: *other });
        }
        let (expected, version) = self.frozen_figure(key, bucket)?;
        Ok(CountLine::frozen(expected, version))
    }

    fn frozen_figure(&self, key: &LevelKey, bucket: Bucket) -> Result<(i64, i64), Refusal> {
        let level = self.frozen.get(key).ok_or_else(|| Refusal::LocationNotFound { location: key.location.clone() })?;
        Ok((level.bucket(bucket), level.version))
    }

    fn open_count(&self, command: &CountCommand) -> Result<Count, Refusal> {
        let count = self
            .documents
            .counts
            .get(&command.count_id)
            .ok_or(Refusal::DocumentNotFound { kind: DocumentKind::Count, id: command.count_id.into() })?;
        count.check_version(command.expected_version)?;
        Ok(count.clone())
    }

    fn new_count(&self, command: &CountCommand, new: &NewCount, now: DateTime<Utc>) -> Result<Count, Refusal> {
        if self.documents.counts.contains_key(&command.count_id) {
            return Err(Refusal::RequestIdReused);
        }
        let lines = new
            .skus
            .iter()
            .map(|sku| {
                let key = LevelKey { sku: sku.clone(), location: new.location.clone() };
                Ok((sku.clone(), self.freeze_line(command.count_id, &key, new.bucket)?))
            })
            .collect::<Result<BTreeMap<_, _>, Refusal>>()?;
        Ok(Count {
            count_id: command.count_id,
            location: new.location.clone(),
            bucket: new.bucket,
            kind: new.kind,
            state: CountState::Counting,
            reference: new.reference.clone(),
            lines,
            version: 0,
            created_at: now,
            updated_at: now,
        })
    }
}

/// The ledger's word: a count's correction is not that of an adjustment by hand.
fn reason_of(reason: AdjustmentReason) -> &'static str {
    match reason {
        AdjustmentReason::Found => "count_found",
        AdjustmentReason::Lost => "count_lost",
        AdjustmentReason::Damaged => "count_damaged",
        AdjustmentReason::WriteOff => "count_write_off",
        AdjustmentReason::Count => "count_variance",
    }
}
