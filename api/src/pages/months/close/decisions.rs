//! The forms of the close of a month, and the downloads of its files.

use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};
use chrono::NaiveDate;
use serde::Deserialize;
use store::Usd;

use crate::ApiState;
use crate::extract::{Form, InPath, Period, Remark, optional_field};
use crate::pages::format::month;
use crate::pages::page::PageProblem;
use crate::pages::session::AdminViewer;
use crate::problem::Problem;
use crate::routes::months::{FilePath, close_month, respond_file};

pub(super) fn routes() -> Router<ApiState> {
    Router::new()
        .route("/months/{period}/close", post(close))
        .route("/months/{period}/reopen", post(reopen))
        .route("/months/{period}/correction", post(accept))
        .route("/months/{period}/files/{name}", get(file))
}

/// The form that starts or approves a close.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CloseForm {
    /// `yes` to approve.
    #[serde(default)]
    approve: String,
    #[serde(default, deserialize_with = "optional_field")]
    reason: Option<Remark>,
}

/// Starts the close of a month, or approves it, and leads to the run.
async fn close(
    AdminViewer(viewer): AdminViewer,
    State(state): State<ApiState>,
    InPath(Period(period)): InPath<Period>,
    Form(form): Form<CloseForm>,
) -> Result<Response, PageProblem> {
    let actor = viewer.actor().because(Remark::text(form.reason));
    let run = close_month(&state, period, form.approve == "yes", &actor).await?;
    Ok(Redirect::to(&run.page()).into_response())
}

/// The form that reopens a month.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReopenForm {
    #[serde(default, deserialize_with = "optional_field")]
    reason: Option<Remark>,
}

fn shown(period: NaiveDate) -> Response {
    Redirect::to(&format!("/months/{}#close", month(period))).into_response()
}

async fn reopen(
    AdminViewer(viewer): AdminViewer,
    State(state): State<ApiState>,
    InPath(Period(period)): InPath<Period>,
    Form(form): Form<ReopenForm>,
) -> Result<Response, PageProblem> {
    let Some(reason) = Remark::text(form.reason) else {
        let problem = "reason: missing: enter the reason for the reopening";
        return Err(Problem::InvalidBody(problem.to_owned()).into());
    };
    let actor = viewer.actor().because(Some(reason));
    state.store.reopen_month(period, &actor).await?;
    Ok(shown(period))
}

/// The form that accepts a correction.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AcceptForm {
    /// The total that the page shows.
    after: Usd,
    #[serde(default, deserialize_with = "optional_field")]
    reason: Option<Remark>,
}

async fn accept(
    AdminViewer(viewer): AdminViewer,
    State(state): State<ApiState>,
    InPath(Period(period)): InPath<Period>,
    Form(form): Form<AcceptForm>,
) -> Result<Response, PageProblem> {
    let actor = viewer.actor().because(Remark::text(form.reason));
    let Usd(after) = form.after;
    state.store.accept_correction(period, after, &actor).await?;
    Ok(shown(period))
}

async fn file(
    AdminViewer(viewer): AdminViewer,
    State(state): State<ApiState>,
    InPath(path): InPath<FilePath>,
    headers: HeaderMap,
) -> Result<Response, PageProblem> {
    let Period(period) = path.period;
    Ok(respond_file(&state.store, viewer, &headers, period, &path.name).await?)
}
