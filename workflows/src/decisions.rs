//! Runs that wait for days for the decision of a person: the times of their checks, and activities
//! that are retried until the database accepts them.

use std::time::Duration;

use temporalio_common::error::IncomingError;
use temporalio_workflow::{ActivityExecutionError, TimerOptions, WorkflowContext};

use crate::options;

/// Interval of the checks: in the first hour, when a decision is likely, and later. A check is two
/// actions of Temporal's.
const FIRST_CHECK_INTERVAL: Duration = Duration::from_mins(5);
const CHECK_INTERVAL: Duration = Duration::from_hours(1);
const FIRST_CHECKS: usize = 12;
/// Checks until the run continues as new, at about ten history events each.
pub(crate) const CHECKS: usize = 200;

/// The timer after this many checks of the run.
pub(crate) fn next_check(checks: usize, is_continued: bool, summary: &str) -> TimerOptions {
    let is_young = !is_continued && checks < FIRST_CHECKS;
    let pause = if is_young {
        FIRST_CHECK_INTERVAL
    } else {
        CHECK_INTERVAL
    };
    TimerOptions::builder(pause)
        .summary(summary.to_owned())
        .build()
}

/// The first and the longest pause between two attempts that the database rejects.
const FIRST_PAUSE: Duration = Duration::from_secs(15);
const LONGEST_PAUSE: Duration = Duration::from_hours(1);
/// The failure type of the database in `activities/src/failure.rs`.
const DATABASE: &str = "Database";

/// Executes an activity until the database accepts it: an accepted decision cannot be taken back.
/// `details` describes a rejection for the Temporal UI; `summary` completes "until ...".
pub(crate) async fn until_accepted<W, T, A>(
    ctx: &WorkflowContext<W>,
    summary: &str,
    mut activity: impl FnMut() -> A,
    details: impl Fn(&str) -> String,
) -> Result<T, ActivityExecutionError>
where
    A: Future<Output = Result<T, ActivityExecutionError>>,
{
    let mut pause = FIRST_PAUSE;
    loop {
        let outcome = activity().await;
        let rejection = match &outcome {
            Err(error) if is_of_the_database(error) => options::reason(error),
            _ => return outcome,
        };
        ctx.set_current_details(details(&rejection));
        let summary = format!("until {summary}");
        ctx.timer(TimerOptions::builder(pause).summary(summary).build())
            .await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn is_of_the_database(error: &ActivityExecutionError) -> bool {
    let Some(IncomingError::Application(failure)) = error.reason() else {
        return false;
    };
    failure.type_name() == Some(DATABASE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_of_waiting_has_few_checks() {
        let day = Duration::from_hours(24);
        for (is_continued, most) in [(false, 35), (true, 24)] {
            let mut waited = Duration::ZERO;
            let checks = (0..CHECKS).take_while(|checks| {
                waited += next_check(*checks, is_continued, "").duration;
                waited <= day
            });
            assert_eq!(checks.count(), most);
        }
    }
}
