//! `/reallocations`: the changes of which the cost lines are updated in portions, with their
//! progress.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;
use store::Store;
use store::reallocations::{Reallocation, ReallocationState};
use uuid::Uuid;

use super::format::{Moment, month, month_name};
use super::page::{Frame, PageProblem, render};
use super::parameters::Parameters;
use super::session::AdminViewer;
use crate::ApiState;
use crate::csv;
use crate::paging::Paged;
use crate::routes::reallocations::{file_of_reallocations, read_reallocations};

const PATH: &str = "/reallocations";

pub(super) fn routes() -> Router<ApiState> {
    Router::new().route(PATH, get(show))
}

struct Row {
    id: Uuid,
    requested: Moment,
    change: String,
    by: String,
    state: &'static str,
    /// Class of the text of the state.
    class: &'static str,
    progress: String,
    /// Months with lines that wait: name and path.
    months: Vec<(String, String)>,
    finished: Option<Moment>,
}

impl From<Reallocation> for Row {
    fn from(one: Reallocation) -> Self {
        let progress = progress_of(&one);
        let months = one.months.unwrap_or_default().into_iter();
        let months =
            months.map(|period| (month_name(period), format!("/months/{}", month(period))));
        Self {
            id: one.id,
            requested: Moment(one.requested_at),
            change: match (one.project_ids.len(), one.resources) {
                (0, 1) => "1 resource".to_owned(),
                (0, resources) => format!("{resources} resources"),
                (1, _) => "1 project".to_owned(),
                (projects, _) => format!("{projects} projects"),
            },
            by: one.changed_by.unwrap_or_else(|| "a sync".to_owned()),
            state: one.state.name(),
            class: if one.state == ReallocationState::Done {
                "good-text"
            } else {
                "warn-text"
            },
            progress,
            months: months.collect(),
            finished: one.finished_at.map(Moment),
        }
    }
}

fn progress_of(one: &Reallocation) -> String {
    match (one.state, one.lines) {
        (ReallocationState::Pending, _) => "waits for a worker".to_owned(),
        (_, None) => "resources first".to_owned(),
        (_, Some(lines)) => format!(
            "{} of {lines} lines, of which {} have other tenants",
            one.lines_done, one.lines_changed
        ),
    }
}

#[derive(Template)]
#[template(path = "reallocations.html")]
struct ReallocationsPage {
    frame: Frame,
    rows: Vec<Row>,
    is_open: bool,
    next: Option<String>,
}

/// A list without a filter.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NoFilter {}

async fn show(
    AdminViewer(viewer): AdminViewer,
    State(state): State<ApiState>,
    parameters: Parameters,
) -> Result<Response, PageProblem> {
    let Paged {
        pages,
        filter: NoFilter {},
    } = Paged::read(parameters.pairs())?;
    let list = read_reallocations(&state.store, &pages).await?;
    if pages.is_csv() {
        return Ok(csv::list(viewer, &pages, file_of_reallocations(), list)?);
    }
    let is_open = list
        .data
        .iter()
        .any(|one| one.state != ReallocationState::Done);
    render(&ReallocationsPage {
        frame: viewer.frame("Reallocations", "/projects"),
        is_open,
        next: list
            .meta
            .next_cursor
            .map(|cursor| parameters.link(PATH, "cursor", &cursor)),
        rows: list.data.into_iter().map(Row::from).collect(),
    })
}

/// Returns a sentence on the changes of which the lines are being updated; none if all are.
pub(super) async fn in_progress(store: &Store) -> Result<Option<String>, PageProblem> {
    if store.open_reallocations().await?.count == 0 {
        return Ok(None);
    }
    let mut open = store.reallocations().await?;
    open.retain(|one| one.state != ReallocationState::Done);
    let (Some(first), count) = (open.last(), open.len()) else {
        return Ok(None);
    };
    let progress = progress_of(first);
    let changes = if count == 1 { "change" } else { "changes" };
    Ok(Some(format!(
        "The cost lines of {count} {changes} are being updated: {progress}."
    )))
}
