//! Faults at seeded instants under a load whose every answer is written down, and the tables held against it afterwards.
//!
//! Clients hold, extend, commit, release and forget; goods come in, tills sell, transfers go from the warehouse to the
//! store. An answer that did not arrive is asked for again with the same request id until it stands. Meanwhile servers are
//! killed, cut off, frozen and emptied, in an order and at instants that follow from the seed; so do the clients' choices.
//! (What meets what does not: these are real processes.)
//!
//! Then [`Record::agrees`]: every hold that was granted is there in the state that was answered and no other is; what was
//! left to its time ended soon after it; units on the shelf are those that came in less those that left.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use oneshelf_kit::grpc::client::outcome_unknown;
use oneshelf_proto::inventory::v1 as pb;
use oneshelf_testkit::wait_for;
use rand::{Rng as _, SeedableRng, rngs::StdRng, seq::SliceRandom as _};
use sqlx::{PgPool, Row as _};
use tokio::runtime::Handle;
use tonic::{Code, Response, Status};
use tonic_types::StatusExt as _;
use uuid::Uuid;

use crate::{
    books,
    shop::{STORE, Shop, WAREHOUSE},
    stack::{Serving, Stack},
};

const CLIENTS: u64 = 8;
const SKUS: u64 = 4;
/// A broken server comes back, and every question has its answer, within this.
const GIVE_UP: Duration = Duration::from_secs(90);
const PAUSE: Duration = Duration::from_millis(40);
/// Soft holds live this long at most.
const LONGEST_TTL_S: i64 = 6;
/// And are recorded as expired this soon after.
const RECORDED_WITHIN_S: i64 = 30;

/// What is done to the servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// kill -9 of the process that serves inventory, and a new one.
    KillServer,
    /// Every session of ours in PostgreSQL is ended, some times in a row.
    EndSessions,
    /// kill -9 of PostgreSQL, and its recovery.
    CutPostgres,
    /// All of Redis is gone.
    FlushRedis,
    /// Redis takes connections and answers nothing.
    FreezeRedis,
    /// No Redis.
    StopRedis,
    /// kill -9 of the broker.
    KillBroker,
}

impl Fault {
    pub const ALL: [Self; 7] = [
        Self::KillServer,
        Self::EndSessions,
        Self::CutPostgres,
        Self::FlushRedis,
        Self::FreezeRedis,
        Self::StopRedis,
        Self::KillBroker,
    ];

    async fn strike(self, stack: &Stack, serving: &mut Option<Serving>, rng: &mut StdRng) {
        let lasts = Duration::from_millis(rng.random_range(300..2_000));
        match self {
            Self::KillServer => {
                serving.take().expect("it runs").kill();
                *serving = Some(stack.serve().await);
            }
            Self::EndSessions => {
                for _ in 0..rng.random_range(2..6) {
                    let database = stack.database().await;
                    sqlx::query(
                        r"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename LIKE 'oneshelf\_%'",
                    )
                    .execute(&database)
                    .await
                    .expect("sessions are ended");
                    database.close().await;
                    tokio::time::sleep(Duration::from_millis(rng.random_range(20..400))).await;
                }
            }
            Self::CutPostgres => {
                stack.ctl("postgres", &["kill"]).await;
                stack.ctl("postgres", &["start"]).await;
            }
            Self::FlushRedis => drop(stack.ctl("redis", &["cli", "FLUSHALL"]).await),
            Self::FreezeRedis => {
                let told = stack.ctl("redis", &["status"]).await;
                let pid = told.split_whitespace().nth(1).expect("running <pid> <port>").to_owned();
                for (signal, pause) in [("-STOP", lasts), ("-CONT", Duration::ZERO)] {
                    let sent = tokio::process::Command::new("kill").args([signal, &pid]).status().await;
                    assert!(sent.expect("kill is there").success());
                    tokio::time::sleep(pause).await;
                }
            }
            Self::StopRedis => {
                stack.ctl("redis", &["stop"]).await;
                tokio::time::sleep(lasts).await;
                stack.ctl("redis", &["start"]).await;
            }
            Self::KillBroker => {
                stack.ctl("rabbitmq", &["kill"]).await;
                tokio::time::sleep(lasts).await;
                stack.ctl("rabbitmq", &["start"]).await;
            }
        }
    }
}

