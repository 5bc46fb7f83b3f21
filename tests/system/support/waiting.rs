//! Waits for conditions and for the end of work, rather than for fixed times.

use std::future::Future;
use std::time::Duration;

/// Timeout of every condition. A backfill of 137 invoices takes some seconds, more on a busy
/// machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(90);
/// Interval between two checks of a condition.
const INTERVAL: Duration = Duration::from_millis(50);

/// Waits until a condition returns a value. Panics after [`LIMIT`], also if a check does not end.
pub(crate) async fn eventually<T>(
    expectation: &str,
    mut condition: impl AsyncFnMut() -> Option<T>,
) -> T {
    let met = async {
        loop {
            if let Some(value) = condition().await {
                return value;
            }
            tokio::time::sleep(INTERVAL).await;
        }
    };
    within(LIMIT, expectation, Box::pin(met)).await
}

/// Waits for the end of a future. Panics after `limit`.
pub(crate) async fn within<T>(limit: Duration, name: &str, work: impl Future<Output = T>) -> T {
    let ended = tokio::time::timeout(limit, work).await;
    ended.unwrap_or_else(|_| panic!("not ended within {} s: {name}", limit.as_secs()))
}
