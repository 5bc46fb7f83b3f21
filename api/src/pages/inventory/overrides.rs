//! `/inventory/{id}/override`: the effect of an override of tenant or project, and the override.

use std::str::FromStr;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use chrono::{DateTime, Utc};
use domain::TenantId;
use serde::Deserialize;
use store::inventory::{Commit, OverrideChange, OverrideInterval, ResourceOverride};
use uuid::Uuid;

use super::Projects;
use crate::ApiState;
use crate::choices;
use crate::extract::{Form, Id, Query, Remark, TimeOrDate, optional_field};
use crate::pages::change::{
    Change, Field, Interval, Step, UndoStep, show, start_in_words, step_address, undo,
};
use crate::pages::page::PageProblem;
use crate::pages::session::{AdminViewer, Viewer};
use crate::problem::Problem;
use crate::routes::inventory::overrides::change_override;

pub(super) fn routes() -> Router<ApiState> {
    Router::new().route("/inventory/{id}/override", get(preview).post(make))
}

/// A part of an override.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Tenant,
    Project,
}

impl Part {
    fn name(self) -> &'static str {
        match self {
            Self::Tenant => "tenant",
            Self::Project => "project",
        }
    }
}

impl FromStr for Part {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = [Self::Tenant, Self::Project].map(|part| (part.name(), part));
        choices::one_of("part", text, &parts)
    }
}

/// The fields of an override; an empty field is absent.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct OverrideForm {
    #[serde(default, deserialize_with = "optional_field")]
    tenant: Option<TenantId>,
    #[serde(default, deserialize_with = "optional_field")]
    project: Option<Id>,
    #[serde(default, deserialize_with = "optional_field")]
    since: Option<TimeOrDate>,
    /// Removes the tenant or the project of the override: for all time without `since`.
    #[serde(default, deserialize_with = "optional_field")]
    remove: Option<Part>,
    #[serde(default, deserialize_with = "optional_field")]
    reason: Option<Remark>,
}

impl OverrideForm {
    fn change(&self) -> Result<OverrideChange, Problem> {
        let sets = self.tenant.is_some() || self.project.is_some();
        match (sets, self.remove) {
            (true, Some(_)) => {
                return Err(Problem::InvalidParameter(
                    "remove: not together with a tenant or a project: choose one of them"
                        .to_owned(),
                ));
            }
            (false, None) => {
                return Err(Problem::InvalidParameter(
                    "tenant: choose a tenant or a project".to_owned(),
                ));
            }
            _ => {}
        }
        let removed = |part| (self.remove == Some(part)).then_some(None);
        let project = self.project.map(|Id(id)| Some(id));
        Ok(OverrideChange {
            tenant_id: self.tenant.clone().map(Some).or(removed(Part::Tenant)),
            cloud_project_id: project.or((self.remove == Some(Part::Project)).then_some(None)),
            since: self.since.map(|TimeOrDate(time)| time),
        })
    }

    /// Returns the fields of the form without `since`.
    fn fields(&self) -> Vec<Field> {
        let tenant = self.tenant.as_ref();
        let fields = [
            ("tenant", tenant.map(TenantId::to_string)),
            ("project", self.project.map(|Id(id)| id.to_string())),
            ("remove", self.remove.map(|part| part.name().to_owned())),
        ];
        fields
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)))
            .collect()
    }

    /// Returns the change as a sentence.
    fn sentence(&self, resource: &str, projects: &Projects) -> String {
        let since = self.since.map(|TimeOrDate(time)| time);
        let start = start_in_words(since);
        if let Some(part) = self.remove {
            let part = part.name();
            return match since {
                Some(_) => format!("No override of the {part} of {resource} applies {start}."),
                None => format!(
                    "The override of the {part} of {resource} is removed for all time: its charges are attributed as if it had never existed."
                ),
            };
        }
        let tenant = self.tenant.as_ref();
        let tenant = tenant.map(|tenant| format!("the tenant {tenant}"));
        let project = self
            .project
            .map(|Id(id)| format!("the project {}", projects.name(id)));
        let owners: Vec<String> = project.into_iter().chain(tenant).collect();
        let owners = owners.join(" and ");
        format!("{resource} belongs to {owners} {start}, by an override.")
    }
}

async fn preview(
    AdminViewer(viewer): AdminViewer,
    State(state): State<ApiState>,
    Id(id): Id,
    Query(form): Query<OverrideForm>,
) -> Result<Response, PageProblem> {
    run(&viewer, &state, id, &form, Commit::DryRun).await
}

