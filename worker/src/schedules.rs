//! The schedules, as a table, and how they are brought to the server.

use std::fmt;
use std::time::Duration;

use temporalio_client::grpc::WorkflowService;
use temporalio_client::schedules::{
    ScheduleDescription, ScheduleError, ScheduleOverlapPolicy, TriggerScheduleOptions,
};
use temporalio_client::tonic::{Code, IntoRequest as _, Status};
use temporalio_client::{Client, NamespacedClient as _, RpcOptions};
use temporalio_common::protos::temporal::api::common::v1::{Payload, Payloads, WorkflowType};
use temporalio_common::protos::temporal::api::enums::v1::ScheduleOverlapPolicy as OverlapPolicy;
use temporalio_common::protos::temporal::api::schedule::v1::{
    IntervalSpec, Range, Schedule as ScheduleProto, ScheduleAction, SchedulePolicies, ScheduleSpec,
    ScheduleState, StructuredCalendarSpec, schedule_action::Action,
};
use temporalio_common::protos::temporal::api::taskqueue::v1::TaskQueue;
use temporalio_common::protos::temporal::api::workflow::v1::NewWorkflowExecutionInfo;
use temporalio_common::protos::temporal::api::workflowservice::v1::{
    CreateScheduleRequest, UpdateScheduleRequest,
};
use workflows::task_queue;

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

/// When a schedule starts its workflow, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// At every multiple of `every` since the epoch, `offset` later.
    Every {
        every: Duration,
        offset: Duration,
    },
    Daily {
        hour: u8,
        minute: u8,
    },
}

impl fmt::Display for When {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Every { every, offset } => {
                write!(formatter, "every {} min", every.as_secs() / 60)?;
                if offset.is_zero() {
                    Ok(())
                } else {
                    write!(formatter, ", offset {} min", offset.as_secs() / 60)
                }
            }
            Self::Daily { hour, minute } => write!(formatter, "daily {hour:02}:{minute:02}"),
        }
    }
}

/// One schedule. Overlap is always `Skip`.
#[derive(Debug, Clone, Copy)]
pub struct Schedule {
    pub id: &'static str,
    pub when: When,
    pub workflow_type: &'static str,
    /// JSON; none for a workflow that takes no input.
    pub input: Option<&'static str>,
    pub task_queue: &'static str,
    /// A run that takes longer is ended: the next one mirrors the whole state anyway.
    pub run_timeout: Duration,
    /// How late a start may be made up for. One interval: what was missed in a longer pause is caught up once.
    pub catchup_window: Duration,
    pub note: &'static str,
}

/// All of them; ids, times, types and task queues are relied on from outside.
pub const SCHEDULES: &[Schedule] = &[
    Schedule {
        id: "sync-projects",
        when: When::Every {
            every: Duration::from_mins(15),
            offset: Duration::ZERO,
        },
        workflow_type: "SyncProjects",
        input: None,
        task_queue: task_queue::CLOUD_SYNC_FULL,
        run_timeout: Duration::from_mins(30),
        catchup_window: Duration::from_mins(15),
        note: "mirrors the projects and what lives in them",
    },
    Schedule {
        id: "sync-inventory",
        when: When::Every {
            every: Duration::from_mins(15),
            offset: Duration::from_mins(5),
        },
        workflow_type: "SyncInventory",
        input: None,
        task_queue: task_queue::CLOUD_SYNC_FULL,
        run_timeout: Duration::from_mins(30),
        catchup_window: Duration::from_mins(15),
        note: "mirrors every kind of resource",
    },
    Schedule {
        id: "sync-droplets",
        when: When::Every {
            every: MINUTE,
            offset: Duration::ZERO,
        },
        workflow_type: "SyncInventory",
        input: Some(r#"{"kinds":["droplet"]}"#),
        task_queue: task_queue::CLOUD_SYNC_FAST,
        run_timeout: Duration::from_mins(10),
        catchup_window: MINUTE,
        note: "mirrors the droplets, for those who cannot wait",
    },
    Schedule {
        id: "poll-balance",
        when: When::Every {
            every: HOUR,
            offset: Duration::from_mins(7),
        },
        workflow_type: "PollBalance",
        input: None,
        task_queue: task_queue::CLOUD_BILLING,
        run_timeout: Duration::from_mins(30),
        catchup_window: HOUR,
        note: "reads the account's balance",
    },
    Schedule {
        id: "billing-history",
        when: When::Daily {
            hour: 2,
            minute: 23,
        },
        workflow_type: "BillingHistory",
        input: None,
        task_queue: task_queue::CLOUD_BILLING,
        run_timeout: Duration::from_hours(12),
        catchup_window: DAY,
        note: "ingests every invoice that has no lines yet",
    },
];

/// What [`apply`] did to a schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    Created,
    Updated,
    Unchanged,
}

