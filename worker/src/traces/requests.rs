//! Spans of requests to DigitalOcean.

use std::time::SystemTime;

use digitalocean::{Exchange, Observer};
use opentelemetry::trace::{Span as _, SpanKind, Status, Tracer as _};
use opentelemetry::{Context, KeyValue};

use super::Traces;

/// Makes a span of each request, below the activity that sent it.
pub(crate) struct RequestTraces(pub(super) Traces);

impl Observer for RequestTraces {
    fn exchanged(&self, exchange: &Exchange) {
        let above = Context::current();
        let ended = SystemTime::now();
        let begun = ended.checked_sub(exchange.took).unwrap_or(ended);
        let tracer = &self.0.tracer;
        let span = tracer
            .span_builder(format!("{} {}", exchange.method, exchange.path))
            .with_kind(SpanKind::Client)
            .with_start_time(begun)
            .with_attributes([
                KeyValue::new("http.request.method", exchange.method),
                KeyValue::new("url.template", exchange.path.clone()),
            ]);
        let mut span = tracer.build_with_context(span, &above);
        match exchange.status {
            Some(status) => {
                span.set_attribute(KeyValue::new(
                    "http.response.status_code",
                    i64::from(status),
                ));
                if status >= 400 {
                    span.set_attribute(KeyValue::new("error.type", status.to_string()));
                    span.set_status(Status::error(""));
                }
            }
            None => {
                span.set_attribute(KeyValue::new("error.type", "no_answer"));
                span.set_status(Status::error(""));
            }
        }
        span.end_with_timestamp(ended);
    }
}
