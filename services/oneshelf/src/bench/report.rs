//! What was measured, as a table and as JSON. Every figure has its unit in its name or beside it.

use std::collections::BTreeMap;

use anyhow::ensure;
use serde::Serialize;

use super::load::{Load, Round};

/// One line of the table: the median of the rounds.
#[derive(Debug, Serialize)]
pub struct Figure {
    pub name: String,
    /// What is counted: holds, quotes …
    pub unit: &'static str,
    pub streams: usize,
    /// Of an open loop, requests due per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offered_per_second: Option<f64>,
    pub per_second: f64,
    pub per_second_of_rounds: Vec<f64>,
    pub latency_ms: Latency,
    /// CPU time per request in microseconds, by process.
    pub cpu_us_per_request: BTreeMap<&'static str, f64>,
    /// Commands that the stock executor ran in one transaction, on average.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_size: Option<f64>,
    pub limits: Vec<Limit>,
}

#[derive(Debug, Serialize)]
pub struct Latency {
    pub p50: f64,
    pub p99: f64,
    #[serde(rename = "p99.9")]
    pub p999: f64,
    pub max: f64,
}

/// What the same machine does at best, measured in between.
#[derive(Debug, Serialize)]
pub struct Limit {
    pub name: String,
    pub per_second: f64,
    /// Median of our rounds over the limit's rounds beside them.
    pub ratio: f64,
}

impl Figure {
    /// `limits` have one rate per round, in the same order as `rounds`.
    pub fn of(
        name: String,
        unit: &'static str,
        load: Load,
        rounds: &[Round],
        limits: Vec<(String, Vec<f64>)>,
    ) -> anyhow::Result<Self> {
        for round in rounds {
            if let Some(failure) = &round.failure {
                anyhow::bail!("{name}: {} requests failed, the first with: {failure}", round.failed);
            }
            ensure!(round.answered > 0, "{name}: nothing was answered");
        }
        let rates: Vec<f64> = rounds.iter().map(Round::per_second).collect();
        let mut merged = rounds[0].latency.clone();
        for round in &rounds[1..] {
            merged.add(&round.latency)?;
        }
        let ms = |micros: u64| micros as f64 / 1_000.0;
        let answered: u64 = rounds.iter().map(|round| round.answered).sum();
        let mut cpu = BTreeMap::new();
        for (process, used) in rounds.iter().flat_map(|round| &round.cpu.0) {
            *cpu.entry(*process).or_insert(0.0) += used.as_secs_f64() * 1e6 / answered as f64;
        }
        // The echo is idle then; its share is not ours.
        cpu.remove("echo");
        let limits = limits
            .into_iter()
            .map(|(name, limit)| Limit {
                name,
                ratio: median(rates.iter().zip(&limit).map(|(ours, limit)| ours / limit)),
                per_second: median(limit.into_iter()),
            })
            .collect();
        Ok(Self {
            name,
            unit,
            streams: load.streams,
            offered_per_second: load.rate,
            per_second: median(rates.iter().copied()),
            per_second_of_rounds: rates,
            latency_ms: Latency {
                p50: ms(merged.value_at_quantile(0.5)),
                p99: ms(merged.value_at_quantile(0.99)),
                p999: ms(merged.value_at_quantile(0.999)),
                max: ms(merged.max()),
            },
            cpu_us_per_request: cpu,
            group_size: None,
            limits,
        })
    }

    pub fn print(&self) {
        let Latency { p50, p99, p999, max } = self.latency_ms;
        let offered = self.offered_per_second.map_or_else(String::new, |rate| format!(", {rate:.0}/s offered"));
        println!("{} ({} streams{offered}): {:.0} {}/s", self.name, self.streams, self.per_second, self.unit);
        println!("    latency ms        p50 {p50:.2}  p99 {p99:.2}  p99.9 {p999:.2}  max {max:.2}");
        let cpu: Vec<String> = self.cpu_us_per_request.iter().map(|(name, us)| format!("{name} {us:.1}")).collect();
        println!("    CPU µs/request    {}", cpu.join("  "));
        if let Some(size) = self.group_size {
            println!("    commands/group    {size:.1}");
        }
        for limit in &self.limits {
            println!("    beside            {:.0}/s {}: {:.2}×", limit.per_second, limit.name, limit.ratio);
        }
    }
}

pub fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_or_between_the_two() {
        assert!((median([3.0, 1.0, 2.0].into_iter()) - 2.0).abs() < f64::EPSILON);
        assert!((median([4.0, 1.0, 2.0, 3.0].into_iter()) - 2.5).abs() < f64::EPSILON);
    }
}
