//! Start and stop of the process.
//!
//! Two tokens. *Soft*: take no new work, finish what is there. *Hard*: drop everything now. A signal (SIGTERM or
//! Ctrl-C) or a failed task cancels soft; a second signal, or the end of the drain time, cancels hard.
//!
//! Whatever runs beside the requests (server, relay, consumers, jobs) is spawned here under a name. Such a task never
//! dies unseen: when it ends with an error or panics, the whole process stops and says why, and the orchestrator
//! starts it anew. Dropping a task at hard must always be safe, because a kill -9 does the same.

use std::{
    any::Any,
    fmt,
    panic::AssertUnwindSafe,
    sync::{Arc, OnceLock},
    time::Duration,
};

use futures::FutureExt as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{Instrument as _, error, info, warn};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why the process must not be counted as cleanly stopped.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Failure {
    #[error("task {task} failed: {reason}")]
    Task { task: &'static str, reason: String },
    #[error("work was still in progress after {0:?} and was dropped")]
    DrainTimedOut(Duration),
    #[error("stopped by a second signal; work in progress was dropped")]
    Forced,
}

#[derive(Clone)]
pub struct Lifecycle {
    inner: Arc<Inner>,
}

struct Inner {
    soft: CancellationToken,
    hard: CancellationToken,
    tasks: TaskTracker,
    /// Only the first failure is kept: what follows it is usually its consequence.
    failure: OnceLock<Failure>,
    drain: Duration,
}

impl Lifecycle {
    pub fn new(drain: Duration) -> Self {
        let soft = CancellationToken::new();
        Self {
            inner: Arc::new(Inner {
                hard: CancellationToken::new(),
                soft,
                tasks: TaskTracker::new(),
                failure: OnceLock::new(),
                drain,
            }),
        }
    }

    /// Cancelled when no new work should be taken.
    pub fn soft(&self) -> &CancellationToken {
        &self.inner.soft
    }

    /// Cancelled when everything is dropped.
    pub fn hard(&self) -> &CancellationToken {
        &self.inner.hard
    }

    /// Begins the soft stop, as a signal would.
    pub fn stop(&self) {
        self.inner.soft.cancel();
    }

    /// Runs `future` until it ends or the hard stop; an error or a panic stops the process.
    pub fn spawn<F, E>(&self, name: &'static str, future: F)
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<BoxError>,
    {
        self.inner.tasks.spawn(self.clone().guard(name, future));
    }

    /// As [`Self::spawn`], for what must serve while the rest drains: it is not waited for, and dropped at hard.
    pub fn spawn_until_hard<F, E>(&self, name: &'static str, future: F)
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<BoxError>,
    {
        tokio::spawn(self.clone().guard(name, future));
    }

    fn guard<F, E>(self, name: &'static str, future: F) -> impl Future<Output = ()> + Send + 'static
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<BoxError>,
    {
        // The error is turned into text inside, so that it need not be Send across the await.
        let outcome = AssertUnwindSafe(async move { future.await.map_err(|error| Chain(&*error.into()).to_string()) })
            .catch_unwind();
        async move {
            let outcome = tokio::select! {
                outcome = outcome => outcome,
                () = self.inner.hard.cancelled() => return,
            };
            match outcome {
                Ok(Ok(())) => {}
                Ok(Err(reason)) => self.fail(name, reason),
                Err(panic) => self.fail(name, format!("panicked: {}", panic_text(&*panic))),
            }
        }
        .instrument(tracing::info_span!("task", name))
    }

    fn fail(&self, task: &'static str, reason: String) {
        error!(task, reason, "task failed, stopping");
        // A later failure is in the log; the first one is the answer.
        let _ = self.inner.failure.set(Failure::Task { task, reason });
        self.inner.soft.cancel();
    }

    /// Waits for a signal or a failed task, then drains. The process should exit with an error if this does.
    pub async fn run(self) -> Result<(), Failure> {
        let mut terminate = signal(SignalKind::terminate()).map_err(|source| signal_error(&source))?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(|source| signal_error(&source))?;
        tokio::select! {
            _ = terminate.recv() => info!("terminated, draining"),
            _ = interrupt.recv() => info!("interrupted, draining"),
            () = self.inner.soft.cancelled() => info!("draining"),
        }
        let second = async {
            tokio::select! {
                _ = terminate.recv() => {},
                _ = interrupt.recv() => {},
            }
        };
        self.drain(second).await
    }

    async fn drain(self, forced: impl Future<Output = ()>) -> Result<(), Failure> {
        let Inner { soft, hard, tasks, .. } = &*self.inner;
        soft.cancel();
        tasks.close();
        let drained = tokio::select! {
            () = tasks.wait() => Ok(()),
            () = tokio::time::sleep(self.inner.drain) => Err(Failure::DrainTimedOut(self.inner.drain)),
            () = forced => Err(Failure::Forced),
        };
        hard.cancel();
        if let Err(failure) = &drained {
            warn!("{failure}");
        }
        // Every task races the hard token, so this ends at their next await.
        let _ = tokio::time::timeout(Duration::from_secs(1), tasks.wait()).await;
        match self.inner.failure.get() {
            Some(failure) => Err(failure.clone()),
            None => drained,
        }
    }

    /// As [`Self::run`], but for a caller that decides itself when to stop (tests, tools): stops now and drains.
    pub async fn shut_down(self) -> Result<(), Failure> {
        self.drain(std::future::pending()).await
    }
}

fn signal_error(source: &std::io::Error) -> Failure {
    Failure::Task { task: "signals", reason: source.to_string() }
}

/// Display of an error with its causes, joined by colons: for logs, never for callers.
pub struct Chain<'a>(pub &'a (dyn std::error::Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(50);

    #[tokio::test]
    async fn a_task_that_watches_soft_is_waited_for() {
        let lifecycle = Lifecycle::new(Duration::from_secs(5));
        let soft = lifecycle.soft().clone();
        lifecycle.spawn("polite", async move {
            soft.cancelled().await;
            tokio::time::sleep(SOON).await;
            Ok::<_, BoxError>(())
        });
        lifecycle.shut_down().await.unwrap();
    }

    #[tokio::test]
    async fn a_task_that_never_ends_is_dropped_after_the_drain_time() {
        let lifecycle = Lifecycle::new(SOON);
        lifecycle.spawn("stubborn", std::future::pending::<Result<(), BoxError>>());
        let failure = lifecycle.shut_down().await.unwrap_err();
        assert!(matches!(failure, Failure::DrainTimedOut(_)), "{failure}");
    }

    #[tokio::test]
    async fn a_failed_task_stops_the_process_and_is_named() {
        let lifecycle = Lifecycle::new(SOON);
        lifecycle.spawn("relay", async { Err::<(), _>("no exchange") });
        let failure = lifecycle.run().await.unwrap_err();
        assert_eq!(failure.to_string(), "task relay failed: no exchange");
    }

    #[tokio::test]
    async fn a_panicking_task_stops_the_process_and_is_named() {
        let lifecycle = Lifecycle::new(SOON);
        lifecycle.spawn("job", async {
            assert!(std::hint::black_box(false), "off by one");
            Ok::<_, BoxError>(())
        });
        let failure = lifecycle.run().await.unwrap_err();
        assert_eq!(failure.to_string(), "task job failed: panicked: off by one");
    }

    #[tokio::test]
    async fn the_process_runs_until_it_is_told_to_stop() {
        let lifecycle = Lifecycle::new(SOON);
        let other = lifecycle.clone();
        let running = tokio::spawn(lifecycle.run());
        tokio::time::sleep(SOON).await;
        assert!(!running.is_finished());
        other.stop();
        running.await.unwrap().unwrap();
    }
}
