//! The state of the mirror: the verdict first, then every kind, every schedule, and what waits for an operator.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::Serialize;
use store::KindFreshness;
use store::inventory::HeldDeletion;
use store::projects::UnmatchedMembers;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::held_deletions::pending;
use crate::access::Admin;
use crate::envelope::One;
use crate::extract::NoParameters;
use crate::freshness::Freshness;
use crate::problem::{Invalid, Problem};
use crate::status::{self, Reason, Schedules, Status, Verdict};
use crate::{ApiState, ScheduleStatus, TemporalUi};

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(show))
}

/// Temporal gets so long to answer; the rest of the answer does not depend on it.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug, Serialize, ToSchema)]
struct Sync {
    /// `ok`; `degraded`, where a part is missing, old or waits for an operator; `failing`, where nothing new arrives or figures are
    /// wrong. `arcadia status` prints the same.
    #[schema(inline)]
    status: Status,
    /// Why it is not `ok`, the most important reason first.
    reasons: Vec<Reason>,
    /// Whose resources and bills these are; null before a token has told.
    team: Option<Team>,
    /// Every kind that was ever listed, projects (`project`) and their members (`project_member`) too.
    kinds: Vec<KindSync>,
    /// How many members of projects match no resource, in all kinds.
    unmatched_members: i64,
    /// Null where Temporal cannot be asked.
    schedules: Option<Vec<Schedule>>,
    /// Why it cannot.
    schedules_problem: Option<String>,
    /// Those that wait for an operator.
    held_deletions: Vec<HeldDeletion>,
}

/// A team of `DigitalOcean`'s.
#[derive(Debug, Serialize, ToSchema)]
struct Team {
    /// As `DigitalOcean` tells it of a token.
    #[schema(example = "5df3e3004a17e242b7c20ca6c9fc25b701a47ece")]
    uuid: String,
    #[schema(example = "My Team")]
    name: String,
}

/// How the last attempt to list a kind went.
#[derive(Debug, Serialize, ToSchema)]
struct KindSync {
    #[serde(flatten)]
    freshness: Freshness,
    /// Why the last attempt is not `complete`.
    reason: Option<String>,
    /// How many resources the last attempt saw.
    items: i32,
    /// How many requests to DigitalOcean it took.
    requests: i32,
    /// How many members of projects should be live resources of this kind and are not: the last complete listing, which began after
    /// they were assigned, lacks them.
    unmatched_members: i64,
    /// The run of the last attempt.
    #[serde(flatten)]
    run: LinkedRun,
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

/// A run of a workflow.
#[derive(Debug, Serialize, ToSchema)]
struct LinkedRun {
    workflow_id: String,
    run_id: String,
    /// Its page in the Temporal UI; null where the address of the UI is not configured.
    workflow_url: Option<String>,
}

impl LinkedRun {
    fn new(workflow_id: String, run_id: String, ui: Option<&TemporalUi>) -> Self {
        Self {
            workflow_url: ui.map(|ui| ui.run(&workflow_id, &run_id)),
            workflow_id,
            run_id,
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
struct Schedule {
    #[schema(example = "sync-inventory")]
    id: String,
    /// UTC.
    #[schema(example = "every 15 min, offset 5 min")]
    when: String,
    workflow_type: String,
    task_queue: String,
    /// `active`; `paused`; or `missing` where Temporal has no such schedule: `arcadia schedules apply` creates it.
    state: &'static str,
    paused: bool,
    /// Whether Temporal has it as this program wants it; where not, `arcadia schedules apply` corrects it, unless it belongs to another
    /// installation, which `note` names.
    is_current: bool,
    /// Why it is paused, or what it is for.
    note: Option<String>,
    running: Vec<LinkedRun>,
    /// The latest first, at most five.
    last_runs: Vec<ScheduledRun>,
    /// Null where it is paused or missing.
    next_run_at: Option<DateTime<Utc>>,
}

/// Enough to see whether a failure is the first; the Temporal UI has all runs.
const SHOWN_RUNS: usize = 5;

#[derive(Debug, Serialize, ToSchema)]
struct ScheduledRun {
    #[serde(flatten)]
    run: LinkedRun,
    started_at: Option<DateTime<Utc>>,
    /// `running`, `completed`, `failed` ..., as the schedule last heard.
    status: Option<String>,
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

/// Shows whether the mirror keeps up, and if not, why; then every kind, every schedule, and what waits for an operator
#[utoipa::path(
    get,
    path = "/api/v1/sync",
    operation_id = "show_sync",
    tag = "sync",
    security(("bearer" = [])),
    responses((status = OK, body = One<Sync>, description = "The verdict and its details"), Invalid)
)]
async fn show(
    _: Admin,
    State(state): State<ApiState>,
    _: NoParameters,
) -> Result<Json<One<Sync>>, Problem> {
    let ui = state.temporal_ui.as_deref();
    let team = state.store.mirrored_team().await?;
    let kinds = state.store.freshness(None).await?;
    let unmatched = state.store.unmatched_members().await?;
    let facts = state.store.status_facts().await?;
    let held_deletions = pending(&state).await?;
    let asked = schedules(&state).await;
    let known = match &asked {
        None => Schedules::NotChecked,
        Some(Ok(schedules)) => Schedules::Known(schedules),
        Some(Err(problem)) => Schedules::Unreachable(problem),
    };
    let Verdict { status, reasons } = status::verdict(&facts, known);
    let (schedules, schedules_problem) = match asked {
        Some(Ok(schedules)) => (Some(schedules), None),
        Some(Err(problem)) => (None, Some(problem)),
        None => {
            let problem = "this API was started without a way to reach Temporal";
            (None, Some(problem.to_owned()))
        }
    };
    Ok(Json(One::now(Sync {
        status,
        reasons,
        team: team.map(|team| Team {
            uuid: team.team_uuid,
            name: team.name,
        }),
        kinds: kinds
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
        held_deletions,
    })))
}

/// The schedules, or why Temporal does not return them; none where there is no way to ask it.
async fn schedules(state: &ApiState) -> Option<Result<Vec<ScheduleStatus>, String>> {
    let source = state.schedules.as_ref()?;
    Some(
        tokio::time::timeout(PATIENCE, source.schedules())
            .await
            .map_err(|_| format!("Temporal did not answer within {} s", PATIENCE.as_secs()))
            .flatten(),
    )
}
