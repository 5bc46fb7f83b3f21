//! Counts Temporal actions, the unit of Temporal Cloud's prices, in the histories of real runs, by
//! the rules of its documentation (docs.temporal.io/cloud/actions).

use std::collections::BTreeSet;
use std::time::Duration;

use temporalio_client::{
    Client, UntypedWorkflow, WorkflowExecutionInfo, WorkflowFetchHistoryOptions,
    WorkflowGetResultOptions, WorkflowStartOptions,
};
use temporalio_common::data_converters::RawValue;
use temporalio_common::protos::temporal::api::common::v1::Payload;
use temporalio_common::protos::temporal::api::history::v1::HistoryEvent;
use temporalio_common::protos::temporal::api::history::v1::history_event::Attributes;
use worker::schedules::{Kinds, SCHEDULES, Schedule, When};
use workflows::task_queue;

use crate::child::{self, Contents, SimulatorProcess};
use crate::database::Database;
use crate::report::{Report, Unit};

const LIMIT_A_DAY: f64 = 6_000.0;
/// Actions of a scheduled start, in addition to the start of the run itself.
const OF_A_SCHEDULE: u64 = 2;
/// The interval of heartbeats in `activities/src/heartbeat.rs`.
const HEARTBEAT: Duration = Duration::from_secs(8);

/// Measures the actions of all schedules in a day, for an account without changes.
pub(crate) async fn measure_day(report: &mut Report) -> anyhow::Result<()> {
    let temporal = devstack::testing::temporal().await;
    let client = worker::temporal::connect_to(temporal.address()).await?;
    let simulator = SimulatorProcess::start(Contents::Demo).await?;
    let database = Database::new().await?;
    let worker = child::worker(&database.url(), temporal.address(), &simulator.url).await?;
    // The first runs are not counted, since all resources are new.
    for schedule in SCHEDULES {
        run_once(&client, schedule).await?;
    }
    let (mut all, mut fast) = (0, 0);
    for schedule in SCHEDULES {
        let of_a_start = OF_A_SCHEDULE + run_once(&client, schedule).await?.all();
        let starts = starts_a_day(schedule);
        let a_day = of_a_start * starts;
        report.known(
            &format!(
                "{}: {of_a_start} a start, {starts} starts a day",
                schedule.id
            ),
            a_day as f64,
            Unit::Count("actions"),
        )?;
        all += a_day;
        if schedule.task_queue == task_queue::CLOUD_SYNC_FAST {
            fast += a_day;
        }
    }
    report.limited(
        "a day of all schedules without changes",
        all as f64,
        LIMIT_A_DAY,
        Unit::Count("actions"),
    )?;
    report.known(
        "of these, the fast lane",
        fast as f64,
        Unit::Count("actions"),
    )?;
    worker.stop().await
}

/// Measures the actions of a full sync without changes, for accounts of several sizes.
pub(crate) async fn measure_growth(report: &mut Report) -> anyhow::Result<()> {
    let temporal = devstack::testing::temporal().await;
    let client = worker::temporal::connect_to(temporal.address()).await?;
    let inventory = SCHEDULES
        .iter()
        .find(|schedule| matches!(schedule.kinds, Kinds::All));
    let inventory = inventory.ok_or_else(|| anyhow::anyhow!("no schedule mirrors all kinds"))?;
    let mut of_the_smallest = None;
    for resources in [1_000, 10_000, 100_000] {
        let simulator = SimulatorProcess::start(Contents::TenKinds(resources)).await?;
        let database = Database::new().await?;
        let worker = child::worker(&database.url(), temporal.address(), &simulator.url).await?;
        run_once(&client, inventory).await?;
        let actions = run_once(&client, inventory).await?;
        let of_work = actions.of_work as f64;
        report.limited(
            &format!("a full sync of {resources} resources without changes"),
            of_work,
            *of_the_smallest.get_or_insert(of_work),
            Unit::Count("actions"),
        )?;
        report.known(
            "and one heartbeat per 8 s of a listing",
            actions.heartbeats as f64,
            Unit::Count("actions"),
        )?;
        worker.stop().await?;
    }
    Ok(())
}

/// The starts of a schedule. Each continues as the further runs of the schedule's input.
fn starts_a_day(schedule: &Schedule) -> u64 {
    let runs = match schedule.when {
        When::Every { every, .. } => Duration::from_hours(24).as_secs() / every.as_secs(),
        When::Daily { .. } => 1,
    };
    match schedule.kinds {
        Kinds::Only { repeats, .. } => runs / u64::from(repeats + 1),
        Kinds::None | Kinds::All => runs,
    }
}

/// The actions of a run and its child workflows.
#[derive(Default)]
struct Actions {
    of_work: u64,
    /// Heartbeats of long activities. Histories do not contain them, so their number is computed
    /// from the duration.
    heartbeats: u64,
}

impl Actions {
    fn all(&self) -> u64 {
        self.of_work + self.heartbeats
    }
}

