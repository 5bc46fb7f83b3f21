//! Metrics for Prometheus: number and duration of requests, build information, and the state of the
//! mirror and of billing from the database.

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
use crate::access::Admin;
use crate::problem::Problem;
use database::Readings;

/// The metrics of one router. Cheap to clone.
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
        Self::register().expect("names and labels of metrics are valid and unique")
    }

    fn register() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let requests = IntCounterVec::new(
            Opts::new("arcadia_http_requests_total", "Number of requests."),
            &["method", "route", "status"],
        )?;
        let durations = HistogramVec::new(
            HistogramOpts::new(
                "arcadia_http_request_duration_seconds",
                "Time from the head of a request to the head of its response, in seconds.",
            ),
            &["method", "route", "status"],
        )?;
        // Without labels, so that the series exists from the start: a series that starts with its
        // first error hides that error from `increase`.
        let server_errors = IntCounter::new(
            "arcadia_http_server_errors_total",
            "Number of requests with a 5xx status.",
        )?;
        let build = IntGaugeVec::new(
            Opts::new(
                "arcadia_build_info",
                "Build of the process, in the label `version`; always 1.",
            ),
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

/// Counts a request and measures its duration.
pub(crate) async fn measure(
    State(metrics): State<Metrics>,
    request: Request,
    next: Next,
) -> Response {
    let method = known_method(request.method());
    let route = route(&request).to_owned();
    let started = Instant::now();
    let response = next.run(request).await;
    let status = response.status();
    let labels = [method, &route, status.as_str()];
    metrics.requests.with_label_values(&labels).inc();
    metrics
        .durations
        .with_label_values(&labels)
        .observe(started.elapsed().as_secs_f64());
    if status.is_server_error() {
        metrics.server_errors.inc();
    }
    response
}

/// Returns the matched route as declared. Requested paths would be an unbounded label.
pub(crate) fn route<B>(request: &axum::http::Request<B>) -> &str {
    request
        .extensions()
        .get::<MatchedPath>()
        .map_or("unmatched", MatchedPath::as_str)
}

/// Returns the method, or `OTHER` for one that HTTP does not define: clients can send any number of
/// methods.
pub(crate) fn known_method(method: &Method) -> &'static str {
    const KNOWN: [&str; 9] = [
        "GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "CONNECT", "PATCH", "TRACE",
    ];
    KNOWN
        .into_iter()
        .find(|name| *name == method.as_str())
        .unwrap_or("OTHER")
}

/// Returns metrics in the text format of Prometheus
///
/// Requires the role `platform_admin`, because the amounts of the bill are among them. Prometheus
/// reads them without a token at a separate address (`ARCADIA_METRICS_BIND`), where they are also
/// available without the database.
#[utoipa::path(
    get,
    path = "/metrics",
    operation_id = "metrics",
    tag = "health",
    security(("bearer" = [])),
    responses((status = OK, body = String, content_type = "text/plain; version=0.0.4",
        description = "Counters, gauges and histograms"))
)]
pub(crate) async fn show(_: Admin, state: State<ApiState>) -> Result<Response, Problem> {
    show_without_token(state).await
}

/// Like [`show`], for the separate listener.
pub(crate) async fn show_without_token(State(state): State<ApiState>) -> Result<Response, Problem> {
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
