//! Bringing the schedules to the server: what would change, and changing that alone.

use std::time::{Duration, Instant};

use futures::TryStreamExt as _;
use temporalio_client::grpc::WorkflowService;
use temporalio_client::schedules::{
    DeleteScheduleOptions, ListSchedulesOptions, ScheduleDescription, ScheduleError,
};
use temporalio_client::tonic::{Code, IntoRequest as _, Status};
use temporalio_client::{Client, NamespacedClient as _};
use temporalio_common::protos::temporal::api::schedule::v1::ScheduleState;
use temporalio_common::protos::temporal::api::workflowservice::v1::{
    CreateScheduleRequest, UpdateScheduleRequest,
};
use workflows::search_attributes::PURPOSE;

use super::difference::Difference;
use super::{Installation, SCHEDULES, Schedule, Stopped, describe, foreign};
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
    #[error(
        "the schedules {} in the namespace {namespace} belong to another installation ({owner}; this one is {installation}): name that \
         installation's own database, or another namespace with TEMPORAL_NAMESPACE, or replace them with `arcadia schedules apply \
         --take-over`", .ids.join(", ")
    )]
    Foreign {
        ids: Vec<&'static str>,
        namespace: String,
        owner: Box<Installation>,
        installation: Box<Installation>,
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
    pub unwanted: Vec<Unwanted>,
    installation: Installation,
    takes_over: bool,
}

/// Schedules of the table that belong to another installation.
pub struct Foreign {
    pub ids: Vec<&'static str>,
    /// Of the first of them.
    pub owner: Installation,
}

/// A schedule that no table of this version has.
pub struct Unwanted {
    pub id: String,
    /// Whose it is, if it names another installation: `prune` leaves it alone.
    pub foreign: Option<Installation>,
}

/// A schedule of the table, and what is to be done with it.
pub struct Planned {
    pub schedule: &'static Schedule,
    pub change: Change,
    /// Why it starts nothing, where that is an operator's word; it stays so.
    pub stopped: Option<Stopped>,
    /// Whose it is, if it names another installation.
    pub foreign: Option<Installation>,
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
/// operator's pause is kept with its note. Schedules of an earlier version stay. Fails if another installation's are there.
pub async fn apply(client: &Client, installation: &Installation) -> Result<Plan, ApplyError> {
    let plan = Plan::new(client, installation).await?;
    plan.carry_out(client).await?;
    Ok(plan)
}

impl Plan {
    /// Compares the server with the table.
    pub async fn new(client: &Client, installation: &Installation) -> Result<Self, ApplyError> {
        let attributes = search_attributes::look(client).await?;
        let mut schedules = Vec::with_capacity(SCHEDULES.len());
        for schedule in SCHEDULES {
            schedules.push(Planned::new(client, schedule, installation).await?);
        }
        let unwanted = marked(client, &attributes, Some(installation)).await?;
        Ok(Self {
            attributes,
            schedules,
            unwanted,
            installation: installation.clone(),
            takes_over: false,
        })
    }

    /// The schedules of the table that belong to another installation, if there are any.
    pub fn foreign(&self) -> Option<Foreign> {
        let mut ids = Vec::new();
        let mut owner = None;
        for planned in &self.schedules {
            if let Some(other) = &planned.foreign {
                ids.push(planned.schedule.id);
                owner.get_or_insert_with(|| other.clone());
            }
        }
        owner.map(|owner| Foreign { ids, owner })
    }

    /// Makes another installation's schedules this one's.
    pub fn take_over(&mut self) {
        self.takes_over = true;
    }

    /// Fails if another installation's schedules are there, and are not to be taken over.
    pub fn check_owner(&self, client: &Client) -> Result<(), ApplyError> {
        match self.foreign() {
            Some(Foreign { ids, owner }) if !self.takes_over => Err(ApplyError::Foreign {
                ids,
                namespace: client.namespace(),
                owner: Box::new(owner),
                installation: Box::new(self.installation.clone()),
            }),
            _ => Ok(()),
        }
    }

    /// Whether the server has all that it should have. It may have more: see [`Plan::unwanted`].
    pub fn is_empty(&self) -> bool {
        let is_unchanged = |planned: &Planned| planned.change == Change::Unchanged;
        self.attributes.missing.is_empty() && self.schedules.iter().all(is_unchanged)
    }

    /// Registers, creates and updates what the plan says.
    pub async fn carry_out(&self, client: &Client) -> Result<(), ApplyError> {
        self.check_owner(client)?;
        self.register(client).await?;
        for planned in &self.schedules {
            self.carry_out_one(client, planned).await?;
        }
        Ok(())
    }

    /// Creates or updates one schedule of the plan, where that is to be done.
    pub async fn carry_out_one(
        &self,
        client: &Client,
        planned: &Planned,
    ) -> Result<(), ApplyError> {
        planned.carry_out(client, &self.installation).await
    }

    /// The first step: a schedule with an attribute that the namespace does not have is refused.
    pub async fn register(&self, client: &Client) -> Result<(), ApplyError> {
        search_attributes::register(client, &self.attributes.missing).await?;
        Ok(())
    }

