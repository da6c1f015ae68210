//! Calls the use case every while, and at once when it is told that something is due.

use std::{convert::Infallible, time::Duration};

use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::usecases::Orders;

const MEASURE_EVERY: Duration = Duration::from_secs(5);

/// Runs until stopped.
pub async fn run(orders: Orders, every: Duration, at_once: usize, stop: CancellationToken) -> Result<(), Infallible> {
    let mut measured = None::<Instant>;
    while !stop.is_cancelled() {
        if measured.is_none_or(|at| at.elapsed() >= MEASURE_EVERY) {
            measured = Some(Instant::now());
            if let Err(error) = orders.measure_processes().await {
                warn!("processes cannot be counted: {error}");
            }
        }
        match orders.redrive(at_once).await {
            Ok(1..) => continue,
            Ok(0) => {}
            Err(error) => warn!("due processes cannot be read: {error}"),
        }
        let woken = timeout(every, orders.due());
        let _ = stop.run_until_cancelled(woken).await;
    }
    Ok(())
}
