//! What the API tells of Temporal. It does not talk to Temporal itself: whoever starts it hands in somebody who does.

use std::pin::Pin;

use chrono::{DateTime, Utc};

/// Somebody who knows how the schedules stand.
pub trait ScheduleSource: Send + Sync {
    /// All schedules of this system; or why they cannot be told, in words for whoever operates it.
    fn schedules(&self) -> ScheduleFuture<'_>;
}

/// See [`ScheduleSource::schedules`].
pub type ScheduleFuture<'a> =
    Pin<Box<dyn Future<Output = Result<Vec<ScheduleStatus>, String>> + Send + 'a>>;

/// A schedule that this system wants to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleStatus {
    pub id: String,
    /// In words, UTC.
    pub when: String,
    pub workflow_type: String,
    pub task_queue: String,
    /// None where the server has no such schedule.
    pub on_server: Option<OnServer>,
}

/// A schedule as the server has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OnServer {
    pub is_paused: bool,
    /// Whether it is as this program wants it.
    pub is_current: bool,
    /// The installation that it belongs to, if that is another one.
    pub foreign: Option<String>,
    /// Why it is paused, or what it is for.
    pub note: Option<String>,
    pub running: Vec<WorkflowRun>,
    /// The latest first.
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
    /// `running`, `completed`, `failed`, ... as the schedule last heard.
    pub status: Option<String>,
}

/// Where runs can be looked at.
#[derive(Debug, Clone)]
pub struct TemporalUi {
    /// Base of the UI, like `http://localhost:8233`.
    pub url: String,
    pub namespace: String,
}

impl TemporalUi {
    /// The page of a run.
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

/// A text as one segment of a path: all but RFC 3986's unreserved characters are encoded.
fn path_segment(text: &str) -> String {
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
    fn a_runs_page_has_every_id_as_one_segment() {
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
