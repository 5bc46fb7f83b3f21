//! `/projects`: the projects with their tenants, and the assignment of a project to a tenant.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use chrono::{DateTime, Utc};
use domain::TenantId;
use serde::Deserialize;
use store::inventory::{Commit, Tenancy};
use store::projects::ProjectChange;
use uuid::Uuid;

use super::change::{
    Change, Field, Interval, UndoStep, show as show_change, start_in_words, step_address, undo,
};
use super::format::Moment;
use super::freshness::FreshnessView;
use super::inventory::Choice;
use super::page::{Frame, PageProblem, render};
use super::parameters::Parameters;
use super::reallocations::{NoFilter, in_progress};
use super::session::{AdminViewer, Viewer};
use crate::ApiState;
use crate::csv::{self, FileName};
use crate::extract::{Form, Id, Remark, TimeOrDate, optional_field};
use crate::paging::Paged;
use crate::problem::Problem;
use crate::routes::projects::{ListedProject, change_project, read_project, read_projects};

pub(super) fn routes() -> Router<ApiState> {
    Router::new()
        .route("/projects", get(show))
        .route("/projects/{id}/tenant", get(preview).post(assign))
}

struct Row {
    id: Uuid,
    name: String,
    mark: &'static str,
    environment: String,
    purpose: String,
    tenant: Option<String>,
    since: Option<Moment>,
    resources: i64,
}

#[derive(Template)]
#[template(path = "projects.html")]
struct ProjectsPage {
    frame: Frame,
    rows: Vec<Row>,
    unassigned: usize,
    reallocating: Option<String>,
    next: Option<String>,
    freshness: FreshnessView,
}

async fn show(
    AdminViewer(viewer): AdminViewer,
    State(state): State<ApiState>,
    parameters: Parameters,
) -> Result<Response, PageProblem> {
    let Paged {
        pages,
        filter: NoFilter {},
    } = Paged::read(parameters.pairs())?;
    let list = read_projects(&state.store, None, &pages).await?;
    if pages.is_csv() {
        return Ok(csv::list(viewer, &pages, FileName::new("projects"), list)?);
    }
    let rows: Vec<Row> = list.data.into_iter().map(Row::from).collect();
    render(&ProjectsPage {
        frame: viewer.frame("Projects", "/projects"),
        unassigned: rows.iter().filter(|row| row.tenant.is_none()).count(),
        rows,
        reallocating: in_progress(&state.store).await?,
        next: list
            .meta
            .next_cursor
            .map(|cursor| parameters.link("/projects", "cursor", &cursor)),
        freshness: list.meta.common.freshness.unwrap_or_default().into(),
    })
}

impl From<ListedProject> for Row {
    fn from(listed: ListedProject) -> Self {
        let project = listed.project;
        // DigitalOcean's purpose is in the body; an operator can set another one.
        let purpose = project.attrs.get("purpose");
        let purpose = purpose
            .and_then(serde_json::Value::as_str)
            .map(str::to_owned);
        Self {
            id: project.id,
            name: project.name,
            mark: match (project.is_internal, project.is_default) {
                (true, _) => "internal",
                (false, true) => "default",
                (false, false) => "",
            },
            environment: project.environment.unwrap_or_default(),
            purpose: project.purpose.or(purpose).unwrap_or_default(),
            tenant: project.tenant_id,
            since: listed.tenant_since.map(Moment),
            resources: listed.live_resources,
        }
    }
}

/// An interval of a project with a tenant.
struct TenancyRow {
    tenant: String,
    from: Moment,
    to: Option<Moment>,
    by: String,
}

#[derive(Template)]
#[template(path = "project_tenant.html")]
struct TenantPage {
    frame: Frame,
    id: Uuid,
    name: String,
    tenant: Option<String>,
    tenancies: Vec<TenancyRow>,
    tenants: Vec<Choice>,
}

/// The fields of an assignment; an empty field is absent.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct TenantForm {
    #[serde(default, deserialize_with = "optional_field")]
    tenant: Option<TenantId>,
    #[serde(default, deserialize_with = "optional_field")]
    since: Option<TimeOrDate>,
    /// `tenant`: ends the assignment at `since`, or removes all assignments without `since`.
    #[serde(default)]
    remove: String,
    #[serde(default, deserialize_with = "optional_field")]
    reason: Option<Remark>,
}

impl TenantForm {
    fn is_empty(&self) -> bool {
        self.tenant.is_none() && self.since.is_none() && self.remove.is_empty()
    }

    fn change(&self) -> Result<ProjectChange, Problem> {
        let problem = |text: &str| Err(Problem::InvalidParameter(text.to_owned()));
        let tenant_id = match (&self.tenant, self.remove.as_str()) {
            (Some(tenant), "") => Some(tenant.clone()),
            (None, "tenant") => None,
            (None, "") => return problem("tenant: choose a tenant"),
            (Some(_), _) => {
                return problem("remove: not together with a tenant: choose one of them");
            }
            (None, _) => return problem("remove: expected tenant"),
        };
        Ok(ProjectChange {
            tenant_id: Some(tenant_id),
            tenant_since: self.since.map(|TimeOrDate(time)| time),
            purpose: None,
        })
    }

    fn fields(&self) -> Vec<Field> {
        let tenant = self.tenant.as_ref();
        tenant.map_or_else(
            || vec![("remove", "tenant".to_owned())],
            |tenant| vec![("tenant", tenant.to_string())],
        )
    }

