//! Defines the schedules in one table, and reads their state from Temporal.
//!
//! `wire` converts them to Temporal's API types, `difference` compares them with those of the
//! server, `apply` creates and updates them, and `installation` identifies their installation.

mod apply;
mod difference;
mod installation;
mod payload;
mod wire;

use std::fmt;
use std::time::Duration;

use temporalio_client::schedules::{
    ScheduleDescription, ScheduleError, ScheduleOverlapPolicy, TriggerScheduleOptions,
};
use temporalio_client::tonic::Code;
use temporalio_client::{Client, RpcOptions};
use temporalio_common::protos::temporal::api::schedule::v1::ScheduleState as StateProto;
use workflows::task_queue;

pub use self::apply::{ApplyError, Change, Foreign, Plan, Planned, Unwanted, apply, unwanted};
pub use self::difference::Difference;
use self::difference::ScheduleState;
pub use self::installation::{Installation, MEMO};

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

/// The times at which a schedule starts its workflow, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// At every multiple of `every` since the epoch, plus `offset`.
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

/// The resource kinds that a schedule's runs mirror; [`Kinds::Only`] becomes the workflow's input.
#[derive(Debug, Clone, Copy)]
pub enum Kinds {
    None,
    All,
    Only {
        kinds: &'static [&'static str],
        /// The number of runs as which a scheduled run continues, one at each further minute. The
        /// schedule skips its starts meanwhile.
        repeats: u32,
    },
}

/// One schedule. Its overlap policy is always `Skip`.
#[derive(Debug, Clone, Copy)]
pub struct Schedule {
    pub id: &'static str,
    pub when: When,
    pub workflow_type: &'static str,
    pub kinds: Kinds,
    pub task_queue: &'static str,
    /// A longer run times out; the next one mirrors the full state anyway.
    pub run_timeout: Duration,
    /// The maximum delay of a missed start. One interval: after a longer pause only the last
    /// missed start is made up for.
    pub catchup_window: Duration,
    /// A short description of the runs, shown as their summary in the Temporal UI.
    pub note: &'static str,
}

/// All schedules. Their ids, times, workflow types and task queues are a public interface.
pub const SCHEDULES: &[Schedule] = &[
    Schedule {
        id: "sync-projects",
        when: When::Every {
            every: Duration::from_mins(15),
            offset: Duration::ZERO,
        },
        workflow_type: "SyncProjects",
        kinds: Kinds::None,
        task_queue: task_queue::CLOUD_SYNC_FULL,
        // Listing many projects may wait for the token's hourly rate limit, and a run that timed
        // out does not resume.
        run_timeout: HOUR,
        catchup_window: Duration::from_mins(15),
        note: "mirrors projects and the resources assigned to them",
    },
    Schedule {
        id: "sync-inventory",
        when: When::Every {
            every: Duration::from_mins(15),
            offset: Duration::from_mins(5),
        },
        workflow_type: "SyncInventory",
        kinds: Kinds::All,
        task_queue: task_queue::CLOUD_SYNC_FULL,
        run_timeout: Duration::from_mins(30),
        catchup_window: Duration::from_mins(15),
        note: "mirrors all kinds of resources",
    },
    Schedule {
        id: "sync-droplets",
        when: When::Every {
            every: MINUTE,
            offset: Duration::ZERO,
        },
        workflow_type: "SyncInventory",
        kinds: Kinds::Only {
            kinds: &["droplet"],
            repeats: 1,
        },
        task_queue: task_queue::CLOUD_SYNC_FAST,
        run_timeout: Duration::from_mins(10),
        catchup_window: MINUTE,
        note: "mirrors droplets on the fast lane, every minute",
    },
    Schedule {
        id: "poll-balance",
        when: When::Every {
            every: HOUR,
            offset: Duration::from_mins(7),
        },
        workflow_type: "PollBalance",
        kinds: Kinds::None,
        task_queue: task_queue::CLOUD_BILLING,
        run_timeout: Duration::from_mins(30),
        catchup_window: HOUR,
        note: "reads the account balance",
    },
    Schedule {
        id: "billing-history",
        when: When::Daily {
            hour: 2,
            minute: 23,
        },
        workflow_type: "BillingHistory",
        kinds: Kinds::None,
        task_queue: task_queue::CLOUD_BILLING,
        run_timeout: Duration::from_hours(12),
        catchup_window: DAY,
        note: "ingests all invoices without lines",
    },
    Schedule {
        id: "maintain",
        when: When::Daily {
            hour: 3,
            minute: 41,
        },
        workflow_type: "Maintain",
        kinds: Kinds::None,
        task_queue: task_queue::CLOUD_SYNC_FULL,
        run_timeout: Duration::from_hours(6),
        catchup_window: DAY,
        note: "keeps every table within its bound",
    },
];

