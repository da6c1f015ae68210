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
//! | look for components, lock SKUs, look once more, find their levels (4) | the policy of a SKU, or a kit, is set |
//! | lock levels, sorted by (SKU, location) | always |
//! | look for open counts | a count begins or grows |
//! | read what is to come and who waits for it (2) | goods come, or are ordered, sent or promised for a day |
//! | read rules | a locked level has some, or a policy is set, or a SKU that is held was never there |
//! | read kits; lock what was announced of them; read the levels and rules of their other components (2) | one of those SKUs is a kit or in one |
//! | read lots; look for those that are named (2) | a level with rules is of a tracked SKU |
//! | make and lock counters (2) | a SKU of a soft hold has a cap |
//! | count its soft holds | the policy of a SKU is set |
//! | lock thresholds, read what is counted in them (2), where channels sell from | a channel is told of a SKU, or is to be |
//! | make and lock days of locations (2) | network holds take or give back places of a bounded capacity |
//! | insert holds, update holds (2), update levels, update their copies of state and policy (2), policies and fences (3), kits, their SKUs' levels, what is announced of them (3), tracking, lots (4), counters (1 or 2), thresholds (2), consignments, days, moved lines (3), append ledger, documents (2 per kind), append outbox, store answers | if there are any |
//! | commit | always |
//!
//! A hold that names a kit needs the levels of its components, which are locked in the one order as all others. Which these
//! are is remembered by the process from one group to the next ([`super::known_kits`]), as a guess: the definition is read
//! under the locks, and if levels turn out to be missing the group runs again with them.
//!
//! Plain holds, which need nothing of this but the levels, are granted ahead of it ([`super::short_way`]).
//!
//! So a group of one and a group of 512 cost the same number of round trips, and a hot SKU costs one row lock and one
//! fsync per group. Row locks in PostgreSQL are the truth: any number of executors in any number of processes may run.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use oneshelf_kit::{
    idempotency::{self, GroupClaim, Key},
    outbox, pg,
    schema::Schema,
};
use oneshelf_values::{Clock, HoldId, HoldTerms, LocationId, PromiseId, Sku};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{
    Error, Inventory,
    known_kits::{KnownKits, Parts},
    short_way::ShortWay,
};
use crate::{
    domain::{
        Refusal,
        caps::{self, Counter, Counters},
        document::Documents,
        group::{Answer, Command, MoveKind, PolicyChange, PromiseAct, SetPolicies, Shelf},
        hold::{HoldKind, StockHold},
        kit::{Components, KitLevel, Kits},
        lot::{LotNumber, LotUnits},
        policy::{Rulebook, SkuTerms},
        promise::Promise,
        sourcing::NodeDay,
        stock_level::{Level, LevelKey},
        threshold::Thresholds,
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
            Command::Follow { keys }
            | Command::Reconsider { keys }
            | Command::ReleaseFences { keys }
            | Command::TellShortDated { keys } => keys.first().map(|key| &key.sku),
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
        Ok(super::answer_of(self.batcher.submit(job).await)??)
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

/// What an executor remembers from one group to the next. Guesses: nothing is decided by them.
#[derive(Debug, Default)]
pub struct Memory {
    kits: KnownKits,
    short_way: ShortWay,
}

/// The executor's work on one group; answers in the order of `jobs`.
pub fn run_group(
    pool: PgPool,
    schema: Schema,
    clock: Clock,
    memory: Arc<Memory>,
    jobs: Arc<[Job]>,
) -> BoxFuture<'static, Result<Vec<Outcome>, Error>> {
    Box::pin(async move {
        let granted = memory.short_way.grant(&pool, schema, &clock, &jobs).await?;
        if granted.iter().all(Option::is_some) {
            return Ok(granted.into_iter().flatten().collect());
        }
        // What was granted is committed. Should the rest fail, the group fails, and who asks again gets the first answer.
        let left = jobs.iter().zip(&granted).filter(|(_, granted)| granted.is_none()).map(|(job, _)| job.clone());
        let left: Arc<[Job]> = left.collect();
        let mut rest = run_long_way(&pool, schema, &clock, &memory, &left).await?.into_iter();
        granted
            .into_iter()
            .map(|granted| granted.or_else(|| rest.next()).ok_or(Error::Unexpected("a command got no answer")))
            .collect()
    })
}

async fn run_long_way(
    pool: &PgPool,
    schema: Schema,
    clock: &Clock,
    memory: &Arc<Memory>,
    jobs: &Arc<[Job]>,
) -> Result<Vec<Outcome>, Error> {
    let mut parts = memory.kits.of(|| jobs.iter().flat_map(|job| job.command.may_name_kits()).map(|(sku, _)| sku));
    for _ in 0..MAX_LOOKS {
        let (jobs, clock, guess, known) = (jobs.clone(), clock.clone(), Arc::new(parts.clone()), memory.clone());
        let outcome = pg::in_tx(pool, move |conn| {
            let (jobs, clock, guess, known) = (jobs.clone(), clock.clone(), guess.clone(), known.clone());
            Box::pin(async move { apply_group(conn, schema, &jobs, &clock, &guess, &known.short_way).await })
        })
        .await;
        let Err(Error::MoreKits(found)) = outcome else { return outcome };
        memory.kits.learn(&found);
        parts.extend(found);
    }
    Err(Error::Conflict)
}

/// How often a group runs because kits are other than they were known: each time, somebody defined one anew.
const MAX_LOOKS: usize = 5;

async fn apply_group(
    conn: &mut PgConnection,
    schema: Schema,
    jobs: &[Job],
    clock: &Clock,
    guess: &Parts,
    short_way: &ShortWay,
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
    let mut kits: Vec<(&Sku, &Components)> = Vec::new();
    let mut tracked: Vec<&str> = Vec::new();
    let mut frozen = BTreeSet::new();
    let mut future: BTreeSet<LevelKey> = documents.future_keys().collect();
    for job in jobs {
        match &job.command {
            Command::Hold(hold) => keys.extend(hold.lines.iter().map(|(key, _)| key.clone())),
            Command::Move(command) => {
                let brought = command.lines.iter().filter(|line| line.brings_goods());
                future.extend(brought.map(|line| line.key.clone()));
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
            Command::ReleaseFences { keys: named } | Command::TellShortDated { keys: named } => {
                keys.extend(named.iter().cloned());
            }
            Command::Reconsider { keys: named } => ruled.extend(named.iter().cloned()),
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
                PolicyChange::Thresholds(lines) => skus.extend(lines.iter().map(|line| line.key.0.as_str())),
                PolicyChange::Tracking(lines) => tracked.extend(lines.iter().map(|line| line.key.as_str())),
                PolicyChange::Kits(lines) => kits.extend(lines.iter().map(|line| (&line.key, &line.terms))),
            },
            Command::Commit(_) | Command::Release { .. } | Command::Extend { .. } | Command::Expire { .. } => {}
        }
    }
    keys.extend(documents.level_keys());
    if !guess.is_empty() {
        for job in jobs {
            let parts = job.command.may_name_kits().flat_map(|(sku, location)| parts_at(guess, sku, location));
            if let Command::Move(command) = &job.command {
                let parts: Vec<LevelKey> = parts.collect();
                future.extend(parts.iter().filter(|_| command.kind == MoveKind::Return).cloned());
                moved.extend(parts);
            } else {
                keys.extend(parts);
            }
        }
    }
    let states = if followed.is_empty() {
        HashMap::new()
    } else {
        store::locations::share_location_states(conn, &followed.into_iter().collect::<Vec<_>>()).await?
    };
    let skus: Vec<&str> = skus.into_iter().collect();
    let whole_skus = lock_skus(conn, &[&skus[..], &tracked[..]].concat(), &kits).await?;
    let whole_skus: Vec<&str> = whole_skus.iter().map(String::as_str).collect();
    if !whole_skus.is_empty() {
        ruled.extend(store::policies::list_levels_of(conn, &whole_skus).await?);
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
    if levels.len() < keys.len() {
        // A kit has no level.
        let named = jobs.iter().flat_map(|job| job.command.may_name_kits());
        let named = named.map(|(sku, location)| LevelKey { sku: sku.clone(), location: location.clone() });
        ruled.extend(named.filter(|key| !levels.contains_key(key)));
    }
    let rulebook = rules_for(conn, &levels, ruled, &whole_skus, &kits, now).await?;
    check_parts(jobs, &rulebook.kits, &keys)?;

    let whole = skus.iter().map(|sku| store::parse("sku_policies", "sku", sku)).collect::<Result<_, _>>()?;
    let mut counts = HashMap::new();
    if !skus.is_empty() {
        counts = store::caps::count_soft_holds(conn, &skus).await?;
    }
    let wanted: Vec<Counter> = counters(jobs, &holds, &rulebook, &skus).into_iter().collect();
    if !wanted.is_empty() {
        counts.extend(store::caps::lock_counters(conn, &wanted).await?);
    }

    let thresholds = thresholds_of(conn, &levels, &rulebook, jobs).await?;
    let days: Vec<NodeDay> = days.into_iter().collect();
    let days = if days.is_empty() { HashMap::new() } else { store::sourcing::lock_node_days(conn, &days).await? };

    let documents = renew_promises(conn, documents).await?;
    let known = holds.clone();
    let mut in_documents = HashSet::new();
    if !kits.is_empty() || !tracked.is_empty() {
        let named: Vec<&str> = kits.iter().map(|(sku, _)| sku.as_str()).chain(tracked).collect();
        in_documents.extend(store::kits::list_skus_in_documents(conn, &named).await?);
    }
    let named = named_lots(jobs, &documents);
    let known_lots = if named.is_empty() { HashMap::new() } else { store::lots::find_lots(conn, &named).await? };
    let mut shelf = Shelf::new(levels, holds)
        .with_known_lots(known_lots)
        .with_skus_in_documents(in_documents)
        .following(states)
        .ruled_by(rulebook)
        .watched_by(thresholds)
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
    short_way.learn(&save(conn, schema, shelf, clock, now).await?);

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

/// The rules of locked levels that may have some, and of those in `set` in any case.
pub(super) async fn rules_of(
    conn: &mut PgConnection,
    levels: &HashMap<LevelKey, Level>,
    set: BTreeSet<LevelKey>,
    now: DateTime<Utc>,
) -> Result<Rulebook, sqlx::Error> {
    rules_for(conn, levels, set, &[], &[], now).await
}

/// The rules of locked levels that may have some, and of levels and SKUs that a command sets. With the kits that levels are
/// in: what was announced of these at the levels' locations is locked, and the levels of their other components are read,
/// which nobody changes without that lock.
async fn rules_for(
    conn: &mut PgConnection,
    levels: &HashMap<LevelKey, Level>,
    set: BTreeSet<LevelKey>,
    skus: &[&str],
    kits: &[(&Sku, &Components)],
    now: DateTime<Utc>,
) -> Result<Rulebook, sqlx::Error> {
    let mut ruled = set;
    ruled.extend(levels.iter().filter(|(_, level)| level.has_rules).map(|(key, _)| key.clone()));
    if ruled.is_empty() && skus.is_empty() {
        return Ok(Rulebook::default());
    }
    let (mut rulebook, mut in_kits) =
        store::policies::find_rules(conn, &ruled.iter().collect::<Vec<_>>(), skus).await?;
    for (kit, components) in kits {
        in_kits.insert(kit.to_string());
        in_kits.extend(components.keys().map(Sku::to_string));
    }
    if in_kits.is_empty() {
        return with_lots(conn, rulebook, levels).await;
    }
    let in_kits: Vec<&str> = in_kits.iter().map(String::as_str).collect();
    rulebook.kits = Kits::new(store::kits::find_kits(conn, &in_kits).await?);
    let at = |kit: &Sku, key: &LevelKey| LevelKey { sku: kit.clone(), location: key.location.clone() };
    let known: BTreeSet<LevelKey> =
        levels.keys().flat_map(|key| rulebook.kits.of(&key.sku).map(|kit| at(kit, key))).collect();
    let known: Vec<LevelKey> = known.into_iter().collect();
    if !known.is_empty() {
        rulebook.kits.levels = store::kits::lock_kit_levels(conn, &known, now).await?;
    }
    // What is no kit yet has no row to lock, and needs none: all levels of its components are locked.
    for (kit, components) in kits {
        for key in levels.keys().filter(|key| components.contains_key(&key.sku)).map(|key| at(kit, key)) {
            let version = levels.get(&key).map_or(0, |level| level.version);
            rulebook.kits.levels.entry(key).or_insert_with(|| KitLevel { version, ..KitLevel::default() });
        }
    }
    let siblings: BTreeSet<LevelKey> = rulebook
        .kits
        .levels
        .keys()
        .filter_map(|key| Some((key, rulebook.kits.get(&key.sku)?)))
        .flat_map(|(key, kit)| kit.keys(key).collect::<Vec<_>>())
        .filter(|key| !levels.contains_key(key))
        .collect();
    if !siblings.is_empty() {
        let siblings: Vec<LevelKey> = siblings.into_iter().collect();
        rulebook.kits.siblings = store::stock_levels::list_stock_levels_at(conn, &siblings).await?;
    }
    let kit_skus: BTreeSet<&str> = rulebook.kits.iter().map(|kit| kit.sku.as_str()).collect();
    let kit_skus: Vec<&str> = kit_skus.into_iter().collect();
    let siblings: Vec<&LevelKey> = rulebook.kits.siblings.keys().collect();
    let (more, _) = store::policies::find_rules(conn, &siblings, &kit_skus).await?;
    rulebook.policies.extend(more.policies);
    rulebook.skus.extend(more.skus);
    rulebook.fences.extend(more.fences);
    rulebook.tracking.extend(more.tracking);
    with_lots(conn, rulebook, levels).await
}

/// With the lots of levels of tracked SKUs, which change under those levels' locks only.
async fn with_lots(
    conn: &mut PgConnection,
    mut rulebook: Rulebook,
    levels: &HashMap<LevelKey, Level>,
) -> Result<Rulebook, sqlx::Error> {
    if rulebook.tracking.is_empty() {
        return Ok(rulebook);
    }
    let levels = levels.keys().chain(rulebook.kits.siblings.keys());
    let tracked: Vec<&LevelKey> = levels.filter(|key| rulebook.tracked(&key.sku).is_some()).collect();
    if !tracked.is_empty() {
        rulebook.lots = store::lots::list_lots(conn, &tracked, None).await?;
    }
    Ok(rulebook)
}

/// The lots that commands name, and those that are on their way with the transfers that they are about.
fn named_lots(jobs: &[Job], documents: &Documents) -> HashSet<(Sku, LotNumber)> {
    let id = |(sku, named): (&Sku, &LotUnits)| (sku.clone(), named.lot.clone());
    let mut lots = HashSet::new();
    for job in jobs {
        match &job.command {
            Command::Move(moved) => {
                let lines = moved.lines.iter();
                lots.extend(lines.flat_map(|line| line.lots.iter().map(|named| id((&line.key.sku, named)))));
            }
            Command::Inbound(command) => lots.extend(command.lots().map(id)),
            Command::Transfer(command) => lots.extend(command.lots().map(id)),
            _ => {}
        }
    }
    let sent = documents.transfers.values().flat_map(|transfer| &transfer.lines);
    lots.extend(sent.flat_map(|line| line.lots.iter().map(|(lot, _)| (line.sku.clone(), lot.clone()))));
    lots
}

/// Locks the SKUs whose policies are set, and those of kits that are, or become, or are among them, with their components:
/// so no level of theirs is made meanwhile. Answers all of them, sorted.
async fn lock_skus(
    conn: &mut PgConnection,
    skus: &[&str],
    kits: &[(&Sku, &Components)],
) -> Result<BTreeSet<String>, Error> {
    let mut all: BTreeSet<String> = skus.iter().map(|sku| (*sku).to_owned()).collect();
    for (kit, components) in kits {
        all.insert(kit.to_string());
        all.extend(components.keys().map(Sku::to_string));
    }
    if all.is_empty() {
        return Ok(all);
    }
    let named: Vec<String> = all.iter().cloned().collect();
    let named: Vec<&str> = named.iter().map(String::as_str).collect();
    all.extend(store::kits::list_components(conn, &named).await?);
    let sorted: Vec<&str> = all.iter().map(String::as_str).collect();
    store::policies::lock_skus(conn, &sorted).await?;
    if store::kits::list_components(conn, &named).await?.iter().all(|component| all.contains(component)) {
        return Ok(all);
    }
    Err(Error::Conflict)
}

/// Levels of a kit's components at a location, as far as it is known to be one.
fn parts_at<'a>(parts: &'a Parts, sku: &Sku, location: &'a LocationId) -> impl Iterator<Item = LevelKey> + 'a {
    let components = parts.get(sku).map_or(&[][..], |components| components);
    components.iter().map(|component| LevelKey { sku: component.clone(), location: location.clone() })
}

/// The levels of all components of named kits were locked, or the group must run again with them.
fn check_parts(jobs: &[Job], kits: &Kits, locked: &[LevelKey]) -> Result<(), Error> {
    if kits.is_empty() {
        return Ok(());
    }
    let mut missing = Parts::new();
    for (sku, location) in jobs.iter().flat_map(|job| job.command.may_name_kits()) {
        let Some(kit) = kits.get(sku) else { continue };
        let at = LevelKey { sku: sku.clone(), location: location.clone() };
        if kit.keys(&at).any(|key| locked.binary_search(&key).is_err()) {
            missing.insert(sku.clone(), kit.components.keys().cloned().collect());
        }
    }
    if missing.is_empty() { Ok(()) } else { Err(Error::MoreKits(missing)) }
}

/// The locked thresholds of SKUs that a channel is told of, and of those that a command sets.
pub(super) async fn thresholds_of(
    conn: &mut PgConnection,
    levels: &HashMap<LevelKey, Level>,
    rulebook: &Rulebook,
    jobs: &[Job],
) -> Result<Thresholds, sqlx::Error> {
    let set = jobs.iter().filter_map(|job| match &job.command {
        Command::SetPolicies(SetPolicies { change: PolicyChange::Thresholds(lines), .. }) => Some(lines),
        _ => None,
    });
    let set: BTreeSet<(&str, &str)> = set.flatten().map(|line| (line.key.0.as_str(), line.key.1.as_str())).collect();
    if set.is_empty() && rulebook.watched.is_empty() {
        return Ok(Thresholds::default());
    }
    let mut skus: BTreeSet<&str> = rulebook.watched.iter().map(Sku::as_str).collect();
    skus.extend(set.iter().map(|(sku, _)| *sku));
    let keys: Vec<&LevelKey> = levels.keys().filter(|key| skus.contains(key.sku.as_str())).collect();
    let channels: BTreeSet<&str> = set.into_iter().map(|(_, channel)| channel).collect();
    let (skus, channels): (Vec<&str>, Vec<&str>) = (skus.into_iter().collect(), channels.into_iter().collect());
    store::thresholds::lock_thresholds(conn, &skus, &keys, &channels).await
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

/// Writes what the group changed, each table with one statement. Answers the levels as they are now.
pub(super) async fn save(
    conn: &mut PgConnection,
    schema: Schema,
    shelf: Shelf,
    clock: &Clock,
    now: DateTime<Utc>,
) -> Result<Vec<(LevelKey, Level)>, Error> {
    let changes = shelf.finish(now);
    if changes.is_empty() {
        return Ok(Vec::new());
    }
    let versions: HashMap<&LevelKey, i64> = changes.levels.iter().map(|(key, level)| (key, level.version)).collect();
    // A line that was granted nothing did not touch its level.
    let version_of = |key: &LevelKey| versions.get(key).copied().unwrap_or(0);
    if !changes.granted.is_empty() {
        store::grants::insert_holds(conn, &changes.granted, now).await.map_err(Error::of_new_holds)?;
    }
    if !changes.moved.is_empty() {
        store::holds::replace_moved_lines(conn, &changes.moved).await?;
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
    if !changes.kits.is_empty() {
        store::kits::upsert_kits(conn, &changes.kits).await?;
    }
    if !changes.new_kits.is_empty() {
        store::kits::mark_kit_levels(conn, &changes.new_kits).await?;
    }
    if !changes.kit_levels.is_empty() {
        store::kits::upsert_kit_levels(conn, &changes.kit_levels, now).await?;
    }
    if !changes.tracking.is_empty() {
        store::lots::upsert_tracking(conn, &changes.tracking).await?;
    }
    if !changes.new_lots.is_empty() {
        store::lots::insert_lots(conn, &changes.new_lots, now).await?;
    }
    if !changes.lots.is_empty() {
        store::lots::save_lot_levels(conn, &changes.lots).await?;
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
    store::thresholds::save_thresholds(conn, &changes.settled).await?;
    store::consignments::save_settled(conn, &changes.consigned, clock, now).await?;
    if !changes.movements.is_empty() {
        store::ledger::append_movements(conn, &changes.movements, now).await?;
    }
    store::documents::save_documents(conn, &changes, now).await?;
    outbox::append(conn, schema, &events::publish(&changes.events, clock, now), now).await?;
    Ok(changes.levels)
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
        | Command::Reconsider { .. }
        | Command::SetPolicies(_)
        | Command::TellShortDated { .. }
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
                for component in rulebook.kits.get(sku).into_iter().flat_map(|kit| kit.components.keys()) {
                    want(component, hold.shopper.as_ref(), hold.channel.as_ref());
                }
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
