//! Metrics for Prometheus: how many requests, how long they took, which build answers, and how the mirror and the bill stand.

mod database;

use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::Method;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use prometheus::{
    HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGaugeVec, Opts, Registry,
    TextEncoder,
};

use crate::ApiState;
use crate::problem::Problem;
use database::Readings;

/// One registry a router; cheap to clone.
#[derive(Clone)]
pub(crate) struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    durations: HistogramVec,
    server_errors: IntCounter,
    readings: Readings,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        Self::register().expect("the metrics' names and labels are valid and each is made once")
    }

    fn register() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let requests = IntCounterVec::new(
            Opts::new("arcadia_http_requests_total", "Requests answered."),
            &["method", "route", "status"],
        )?;
        let durations = HistogramVec::new(
            HistogramOpts::new(
                "arcadia_http_request_duration_seconds",
                "Time from a request's head to its answer's.",
            ),
            &["method", "route", "status"],
        )?;
        // Without labels it is there from the start: a series that appears with its first error hides that error from `increase`.
        let server_errors = IntCounter::new(
            "arcadia_http_server_errors_total",
            "Requests that were answered with a 5xx status.",
        )?;
        let build = IntGaugeVec::new(
            Opts::new("arcadia_build_info", "The build that answers: always 1."),
            &["version"],
        )?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        registry.register(Box::new(requests.clone()))?;
        registry.register(Box::new(durations.clone()))?;
        registry.register(Box::new(server_errors.clone()))?;
        registry.register(Box::new(build))?;
        Ok(Self {
            registry,
            requests,
            durations,
            server_errors,
            readings: Readings::default(),
        })
    }
}

/// Counts and times a request.
pub(crate) async fn measure(
    State(metrics): State<Metrics>,
    request: Request,
    next: Next,
) -> Response {
    let method = known_method(request.method());
    let route = route(&request).to_owned();
    let begun = Instant::now();
    let response = next.run(request).await;
    let status = response.status();
    let labels = [method, &route, status.as_str()];
    metrics.requests.with_label_values(&labels).inc();
    metrics
        .durations
        .with_label_values(&labels)
        .observe(begun.elapsed().as_secs_f64());
    if status.is_server_error() {
        metrics.server_errors.inc();
    }
    response
}

/// The route that a request matched, as it is declared: paths as they are asked for are without number.
pub(crate) fn route<B>(request: &axum::http::Request<B>) -> &str {
    request
        .extensions()
        .get::<MatchedPath>()
        .map_or("unmatched", MatchedPath::as_str)
}

/// The method; one that HTTP does not define as `OTHER`, since anybody can make up any number of them.
pub(crate) fn known_method(method: &Method) -> &'static str {
    const KNOWN: [&str; 9] = [
        "GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "CONNECT", "PATCH", "TRACE",
    ];
    KNOWN
        .into_iter()
        .find(|name| *name == method.as_str())
        .unwrap_or("OTHER")
}

/// Metrics in Prometheus's text format
///
/// Needs no token. Answers without the database too.
#[utoipa::path(
    get,
    path = "/metrics",
    operation_id = "metrics",
    tag = "health",
    responses((status = OK, body = String, content_type = "text/plain; version=0.0.4",
        description = "Counters, gauges and histograms"))
)]
pub(crate) async fn show(State(state): State<ApiState>) -> Result<Response, Problem> {
    let metrics = &state.metrics;
    let in_database = metrics.readings.families(&state.probes).await;
    let text = in_database
        .and_then(|in_database| {
            let mut families = metrics.registry.gather();
            families.extend(in_database);
            TextEncoder::new().encode_to_string(&families)
        })
        .map_err(|error| Problem::Internal(error.into()))?;
    Ok(([(CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response())
}
