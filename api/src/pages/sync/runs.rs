//! Runs: starting them, and the page of one run.

use std::time::Duration;

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse as _, Redirect, Response};
use serde::Deserialize;

use super::{PATH, in_words, status_class};
use crate::extract::{Form, Id, InPath, NoParameters};
use crate::pages::format::Moment;
use crate::pages::page::{Frame, PageProblem, render};
use crate::pages::session::{AdminViewer, Viewer};
use crate::problem::Problem;
use crate::{ApiState, StartFuture, WorkflowError, WorkflowRun, WorkflowStarter};

/// Time limit for Temporal. Longer than a starter waits for the run of a schedule.
const TIMEOUT: Duration = Duration::from_secs(15);

impl From<WorkflowError> for PageProblem {
    fn from(error: WorkflowError) -> Self {
        let text = error.to_string();
        Self(match error {
            WorkflowError::Unknown(_) => Problem::NotFound(text),
            WorkflowError::Refused(_) => Problem::Conflict(text),
            WorkflowError::Unavailable(_) => Problem::NotReady(text),
        })
    }
}

fn starter(state: &ApiState) -> Result<&dyn WorkflowStarter, PageProblem> {
    state.workflows.as_deref().ok_or_else(|| {
        PageProblem(Problem::NotReady(
            "this API was started without a connection to Temporal: start the run with the \
             `temporal` program"
                .to_owned(),
        ))
    })
}

/// Waits for an answer of Temporal within the time limit.
async fn in_time<T>(
    answer: impl Future<Output = Result<T, WorkflowError>>,
) -> Result<T, PageProblem> {
    let answer = tokio::time::timeout(TIMEOUT, answer).await;
    let answer = answer.unwrap_or_else(|_| {
        Err(WorkflowError::Unavailable(format!(
            "no response from Temporal within {} s: try again later",
            TIMEOUT.as_secs()
        )))
    });
    Ok(answer?)
}

/// Starts a run for a person, and leads to its page.
async fn start_for(viewer: &Viewer, start: StartFuture<'_>) -> Result<Response, PageProblem> {
    let run = in_time(start).await?;
    let access = &viewer.access;
    tracing::info!(token = %access.token_id, by = access.token_name, workflow_id = run.workflow_id,
        run_id = run.run_id, "workflow started on a page");
    Ok(Redirect::to(&run.page()).into_response())
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
    match (&form.schedule, &form.kind) {
        (Some(schedule), None) => start_for(&viewer, starter.trigger(schedule)).await,
        (None, Some(kind)) => start_for(&viewer, starter.sync_kind(kind)).await,
        _ => Err(PageProblem(Problem::InvalidBody(
            "expected either `schedule` or `kind`".to_owned(),
        ))),
    }
}

/// Ingests an invoice again.
pub(super) async fn ingest(
    AdminViewer(viewer): AdminViewer,
    State(state): State<ApiState>,
    Id(uuid): Id,
) -> Result<Response, PageProblem> {
    let invoice = state.store.invoice(uuid).await?;
    let starter = starter(&state)?;
    start_for(&viewer, starter.ingest(uuid, invoice.period)).await
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
