//! Reasons from Temporal: missing, foreign, paused and outdated schedules, and failed runs.

use chrono::{DateTime, Utc};

use super::{Code, Reason, Schedules, names};
use crate::temporal::{OnServer, ScheduleStatus, ScheduledRun};

/// Returns the reasons from Temporal; needs no database.
pub fn reasons_of_schedules(schedules: Schedules<'_>) -> Vec<Reason> {
    let schedules = match schedules {
        Schedules::Known(schedules) => schedules,
        Schedules::Unreachable(problem) => {
            return vec![Reason::new(
                Code::TemporalUnreachable,
                format!("Temporal is unreachable, so that no runs start: {problem}"),
            )];
        }
        Schedules::NotChecked => {
            return vec![Reason::new(
                Code::SchedulesNotChecked,
                "schedules not checked, because this API was started without a connection to \
                 Temporal: `arcadia schedules list` shows them",
            )];
        }
    };
    let mut reasons = Vec::new();
    let mut about = |code, found: Vec<&ScheduleStatus>, text: &dyn Fn(&str) -> String| {
        if !found.is_empty() {
            let ids: Vec<&str> = found.iter().map(|schedule| &*schedule.id).collect();
            reasons.push(Reason::new(code, text(&names(&ids))).about(ids));
        }
    };
    let foreign: Vec<_> = schedules
        .iter()
        .filter(|schedule| owner(schedule).is_some())
        .collect();
    // Schedules of another installation have its definition, so that other reasons do not apply.
    let own: Vec<_> = schedules
        .iter()
        .filter(|schedule| owner(schedule).is_none())
        .collect();
    let all = |predicate: &dyn Fn(&OnServer) -> bool| -> Vec<&ScheduleStatus> {
        let found = |schedule: &&ScheduleStatus| schedule.on_server.as_ref().is_some_and(predicate);
        own.iter().copied().filter(found).collect()
    };
    let missing = schedules
        .iter()
        .filter(|schedule| schedule.on_server.is_none());
    about(Code::ScheduleMissing, missing.collect(), &|ids| {
        format!("{ids} missing in Temporal, so that no runs start: run `arcadia schedules apply`")
    });
    if let Some(owner) = foreign.first().and_then(|first| owner(first)) {
        about(Code::ScheduleForeign, foreign.clone(), &|ids| {
            format!(
                "{ids} belong to another installation ({owner}), so that no runs of this one \
                 start: correct DATABASE_URL, TEMPORAL_ADDRESS or TEMPORAL_NAMESPACE, so that \
                 database and Temporal are of one installation; if the other one no longer exists, \
                 `arcadia schedules apply --take-over` replaces them"
            )
        });
    }
    about(
        Code::SchedulePaused,
        all(&|server| server.is_paused),
        &|ids| {
            format!(
                "{ids} paused, so that no runs start: `temporal schedule toggle --unpause \
                 --schedule-id ID` resumes them"
            )
        },
    );
    about(
        Code::ScheduleOutdated,
        all(&|server| !server.is_current),
        &|ids| {
            format!(
                "{ids} differ from the definition of this version: run `arcadia schedules apply`"
            )
        },
    );
    let failed: Vec<_> = own
        .iter()
        .filter_map(|schedule| Some((schedule, FailedRuns::of(schedule.on_server.as_ref()?)?)))
        .collect();
    if let Some((_, latest)) = failed.first() {
        let ids: Vec<&str> = failed.iter().map(|(schedule, _)| &*schedule.id).collect();
        let since = failed.iter().filter_map(|(_, failed)| failed.since).min();
        reasons.push(
            Reason::new(
                Code::RunFailed,
                format!(
                    "the last run of {} did not complete ({}): `temporal workflow describe \
                     --workflow-id {}` has the reason; `temporal schedule trigger --schedule-id \
                     ID` starts another run",
                    names(&ids),
                    latest.status,
                    latest.workflow_id,
                ),
            )
            .since(since)
            .about(ids),
        );
    }
    reasons
}

/// Returns the other installation that a schedule belongs to, if any.
fn owner(schedule: &ScheduleStatus) -> Option<&str> {
    schedule.on_server.as_ref()?.foreign.as_deref()
}

/// The failed runs since the last completed one.
struct FailedRuns<'a> {
    status: &'a str,
    workflow_id: &'a str,
    /// Start of the first of them, among the runs that the schedule lists.
    since: Option<DateTime<Utc>>,
}

impl<'a> FailedRuns<'a> {
    /// Returns none if the last run that ended is complete, or none has ended.
    fn of(server: &'a OnServer) -> Option<Self> {
        let ended = server.last_runs.iter().filter(|run| has_ended(run));
        let failed: Vec<_> = ended.take_while(|run| !has_completed(run)).collect();
        let latest = failed.first()?;
        Some(Self {
            status: latest.status.as_deref().unwrap_or_default(),
            workflow_id: &latest.run.workflow_id,
            since: failed.last().and_then(|run| run.started_at),
        })
    }
}

/// Returns true if a run has ended. A run that is deleted in Temporal counts as neither ended nor
/// complete.
pub(super) fn has_ended(run: &ScheduledRun) -> bool {
    run.status
        .as_deref()
        .is_some_and(|status| status != "running")
}

fn has_completed(run: &ScheduledRun) -> bool {
    matches!(
        run.status.as_deref(),
        Some("completed" | "continued_as_new")
    )
}
