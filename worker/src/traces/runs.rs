//! Records a span for each workflow run.
//!
//! The span is recorded when the run ends, with ids that are known from its start, so that spans of
//! its activities can be children of it. A run that is terminated or times out has no span, since
//! no worker is notified; the trace still contains its activities.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::SystemTime;

use opentelemetry::KeyValue;
use opentelemetry::trace::{Span as _, SpanKind, Status, Tracer as _};
use temporalio_common::protos::temporal::api::common::v1::Payload;
use temporalio_sdk::WorkflowTermination;
use temporalio_sdk::workflow_interceptors::{
    CancellableWorkflowOutboundFuture, ContinueAsNewInput, ContinueAsNewResult,
    ExecuteWorkflowInput, ExecuteWorkflowResult, ScheduleActivityInput, ScheduleActivityResult,
    StartChildWorkflowInput, StartChildWorkflowResult, SyncWorkflowInterceptorContext,
    WorkflowInterceptor, WorkflowInterceptorContext, WorkflowInterceptorFuture, WorkflowNext,
};

use super::ids::{self, RunIds};
use super::{RunContext, Traces, write};

/// Propagates the trace of one run to its activities and child workflows. Part of workflow code, so
/// its effects on the run are deterministic.
pub(super) struct RunTraces {
    traces: Traces,
    /// Set when the run starts.
    context: RefCell<Option<RunContext>>,
}

impl RunTraces {
    pub(super) fn new(traces: Traces) -> Self {
        Self {
            traces,
            context: RefCell::default(),
        }
    }

    fn write(&self, headers: &mut HashMap<String, Payload>) {
        if let Some(context) = &*self.context.borrow() {
            write(&context.span, headers);
        }
    }

    /// Records the span of a run that ended.
    fn record(
        &self,
        ctx: &WorkflowInterceptorContext,
        started: Option<SystemTime>,
        outcome: &ExecuteWorkflowResult,
    ) {
        let context = self.context.borrow();
        let (Some(context), Some(started), Some(ended)) = (&*context, started, ctx.workflow_time())
        else {
            return;
        };
        let ended_by = match outcome {
            Ok(_) => "completed",
            Err(WorkflowTermination::ContinueAsNew(_)) => "continued_as_new",
            Err(WorkflowTermination::Cancelled { .. }) => "cancelled",
            Err(WorkflowTermination::Failed(_)) => "failed",
            // The run has not ended; another worker continues it.
            Err(_) => return,
        };
        let tracer = &self.traces.tracer;
        let span = tracer
            .span_builder(format!("RunWorkflow:{}", ctx.workflow_type()))
            .with_kind(SpanKind::Server)
            .with_start_time(started)
            .with_attributes([
                KeyValue::new("temporalWorkflowID", ctx.workflow_id().to_owned()),
                KeyValue::new("temporalRunID", ctx.run_id().to_owned()),
                KeyValue::new("arcadia.workflow_type", ctx.workflow_type().to_owned()),
                KeyValue::new("arcadia.task_queue", ctx.task_queue().to_owned()),
                KeyValue::new("arcadia.ended_by", ended_by),
            ]);
        let ids = RunIds {
            trace: context.span.trace_id(),
            span: context.span.span_id(),
        };
        let mut span = ids::with_ids(ids, || tracer.build_with_context(span, &context.parent));
        if ended_by == "failed" {
            span.set_status(Status::error(""));
        }
        span.end_with_timestamp(ended);
    }
}

impl WorkflowInterceptor for RunTraces {
    fn execute<'a>(
        &'a self,
        ctx: WorkflowInterceptorContext,
        input: ExecuteWorkflowInput,
        next: WorkflowNext<
            'a,
            ExecuteWorkflowInput,
            WorkflowInterceptorFuture<'a, ExecuteWorkflowResult>,
        >,
    ) -> WorkflowInterceptorFuture<'a, ExecuteWorkflowResult> {
        let context = self
            .traces
            .run_context(input.headers(), ctx.workflow_id(), ctx.run_id());
        self.context.replace(Some(context));
        let started = ctx.workflow_time();
        WorkflowInterceptorFuture::new(async move {
            let outcome = next.run(input).await;
            if !ctx.is_replaying() {
                self.record(&ctx, started, &outcome);
            }
            outcome
        })
    }

    fn schedule_activity(
        &self,
        _: WorkflowInterceptorContext,
        mut input: ScheduleActivityInput,
        next: WorkflowNext<
            'static,
            ScheduleActivityInput,
            CancellableWorkflowOutboundFuture<ScheduleActivityResult>,
        >,
    ) -> CancellableWorkflowOutboundFuture<ScheduleActivityResult> {
        self.write(input.headers_mut());
        next.run(input)
    }

    fn start_child_workflow(
        &self,
        _: WorkflowInterceptorContext,
        mut input: StartChildWorkflowInput,
        next: WorkflowNext<
            'static,
            StartChildWorkflowInput,
            CancellableWorkflowOutboundFuture<StartChildWorkflowResult>,
        >,
    ) -> CancellableWorkflowOutboundFuture<StartChildWorkflowResult> {
        self.write(input.headers_mut());
        next.run(input)
    }

    fn continue_as_new(
        &self,
        _: SyncWorkflowInterceptorContext,
        mut input: ContinueAsNewInput,
        next: WorkflowNext<'static, ContinueAsNewInput, ContinueAsNewResult>,
    ) -> ContinueAsNewResult {
        self.write(input.headers_mut());
        next.run(input)
    }
}
