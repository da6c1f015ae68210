//! Credit commands, executed in groups by `kit::batch`: one transaction, whatever the group's size.
//!
//! | round trip | why |
//! |---|---|
//! | whose holds are to be resolved | to know the accounts |
//! | lock the accounts, in partner order | the gate: nothing below changes meanwhile |
//! | standings, holds, known request ids | read after the lock: a twin that committed while we waited is seen |
//! | insert holds, resolve holds, accounts, entries, answers | array statements, skipped when empty |
//!
//! A refused command changes nothing and leaves no row; its neighbours go on. `HoldCredit` is recognised by its hold,
//! which keeps the fingerprint; the others by the service's idempotency rows.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use futures::{FutureExt, future::BoxFuture};
use oneshelf_kit::{
    idempotency::{self, GroupClaim, Key},
    pg,
    schema::Schema,
};
use oneshelf_values::{Clock, HoldId, Money, PartnerId};
use sqlx::{PgConnection, PgPool};

use super::Error;
use crate::{
    domain::{Account, CreditHold, Entry, HoldRequest, Refusal, Standing},
    store::{
        answers,
        credit::{self, StoredHold},
        partners,
    },
};

/// One credit command. `only`: the partner that the caller's key is bound to.
#[derive(Debug, Clone)]
pub(super) enum Command {
    Hold { key: Key, partner_id: PartnerId, amount: Money, reference: String },
    Capture { key: Key, only: Option<PartnerId>, hold_id: HoldId, amount: Option<Money> },
    Release { key: Key, only: Option<PartnerId>, hold_id: HoldId },
    Pay { key: Key, partner_id: PartnerId, amount: Money, reference: String },
}

impl Command {
    fn key(&self) -> &Key {
        match self {
            Self::Hold { key, .. } | Self::Capture { key, .. } | Self::Release { key, .. } | Self::Pay { key, .. } => {
                key
            }
        }
    }

    /// The hold that it makes or resolves.
    fn hold_id(&self) -> Option<HoldId> {
        match self {
            Self::Hold { key, .. } => Some(key.request_id.into()),
            Self::Capture { hold_id, .. } | Self::Release { hold_id, .. } => Some(*hold_id),
            Self::Pay { .. } => None,
        }
    }
}

/// What a command made: an account for a payment, a hold for all others.
#[derive(Debug, Clone)]
pub(super) enum Answer {
    Hold(CreditHold),
    Account(Account),
}

impl Answer {
    pub(super) fn hold(self) -> CreditHold {
        match self {
            Self::Hold(hold) => hold,
            Self::Account(_) => unreachable!("a command on a hold is answered with the hold"),
        }
    }

    pub(super) fn account(self) -> Account {
        match self {
            Self::Account(account) => account,
            Self::Hold(_) => unreachable!("a payment is answered with the account"),
        }
    }
}

/// What `kit::batch` calls with each group.
#[derive(Clone)]
pub(super) struct Executor {
    pub(super) pool: PgPool,
    pub(super) schema: Schema,
    pub(super) clock: Clock,
}

impl Executor {
    pub(super) fn run(
        &self,
        group: Arc<[Command]>,
    ) -> BoxFuture<'static, Result<Vec<Result<Answer, Error>>, sqlx::Error>> {
        let Self { pool, schema, clock } = self.clone();
        async move {
            pg::in_tx(&pool, move |conn| {
                let (group, now) = (Arc::clone(&group), clock.now());
                async move { execute(conn, schema, now, &group).await }.boxed()
            })
            .await
        }
        .boxed()
    }
}

