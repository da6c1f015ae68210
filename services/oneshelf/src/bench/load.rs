//! Load from many streams at once.
//!
//! Closed loop: each stream sends its next request when the last is answered; this finds the peak. Open loop: requests
//! fall due at a fixed rate whether or not earlier ones are answered, and each latency counts from when the request was
//! due, so a server that stalls cannot hide it (no coordinated omission).

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use hdrhistogram::Histogram;
use tokio::{task::JoinSet, time::Instant};
use tonic::Status;

use super::cpu::{Cpu, Meter};

/// Not measured: connections open, caches fill, the first groups form.
const WARM_UP: Duration = Duration::from_millis(700);

/// What is sent, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    pub streams: usize,
    /// Requests per second of an open loop; none: closed loop.
    pub rate: Option<f64>,
    pub time: Duration,
}

/// What one round showed.
pub struct Round {
    pub answered: u64,
    pub failed: u64,
    /// The first failure, in words.
    pub failure: Option<Status>,
    pub time: Duration,
    /// Microseconds.
    pub latency: Histogram<u64>,
    pub cpu: Cpu,
}

impl Round {
    pub fn per_second(&self) -> f64 {
        self.answered as f64 / self.time.as_secs_f64()
    }
}

/// What one stream saw between the end of the warm-up and the end.
#[derive(Default)]
struct Seen {
    micros: Vec<u32>,
    failed: u64,
    failure: Option<Status>,
}

/// Runs one round of `call`, which is given the number of its stream.
pub async fn drive<C, F>(load: Load, meter: &Meter, call: C) -> anyhow::Result<Round>
where
    C: Fn(usize) -> F + Send + Sync + 'static,
    F: Future<Output = Result<(), Status>> + Send + 'static,
{
    let call = Arc::new(call);
    let first = Instant::now();
    let (begin, end) = (first + WARM_UP, first + WARM_UP + load.time);
    let due = Arc::new(AtomicU64::new(0));
    let mut streams = JoinSet::new();
    for stream in 0..load.streams {
        let (call, due) = (call.clone(), due.clone());
        streams.spawn(async move {
            let mut seen = Seen::default();
            loop {
                let sent = match load.rate {
                    None => Instant::now(),
                    Some(rate) => {
                        let place = due.fetch_add(1, Ordering::Relaxed);
                        let at = first + Duration::from_secs_f64(place as f64 / rate);
                        if at < end {
                            tokio::time::sleep_until(at).await;
                        }
                        at
                    }
                };
                if sent >= end {
                    return seen;
                }
                let answer = call(stream).await;
                let now = Instant::now();
                match answer {
                    // The end is no bound for an open loop: a request that was due in time counts, however late.
                    Ok(()) if sent >= begin && (now <= end || load.rate.is_some()) => {
                        seen.micros.push((now - sent).as_micros().try_into().unwrap_or(u32::MAX));
                    }
                    Ok(()) => {}
                    Err(status) => {
                        seen.failed += 1;
                        seen.failure.get_or_insert(status);
                        // A server that refuses everything shall not be asked a million times.
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                }
            }
        });
    }
    tokio::time::sleep_until(begin).await;
    let before = meter.read();
    tokio::time::sleep_until(end).await;
    let cpu = meter.read().since(&before);
    let mut round = Round {
        answered: 0,
        failed: 0,
        failure: None,
        time: load.time,
        latency: Histogram::new_with_bounds(1, u64::from(u32::MAX), 3)?,
        cpu,
    };
    while let Some(seen) = streams.join_next().await {
        let seen = seen?;
        round.answered += seen.micros.len() as u64;
        round.failed += seen.failed;
        round.failure = round.failure.or(seen.failure);
        for micros in seen.micros {
            round.latency.saturating_record(u64::from(micros).max(1));
        }
    }
    Ok(round)
}
