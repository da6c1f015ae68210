//! The write path of stock: commands run in groups.
//!
//! | round trip | when |
//! |---|---|
//! | begin | always |
//! | answers of repeated requests | a command carries a request key |
//! | lock documents, and read their lines (2 per kind) | a command is about a document |
//! | lock holds, and read their lines (2) | a command names a hold |
//! | look at what network holds may come from ([`super::source`]) | a hold has lines without a location |
//! | make missing levels | goods are moved |
//! | lock the states of locations | levels follow their location |
//! | lock SKUs, find their levels (2) | the policy of a SKU is set |
//! | lock levels, sorted by (SKU, location) | always |
//! | look for open counts | a count begins or grows |
//! | read what is to come and who waits for it (2) | goods are received, ordered, sent or promised for a day |
//! | read rules | a locked level has some, or a policy is set |
//! | make and lock counters (2) | a SKU of a soft hold has a cap |
//! | count its soft holds | the policy of a SKU is set |
//! | make and lock days of locations (2) | network holds take or give back places of a bounded capacity |
//! | insert holds (2), update holds (2), update levels, update their copies of state and policy (2), policies and fences (3), counters (1 or 2), days, moved lines (3), append ledger, documents (2 per kind), append outbox, store answers | if there are any |
//! | commit | always |
//!
//! So a group of one and a group of 512 cost the same number of round trips, and a hot SKU costs one row lock and one
//! fsync per group. Row locks in PostgreSQL are the truth: any number of executors in any number of processes may run.

use std::{
    collections::{BTreeSet, HashMap},
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use oneshelf_kit::{
    batch,
    idempotency::{self, GroupClaim, Key},
    outbox, pg,
    schema::Schema,
};
use oneshelf_values::{Clock, HoldId, HoldTerms, LocationId, PromiseId, Sku};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{Error, Inventory};
use crate::{
    domain::{
        Refusal,
        caps::{self, Counter, Counters},
        document::Documents,
        group::{Answer, Command, MoveKind, PolicyChange, PromiseAct, Shelf},
        hold::{HoldKind, StockHold},
        policy::{Rulebook, SkuTerms},
        promise::Promise,
        sourcing::NodeDay,
        stock_level::{Level, LevelKey},
    },
    events, store,
};

/// A command and what identifies its request.
#[derive(Debug, Clone)]
pub struct Job {
    /// `None` where the command itself is safe to repeat: a hold by its id, an expiry by its nature.
    key: Option<Key>,
    command: Command,
}

impl Job {
    pub fn keyed(key: Key, command: Command) -> Self {
        Self { key: Some(key), command }
    }

    pub fn unkeyed(command: Command) -> Self {
        Self { key: None, command }
    }

    pub(super) fn command(&self) -> &Command {
        &self.command
    }

    fn hold_fingerprint(&self) -> Option<[u8; 32]> {
        match &self.command {
            Command::Hold(hold) => Some(hold.fingerprint),
            _ => None,
        }
    }

    /// Writers are chosen by SKU, so that commands on one hot SKU meet in one group.
    pub fn route(&self) -> u64 {
        let sku = match &self.command {
            Command::Hold(hold) => hold.lines.first().map(|(key, _)| &key.sku).or_else(|| {
                let sourced = hold.sourcing.as_ref()?.order.lines.first();
                sourced.map(|line| &line.sku)
            }),
            Command::Move(moved) => moved.lines.first().map(|line| &line.key.sku),
            Command::Follow { keys } | Command::ReleaseFences { keys } => keys.first().map(|key| &key.sku),
            Command::SetPolicies(set) => set.change.skus().next(),
            Command::Commit(_)
            | Command::Release { .. }
            | Command::Extend { .. }
            | Command::Expire { .. }
            | Command::MoveHold(_)
            | Command::Transfer(_)
            | Command::Count(_)
            | Command::Inbound(_)
            | Command::Promise(_) => None,
        };
        let mut hasher = DefaultHasher::new();
        sku.hash(&mut hasher);
        hasher.finish()
    }
}

/// What became of one command: refusals are answers, so one cannot fail its neighbours.
pub type Outcome = Result<Answer, Refusal>;

impl Inventory {
    /// Runs one command through the executor.
    pub(super) async fn submit(&self, job: Job) -> Result<Answer, Error> {
        match self.batcher.submit(job).await {
            Ok(outcome) => outcome.map_err(Error::Refused),
            Err(batch::Submit::Overloaded) => Err(Error::Overloaded),
            Err(batch::Submit::Stopping) => Err(Error::Stopping),
            Err(batch::Submit::Unavailable) => Err(Error::Unavailable(sqlx::Error::PoolTimedOut)),
            Err(batch::Submit::Failed(error)) => Err(error),
            Err(batch::Submit::Broken) => Err(Error::Unexpected("the executor gave no answer")),
        }
    }

    /// Runs a mutation: stock holds that only wait for the sweeper are recorded first when units are short.
    pub async fn execute(&self, job: Job) -> Result<Answer, Error> {
        let outcome = self.submit(job.clone()).await;
        let short = matches!(
            &outcome,
            Err(Error::Refused(
                Refusal::InsufficientStock { .. }
                    | Refusal::HoldCapExceeded { .. }
                    | Refusal::CannotSource { .. }
                    | Refusal::NodeFull { .. }
            ))
        );
        if short && self.expire_holds().await? > 0 {
            return self.submit(job).await;
        }
        outcome
    }
}

/// The executor's work on one group; answers in the order of `jobs`.
pub fn run_group(
    pool: PgPool,
    schema: Schema,
    clock: Clock,
    jobs: Arc<[Job]>,
) -> BoxFuture<'static, Result<Vec<Outcome>, Error>> {
    Box::pin(async move {
        pg::in_tx(&pool, move |conn| {
            let (jobs, clock) = (jobs.clone(), clock.clone());
            Box::pin(async move { apply_group(conn, schema, &jobs, &clock).await })
        })
        .await
    })
}

