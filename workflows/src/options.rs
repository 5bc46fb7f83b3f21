//! The options of all activities: timeouts, retries, and summaries for the Temporal UI.
//!
//! The retryable failures are defined where failures are created (`activities/src/failure.rs`).
//! Waiting for the rate limit is neither a failure nor an attempt (`rate_limit.rs`).

use std::time::Duration;

use temporalio_workflow::{
    ActivityExecutionError, ActivityOptions, LocalActivityOptions, RetryPolicy,
};

/// An activity that lists from DigitalOcean. It heartbeats, so the death of its worker is detected
/// within the heartbeat timeout.
pub(crate) fn listing(summary: impl Into<String>) -> ActivityOptions {
    with_timeout(RESUMING_TIMEOUT, summary)
}

/// The same for a list of lists, which starts from the beginning in each attempt.
pub(crate) fn walk(summary: impl Into<String>) -> ActivityOptions {
    with_timeout(RESTARTING_TIMEOUT, summary)
}

// An attempt can wait for the rate limit for half of its time (`activities/src/attempt.rs`). An
// activity that resumes after an interruption needs less time for that than one that starts from
// the beginning. Since activities also heartbeat, these timeouts only end work that hangs.
const RESUMING_TIMEOUT: Duration = Duration::from_mins(20);
const RESTARTING_TIMEOUT: Duration = Duration::from_hours(1);

fn with_timeout(time: Duration, summary: impl Into<String>) -> ActivityOptions {
    // About half a minute of pauses in total; after that the next scheduled run is the better
    // attempt.
    with_retries(time, summary, retry(6, Duration::from_secs(15)))
}

/// The single attempt to list all kinds. It has no retries: a separate activity lists each
/// remaining kind, and resumes long listings.
pub(crate) fn all_lists(summary: impl Into<String>) -> ActivityOptions {
    with_retries(RESUMING_TIMEOUT, summary, retry(1, Duration::from_secs(15)))
}

fn with_retries(
    time: Duration,
    summary: impl Into<String>,
    policy: RetryPolicy,
) -> ActivityOptions {
    ActivityOptions::with_start_to_close_timeout(time)
        .heartbeat_timeout(Duration::from_secs(30))
        .summary(summary.into())
        .retry_policy(policy)
        .build()
}

/// An activity that fetches and stores one invoice's lines.
pub(crate) fn ingest(summary: impl Into<String>) -> ActivityOptions {
    ActivityOptions::with_start_to_close_timeout(RESTARTING_TIMEOUT)
        .heartbeat_timeout(Duration::from_secs(30))
        .summary(summary.into())
        // The next run is a day later, so this one pauses longer: about a minute and a half in
        // total.
        .retry_policy(retry(8, Duration::from_secs(30)))
        .build()
}

/// An activity that only uses the database: retried until the database is available. An attempt
/// may wait for two locks, each for a minute (`lock_timeout` in `store/src/sessions.rs`), so that
/// it has ended when the next one starts. An attempt that was lost with its worker is retried after
/// the heartbeat timeout, since operators wait for the results of some.
pub(crate) fn database(summary: impl Into<String>) -> ActivityOptions {
    ActivityOptions::with_start_to_close_timeout(Duration::from_mins(3))
        .heartbeat_timeout(Duration::from_secs(30))
        .summary(summary.into())
        .retry_policy(
            RetryPolicy::builder()
                .maximum_interval(Duration::from_secs(30))
                .build(),
        )
        .build()
}

/// An activity of many short transactions, each of which keeps its progress: retried until the
/// database is available.
pub(crate) fn portions(summary: impl Into<String>) -> ActivityOptions {
    ActivityOptions::with_start_to_close_timeout(Duration::from_mins(5))
        .heartbeat_timeout(Duration::from_secs(30))
        .summary(summary.into())
        .retry_policy(
            RetryPolicy::builder()
                .maximum_interval(Duration::from_secs(30))
                .build(),
        )
        .build()
}

/// An activity that reads all cost lines: about a minute for many millions of lines. The next run
/// is a day later.
pub(crate) fn whole_bill(summary: impl Into<String>) -> ActivityOptions {
    ActivityOptions::with_start_to_close_timeout(Duration::from_mins(10))
        .heartbeat_timeout(Duration::from_secs(30))
        .summary(summary.into())
        .retry_policy(retry(8, Duration::from_secs(30)))
        .build()
}

/// An activity that reads a month, or freezes it and writes its files: minutes for many millions of
/// lines. Retried until the database is available, because an administrator decides on it.
pub(crate) fn month(summary: impl Into<String>) -> ActivityOptions {
    ActivityOptions::with_start_to_close_timeout(RESTARTING_TIMEOUT)
        .heartbeat_timeout(Duration::from_secs(30))
        .summary(summary.into())
        .retry_policy(
            RetryPolicy::builder()
                .maximum_interval(Duration::from_secs(30))
                .build(),
        )
        .build()
}

/// An activity that removes rows, a portion at a time.
pub(crate) fn retention(summary: impl Into<String>) -> ActivityOptions {
    with_retries(
        RESTARTING_TIMEOUT,
        summary,
        retry(8, Duration::from_secs(30)),
    )
}

/// An activity without I/O, which runs within the workflow task that schedules it.
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

/// Returns the message of an activity's own failure, without Temporal's wrapping errors.
pub(crate) fn reason(error: &ActivityExecutionError) -> String {
    error.reason().map_or_else(
        || error.to_string(),
        |reason| reason.failure().message.clone(),
    )
}
