//! The last units: many buyers, few units, and not one sold twice.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use anyhow::ensure;
use oneshelf_proto::inventory::v1::ErrorReason;
use serde::Serialize;
use tokio::task::JoinSet;
use tonic::Status;
use tonic_types::StatusExt;

use super::{holds, seed, stage::Stage};

const BUYERS: usize = 64;
const ATTEMPTS: usize = 1_000;

#[derive(Debug, Serialize)]
pub struct Oversell {
    units: i64,
    buyers: usize,
    attempts: usize,
    sold: usize,
    refused: usize,
    attempts_per_second: f64,
}

impl fmt::Display for Oversell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { units, buyers, attempts, sold, refused, attempts_per_second } = self;
        write!(
            f,
            "oversell: {units} units, {buyers} buyers, {attempts} attempts: {sold} sold, {refused} refused with what \
             is left, {attempts_per_second:.0} attempts/s"
        )
    }
}

/// Fails when a unit is sold twice or not at all, or a refusal does not say what is left.
pub async fn run(stage: &Stage) -> anyhow::Result<Oversell> {
    let next = Arc::new(AtomicUsize::new(0));
    let sold = Arc::new(AtomicUsize::new(0));
    let mut buyers = JoinSet::new();
    let begin = Instant::now();
    for buyer in 0..BUYERS {
        let mut inventory = stage.apis[buyer % stage.apis.len()].inventory.clone();
        let (next, sold, clock) = (next.clone(), sold.clone(), stage.clock.clone());
        buyers.spawn(async move {
            let mut refused = Vec::new();
            while next.fetch_add(1, Ordering::Relaxed) < ATTEMPTS {
                let request = holds::request(&clock, [seed::SCARCE_SKU.to_owned()]);
                match inventory.hold_stock(request).await {
                    Ok(_) => {
                        sold.fetch_add(1, Ordering::Relaxed);
                    }
                    Err(status) => refused.push(status),
                }
            }
            refused
        });
    }
    let refused: Vec<Status> = buyers.join_all().await.into_iter().flatten().collect();
    let time = begin.elapsed();
    for status in &refused {
        ensure!(left(status) == Some(0), "a refusal that does not say that nothing is left: {status:?}");
    }
    let oversell = Oversell {
        units: seed::SCARCE_UNITS,
        buyers: BUYERS,
        attempts: ATTEMPTS,
        sold: sold.load(Ordering::Relaxed),
        refused: refused.len(),
        attempts_per_second: ATTEMPTS as f64 / time.as_secs_f64(),
    };
    println!("{oversell}");
    ensure!(
        oversell.sold as i64 == oversell.units && oversell.sold + oversell.refused == ATTEMPTS,
        "not exactly what there was has been sold"
    );
    Ok(oversell)
}

/// What a refusal for want of stock says is left.
fn left(status: &Status) -> Option<i64> {
    let details = status.get_details_error_info()?;
    let short = ErrorReason::InsufficientStock.as_str_name().trim_start_matches("ERROR_REASON_");
    if details.reason != short {
        return None;
    }
    details.metadata.get("available")?.parse().ok()
}
