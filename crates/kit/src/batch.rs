//! Grouped writes: commands that wait together are executed together, in one transaction.
//!
//! ```text
//! submit ─┐                    ┌► writer 0: take what waits (≤ 512) ─► execute(group) ─► answer each caller
//! submit ─┼► route(command) ───┤
//! submit ─┘   queue, bounded   └► writer 1: …
//! ```
//!
//! While a writer is busy with one group the next one gathers behind it, so groups grow with the load and there is no
//! artificial delay. A group costs its row locks, its round trips and its fsync once.
//!
//! - Correctness does not rest on the queue: other processes write too, and the row locks are the truth. `route` only
//!   keeps commands on the same rows out of each other's way; commands of one writer run in the order of submission.
//! - A refusal is an *answer*. An error means that the group's transaction failed; then its members run again, each
//!   alone, so that one command that the database chokes on cannot fail its neighbours. When the database itself is
//!   away, running them alone would only take its timeouts one after the other: all get [`Submit::Unavailable`].
//! - A caller who goes away takes nothing along: its command runs to the end.
//! - A full queue refuses at once with [`Submit::Overloaded`]. Waiting would only move the queue into memory.
//! - After the soft stop a writer goes on until every handle is dropped or nothing came for a second.

use std::{convert::Infallible, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::{FutureExt, future::BoxFuture};
use metrics::{Counter, Histogram, counter, histogram};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, error, info_span, warn};

use crate::{
    lifecycle::Lifecycle,
    pg::{self, DbErrorKind},
};

const LINGER_AFTER_STOP: Duration = Duration::from_secs(1);

/// Bounds of a batcher.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Commands in one group.
    pub max_group: usize,
    /// Commands that wait for one writer.
    pub queue: usize,
    /// Groups that run side by side; more of them meet more often in the same row.
    pub writers: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { max_group: 512, queue: 4_096, writers: 2 }
    }
}

/// Why a command got no answer.
#[derive(Debug, thiserror::Error)]
pub enum Submit<E> {
    #[error("too many commands are waiting")]
    Overloaded,
    #[error("the process is stopping")]
    Stopping,
    /// The database is away. Whether the command was executed is unknown: repeat it with the same request id.
    #[error("the database is away")]
    Unavailable,
    /// The command failed also when it ran alone.
    #[error("the command could not be executed")]
    Failed(#[source] E),
    /// `execute` panicked or gave no answer for the command; the log says which.
    #[error("the executor is broken")]
    Broken,
}

type Answer<A, E> = oneshot::Sender<Result<A, Submit<E>>>;

struct Job<C, A, E> {
    command: C,
    answer: Answer<A, E>,
    queued_at: Instant,
}

/// The handle to which commands are submitted. Cheap to clone.
pub struct Batcher<C, A, E> {
    writers: Arc<[mpsc::Sender<Job<C, A, E>>]>,
    route: Arc<dyn Fn(&C) -> u64 + Send + Sync>,
    overloaded: Counter,
}

impl<C, A, E> Clone for Batcher<C, A, E> {
    fn clone(&self) -> Self {
        Self { writers: Arc::clone(&self.writers), route: Arc::clone(&self.route), overloaded: self.overloaded.clone() }
    }
}

impl<C, A, E> Batcher<C, A, E>
where
    C: Clone + Send + Sync + 'static,
    A: Send + 'static,
    E: std::error::Error + Send + 'static,
{
    /// Starts the writers under the lifecycle. `route` is a hash of what a command will lock. `execute` runs a group,
    /// or a member alone, in one transaction ([`crate::pg::in_tx`]), and gives one answer per command, in order.
    pub fn spawn<X>(
        lifecycle: &Lifecycle,
        name: &'static str,
        options: Options,
        route: impl Fn(&C) -> u64 + Send + Sync + 'static,
        execute: X,
    ) -> Self
    where
        X: Fn(Arc<[C]>) -> BoxFuture<'static, Result<Vec<A>, E>> + Send + Sync + 'static,
    {
        let execute = Arc::new(execute);
        let writers = (0..options.writers.max(1))
            .map(|_| {
                let (sender, queue) = mpsc::channel(options.queue);
                let writer = Writer {
                    name,
                    queue,
                    max_group: options.max_group,
                    execute: Arc::clone(&execute),
                    meters: Meters::new(name),
                };
                lifecycle.spawn(name, writer.run(lifecycle.soft().clone()));
                sender
            })
            .collect();
        let overloaded = counter!("oneshelf_batch_overloaded_total", "batch" => name);
        Self { writers, route: Arc::new(route), overloaded }
    }

    /// Executes one command as part of a group and gives its answer.
    pub async fn submit(&self, command: C) -> Result<A, Submit<E>> {
        let index = ((self.route)(&command) % self.writers.len() as u64) as usize;
        let (answer, answered) = oneshot::channel();
        let job = Job { command, answer, queued_at: Instant::now() };
        self.writers[index].try_send(job).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => {
                self.overloaded.increment(1);
                Submit::Overloaded
            }
            mpsc::error::TrySendError::Closed(_) => Submit::Stopping,
        })?;
        // The sender is dropped unanswered only when the writer was dropped, at the hard stop.
        answered.await.unwrap_or(Err(Submit::Stopping))
    }
}

