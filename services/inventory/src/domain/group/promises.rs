//! Promises for a day, on the shelf: granted on locked levels and their future, served when goods come in.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use oneshelf_values::{ChannelId, HoldTerms, PromiseId};
use uuid::Uuid;

use super::{Answer, HoldStock, Refusal, Shelf, ShortLine, Taking};
use crate::domain::{
    document::{self, DocumentKind, HoldIds},
    event::Event,
    future::Claim,
    promise::{Promise, PromiseLine, PromiseState},
    stock_level::{Level, LevelKey},
};

/// A command on one promise.
#[derive(Debug, Clone)]
pub struct PromiseCommand {
    pub promise_id: PromiseId,
    /// `None`: whatever version there is.
    pub expected_version: Option<i64>,
    pub hold_ids: HoldIds,
    pub act: PromiseAct,
}

#[derive(Debug, Clone)]
pub enum PromiseAct {
    Promise(NewPromise),
    /// Into a hold whose id is the request's.
    Commit {
        request_id: Uuid,
        fingerprint: [u8; 32],
    },
    Cancel,
}

#[derive(Debug, Clone)]
pub struct NewPromise {
    pub due: NaiveDate,
    pub channel: Option<ChannelId>,
    pub reference: String,
    pub lines: Vec<(LevelKey, i64)>,
}

impl PromiseCommand {
    /// The levels that a new promise is about; of one that exists its lines say it.
    pub fn new_keys(&self) -> impl Iterator<Item = LevelKey> {
        let new = if let PromiseAct::Promise(new) = &self.act { Some(new) } else { None };
        new.into_iter().flat_map(|new| new.lines.iter().map(|(key, _)| key.clone()))
    }
}

/// Claims that were made in this group come after all that were read.
const FIRST_NEW_SEQUENCE: i64 = i64::MAX / 2;

impl Shelf {
    pub(super) fn promise(&mut self, command: &PromiseCommand, now: DateTime<Utc>) -> Result<Answer, Refusal> {
        let mut promise = match &command.act {
            PromiseAct::Promise(new) => self.grant(command, new, now)?,
            PromiseAct::Commit { request_id, fingerprint } => {
                let mut promise = self.open_promise(command)?;
                promise.commit((*request_id).into())?;
                self.hand_over(&promise, *request_id, *fingerprint, now)?;
                promise
            }
            PromiseAct::Cancel => {
                let mut promise = self.open_promise(command)?;
                promise.cancel()?;
                let mut freed = BTreeMap::new();
                for hold_id in &promise.held_by {
                    for (key, units) in self.release_for_document(*hold_id, now)? {
                        *freed.entry(key).or_default() += units;
                    }
                }
                for line in &promise.lines {
                    if let Some(future) = self.futures.get_mut(&line.key) {
                        future.drop_claims(promise.promise_id);
                        self.changed_futures.insert(line.key.clone());
                    }
                }
                let mut hold_ids = command.hold_ids.iter();
                for (key, units) in freed {
                    self.serve_claims(&key, units, &mut hold_ids, now)?;
                }
                promise
            }
        };
        promise.changed(now);
        let changed = &mut self.changed_documents.promises;
        if !changed.contains(&promise.promise_id) {
            changed.push(promise.promise_id);
        }
        self.documents.promises.insert(promise.promise_id, promise.clone());
        Ok(Answer::Promise(Box::new(promise)))
    }

    /// Promises all lines or none: what supply does not give by that day is held on the shelf.
    fn grant(&mut self, command: &PromiseCommand, new: &NewPromise, now: DateTime<Utc>) -> Result<Promise, Refusal> {
        let promise_id = command.promise_id;
        if self.documents.promises.contains_key(&promise_id) {
            return Err(Refusal::RequestIdReused);
        }
        let today = now.date_naive();
        let due = new.due.max(today);
        let (mut lines, mut from_shelf, mut short) = (Vec::new(), Vec::new(), Vec::new());
        for (place, (key, quantity)) in new.lines.iter().enumerate() {
            let level =
                self.levels.get(key).ok_or_else(|| Refusal::LocationNotFound { location: key.location.clone() })?;
            let (shelf, future) = (level.promisable(), self.futures.entry(key.clone()).or_default());
            let available = future.available_to_promise(shelf, due, today);
            if available < *quantity {
                short.push(ShortLine {
                    line: place,
                    sku: key.sku.clone(),
                    location: key.location.clone(),
                    requested: *quantity,
                    available,
                });
            }
            let waiting = future.from_supply(*quantity, due, today);
            if waiting < *quantity {
                from_shelf.push((key.clone(), quantity - waiting));
            }
            lines.push(PromiseLine { key: key.clone(), quantity: *quantity, waiting, uncovered: 0 });
        }
        if !short.is_empty() {
            return Err(Refusal::InsufficientStock { short });
        }
        let mut held_by = Vec::new();
        if !from_shelf.is_empty() {
            let hold_id = command.hold_ids.nth(0);
            self.hold_for_document(hold_id, promise_id.to_string(), from_shelf, Taking::Whole, now)?;
            held_by.push(hold_id);
            self.promise_holds.push((promise_id, hold_id));
        }
        for (place, line) in lines.iter().enumerate().filter(|(_, line)| line.waiting > 0) {
            self.new_claims += 1;
            self.futures.entry(line.key.clone()).or_default().claim(Claim {
                promise_id,
                line: place,
                due,
                sequence: FIRST_NEW_SEQUENCE + self.new_claims,
                waiting: line.waiting,
                uncovered: 0,
                fills: 0,
            });
            self.changed_futures.insert(line.key.clone());
        }
        Ok(Promise {
            promise_id,
            state: PromiseState::Open,
            due,
            channel: new.channel.clone(),
            reference: new.reference.clone(),
            lines,
            held_by,
            hold_id: None,
            version: 0,
            created_at: now,
            updated_at: now,
        })
    }

