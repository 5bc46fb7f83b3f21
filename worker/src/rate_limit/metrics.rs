//! Metrics of the request budgets, read from the database.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use store::Store;
use store::rate_limit::{Available, AvailableRequests, Limits};
use temporalio_common::telemetry::metrics::{CoreMeter as _, Gauge};
use tokio::time::MissedTickBehavior;

use super::share_of;
use crate::metrics::{Metrics, parameters};

/// The interval of the reads, one row for each purpose.
const INTERVAL: Duration = Duration::from_secs(10);

/// Records the budgets of all purposes, including those of other workers, at a fixed interval.
/// Never returns.
pub(crate) async fn record(metrics: &Metrics, store: &Store, limits: Limits) {
    let mut gauges = Gauges::new(metrics);
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let reader = store.clone();
        let read = store
            .run_to_completion(async move { reader.available_requests(&limits, share_of).await });
        match read.await {
            Ok(Ok(budgets)) => {
                gauges.record_read();
                for budget in budgets {
                    gauges.record(&budget);
                }
            }
            Ok(Err(error)) => tracing::debug!("could not read the request budgets: {error}"),
            Err(error) => tracing::debug!("could not read the request budgets: {error}"),
        }
    }
}

struct Gauges<'a> {
    metrics: &'a Metrics,
    left: Gauge,
    size: Gauge,
    read_at: Gauge,
    /// The size last recorded by purpose and window: a window without data is recorded as full.
    sizes: HashMap<(String, &'static str), u32>,
}

impl<'a> Gauges<'a> {
    fn new(metrics: &'a Metrics) -> Self {
        let gauge = |name, help| metrics.meter.gauge(parameters(name, help));
        Self {
            metrics,
            left: gauge(
                "arcadia_request_budget_left",
                "Requests to DigitalOcean that the purpose may send at once, by window: the budget per minute, the budget per hour, and the hourly limit that DigitalOcean reported.",
            ),
            size: gauge(
                "arcadia_request_budget_size",
                "Requests to DigitalOcean that the purpose may send at once if none of the budget is used.",
            ),
            read_at: gauge(
                "arcadia_request_budget_read_timestamp_seconds",
                "Time of the last read of the budgets from the database, in seconds since 1970: the budget metrics show the state at that time.",
            ),
            sizes: HashMap::new(),
        }
    }

    fn record_read(&self) {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
        let seconds = since_1970.unwrap_or_default().as_secs();
        self.read_at.record(seconds, &self.metrics.labels(&[]));
    }

    fn record(&mut self, budget: &AvailableRequests) {
        let windows = [
            ("minute", budget.this_minute),
            ("hour", budget.this_hour),
            ("reported", budget.reported),
        ];
        for (window, available) in windows {
            let size = self.sizes.entry((budget.purpose.clone(), window));
            let available = match (available, size) {
                (Some(available), size) => {
                    size.insert_entry(available.at_most);
                    available
                }
                (None, Entry::Occupied(size)) => Available {
                    now: *size.get(),
                    at_most: *size.get(),
                },
                (None, Entry::Vacant(_)) => continue,
            };
            let now = if budget.closed_for.is_zero() {
                available.now
            } else {
                0
            };
            let labels = [("purpose", &*budget.purpose), ("window", window)];
            let labels = self.metrics.labels(&labels);
            self.left.record(now.into(), &labels);
            self.size.record(available.at_most.into(), &labels);
        }
    }
}
