//! Takes a process from its stored step to its end, as far as the remotes let it.
//!
//! The one code path of both drivers: the request that began the process, right after its commit, and the timer, for
//! what a crash or an absent remote left behind. Both may even work on the same process at once: remote steps are
//! repeated without effect, and a local one moves or deletes the process's row *at the step it believes in*, so one of
//! them wins and the other one sees it and reads again.
//!
//! | per step | round trips |
//! |---|---|
//! | remote | the call, and one statement that stores the next step where another remote follows |
//! | last | begin, delete process, save order with its lines, append event, commit |
//!
//! whatever the number of lines.

use chrono::{DateTime, TimeDelta, Utc};
use metrics::counter;
use oneshelf_kit::{lifecycle::Chain, outbox, pg};
use oneshelf_values::derived_id;
use sqlx::PgConnection;
use tracing::{Instrument as _, info, warn};
use uuid::Uuid;

use super::{Error, Orders};
use crate::{
    clients::CallError,
    domain::{
        Refusal, RemoteRefusal,
        order::{Line, Order, SkuUnits, units_by_sku},
        process::{Next, Outcome, Step, Touches, Verb, next},
        returns::Return,
    },
    events, store,
    store::processes::Process,
};

/// What a process works on.
#[expect(clippy::large_enum_variant, reason = "nearly every process works on an order")]
#[derive(Debug, Clone)]
pub(crate) enum Subject {
    Order(Order),
    Return(Return),
}

impl Subject {
    fn touches(&self) -> Touches {
        match self {
            Self::Order(order) => order.touches(),
            Self::Return(back) => Touches { stock: !back.lines.is_empty(), credit: false },
        }
    }
}

/// How often a driver reads again after another one was faster.
const MAX_RACES: u32 = 5;
/// Between two tries of a step that does not succeed.
const LONGEST_BACKOFF: TimeDelta = TimeDelta::minutes(5);
/// Between two tries of a parked process.
const PARKED_BACKOFF: TimeDelta = TimeDelta::hours(1);

impl Orders {
    /// Drives to the end, in a task of its own, so that a caller who leaves does not stop it; answers what became of the
    /// subject.
    pub(crate) async fn drive(&self, process: Process, subject: Subject) -> Result<Subject, Error> {
        let driver = self.clone();
        let span =
            tracing::info_span!("orders.drive_process", process.id = %process.process_id, verb = process.verb.as_str());
        let driven = tokio::spawn(async move { driver.drive_here(process, subject).await }.instrument(span)).await;
        driven.unwrap_or_else(|join| match join.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The process is stopping; what is stored goes on elsewhere.
            Err(_) => Err(Error::InProgress),
        })
    }

    pub(crate) async fn drive_here(&self, mut process: Process, mut subject: Subject) -> Result<Subject, Error> {
        for _ in 0..MAX_RACES {
            match self.walk(&mut process, subject).await {
                Ok(Some(subject)) => return Ok(subject),
                Ok(None) => {}
                Err(error) => {
                    let message = Chain(&error).to_string();
                    self.note_failure(&process, &message).await;
                    return Err(error);
                }
            }
            // The process first: once it is gone, the subject is what its last step made it.
            let current =
                store::processes::lease(&self.pool, process.process_id, process.verb, self.lease_end()).await?;
            subject = self.load(process.verb, process.process_id).await?;
            match current {
                Some(current) => process = current,
                None => return Ok(subject),
            }
        }
        self.note_failure(&process, "the order does not fit the step, or changes too fast").await;
        Err(Error::InProgress)
    }
}

/// Of a transaction: somebody else was faster, roll back; or a plain error.
#[derive(Debug, thiserror::Error)]
enum CloseError {
    #[error("overtaken")]
    Overtaken,
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

impl Orders {
    /// `None`: somebody else moved the process or changed the order in between.
    async fn walk(&self, process: &mut Process, mut subject: Subject) -> Result<Option<Subject>, Error> {
        let touches = subject.touches();
        while is_remote(process.step) {
            let (outcome, refusal) = match self.call(process, &subject).await {
                Ok(()) => (Outcome::Done, None),
                Err(CallError::Refused(refusal)) => (Outcome::Refused, Some(refusal)),
                Err(CallError::Unclear(message)) => return Err(Error::RemoteUnclear(message)),
            };
            let step = match next(process.verb, process.step, touches, outcome) {
                Next::Step(step) => step,
                Next::Finished => unreachable!("the last step of each road is local"),
                Next::Stuck => return Err(Error::Remote(refusal.expect("only a refusal is stuck"))),
            };
            // The last step comes with its own transaction; storing that it is next would gain nothing. But why the
            // remote refused must not be lost.
            if is_remote(step) || refusal.is_some() {
                if !self.advance(process, step, refusal.clone()).await? {
                    return Ok(None);
                }
                process.step = step;
                if let (Subject::Order(order), Some(refusal)) = (&mut subject, refusal) {
                    order.refusal = Some(refusal);
                }
            } else {
                return self.close(process, step, subject).await;
            }
        }
        let step = process.step;
        self.close(process, step, subject).await
    }

