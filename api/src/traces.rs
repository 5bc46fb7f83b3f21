//! OpenTelemetry spans of requests, if tracing is configured.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::{Span as _, SpanKind, Status, Tracer as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_http::HeaderExtractor;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracer;

use crate::metrics;

/// Records a span for a request, as a child of the caller's span in `traceparent`, if any.
///
/// The span has the method, the route as declared, and the status. It has neither path nor query,
/// because callers sometimes paste tokens into them.
pub(crate) async fn trace(
    State(tracer): State<SdkTracer>,
    request: Request,
    next: Next,
) -> Response {
    let headers = HeaderExtractor(request.headers());
    let parent = TraceContextPropagator::new().extract_with_context(&Context::new(), &headers);
    let method = metrics::known_method(request.method());
    let route = metrics::route(&request).to_owned();
    let span = tracer
        .span_builder(format!("{method} {route}"))
        .with_kind(SpanKind::Server)
        .with_attributes([
            KeyValue::new("http.request.method", method),
            KeyValue::new("http.route", route),
        ]);
    let mut span = tracer.build_with_context(span, &parent);
    let trace_id = tracing::field::display(span.span_context().trace_id());
    tracing::Span::current().record("trace_id", trace_id);
    let response = next.run(request).await;
    let status = response.status();
    let code = i64::from(status.as_u16());
    span.set_attribute(KeyValue::new("http.response.status_code", code));
    if status.is_server_error() {
        span.set_attribute(KeyValue::new("error.type", status.as_str().to_owned()));
        span.set_status(Status::error(""));
    }
    span.end();
    response
}
