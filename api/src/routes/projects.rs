//! Routes of projects, and of the tenants that they are and were assigned to.

use std::cmp::Reverse;
use std::collections::HashMap;

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use chrono::{DateTime, Utc};
use domain::TenantId;
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::inventory::{Commit, Tenancy};
use store::projects::{Project, ProjectChange, ProjectEvent};
use store::{Actor, Store};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::ApiState;
use crate::access::{Admin, Caller};
use crate::csv::{self, FileName};
use crate::effect::DryRun;
use crate::envelope::{List, One, json_of};
use crate::extract::{
    Body, Id, NoParameters, Query, Remark, Text, TimeOrDate, not_in_the_future, present,
    remark_or_null, tenant_or_null,
};
use crate::freshness;
use crate::paging::{Page, PageQuery};
use crate::problem::{BadRequest, FutureTime, NotFound, Problem};
use crate::view::View;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(one, change))
        .routes(routes!(tenants))
        .routes(routes!(events))
}

#[derive(Deserialize)]
struct ProjectPlace {
    name: Text,
    id: Uuid,
}

/// A project with the number of its resources.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ListedProject {
    #[serde(flatten)]
    pub(crate) project: Project,
    /// Number of resources of the project that are not deleted.
    pub(crate) live_resources: i64,
    /// Start of the assignment to the current tenant; null without a tenant.
    pub(crate) tenant_since: Option<DateTime<Utc>>,
}

/// Lists live projects by name; a tenant sees its own
#[utoipa::path(
    get,
    path = "/api/v1/projects",
    operation_id = "list_projects",
    tag = "projects",
    security(("bearer" = [])),
    params(PageQuery),
    responses((status = OK, body = List<ListedProject>, description = "A page of projects"), BadRequest)
)]
async fn list(
    caller: Caller,
    State(state): State<ApiState>,
    query: PageQuery,
) -> Result<Response, Problem> {
    let list = read_projects(&state.store, caller.tenant(), &query).await?;
    let file = FileName::new("projects").with(caller.tenant().map(TenantId::as_str));
    csv::list(caller, &query, file, list)
}

/// Reads a page of the live projects; with `tenant`, of that tenant's.
pub(crate) async fn read_projects(
    store: &Store,
    tenant: Option<&TenantId>,
    query: &PageQuery,
) -> Result<List<ListedProject>, Problem> {
    let page = query.page(json!({ "projects": { "tenant": tenant } }))?;
    let page: Page<ProjectPlace> = page.at_once();
    let projects = store
        .projects(
            tenant,
            page.after
                .as_ref()
                .map(|place| (place.name.as_str(), place.id)),
            page.rows_to_fetch(),
        )
        .await?;
    let shown = page.show(projects, |last| json!({ "name": last.name, "id": last.id }));
    let ids: Vec<Uuid> = shown.data.iter().map(|project| project.id).collect();
    let mut uses: HashMap<_, _> = store
        .project_uses(&ids)
        .await?
        .into_iter()
        .map(|found| (found.cloud_project_id, found))
        .collect();
    let listed = shown.map(|project| {
        let found = uses.remove(&project.id);
        ListedProject {
            live_resources: found.as_ref().map_or(0, |found| found.live_resources),
            tenant_since: found.and_then(|found| found.tenant_since),
            project,
        }
    });
    let freshness = freshness::of(store, freshness::OF_PROJECTS).await?;
    Ok(listed.fresh(freshness))
}

/// Returns the tenants of a project over time, the latest first, as far as the caller may see them.
async fn tenancies(store: &Store, id: Uuid, view: &View) -> Result<Vec<Tenancy>, Problem> {
    let mut tenancies = store.tenancies(id).await?;
    tenancies.retain(|tenancy| view.shows_tenant(Some(&tenancy.tenant_id)));
    if !view.shows_all() {
        for tenancy in &mut tenancies {
            tenancy.assigned_by = None;
        }
    }
    Ok(tenancies)
}