struct Writer<C, A, E, X> {
    name: &'static str,
    queue: mpsc::Receiver<Job<C, A, E>>,
    max_group: usize,
    execute: Arc<X>,
    meters: Meters,
}

impl<C, A, E, X> Writer<C, A, E, X>
where
    C: Clone + Send + Sync + 'static,
    A: Send + 'static,
    E: std::error::Error + Send + 'static,
    X: Fn(Arc<[C]>) -> BoxFuture<'static, Result<Vec<A>, E>> + Send + Sync + 'static,
{
    async fn run(mut self, stop: CancellationToken) -> Result<(), Infallible> {
        let mut group = Vec::with_capacity(self.max_group);
        loop {
            let took = tokio::select! {
                biased;
                took = self.queue.recv_many(&mut group, self.max_group) => took,
                () = idle_after(&stop) => {
                    // Refuses new commands; those that wait are still taken.
                    self.queue.close();
                    continue;
                }
            };
            if took == 0 {
                return Ok(());
            }
            self.execute_group(group.split_off(0)).await;
        }
    }

    async fn execute_group(&self, group: Vec<Job<C, A, E>>) {
        self.meters.group_size.record(group.len() as f64);
        for job in &group {
            self.meters.queue_wait.record(job.queued_at.elapsed());
        }
        let (commands, answers): (Vec<C>, Vec<Answer<A, E>>) =
            group.into_iter().map(|job| (job.command, job.answer)).unzip();
        let commands: Arc<[C]> = commands.into();
        match self.execute(Arc::clone(&commands)).await {
            Ok(results) => respond(answers, results.into_iter().map(Ok)),
            Err(Failure::Unavailable) => respond(answers, std::iter::repeat_with(|| Err(Submit::Unavailable))),
            Err(failure) if commands.len() == 1 => respond(answers, std::iter::once(failure.into())),
            Err(_) => {
                self.meters.split.increment(1);
                for (command, answer) in commands.iter().zip(answers) {
                    let result = match self.execute(Arc::new([command.clone()])).await {
                        Ok(mut results) => Ok(results.remove(0)),
                        Err(failure) => failure.into(),
                    };
                    respond(vec![answer], std::iter::once(result));
                }
            }
        }
    }

    /// Runs commands once and logs why it did not work. A panic fails the group, not the writer.
    async fn execute(&self, commands: Arc<[C]>) -> Result<Vec<A>, Failure<E>> {
        let (batch, size) = (self.name, commands.len());
        let execution = async { (self.execute)(commands).await };
        let span = info_span!(parent: None, "batch", batch, size);
        match AssertUnwindSafe(execution).catch_unwind().instrument(span).await {
            Ok(Ok(answers)) if answers.len() == size => Ok(answers),
            Ok(Ok(answers)) => {
                error!(batch, size, answers = answers.len(), "wrong number of answers");
                Err(Failure::Broken)
            }
            Ok(Err(error)) => {
                let away = matches!(pg::find(&error).map(pg::kind), Some(DbErrorKind::Unavailable));
                warn!(batch, size, error = &error as &dyn std::error::Error, "group failed");
                Err(if away { Failure::Unavailable } else { Failure::Error(error) })
            }
            Err(_) => {
                error!(batch, size, "execution panicked");
                Err(Failure::Broken)
            }
        }
    }
}

enum Failure<E> {
    Unavailable,
    Error(E),
    /// A bug in `execute`, already logged.
    Broken,
}

impl<A, E> From<Failure<E>> for Result<A, Submit<E>> {
    fn from(failure: Failure<E>) -> Self {
        Err(match failure {
            Failure::Unavailable => Submit::Unavailable,
            Failure::Error(error) => Submit::Failed(error),
            Failure::Broken => Submit::Broken,
        })
    }
}

fn respond<A, E>(answers: Vec<Answer<A, E>>, results: impl Iterator<Item = Result<A, Submit<E>>>) {
    for (answer, result) in answers.into_iter().zip(results) {
        // A caller who went away has no use for the answer.
        drop(answer.send(result));
    }
}

/// Completes when the process is stopping and a writer has waited long enough for more.
async fn idle_after(stop: &CancellationToken) {
    stop.cancelled().await;
    tokio::time::sleep(LINGER_AFTER_STOP).await;
}

struct Meters {
    group_size: Histogram,
    queue_wait: Histogram,
    split: Counter,
}

impl Meters {
    fn new(name: &'static str) -> Self {
        Self {
            group_size: histogram!("oneshelf_batch_group_size", "batch" => name),
            queue_wait: histogram!("oneshelf_batch_queue_wait_seconds", "batch" => name),
            split: counter!("oneshelf_batch_split_groups_total", "batch" => name),
        }
    }
}
