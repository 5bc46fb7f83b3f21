//! The route of the mirror's state: the overall status, the kinds, the schedules and the held
//! deletions.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::Serialize;
use store::KindFreshness;
use store::inventory::HeldDeletion;
use store::projects::UnmatchedMembers;
use store::rate_limit::{Available, AvailableRequests};
use store::status::StatusFacts;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::access::Admin;
use crate::envelope::One;
use crate::extract::NoParameters;
use crate::freshness::Freshness;
use crate::problem::{BadRequest, Problem};
use crate::status::{self, Reason, Schedules, Status, Verdict};
use crate::{ApiState, RequestBudgets, ScheduleStatus, TemporalUi};

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(show))
}

/// Time limit for Temporal; the rest of the response does not depend on Temporal.
const TEMPORAL_TIMEOUT: Duration = Duration::from_secs(5);

/// State of the mirror.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Sync {
    /// `ok`; `degraded` if some data is missing, stale or waits for an operator; `failing` if no
    /// new data arrives or amounts are wrong. `arcadia status` prints the same status.
    pub(crate) status: Status,
    /// Reasons for a status other than `ok`, the most important first.
    pub(crate) reasons: Vec<Reason>,
    /// The mirrored DigitalOcean team; null before the first use of a token.
    pub(crate) team: Option<Team>,
    /// All kinds with at least one listing, including projects (`project`) and their members
    /// (`project_member`).
    pub(crate) kinds: Vec<KindSync>,
    /// Number of project members without a matching resource, of all kinds.
    pub(crate) unmatched_members: i64,
    /// Requests to DigitalOcean that each purpose may send; null if this API does not know the
    /// limits.
    pub(crate) request_budgets: Option<Vec<RequestBudget>>,
    /// Schedules of this installation; null if Temporal is unreachable.
    pub(crate) schedules: Option<Vec<Schedule>>,
    /// Reason for `schedules` being null.
    pub(crate) schedules_problem: Option<String>,
    /// Held deletions that wait for an operator.
    pub(crate) held_deletions: Vec<HeldDeletion>,
}

/// A DigitalOcean team.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Team {
    /// UUID of the team, as DigitalOcean returns it for the token.
    #[schema(example = "5df3e3004a17e242b7c20ca6c9fc25b701a47ece")]
    pub(crate) uuid: String,
    /// Name of the team.
    #[schema(example = "My Team")]
    pub(crate) name: String,
}

/// Result of the last attempt to list a kind.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct KindSync {
    #[serde(flatten)]
    pub(crate) freshness: Freshness,
    /// Reason for a last attempt that is not `complete`.
    pub(crate) reason: Option<String>,
    /// Number of resources that the last attempt listed.
    pub(crate) items: i32,
    /// Number of requests to DigitalOcean that the last attempt made.
    pub(crate) requests: i32,
    /// Number of project members of this kind without a matching resource: the last complete
    /// listing, which started after their assignment, does not have them.
    pub(crate) unmatched_members: i64,
    /// Temporal run of the last attempt.
    #[serde(flatten)]
    pub(crate) run: LinkedRun,
}

impl KindSync {
    fn new(kind: KindFreshness, unmatched: &[UnmatchedMembers], ui: Option<&TemporalUi>) -> Self {
        let unmatched = unmatched.iter().find(|members| members.kind == kind.kind);
        Self {
            freshness: Freshness::from(&kind),
            unmatched_members: unmatched.map_or(0, |members| members.count),
            reason: kind.last_reason,
            items: kind.last_items,
            requests: kind.last_requests,
            run: LinkedRun::new(kind.last_workflow_id, kind.last_run_id, ui),
        }
    }
}

/// A run of a Temporal workflow.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LinkedRun {
    /// Workflow id of the run.
    pub(crate) workflow_id: String,
    /// Run id of the run.
    pub(crate) run_id: String,
    /// URL of the run in the Temporal UI; null if the address of the UI is not configured.
    pub(crate) workflow_url: Option<String>,
}

impl LinkedRun {
    pub(crate) fn new(workflow_id: String, run_id: String, ui: Option<&TemporalUi>) -> Self {
        Self {
            workflow_url: ui.map(|ui| ui.run(&workflow_id, &run_id)),
            workflow_id,
            run_id,
        }
    }
}

