//! Activities that are rate limited: the token's requests are used up, and more become available
//! with time.
//!
//! Such an activity has not failed, so waiting uses up none of its attempts. It ends, which frees
//! the slot of its worker, and the workflow starts it again after a timer.

use std::time::Duration;

use temporalio_common::error::IncomingError;
use temporalio_workflow::{ActivityExecutionError, TimerOptions, WorkflowContext};

/// The failure types of `activities/src/failure.rs`: this system's own budget is used up.
const BUDGET_USED_UP: &str = "BudgetUsedUp";
/// A 429 of `DigitalOcean` that requests a long wait, or that outlasted the attempts of the
/// activity.
const RATE_LIMITED: &str = "RateLimited";

/// The first wait. Each further one is twice as long, so that a run that waits for hours has a
/// short history.
const FIRST_WAIT: Duration = Duration::from_secs(15);
/// The longest wait, unless the failure requests a longer one.
const MAX_WAIT: Duration = Duration::from_mins(2);
/// The deadline of a run that has no run timeout, from its start.
const DEFAULT_DEADLINE: Duration = Duration::from_hours(10);

/// Executes an activity, and again after each time that it was rate limited.
///
/// Gives up after four fifths of the run timeout, counted from the start of the run, so that the
/// run fails with its reason and not by its timeout.
pub(crate) async fn wait_for_requests<W, T, A>(
    ctx: &WorkflowContext<W>,
    mut activity: impl FnMut() -> A,
) -> Result<T, ActivityExecutionError>
where
    A: Future<Output = Result<T, ActivityExecutionError>>,
{
    let timeout = ctx.info().run_timeout().filter(|time| !time.is_zero());
    let deadline = timeout.map_or(DEFAULT_DEADLINE, |time| time * 4 / 5);
    let mut shortest = FIRST_WAIT;
    loop {
        let outcome = activity().await;
        let Some(requested) = outcome.as_ref().err().and_then(requested_wait) else {
            return outcome;
        };
        let left = deadline.saturating_sub(since_start(ctx));
        if left.is_zero() {
            return outcome;
        }
        let wait = requested.max(shortest).min(left);
        shortest = (shortest * 2).min(MAX_WAIT);
        // If the run is cancelled meanwhile, the next activity is cancelled when it is started.
        let summary = "rate limited: the token's requests are used up".to_owned();
        ctx.timer(TimerOptions::builder(wait).summary(summary).build())
            .await;
    }
}

fn since_start<W>(ctx: &WorkflowContext<W>) -> Duration {
    let times = ctx.workflow_time().zip(ctx.info().start_time());
    let since = times.and_then(|(now, start)| now.duration_since(start).ok());
    since.unwrap_or_default()
}

pub(crate) fn is_rate_limited(error: &ActivityExecutionError) -> bool {
    requested_wait(error).is_some()
}

/// Returns the delay of a rate limit failure, zero if it has none; none for other failures.
fn requested_wait(error: &ActivityExecutionError) -> Option<Duration> {
    let Some(IncomingError::Application(failure)) = error.reason() else {
        return None;
    };
    let is_rate_limited = matches!(failure.type_name(), Some(BUDGET_USED_UP | RATE_LIMITED));
    is_rate_limited.then(|| failure.next_retry_delay().unwrap_or_default())
}