    /// Removes the schedules that this version does not have. What they have started runs on.
    pub async fn prune(&self, client: &Client) -> Result<(), ApplyError> {
        let own = |unwanted: &&Unwanted| unwanted.foreign.is_none();
        for Unwanted { id, .. } in self.unwanted.iter().filter(own) {
            delete(client, id).await?;
        }
        Ok(())
    }
}

impl Planned {
    async fn new(
        client: &Client,
        schedule: &'static Schedule,
        installation: &Installation,
    ) -> Result<Self, ScheduleError> {
        let description = describe(client, schedule.id).await?;
        let change = description.as_ref().map_or(Change::Created, |description| {
            match schedule.differences(description, installation) {
                differences if differences.is_empty() => Change::Unchanged,
                differences => Change::Updated(differences),
            }
        });
        let stopped = description.as_ref().and_then(Stopped::of);
        let described = description.as_ref();
        let foreign = described.and_then(|found| foreign(found, Some(installation)));
        Ok(Self {
            schedule,
            change,
            stopped,
            foreign,
            description: description.map(Box::new),
        })
    }

    async fn carry_out(
        &self,
        client: &Client,
        installation: &Installation,
    ) -> Result<(), ApplyError> {
        let id = self.schedule.id;
        let outcome = match (&self.change, &self.description) {
            (Change::Unchanged, _) => return Ok(()),
            (_, Some(description)) if self.foreign.is_some() => {
                // Its runs are the other installation's, and not every server replaces a memo.
                delete(client, id).await?;
                let state = state(description);
                create(client, self.schedule, installation, state).await
            }
            (Change::Updated(_), Some(description)) => {
                update(client, self.schedule, installation, description).await
            }
            (Change::Created | Change::Updated(_), _) => {
                create(client, self.schedule, installation, None).await
            }
        };
        match outcome {
            Ok(()) => self.until_taken(client, installation).await,
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
    async fn until_taken(
        &self,
        client: &Client,
        installation: &Installation,
    ) -> Result<(), ApplyError> {
        let deadline = Instant::now() + UNTIL_TAKEN;
        loop {
            let description = describe(client, self.schedule.id).await?;
            let is_taken = |description: ScheduleDescription| {
                let differences = self.schedule.differences(&description, installation);
                differences.is_empty()
            };
            if description.is_some_and(is_taken) {
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

async fn create(
    client: &Client,
    schedule: &Schedule,
    installation: &Installation,
    state: Option<ScheduleState>,
) -> Result<(), Status> {
    let mut wanted = schedule.to_proto(installation);
    wanted.state = state.or(wanted.state);
    let request = CreateScheduleRequest {
        namespace: client.namespace(),
        schedule_id: schedule.id.to_owned(),
        schedule: Some(wanted),
        search_attributes: Some(schedule.own_attributes()),
        memo: Some(installation.memo()),
        identity: client.identity(),
        request_id: uuid::Uuid::new_v4().to_string(),
        ..Default::default()
    };
    WorkflowService::create_schedule(&mut client.clone(), request.into_request()).await?;
    Ok(())
}

/// Whether it runs, and what the note says of that, is decided by operators.
fn state(description: &ScheduleDescription) -> Option<ScheduleState> {
    let have = description.raw().schedule.as_ref();
    have.and_then(|have| have.state.clone())
}

/// Removes a schedule, if it is still there. What it has started runs on.
async fn delete(client: &Client, id: &str) -> Result<(), ScheduleError> {
    let schedule = client.get_schedule_handle(id);
    match schedule.delete(DeleteScheduleOptions::default()).await {
        Err(ScheduleError::Rpc(status)) if status.code() == Code::NotFound => Ok(()),
        outcome => outcome,
    }
}

async fn update(
    client: &Client,
    schedule: &Schedule,
    installation: &Installation,
    description: &ScheduleDescription,
) -> Result<(), Status> {
    let mut wanted = schedule.to_proto(installation);
    wanted.state = state(description).or(wanted.state);
    let request = UpdateScheduleRequest {
        namespace: client.namespace(),
        schedule_id: schedule.id.to_owned(),
        schedule: Some(wanted),
        search_attributes: Some(schedule.own_attributes()),
        // Servers that are older than this field keep the memo that the schedule was created with.
        memo: Some(installation.memo()),
        conflict_token: description.conflict_token().to_vec(),
        identity: client.identity(),
        request_id: uuid::Uuid::new_v4().to_string(),
    };
    WorkflowService::update_schedule(&mut client.clone(), request.into_request()).await?;
    Ok(())
}

/// The ids of schedules that an earlier version brought and this one does not have. They start runs still.
pub async fn unwanted(
    client: &Client,
    installation: Option<&Installation>,
) -> Result<Vec<Unwanted>, ApplyError> {
    let attributes = search_attributes::look(client).await?;
    Ok(marked(client, &attributes, installation).await?)
}

/// Schedules that bear our mark, which is a search attribute of the schedule itself, and are not in the table.
async fn marked(
    client: &Client,
    attributes: &Findings,
    installation: Option<&Installation>,
) -> Result<Vec<Unwanted>, ScheduleError> {
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
    let mut ids: Vec<_> = ids.filter(|id| !is_known(id)).collect();
    ids.sort_unstable();
    let mut unwanted = Vec::with_capacity(ids.len());
    for id in ids {
        // One that was deleted meanwhile is still listed for moments.
        if let Some(description) = describe(client, &id).await? {
            let foreign = foreign(&description, installation);
            unwanted.push(Unwanted { id, foreign });
        }
    }
    Ok(unwanted)
}