/// A Temporal schedule of this installation.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Schedule {
    /// Schedule id.
    #[schema(example = "sync-inventory")]
    pub(crate) id: String,
    /// Times at which the schedule starts runs, in UTC.
    #[schema(example = "every 15 min, offset 5 min")]
    pub(crate) when: String,
    /// Workflow type of the runs.
    pub(crate) workflow_type: String,
    /// Task queue of the runs.
    pub(crate) task_queue: String,
    /// `active`; `paused`; or `missing` if Temporal has no such schedule: `arcadia schedules apply`
    /// creates it.
    pub(crate) state: &'static str,
    /// True if the schedule is paused.
    pub(crate) paused: bool,
    /// True if the schedule in Temporal equals the definition of this version. Otherwise `arcadia
    /// schedules apply` updates it, unless it belongs to another installation, which `note` names.
    pub(crate) is_current: bool,
    /// Reason for the pause, or purpose of the schedule.
    pub(crate) note: Option<String>,
    /// Runs in progress.
    pub(crate) running: Vec<LinkedRun>,
    /// Latest runs, the latest first; at most five.
    pub(crate) last_runs: Vec<ScheduledRun>,
    /// Time of the next run; null if the schedule is paused or missing.
    pub(crate) next_run_at: Option<DateTime<Utc>>,
}

/// Enough to show whether a failure is the first; the Temporal UI has all runs.
const SHOWN_RUNS: usize = 5;

/// A run that a schedule started.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ScheduledRun {
    #[serde(flatten)]
    pub(crate) run: LinkedRun,
    /// Start of the run.
    pub(crate) started_at: Option<DateTime<Utc>>,
    /// Last known status of the run: `running`, `completed`, `failed`, ...
    pub(crate) status: Option<String>,
}

impl Schedule {
    fn new(schedule: ScheduleStatus, ui: Option<&TemporalUi>) -> Self {
        let ScheduleStatus {
            id,
            when,
            workflow_type,
            task_queue,
            on_server,
        } = schedule;
        let is_missing = on_server.is_none();
        let server = on_server.unwrap_or_default();
        Self {
            id,
            when,
            workflow_type,
            task_queue,
            state: match (is_missing, server.is_paused) {
                (true, _) => "missing",
                (false, true) => "paused",
                (false, false) => "active",
            },
            paused: server.is_paused,
            is_current: server.is_current,
            note: server.note,
            running: server
                .running
                .into_iter()
                .map(|run| LinkedRun::new(run.workflow_id, run.run_id, ui))
                .collect(),
            last_runs: server
                .last_runs
                .into_iter()
                .take(SHOWN_RUNS)
                .map(|scheduled| ScheduledRun {
                    run: LinkedRun::new(scheduled.run.workflow_id, scheduled.run.run_id, ui),
                    started_at: scheduled.started_at,
                    status: scheduled.status,
                })
                .collect(),
            next_run_at: server.next_run_at.into_iter().min(),
        }
    }
}

/// Requests to DigitalOcean that a purpose may send at once.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RequestBudget {
    /// Name of the task queue that uses the budget. Purposes with the same token share one.
    #[schema(example = "cloud-sync-full")]
    pub(crate) purpose: String,
    /// Requests that may be sent now; null if no limit applies.
    pub(crate) available: Option<u32>,
    /// By the limit per minute; null if it is disabled.
    pub(crate) minute: Option<RequestLimit>,
    /// By the limit per hour; null if it is disabled.
    pub(crate) hour: Option<RequestLimit>,
    /// By the hourly limit that DigitalOcean reported; null if no response of the last hour had it.
    pub(crate) reported: Option<RequestLimit>,
    /// Rest of the wait after a 429 of DigitalOcean, in seconds; 0 if requests are sent.
    pub(crate) paused_seconds: u64,
}

/// Requests that one limit permits at once.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub(crate) struct RequestLimit {
    /// Requests that remain now.
    pub(crate) left: u32,
    /// Requests that remain if none of the budget is used.
    pub(crate) size: u32,
}