/// How a hold ended, as its client was told.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Fate {
    /// Nobody came back for it.
    Left,
    /// Units per line.
    Committed(Vec<i64>),
    Released,
    Expired,
}

#[derive(Debug, Clone)]
struct Granted {
    soft: bool,
    lines: Vec<(String, i64)>,
    fate: Fate,
}

/// What clients know: answers, and nothing else.
#[derive(Debug, Default)]
pub struct Record {
    holds: BTreeMap<Uuid, Granted>,
    /// Refused for good: they must not be there.
    refused: BTreeSet<Uuid>,
    /// Units by (location, SKU).
    units: BTreeMap<(&'static str, String), i64>,
    receipts: BTreeSet<Uuid>,
    sales: BTreeSet<Uuid>,
    /// Units that arrived, per transfer; 0 where it was given up.
    transfers: BTreeMap<Uuid, i64>,
    pub answers: u64,
    pub repeated: u64,
    pub slowest: Duration,
    pub faults: BTreeMap<Fault, u32>,
}

impl Record {
    fn merge(&mut self, other: Self) {
        self.holds.extend(other.holds);
        self.refused.extend(other.refused);
        self.receipts.extend(other.receipts);
        self.sales.extend(other.sales);
        self.transfers.extend(other.transfers);
        for (key, units) in other.units {
            *self.units.entry(key).or_default() += units;
        }
        self.answers += other.answers;
        self.repeated += other.repeated;
        self.slowest = self.slowest.max(other.slowest);
    }

    fn move_units(&mut self, location: &'static str, sku: &str, by: i64) {
        *self.units.entry((location, sku.to_owned())).or_default() += by;
    }

    fn count(&self, fate: impl Fn(&Fate) -> bool) -> usize {
        self.holds.values().filter(|hold| fate(&hold.fate)).count()
    }
}

impl std::fmt::Display for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} answers, {} repeated, slowest {:.1} s; {} holds ({} committed, {} released, {} told expired, {} left), \
             {} refused; {} receipts, {} till sales, {} transfers; faults {:?}",
            self.answers,
            self.repeated,
            self.slowest.as_secs_f64(),
            self.holds.len(),
            self.count(|fate| matches!(fate, Fate::Committed(_))),
            self.count(|fate| *fate == Fate::Released),
            self.count(|fate| *fate == Fate::Expired),
            self.count(|fate| *fate == Fate::Left),
            self.refused.len(),
            self.receipts.len(),
            self.sales.len(),
            self.transfers.len(),
            self.faults,
        )
    }
}

/// Runs clients and faults for `length`, brings everything to rest, and holds the tables against the record.
///
/// # Panics
/// With what does not agree.
pub async fn run(stack: &Stack, serving: &mut Option<Serving>, shop: &Shop, seed: u64, length: Duration) -> Record {
    let skus: Vec<String> = (1..=SKUS).map(|number| format!("NEMESIS-{seed}-{number}")).collect();
    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let mut client = Client {
                shop: shop.clone(),
                rng: StdRng::seed_from_u64(seed << 8 | number),
                skus: skus.clone(),
                record: Record::default(),
            };
            let (stop, runtime) = (stop.clone(), Handle::current());
            // A thread each: closures that lend to the futures they return are not `Send` enough for a task.
            tokio::task::spawn_blocking(move || {
                runtime.block_on(async {
                    while !stop.load(Ordering::Relaxed) {
                        client.visit().await;
                    }
                    client.record
                })
            })
        })
        .collect();

    let mut record = Record::default();
    let mut rng = StdRng::seed_from_u64(seed);
    let began = Instant::now();
    let mut deck: Vec<Fault> = Vec::new();
    loop {
        tokio::time::sleep(Duration::from_millis(rng.random_range(300..2_500))).await;
        if began.elapsed() >= length {
            break;
        }
        if deck.is_empty() {
            deck = Fault::ALL.to_vec();
            deck.shuffle(&mut rng);
        }
        let fault = deck.pop().expect("a shuffled deck has a card");
        fault.strike(stack, serving, &mut rng).await;
        *record.faults.entry(fault).or_default() += 1;
    }
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        record.merge(client.await.expect("no client was surprised"));
    }
    let database = stack.database().await;
    books::drained(&database, GIVE_UP).await;
    let open = Duration::from_secs((LONGEST_TTL_S + RECORDED_WITHIN_S).cast_unsigned());
    wait_for("end of the last soft hold", open, async || {
        let held = "SELECT COUNT(*) FROM inventory.holds WHERE state = 'held' AND kind = 'soft'";
        let held: i64 = sqlx::query_scalar(held).fetch_one(&database).await.expect("holds are counted");
        (held == 0).then_some(())
    })
    .await;
    record.agrees(&database, &skus).await;
    database.close().await;
    stack.verify().await;
    record
}