    /// Asks the remote. Request ids derive from process and step, so asking twice is asking once.
    async fn call(&self, process: &Process, subject: &Subject) -> Result<(), CallError> {
        let request_id = derived_id(process.process_id, process.step.as_str());
        let (at, now) = (process.effective_at, self.clock.now());
        match subject {
            Subject::Return(back) => {
                let units = units_by_sku(back.lines.iter().map(|line| (&line.sku, line.quantity)));
                let reference = back.return_id.as_uuid();
                self.inventory.return_stock(request_id, &back.location, &units, reference, at, now).await
            }
            Subject::Order(order) => match process.step {
                Step::HoldStock => self.inventory.hold_stock(order, &units(order, |line| line.ordered)).await,
                Step::CommitHold => {
                    let units = units(order, |line| line.shipping);
                    self.inventory.commit_hold(request_id, order, &units, at, now).await
                }
                Step::ReleaseHold => self.inventory.release_hold(request_id, order).await,
                Step::RecordSoldStock => {
                    let units = units(order, |line| line.ordered);
                    self.inventory.record_sold_stock(request_id, order, &units, at, now).await
                }
                Step::HoldCredit => match &order.partner {
                    Some(partner) => self.partners.hold_credit(order, partner).await,
                    None => Ok(()),
                },
                Step::CaptureCredit => {
                    // Its parts were summed when the order was written, and fewer units cost no more.
                    let amount = order.despatch_amount_minor().unwrap_or(i64::MAX).min(order.total_minor());
                    self.partners.capture_credit(request_id, order, amount).await
                }
                Step::ReleaseCredit => self.partners.release_credit(request_id, order).await,
                local => unreachable!("{} asks nobody", local.as_str()),
            },
        }
    }

    async fn advance(&self, process: &Process, step: Step, refusal: Option<RemoteRefusal>) -> Result<bool, Error> {
        let due_at = self.lease_end();
        let process = process.clone();
        pg::in_tx(&self.pool, move |conn| {
            let (process, refusal) = (process.clone(), refusal.clone());
            Box::pin(async move {
                let moved = store::processes::advance(conn, &process, step, due_at).await?;
                if let (true, Some(refusal)) = (moved, refusal) {
                    store::orders::save_refusal(conn, process.process_id.into(), &refusal).await?;
                }
                Ok::<_, sqlx::Error>(moved)
            })
        })
        .await
        .map_err(Error::from)
    }
}

fn is_remote(step: Step) -> bool {
    match step {
        Step::HoldCredit
        | Step::HoldStock
        | Step::ReleaseCredit
        | Step::CommitHold
        | Step::CaptureCredit
        | Step::ReleaseHold
        | Step::RecordSoldStock
        | Step::ReturnStock => true,
        Step::Confirm
        | Step::Refuse
        | Step::MarkShipped
        | Step::MarkCancelled
        | Step::CompleteTicket
        | Step::CompleteReturn => false,
    }
}

fn units(order: &Order, count: impl Fn(&Line) -> i64) -> Vec<SkuUnits> {
    units_by_sku(order.lines.iter().map(|line| (&line.sku, count(line))))
}

impl Orders {
    /// The last step: the order's new state, its event and the end of the process commit together.
    async fn close(&self, process: &Process, step: Step, subject: Subject) -> Result<Option<Subject>, Error> {
        let (schema, clock) = (self.schema, self.clock.clone());
        let (process, verb) = (process.clone(), process.verb);
        let closed = pg::in_tx(&self.pool, move |conn| {
            let (process, mut subject, clock) = (process.clone(), subject.clone(), clock.clone());
            Box::pin(async move {
                if !store::processes::delete(conn, &process).await? {
                    return Err(CloseError::Overtaken);
                }
                let now = clock.now();
                let event = match &mut subject {
                    Subject::Return(back) => Some(events::items_returned(&clock, back)),
                    Subject::Order(order) => {
                        let event = finish(order, step, &clock, process.effective_at.unwrap_or(now))?;
                        if !store::orders::save(conn, order).await? {
                            return Err(CloseError::Overtaken);
                        }
                        event
                    }
                };
                outbox::append(conn, schema, event.as_slice(), now).await?;
                Ok(subject)
            })
        })
        .await;
        match closed {
            Ok(subject) => {
                counter!("oneshelf_orders_processes_finished_total", "verb" => verb.as_str(), "step" => step.as_str())
                    .increment(1);
                info!(step = step.as_str(), "process finished");
                Ok(Some(subject))
            }
            // A refused transition means that what we hold is older than what is stored.
            Err(CloseError::Overtaken | CloseError::Refused(_)) => Ok(None),
            Err(CloseError::Database(error)) => Err(error.into()),
        }
    }

