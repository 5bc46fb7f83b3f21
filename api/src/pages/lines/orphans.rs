//! `/lines/overrides`: overrides of lines that a correction removed, to apply to a line or to
//! dismiss.

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse as _, Redirect, Response};
use serde::Deserialize;
use store::costs::OrphanedOverride;
use store::inventory::Commit;
use store::invoices::CostLine;
use store::{Actor, Store, StoreError};
use uuid::Uuid;

use super::change::name_of;
use super::line::title;
use crate::ApiState;
use crate::effect::Effect;
use crate::extract::{Form, Id, Period, Query, Remark, optional_field};
use crate::pages::effect::EffectTable;
use crate::pages::format::{Moment, Money, month, month_name};
use crate::pages::page::{Frame, PageProblem, render};
use crate::pages::session::AdminViewer;
use crate::paging::Paged;
use crate::problem::Problem;
use crate::routes::orphaned_overrides::{csv_of_orphans, page_of_orphans};

/// The address of the list.
pub(super) const PATH: &str = "/lines/overrides";

/// An override without a line.
struct Orphan {
    path: String,
    month: String,
    month_link: String,
    invoice_link: String,
    /// The removed line.
    title: String,
    product: String,
    amount: Money,
    start: Option<Moment>,
    end: Option<Moment>,
    /// The resource, or that the line is a shared cost.
    target: String,
    by: String,
    at: Moment,
    reason: Option<String>,
    candidates: usize,
}

async fn orphan(store: &Store, orphan: OrphanedOverride) -> Result<Orphan, Problem> {
    let title = if orphan.description.is_empty() {
        orphan.product.clone()
    } else {
        orphan.description
    };
    Ok(Orphan {
        path: format!("{PATH}/{}", orphan.id),
        month: month_name(orphan.period),
        month_link: format!("/lines?period={}", month(orphan.period)),
        invoice_link: format!("/invoices/{}", orphan.invoice_uuid),
        title,
        product: orphan.product,
        amount: Money(orphan.amount),
        start: orphan.start_at.map(Moment),
        end: orphan.end_at.map(Moment),
        target: match orphan.resource_id {
            Some(id) => name_of(store, id).await?,
            None => "a shared cost".to_owned(),
        },
        by: orphan.set_by,
        at: Moment(orphan.set_at),
        reason: orphan.reason,
        candidates: orphan.candidates.len(),
    })
}

