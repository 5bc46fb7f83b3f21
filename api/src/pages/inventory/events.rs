//! The timeline of a resource: its events with the values before and after.

use serde_json::Value;
use store::inventory::ResourceEvent;
use uuid::Uuid;

use super::{Link, Projects, words};
use crate::pages::attributes::{Difference, differences};
use crate::pages::format::Moment;
use crate::temporal::TemporalUi;

/// An event on the page of a resource.
pub(super) struct EventRow {
    pub(super) time: Moment,
    /// The state of the resource after the event.
    pub(super) state: String,
    pub(super) event: String,
    /// The operator of a change, or the workflow that observed it.
    pub(super) source: Link,
    pub(super) changes: Vec<Difference>,
    /// Number of further changes.
    pub(super) omitted: usize,
}

/// The most changes of an event that the page shows.
const MAX_CHANGES: usize = 20;

/// Returns the projects that the events refer to.
pub(super) fn projects_of(events: &[ResourceEvent]) -> impl Iterator<Item = Uuid> {
    let places = [
        "/cloud_project_id/before",
        "/cloud_project_id/after",
        "/provider_project_id/before",
        "/provider_project_id/after",
    ];
    events.iter().flat_map(move |event| {
        let of_override = event.changes.get("override");
        let sides = ["/before/cloud_project_id", "/after/cloud_project_id"];
        let sides = sides.map(|side| of_override?.pointer(side));
        let values = places.map(|place| event.changes.pointer(place));
        let values = values.into_iter().chain(sides).flatten();
        values
            .filter_map(|value| value.as_str()?.parse().ok())
            .collect::<Vec<Uuid>>()
    })
}

impl EventRow {
    /// Returns the number of table rows of the event.
    pub(super) fn rows(&self) -> usize {
        self.changes.len().max(1) + usize::from(self.omitted > 0)
    }

    /// Builds a row. `resource_path` is the address of the resource, for the state at that time.
    pub(super) fn new(
        event: &ResourceEvent,
        projects: &Projects,
        temporal: Option<&TemporalUi>,
        resource_path: &str,
    ) -> Self {
        let by = event
            .changes
            .get("override")
            .and_then(|found| found.get("by"));
        let by = by.and_then(Value::as_str);
        let source = match (by, &event.workflow_id, &event.run_id) {
            (Some(by), ..) => Link {
                name: format!("by {by}"),
                address: String::new(),
            },
            (None, Some(workflow), run) => Link {
                name: workflow.clone(),
                address: run
                    .as_ref()
                    .zip(temporal)
                    .map_or_else(String::new, |(run, ui)| ui.run(workflow, run)),
            },
            (None, None, _) => Link {
                name: "by an operator".to_owned(),
                address: String::new(),
            },
        };
        let mut changes = changes(event, projects);
        let omitted = changes.len().saturating_sub(MAX_CHANGES);
        changes.truncate(MAX_CHANGES);
        let at = event
            .occurred_at
            .to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
        Self {
            time: Moment(event.occurred_at),
            state: format!("{resource_path}?as_of={at}"),
            event: words::event(&event.event).to_owned(),
            source,
            changes,
            omitted,
        }
    }
}

/// Returns the changed values. The attributes and relations of the first event are not shown: the
/// page of the state at that time has them.
fn changes(event: &ResourceEvent, projects: &Projects) -> Vec<Difference> {
    let fields = event.changes.as_object().into_iter().flatten();
    let is_long = |field: &str| matches!(field, "attrs" | "relations");
    let rows = fields.filter(|(field, _)| event.event != "discovered" || !is_long(field));
    rows.flat_map(|(field, change)| {
        let [before, after] = ["before", "after"].map(|side| {
            let value = change.get(side).cloned().unwrap_or_default();
            named(value, field, projects)
        });
        let path = match field.as_str() {
            "override" => "override",
            "approved_by" => "deletion approved by",
            "cloud_project_id" => "project",
            "provider_project_id" => "project at DigitalOcean",
            "tenant_id" => "tenant",
            other => other.strip_prefix("attrs.").unwrap_or(other),
        };
        differences(path, &before, &after)
    })
    .map(|mut row| {
        row.path = match row.path.as_str() {
            "override.tenant_id" => "override: tenant".to_owned(),
            "override.tenant_since" => "override: tenant since".to_owned(),
            "override.cloud_project_id" => "override: project".to_owned(),
            "override.project_since" => "override: project since".to_owned(),
            _ => row.path,
        };
        row
    })
    .collect()
}

/// Replaces the ids of projects by names.
fn named(mut value: Value, field: &str, projects: &Projects) -> Value {
    let name = |value: &mut Value| {
        if let Some(id) = value.as_str().and_then(|text| text.parse::<Uuid>().ok()) {
            *value = Value::String(projects.name(id));
        }
    };
    match field {
        "cloud_project_id" | "provider_project_id" => name(&mut value),
        "override" => {
            if let Some(project) = value.get_mut("cloud_project_id") {
                name(project);
            }
        }
        _ => {}
    }
    value
}
