//! What is left of the tokens' request budgets, which stands in the database.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use store::Store;
use store::budget::{BudgetLeft, Left, Limits};
use temporalio_common::telemetry::metrics::{CoreMeter as _, Gauge};
use tokio::time::MissedTickBehavior;

use crate::budget::share_of;

use super::{Metrics, parameters};

/// How often it is read: a row for each purpose.
const INTERVAL: Duration = Duration::from_secs(10);

impl Metrics {
    /// Tells it again and again, of all purposes that ever asked, whichever worker asks for them. Never ends.
    pub(crate) async fn tell_budgets(&self, store: &Store, limits: Limits) {
        let mut gauges = Gauges::of(self);
        let mut ticks = tokio::time::interval(INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let asked = store.clone();
            let reading =
                store.run_to_completion(async move { asked.budgets_left(&limits, share_of).await });
            match reading.await {
                Ok(Ok(budgets)) => {
                    gauges.tell_read();
                    for budget in &budgets {
                        gauges.tell(budget);
                    }
                }
                Ok(Err(error)) => {
                    tracing::debug!("the request budgets could not be read: {error}");
                }
                Err(error) => tracing::debug!("the request budgets could not be read: {error}"),
            }
        }
    }
}

struct Gauges<'a> {
    metrics: &'a Metrics,
    left: Gauge,
    size: Gauge,
    read_at: Gauge,
    /// What was told last as a window's size: a window of which nothing is known any more is a full one.
    sizes: HashMap<(String, &'static str), u32>,
}

impl<'a> Gauges<'a> {
    fn of(metrics: &'a Metrics) -> Self {
        Self {
            metrics,
            left: metrics.meter.gauge(parameters(
                "arcadia_request_budget_left",
                "Requests to DigitalOcean that the purpose may make at once, by its budget per minute and per hour, and by what DigitalOcean told of the token's hour.",
            )),
            size: metrics.meter.gauge(parameters(
                "arcadia_request_budget_size",
                "The same when nobody has made any for a while.",
            )),
            read_at: metrics.meter.gauge(parameters(
                "arcadia_request_budget_read_timestamp_seconds",
                "When the budgets were last read from the database, in seconds since 1970: what is told of them is of then.",
            )),
            sizes: HashMap::new(),
        }
    }

    fn tell_read(&self) {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
        let seconds = since_1970.unwrap_or_default().as_secs();
        self.read_at.record(seconds, &self.metrics.labels(&[]));
    }

    fn tell(&mut self, budget: &BudgetLeft) {
        for (window, left) in [
            ("minute", budget.this_minute),
            ("hour", budget.this_hour),
            ("told", budget.told),
        ] {
            let size = self.sizes.entry((budget.purpose.clone(), window));
            let left = match left {
                Some(left) => {
                    size.insert_entry(left.at_most);
                    left
                }
                None => match size {
                    Entry::Occupied(size) => Left::all(*size.get()),
                    Entry::Vacant(_) => continue,
                },
            };
            let now = if budget.closed_for.is_zero() {
                left.now
            } else {
                0
            };
            let labels = [("purpose", &*budget.purpose), ("window", window)];
            let labels = self.metrics.labels(&labels);
            self.left.record(now.into(), &labels);
            self.size.record(left.at_most.into(), &labels);
        }
    }
}
