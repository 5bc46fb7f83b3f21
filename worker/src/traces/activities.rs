//! Records a span for each attempt of an activity.

use domain::{InvoiceUuid, ResourceKind};
use futures::FutureExt as _;
use opentelemetry::trace::{FutureExt as _, SpanKind, Status, TraceContextExt as _, Tracer as _};
use opentelemetry::{Context, KeyValue};
use temporalio_common::ActivityError;
use temporalio_sdk::interceptors::{
    ActivityInboundInterceptor, ExecuteActivityInput, ExecuteActivityOutput, ExecuteActivityResult,
    Next,
};
use workflows::invoices::IngestFailure;

use super::{Traces, read};

/// Runs each activity in a span, which is the current span while the activity runs.
pub(crate) struct ActivityTraces(pub(super) Traces);

impl ActivityInboundInterceptor for ActivityTraces {
    fn execute_activity<'a>(
        &'a self,
        input: ExecuteActivityInput,
        next: Next<'a, ExecuteActivityInput, ExecuteActivityOutput<'a>>,
    ) -> ExecuteActivityOutput<'a> {
        let parent = self.parent(&input);
        let tracer = &self.0.tracer;
        let name = format!("RunActivity:{}", input.activity_info().activity_type);
        let span = tracer
            .span_builder(name)
            .with_kind(SpanKind::Server)
            .with_attributes(attributes(&input));
        let context = parent.with_span(tracer.build_with_context(span, &parent));
        let trace_id = context.span().span_context().trace_id();
        tracing::Span::current().record("trace_id", tracing::field::display(trace_id));
        let current = context.clone();
        async move {
            let outcome: ExecuteActivityResult = next.run(input).await;
            let span = context.span();
            if let Err(error) = &outcome {
                span.set_attribute(KeyValue::new("error.type", type_of(error)));
                span.set_status(Status::error(""));
            }
            span.end();
            outcome
        }
        .with_context(current)
        .boxed()
    }
}

impl ActivityTraces {
    /// Returns the parent of the activity's span: the span in its header, or that of its run.
    fn parent(&self, input: &ExecuteActivityInput) -> Context {
        let from_header = read(input.headers());
        if from_header.has_active_span() {
            return from_header;
        }
        let info = input.activity_info();
        let (Some(workflow_id), Some(run_id)) = (&info.workflow_id, &info.workflow_run_id) else {
            return from_header;
        };
        let run = self.0.run_context(input.headers(), workflow_id, run_id);
        Context::new().with_remote_span_context(run.span)
    }
}

fn attributes(input: &ExecuteActivityInput) -> Vec<KeyValue> {
    let info = input.activity_info();
    let optional = |key: &'static str, value: &Option<String>| {
        value.clone().map(|value| KeyValue::new(key, value))
    };
    let mut attributes = vec![
        KeyValue::new("temporalActivityID", info.activity_id.clone()),
        KeyValue::new("arcadia.activity_type", info.activity_type.clone()),
        KeyValue::new("arcadia.attempt", i64::from(info.attempt)),
        KeyValue::new("arcadia.task_queue", info.task_queue.clone()),
    ];
    attributes.extend(optional("temporalWorkflowID", &info.workflow_id));
    attributes.extend(optional("temporalRunID", &info.workflow_run_id));
    attributes.extend(optional("arcadia.workflow_type", &info.workflow_type));
    attributes.extend(subject(input));
    attributes
}

/// Returns the resource kind or the invoice that the activity processes.
fn subject(input: &ExecuteActivityInput) -> Option<KeyValue> {
    let invoice =
        |invoice: &InvoiceUuid| KeyValue::new("arcadia.invoice_uuid", invoice.to_string());
    if let Some(kind) = input.args_ref::<ResourceKind>() {
        return Some(KeyValue::new("arcadia.kind", kind.to_string()));
    }
    if let Some(uuid) = input.args_ref::<InvoiceUuid>() {
        return Some(invoice(uuid));
    }
    let failure = input.args_ref::<IngestFailure>()?;
    Some(invoice(&failure.invoice_uuid))
}

/// Returns the failure's type name, the same as in the Temporal UI.
fn type_of(error: &ActivityError) -> String {
    match error {
        ActivityError::Application(failure) => failure.type_name().unwrap_or("unnamed").to_owned(),
        ActivityError::Cancelled { .. } => "Cancelled".to_owned(),
        _ => "unknown".to_owned(),
    }
}