/// A project with its tenants over time.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProjectDetail {
    #[serde(flatten)]
    pub(crate) project: Project,
    /// Tenants of the project over time, the latest first; a tenant sees its own intervals.
    pub(crate) tenants: Vec<Tenancy>,
}

/// Returns one project, live or deleted; a tenant sees its own
#[utoipa::path(
    get,
    path = "/api/v1/projects/{id}",
    operation_id = "show_project",
    tag = "projects",
    security(("bearer" = [])),
    params(("id" = Uuid, Path, description = "`id` of the project")),
    responses((status = OK, body = One<ProjectDetail>, description = "The project"), BadRequest, NotFound)
)]
async fn one(
    caller: Caller,
    State(state): State<ApiState>,
    Id(id): Id,
    _: NoParameters,
) -> Result<Json<One<ProjectDetail>>, Problem> {
    read_project(&state.store, caller.tenant(), id)
        .await
        .map(Json)
}

/// Reads a project; with `tenant`, only if it is assigned to that tenant.
pub(crate) async fn read_project(
    store: &Store,
    tenant: Option<&TenantId>,
    id: Uuid,
) -> Result<One<ProjectDetail>, Problem> {
    let project = store.project(id, tenant).await?;
    let view = View::of_tenant(tenant, store).await?;
    let detail = ProjectDetail {
        tenants: tenancies(store, project.id, &view).await?,
        project,
    };
    let freshness = freshness::of(store, freshness::OF_PROJECTS).await?;
    Ok(One::now(detail).fresh(freshness))
}

/// Lists the tenants of a project over time, the latest first
///
/// A tenant sees its own intervals.
#[utoipa::path(
    get,
    path = "/api/v1/projects/{id}/tenants",
    operation_id = "list_project_tenants",
    tag = "projects",
    security(("bearer" = [])),
    params(("id" = Uuid, Path, description = "`id` of the project"), PageQuery),
    responses((status = OK, body = List<Tenancy>, description = "A page of intervals"), BadRequest, NotFound)
)]
async fn tenants(
    caller: Caller,
    State(state): State<ApiState>,
    Id(id): Id,
    query: PageQuery,
) -> Result<Response, Problem> {
    let page = query.page(json!({ "tenants": id }))?;
    let project = state.store.project(id, caller.tenant()).await?;
    let view = View::of(&caller, &state.store).await?;
    let tenancies = tenancies(&state.store, project.id, &view).await?;
    let place = |tenancy: &Tenancy| Reverse(tenancy.valid_from);
    let shown = page.show_of_all(tenancies, place);
    let freshness = freshness::of(&state.store, freshness::OF_PROJECTS).await?;
    let file = FileName::new("project-tenants").with(Some(&project.name));
    csv::list(caller, &query, file, shown.fresh(freshness))
}

/// Lists the changes of a project that listings observed, the latest first
///
/// Assignments of tenants are in `tenants` and in the audit.
#[utoipa::path(
    get,
    path = "/api/v1/projects/{id}/events",
    operation_id = "list_project_events",
    tag = "projects",
    security(("bearer" = [])),
    params(("id" = Uuid, Path, description = "`id` of the project"), PageQuery),
    responses((status = OK, body = List<ProjectEvent>, description = "A page of events"), BadRequest, NotFound)
)]
async fn events(
    admin: Admin,
    State(state): State<ApiState>,
    Id(id): Id,
    query: PageQuery,
) -> Result<Response, Problem> {
    let page = query.page(json!({ "project-events": id }))?;
    let project = state.store.project(id, None).await?;
    if query.is_csv() {
        let file = FileName::new("project-events").with(Some(&project.name));
        let store = state.store.clone();
        let read = move |page| page_of_events(store.clone(), id, page);
        return csv::stream(&state.store, admin, file, page, read).await;
    }
    let list = page_of_events(state.store.clone(), id, page).await?;
    let freshness = freshness::of(&state.store, freshness::OF_PROJECTS).await?;
    Ok(json_of(list.fresh(freshness)))
}