async fn apply_group(
    conn: &mut PgConnection,
    schema: Schema,
    jobs: &[Job],
    clock: &Clock,
) -> Result<Vec<Outcome>, Error> {
    let now = clock.now();
    let claims = claim(conn, schema, jobs).await?;

    let documents = store::documents::lock_documents(conn, &named_documents(jobs)).await?;
    let hold_ids: BTreeSet<Uuid> = jobs
        .iter()
        .flat_map(|job| [hold_id(&job.command), replaced(&job.command)])
        .flatten()
        .chain(documents.hold_ids())
        .map(Uuid::from)
        .collect();
    let holds = if hold_ids.is_empty() {
        HashMap::new()
    } else {
        store::holds::lock_holds(conn, &hold_ids.into_iter().collect::<Vec<_>>()).await?
    };

    let super::source::Prepared { boards, mut keys, days } = super::source::prepare(conn, jobs, &holds, now).await?;
    let mut moved = BTreeSet::new();
    let mut followed = BTreeSet::new();
    let mut ruled = BTreeSet::new();
    let mut skus = BTreeSet::new();
    let mut frozen = BTreeSet::new();
    let mut future: BTreeSet<LevelKey> = documents.future_keys().collect();
    for job in jobs {
        match &job.command {
            Command::Hold(hold) => keys.extend(hold.lines.iter().map(|(key, _)| key.clone())),
            Command::Move(command) => {
                let receipt = command.kind == MoveKind::Receipt;
                future.extend(command.lines.iter().filter(|_| receipt).map(|line| line.key.clone()));
                moved.extend(command.lines.iter().map(|line| line.key.clone()));
            }
            Command::Inbound(command) => {
                let keys = command.new_keys(&documents);
                future.extend(keys.iter().cloned());
                moved.extend(keys);
            }
            Command::Promise(command) => {
                future.extend(command.new_keys());
                moved.extend(command.new_keys());
            }
            Command::Transfer(command) => moved.extend(command.new_keys()),
            Command::Count(command) if command.freezes() => {
                let keys = command.level_keys(&documents);
                frozen.extend(keys.iter().cloned());
                moved.extend(keys);
            }
            Command::Count(command) => keys.extend(command.level_keys(&documents)),
            Command::Follow { keys: named } => {
                followed.extend(named.iter().map(|key| key.location.as_str()));
                keys.extend(named.iter().cloned());
            }
            Command::ReleaseFences { keys: named } => keys.extend(named.iter().cloned()),
            Command::MoveHold(command) => {
                let to = |(from, to, _): &(LevelKey, LocationId, i64)| LevelKey {
                    sku: from.sku.clone(),
                    location: to.clone(),
                };
                keys.extend(command.moves.iter().map(to));
            }
            Command::SetPolicies(set) => match &set.change {
                PolicyChange::Stock(lines) => ruled.extend(lines.iter().map(|line| line.key.clone())),
                PolicyChange::Fences(lines) => ruled.extend(lines.iter().map(|line| line.key.0.clone())),
                PolicyChange::Skus(lines) => skus.extend(lines.iter().map(|line| line.key.as_str())),
            },
            Command::Commit(_) | Command::Release { .. } | Command::Extend { .. } | Command::Expire { .. } => {}
        }
    }
    keys.extend(documents.level_keys());
    let states = if followed.is_empty() {
        HashMap::new()
    } else {
        store::locations::share_location_states(conn, &followed.into_iter().collect::<Vec<_>>()).await?
    };
    let skus: Vec<&str> = skus.into_iter().collect();
    if !skus.is_empty() {
        store::policies::lock_skus(conn, &skus).await?;
        ruled.extend(store::policies::list_levels_of(conn, &skus).await?);
    }
    moved.extend(ruled.iter().cloned());
    keys.extend(holds.values().flat_map(|hold| hold.lines.iter().map(|line| line.key.clone())));
    if !moved.is_empty() {
        let moved: Vec<LevelKey> = moved.into_iter().collect();
        store::stock_levels::insert_empty_levels(conn, &moved, now).await?;
        keys.extend(moved);
    }
    let keys: Vec<LevelKey> = keys.into_iter().collect();
    let levels = store::stock_levels::lock_stock_levels(conn, &keys).await?;
    let rulebook = rules_of(conn, &levels, ruled, &skus).await?;

    let whole = skus.iter().map(|sku| store::parse("sku_policies", "sku", sku)).collect::<Result<_, _>>()?;
    let mut counts = HashMap::new();
    if !skus.is_empty() {
        counts = store::caps::count_soft_holds(conn, &skus).await?;
    }
    let wanted: Vec<Counter> = counters(jobs, &holds, &rulebook, &skus).into_iter().collect();
    if !wanted.is_empty() {
        let locked = store::caps::lock_counters(conn, &wanted).await?;
        if locked.len() < wanted.len() {
            return Err(Error::Conflict);
        }
        counts.extend(locked);
    }

    let days: Vec<NodeDay> = days.into_iter().collect();
    let days = if days.is_empty() { HashMap::new() } else { store::sourcing::lock_node_days(conn, &days).await? };

    let documents = renew_promises(conn, documents).await?;
    let known = holds.clone();
    let mut shelf = Shelf::new(levels, holds)
        .following(states)
        .ruled_by(rulebook)
        .counting(Counters::new(counts), whole)
        .with_documents(documents);
    if boards.is_some() || !days.is_empty() {
        shelf = shelf.sourced_from(boards.unwrap_or_default(), days);
    }
    if !frozen.is_empty() {
        let frozen: Vec<LevelKey> = frozen.into_iter().collect();
        let counting = store::counts::list_open_counts(conn, &frozen).await?;
        shelf = shelf.with_counts(&frozen, counting);
    }
    if !future.is_empty() {
        let keys: Vec<LevelKey> = future.into_iter().collect();
        shelf = shelf.with_futures(store::promises::list_futures(conn, &keys).await?);
    }
    let mut outcomes: Vec<Outcome> = Vec::with_capacity(jobs.len());
    let mut first_with: HashMap<HoldId, usize> = HashMap::new();
    for (place, (job, claim)) in jobs.iter().zip(&claims).enumerate() {
        let outcome = match (claim, &job.command) {
            (Some(GroupClaim::Answered(answer)), _) => Ok(store::answers::decode(answer, &known)?),
            (Some(GroupClaim::Reused), _) => Err(Refusal::RequestIdReused),
            (Some(GroupClaim::Twin(first)), _) => outcomes[*first].clone(),
            (_, Command::Hold(hold)) => {
                let before = known
                    .get(&hold.hold_id)
                    .map(|granted| (granted.fingerprint, Ok(Answer::Hold(granted.as_granted()))))
                    .or_else(|| {
                        let first = *first_with.get(&hold.hold_id)?;
                        Some((jobs[first].hold_fingerprint()?, outcomes[first].clone()))
                    });
                match before {
                    Some((fingerprint, answer)) if fingerprint == hold.fingerprint => answer,
                    Some(_) => Err(Refusal::RequestIdReused),
                    None => {
                        first_with.insert(hold.hold_id, place);
                        shelf.apply(&job.command, now)
                    }
                }
            }
            (_, command) => shelf.apply(command, now),
        };
        outcomes.push(outcome);
    }
    refuse_only_for_good(conn, schema, jobs, &outcomes, &known).await?;
    save(conn, schema, shelf, clock, now).await?;

    let answers: Vec<(&Key, Vec<u8>)> = jobs
        .iter()
        .zip(&claims)
        .zip(&outcomes)
        .filter_map(|((job, claim), outcome)| match (&job.key, claim, outcome) {
            (Some(key), Some(GroupClaim::New), Ok(answer)) => Some((key, store::answers::encode(answer))),
            _ => None,
        })
        .collect();
    idempotency::store_all(conn, schema, &answers, now).await?;
    Ok(outcomes)
}

