//! Projects, and whose they are and were.

use std::cmp::Reverse;

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use domain::TenantId;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::projects::ProjectChange;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::ApiState;
use crate::access::{Admin, Caller};
use crate::effect::{DryRun, Effect};
use crate::envelope::{List, One};
use crate::extract::{
    Body, Id, NoParameters, Query, Text, TimeOrDate, is_remark, not_in_the_future, present,
};
use crate::freshness;
use crate::paging::{Page, PageQuery};
use crate::problem::{Absent, Invalid, Problem};
use crate::view::View;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(one, change))
        .routes(routes!(tenants))
}

/// A project of the account.
#[derive(Debug, Serialize, ToSchema)]
struct Project {
    id: Uuid,
    provider: String,
    /// DigitalOcean's id of it.
    provider_id: String,
    name: String,
    description: String,
    environment: Option<String>,
    is_default: bool,
    /// Whether it is the project where resources of no project fall.
    is_internal: bool,
    /// Whose it is, and so whose its resources are: an operator's word.
    tenant_id: Option<String>,
    /// What it is for: an operator's word. DigitalOcean's own is in `attrs`.
    purpose: Option<String>,
    #[schema(value_type = Object)]
    attrs: Value,
    first_seen_at: DateTime<Utc>,
    last_seen_at: DateTime<Utc>,
    /// How many complete listings in a row have missed it; three make a tombstone.
    stale_strike_count: i32,
    /// When it was found to be gone; null while it is live.
    deleted_at: Option<DateTime<Utc>>,
}

impl From<store::projects::Project> for Project {
    fn from(project: store::projects::Project) -> Self {
        Self {
            id: project.id,
            provider: project.provider,
            provider_id: project.provider_id,
            name: project.name,
            description: project.description,
            environment: project.environment,
            is_default: project.is_default,
            is_internal: project.is_internal,
            tenant_id: project.tenant_id,
            purpose: project.purpose,
            attrs: project.attrs,
            first_seen_at: project.first_seen_at,
            last_seen_at: project.last_seen_at,
            stale_strike_count: project.stale_strike_count,
            deleted_at: project.deleted_at,
        }
    }
}

#[derive(Deserialize)]
struct ProjectPlace {
    name: Text,
    id: Uuid,
}

/// Live projects by name; a tenant sees its own
#[utoipa::path(
    get,
    path = "/api/v1/projects",
    operation_id = "list_projects",
    tag = "projects",
    security(("bearer" = [])),
    params(PageQuery),
    responses((status = OK, body = List<Project>, description = "A page of projects"), Invalid)
)]
async fn list(
    caller: Caller,
    State(state): State<ApiState>,
    Query(query): Query<PageQuery>,
) -> Result<Json<List<Project>>, Problem> {
    let tenant = caller.tenant();
    let page: Page<ProjectPlace> = query.page(json!({ "projects": { "tenant": tenant } }))?;
    let projects = state
        .store
        .projects(
            tenant,
            page.after
                .as_ref()
                .map(|place| (place.name.as_str(), place.id)),
            page.rows_to_fetch(),
        )
        .await?;
    let shown: List<Project> =
        page.show(projects, |last| json!({ "name": last.name, "id": last.id }));
    let freshness = freshness::of(&state.store, freshness::OF_PROJECTS).await?;
    Ok(Json(shown.fresh(freshness)))
}

/// How long a project was a tenant's.
#[derive(Debug, Serialize, ToSchema)]
struct Tenancy {
    tenant_id: String,
    valid_from: DateTime<Utc>,
    /// Null while it holds.
    valid_to: Option<DateTime<Utc>>,
    /// The name of the access token by which it was said, where one is known; null to a tenant.
    assigned_by: Option<String>,
}

/// Whose a project was and is, the latest first, as far as the caller may know it.
async fn tenancies(state: &ApiState, id: Uuid, view: &View) -> Result<Vec<Tenancy>, Problem> {
    let tenancies = state.store.tenancies(id).await?;
    Ok(tenancies
        .into_iter()
        .filter(|tenancy| view.shows_tenant(Some(&tenancy.tenant_id)))
        .map(|tenancy| Tenancy {
            tenant_id: tenancy.tenant_id,
            valid_from: tenancy.valid_from,
            valid_to: tenancy.valid_to,
            assigned_by: tenancy.assigned_by.filter(|_| view.shows_all()),
        })
        .collect())
}

/// A project with all that is known of whose it was.
#[derive(Debug, Serialize, ToSchema)]
struct ProjectDetail {
    #[serde(flatten)]
    project: Project,
    /// Whose it was and is, the latest first; a tenant sees its own part.
    tenants: Vec<Tenancy>,
}

