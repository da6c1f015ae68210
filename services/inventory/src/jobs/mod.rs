//! Timers. They call use cases and own no rule.

use std::time::Duration;

use metrics::{counter, gauge};
use tokio::time::{Instant, Interval, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::usecases::{Inventory, reconcile::Progress};

/// Records expired holds until told to stop; a failed round is tried again at the next tick.
pub async fn expire_holds(inventory: Inventory, every: Duration, stop: CancellationToken) {
    let mut tick = ticks(every);
    while next(&mut tick, &stop).await {
        match inventory.expire_holds().await {
            Ok(0) => {}
            Ok(due) => tracing::debug!(due, "recorded expired holds"),
            Err(error) => tracing::warn!(%error, "could not record expired holds"),
        }
    }
}

/// Lets levels go on to follow their locations where somebody stopped halfway, announces ring-fences that time has ended,
/// and lets thresholds follow their channels, until told to stop.
pub async fn follow_changes(inventory: Inventory, every: Duration, stop: CancellationToken) {
    let mut tick = ticks(every);
    while next(&mut tick, &stop).await {
        match inventory.follow_locations().await {
            Ok(0) => {}
            Ok(behind) => tracing::debug!(behind, "brought levels to the state of their locations"),
            Err(error) => tracing::warn!(%error, "could not bring levels to the state of their locations"),
        }
        match inventory.release_fences().await {
            Ok(0) => {}
            Ok(due) => tracing::debug!(due, "announced ring-fences that have ended"),
            Err(error) => tracing::warn!(%error, "could not announce ring-fences that have ended"),
        }
        match inventory.follow_channels().await {
            Ok(0) => {}
            Ok(behind) => tracing::debug!(behind, "brought thresholds to where their channels sell from"),
            Err(error) => tracing::warn!(%error, "could not bring thresholds to where their channels sell from"),
        }
        match inventory.follow_agreements().await {
            Ok(0) => {}
            Ok(behind) => tracing::debug!(behind, "let levels know of agreements on consignment"),
            Err(error) => tracing::warn!(%error, "could not let levels know of agreements on consignment"),
        }
        match inventory.tell_short_dated().await {
            Ok(0) => {}
            Ok(due) => tracing::debug!(due, "announced lots that have gone past promising"),
            Err(error) => tracing::warn!(%error, "could not announce lots that have gone past promising"),
        }
        if let Err(error) = inventory.prune_counters().await {
            tracing::warn!(%error, "could not take counters away that count nothing");
        }
    }
}

/// Makes the ledger's months ahead and closes them behind until told to stop.
pub async fn keep_ledger(inventory: Inventory, every: Duration, stop: CancellationToken) {
    let mut tick = ticks(every);
    while next(&mut tick, &stop).await {
        if let Err(error) = inventory.make_partitions().await {
            tracing::warn!(%error, "could not make the ledger's next months");
        }
        while !stop.is_cancelled() {
            match inventory.close_months().await {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    tracing::warn!(%error, "could not close a month of the ledger");
                    break;
                }
            }
        }
    }
}

/// Rounds of the reconciler pause for so many times as long as they took: it has a fiftieth of one session at most.
const RECONCILE_PAUSE: u32 = 49;

/// Compares levels with ledger and holds, slice by slice, until told to stop. A round where a slice is dear, because the
/// ledger is large or the database busy, is followed by a pause that is longer than `every`.
pub async fn reconcile(inventory: Inventory, every: Duration, stop: CancellationToken) {
    let mut tick = ticks(every);
    // The first tick comes at once, and a process that begins has better to do.
    tick.reset();
    let mut progress = Progress::default();
    while next(&mut tick, &stop).await {
        let begun = Instant::now();
        match inventory.reconcile(&mut progress).await {
            Ok(round) => {
                counter!("oneshelf_inventory_reconciled_levels_total").increment(round.checked.unsigned_abs());
                gauge!("oneshelf_inventory_drift_levels").set(round.drifting as f64);
                if round.drifting > 0 {
                    tracing::error!(levels = round.drifting, "levels differ from ledger or holds: see ListDrift");
                }
            }
            Err(error) => tracing::warn!(%error, "could not compare levels with ledger and holds"),
        }
        tick.reset_after(every.max(begun.elapsed() * RECONCILE_PAUSE));
    }
}

fn ticks(every: Duration) -> Interval {
    let mut tick = tokio::time::interval(every);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tick
}

/// Waits for the next tick; `false` when it is time to stop.
async fn next(tick: &mut Interval, stop: &CancellationToken) -> bool {
    tokio::select! {
        () = stop.cancelled() => false,
        _ = tick.tick() => true,
    }
}
