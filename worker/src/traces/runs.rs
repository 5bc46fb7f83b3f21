//! Spans of runs.
//!
//! A run's span is made when the run ends, with ids that everybody could tell before: what is done for it hangs below. A run that is
//! terminated or times out has none, since no worker learns of it; its activities are in the trace all the same.

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
use super::{Place, Traces, write};

/// Hands on the trace of one run. It is part of the workflow: all it does to it is the same at every replay.
pub(super) struct RunTraces {
    traces: Traces,
    /// From the run's beginning on.
    place: RefCell<Option<Place>>,
}

impl RunTraces {
    pub(super) fn new(traces: Traces) -> Self {
        Self {
            traces,
            place: RefCell::default(),
        }
    }

    fn write(&self, headers: &mut HashMap<String, Payload>) {
        if let Some(place) = &*self.place.borrow() {
            write(&place.own, headers);
        }
    }

    fn tell(
        &self,
        ctx: &WorkflowInterceptorContext,
        begun: Option<SystemTime>,
        outcome: &ExecuteWorkflowResult,
    ) {
        let place = self.place.borrow();
        let (Some(place), Some(begun), Some(ended)) = (&*place, begun, ctx.workflow_time()) else {
            return;
        };
        let ended_by = match outcome {
            Ok(_) => "completed",
            Err(WorkflowTermination::ContinueAsNew(_)) => "continued_as_new",
            Err(WorkflowTermination::Cancelled { .. }) => "cancelled",
            Err(WorkflowTermination::Failed(_)) => "failed",
            // It goes on elsewhere.
            Err(_) => return,
        };
        let tracer = &self.traces.tracer;
        let span = tracer
            .span_builder(format!("RunWorkflow:{}", ctx.workflow_type()))
            .with_kind(SpanKind::Server)
            .with_start_time(begun)
            .with_attributes([
                KeyValue::new("temporalWorkflowID", ctx.workflow_id().to_owned()),
                KeyValue::new("temporalRunID", ctx.run_id().to_owned()),
                KeyValue::new("arcadia.workflow_type", ctx.workflow_type().to_owned()),
                KeyValue::new("arcadia.task_queue", ctx.task_queue().to_owned()),
                KeyValue::new("arcadia.ended_by", ended_by),
            ]);
        let ids = RunIds {
            trace: place.own.trace_id(),
            span: place.own.span_id(),
        };
        let mut span = ids::with(ids, || tracer.build_with_context(span, &place.above));
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
        let place = self
            .traces
            .place_of_run(input.headers(), ctx.workflow_id(), ctx.run_id());
        self.place.replace(Some(place));
        let begun = ctx.workflow_time();
        WorkflowInterceptorFuture::new(async move {
            let outcome = next.run(input).await;
            if !ctx.is_replaying() {
                self.tell(&ctx, begun, &outcome);
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
