//! The middleware of every route: size limits, timeout, logs, metrics and security headers.

use std::any::Any;
use std::panic::resume_unwind;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY,
    STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use opentelemetry_sdk::trace::SdkTracer;
use store::{Store, Unfinished};
use tower::ServiceBuilder;
use tower::util::option_layer;
use tower_http::CompressionLevel;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{DefaultPredicate, NotForContentType, Predicate as _};
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer};
use tower_http::sensitive_headers::SetSensitiveRequestHeadersLayer;
use tower_http::timeout::TimeoutLayer;
use tower_http::trace::TraceLayer;
use tracing::{Instrument as _, Span};

use crate::access::REQUEST_ID;
use crate::csv;
use crate::metrics::{self, Metrics};
use crate::problem::{Problem, in_problem_form};
use crate::routes::focus::PARQUET;
use crate::traces;

/// Maximum duration of a request.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(30);

/// Maximum size of a body in bytes. Valid bodies have a few short fields only.
const BODY_LIMIT: usize = 64 * 1024;

/// Maximum size of a path with its query in bytes. A cursor with all filters has fewer than 1000.
const PATH_LIMIT: usize = 8 * 1024;

/// Maximum size of all header fields, names and values, in bytes. Leaves room for the fields that
/// proxies and browsers add.
const HEADER_LIMIT: usize = 16 * 1024;

/// Adds the layers to the routes; the first layer is the outermost.
pub(crate) fn add_to(
    routes: Router,
    store: Store,
    metrics: Metrics,
    timeout: Duration,
    https_only: bool,
    tracer: Option<SdkTracer>,
) -> Router {
    let tracing = tracer.map(|tracer| from_fn_with_state(tracer, traces::trace));
    // A separate layer, because the body limit changes the request to a type that `from_fn` does
    // not accept.
    let run_to_completion = from_fn_with_state(store, run_to_completion);
    // Parquet is compressed already.
    let compressible = DefaultPredicate::new().and(NotForContentType::const_new(PARQUET));
    let compression = CompressionLayer::new()
        .quality(CompressionLevel::Fastest)
        .compress_when(compressible);
    routes.layer(run_to_completion).layer(
        ServiceBuilder::new()
            .layer(SetSensitiveRequestHeadersLayer::new([AUTHORIZATION]))
            .layer(SetRequestIdLayer::new(REQUEST_ID, MakeRequestUuid))
            .layer(
                TraceLayer::new_for_http()
                    .make_span_with(span)
                    .on_response(log_response),
            )
            .layer(option_layer(tracing))
            .layer(PropagateRequestIdLayer::new(REQUEST_ID))
            .layer(from_fn(mark_probes))
            .layer(compression)
            .layer(from_fn_with_state(https_only, harden))
            .layer(from_fn_with_state(metrics, metrics::measure))
            .layer(from_fn(in_problem_form))
            .layer(from_fn(csv::require_http_1_1))
            .layer(CatchPanicLayer::custom(panicked))
            .layer(from_fn(limit_head))
            .layer(RequestBodyLimitLayer::new(BODY_LIMIT))
            .layer(TimeoutLayer::with_status_code(
                StatusCode::SERVICE_UNAVAILABLE,
                timeout,
            )),
    )
}

/// Runs the handler to completion even if the caller disconnects or the timeout expires; aborts it
/// when the database connection stalls.
async fn run_to_completion(State(store): State<Store>, request: Request, next: Next) -> Response {
    match store
        .run_to_completion(next.run(request).in_current_span())
        .await
    {
        Ok(response) => response,
        Err(Unfinished::Stalled(error)) => Problem::from(error).into_response(),
        Err(Unfinished::Panic(panic)) => resume_unwind(panic.into_panic()),
    }
}

/// Adds security headers: browsers neither cache, sniff, frame nor run a response.
async fn harden(State(https_only): State<bool>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (CACHE_CONTROL, "no-store"),
        (REFERRER_POLICY, "no-referrer"),
        (
            CONTENT_SECURITY_POLICY,
            "default-src 'none'; frame-ancestors 'none'",
        ),
    ] {
        // Pages have their own.
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    if https_only {
        // One year. Without `includeSubDomains`: other programs may serve the subdomains.
        let value = HeaderValue::from_static("max-age=31536000");
        headers.insert(STRICT_TRANSPORT_SECURITY, value);
    }
    response
}

/// Refuses a request with a path or headers over the limits, before any other processing.
async fn limit_head(request: Request, next: Next) -> Response {
    let path = request
        .uri()
        .path_and_query()
        .map_or(0, |path| path.as_str().len());
    if path > PATH_LIMIT {
        return Problem::PathTooLong.into_response();
    }
    let headers = request
        .headers()
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len());
    if headers.sum::<usize>() > HEADER_LIMIT {
        return Problem::HeadersTooLarge.into_response();
    }
    next.run(request).await
}