struct Client {
    shop: Shop,
    rng: StdRng,
    skus: Vec<String>,
    record: Record,
}

type Inventory = pb::inventory_service_client::InventoryServiceClient<oneshelf_kit::grpc::client::ClientChannel>;

impl Client {
    /// Asks until the answer stands: the request is the same each time, its id with it.
    async fn ask<Q: Clone, A>(
        &mut self,
        request: Q,
        call: impl AsyncFn(Inventory, Q) -> Result<Response<A>, Status>,
    ) -> Result<A, Status> {
        let began = Instant::now();
        let answer = loop {
            match call(self.shop.inventory.clone(), request.clone()).await {
                Ok(answer) => break Ok(answer.into_inner()),
                Err(status) => {
                    let later = matches!(status.code(), Code::ResourceExhausted | Code::Aborted);
                    if !later && !outcome_unknown(&status) {
                        break Err(status);
                    }
                    assert!(began.elapsed() < GIVE_UP, "no outcome within {GIVE_UP:?}: {status:?}");
                    self.record.repeated += 1;
                    tokio::time::sleep(PAUSE).await;
                }
            }
        };
        self.record.answers += 1;
        self.record.slowest = self.record.slowest.max(began.elapsed());
        answer
    }

    async fn visit(&mut self) {
        match self.rng.random_range(0..10) {
            0..2 => self.receive().await,
            2 => self.sell().await,
            3 => self.transfer().await,
            _ => self.shop_around().await,
        }
    }

    fn sku(&mut self) -> String {
        let at = self.rng.random_range(0..self.skus.len());
        self.skus[at].clone()
    }

    fn id(&self) -> (Uuid, String) {
        let id = self.shop.id();
        (id.parse().expect("an id is a UUID"), id)
    }

    async fn receive(&mut self) {
        let (sku, quantity) = (self.sku(), self.rng.random_range(1..12));
        let request = self.shop.receipt(WAREHOUSE, &[(&sku, quantity)]);
        self.record.receipts.insert(request.request_id.parse().expect("an id is a UUID"));
        let answer = self.ask(request, async |mut api, request| api.receive_stock(request).await).await;
        answer.expect("goods are taken in");
        self.record.move_units(WAREHOUSE, &sku, quantity);
    }

    async fn sell(&mut self) {
        let (sku, quantity) = (self.sku(), self.rng.random_range(1..4));
        let (id, request_id) = self.id();
        let request = pb::RecordSoldStockRequest {
            request_id,
            location_id: STORE.to_owned(),
            lines: vec![pb::StockLine { sku: sku.clone(), quantity, ..Default::default() }],
            ..Default::default()
        };
        self.record.sales.insert(id);
        let answer = self.ask(request, async |mut api, request| api.record_sold_stock(request).await).await;
        answer.expect("a till's sale is a fact");
        self.record.move_units(STORE, &sku, -quantity);
    }

