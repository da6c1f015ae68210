//! Shows prices whose time has come, every second.

use std::{convert::Infallible, time::Duration};

use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::usecases::Channels;

/// Runs until stopped. A failed round is logged and the next one finds the same windows still due.
pub async fn run(channels: Channels, every: Duration, stop: CancellationToken) -> Result<(), Infallible> {
    loop {
        let more = channels.activate_prices().await.unwrap_or_else(|error| {
            warn!(error = &error as &dyn std::error::Error, "activating prices failed, trying again");
            false
        });
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(every), if !more => {}
            () = std::future::ready(()), if more => {}
        }
    }
}
