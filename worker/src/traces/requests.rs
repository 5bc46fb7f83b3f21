//! Records a span for each request to DigitalOcean.

use std::time::SystemTime;

use digitalocean::{Exchange, Observer};
use opentelemetry::trace::{Span as _, SpanKind, Status, Tracer as _};
use opentelemetry::{Context, KeyValue};

use super::Traces;

/// Records a span for each request, as a child of the activity that sent it.
pub(crate) struct RequestTraces(pub(super) Traces);

impl Observer for RequestTraces {
    fn exchanged(&self, exchange: &Exchange) {
        let parent = Context::current();
        let ended = SystemTime::now();
        let started = ended.checked_sub(exchange.duration).unwrap_or(ended);
        let tracer = &self.0.tracer;
        let span = tracer
            .span_builder(format!("{} {}", exchange.method, exchange.path))
            .with_kind(SpanKind::Client)
            .with_start_time(started)
            .with_attributes([
                KeyValue::new("http.request.method", exchange.method),
                KeyValue::new("url.template", exchange.path.clone()),
            ]);
        let mut span = tracer.build_with_context(span, &parent);
        if let Some(status) = exchange.status {
            span.set_attribute(KeyValue::new(
                "http.response.status_code",
                i64::from(status),
            ));
        }
        let failure = match exchange.status {
            None => Some("no_answer".to_owned()),
            Some(status) => (status >= 400).then(|| status.to_string()),
        };
        if let Some(failure) = failure {
            span.set_attribute(KeyValue::new("error.type", failure));
            span.set_status(Status::error(""));
        }
        span.end_with_timestamp(ended);
    }
}
