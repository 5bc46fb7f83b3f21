//! A worker's metrics for Prometheus: what it asks of DigitalOcean, what is left of the rate budgets, and the Temporal SDK's own.
//!
//! The SDK serves them, on the HTTP stack that it has for its own: everything is on one page.

mod budgets;

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use digitalocean::{Exchange, Observer, Purpose};
use temporalio_common::telemetry::metrics::{
    CoreMeter, Counter, Gauge, HistogramDuration, MetricAttributes, MetricKeyValue,
    MetricParameters,
};
use temporalio_common::telemetry::{
    HistogramBucketOverrides, PrometheusExporterOptions, TelemetryOptions,
    start_prometheus_metric_exporter,
};
use tokio::task::AbortHandle;

/// How a request to DigitalOcean failed; each is counted from 0 on, since a series that appears with its first failure hides that
/// failure from `increase`.
const REASONS: [&str; 6] = [
    "unauthorized",
    "forbidden",
    "rate_limited",
    "server",
    "network",
    "other",
];

const DURATION: &str = "arcadia_digitalocean_request_duration";
/// In seconds. A page of 200 bodies takes about one; after a minute the client gives up.
const DURATION_BUCKETS: [f64; 9] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0];

/// The metrics of one worker, served for as long as this lives. Cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    meter: Arc<dyn CoreMeter>,
    server: Arc<Server>,
}