    /// Gives the promise's units over to a hold that the caller may resolve. What a count has not found cannot be given.
    fn hand_over(
        &mut self,
        promise: &Promise,
        request_id: Uuid,
        fingerprint: [u8; 32],
        now: DateTime<Utc>,
    ) -> Result<(), Refusal> {
        if self.holds.contains_key(&request_id.into()) {
            return Err(Refusal::RequestIdReused);
        }
        let short: Vec<ShortLine> = promise
            .lines
            .iter()
            .enumerate()
            .filter_map(|(place, line)| {
                let oversold = self.levels.get(&line.key).map_or(line.quantity, Level::oversold);
                (oversold > 0).then(|| ShortLine {
                    line: place,
                    sku: line.key.sku.clone(),
                    location: line.key.location.clone(),
                    requested: line.quantity,
                    available: (line.quantity - oversold).max(0),
                })
            })
            .collect();
        if !short.is_empty() {
            return Err(Refusal::InsufficientStock { short });
        }
        for hold_id in &promise.held_by {
            self.release_for_document(*hold_id, now)?;
        }
        let hold = HoldStock {
            hold_id: request_id.into(),
            terms: HoldTerms::Hard,
            channel: promise.channel.clone(),
            partner: None,
            shopper: None,
            replaces: None,
            longest: TimeDelta::zero(),
            reference: promise.reference.clone(),
            fingerprint,
            allow_partial: false,
            owed: true,
            lines: promise.lines.iter().map(|line| (line.key.clone(), line.quantity)).collect(),
            sourcing: None,
        };
        self.hold(&hold, now, now)?;
        Ok(())
    }

    /// Gives units that have just come, or become free, to the promises that wait for them, before anybody else can take them.
    pub(super) fn serve_claims(
        &mut self,
        key: &LevelKey,
        units: i64,
        hold_ids: &mut impl Iterator<Item = oneshelf_values::HoldId>,
        now: DateTime<Utc>,
    ) -> Result<(), Refusal> {
        let Some(future) = self.futures.get_mut(key) else { return Ok(()) };
        let available = self.levels.get(key).map_or(0, |level| level.free().max(0));
        let served = future.serve(units.min(available));
        if served.is_empty() {
            return Ok(());
        }
        self.changed_futures.insert(key.clone());
        for (claim, filled) in served {
            let Some(hold_id) = hold_ids.next() else { continue };
            let lines = vec![(key.clone(), filled)];
            self.hold_for_document(hold_id, claim.promise_id.to_string(), lines, Taking::Owed, now)?;
            self.promise_holds.push((claim.promise_id, hold_id));
            if let Some(promise) = self.documents.promises.get_mut(&claim.promise_id) {
                promise.held_by.push(hold_id);
                promise.lines[claim.line].waiting = claim.waiting;
            }
            self.events.push(Event::PromiseFilled { key: key.clone(), claim, filled });
        }
        Ok(())
    }

    /// Says that a document now brings other supply than before.
    pub(super) fn shift_supply(
        &mut self,
        before: Vec<(LevelKey, NaiveDate, i64)>,
        after: Vec<(LevelKey, NaiveDate, i64)>,
    ) {
        let shifts = before.into_iter().map(|(key, day, units)| (key, day, -units)).chain(after);
        for (key, day, units) in shifts {
            if let Some(future) = self.futures.get_mut(&key) {
                future.shift_supply(day, units);
                self.changed_futures.insert(key);
            }
        }
    }

    fn open_promise(&self, command: &PromiseCommand) -> Result<Promise, Refusal> {
        let id = command.promise_id.into();
        let promise = self
            .documents
            .promises
            .get(&command.promise_id)
            .ok_or(Refusal::DocumentNotFound { kind: DocumentKind::Promise, id })?;
        document::check_version(DocumentKind::Promise, id, command.expected_version, promise.version)?;
        Ok(promise.clone())
    }
}
