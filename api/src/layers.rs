//! What lies around every route: limits, logs, metrics, headers.

use std::any::Any;
use std::panic::resume_unwind;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY,
    STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use opentelemetry_sdk::trace::SdkTracer;
use store::{Store, Unfinished};
use tower::ServiceBuilder;
use tower::util::option_layer;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer};
use tower_http::sensitive_headers::SetSensitiveRequestHeadersLayer;
use tower_http::timeout::TimeoutLayer;
use tower_http::trace::TraceLayer;
use tracing::{Instrument as _, Span};

use crate::metrics::{self, Metrics};
use crate::problem::{Problem, in_problem_form};
use crate::traces;

/// The longest that a request may take.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(30);

/// The most bytes a body may have: the largest one that is needed has two short fields.
const BODY_LIMIT: usize = 64 * 1024;

/// The most bytes of a path with its query: a cursor and every filter at once have less than one thousand.
const PATH_LIMIT: usize = 8 * 1024;

/// The most bytes of all header fields, names and values: room for what proxies and browsers add.
const HEADER_LIMIT: usize = 16 * 1024;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Puts the layers around the routes; the first is the outermost.
pub(crate) fn around(
    routes: Router,
    store: Store,
    metrics: Metrics,
    timeout: Duration,
    https_only: bool,
    tracer: Option<SdkTracer>,
) -> Router {
    let tracing = tracer.map(|tracer| from_fn_with_state(tracer, traces::trace));
    // By itself, since the limit on bodies gives requests a type that middleware of this form does not take.
    let run_to_completion = from_fn_with_state(store, run_to_completion);
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
            .layer(from_fn_with_state(https_only, harden))
            .layer(from_fn_with_state(metrics, metrics::measure))
            .layer(from_fn(in_problem_form))
            .layer(CatchPanicLayer::custom(panicked))
            .layer(from_fn(limit_head))
            .layer(RequestBodyLimitLayer::new(BODY_LIMIT))
            .layer(TimeoutLayer::with_status_code(
                StatusCode::SERVICE_UNAVAILABLE,
                timeout,
            )),
    )
}

/// A caller who hangs up, and the timeout, leave the handler to its end, unless the database has nothing more to say.
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

/// The headers by which a browser treats every answer as what it is: data, for one reader, that shows and runs nothing.
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
        headers.insert(name, HeaderValue::from_static(value));
    }
    if https_only {
        // A year. Not for the domains below: they are not this program's to decide on.
        let value = HeaderValue::from_static("max-age=31536000");
        headers.insert(STRICT_TRANSPORT_SECURITY, value);
    }
    response
}

/// Refuses a request whose head is larger than any that is needed, before anything reads it.
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

/// Neither headers nor the query: the first hold tokens, and people paste them into the second.
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

/// What is asked for every few seconds by those who look whether all is well.
const PROBES: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

/// Marks the answer to one of [`PROBES`].
#[derive(Clone)]
struct Probed;

async fn mark_probes(request: Request, next: Next) -> Response {
    let is_probe = PROBES.contains(&metrics::route(&request));
    let mut response = next.run(request).await;
    if is_probe {
        response.extensions_mut().insert(Probed);
    }
    response
}

/// A line for each answer. That all is well is worth none: those lines would be most of the log.
fn log_response<B>(response: &axum::http::Response<B>, latency: Duration, _: &Span) {
    let status = response.status();
    let latency = format_args!("{} ms", latency.as_millis());
    let is_probe = response.extensions().get::<Probed>().is_some();
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
        let layered = around(routes, store, Metrics::new(), timeout, false, None);
        let request = Request::get("/").body(Body::empty()).unwrap();
        let response = layered.oneshot(request).await.unwrap();
        let media_type = &response.headers()["content-type"];
        assert_eq!(media_type, "application/problem+json");
        let status = response.status();
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_handler_that_does_not_come_back_is_given_up() {
        let (status, text) = status_and_text(get(pending::<()>), Duration::from_millis(10)).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(text.contains("timed-out"), "{text}");
    }

    #[tokio::test]
    async fn a_handler_that_is_given_up_goes_on_to_its_end() {
        let (go, gone) = tokio::sync::oneshot::channel::<()>();
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        let parts = std::sync::Arc::new(std::sync::Mutex::new(Some((gone, end))));
        let handler = get(async move || {
            let (gone, end) = parts.lock().unwrap().take().unwrap();
            gone.await.unwrap();
            end.send(()).unwrap();
        });
        let routes = Router::new().route("/", handler);
        let (_database, store) = store().await;
        let layered = around(
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
        // A handler that was dropped has dropped both ends with it.
        go.send(()).unwrap();
        tokio::time::timeout(TIMEOUT, ended).await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_panic_is_an_internal_error_that_keeps_its_message_to_the_log() {
        async fn panicking() {
            panic!("the secret is {}", 42);
        }
        let (status, text) = status_and_text(get(panicking), TIMEOUT).await;
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
        assert!(!text.contains("secret"), "{text}");
    }

    #[tokio::test]
    async fn an_error_in_another_form_is_given_this_one() {
        async fn refusing() -> (StatusCode, &'static str) {
            (StatusCode::IM_A_TEAPOT, "short and stout")
        }
        let (status, text) = status_and_text(get(refusing), TIMEOUT).await;
        assert_eq!(status, StatusCode::IM_A_TEAPOT);
        assert!(text.contains("418"), "{text}");
    }
}