/// The state of one schedule of the table on the server.
#[derive(Debug, Clone)]
pub struct ScheduleStatus {
    pub id: &'static str,
    /// None if the server does not have the schedule.
    pub on_server: Option<OnServer>,
}

/// The state of a schedule that the server has; see [`ScheduleStatus`].
#[derive(Debug, Clone)]
pub struct OnServer {
    /// The reason if an operator stopped it.
    pub stopped: Option<Stopped>,
    /// True if it equals this program's definition.
    pub is_current: bool,
    /// Its installation, if it is not this one.
    pub foreign: Option<Installation>,
    pub runs: i64,
}

/// The reason why a schedule that an operator stopped starts no runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stopped {
    /// Paused, with a note, which may be empty.
    Paused(String),
    /// Its limited number of starts is used up.
    NoStartsLeft,
}

impl Stopped {
    /// Returns the reason from a schedule's description; none if the schedule starts runs.
    pub fn of(description: &ScheduleDescription) -> Option<Self> {
        let schedule = description.raw().schedule.as_ref();
        let state = schedule.and_then(|schedule| schedule.state.as_ref());
        if description.paused() {
            let note = description.note().unwrap_or_default();
            return Some(Self::Paused(note.to_owned()));
        }
        let is_used_up = |state: &StateProto| state.limited_actions && state.remaining_actions <= 0;
        state.is_some_and(is_used_up).then_some(Self::NoStartsLeft)
    }
}

impl fmt::Display for Stopped {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Paused(note) if note.is_empty() => formatter.write_str("paused"),
            Self::Paused(note) => write!(formatter, "paused: {note}"),
            Self::NoStartsLeft => formatter.write_str("0 starts left"),
        }
    }
}

impl Schedule {
    /// Compares the server's schedule with this definition. Pauses are not differences.
    pub fn differences(
        &self,
        description: &ScheduleDescription,
        installation: &Installation,
    ) -> Vec<Difference> {
        let raw = description.raw();
        let actual = raw.schedule.clone().unwrap_or_default();
        let actual = ScheduleState {
            schedule: &actual,
            attributes: raw.search_attributes.as_ref(),
        };
        let desired = ScheduleState {
            schedule: &self.to_proto(installation),
            attributes: Some(&self.schedule_attributes()),
        };
        difference::differences(&actual, &desired)
    }

    /// Returns true if the server's schedule equals this definition, regardless of pauses and of
    /// its installation.
    pub fn is_current(&self, description: &ScheduleDescription) -> bool {
        let owner = Installation::of_schedule(description);
        let owner = owner.unwrap_or(Installation {
            id: uuid::Uuid::nil(),
            team_uuid: None,
            team: None,
        });
        self.differences(description, &owner).is_empty()
    }
}

/// Returns the installation of a schedule if it is not this one.
pub fn foreign(
    description: &ScheduleDescription,
    installation: Option<&Installation>,
) -> Option<Installation> {
    let owner = Installation::of_schedule(description)?;
    (owner.id != installation?.id).then_some(owner)
}

/// Returns the state of every schedule of the table on the server. Without an installation no
/// schedule is foreign.
pub async fn list(
    client: &Client,
    installation: Option<&Installation>,
) -> Result<Vec<ScheduleStatus>, ScheduleError> {
    let mut statuses = Vec::with_capacity(SCHEDULES.len());
    for schedule in SCHEDULES {
        let description = describe(client, schedule.id).await?;
        statuses.push(ScheduleStatus {
            id: schedule.id,
            on_server: description.map(|description| OnServer {
                stopped: Stopped::of(&description),
                is_current: schedule.is_current(&description),
                foreign: foreign(&description, installation),
                runs: description.action_count(),
            }),
        });
    }
    Ok(statuses)
}

/// Describes a schedule; none if the server does not have it.
async fn describe(client: &Client, id: &str) -> Result<Option<ScheduleDescription>, ScheduleError> {
    let schedule = client.get_schedule_handle(id);
    match schedule.describe(RpcOptions::default()).await {
        Ok(description) => Ok(Some(description)),
        Err(ScheduleError::Rpc(status)) if status.code() == Code::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Starts a run of every schedule now.
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
