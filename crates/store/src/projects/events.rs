//! Changes of projects, in the format of the events of resources.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Map, Value, json};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{Run, Store, StoreError};

/// A change of a project.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ProjectEvent {
    pub id: i64,
    pub cloud_project_id: Uuid,
    /// `discovered`, `updated`, `deleted` or `restored`.
    pub event: String,
    /// `{"field": {"before": ..., "after": ...}}`
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub changes: Value,
    pub occurred_at: DateTime<Utc>,
    /// The Temporal workflow run that observed the change; null for a decision through the API.
    pub workflow_id: Option<String>,
    pub run_id: Option<String>,
}

/// Attributes that change with every change of a project, and are not a separate change.
const WITH_EVERY_CHANGE: [&str; 1] = ["updated_at"];

/// The fields of a project with changes that are recorded. Null fields are absent.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Fields(Map<String, Value>);

impl Fields {
    pub(super) fn new(
        name: &str,
        description: &str,
        environment: Option<&str>,
        is_default: bool,
        attrs: &Value,
    ) -> Self {
        let mut fields = Map::new();
        fields.insert("name".to_owned(), json!(name));
        fields.insert("description".to_owned(), json!(description));
        fields.insert("environment".to_owned(), json!(environment));
        fields.insert("is_default".to_owned(), json!(is_default));
        let attrs = attrs.as_object().into_iter().flatten();
        for (key, value) in attrs.filter(|(key, _)| !WITH_EVERY_CHANGE.contains(&key.as_str())) {
            fields.insert(format!("attrs.{key}"), value.clone());
        }
        fields.retain(|_, value| !value.is_null());
        Self(fields)
    }

    /// Returns the changes from `self` to `after`.
    pub(super) fn changes_to(&self, after: &Self) -> Map<String, Value> {
        let mut changes = Map::new();
        for field in self.0.keys().chain(after.0.keys()) {
            let (before, after) = (self.0.get(field), after.0.get(field));
            if before != after {
                let change = json!({ "before": before, "after": after });
                changes.insert(field.clone(), change);
            }
        }
        changes
    }
}

/// An event to write.
pub(super) struct Noted {
    pub(super) project: Uuid,
    pub(super) event: &'static str,
    pub(super) changes: Map<String, Value>,
}

pub(super) async fn write(
    tx: &mut PgConnection,
    noted: Vec<Noted>,
    at: DateTime<Utc>,
    run: &Run,
) -> Result<(), StoreError> {
    if noted.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = noted.iter().map(|noted| noted.project).collect();
    let events: Vec<&str> = noted.iter().map(|noted| noted.event).collect();
    let changes: Vec<Value> = noted
        .into_iter()
        .map(|noted| Value::Object(noted.changes))
        .collect();
    sqlx::query!(
        "insert into cloud_project_events (cloud_project_id, event, changes, occurred_at, workflow_id, run_id)
         select id, event, changes, $4, $5, $6 from unnest($1::uuid[], $2::text[], $3::jsonb[]) as noted (id, event, changes)",
        &ids,
        &events as &[&str],
        &changes,
        at,
        run.workflow_id,
        run.run_id,
    )
    .execute(tx)
    .await?;
    Ok(())
}

impl Store {
    /// Lists the events of a project, latest first.
    pub async fn project_events(
        &self,
        project: Uuid,
        before: Option<i64>,
        limit: i64,
    ) -> Result<Vec<ProjectEvent>, StoreError> {
        let events = sqlx::query_as!(
            ProjectEvent,
            "select id, cloud_project_id, event, changes, occurred_at, workflow_id, run_id from cloud_project_events
             where cloud_project_id = $1 and ($2::bigint is null or id < $2) order by id desc limit $3",
            project,
            before,
            limit,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(events)
    }
}
