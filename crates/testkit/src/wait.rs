use std::time::{Duration, Instant};

const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Waits until `condition` answers something, looking again and again, and gives that.
///
/// # Panics
/// When `timeout` is over; `what` says what did not come.
pub async fn wait_for<T>(what: &str, timeout: Duration, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(started.elapsed() < timeout, "no {what} within {timeout:?}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