/// The rules of locked levels that may have some, and of those that a command sets.
pub(super) async fn rules_of(
    conn: &mut PgConnection,
    levels: &HashMap<LevelKey, Level>,
    set: BTreeSet<LevelKey>,
    skus: &[&str],
) -> Result<Rulebook, sqlx::Error> {
    let mut ruled = set;
    ruled.extend(levels.iter().filter(|(_, level)| level.has_rules).map(|(key, _)| key.clone()));
    if ruled.is_empty() && skus.is_empty() {
        return Ok(Rulebook::default());
    }
    store::policies::find_rules(conn, &ruled.iter().collect::<Vec<_>>(), skus).await
}

/// What is known about each job's request; `None` for jobs without a key. Twins point at jobs.
async fn claim(conn: &mut PgConnection, schema: Schema, jobs: &[Job]) -> Result<Vec<Option<GroupClaim>>, sqlx::Error> {
    let (places, keys): (Vec<usize>, Vec<Key>) =
        jobs.iter().enumerate().filter_map(|(place, job)| Some((place, job.key.clone()?))).unzip();
    let mut claims = vec![None; jobs.len()];
    if keys.is_empty() {
        return Ok(claims);
    }
    for (index, claim) in idempotency::claim_all(conn, schema, &keys).await?.into_iter().enumerate() {
        claims[places[index]] = Some(match claim {
            GroupClaim::Twin(first) => GroupClaim::Twin(places[first]),
            other => other,
        });
    }
    Ok(claims)
}

