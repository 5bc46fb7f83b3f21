//! What stands in every line that an activity logs.

use futures::FutureExt as _;
use temporalio_sdk::interceptors::{
    ActivityInboundInterceptor, ExecuteActivityInput, ExecuteActivityOutput, Next,
};
use tracing::Instrument as _;

/// Runs each activity in a span that names its run. The SDK has a span of its own, which lacks the type, and which is gone where the
/// SDK's lines are filtered out.
pub(crate) struct ActivitySpan;

impl ActivityInboundInterceptor for ActivitySpan {
    fn execute_activity<'a>(
        &'a self,
        input: ExecuteActivityInput,
        next: Next<'a, ExecuteActivityInput, ExecuteActivityOutput<'a>>,
    ) -> ExecuteActivityOutput<'a> {
        let info = input.activity_info();
        // At the highest level, so that it is there whichever lines are kept.
        let span = tracing::error_span!(
            "activity",
            workflow_type = info.workflow_type,
            workflow_id = info.workflow_id,
            run_id = info.workflow_run_id,
            activity_type = info.activity_type,
            activity_id = info.activity_id,
            attempt = info.attempt,
            // Where there is one (`traces.rs`).
            trace_id = tracing::field::Empty,
        );
        async move { next.run(input).await }
            .instrument(span)
            .boxed()
    }
}
