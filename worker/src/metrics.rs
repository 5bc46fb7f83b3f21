//! Prometheus metrics of a worker: its requests to DigitalOcean, the remaining rate limits, and the
//! Temporal SDK's own metrics.
//!
//! The SDK's exporter serves all of them on one page.

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

/// Reasons why a request to DigitalOcean failed. Each series starts at 0, since `increase` misses
/// the first failure of a series that only appears with it.
const REASONS: [&str; 6] = [
    "unauthorized",
    "forbidden",
    "rate_limited",
    "server",
    "network",
    "other",
];

const DURATION: &str = "arcadia_digitalocean_request_duration";
/// In seconds. A page of 200 resources takes about one second; the client times out after a minute.
const DURATION_BUCKETS: [f64; 9] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0];

/// The metrics of one worker, served until the last clone is dropped. Cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    pub(crate) meter: Arc<dyn CoreMeter>,
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
    /// Serves the metrics at `http://ADDRESS/metrics`; port 0 selects a free port.
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
            format!(
                "could not serve metrics on {address}: free that port, or choose another with \
                 --metrics-bind or ARCADIA_METRICS_BIND"
            )
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
            "Version of the running build. Always 1.",
        ));
        build.record(
            1,
            &metrics.labels(&[("version", env!("CARGO_PKG_VERSION"))]),
        );
        Ok(metrics)
    }

    /// Returns the address on which the metrics are served.
    pub fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// Returns telemetry options that make the SDK record to this meter. The SDK's log lines go to
    /// the program's log.
    pub(crate) fn telemetry(&self) -> TelemetryOptions {
        TelemetryOptions::builder()
            .metrics(self.meter.clone())
            .build()
    }

    /// Returns an observer that records a purpose's requests to DigitalOcean.
    pub(crate) fn observer(&self, purpose: Purpose) -> Arc<dyn Observer> {
        let observer = RequestMetrics {
            metrics: self.clone(),
            purpose: purpose.to_string(),
            requests: self.meter.counter(parameters(
                "arcadia_digitalocean_requests",
                "Requests to the DigitalOcean API by path template and response status; `none` \
                 without a response.",
            )),
            failures: self.meter.counter(parameters(
                "arcadia_digitalocean_failures",
                "Requests to the DigitalOcean API without a 2xx response, by reason.",
            )),
            durations: self.meter.histogram_duration(parameters(
                DURATION,
                "Time from a request to the DigitalOcean API to the head of the response.",
            )),
            limit: self.meter.gauge(parameters(
                "arcadia_digitalocean_rate_limit",
                "Requests per hour allowed with the purpose's token, from the latest response.",
            )),
            remaining: self.meter.gauge(parameters(
                "arcadia_digitalocean_rate_limit_remaining",
                "Requests left with the purpose's token, from the latest response.",
            )),
            reset: self.meter.gauge(parameters(
                "arcadia_digitalocean_rate_limit_reset_timestamp_seconds",
                "Time at which the oldest counted request expires, in seconds since 1970.",
            )),
            purpose_label: self.labels(&[("purpose", &purpose.to_string())]),
        };
        for reason in REASONS {
            observer.count_failure(reason, 0);
        }
        Arc::new(observer)
    }

    /// Returns the counter of a purpose's worker renewals, starting at 0.
    pub(crate) fn renewals(&self, purpose: Purpose) -> Renewals {
        let renewals = Renewals {
            counter: self.meter.counter(parameters(
                "arcadia_worker_renewals",
                "Renewals of a task queue's worker inside the process.",
            )),
            labels: self.labels(&[("purpose", &purpose.to_string())]),
        };
        renewals.counter.add(0, &renewals.labels);
        renewals
    }

    pub(crate) fn labels(&self, labels: &[(&str, &str)]) -> MetricAttributes {
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

pub(crate) fn parameters(name: &'static str, help: &'static str) -> MetricParameters {
    MetricParameters::builder()
        .name(name)
        .description(help)
        .build()
}

/// Records the requests of one purpose to DigitalOcean.
struct RequestMetrics {
    metrics: Metrics,
    purpose: String,
    purpose_label: MetricAttributes,
    requests: Counter,
    failures: Counter,
    durations: HistogramDuration,
    limit: Gauge,
    remaining: Gauge,
    reset: Gauge,
}

impl RequestMetrics {
    fn count_failure(&self, reason: &'static str, failures: u64) {
        let labels = [("purpose", &*self.purpose), ("reason", reason)];
        self.failures.add(failures, &self.metrics.labels(&labels));
    }
}

impl Observer for RequestMetrics {
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
        self.durations
            .record(exchange.duration, &self.purpose_label);
        if let Some(reason) = reason(exchange.status) {
            self.count_failure(reason, 1);
        }
        if let Some(rate_limit) = exchange.rate_limit {
            self.limit
                .record(rate_limit.limit.into(), &self.purpose_label);
            self.remaining
                .record(rate_limit.remaining.into(), &self.purpose_label);
            let reset = rate_limit.reset_at.timestamp();
            self.reset
                .record(reset.try_into().unwrap_or_default(), &self.purpose_label);
        }
    }
}

/// Returns the failure reason, one of [`REASONS`]; none for a 2xx.
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
    fn every_failure_reason_has_a_series_from_the_start() {
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