struct Server {
    address: SocketAddr,
    task: AbortHandle,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Metrics {
    /// Serves them at `http://ADDRESS/metrics`; port 0 for a free one.
    pub fn serve(address: SocketAddr) -> anyhow::Result<Self> {
        let buckets = [(DURATION.to_owned(), DURATION_BUCKETS.to_vec())].into();
        let options = PrometheusExporterOptions::builder()
            .socket_addr(address)
            .counters_total_suffix(true)
            .unit_suffix(true)
            .use_seconds_for_durations(true)
            .histogram_bucket_overrides(HistogramBucketOverrides { overrides: buckets })
            .build();
        let started = start_prometheus_metric_exporter(options).with_context(|| {
            format!("the metrics cannot be served on {address}: free that port, or choose another with --metrics-bind or ARCADIA_METRICS_BIND")
        })?;
        let metrics = Self {
            meter: started.meter,
            server: Arc::new(Server {
                address: started.bound_addr,
                task: started.abort_handle,
            }),
        };
        let build = metrics.meter.gauge(parameters(
            "arcadia_build_info",
            "The build that works: always 1.",
        ));
        build.record(
            1,
            &metrics.labels(&[("version", env!("CARGO_PKG_VERSION"))]),
        );
        Ok(metrics)
    }

    /// Where they are served.
    pub fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// Makes the SDK count with this meter. What it logs goes to the program's own log.
    pub(crate) fn telemetry(&self) -> TelemetryOptions {
        TelemetryOptions::builder()
            .metrics(self.meter.clone())
            .build()
    }

    /// Counts what a purpose asks of DigitalOcean.
    pub(crate) fn observer(&self, purpose: Purpose) -> Arc<dyn Observer> {
        let observer = Counting {
            metrics: self.clone(),
            purpose: purpose.to_string(),
            requests: self.meter.counter(parameters(
                "arcadia_digitalocean_requests",
                "Requests to DigitalOcean's API by kind of path and by the answer's status, `none` where no answer came.",
            )),
            failures: self.meter.counter(parameters(
                "arcadia_digitalocean_failures",
                "Requests to DigitalOcean's API that were not answered with a 2xx, by reason.",
            )),
            durations: self.meter.histogram_duration(parameters(
                DURATION,
                "Time from a request to DigitalOcean's API to the head of the answer.",
            )),
            limit: self.meter.gauge(parameters(
                "arcadia_digitalocean_rate_limit",
                "Requests that the purpose's token has in an hour, as the latest answer told it.",
            )),
            remaining: self.meter.gauge(parameters(
                "arcadia_digitalocean_rate_limit_remaining",
                "Requests that the purpose's token has left, as the latest answer told it.",
            )),
            reset: self.meter.gauge(parameters(
                "arcadia_digitalocean_rate_limit_reset_timestamp_seconds",
                "When the oldest request that counts stops counting, in seconds since 1970.",
            )),
            purpose_only: self.labels(&[("purpose", &purpose.to_string())]),
        };
        for reason in REASONS {
            observer.count_failure(reason, 0);
        }
        Arc::new(observer)
    }

    /// Counts how often a purpose's worker was built anew.
    pub(crate) fn renewals(&self, purpose: Purpose) -> Renewals {
        let renewals = Renewals {
            counter: self.meter.counter(parameters(
                "arcadia_worker_renewals",
                "Times that a task queue's worker was built anew inside the process.",
            )),
            labels: self.labels(&[("purpose", &purpose.to_string())]),
        };
        renewals.counter.add(0, &renewals.labels);
        renewals
    }

    fn labels(&self, labels: &[(&str, &str)]) -> MetricAttributes {
        let pairs = labels
            .iter()
            .map(|(key, value)| MetricKeyValue::new(*key, (*value).to_owned()));
        self.meter.new_attributes(pairs.into())
    }
}

pub(crate) struct Renewals {
    counter: Counter,
    labels: MetricAttributes,
}

impl Renewals {
    pub(crate) fn count(&self) {
        self.counter.add(1, &self.labels);
    }
}

fn parameters(name: &'static str, help: &'static str) -> MetricParameters {
    MetricParameters::builder()
        .name(name)
        .description(help)
        .build()
}

/// What one purpose asks of DigitalOcean.
struct Counting {
    metrics: Metrics,
    purpose: String,
    purpose_only: MetricAttributes,
    requests: Counter,
    failures: Counter,
    durations: HistogramDuration,
    limit: Gauge,
    remaining: Gauge,
    reset: Gauge,
}

impl Counting {
    fn count_failure(&self, reason: &'static str, failures: u64) {
        let labels = [("purpose", &*self.purpose), ("reason", reason)];
        self.failures.add(failures, &self.metrics.labels(&labels));
    }
}

impl Observer for Counting {
    fn exchanged(&self, exchange: &Exchange) {
        let status = exchange
            .status
            .map_or_else(|| "none".to_owned(), |status| status.to_string());
        let labels = [
            ("purpose", &*self.purpose),
            ("method", exchange.method),
            ("path", &exchange.path),
            ("status", &status),
        ];
        self.requests.add(1, &self.metrics.labels(&labels));
        self.durations.record(exchange.took, &self.purpose_only);
        if let Some(reason) = reason(exchange.status) {
            self.count_failure(reason, 1);
        }
        if let Some(budget) = exchange.rate_limit {
            self.limit.record(budget.limit.into(), &self.purpose_only);
            self.remaining
                .record(budget.remaining.into(), &self.purpose_only);
            let reset = budget.reset_at.timestamp();
            self.reset
                .record(reset.try_into().unwrap_or_default(), &self.purpose_only);
        }
    }
}

/// One of [`REASONS`]; none for a 2xx.
fn reason(status: Option<u16>) -> Option<&'static str> {
    match status {
        None => Some("network"),
        Some(200..300) => None,
        Some(401) => Some("unauthorized"),
        Some(403) => Some("forbidden"),
        Some(429) => Some("rate_limited"),
        Some(500..) => Some("server"),
        Some(_) => Some("other"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_one_that_is_counted_from_the_start() {
        for status in [None, Some(401), Some(403), Some(404), Some(429), Some(503)] {
            let reason = reason(status);
            assert!(
                reason.is_some_and(|reason| REASONS.contains(&reason)),
                "{status:?}"
            );
        }
        assert_eq!(reason(Some(204)), None);
    }
}