async fn page_of_events(
    store: Store,
    project: Uuid,
    page: Page<i64>,
) -> Result<List<ProjectEvent>, Problem> {
    let events = store.project_events(project, page.after, page.rows_to_fetch());
    Ok(page.show(events.await?, |last| last.id))
}

/// A change of a project; an absent field keeps its value.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(
    clippy::option_option,
    reason = "absent, null and a value are three different changes"
)]
struct ProjectPatch {
    /// The tenant, 1 to 100 characters. Applies to the resources of the project, and to charges
    /// from `tenant_since` on. Null without `tenant_since` removes every assignment of the project:
    /// charges are attributed as if there had been none. Null with `tenant_since` ends the
    /// assignment at that time.
    #[serde(default, deserialize_with = "present")]
    #[schema(schema_with = tenant_or_null, required = false)]
    tenant_id: Option<Option<TenantId>>,
    /// Time from which the assignment applies, not in the future; the current time if absent. The
    /// change replaces assignments after this time. Requires `tenant_id`. Alias: `since`.
    #[serde(default, alias = "since")]
    tenant_since: Option<TimeOrDate>,
    /// Purpose of the project, 1 to 500 characters; null removes it.
    #[serde(default, deserialize_with = "present")]
    #[schema(schema_with = remark_or_null, required = false)]
    purpose: Option<Option<Remark>>,
    /// Reason for the change, 1 to 500 characters; recorded in the audit.
    #[schema(schema_with = remark_or_null, required = false)]
    reason: Option<Remark>,
}

/// Changes the tenant and the purpose of a project
///
/// Requires the role `platform_admin`. The change applies at once to the resources of the project,
/// and to charges from `tenant_since` on. `meta.effect` has the amounts that the change moves;
/// `?dry_run=true` reports them without making the change. With more than 1,000 resources or cost
/// lines, the change is stored at once, and they follow in portions: then the response is 202, and
/// `meta.reallocation` has the path of the progress.
#[utoipa::path(
    patch,
    path = "/api/v1/projects/{id}",
    operation_id = "change_project",
    tag = "projects",
    security(("bearer" = [])),
    params(("id" = Uuid, Path, description = "`id` of the project"), DryRun),
    request_body = ProjectPatch,
    responses(
        (status = OK, body = One<Project>, description = "The project after the change"),
        (status = ACCEPTED, body = One<Project>, description = "The project after the change; its resources and cost lines follow",
            headers(("location" = String, description = "Path of the reallocation"))),
        BadRequest,
        NotFound,
        FutureTime,
    )
)]
async fn change(
    admin: Admin,
    State(state): State<ApiState>,
    Id(id): Id,
    Query(dry_run): Query<DryRun>,
    Body(patch): Body<ProjectPatch>,
) -> Result<Response, Problem> {
    let tenant_since = patch.tenant_since.map(|TimeOrDate(time)| time);
    if tenant_since.is_some() && patch.tenant_id.is_none() {
        return Err(Problem::InvalidBody(
            "tenant_since: requires tenant_id: add a tenant or null, or omit tenant_since"
                .to_owned(),
        ));
    }
    let change = ProjectChange {
        tenant_id: patch.tenant_id,
        tenant_since,
        purpose: patch.purpose.map(Remark::text),
    };
    let commit = dry_run.commit();
    let actor = admin.actor.because(Remark::text(patch.reason));
    let changed = change_project(&state, &actor, id, &change, commit).await?;
    Ok(changed.into_changed())
}

/// Changes a project, or measures the effect, and returns the project with the effect.
pub(crate) async fn change_project(
    state: &ApiState,
    actor: &Actor,
    id: Uuid,
    change: &ProjectChange,
    commit: Commit,
) -> Result<One<Project>, Problem> {
    let store = &state.store;
    not_in_the_future("tenant_since", change.tenant_since)?;
    let (project, measured) = store.change_project(id, change, actor, commit).await?;
    let freshness = freshness::of(store, freshness::OF_PROJECTS).await?;
    let response = One::now(project)
        .fresh(freshness)
        .since(change.tenant_since);
    Ok(response.changed(state, measured, commit).await)
}
