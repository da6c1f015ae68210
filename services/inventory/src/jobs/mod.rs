//! Timers. They call use cases and own no rule.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::usecases::Inventory;

/// Records expired holds until told to stop; a failed round is tried again at the next tick.
pub async fn expire_holds(inventory: Inventory, every: Duration, stop: CancellationToken) {
    let mut tick = tokio::time::interval(every);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = tick.tick() => {}
        }
        match inventory.expire_holds().await {
            Ok(0) => {}
            Ok(due) => tracing::debug!(due, "recorded expired holds"),
            Err(error) => tracing::warn!(%error, "could not record expired holds"),
        }
    }
}

/// Lets levels go on to follow their locations where somebody stopped halfway, and announces ring-fences that time has
/// ended, until told to stop.
pub async fn follow_changes(inventory: Inventory, every: Duration, stop: CancellationToken) {
    let mut tick = tokio::time::interval(every);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = tick.tick() => {}
        }
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
        if let Err(error) = inventory.prune_counters().await {
            tracing::warn!(%error, "could not take counters away that count nothing");
        }
    }
}