/// One project, live or gone; another tenant's is not found
#[utoipa::path(
    get,
    path = "/api/v1/projects/{id}",
    operation_id = "show_project",
    tag = "projects",
    security(("bearer" = [])),
    params(("id" = Uuid, Path, description = "`id` of the project")),
    responses((status = OK, body = One<ProjectDetail>, description = "The project"), Invalid, Absent)
)]
async fn one(
    caller: Caller,
    State(state): State<ApiState>,
    Id(id): Id,
    _: NoParameters,
) -> Result<Json<One<ProjectDetail>>, Problem> {
    let project = state.store.project(id, caller.tenant()).await?;
    let view = View::of(&caller, &state.store).await?;
    let detail = ProjectDetail {
        tenants: tenancies(&state, project.id, &view).await?,
        project: project.into(),
    };
    let freshness = freshness::of(&state.store, freshness::OF_PROJECTS).await?;
    Ok(Json(One::now(detail).fresh(freshness)))
}

/// Whose a project was and is, the latest first; a tenant sees its own part
#[utoipa::path(
    get,
    path = "/api/v1/projects/{id}/tenants",
    operation_id = "list_project_tenants",
    tag = "projects",
    security(("bearer" = [])),
    params(("id" = Uuid, Path, description = "`id` of the project"), PageQuery),
    responses((status = OK, body = List<Tenancy>, description = "A page of intervals"), Invalid, Absent)
)]
async fn tenants(
    caller: Caller,
    State(state): State<ApiState>,
    Id(id): Id,
    Query(query): Query<PageQuery>,
) -> Result<Json<List<Tenancy>>, Problem> {
    let page = query.page(json!({ "tenants": id }))?;
    let project = state.store.project(id, caller.tenant()).await?;
    let view = View::of(&caller, &state.store).await?;
    let tenancies = tenancies(&state, project.id, &view).await?;
    let place = |tenancy: &Tenancy| Reverse(tenancy.valid_from);
    let shown: List<Tenancy> = page.show_of_all(tenancies, place);
    let freshness = freshness::of(&state.store, freshness::OF_PROJECTS).await?;
    Ok(Json(shown.fresh(freshness)))
}

/// A change of a project; an absent field stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(
    clippy::option_option,
    reason = "absent, null and a value are three different changes"
)]
struct ProjectPatch {
    /// The tenant, 1 to 100 characters. Resources of the project follow, and charges from `tenant_since` on. Null without
    /// `tenant_since` undoes every assignment of the project: all charges are attributed as if there had been none. Null with
    /// `tenant_since` ends the assignment at that time.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 100)]
    tenant_id: Option<Option<TenantId>>,
    /// From when on the tenant holds; from now on if absent. What was assigned for the time since then no longer holds. Only with
    /// `tenant_id`, and not in the future. `since` is accepted too.
    #[serde(default, alias = "since")]
    tenant_since: Option<TimeOrDate>,
    /// What it is for: 1 to 500 characters.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 500)]
    purpose: Option<Option<Purpose>>,
}

/// What a project is for.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
struct Purpose(String);

impl TryFrom<String> for Purpose {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if is_remark(&text) {
            Ok(Self(text))
        } else {
            Err("expected 1 to 500 characters, no control characters, or null")
        }
    }
}

/// Changes tenant and purpose of a project
///
/// For the role `platform_admin`. Resources of the project follow at once, and charges from `tenant_since` on. `meta.effect` has the
/// amounts that this moves; `?dry_run=true` reports them without making the change.
#[utoipa::path(
    patch,
    path = "/api/v1/projects/{id}",
    operation_id = "change_project",
    tag = "projects",
    security(("bearer" = [])),
    params(("id" = Uuid, Path, description = "`id` of the project"), DryRun),
    request_body = ProjectPatch,
    responses((status = OK, body = One<Project>, description = "The project as it is now"), Invalid, Absent)
)]
async fn change(
    admin: Admin,
    State(state): State<ApiState>,
    Id(id): Id,
    Query(dry_run): Query<DryRun>,
    Body(patch): Body<ProjectPatch>,
) -> Result<Json<One<Project>>, Problem> {
    let tenant_since = patch.tenant_since.map(|TimeOrDate(time)| time);
    not_in_the_future("tenant_since", tenant_since)?;
    if tenant_since.is_some() && patch.tenant_id.is_none() {
        return Err(Problem::InvalidBody(
            "tenant_since: give tenant_id with it, a tenant or null".to_owned(),
        ));
    }
    let change = ProjectChange {
        tenant_id: patch.tenant_id,
        tenant_since,
        purpose: patch
            .purpose
            .map(|purpose| purpose.map(|Purpose(text)| text)),
    };
    let commit = dry_run.commit();
    let (project, measured) = state
        .store
        .change_project(id, &change, &admin.token_name, commit)
        .await?;
    tracing::info!(token = %admin.token_id, project = %id, ?change, ?commit, "project changed");
    let freshness = freshness::of(&state.store, freshness::OF_PROJECTS).await?;
    let answer = One::now(project.into())
        .fresh(freshness)
        .since(tenant_since);
    Ok(Json(answer.with_effect(Effect::of(measured, commit))))
}