async fn make(
    AdminViewer(viewer): AdminViewer,
    State(state): State<ApiState>,
    Id(id): Id,
    Form(form): Form<OverrideForm>,
) -> Result<Response, PageProblem> {
    run(&viewer, &state, id, &form, Commit::Keep).await
}

async fn run(
    viewer: &Viewer,
    state: &ApiState,
    id: Uuid,
    form: &OverrideForm,
    commit: Commit,
) -> Result<Response, PageProblem> {
    let store = &state.store;
    let change = form.change()?;
    let before = store.override_intervals(id).await?;
    let actor = viewer.actor().because(Remark::text(form.reason.clone()));
    let changed = change_override(state, &actor, id, &change, commit).await?;
    let (detail, effect) = changed.into_change()?;
    let name = detail.resource.name;
    let previous = before.iter().filter_map(|before| before.cloud_project_id);
    let named = form.project.map(|Id(id)| id).into_iter().chain(previous);
    let projects = Projects::read(store, None, named).await?;
    let undo = if commit == Commit::Keep && before != store.override_intervals(id).await? {
        undo_steps(id, &name, &change, &before, detail.r#override, &projects)
    } else {
        Vec::new()
    };
    let change = Change {
        title: format!("Override of {name}"),
        entry: "/inventory",
        sentence: form.sentence(&name, &projects),
        path: format!("/inventory/{id}/override"),
        fields: form.fields(),
        since: change.since,
        back: (name.clone(), format!("/inventory/{id}")),
        undo,
    };
    show(viewer, change, effect)
}

/// Returns the steps that undo a change, for each changed part.
fn undo_steps(
    id: Uuid,
    name: &str,
    change: &OverrideChange,
    before: &[OverrideInterval],
    after: Option<ResourceOverride>,
    projects: &Projects,
) -> Vec<UndoStep> {
    let after = after.unwrap_or_default();
    let parts = [
        (
            Part::Tenant,
            change.tenant_id.is_some(),
            change.since.or(after.tenant_since),
        ),
        (
            Part::Project,
            change.cloud_project_id.is_some(),
            change.since.or(after.project_since),
        ),
    ];
    let changed = parts.into_iter().filter(|(_, is_changed, _)| *is_changed);
    changed
        .flat_map(|(part, _, since)| {
            let before: Vec<Interval> = before
                .iter()
                .filter_map(|before| interval(part, before))
                .collect();
            let steps = undo(&before, since).into_iter();
            steps.map(move |step| undo_step(id, name, part, &step, projects))
        })
        .collect()
}

fn interval(part: Part, before: &OverrideInterval) -> Option<Interval> {
    let value = match part {
        Part::Tenant => before.tenant_id.clone(),
        Part::Project => before.cloud_project_id.map(|id| id.to_string()),
    };
    Some(Interval {
        value: value?,
        from: before.valid_from,
        to: before.valid_to,
    })
}

fn undo_step(id: Uuid, name: &str, part: Part, step: &Step, projects: &Projects) -> UndoStep {
    let mut form = OverrideForm {
        since: step.since.map(TimeOrDate),
        ..OverrideForm::default()
    };
    match (&step.value, part) {
        (None, part) => form.remove = Some(part),
        (Some(value), Part::Tenant) => form.tenant = value.parse().ok(),
        (Some(value), Part::Project) => form.project = value.parse().ok(),
    }
    let path = format!("/inventory/{id}/override");
    UndoStep {
        sentence: form.sentence(name, projects),
        address: step_address(&path, &form.fields(), since_of(&form)),
    }
}

fn since_of(form: &OverrideForm) -> Option<DateTime<Utc>> {
    form.since.map(|TimeOrDate(time)| time)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(query: &str) -> OverrideForm {
        serde_urlencoded::from_str(query).unwrap()
    }

    #[test]
    fn a_form_sets_or_removes_one_part() {
        let set = form("tenant=acme&project=&since=2026-04-01&remove=");
        let change = set.change().unwrap();
        assert_eq!(change.tenant_id, Some(Some("acme".parse().unwrap())));
        assert_eq!(change.cloud_project_id, None);
        assert!(change.since.is_some());
        assert_eq!(set.fields(), [("tenant", "acme".to_owned())]);

        let removed = form("remove=project").change().unwrap();
        assert_eq!(removed.cloud_project_id, Some(None));
        assert_eq!(removed.tenant_id, None);
    }

    #[test]
    fn a_form_without_a_value_or_with_two_is_refused() {
        for query in ["", "since=2026-04-01", "tenant=acme&remove=tenant"] {
            assert!(form(query).change().is_err(), "{query}");
        }
        assert!(serde_urlencoded::from_str::<OverrideForm>("remove=name").is_err());
    }
}