    /// A cart or an order: held, perhaps extended, and then bought, given back or forgotten.
    async fn shop_around(&mut self) {
        let (id, hold_id) = self.id();
        let soft = self.rng.random_bool(0.7);
        let first = self.sku();
        let mut lines = vec![(first.clone(), self.rng.random_range(1..4))];
        let second = self.sku();
        if second != first {
            // In the order that it comes: two carts meet at two levels, crosswise.
            lines.push((second, self.rng.random_range(1..3)));
        }
        let ttl = self.rng.random_range(1..=LONGEST_TTL_S);
        let line = |(sku, quantity): &(String, i64)| pb::HoldRequestLine {
            sku: sku.clone(),
            location_id: WAREHOUSE.to_owned(),
            quantity: *quantity,
        };
        let request = pb::HoldStockRequest {
            request_id: hold_id.clone(),
            kind: if soft { pb::HoldKind::Soft } else { pb::HoldKind::Hard }.into(),
            lines: lines.iter().map(line).collect(),
            ttl: soft.then_some(prost_types::Duration { seconds: ttl, nanos: 0 }),
            ..Default::default()
        };
        match self.ask(request, async |mut api, request| api.hold_stock(request).await).await {
            Ok(_) => {}
            Err(status) => {
                assert_eq!(reason(&status), "INSUFFICIENT_STOCK", "{status:?}");
                self.record.refused.insert(id);
                return;
            }
        }
        // Some come back when the time of their hold is just over, or just not.
        if soft && ttl == 1 && self.rng.random_bool(0.3) {
            tokio::time::sleep(Duration::from_millis(self.rng.random_range(850..1_150))).await;
        }
        let fate = match self.rng.random_range(0..10) {
            0..5 => self.commit(&hold_id, &lines).await,
            5..7 => self.release(&hold_id).await,
            7 if soft => {
                let ttl = Some(prost_types::Duration { seconds: LONGEST_TTL_S, nanos: 0 });
                let (_, request_id) = self.id();
                let request = pb::ExtendHoldRequest { request_id, hold_id: hold_id.clone(), ttl };
                match self.ask(request, async |mut api, request| api.extend_hold(request).await).await {
                    Ok(_) => self.commit(&hold_id, &lines).await,
                    Err(status) => expired(&status),
                }
            }
            _ => Fate::Left,
        };
        if let Fate::Committed(taken) = &fate {
            for ((sku, _), taken) in lines.iter().zip(taken) {
                self.record.move_units(WAREHOUSE, sku, -taken);
            }
        }
        self.record.holds.insert(id, Granted { soft, lines, fate });
    }

    /// Takes all, or less of the first line.
    async fn commit(&mut self, hold_id: &str, lines: &[(String, i64)]) -> Fate {
        let (_, request_id) = self.id();
        let mut taken: Vec<i64> = lines.iter().map(|(_, quantity)| *quantity).collect();
        let mut named = Vec::new();
        if self.rng.random_bool(0.3) {
            taken[0] = self.rng.random_range(1..=taken[0]);
            named.extend(lines.iter().zip(&taken).map(|((sku, _), quantity)| pb::CommitLine {
                sku: sku.clone(),
                location_id: WAREHOUSE.to_owned(),
                quantity: *quantity,
            }));
        }
        let request =
            pb::CommitHoldRequest { request_id, hold_id: hold_id.to_owned(), lines: named, effective_time: None };
        match self.ask(request, async |mut api, request| api.commit_hold(request).await).await {
            Ok(_) => Fate::Committed(taken),
            Err(status) => expired(&status),
        }
    }

    async fn release(&mut self, hold_id: &str) -> Fate {
        let (_, request_id) = self.id();
        let request = pb::ReleaseHoldRequest { request_id, hold_id: hold_id.to_owned() };
        match self.ask(request, async |mut api, request| api.release_hold(request).await).await {
            Ok(_) => Fate::Released,
            Err(status) => expired(&status),
        }
    }