/// Runs the workflow of a schedule, and counts the actions of the run and of its children.
async fn run_once(client: &Client, schedule: &Schedule) -> anyhow::Result<Actions> {
    if matches!(schedule.kinds, Kinds::Only { repeats: 1.., .. }) {
        until_next_minute().await;
    }
    let id = run(client, schedule).await?;
    let mut actions = Actions::default();
    let mut runs = vec![(id, None)];
    while let Some((id, run_id)) = runs.pop() {
        let events = history(client, &id, run_id).await?;
        count(&events, &mut actions);
        for event in &events {
            match &event.attributes {
                Some(Attributes::ChildWorkflowExecutionStartedEventAttributes(started)) => {
                    let child = started.workflow_execution.clone().unwrap_or_default();
                    runs.push((child.workflow_id, Some(child.run_id)));
                }
                Some(Attributes::WorkflowExecutionContinuedAsNewEventAttributes(continued)) => {
                    runs.push((id.clone(), Some(continued.new_execution_run_id.clone())));
                }
                _ => {}
            }
        }
    }
    Ok(actions)
}

/// Runs the workflow of a schedule once, and returns its id.
pub(crate) async fn run(client: &Client, schedule: &Schedule) -> anyhow::Result<String> {
    let mut arguments = Vec::new();
    if let Kinds::Only { kinds, repeats } = schedule.kinds {
        arguments.push(Payload {
            metadata: [("encoding".to_owned(), b"json/plain".to_vec())].into(),
            data: serde_json::to_vec(&serde_json::json!({ "kinds": kinds, "repeats": repeats }))?,
            ..Default::default()
        });
    }
    let id = format!("{}-{}", schedule.id, uuid::Uuid::new_v4());
    let options = WorkflowStartOptions::new(schedule.task_queue, id.as_str()).build();
    let workflow = UntypedWorkflow::new(schedule.workflow_type);
    client
        .start_workflow(workflow, RawValue::new(arguments), options)
        .await?
        .get_result(WorkflowGetResultOptions::default())
        .await?;
    Ok(id)
}

/// Sleeps until a minute starts, as a schedule does: only then the run continues.
async fn until_next_minute() {
    let now = chrono::Utc::now().timestamp_millis().rem_euclid(60_000);
    let rest = u64::try_from(60_000 - now).unwrap_or_default();
    tokio::time::sleep(Duration::from_millis(rest)).await;
}

async fn history(
    client: &Client,
    workflow_id: &str,
    run_id: Option<String>,
) -> anyhow::Result<Vec<HistoryEvent>> {
    let mut run = WorkflowExecutionInfo::builder()
        .namespace("default")
        .workflow_id(workflow_id)
        .build();
    run.run_id = run_id;
    let events = run
        .bind_untyped(client.clone())
        .fetch_history(WorkflowFetchHistoryOptions::default())
        .into_events()
        .await?;
    Ok(events)
}

/// Adds the actions of one run.
fn count(events: &[HistoryEvent], actions: &mut Actions) {
    let mut tasks_with_markers = BTreeSet::new();
    for event in events {
        actions.of_work += match &event.attributes {
            // A child's start is one of the two actions of a child.
            Some(
                Attributes::WorkflowExecutionStartedEventAttributes(_)
                | Attributes::StartChildWorkflowExecutionInitiatedEventAttributes(_)
                | Attributes::TimerStartedEventAttributes(_)
                | Attributes::WorkflowExecutionSignaledEventAttributes(_)
                | Attributes::SignalExternalWorkflowExecutionInitiatedEventAttributes(_)
                | Attributes::WorkflowExecutionUpdateAcceptedEventAttributes(_),
            ) => 1,
            // Every attempt.
            Some(Attributes::ActivityTaskStartedEventAttributes(started)) => {
                u64::try_from(started.attempt).unwrap_or_default()
            }
            Some(Attributes::ActivityTaskCompletedEventAttributes(completed)) => {
                actions.heartbeats += heartbeats(events, completed.started_event_id, event);
                0
            }
            // All markers of one workflow task are one action: those of local activities and
            // patches.
            Some(Attributes::MarkerRecordedEventAttributes(marker)) => {
                tasks_with_markers.insert(marker.workflow_task_completed_event_id);
                0
            }
            // The attribute of a patch is free of charge.
            Some(Attributes::UpsertWorkflowSearchAttributesEventAttributes(upsert)) => {
                let attributes = upsert.search_attributes.as_ref();
                let mut names = attributes
                    .map_or_else(BTreeSet::new, |set| set.indexed_fields.keys().collect());
                names.retain(|name| *name != "TemporalChangeVersion");
                u64::from(!names.is_empty())
            }
            _ => 0,
        };
    }
    actions.of_work += tasks_with_markers.len() as u64;
}

fn heartbeats(events: &[HistoryEvent], started_event: i64, completed: &HistoryEvent) -> u64 {
    let started = events.iter().find(|event| event.event_id == started_event);
    let seconds = |event: &HistoryEvent| event.event_time.map_or(0, |time| time.seconds);
    let took = started.map_or(0, |started| seconds(completed) - seconds(started));
    u64::try_from(took).unwrap_or_default() / HEARTBEAT.as_secs()
}
