//! Runs: starting them, and the page of one run.

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse as _, Redirect, Response};
use serde::Deserialize;
use store::Actor;
use store::audit::RunRequest;

use super::{PATH, in_words, status_class};
use crate::extract::{Form, Id, InPath, NoParameters};
use crate::pages::format::Moment;
use crate::pages::page::{Frame, PageProblem, render};
use crate::pages::session::AdminViewer;
use crate::problem::Problem;
use crate::runs::{self, in_time, starter};
use crate::{ApiState, StartFuture, WorkflowRun, choices};

/// Starts a run that was recorded as requested, and leads to its page.
async fn start_for(
    state: &ApiState,
    actor: &Actor,
    start: StartFuture<'_>,
) -> Result<Response, PageProblem> {
    let started = runs::start(state, actor, start).await?;
    Ok(Redirect::to(&started.page()).into_response())
}

/// The form of a button: one of the fields.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StartForm {
    schedule: Option<String>,
    kind: Option<String>,
}

/// Starts the run of a schedule, or the sync of one kind.
pub(super) async fn start(
    AdminViewer(viewer): AdminViewer,
    State(state): State<ApiState>,
    Form(form): Form<StartForm>,
) -> Result<Response, PageProblem> {
    let starter = starter(&state)?;
    let (store, actor) = (&state.store, viewer.actor());
    match (&form.schedule, &form.kind) {
        (Some(schedule), None) => {
            known("schedule", schedule, &starter.schedule_ids())?;
            let request = RunRequest::Schedule(schedule);
            store.record_run_request(request, &actor).await?;
            start_for(&state, &actor, starter.trigger(schedule)).await
        }
        (None, Some(kind)) => {
            known("kind", kind, &starter.kinds())?;
            let request = RunRequest::Kind(kind);
            store.record_run_request(request, &actor).await?;
            start_for(&state, &actor, starter.sync_kind(kind)).await
        }
        _ => Err(PageProblem(Problem::InvalidBody(
            "expected either `schedule` or `kind`".to_owned(),
        ))),
    }
}

/// Fails unless Temporal can start a run for this schedule or kind, so that only such requests are
/// recorded.
fn known(noun: &str, name: &str, known: &[String]) -> Result<(), PageProblem> {
    if known.iter().any(|known| known == name) {
        return Ok(());
    }
    let names: Vec<&str> = known.iter().map(String::as_str).collect();
    let problem = choices::unknown(noun, name, &names);
    Err(PageProblem(Problem::NotFound(problem)))
}

/// Ingests an invoice again.
pub(super) async fn ingest(
    AdminViewer(viewer): AdminViewer,
    State(state): State<ApiState>,
    Id(uuid): Id,
) -> Result<Response, PageProblem> {
    let (store, actor) = (&state.store, viewer.actor());
    let invoice = store.invoice(uuid).await?;
    let starter = starter(&state)?;
    let request = RunRequest::Invoice(uuid, invoice.period);
    store.record_run_request(request, &actor).await?;
    start_for(&state, &actor, starter.ingest(uuid, invoice.period)).await
}

#[derive(Template)]
#[template(path = "run.html")]
struct RunPage {
    frame: Frame,
    run: WorkflowRun,
    workflow_type: String,
    summary: Option<String>,
    status: String,
    class: &'static str,
    started: Option<Moment>,
    closed: Option<Moment>,
    failure: Option<String>,
    /// The run in the Temporal UI.
    link: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct RunPath {
    workflow_id: String,
    run_id: String,
}

/// Shows a run.
pub(super) async fn show(
    AdminViewer(viewer): AdminViewer,
    State(state): State<ApiState>,
    InPath(path): InPath<RunPath>,
    _: NoParameters,
) -> Result<Response, PageProblem> {
    let run = WorkflowRun {
        workflow_id: path.workflow_id,
        run_id: path.run_id,
    };
    let described = in_time(starter(&state)?.describe(&run)).await?;
    let ui = state.temporal_ui.as_deref();
    render(&RunPage {
        frame: viewer.frame("Run", PATH),
        workflow_type: described.workflow_type,
        summary: described.summary,
        class: status_class(&described.status),
        status: in_words(&described.status),
        started: described.started_at.map(Moment),
        closed: described.closed_at.map(Moment),
        failure: described.failure,
        link: ui.map(|ui| ui.run(&run.workflow_id, &run.run_id)),
        run,
    })
}
