//! Reads the state of the schedules and their recent runs from Temporal, for the API and `arcadia
//! status`.

use api::{
    OnServer, ScheduleFuture, ScheduleSource, ScheduleStatus, ScheduledRun, TemporalUi, WorkflowRun,
};
use chrono::{DateTime, Utc};
use futures::future::try_join_all;
use temporalio_client::envconfig::LoadClientConfigProfileOptions;
use temporalio_client::schedules::{ScheduleDescription, ScheduleError};
use temporalio_client::tonic::Code;
use temporalio_client::{
    Client, ClientOptions, NamespacedClient as _, RpcOptions, WorkflowDescribeOptions,
    WorkflowExecutionInfo,
};
use temporalio_common::protos::temporal::api::enums::v1::WorkflowExecutionStatus;
use tokio::sync::OnceCell;

use store::Store;
use worker::schedules::{self, Installation, SCHEDULES, Schedule, Stopped};
use worker::temporal;

/// The schedules of one Temporal server.
pub(crate) struct Schedules {
    namespace: String,
    /// Connects at first use, and retries at each use until it succeeds. A connection that breaks
    /// reconnects automatically.
    client: OnceCell<Client>,
    /// Identifies the installation that the schedules should belong to.
    store: Store,
}

impl Schedules {
    /// Returns the schedules of a connected server.
    pub(crate) fn of(client: Client, store: Store) -> Self {
        Self {
            namespace: client.namespace(),
            client: OnceCell::new_with(Some(client)),
            store,
        }
    }

    /// Returns the schedules of the server that the environment names, without connecting to it.
    pub(crate) fn from_environment(store: Store) -> Self {
        // Invalid settings are reported when the schedules are read.
        let namespace = ClientOptions::load_from_config(LoadClientConfigProfileOptions::default())
            .map_or_else(|_| "default".to_owned(), |(_, client)| client.namespace);
        Self {
            namespace,
            client: OnceCell::new(),
            store,
        }
    }

    /// Returns the links to this server's runs in the UI at `url`.
    pub(crate) fn ui(&self, url: String) -> TemporalUi {
        TemporalUi {
            url,
            namespace: self.namespace.clone(),
        }
    }

    /// Returns the client, connected at first use.
    pub(crate) async fn client(&self) -> anyhow::Result<&Client> {
        self.client.get_or_try_init(temporal::connect).await
    }

    /// Returns the installation that the schedules should belong to.
    pub(crate) async fn installation(&self) -> anyhow::Result<Installation> {
        Ok(Installation::of(&self.store).await?)
    }

    async fn read(&self) -> anyhow::Result<Vec<ScheduleStatus>> {
        let client = self.client().await?;
        let installation = self.installation().await?;
        let statuses = SCHEDULES
            .iter()
            .map(|schedule| status(client, schedule, &installation));
        Ok(try_join_all(statuses).await?)
    }
}

impl ScheduleSource for Schedules {
    fn schedules(&self) -> ScheduleFuture<'_> {
        Box::pin(async { self.read().await.map_err(|error| format!("{error:#}")) })
    }
}

async fn status(
    client: &Client,
    schedule: &Schedule,
    installation: &Installation,
) -> Result<ScheduleStatus, ScheduleError> {
    let described = client
        .get_schedule_handle(schedule.id)
        .describe(RpcOptions::default())
        .await;
    let on_server = match described {
        Ok(description) => {
            let mut on_server = on_server(&description, schedule, installation);
            update_running(client, &mut on_server.last_runs).await;
            Some(on_server)
        }
        Err(ScheduleError::Rpc(status)) if status.code() == Code::NotFound => None,
        Err(error) => return Err(error),
    };
    Ok(ScheduleStatus {
        id: schedule.id.to_owned(),
        when: schedule.when.to_string(),
        workflow_type: schedule.workflow_type.to_owned(),
        task_queue: schedule.task_queue.to_owned(),
        on_server,
    })
}

fn on_server(
    description: &ScheduleDescription,
    schedule: &Schedule,
    installation: &Installation,
) -> OnServer {
    let running = description.running_actions().into_iter();
    let info = description.raw().info.as_ref();
    let results = info.map(|info| info.recent_actions.as_slice());
    let mut last_runs: Vec<ScheduledRun> = description
        .recent_actions()
        .into_iter()
        .zip(results.unwrap_or_default())
        .map(|(action, result)| ScheduledRun {
            run: WorkflowRun {
                workflow_id: action.workflow_id,
                run_id: action.run_id,
            },
            started_at: action.actual_time.map(DateTime::<Utc>::from),
            status: status_name(result.start_workflow_status()),
        })
        .collect();
    last_runs.reverse();
    let stopped = Stopped::of(description);
    let foreign = schedules::foreign(description, Some(installation));
    let note = match &stopped {
        Some(Stopped::NoStartsLeft) => Some(Stopped::NoStartsLeft.to_string()),
        _ => description.note().map(str::to_owned),
    };
    let foreign_note = |owner| format!("belongs to another installation ({owner})");
    let note = foreign.as_ref().map(foreign_note).or(note);
    OnServer {
        is_paused: stopped.is_some(),
        is_current: foreign.is_none() && schedule.is_current(description),
        foreign: foreign.as_ref().map(ToString::to_string),
        note,
        running: running
            .map(|action| WorkflowRun {
                workflow_id: action.workflow_id,
                run_id: action.run_id,
            })
            .collect(),
        last_runs,
        next_run_at: description
            .future_action_times()
            .into_iter()
            .map(DateTime::<Utc>::from)
            .collect(),
    }
}

/// Replaces the status of runs that are reported as running by the status of the run itself: a
/// schedule updates the status of a run only when it starts the next one. A run that the server has
/// deleted gets no status.
async fn update_running(client: &Client, runs: &mut [ScheduledRun]) {
    let running = status_name(WorkflowExecutionStatus::Running);
    for scheduled in runs.iter_mut().filter(|run| run.status == running) {
        let described = WorkflowExecutionInfo::builder()
            .namespace(client.namespace())
            .workflow_id(&scheduled.run.workflow_id)
            .run_id(scheduled.run.run_id.clone())
            .build()
            .bind_untyped(client.clone())
            .describe(WorkflowDescribeOptions::default())
            .await;
        scheduled.status = described.ok().and_then(|run| {
            let info = run.raw_description.workflow_execution_info?;
            status_name(info.status())
        });
    }
}

/// Returns the short name of a status: `timed_out` for `WORKFLOW_EXECUTION_STATUS_TIMED_OUT`.
pub(crate) fn status_name(status: WorkflowExecutionStatus) -> Option<String> {
    if status == WorkflowExecutionStatus::Unspecified {
        return None;
    }
    let name = status.as_str_name().to_lowercase();
    let name = name
        .strip_prefix("workflow_execution_status_")
        .unwrap_or(&name);
    Some(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_name_has_no_prefix() {
        for (status, expected) in [
            (WorkflowExecutionStatus::Running, Some("running")),
            (WorkflowExecutionStatus::TimedOut, Some("timed_out")),
            (WorkflowExecutionStatus::Unspecified, None),
        ] {
            assert_eq!(status_name(status).as_deref(), expected);
        }
    }
}
