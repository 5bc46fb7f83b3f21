//! `/sync/held-deletions/{id}`: the resources or projects of a held deletion, and the decision.

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse as _, Redirect, Response};
use serde::Deserialize;

use super::PATH;
use crate::ApiState;
use crate::csv::{self, FileName};
use crate::extract::{Form, Id, Remark, optional_field};
use crate::pages::format::Moment;
use crate::pages::page::{Frame, PageProblem, render};
use crate::pages::session::AdminViewer;
use crate::paging::Paged;
use crate::routes::held_deletions::{DecisionName, read_one, store_decision};

struct ResourceRow {
    name: String,
    link: String,
    provider_id: String,
    tenant: Option<String>,
    seen: Moment,
    deleted: Option<Moment>,
}

#[derive(Template)]
#[template(path = "held_deletion.html")]
struct HoldPage {
    frame: Frame,
    path: String,
    kind: String,
    /// The rows of the kind: "projects", or "resources of kind KIND".
    rows: String,
    state: String,
    would_delete: i32,
    live: i32,
    held: Moment,
    decided_by: Option<String>,
    decided: Option<Moment>,
    deleted: i32,
    /// The decision to confirm.
    confirm: Option<DecisionName>,
    resources: Vec<ResourceRow>,
    /// The address of the next page of resources.
    next: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Confirm {
    /// The decision to confirm.
    #[serde(default, deserialize_with = "optional_field")]
    decision: Option<DecisionName>,
}

/// Shows a held deletion.
pub(super) async fn show(
    AdminViewer(viewer): AdminViewer,
    State(state): State<ApiState>,
    Id(id): Id,
    Paged { filter, pages }: Paged<Confirm>,
) -> Result<Response, PageProblem> {
    let page = read_one(&state, id, &pages).await?;
    if pages.is_csv() {
        let file = FileName::new("held-deletion").with(Some(&id.to_string()));
        return Ok(csv::whole(viewer, file, page.data.resources)?);
    }
    let hold = page.data.hold;
    let path = format!("/sync/held-deletions/{id}");
    let is_pending = hold.state == "pending";
    let is_of_projects = hold.kind == "project";
    let rows = if is_of_projects {
        "projects".to_owned()
    } else {
        format!("resources of kind {}", hold.kind)
    };
    let resources = page.data.resources.into_iter().map(|resource| ResourceRow {
        link: if is_of_projects {
            format!("/projects/{}/tenant", resource.id)
        } else {
            format!("/inventory/{}", resource.id)
        },
        name: resource.name,
        provider_id: resource.provider_id,
        tenant: resource.tenant_id,
        seen: Moment(resource.last_seen_at),
        deleted: resource.deleted_at.map(Moment),
    });
    let next = page.meta.next_cursor;
    render(&HoldPage {
        frame: viewer.frame("Held deletion", PATH),
        next: next.map(|cursor| format!("{path}?cursor={cursor}")),
        path,
        kind: hold.kind,
        rows,
        state: hold.state,
        would_delete: hold.would_delete,
        live: hold.live,
        held: Moment(hold.held_at),
        decided_by: hold.decided_by,
        decided: hold.decided_at.map(Moment),
        deleted: hold.deleted.unwrap_or_default(),
        confirm: filter.decision.filter(|_| is_pending),
        resources: resources.collect(),
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DecisionForm {
    decision: DecisionName,
    #[serde(default, deserialize_with = "optional_field")]
    reason: Option<Remark>,
}

/// Stores a decision, and shows the held deletion after it.
pub(super) async fn decide(
    AdminViewer(viewer): AdminViewer,
    State(state): State<ApiState>,
    Id(id): Id,
    Form(form): Form<DecisionForm>,
) -> Result<Response, PageProblem> {
    let actor = viewer.actor().because(Remark::text(form.reason));
    store_decision(&state, id, form.decision, &actor).await?;
    Ok(Redirect::to(&format!("/sync/held-deletions/{id}")).into_response())
}
