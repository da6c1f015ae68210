use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::{FutureExt, future::join_all};
use oneshelf_kit::{
    batch::{Batcher, Options, Submit},
    lifecycle::Lifecycle,
};
use oneshelf_testkit::wait_for;
use tokio::sync::Semaphore;

use crate::support::SOON;

#[derive(Debug, thiserror::Error)]
#[error("cannot execute {0}")]
struct Poison(u64);

/// An executor that notes each group, waits for a permit, and answers ten times the command. 13 is poison.
struct Bench {
    lifecycle: Lifecycle,
    groups: Arc<Mutex<Vec<Vec<u64>>>>,
    permits: Arc<Semaphore>,
    batcher: Batcher<u64, u64, Poison>,
}

impl Bench {
    fn new(options: Options) -> Self {
        let lifecycle = Lifecycle::new(Duration::from_secs(10));
        let groups = Arc::new(Mutex::new(Vec::new()));
        let permits = Arc::new(Semaphore::new(0));
        let (noted, gate) = (Arc::clone(&groups), Arc::clone(&permits));
        let batcher = Batcher::spawn(
            &lifecycle,
            "test",
            options,
            |command| *command,
            move |group: Arc<[u64]>| {
                noted.lock().unwrap().push(group.to_vec());
                let gate = Arc::clone(&gate);
                async move {
                    gate.acquire().await.unwrap().forget();
                    assert!(!group.contains(&666), "a bug in the executor");
                    match group.iter().find(|command| **command == 13) {
                        Some(poison) => Err(Poison(*poison)),
                        None => Ok(group.iter().map(|command| command * 10).collect()),
                    }
                }
                .boxed()
            },
        );
        Self { lifecycle, groups, permits, batcher }
    }

    /// Submits in order; each is in the queue before the next.
    fn submit_all(
        &self,
        commands: impl IntoIterator<Item = u64>,
    ) -> Vec<tokio::task::JoinHandle<Result<u64, Submit<Poison>>>> {
        commands
            .into_iter()
            .map(|command| {
                let batcher = self.batcher.clone();
                let mut submission = Box::pin(async move { batcher.submit(command).await });
                // The first poll puts it into the queue.
                assert!(submission.as_mut().now_or_never().is_none());
                tokio::spawn(submission)
            })
            .collect()
    }

    async fn first_group_taken(&self) {
        wait_for("a group", SOON, async || (!self.groups.lock().unwrap().is_empty()).then_some(())).await;
    }

    fn allow_all(&self) {
        self.permits.add_permits(10_000);
    }
}

const ONE_WRITER: Options = Options { max_group: 8, queue: 16, writers: 1 };

#[tokio::test]
async fn what_gathers_while_a_group_runs_becomes_the_next_group_in_order() {
    let bench = Bench::new(ONE_WRITER);
    let first = bench.submit_all([1]);
    bench.first_group_taken().await;
    let rest = bench.submit_all(2..=12);
    bench.allow_all();
    for (nth, answer) in first.into_iter().chain(rest).enumerate() {
        assert_eq!(answer.await.unwrap().unwrap(), (nth as u64 + 1) * 10);
    }
    let groups = bench.groups.lock().unwrap();
    assert_eq!(*groups, [vec![1], (2..=9).collect(), (10..=12).collect::<Vec<_>>()]);
}

#[tokio::test]
async fn commands_on_the_same_rows_go_to_the_same_writer() {
    let bench = Bench::new(Options { writers: 2, ..ONE_WRITER });
    bench.allow_all();
    join_all(bench.submit_all(0..12)).await;
    let groups = bench.groups.lock().unwrap();
    assert!(groups.iter().all(|group| group.iter().all(|command| command % 2 == group[0] % 2)), "{groups:?}");
}

#[tokio::test]
async fn a_poison_command_fails_alone() {
    let bench = Bench::new(ONE_WRITER);
    let blocker = bench.submit_all([1]);
    bench.first_group_taken().await;
    let group = bench.submit_all([2, 13, 3]);
    bench.allow_all();
    join_all(blocker).await;
    let mut answers = Vec::new();
    for answer in group {
        answers.push(answer.await.unwrap());
    }
    assert!(matches!(answers[..], [Ok(20), Err(Submit::Failed(Poison(13))), Ok(30)]), "{answers:?}");
}

#[tokio::test]
async fn a_panic_in_the_executor_costs_its_command_only() {
    let bench = Bench::new(ONE_WRITER);
    bench.allow_all();
    assert!(matches!(bench.batcher.submit(666).await, Err(Submit::Broken)));
    assert_eq!(bench.batcher.submit(4).await.unwrap(), 40);
}

#[tokio::test]
async fn a_caller_who_goes_away_disturbs_nobody_and_its_command_runs() {
    let bench = Bench::new(ONE_WRITER);
    let blocker = bench.submit_all([1]);
    bench.first_group_taken().await;
    let group = bench.submit_all([2, 3]);
    group[0].abort();
    bench.allow_all();
    join_all(blocker).await;
    let mut group = group.into_iter();
    assert!(group.next().unwrap().await.unwrap_err().is_cancelled());
    assert_eq!(group.next().unwrap().await.unwrap().unwrap(), 30);
    assert_eq!(bench.groups.lock().unwrap()[1], [2, 3]);
}

#[tokio::test]
async fn a_full_queue_refuses_at_once() {
    let bench = Bench::new(ONE_WRITER);
    let blocker = bench.submit_all([1]);
    bench.first_group_taken().await;
    let waiting = bench.submit_all(20..36);
    let refused = bench.batcher.submit(99).now_or_never().expect("the refusal does not wait");
    assert!(matches!(refused, Err(Submit::Overloaded)));
    bench.allow_all();
    for answer in blocker.into_iter().chain(waiting) {
        answer.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_soft_stop_answers_what_waits_and_then_ends() {
    let bench = Bench::new(ONE_WRITER);
    let blocker = bench.submit_all([1]);
    bench.first_group_taken().await;
    let waiting = bench.submit_all(2..10);
    bench.lifecycle.stop();
    bench.allow_all();
    for answer in blocker.into_iter().chain(waiting) {
        answer.await.unwrap().unwrap();
    }
    // The handle is still there, so the writer ends because nothing comes any more.
    bench.lifecycle.shut_down().await.unwrap();
    assert!(matches!(bench.batcher.submit(5).await, Err(Submit::Stopping)));
}
