//! Ten times what the server can do, offered whether or not it answers: what is still done, what is refused at once, and
//! what it costs in memory. Peak and overload are measured in turns.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use oneshelf_kit::lifecycle::Chain;
use serde::Serialize;
use tokio::{task::JoinSet, time::Instant};
use tonic::Code;

use super::{BenchArgs, holds, load::Load, report::median, stage::Stage};
use crate::api::Api;

/// How much more is offered than can be done.
const TIMES: f64 = 10.0;
/// The streams that find the peak.
const PEAK_STREAMS: usize = 256;
/// Requests in flight at most while overloaded: far above what the server lets in, and what a client can bear.
const STREAMS: usize = 8_192;
/// A connection carries 256 requests at a time, so fewer would hold back in the client what the server is to refuse: these
/// carry twice what it lets in.
const CONNECTIONS: usize = 16;

#[derive(Debug, Serialize)]
pub struct Overload {
    peak_per_second: f64,
    offered_per_second: f64,
    /// What the clients managed to send of it.
    sent_per_second: f64,
    goodput_per_second: f64,
    /// Median of the rounds: goodput over the peak beside it.
    goodput_ratio: f64,
    /// RESOURCE_EXHAUSTED.
    refused: u64,
    /// Median time until a refusal, in milliseconds.
    refusal_ms: f64,
    /// Other failures, by code and text.
    failed: BTreeMap<String, u64>,
    /// Resident memory of the server before and at most during the overload, in MiB.
    memory_before_mib: f64,
    memory_most_mib: f64,
}

impl fmt::Display for Overload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "holds, {TIMES:.0}× the peak offered: {:.0}/s, of which {:.0}/s were sent",
            self.offered_per_second, self.sent_per_second
        )?;
        writeln!(
            f,
            "    goodput           {:.0}/s beside a peak of {:.0}/s: {:.2}×",
            self.goodput_per_second, self.peak_per_second, self.goodput_ratio
        )?;
        writeln!(
            f,
            "    refused           {} with RESOURCE_EXHAUSTED, {:.1} ms in the middle",
            self.refused, self.refusal_ms
        )?;
        writeln!(f, "    failed otherwise  {:?}", self.failed)?;
        write!(
            f,
            "    server memory     {:.0} MiB before, at most {:.0} MiB",
            self.memory_before_mib, self.memory_most_mib
        )
    }
}

/// What one round of overload showed.
#[derive(Default)]
struct Seen {
    done: u64,
    refusals: Vec<u32>,
    failed: BTreeMap<String, u64>,
}

pub async fn run(args: &BenchArgs, stage: &Stage) -> anyhow::Result<Overload> {
    let peak_load = Load { streams: PEAK_STREAMS, rate: None, time: args.time() };
    let (mut peaks, mut goodputs, mut sent, mut offered) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut all = Seen::default();
    let apis = stage.connect(CONNECTIONS)?;
    let memory_before = stage.server_memory().await;
    let mut most = memory_before;
    for _ in 0..args.rounds {
        let peak = holds::hold(stage, peak_load, false).await?.per_second();
        let round = offer(stage, &apis, peak * TIMES, args.time()).await;
        let (seen, memory) = round?;
        most = most.max(memory);
        let seconds = args.time().as_secs_f64();
        let failed: u64 = seen.failed.values().sum();
        peaks.push(peak);
        offered.push(peak * TIMES);
        goodputs.push(seen.done as f64 / seconds);
        sent.push((seen.done + failed + seen.refusals.len() as u64) as f64 / seconds);
        all.refusals.extend(seen.refusals);
        for (code, count) in seen.failed {
            *all.failed.entry(code).or_default() += count;
        }
    }
    let overload = Overload {
        goodput_ratio: median(goodputs.iter().zip(&peaks).map(|(goodput, peak)| goodput / peak)),
        peak_per_second: median(peaks.into_iter()),
        offered_per_second: median(offered.into_iter()),
        sent_per_second: median(sent.into_iter()),
        goodput_per_second: median(goodputs.into_iter()),
        refused: all.refusals.len() as u64,
        refusal_ms: median(all.refusals.iter().map(|micros| f64::from(*micros) / 1_000.0)),
        failed: all.failed,
        memory_before_mib: memory_before,
        memory_most_mib: most,
    };
    println!("{overload}");
    Ok(overload)
}

/// Requests fall due at a fixed rate; a stream that is late sends at once. Nothing is repeated and nobody backs off.
async fn offer(stage: &Stage, apis: &[Api], rate: f64, time: Duration) -> anyhow::Result<(Seen, f64)> {
    let first = Instant::now();
    let end = first + time;
    let due = Arc::new(AtomicU64::new(0));
    let mut streams = JoinSet::new();
    for stream in 0..STREAMS {
        let (due, clock) = (due.clone(), stage.clock.clone());
        let mut inventory = apis[stream % apis.len()].inventory.clone();
        streams.spawn(async move {
            let mut seen = Seen::default();
            loop {
                let place = due.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep_until(first + Duration::from_secs_f64(place as f64 / rate)).await;
                let sent = Instant::now();
                if sent >= end {
                    return seen;
                }
                match inventory.hold_stock(holds::request(&clock, [holds::any_sku()])).await {
                    Ok(_) if Instant::now() < end => seen.done += 1,
                    Ok(_) => {}
                    Err(status) if status.code() == Code::ResourceExhausted => {
                        seen.refusals.push(sent.elapsed().as_micros().try_into().unwrap_or(u32::MAX));
                    }
                    Err(status) => {
                        let failure = format!("{:?}: {}", status.code(), Chain(&status));
                        *seen.failed.entry(failure).or_default() += 1;
                    }
                }
            }
        });
    }
    let mut most: f64 = 0.0;
    while Instant::now() < end {
        most = most.max(stage.server_memory().await);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let mut all = Seen::default();
    while let Some(seen) = streams.join_next().await {
        let seen = seen?;
        all.done += seen.done;
        all.refusals.extend(seen.refusals);
        for (code, count) in seen.failed {
            *all.failed.entry(code).or_default() += count;
        }
    }
    Ok((all, most))
}
