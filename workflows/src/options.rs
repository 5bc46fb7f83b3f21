//! How long activities may take and how often they are tried: all of it, in one place.
//!
//! Each has a summary, which the Temporal UI shows beside its name.
//!
//! Which failure is tried again is not said here but where failures are made (`activities/src/failure.rs`). Waiting for requests is no
//! failure, and no attempt (`rate_limit.rs`).

use std::time::Duration;

use temporalio_workflow::{
    ActivityExecutionError, ActivityOptions, LocalActivityOptions, RetryPolicy,
};

/// An activity that lists from DigitalOcean. It heartbeats: one whose worker died is noticed within the heartbeat timeout.
pub(crate) fn listing(summary: impl Into<String>) -> ActivityOptions {
    asking(LISTING, summary)
}

/// The same of a list of lists, which begins anew with each attempt.
pub(crate) fn walk(summary: impl Into<String>) -> ActivityOptions {
    asking(BEGINS_ANEW, summary)
}

// An attempt may wait for requests for half of its time (`activities/src/attempt.rs`). What was broken off after that and goes on where
// it was needs less of it than what has to begin anew. Beside a heartbeat, these limits are for work that hangs.
const LISTING: Duration = Duration::from_mins(20);
const BEGINS_ANEW: Duration = Duration::from_hours(1);

fn asking(time: Duration, summary: impl Into<String>) -> ActivityOptions {
    ActivityOptions::with_start_to_close_timeout(time)
        .heartbeat_timeout(Duration::from_secs(30))
        .summary(summary.into())
        // About half a minute of waiting in all: after that the next scheduled run is the better try.
        .retry_policy(retry(6, Duration::from_secs(15)))
        .build()
}

/// Fetching and storing one invoice's lines.
pub(crate) fn ingest(summary: impl Into<String>) -> ActivityOptions {
    ActivityOptions::with_start_to_close_timeout(BEGINS_ANEW)
        .heartbeat_timeout(Duration::from_secs(30))
        .summary(summary.into())
        // The next run comes a day later, so this one waits longer: about a minute and a half in all.
        .retry_policy(retry(8, Duration::from_secs(30)))
        .build()
}

/// An activity that only asks or writes the database: tried until it is back.
pub(crate) fn database(summary: impl Into<String>) -> ActivityOptions {
    ActivityOptions::with_start_to_close_timeout(Duration::from_mins(1))
        .summary(summary.into())
        .retry_policy(
            RetryPolicy::builder()
                .maximum_interval(Duration::from_secs(30))
                .build(),
        )
        .build()
}

/// An activity that reads all of the bill, a minute or so where that has many millions of lines. The next run asks again a day later.
pub(crate) fn whole_bill(summary: impl Into<String>) -> ActivityOptions {
    ActivityOptions::with_start_to_close_timeout(Duration::from_mins(10))
        .heartbeat_timeout(Duration::from_secs(30))
        .summary(summary.into())
        .retry_policy(retry(8, Duration::from_secs(30)))
        .build()
}

/// An activity that asks nothing outside of its worker, and is done within the workflow task that it is asked for in.
pub(crate) fn local(summary: impl Into<String>) -> LocalActivityOptions {
    LocalActivityOptions::builder()
        .start_to_close_timeout(Duration::from_secs(5))
        .summary(summary.into())
        .build()
}

fn retry(attempts: u32, longest: Duration) -> RetryPolicy {
    RetryPolicy::builder()
        .initial_interval(Duration::from_secs(1))
        .backoff_coefficient(2.0)
        .maximum_interval(longest)
        .maximum_attempts(attempts)
        .build()
}

/// What an activity's own failure said, without what Temporal wraps around it.
pub(crate) fn reason(error: &ActivityExecutionError) -> String {
    error.reason().map_or_else(
        || error.to_string(),
        |reason| reason.failure().message.clone(),
    )
}
