//! The schedules, as a table.
//!
//! `wire` says how one looks in Temporal's API, `difference` where the server's is not so, `apply` brings them there, and
//! `installation` whose they are.

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
use temporalio_common::protos::temporal::api::schedule::v1::ScheduleState;
use workflows::task_queue;

pub use self::apply::{ApplyError, Change, Foreign, Plan, Planned, Unwanted, apply, unwanted};
pub use self::difference::Difference;
use self::difference::Whole;
pub use self::installation::{Installation, MEMO};

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

/// Which kinds of resources a schedule's runs mirror; [`Kinds::Only`] is the workflow's input.
#[derive(Debug, Clone, Copy)]
pub enum Kinds {
    None,
    All,
    Only(&'static [&'static str]),
}

/// One schedule. Overlap is always `Skip`.
#[derive(Debug, Clone, Copy)]
pub struct Schedule {
    pub id: &'static str,
    pub when: When,
    pub workflow_type: &'static str,
    pub kinds: Kinds,
    pub task_queue: &'static str,
    /// A run that takes longer is ended: the next one mirrors the whole state anyway.
    pub run_timeout: Duration,
    /// How late a start may be made up for. One interval: what was missed in a longer pause is caught up once.
    pub catchup_window: Duration,
    /// In a few words, what its runs do: the Temporal UI shows it of each.
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
        kinds: Kinds::None,
        task_queue: task_queue::CLOUD_SYNC_FULL,
        // A walk over many projects, on a token whose hour is used up, does not go on where it was broken off.
        run_timeout: HOUR,
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
        kinds: Kinds::All,
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
        kinds: Kinds::Only(&["droplet"]),
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
        kinds: Kinds::None,
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
        kinds: Kinds::None,
        task_queue: task_queue::CLOUD_BILLING,
        run_timeout: Duration::from_hours(12),
        catchup_window: DAY,
        note: "ingests every invoice that has no lines yet",
    },
];

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
    /// Why it starts nothing, where that is an operator's word.
    pub stopped: Option<Stopped>,
    /// Whether it is as this program's table says.
    pub is_current: bool,
    /// Whose it is, if it names another installation than this one.
    pub foreign: Option<Installation>,
    pub runs: i64,
}

/// Why a schedule starts nothing, by an operator's word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stopped {
    /// With the note, which may be empty.
    Paused(String),
    /// It was given a number of starts, and has used them up.
    NoStartsLeft,
}

impl Stopped {
    /// None where it starts runs.
    pub fn of(description: &ScheduleDescription) -> Option<Self> {
        let schedule = description.raw().schedule.as_ref();
        let state = schedule.and_then(|schedule| schedule.state.as_ref());
        if description.paused() {
            let note = description.note().unwrap_or_default();
            return Some(Self::Paused(note.to_owned()));
        }
        let is_used_up =
            |state: &ScheduleState| state.limited_actions && state.remaining_actions <= 0;
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
    /// Where the server has it otherwise than this table says, leaving aside whether it is paused.
    pub fn differences(
        &self,
        description: &ScheduleDescription,
        installation: &Installation,
    ) -> Vec<Difference> {
        let raw = description.raw();
        let have = raw.schedule.clone().unwrap_or_default();
        let have = Whole {
            schedule: &have,
            attributes: raw.search_attributes.as_ref(),
        };
        let want = Whole {
            schedule: &self.to_proto(installation),
            attributes: Some(&self.own_attributes()),
        };
        difference::differences(&have, &want)
    }

    /// Whether the server has it as this table says, leaving aside whether it is paused, and of which installation it is.
    pub fn is_current(&self, description: &ScheduleDescription) -> bool {
        let named = Installation::of_schedule(description);
        let named = named.unwrap_or(Installation {
            id: uuid::Uuid::nil(),
            team_uuid: None,
            team: None,
        });
        self.differences(description, &named).is_empty()
    }
}

/// The installation that a schedule names, unless it is this one.
pub fn foreign(
    description: &ScheduleDescription,
    installation: Option<&Installation>,
) -> Option<Installation> {
    let named = Installation::of_schedule(description)?;
    (named.id != installation?.id).then_some(named)
}

/// How the server's schedules compare with the table. Without an installation none is foreign.
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

/// None where the server has no such schedule.
async fn describe(client: &Client, id: &str) -> Result<Option<ScheduleDescription>, ScheduleError> {
    let schedule = client.get_schedule_handle(id);
    match schedule.describe(RpcOptions::default()).await {
        Ok(description) => Ok(Some(description)),
        Err(ScheduleError::Rpc(status)) if status.code() == Code::NotFound => Ok(None),
        Err(error) => Err(error),
    }
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
