//! Adds the run and the activity to every log line of an activity.

use futures::FutureExt as _;
use temporalio_sdk::interceptors::{
    ActivityInboundInterceptor, ExecuteActivityInput, ExecuteActivityOutput, Next,
};
use tracing::Instrument as _;

/// Runs each activity in a span with its workflow and activity ids and types. The SDK's own span
/// lacks the types and disappears when the log filter excludes the SDK.
pub(crate) struct ActivitySpan;

impl ActivityInboundInterceptor for ActivitySpan {
    fn execute_activity<'a>(
        &'a self,
        input: ExecuteActivityInput,
        next: Next<'a, ExecuteActivityInput, ExecuteActivityOutput<'a>>,
    ) -> ExecuteActivityOutput<'a> {
        let info = input.activity_info();
        // Level ERROR, so that no log filter excludes the span.
        let span = tracing::error_span!(
            "activity",
            workflow_type = info.workflow_type,
            workflow_id = info.workflow_id,
            run_id = info.workflow_run_id,
            activity_type = info.activity_type,
            activity_id = info.activity_id,
            attempt = info.attempt,
            // Set by `traces/activities.rs` if tracing is on.
            trace_id = tracing::field::Empty,
        );
        async move { next.run(input).await }
            .instrument(span)
            .boxed()
    }
}