async fn execute(
    conn: &mut PgConnection,
    schema: Schema,
    now: DateTime<Utc>,
    group: &[Command],
) -> Result<Vec<Result<Answer, Error>>, sqlx::Error> {
    let mut book = Book::open(conn, group, now).await?;
    let keys: Vec<Key> = group.iter().map(|command| command.key().clone()).collect();
    let claims = idempotency::claim_all(conn, schema, &keys).await?;

    let mut accepted: HashMap<&Key, (&Command, Answer)> = HashMap::new();
    let mut answers = Vec::with_capacity(group.len());
    for ((command, claim), key) in group.iter().zip(claims).zip(&keys) {
        let answer = match claim {
            GroupClaim::Answered(stored) => book.repeat(command, &stored)?,
            GroupClaim::Reused => Err(Error::RequestIdReused),
            // The earlier twin may have been refused: then this one is decided for itself.
            GroupClaim::New | GroupClaim::Twin(_) => match accepted.get(key) {
                Some((_, answer)) => Ok(answer.clone()),
                None => book.apply(command).inspect(|answer| {
                    accepted.insert(key, (command, answer.clone()));
                }),
            },
        };
        answers.push(answer);
    }

    book.write(conn).await?;
    let kept: Vec<(&Key, Vec<u8>)> =
        accepted.iter().filter_map(|(key, (command, answer))| Some((*key, answer_to_keep(command, answer)?))).collect();
    idempotency::store_all(conn, schema, &kept, now).await?;
    Ok(answers)
}

/// What is kept under a request id. A resolved hold never changes again, so it is read for a repeated request; a payment
/// must be told the account as it was.
fn answer_to_keep(command: &Command, answer: &Answer) -> Option<Vec<u8>> {
    match (command, answer) {
        (Command::Hold { .. }, _) => None,
        (_, Answer::Hold(_)) => Some(Vec::new()),
        (_, Answer::Account(account)) => Some(answers::encode_account(account)),
    }
}

/// The locked accounts of a group, with what its commands make of them.
struct Book {
    now: DateTime<Utc>,
    accounts: HashMap<PartnerId, Account>,
    standings: HashMap<PartnerId, Standing>,
    holds: HashMap<HoldId, StoredHold>,
    changed: BTreeSet<PartnerId>,
    granted: BTreeSet<HoldId>,
    resolved: BTreeSet<HoldId>,
    entries: Vec<Entry>,
}

impl Book {
    async fn open(conn: &mut PgConnection, group: &[Command], now: DateTime<Utc>) -> Result<Self, sqlx::Error> {
        let hold_ids: Vec<HoldId> =
            group.iter().filter_map(Command::hold_id).collect::<BTreeSet<_>>().into_iter().collect();
        let mut partner_ids: BTreeSet<PartnerId> = BTreeSet::new();
        if !hold_ids.is_empty() {
            partner_ids.extend(credit::list_hold_partners(conn, &hold_ids).await?.into_values());
        }
        partner_ids.extend(group.iter().filter_map(|command| match command {
            Command::Hold { partner_id, .. } | Command::Pay { partner_id, .. } => Some(partner_id.clone()),
            Command::Capture { .. } | Command::Release { .. } => None,
        }));
        let accounts = credit::lock_accounts(conn, &partner_ids).await?;
        let known: Vec<PartnerId> = accounts.keys().cloned().collect();
        let holds = if hold_ids.is_empty() { HashMap::new() } else { credit::list_holds(conn, &hold_ids).await? };
        Ok(Self {
            now,
            standings: partners::list_standings(conn, &known).await?,
            accounts,
            holds,
            changed: BTreeSet::new(),
            granted: BTreeSet::new(),
            resolved: BTreeSet::new(),
            entries: Vec::new(),
        })
    }

    fn apply(&mut self, command: &Command) -> Result<Answer, Error> {
        match command {
            Command::Hold { key, partner_id, amount, reference } => self.hold(key, partner_id, *amount, reference),
            Command::Capture { only, hold_id, amount, .. } => {
                self.resolve(only.as_ref(), *hold_id, |account, hold, now| {
                    Ok((true, account.capture(hold, *amount, now)?))
                })
            }
            Command::Release { only, hold_id, .. } => {
                self.resolve(only.as_ref(), *hold_id, |account, hold, now| Ok((account.release(hold, now)?, None)))
            }
            Command::Pay { key, partner_id, amount, reference } => {
                let account = account(&mut self.accounts, partner_id)?;
                let entry = account.pay(key.request_id, *amount, reference.clone(), self.now)?;
                self.entries.push(entry);
                self.changed.insert(partner_id.clone());
                Ok(Answer::Account(account.clone()))
            }
        }
    }

