//! Bringing the schedules to the server: what would change, and changing that alone.

use std::time::{Duration, Instant};

use futures::TryStreamExt as _;
use temporalio_client::grpc::WorkflowService;
use temporalio_client::schedules::{
    DeleteScheduleOptions, ListSchedulesOptions, ScheduleDescription, ScheduleError,
};
use temporalio_client::tonic::{Code, IntoRequest as _, Status};
use temporalio_client::{Client, NamespacedClient as _};
use temporalio_common::protos::temporal::api::workflowservice::v1::{
    CreateScheduleRequest, UpdateScheduleRequest,
};
use workflows::search_attributes::PURPOSE;

use super::difference::Difference;
use super::{SCHEDULES, Schedule, Stopped, describe};
use crate::search_attributes::{self, Findings, SearchAttributesError};

/// How long the server may take to show what it was given.
const UNTIL_TAKEN: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Why the schedules could not be brought to the server.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    #[error(transparent)]
    SearchAttributes(#[from] SearchAttributesError),
    #[error(
        "the schedule {id} was changed by somebody else just now: run `arcadia schedules apply` again"
    )]
    ChangedMeanwhile { id: &'static str },
    #[error("Temporal refused the schedule {id} ({}: {})", .status.code(), .status.message())]
    Refused {
        id: &'static str,
        status: Box<Status>,
    },
    #[error("Temporal could not be asked about the schedules: {0}")]
    Schedules(#[from] ScheduleError),
}

/// What [`Plan::carry_out`] would do; looking changes nothing.
pub struct Plan {
    /// Search attributes that the namespace lacks.
    pub attributes: Findings,
    /// All schedules of the table.
    pub schedules: Vec<Planned>,
    /// Schedules that an earlier version brought and this one does not have.
    pub unwanted: Vec<String>,
}

/// A schedule of the table, and what is to be done with it.
pub struct Planned {
    pub schedule: &'static Schedule,
    pub change: Change,
    /// Why it starts nothing, where that is an operator's word; it stays so.
    pub stopped: Option<Stopped>,
    /// As it was when it was looked at.
    description: Option<Box<ScheduleDescription>>,
}

/// What becomes of a schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    Created,
    /// Never empty.
    Updated(Vec<Difference>),
    Unchanged,
}

/// Brings every schedule to the server, with the search attributes that they need; what is as it should be is left alone, and an
/// operator's pause is kept with its note. Schedules of an earlier version stay.
pub async fn apply(client: &Client) -> Result<Plan, ApplyError> {
    let plan = Plan::new(client).await?;
    plan.carry_out(client).await?;
    Ok(plan)
}

impl Plan {
    /// Compares the server with the table.
    pub async fn new(client: &Client) -> Result<Self, ApplyError> {
        let attributes = search_attributes::look(client).await?;
        let mut schedules = Vec::with_capacity(SCHEDULES.len());
        for schedule in SCHEDULES {
            schedules.push(Planned::new(client, schedule).await?);
        }
        let unwanted = marked(client, &attributes).await?;
        Ok(Self {
            attributes,
            schedules,
            unwanted,
        })
    }

    /// Whether the server has all that it should have. It may have more: see [`Plan::unwanted`].
    pub fn is_empty(&self) -> bool {
        let is_unchanged = |planned: &Planned| planned.change == Change::Unchanged;
        self.attributes.missing.is_empty() && self.schedules.iter().all(is_unchanged)
    }

    /// Registers, creates and updates what the plan says.
    pub async fn carry_out(&self, client: &Client) -> Result<(), ApplyError> {
        self.register(client).await?;
        for planned in &self.schedules {
            planned.carry_out(client).await?;
        }
        Ok(())
    }

    /// The first step: a schedule with an attribute that the namespace does not have is refused.
    pub async fn register(&self, client: &Client) -> Result<(), ApplyError> {
        search_attributes::register(client, &self.attributes.missing).await?;
        Ok(())
    }

    /// Removes the schedules that this version does not have. What they have started runs on.
    pub async fn prune(&self, client: &Client) -> Result<(), ApplyError> {
        for id in &self.unwanted {
            let schedule = client.get_schedule_handle(id);
            match schedule.delete(DeleteScheduleOptions::default()).await {
                Err(ScheduleError::Rpc(status)) if status.code() == Code::NotFound => {}
                outcome => outcome?,
            }
        }
        Ok(())
    }
}