    /// From the warehouse to the store, in every step; one unit may be lost on the way.
    async fn transfer(&mut self) {
        let (sku, quantity) = (self.sku(), self.rng.random_range(2..6));
        let (id, transfer_id) = self.id();
        let request = pb::CreateTransferRequest {
            request_id: transfer_id.clone(),
            source_location_id: WAREHOUSE.to_owned(),
            destination_location_id: STORE.to_owned(),
            lines: vec![pb::TransferQuantity { sku: sku.clone(), quantity }],
            ..Default::default()
        };
        let answer = self.ask(request, async |mut api, request| api.create_transfer(request).await).await;
        answer.expect("a transfer is asked for");
        let (_, request_id) = self.id();
        let request = pb::ApproveTransferRequest { request_id, transfer_id: transfer_id.clone(), ..Default::default() };
        let answer = self.ask(request, async |mut api, request| api.approve_transfer(request).await).await;
        answer.expect("and approved");
        let (_, request_id) = self.id();
        let request =
            pb::AllocateTransferRequest { request_id, transfer_id: transfer_id.clone(), ..Default::default() };
        if let Err(short) = self.ask(request, async |mut api, request| api.allocate_transfer(request).await).await {
            assert_eq!(reason(&short), "INSUFFICIENT_STOCK", "{short:?}");
            let (_, request_id) = self.id();
            let request = pb::CancelTransferRequest { request_id, transfer_id, ..Default::default() };
            let answer = self.ask(request, async |mut api, request| api.cancel_transfer(request).await).await;
            answer.expect("and given up");
            self.record.transfers.insert(id, 0);
            return;
        }
        let (_, request_id) = self.id();
        let request = pb::ShipTransferRequest {
            request_id,
            transfer_id: transfer_id.clone(),
            lines: vec![pb::TransferQuantity { sku: sku.clone(), quantity }],
            ..Default::default()
        };
        let answer = self.ask(request, async |mut api, request| api.ship_transfer(request).await).await;
        answer.expect("and sent");
        let lost = i64::from(self.rng.random_bool(0.25));
        let (_, request_id) = self.id();
        let request = pb::ReceiveTransferRequest {
            request_id,
            transfer_id: transfer_id.clone(),
            lines: vec![pb::TransferArrival { sku: sku.clone(), good: quantity - lost, ..Default::default() }],
            ..Default::default()
        };
        let answer = self.ask(request, async |mut api, request| api.receive_transfer(request).await).await;
        answer.expect("and received");
        if lost > 0 {
            let (_, request_id) = self.id();
            let request = pb::ResolveTransferDiscrepancyRequest {
                request_id,
                transfer_id,
                lines: vec![pb::TransferResolution { sku: sku.clone(), lost, ..Default::default() }],
                ..Default::default()
            };
            let resolve = async |mut api: Inventory, request| api.resolve_transfer_discrepancy(request).await;
            self.ask(request, resolve).await.expect("and settled");
        }
        self.record.move_units(WAREHOUSE, &sku, -quantity);
        self.record.move_units(STORE, &sku, quantity - lost);
        self.record.transfers.insert(id, quantity - lost);
    }
}

fn reason(status: &Status) -> String {
    status.get_details_error_info().map_or_else(String::new, |info| info.reason)
}

/// The only refusal that somebody may meet who resolves what was granted to them, once.
fn expired(status: &Status) -> Fate {
    assert_eq!(reason(status), "HOLD_EXPIRED", "{status:?}");
    Fate::Expired
}

