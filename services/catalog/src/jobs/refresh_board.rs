//! Keeps the board close to what is committed, and wakes watchers when a scheduled version becomes active.

use std::{convert::Infallible, sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use crate::usecases::Catalog;

/// Runs until stopped. A failed round is told once and made up for by the next.
pub async fn refresh_board(catalog: Arc<Catalog>, every: Duration, stop: CancellationToken) -> Result<(), Infallible> {
    let mut failed = false;
    loop {
        let mut pause = every;
        match catalog.refresh().await {
            Ok(next_activation) => {
                if std::mem::take(&mut failed) {
                    tracing::info!("the board is up to date again");
                }
                if let Some(at) = next_activation {
                    // Not before it: a round that comes early would have to come again.
                    let due = (at - catalog.now()).to_std().unwrap_or_default() + Duration::from_millis(1);
                    pause = pause.min(due);
                }
            }
            Err(error) => {
                if !std::mem::replace(&mut failed, true) {
                    let error = &error as &(dyn std::error::Error + 'static);
                    tracing::warn!(error, "the board cannot be refreshed, quotes go by the last one");
                }
            }
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(pause) => {}
        }
    }
}