/// A request may be refused only if it did not succeed before. A twin in another process can have committed between our
/// look and our locks, and then have taken the very units that we found missing: look once more, now under the locks,
/// and run the group again if so.
async fn refuse_only_for_good(
    conn: &mut PgConnection,
    schema: Schema,
    jobs: &[Job],
    outcomes: &[Outcome],
    known: &HashMap<HoldId, StockHold>,
) -> Result<(), Error> {
    let refused = || jobs.iter().zip(outcomes).filter(|(_, outcome)| outcome.is_err()).map(|(job, _)| job);
    let keys: Vec<Key> = refused().filter_map(|job| job.key.clone()).collect();
    let hold_ids: Vec<Uuid> = refused()
        .filter(|job| job.hold_fingerprint().is_some())
        .filter_map(|job| hold_id(&job.command))
        .filter(|id| !known.contains_key(id))
        .map(Uuid::from)
        .collect();
    let answered = !keys.is_empty()
        && idempotency::claim_all(conn, schema, &keys)
            .await?
            .iter()
            .any(|claim| matches!(claim, GroupClaim::Answered(_)));
    if answered || (!hold_ids.is_empty() && store::holds::any_hold_exists(conn, &hold_ids).await?) {
        return Err(Error::Conflict);
    }
    Ok(())
}

/// Writes what the group changed, each table with one statement.
pub(super) async fn save(
    conn: &mut PgConnection,
    schema: Schema,
    shelf: Shelf,
    clock: &Clock,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    let changes = shelf.finish(now);
    if changes.is_empty() {
        return Ok(());
    }
    let versions: HashMap<&LevelKey, i64> = changes.levels.iter().map(|(key, level)| (key, level.version)).collect();
    // A line that was granted nothing did not touch its level.
    let version_of = |key: &LevelKey| versions.get(key).copied().unwrap_or(0);
    if !changes.granted.is_empty() {
        store::holds::insert_holds(conn, &changes.granted, now).await?;
    }
    if !changes.moved.is_empty() {
        store::holds::replace_moved_lines(conn, &changes.moved, now).await?;
        store::holds::insert_moves(conn, &changes.moves, now).await?;
    }
    if !changes.changed.is_empty() {
        store::holds::update_holds(conn, &changes.changed, version_of, now).await?;
    }
    if !changes.levels.is_empty() {
        store::stock_levels::update_stock_levels(conn, &changes.levels, now).await?;
    }
    if !changes.followed.is_empty() {
        store::stock_levels::update_level_states(conn, &changes.followed).await?;
    }
    if !changes.ruled.is_empty() {
        store::policies::update_level_policies(conn, &changes.ruled).await?;
    }
    if !changes.policies.is_empty() {
        store::policies::upsert_stock_policies(conn, &changes.policies).await?;
    }
    if !changes.skus.is_empty() {
        store::policies::upsert_sku_policies(conn, &changes.skus).await?;
    }
    let (recounted, counters) = &changes.recounted;
    if !recounted.is_empty() {
        store::caps::replace_counters(conn, recounted, counters).await?;
    }
    if !changes.counters.is_empty() {
        store::caps::update_counters(conn, &changes.counters).await?;
    }
    if !changes.days.is_empty() {
        store::sourcing::update_node_days(conn, &changes.days).await?;
    }
    if !changes.fences.is_empty() {
        store::policies::upsert_ring_fences(conn, &changes.fences).await?;
    }
    if !changes.movements.is_empty() {
        store::ledger::append_movements(conn, &changes.movements, now).await?;
    }
    store::documents::save_documents(conn, &changes, now).await?;
    outbox::append(conn, schema, &events::publish(&changes.events, clock, now), now).await
}

