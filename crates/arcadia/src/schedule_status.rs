//! How the schedules stand, for the API to show.

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
    /// Connects when it is first needed, and again as long as that fails; a connection that breaks mends itself.
    client: OnceCell<Client>,
    /// Says whose schedules are right.
    store: Store,
}

impl Schedules {
    /// Those of the server that is connected to.
    pub(crate) fn of(client: Client, store: Store) -> Self {
        Self {
            namespace: client.namespace(),
            client: OnceCell::new_with(Some(client)),
            store,
        }
    }

    /// Those of the server that the environment names, whether it answers or not.
    pub(crate) fn from_environment(store: Store) -> Self {
        // Settings that cannot be read are told when the schedules are asked for.
        let namespace = ClientOptions::load_from_config(LoadClientConfigProfileOptions::default())
            .map_or_else(|_| "default".to_owned(), |(_, client)| client.namespace);
        Self {
            namespace,
            client: OnceCell::new(),
            store,
        }
    }

    /// The pages of this server's runs, on the UI at that address.
    pub(crate) fn ui(&self, url: String) -> TemporalUi {
        TemporalUi {
            url,
            namespace: self.namespace.clone(),
        }
    }

    async fn ask(&self) -> anyhow::Result<Vec<ScheduleStatus>> {
        let client = self.client.get_or_try_init(temporal::connect).await?;
        let installation = Installation::of(&self.store).await?;
        let statuses = SCHEDULES
            .iter()
            .map(|schedule| status(client, schedule, &installation));
        Ok(try_join_all(statuses).await?)
    }
}

impl ScheduleSource for Schedules {
    fn schedules(&self) -> ScheduleFuture<'_> {
        Box::pin(async { self.ask().await.map_err(|error| format!("{error:#}")) })
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
            tell_ends(client, &mut on_server.last_runs).await;
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
            status: word(result.start_workflow_status()),
        })
        .collect();
    last_runs.reverse();
    let stopped = Stopped::of(description);
    let foreign = schedules::foreign(description, Some(installation));
    let note = match &stopped {
        Some(Stopped::NoStartsLeft) => Some(Stopped::NoStartsLeft.to_string()),
        _ => description.note().map(str::to_owned),
    };
    let of_another = |owner| format!("belongs to another installation ({owner})");
    let note = foreign.as_ref().map(of_another).or(note);
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

/// A schedule learns of a run's end only when it starts the next one: of a run that it takes for running, the run itself is asked. One
/// that the server does not know any more keeps no status.
async fn tell_ends(client: &Client, runs: &mut [ScheduledRun]) {
    let running = word(WorkflowExecutionStatus::Running);
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
            word(info.status())
        });
    }
}

/// `WORKFLOW_EXECUTION_STATUS_TIMED_OUT` as `timed_out`.
fn word(status: WorkflowExecutionStatus) -> Option<String> {
    if status == WorkflowExecutionStatus::Unspecified {
        return None;
    }
    let name = status.as_str_name().to_lowercase();
    let word = name
        .strip_prefix("workflow_execution_status_")
        .unwrap_or(&name);
    Some(word.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runs_status_is_a_plain_word() {
        for (status, expected) in [
            (WorkflowExecutionStatus::Running, Some("running")),
            (WorkflowExecutionStatus::TimedOut, Some("timed_out")),
            (WorkflowExecutionStatus::Unspecified, None),
        ] {
            assert_eq!(word(status).as_deref(), expected);
        }
    }
}
