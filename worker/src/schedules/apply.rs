//! Applies the schedules to the server: plans the changes, then makes only those.

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

/// Time that the server may take until it returns an updated schedule.
const UPDATE_TIMEOUT: Duration = Duration::from_secs(20);
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// An error of applying the schedules.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    #[error(transparent)]
    SearchAttributes(#[from] SearchAttributesError),
    #[error(
        "schedule {id} was changed by another client just now: run `arcadia schedules apply` again"
    )]
    ChangedMeanwhile { id: &'static str },
    #[error("Temporal rejected schedule {id} ({}: {})", .status.code(), .status.message())]
    Refused {
        id: &'static str,
        status: Box<Status>,
    },
    #[error(
        "schedules {} in namespace {namespace} belong to another installation ({owner}; this one \
         is {installation}): set DATABASE_URL to that installation's database, set \
         TEMPORAL_NAMESPACE to another namespace, or replace them with `arcadia schedules apply \
         --take-over`", .ids.join(", ")
    )]
    Foreign {
        ids: Vec<&'static str>,
        namespace: String,
        owner: Box<Installation>,
        installation: Box<Installation>,
    },
    #[error("schedule request to Temporal failed: {0}")]
    Schedules(#[from] ScheduleError),
}

/// The changes that [`Plan::carry_out`] makes. Planning itself changes nothing.
pub struct Plan {
    /// Search attributes that the namespace lacks.
    pub attributes: Findings,
    /// All schedules of the table.
    pub schedules: Vec<Planned>,
    /// Schedules that an earlier version created and this version does not have.
    pub unwanted: Vec<Unwanted>,
    installation: Installation,
    takes_over: bool,
}

/// Schedules of the table that belong to another installation.
pub struct Foreign {
    pub ids: Vec<&'static str>,
    /// The installation of the first one.
    pub owner: Installation,
}

/// A schedule on the server that this version's table does not have.
pub struct Unwanted {
    pub id: String,
    /// Its installation, if it is not this one; `prune` does not remove it then.
    pub foreign: Option<Installation>,
}

/// A schedule of the table with its planned change.
pub struct Planned {
    pub schedule: &'static Schedule,
    pub change: Change,
    /// The reason if an operator stopped it; applying does not change that.
    pub stopped: Option<Stopped>,
    /// Its installation, if it is not this one.
    pub foreign: Option<Installation>,
    /// The server's schedule at the time of planning.
    description: Option<Box<ScheduleDescription>>,
}

/// The change of a schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    Created,
    /// The differences are never empty.
    Updated(Vec<Difference>),
    Unchanged,
}

/// Creates or updates every schedule that differs from the table, and registers the search
/// attributes that they need. Keeps an operator's pause with its note, and schedules of earlier
/// versions. Fails if the schedules belong to another installation.
pub async fn apply(client: &Client, installation: &Installation) -> Result<Plan, ApplyError> {
    let plan = Plan::new(client, installation).await?;
    plan.carry_out(client).await?;
    Ok(plan)
}