    fn hold(&mut self, key: &Key, partner_id: &PartnerId, amount: Money, reference: &str) -> Result<Answer, Error> {
        let id = HoldId::from(key.request_id);
        if let Some(known) = self.holds.get(&id) {
            return if known.fingerprint == key.fingerprint {
                Ok(Answer::Hold(known.hold.as_granted()))
            } else {
                Err(Error::RequestIdReused)
            };
        }
        let account = account(&mut self.accounts, partner_id)?;
        let standing =
            self.standings.get(partner_id).ok_or_else(|| Error::PartnerNotFound { partner_id: partner_id.clone() })?;
        let request = HoldRequest { id, amount, reference: reference.to_owned() };
        let hold = account.hold(standing, request, self.now)?;
        self.holds.insert(id, StoredHold { hold: hold.clone(), fingerprint: key.fingerprint });
        self.granted.insert(id);
        self.changed.insert(partner_id.clone());
        Ok(Answer::Hold(hold))
    }
}

impl Book {
    /// Captures or releases; `how` tells whether the hold changed, and the entry that it leaves.
    fn resolve(
        &mut self,
        only: Option<&PartnerId>,
        hold_id: HoldId,
        how: impl FnOnce(&mut Account, &mut CreditHold, DateTime<Utc>) -> Result<(bool, Option<Entry>), Refusal>,
    ) -> Result<Answer, Error> {
        let stored = visible_hold(&mut self.holds, only, hold_id)?;
        let partner_id = stored.hold.partner_id.clone();
        let account = account(&mut self.accounts, &partner_id)?;
        let (changed, entry) = how(account, &mut stored.hold, self.now)?;
        let answer = Answer::Hold(stored.hold.clone());
        if changed {
            self.entries.extend(entry);
            self.resolved.insert(hold_id);
            self.changed.insert(partner_id);
        }
        Ok(answer)
    }

    /// The answer of a request that was done before.
    fn repeat(&mut self, command: &Command, stored: &[u8]) -> Result<Result<Answer, Error>, sqlx::Error> {
        Ok(match command {
            Command::Capture { only, hold_id, .. } | Command::Release { only, hold_id, .. } => {
                visible_hold(&mut self.holds, only.as_ref(), *hold_id).map(|known| Answer::Hold(known.hold.clone()))
            }
            Command::Pay { .. } => Ok(Answer::Account(answers::decode_account(stored)?)),
            Command::Hold { .. } => self.apply(command),
        })
    }

    async fn write(&self, conn: &mut PgConnection) -> Result<(), sqlx::Error> {
        let holds = |ids: &mut dyn Iterator<Item = &HoldId>| ids.map(|id| &self.holds[id]).collect::<Vec<_>>();
        credit::insert_holds(conn, &holds(&mut self.granted.iter())).await?;
        credit::resolve_holds(conn, &holds(&mut self.resolved.difference(&self.granted))).await?;
        let changed: Vec<&Account> = self.changed.iter().map(|id| &self.accounts[id]).collect();
        credit::update_accounts(conn, &changed, self.now).await?;
        credit::insert_entries(conn, &self.entries).await
    }
}

fn account<'a>(accounts: &'a mut HashMap<PartnerId, Account>, id: &PartnerId) -> Result<&'a mut Account, Error> {
    accounts.get_mut(id).ok_or_else(|| Error::PartnerNotFound { partner_id: id.clone() })
}

/// A hold of another partner than the caller's own is not there, for the caller.
fn visible_hold<'a>(
    holds: &'a mut HashMap<HoldId, StoredHold>,
    only: Option<&PartnerId>,
    id: HoldId,
) -> Result<&'a mut StoredHold, Error> {
    holds
        .get_mut(&id)
        .filter(|stored| only.is_none_or(|only| *only == stored.hold.partner_id))
        .ok_or(Error::HoldNotFound { hold_id: id })
}
