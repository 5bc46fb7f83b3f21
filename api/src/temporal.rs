//! Temporal data that the API shows, and the workflows that pages start. The API has no Temporal
//! client: the program that starts it passes a [`ScheduleSource`] and a [`WorkflowStarter`].

use std::pin::Pin;

use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;

/// Source of the current state of the schedules.
pub trait ScheduleSource: Send + Sync {
    /// Returns all schedules of this installation, or the reason for the operator why they are
    /// unavailable.
    fn schedules(&self) -> ScheduleFuture<'_>;
}

/// See [`ScheduleSource::schedules`].
pub type ScheduleFuture<'a> =
    Pin<Box<dyn Future<Output = Result<Vec<ScheduleStatus>, String>> + Send + 'a>>;

/// Starts workflows for a person. Only their workers call DigitalOcean.
pub trait WorkflowStarter: Send + Sync {
    /// Returns the schedules that [`Self::trigger`] accepts.
    fn schedule_ids(&self) -> Vec<String>;

    /// Returns the kinds that [`Self::sync_kind`] accepts.
    fn kinds(&self) -> Vec<String>;

    /// Starts a run of a schedule, or returns its run in progress.
    fn trigger<'a>(&'a self, schedule: &'a str) -> StartFuture<'a>;

    /// Starts a sync of one kind, or returns the one that was started in this way and is in
    /// progress.
    fn sync_kind<'a>(&'a self, kind: &'a str) -> StartFuture<'a>;

    /// Starts the ingest of an invoice of this month, or returns the one in progress.
    fn ingest(&self, invoice: Uuid, period: NaiveDate) -> StartFuture<'_>;

    /// Starts the reallocation of cost lines, or returns the one in progress.
    fn reallocate(&self) -> StartFuture<'_>;

    /// Starts the close of a month, which then waits for the approval of an administrator, or
    /// returns the one in progress.
    fn close(&self, period: NaiveDate) -> StartFuture<'_>;

    /// Approves the close of a month in progress.
    fn approve_close<'a>(
        &'a self,
        period: NaiveDate,
        approval: &'a CloseApproval,
    ) -> StartFuture<'a>;

    /// Describes a run.
    fn describe<'a>(&'a self, run: &'a WorkflowRun) -> DescribeFuture<'a>;
}

/// The approval of the close of a month by an administrator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloseApproval {
    /// The name of the access token.
    pub by: String,
    pub reason: Option<String>,
}

/// See [`WorkflowStarter`].
pub type StartFuture<'a> =
    Pin<Box<dyn Future<Output = Result<WorkflowRun, WorkflowError>> + Send + 'a>>;

/// See [`WorkflowStarter::describe`].
pub type DescribeFuture<'a> =
    Pin<Box<dyn Future<Output = Result<RunDescription, WorkflowError>> + Send + 'a>>;

/// The reason why a workflow is not started or not described, as text for the operator.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum WorkflowError {
    /// The schedule, kind or run does not exist.
    #[error("{0}")]
    Unknown(String),
    /// The state of the schedules does not permit the start.
    #[error("{0}")]
    Refused(String),
    /// Temporal is unreachable or returned an error.
    #[error("{0}")]
    Unavailable(String),
}

/// The state of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunDescription {
    pub workflow_type: String,
    /// Short description of the run, if it has one.
    pub summary: Option<String>,
    /// `running`, `completed`, `failed`, ...
    pub status: String,
    pub started_at: Option<DateTime<Utc>>,
    /// None while the run is in progress.
    pub closed_at: Option<DateTime<Utc>>,
    /// The message of the failure of a failed run.
    pub failure: Option<String>,
}

/// A schedule that this version defines, with its state in Temporal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleStatus {
    pub id: String,
    /// Times at which the schedule starts runs, as text in UTC.
    pub when: String,
    pub workflow_type: String,
    pub task_queue: String,
    /// None if Temporal has no such schedule.
    pub on_server: Option<OnServer>,
}

/// State of a schedule in Temporal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OnServer {
    pub is_paused: bool,
    /// True if the schedule equals the definition of this version.
    pub is_current: bool,
    /// The other installation that the schedule belongs to, if any.
    pub foreign: Option<String>,
    /// Reason for the pause, or purpose of the schedule.
    pub note: Option<String>,
    pub running: Vec<WorkflowRun>,
    /// Latest runs, the latest first.
    pub last_runs: Vec<ScheduledRun>,
    pub next_run_at: Vec<DateTime<Utc>>,
}

/// A run of a workflow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkflowRun {
    pub workflow_id: String,
    pub run_id: String,
}

/// A run that a schedule started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduledRun {
    pub run: WorkflowRun,
    pub started_at: Option<DateTime<Utc>>,
    /// Last known status: `running`, `completed`, `failed`, ...
    pub status: Option<String>,
}

/// Address of the Temporal UI, for links to runs.
#[derive(Debug, Clone)]
pub struct TemporalUi {
    /// Base URL, such as `http://localhost:8233`.
    pub url: String,
    pub namespace: String,
}

impl TemporalUi {
    /// Returns the URL of a run.
    pub(crate) fn run(&self, workflow_id: &str, run_id: &str) -> String {
        format!(
            "{}/{}/history",
            self.workflow(workflow_id),
            path_segment(run_id)
        )
    }

    /// Returns the URL of the latest run of a workflow.
    pub(crate) fn workflow(&self, workflow_id: &str) -> String {
        format!(
            "{}/namespaces/{}/workflows/{}",
            self.url.trim_end_matches('/'),
            path_segment(&self.namespace),
            path_segment(workflow_id)
        )
    }
}

impl WorkflowRun {
    /// Returns the path of the page of a run.
    pub(crate) fn page(&self) -> String {
        format!(
            "/sync/runs/{}/{}",
            path_segment(&self.workflow_id),
            path_segment(&self.run_id)
        )
    }
}

/// Encodes a text as one path segment: all characters except the unreserved ones of RFC 3986.
pub(crate) fn path_segment(text: &str) -> String {
    let mut segment = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            segment.push(char::from(byte));
        } else {
            segment.push('%');
            for nibble in [byte >> 4, byte & 0xf] {
                segment.push(char::from(b"0123456789ABCDEF"[usize::from(nibble)]));
            }
        }
    }
    segment
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_of_a_run_has_each_id_as_one_segment() {
        let ui = TemporalUi {
            url: "http://localhost:8233/".to_owned(),
            namespace: "default".to_owned(),
        };
        assert_eq!(
            ui.run("sync-droplets-2026-11-23T10:07:00Z", "0a1b"),
            "http://localhost:8233/namespaces/default/workflows/sync-droplets-2026-11-23T10%3A07%3A00Z/0a1b/history"
        );
        assert_eq!(
            ui.run("a/b?c#d ü", "1"),
            "http://localhost:8233/namespaces/default/workflows/a%2Fb%3Fc%23d%20%C3%BC/1/history"
        );
    }
}
