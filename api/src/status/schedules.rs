//! Reasons that Temporal gives.

use chrono::{DateTime, Utc};

use super::{Code, Reason, Schedules, names};
use crate::temporal::{OnServer, ScheduleStatus, ScheduledRun};

/// The reasons that Temporal gives, whether or not the database answers.
pub fn reasons_of_schedules(schedules: Schedules<'_>) -> Vec<Reason> {
    let schedules = match schedules {
        Schedules::Known(schedules) => schedules,
        Schedules::Unreachable(problem) => {
            return vec![Reason::new(
                Code::TemporalUnreachable,
                format!("Temporal cannot be asked, and nothing is started without it: {problem}"),
            )];
        }
        Schedules::NotChecked => {
            return vec![Reason::new(
                Code::SchedulesNotChecked,
                "the schedules are not checked: this API was started without a way to reach Temporal; `arcadia schedules list` shows them",
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
    // Another installation's schedules are as that one wants them.
    let own: Vec<_> = schedules
        .iter()
        .filter(|schedule| owner(schedule).is_none())
        .collect();
    let all = |is_so: &dyn Fn(&OnServer) -> bool| -> Vec<&ScheduleStatus> {
        let found = |schedule: &&ScheduleStatus| schedule.on_server.as_ref().is_some_and(is_so);
        own.iter().copied().filter(found).collect()
    };
    let missing = schedules
        .iter()
        .filter(|schedule| schedule.on_server.is_none());
    about(Code::ScheduleMissing, missing.collect(), &|ids| {
        format!(
            "Temporal lacks {ids}, so that nothing starts their runs: run `arcadia schedules apply`"
        )
    });
    if let Some(owner) = foreign.first().and_then(|first| owner(first)) {
        about(Code::ScheduleForeign, foreign.clone(), &|ids| {
            format!(
                "{ids} belong to another installation ({owner}), so that nothing starts the runs of this one: correct DATABASE_URL, \
                 TEMPORAL_ADDRESS or TEMPORAL_NAMESPACE, so that database and Temporal belong together; `arcadia schedules apply \
                 --take-over` replaces them where that installation has ended"
            )
        });
    }
    about(
        Code::SchedulePaused,
        all(&|server| server.is_paused),
        &|ids| {
            format!(
                "{ids} start nothing, since they are paused: `temporal schedule toggle --unpause --schedule-id ID` resumes them"
            )
        },
    );
    about(
        Code::ScheduleOutdated,
        all(&|server| !server.is_current),
        &|ids| format!("{ids} differ from what this version wants: run `arcadia schedules apply`"),
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
                    "the last run of {} did not complete ({}): `temporal workflow describe --workflow-id {}` shows why; \
                     `temporal schedule trigger --schedule-id ID` starts another run",
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

/// The other installation that a schedule belongs to.
fn owner(schedule: &ScheduleStatus) -> Option<&str> {
    schedule.on_server.as_ref()?.foreign.as_deref()
}

/// The runs that did not complete since the last one that did.
struct FailedRuns<'a> {
    status: &'a str,
    workflow_id: &'a str,
    /// When the first of them began, of those that the schedule remembers.
    since: Option<DateTime<Utc>>,
}

impl<'a> FailedRuns<'a> {
    /// None where the last run that ended is complete, and where none has ended.
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

/// A run of which the server knows nothing any more counts as neither ended nor complete.
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