/// Creates the log span of a request. It has neither headers nor the query: headers have tokens,
/// and callers sometimes paste tokens into the query.
fn span(request: &Request) -> Span {
    let id = request
        .headers()
        .get(REQUEST_ID)
        .and_then(|id| id.to_str().ok())
        .unwrap_or_default();
    tracing::info_span!(
        "request",
        method = %request.method(),
        route = metrics::route(request),
        id,
        trace_id = tracing::field::Empty,
    )
}

/// Routes that monitoring systems request every few seconds.
const PROBES: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

/// Marks the response to one of [`PROBES`].
#[derive(Clone)]
struct ProbeResponse;

async fn mark_probes(request: Request, next: Next) -> Response {
    let is_probe = PROBES.contains(&metrics::route(&request));
    let mut response = next.run(request).await;
    if is_probe {
        response.extensions_mut().insert(ProbeResponse);
    }
    response
}

/// Logs each response. Successful probes are logged at debug level only, because they would be most
/// of the log.
fn log_response<B>(response: &axum::http::Response<B>, latency: Duration, _: &Span) {
    let status = response.status();
    let latency = format_args!("{} ms", latency.as_millis());
    let is_probe = response.extensions().get::<ProbeResponse>().is_some();
    if is_probe && status.is_success() {
        tracing::debug!(
            status = status.as_u16(),
            latency,
            "finished processing request"
        );
    } else {
        tracing::info!(
            status = status.as_u16(),
            latency,
            "finished processing request"
        );
    }
}

/// Converts a panic of a handler to an internal error.
fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let message = match panic.downcast::<String>() {
        Ok(message) => *message,
        Err(panic) => panic.downcast_ref::<&str>().map_or_else(
            || "a panic without a message".to_owned(),
            ToString::to_string,
        ),
    };
    Problem::Internal(format!("a handler panicked: {message}").into()).into_response()
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use axum::body::{Body, to_bytes};
    use axum::routing::get;
    use devstack::testing::TestDatabase;
    use tower::ServiceExt as _;

    use super::*;

    async fn store() -> (TestDatabase, Store) {
        let database = devstack::testing::database().await;
        let store = Store::connect(&database.url(), 1).await.unwrap();
        (database, store)
    }

    async fn status_and_text(
        handler: axum::routing::MethodRouter,
        timeout: Duration,
    ) -> (StatusCode, String) {
        let routes = Router::new().route("/", handler);
        let (_database, store) = store().await;
        let layered = add_to(routes, store, Metrics::new(), timeout, false, None);
        let request = Request::get("/").body(Body::empty()).unwrap();
        let response = layered.oneshot(request).await.unwrap();
        let media_type = &response.headers()["content-type"];
        assert_eq!(media_type, "application/problem+json");
        let status = response.status();
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_handler_that_never_returns_times_out() {
        let (status, text) = status_and_text(get(pending::<()>), Duration::from_millis(10)).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(text.contains("timed-out"), "{text}");
    }

    #[tokio::test]
    async fn a_handler_runs_to_completion_after_its_timeout() {
        let (resume, resumed) = tokio::sync::oneshot::channel::<()>();
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        let parts = std::sync::Arc::new(std::sync::Mutex::new(Some((resumed, end))));
        let handler = get(async move || {
            let (resumed, end) = parts.lock().unwrap().take().unwrap();
            resumed.await.unwrap();
            end.send(()).unwrap();
        });
        let routes = Router::new().route("/", handler);
        let (_database, store) = store().await;
        let layered = add_to(
            routes,
            store,
            Metrics::new(),
            Duration::from_millis(10),
            false,
            None,
        );
        let request = Request::get("/").body(Body::empty()).unwrap();
        let response = layered.oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        // Sending fails if the handler was dropped, because it owns the receiver.
        resume.send(()).unwrap();
        tokio::time::timeout(TIMEOUT, ended).await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_panic_is_an_internal_error_without_its_message() {
        async fn panicking() {
            panic!("the secret is {}", 42);
        }
        let (status, text) = status_and_text(get(panicking), TIMEOUT).await;
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
        assert!(!text.contains("secret"), "{text}");
    }

    #[tokio::test]
    async fn an_error_in_another_format_becomes_a_problem() {
        async fn refusing() -> (StatusCode, &'static str) {
            (StatusCode::IM_A_TEAPOT, "short and stout")
        }
        let (status, text) = status_and_text(get(refusing), TIMEOUT).await;
        assert_eq!(status, StatusCode::IM_A_TEAPOT);
        assert!(text.contains("418"), "{text}");
    }
}
