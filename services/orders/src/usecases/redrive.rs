//! Goes on with what is due: processes whose driver died, or whose remote was away, and tickets just recorded.

use futures::{StreamExt as _, stream};
use metrics::gauge;

use super::{Error, Orders, drive_process::find_subject};
use crate::store;

/// Processes leased at once per one driven at a time: few enough to be reached within the lease.
const LEASED_EACH: usize = 4;

impl Orders {
    /// Drives one batch, so many at a time; answers how many were due. Several replicas may do so at once.
    pub async fn redrive(&self, at_once: usize) -> Result<usize, Error> {
        let limit = (at_once * LEASED_EACH) as i64;
        let due = store::processes::lease_due(&self.pool, self.clock.now(), self.lease_end(), limit).await?;
        let count = due.len();
        stream::iter(due)
            .for_each_concurrent(at_once, async |process| {
                // Failures are noted at the process; the batch goes on.
                let subject = match self.pool.acquire().await {
                    Ok(mut conn) => find_subject(&mut conn, process.verb, process.process_id).await,
                    Err(error) => Err(error),
                };
                match subject {
                    Ok(Some(subject)) => drop(self.drive(process, subject).await),
                    Ok(None) => tracing::error!(process.id = %process.process_id, "a process without its subject"),
                    Err(error) => tracing::warn!(process.id = %process.process_id, "cannot be read: {error}"),
                }
            })
            .await;
        Ok(count)
    }

    /// Waits until something is said to be due.
    pub async fn due(&self) {
        self.due.notified().await;
    }

    /// Reports what waits.
    pub async fn measure_processes(&self) -> Result<(), Error> {
        let (parked, oldest_due_at) = store::processes::backlog(&self.pool).await?;
        let overdue = oldest_due_at.map_or(0, |due_at| (self.clock.now() - due_at).num_seconds().max(0));
        gauge!("oneshelf_orders_processes_parked").set(parked as f64);
        gauge!("oneshelf_orders_processes_overdue_seconds").set(overdue as f64);
        Ok(())
    }
}
