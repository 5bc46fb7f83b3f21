//! Compares the mirror with the model: rows, events, intervals and history.

use std::collections::BTreeMap;

use chrono::DateTime;
use serde_json::{Map, Value, json};
use store::inventory::{Resource, ResourceFilter, State};
use uuid::Uuid;

use crate::reference::Reference;
use crate::world::World;

/// More rows than any sequence creates.
const PAGE: i64 = 10_000;

impl World {
    /// Checks that the mirror's rows equal the model's, its events replay to its rows, and its open
    /// intervals match them.
    pub(crate) async fn compare(&mut self, reference: &Reference) -> Result<(), String> {
        let rows = self.rows().await;
        let projects: BTreeMap<Uuid, String> =
            sqlx::query_as("select id, provider_id from cloud_projects")
                .fetch_all(&self.pool)
                .await
                .unwrap()
                .into_iter()
                .collect();
        let project = |row: &Resource| {
            row.cloud_project_id
                .and_then(|id| projects.get(&id)?.parse::<Uuid>().ok())
        };
        let mirrored: BTreeMap<(String, String), &Resource> = rows
            .iter()
            .map(|row| ((row.kind.clone(), row.provider_id.clone()), row))
            .collect();
        if mirrored.len() != reference.rows.len() {
            return Err(format!(
                "{} rows, not {}",
                mirrored.len(),
                reference.rows.len()
            ));
        }
        for ((kind, id), expected) in &reference.rows {
            let Some(row) = mirrored.get(&(kind.name().to_owned(), id.clone())) else {
                return Err(format!("{kind:?} {id} is missing"));
            };
            let differs = row.name != expected.body.name
                || row.tags != expected.body.tags
                || row.stale_strike_count != expected.strikes
                || row.deleted_at.is_some() != expected.is_deleted
                || project(row) != expected.project
                || row.tenant_id != expected.tenant
                || row.attribution.as_deref() != expected.attribution;
            if differs {
                return Err(format!("{row:?} in {:?}, not {expected:?}", project(row)));
            }
            let (start, end) = self.moments[expected.seen_in];
            let before = self.last_seen.get(&row.id).copied();
            let is_exact = if expected.seen_in + 1 == self.moments.len() {
                before < Some(row.last_seen_at)
            } else {
                before == Some(row.last_seen_at)
            };
            if !is_exact || row.last_seen_at < start || row.last_seen_at > end {
                return Err(format!(
                    "{kind:?} {id} was last seen at {}, after {before:?}, not from {start} to {end}",
                    row.last_seen_at
                ));
            }
        }
        let seen = rows.iter().map(|row| (row.id, row.last_seen_at));
        self.last_seen = seen.collect();
        self.compare_replay(&rows).await?;
        let mismatched: i64 = sqlx::query_scalar(
            "select count(*) from cloud_resources r
             full join (select * from cloud_project_memberships where valid_to is null) m on m.resource_id = r.id
             where (case when r.deleted_at is null then r.provider_project_id end) is distinct from m.cloud_project_id",
        )
        .fetch_one(&self.pool)
        .await
        .unwrap();
        if mismatched > 0 {
            return Err(format!(
                "{mismatched} open intervals do not match their rows"
            ));
        }
        let mismarked: i64 = sqlx::query_scalar(
            "select count(*) from cloud_project_members m
             where m.is_unmatched <> not exists (
                 select from cloud_resources r
                 where r.kind = m.kind and r.provider_id = m.provider_id and r.deleted_at is null)",
        )
        .fetch_one(&self.pool)
        .await
        .unwrap();
        if mismarked > 0 {
            return Err(format!(
                "{mismarked} members are wrongly marked as matched or unmatched"
            ));
        }
        let left: i64 = sqlx::query_scalar("select count(*) from cloud_staged_resources")
            .fetch_one(&self.pool)
            .await
            .unwrap();
        if left > 0 && !self.was_killed {
            return Err(format!("{left} rows are left staged"));
        }
        let now = self.store.now().await.unwrap();
        self.past.push((now, rows.iter().map(state_of).collect()));
        Ok(())
    }

    /// Checks that the events of each resource, applied in order, give its row.
    async fn compare_replay(&self, rows: &[Resource]) -> Result<(), String> {
        let events: Vec<(Uuid, String, Value)> = sqlx::query_as(
            "select resource_id, event, changes from cloud_resource_events order by id",
        )
        .fetch_all(&self.pool)
        .await
        .unwrap();
        let mut replayed: BTreeMap<Uuid, Map<String, Value>> = BTreeMap::new();
        for (resource, event, changes) in events {
            let is_known = replayed.contains_key(&resource);
            if is_known == (event == "discovered") {
                return Err(format!(
                    "{resource} has the event {event}, and earlier events: {is_known}"
                ));
            }
            apply(replayed.entry(resource).or_default(), &changes);
        }
        for row in rows {
            let expected = state_of(row);
            let Some(state) = replayed.get(&row.id) else {
                return Err(format!("{} has no events", row.id));
            };
            for field in FIELDS {
                let of_events = state.get(field).cloned().unwrap_or_default();
                if of_events != expected[field] {
                    return Err(format!(
                        "{field} of {} {} is {}, by its events {of_events}",
                        row.kind, row.provider_id, expected[field]
                    ));
                }
            }
        }
        Ok(())
    }

    /// Checks that each past state can still be read as it was.
    pub(crate) async fn compare_history(&self) -> Result<(), String> {
        let filter = ResourceFilter {
            state: State::All,
            ..ResourceFilter::default()
        };
        for (at, expected) in &self.past {
            let rows = self
                .store
                .resources_as_of(*at, &filter, None, PAGE)
                .await
                .unwrap();
            let seen: Vec<Value> = rows.iter().map(state_of).collect();
            if seen != *expected {
                return Err(format!("as of {at}: {seen:?}, not {expected:?}"));
            }
        }
        Ok(())
    }

    async fn rows(&self) -> Vec<Resource> {
        let filter = ResourceFilter {
            state: State::All,
            ..ResourceFilter::default()
        };
        self.store.resources(&filter, None, PAGE).await.unwrap()
    }
}

const FIELDS: [&str; 9] = [
    "name",
    "region",
    "status",
    "tags",
    "attrs",
    "cloud_project_id",
    "tenant_id",
    "attribution",
    "deleted_at",
];

fn state_of(row: &Resource) -> Value {
    json!({
        "kind": row.kind,
        "provider_id": row.provider_id,
        "name": row.name,
        "region": row.region,
        "status": row.status,
        "tags": row.tags,
        "attrs": row.attrs,
        "cloud_project_id": row.cloud_project_id,
        "tenant_id": row.tenant_id,
        "attribution": row.attribution,
        "deleted_at": row.deleted_at.map(|at| at.timestamp_micros()),
    })
}

fn apply(state: &mut Map<String, Value>, changes: &Value) {
    for (field, change) in changes.as_object().unwrap() {
        let after = change["after"].clone();
        if let Some(key) = field.strip_prefix("attrs.") {
            let attrs = state["attrs"].as_object_mut().unwrap();
            match after {
                Value::Null => drop(attrs.remove(key)),
                value => drop(attrs.insert(key.to_owned(), value)),
            }
        } else if field == "deleted_at" {
            let at = after.as_str().map(|text| {
                DateTime::parse_from_rfc3339(text)
                    .unwrap()
                    .timestamp_micros()
            });
            state.insert(field.clone(), json!(at));
        } else {
            state.insert(field.clone(), after);
        }
    }
}
