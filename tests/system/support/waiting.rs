//! Waiting for what a test is about, never for time.

use std::future::Future;
use std::time::{Duration, Instant};

/// How long anything may take: a fan-out over 137 invoices takes some seconds, on a busy machine some more.
pub(crate) const LIMIT: Duration = Duration::from_secs(90);
/// How often a condition is looked at.
const INTERVAL: Duration = Duration::from_millis(50);

/// Waits for a condition to give something.
pub(crate) async fn eventually<T>(what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + LIMIT;
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(
            Instant::now() < deadline,
            "not within {} s: {what}",
            LIMIT.as_secs()
        );
        tokio::time::sleep(INTERVAL).await;
    }
}

/// Waits for something to end.
pub(crate) async fn within<T>(limit: Duration, what: &str, work: impl Future<Output = T>) -> T {
    let ended = tokio::time::timeout(limit, work).await;
    ended.unwrap_or_else(|_| panic!("not ended within {} s: {what}", limit.as_secs()))
}