impl Record {
    /// The tables say what clients were told, and nothing else.
    async fn agrees(&self, database: &PgPool, skus: &[String]) {
        self.holds_agree(database, skus).await;
        let levels = sqlx::query(
            "SELECT sku, location_id, sellable, soft_held, hard_held FROM inventory.stock_levels WHERE sku = ANY ($1)",
        )
        .bind(skus)
        .fetch_all(database)
        .await
        .expect("levels are read");
        let mut found = BTreeMap::new();
        for level in levels {
            let key = (level.get::<String, _>("location_id"), level.get::<String, _>("sku"));
            found.insert(key, ["sellable", "soft_held", "hard_held"].map(|name| level.get::<i64, _>(name)));
        }
        let mut wanted: BTreeMap<(String, String), [i64; 3]> = BTreeMap::new();
        for ((location, sku), units) in &self.units {
            wanted.entry(((*location).to_owned(), sku.clone())).or_default()[0] = *units;
        }
        for hold in self.holds.values().filter(|hold| !hold.soft && hold.fate == Fate::Left) {
            for (sku, units) in &hold.lines {
                wanted.entry((WAREHOUSE.to_owned(), sku.clone())).or_default()[2] += units;
            }
        }
        // A level may have been made for what was then refused.
        found.retain(|key, counters| wanted.contains_key(key) || *counters != [0; 3]);
        assert_eq!(found, wanted, "units are conserved");

        for (reason, known) in [("receipt", &self.receipts), ("till_sale", &self.sales)] {
            let entries: Vec<Uuid> = sqlx::query_scalar(
                "SELECT movement_id FROM inventory.ledger_entries WHERE sku = ANY ($1) AND reason = $2",
            )
            .bind(skus)
            .bind(reason)
            .fetch_all(database)
            .await
            .expect("the ledger is read");
            assert_eq!(entries.len(), known.len(), "{reason}: one entry each");
            assert_eq!(&entries.into_iter().collect::<BTreeSet<_>>(), known, "{reason}");
        }
        let transfers: Vec<(Uuid, i64)> =
            sqlx::query_as("SELECT transfer_id, received FROM inventory.transfer_lines WHERE sku = ANY ($1)")
                .bind(skus)
                .fetch_all(database)
                .await
                .expect("transfers are read");
        assert_eq!(&transfers.into_iter().collect::<BTreeMap<_, _>>(), &self.transfers, "transfers");
    }

    async fn holds_agree(&self, database: &PgPool, skus: &[String]) {
        let rows = sqlx::query(
            "SELECT h.hold_id, h.state, h.fingerprint = decode(repeat('00', 32), 'hex') AS owned
                  , array_agg(l.held ORDER BY l.line_no) AS held, array_agg(l.committed ORDER BY l.line_no) AS committed
                  , COALESCE(EXTRACT(EPOCH FROM h.resolved_at - h.expires_at)::BIGINT, 0) AS late
               FROM inventory.holds AS h JOIN inventory.hold_lines AS l USING (hold_id)
              WHERE l.sku = ANY ($1)
              GROUP BY h.hold_id",
        )
        .bind(skus)
        .fetch_all(database)
        .await
        .expect("holds are read");
        let mut found = BTreeSet::new();
        for row in rows {
            let id: Uuid = row.get("hold_id");
            let state: String = row.get("state");
            // A transfer's, which ended with it.
            if row.get("owned") {
                assert_ne!(state, "held", "hold {id} of a transfer that is over");
                continue;
            }
            let Some(known) = self.holds.get(&id) else {
                panic!(
                    "hold {id} is there, {state}; its client was {}",
                    if self.refused.contains(&id) { "refused" } else { "told nothing" }
                );
            };
            found.insert(id);
            let asked: Vec<i64> = known.lines.iter().map(|(_, units)| *units).collect();
            assert_eq!(row.get::<Vec<i64>, _>("held"), asked, "hold {id}");
            let none = vec![0; asked.len()];
            let (wanted, committed) = match &known.fate {
                Fate::Left if known.soft => ("expired", &none),
                Fate::Left => ("held", &none),
                Fate::Committed(taken) => ("committed", taken),
                Fate::Released => ("released", &none),
                Fate::Expired => ("expired", &none),
            };
            assert_eq!((state.as_str(), &row.get::<Vec<i64>, _>("committed")), (wanted, committed), "hold {id}");
            if state == "expired" {
                let late: i64 = row.get("late");
                assert!(late <= RECORDED_WITHIN_S, "hold {id} stayed open {late} s past its time");
            }
        }
        let lost: Vec<_> = self.holds.keys().filter(|id| !found.contains(id)).collect();
        assert!(lost.is_empty(), "granted and not there: {lost:?}");
    }
}
