//! Records OpenTelemetry spans: one per workflow run, per activity attempt and per request to
//! DigitalOcean.
//!
//! Spans have only the attributes that are set here. They contain no log lines and no error texts.
//!
//! A run joins the trace in Temporal's header `_tracer-data`, in the format of other SDKs, and
//! passes it to its activities and child workflows. Without the header, the trace id is derived
//! from the workflow and run ids, so that a replay, another worker, and an activity that was
//! scheduled before tracing was enabled use the same trace.

mod activities;
mod ids;
mod requests;
mod runs;

use std::collections::HashMap;
use std::sync::Arc;

use digitalocean::Observer;
use opentelemetry::Context;
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::{SpanContext, TraceContextExt as _, TraceState, TracerProvider as _};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use temporalio_common::protos::temporal::api::common::v1::Payload;
use temporalio_sdk::workflow_interceptors::WorkflowInterceptorConstructor;

use self::activities::ActivityTraces;
use self::requests::RequestTraces;
use self::runs::RunTraces;

pub use self::ids::Ids;

/// The header in which Temporal's SDKs propagate a trace, as a JSON object of the W3C Trace Context
/// fields.
const HEADER: &str = "_tracer-data";

/// Creates the spans of a worker. Cheap to clone.
#[derive(Clone)]
pub struct Traces {
    tracer: SdkTracer,
    /// Makes the same sampling decisions as `tracer`, and records nothing.
    sampling: SdkTracer,
}

impl Traces {
    /// Creates spans with this provider. Its id generator must be [`Ids`], so that a run has the
    /// same span ids on every worker.
    pub fn of(provider: &SdkTracerProvider) -> Self {
        // No span processor; the sampler is configured by the environment, as that of `provider`.
        let sampling = SdkTracerProvider::builder()
            .with_id_generator(Ids::default())
            .build();
        Self {
            tracer: provider.tracer(SCOPE),
            sampling: sampling.tracer(SCOPE),
        }
    }

    pub(crate) fn of_activities(&self) -> ActivityTraces {
        ActivityTraces(self.clone())
    }

    pub(crate) fn of_runs(&self) -> WorkflowInterceptorConstructor {
        let traces = self.clone();
        WorkflowInterceptorConstructor::new(move |_| RunTraces::new(traces.clone()))
    }

    pub(crate) fn of_requests(&self) -> Arc<dyn Observer> {
        Arc::new(RequestTraces(self.clone()))
    }

    /// Returns the trace context of a run: a child of the span in its header, or the root of a new
    /// trace.
    fn run_context(
        &self,
        headers: &HashMap<String, Payload>,
        workflow_id: &str,
        run_id: &str,
    ) -> RunContext {
        let ids = ids::of_run(workflow_id, run_id);
        let parent = read(headers);
        let parent_span = parent.span().span_context().clone();
        let (trace, flags) = if parent_span.is_valid() {
            (parent_span.trace_id(), parent_span.trace_flags())
        } else {
            (ids.trace, ids::flags(&self.sampling, ids))
        };
        RunContext {
            parent,
            span: SpanContext::new(trace, ids.span, flags, true, TraceState::NONE),
        }
    }
}

/// The instrumentation scope of the spans.
const SCOPE: &str = "arcadia";

/// The trace context of a run.
struct RunContext {
    /// Empty for the root of a trace.
    parent: Context,
    span: SpanContext,
}

/// Returns the trace context in the header; an empty context without one.
fn read(headers: &HashMap<String, Payload>) -> Context {
    let fields: Option<HashMap<String, String>> = headers
        .get(HEADER)
        .and_then(|payload| serde_json::from_slice(&payload.data).ok());
    let propagator = TraceContextPropagator::new();
    propagator.extract_with_context(&Context::new(), &fields.unwrap_or_default())
}

/// Writes a span's context to the header.
fn write(span: &SpanContext, headers: &mut HashMap<String, Payload>) {
    let mut fields = HashMap::new();
    let context = Context::new().with_remote_span_context(span.clone());
    TraceContextPropagator::new().inject_context(&context, &mut fields);
    let Ok(data) = serde_json::to_vec(&fields) else {
        return;
    };
    let payload = Payload {
        metadata: HashMap::from([("encoding".to_owned(), b"json/plain".to_vec())]),
        data,
        ..Payload::default()
    };
    headers.insert(HEADER.to_owned(), payload);
}
