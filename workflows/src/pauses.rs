//! Work that waits for requests: the token's are used up, and more come by themselves.
//!
//! Such an activity has not failed, so its waiting uses up none of the attempts that failures have. It ends, which frees its worker's
//! slot, and is asked for anew after a timer of the workflow's.

use std::time::Duration;

use temporalio_common::error::IncomingError;
use temporalio_workflow::{ActivityExecutionError, TimerOptions, WorkflowContext};

/// The types of the failures, as `activities/src/failure.rs` names them.
const BUDGET_USED_UP: &str = "BudgetUsedUp";
/// A 429. Temporal tries again when `DigitalOcean` said; this is one that asks for a long wait, or that no attempt got past.
const RATE_LIMITED: &str = "RateLimited";

/// The first pause is not shorter and each further one twice as long: a run that waits for hours keeps a short history.
const SHORTEST: Duration = Duration::from_secs(15);
/// Unless the failure asks for a longer one.
const LONGEST: Duration = Duration::from_mins(2);
/// A run without a time limit of its own waits until so long after its start.
const IN_ALL: Duration = Duration::from_hours(10);

/// Asks for an activity, and asks again after each time that it found the token's requests used up. It does so for the first four
/// fifths of the time that the run has, whichever of its activities waits, so that a run fails with its reason rather than by its time
/// limit.
pub(crate) async fn patiently<W, T, A>(
    ctx: &WorkflowContext<W>,
    mut activity: impl FnMut() -> A,
) -> Result<T, ActivityExecutionError>
where
    A: Future<Output = Result<T, ActivityExecutionError>>,
{
    let run = ctx.info().run_timeout().filter(|time| !time.is_zero());
    let patience = run.map_or(IN_ALL, |time| time * 4 / 5);
    let mut waited_here = Duration::ZERO;
    let mut least = SHORTEST;
    loop {
        let outcome = activity().await;
        let asked = match &outcome {
            Err(error) if is_want_of_requests(ctx, error) => asked_pause(error),
            _ => return outcome,
        };
        // Only a run that waits spends a marker on it.
        let spent = if ctx.patched("one-deadline-2026-11") {
            since_start(ctx)
        } else {
            waited_here
        };
        let left = patience.saturating_sub(spent);
        if left.is_zero() {
            return outcome;
        }
        let pause = asked.max(least).min(left);
        waited_here += pause;
        least = (least * 2).min(LONGEST);
        // Where the run is cancelled meanwhile, so is the activity when it is asked for.
        let summary = "the token's requests are used up: asks again then".to_owned();
        ctx.timer(TimerOptions::builder(pause).summary(summary).build())
            .await;
    }
}

fn since_start<W>(ctx: &WorkflowContext<W>) -> Duration {
    let times = ctx.workflow_time().zip(ctx.info().start_time());
    let since = times.and_then(|(now, start)| now.duration_since(start).ok());
    since.unwrap_or_default()
}

/// Whether nothing is wrong but that there are no requests to be had.
pub(crate) fn is_want_of_requests<W>(
    ctx: &WorkflowContext<W>,
    error: &ActivityExecutionError,
) -> bool {
    let Some(IncomingError::Application(failure)) = error.reason() else {
        return false;
    };
    match failure.type_name() {
        Some(BUDGET_USED_UP) => true,
        Some(RATE_LIMITED) => ctx.patched("rate-limits-are-pauses-2026-11"),
        _ => false,
    }
}

fn asked_pause(error: &ActivityExecutionError) -> Duration {
    match error.reason() {
        Some(IncomingError::Application(failure)) => failure.next_retry_delay().unwrap_or_default(),
        _ => Duration::ZERO,
    }
}