impl Planned {
    async fn new(client: &Client, schedule: &'static Schedule) -> Result<Self, ScheduleError> {
        let description = describe(client, schedule.id).await?;
        let change = description.as_ref().map_or(Change::Created, |description| {
            match schedule.differences(description) {
                differences if differences.is_empty() => Change::Unchanged,
                differences => Change::Updated(differences),
            }
        });
        let stopped = description.as_ref().and_then(Stopped::of);
        Ok(Self {
            schedule,
            change,
            stopped,
            description: description.map(Box::new),
        })
    }

    /// Creates or updates it, where that is to be done.
    pub async fn carry_out(&self, client: &Client) -> Result<(), ApplyError> {
        let id = self.schedule.id;
        let outcome = match (&self.change, &self.description) {
            (Change::Unchanged, _) => return Ok(()),
            (Change::Updated(_), Some(description)) => {
                update(client, self.schedule, description).await
            }
            (Change::Created | Change::Updated(_), _) => create(client, self.schedule).await,
        };
        match outcome {
            Ok(()) => self.until_taken(client).await,
            // One where there was none when it was looked at.
            Err(status) if status.code() == Code::AlreadyExists => {
                Err(ApplyError::ChangedMeanwhile { id })
            }
            Err(status) => Err(ApplyError::Refused {
                id,
                status: Box::new(status),
            }),
        }
    }

    /// Servers take an update with a token that is not the latest, and drop it without a word.
    async fn until_taken(&self, client: &Client) -> Result<(), ApplyError> {
        let deadline = Instant::now() + UNTIL_TAKEN;
        loop {
            let description = describe(client, self.schedule.id).await?;
            if description.is_some_and(|description| self.schedule.is_current(&description)) {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(ApplyError::ChangedMeanwhile {
                    id: self.schedule.id,
                });
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

async fn create(client: &Client, schedule: &Schedule) -> Result<(), Status> {
    let request = CreateScheduleRequest {
        namespace: client.namespace(),
        schedule_id: schedule.id.to_owned(),
        schedule: Some(schedule.to_proto()),
        search_attributes: Some(schedule.own_attributes()),
        identity: client.identity(),
        request_id: uuid::Uuid::new_v4().to_string(),
        ..Default::default()
    };
    WorkflowService::create_schedule(&mut client.clone(), request.into_request()).await?;
    Ok(())
}

async fn update(
    client: &Client,
    schedule: &Schedule,
    description: &ScheduleDescription,
) -> Result<(), Status> {
    let mut wanted = schedule.to_proto();
    let have = description.raw().schedule.as_ref();
    if let Some(state) = have.and_then(|have| have.state.clone()) {
        // Whether it runs, and what the note says of that, is the operators' word.
        wanted.state = Some(state);
    }
    let request = UpdateScheduleRequest {
        namespace: client.namespace(),
        schedule_id: schedule.id.to_owned(),
        schedule: Some(wanted),
        search_attributes: Some(schedule.own_attributes()),
        conflict_token: description.conflict_token().to_vec(),
        identity: client.identity(),
        request_id: uuid::Uuid::new_v4().to_string(),
        ..Default::default()
    };
    WorkflowService::update_schedule(&mut client.clone(), request.into_request()).await?;
    Ok(())
}

/// The ids of schedules that an earlier version brought and this one does not have. They start runs still.
pub async fn unwanted(client: &Client) -> Result<Vec<String>, ApplyError> {
    let attributes = search_attributes::look(client).await?;
    Ok(marked(client, &attributes).await?)
}

/// Schedules that bear our mark, which is a search attribute of the schedule itself, and are not in the table.
async fn marked(client: &Client, attributes: &Findings) -> Result<Vec<String>, ScheduleError> {
    // Nothing can bear what is not registered.
    if !attributes.is_complete() {
        return Ok(Vec::new());
    }
    let options = ListSchedulesOptions::builder()
        .query(format!("{} IS NOT NULL", PURPOSE.name()))
        .build();
    let marked = client
        .list_schedules(options)
        .try_collect::<Vec<_>>()
        .await?;
    let ids = marked
        .iter()
        .map(|schedule| schedule.schedule_id().to_owned());
    let is_known = |id: &String| SCHEDULES.iter().any(|schedule| schedule.id == id);
    let mut unwanted: Vec<_> = ids.filter(|id| !is_known(id)).collect();
    unwanted.sort_unstable();
    Ok(unwanted)
}