/// A schedule as the server has it.
#[derive(Debug, Clone)]
pub struct ScheduleStatus {
    pub id: &'static str,
    /// None where the server has no such schedule.
    pub on_server: Option<OnServer>,
}

/// See [`ScheduleStatus`].
#[derive(Debug, Clone)]
pub struct OnServer {
    pub is_paused: bool,
    /// Whether it is as this program's table says.
    pub is_current: bool,
    pub runs: i64,
}

/// Brings every schedule to the server; one that is as it should be is left alone, and an operator's pause is kept.
pub async fn apply(client: &Client) -> Result<Vec<(&'static Schedule, Applied)>, ScheduleError> {
    let mut applied = Vec::with_capacity(SCHEDULES.len());
    for schedule in SCHEDULES {
        let wanted = schedule.to_proto();
        let outcome = match create(client, schedule.id, wanted.clone()).await {
            Ok(()) => Applied::Created,
            Err(status) if status.code() == Code::AlreadyExists => {
                update(client, schedule.id, wanted).await?
            }
            Err(status) => return Err(status.into()),
        };
        applied.push((schedule, outcome));
    }
    Ok(applied)
}

/// How the server's schedules compare with the table.
pub async fn list(client: &Client) -> Result<Vec<ScheduleStatus>, ScheduleError> {
    let mut statuses = Vec::with_capacity(SCHEDULES.len());
    for schedule in SCHEDULES {
        let on_server = match client
            .get_schedule_handle(schedule.id)
            .describe(RpcOptions::default())
            .await
        {
            Ok(description) => Some(OnServer {
                is_paused: description.paused(),
                is_current: schedule.is_current(&description),
                runs: description.action_count(),
            }),
            Err(ScheduleError::Rpc(status)) if status.code() == Code::NotFound => None,
            Err(error) => return Err(error),
        };
        statuses.push(ScheduleStatus {
            id: schedule.id,
            on_server,
        });
    }
    Ok(statuses)
}

/// Starts the workflow of every schedule now.
pub async fn trigger_all(client: &Client) -> Result<(), ScheduleError> {
    for schedule in SCHEDULES {
        client
            .get_schedule_handle(schedule.id)
            .trigger(
                ScheduleOverlapPolicy::Skip,
                TriggerScheduleOptions::default(),
            )
            .await?;
    }
    Ok(())
}

async fn create(client: &Client, id: &str, schedule: ScheduleProto) -> Result<(), Status> {
    let request = CreateScheduleRequest {
        namespace: client.namespace(),
        schedule_id: id.to_owned(),
        schedule: Some(schedule),
        identity: client.identity(),
        request_id: uuid::Uuid::new_v4().to_string(),
        ..Default::default()
    };
    WorkflowService::create_schedule(&mut client.clone(), request.into_request()).await?;
    Ok(())
}

async fn update(
    client: &Client,
    id: &str,
    mut wanted: ScheduleProto,
) -> Result<Applied, ScheduleError> {
    let description = client
        .get_schedule_handle(id)
        .describe(RpcOptions::default())
        .await?;
    let conflict_token = description.conflict_token().to_vec();
    let have = description.into_raw().schedule.unwrap_or_default();
    if is_same(&have, &wanted) {
        return Ok(Applied::Unchanged);
    }
    if let Some(state) = have.state {
        // Whether it runs is the operators' word.
        wanted.state = Some(state);
    }
    let request = UpdateScheduleRequest {
        namespace: client.namespace(),
        schedule_id: id.to_owned(),
        schedule: Some(wanted),
        conflict_token,
        identity: client.identity(),
        request_id: uuid::Uuid::new_v4().to_string(),
        ..Default::default()
    };
    WorkflowService::update_schedule(&mut client.clone(), request.into_request()).await?;
    Ok(Applied::Updated)
}