    async fn load(&self, verb: Verb, process_id: Uuid) -> Result<Subject, Error> {
        let mut conn = self.pool.acquire().await?;
        let subject = find_subject(&mut conn, verb, process_id).await?;
        subject.ok_or_else(|| Error::from(sqlx::Error::RowNotFound))
    }

    /// Until when whoever works on a process now has it for himself.
    pub(crate) fn lease_end(&self) -> DateTime<Utc> {
        self.clock.now() + self.pace.lease
    }

    /// Stores that a step could not be taken. If even that fails the lease runs out instead.
    async fn note_failure(&self, process: &Process, message: &str) {
        let now = self.clock.now();
        let attempts = process.attempts.saturating_add(1);
        let parked = attempts >= self.pace.park_after;
        let backoff = if parked {
            PARKED_BACKOFF
        } else {
            LONGEST_BACKOFF.min(TimeDelta::seconds(1 << (attempts - 1).clamp(0, 20)))
        };
        warn!(
            process.id = %process.process_id,
            verb = process.verb.as_str(),
            step = process.step.as_str(),
            attempts,
            parked,
            "step not taken: {message}"
        );
        let noted =
            store::processes::note_failure(&self.pool, process, message, now + backoff, parked.then_some(now)).await;
        if let Err(error) = noted {
            warn!(process.id = %process.process_id, "the failed try could not be stored: {error}");
        }
    }
}

/// Applies the last step to the order; answers what the outside is told.
fn finish(
    order: &mut Order,
    step: Step,
    clock: &oneshelf_values::Clock,
    at: DateTime<Utc>,
) -> Result<Option<outbox::OutboxEvent>, Refusal> {
    Ok(match step {
        Step::Confirm => {
            order.confirm()?;
            Some(events::order_placed(clock, order))
        }
        Step::Refuse => {
            order.refuse()?;
            None
        }
        Step::MarkShipped => {
            order.finish_shipping()?;
            Some(events::order_shipped(clock, order, at))
        }
        Step::MarkCancelled => {
            order.finish_cancelling()?;
            Some(events::order_cancelled(clock, order))
        }
        Step::CompleteTicket => {
            order.complete()?;
            Some(events::sale_recorded(clock, order))
        }
        other => unreachable!("{} ends no order's process", other.as_str()),
    })
}

/// What a stored process works on.
pub(crate) async fn find_subject(
    conn: &mut PgConnection,
    verb: Verb,
    process_id: Uuid,
) -> Result<Option<Subject>, sqlx::Error> {
    Ok(match verb {
        Verb::Return => store::returns::find(conn, process_id.into()).await?.map(Subject::Return),
        _ => store::orders::find_all(conn, &[process_id]).await?.pop().map(Subject::Order),
    })
}

impl Orders {
    /// Goes on with a process that was begun before, if it has not ended; answers what became of the subject.
    pub(crate) async fn resume(&self, process_id: Uuid, verb: Verb) -> Result<Subject, Error> {
        let process = store::processes::lease(&self.pool, process_id, verb, self.lease_end()).await?;
        let subject = self.load(verb, process_id).await?;
        match process {
            Some(process) => self.drive(process, subject).await,
            None => Ok(subject),
        }
    }
}