/// The promises of a group as they are now that their levels are locked: goods that came in meanwhile may have gone to
/// them. Their holds were locked as they were known before; if there are more now, the group runs again.
async fn renew_promises(conn: &mut PgConnection, mut documents: Documents) -> Result<Documents, Error> {
    if documents.promises.is_empty() {
        return Ok(documents);
    }
    let ids: Vec<Uuid> = documents.promises.keys().copied().map(Uuid::from).collect();
    let renewed = store::promises::lock_promises(conn, &ids).await?;
    let same =
        |(id, promise): (&PromiseId, &Promise)| renewed.get(id).is_some_and(|one| one.held_by == promise.held_by);
    if !documents.promises.iter().all(same) {
        return Err(Error::Conflict);
    }
    documents.promises = renewed;
    Ok(documents)
}

/// The hold that a command names.
fn hold_id(command: &Command) -> Option<HoldId> {
    match command {
        Command::Hold(hold) => Some(hold.hold_id),
        Command::Commit(commit) => Some(commit.hold_id),
        Command::Release { hold_id } | Command::Extend { hold_id, .. } | Command::Expire { hold_id } => Some(*hold_id),
        Command::MoveHold(command) => Some(command.hold_id),
        Command::Promise(command) => match &command.act {
            PromiseAct::Commit { request_id, .. } => Some((*request_id).into()),
            _ => None,
        },
        Command::Move(_)
        | Command::Transfer(_)
        | Command::Count(_)
        | Command::Inbound(_)
        | Command::Follow { .. }
        | Command::SetPolicies(_)
        | Command::ReleaseFences { .. } => None,
    }
}

/// The counters of capped SKUs that soft holds of this group may move, but for SKUs that are counted anew.
fn counters(
    jobs: &[Job],
    holds: &HashMap<HoldId, StockHold>,
    rulebook: &Rulebook,
    counted: &[&str],
) -> BTreeSet<Counter> {
    let mut wanted = BTreeSet::new();
    let mut want = |sku: &Sku, shopper, channel| {
        let capped = rulebook.sku_terms(sku).is_some_and(SkuTerms::is_capped);
        if capped && !counted.contains(&sku.as_str()) {
            wanted.extend(caps::holders(shopper, channel).into_iter().map(|holder| (sku.clone(), holder)));
        }
    };
    for job in jobs {
        if let Command::Hold(hold) = &job.command
            && matches!(hold.terms, HoldTerms::Soft { .. })
        {
            let sourced = hold.sourcing.iter().flat_map(|request| &request.order.lines);
            for sku in hold.lines.iter().map(|(key, _)| &key.sku).chain(sourced.map(|line| &line.sku)) {
                want(sku, hold.shopper.as_ref(), hold.channel.as_ref());
            }
        }
    }
    for hold in holds.values().filter(|hold| hold.kind() == HoldKind::Soft) {
        for line in &hold.lines {
            want(&line.key.sku, hold.shopper.as_ref(), hold.channel.as_ref());
        }
    }
    wanted
}

/// The hold that a command takes the place of.
fn replaced(command: &Command) -> Option<HoldId> {
    match command {
        Command::Hold(hold) => hold.replaces,
        _ => None,
    }
}

/// The documents that commands name.
fn named_documents(jobs: &[Job]) -> store::documents::Named {
    let mut named = store::documents::Named::default();
    for job in jobs {
        match &job.command {
            Command::Transfer(command) => {
                named.transfers.insert(command.transfer_id.into());
            }
            Command::Count(command) => {
                named.counts.insert(command.count_id.into());
            }
            Command::Inbound(command) => {
                named.inbounds.insert(command.inbound_id.into());
                named.inbounds.extend(command.order_id().map(Uuid::from));
            }
            Command::Promise(command) => {
                named.promises.insert(command.promise_id.into());
            }
            _ => {}
        }
    }
    named
}
