//! OpenTelemetry spans: one a run, one an activity's attempt, one a request to DigitalOcean.
//!
//! They hold the attributes that are named here and nothing else: no line of the log and no error's text gets into them.
//!
//! A run belongs to the trace that Temporal's header `_tracer-data` names, as other SDKs write it, and hands that on to its activities
//! and children. Without one the trace follows from the run's own ids, so that a replay, another worker, and an activity that was
//! scheduled before anybody traced come to the same trace.

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

/// The header in which Temporal's SDKs hand on a trace, as a JSON object of the W3C's fields.
const HEADER: &str = "_tracer-data";

/// Who makes the spans of a worker. Cheap to clone.
#[derive(Clone)]
pub struct Traces {
    tracer: SdkTracer,
    /// Decides on a run's trace as the other does, and records nothing.
    deciding: SdkTracer,
}

impl Traces {
    /// Makes spans with this provider, whose ids must be [`Ids`], for those of a run to be the same whoever works on it.
    pub fn of(provider: &SdkTracerProvider) -> Self {
        // Without a processor; the sampler is the environment's, as the other's.
        let deciding = SdkTracerProvider::builder()
            .with_id_generator(Ids::default())
            .build();
        Self {
            tracer: provider.tracer(SCOPE),
            deciding: deciding.tracer(SCOPE),
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

    /// Where a run stands: below the span that its header names, or at the root of a trace of its own.
    fn place_of_run(
        &self,
        headers: &HashMap<String, Payload>,
        workflow_id: &str,
        run_id: &str,
    ) -> Place {
        let ids = ids::of_run(workflow_id, run_id);
        let above = read(headers);
        let parent = above.span().span_context().clone();
        let (trace, flags) = if parent.is_valid() {
            (parent.trace_id(), parent.trace_flags())
        } else {
            (ids.trace, ids::flags(&self.deciding, ids))
        };
        Place {
            above,
            own: SpanContext::new(trace, ids.span, flags, true, TraceState::NONE),
        }
    }
}

/// What made the spans.
const SCOPE: &str = "arcadia";

/// A run's place in its trace.
struct Place {
    /// Empty for the first of a trace.
    above: Context,
    own: SpanContext,
}

/// What the header says; empty where there is none.
fn read(headers: &HashMap<String, Payload>) -> Context {
    let fields: Option<HashMap<String, String>> = headers
        .get(HEADER)
        .and_then(|payload| serde_json::from_slice(&payload.data).ok());
    let propagator = TraceContextPropagator::new();
    propagator.extract_with_context(&Context::new(), &fields.unwrap_or_default())
}

fn write(place: &SpanContext, headers: &mut HashMap<String, Payload>) {
    let mut fields = HashMap::new();
    let context = Context::new().with_remote_span_context(place.clone());
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