impl Plan {
    /// Compares the server with the table.
    pub async fn new(client: &Client, installation: &Installation) -> Result<Self, ApplyError> {
        let attributes = search_attributes::check(client).await?;
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

    /// Returns the schedules of the table that belong to another installation; none if all are
    /// this one's.
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

    /// Allows the plan to replace schedules of another installation.
    pub fn take_over(&mut self) {
        self.takes_over = true;
    }

    /// Fails if schedules belong to another installation, unless [`Plan::take_over`] was called.
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

    /// Returns true if no schedule and no search attribute has to change. The server may still
    /// have schedules of earlier versions: see [`Plan::unwanted`].
    pub fn is_empty(&self) -> bool {
        let is_unchanged = |planned: &Planned| planned.change == Change::Unchanged;
        self.attributes.missing.is_empty() && self.schedules.iter().all(is_unchanged)
    }

    /// Registers the search attributes, then creates and updates the schedules.
    pub async fn carry_out(&self, client: &Client) -> Result<(), ApplyError> {
        self.check_owner(client)?;
        self.register(client).await?;
        for planned in &self.schedules {
            self.carry_out_one(client, planned).await?;
        }
        Ok(())
    }

    /// Creates or updates one schedule of the plan, if it has a planned change.
    pub async fn carry_out_one(
        &self,
        client: &Client,
        planned: &Planned,
    ) -> Result<(), ApplyError> {
        planned.carry_out(client, &self.installation).await
    }

    /// Registers the missing search attributes. Must precede the schedules, since the server
    /// rejects schedules with unregistered attributes.
    pub async fn register(&self, client: &Client) -> Result<(), ApplyError> {
        search_attributes::register(client, &self.attributes.missing).await?;
        Ok(())
    }

    /// Removes this installation's schedules that this version does not have. Their runs continue.
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
                // Re-created, since older servers do not replace the memo with the installation.
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
            Ok(()) => self.wait_until_applied(client, installation).await,
            // Created by another client since the plan was made.
            Err(status) if status.code() == Code::AlreadyExists => {
                Err(ApplyError::ChangedMeanwhile { id })
            }
            Err(status) => Err(ApplyError::Refused {
                id,
                status: Box::new(status),
            }),
        }
    }

    /// Waits until the server returns the new definition. Servers accept an update with an
    /// outdated conflict token and drop it without an error.
    async fn wait_until_applied(
        &self,
        client: &Client,
        installation: &Installation,
    ) -> Result<(), ApplyError> {
        let deadline = Instant::now() + UPDATE_TIMEOUT;
        loop {
            let description = describe(client, self.schedule.id).await?;
            let is_applied = |description: ScheduleDescription| {
                let differences = self.schedule.differences(&description, installation);
                differences.is_empty()
            };
            if description.is_some_and(is_applied) {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(ApplyError::ChangedMeanwhile {
                    id: self.schedule.id,
                });
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }
}

async fn create(
    client: &Client,
    schedule: &Schedule,
    installation: &Installation,
    state: Option<ScheduleState>,
) -> Result<(), Status> {
    let mut definition = schedule.to_proto(installation);
    definition.state = state.or(definition.state);
    let request = CreateScheduleRequest {
        namespace: client.namespace(),
        schedule_id: schedule.id.to_owned(),
        schedule: Some(definition),
        search_attributes: Some(schedule.schedule_attributes()),
        memo: Some(installation.memo()),
        identity: client.identity(),
        request_id: uuid::Uuid::new_v4().to_string(),
        ..Default::default()
    };
    WorkflowService::create_schedule(&mut client.clone(), request.into_request()).await?;
    Ok(())
}

/// Returns the schedule's state on the server, which operators control: pause, note and the number
/// of starts left.
fn state(description: &ScheduleDescription) -> Option<ScheduleState> {
    let schedule = description.raw().schedule.as_ref();
    schedule.and_then(|schedule| schedule.state.clone())
}

/// Deletes a schedule if it exists. Its runs continue.
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
    let mut definition = schedule.to_proto(installation);
    definition.state = state(description).or(definition.state);
    let request = UpdateScheduleRequest {
        namespace: client.namespace(),
        schedule_id: schedule.id.to_owned(),
        schedule: Some(definition),
        search_attributes: Some(schedule.schedule_attributes()),
        // Older servers ignore this field and keep the memo of the schedule's creation.
        memo: Some(installation.memo()),
        conflict_token: description.conflict_token().to_vec(),
        identity: client.identity(),
        request_id: uuid::Uuid::new_v4().to_string(),
    };
    WorkflowService::update_schedule(&mut client.clone(), request.into_request()).await?;
    Ok(())
}

/// Returns the schedules that an earlier version created and this version does not have. They still
/// start runs.
pub async fn unwanted(
    client: &Client,
    installation: Option<&Installation>,
) -> Result<Vec<Unwanted>, ApplyError> {
    let attributes = search_attributes::check(client).await?;
    Ok(marked(client, &attributes, installation).await?)
}

/// Returns the server's schedules that have this program's search attribute and are not in the
/// table.
async fn marked(
    client: &Client,
    attributes: &Findings,
    installation: Option<&Installation>,
) -> Result<Vec<Unwanted>, ScheduleError> {
    // No schedule can have an attribute that is not registered.
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
        // A deleted schedule stays in the list for a moment.
        if let Some(description) = describe(client, &id).await? {
            let foreign = foreign(&description, installation);
            unwanted.push(Unwanted { id, foreign });
        }
    }
    Ok(unwanted)
}