    fn sentence(&self, project: &str) -> String {
        let since = self.since.map(|TimeOrDate(time)| time);
        let start = start_in_words(since);
        match (&self.tenant, since) {
            (Some(tenant), _) => {
                format!(
                    "The project {project} and its resources belong to the tenant {tenant} {start}."
                )
            }
            (None, Some(_)) => format!("The project {project} belongs to no tenant {start}."),
            (None, None) => format!(
                "The project {project} belongs to no tenant, as if it had never been assigned."
            ),
        }
    }
}

/// The name of the table in the address of its CSV.
const TENANTS: &str = "tenants";

/// Shows the form, or with its fields the effect of the assignment.
async fn preview(
    AdminViewer(viewer): AdminViewer,
    State(state): State<ApiState>,
    Id(id): Id,
    mut parameters: Parameters,
) -> Result<Response, PageProblem> {
    let store = &state.store;
    if parameters.take_whole_table(TENANTS)? {
        let detail = read_project(store, None, id).await?.data;
        let file = FileName::new("project-tenants").with(Some(&detail.project.name));
        return Ok(csv::whole(viewer, file, detail.tenants)?);
    }
    let form: TenantForm = parameters.read()?;
    if !form.is_empty() {
        return run(&viewer, &state, id, &form, Commit::DryRun).await;
    }
    let detail = read_project(store, None, id).await?.data;
    let tenancies = detail.tenants.into_iter().map(|tenancy| TenancyRow {
        tenant: tenancy.tenant_id,
        from: Moment(tenancy.valid_from),
        to: tenancy.valid_to.map(Moment),
        by: tenancy.assigned_by.unwrap_or_default(),
    });
    render(&TenantPage {
        frame: viewer.frame(&format!("Tenant of {}", detail.project.name), "/projects"),
        id,
        name: detail.project.name,
        tenant: detail.project.tenant_id,
        tenancies: tenancies.collect(),
        tenants: Choice::named(store.tenant_ids().await?, ""),
    })
}

async fn assign(
    AdminViewer(viewer): AdminViewer,
    State(state): State<ApiState>,
    Id(id): Id,
    Form(form): Form<TenantForm>,
) -> Result<Response, PageProblem> {
    run(&viewer, &state, id, &form, Commit::Keep).await
}

async fn run(
    viewer: &Viewer,
    state: &ApiState,
    id: Uuid,
    form: &TenantForm,
    commit: Commit,
) -> Result<Response, PageProblem> {
    let store = &state.store;
    let change = form.change()?;
    let before = store.tenancies(id).await?;
    let actor = viewer.actor().because(Remark::text(form.reason.clone()));
    let changed = change_project(state, &actor, id, &change, commit).await?;
    let (project, effect) = changed.into_change()?;
    let after = store.tenancies(id).await?;
    let undo = if before == after {
        Vec::new()
    } else {
        let since = change.tenant_since.or_else(|| start_of_current(&after));
        undo_steps(id, &project.name, before, since)
    };
    let change = Change {
        title: format!("Tenant of {}", project.name),
        entry: "/projects",
        sentence: form.sentence(&project.name),
        path: format!("/projects/{id}/tenant"),
        fields: form.fields(),
        since: change.tenant_since,
        back: ("Projects".to_owned(), "/projects".to_owned()),
        undo,
    };
    show_change(viewer, change, effect)
}

fn start_of_current(tenancies: &[Tenancy]) -> Option<DateTime<Utc>> {
    let current = tenancies.iter().find(|tenancy| tenancy.valid_to.is_none());
    current.map(|tenancy| tenancy.valid_from)
}

/// Returns the steps that restore the tenants before a change. `before` has the latest first.
fn undo_steps(
    id: Uuid,
    project: &str,
    before: Vec<Tenancy>,
    since: Option<DateTime<Utc>>,
) -> Vec<UndoStep> {
    let before = before.into_iter().rev().map(|tenancy| Interval {
        value: tenancy.tenant_id,
        from: tenancy.valid_from,
        to: tenancy.valid_to,
    });
    let steps = undo(&before.collect::<Vec<_>>(), since).into_iter();
    let path = format!("/projects/{id}/tenant");
    steps
        .map(|step| {
            let tenant = step.value.and_then(|tenant| tenant.parse().ok());
            let form = TenantForm {
                tenant,
                since: step.since.map(TimeOrDate),
                ..TenantForm::default()
            };
            UndoStep {
                sentence: form.sentence(project),
                address: step_address(&path, &form.fields(), step.since),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_assigns_or_removes_a_tenant() {
        let form = |query: &str| serde_urlencoded::from_str::<TenantForm>(query).unwrap();
        assert!(form("tenant=&since=&remove=").is_empty());
        let change = form("tenant=acme&since=2026-04-01").change().unwrap();
        assert_eq!(change.tenant_id, Some(Some("acme".parse().unwrap())));
        assert!(change.tenant_since.is_some());
        let change = form("remove=tenant").change().unwrap();
        assert_eq!((change.tenant_id, change.tenant_since), (Some(None), None));
        for query in ["since=2026-04-01", "remove=x", "tenant=acme&remove=tenant"] {
            assert!(form(query).change().is_err(), "{query}");
        }
    }
}
