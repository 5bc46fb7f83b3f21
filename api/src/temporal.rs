//! Temporal data that the API shows. The API has no Temporal client: the program that starts it
//! passes a [`ScheduleSource`].

use std::pin::Pin;

use chrono::{DateTime, Utc};

/// Source of the current state of the schedules.
pub trait ScheduleSource: Send + Sync {
    /// Returns all schedules of this installation, or the reason for the operator why they are
    /// unavailable.
    fn schedules(&self) -> ScheduleFuture<'_>;
}

/// See [`ScheduleSource::schedules`].
pub type ScheduleFuture<'a> =
    Pin<Box<dyn Future<Output = Result<Vec<ScheduleStatus>, String>> + Send + 'a>>;

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
            "{}/namespaces/{}/workflows/{}/{}/history",
            self.url.trim_end_matches('/'),
            path_segment(&self.namespace),
            path_segment(workflow_id),
            path_segment(run_id)
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