impl From<AvailableRequests> for RequestBudget {
    fn from(budget: AvailableRequests) -> Self {
        let limit = |available: Available| RequestLimit {
            left: available.now,
            size: available.at_most,
        };
        Self {
            available: budget.now(),
            purpose: budget.purpose,
            minute: budget.this_minute.map(limit),
            hour: budget.this_hour.map(limit),
            reported: budget.reported.map(limit),
            paused_seconds: budget.closed_for.as_secs()
                + u64::from(budget.closed_for.subsec_nanos() > 0),
        }
    }
}

/// Returns the status of the mirror with its reasons, kinds, schedules and held deletions
#[utoipa::path(
    get,
    path = "/api/v1/sync",
    operation_id = "show_sync",
    tag = "sync",
    security(("bearer" = [])),
    responses((status = OK, body = One<Sync>, description = "The state of the mirror"), BadRequest)
)]
async fn show(
    _: Admin,
    State(state): State<ApiState>,
    _: NoParameters,
) -> Result<Json<One<Sync>>, Problem> {
    Ok(Json(One::now(read(&state).await?)))
}

/// Reads the state of the mirror.
pub(crate) async fn read(state: &ApiState) -> Result<Sync, Problem> {
    let ui = state.temporal_ui.as_deref();
    let facts = state.store.sync_facts().await?;
    let request_budgets = request_budgets(state).await?;
    let (Verdict { status, reasons }, requested) = verdict(state, &facts.status).await;
    let unmatched = facts.status.unmatched_members;
    let (schedules, schedules_problem) = match requested {
        Some(Ok(schedules)) => (Some(schedules), None),
        Some(Err(problem)) => (None, Some(problem)),
        None => {
            let problem = "this API was started without a connection to Temporal";
            (None, Some(problem.to_owned()))
        }
    };
    Ok(Sync {
        status,
        reasons,
        team: facts.team.map(|team| Team {
            uuid: team.team_uuid,
            name: team.name,
        }),
        kinds: facts
            .kinds
            .into_iter()
            .map(|kind| KindSync::new(kind, &unmatched, ui))
            .collect(),
        unmatched_members: unmatched.iter().map(|members| members.count).sum(),
        schedules: schedules.map(|schedules| {
            schedules
                .into_iter()
                .map(|schedule| Schedule::new(schedule, ui))
                .collect()
        }),
        schedules_problem,
        held_deletions: facts.held_deletions,
        request_budgets,
    })
}

async fn request_budgets(state: &ApiState) -> Result<Option<Vec<RequestBudget>>, Problem> {
    let Some(RequestBudgets { limits, share_of }) = state.request_budgets else {
        return Ok(None);
    };
    let budgets = state.store.available_requests(&limits, share_of).await?;
    Ok(Some(budgets.into_iter().map(RequestBudget::from).collect()))
}

type RequestedSchedules = Option<Result<Vec<ScheduleStatus>, String>>;

/// Returns the status with its reasons, and the schedules from which it follows.
async fn verdict(state: &ApiState, facts: &StatusFacts) -> (Verdict, RequestedSchedules) {
    let requested = schedules(state).await;
    let known = match &requested {
        None => Schedules::NotChecked,
        Some(Ok(schedules)) => Schedules::Known(schedules),
        Some(Err(problem)) => Schedules::Unreachable(problem),
    };
    (status::verdict(facts, known), requested)
}

/// Returns the status of the mirror with its reasons.
pub(crate) async fn current_verdict(state: &ApiState) -> Result<Verdict, Problem> {
    let facts = state.store.status_facts().await?;
    Ok(verdict(state, &facts).await.0)
}

/// Returns the schedules, or the reason why Temporal does not return them; none without a
/// connection to Temporal.
async fn schedules(state: &ApiState) -> RequestedSchedules {
    let source = state.schedules.as_ref()?;
    Some(
        tokio::time::timeout(TEMPORAL_TIMEOUT, source.schedules())
            .await
            .map_err(|_| {
                format!(
                    "no response from Temporal within {} s",
                    TEMPORAL_TIMEOUT.as_secs()
                )
            })
            .flatten(),
    )
}