#[derive(Template)]
#[template(path = "orphans.html")]
struct OrphansPage {
    frame: Frame,
    rows: Vec<Orphan>,
    /// The month of the filter.
    month: Option<String>,
    next: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OrphansFilter {
    #[serde(default, deserialize_with = "optional_field")]
    period: Option<Period>,
}

/// Lists the overrides.
pub(super) async fn list(
    AdminViewer(viewer): AdminViewer,
    State(state): State<ApiState>,
    query: Result<Paged<OrphansFilter>, Problem>,
) -> Result<Response, PageProblem> {
    let Paged { filter, pages } = query?;
    let store = &state.store;
    let period = filter.period.map(|Period(period)| period);
    if pages.is_csv() {
        return Ok(csv_of_orphans(store, viewer, period, &pages).await?);
    }
    let page = page_of_orphans(store, period, &pages).await?;
    let mut rows = Vec::new();
    for row in page.data {
        rows.push(orphan(store, row).await?);
    }
    let query = period.map_or_else(String::new, |period| format!("period={}&", month(period)));
    let next = page.meta.next_cursor;
    render(&OrphansPage {
        frame: viewer.frame("Overrides without a line", "/lines"),
        rows,
        month: period.map(month_name),
        next: next.map(|cursor| format!("{PATH}?{query}cursor={cursor}")),
    })
}

/// A line to which the override can be applied.
struct Candidate {
    id: Uuid,
    title: String,
    amount: Money,
    start: Option<Moment>,
    end: Option<Moment>,
    rule: String,
    is_chosen: bool,
}

impl Candidate {
    fn new(line: &CostLine, chosen: Option<Uuid>) -> Self {
        Self {
            id: line.id,
            title: title(line),
            amount: Money(line.amount),
            start: line.start_at.map(Moment),
            end: line.end_at.map(Moment),
            rule: line.match_rule.clone(),
            is_chosen: chosen == Some(line.id),
        }
    }
}

/// The application to a line, before it is made.
struct Preview {
    line: Candidate,
    /// The kind of the resource does not fit the line.
    mismatch: Option<String>,
    effect: EffectTable,
}

#[derive(Template)]
#[template(path = "orphan.html")]
struct OrphanPage {
    frame: Frame,
    orphan: Orphan,
    candidates: Vec<Candidate>,
    preview: Option<Preview>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ApplyForm {
    #[serde(default, deserialize_with = "optional_field")]
    line: Option<Id>,
    /// Accepts a resource of a kind that does not fit the line.
    #[serde(default, deserialize_with = "optional_field")]
    force: Option<bool>,
    #[serde(default, deserialize_with = "optional_field")]
    reason: Option<Remark>,
}

/// Shows an override with the lines that may replace the removed one, and the effect of the chosen
/// one.
pub(super) async fn show(
    AdminViewer(viewer): AdminViewer,
    State(state): State<ApiState>,
    id: Result<Id, Problem>,
    form: Result<Query<ApplyForm>, Problem>,
) -> Result<Response, PageProblem> {
    let (Id(id), Query(form)) = (id?, form?);
    let store = &state.store;
    let found = store.orphaned_override(id).await?;
    let chosen = form.line.map(|Id(line)| line);
    let mut candidates = Vec::new();
    for line in &found.candidates {
        candidates.push(Candidate::new(&store.cost_line(*line).await?, chosen));
    }
    let preview = match chosen {
        Some(line) => Some(preview(store, id, line, &viewer.actor()).await?),
        None => None,
    };
    render(&OrphanPage {
        frame: viewer.frame("Override without a line", "/lines"),
        orphan: orphan(store, found).await?,
        candidates,
        preview,
    })
}

async fn preview(
    store: &Store,
    id: Uuid,
    line: Uuid,
    actor: &Actor,
) -> Result<Preview, PageProblem> {
    let measure = |is_forced| store.apply_orphan(id, line, is_forced, actor, Commit::DryRun);
    let mut mismatch = None;
    let measured = match measure(false).await {
        Err(StoreError::KindMismatch {
            line_kind,
            resource_kind,
            ..
        }) => {
            mismatch = Some(format!(
                "The line charges a {line_kind}, and the resource is a {resource_kind}."
            ));
            measure(true).await?
        }
        other => other?,
    };
    Ok(Preview {
        line: Candidate::new(&store.cost_line(line).await?, Some(line)),
        mismatch,
        effect: Effect::of(measured, Commit::DryRun).into(),
    })
}

/// Applies the override to the chosen line, and shows the line.
pub(super) async fn apply(
    AdminViewer(viewer): AdminViewer,
    State(state): State<ApiState>,
    id: Result<Id, Problem>,
    form: Result<Form<ApplyForm>, Problem>,
) -> Result<Response, PageProblem> {
    let (Id(id), Form(form)) = (id?, form?);
    let Some(Id(line)) = form.line else {
        let problem = "line: choose a line to apply the override to".to_owned();
        return Err(Problem::InvalidParameter(problem).into());
    };
    let is_forced = form.force.unwrap_or_default();
    let actor = viewer.actor().because(Remark::text(form.reason));
    state
        .store
        .apply_orphan(id, line, is_forced, &actor, Commit::Keep)
        .await?;
    Ok(Redirect::to(&format!("/lines/{line}")).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DismissForm {
    #[serde(default, deserialize_with = "optional_field")]
    reason: Option<Remark>,
}

/// Dismisses the override, and shows the remaining ones.
pub(super) async fn dismiss(
    AdminViewer(viewer): AdminViewer,
    State(state): State<ApiState>,
    id: Result<Id, Problem>,
    form: Result<Form<DismissForm>, Problem>,
) -> Result<Response, PageProblem> {
    let (Id(id), Form(form)) = (id?, form?);
    let actor = viewer.actor().because(Remark::text(form.reason));
    let store = &state.store;
    store.dismiss_orphan(id, &actor, Commit::Keep).await?;
    Ok(Redirect::to(PATH).into_response())
}
