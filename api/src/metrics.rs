//! Metrics for Prometheus: how many requests, how long they took, and which build answers.

use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::Method;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use prometheus::{
    HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry, TextEncoder,
};

use crate::ApiState;
use crate::problem::Problem;

/// One registry a router; cheap to clone.
#[derive(Clone)]
pub(crate) struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    durations: HistogramVec,
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
        let build = IntGaugeVec::new(
            Opts::new("arcadia_build_info", "The build that answers: always 1."),
            &["version"],
        )?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        registry.register(Box::new(requests.clone()))?;
        registry.register(Box::new(durations.clone()))?;
        registry.register(Box::new(build))?;
        Ok(Self {
            registry,
            requests,
            durations,
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
fn known_method(method: &Method) -> &'static str {
    const KNOWN: [&str; 9] = [
        "GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "CONNECT", "PATCH", "TRACE",
    ];
    KNOWN
        .into_iter()
        .find(|name| *name == method.as_str())
        .unwrap_or("OTHER")
}

/// Metrics in Prometheus's text format
#[utoipa::path(
    get,
    path = "/metrics",
    operation_id = "metrics",
    tag = "health",
    responses((status = OK, body = String, content_type = "text/plain; version=0.0.4",
        description = "Counters and histograms"))
)]
pub(crate) async fn show(State(state): State<ApiState>) -> Result<Response, Problem> {
    let text = TextEncoder::new()
        .encode_to_string(&state.metrics.registry.gather())
        .map_err(|error| Problem::Internal(error.into()))?;
    Ok(([(CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response())
}