/// Whether two schedules come to the same, leaving aside whether they are paused and what the server adds of its own.
fn is_same(have: &ScheduleProto, want: &ScheduleProto) -> bool {
    fn timing(schedule: &ScheduleProto) -> Option<(&[IntervalSpec], &[StructuredCalendarSpec])> {
        schedule.spec.as_ref().map(|spec| {
            (
                spec.interval.as_slice(),
                spec.structured_calendar.as_slice(),
            )
        })
    }
    fn start(schedule: &ScheduleProto) -> Option<NewWorkflowExecutionInfo> {
        let Some(Action::StartWorkflow(start)) = schedule.action.clone()?.action else {
            return None;
        };
        Some(NewWorkflowExecutionInfo {
            workflow_id: start.workflow_id,
            workflow_type: start.workflow_type,
            task_queue: start.task_queue.map(|queue| task_queue_named(&queue.name)),
            input: start.input.filter(|input| !input.payloads.is_empty()),
            workflow_run_timeout: start.workflow_run_timeout,
            ..Default::default()
        })
    }
    have.policies == want.policies && timing(have) == timing(want) && start(have) == start(want)
}

fn task_queue_named(name: &str) -> TaskQueue {
    TaskQueue {
        name: name.to_owned(),
        ..Default::default()
    }
}

impl Schedule {
    /// Whether the server has it as this table says, leaving aside whether it is paused.
    pub fn is_current(self, description: &ScheduleDescription) -> bool {
        let have = description.raw().schedule.as_ref();
        have.is_some_and(|have| is_same(have, &self.to_proto()))
    }

    fn to_proto(self) -> ScheduleProto {
        let input = self.input.map(|json| Payloads {
            payloads: vec![json_payload(json)],
        });
        ScheduleProto {
            spec: Some(self.when.to_proto()),
            action: Some(ScheduleAction {
                action: Some(Action::StartWorkflow(NewWorkflowExecutionInfo {
                    // The server appends the time of the start.
                    workflow_id: self.id.to_owned(),
                    workflow_type: Some(WorkflowType {
                        name: self.workflow_type.to_owned(),
                    }),
                    task_queue: Some(task_queue_named(self.task_queue)),
                    input,
                    workflow_run_timeout: self.run_timeout.try_into().ok(),
                    ..Default::default()
                })),
            }),
            policies: Some(SchedulePolicies {
                overlap_policy: OverlapPolicy::Skip.into(),
                catchup_window: self.catchup_window.try_into().ok(),
                ..Default::default()
            }),
            state: Some(ScheduleState {
                notes: self.note.to_owned(),
                ..Default::default()
            }),
        }
    }
}

impl When {
    fn to_proto(self) -> ScheduleSpec {
        match self {
            Self::Every { every, offset } => ScheduleSpec {
                interval: vec![IntervalSpec {
                    interval: every.try_into().ok(),
                    phase: offset.try_into().ok(),
                }],
                ..Default::default()
            },
            Self::Daily { hour, minute } => ScheduleSpec {
                structured_calendar: vec![StructuredCalendarSpec {
                    second: range(0, 0),
                    minute: range(minute, minute),
                    hour: range(hour, hour),
                    day_of_month: range(1, 31),
                    month: range(1, 12),
                    day_of_week: range(0, 6),
                    ..Default::default()
                }],
                ..Default::default()
            },
        }
    }
}

fn range(start: u8, end: u8) -> Vec<Range> {
    vec![Range {
        start: start.into(),
        end: end.into(),
        step: 1,
    }]
}

fn json_payload(json: &str) -> Payload {
    Payload {
        metadata: [("encoding".to_owned(), b"json/plain".to_vec())].into(),
        data: json.as_bytes().to_vec(),
        ..Default::default()
    }
}
